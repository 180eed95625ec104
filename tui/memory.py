"""How does the memory of a large reading go back to the system?

glibc raises the size from which it asks the system for memory of its own each time such a block is freed; the arrays
of later readings then stay in its arenas. With the size held at 1 MiB the explorer takes 142 instead of 194 MiB on a
run of 10^6 steps x 200 tensors.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_M_MMAP_THRESHOLD = -3  # malloc.h
THRESHOLD = 1 << 20


def give_back_what_is_freed() -> None:
    """Tell glibc, where there is one."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, THRESHOLD)
