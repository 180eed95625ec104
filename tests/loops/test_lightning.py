"""A training by Lightning with the callback is the training without it, and its rows are what was saved by hand."""

from __future__ import annotations

import copy
import pickle
import signal
import warnings
from types import ModuleType

import numpy as np
import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import lightning.pytorch as lightning
    import pytorch_lightning

import recorder
from recorder import every, open_run
from recorder.errors import RecordError, RunExistsError
from recorder.loops.lightning import Record
from recorder.runfile.schema import State
from tests.loops.nets import BATCH, BATCHES, EPOCHS, RATE, Saved, by_hand, loader, net, probe, same

STEPS = EPOCHS * BATCHES
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning has advice on everything


def module_of(package: ModuleType):
    """The module that is trained here, as either of Lightning's two packages has it."""

    class Module(package.LightningModule):
        fails_at = -1  # batches that were trained until it does
        fails_with: BaseException = RuntimeError("of the loop")

        def __init__(self, rate: float = RATE):
            super().__init__()
            self.save_hyperparameters()
            self.net = net()
            self.criterion = torch.nn.CrossEntropyLoss()
            self.saved = Saved(self.net)
            self.validations = []

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, batch_idx):
            if self.trainer.fit_loop.total_batch_idx == self.fails_at:
                raise self.fails_with
            loss = self.criterion(self(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=True, on_epoch=True)
            if batch_idx == 2:
                self.log("now_and_then", float(self.current_epoch), on_step=True, on_epoch=False)
            return loss

        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.criterion(self(batch[0]), batch[1]))

        def on_validation_end(self):
            if not self.trainer.sanity_checking:
                self.validations.append(float(self.trainer.callback_metrics["val_loss"]))

        def on_train_epoch_end(self):
            self.log("from_the_module", float(self.current_epoch))

        def on_before_optimizer_step(self, optimizer):
            self.saved.save()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=self.hparams.rate)

    return Module


Module = module_of(lightning)


def trainer(folder, *callbacks, package=lightning, **options):
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    return package.Trainer(
        **{"max_epochs": EPOCHS, "accelerator": "cpu", **quiet, **options},
        callbacks=list(callbacks), default_root_dir=folder,
    )  # fmt: skip


def fit(folder, *callbacks, module=None, ckpt_path=None, **options):
    module = module or Module()
    torch.manual_seed(2)
    trainer(folder, *callbacks, **options).fit(module, loader(), loader(), ckpt_path=ckpt_path)
    return module


def each_step(path, **options):
    return Record(path, instruments=[every(1, "gradient_norm")], **options)


def norms_are(run, saved, steps):
    series = run["gradient_norm"]
    measured = np.isfinite(series.values).any(axis=1)
    assert series.step[measured].tolist() == list(steps)
    names = tuple(name.removeprefix("net.") for name in series.items)
    np.testing.assert_allclose(series.values[measured], list(saved.norms(names)), rtol=1e-6)


# -- what is recorded ----------------------------------------------------------------------------------------------


def test_the_training_is_the_same_and_its_rows_are_what_was_saved_by_hand(tmp_path):
    bare = fit(tmp_path)
    module = fit(tmp_path, each_step(tmp_path / "x.h5", probe=probe()))
    assert same(module, bare)
    run = open_run(tmp_path / "x.h5")
    assert run.state is State.DONE
    assert run.steps == STEPS
    norms_are(run, module.saved, range(STEPS))
    assert run["loss"].values[0] == by_hand()[2][0]
    assert run["train_loss_step"].values.tolist() == run["loss"].values.tolist()
    assert set(run["learning_rate"].values) == {RATE}
    assert (run["samples_per_second"].values * run["step_time"].values).round(6).tolist() == [BATCH] * STEPS
    assert run.meta["config"] == {"rate": RATE}


def test_what_the_module_logs_is_recorded_once_each_time(tmp_path):
    module = fit(tmp_path, Record(tmp_path / "x.h5", instruments=[]))
    run = open_run(tmp_path / "x.h5")
    ends = [BATCHES * (k + 1) for k in range(EPOCHS)]
    for name in ("train_loss_epoch", "val_loss", "from_the_module"):
        assert run[name].step.tolist() == ends, name
    assert run["val_loss"].values.tolist() == module.validations
    assert run["from_the_module"].values.tolist() == [0, 1, 2]
    means = run["loss"].values.reshape(EPOCHS, BATCHES).mean(axis=1)
    np.testing.assert_allclose(run["train_loss_epoch"].values, means, rtol=1e-6)
    assert run["now_and_then"].step.tolist() == [2, 2 + BATCHES, 2 + 2 * BATCHES]
    assert "train_loss" not in run.series["scalars"].items  # it is train_loss_step or train_loss_epoch


def test_a_validation_within_an_epoch_is_of_the_step_that_comes_next(tmp_path):
    module = fit(tmp_path, Record(tmp_path / "x.h5", instruments=[]), val_check_interval=2)
    run = open_run(tmp_path / "x.h5")
    assert run["val_loss"].step.tolist() == list(range(2, STEPS + 1, 2))
    assert run["val_loss"].values.tolist() == module.validations
    assert run["from_the_module"].step.tolist() == [BATCHES * (k + 1) for k in range(EPOCHS)]


def test_accumulated_gradients_are_rows_of_the_batch_that_updates(tmp_path):
    module = fit(tmp_path, each_step(tmp_path / "x.h5"), accumulate_grad_batches=4)
    run = open_run(tmp_path / "x.h5")
    norms_are(run, module.saved, [k + BATCHES * e for e in range(EPOCHS) for k in (3, 5)])
    assert run.steps == STEPS
    assert run["loss"].values.tolist() == run["train_loss_step"].values.tolist()  # not the part of it


def bfloat16():
    return {"precision": "bf16-mixed"}


def scaled_float16():
    """Lightning scales by itself on a GPU only."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=4)
    return {"plugins": [lightning.plugins.MixedPrecision("16-mixed", "cpu", scaler=scaler)]}


@pytest.mark.parametrize("precision", [bfloat16, scaled_float16])
def test_mixed_precision_and_clipping(tmp_path, precision):
    bare = fit(tmp_path, gradient_clip_val=0.1, **precision())
    module = fit(tmp_path, each_step(tmp_path / "x.h5", probe=probe()), gradient_clip_val=0.1, **precision())
    assert same(module, bare)
    run = open_run(tmp_path / "x.h5")
    totals = np.sqrt(np.square(list(module.saved.norms(tuple(dict(module.net.named_parameters()))))).sum(axis=1))
    np.testing.assert_allclose(run["gradient_norm_before_clipping"].values, totals, rtol=1e-5)
    np.testing.assert_allclose(
        np.sqrt(np.square(run["gradient_norm"].values).sum(axis=1)), np.minimum(totals, 0.1), rtol=1e-4
    )


class Two(lightning.LightningModule):
    """Two networks and two optimizers by hand: the second one is updated with every other batch."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.first, self.second = net(), net()
        self.saved = {"first": Saved(self.first), "second": Saved(self.second)}

    def training_step(self, batch, batch_idx):
        both = zip(("first", "second"), self.optimizers(), strict=True)
        for name, optimizer in both:
            if name == "first" or batch_idx % 2:
                loss = torch.nn.functional.cross_entropy(getattr(self, name)(batch[0]), batch[1])
                optimizer.zero_grad()
                self.manual_backward(loss)
                self.saved[name].save()
                optimizer.step()
                self.log(f"loss_{name}", loss)

    def configure_optimizers(self):
        return [torch.optim.SGD(one.parameters(), lr=rate) for one, rate in ((self.first, 0.1), (self.second, 0.2))]


def test_several_optimizers_by_hand(tmp_path):
    bare, module = Two(), Two()
    fit(tmp_path, module=bare)
    fit(tmp_path, each_step(tmp_path / "x.h5"), module=module)
    assert same(module, bare)
    run = open_run(tmp_path / "x.h5")
    series = run["gradient_norm"]
    assert series.step.tolist() == list(range(STEPS))
    for name, rows in (("first", slice(None)), ("second", slice(1, None, 2))):
        columns = [k for k, item in enumerate(series.items) if item.startswith(name)]
        names = tuple(series.items[k].removeprefix(f"{name}.") for k in columns)
        np.testing.assert_allclose(series.values[rows, columns], list(module.saved[name].norms(names)), rtol=1e-6)
    assert np.isnan(series.values[::2, columns]).all()
    assert run["loss_first"].step.tolist() == list(range(STEPS))
    assert np.isfinite(run["loss_second"].values).sum() == STEPS // 2
    assert {0.1, 0.2} == {run[name].values[-1] for name in run.series["scalars"].items if "learning_rate" in name}


def test_the_other_package_of_lightning(tmp_path):
    module = module_of(pytorch_lightning)()
    fit(tmp_path, each_step(tmp_path / "x.h5"), module=module, package=pytorch_lightning)
    norms_are(open_run(tmp_path / "x.h5"), module.saved, range(STEPS))


# -- trainings that end otherwise, and go on -----------------------------------------------------------------------


def test_an_exception_seals_the_run(tmp_path):
    module = Module()
    module.fails_at = 8
    with pytest.raises(RuntimeError, match="of the loop"):
        fit(tmp_path, each_step(tmp_path / "x.h5"), module=module)
    run = open_run(tmp_path / "x.h5")
    assert run.state is State.FAILED
    assert run.error == "RuntimeError: of the loop"
    norms_are(run, module.saved, range(8))
    assert run["val_loss"].step.tolist() == [BATCHES]


def test_an_interrupt_seals_the_run(tmp_path):
    module = Module()
    module.fails_at, module.fails_with = 3, KeyboardInterrupt()
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit):
            fit(tmp_path, each_step(tmp_path / "x.h5"), module=module)
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning takes it away for good
    run = open_run(tmp_path / "x.h5")
    assert run.state is State.FAILED
    assert run.error == "KeyboardInterrupt"
    assert run.steps == 3


@pytest.mark.parametrize("place", ["x.h5", "runs/"])
def test_a_checkpoint_goes_on_in_its_run(tmp_path, place):
    (tmp_path / "runs").mkdir()
    place = f"{tmp_path}/{place}"

    def training(fails_at, ckpt_path=None):
        module = Module()
        module.fails_at = fails_at
        keep = lightning.callbacks.ModelCheckpoint(tmp_path / "kept", save_last=True, every_n_train_steps=4)
        fit(
            tmp_path, each_step(place), keep,
            module=module, enable_checkpointing=True, ckpt_path=ckpt_path,
        )  # fmt: skip
        return module

    with pytest.raises(RuntimeError, match="of the loop"):
        training(10)
    with pytest.raises(RuntimeError, match="of the loop"):
        training(14, tmp_path / "kept" / "last.ckpt")
    last = training(-1, tmp_path / "kept" / "last.ckpt")
    (file,) = [*tmp_path.glob("*.h5"), *(tmp_path / "runs").glob("*.h5")]
    run = open_run(file)
    assert run.state is State.DONE
    assert run["gradient_norm"].step.tolist() == list(range(STEPS))
    names = tuple(name.removeprefix("net.") for name in run["gradient_norm"].items)
    np.testing.assert_allclose(run["gradient_norm"].values[12:], list(last.saved.norms(names)), rtol=1e-6)
    assert run["val_loss"].step.tolist() == [BATCHES, 2 * BATCHES, 3 * BATCHES]
    resumed = [event.text for event in run.events if event.kind == "resumed"]
    assert len(resumed) == 2
    assert resumed[0].startswith("at step 8; 2 steps recorded before are hidden")


def test_a_checkpoint_from_before_the_callback_says_where_the_run_begins(tmp_path):
    keep = lightning.callbacks.ModelCheckpoint(tmp_path / "kept", save_last=True)
    fit(tmp_path, keep, enable_checkpointing=True, max_epochs=1)
    fit(tmp_path, each_step(tmp_path / "x.h5"), ckpt_path=tmp_path / "kept" / "last.ckpt")
    run = open_run(tmp_path / "x.h5")
    assert run["gradient_norm"].step.tolist() == list(range(BATCHES, STEPS))
    assert run["gradient_norm"].epoch.tolist()[0] == 1


def test_a_second_fit_goes_on_in_the_run(tmp_path):
    module, record = Module(), each_step(tmp_path / "x.h5")
    torch.manual_seed(2)
    first = trainer(tmp_path, record, max_epochs=1)
    first.fit(module, loader(), loader())
    first.fit_loop.max_epochs = 2
    first.fit(module, loader(), loader())
    first.fit(module, loader(), loader())  # nothing is left to do
    first.validate(module, loader(), verbose=False)
    trainer(tmp_path, record, max_epochs=1).fit(module, loader(), loader())
    run = open_run(tmp_path / "x.h5")
    assert run.state is State.DONE
    norms_are(run, module.saved, range(STEPS))
    assert run["val_loss"].step.tolist() == [BATCHES, 2 * BATCHES, 3 * BATCHES]


def test_another_network_is_another_run(tmp_path):
    record = each_step(f"{tmp_path}/")
    for _ in range(2):
        fit(tmp_path, record, max_epochs=1)
    assert [open_run(path).steps for path in tmp_path.glob("*.h5")] == [BATCHES, BATCHES]
    again = each_step(tmp_path / "x.h5")
    fit(tmp_path, again, max_epochs=1)
    with pytest.raises(RunExistsError, match=r"already there.*a checkpoint of the trainer takes the place of resume="):
        fit(tmp_path, again, max_epochs=1)


class Copies(lightning.Callback):
    """Copies the other callback in the middle of the training, as some tools do."""

    def __init__(self, record):
        self.record, self.copies = record, []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if not self.copies:
            self.copies += [copy.deepcopy(self.record), pickle.loads(pickle.dumps(self.record))]


def test_copies_record_trainings_of_their_own(tmp_path):
    record = pickle.loads(pickle.dumps(each_step(f"{tmp_path}/", probe=probe())))
    copies = Copies(record)
    fit(tmp_path, record, copies, max_epochs=1)
    for one in copies.copies:
        fit(tmp_path, one, max_epochs=1)
    runs = [open_run(path) for path in tmp_path.glob("*.h5")]
    assert [(run.state, run.steps) for run in runs] == [(State.DONE, BATCHES)] * 3


# -- at the door ---------------------------------------------------------------------------------------------------


def test_options_that_are_none():
    with pytest.raises(RecordError, match=r"Record: .*'prob'.*those of recorder.record"):
        Record("x.h5", prob=1)
    with pytest.raises(RecordError, match=r"Record\(resume=...\): the trainer knows this"):
        Record("x.h5", resume=True)
    with pytest.raises(RecordError, match=r"expected the path of the run.*got Sequential; the trainer tells the model"):
        Record(net())


def test_a_dry_run_checks_and_leaves_nothing(tmp_path):
    fit(tmp_path, each_step(tmp_path / "x.h5", probe=probe()), fast_dev_run=True)
    assert not list(tmp_path.iterdir())
    with pytest.raises(RecordError, match="wrong"):
        fit(tmp_path, Record(tmp_path / "x.h5", instruments="wrong"), fast_dev_run=True)


def test_where_it_is_found():
    assert recorder.loops.lightning.Record is Record
    with pytest.raises(AttributeError, match="fastai"):
        recorder.loops.fastai  # noqa: B018
