"""Who may write the run at this path? Of all that ask, also from other hosts, one; whoever comes later is told."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from recorder.errors import RecordError, RunExistsError
from recorder.runfile.guard import open_checked
from recorder.runfile.layout import part_of
from recorder.runfile.lock import Lock, alive, holder, take


def reserve(path: Path, folder: Path, *, extend: bool) -> Lock:
    """The lock of a new run, or with `extend` of one that is there and that nobody writes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _extended(path, folder) if extend else _new(path, folder)
    except FileExistsError:  # somebody was faster
        raise _being_recorded(path, folder) from None
    except OSError as error:
        raise RecordError(f"{folder}: cannot be written ({error.strerror}); choose another path") from error


def next_number(path: Path, folder: Path) -> int:
    """One above every volume of the run."""
    numbers = [n for entry in folder.iterdir() if (n := part_of(entry.name)) is not None]
    if path.exists():
        with open_checked(path, trusted=True) as file:
            numbers += [0, *(int(name) for name in file.get("parts", ()) if name.isdigit())]
    return max(numbers, default=-1) + 1


def _new(path: Path, folder: Path) -> Lock:
    if alive(folder):  # with or without its file yet
        raise _being_recorded(path, folder)
    if path.exists():
        raise RunExistsError(
            f"{path}: a run is already there; choose another path, remove it, or continue it with resume=True. "
            "Nothing was touched"
        )
    # The folder comes into being with its lock in it: nobody ever meets one without.
    new = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    new.mkdir()
    try:
        lock = Lock(new)
        if not folder.exists():
            os.rename(new, folder)
            lock.folder = folder
            return lock
    except OSError:
        if not folder.exists():
            raise
    finally:
        with contextlib.suppress(OSError):
            (new / "lock").unlink(missing_ok=True)
            new.rmdir()
    if alive(folder):
        raise _being_recorded(path, folder)
    raise RunExistsError(
        f"{folder}: a run that was cut short is there; choose another path, continue it with resume=True, or finish it "
        f"with: layerscope repair {path}. Nothing was touched"
    )


def _extended(path: Path, folder: Path) -> Lock:
    if not path.exists() and not folder.exists():
        raise RecordError(f"{path}: there is no run to extend")
    folder.mkdir(exist_ok=True)
    return take(folder)


def _being_recorded(path: Path, folder: Path) -> RunExistsError:
    who = holder(folder) or "another process"
    return RunExistsError(f"{path}: a run is being recorded by {who}; choose another path. Nothing was touched")
