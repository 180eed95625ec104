"""What is recorded when nothing, a preset or a list is asked for, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from recorder.adapters.parts import adds_up
from recorder.errors import RecordError
from recorder.instruments import INSTRUMENTS
from recorder.probe import suffixed, unsuffixed
from recorder.reading import Facts, Instrument, Need
from recorder.recording.player import suffix_of
from recorder.schedule import Named, Schedule, Scheduled, at_end, each_epoch, epoch_ends, every, pairs

Ask = str | Instrument | Scheduled | Named

# What each comes to, in this order; without a schedule that of the instrument.
PRESETS: Mapping[str, tuple[str | Named, ...]] = {
    "light": ("gradient_norm", "weight_norm", "update_ratio", "activation_statistics"),
    "dynamics": (
        every(1, "gradient_norm"),
        "weight_norm",
        "update_ratio",
        every(1, "weight_change"),
        "near_zero",
        "sign_flips",
        "local_extrema",
        "activation_statistics",
    ),
    "full": (
        every(1, "gradient_norm"),
        every(1, "weight_norm"),
        every(1, "update_ratio"),
        every(1, "weight_change"),
        "near_zero",
        "sign_flips",
        "local_extrema",
        "gradient_angle",
        "change_cosine",
        "secant_curvature",
        "near_zero_movement",
        "near_zero_relative",
        "moving_averages",
        "sign_map",
        "activation_statistics",
        "weight_histogram",
        "gradient_histogram",
        "update_histogram",
        "activation_histogram",
        "unit_correlation",
        "correlation_summary",
        "sample_correlation",
        "cka",
        "effective_dimension",
    ),
}

# How often an instrument is due that is asked for without a schedule.
DEFAULT_SCHEDULES: Mapping[str, Schedule] = {
    "gradient_norm": pairs(10),
    "weight_norm": pairs(10),
    "update_ratio": every(10, start=1),  # the second step of each pair: the first one keeps the weights to compare
    "weight_change": every(10, start=1),
    "near_zero": every(1),
    "sign_flips": every(1),
    "local_extrema": every(1),
    "gradient_angle": pairs(10),
    "change_cosine": pairs(10),
    "secant_curvature": pairs(10),
    "near_zero_movement": pairs(10),
    "near_zero_relative": every(1),
    "moving_averages": pairs(10),
    "sign_map": epoch_ends(),
    "activation_statistics": each_epoch(),
    "weight_histogram": each_epoch(),
    "gradient_histogram": epoch_ends(),
    "update_histogram": every(100, start=1),  # it compares with the step before, and when an epoch ends is not known
    "activation_histogram": each_epoch(),
    "unit_correlation": each_epoch(),
    "correlation_summary": each_epoch(),
    "sample_correlation": each_epoch(),
    "cka": each_epoch(),
    "effective_dimension": each_epoch(),
    "augmentation_variance": at_end(),
    "raw_snapshots": each_epoch(),
    "raw_activations": each_epoch(),
    "probe_activations": each_epoch(),
}


def of_preset(name: str) -> tuple[Scheduled, ...]:
    """The instruments of a preset, each made anew."""
    return tuple(map(_one, PRESETS[name]))


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
        if isinstance(ask, str) and ask in PRESETS:
            yield True, of_preset(ask)
        else:
            yield False, (_one(ask),)


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
