"""How do a run's file, parts and logs become one sealed file? By copying every row, exactly, and looking again.

The main volume stays at the root; each part becomes a group /parts/NNNN of the same form, so nothing has to be
merged, and nothing can change by merging.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from recorder.errors import RunExistsError, RunFileError
from recorder.runfile.guard import is_open_for_writing
from recorder.runfile.layout import BLOCK_BYTES, block_rows, log_of, part_of, run_paths
from recorder.runfile.lock import Lock, alive, holder, take
from recorder.runfile.processes import last_time
from recorder.runfile.reader import Run
from recorder.runfile.schema import Series, State, row_dtype
from recorder.runfile.stored import StoredVolume
from recorder.runfile.volume import Volume, new_file


def pack(run_path: Path | str, out: Path | str, *, force: bool = False) -> Path:
    """Copy a run, live, crashed or in parts, into one sealed file `out`, which must not exist (unless `force`)."""
    out = run_paths(out)[0]
    if not force and (out.exists() or run_paths(out)[1].exists()):
        raise RunExistsError(f"{out}: a run is already there; choose another path. Nothing was touched")
    with Run.open(run_path) as run:
        if run.path.exists() and out.exists() and os.path.samefile(run.path, out):
            raise RunExistsError(f"{out}: is the run itself; to pack it in place: layerscope repair {run.path}")
        new = _copy(run, out)
    os.replace(new, out)
    _sync(out.parent)
    return out


def repair(path: Path | str) -> Path:
    """Pack a run in place: one sealed file takes the place of its file, parts and logs; checkpoints stay."""
    main, folder = run_paths(path)
    if alive(folder):
        raise RunFileError(f"{main}: is being recorded by {holder(folder)}; repair it when that has ended")
    held = _take(folder)
    try:
        if not _is_one_file(main, folder):
            fold(main)
    finally:
        if held is not None:
            held.release()
        with contextlib.suppress(OSError):
            folder.rmdir()
    return main


def fold(main: Path) -> None:
    """What `repair` does, for one who holds the lock."""
    with Run.open(main) as run:
        new = _copy(run, main)
    os.replace(new, main)
    _sync(main.parent)
    for left in _leftovers(run_paths(main)[1]):
        left.unlink()


def _is_one_file(main: Path, folder: Path) -> bool:
    """Whether there is nothing to repair: one sealed file, of which every row can be read."""
    if not main.exists() or is_open_for_writing(main) or _leftovers(folder) or _unfinished(main):
        return False
    with Run.open(main) as run:
        if run.status.state is State.RECORDING:
            return False
        for volume in run.volumes:
            for _ in _blocks(volume):
                pass
    return True


def _leftovers(folder: Path) -> list[Path]:
    """What is in the main file once a run is packed."""
    names = os.listdir(folder) if folder.is_dir() else ()
    return [folder / n for n in names if log_of(n) is not None or part_of(n) is not None or n.startswith("new-")]


def _unfinished(out: Path) -> list[Path]:
    """Copies whose process was killed before they got their name."""
    return list(out.parent.glob(f".{glob.escape(out.name)}.*.new"))


def _copy(run: Run, out: Path) -> Path:
    """A verified and synced copy beside `out`, under another name."""
    new = out.with_name(f".{out.name}.{os.getpid()}.new")
    for left in _unfinished(out):
        left.unlink(missing_ok=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with new_file(str(new)) as file:
            for volume in run.volumes:
                status = run.status if volume is run.volumes[-1] else volume.declaration.status
                if status.state is State.RECORDING:  # it ended without a word, or goes on in the original
                    status = replace(status, state=State.KILLED, ended=last_time([volume]))
                declaration = replace(volume.declaration, status=status)
                group = file if volume is run.volumes[0] else file.create_group(f"parts/{volume.number:04}")
                _copy_volume(volume, Volume(group, declaration))
        _sync(new)  # after it was closed, which writes once more
        with h5py.File(new, "r", locking=False) as file:
            for volume in run.volumes:
                name = "/" if volume is run.volumes[0] else f"parts/{volume.number:04}"
                _verify(volume, StoredVolume.open(volume.number, file[name], str(new)))
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return new


def _copy_volume(volume: StoredVolume, into: Volume) -> None:
    for axis, rows in _blocks(volume):
        into.commit(axis, rows)


def _blocks(volume: StoredVolume) -> Iterator[tuple[str, np.ndarray]]:
    """(axis, rows): every row of a volume as it was appended, a block at a time."""
    for axis, series in volume.declaration.axes.items():
        size = block_rows(row_dtype(series).itemsize, BLOCK_BYTES)
        for start in range(0, volume.count(axis), size):
            yield axis, _block(volume, axis, series, start, min(start + size, volume.count(axis)))


def _block(volume: StoredVolume, axis: str, series: tuple[Series, ...], start: int, stop: int) -> np.ndarray:
    """Rows start..stop of an axis as they were appended."""
    rows = np.zeros(stop - start, row_dtype(series))
    clock = volume.clock(axis, slice(start, stop))
    rows["step"], rows["epoch"], rows["time"] = clock.step, clock.epoch, clock.time
    for s in series:
        if s.ragged:
            for k in range(len(s.items)):
                rows[f"{s.name}/{k}"] = volume.read(s.name, start, stop, k)
        else:
            rows[s.name] = volume.read(s.name, start, stop)
    return rows


def _verify(original: StoredVolume, copy: StoredVolume) -> None:
    """Every byte of every row, read back."""
    copy.refresh({})
    for axis, series in original.declaration.axes.items():
        count = original.count(axis)
        size = block_rows(row_dtype(series).itemsize, BLOCK_BYTES)
        same = copy.count(axis) >= count and all(
            _block(original, axis, series, start, min(start + size, count)).tobytes()
            == _block(copy, axis, series, start, min(start + size, count)).tobytes()
            for start in range(0, count, size)
        )
        if not same:
            raise RunFileError(f"{copy.where}: the copy of axis {axis!r} differs from the original, which was kept")


def _take(folder: Path) -> Lock | None:
    """The dead process' lock becomes ours, so that two repairs do not meet."""
    if not folder.is_dir():
        return None
    try:
        return take(folder)
    except FileExistsError:
        raise RunFileError(f"{folder}: another process is repairing it: {holder(folder)}") from None


def _sync(path: Path) -> None:
    """Onto the disk: a file, or the names in a folder."""
    with contextlib.suppress(OSError):  # not every file system can
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
