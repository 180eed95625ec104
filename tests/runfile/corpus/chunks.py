"""What can be wrong in a chunk: it holds more or less than its rows need, or lies there otherwise than it says.

HDF5 takes the memory behind a chunk that is too short for rows: what a view then shows lies outside the run.
"""

from __future__ import annotations

import ctypes
import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np

from tests.runfile.corpus.bad import VIEW, Bad, inside, redeclare

HISTOGRAM, NORM = "weight_histogram/values", "gradient_norm/values"
PACKED, PLAIN = 1344, 768  # bytes of a chunk of each, as rows
AS_IT_IS = 0b111  # no filter was applied
EDGES_AS_THEY_ARE = 2  # H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS


def first(name: str, payload: bytes, mask: int = 0) -> Callable[[Path], None]:
    """The first chunk of a dataset holds these bytes."""
    return inside(lambda file: file[name].id.write_direct_chunk((0,) * file[name].ndim, payload, mask))


def packed_edge(file: h5py.File) -> None:
    """HDF5 is told that chunks at the edge are never packed, and this one is: it takes the packed bytes for rows."""
    old = file[HISTOGRAM].id
    created = old.get_create_plist()
    option = ctypes.CDLL(h5py.h5p.__file__).H5Pset_chunk_opts
    option.argtypes = [ctypes.c_int64, ctypes.c_uint]
    assert option(created.id, EDGES_AS_THEY_ARE) >= 0
    space = h5py.h5s.create_simple(old.shape, (h5py.h5s.UNLIMITED, *old.shape[1:]))
    del file[HISTOGRAM]
    new = h5py.h5d.create(file.id, HISTOGRAM.encode(), h5py.h5t.STD_U32LE, space, created)
    new.write_direct_chunk((0, 0, 0), zlib.compress(bytes(PACKED)))


def scattered(file: h5py.File) -> None:
    """A chunk for each byte."""
    entries = json.loads(file["layerscope/series"][:].tobytes())
    next(e for e in entries if e["name"] == "weight_histogram").update(shape=[1 << 18], edges=[], dtype="uint8")
    redeclare(file, entries)
    del file[HISTOGRAM]
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1, 1, 1))
    space = h5py.h5s.create_simple((4, 3, 1 << 18), (h5py.h5s.UNLIMITED, 3, 1 << 18))
    h5py.h5d.create(file.id, HISTOGRAM.encode(), h5py.h5t.STD_U8LE, space, plist)


def gigabyte() -> bytes:
    """Of zeros, packed into a megabyte."""
    packer = zlib.compressobj(9)
    head = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # what follows depends on nothing before
    again = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + again * 1023 + packer.flush()


NOISE = np.random.default_rng(0).bytes(PACKED)

CHUNKS: Mapping[str, Bad] = {
    "a gigabyte in a chunk": Bad(first(HISTOGRAM, gigabyte()), "a chunk of 1344 bytes takes 106[0-9]{4} in the file"),
    "a chunk that grows": Bad(first(HISTOGRAM, zlib.compress(bytes(1 << 20), 9)), "unpacks to more"),
    "a chunk that shrinks": Bad(first(HISTOGRAM, zlib.compress(bytes(8))), "unpacks to 8"),
    "a chunk that breaks off": Bad(first(HISTOGRAM, zlib.compress(NOISE)[:700]), "unpacks to [0-9]+: "),
    "a chunk that is not packed": Bad(first(HISTOGRAM, NOISE, AS_IT_IS), VIEW),
    "a chunk that is not packed and short": Bad(first(HISTOGRAM, NOISE[:90], AS_IT_IS), "takes 90 in the file"),
    "a short chunk": Bad(first(NORM, bytes(90)), "a chunk of 768 bytes takes 90 in the file"),
    "a chunk shorter than its checksum": Bad(first(NORM, b"abc"), "takes 3 in the file"),
    "a packed edge": Bad(inside(packed_edge), VIEW),
    "a chunk for each byte": Bad(inside(scattered), "bytes lie in [0-9]+ chunks|promises"),
}
