"""Which instruments play at this moment, what do they need, and what rows come of it?

Two kinds of moments. *At an update*: statistics and raw tensors of step t, gathered by the adapter's one pass before
update t and measured when they arrive. *Between updates*: the probe batch through the network after t updates. Either
way a row at step t describes the network after t updates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from recorder.analysis.signs import RELATIVE_TAU, TAU
from recorder.errors import InstrumentError, in_words
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
    Plan,
    Reading,
    Statistic,
    WantsRaw,
)
from recorder.recording.ahead import Ahead
from recorder.recording.look import Wanted, wanted_by
from recorder.recording.player import Player, Row, declared, more_items, of_averages
from recorder.recording.warning import warn
from recorder.runfile.schema import Series
from recorder.schedule import EpochEnds, Moment, may_close

EPOCH_ENDS = EpochEnds().axis
# What compares the last change with the one before, and what the update has to keep that comes before both.
OF_CHANGES = {
    Statistic.UPDATE_COSINE: Statistic.UPDATE_NORM,
    Statistic.AVERAGE_UPDATE_COSINE: Statistic.AVERAGE_UPDATE_NORM,
}
Note = Callable[[str, str, Moment], None]  # (event kind, text, when)


class Due(NamedTuple):
    """Who measures an update, and what the pass before it has to compute."""

    players: tuple[Player, ...]
    plan: Plan


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
        self._of_changes = [p for p in self._comparing if not OF_CHANGES.keys().isdisjoint(p.instrument.statistics)]
        self._averaging = [p for p in players if not AVERAGED.keys().isdisjoint(p.instrument.statistics)]
        looking = [p.instrument for p in players]
        self._tau = next((one.tau for one in looking if isinstance(one, HasTau)), TAU)
        relative = (one.relative_tau for one in looking if isinstance(one, HasRelativeTau))
        self._relative_tau = next(relative, RELATIVE_TAU)
        self._note = note
        self._strict = strict
        self._moment = Moment(0, epoch_begins=True)
        self._epoch_begins = True  # until the first update of an epoch
        self._now: Due | None = None  # at the coming update, from when it was asked for until that is over
        self._plans: dict[tuple[tuple[Player, ...], tuple[Player, ...], tuple[Player, ...], bool], Plan] = {}
        self._thin: dict[str, int] = {}
        self._updates = Ahead(self._due_at)
        self._looks = Ahead(lambda step: self._at(Moment(step, self._moment.epoch), self._between))
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
            self._forget()
        waits = self._epoch_begins and moment.updates == self._moment.updates
        self._epoch_begins = moment.epoch_begins or waits
        self._moment = moment
        self._now = None
        if (thin or {}) != self._thin:
            self._thin = dict(thin or {})
            self._forget()

    def rest(self) -> None:
        """Nobody measures any more."""
        for player in self.players:
            player.resting = True
        self._always = frozenset()
        self._now = None
        self._forget()

    def _forget(self) -> None:
        """What was found of coming moments may be otherwise."""
        self._plans.clear()
        self._updates.forget()
        self._looks.forget()

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
        self._forget()  # more raw tensors may be wanted
        when, table = self._previous
        self._previous = when, {s: _longer(column, len(facts.tensors)) for s, column in table.items()}
        self._now = None
        return tuple(found)

    @property
    def due(self) -> tuple[Player, ...]:
        """Who measures the coming update."""
        return self._coming.players

    def plan(self) -> Plan:
        """What the pass before the coming update has to compute: what is due, and what the next step needs."""
        return self._coming.plan

    @property
    def _coming(self) -> Due:
        if self._now is None:
            find = self._due_at if self._moment.ended else self._updates.at
            self._now = find(self._moment.updates)
        return self._now

    def wants(self, ahead: int) -> bool:
        """Whether something of this coming update will be asked for; 0 is the next one. Epochs end where they will."""
        return any(self._due_at(self._moment.updates + ahead) if ahead else self._coming)

    def _due_at(self, update: int) -> Due:
        due = tuple(self._at(self._moment_of(update), self._at_updates))
        comparing = tuple(self._at(self._moment_of(update + 1), self._comparing)) if self._comparing else ()
        of_changes = tuple(self._at(self._moment_of(update + 2), self._of_changes)) if self._of_changes else ()
        averages = any(not p.resting for p in self._averaging)  # they take in each update, looked at or not
        key = due, comparing, of_changes, averages
        if key not in self._plans:
            self._plans[key] = self._planned(*key)
        return Due(due, self._plans[key])

    def _planned(
        self, due: Sequence[Player], comparing: Sequence[Player], of_changes: Sequence[Player], averages: bool
    ) -> Plan:
        """What an update has to compute where these are due, `comparing` at the next one, `of_changes` after that."""
        now = self._always.union(*(p.instrument.statistics for p in due))
        then = frozenset[Statistic]().union(*(p.instrument.statistics for p in comparing))
        then |= {OF_CHANGES[s] for p in of_changes for s in p.instrument.statistics if s in OF_CHANGES}
        norms = comparing or Statistic.UPDATE_NORM in now  # an update is compared with them, also one in this iteration
        plan = self._pass(now | {Statistic.WEIGHT_NORM} if norms else now, then - AVERAGED.keys())
        updates = any(quantity == "update" for p in comparing for quantity, _ in p.raw)
        return replace(
            plan, keep_weights=plan.keep_weights or updates, raw=frozenset().union(*(p.raw for p in due)),
            averages=self._pass(of_averages(now), of_averages(then)) if averages else None,
        )  # fmt: skip

    def _pass(self, now: frozenset[Statistic], then: frozenset[Statistic]) -> Plan:
        """Compute `now`, and keep what `then` compares with."""
        return Plan(
            now, not COMPARING.isdisjoint(then), keep_signs=not OF_SIGNS.isdisjoint(then), tau=self._tau,
            relative_tau=self._relative_tau, keep_turns=not OF_TURNS.isdisjoint(then),
        )  # fmt: skip

    def _moment_of(self, update: int) -> Moment:
        """A coming update as schedules see it: they count updates, so that an iteration without one is no gap."""
        m = self._moment
        begins = self._epoch_begins and update == m.updates
        closing = may_close(update - (self._epoch_from or 0), self._epoch_length)
        return Moment(update, m.epoch, epoch_begins=begins, ended=m.ended, closing=closing)

    def update(self, due: Sequence[Player], collected: Collected, moment: Moment, at: float) -> dict[str, Row]:
        """{axis: row} of everyone who was due at this update; what may be an epoch's last is held back."""
        before_update, before = self._previous
        if before_update != moment.updates - 1:
            before = {}
        self._previous = (moment.updates, _lasting(before, collected))
        if collected.norms_before is not None:
            before = _with_norms(before, collected.norms_before)
        if not due:
            return {}
        reading = Reading(
            moment.step, moment.epoch, at, collected.table, collected.stepped, raw=collected.raw,
            scalars=collected.scalars, previous=before,
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
        due = self._looking(moment)
        if not due:
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
        apart = moment.epoch_begins or moment.ended
        due = self._at(moment, self._between) if apart else self._looks.at(moment.step)
        return [p for p in due if p.last != moment.step]

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
                self._rest(player)
                self._note("thinned", f"{player.name} {finished}; it rests", Moment(reading.step, reading.epoch))
            except Exception as problem:
                self._switch_off(player, problem, Moment(reading.step, reading.epoch))
            else:
                rows.setdefault(player.axis, {}).update(values)
        return rows

    def _rest(self, player: Player) -> None:
        player.resting = True
        self._forget()

    def _switch_off(self, player: Player, problem: Exception, moment: Moment) -> None:
        text = f"{player.name} failed at step {moment.step} and is switched off: {in_words(problem)}"
        if self._strict:
            raise InstrumentError(text) from problem
        self._rest(player)
        self._note("off", text, moment)
        warn(f"{text}; the training goes on")


def _lasting(before: Mapping[Statistic, np.ndarray], collected: Collected) -> Mapping[Statistic, np.ndarray]:
    """The table, in which tensors that were not updated have the norm of their last update."""
    table, old = collected.table, before.get(Statistic.WEIGHT_NORM)
    if old is None or collected.stepped.all():
        return table
    new = table.get(Statistic.WEIGHT_NORM, np.full_like(old, np.nan))
    return {**table, Statistic.WEIGHT_NORM: np.where(collected.stepped, new, old)}


def _with_norms(table: Mapping[Statistic, np.ndarray], norms: np.ndarray) -> Mapping[Statistic, np.ndarray]:
    """The table with these norms of weights, where they are known: of tensors updated twice in an iteration."""
    old = table.get(Statistic.WEIGHT_NORM, norms)
    return {**table, Statistic.WEIGHT_NORM: np.where(np.isnan(norms), old, norms)}


def _longer(column: np.ndarray, tensors: int) -> np.ndarray:
    """The column of tensors of which some were not there: NaN, counts 0."""
    blank = np.nan if column.dtype.kind == "f" else 0
    more = np.full((tensors - len(column), *column.shape[1:]), blank, column.dtype)
    return np.concatenate([column, more])
