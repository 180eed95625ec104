"""Scalars: any name, at any time, and no gaps where a name is given only now and then."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import open_run, record
from recorder.chart import Plate, Table
from recorder.number import as_float, is_number
from recorder.recording.scalars import Scalars
from tests.recording.quadratic import Quadratic

names = st.sampled_from(["loss", "accuracy", "lr", "a/b", "[/b]", "ü"])
calls = st.lists(
    st.tuples(st.sampled_from(["step", "epoch"]), st.dictionaries(names, st.floats(allow_nan=False), max_size=4)),
    max_size=20,
)


def named_rows(calls):
    """(where, given, {axis: {recorded name: value}}) of each call, without the names that were not given."""
    scalars, groups = Scalars(), {}
    for where, given_ in calls:
        if (group := scalars.new(where, given_)) is not None:
            assert group.names
            groups[group.axis] = group
        rows = scalars.rows(where, given_)
        yield (
            where,
            given_,
            {
                axis: {name: v for name, v in zip(groups[axis].names, row, strict=True) if not np.isnan(v)}
                for axis, row in rows.items()
            },
        )


@given(calls)
def test_every_number_comes_out_once_under_a_name_of_its_own(calls):
    owner = {}  # recorded name -> (where, given name)
    for where, given_, rows in named_rows(calls):
        recorded = {name: value for row in rows.values() for name, value in row.items()}
        assert sorted(recorded.values()) == sorted(given_.values())
        assert sum(len(row) for row in rows.values()) == len(given_)
        for name, value in recorded.items():
            original = name.removeprefix(f"{where}/") if name.removeprefix(f"{where}/") in given_ else name
            assert given_[original] == value
            assert owner.setdefault(name, (where, original)) == (where, original)


@given(calls)
def test_a_name_stays_in_the_group_it_came_with(calls):
    home = {}
    for where, _, rows in named_rows(calls):
        for axis, row in rows.items():
            assert row  # a group without a value has no row
            for name in row:
                assert home.setdefault(name, axis) == axis
                assert axis.startswith(where)


def test_a_name_first_seen_late_has_rows_of_its_own(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[], strict=True, progress=False) as run:
        for step in range(30):
            model.update()
            late = {"validation": step * 2.0} if step >= 10 and step % 10 == 0 else {}
            run.step(loss=float(step), **late)
    run = open_run(tmp_path / "q.h5")
    assert run["loss"].values.tolist() == list(range(30))
    assert run["validation"].step.tolist() == [10, 20]
    assert run["validation"].values.tolist() == [20.0, 40.0]


def test_a_name_that_is_left_out_now_and_then_is_nan_there(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[], strict=True, progress=False) as run:
        for step in range(4):
            model.update()
            run.step(loss=1.0, **({"grad": 2.0} if step % 2 == 0 else {}))
    np.testing.assert_array_equal(open_run(tmp_path / "q.h5")["grad"].values, [2.0, np.nan, 2.0, np.nan])


def test_a_loss_of_the_epoch_is_not_the_loss_of_the_step(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[], strict=True, progress=False) as run:
        for step in range(4):
            model.update()
            run.step(loss=float(step))
        run.epoch(loss=9.0, accuracy=0.5)
    run = open_run(tmp_path / "q.h5")
    assert run["loss"].values.tolist() == [0, 1, 2, 3]
    assert run["epoch/loss"].values.tolist() == [9.0]
    assert run["accuracy"].values.tolist() == [0.5]


def test_numbers_between_two_steps_are_those_of_the_next_one(tmp_path):
    with record(Quadratic(), tmp_path / "r.h5", instruments=[], progress=False) as run:
        for step in range(6):
            run.step(loss=float(step), **({"rare": 1.0} if step == 2 else {}))
            if step % 2:
                run.log(val_loss=step / 10)
                run.log(val_accuracy=0.5, val_loss=step / 100)  # again at the same moment: the last one counts
            if step == 3:
                run.epoch(val_f1=1.0)
    found = open_run(tmp_path / "r.h5")
    assert found["loss"].step.tolist() == [0, 1, 2, 3, 4, 5]
    for name in ("val_loss", "val_accuracy"):
        assert found[name].step.tolist() == [2, 4, 6]  # none comes after step 5
    assert found["val_loss"].values.tolist() == [0.01, 0.03, 0.05]
    assert found["rare"].step.tolist() == [2]  # it has nothing to do with them
    assert found.steps == 6
    assert found["val_f1"].step.tolist() == [4]


@pytest.mark.parametrize("name", ["gradient_norm", "activation_zero_share", "scalars", "events"])
def test_a_scalar_does_not_hide_a_chart_of_the_same_name(tmp_path, name):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments="full", strict=True, progress=False) as run:
        for step in range(3):
            model.update()
            run.step(**{name: float(step)})
        run.epoch(**{name: 9.0})
        run.event("note", "new data")
    run = open_run(tmp_path / "q.h5")
    assert run[f"step/{name}"].values.tolist() == [0, 1, 2]
    assert run[f"epoch/{name}"].values.tolist() == [9.0]
    assert {f"step/{name}", f"epoch/{name}"} <= set(run.entries)
    if name == "events":
        assert isinstance(run.chart(name).view.marks[0], Table)
    elif name != "scalars":
        assert isinstance(run.chart(name).view, Plate)  # a heat map of all items above one item's curve


def test_samples_per_second_is_samples_over_step_time(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[], strict=True, progress=False) as run:
        for _ in range(3):
            model.update()
            run.step(samples=64)
    run = open_run(tmp_path / "q.h5")
    np.testing.assert_allclose(run["samples_per_second"].values * run["step_time"].values, 64)


@pytest.mark.parametrize(
    "value", [1, 1.5, True, np.float32(2), np.array(3), np.array([4.0]), np.int64(5), float("nan")]
)
def test_numbers(value):
    assert is_number(value)


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.array(2), np.array([2.0]), np.array([[2]])])
def test_one_number_in_an_array_is_that_number(tmp_path, value):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[], strict=True, progress=False) as run:
        model.update()
        run.step(loss=value)
        run.epoch(accuracy=value)
    run = open_run(tmp_path / "q.h5")
    assert run["loss"].values.tolist() == run["accuracy"].values.tolist() == [2.0]


NONE = [None, "1", b"1", np.zeros(2), [], {}, object(), np.zeros((1, 2)), 1j, np.array([1j]), np.array("1")]


@pytest.mark.parametrize("value", NONE)
def test_no_numbers(value):
    assert not is_number(value)


def test_units_of_torch_tensors():
    import torch

    assert is_number(torch.tensor(1.0))
    assert is_number(torch.ones(1, requires_grad=True))
    assert not is_number(torch.ones(2))
    assert not is_number(torch.ones(1, dtype=torch.complex64))
    assert as_float(torch.ones(1, 1, requires_grad=True)) == 1.0
