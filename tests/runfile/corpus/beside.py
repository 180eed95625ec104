"""What can be wrong beside the file of a killed run: its logs, parts, declarations, its lock and its folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.runfile.corpus.bad import VIEW, Bad


def beside(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """A file of the run's folder is replaced."""

    def build(path: Path) -> None:
        found = path.with_suffix(".d") / name
        found.unlink(missing_ok=True)
        make(found)

    return build


def out(target: Path, name: Path) -> None:
    """`name` is a link to a copy outside of what it was."""
    name.symlink_to(target)


def linked_out(pattern: str) -> Callable[[Path], None]:
    """A file of the folder lies elsewhere."""

    def build(path: Path) -> None:
        found = next(path.with_suffix(".d").glob(pattern))
        elsewhere = path.parent.parent / f"{path.parent.name}.{found.name}"
        shutil.move(found, elsewhere)
        found.symlink_to(elsewhere)

    return build


def folder_elsewhere(path: Path) -> None:
    elsewhere = path.parent.parent / f"{path.parent.name}.moved"
    shutil.move(path.with_suffix(".d"), elsewhere)
    path.with_suffix(".d").symlink_to(elsewhere)


def sparse(pattern: str) -> Callable[[Path], None]:
    return lambda path: os.truncate(next(path.with_suffix(".d").glob(pattern)), 1 << 40)


def newer_sidecar(path: Path) -> None:
    path.unlink()
    (path.with_suffix(".d") / "volume-0000.json").write_text('{"format": 5, "layerscope": "4.0"}')


def flipped_head(path: Path) -> None:
    """A block of HDF5's own is damaged: HDF5 reads it again and again where a writer might be at it."""
    data = bytearray(path.read_bytes())
    data[data.find(b"OHDR", 5000) + 40] ^= 0xFF
    path.write_bytes(data)


LOG, SIDECAR = "log-0000-step-000000000300", "volume-0001.json"

KILLED: Mapping[str, Bad] = {
    "nothing wrong": Bad(lambda p: None, VIEW),
    "a damaged block": Bad(flipped_head, "is damaged"),
    "a lock of garbage": Bad(beside("lock", lambda f: f.write_bytes(os.urandom(999))), VIEW),
    "a huge lock": Bad(sparse("lock"), VIEW),
    "a lock that is a FIFO": Bad(beside("lock", os.mkfifo), f"{VIEW}|no regular file"),
    "a lock that is a device": Bad(beside("lock", lambda f: f.symlink_to("/dev/zero")), VIEW),
    "a log that is a FIFO": Bad(beside("log-0000-step-000000000320", os.mkfifo), "is no regular file"),
    "a log of a terabyte": Bad(sparse("log-0000-step-*"), VIEW),
    "a log that is elsewhere": Bad(linked_out("log-0000-step-*"), "is a symbolic link"),
    "a part that is elsewhere": Bad(linked_out("part-*.h5"), "is a symbolic link"),
    "a declaration that is elsewhere": Bad(
        lambda p: (p.unlink(), linked_out("volume-0000.json")(p)), "is a symbolic link"
    ),
    "a folder that is elsewhere": Bad(folder_elsewhere, "is a symbolic link"),
    "a declaration of a terabyte": Bad(lambda p: (p.unlink(), sparse("volume-0000.json")(p)), "cannot be read"),
    "a newer declaration": Bad(newer_sidecar, "format 5, written by layerscope 4.0"),
    "a part of zeros": Bad(beside("part-0001.h5", lambda f: f.write_bytes(bytes(9999))), "is no HDF5 file"),
    "a part that is a folder": Bad(beside("part-0001.h5", lambda f: f.mkdir()), "is no regular file"),
    "logs of nothing": Bad(beside("log-0009-nowhere-000000000000", lambda f: f.write_bytes(b"x")), VIEW),
    "a checkpoint that is a bomb": Bad(
        lambda p: (
            beside("checkpoints", lambda f: f.mkdir())(p) or os.mkfifo(p.with_suffix(".d") / "checkpoints" / "x.pth")
        ),
        VIEW,
    ),
}
