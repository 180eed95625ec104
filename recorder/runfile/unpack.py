"""Can these rows be in this file at all? Asked before they are read: a claim of terabytes must cost nothing.

Gzip packs a gigabyte of zeros into a megabyte, and HDF5 unpacks a chunk to whatever it holds, however large the chunk
was said to be. So what might grow much is unpacked here first, and no further than it may.
"""

from __future__ import annotations

import itertools
import os
import zlib
from math import prod

import h5py

from recorder.errors import RunFileError
from recorder.runfile.guard import MAX_CHUNK

DEFLATE = 1032  # gzip packs no byte smaller than this many times
GAIN = 32  # what is read at once may be so many times the file where it was packed
SMALL = 16 << 20  # bytes that may always be read at once
HARMLESS = SMALL // DEFLATE  # bytes that cannot unpack to more than that


def check_rows(dataset: h5py.Dataset, start: int, stop: int, item: int | None, where: str) -> None:
    """Raise RunFileError where rows start..stop (of one item, or of all) are not there or are a bomb."""
    if stop > len(dataset):
        raise RunFileError(f"{where}: has {len(dataset)} rows, {stop} were promised")
    chunk = dataset.chunks
    shape = dataset.shape[1:] if item is None else dataset.shape[2:]
    size = (stop - start) * prod(shape) * dataset.dtype.itemsize
    packed = dataset.compression is not None
    file = os.fstat(dataset.file.id.get_vfd_handle()).st_size
    if size > (max(SMALL, GAIN * file) if packed else file):
        raise RunFileError(f"{where}: promises {size} bytes in a file of {file}: it is damaged, or made to do harm")
    if packed and chunk is not None:
        items = range(dataset.shape[1]) if item is None and dataset.ndim > 1 else range(item or 0, (item or 0) + 1)
        spans = [range(start, stop), *([items] if dataset.ndim > 1 else ()), *map(range, dataset.shape[2:])]
        firsts = [range(s.start // c * c, s.stop, c) for s, c in zip(spans, chunk, strict=True)]
        for corner in itertools.product(*firsts):
            _check_chunk(dataset, corner, where)


def _check_chunk(dataset: h5py.Dataset, corner: tuple[int, ...], where: str) -> None:
    """That a chunk unpacks to its own size and no further."""
    most = prod(dataset.chunks) * dataset.dtype.itemsize
    try:
        _, stored = dataset.id.read_direct_chunk(corner, out=bytearray(HARMLESS))
        return
    except ValueError:  # larger than that
        unapplied, stored = dataset.id.read_direct_chunk(corner, out=bytearray(MAX_CHUNK + HARMLESS))
    if unapplied:  # gzip had made it larger, so it lies there as it is
        return
    try:
        unpacked = len(zlib.decompressobj().decompress(stored, most + 1))
    except zlib.error as error:
        raise RunFileError(f"{where}: is damaged: {error}") from error
    if unpacked > most:
        raise RunFileError(f"{where}: a chunk of {most} bytes unpacks to more: it is damaged, or made to do harm")
