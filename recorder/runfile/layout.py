"""Where things lie: the run's files by name, and how rows become blocks and chunks.

    NAME.h5                              volume 0, the main file (and packed parts in its group /parts/NNNN)
    NAME.d/part-NNNN.h5                  volume NNNN, of the same form
    NAME.d/volume-NNNN.json              its declaration and status while it is written
    NAME.d/log-NNNN-<axis>-<first row>   the rows of one block that are not yet in HDF5
    NAME.d/lock, NAME.d/checkpoints/     the living process, and what it saved

A *block* is what moves from the log into HDF5 at once; every dataset's chunk rows divide it, so that HDF5 only ever
sees whole chunks (partly written compressed chunks are what a killed process loses).
"""

from __future__ import annotations

import re
from math import prod
from pathlib import Path
from urllib.parse import quote

import numpy as np

from recorder.runfile.schema import Kind, Series

BLOCK_BYTES = 4 << 20
BLOCK_ROWS = 1024
CHUNK_BYTES = 64 << 10
CHUNK_LIMIT = 1 << 20  # one row of one item may be larger than CHUNK_BYTES; beyond this it is split
PART_BYTES = 15 << 10  # of a sign map, of whose rows small parts are read
ITEM_CHUNK = 16
BUCKET = 256  # rows that one entry of a level summarises

CLOCK = ("step", "epoch", "time")
_NAME = re.compile(r"[A-Za-z0-9_.]+")
_RESERVED = {"axes", "layerscope", "parts", "events", *CLOCK}
_LOG = re.compile(r"log-(\d{4,})-([A-Za-z0-9_.]+)-(\d+)")
_PART = re.compile(r"(?:part|volume)-(\d{4,})\.(?:h5|json)")


def run_paths(path: Path | str) -> tuple[Path, Path]:
    """(NAME.h5, NAME.d) for NAME.h5, NAME.d or the bare NAME."""
    path = Path(path)
    stem = path.name[: -len(path.suffix)] if path.suffix in (".h5", ".d") else path.name
    return path.with_name(stem + ".h5"), path.with_name(stem + ".d")


def volume_path(path: Path, number: int) -> Path:
    """The HDF5 file of a volume of the run NAME.h5."""
    main, folder = run_paths(path)
    return folder / f"part-{number:04}.h5" if number else main


def sidecar_path(folder: Path, number: int) -> Path:
    return folder / f"volume-{number:04}.json"


def log_path(folder: Path, number: int, axis: str, first: int) -> Path:
    return folder / f"log-{number:04}-{axis}-{first:012}"


def log_of(name: str) -> tuple[int, str, int] | None:
    """(volume, axis, first row) of a log by its file's name."""
    match = _LOG.fullmatch(name)
    return (int(match[1]), match[2], int(match[3])) if match else None


def part_of(name: str) -> int | None:
    """The volume's number of `part-NNNN.h5` or `volume-NNNN.json`."""
    match = _PART.fullmatch(name)
    return int(match[1]) if match else None


def is_axis(name: str) -> bool:
    """Whether an axis may have this name: it becomes a group and a part of a file's name."""
    return bool(_NAME.fullmatch(name)) and name != "events" and name.strip(".") != ""


def is_series(name: str) -> bool:
    """Whether a series may have this name: it becomes a group and a field of the row. Behind @ is the probe's name."""
    base, _, probe = name.partition("@")
    return is_axis(base) and base not in _RESERVED and (is_axis(probe) or "@" not in name)


def item_key(item: str) -> str:
    """The dataset's name of a ragged item: percent-encoded, and never one of the names that a series itself uses."""
    key = quote(item, safe=" !#$&'()*+,:;=?@[]<>{}|^`~", errors="replace")
    if key in {*CLOCK, "item", "values", "level", "edges", "columns", ".", ".."} or not key:
        key = f"%{ord(key[0]):02X}{key[1:]}" if key else "%00"
    return key


def power_of_two(number: int) -> int:
    """The largest power of two that is not above `number` (at least 1)."""
    return 1 << (max(1, number).bit_length() - 1)


def block_rows(row_bytes: int, block_bytes: int = BLOCK_BYTES) -> int:
    """Rows in a block: a power of two, at most BLOCK_ROWS, about `block_bytes`."""
    return min(BLOCK_ROWS, power_of_two(block_bytes // max(1, row_bytes)))


def chunk_limit(series: Series) -> int:
    """The most bytes of one row of one item in a chunk."""
    return PART_BYTES if series.kind is Kind.SIGN_MAP else CHUNK_LIMIT


def chunk_shape(
    shape: tuple[int, ...], itemsize: int, *, block: int, items: bool, limit: int = CHUNK_LIMIT
) -> tuple[int, ...]:
    """The chunk (row, *shape) for rows of `shape`, whose first dimension is the item's if `items`.

    One item is what a view reads, so items are cut first, then the row itself where it is larger than `limit`.
    """
    chunk = [max(1, n) for n in shape]
    if items and chunk:
        chunk[0] = min(ITEM_CHUNK, chunk[0])
        while prod(chunk) * itemsize > CHUNK_BYTES and chunk[0] > 1:
            chunk[0] = (chunk[0] + 1) // 2
    while prod(chunk) * itemsize > limit:
        widest = int(np.argmax(chunk))
        chunk[widest] = (chunk[widest] + 1) // 2
    rows = min(block, power_of_two(CHUNK_BYTES // max(1, prod(chunk) * itemsize)))
    return (rows, *chunk)


def is_packed(series: Series) -> bool:
    """Whether its values are packed with gzip: what holds many zeros or blanks, and is read by whole rows."""
    return series.kind is Kind.DISTRIBUTION or np.dtype(series.dtype).kind == "S"


def level_chunk(items: int) -> tuple[int, int, int]:
    """The chunk (bucket, 4, item) of a level; rows beyond the last whole chunk are read from `values` instead."""
    return (min(64, power_of_two(16384 // max(1, items))), 4, max(1, min(ITEM_CHUNK, items)))


def has_level(series: Series) -> bool:
    """Whether a row is one real number an item, so that min, mean and max of 256 rows mean something."""
    return not series.ragged and series.shape == () and np.dtype(series.dtype).kind in "fiu"


def level_dtype(series: Series) -> np.dtype:
    """float32 where it holds the values exactly, float64 otherwise."""
    return np.result_type(np.dtype(series.dtype), np.float32)
