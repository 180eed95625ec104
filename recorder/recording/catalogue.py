"""Which instruments are there: what does each record, how often, in which preset? The README's table is made here."""

from __future__ import annotations

from recorder.instruments import INSTRUMENTS
from recorder.reading import Facts, LayerFacts, TensorFacts
from recorder.recording.presets import PRESETS

# A model with everything that an instrument may ask for, so that each declares all of its series.
EXAMPLE = Facts(
    framework="example",
    tensors=(TensorFacts("weight", (2, 3), "float32", "layer"),),
    layers=(LayerFacts("layer", "Tanh", (2,)),),
    probe_samples=8,
)
HEADINGS = ("instrument", "series", "unit", *(f"`{preset}`" for preset in PRESETS), "what it is")


def rows() -> tuple[tuple[str, ...], ...]:
    """One row a series: (instrument, series, unit, when each preset records it, sentence)."""
    found = []
    for instrument in INSTRUMENTS:
        when = [
            next((str(s.schedule) for s in make() if s.instrument.name == instrument.name), "")
            for make in PRESETS.values()
        ]
        found += [
            (instrument.name, series.name, series.unit, *when, series.doc) for series in instrument().declare(EXAMPLE)
        ]
    return tuple(found)


def table() -> str:
    """The rows as a Markdown table; an instrument is named at the first of its series."""
    lines, before = [HEADINGS, tuple("---" for _ in HEADINGS)], ""
    for instrument, series, *rest in rows():
        lines.append((f"`{instrument}`" if instrument != before else "", f"`{series}`", *rest))
        before = instrument
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
