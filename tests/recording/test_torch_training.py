"""Recording a real PyTorch training: the same weights bit for bit, nothing left behind, nothing in the way."""

from __future__ import annotations

import copy
import io
import threading
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.optimizer import _global_optimizer_pre_hooks
from torch.utils.data import DataLoader, Dataset, TensorDataset

from recorder import Checkpoints, at_end, each_epoch, every, open_run, record
from recorder.instruments import RawSnapshots
from recorder.runfile.schema import State

IMAGES = torch.randn(96, 1, 6, 6, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(96) % 3


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.2), nn.Flatten(), nn.Linear(64, 8),
        nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3),
    )  # fmt: skip


def train(run=None, *, model=None, optimizer=None, epochs=2, loader=None, each=lambda step: None):
    """The user's loop; what it computes must not depend on `run`."""
    step = 0
    for _ in range(epochs):
        for images, labels in loader or DataLoader(TensorDataset(IMAGES, LABELS), batch_size=16, shuffle=True):
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if run is not None:
                run.step(loss=loss, samples=len(images))
            each(step)
            step += 1
        if run is not None:
            run.epoch(val_accuracy=0.5)


def fresh(seed=0):
    torch.manual_seed(seed)
    model = network()
    return model, torch.optim.Adam(model.parameters(), lr=1e-2)


def state(model, optimizer):
    tensors = dict(model.state_dict())
    for i, values in optimizer.state_dict()["state"].items():
        tensors |= {f"{i}/{name}": torch.as_tensor(value) for name, value in values.items()}
    return tensors | {"random": torch.get_rng_state()}


@pytest.mark.parametrize("instruments", ["light", "full"])
def test_the_weights_are_the_same_bit_for_bit(tmp_path, instruments):
    model, optimizer = fresh()
    train(model=model, optimizer=optimizer)
    alone = state(model, optimizer)

    model, optimizer = fresh()
    options = {"checkpoints": Checkpoints(every=5), "progress": False, "strict": True}
    with record(
        model,
        tmp_path / "r.h5",
        optimizer=optimizer,
        probe=(IMAGES[:9], LABELS[:9]),
        instruments=instruments,
        **options,
    ) as run:
        train(run, model=model, optimizer=optimizer)
    recorded = state(model, optimizer)

    assert alone.keys() == recorded.keys()
    for name, tensor in alone.items():
        assert torch.equal(tensor, recorded[name]), name
    assert all(module.training for module in model.modules())
    assert all(p.requires_grad for p in model.parameters())


def test_norms_are_those_of_gradients_saved_by_hand(tmp_path):
    model, optimizer = fresh()
    gradients, weights, names = [], [], [name for name, _ in model.named_parameters()]

    def save(*_):
        gradients.append([p.grad.double().norm().item() for p in model.parameters()])
        weights.append([p.detach().double().clone() for p in model.parameters()])

    by_hand = optimizer.register_step_pre_hook(save)
    with record(model, tmp_path / "r.h5", instruments="full", progress=False, strict=True) as run:
        train(run, model=model, optimizer=optimizer)
    by_hand.remove()
    run = open_run(tmp_path / "r.h5")
    assert run["gradient_norm"].items == tuple(names)
    np.testing.assert_allclose(run["gradient_norm"].values, gradients, rtol=1e-6)
    norms = [[w.norm().item() for w in row] for row in weights]
    np.testing.assert_allclose(run["weight_norm"].values, norms, rtol=1e-6)
    ratios = [
        [((w - v).norm() / v.norm()).item() if v.norm() > 0 else np.nan for w, v in zip(now, before, strict=True)]
        for before, now in pairwise(weights)
    ]
    np.testing.assert_allclose(run["update_ratio"].values[1:], ratios, rtol=1e-4)


def left_behind(model, optimizer):
    """Everything of ours that could still be in the process."""
    hooks = [h for m in model.modules() for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]
    return (
        len(_global_optimizer_pre_hooks),
        len(optimizer._optimizer_step_pre_hooks),
        len(hooks),
        torch.nn.utils.clip_grad._clip_grads_with_norm_,
        torch.amp.GradScaler._maybe_opt_step,
        sorted(t.name for t in threading.enumerate() if t.name.startswith("layerscope")),
    )


@pytest.mark.parametrize("error", [None, RuntimeError("CUDA out of memory"), KeyboardInterrupt()])
def test_nothing_is_left_behind(tmp_path, error):
    model, optimizer = fresh()
    before = left_behind(model, optimizer)

    def fail(step):
        if error is not None and step == 7:
            raise error

    def recorded():
        with record(model, tmp_path / "r.h5", optimizer=optimizer, probe=IMAGES[:4], progress=False) as run:
            train(run, model=model, optimizer=optimizer, each=fail)

    if error is None:
        recorded()
    else:
        with pytest.raises(type(error)):
            recorded()
    assert left_behind(model, optimizer) == before
    run = open_run(tmp_path / "r.h5")
    assert run.state is (State.DONE if error is None else State.FAILED)
    assert len(run["loss"].values) == (12 if error is None else 8)


def test_the_model_can_be_saved_and_copied_inside_and_after(tmp_path):
    model, optimizer = fresh()

    def saved_and_copied(_=0):
        torch.save(model, io.BytesIO())
        torch.save(optimizer.state_dict(), io.BytesIO())
        copied = copy.deepcopy(model)
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), copied.parameters(), strict=True))

    with record(model, tmp_path / "r.h5", optimizer=optimizer, probe=IMAGES[:4], progress=False, strict=True) as run:
        train(run, model=model, optimizer=optimizer, epochs=1, each=saved_and_copied)
    saved_and_copied()


class Rows(Dataset):
    """A data set that holds the run, as careless ones do, and calls it in the workers."""

    def __init__(self, run):
        self.run = run

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        self.run.event("note", "from a worker")
        return IMAGES[index], LABELS[index]


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_of_a_data_loader_record_nothing(tmp_path, context):
    model, optimizer = fresh()
    with (
        warnings.catch_warnings(),
        record(model, tmp_path / "r.h5", optimizer=optimizer, probe=IMAGES[:4], progress=False, strict=True) as run,
    ):
        warnings.simplefilter("ignore", DeprecationWarning)  # fork in a process with threads
        loader = DataLoader(Rows(run), batch_size=32, num_workers=1, multiprocessing_context=context)
        train(run, model=model, optimizer=optimizer, loader=loader)
    run = open_run(tmp_path / "r.h5")
    assert run.state is State.DONE
    assert run["loss"].step.tolist() == list(range(6))
    assert [e for e in run.events if e.kind == "note"] == []


def test_two_recordings_at_once_see_each_their_own(tmp_path):
    (a, of_a), (b, of_b) = fresh(1), fresh(2)
    options = {"instruments": "full", "progress": False, "strict": True}
    with (
        record(a, tmp_path / "a.h5", **options) as run_a,
        record(b, tmp_path / "b.h5", optimizer=of_b, **options) as run_b,
    ):
        train(run_a, model=a, optimizer=of_a, epochs=1)
        train(run_b, model=b, optimizer=of_b, epochs=2)
    assert len(open_run(tmp_path / "a.h5")["gradient_norm"].values) == 6
    assert np.isfinite(open_run(tmp_path / "b.h5")["gradient_norm"].values).all()
    assert len(open_run(tmp_path / "b.h5")["gradient_norm"].values) == 12


def test_several_models_with_several_optimizers(tmp_path):
    torch.manual_seed(0)
    models = {"G": nn.Linear(2, 3), "D": nn.Sequential(nn.Linear(3, 1), nn.Sigmoid())}
    optimizers = {
        name: torch.optim.SGD(m.parameters(), lr=lr) for (name, m), lr in zip(models.items(), (0.1, 0.2), strict=True)
    }
    noise = torch.randn(5, 2)
    with record(
        models,
        tmp_path / "r.h5",
        optimizer=optimizers,
        probe={"G": noise},
        instruments="full",
        progress=False,
        strict=True,
    ) as run:
        for step in range(4):
            for name in ("D", "G") if step % 2 == 0 else ("D",):
                for optimizer in optimizers.values():
                    optimizer.zero_grad()
                models["D"](models["G"](noise)).mean().backward()
                optimizers[name].step()
            run.step()
    run = open_run(tmp_path / "r.h5")
    generator = run["gradient_norm"].item("G.weight").values
    assert np.isfinite(generator).tolist() == [True, False, True, False]  # it was not updated at steps 1 and 3
    assert np.isfinite(run["gradient_norm"].item("D.0.weight").values).all()
    np.testing.assert_array_equal(run["learning_rate/D"].values, 0.2)


def test_a_checkpoint_is_a_state_dict(tmp_path):
    model, optimizer = fresh()
    with record(
        model, tmp_path / "r.h5", checkpoints=Checkpoints(every=each_epoch), progress=False, strict=True
    ) as run:
        train(run, model=model, optimizer=optimizer, epochs=1)
    saved = torch.load(tmp_path / "r.d" / "checkpoints" / "step-000006.pth", weights_only=True)
    for name, tensor in model.state_dict().items():
        assert torch.equal(saved[name], tensor)


def test_a_loss_with_its_graph_is_fine_and_is_not_kept_alive(tmp_path):
    model, optimizer = fresh()
    with (
        warnings.catch_warnings(),
        record(model, tmp_path / "r.h5", optimizer=optimizer, instruments=[], progress=False, strict=True) as run,
    ):
        warnings.simplefilter("error")
        train(run, model=model, optimizer=optimizer, epochs=1)
    assert np.isfinite(open_run(tmp_path / "r.h5")["loss"].values).all()


def test_activations_are_those_of_a_forward_pass_in_eval_mode(tmp_path):
    model, optimizer = fresh()
    with record(model, tmp_path / "r.h5", optimizer=optimizer, probe=IMAGES[:9], progress=False, strict=True) as run:
        train(run, model=model, optimizer=optimizer, epochs=1)
    model.eval()
    with torch.no_grad():
        relu = model[:3](IMAGES[:9])
        tanh = model[:8](IMAGES[:9])
    run = open_run(tmp_path / "r.h5")
    assert run["activation_mean"].item("2").values[-1] == pytest.approx(relu.mean().item(), rel=1e-5)
    assert run["activation_std"].item("2").values[-1] == pytest.approx(relu.std().item(), rel=1e-5)
    assert run["activation_zero_count"].item("2").values[-1] == (relu == 0).sum().item()
    assert run["activation_saturated_count"].item("7").values[-1] == (tanh.abs() >= 0.9).sum().item()
    assert (
        run["activation_dead_units"].item("2").values[-1] == (relu.amax((0, 2, 3)) == relu.amin((0, 2, 3))).sum().item()
    )


@pytest.mark.parametrize("micro", [1, 4, 10])
def test_light_follows_updates_however_many_batches_are_accumulated(tmp_path, micro):
    model, updates = nn.Linear(4, 2), 22
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    norms, ratios, before = [], [], None
    with record(model, tmp_path / "a.h5", optimizer=optimizer, strict=True, progress=False) as run:
        for step in range(updates * micro):
            loss = model(torch.full((3, 4), np.sin(step))).square().mean() / micro
            loss.backward()
            if step % micro == micro - 1:
                weight = model.weight.detach().clone()
                norms.append(model.weight.grad.norm().item())
                ratios.append(np.nan if before is None else ((weight - before).norm() / before.norm()).item())
                before = weight
                optimizer.step()
                optimizer.zero_grad()
            run.step(loss=loss)
    recorded = [0, 1, 10, 11, 20, 21]  # two of ten updates
    with open_run(tmp_path / "a.h5") as run:
        norm, ratio = run["gradient_norm"].item("weight"), run["update_ratio"].item("weight")
        assert norm.step.tolist() == [(k + 1) * micro - 1 for k in recorded]
        np.testing.assert_allclose(norm.values, np.array(norms)[recorded], rtol=1e-5)
        np.testing.assert_allclose(ratio.values, np.array(ratios)[[1, 11, 21]], rtol=1e-4)


@pytest.mark.parametrize("steps", [3, 100])
def test_updates_that_cannot_be_seen_are_told_once(tmp_path, steps):
    model = nn.Linear(4, 2)
    with (
        pytest.warns(UserWarning, match="no update of the model was seen") as told,
        record(model, tmp_path / "a.h5", progress=False) as run,
    ):
        for _ in range(steps):
            model(torch.ones(3, 4)).sum().backward()
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.1 * p.grad
            run.step(loss=1.0)
    assert len(told) == 1
    with open_run(tmp_path / "a.h5") as run:
        assert [e.kind for e in run.events] == ["warning"]
        assert len(run["loss"].values) == steps


def test_a_late_tensor_has_raw_snapshots_and_is_there_at_the_end(tmp_path):
    model, optimizer = fresh()
    instruments = [every(1, RawSnapshots("10.*")), at_end("weight_norm")]
    model.append(nn.Linear(3, 2))
    optimizer.add_param_group({"params": model[-1].parameters(), "lr": 0.1})
    gradients = []
    with record(model, tmp_path / "r.h5", instruments=instruments, progress=False, strict=True) as run:
        for step in range(4):
            if step == 2:
                model[-1].extra = nn.Linear(2, 1)
                optimizer.add_param_group({"params": model[-1].extra.parameters()})
            optimizer.zero_grad()
            out = model(IMAGES[:8])
            (out if step < 2 else model[-1].extra(out)).square().mean().backward()
            gradients.append({n: p.grad.numpy().copy() for n, p in model.named_parameters()})
            optimizer.step()
            run.step()
    with open_run(tmp_path / "r.h5") as run:
        for name, since in (("10.weight", 0), ("10.extra.weight", 3)):  # one step after it came: copies are planned
            rows = run["raw_gradient"].item(name)
            kept = {int(s): v for s, v in zip(rows.step, rows.values, strict=True)}
            assert [s for s in kept if np.isfinite(kept[s]).any()] == list(range(since, 4))
            for step in range(since, 4):
                np.testing.assert_array_equal(kept[step], gradients[step][name])
        norms = dict(zip(run["weight_norm"].items, run["weight_norm"].values[-1], strict=True))
        assert norms == {n: pytest.approx(p.detach().norm().item(), rel=1e-5) for n, p in model.named_parameters()}


@pytest.mark.parametrize("instruments", ["light", "full"])
def test_a_head_added_later_is_recorded_like_the_rest(tmp_path, instruments):
    """Each number of the new tensors is that of gradients and weights saved by hand."""
    model, optimizer = fresh()
    gradients, weights = [], []
    with record(model, tmp_path / "r.h5", instruments=instruments, progress=False, strict=True) as run:
        for step in range(24):
            if step == 6:
                model.append(nn.Linear(3, 2))
                optimizer.add_param_group({"params": model[-1].parameters(), "lr": 0.1})
            if step == 12:
                run.epoch(val_accuracy=0.5)
            optimizer.zero_grad()
            model(IMAGES[:8]).square().mean().backward()
            gradients.append({n: p.grad.double().norm().item() for n, p in model.named_parameters()})
            weights.append({n: p.detach().double().clone() for n, p in model.named_parameters()})
            optimizer.step()
            run.step(loss=float(step))
    with open_run(tmp_path / "r.h5") as run:
        sizes = {n: p.numel() for n, p in model.named_parameters()}
        assert run["gradient_norm"].items == run["update_ratio"].items == tuple(sizes)
        for name in sizes:
            found, since = run["gradient_norm"].item(name), 6 if name.startswith("10.") else 0
            np.testing.assert_allclose(found.values, [gradients[s][name] for s in found.step], rtol=1e-5)
            due = [s for s in range(since, 24) if instruments == "full" or s % 10 < 2]
            assert found.step.tolist() == due
            ratios = run["update_ratio"].item(name)
            assert ratios.step.tolist() == [s for s in due if instruments == "full" or s % 10 == 1]
            for step, ratio in zip(ratios.step, ratios.values, strict=True):
                before = weights[step - 1][name] if step > since else torch.zeros(1)
                if before.any():
                    assert ratio == pytest.approx(
                        ((weights[step][name] - before).norm() / before.norm()).item(), rel=1e-4
                    )
                else:  # nothing to compare with, or a bias that began at 0
                    assert np.isnan(ratio)
            if instruments == "full":
                counts = run["weight_histogram"].item(name)
                assert counts.step.tolist() == [s for s in (0, 12, 24) if s >= since]
                assert (counts.values.sum(axis=1) == sizes[name]).all()
        assert run["gradient_norm"].values.shape == (len(run["gradient_norm"].step), len(sizes))
        assert run.chart("gradient_norm", "10.weight").caption
        assert [e.text for e in run.events if e.kind == "note"] == ["2 tensors came during the run: 10.weight, 10.bias"]
