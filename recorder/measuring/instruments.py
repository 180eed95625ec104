"""Which instruments can look at a checkpoint, and why not the others? One that needs activations, the model or weights.

A checkpoint holds the weights after some update, and nothing of the update itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recorder.errors import RecordError
from recorder.measuring.factory import made
from recorder.probe import suffixed
from recorder.reading import COMPARING, Facts, Instrument, Need
from recorder.recording.player import OF_WEIGHTS, Player, players, suffix_of
from recorder.recording.presets import PRESETS, by_name, of_preset
from recorder.schedule import Moment, Scheduled

Ask = str | Instrument


@dataclass(frozen=True)
class AtCheckpoints:
    """Each checkpoint; an axis for each instrument, so that one that fails or is added later has steps of its own."""

    instrument: str

    @property
    def axis(self) -> str:
        return f"measured_{self.instrument.replace('@', '.')}"

    def __str__(self) -> str:
        return "at checkpoints"

    def due(self, moment: Moment, *, thin: int = 1) -> bool:  # noqa: ARG002
        return True

    @property
    def rates(self) -> tuple[float, float]:
        return 0.0, 0.0


def lacking(instrument: Instrument) -> str:
    """Why it cannot look at a checkpoint; "" where it can."""
    if instrument.needs & {Need.PROBE, Need.MODEL}:
        return ""
    if Need.RAW in instrument.needs:
        return "keeps whole tensors of a training; record it while it trains"
    if not COMPARING.isdisjoint(instrument.statistics):
        return "compares an update with the one before, and a checkpoint holds neither; record it while it trains"
    if not instrument.statistics <= OF_WEIGHTS:
        return "looks at gradients, and a checkpoint holds none; record it while it trains"
    return ""


def asked(names: Ask | Sequence[Ask], *, probe: str = "") -> tuple[Instrument, ...]:
    """The instruments, each once: by name, by preset, by "package.module:factory", or as they are.

    Those that look at the default probe look at `probe` instead, where one is given. RecordError where a name is
    unknown, or is that of an instrument that cannot look at a checkpoint.
    """
    found: dict[str, Instrument] = {}
    for ask in [names] if isinstance(names, str) or not isinstance(names, Sequence) else names:
        if isinstance(ask, str) and ask in PRESETS:
            several = [s.instrument for s in of_preset(ask) if not lacking(s.instrument)]
        else:
            one = (
                made(ask, "instrument", is_one=_is_instrument)
                if not isinstance(ask, str) or ":" in ask
                else by_name(ask)
            )
            if not _is_instrument(one):
                raise RecordError(f"instrument {ask!r}: expected one, or the name of one, got {type(one).__name__}")
            if why := lacking(one):
                raise RecordError(f"{one.name!r} {why}; layerscope measure RUN --list says what can be measured")
            several = [one]
        for one in several:
            if probe and Need.PROBE in one.needs and not getattr(one, "probe", ""):
                one.probe = probe  # type: ignore[attr-defined]
            found[f"{one.name}@{getattr(one, 'probe', '')}"] = one
    if not found:
        raise RecordError("measure: no instrument was named; layerscope measure RUN --list says what can be measured")
    return tuple(found.values())


def playing(instruments: Sequence[Instrument], facts: Facts) -> tuple[Player, ...]:
    """The instruments with their series declared."""
    names = [suffixed(one.name, suffix_of(one, facts)) for one in instruments]
    return players((Scheduled(AtCheckpoints(n), one) for n, one in zip(names, instruments, strict=True)), facts)


def probes_of(instruments: Sequence[Instrument]) -> tuple[str, ...]:
    """The names of the probes that they look at, "" the default one."""
    return tuple(dict.fromkeys(getattr(one, "probe", "") for one in instruments if Need.PROBE in one.needs))


def _is_instrument(one: object) -> bool:
    return callable(getattr(one, "measure", None)) and not isinstance(one, type)
