"""Which instruments play at this moment, what do they need, and what rows come of it?

Two kinds of moments. *At an update*: statistics and raw tensors of step t, gathered by the adapter's one pass before
update t and measured when they arrive. *Between updates*: the probe batch through the network after t updates. Either
way a row at step t describes the network after t updates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recorder.analysis.signs import RELATIVE_TAU, TAU
from recorder.errors import InstrumentError
from recorder.reading import (
    AVERAGED,
    OF_SIGNS,
    OF_TURNS,
    Collected,
    Facts,
    Finished,
    HasRelativeTau,
    HasTau,
    Plan,
    Reading,
    Statistic,
    WantsRaw,
)
from recorder.recording.look import Wanted, wanted_by
from recorder.recording.lull import Lull
from recorder.recording.player import Player, Row, declared, more_items, plain
from recorder.recording.warning import warn
from recorder.runfile.schema import Series
from recorder.schedule import EpochEnds, Moment, may_close

NOTHING = Plan()
EPOCH_ENDS = EpochEnds().axis
Note = Callable[[str, str, Moment], None]  # (event kind, text, when)


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


def _longer(column: np.ndarray, tensors: int) -> np.ndarray:
    """The column of tensors of which some were not there: NaN, counts 0."""
    blank = np.nan if column.dtype.kind == "f" else 0
    more = np.full((tensors - len(column), *column.shape[1:]), blank, column.dtype)
    return np.concatenate([column, more])
