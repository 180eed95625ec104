"""How does compiled code reach entries of which it knows only the address? As an array that owns nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic

_in_llvm: Callable[[Callable[..., Any]], Any] = intrinsic


@_in_llvm
def pointer(_typing: Any, address: Any, like: Any) -> Any:
    """For `numba.carray`: a pointer to entries of the type that those of the array `like` have."""
    kind = types.CPointer(like.dtype)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(address, like), generate
