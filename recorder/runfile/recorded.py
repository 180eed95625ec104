"""What is one recorded quantity, for a notebook? Its numbers with their steps, dimensions, unit and sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from recorder.errors import LayerscopeError, NotRecordedError
from recorder.runfile.schema import Clock, Kind, Series


class Source(Protocol):
    """What gives every row of its series: a run, or what is derived from one."""

    @property
    def series(self) -> Mapping[str, Series]: ...
    def clock(self, series: str, item: str | None = None) -> Clock: ...
    def values(self, series: str, item: str | None = None) -> np.ndarray: ...


class Recorded:
    """A series of a run, or one item of it; read when asked for."""

    def __init__(self, run: Source, series: str, item: str | None = None, *, doc: str = "") -> None:
        self._run = run
        self._series = run.series[series]
        self._item = item
        self._doc = doc  # of the item, where it has a sentence of its own

    @property
    def name(self) -> str:
        """The series' name; a scalar has its own."""
        if self._item is None:
            return self._series.name
        return self._item if self.kind is Kind.SCALAR else f"{self._series.name}[{self._item}]"

    @property
    def kind(self) -> Kind:
        return self._series.kind

    @property
    def unit(self) -> str:
        return self._series.unit

    @property
    def doc(self) -> str:
        return self._doc or self._series.doc

    @property
    def items(self) -> tuple[str, ...]:
        return self._series.items if self._item is None else (self._item,)

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of the dimensions of `values`."""
        s = self._series
        shape = s.shape if self._item is None else s.shape_of(self._item)
        inner = s.dims if len(s.dims) == len(shape) else tuple(f"dim_{k}" for k in range(len(shape)))
        return ("step", *((s.item_dim,) if self._item is None else ()), *inner)

    @property
    def clock(self) -> Clock:
        return self._run.clock(self._series.name, self._item)

    @property
    def step(self) -> np.ndarray:
        return self.clock.step

    @property
    def epoch(self) -> np.ndarray:
        return self.clock.epoch

    @property
    def time(self) -> np.ndarray:
        return self.clock.time

    @property
    def values(self) -> np.ndarray:
        """Every row, exact; dimensions as in `dims`."""
        return self._run.values(self._series.name, self._item)

    def item(self, name: str) -> Recorded:
        """One tensor, layer, ... of it."""
        self._run.clock(self._series.name, name)  # raises NotRecordedError with what is near
        return Recorded(self._run, self._series.name, name)

    __getitem__ = item

    def __len__(self) -> int:
        return len(self.clock)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.values, dtype)

    def to_xarray(self) -> Any:
        """An xarray.DataArray with steps, epochs and times as coordinates, unit and sentence as attributes."""
        xarray = _imported("xarray")
        clock = self.clock
        when = (np.round(clock.time * 1e6)).astype("datetime64[us]").astype("datetime64[ns]")
        coordinates = {"step": clock.step, "epoch": ("step", clock.epoch), "time": ("step", when)}
        if self._item is None:
            coordinates[self._series.item_dim] = list(self.items)
        return xarray.DataArray(
            self.values, coordinates, self.dims, name=self.name, attrs={"units": self.unit, "long_name": self.doc}
        )

    def to_pandas(self) -> Any:
        """A Series (one number a row) or DataFrame (a column an item), indexed by step; other shapes stay in xarray."""
        pandas = _imported("pandas")
        values = self.values
        index = pandas.Index(self.step, name="step")
        if values.ndim == 1:
            return pandas.Series(values, index, name=self.name)
        if values.ndim == 2:
            columns = list(self.items) if self._item is None else None
            return pandas.DataFrame(values, index, columns)
        raise NotRecordedError(
            f"{self.name!r} has the dimensions {self.dims}: a table has two; take .item(NAME), or use .to_xarray()"
        )

    def __repr__(self) -> str:
        unit = f" [{self.unit}]" if self.unit else ""
        shape = ", ".join(self.dims)
        return f"<{self.name}{unit} ({shape}), {len(self)} rows, {len(self.items)} items: {self.doc}>"


def _imported(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise LayerscopeError(f"{name} is not installed; it comes with: pip install 'layerscope[xarray]'") from error
