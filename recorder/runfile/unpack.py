"""Can these rows be in this file at all? Asked before they are read: a claim of terabytes must cost nothing.

HDF5 believes what a file says of its chunks. It unpacks one to whatever it holds, a megabyte to a gigabyte; and where
one holds less than its rows need, it takes the memory of this process behind it for rows. So the sizes of chunks are
checked, and what gzip packed is unpacked here, to its own size and no further.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import zlib
from math import prod
from typing import Any

import h5py
import numpy as np

from recorder.errors import RunFileError
from recorder.runfile.on_disk import allocated

GAIN = 32  # what is read at once may be so many times the file, where it was packed or the file system packs
SMALL = 16 << 20  # and so many bytes more
MANY = 100_000  # chunks that may always be read at once: half a second
SCATTERED = 4096  # bytes of the file for each chunk beyond those
CHECKSUM = 4  # bytes of Fletcher-32 behind a chunk
HARM = "it is damaged, or made to do harm"


def read_chunks(dataset: h5py.Dataset, start: int, stop: int, pick: tuple[Any, ...], where: str) -> np.ndarray:
    """What is picked of rows start..stop; RunFileError where it is not there or is a bomb.

    `pick` has an index, a slice or an array of places for each dimension behind the row that is not read whole.
    """
    if stop > len(dataset):
        raise RunFileError(f"{where}: has {len(dataset)} rows, {stop} were promised")
    spans = [range(start, stop), *map(range, dataset.shape[1:])]
    for axis, picked in enumerate(pick, 1):
        if isinstance(picked, int | slice):
            spans[axis] = spans[axis][slice(picked, picked + 1) if isinstance(picked, int) else picked]
    size = prod(map(len, spans)) * dataset.dtype.itemsize
    status = os.fstat(dataset.file.id.get_vfd_handle())
    packed, file = dataset.compression is not None, allocated(status)
    if size > SMALL + GAIN * file or (size > status.st_size and not packed):
        raise RunFileError(f"{where}: promises {size} bytes in a file of {file}: {HARM}")
    chunk = dataset.chunks
    corners = [range(s.start // c * c, s.stop, c) for s, c in zip(spans, chunk, strict=True)]
    if prod(map(len, corners)) > max(MANY, file // SCATTERED):
        raise RunFileError(f"{where}: {size} bytes lie in {prod(map(len, corners))} chunks: {HARM}")
    if not packed:
        return np.asarray(dataset[(slice(start, stop), *pick)])
    rows = np.empty([len(span) for span in spans], dataset.dtype)
    filters = _filters(dataset)
    for corner in itertools.product(*corners):
        cut = [(max(s.start, at), min(s.stop, at + c)) for s, at, c in zip(spans, corner, chunk, strict=True)]
        unpacked = _unpacked(dataset, corner, filters, where)
        if unpacked is None:
            part = dataset[tuple(slice(a, b) for a, b in cut)]
        else:
            part = unpacked[tuple(slice(a - at, b - at) for (a, b), at in zip(cut, corner, strict=True))]
        rows[tuple(slice(a - s.start, b - s.start) for (a, b), s in zip(cut, spans, strict=True))] = part
    taken: list[Any] = [0 if isinstance(p, int) else slice(None) if isinstance(p, slice) else p for p in pick]
    return rows[(slice(None), *taken)]


def check_chunks(dataset: h5py.Dataset, where: str) -> None:
    """Raise RunFileError unless each chunk lies in the file and has the size that its rows need.

    The whole index is walked, and a number read from a chunk that is there and from one that is not: whatever may
    happen to HDF5 over this dataset happens here.
    """
    count = end = 0
    first: tuple[int, ...] | None = None
    sizes: set[tuple[int, int]] = set()  # few: only what gzip packed differs

    def look(chunk: h5py.h5d.StoreInfo) -> None:
        nonlocal count, end, first
        count, end, first = count + 1, max(end, chunk.byte_offset + chunk.size), first or chunk.chunk_offset
        sizes.add((chunk.size, chunk.filter_mask))

    dataset.id.chunk_iter(look)
    filters = _filters(dataset)
    for size, mask in sizes:
        _check_size(filters, _chunk_bytes(dataset), size, mask, where)
    file = os.fstat(dataset.file.id.get_vfd_handle()).st_size
    if end > file:
        raise RunFileError(f"{where}: its chunks reach to byte {end} of a file of {file}: {HARM}")
    corners = (_corner(dataset, number) for number in range(count + 1 if count < _places(dataset) else 0))
    absent = (corner for corner in corners if dataset.id.get_chunk_info_by_coord(corner).byte_offset is None)
    missing = next(absent, None)
    for corner in (first, missing):
        if corner is not None and corner[0] < len(dataset):
            with contextlib.suppress(Exception):  # numbers that are damaged are noticed when they are read
                read_chunks(dataset, corner[0], corner[0] + 1, corner[1:], where)


def _unpacked(dataset: h5py.Dataset, corner: tuple[int, ...], filters: list[int], where: str) -> np.ndarray | None:
    """A chunk that gzip packed, with a checksum of its own; None where there is none, or it lies there as it is."""
    size = _chunk_bytes(dataset)
    chunk = dataset.id.get_chunk_info_by_coord(corner)
    if chunk.byte_offset is None or not _check_size(filters, size, chunk.size, chunk.filter_mask, where):
        return None
    mask, stored = dataset.id.read_direct_chunk(corner)
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(stored, size + 1)
    except zlib.error as error:
        raise RunFileError(f"{where}: is damaged: {error}") from error
    if len(unpacked) != size or not unpacker.eof:
        least = "more" if len(unpacked) > size else f"{len(unpacked)}"
        raise RunFileError(f"{where}: a chunk of {size} bytes unpacks to {least}: {HARM}")
    if h5py.h5z.FILTER_SHUFFLE in filters and not mask >> filters.index(h5py.h5z.FILTER_SHUFFLE) & 1:
        unpacked = np.frombuffer(unpacked, np.uint8).reshape(dataset.dtype.itemsize, -1).T.tobytes()
    return np.frombuffer(unpacked, dataset.dtype).reshape(dataset.chunks)


def _check_size(filters: list[int], whole: int, size: int, mask: int, where: str) -> bool:
    """Whether gzip packed a chunk of `whole` bytes that takes `size`; RunFileError where it cannot."""
    applied = [code for k, code in enumerate(filters) if not mask >> k & 1]
    plain = whole + CHECKSUM * (h5py.h5z.FILTER_FLETCHER32 in applied)
    packed = h5py.h5z.FILTER_DEFLATE in applied
    if size > plain + packed * (whole // 1000 + 64) or (size < plain and not packed):
        raise RunFileError(f"{where}: a chunk of {whole} bytes takes {size} in the file: {HARM}")
    return packed


def _filters(dataset: h5py.Dataset) -> list[int]:
    created = dataset.id.get_create_plist()
    return [created.get_filter(k)[0] for k in range(created.get_nfilters())]


def _places(dataset: h5py.Dataset) -> int:
    """How many chunks there can be."""
    return prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))


def _corner(dataset: h5py.Dataset, number: int) -> tuple[int, ...]:
    """Where the chunk of that number begins, in the order of rows."""
    corner = []
    for n, c in zip(reversed(dataset.shape), reversed(dataset.chunks), strict=True):
        number, place = divmod(number, -(-n // c))
        corner.append(place * c)
    return tuple(reversed(corner))


def _chunk_bytes(dataset: h5py.Dataset) -> int:
    return prod(dataset.chunks) * int(dataset.dtype.itemsize)
