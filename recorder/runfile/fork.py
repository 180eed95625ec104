"""What must not happen when a recording process forks? The child writing its own idea of our HDF5 files.

A child shares the parent's descriptors, and its HDF5 flushes what it believes in when it exits. So its copies are
turned to /dev/null; and no fork happens while HDF5 is at work.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref

# Before a fork, hooks run last to first, and our lock must be taken before h5py's: its hooks are registered first.
import h5py  # noqa: F401


class OpenFiles:
    """The HDF5 files that a writer has open; `lock` is held while HDF5 is at work on them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.descriptors: set[int] = set()
        _living.add(self)


_living: weakref.WeakSet[OpenFiles] = weakref.WeakSet()
_held: list[OpenFiles] = []


def _before() -> None:
    _held[:] = _living
    for owner in _held:
        owner.lock.acquire()


def _in_parent() -> None:
    while _held:
        _held.pop().lock.release()


def _in_child() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for owner in _held:
        for descriptor in owner.descriptors:
            with contextlib.suppress(OSError):
                os.dup2(nowhere, descriptor)
    os.close(nowhere)
    _in_parent()
    _living.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
