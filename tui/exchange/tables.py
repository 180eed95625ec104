"""What does a quantity look like as a table? One row a number: step, epoch, time, its item, its indices, its value.

So items may come late, have shapes of their own and any name, and no cell stands for what was not recorded.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from recorder.errors import ExportError
from recorder.runfile.schema import Event
from tui.exchange.quantities import Quantity

NUMBERS = 100_000  # of one block
CLOCK = ("step", "epoch", "time")
EVENT = (*CLOCK, "kind", "text")


def names(quantity: Quantity) -> tuple[str, ...]:
    """The columns, in order."""
    longest = max((quantity.dims(item) for item in quantity.items), key=len, default=())
    return (*CLOCK, *(() if quantity.alone else (quantity.series.item_dim,)), *longest, "value")


def blocks(quantity: Quantity) -> Iterator[tuple[str, list[np.ndarray | None], np.ndarray]]:
    """(item, [step, epoch, time, indices...], values) of about NUMBERS rows; None: the item has no such dimension."""
    longest = len(names(quantity)) - len(CLOCK) - 1 - (not quantity.alone)
    for item, clock, values in quantity.rows():
        shape = values.shape[1:]
        numbers = int(np.prod(shape))
        indices = [np.broadcast_to(index, shape).ravel() for index in _indices(shape)]
        block = max(1, NUMBERS // max(1, numbers))
        for lo in range(0, len(clock), block):
            part = values[lo : lo + block]
            when = [np.repeat(getattr(clock, name)[lo : lo + block], numbers) for name in CLOCK]
            where: list[np.ndarray | None] = [np.tile(index, len(part)) for index in indices]
            yield item, [*when, *where, *[None] * (longest - len(where))], part.ravel()


def _indices(shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    return np.indices(shape, np.int32, sparse=True)


def write_csv(file: BinaryIO, quantity: Quantity) -> None:
    """Floats as the shortest text that reads back as the same double; nan, inf and -inf."""
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names(quantity))
    for item, places, values in blocks(quantity):
        columns: list[Sequence[Any]] = [[""] * len(values) if p is None else p.tolist() for p in places]
        if not quantity.alone:
            columns.insert(len(CLOCK), [item] * len(values))
        writer.writerows(zip(*columns, values.tolist(), strict=True))
    text.detach()


def write_events_csv(file: BinaryIO, events: Sequence[Event]) -> None:
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(EVENT)
    writer.writerows([getattr(event, name) for name in EVENT] for event in events)
    text.detach()


def write_parquet(file: BinaryIO, quantity: Quantity) -> None:
    """Values in their own type; unit and sentence are metadata of the column `value`."""
    pyarrow, parquet = arrow()
    about = {"unit": quantity.series.unit, "doc": quantity.doc or quantity.series.doc}
    item_type = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    types = dict(zip(CLOCK, (pyarrow.int64(), pyarrow.int64(), pyarrow.float64()), strict=True))
    last = names(quantity)[-1]
    fields = [
        pyarrow.field(name, types.get(name, item_type if k == len(CLOCK) and not quantity.alone else pyarrow.int32()))
        for k, name in enumerate(names(quantity)[:-1])
    ]
    value_type = pyarrow.string() if quantity.texts else pyarrow.from_numpy_dtype(np.dtype(quantity.series.dtype))
    fields.append(pyarrow.field(last, value_type, metadata=about))
    schema = pyarrow.schema(fields)
    with parquet.ParquetWriter(file, schema) as writer:
        for item, places, values in blocks(quantity):
            columns = [
                pyarrow.nulls(len(values), field.type) if place is None else pyarrow.array(place, field.type)
                for place, field in zip(places, [f for f in schema if f.type != item_type][:-1], strict=True)
            ]
            if not quantity.alone:
                code = pyarrow.array(np.zeros(len(values), np.int32))
                columns.insert(len(CLOCK), pyarrow.DictionaryArray.from_arrays(code, pyarrow.array([item])))
            columns.append(pyarrow.array(values, schema[-1].type))
            writer.write_table(pyarrow.Table.from_arrays(columns, schema=schema))


def write_events_parquet(file: BinaryIO, events: Sequence[Event]) -> None:
    pyarrow, parquet = arrow()
    types = (pyarrow.int64(), pyarrow.int64(), pyarrow.float64(), pyarrow.string(), pyarrow.string())
    columns = [
        pyarrow.array([getattr(event, name) for event in events], kind) for name, kind in zip(EVENT, types, strict=True)
    ]
    parquet.write_table(pyarrow.Table.from_arrays(columns, EVENT), file)


def arrow() -> tuple[Any, Any]:
    """The library and its module for Parquet; ExportError says which extra has them."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as missing:
        raise ExportError("--to parquet needs pyarrow: pip install 'layerscope[parquet]'") from missing
    return pyarrow, parquet
