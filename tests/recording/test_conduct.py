"""Training never stops for the recorder, and mistakes at the door raise at once."""

from __future__ import annotations

import copy
import os
import pickle
import warnings

import numpy as np
import pytest

from recorder import every, open_run, record
from recorder.errors import InstrumentError, NotRecordedError, RecordError, RunExistsError
from recorder.instruments import GradientNorm, WeightNorm
from recorder.reading import Statistic
from recorder.recording.naming import program
from recorder.runfile.schema import Kind, Series, State
from tests.recording.quadratic import Quadratic


class Failing:
    """Fails at its third row."""

    name = "failing"
    statistics = frozenset({Statistic.WEIGHT_NORM})
    needs = frozenset()

    def __init__(self, value=(0.0, 0.0)):
        self.rows = 0
        self.value = value

    def declare(self, facts):
        return (Series("failing", Kind.PER_ITEM, "1", "Fails.", tuple(t.name for t in facts.tensors)),)

    def measure(self, reading):
        self.rows += 1
        if self.rows == 3:
            raise ZeroDivisionError("of its own making")
        return {"failing": self.value}


def steps(run, model, n):
    for _ in range(n):
        loss = model.loss()
        model.update()
        run.step(loss=loss)


def test_an_instrument_that_raises_is_switched_off_and_the_others_go_on(tmp_path):
    model = Quadratic()
    instruments = [every(1, Failing()), every(1, WeightNorm())]
    with (
        pytest.warns(
            UserWarning, match="failing failed at step 2 and is switched off: ZeroDivisionError: of its"
        ) as said,
        record(model, tmp_path / "q.h5", instruments=instruments, progress=False) as run,
    ):
        steps(run, model, 6)
    assert len(said) == 1
    assert said[0].filename == __file__
    run = open_run(tmp_path / "q.h5")
    assert run.state is State.DONE
    assert np.isfinite(run["weight_norm"].values).all()
    assert len(run["weight_norm"].values) == 6
    assert run["failing"].values[:2].tolist() == [[0, 0], [0, 0]]
    assert np.isnan(run["failing"].values[2:]).all()
    assert [(e.kind, e.step) for e in run.events] == [("off", 2)]


def test_strict_raises_and_says_which(tmp_path):
    model = Quadratic()
    with (
        pytest.raises(InstrumentError, match="failing failed at step 2"),
        record(model, tmp_path / "q.h5", instruments=[every(1, Failing())], strict=True, progress=False) as run,
    ):
        steps(run, model, 6)
    assert open_run(tmp_path / "q.h5").state is State.FAILED
    assert not model.attached


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.zeros(3), r"series 'failing' at step 0: expected shape \(2,\), got \(3,\)"),
        ({"c": 1.0}, "series 'failing' at step 0: there is no item 'c'"),
        ({"a": np.zeros(2)}, r"series 'failing', item 'a' at step 0: expected shape \(\), got \(2,\)"),
    ],
)
def test_what_was_not_declared_is_no_row(tmp_path, value, text):
    model = Quadratic()
    with (
        pytest.warns(UserWarning, match=text),
        record(model, tmp_path / "q.h5", instruments=[every(1, Failing(value))], progress=False) as run,
    ):
        steps(run, model, 2)
    assert open_run(tmp_path / "q.h5")["loss"].values.size == 2


@pytest.mark.parametrize("broken", ["collect", "probe", "save"])
def test_a_recorder_that_breaks_leaves_the_training_alone(tmp_path, monkeypatch, broken):
    model, alone = Quadratic(), Quadratic()

    def fail(*_):
        raise OSError("broken")

    with (
        pytest.warns(UserWarning, match="broken"),
        record(model, tmp_path / "q.h5", instruments=["light"], progress=False) as run,
    ):
        steps(run, model, 3)
        monkeypatch.setattr(model, broken, fail)
        run.checkpoint()
        run.epoch(val_loss=1.0)
        steps(run, model, 3)
    for _ in range(6):
        alone.update()
    for name in model.weights:
        np.testing.assert_array_equal(model.weights[name], alone.weights[name])
    run = open_run(tmp_path / "q.h5")
    assert run.state is State.DONE
    assert run["val_loss"].values.tolist() == [1.0]
    assert any("broken" in e.text for e in run.events)
    recorded = [0, 1, 2, 4, 5] if broken == "collect" else [0, 1, 2, 3, 4, 5]
    assert run["loss"].step.tolist() == recorded
    assert not model.attached


def test_when_even_scalars_fail_nothing_more_is_recorded_and_the_file_is_whole(tmp_path, monkeypatch):
    model = Quadratic()
    with (
        pytest.warns(UserWarning, match="only scalars are recorded"),
        pytest.warns(UserWarning, match="nothing more is recorded"),
        record(model, tmp_path / "q.h5", instruments=[], progress=False) as run,
    ):
        steps(run, model, 2)
        run.epoch()
        monkeypatch.setattr(run._session.ledger.writer, "append", lambda *_, **__: 1 / 0)
        steps(run, model, 40)
    run = open_run(tmp_path / "q.h5")
    assert run["loss"].step.tolist() == [0, 1]


@pytest.mark.parametrize("value", [np.zeros(3), "0.5", object()])
def test_a_scalar_that_is_no_number_is_left_out_and_warned_of_once(tmp_path, value):
    model = Quadratic()
    with (
        pytest.warns(UserWarning, match="scalar 'accuracy' at step 0: expected one number") as said,
        record(model, tmp_path / "q.h5", instruments=[], progress=False) as run,
    ):
        for _ in range(3):
            model.update()
            run.step(loss=1.0, accuracy=value)
    assert len(said) == 1
    run = open_run(tmp_path / "q.h5")
    assert "accuracy" not in run
    assert run["loss"].values.tolist() == [1.0] * 3
    assert sum(e.kind == "warning" for e in run.events) == 1


@pytest.mark.parametrize("value", ["all", -1, np.zeros(3)])
def test_a_size_of_the_batch_that_is_none_is_left_out_and_the_rest_goes_on(tmp_path, value):
    model = Quadratic()
    with (
        pytest.warns(UserWarning, match="samples at step 0: expected the size of the batch, got") as said,
        record(model, tmp_path / "q.h5", instruments=["gradient_norm"], progress=False) as run,
    ):
        for samples in (value, np.int64(4)):
            model.update()
            run.step(loss=1.0, samples=samples)
    assert len(said) == 1
    run = open_run(tmp_path / "q.h5")
    assert run["samples_per_second"].step.tolist() == [1]
    assert np.isfinite(run["gradient_norm"].values).all()


def test_a_scalar_that_is_no_number_raises_when_strict(tmp_path):
    with (
        pytest.raises(RecordError, match=r"scalar 'accuracy' at step 0: expected one number, got shape \(3,\)"),
        record(Quadratic(), tmp_path / "q.h5", instruments=[], strict=True, progress=False) as run,
    ):
        run.step(accuracy=np.zeros(3))


@pytest.mark.parametrize("error", [ValueError("out of memory"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_ends_the_block_is_written_down_and_goes_on(tmp_path, error):
    model = Quadratic(lag=1)
    with pytest.raises(type(error)), record(model, tmp_path / "q.h5", progress=False) as run:
        steps(run, model, 3)
        raise error
    run = open_run(tmp_path / "q.h5")
    assert run.state is State.FAILED
    assert run.error.startswith(type(error).__name__)
    assert run["loss"].step.tolist() == [0, 1, 2]
    assert run["activation_mean"].step.tolist() == [0]  # nobody probes a network that may be half updated
    assert not model.attached


@pytest.mark.parametrize("code", [None, 0])
def test_leaving_by_sys_exit_without_an_error_is_no_failure(tmp_path, code):
    with pytest.raises(SystemExit), record(Quadratic(), tmp_path / "q.h5", progress=False):
        raise SystemExit(code)
    assert open_run(tmp_path / "q.h5").state is State.DONE


def test_the_users_error_is_not_hidden_by_one_of_ours(tmp_path, monkeypatch):
    model = Quadratic(lag=1)
    with (
        pytest.raises(ValueError, match="theirs"),
        pytest.warns(UserWarning, match="ours"),
        record(model, tmp_path / "q.h5", strict=True, progress=False) as run,
    ):
        steps(run, model, 2)
        monkeypatch.setattr(run._session._conductor, "update", lambda *_: (_ for _ in ()).throw(OSError("ours")))
        raise ValueError("theirs")
    assert open_run(tmp_path / "q.h5").error == "ValueError: theirs"


def test_a_run_that_is_there_is_not_touched(tmp_path):
    with record(Quadratic(), tmp_path / "q.h5", progress=False):
        pass
    before = (tmp_path / "q.h5").read_bytes()
    model = Quadratic()
    with pytest.raises(RunExistsError), record(model, tmp_path / "q.h5", progress=False):
        pass
    assert (tmp_path / "q.h5").read_bytes() == before
    assert not model.attached


def test_a_failure_at_the_door_leaves_nothing_attached(tmp_path, monkeypatch):
    model = Quadratic()
    monkeypatch.setattr(model, "probe", lambda _: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt), record(model, tmp_path / "q.h5", progress=False):
        pass
    assert not model.attached
    assert open_run(tmp_path / "q.h5").state is State.FAILED


@pytest.mark.parametrize(
    ("instruments", "text"),
    [
        ("ligth", "no preset or instrument is called 'ligth' .did you mean 'light'"),
        ("xyz", "presets: light, dynamics, full; instruments: gradient_norm, weight_norm"),
        (GradientNorm, r"pass an instance: GradientNorm\(\)"),
        ([3], "expected presets, names or instruments, got 3"),
        ([every(10)], "expected presets, names or instruments, got"),
    ],
)
def test_an_unknown_instrument_is_refused_at_once(tmp_path, instruments, text):
    with pytest.raises(RecordError, match=text):
        record(Quadratic(), tmp_path / "q.h5", instruments=instruments)
    assert not any(tmp_path.iterdir())


def test_without_a_probe_a_preset_goes_without_activations_but_a_wish_is_refused(tmp_path):
    with record(Quadratic(layers=False), tmp_path / "q.h5", instruments="full", progress=False):
        pass
    assert "activation_mean" not in open_run(tmp_path / "q.h5")
    with pytest.raises(RecordError, match="'activation_statistics' looks at a probe batch; give one"):
        record(Quadratic(layers=False), tmp_path / "r.h5", instruments="activation_statistics")


def test_a_wish_after_a_preset_replaces_its_schedule(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=["light", every(3, GradientNorm())], progress=False) as run:
        steps(run, model, 7)
    run = open_run(tmp_path / "q.h5")
    assert run["gradient_norm"].step.tolist() == [0, 3, 6]
    assert run["weight_norm"].step.tolist() == [0, 1]


def test_an_instrument_by_name_has_its_own_schedule(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=["weight_histogram"], progress=False) as run:
        steps(run, model, 3)
    assert open_run(tmp_path / "q.h5")["weight_histogram"].step.tolist() == [0, 3]


def test_two_instruments_may_not_fill_one_series(tmp_path):
    class Twin(Failing):
        name = "twin"

    with pytest.raises(RecordError, match="series 'failing' of 'twin' is already filled by 'failing'"):
        record(Quadratic(), tmp_path / "q.h5", instruments=[Failing(), Twin()])


def test_outside_its_block_a_recording_says_so(tmp_path):
    run = record(Quadratic(), tmp_path / "q.h5", progress=False)
    with pytest.raises(RecordError, match="has not begun; write: with record"):
        run.step()
    with run:
        pass
    for call in (run.step, run.epoch, run.checkpoint, lambda: run.phase("x"), lambda: run.event("note", "x")):
        with pytest.raises(RecordError, match="is closed"):
            call()
    with pytest.raises(RecordError, match="already used"), run:
        pass


def test_two_recordings_at_once(tmp_path):
    models = [Quadratic(), Quadratic(rate=0.05)]
    with (
        record(models[0], tmp_path / "a.h5", progress=False) as a,
        record(models[1], tmp_path / "b.h5", progress=False) as b,
    ):
        for run, model in ((a, models[0]), (b, models[1]), (a, models[0])):
            steps(run, model, 1)
    assert len(open_run(tmp_path / "a.h5")["loss"].values) == 2
    assert open_run(tmp_path / "b.h5")["learning_rate"].values.tolist() == [0.05]


def test_a_folder_gives_names_that_nobody_has(tmp_path):
    paths = set()
    for _ in range(3):
        with record(Quadratic(), f"{tmp_path}/new/", instruments=[], progress=False) as run:
            paths.add(run.path)
    assert len(paths) == 3
    assert all(p.parent == tmp_path / "new" and p.suffix == ".h5" and p.exists() for p in paths)


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("train.py", "train"),
        ("/home/me/lab/train_mlp.py", "train_mlp"),
        ("/home/me/lab/__main__.py", "lab"),
        ("/lib/ipykernel_launcher.py", "run"),
        ("-c", "run"),
        ("", "run"),
    ],
)
def test_a_run_in_a_folder_is_called_after_its_script(monkeypatch, script, name):
    monkeypatch.setattr("sys.argv", [script])
    assert program() == name


def test_a_name_without_suffix_gets_one_and_keeps_its_dots(tmp_path):
    with record(Quadratic(), tmp_path / "v1.2", instruments=[], progress=False) as run:
        pass
    assert run.path == tmp_path / "v1.2.h5"


def test_a_forked_child_records_nothing(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[every(1, GradientNorm())], progress=False) as run:
        steps(run, model, 2)
        child = os.fork()
        if child == 0:
            try:
                steps(run, model, 5)
                run.epoch(val_loss=0.0)
                run.phase("child")
                assert run.checkpoint() is None
                run.__exit__(None, None, None)
                os._exit(0)
            except BaseException:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        steps(run, model, 2)
    run = open_run(tmp_path / "q.h5")
    assert run["loss"].step.tolist() == [0, 1, 2, 3]
    assert run["gradient_norm"].step.tolist() == [0, 1, 2, 3]
    assert run.state is State.DONE
    assert not run.events
    assert "val_loss" not in run


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda run: pickle.loads(pickle.dumps(run))])
def test_a_copy_records_nothing(tmp_path, copied):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[], progress=False) as run:
        steps(run, model, 1)
        other = copied(run)
        other.step(loss=5.0)
        other.epoch()
        other.__exit__(None, None, None)
        steps(run, model, 1)
    assert len(open_run(tmp_path / "q.h5")["loss"].values) == 2


def test_a_healthy_training_gives_no_warning(tmp_path):
    model = Quadratic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with record(model, tmp_path / "q.h5", instruments=["full"], progress=False) as run:
            steps(run, model, 20)
            run.epoch()


def test_a_loop_without_steps_is_told_at_the_end(tmp_path):
    model = Quadratic()
    with (
        pytest.warns(UserWarning, match=r"run\.step\(\) was never called") as told,
        record(model, tmp_path / "q.h5", instruments="light", progress=False) as run,
    ):
        for _ in range(3):
            model.update()
        run.epoch(accuracy=0.5)
    assert len(told) == 1
    assert sum(e.kind == "warning" for e in open_run(tmp_path / "q.h5").events) == 1


@pytest.mark.filterwarnings("error")
def test_nothing_is_told_of_a_loop_that_ends_in_its_first_step(tmp_path):
    model = Quadratic()
    with pytest.raises(KeyError), record(model, tmp_path / "q.h5", progress=False):
        model.update()
        raise KeyError
    with record(Quadratic(), tmp_path / "without_updates.h5", progress=False) as run:
        run.epoch(accuracy=0.5)


def test_an_unrecorded_name_is_a_clear_error(tmp_path):
    with record(Quadratic(), tmp_path / "q.h5", instruments=[], progress=False):
        pass
    with pytest.raises(NotRecordedError, match="gradient_norm"):
        open_run(tmp_path / "q.h5")["gradient_norm"]
