"""Which instruments play: when is each due, on which axis are its rows, and which series does it fill?

What looks at the network *between updates* has an axis of its own beside that of its schedule, "<schedule>_probe"; what
has large rows does not share that, so that a limit of the size thins it alone: "<schedule>_<instrument>_probe". Weights
are also measured at the end, where no update follows; what needs a gradient is not, so it has "each_epoch_gradient".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recorder.errors import InstrumentError, RecordError
from recorder.probe import suffixed, unsuffixed
from recorder.reading import (
    AVERAGED,
    COMPARING,
    Facts,
    Instrument,
    Need,
    Quantity,
    Reading,
    Statistic,
    WantsRaw,
)
from recorder.runfile.schema import Kind, Series
from recorder.schedule import AtEnd, EachEpoch, EpochEnds, Every, Pairs, Schedule, Scheduled

OF_WEIGHTS = frozenset({Statistic.WEIGHT_NORM, Statistic.WEIGHT_NONFINITE, Statistic.WEIGHT_HISTOGRAM})
BETWEEN = frozenset({Need.PROBE, Need.MODEL})
LARGE = 64 << 10  # bytes of a row
Row = dict[str, Any]  # series -> (item, *shape) array, or {item: array}


@dataclass(eq=False)
class Player:
    """An instrument at work: when it is due and what it fills."""

    instrument: Instrument
    schedule: Schedule
    axis: str
    series: tuple[Series, ...]
    raw: frozenset[tuple[Quantity, str]] = frozenset()
    probe: str = ""  # the one that it looks at, where it is not the default one
    suffix: str = ""  # what its name and those of its series say of that, where it is not the instrument's own
    resting: bool = False
    last: int = -1  # the step of its last row between updates

    @property
    def name(self) -> str:
        """The instrument's, and which probe it looks at where one would not expect it: `cka@noise`."""
        return suffixed(self.instrument.name, self.suffix)

    def measure(self, reading: Reading) -> Mapping[str, Any]:
        """A row of its series; InstrumentError where it is not what was declared, and why its probe's pass failed."""
        if self.probe in reading.failed and Need.PROBE in self.instrument.needs:
            raise reading.failed[self.probe]
        values = self.instrument.measure(reading.seen_by(self.probe))
        if self.suffix:
            values = {suffixed(name, self.suffix): value for name, value in values.items()}
        return checked(values, self.series, reading.step)

    @property
    def between(self) -> bool:
        return bool(self.instrument.needs & BETWEEN)

    @property
    def compares(self) -> bool:
        """Whether it needs the step before."""
        statistics = self.instrument.statistics | of_averages(self.instrument.statistics)
        return not COMPARING.isdisjoint(statistics) or any(q == "update" for q, _ in self.raw)

    @property
    def names(self) -> frozenset[str]:
        """What it fills, its own scalars, and what is derived from that when it is drawn."""
        derived = getattr(self.instrument, "derived", {})
        scalars = (s.items for s in self.series if s.kind is Kind.SCALAR)
        charts = (suffixed(name, self.suffix) for s in self.series for name in derived.get(unsuffixed(s.name)[0], ()))
        return frozenset(s.name for s in self.series).union(charts, *scalars)

    @property
    def at_rest(self) -> bool:
        """Whether something of it can be measured where no update follows: weights, but no gradients."""
        quantities = {quantity for quantity, _ in self.raw}
        return bool(self.instrument.statistics & OF_WEIGHTS) or "weight" in quantities


def players(scheduled: Iterable[Scheduled], facts: Facts) -> tuple[Player, ...]:
    """The instruments with their series declared; RecordError where two fill the same series or one cannot work."""
    found: list[Player] = []
    taken: dict[str, str] = {"scalars": "the scalars"}
    for s in scheduled:
        player = _player(s, facts)
        for one in player.series:
            if one.name in taken:
                raise RecordError(f"series {one.name!r} of {player.name!r} is already filled by {taken[one.name]}")
            taken[one.name] = repr(player.name)
        found.append(player)
    return tuple(found)


def _player(scheduled: Scheduled, facts: Facts) -> Player:
    instrument, schedule = scheduled.instrument, scheduled.schedule
    raw = instrument.raw(facts) if isinstance(instrument, WantsRaw) else frozenset()
    probe, suffix = probe_of(instrument, facts), suffix_of(instrument, facts)
    player = Player(instrument, schedule, schedule.axis, (), raw, probe, suffix)
    name = player.name
    if player.between and (instrument.statistics or Need.RAW in instrument.needs):
        raise RecordError(f"{name!r} wants both the probe batch and numbers of an update; make it two instruments")
    if player.between and isinstance(schedule, EpochEnds):
        raise RecordError(f"{name!r} looks between updates, and epoch_ends is one; use each_epoch")
    if player.compares and not isinstance(schedule, Every | Pairs):
        raise RecordError(
            f"{name!r} compares with the step before, which {schedule} cannot know in time; use every or pairs"
        )
    if player.between:
        player.axis += "_probe"
    elif not player.at_rest and isinstance(schedule, AtEnd):
        raise RecordError(f"{name!r} measures an update, and none follows the end; use epoch_ends, every or pairs")
    elif not player.at_rest and isinstance(schedule, EachEpoch):
        player.axis += "_gradient"  # the last epoch has no row there
    player.series = declared(player, facts)
    if player.between and sum(one.row_bytes for one in player.series) > LARGE:
        player.axis = f"{schedule.axis}_{name.replace('@', '.')}_probe"
        player.series = tuple(replace(one, axis=player.axis) for one in player.series)
    return player


def probe_of(instrument: Instrument, facts: Facts) -> str:
    """The probe that it looks at, "" for the default one; RecordError where there is none of that name."""
    probe = getattr(instrument, "probe", "") if Need.PROBE in instrument.needs else ""
    if probe and probe not in facts.probes:
        known = ("is " if len(facts.probes) == 1 else "are ") + (", ".join(map(repr, facts.probes)) or "none")
        raise RecordError(
            f"{instrument.name!r} looks at the probe {probe!r}; there {known}. Give it "
            f"as record(..., probe={{..., {probe!r}: Probe(...)}})"
        )
    return "" if probe == facts.default_probe else probe


def suffix_of(instrument: Instrument, facts: Facts | None = None) -> str:
    """The probe that it looks at, where that is neither its class's own nor the default one."""
    probe = getattr(instrument, "probe", "")
    expected = ("", getattr(type(instrument), "probe", ""), "" if facts is None else facts.default_probe)
    return "" if probe in expected else probe


def declared(player: Player, facts: Facts) -> tuple[Series, ...]:
    """The series that the player fills."""
    series = player.instrument.declare(facts.seen_by(player.probe))
    found = []
    for s in series:
        name = suffixed(s.name, player.suffix)
        found.append(replace(s, name=name, axis=player.axis, instrument=player.name, between=player.between))
    return tuple(found)


def more_items(known: Sequence[Series], now: Sequence[Series]) -> list[Series]:
    """The items that each series has in addition, and series that are new; InstrumentError where more has changed."""
    found = []
    names = {s.name: s for s in known}
    for s in now:
        before = names.pop(s.name, replace(s, items=(), ragged=()))
        k = len(before.items)
        if replace(s, items=s.items[:k], ragged=s.ragged[:k]) != before:
            raise InstrumentError(f"series {s.name!r}: was declared otherwise before tensors or layers came")
        if len(s.items) > k:
            found.append(replace(s, items=s.items[k:], ragged=s.ragged[k:]))
    if names:
        raise InstrumentError(f"series {', '.join(map(repr, names))}: is not declared any more")
    return found


def of_averages(statistics: Iterable[Statistic]) -> frozenset[Statistic]:
    """Those of moving averages, as they are called of tensors."""
    return frozenset(AVERAGED[s] for s in statistics if s in AVERAGED)


def checked(values: Mapping[str, Any], series: Sequence[Series], step: int) -> Mapping[str, Any]:
    """`values` when they are what was declared; InstrumentError says which series differs and how."""
    if set(values) != {s.name for s in series}:
        raise InstrumentError(f"step {step}: expected series {[s.name for s in series]}, got {list(values)}")
    for s in series:
        given = values[s.name]
        if isinstance(given, Mapping):
            for item, value in given.items():
                if item not in s.items:
                    raise InstrumentError(f"series {s.name!r} at step {step}: there is no {s.item_dim} {item!r}")
                _same(f"series {s.name!r}, {s.item_dim} {item!r} at step {step}", s.shape_of(item), np.shape(value))
        elif not s.ragged:
            _same(f"series {s.name!r} at step {step}", (len(s.items), *s.shape), np.shape(given))
    return values


def _same(where: str, expected: tuple[int, ...], got: tuple[int, ...]) -> None:
    if got != expected:
        raise InstrumentError(f"{where}: expected shape {expected}, got {got}")
