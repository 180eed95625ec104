"""A loop with Accelerate is recorded as it is without: accumulated, clipped, in mixed precision, bit for bit."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState

from recorder import every, open_run
from recorder.errors import RecordError
from recorder.loops.accelerate import record
from recorder.runfile.schema import State
from tests.loops.nets import BATCHES, EPOCHS, RATE, Saved, loader, loss_of, net, probe, same

STEPS = EPOCHS * BATCHES


def reset():
    """Accelerate has one state a process, which other tests may have set up otherwise."""
    AcceleratorState._reset_state(True)
    GradientState._reset_state()


@pytest.fixture(autouse=True)
def own_state():
    reset()
    yield
    reset()


def train(path=None, *, clip=None, several=False, **options):
    """-> the net, what was saved by hand, the losses; `path` None: without a recording"""
    accelerator = Accelerator(cpu=True, **options)
    bare = net()
    optimizer = torch.optim.SGD(bare.parameters(), lr=RATE)
    model, optimizer, batches = accelerator.prepare(bare, optimizer, loader())
    saved, losses = Saved(bare), []
    torch.manual_seed(2)

    def loop(run=None):
        for _ in range(EPOCHS):
            for x, y in batches:
                with accelerator.accumulate(model):
                    loss = loss_of(model(x), y)
                    accelerator.backward(loss)
                    if accelerator.sync_gradients:
                        if clip is not None:
                            accelerator.clip_grad_norm_(model.parameters(), clip)
                        saved.save()
                    optimizer.step()
                    optimizer.zero_grad()
                losses.append(float(loss.detach()))
                if run is not None:
                    run.step(loss=loss)
            if run is not None:
                run.epoch()

    if path is None:
        loop()
    else:
        recorded = {"net": model} if several else model
        instruments = [every(1, "gradient_norm")]
        named = {"optimizer": {"net": optimizer}} if several else {}
        with record(
            accelerator,
            recorded,
            path,
            probe={"net": probe()} if several else probe(),
            instruments=instruments,
            progress=False,
            **named,
        ) as run:
            loop(run)
    return bare, saved, losses


def norms_are(run, saved, steps, prefix=""):
    series = run["gradient_norm"]
    measured = np.isfinite(series.values).any(axis=1)
    assert series.step[measured].tolist() == list(steps)
    names = tuple(name.removeprefix(prefix) for name in series.items)
    np.testing.assert_allclose(series.values[measured], list(saved.norms(names)), rtol=1e-6)


def test_the_training_is_the_same_and_its_rows_are_what_was_saved_by_hand(tmp_path):
    bare, _, _ = train()
    model, saved, losses = train(tmp_path / "x.h5")
    assert same(model, bare)
    run = open_run(tmp_path / "x.h5")
    assert run.state is State.DONE
    norms_are(run, saved, range(STEPS))
    assert run["loss"].values.tolist() == losses
    assert set(run["learning_rate"].values) == {RATE}
    assert run.meta["config"] == {"mixed_precision": "no", "gradient_accumulation_steps": 1}


def test_accumulated_clipped_and_in_mixed_precision(tmp_path):
    options = {"gradient_accumulation_steps": 4, "mixed_precision": "bf16", "clip": 0.1}
    bare, _, _ = train(**options)
    model, saved, losses = train(tmp_path / "x.h5", **options)
    assert same(model, bare)
    run = open_run(tmp_path / "x.h5")
    norms_are(run, saved, [k + BATCHES * e for e in range(EPOCHS) for k in (3, 5)])
    assert run.steps == STEPS
    assert run["loss"].values.tolist() == losses
    clipped = run["gradient_norm_before_clipping"].values
    assert np.isfinite(clipped).sum() == 2 * EPOCHS
    assert run.meta["config"] == {"mixed_precision": "bf16", "gradient_accumulation_steps": 4}


def test_several_models_by_name(tmp_path):
    _, saved, _ = train(tmp_path / "x.h5", several=True)
    norms_are(open_run(tmp_path / "x.h5"), saved, range(STEPS), prefix="net.")


def test_a_training_whose_updates_are_made_elsewhere_is_told(tmp_path):
    accelerator = SimpleNamespace(distributed_type=SimpleNamespace(name="DEEPSPEED"))
    with pytest.raises(RecordError, match=r"DeepSpeed makes the updates.*run it with DistributedDataParallel or FSDP2"):
        record(accelerator, net(), tmp_path / "x.h5")
    with pytest.raises(RecordError, match=r"expected an Accelerator first, got Sequential"):
        record(net(), accelerator, tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())
