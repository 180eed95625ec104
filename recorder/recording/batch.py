"""Which samples were in a batch? The identifiers that the loop gives, as they are now, and later as text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np

from recorder.errors import RecordError

MOST = 4096  # identifiers of one batch that are kept
BYTES = 4096  # of their text
_CUT = "…"
_ONE = (int, np.integer, str, bytes, PurePath)


class Batch(NamedTuple):
    """A copy of the first `MOST` identifiers, on their device, and how many there were."""

    ids: Any
    number: int

    @classmethod
    def of(cls, ids: Any) -> Batch:
        """What the loop cannot change any more, without waiting for a device; RecordError where it names no samples."""
        if isinstance(ids, _ONE):
            return cls((ids,), 1)
        if hasattr(ids, "dtype") and hasattr(ids, "shape"):
            if (
                "int" not in str(ids.dtype)
                and "str" not in str(ids.dtype)
                and getattr(ids.dtype, "kind", "f") not in "OSU"
            ):
                raise _refused(f"{ids.dtype} of shape {tuple(ids.shape)}")
            return cls(_copied(ids), prod(ids.shape))
        if isinstance(ids, Sequence):
            if len(ids) and not _is_one(ids[0]):
                raise _refused(f"{type(ids).__name__} of {type(ids[0]).__name__}")
            return cls(tuple(ids[:MOST]), len(ids))
        raise _refused(type(ids).__name__)

    @property
    def text(self) -> str:
        """As in "17 4 2051" or "cat.png, dog.png"; what is too long for `BYTES` is counted: "17 4 … and 812 more".

        Of a name that is too long by itself there is the beginning.
        """
        names = [_name(one) for one in (self.ids.tolist() if hasattr(self.ids, "tolist") else self.ids)]
        glue = " " if all(name.lstrip("-").isdecimal() for name in names) else ", "
        text = glue.join(names)
        if self.number == len(names) and len(text.encode()) <= BYTES:
            return text
        room = BYTES - len(_more(self.number).encode())
        fit = sum(size <= room for size in accumulate(len((name + glue).encode()) for name in names))
        if not fit:
            begun = names[0].encode()[: room - len(_CUT.encode())].decode(errors="ignore") + _CUT
            return begun + (_more(self.number - 1) if self.number > 1 else "")
        return glue.join(names[:fit]) + _more(self.number - fit)


def _more(number: int) -> str:
    return f" … and {number:,} more"


def _is_one(one: Any) -> bool:
    return isinstance(one, _ONE) or (getattr(one, "shape", None) == () and "int" in str(getattr(one, "dtype", "")))


def _copied(ids: Any) -> Any:
    """The first of them, flat."""
    if hasattr(ids, "detach"):
        return ids.detach().reshape(-1)[:MOST].clone()
    return np.array(np.asarray(ids).reshape(-1)[:MOST])


def _name(one: Any) -> str:
    """Some file names are no UTF-8; what Python makes of these cannot be written as they are."""
    if isinstance(one, bytes):
        return one.decode("utf-8", "replace")
    name = str(int(one)) if getattr(one, "shape", None) == () else str(one)
    return name.encode("utf-8", "backslashreplace").decode()


def _refused(found: str) -> RecordError:
    return RecordError(
        "batch: expected what identifies its samples, a whole number or a text, or a list or array of those; "
        f"got {found}"
    )
