"""Which instruments are there: what does each record, how often, in which preset? The tables of the documents."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from recorder.analysis.augmentations import Augmentation
from recorder.instruments import INSTRUMENTS
from recorder.probe import AUGMENTATIONS, DEFAULT
from recorder.reading import Facts, LayerFacts, ProbeFacts, TensorFacts
from recorder.recording.presets import PRESETS

# A model with everything that an instrument may ask for, so that each declares all of its series.
AUGMENTED = (Augmentation(0, "identity", 0.0), Augmentation(0, "blur", 1.0))
EXAMPLE = Facts(
    framework="example",
    tensors=(TensorFacts("weight", (2, 3), "float32", "layer"),),
    layers=(LayerFacts("layer", "Tanh", (2,)),),
    probe_samples=8,
    probes={
        DEFAULT: ProbeFacts(8, outputs={"": (2,)}),
        AUGMENTATIONS: ProbeFacts(2, augmentations=AUGMENTED),
    },
)
WHEN = tuple(f"`{preset}`" for preset in PRESETS)


def rows() -> tuple[tuple[str, ...], ...]:
    """One row a series: (instrument, series, unit, when each preset records it, sentence)."""
    found = []
    for instrument in INSTRUMENTS:
        found += [
            (instrument.name, series.name, series.unit, *_when(instrument), series.doc)
            for series in instrument().declare(EXAMPLE)
        ]
    return tuple(found)


def overview() -> str:
    """A Markdown table of the instruments: the question that each answers, and when each preset asks it."""
    return _markdown(
        ("instrument", *WHEN, "question"),
        ((f"`{one.name}`", *_when(one), _question(one)) for one in INSTRUMENTS),
    )


def table() -> str:
    """The rows as a Markdown table; an instrument is named at the first of its series."""
    lines, before = [], ""
    for instrument, series, *rest in rows():
        lines.append((f"`{instrument}`" if instrument != before else "", f"`{series}`", *rest))
        before = instrument
    return _markdown(("instrument", "series", "unit", *WHEN, "what it is"), lines)


def _when(instrument: Any) -> list[str]:
    """When each preset measures with it."""
    return [
        next((str(s.schedule) for s in make() if s.instrument.name == instrument.name), "") for make in PRESETS.values()
    ]


def _question(instrument: Any) -> str:
    """The first sentence of its module."""
    return (sys.modules[instrument.__module__].__doc__ or "").partition("\n")[0].partition("? ")[0].rstrip("?") + "?"


def _markdown(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    table = [headings, ["---"] * len(headings), *([cell.replace("|", r"\|") for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in table) + "\n"
