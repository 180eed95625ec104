"""What adapters give and instruments take: the closed set of statistics, the facts of a model, one step's reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from recorder.analysis import signs
from recorder.probe import LayerFacts as LayerFacts
from recorder.probe import ProbeFacts as ProbeFacts
from recorder.runfile.schema import Series

Quantity = Literal["gradient", "weight", "update"]


class Statistic(Enum):
    """A per-tensor number (or histogram) that the one fused pass can compute; `g` gradient, `w` weights.

    The value is the numpy dtype of one entry; HISTOGRAM rows have `analysis.histogram.COLUMNS` entries.
    """

    GRADIENT_NORM = "gradient_norm"  # ||g_t||_2, over finite and non-finite values alike
    GRADIENT_NONFINITE = "gradient_nonfinite"  # how many entries of g_t are NaN or infinite
    WEIGHT_NORM = "weight_norm"  # ||w_t||_2
    WEIGHT_NONFINITE = "weight_nonfinite"
    UPDATE_NORM = "update_norm"  # ||w_t - w_{t-1}||_2; NaN where w_{t-1} was not kept
    GRADIENT_HISTOGRAM = "gradient_histogram"
    WEIGHT_HISTOGRAM = "weight_histogram"
    UPDATE_HISTOGRAM = "update_histogram"  # of w_t - w_{t-1}; all 0 where w_{t-1} was not kept
    NEAR_ZERO_RELATIVE = "near_zero_relative"  # a count of entries; see `analysis.statistics`
    NEAR_ZERO = "near_zero"  # counts of entries, from here on; see `analysis.signs`
    NEAR_ZERO_TIGHT = "near_zero_tight"
    NEAR_ZERO_RETAINED = "near_zero_retained"
    NEAR_ZERO_RELEASED = "near_zero_released"
    NEAR_ZERO_FLIPS = "near_zero_flips"
    NEAR_ZERO_MINIMA = "near_zero_minima"
    NEAR_ZERO_MAXIMA = "near_zero_maxima"
    SIGN_FLIPS = "sign_flips"
    MINIMA = "minima"
    MAXIMA = "maxima"
    COMPARED = "compared"  # the tensor's size; 0 where its update before was not seen, and all that compares is 0
    GRADIENT_ANGLE = "gradient_angle"  # from here on NaN where an update before was not seen; see `analysis.turns`
    UPDATE_COSINE = "update_cosine"
    SECANT_CURVATURE = "secant_curvature"  # quantiles, as the next: rows of `analysis.turns.AT`
    NEAR_ZERO_MOVEMENT = "near_zero_movement"
    # the same of the moving averages of g and w; see `analysis.averages`
    AVERAGE_GRADIENT_NORM = "average_gradient_norm"
    AVERAGE_UPDATE_NORM = "average_update_norm"
    AVERAGE_NEAR_ZERO = "average_near_zero"
    AVERAGE_NEAR_ZERO_TIGHT = "average_near_zero_tight"
    AVERAGE_NEAR_ZERO_RETAINED = "average_near_zero_retained"
    AVERAGE_NEAR_ZERO_RELEASED = "average_near_zero_released"
    AVERAGE_NEAR_ZERO_FLIPS = "average_near_zero_flips"
    AVERAGE_NEAR_ZERO_MINIMA = "average_near_zero_minima"
    AVERAGE_NEAR_ZERO_MAXIMA = "average_near_zero_maxima"
    AVERAGE_SIGN_FLIPS = "average_sign_flips"
    AVERAGE_MINIMA = "average_minima"
    AVERAGE_MAXIMA = "average_maxima"
    AVERAGE_COMPARED = "average_compared"
    AVERAGE_NEAR_ZERO_RELATIVE = "average_near_zero_relative"
    AVERAGE_GRADIENT_ANGLE = "average_gradient_angle"
    AVERAGE_UPDATE_COSINE = "average_update_cosine"
    AVERAGE_SECANT_CURVATURE = "average_secant_curvature"
    AVERAGE_NEAR_ZERO_MOVEMENT = "average_near_zero_movement"

    __hash__ = object.__hash__  # each is there once; Enum's own goes through Python, eighty times a step


AVERAGED = {s: Statistic(s.value.removeprefix("average_")) for s in Statistic if s.value.startswith("average_")}
OF_SIGNS = frozenset(s for s in Statistic if s.value in signs.NAMES)
OF_QUANTILES = frozenset({Statistic.SECANT_CURVATURE, Statistic.NEAR_ZERO_MOVEMENT})
OF_TURNS = OF_QUANTILES | {Statistic.GRADIENT_ANGLE, Statistic.UPDATE_COSINE}
OF_UPDATE = frozenset({Statistic.UPDATE_NORM, Statistic.UPDATE_HISTOGRAM})
COMPARING = OF_SIGNS | OF_TURNS | OF_UPDATE  # with the update before
COUNTS = OF_SIGNS | {Statistic.GRADIENT_NONFINITE, Statistic.WEIGHT_NONFINITE, Statistic.NEAR_ZERO_RELATIVE}


class Need(Enum):
    """What an instrument wants beyond statistics."""

    PROBE = "probe"  # activations of the probe batch
    RAW = "raw"  # whole tensors
    MODEL = "model"  # the framework's own objects


@dataclass(frozen=True)
class TensorFacts:
    """A parameter tensor: its name in the model, its shape, dtype, the layer that owns it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    layer: str
    trainable: bool = True

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Facts:
    """What is known of the training before its first step."""

    framework: str
    tensors: tuple[TensorFacts, ...]
    layers: tuple[LayerFacts, ...]  # empty without a probe
    probe_samples: int = 0
    gradient_point: str = ""  # which gradient is seen: "before the update, after clipping, ..."
    device: str = "cpu"
    spread: bool = False  # each tensor has parts in several processes; see `adapters.parts`
    probes: Mapping[str, ProbeFacts] = field(default_factory=dict)  # by name; the first is the default one

    @property
    def tensor_names(self) -> tuple[str, ...]:
        return tuple(t.name for t in self.tensors)

    @property
    def default_probe(self) -> str:
        """The name of the first probe; "" without any."""
        return next(iter(self.probes), "")

    def seen_by(self, probe: str) -> Facts:
        """The facts for an instrument that looks at this probe: `layers` and `probe_samples` are its own."""
        if probe not in self.probes or probe == self.default_probe:
            return self
        return replace(self, layers=self.probes[probe].layers, probe_samples=self.probes[probe].samples)


@dataclass(frozen=True)
class Reading:
    """One training step (or probe) in host memory. Arrays run over `facts.tensors`; a tensor that did not step is NaN.

    `step` is the number of updates completed before the weights that the numbers describe.
    """

    step: int
    epoch: int
    time: float
    table: Mapping[Statistic, np.ndarray] = field(default_factory=dict)
    stepped: np.ndarray | None = None  # (tensor,) bool
    activations: Mapping[str, np.ndarray] = field(default_factory=dict)  # layer -> (sample, unit, ...)
    probes: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)  # probe -> its activations
    outputs: Mapping[str, np.ndarray] = field(default_factory=dict)  # probe -> (sample, ...) the model's predictions
    failed: Mapping[str, Exception] = field(default_factory=dict)  # probe, "" the default one -> why its pass failed
    raw: Mapping[tuple[Quantity, str], np.ndarray] = field(default_factory=dict)
    scalars: Mapping[str, float] = field(default_factory=dict)
    model: Any = None
    previous: Mapping[Statistic, np.ndarray] = field(default_factory=dict)  # the table of the update before, where it
    # was read; WEIGHT_NORM is that of each tensor before its last update
    shared: dict[Any, Any] = field(default_factory=dict, compare=False)  # what instruments make of it for one another

    def __getitem__(self, statistic: Statistic) -> np.ndarray:
        return self.table[statistic]

    def seen_by(self, probe: str) -> Reading:
        """The reading for an instrument that looks at this probe: `activations` are those of its own."""
        return replace(self, activations=self.probes[probe]) if probe in self.probes else self


@dataclass(frozen=True)
class Plan:
    """What the pass before the next update has to compute; the union of what the due instruments want."""

    statistics: frozenset[Statistic] = frozenset()
    keep_weights: bool = False  # UPDATE_NORM or a raw update is wanted at the following step
    raw: frozenset[tuple[Quantity, str]] = frozenset()
    keep_signs: bool = False  # one of OF_SIGNS is wanted at the following step; the weights are kept as well then
    tau: tuple[float, float] = signs.TAU  # of NEAR_ZERO and NEAR_ZERO_TIGHT
    relative_tau: float = signs.RELATIVE_TAU  # of NEAR_ZERO_RELATIVE
    keep_turns: bool = False  # one of OF_TURNS is wanted at the following step; signs and weights are kept as well then

    averages: Plan | None = None  # the moving averages take in this update, and this is computed of them, as of tensors

    @property
    def signs(self) -> bool:
        """Whether gradients are needed entry by entry, beside those of the update before."""
        return self.keep_signs or self.turns or not OF_SIGNS.isdisjoint(self.statistics)

    @property
    def turns(self) -> bool:
        """Whether whole gradients of the update before are needed."""
        return self.keep_turns or not OF_TURNS.isdisjoint(self.statistics)

    def __bool__(self) -> bool:
        kept = self.keep_weights or self.keep_signs or self.keep_turns
        return bool(self.statistics or kept or self.raw) or self.averages is not None


class Collected(NamedTuple):
    """What an adapter gathered for one iteration of the user's loop."""

    table: Mapping[Statistic, np.ndarray]  # empty where nothing was wanted or no update happened
    stepped: np.ndarray  # (tensor,) bool: measured before an update
    raw: Mapping[tuple[Quantity, str], np.ndarray]
    scalars: Mapping[str, float]  # the user's, and learning_rate, gradient_norm_before_clipping, clip_factor, ...
    notes: tuple[tuple[str, str], ...] = ()  # (event kind, text): "update skipped by the gradient scaler"
    arrived: tuple[TensorFacts, ...] = ()  # tensors that came in this iteration; from here on arrays run over them too
    norms_before: np.ndarray | None = (
        None  # (tensor,) of weights at the update before, where that was in this iteration
    )
    # as well; else NaN


class Probed(NamedTuple):
    """What a model answered to one probe, in eval mode."""

    activations: Mapping[str, np.ndarray]  # layer -> (sample, unit, ...) float32
    outputs: Mapping[str, np.ndarray]  # "" -> (sample, ...) its predictions; of several models by the model's name


class Adapter(Protocol):
    """A framework behind a few verbs. All of it runs on the training thread; nothing of it changes the training.

    `lag` is how many iterations results trail their step: 0 on a CPU, 1 where the device is asynchronous. `collect`
    then returns a thunk whose result is only asked for `lag` iterations later, or some more, or at the end: it stays
    what it is, whatever comes after it.

    Some have more, which is asked for where it is used: `take_seconds()`, what its hooks took of the training's time;
    `watch(optimizer)`, one that comes with a phase; `callback(run)`, for the framework's own loop; `load(path, key=)`,
    the weights of a checkpoint; `processes` and `together(...)`, which gives a `Together`; and what `Foreseeing` has.
    """

    lag: int

    def facts(self) -> Facts: ...
    def attach(self, plan: Callable[[], Plan]) -> None:
        """Watch the optimizers; before each update, and only then, `plan()` says what to compute in one pass."""
        ...

    def collect(self, scalars: Mapping[str, Any]) -> Callable[[], Collected]:
        """End one iteration of the user's loop: a thunk for what was gathered since the last call."""
        ...

    def read(self, plan: Plan) -> Collected:
        """One pass now, outside an update and at once: weights and their last update; gradients are NaN."""
        ...

    def probe(self, name: str = "") -> Probed:
        """One forward pass of the probe of this name ("": the first one), without a trace in the model."""
        ...

    def inputs(self, name: str) -> Mapping[str, np.ndarray]:
        """Input -> (sample, ...), what the model is asked by this probe; {} where it is not to be kept, or not all."""
        ...

    def augment(self) -> None:
        """Add the probe "augmentations", made of the first one's images; before `facts` is asked for."""
        ...

    def save(self, path: Path) -> None:
        """Write the weights (only) to `path`, which does not exist yet."""
        ...

    def model(self) -> Any: ...
    def detach(self) -> None:
        """Leave nothing behind; may be called twice."""
        ...


@runtime_checkable
class Foreseeing(Protocol):
    """What an adapter also has whose updates run where Python does not: in a compiled graph."""

    @property
    def unread(self) -> bool:
        """Whether there were updates since the last `collect`, in which alone it calls `plan`."""
        ...

    def expect(self, wants: Callable[[int], bool]) -> None:
        """Told when something has changed: `wants(k)`, whether the k-th coming update will be measured."""
        ...

    def bytes_for(self, wants: Callable[[int], bool]) -> int:
        """The memory that it takes for these updates, also before it takes it."""
        ...


class Together(Adapter, Protocol):
    """What an adapter also has that measures parts of tensors, of which other processes have the others.

    All processes call the same verbs in the same order, and one of them writes the run.
    """

    leads: bool  # whether this process does

    def tell(self, text: str) -> None:
        """To all other processes, once."""
        ...

    def hear(self) -> str:
        """What the one that writes told."""
        ...

    def hurry(self) -> None:
        """Wait for no process any more that may be gone."""
        ...

    def gather(self) -> None:
        """Take the whole weights from all processes; `save` follows where this one writes."""
        ...


class Instrument(Protocol):
    """One phenomenon: what it needs, what it stores, how it is measured. Nobody inherits from it."""

    name: str
    statistics: frozenset[Statistic]
    needs: frozenset[Need]

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        """The series it will fill; options and shapes decide."""
        ...

    def measure(self, reading: Reading) -> Mapping[str, Any]:
        """{series name: (item, *shape) array}, every declared series, in plain numpy."""
        ...


@runtime_checkable
class WantsRaw(Protocol):
    """What an instrument with `Need.RAW` also has: which tensors it wants whole."""

    def raw(self, facts: Facts) -> frozenset[tuple[Quantity, str]]: ...


@runtime_checkable
class HasTau(Protocol):
    """What the instrument that looks at near-zero gradients also has: what is near, and what is nearer."""

    tau: tuple[float, float]


@runtime_checkable
class HasRelativeTau(Protocol):
    """What the instrument also has that looks at gradients which are small beside the others of their tensor."""

    relative_tau: float


class Finished(Exception):
    """Raised by an instrument that has measured all it may; its text is noted in the run, and it rests."""
