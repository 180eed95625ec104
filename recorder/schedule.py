"""When is an instrument due?

Steps count from 0, and step t describes the network after t updates: its gradients and weights are those at w_t,
before update t. Each schedule is an axis of the run, so that what is recorded in pairs costs no empty rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, overload

from recorder.errors import RecordError
from recorder.reading import Instrument


class Moment(NamedTuple):
    """A point of the training: `step` updates are done, `epoch` epochs are complete."""

    step: int
    epoch: int = 0
    updates: int = 0  # iterations so far that updated the network; fewer than `step` where gradients are accumulated
    epoch_begins: bool = False  # the training's start, or the first moment after an epoch was completed
    ended: bool = False  # nothing follows
    closing: bool = False  # an update that may turn out to be the last one of its epoch


class Schedule(Protocol):
    """A rule that picks moments; `axis` names it in the run."""

    @property
    def axis(self) -> str: ...
    def due(self, moment: Moment, *, thin: int = 1) -> bool:
        """Whether to measure at this moment; `thin` keeps only one occurrence in so many."""
        ...

    @property
    def rates(self) -> tuple[float, float]:
        """Rows per step and per epoch, for forecasts."""
        ...


@dataclass(frozen=True)
class Every:
    """Steps start, start + n, start + 2 n, ..."""

    n: int
    start: int = 0

    def __post_init__(self) -> None:
        if self.n < 1 or self.start < 0:
            raise RecordError(f"every({self.n}, start={self.start}): n must be at least 1 and start at least 0")

    @property
    def axis(self) -> str:
        name = "step" if self.n == 1 else f"every_{self.n}"
        return f"{name}_from_{self.start}" if self.start else name

    def __str__(self) -> str:
        name = "each step" if self.n == 1 else f"every {self.n} steps"
        return f"{name} from step {self.start}" if self.start else name

    def due(self, moment: Moment, *, thin: int = 1) -> bool:
        since = moment.step - self.start
        return not moment.ended and since >= 0 and since % (self.n * thin) == 0

    @property
    def rates(self) -> tuple[float, float]:
        return 1 / self.n, 0.0


@dataclass(frozen=True)
class Pairs:
    """Two neighbouring steps of n: n k and n k + 1, for what compares a step with the one before."""

    n: int

    def __post_init__(self) -> None:
        if self.n < 2:
            raise RecordError(f"pairs({self.n}): n must be at least 2; every(1, ...) records each step")

    @property
    def axis(self) -> str:
        return f"pairs_2_of_{self.n}"

    def __str__(self) -> str:
        return f"2 of {self.n} steps"

    def due(self, moment: Moment, *, thin: int = 1) -> bool:
        return not moment.ended and moment.step % (self.n * thin) < 2

    @property
    def rates(self) -> tuple[float, float]:
        return 2 / self.n, 0.0


@dataclass(frozen=True)
class EachEpoch:
    """The start of the training, then after each `run.epoch()`."""

    @property
    def axis(self) -> str:
        return "each_epoch"

    def __str__(self) -> str:
        return "each epoch"

    def due(self, moment: Moment, *, thin: int = 1) -> bool:
        return moment.epoch_begins and moment.epoch % thin == 0

    @property
    def rates(self) -> tuple[float, float]:
        return 0.0, 1.0


@dataclass(frozen=True)
class EpochEnds:
    """The last recorded update of each epoch.

    Which one it is shows when `run.epoch()` comes. So from the second epoch on the update is measured at which the
    epoch before ended, and some on the way, in case this one ends sooner; the last of them is kept.
    """

    @property
    def axis(self) -> str:
        return "epoch_ends"

    def __str__(self) -> str:
        return "end of each epoch"

    def due(self, moment: Moment, *, thin: int = 1) -> bool:
        return moment.closing and not moment.ended and moment.epoch % thin == 0

    @property
    def rates(self) -> tuple[float, float]:
        return 0.0, 1.0


def may_close(update: int, length: int | None) -> bool:
    """Whether this update of an epoch, from 0, is measured for its end; `length` is that of the epoch before.

    The first four, then one in ten, or in a tenth of the length where it is known, and the expected last one.
    """
    return update < 4 or update % max(10, (length or 0) // 10) == 0 or update + 1 == length


@dataclass(frozen=True)
class AtEnd:
    """Once, when the `with` block is left without an error."""

    @property
    def axis(self) -> str:
        return "at_end"

    def __str__(self) -> str:
        return "at the end"

    def due(self, moment: Moment, *, thin: int = 1) -> bool:  # noqa: ARG002  once is once
        return moment.ended

    @property
    def rates(self) -> tuple[float, float]:
        return 0.0, 0.0


@dataclass(frozen=True)
class Scheduled:
    """An instrument with its schedule: what `every(10, GradientNorm())` makes."""

    schedule: Schedule
    instrument: Instrument

    def __post_init__(self) -> None:
        if isinstance(self.instrument, type):
            raise RecordError(f"{self.instrument.__name__} is a class; pass an instance: {self.instrument.__name__}()")
        if isinstance(self.instrument, Scheduled):
            raise RecordError(f"{self.instrument.instrument.name} already has a schedule: {self.instrument.schedule}")
        if not callable(getattr(self.instrument, "measure", None)):
            raise RecordError(f"{self.schedule}: expected an instrument or the name of one, got {self.instrument!r}")


@dataclass(frozen=True)
class Named:
    """A schedule around the name of an instrument, which is looked up at the door: `every(10, "gradient_norm")`."""

    schedule: Schedule
    name: str


def _around(schedule: Schedule, instrument: Instrument | str) -> Scheduled | Named:
    return Named(schedule, instrument) if isinstance(instrument, str) else Scheduled(schedule, instrument)


@overload
def every(n: int, *, start: int = 0) -> Every: ...
@overload
def every(n: int, instrument: Instrument, *, start: int = 0) -> Scheduled: ...
@overload
def every(n: int, instrument: str, *, start: int = 0) -> Named: ...
def every(n: int, instrument: Instrument | str | None = None, *, start: int = 0) -> Every | Scheduled | Named:
    """Measure at each n-th step: `every(10, GradientNorm())` or `every(10, "gradient_norm")` at 0, 10, 20, ..."""
    schedule = Every(n, start)
    return schedule if instrument is None else _around(schedule, instrument)


@overload
def pairs(n: int) -> Pairs: ...
@overload
def pairs(n: int, instrument: Instrument) -> Scheduled: ...
@overload
def pairs(n: int, instrument: str) -> Named: ...
def pairs(n: int, instrument: Instrument | str | None = None) -> Pairs | Scheduled | Named:
    """Measure at two neighbouring steps of n: `pairs(10, GradientNorm())` at steps 0, 1, 10, 11, 20, 21, ..."""
    return Pairs(n) if instrument is None else _around(Pairs(n), instrument)


@overload
def each_epoch() -> EachEpoch: ...
@overload
def each_epoch(instrument: Instrument) -> Scheduled: ...
@overload
def each_epoch(instrument: str) -> Named: ...
def each_epoch(instrument: Instrument | str | None = None) -> EachEpoch | Scheduled | Named:
    """Measure at the start and after each `run.epoch()`."""
    return EachEpoch() if instrument is None else _around(EachEpoch(), instrument)


@overload
def epoch_ends() -> EpochEnds: ...
@overload
def epoch_ends(instrument: Instrument) -> Scheduled: ...
@overload
def epoch_ends(instrument: str) -> Named: ...
def epoch_ends(instrument: Instrument | str | None = None) -> EpochEnds | Scheduled | Named:
    """Measure the last recorded update before each `run.epoch()`: a gradient has no later one."""
    return EpochEnds() if instrument is None else _around(EpochEnds(), instrument)


@overload
def at_end() -> AtEnd: ...
@overload
def at_end(instrument: Instrument) -> Scheduled: ...
@overload
def at_end(instrument: str) -> Named: ...
def at_end(instrument: Instrument | str | None = None) -> AtEnd | Scheduled | Named:
    """Measure once, when the training has ended without an error."""
    return AtEnd() if instrument is None else _around(AtEnd(), instrument)
