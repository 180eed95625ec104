"""The last recorded update of each epoch: which one it is, when it is written, and what it costs on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import epoch_ends, open_run, record
from recorder.analysis.signs import codes, unpacked
from recorder.errors import RecordError
from recorder.instruments import ActivationStatistics, SignMap
from recorder.schedule import EpochEnds, Moment, may_close


class Training:
    """Gradients of one tensor, kept as they were used; `measured` counts how often they were looked at."""

    def __init__(self) -> None:
        self.parameters = {"w": np.zeros(50, "f4")}
        self.gradients = {"w": np.zeros(50, "f4")}
        self.used: list[np.ndarray] = []
        self._random = np.random.default_rng(0)

    def step(self) -> None:
        """An update of nothing."""

    def iteration(self) -> None:
        self.gradients = {"w": (self._random.standard_normal(50) * 1e-5).astype("f4")}
        self.used.append(self.gradients["w"])
        self.step()


def recorded(path, epochs, *, fails: bool = False, ends: bool = True) -> tuple[Training, list[int], np.ndarray]:
    """A training with epochs of so many updates; the steps of the map's rows, and their codes."""
    training = Training()
    try:
        with record(training, path, instruments="sign_map", progress=False, strict=True) as run:
            for number, updates in enumerate(epochs):
                for _ in range(updates):
                    training.iteration()
                    run.step(loss=0.0)
                if ends or number < len(epochs) - 1:
                    run.epoch()
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    with open_run(path) as found:
        bits = found["sign_map"]["w"]
        return training, found.clock("sign_map", "w").step.tolist(), unpacked(bits.values)[:, :50]


def test_a_row_is_that_of_the_epochs_last_update_also_in_the_last_epoch(tmp_path):
    training, steps, rows = recorded(tmp_path / "r.h5", [23, 23, 23])
    assert steps == [20, 45, 68]  # of the first epoch nobody knew how long it would be
    for step, row in zip(steps, rows, strict=True):
        np.testing.assert_array_equal(row, codes(training.used[step], 1e-5))
    with open_run(tmp_path / "r.h5") as found:
        assert found.clock("sign_map", "w").epoch.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("fails", "ends"), [(True, True), (False, False), (True, False)])
def test_what_was_held_back_is_written_when_the_training_ends_or_fails(tmp_path, fails, ends):
    _, steps, _ = recorded(tmp_path / "r.h5", [12, 12, 5], fails=fails, ends=ends)
    assert steps == [10, 23, 27]


@given(st.lists(st.integers(1, 70), min_size=1, max_size=6))
@settings(max_examples=15, deadline=None)
def test_each_epoch_has_one_row_and_equal_ones_have_their_last_step(tmp_path_factory, epochs):
    _, steps, _ = recorded(tmp_path_factory.mktemp("runs") / "r.h5", epochs)
    ends = np.cumsum(epochs)
    assert len(steps) == len(epochs)
    for k, (step, end, updates) in enumerate(zip(steps, ends, epochs, strict=True)):
        assert end - updates <= step < end
        if k and epochs[k - 1] == updates:
            assert step == end - 1
        assert end - 1 - step <= 10


@pytest.mark.parametrize(("length", "most"), [(None, 103), (1000, 14)])
def test_only_some_updates_of_an_epoch_are_measured(length, most):
    assert sum(may_close(update, length) for update in range(1000)) <= most


def test_the_schedule_and_its_wrong_use(tmp_path):
    schedule = EpochEnds()
    assert (str(schedule), schedule.axis, schedule.rates) == ("end of each epoch", "epoch_ends", (0.0, 1.0))
    assert schedule.due(Moment(3, 2, closing=True))
    assert not schedule.due(Moment(3, 2))
    assert not schedule.due(Moment(3, 1, closing=True), thin=2)
    training = Training()
    training.forward = lambda x: {"relu": x}
    with (
        pytest.raises(RecordError, match=r"'activation_statistics' looks between updates.*use each_epoch"),
        record(training, tmp_path / "r.h5", probe=np.zeros((2, 3)), instruments=epoch_ends(ActivationStatistics())),
    ):
        pass
    assert SignMap.name == "sign_map"
