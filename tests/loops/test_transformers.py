"""A training by Hugging Face's Trainer with the callback is the one without it, and its rows are what was saved."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from recorder import every, open_run
from recorder.errors import RecordError, RunExistsError
from recorder.loops.transformers import Record
from recorder.runfile.schema import State
from tests.loops.nets import BATCH, BATCHES, EPOCHS, RATE, Saved, data, loss_of, net, probe, same

ROOT = Path(__file__).parents[2]
STEPS = EPOCHS * BATCHES
pytestmark = pytest.mark.filterwarnings("ignore")


class Model(torch.nn.Module):
    """As the models of transformers: it takes the labels and gives the loss."""

    fails_at = -1  # calls in training

    def __init__(self):
        super().__init__()
        self.net = net()
        self.calls = 0

    def forward(self, x, labels=None):
        if self.training:
            if self.calls == self.fails_at:
                raise KeyboardInterrupt
            self.calls += 1
        logits = self.net(x)
        return {"logits": logits} if labels is None else {"loss": loss_of(logits, labels), "logits": logits}


class Saves(TrainerCallback):
    """What the optimizer is about to use, and what is logged, by hand."""

    def __init__(self, model):
        self.saved, self.logs = Saved(model.net), []

    def on_pre_optimizer_step(self, args, state, control, **rest):
        self.saved.save()

    def on_log(self, args, state, control, logs=None, **rest):
        self.logs.append((state.global_step, dict(logs)))


def samples():
    return [{"x": x, "labels": y} for x, y in data()]


def trainer(folder, *callbacks, model=None, **options):
    arguments = TrainingArguments(
        str(folder / "trainer"),
        **{
            "num_train_epochs": EPOCHS, "per_device_train_batch_size": BATCH, "learning_rate": RATE, "optim": "sgd",
            "logging_steps": 1, "save_strategy": "no", "eval_strategy": "epoch", "report_to": "none", "use_cpu": True,
            "disable_tqdm": True, "max_grad_norm": 0.0, "seed": 3, "dataloader_pin_memory": False, **options,
        },
    )  # fmt: skip
    model = model or Model()
    return Trainer(model, arguments, train_dataset=samples(), eval_dataset=samples(), callbacks=list(callbacks))


def trained(folder, *callbacks, model=None, **options):
    """-> the model and what was saved by hand"""
    model = model or Model()
    saves = Saves(model)
    trainer(folder, *callbacks, saves, model=model, **options).train()
    return model, saves


def each_step(path, **options):
    return Record(path, instruments=[every(1, "gradient_norm")], **options)


def norms_are(run, saved, steps):
    series = run["gradient_norm"]
    assert series.step.tolist() == list(steps)
    names = tuple(name.removeprefix("net.") for name in series.items)
    np.testing.assert_allclose(series.values, list(saved.norms(names)), rtol=1e-6)


def given_with(run, name):
    """Whether it is a number of steps or of epochs."""
    (axis,) = (v.series["scalars"].axis for v in run.volumes if name in v.series["scalars"].items)
    return axis.partition("_")[0]


def test_the_training_is_the_same_and_its_rows_are_what_was_saved_by_hand(tmp_path):
    bare, _ = trained(tmp_path)
    model, saves = trained(tmp_path, each_step(tmp_path / "x.h5", probe=probe()))
    assert same(model, bare)
    run = open_run(tmp_path / "x.h5")
    assert run.state is State.DONE
    assert run.steps == STEPS
    norms_are(run, saves.saved, range(STEPS))
    logged = [logs for _, logs in saves.logs]
    losses = [logs["loss"] for logs in logged if "loss" in logs]
    assert run["loss"].values.tolist() == losses
    rates = [logs["learning_rate"] for logs in logged if "learning_rate" in logs]
    for group in (0, 1):  # the trainer's: with weight decay and without
        assert run[f"learning_rate/{group}"].values.tolist() == rates
    assert run["eval_loss"].step.tolist() == [BATCHES * (k + 1) for k in range(EPOCHS)]
    assert run["eval_loss"].values.tolist() == [logs["eval_loss"] for logs in logged if "eval_loss" in logs]
    assert given_with(run, "eval_loss") == "epoch"
    assert run["train_loss"].values[-1] == logged[-1]["train_loss"]
    assert run.meta["config"]["per_device_train_batch_size"] == BATCH


class Evaluated(TrainerCallback):
    """How many steps were recorded when each evaluation began: the time that it takes is not that of a step."""

    def __init__(self, record):
        self.record, self.steps = record, []

    def on_prediction_step(self, args, state, control, **rest):
        self.steps.append((state.global_step, self.record._training._run.steps))


def test_evaluations_within_an_epoch_and_losses_now_and_then(tmp_path):
    options = {"eval_strategy": "steps", "eval_steps": 3, "logging_steps": 4}
    record = Record(tmp_path / "x.h5", instruments=[])
    evaluated = Evaluated(record)
    _, saves = trained(tmp_path, record, evaluated, **options)
    run = open_run(tmp_path / "x.h5")
    assert set(evaluated.steps) == {(step, step) for step in range(3, STEPS + 1, 3)}
    assert given_with(run, "eval_loss") == "step"
    assert run["eval_loss"].step.tolist() == list(range(3, STEPS + 1, 3))
    assert run["eval_loss"].values.tolist() == [logs["eval_loss"] for _, logs in saves.logs if "eval_loss" in logs]
    assert run["loss"].step.tolist() == [3, 7, 11, 15]  # the last of the steps whose mean it is
    assert run["loss"].values.tolist() == [logs["loss"] for _, logs in saves.logs if "loss" in logs]


def test_a_step_is_an_update(tmp_path):
    options = {"gradient_accumulation_steps": 4, "max_grad_norm": 0.1, "bf16": True}
    bare, _ = trained(tmp_path, **options)
    model, saves = trained(tmp_path, each_step(tmp_path / "x.h5", probe=probe()), **options)
    assert same(model, bare)
    run = open_run(tmp_path / "x.h5")
    assert run.steps == 2 * EPOCHS
    norms_are(run, saves.saved, range(2 * EPOCHS))
    before = [logs["grad_norm"] for _, logs in saves.logs if "grad_norm" in logs]
    np.testing.assert_allclose(run["gradient_norm_before_clipping"].values, before, rtol=1e-6)


@pytest.mark.parametrize("place", ["x.h5", "runs/"])
def test_a_checkpoint_goes_on_in_its_run(tmp_path, place):
    (tmp_path / "runs").mkdir()
    options = {"save_strategy": "steps", "save_steps": 4}
    model = Model()
    model.fails_at = 10
    with pytest.raises(KeyboardInterrupt), each_step(f"{tmp_path}/{place}") as record:
        trained(tmp_path, record, model=model, **options)
    (file,) = [*tmp_path.glob("*.h5"), *(tmp_path / "runs").glob("*.h5")]
    before = open_run(file)
    assert (before.state, before.steps, before.error) == (State.FAILED, 10, "KeyboardInterrupt")

    again = Model()
    saves = Saves(again)
    trainer(tmp_path, each_step(f"{tmp_path}/{place}"), saves, model=again, **options).train(
        resume_from_checkpoint=True
    )
    run = open_run(file)
    assert run.state is State.DONE
    assert run["gradient_norm"].step.tolist() == list(range(STEPS))
    names = tuple(name.removeprefix("net.") for name in run["gradient_norm"].items)
    np.testing.assert_allclose(run["gradient_norm"].values[8:], list(saves.saved.norms(names)), rtol=1e-6)
    assert run["eval_loss"].step.tolist() == [BATCHES, 2 * BATCHES, 3 * BATCHES]
    (resumed,) = (event.text for event in run.events if event.kind == "resumed")
    assert resumed.startswith("at step 8; 2 steps recorded before are hidden")
    assert len([*tmp_path.glob("*.h5"), *(tmp_path / "runs").glob("*.h5")]) == 1


def test_training_again_goes_on_in_the_run(tmp_path):
    model, record = Model(), each_step(tmp_path / "x.h5")
    saves = Saves(model)
    both = trainer(tmp_path, record, saves, model=model, num_train_epochs=1)
    both.train()
    both.evaluate()  # of no training
    model.fails_at = model.calls + 2
    with pytest.raises(KeyboardInterrupt):
        both.train()
    model.fails_at = -1
    both.train()
    run = open_run(tmp_path / "x.h5")
    assert run.state is State.DONE
    norms_are(run, saves.saved, range(2 * BATCHES + 2))
    assert run["eval_loss"].step.tolist() == [BATCHES, 2 * BATCHES + 2]
    with pytest.raises(RunExistsError):
        trained(tmp_path, record)  # another network


class Copies(TrainerCallback):
    """Copies the other callback in the middle of the training."""

    def __init__(self, record):
        self.record, self.copies = record, []

    def on_step_end(self, *told, **rest):
        if not self.copies:
            self.copies += [copy.deepcopy(self.record), pickle.loads(pickle.dumps(self.record))]


def test_copies_record_trainings_of_their_own(tmp_path):
    record = each_step(f"{tmp_path}/", probe=probe())
    copies = Copies(record)
    trained(tmp_path, record, copies, num_train_epochs=1)
    for one in copies.copies:
        trained(tmp_path, one, num_train_epochs=1)
    runs = [open_run(path) for path in tmp_path.glob("*.h5")]
    assert [(run.state, run.steps) for run in runs] == [(State.DONE, BATCHES)] * 3


def test_a_training_that_is_left_by_an_exception_is_sealed_with_its_callback(tmp_path):
    model = Model()
    model.fails_at = 4
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, each_step(tmp_path / "x.h5"), model=model)
    run = open_run(tmp_path / "x.h5")
    assert run.state is State.FAILED
    assert run.steps == 4


class Interrupts(TrainerCallback):
    """Ctrl-C while the next batch is loaded."""

    def on_step_end(self, args, state, control, **rest):
        if state.global_step == 4:
            raise KeyboardInterrupt


def test_an_interrupt_between_two_steps_loses_none(tmp_path):
    with pytest.raises(KeyboardInterrupt), each_step(tmp_path / "x.h5") as record:
        trained(tmp_path, record, Interrupts())
    run = open_run(tmp_path / "x.h5")
    assert run.steps == 4
    assert run["gradient_norm"].step.tolist() == [0, 1, 2, 3]


def test_a_training_whose_losses_are_not_told_says_so(tmp_path):
    with pytest.warns(UserWarning, match=r"every 500 steps, and this training has 6: .*logging_steps=1.* gives each"):
        trained(tmp_path, Record(tmp_path / "x.h5", instruments=[]), num_train_epochs=1, logging_steps=500)
    run = open_run(tmp_path / "x.h5")
    assert "loss" not in run.series["scalars"].items
    assert [event.text.split(",")[0] for event in run.events] == ["the trainer tells the loss every 500 steps"]


SCRIPT = """
    import pathlib, sys
    import tests.loops.test_transformers as here
    model = here.Model()
    model.fails_at = 4
    record = here.each_step("x.h5")
    training = here.trainer(pathlib.Path(), record, model=model)
    training.train()
"""


def test_a_process_that_ends_by_an_exception_seals_its_run(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(SCRIPT))
    ended = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "KeyboardInterrupt" in ended.stderr
    run = open_run(tmp_path / "x.h5")
    assert (run.state, run.error, run.steps) == (State.FAILED, "KeyboardInterrupt", 4)


def test_options_that_are_none():
    with pytest.raises(RecordError, match=r"Record: .*'prob'.*those of recorder.record"):
        Record("x.h5", prob=1)
