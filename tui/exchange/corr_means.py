"""What is in corr_means.json? The mean correlation of each pair of layers, epoch by epoch, and nothing else.

    corr_means.json           {"0": [[mean r, ...], ...], "1": ...}: layers by layers, the same on both sides
    corr_means_layers.json    ["fc1", "fc2", ...]: the layers of its rows and columns

The epochs are those completed, "0" is the start; of several rows of an epoch the first counts. null: not defined.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recorder.analysis.layer_pairs import layers_of, square
from recorder.errors import ExportError, NotRecordedError
from recorder.runfile.reader import Run
from tui.exchange.json_file import plain
from tui.exchange.quantities import Span
from tui.export import one_file

NAME = "corr_means"
SERIES = "correlation_mean"
INSTRUMENT = "correlation_summary"


def asked(names: Sequence[str]) -> bool:
    """Whether it is what is to be exported; of another probe it is called corr_means@noise."""
    return any(name.partition("@")[0] == NAME for name in names)


def contents(
    run: Run, names: Sequence[str], *, span: Span = Span(), item: str | None = None  # noqa: B008  frozen
) -> dict[str, str]:  # fmt: skip
    """{what goes behind the file's name: text}

    Raises:
        NotRecordedError: the run has no correlations of layers.
        ExportError: something else was asked for in the same command.
    """
    if len(names) > 1 or item is not None:
        raise ExportError(f"{NAME} is a file of its own: export it without other names and without --item")
    series = SERIES + names[0].removeprefix(NAME)
    if series not in run.series:
        raise NotRecordedError(
            f"{run.path}: {names[0]} is made of {series!r}, which was not recorded; record it with "
            f'instruments=["{INSTRUMENT}"] or "full", and a probe'
        )
    items = run.series[series].items
    found: dict[int, np.ndarray] = {}
    for k, pair in enumerate(items):
        clock, values = run.clock(series, pair), run.values(series, pair)
        chosen = span.of(clock.step)
        epochs, first = np.unique(clock.epoch[chosen], return_index=True)
        for epoch, value in zip(epochs.tolist(), values[chosen][first].tolist(), strict=True):
            found.setdefault(epoch, np.full(len(items), np.nan, values.dtype))[k] = value
    if not found:
        raise ExportError(f"{run.path}: {series} has no rows there")
    rows = (f"{json.dumps(str(epoch))}: {json.dumps(plain(square(found[epoch], items)))}" for epoch in sorted(found))
    return {"": "{" + ",\n ".join(rows) + "}\n", "_layers": json.dumps(layers_of(items), ensure_ascii=False) + "\n"}


def paths(output: str | None, name: str, parts: Sequence[str]) -> list[Path]:
    """Where these parts go: corr_means.json here or in the folder that is named, or where it is wanted."""
    path = one_file(output, f"{name}.json")
    return [path.with_name(f"{path.stem}{part}{path.suffix or '.json'}") for part in parts]
