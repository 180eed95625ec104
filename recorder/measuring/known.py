"""Of which steps does the run have an instrument's numbers already, and are they of the same kind?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recorder.errors import RecordError
from recorder.runfile.reader import Run
from recorder.runfile.schema import Series
from recorder.runfile.stored import StoredVolume


def steps_of(run: Run | None, series: Sequence[Series]) -> frozenset[int]:
    """The steps at which all of these series have a row of all their items, live or measured."""
    if run is None or not series:
        return frozenset()
    return frozenset.intersection(*(_steps(run, s) for s in series))


def check(run: Run | None, series: Sequence[Series], *, key: str = "") -> None:
    """RecordError where the run has a series of this name that is of another kind or shape, or of other weights."""
    if run is None:
        return
    for s in series:
        if (known := run.series.get(s.name)) is None:
            continue
        for what in ("kind", "unit", "dtype", "shape", "edges", "columns"):
            if (found := getattr(known, what)) != (now := getattr(s, what)):
                raise _other(s.name, what, found, now)
        for item in set(known.items) & set(s.items):
            if known.shape_of(item) != s.shape_of(item):
                raise _other(s.name, f"shape of {item!r}", known.shape_of(item), s.shape_of(item))
        for volume in run.volumes:
            if s.name in volume.series and (before := _key(volume)) != key:
                one, other = (f"those at {k!r}" if k else "the weights as they were trained" for k in (before, key))
                raise RecordError(
                    f"series {s.name!r}: is of {one} in the run, and would be of {other} now; measure these into a run "
                    "of their own: layerscope measure NEW.h5 ... --checkpoints ..."
                )


def _key(volume: StoredVolume) -> str:
    """Where the weights were that were measured."""
    measured = volume.declaration.meta.get("measured")
    return str(measured.get("key", "")) if isinstance(measured, Mapping) else ""


def _steps(run: Run, s: Series) -> frozenset[int]:
    found: set[int] = set()
    for volume in run.volumes:
        known = volume.series.get(s.name)
        if known is not None and volume.places(s.name).keys() >= set(s.items):
            found.update(volume.clock_column(known.axis, "step")[: volume.visible(known.axis)].tolist())
    return frozenset(found)


def _other(name: str, what: str, found: object, now: object) -> RecordError:
    return RecordError(
        f"series {name!r}: its {what} is {found} in the run, and would be {now} now, so they cannot be one series; "
        "measure with the run's own probe and layers, or give the data a name of its own: --probe NAME"
    )
