"""What was the model asked: the inputs of a probe as they were kept in the run, and what one of them looks like?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from recorder.analysis.augmentations import IDENTITY, augment
from recorder.probe import ProbeFacts, is_input
from recorder.view import RunView, Window


def probe_facts(run: RunView, probe: str) -> ProbeFacts | None:
    """What the run says of a probe; None where it says nothing of that name, or nothing that can be."""
    known = run.meta.get("probes")
    told = known.get(probe) if isinstance(known, Mapping) else None
    try:
        return ProbeFacts.told(told) if isinstance(told, Mapping) else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def inputs(run: RunView, probe: str) -> dict[str, np.ndarray]:
    """{input: (sample, ...)} as the model took it, "" where it takes one; {} where they were not kept.

    Augmented images of which only the clean ones were kept are made again. bfloat16 is given as float32; the facts'
    `dtypes` say so.
    """
    facts = probe_facts(run, probe)
    found = {item.partition("/")[2]: _stored(run, item, None) for item in _items(run, probe)}
    if facts is None or not facts.augmentations or facts.picture is None:
        return found
    places = _places(facts)
    again = [replace(one, sample=places[one.sample]) for one in facts.augmentations]
    return {
        key: array if len(array) == facts.samples else augment(array, again, facts.picture)
        for key, array in found.items()
    }


def thumbnail(run: RunView, probe: str, sample: int) -> np.ndarray | None:
    """One sample as one looks at it: (height, width[, 3]) from 0, black, to 1; None where there is no picture of it."""
    facts, items = probe_facts(run, probe), _items(run, probe)
    if facts is None or facts.picture is None or not items or not 0 <= sample < facts.samples:
        return None
    item = items[0]
    name = _home(run, item)
    if name is not None and facts.augmentations and run.series[name].shape_of(item)[0] != facts.samples:
        how = facts.augmentations[sample]
        at = _places(facts)[how.sample]
        image = augment(_stored(run, item, (at, at + 1)), [replace(how, sample=0)], facts.picture)
    else:
        image = _stored(run, item, (sample, sample + 1))
    return facts.picture.shown(image)[0] if len(image) else None


def _items(run: RunView, probe: str) -> list[str]:
    """The probe's inputs, of any dtype."""
    known = [item for name, s in run.series.items() if is_input(name) for item in s.items]
    return [item for item in known if item == probe or item.startswith(f"{probe}/")]


def _home(run: RunView, item: str) -> str | None:
    return next((name for name, s in run.series.items() if is_input(name) and item in s.items), None)


def _stored(run: RunView, item: str, part: tuple[int, int] | None) -> np.ndarray:
    """The samples that were kept last, or some of them; none where their row has not come yet."""
    name = _home(run, item)
    assert name is not None
    steps = run.clock(name, item).step
    shape = run.series[name].shape_of(item)
    if not len(steps):
        return np.empty((0, *shape[1:]), run.series[name].dtype)
    _, rows = run.rows(name, item, Window(int(steps[-1]), points=1), part=part)
    return np.asarray(rows[-1])


def _places(facts: ProbeFacts) -> dict[int, int]:
    """Where the clean image of each sample is among the clean ones."""
    return {one.sample: k for k, one in enumerate(a for a in facts.augmentations if a.transform == IDENTITY)}
