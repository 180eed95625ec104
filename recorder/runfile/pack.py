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
from recorder.runfile.declaration import Declaration
from recorder.runfile.guard import is_open_for_writing
from recorder.runfile.layout import BLOCK_BYTES, block_rows, log_of, part_of, run_paths
from recorder.runfile.lock import Lock, alive, holder, take
from recorder.runfile.processes import last_time
from recorder.runfile.reader import Run
from recorder.runfile.schema import Series, State, row_dtype
from recorder.runfile.stored import StoredVolume
from recorder.runfile.volume import Volume, abandon, new_file


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
            fold(main, trusted=False)
    finally:
        if held is not None:
            held.release()
        with contextlib.suppress(OSError):
            folder.rmdir()
    return main


def fold(main: Path, *, trusted: bool = True) -> None:
    """What `repair` does, for one who holds the lock."""
    with Run.open(main, trusted=trusted) as run:
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
    chapters = _chapters(run)
    try:
        file = new_file(str(new), {name: _declared(run, volumes) for name, volumes in chapters.items()})
        try:
            for name, volumes in chapters.items():
                into = Volume(file[name], volumes[0].declaration)
                for volume in volumes:
                    _copy_volume(volume, into)
            file.close()
        except BaseException:
            abandon(file)
            raise
        _sync(new)  # after it was closed, which writes once more
        with h5py.File(new, "r", locking=False) as file:
            for name, volumes in chapters.items():
                _verify(volumes, StoredVolume.open(volumes[0].number, file[name], str(new)))
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return new


def _chapters(run: Run) -> dict[str, list[StoredVolume]]:
    """Group of the file -> the volumes that go there: those that carry on from one another become one again."""
    chapters: list[list[StoredVolume]] = []
    for volume in run.volumes:
        before = next((c for c in chapters if _carries_on(c[-1], volume)), None)
        if before is not None:
            before.append(volume)
        else:
            chapters.append([volume])
    return {f"parts/{c[0].number:04}" if k else "/": c for k, c in enumerate(chapters)}


def _carries_on(older: StoredVolume, newer: StoredVolume) -> bool:
    """Whether one process wrote both, the newer where the older ends."""
    one, other = older.declaration, newer.declaration
    if other.status.resumed is not None or one.status.started != other.status.started:
        return False
    return (one.series, one.meta) == (other.series, other.meta) and all(
        older.clock_column(axis, "step")[-1] <= newer.clock_column(axis, "step")[0]
        for axis in other.axes
        if older.count(axis) and newer.count(axis)
    )


def _declared(run: Run, volumes: list[StoredVolume]) -> Declaration:
    """What the copy says of itself: of a run that goes on, that it is a copy."""
    declaration, newest = volumes[0].declaration, run.newest.declaration.status
    status = run.status if declaration.status.started == newest.started else declaration.status
    if status.state is State.RECORDING:  # it ended without a word, or goes on in the original
        live = run.state is State.RECORDING
        error = f"a copy, made at step {run.last_step} while the run was still being recorded" if live else status.error
        status = replace(status, state=State.KILLED, ended=last_time(volumes), error=error)
    return replace(declaration, status=replace(status, resumed=declaration.status.resumed))


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


def _verify(originals: list[StoredVolume], copy: StoredVolume) -> None:
    """Every byte of every row, read back."""
    copy.refresh({})
    for axis, series in copy.declaration.axes.items():
        size = block_rows(row_dtype(series).itemsize, BLOCK_BYTES)
        before = 0
        for original in originals:
            count = original.count(axis)
            same = copy.count(axis) >= before + count and all(
                _block(original, axis, series, start, min(start + size, count)).tobytes()
                == _block(copy, axis, series, before + start, before + min(start + size, count)).tobytes()
                for start in range(0, count, size)
            )
            if not same:
                raise RunFileError(f"{copy.where}: the copy of axis {axis!r} differs from the original, which was kept")
            before += count


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
