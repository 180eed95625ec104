"""How do 64 comparisons become one word, whose bits can be counted? What numba lacks for `compiled`.

Bit k of the answer is the comparison of entry `start + k`. One vector comparison and its mask are written out as LLVM
knows them, because from a loop over bits it makes code that is three times slower. NaN compares false with everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WORD = 64

_in_llvm: Callable[[Callable[..., Any]], Any] = intrinsic


def _comparison(operator: str, *, magnitude: bool = False) -> Any:
    @_in_llvm
    def word(_typing: Any, x: Any, y: Any, start: Any) -> Any:  # noqa: ARG001  numba looks at the names
        """64 entries from `start` on of the array `x` against those of the array `y`, or against the number `y`."""

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            entries = ir.VectorType(context.get_data_type(x.dtype), WORD)

            def load(kind: Any, value: Any) -> Any:
                if not isinstance(kind, types.Array):
                    return _repeated(builder, entries, value)
                data = cgutils.create_struct_proxy(kind)(context, builder, value).data
                first = builder.gep(data, [arguments[2]])
                return builder.load(builder.bitcast(first, entries.as_pointer()), align=x.dtype.bitwidth // 8)

            left = load(x, arguments[0])
            if magnitude:
                left = _without_sign(builder, left, x.dtype.bitwidth)
            return builder.bitcast(builder.fcmp_ordered(operator, left, load(y, arguments[1])), ir.IntType(WORD))

        return types.uint64(x, y, types.intp), generate

    return word


def _repeated(builder: Any, entries: ir.VectorType, value: Any) -> Any:
    nothing, index = ir.Constant(entries, ir.Undefined), ir.IntType(32)
    first = builder.insert_element(nothing, value, index(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(index, WORD), [index(0)] * WORD))


def _without_sign(builder: Any, entries: Any, width: int) -> Any:
    bits = ir.VectorType(ir.IntType(width), WORD)
    mask = ir.Constant(bits, [ir.IntType(width)((1 << (width - 1)) - 1)] * WORD)
    return builder.bitcast(builder.and_(builder.bitcast(entries, bits), mask), entries.type)


above = _comparison(">")  # x > y
below = _comparison("<")  # x < y
within = _comparison("<=", magnitude=True)  # |x| <= y


@_in_llvm
def ones(_typing: Any, word: Any) -> Any:  # noqa: ARG001  numba looks at the names
    """How many bits of a word are set."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate
