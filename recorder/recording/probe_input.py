"""What was the model asked? The inputs of every probe go into the run once, before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recorder.analysis.augmentations import IDENTITY
from recorder.number import size
from recorder.probe import INPUT
from recorder.reading import Adapter, Facts, ProbeFacts
from recorder.recording.player import Row
from recorder.runfile.schema import Kind, Series

AXIS = "probe"
LARGEST = 32 << 20  # bytes of all of them
SHARE = 8  # and no more than one such part of what the run may take
DOC = "What the model is asked: the inputs of the probe, as it takes them."


@dataclass(frozen=True)
class ProbeInput:
    """What is kept of the probes' inputs, and what there is to say of those that are not."""

    series: tuple[Series, ...] = ()  # one for each dtype
    row: Row | None = None
    notes: tuple[str, ...] = ()


def probe_input(
    adapter: Adapter, facts: Facts, *, kept: Mapping[str, str] | None = None, max_size: int | None = None
) -> ProbeInput:
    """The inputs that are kept; `kept` are the digests of probes that the run has already.

    Of augmented images that take too much the clean ones are kept: the others can be made again.
    """
    room = LARGEST if max_size is None else min(LARGEST, max_size // SHARE)
    found: dict[str, dict[str, np.ndarray]] = {}  # series -> item -> what is kept
    notes = []
    for name, probe in facts.probes.items():
        if (kept or {}).get(name) == probe.digest:
            continue
        inputs = adapter.inputs(name)
        if _bytes(inputs) > room and probe.augmentations:
            inputs = {key: _clean(array, probe) for key, array in inputs.items()}
        if (needed := _bytes(inputs)) > room:
            notes.append(
                f"the inputs of the probe {name!r} take {size(needed)} and are not kept in the run, which has room for "
                f"{size(room)} of them; fewer samples would be"
            )
            continue
        room -= needed
        for key, array in inputs.items():
            home = INPUT if array.dtype == _first(found, array).dtype else f"{INPUT}_{array.dtype.name}"
            found.setdefault(home, {})[f"{name}/{key}" if key else name] = array
    return ProbeInput(tuple(_series(home, items) for home, items in found.items()), dict(found) or None, tuple(notes))


def _first(found: Mapping[str, Mapping[str, np.ndarray]], array: np.ndarray) -> np.ndarray:
    return next(iter(found[INPUT].values())) if INPUT in found else array


def _series(name: str, items: Mapping[str, np.ndarray]) -> Series:
    dtype = next(iter(items.values())).dtype.name
    return Series(name, Kind.RAW, "", DOC, tuple(items), dtype=dtype, item_dim="probe", axis=AXIS,
                  ragged=tuple(array.shape for array in items.values()), between=True)  # fmt: skip


def _clean(array: np.ndarray, probe: ProbeFacts) -> np.ndarray:
    return array[[one.transform == IDENTITY for one in probe.augmentations]]


def _bytes(inputs: Mapping[str, np.ndarray]) -> int:
    return sum(array.nbytes for array in inputs.values())
