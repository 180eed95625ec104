"""What is one number, whatever library it comes from, and how is a number of bytes said?"""

from __future__ import annotations

from typing import Any


def is_number(value: Any) -> bool:
    """Whether this is exactly one number, told without waiting for a device."""
    if type(value) is float:
        return True
    if isinstance(value, str | bytes) or value is None:
        return False
    shape = getattr(value, "shape", None)
    if shape is None:
        return hasattr(value, "__float__")
    dtype = getattr(value, "dtype", None)
    if getattr(dtype, "is_complex", False) or getattr(dtype, "kind", "f") not in "biufV":  # V: bfloat16 and the like
        return False
    return all(n == 1 for n in shape) and hasattr(value, "__float__")


def as_float(value: Any) -> float:
    """One number as a float, also where it is the only entry of an array or tensor."""
    return value if type(value) is float else float(value.item() if hasattr(value, "item") else value)


def size(value: float) -> str:
    """Bytes with a decimal unit, as disks are sold: 512 B, 1.2 MB."""
    if value < 999.5:
        return f"{value:.0f} B"
    amount, units = value / 1000, ["TB", "GB", "MB", "kB"]
    while amount >= 999.5 and len(units) > 1:
        amount /= 1000
        units.pop()
    return f"{amount:.1f} {units[-1]}" if amount < 9.95 else f"{amount:.0f} {units[-1]}"
