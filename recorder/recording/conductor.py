"""Which instruments play at this moment, what do they need, and what rows come of it?

Two kinds of moments. *At an update*: statistics and raw tensors of step t, gathered by the adapter's one pass before
update t and measured when they arrive. *Between updates*: the probe batch through the network after t updates. They
arrive at different times, so the second kind has axes of its own, "<schedule>_probe"; what has large rows does not
share that, so that a limit of the size thins it alone: "<schedule>_<instrument>_probe". Weights are also measured at
the end, where no update follows; what needs a gradient is not, so it has "each_epoch_gradient". Either way a row at
step t describes the network after t updates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recorder.analysis.signs import RELATIVE_TAU, TAU
from recorder.errors import InstrumentError, RecordError
from recorder.probe import suffixed, unsuffixed
from recorder.reading import (
    AVERAGED,
    COMPARING,
    OF_SIGNS,
    OF_TURNS,
    Collected,
    Facts,
    Finished,
    HasRelativeTau,
    HasTau,
    Instrument,
    Need,
    Plan,
    Quantity,
    Reading,
    Statistic,
    WantsRaw,
)  # fmt: skip
from recorder.recording.look import Wanted
from recorder.recording.lull import Lull
from recorder.recording.warning import warn
from recorder.runfile.schema import Kind, Series
from recorder.schedule import AtEnd, EachEpoch, EpochEnds, Every, Moment, Pairs, Schedule, Scheduled, may_close

NOTHING = Plan()
OF_WEIGHTS = frozenset({Statistic.WEIGHT_NORM, Statistic.WEIGHT_NONFINITE, Statistic.WEIGHT_HISTOGRAM})
BETWEEN = frozenset({Need.PROBE, Need.MODEL})
EPOCH_ENDS = EpochEnds().axis
LARGE = 64 << 10  # bytes of a row
Row = dict[str, Any]  # series -> (item, *shape) array, or {item: array}
Note = Callable[[str, str, Moment], None]  # (event kind, text, when)


@dataclass
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
        """A row of its series; InstrumentError where it is not what was declared."""
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
        return not COMPARING.isdisjoint(plain(self.instrument.statistics)) or any(q == "update" for q, _ in self.raw)

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
        probe, suffix = probe_of(s.instrument, facts), suffix_of(s.instrument, facts)
        name = suffixed(s.instrument.name, suffix)
        between = bool(s.instrument.needs & BETWEEN)
        if between and (s.instrument.statistics or Need.RAW in s.instrument.needs):
            raise RecordError(f"{name!r} wants both the probe batch and numbers of an update; make it two instruments")
        raw = s.instrument.raw(facts) if isinstance(s.instrument, WantsRaw) else frozenset()
        player = Player(s.instrument, s.schedule, s.schedule.axis, (), raw, probe, suffix)
        if between and isinstance(s.schedule, EpochEnds):
            raise RecordError(f"{name!r} looks between updates, and epoch_ends is one; use each_epoch")
        if between:
            player.axis += "_probe"
        elif not player.at_rest and isinstance(s.schedule, AtEnd):
            raise RecordError(f"{name!r} measures an update, and none follows the end; use epoch_ends, every or pairs")
        elif not player.at_rest and isinstance(s.schedule, EachEpoch):
            player.axis += "_gradient"  # the last epoch has no row there
        player.series = declared(player, facts)
        if between and sum(one.row_bytes for one in player.series) > LARGE:
            player.axis = f"{s.schedule.axis}_{name.replace('@', '.')}_probe"
            player.series = tuple(replace(one, axis=player.axis) for one in player.series)
        for one in player.series:
            if one.name in taken:
                raise RecordError(f"series {one.name!r} of {name!r} is already filled by {taken[one.name]}")
            taken[one.name] = repr(name)
        if player.compares and not isinstance(s.schedule, Every | Pairs):
            raise RecordError(
                f"{name!r} compares with the step before, which {s.schedule} cannot know in time; use every or pairs"
            )
        found.append(player)
    return tuple(found)


def probe_of(instrument: Instrument, facts: Facts) -> str:
    """The probe that it looks at, "" for the default one; RecordError where there is none of that name."""
    probe = getattr(instrument, "probe", "") if Need.PROBE in instrument.needs else ""
    if probe and probe not in facts.probes:
        raise RecordError(
            f"{instrument.name!r} looks at the probe {probe!r}; there are {', '.join(facts.probes) or 'none'}. Give it "
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


def _longer(column: np.ndarray, tensors: int) -> np.ndarray:
    """The column of tensors of which some were not there: NaN, counts 0."""
    blank = np.nan if column.dtype.kind == "f" else 0
    more = np.full((tensors - len(column), *column.shape[1:]), blank, column.dtype)
    return np.concatenate([column, more])


class Conductor:
    """Decides what is due, lets the instruments measure, and switches off the one that fails."""

    def __init__(
        self,
        players: Sequence[Player],
        note: Note,
        *,
        strict: bool = False,
        always: frozenset[Statistic] = frozenset(),
    ) -> None:
        """`always` is what is wanted of every update, whoever is due."""
        self.players = tuple(players)
        self._always = always
        self._at_updates = [p for p in players if not p.between]
        self._between = [p for p in players if p.between]
        self._comparing = [p for p in players if p.compares]
        self._averaging = [p for p in players if not AVERAGED.keys().isdisjoint(p.instrument.statistics)]
        looking = [p.instrument for p in players]
        self._tau = next((one.tau for one in looking if isinstance(one, HasTau)), TAU)
        relative = (one.relative_tau for one in looking if isinstance(one, HasRelativeTau))
        self._relative_tau = next(relative, RELATIVE_TAU)
        self._note = note
        self._strict = strict
        self._moment = Moment(0, epoch_begins=True)
        self._epoch_begins = True  # until the first update of an epoch
        self._due: tuple[Player, ...] | None = None
        self._plan: Plan | None = None
        self._plans: dict[tuple[int, ...], Plan] = {}  # by who is due, and who compares the next step
        self._thin: Mapping[str, int] = {}
        self._no_updates, self._no_looks = Lull(), Lull()  # nobody wants anything of these updates, of these steps
        self._previous: tuple[int, Mapping[Statistic, np.ndarray]] = (-1, {})  # the last measured update
        self._epoch_from: int | None = None  # updates before this epoch
        self._epoch_length: int | None = None  # updates of the epoch before
        self._closing: tuple[dict[str, Row], Moment, float] | None = None  # the latest rows that may be an epoch's last

    def move_to(self, moment: Moment, *, thin: Mapping[str, int] | None = None) -> None:
        """The next update is the one of this moment; of some axes only one row in `thin[axis]` is wanted."""
        if self._epoch_from is None:
            self._epoch_from = moment.updates
        elif moment.epoch != self._moment.epoch:
            self._epoch_length = moment.updates - self._epoch_from or None
            self._epoch_from = moment.updates
            self._no_updates = Lull()
        waits = self._epoch_begins and moment.updates == self._moment.updates
        self._epoch_begins = moment.epoch_begins or waits
        self._moment, self._thin = moment, thin or {}
        self._due = self._plan = None

    def rest(self) -> None:
        """Nobody measures any more."""
        for player in self.players:
            player.resting = True
        self._always = frozenset()
        self._plans.clear()
        self._due = self._plan = None

    def welcome(self, facts: Facts, moment: Moment) -> tuple[Series, ...]:
        """Tensors or layers came, of which `facts` knows now: what the instruments' series have in addition."""
        found: list[Series] = []
        for player in self.players:
            if player.resting:
                continue
            try:
                series = declared(player, facts)
                found += more_items(player.series, series)
                player.series = series
                if isinstance(player.instrument, WantsRaw):
                    player.raw = player.instrument.raw(facts)
            except Exception as problem:
                self._switch_off(player, problem, moment)
        self._plans.clear()  # more raw tensors may be wanted
        when, table = self._previous
        self._previous = when, {s: _longer(column, len(facts.tensors)) for s, column in table.items()}
        self._due = self._plan = None
        return tuple(found)

    @property
    def due(self) -> tuple[Player, ...]:
        """Who measures the coming update."""
        if self._due is None:
            if self._no_updates.holds(self._moment.updates) and not (self._epoch_begins or self._moment.ended):
                self._due, self._plan = (), NOTHING
            else:
                self._due = tuple(self._at(self._coming(), self._at_updates))
        return self._due

    def _coming(self, ahead: int = 0) -> Moment:
        """The coming update as schedules see it: they count updates, so that an iteration without one is no gap."""
        m = self._moment
        update = m.updates + ahead
        closing = may_close(update - (self._epoch_from or 0), self._epoch_length)
        return Moment(update, m.epoch, epoch_begins=self._epoch_begins and not ahead, ended=m.ended, closing=closing)

    def plan(self) -> Plan:
        """What the pass before the coming update has to compute: what is due, and what the next step needs."""
        due = self.due
        if self._plan is None:
            comparing, now = self._comparing_next(), self._moment.updates
            if not (due or comparing or self.wants(0)):
                self._no_updates.find(now, lambda updates: self.wants(updates - now))
            key = (*map(id, due), 0, *map(id, comparing), self._averages)
            if key not in self._plans:
                plan = _planned(due, comparing=comparing, tau=self._tau, relative_tau=self._relative_tau)
                plan = replace(plan, statistics=plan.statistics | self._always) if self._always else plan
                self._plans[key] = replace(plan, averages=True) if self._averages else plan
            self._plan = self._plans[key]
        return self._plan

    @property
    def _averages(self) -> bool:
        """Whether somebody looks at moving averages, now and then: they take in each update."""
        return any(not p.resting for p in self._averaging)

    def wants(self, ahead: int) -> bool:
        """Whether something of this coming update will be asked for; 0 is the next one. Epochs end where they will."""
        coming, following = self._coming(ahead), self._coming(ahead + 1)
        always = self._always or self._averages
        return bool(always or self._at(coming, self._at_updates) or self._at(following, self._comparing))

    def _comparing_next(self) -> list[Player]:
        """Who compares the next step with the coming one."""
        return self._at(self._coming(ahead=1), self._comparing) if self._comparing else []

    def update(self, due: Sequence[Player], collected: Collected, moment: Moment, at: float) -> dict[str, Row]:
        """{axis: row} of everyone who was due at this update; what may be an epoch's last is held back."""
        before_update, before = self._previous
        self._previous = (moment.updates, collected.table)
        if not due:
            return {}
        reading = Reading(
            moment.step, moment.epoch, at, collected.table, collected.stepped, raw=collected.raw,
            scalars=collected.scalars, previous=before if before_update == moment.updates - 1 else {},
        )  # fmt: skip
        rows = self._measure(due, reading)
        if (row := rows.pop(EPOCH_ENDS, None)) is not None:
            self._closing = {EPOCH_ENDS: row}, moment, at
        return rows

    def take_closing(self) -> tuple[dict[str, Row], Moment, float] | None:
        """An epoch has ended: the rows of its last recorded update, when that was, and its time."""
        closing, self._closing = self._closing, None
        return closing

    def between(self, moment: Moment, look: Callable[[Wanted], Mapping[str, Any]]) -> dict[str, Row]:
        """{axis: row} of everyone who looks at the network between updates and has not yet done so at this step.

        `look` gives the fields of a Reading that are wanted: activations, probes, outputs, model.
        """
        within = not (moment.epoch_begins or moment.ended)
        if within and self._no_looks.holds(moment.step):
            return {}
        due = self._looking(moment)
        if not due:
            if within:
                self._no_looks.find(moment.step, lambda step: bool(self._at(moment._replace(step=step), self._between)))
            return {}
        try:
            seen = look(wanted_by(due))
        except Exception as problem:
            for player in due:
                self._switch_off(player, problem, moment)
            return {}
        for player in due:
            player.last = moment.step
        return self._measure(due, Reading(moment.step, moment.epoch, time.time(), **seen))

    def look(self, moment: Moment) -> Wanted:
        """What those want who look at the network between updates now; at each step once."""
        due = self._looking(moment)
        for player in due:
            player.last = moment.step
        return wanted_by(due)

    def _looking(self, moment: Moment) -> list[Player]:
        return [p for p in self._at(moment, self._between) if p.last != moment.step]

    def _at(self, moment: Moment, players: Iterable[Player]) -> list[Player]:
        return [p for p in players if not p.resting and p.schedule.due(moment, thin=self._thin.get(p.axis, 1))]

    def _measure(self, due: Sequence[Player], reading: Reading) -> dict[str, Row]:
        rows: dict[str, Row] = {}
        for player in due:
            if player.resting:
                continue
            try:
                values = player.measure(reading)
            except Finished as finished:
                player.resting = True
                self._note("thinned", f"{player.name} {finished}; it rests", Moment(reading.step, reading.epoch))
            except Exception as problem:
                self._switch_off(player, problem, Moment(reading.step, reading.epoch))
            else:
                rows.setdefault(player.axis, {}).update(values)
        return rows

    def _switch_off(self, player: Player, problem: Exception, moment: Moment) -> None:
        what = f"{type(problem).__name__}: {problem}"
        text = f"{player.name} failed at step {moment.step} and is switched off: {what}"
        if self._strict:
            raise InstrumentError(text) from problem
        player.resting = True
        self._note("off", text, moment)
        warn(f"{text}; the training goes on")


def wanted_by(due: Sequence[Player]) -> Wanted:
    """What those want to see who look at the network between updates."""
    needs = frozenset[Need]().union(*(p.instrument.needs for p in due))
    return Wanted(needs, tuple(sorted({p.probe for p in due if Need.PROBE in p.instrument.needs})))


def plain(statistics: Iterable[Statistic]) -> frozenset[Statistic]:
    """Those of moving averages as those of tensors."""
    return frozenset(AVERAGED.get(s, s) for s in statistics)


def _planned(
    due: Sequence[Player], *, comparing: Sequence[Player], tau: tuple[float, float], relative_tau: float
) -> Plan:
    if not due and not comparing:
        return NOTHING
    statistics = frozenset[Statistic]().union(*(p.instrument.statistics for p in due))
    if comparing:
        statistics |= {Statistic.WEIGHT_NORM}
    wanted = frozenset[Statistic]().union(*(plain(p.instrument.statistics) for p in comparing))
    return Plan(
        statistics, bool(comparing), frozenset().union(*(p.raw for p in due)), keep_signs=bool(wanted & OF_SIGNS),
        tau=tau, relative_tau=relative_tau, keep_turns=bool(wanted & OF_TURNS),
    )  # fmt: skip


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
