"""Which instruments are there: what does each record, how often, in which preset? The README's table is made here."""

from __future__ import annotations

from recorder.instruments import INSTRUMENTS
from recorder.presets import DEFAULT_SCHEDULES, PRESETS
from recorder.reading import Facts, LayerFacts, TensorFacts

# A model with everything that an instrument may ask for, so that each declares all of its series.
EXAMPLE = Facts(
    framework="example",
    tensors=(TensorFacts("weight", (2, 3), "float32", "layer"),),
    layers=(LayerFacts("layer", "Tanh", (2,)),),
    probe_samples=8,
)
HEADINGS = ("instrument", "series", "unit", "recorded by itself", "preset", "what it is")


def rows() -> tuple[tuple[str, ...], ...]:
    """One row a series: (instrument, series, unit, default schedule, presets, sentence)."""
    found = []
    for instrument in INSTRUMENTS:
        presets = ", ".join(
            f"{preset} ({s.schedule})"
            for preset, make in PRESETS.items()
            for s in make()
            if s.instrument.name == instrument.name
        )
        for series in instrument().declare(EXAMPLE):
            schedule = str(DEFAULT_SCHEDULES[instrument.name])
            found.append((instrument.name, series.name, series.unit, schedule, presets or "on request", series.doc))
    return tuple(found)


def table() -> str:
    """The rows as a Markdown table."""
    cells = (HEADINGS, tuple("---" for _ in HEADINGS), *(_quoted(row) for row in rows()))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells) + "\n"


def _quoted(row: tuple[str, ...]) -> tuple[str, ...]:
    instrument, series, unit, *rest = row
    return (f"`{instrument}`", f"`{series}`", unit, *rest)
