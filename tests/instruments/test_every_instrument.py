"""What holds for every instrument there is."""

from __future__ import annotations

import re

import numpy as np
import pytest

from assets.readme import rows, table
from recorder.instruments import INSTRUMENTS
from recorder.reading import Need
from recorder.recording.player import checked, players
from recorder.recording.presets import DEFAULT_SCHEDULES, PRESETS, of_preset
from recorder.schedule import Scheduled, every
from tests.instruments.readings import FACTS, reading

RNG = np.random.default_rng(0)
TENSORS = {t.name: RNG.normal(size=t.shape) for t in FACTS.tensors}
FULL = reading(
    weights=TENSORS,
    gradients=TENSORS,
    before={name: 2 * x for name, x in TENSORS.items()},
    activations={layer.name: RNG.normal(size=(5, *layer.shape)) for layer in FACTS.layers},
    raw={("gradient", name): x for name, x in TENSORS.items()},
)
EMPTY = reading(activations={layer.name: np.full((5, *layer.shape), np.nan) for layer in FACTS.layers})


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda i: i.name)
@pytest.mark.parametrize("given", [FULL, EMPTY], ids=["full", "empty"])
def test_it_measures_what_it_declares(instrument, given):
    one = instrument()
    series = one.declare(FACTS)
    values = checked(one.measure(given), series, given.step)
    for s in series:
        for value in values[s.name].values() if isinstance(values[s.name], dict) else [values[s.name]]:
            with np.errstate(invalid="raise"):
                np.asarray(value).astype(s.dtype)  # a count that is NaN would raise


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda i: i.name)
def test_one_name_runs_through_it_all(instrument):
    assert instrument.__module__ == f"recorder.instruments.{instrument.name}"
    assert "".join(word.title() for word in instrument.name.split("_")) == instrument.__name__
    assert instrument.name in DEFAULT_SCHEDULES
    for s in instrument().declare(FACTS):
        assert s.doc.endswith(".")
        assert s.unit
        assert s.items


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_can_be_played_together_and_are_made_anew(preset):
    first, second = of_preset(preset), of_preset(preset)
    assert players(first, FACTS)
    assert all(a.instrument is not b.instrument for a, b in zip(first, second, strict=True))


def test_instruments_are_listed_once_and_all_play_together():
    names = [i.name for i in INSTRUMENTS]
    assert len(set(names)) == len(names)
    assert set(DEFAULT_SCHEDULES) == set(names)
    together = players([Scheduled(every(1), i()) for i in INSTRUMENTS], FACTS)
    assert len(together) == len(names)


def test_nothing_that_looks_at_the_probe_shares_an_axis_with_what_waits_for_an_update():
    together = players([Scheduled(every(1), i()) for i in INSTRUMENTS], FACTS)
    probing = {p.axis for p in together if Need.PROBE in p.instrument.needs}
    assert not probing & {p.axis for p in together if Need.PROBE not in p.instrument.needs}


def test_the_readmes_table_lists_every_series():
    text = table()
    assert [r[1] for r in rows()] == re.findall(r"^\|[^|]*\| `(\w+)` \|", text, re.MULTILINE)
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == [i.name for i in INSTRUMENTS]
    for preset in PRESETS:
        column = 3 + list(PRESETS).index(preset)
        assert {r[0] for r in rows() if r[column]} == {s.instrument.name for s in of_preset(preset)}
    assert len({len(line.split(" | ")) for line in text.strip().splitlines()}) == 1
