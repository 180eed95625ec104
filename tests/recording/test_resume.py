"""Where a training that is resumed goes on: one run, whose schedules, epochs, names and checkpoints continue."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from recorder import Checkpoints, at_end, each_epoch, every, open_run, pairs, record
from recorder.errors import RecordError, RunExistsError
from recorder.runfile.pack import repair
from recorder.runfile.schema import State
from tests.recording.quadratic import Quadratic

PER_EPOCH = 10


class Killed(BaseException):
    """The process ends here, and with it the block."""


def train(path, steps, *, begin=0, instruments=None, model=None, **options):
    """The user's loop from its checkpoint at `begin` on, to `steps`; ends badly unless it gets to the end, 40."""
    model = model or Quadratic()
    for _ in range(begin):
        model.update()
    instruments = instruments or [
        every(1, "gradient_norm"), pairs(10, "weight_norm"), each_epoch("activation_statistics"),
        each_epoch("weight_histogram"),
    ]  # fmt: skip
    try:
        with record(
            model, path, resume=True, step=begin, instruments=instruments, progress=False, strict=True, **options
        ) as run:
            while run.steps < steps:
                model.update()
                run.step(loss=model.loss())
                if run.steps % PER_EPOCH == 0:
                    run.epoch(accuracy=run.steps)
            if steps < 40:
                raise Killed
    except Killed:
        pass
    return run


def said(run):
    """What is told of the run, apart from its health."""
    return [(e.kind, e.step, e.text) for e in run.events if e.kind != "health"]


def numbers(run):
    """All that must not depend on what happened on the way."""
    found = {name: run[name] for name in run.series if name != "scalars"} | {n: run[n] for n in ("loss", "accuracy")}
    return {name: (one.step.tolist(), one.epoch.tolist(), one.values) for name, one in found.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same training without a break."""
    from tests.recording.test_resume import train as loop

    path = tmp_path_factory.mktemp("whole") / "q.h5"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recorder.adapters.adapter_for", lambda model, **_: model)
        loop(path, 40)
    with open_run(path) as run:
        return numbers(run)


@pytest.mark.parametrize("stops", [((25, 20),), ((25, 25),), ((12, 7), (9, 5), (33, 30))])
def test_a_resumed_training_is_recorded_as_if_it_had_not_stopped(tmp_path, whole, stops):
    path, begin, recorded = tmp_path / "q.h5", 0, 0
    for stop, checkpoint in stops:
        train(path, max(stop, begin), begin=begin)
        recorded += max(stop, begin) - begin
        begin = checkpoint
    train(path, 40, begin=begin)
    recorded += 40 - begin
    for look in range(2):
        with open_run(path) as run:
            found = numbers(run)
            assert found.keys() == whole.keys()
            for name, (steps, epochs, values) in whole.items():
                assert found[name][:2] == (steps, epochs), name
                np.testing.assert_array_equal(found[name][2], values, err_msg=name)
            assert (run.steps, run.epochs, run.state) == (40, 4, State.DONE)
            assert sum(v.count("step") for v in run.volumes if "step" in v.axes) == recorded
        if not look:
            repair(path)


def test_where_there_is_no_run_it_begins(tmp_path):
    train(tmp_path / "q.h5", 40)
    with open_run(tmp_path / "q.h5") as run:
        assert run["loss"].step.tolist() == list(range(40))
        assert not said(run)
        assert len(run.processes) == 1


def test_a_run_may_begin_in_the_middle_of_a_training(tmp_path):
    train(tmp_path / "q.h5", 40, begin=30, epoch=3)
    with open_run(tmp_path / "q.h5") as run:
        assert run["loss"].step.tolist() == list(range(30, 40))
        assert run["loss"].epoch.tolist() == [3] * 10
        assert said(run) == [("resumed", 30, "begins at step 30; nothing is recorded of the steps before")]


def test_a_folder_that_holds_checkpoints_only_is_no_run(tmp_path):
    (tmp_path / "q.d" / "checkpoints").mkdir(parents=True)
    train(tmp_path / "q.h5", 40)
    with open_run(tmp_path / "q.h5") as run:
        assert run.volumes[0].number == 0
        assert run.steps == 40


def test_what_is_hidden_is_told_and_drawn(tmp_path):
    path = tmp_path / "q.h5"
    train(path, 25)
    train(path, 40, begin=18)
    with open_run(path) as run:
        assert said(run) == [("resumed", 18, "at step 18; 7 steps recorded before are hidden")]
        rules = [mark for mark in run.chart("loss").view.marks if type(mark).__name__ == "Rule"]
        assert [(rule.at, rule.label) for rule in rules] == [(18.0, "resumed")]
        first, second = run.processes
        assert (first.first, first.stop, first.hidden, first.state) == (0, 25, 7, State.FAILED)
        assert (second.first, second.stop, second.hidden, second.state) == (18, 40, 0, State.DONE)
        assert first.ended <= second.started <= second.ended
        assert first.error == "Killed"


def test_the_newest_settings_are_those_of_the_run_and_the_others_are_kept(tmp_path):
    path = tmp_path / "q.h5"
    train(path, 25, meta={"rate": 1})
    train(path, 40, begin=18, meta={"rate": 2})
    with open_run(path) as run:
        assert run.meta["config"] == {"rate": 2}
        assert [p.meta["config"]["rate"] for p in run.processes] == [1, 2]
        assert [t["name"] for t in run.meta["tensors"]] == ["a", "b"]
        assert all(p.meta["pid"] == os.getpid() for p in run.processes)


def test_events_of_the_hidden_part_are_hidden(tmp_path):
    path = tmp_path / "q.h5"
    model = Quadratic()
    with record(model, path, instruments=[], progress=False) as run:
        for step in range(20):
            run.event("note", f"before {step}")
            if step == 15:
                run.phase("given up")
            run.step(loss=float("nan") if step == 12 else 1.0)
    with open_run(path) as found:
        assert [e.step for e in found.events if e.kind == "health"] == [12]
    with record(model, path, resume=True, step=12, instruments=[], progress=False) as run:
        run.step(loss=1.0)
    with open_run(path) as found:
        assert [e.text for e in found.events if e.kind == "note"] == [f"before {step}" for step in range(13)]
        assert [e.kind for e in found.events if e.kind != "note"] == ["resumed"]  # what was found at 12 goes too
        # the notes, phase, finding, its checkpoint and anomaly; resumed: all of it is in the file
        assert sum(v.count("events") for v in found.volumes) == 20 + 4 + 1


@pytest.mark.parametrize("late", [False, True])
def test_a_scalar_that_is_given_no_more_ends_where_it_was_resumed(tmp_path, late):
    path = tmp_path / "q.h5"
    with record(Quadratic(), path, instruments=[], progress=False) as run:
        for step in range(20):
            run.step(loss=1.0, **({"old": step} if step >= 5 * late else {}))
    with record(Quadratic(), path, resume=True, step=12, instruments=[], progress=False) as run:
        for step in range(12, 30):
            run.step(loss=2.0, **({"new": step} if step >= 12 + 5 * late else {}))
    with open_run(path) as found:
        np.testing.assert_array_equal(found["loss"].values, np.repeat([1.0, 2.0], [12, 18]))
        np.testing.assert_array_equal(found["old"].step, np.arange(5 * late, 12))
        np.testing.assert_array_equal(found["new"].values, np.arange(12 + 5 * late, 30))


def test_scalars_keep_their_names_whichever_comes_first(tmp_path):
    """`acc` of epochs had its name first; `acc` of steps is told apart by its own, also by the next process."""
    path = tmp_path / "q.h5"
    with record(Quadratic(), path, instruments=[], progress=False) as run:
        run.step(loss=1.0)
        run.epoch(acc=0.5)
        run.step(loss=1.0, acc=7.0)
    with record(Quadratic(), path, resume=True, step=2, instruments=[], progress=False) as run:
        run.step(loss=1.0, acc=8.0)
        run.epoch(acc=0.6, extra=1.0)
    with open_run(path) as found:
        assert found["acc"].values.tolist() == [0.5, 0.6]
        assert found["step/acc"].values.tolist() == [7.0, 8.0]
        assert found["extra"].epoch.tolist() == [2]


def test_the_epoch_is_as_recorded_or_as_given(tmp_path):
    path = tmp_path / "q.h5"
    train(path, 25)
    for begin, epoch, expected in ((23, None, 2), (20, None, 2), (15, None, 1), (15, 7, 7)):
        with record(Quadratic(), path, resume=True, step=begin, epoch=epoch, instruments=[], progress=False) as run:
            run.step(loss=0.0)
            assert repr(run).endswith(f"{begin + 1} steps, {expected} epochs, recording)")
        with open_run(path) as found:
            assert found["loss"].epoch[-1] == expected


def test_the_numbers_of_the_epoch_that_ended_at_the_checkpoint_stay(tmp_path):
    """The checkpoint is saved after run.epoch(): nobody calls that again."""
    path = tmp_path / "q.h5"
    train(path, 25)
    with record(Quadratic(), path, resume=True, step=20, instruments=[], progress=False) as run:
        run.step(loss=0.0)
    with open_run(path) as found:
        assert found["accuracy"].values.tolist() == [10, 20]
        assert found["loss"].step[-1] == 20
        assert found["activation_zero_count"].step.tolist() == [0, 10, 20]  # of the network that was resumed
        assert found["gradient_norm"].step.tolist() == list(range(20))


def test_the_checkpoint_may_be_saved_before_the_epoch_is_ended(tmp_path):
    path = tmp_path / "q.h5"
    train(path, 25)
    with record(Quadratic(), path, resume=True, step=20, epoch=1, instruments=[], progress=False) as run:
        run.epoch(accuracy=0.0)
        run.step(loss=0.0)
    with open_run(path) as found:
        assert found["accuracy"].values.tolist() == [10, 0]
        assert found["accuracy"].epoch.tolist() == [1, 2]


def test_a_step_that_was_never_reached_leaves_a_gap_and_is_said(tmp_path):
    path = tmp_path / "q.h5"
    train(path, 25)
    with pytest.warns(UserWarning, match=r"q\.h5: resumed at step 30; steps 25 to 29 were not recorded; step= is what"):
        train(path, 40, begin=30)
    with open_run(path) as run:
        assert run["loss"].step.tolist() == [*range(25), *range(30, 40)]
        assert said(run) == [("resumed", 30, "at step 30; steps 25 to 29 were not recorded")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": True}, r"record\(resume=True\): give step= too: the iterations .* and 0 where there is none yet"),
        ({"step": 3}, "step= and epoch= say where a training is resumed; give resume=True too"),
        ({"epoch": 3}, "give resume=True too"),
        ({"resume": True, "step": -1}, r"record\(step=-1\): expected a whole number that is not negative"),
        ({"resume": True, "step": 1.5}, r"record\(step=1.5\): expected a whole number"),
        ({"resume": True, "step": True}, r"record\(step=True\): expected a whole number"),
        ({"resume": True, "step": 1, "epoch": "2"}, r"record\(epoch='2'\): expected a whole number"),
    ],
)
def test_mistakes_are_told_at_the_door(tmp_path, options, message):
    with pytest.raises(RecordError, match=message):
        record(Quadratic(), tmp_path / "q.h5", **options)


def test_a_folder_has_no_run_to_resume(tmp_path):
    with pytest.raises(RecordError, match=r"is a folder, in which each run gets a new name; give the run's own, as in"):
        record(Quadratic(), tmp_path, resume=True, step=0)


def test_numbers_of_other_libraries_count(tmp_path):
    with record(Quadratic(), tmp_path / "q.h5", resume=True, step=np.int64(3), instruments=[], progress=False) as run:
        assert run.steps == 3


def test_a_run_that_somebody_records_is_not_resumed(tmp_path):
    path = tmp_path / "q.h5"
    with record(Quadratic(), path, instruments=[], progress=False) as run:
        run.step(loss=1.0)
        with (
            pytest.raises(RunExistsError, match=r"q\.h5: a run is being recorded by process \d+ on"),
            record(Quadratic(), path, resume=True, step=1, instruments=[]),
        ):
            pass
        run.step(loss=2.0)
    with open_run(path) as found:
        assert found["loss"].values.tolist() == [1.0, 2.0]
        assert len(found.processes) == 1


def test_a_damaged_run_is_left_as_it_is(tmp_path):
    path = tmp_path / "q.h5"
    train(path, 25)
    for damage in (path.read_bytes()[:2000], b"nothing of ours"):
        path.write_bytes(damage)
        with (
            pytest.raises(RecordError, match=r"q\.h5: cannot be resumed: .*Move it away, or choose another path"),
            record(Quadratic(), path, resume=True, step=20, instruments=[]),
        ):
            pass
        assert path.read_bytes() == damage
        assert not path.with_suffix(".d").exists()


def test_resumed_without_the_word_is_refused_and_says_it(tmp_path):
    path = tmp_path / "q.h5"
    train(path, 25)
    with (
        pytest.raises(RunExistsError, match="or continue it with resume=True"),
        record(Quadratic(), path, instruments=[]),
    ):
        pass


def test_a_model_that_changed_in_between(tmp_path):
    """Series are united item by item; where a shape differs the newer one counts."""

    class Wider(Quadratic):
        def __init__(self):
            super().__init__()
            self.weights = {"b": np.ones((1, 2)), "c": np.ones(3)}

        def gradient(self):
            return dict(self.weights)

        def loss(self):
            return 0.0

    path = tmp_path / "q.h5"
    train(path, 25)
    train(path, 40, begin=20, model=Wider(), instruments=[every(1, "gradient_norm"), at_end("weight_histogram")])
    with open_run(path) as run:
        assert run["gradient_norm"].items == ("a", "b", "c")
        assert run["gradient_norm"]["a"].step.tolist() == list(range(20))
        assert run["gradient_norm"]["b"].step.tolist() == list(range(40))
        assert run["gradient_norm"]["c"].step.tolist() == list(range(20, 40))
        assert sorted(t["name"] for t in run.meta["tensors"]) == ["a", "b", "c"]


# -- checkpoints


def save(path, steps, *, begin=0, rule, scores=lambda step: 1.0):
    model = Quadratic()
    with record(
        model, path, resume=True, step=begin, instruments=[], checkpoints=rule, progress=False, strict=True
    ) as run:
        while run.steps < steps:
            run.step(loss=scores(run.steps))
    return sorted(int(p.stem[5:]) for p in (path.with_suffix(".d") / "checkpoints").glob("step-*.pth"))


def test_the_last_k_count_those_of_the_process_before(tmp_path):
    path, rule = tmp_path / "q.h5", Checkpoints(every=5, keep=3)
    assert save(path, 22, rule=rule) == [10, 15, 20]
    assert save(path, 24, begin=20, rule=rule) == [10, 15, 20]
    assert save(path, 31, begin=20, rule=rule) == [20, 25, 30]


def test_checkpoints_of_a_training_that_was_given_up_stay_until_they_are_replaced(tmp_path):
    path, rule = tmp_path / "q.h5", Checkpoints(every=5, keep=2)
    assert save(path, 31, rule=rule) == [25, 30]
    assert save(path, 21, begin=10, rule=rule) == [15, 20, 25, 30]
    with open_run(path) as run:
        assert [(e.step, e.text) for e in run.events if e.kind == "checkpoint"] == [
            (5, "step-000005.pth"), (10, "step-000010.pth"), (15, "step-000015.pth"), (20, "step-000020.pth"),
        ]  # fmt: skip
    assert save(path, 31, begin=20, rule=rule) == [25, 30]


def test_the_best_is_not_forgotten(tmp_path):
    path, rule = tmp_path / "q.h5", Checkpoints(every=5, best="loss", mode="min")
    scores = {4: 3.0, 9: 0.5, 14: 2.0, 19: 0.1}
    assert save(path, 16, rule=rule, scores=lambda step: scores.get(step, 9.0)) == [10, 15]
    assert save(path, 31, begin=15, rule=rule, scores=lambda step: 5.0) == [10, 30]


def test_what_a_process_died_on_is_tidied_up(tmp_path):
    path, rule = tmp_path / "q.h5", Checkpoints(every=5, keep=2)
    save(path, 16, rule=rule)
    folder = path.with_suffix(".d") / "checkpoints"
    (folder / ".123-step-000020.pth").write_bytes(b"half of it")
    (folder / "step-000015.pth.json").unlink()  # it died before the hash was known
    assert save(path, 26, begin=15, rule=rule) == [20, 25]
    assert sorted(p.name for p in folder.iterdir()) == [
        "step-000020.pth", "step-000020.pth.json", "step-000025.pth", "step-000025.pth.json",
    ]  # fmt: skip
    assert json.loads((folder / "step-000020.pth.json").read_text())["step"] == 20


def test_each_path_of_a_run_is_one(tmp_path):
    """With or without the ending, from wherever."""
    train(tmp_path / "q.h5", 25)
    train(tmp_path / "q", 40, begin=20)
    assert [p.name for p in Path(tmp_path).iterdir()] == ["q.h5"]
