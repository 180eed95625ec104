"""Which parts of the documents are made from the code? Writes them anew between their marks: python assets/readme.py

A part stands between `<!-- NAME: made by make readme -->` and `<!-- end -->`; `PARTS` says what is written there.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recorder.analysis.augmentations import Augmentation
from recorder.instruments import INSTRUMENTS
from recorder.probe import AUGMENTATIONS, DEFAULT
from recorder.reading import Facts, LayerFacts, ProbeFacts, TensorFacts
from recorder.recording.presets import PRESETS, of_preset

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NAMES = {*PRESETS, *(instrument.name for instrument in INSTRUMENTS)}

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
    heads = "instrument", *WHEN, "question"
    return _markdown([heads, ["---"] * len(heads), *((f"`{i.name}`", *_when(i), _question(i)) for i in INSTRUMENTS)])


def table() -> str:
    """The rows as a Markdown table; an instrument is named at the first of its series."""
    heads = "instrument", "series", "unit", *WHEN, "what it is"
    lines: list[Sequence[str]] = [heads, ["---"] * len(heads)]
    before = ""
    for instrument, series, *rest in rows():
        lines.append((f"`{instrument}`" if instrument != before else "", f"`{series}`", *rest))
        before = instrument
    return _markdown(lines)


def _when(instrument: Any) -> list[str]:
    """When each preset measures with it."""
    return [
        next((str(s.schedule) for s in of_preset(preset) if s.instrument.name == instrument.name), "")
        for preset in PRESETS
    ]


def _question(instrument: Any) -> str:
    """The first sentence of its module."""
    return (sys.modules[instrument.__module__].__doc__ or "").partition("\n")[0].partition("? ")[0].rstrip("?") + "?"


def overhead() -> str:
    """The measured ratios of recorded to bare training steps, one row a variant, one column a network."""
    found = json.loads((RESULTS / "overhead.json").read_text())
    return f"{_ratios('recorded', [*found['presets'], *found['instruments']]).rstrip()}\n\n{_passes(found['pass'])}"


def _passes(found: Sequence[Mapping[str, Any]]) -> str:
    """How near the pass over tensors comes to the speed of memory."""
    told = {p["what"]: p["ns_an_entry"] / p["limit_ns"] for p in found}
    return (
        "The pass over tensors alone, on one that no cache holds, in the time that this thread takes to read the\n"
        f"bytes it moves: `dynamics` {told['dynamics']:.2f}, `full` {told['full']:.2f} (1.25), in an epoch's mean."
    )


def peers() -> str:
    """The same for the preset that looks at every gradient, and for what else one can do at every step."""
    found = json.loads((RESULTS / "overhead.json").read_text())
    return _ratios("at every step", [*(s for s in found["presets"] if s["variant"] == "dynamics"), *found["peers"]])


def keras() -> str:
    """The same for Keras models."""
    found = json.loads((RESULTS / "overhead_keras.json").read_text())
    rows = [{"variant": f"`{row['preset']}`, {row['way']}", "whole": row["ratio"], **row} for row in found["rows"]]
    return _ratios("recorded", rows)


def explorer() -> str:
    """What the explorer needs on a run of a million steps."""
    found = json.loads((RESULTS / "explorer.json").read_text())
    keys = found["keys"].values()
    rows = [
        ["measured", "value"],
        ["---", "---"],
        ["first frame", f"{found['first_frame_s']:.2f} s"],
        ["CPU from a key to its frame", f"{_span([k['cpu_ms'] for k in keys])} ms"],
        *([f"correlations, {name}", f"{key['cpu_ms']:.0f} ms"] for name, key in found["pairs"]["keys"].items()),
        ["bytes to the terminal for a key", f"{_span([k['bytes'] / 1000 for k in keys])} kB"],
        ["memory", f"{found['memory_mib']:.0f} MiB (peak {found['peak_mib']:.0f} MiB)"],
        ["bytes to the terminal while nothing changes", f"{found['idle_bytes']}"],
    ]
    return _markdown(rows)


def correlation() -> str:
    """How near correlations come to the speed of a matrix product."""
    found = json.loads((RESULTS / "correlation.json").read_text())
    heads = [
        "r of all pairs",
        "samples",
        "time",
        "share of the limit",
        "its summary",
        "times as fast as `numpy.corrcoef`",
    ]
    rows = [heads, ["---", *("---:" for _ in heads[1:])]]
    for f in found["layers"]:
        numbers = f"{f['samples']:,}", f"{f['correlation_ms']:.1f} ms", f"{f['correlation']:.0%}", f"{f['summary']:.0%}"
        rows.append([f"{f['layers']}, {f['units']:,} units", *numbers, f"{f['faster']:.1f}"])
    return _markdown(rows)


def crash() -> str:
    """What became of trainings that were killed."""
    found = json.loads((RESULTS / "crash.json").read_text())
    lines = " and ".join(
        sorted({version for pair in found["h5py of writers and readers"] for version in pair.split(" -> ")})
    )
    return (
        f"{sum(found['kills'].values()):,} trainings killed at random moments (recording, packing, closing, repairing; "
        f"h5py {lines} reading each other): {found['rows acknowledged']:,} rows acknowledged, "
        f"{found['acknowledged rows lost']} lost, {found['numbers changed']} numbers changed."
    )


def _ratios(heading: str, steps: Sequence[Mapping[str, Any]]) -> str:
    """One row a variant, one column a network; what was aimed at stands behind."""
    ratios = {(s["variant"], s["network"]): s for s in steps}
    networks = list(dict.fromkeys(s["network"] for s in steps))
    rows = [[heading, *networks], ["---", *("---:" for _ in networks)]]
    for variant in dict.fromkeys(s["variant"] for s in steps):
        name = f"`{variant}`" if variant in NAMES else variant
        cells = (ratios[variant, network] for network in networks)
        rows.append([name, *(f"{c['whole']:.3f}" + (f" ({c['budget']:.2f})" if c["budget"] else "") for c in cells)])
    return _markdown(rows)


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.0f} to {max(values):.0f}"


def _markdown(rows: Iterable[Sequence[str]]) -> str:
    escaped = ([cell.replace("|", r"\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped) + "\n"


PARTS: dict[str, dict[str, Callable[[], str]]] = {  # document -> part -> its text
    "README.md": {
        "instruments": overview,
        "overhead": overhead,
        "peers": peers,
        "keras": keras,
        "correlation": correlation,
        "crash": crash,
        "explorer": explorer,
    },
    "docs/instruments.md": {"series": table},
}


def filled(document: str) -> str:
    """The document's text with each part as the code has it now."""
    text = (ROOT / document).read_text()
    for name, make in PARTS[document].items():
        mark = f"<!-- {name}: made by make readme -->"
        pattern = re.compile(f"{re.escape(mark)}\n.*?<!-- end -->", re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise ValueError(f"{document}: expected one part between {mark!r} and '<!-- end -->'")
        part = f"{mark}\n{make().strip()}\n<!-- end -->"
        text = pattern.sub(lambda _, part=part: part, text)
    return text


if __name__ == "__main__":
    for document in PARTS:
        (ROOT / document).write_text(filled(document))
