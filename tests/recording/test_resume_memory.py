"""What instruments had in memory when a process died begins anew in the next one, and no number is made up for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from recorder import every, open_run, record
from recorder.instruments import INSTRUMENTS
from recorder.reading import AVERAGED, Need

STEPS, DIED, SAVED = 36, 25, 20
EACH_UPDATE = [i for i in INSTRUMENTS if not i().needs - {Need.RAW} and i.name not in ("sign_map", "raw_snapshots")]
TWO_BACK = "change_cosine"  # the cosine of two updates needs three states


def train(path, *, begin=0, stop=STEPS, instruments):
    """The user's loop, from the checkpoint of step SAVED on if it begins there."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    if begin:
        for part, state in zip((model, optimizer), torch.load(path.with_suffix(".pth")), strict=True):
            part.load_state_dict(state)
    options = {"optimizer": optimizer, "instruments": instruments, "progress": False, "strict": True}
    try:
        with record(model, path, resume=True, step=begin, **options) as run:
            while run.steps < stop:
                x = torch.randn(16, 6, generator=torch.Generator().manual_seed(run.steps))
                optimizer.zero_grad()
                loss = nn.functional.mse_loss(model(x), x[:, :3].sin())
                loss.backward()
                optimizer.step()
                run.step(loss=loss)
                if run.steps == SAVED:
                    torch.save((model.state_dict(), optimizer.state_dict()), path.with_suffix(".pth"))
            if stop < STEPS:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The training that nobody disturbed, and one that died and was resumed from its checkpoint."""
    folder = tmp_path_factory.mktemp("runs")
    instruments = [every(1, i()) for i in EACH_UPDATE]
    train(folder / "whole.h5", instruments=instruments)
    train(folder / "resumed.h5", stop=DIED, instruments=instruments)
    train(folder / "resumed.h5", begin=SAVED, instruments=instruments)
    with open_run(folder / "whole.h5") as whole, open_run(folder / "resumed.h5") as resumed:
        yield whole, resumed


def series_of(run, averaged):
    names = {name for name, s in run.series.items() if s.instrument == "moving_averages"}
    return sorted(names if averaged else run.series.keys() - names - {"scalars"})


def test_what_compares_has_no_value_where_there_is_nothing_to_compare_with(runs):
    whole, resumed = runs
    blank = set()
    for name in series_of(whole, averaged=False):
        expected, found = whole[name].values, resumed[name].values
        np.testing.assert_array_equal(resumed[name].step, np.arange(STEPS))
        first = SAVED + 1 + (name == TWO_BACK)
        for part in (slice(None, SAVED), slice(first, None)):
            np.testing.assert_array_equal(found[part], expected[part], err_msg=name)
        if not np.array_equal(found[SAVED:first], expected[SAVED:first], equal_nan=True):
            blank.add(name)
            np.testing.assert_array_equal(
                found[SAVED:first], expected[: first - SAVED], err_msg=name
            )  # as at its start
            assert np.isnan(found[SAVED]).all() if found.dtype.kind == "f" else not found[SAVED].any(), name
    assert {"update_ratio", "sign_flips", "gradient_angle", TWO_BACK, "secant_curvature"} <= blank
    assert not blank & {"gradient_norm", "weight_norm", "near_zero_count"}


def test_moving_averages_begin_anew_and_the_run_says_so(runs):
    whole, resumed = runs
    names = series_of(whole, averaged=True)
    assert len(names) >= len(AVERAGED) - 1
    for name in names:
        np.testing.assert_array_equal(resumed[name].values[:SAVED], whole[name].values[:SAVED], err_msg=name)
    norm = "average_gradient_norm"  # of one gradient the average is that gradient
    np.testing.assert_allclose(resumed[norm].values[SAVED], resumed["gradient_norm"].values[SAVED], rtol=1e-6)
    assert not np.allclose(whole[norm].values[SAVED], whole["gradient_norm"].values[SAVED], rtol=1e-2)
    (said,) = [event.text for event in resumed.events if event.kind == "resumed"]
    assert said == "at step 20; 5 steps recorded before are hidden; moving averages begin anew"
