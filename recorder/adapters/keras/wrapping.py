"""How is a method wrapped on one object, and the object put back as it was?

Keras tracks what is set as an attribute; the wrapper goes past that, so nothing of it is saved, cloned or pickled.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def wrapped(owner: Any, name: str, around: Callable[[Any], Any]) -> Iterator[None]:
    """Inside, `owner.name` is `around(owner.name)`."""
    original, own = getattr(owner, name), name in vars(owner)
    wrapper = functools.wraps(original)(around(original))
    object.__setattr__(owner, name, wrapper)
    try:
        yield
    finally:
        if vars(owner).get(name) is not wrapper:
            pass  # somebody replaced it, or wrapped it again: theirs stays
        elif own:
            object.__setattr__(owner, name, original)
        else:
            object.__delattr__(owner, name)
