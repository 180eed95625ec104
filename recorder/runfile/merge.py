"""How do the volumes of a run become one? Series are united item by item; newer rows hide older ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from recorder.runfile.guard import clean
from recorder.runfile.schema import Series
from recorder.runfile.stored import NO_STEP, StoredVolume
from recorder.runfile.window import SLAB_BYTES, Group, Segment


def merged_series(volumes: Sequence[StoredVolume]) -> dict[str, Series]:
    """Every series by name, its items united; where a newer volume declares another shape, that one counts."""
    merged: dict[str, Series] = {}
    for volume in volumes:
        for s in volume.series.values():
            known = merged.get(s.name)
            merged[s.name] = _united(known, s) if known and _alike(known, s) else s
    return {name: _clean_series(s) for name, s in merged.items()}


def groups_of(volumes: Sequence[StoredVolume], declared: Series, item: str | None) -> list[Group]:
    """Where the rows of a series, or of one item, are: items that share volumes, and their rows there in order."""
    wanted = declared.items if item is None else (item,)
    homes = [
        (volume, s, _places(volume, s, declared))
        for volume in volumes
        if (s := volume.series.get(declared.name)) is not None and _alike(s, declared) and volume.visible(s.axis)
    ]
    together: dict[tuple[int, ...], list[int]] = {}
    for place, name in enumerate(wanted):
        together.setdefault(tuple(k for k, (_, _, columns) in enumerate(homes) if name in columns), []).append(place)
    groups = []
    for members, places in together.items():
        trained: list[Segment] = []
        measured: list[Segment] = []
        hide = NO_STEP
        for k in reversed(members):
            volume, s, columns = homes[k]
            stop = volume.visible(s.axis)
            steps = volume.clock_column(s.axis, "step")[:stop]
            picked = np.array([columns[wanted[p]] for p in places])
            everything = len(picked) == len(s.items) and bool((picked == np.arange(len(picked))).all())
            own = int(picked[0]) if item is not None else None if everything else picked
            if volume.declaration.status.measured:
                measured.insert(0, Segment(volume, s, own, stop))
                continue
            stop = int(np.searchsorted(steps, hide, side="left"))
            hide = min(hide, int(steps[0]))
            if stop:
                trained.insert(0, Segment(volume, s, own, stop))
        segments = reduce(woven, measured, trained)
        if segments or len(together) == 1:
            groups.append(Group(np.array(places, dtype=np.int64), tuple(segments)))
    return groups


def woven(older: Sequence[Segment], newer: Segment) -> list[Segment]:
    """Rows of some segments and of one that was measured later, in the order of steps; at a step of both the later."""
    found: list[Segment] = []
    row, steps = newer.start, newer.steps
    for segment in older:
        start = segment.start
        firsts, lasts = segment.after(steps, "left"), segment.after(steps, "right")
        while row < newer.stop and (first := int(firsts[row - newer.start])) < segment.stop:
            found += [replace(segment, start=start, stop=first)] if first > start else []
            start = int(lasts[row - newer.start])
            found.append(replace(newer, start=row, stop=row + 1))
            row += 1
        found += [replace(segment, start=start)] if start < segment.stop else []
    return _joined([*found, *([replace(newer, start=row)] if row < newer.stop else [])])


def _joined(segments: Sequence[Segment]) -> list[Segment]:
    """Neighbouring rows of one volume as one segment."""
    found: list[Segment] = []
    for segment in segments:
        last = found[-1] if found else None
        if last is not None and last.volume is segment.volume and last.stop == segment.start:
            found[-1] = replace(last, stop=segment.stop)
        else:
            found.append(segment)
    return found


def last_row(group: Group, step: int | None) -> tuple[int, np.ndarray] | None:
    """(recorded step, values) of a group's last row at or before `step`."""
    for segment in reversed(group.segments):
        _, k = segment.bounds(None, step)
        if k > segment.start:
            return int(segment.all_steps[k - 1]), segment.read(k - 1, k)[0]
    return None


def read_rows(segment: Segment, rows: np.ndarray, part: tuple[int, int] | None, *, row: int) -> np.ndarray:
    """Some rows of an item, or a part of each, in order: at once where they are dense, else one by one.

    A row has `row` bytes, and no more than SLAB_BYTES are read at once.
    """
    most = max(1, SLAB_BYTES // max(1, row))
    stretches = np.split(rows, np.flatnonzero(np.diff(rows // most)) + 1)
    found = [segment.read(0, 0, part)]
    for stretch in filter(len, stretches):
        if stretch[-1] - stretch[0] < 4 * len(stretch):
            found.append(segment.read(int(stretch[0]), int(stretch[-1]) + 1, part)[stretch - stretch[0]])
        else:
            found += [segment.read(int(k), int(k) + 1, part) for k in stretch]
    return np.concatenate(found)


def epoch_knots(volumes: Sequence[StoredVolume], last_step: int) -> tuple[np.ndarray, np.ndarray]:
    """(steps, epochs): the first step known of each epoch, and one knot behind the last step."""
    first: dict[int, int] = {}
    for volume in volumes:
        for axis in volume.axes:
            if rows := volume.visible(axis):
                epoch, step = (volume.clock_column(axis, name)[:rows] for name in ("epoch", "step"))
                change = np.append(0, np.flatnonzero(np.diff(epoch)) + 1)
                for e, s in zip(epoch[change].tolist(), step[change].tolist(), strict=True):
                    first[e] = min(s, first.get(e, s))
    if not first:
        return np.zeros(1), np.zeros(1)
    epochs = np.array(sorted(first))
    steps = np.maximum.accumulate(np.array([first[e] for e in epochs]))
    length = (steps[-1] - steps[-2]) / (epochs[-1] - epochs[-2]) if len(steps) > 1 else 0
    end = max(steps[-1] + length, last_step + 1)
    return np.append(steps, end).astype(float), np.append(epochs, epochs[-1] + 1).astype(float)


def cleaned(value: Any) -> Any:
    """Settings without control characters, at any depth."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(k)): cleaned(v) for k, v in value.items()}
    if isinstance(value, list):
        return [cleaned(v) for v in value]
    return value


def _alike(one: Series, other: Series) -> bool:
    return (one.kind, one.shape, one.dtype) == (other.kind, other.shape, other.dtype)


def _united(known: Series, more: Series) -> Series:
    items = tuple(dict.fromkeys((*known.items, *more.items)))
    shapes = dict(zip(known.items, known.ragged, strict=True)) if known.ragged else {}
    shapes |= dict(zip(more.items, more.ragged, strict=True)) if more.ragged else {}
    ragged = tuple(shapes[item] for item in items) if len(shapes) == len(items) else ()
    return replace(known, items=items, ragged=ragged)


def _places(volume: StoredVolume, s: Series, declared: Series) -> Mapping[str, int]:
    """Where the items are in a volume, of a ragged series those that have the shape that counts."""
    places = volume.places(s.name)
    if not (s.ragged and declared.ragged):
        return places
    shapes = dict(zip(declared.items, declared.ragged, strict=True))
    return {item: k for item, k in places.items() if shapes.get(item) == s.ragged[k]}


def _clean_series(s: Series) -> Series:
    return replace(
        s,
        unit=clean(s.unit),
        doc=clean(s.doc),
        items=tuple(map(clean, s.items)),
        dims=tuple(map(clean, s.dims)),
        item_dim=clean(s.item_dim),
        columns=tuple(map(clean, s.columns)),
    )
