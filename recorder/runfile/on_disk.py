"""How many bytes of the disk does a run take? Its file, its parts and its logs, without checkpoints."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from recorder.runfile.layout import run_paths


def on_disk(path: Path) -> int:
    """Bytes that the files of the run at `path` have now."""
    return sum(status.st_size for status in _files(path))


def allocated_to(path: Path) -> int:
    """Bytes that they really take; see `allocated`."""
    return sum(map(allocated, _files(path)))


def allocated(status: os.stat_result) -> int:
    """Bytes that a file really takes: holes cost nothing and justify nothing. Some file systems do not say."""
    return min(status.st_size, 512 * status.st_blocks) or status.st_size


def _files(path: Path) -> Iterator[os.stat_result]:
    """The run's file, which may be a link to it, and every regular file in its folder, where a link is none."""
    main, folder = run_paths(path)
    names: list[str] = []
    with contextlib.suppress(OSError):  # there is none, or not any more
        names = os.listdir(folder)
    for look, file in ((os.stat, main), *((os.lstat, folder / name) for name in names)):
        with contextlib.suppress(OSError):
            if stat.S_ISREG((status := look(file)).st_mode):
                yield status
