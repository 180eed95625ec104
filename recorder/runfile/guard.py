"""May this file be opened? A run may come from anyone; a hostile or damaged one must not hang, read elsewhere or crash.

What is refused: what is no regular file or no HDF5, a format of the future, links and storage that lead out of the
file, more objects or depth than any run has, chunks and rows past a limit, filters that this HDF5 lacks.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import stat
from math import prod
from pathlib import Path

import h5py
import numpy as np

from recorder.errors import RunFileError
from recorder.runfile.schema import FORMAT

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEAD, _FLAGS, _END = 48, 11, 28  # superblock 3: its size, where its consistency flags and the end of the file are

ATTEMPTS = 16  # at reading what a writer may be rewriting: 15 ms in all; HDF5's own 100 would take minutes
MAX_OBJECTS = 100_000
MAX_DEPTH = 6
MAX_CHUNK = 64 << 20
MAX_ROW = 4 << 30
MAX_TEXT = 256 << 20  # bytes of a declaration

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def clean(text: str) -> str:
    """Text from a file without control, bidirectional and invisible characters; tab and newline become blanks."""
    return _CONTROL.sub("", text.replace("\n", " ").replace("\t", " "))


def is_open_for_writing(path: Path) -> bool:
    """Whether the HDF5 file says that a writer has it open (also one that died); RunFileError if it is none.

    A FIFO or a device is refused without waiting for it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise RunFileError(f"{path}: there is no such file") from error
    except OSError as error:
        raise RunFileError(f"{path}: cannot be opened ({error.strerror})") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise RunFileError(f"{path}: is no regular file; a run is NAME.h5 or its folder NAME.d")
        head = os.read(fd, _HEAD)
    finally:
        os.close(fd)
    if not head.startswith(SIGNATURE) or len(head) < _HEAD:
        found = f"it begins with {head[: len(SIGNATURE)]!r}" if status.st_size else "it is empty"
        raise RunFileError(f"{path}: is no HDF5 file ({found}), so it is no run")
    end = int.from_bytes(head[_END : _END + 8], "little")
    if head[len(SIGNATURE)] == 3 and status.st_size < end:  # with SWMR, HDF5 would wait for the rest
        raise RunFileError(f"{path}: is cut off: it has {status.st_size} bytes of at least {end}")
    return head[_FLAGS] != 0


def open_checked(path: Path) -> h5py.File:
    """The run's HDF5 file, read-only, also while it is written; RunFileError where it is not safe or no run."""
    file = _open(path, is_open_for_writing(path))
    try:
        number = file.attrs.get("format", None)
        if number is None or "layerscope" not in file:
            raise RunFileError(f"{path}: is HDF5 but no run of layerscope: it has no format number")
        if not isinstance(number, np.integer) or not 1 <= number <= FORMAT:
            raise RunFileError(f"{path}: format {number!r}; this version reads 1 to {FORMAT}: update layerscope")
        _check_group(file, str(path), 0, [0])
    except RunFileError:
        file.close()
        raise
    except Exception as error:  # whatever a damaged file provokes in HDF5
        file.close()
        raise RunFileError(f"{path}: is damaged ({type(error).__name__}: {error})") from error
    return file


def _open(path: Path, writing: bool) -> h5py.File:
    """A file that is written needs SWMR and no locks; any other is opened plainly: SWMR waits for what is missing.

    HDF5 refuses to open a file in two ways in one process, and a notebook may have it open with another library.
    """
    said = ""
    for way in (_beside_writer, _unlocked) if writing else (h5py.File, _unlocked, _beside_writer):
        if way is _beside_writer and said and "SWMR" not in said:
            continue
        try:
            return way(path)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            said = said or str(error)
    raise RunFileError(f"{path}: HDF5 cannot open it, it is damaged or of another kind ({said})")


def _unlocked(path: Path) -> h5py.File:
    return h5py.File(path, "r", locking=False)


def _beside_writer(path: Path) -> h5py.File:
    """By SWMR. HDF5 reads a block with a wrong checksum again, since a writer may be at it: ATTEMPTS times.

    Its own 100 times, each pause longer than the last, would take hours in a file whose writer died. h5py has no way
    to say so, the library below it has; where that cannot be reached, a damaged file is slow.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_file_locking(False, True)
    with contextlib.suppress(OSError, AttributeError), h5py._objects.phil:
        set_attempts = ctypes.CDLL(h5py.h5p.__file__).H5Pset_metadata_read_attempts
        set_attempts.argtypes = [ctypes.c_int64, ctypes.c_uint]
        set_attempts(access.id, ATTEMPTS)
    return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ, access))


def _check_group(group: h5py.Group, where: str, depth: int, seen: list[int]) -> None:
    if depth > MAX_DEPTH:
        raise RunFileError(f"{where}: groups are nested more than {MAX_DEPTH} deep; no run is")
    links = group.id.links
    for name in group.id:
        seen[0] += 1
        if seen[0] > MAX_OBJECTS:
            raise RunFileError(f"{where}: more than {MAX_OBJECTS} objects; no run has as many")
        kind = links.get_info(name).type
        here = f"{where}:{group.name.rstrip('/')}/{clean(name.decode('utf-8', 'replace'))}"
        if kind != h5py.h5l.TYPE_HARD:
            raise RunFileError(f"{here}: is a soft or external link; a run has none")
        opened = h5py.h5o.open(group.id, name)
        if isinstance(opened, h5py.h5g.GroupID):
            _check_group(h5py.Group(opened), where, depth + 1, seen)
        elif isinstance(opened, h5py.h5d.DatasetID):
            _check_dataset(opened, here)
        else:
            raise RunFileError(f"{here}: is neither a group nor a dataset")


def _check_dataset(dataset: h5py.h5d.DatasetID, where: str) -> None:
    created = dataset.get_create_plist()
    layout = created.get_layout()
    if layout == h5py.h5d.VIRTUAL or created.get_external_count():
        raise RunFileError(f"{where}: its data lie in other files (virtual or external storage); a run has none such")
    kind = dataset.get_type()
    if kind.get_class() not in (
        h5py.h5t.INTEGER,
        h5py.h5t.FLOAT,
        h5py.h5t.STRING,
        h5py.h5t.ENUM,
        h5py.h5t.COMPOUND,
    ) or (kind.get_class() == h5py.h5t.STRING and kind.is_variable_str()):
        raise RunFileError(f"{where}: holds data of a type that no run has")
    size, shape = kind.get_size(), dataset.shape
    if prod(shape[1:]) * size > MAX_ROW:
        raise RunFileError(f"{where}: one row has {prod(shape[1:]) * size} bytes, more than {MAX_ROW}")
    if layout == h5py.h5d.CHUNKED:
        if prod(created.get_chunk()) * size > MAX_CHUNK:
            raise RunFileError(f"{where}: its chunks have {prod(created.get_chunk()) * size} bytes, over {MAX_CHUNK}")
        for k in range(created.get_nfilters()):
            code = created.get_filter(k)[0]
            if not h5py.h5z.filter_avail(code):
                raise RunFileError(f"{where}: is packed with filter {code}, which this HDF5 does not have")
