"""What is recorded when nothing, a preset or a list is asked for, and how often."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from recorder.adapters.parts import adds_up
from recorder.errors import RecordError
from recorder.instruments import (
    INSTRUMENTS,
    ActivationHistogram,
    ActivationStatistics,
    AugmentationVariance,
    ChangeCosine,
    Cka,
    CorrelationSummary,
    EffectiveDimension,
    GradientAngle,
    GradientHistogram,
    GradientNorm,
    LocalExtrema,
    MovingAverages,
    NearZero,
    NearZeroMovement,
    NearZeroRelative,
    ProbeActivations,
    RawActivations,
    RawSnapshots,
    SampleCorrelation,
    SecantCurvature,
    SignFlips,
    SignMap,
    UnitCorrelation,
    UpdateHistogram,
    UpdateRatio,
    WeightChange,
    WeightHistogram,
    WeightNorm,
)
from recorder.probe import suffixed, unsuffixed
from recorder.reading import Facts, Instrument, Need
from recorder.recording.player import suffix_of
from recorder.schedule import Named, Schedule, Scheduled, at_end, each_epoch, epoch_ends, every, pairs

Ask = str | Instrument | Scheduled | Named

PRESETS: Mapping[str, Callable[[], tuple[Scheduled, ...]]] = {
    "light": lambda: (
        pairs(10, GradientNorm()),
        pairs(10, WeightNorm()),
        every(10, UpdateRatio(), start=1),  # the second step of each pair: the first one keeps the weights to compare
        each_epoch(ActivationStatistics()),
    ),
    "dynamics": lambda: (
        every(1, GradientNorm()),
        pairs(10, WeightNorm()),
        every(10, UpdateRatio(), start=1),
        every(1, WeightChange()),
        every(1, NearZero()),
        every(1, SignFlips()),
        every(1, LocalExtrema()),
        each_epoch(ActivationStatistics()),
    ),
    "full": lambda: (
        every(1, GradientNorm()),
        every(1, WeightNorm()),
        every(1, UpdateRatio()),
        every(1, WeightChange()),
        every(1, NearZero()),
        every(1, SignFlips()),
        every(1, LocalExtrema()),
        pairs(10, GradientAngle()),
        pairs(10, ChangeCosine()),
        pairs(10, SecantCurvature()),
        pairs(10, NearZeroMovement()),
        every(1, NearZeroRelative()),
        pairs(10, MovingAverages()),
        epoch_ends(SignMap()),
        each_epoch(ActivationStatistics()),
        each_epoch(WeightHistogram()),
        epoch_ends(GradientHistogram()),
        every(100, UpdateHistogram(), start=1),  # it compares with the step before, and when an epoch ends is not known
        each_epoch(ActivationHistogram()),
        each_epoch(UnitCorrelation()),
        each_epoch(CorrelationSummary()),
        each_epoch(SampleCorrelation()),
        each_epoch(Cka()),
        each_epoch(EffectiveDimension()),
    ),
}

# How often an instrument is due that is asked for without a schedule.
DEFAULT_SCHEDULES: Mapping[str, Schedule] = {
    GradientNorm.name: pairs(10),
    WeightNorm.name: pairs(10),
    UpdateRatio.name: every(10, start=1),
    WeightChange.name: every(10, start=1),
    NearZero.name: every(1),
    SignFlips.name: every(1),
    LocalExtrema.name: every(1),
    GradientAngle.name: pairs(10),
    ChangeCosine.name: pairs(10),
    SecantCurvature.name: pairs(10),
    NearZeroMovement.name: pairs(10),
    NearZeroRelative.name: every(1),
    MovingAverages.name: pairs(10),
    SignMap.name: epoch_ends(),
    ActivationStatistics.name: each_epoch(),
    WeightHistogram.name: each_epoch(),
    GradientHistogram.name: epoch_ends(),
    UpdateHistogram.name: every(100, start=1),
    ActivationHistogram.name: each_epoch(),
    UnitCorrelation.name: each_epoch(),
    CorrelationSummary.name: each_epoch(),
    SampleCorrelation.name: each_epoch(),
    Cka.name: each_epoch(),
    EffectiveDimension.name: each_epoch(),
    AugmentationVariance.name: at_end(),
    RawSnapshots.name: each_epoch(),
    RawActivations.name: each_epoch(),
    ProbeActivations.name: each_epoch(),
}


def chosen(asked: Ask | Sequence[Ask], facts: Facts) -> tuple[Scheduled, ...]:
    """Presets, names, instruments and schedules as one list; of two with the same name the later one counts.

    What needs a probe batch is left out of a preset where there is none, and refused where it was asked for by itself;
    as is what needs whole tensors where each process has parts of them.
    """
    found: dict[str, Scheduled] = {}
    for is_preset, some in _each(asked):
        for one in some:
            if not (lacking := _lacking(one.instrument, facts)):
                found[_key(one)] = one
            elif not is_preset:
                raise RecordError(f"{one.instrument.name!r} {lacking}")
    return tuple(found.values())


def _key(scheduled: Scheduled) -> str:
    """What only one can have."""
    return suffixed(scheduled.instrument.name, suffix_of(scheduled.instrument))


def probes_of(asked: Ask | Sequence[Ask]) -> frozenset[str]:
    """The names of the probes that what was asked for looks at, where it says so."""
    return frozenset(name for _, some in _each(asked) for s in some if (name := getattr(s.instrument, "probe", "")))


def left_out(asked: Ask | Sequence[Ask], facts: Facts) -> tuple[str, ...]:
    """The names of what presets leave out since tensors are spread over processes."""
    presets = [some for is_preset, some in _each(asked) if is_preset] if facts.spread else []
    names = dict.fromkeys(s.instrument.name for preset in presets for s in preset if not adds_up(s.instrument))
    return tuple(names)


def _each(asked: Ask | Sequence[Ask]) -> Iterator[tuple[bool, tuple[Scheduled, ...]]]:
    """(whether it is a preset, what it comes to) of each that was asked for."""
    for ask in [asked] if isinstance(asked, str) or not isinstance(asked, Sequence) else asked:
        preset = PRESETS.get(ask) if isinstance(ask, str) else None
        yield (False, (_one(ask),)) if preset is None else (True, preset())


def _lacking(instrument: Instrument, facts: Facts) -> str:
    """What the instrument needs and this training has not; "" if nothing."""
    if Need.PROBE in instrument.needs and not facts.layers:
        return "looks at a probe batch; give one: record(..., probe=images)"
    if facts.spread and not adds_up(instrument):
        return (
            "needs whole tensors, and here each process has a part of them; leave it out, or record this training in "
            "one process or under DistributedDataParallel"
        )
    return ""


def _one(ask: Ask) -> Scheduled:
    if isinstance(ask, Scheduled):
        return ask
    if isinstance(ask, Named):
        return Scheduled(ask.schedule, by_name(ask.name))
    if isinstance(ask, str):
        ask = by_name(ask)
    schedule = DEFAULT_SCHEDULES.get(getattr(ask, "name", ""), every(10))
    if not isinstance(ask, type) and not callable(getattr(ask, "measure", None)):
        raise RecordError(f"instruments: expected presets, names or instruments, got {ask!r}")
    return Scheduled(schedule, ask)


def by_name(name: str) -> Instrument:
    known = {i.name: i for i in INSTRUMENTS}
    if name in known:
        return known[name]()
    base, probe = unsuffixed(name)
    if probe and base in known:
        if Need.PROBE not in known[base].needs:
            raise RecordError(f"{name!r}: {base!r} looks at no probe; leave '@{probe}' out")
        found: Any = known[base]()
        found.probe = probe
        return found
    if name in PRESETS:
        raise RecordError(f"{name!r} is a preset, whose instruments have schedules; put one around an instrument")
    near = get_close_matches(name, [*PRESETS, *known], n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    there_are = f"presets: {', '.join(PRESETS)}; instruments: {', '.join(known)}"
    raise RecordError(f"no preset or instrument is called {name!r}{hint}; {there_are}")
