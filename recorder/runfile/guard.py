"""May this be opened? A run may come from anyone; a hostile or damaged one must not hang, read elsewhere or crash.

Nothing in a file is touched but what its declaration names, each thing on its way through `group_in` or `dataset_in`:
no link leads on, no data lie elsewhere, no filter but ours. What else a file may hold, thirty thousand groups or a
circle of them, is never met.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import stat
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path

import h5py
import numpy as np

from recorder.errors import RunFileError, in_words
from recorder.runfile import sandbox
from recorder.runfile.schema import FORMAT

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEAD, _FLAGS, _END = 48, 11, 28  # superblock 3: its size, where its consistency flags and the end of the file are

ATTEMPTS = 16  # at reading what a writer may be rewriting: 15 ms in all; HDF5's own 100 would take minutes
CHUNK_CACHE = 256 << 10  # bytes a dataset; HDF5 2 keeps 8 MiB of each that was ever read, and a run has dozens
MAX_CHUNK = 64 << 20
MAX_ROW = 4 << 30
MAX_NAME = 4096  # bytes of one text in the file
FILTERS = (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32)
_PLAIN = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM)

_PROVOKED = (  # what broken data make h5py raise
    OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, MemoryError, SystemError,
)  # fmt: skip

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e0fff]"
)


def clean(text: str) -> str:
    """Text from a file without control, bidirectional and invisible characters; tab and newline become blanks."""
    return _CONTROL.sub("", text.replace("\n", " ").replace("\t", " "))


def is_open_for_writing(path: Path, *, inside: bool = False) -> bool:
    """Whether the HDF5 file says that a writer has it open (also one that died); RunFileError if it is none.

    A FIFO or a device is refused without waiting for it, `inside` a run's folder also a symbolic link.
    """
    fd = open_regular(path, inside=inside)
    try:
        head, size = os.read(fd, _HEAD), os.fstat(fd).st_size
    finally:
        os.close(fd)
    if not head.startswith(SIGNATURE) or len(head) < _HEAD:
        found = f"it begins with {head[: len(SIGNATURE)]!r}" if size else "it is empty"
        raise RunFileError(f"{path}: is no HDF5 file ({found}), so it is no run")
    end = int.from_bytes(head[_END : _END + 8], "little")
    if head[len(SIGNATURE)] == 3 and size < end:  # with SWMR, HDF5 would wait for the rest
        raise RunFileError(f"{path}: is cut off: it has {size} bytes of at least {end}")
    return head[_FLAGS] != 0


def open_regular(path: Path, *, inside: bool = False) -> int:
    """A descriptor of a regular file; `inside` a run's folder no symbolic link is followed out of it."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_NOFOLLOW if inside else 0)
    try:
        fd = os.open(path, flags)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise RunFileError(f"{path}: is a symbolic link to what is not there") from error
        raise
    except OSError as error:
        reason = "is a symbolic link; a run's folder holds none" if inside and path.is_symlink() else error.strerror
        raise RunFileError(f"{path}: cannot be opened: {reason}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise RunFileError(f"{path}: is no regular file; a run is NAME.h5 or its folder NAME.d")
    return fd


def read_inside(path: Path, *, start: int = 0, most: int) -> bytes:
    """At most `most` bytes of a file in a run's folder, from `start` on; FileNotFoundError where there is none."""
    fd = open_regular(path, inside=True)
    with os.fdopen(fd, "rb") as file:
        file.seek(start)
        return file.read(max(0, min(most, os.fstat(fd).st_size - start)))


def names_in(folder: Path) -> list[str]:
    """What is in a run's folder; none where there is no folder."""
    if folder.is_symlink():
        raise RunFileError(f"{folder}: is a symbolic link; name the run where its folder really is")
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def open_checked(path: Path, *, inside: bool = False, trusted: bool = False) -> h5py.File:
    """The run's HDF5 file, read-only, also while it is written; RunFileError where it is not safe or no run.

    What is not `trusted`, as one's own run is, was opened and read in the sandbox before.
    """
    try:
        writing = is_open_for_writing(path, inside=inside)
        if not trusted:
            sandbox.examine(path)
        file = _open(path, writing)
    except FileNotFoundError as error:
        raise RunFileError(f"{path}: there is no such file") from error
    try:
        number = _attribute(file, b"format")
        if number is None or not file.id.links.exists(b"layerscope"):
            raise RunFileError(f"{path}: is HDF5 but no run of layerscope: it has no format number")
        check_format(number, _attribute(file, b"layerscope"), str(path))
    except RunFileError:
        close(file)
        raise
    except Exception as error:  # whatever a damaged file provokes in HDF5
        close(file)
        raise RunFileError(f"{path}: is damaged ({in_words(error)})") from error
    return file


def check_format(number: object, wrote: object, where: str) -> None:
    """Whether this version reads that format; `wrote` is the layerscope that did."""
    if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < 1:
        raise RunFileError(f"{where}: has the format number {number!r}, which no version writes")
    if number > FORMAT:
        text = wrote.decode("utf-8", "replace") if isinstance(wrote, bytes) else str(wrote or "")
        newer = clean(text)[:40] or "a newer version"
        raise RunFileError(
            f"{where}: is of format {number}, written by layerscope {newer}; this one ({own_version()}) reads format "
            f"1 to {FORMAT}: update layerscope to {newer} or later"
        )


def own_version() -> str:
    """Of the layerscope that is running."""
    try:
        return version("layerscope")
    except PackageNotFoundError:
        return "unknown"


@contextlib.contextmanager
def damage(where: str) -> Iterator[None]:
    """What HDF5 says of broken data, in our words."""
    try:
        yield
    except (RunFileError, FileNotFoundError):
        raise
    except _PROVOKED as error:
        raise RunFileError(f"{where}: is damaged: {error or type(error).__name__}") from error


def close(file: h5py.File) -> None:
    """Close; a damaged file may not let itself be closed in order."""
    with contextlib.suppress(RuntimeError, ValueError):
        file.close()


def group_in(group: h5py.Group, name: str, where: str) -> h5py.Group:
    """The group of that name: really in this file, behind no soft or external link."""
    opened = _member(group, name, where)
    if not isinstance(opened, h5py.h5g.GroupID):
        raise RunFileError(f"{where}:{group.name}/{name}: expected a group")
    return h5py.Group(opened)


def dataset_in(group: h5py.Group, name: str, where: str) -> h5py.Dataset:
    """The dataset of that name: really in this file, with data that can be read without harm."""
    opened = _member(group, name, where)
    here = f"{where}:{group.name.rstrip('/')}/{clean(name)}"
    if not isinstance(opened, h5py.h5d.DatasetID):
        raise RunFileError(f"{here}: expected a dataset")
    _check_dataset(opened, here)
    return h5py.Dataset(opened)


def _member(group: h5py.Group, name: str, where: str) -> h5py.h5g.GroupID | h5py.h5d.DatasetID:
    key, here = name.encode(), f"{where}:{group.name.rstrip('/')}/{clean(name)}"
    if "/" in name or name in (".", ".."):
        raise RunFileError(f"{here}: is no name that a run has")
    if not group.id.links.exists(key):
        raise RunFileError(f"{here}: is damaged: it was declared, and is not there")
    if group.id.links.get_info(key).type != h5py.h5l.TYPE_HARD:
        raise RunFileError(f"{here}: is a soft or external link; a run has none")
    return h5py.h5o.open(group.id, key)


def _attribute(file: h5py.File, name: bytes) -> object:
    """A number or short text of the root; None where there is none such."""
    if not h5py.h5a.exists(file.id, name):
        return None
    found = h5py.h5a.open(file.id, name)
    kind = found.get_type()
    if found.shape != () or kind.get_class() not in _PLAIN or kind.get_size() > MAX_NAME:
        return None
    if kind.get_class() == h5py.h5t.STRING and kind.is_variable_str():
        return None
    return file.attrs[name.decode()]


def _open(path: Path, writing: bool) -> h5py.File:
    """A file that is written needs SWMR and no locks; any other is opened plainly: SWMR waits for what is missing.

    HDF5 refuses to open a file in two ways in one process, and a notebook may have it open with another library.
    """
    said = ""
    for way in (_beside_writer, _unlocked) if writing else (_plainly, _unlocked, _beside_writer):
        if way is _beside_writer and said and "SWMR" not in said:
            continue
        try:
            return way(path)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            said = said or str(error)
    raise RunFileError(f"{path}: HDF5 cannot open it, it is damaged or of another kind ({said})")


def _plainly(path: Path) -> h5py.File:
    return h5py.File(path, rdcc_nbytes=CHUNK_CACHE)


def _unlocked(path: Path) -> h5py.File:
    return h5py.File(path, "r", locking=False, rdcc_nbytes=CHUNK_CACHE)


def _beside_writer(path: Path) -> h5py.File:
    """By SWMR. HDF5 reads a block with a wrong checksum again, since a writer may be at it: ATTEMPTS times.

    Its own 100 times, each pause longer than the last, would take hours in a file whose writer died. h5py has no way
    to say so, the library below it has; where that cannot be reached, a damaged file is slow.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_file_locking(False, True)
    metadata, slots, _, preemption = access.get_cache()
    access.set_cache(metadata, slots, CHUNK_CACHE, preemption)
    with contextlib.suppress(OSError, AttributeError), h5py._objects.phil:
        set_attempts = ctypes.CDLL(h5py.h5p.__file__).H5Pset_metadata_read_attempts
        set_attempts.argtypes = [ctypes.c_int64, ctypes.c_uint]
        set_attempts(access.id, ATTEMPTS)
    return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ, access))


def _check_dataset(dataset: h5py.h5d.DatasetID, where: str) -> None:
    created = dataset.get_create_plist()
    layout = created.get_layout()
    if layout == h5py.h5d.VIRTUAL or created.get_external_count():
        raise RunFileError(f"{where}: its data lie in other files (virtual or external storage); a run has none such")
    if layout == h5py.h5d.COMPACT:
        raise RunFileError(f"{where}: its data lie in its header, where a run has none")
    kind = dataset.get_type()
    text = kind.get_class() == h5py.h5t.STRING
    if kind.get_class() not in _PLAIN or (text and kind.is_variable_str()) or kind.get_size() > MAX_NAME:
        raise RunFileError(f"{where}: holds data of a type that no run has")
    size, shape = kind.get_size(), dataset.shape
    if prod(shape[1:]) * size > MAX_ROW:
        raise RunFileError(f"{where}: one row has {prod(shape[1:]) * size} bytes, more than {MAX_ROW}")
    if layout == h5py.h5d.CHUNKED:
        if prod(created.get_chunk()) * size > MAX_CHUNK:
            raise RunFileError(f"{where}: its chunks have {prod(created.get_chunk()) * size} bytes, over {MAX_CHUNK}")
        filters = [created.get_filter(k)[0] for k in range(created.get_nfilters())]
        for code in filters:
            if not h5py.h5z.filter_avail(code):
                raise RunFileError(f"{where}: is packed with filter {code}, which this HDF5 does not have")
        if filters != [code for code in FILTERS if code in filters]:  # gzip twice unpacks a million times
            raise RunFileError(f"{where}: is packed with the filters {filters}; a run has {list(FILTERS)}, each once")
