"""Whatever a training does, its rows are the gradients that the update used, and the training itself is unchanged."""

from __future__ import annotations

import copy
import io
import os
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_  # the import style that a replaced attribute would miss
from torch.optim.optimizer import _global_optimizer_pre_hooks

from recorder.adapters.torch.adapter import SKIPPED
from recorder.adapters.torch.host import unscaled
from recorder.adapters.torch.taps import clipping, scaled_step
from recorder.reading import Plan, Statistic
from tests.adapters.watching import EVERYTHING, NOTHING, Watched, assert_measured, norm, saved


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def network(width: int = 8) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(width, 2)
    )


def backward(model, scale=1.0, **options):
    loss = scale * model(torch.randn(16, 4, **options)).float().square().mean()
    loss.backward()
    return loss


# -- plain, accumulated, clipped -----------------------------------------------------------------------------------


def test_gradients_and_weights_are_those_of_the_update():
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    with Watched(model, optimizer=optimizer) as watched:
        before = None
        for _ in range(3):
            optimizer.zero_grad()
            loss = backward(model)
            gradients, weights = saved(model)
            optimizer.step()
            row = watched.step(loss=loss)
            assert_measured(watched, row, gradients, weights, before)
            assert row.scalars == {"learning_rate": 0.01, "loss": pytest.approx(loss.item())}
            before = weights


def test_accumulated_gradients_are_measured_once_at_the_update():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Watched(model, optimizer=optimizer) as watched:
        for micro in range(4):
            backward(model, 0.25)
            if micro < 3:
                row = watched.step()
                assert_measured(watched, row, {}, {})
                assert not row.table  # nobody is due: schedules count updates
        gradients, weights = saved(model)
        optimizer.step()
        assert_measured(watched, watched.step(), gradients, weights)


def test_clipping_is_seen_through_any_import():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Watched(model, optimizer=optimizer) as watched:
        for clip in (clip_grad_norm_, torch.nn.utils.clip_grad_norm_, torch.nn.utils.clip_grad.clip_grad_norm_):
            optimizer.zero_grad()
            backward(model, 100)
            whole = np.sqrt(sum(norm(g) ** 2 for g in saved(model)[0].values()))
            clip(model.parameters(), 0.5)
            gradients, _ = saved(model)
            optimizer.step()
            row = watched.step()
            assert row.scalars["gradient_norm_before_clipping"] == pytest.approx(whole, rel=1e-5)
            assert row.scalars["clip_factor"] == pytest.approx(0.5 / whole, rel=1e-4)
            np.testing.assert_allclose(
                watched.column(row, Statistic.GRADIENT_NORM)["0.weight"], norm(gradients["0.weight"]), rtol=1e-6
            )
        optimizer.zero_grad()
        backward(model)
        optimizer.step()
        assert "clip_factor" not in watched.step().scalars  # this step was not clipped


def test_a_torch_that_cannot_tell_of_clipping_is_noted(monkeypatch):
    monkeypatch.delattr(torch.nn.utils.clip_grad, "_clip_grads_with_norm_")
    model = network()
    with Watched(model) as watched:
        backward(model)
        torch.optim.SGD(model.parameters(), 0.1).step()
        row = watched.step()
        assert row.notes == (("note", f"clipping cannot be seen with torch {torch.__version__}"),)
        assert "clip_factor" not in row.scalars


def test_clipping_that_does_nothing_has_the_factor_one():
    model = network()
    with Watched(model) as watched:
        backward(model)
        clip_grad_norm_(model.parameters(), 1e6)
        assert watched.step().scalars["clip_factor"] == 1


@pytest.mark.parametrize("when", ["before", "while"])
def test_what_an_optimizers_own_hooks_make_of_the_gradients_is_measured(when):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def halve(*_):
        for p in model.parameters():
            p.grad *= 0.5

    if when == "before":
        own = optimizer.register_step_pre_hook(halve)
    with Watched(model) as watched:

        def measured_as_used():
            optimizer.zero_grad()
            backward(model)
            untouched = norm(model[0].weight.grad.numpy())
            optimizer.step()
            seen = watched.column(watched.step(), Statistic.GRADIENT_NORM)["0.weight"]
            assert seen == pytest.approx(norm(model[0].weight.grad.numpy()), rel=1e-6)
            return seen / untouched

        if when == "while":
            assert measured_as_used() == pytest.approx(1)
            own = optimizer.register_step_pre_hook(halve)
        for _ in range(3):
            assert measured_as_used() == pytest.approx(0.5)
            assert len(optimizer._optimizer_step_pre_hooks) == 2
        own.remove()
        assert measured_as_used() == pytest.approx(1)
        assert len(optimizer._optimizer_step_pre_hooks) == 0
        own = optimizer.register_step_pre_hook(halve)
        backward(model)
        optimizer.step()
    assert list(optimizer._optimizer_step_pre_hooks.values()) == [halve]


def test_clipping_of_other_models_is_not_ours():
    mine, other = network(), network()
    with Watched(mine) as watched:
        backward(other)
        clip_grad_norm_(other.parameters(), 0.1)
        assert watched.step().scalars == {}


def test_two_recorders_at_once_and_torch_is_put_back():
    originals = clipping.owner._clip_grads_with_norm_, scaled_step.owner._maybe_opt_step
    one, two = network(), network()
    first, second = Watched(one).__enter__(), Watched({"only": two}).__enter__()
    for model in (one, two):
        backward(model)
        clip_grad_norm_(model.parameters(), 0.1)
    assert first.step().scalars["clip_factor"] < 1
    assert second.step().scalars["clip_factor/only"] < 1
    first.__exit__()
    clip_grad_norm_(two.parameters(), 0.01)
    assert second.step().scalars["gradient_norm_before_clipping/only"] == pytest.approx(0.1, rel=1e-3)
    second.__exit__()
    assert (clipping.owner._clip_grads_with_norm_, scaled_step.owner._maybe_opt_step) == originals


# -- several optimizers, several updates ---------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["dict", "list", "found"])
def test_several_optimizers(given):
    models = {"G": network(), "D": network()}
    optimizers = {
        "G": torch.optim.SGD(models["G"].parameters(), 0.1),
        "D": torch.optim.Adam(models["D"].parameters(), 0.2),
    }
    options = {"dict": {"optimizer": optimizers}, "list": {"optimizer": list(optimizers.values())}, "found": {}}[given]
    labels = {"dict": ("/G", "/D"), "list": ("/0", "/1"), "found": ("", "/optimizer1")}[given]
    with Watched(models, **options) as watched:
        gradients, weights = {}, {}
        for name, model in models.items():
            backward(model)
            for into, one in zip((gradients, weights), saved(model), strict=True):
                into.update({f"{name}.{tensor}": x for tensor, x in one.items()})
            optimizers[name].step()
        row = watched.step()
        assert_measured(watched, row, gradients, weights)
        assert row.scalars == {f"learning_rate{labels[0]}": 0.1, f"learning_rate{labels[1]}": 0.2}


def test_only_the_given_optimizer_is_watched():
    model = network()
    mine, other = torch.optim.SGD(model[0].parameters(), 0.1), torch.optim.SGD(model[4].parameters(), 0.1)
    with Watched(model, optimizer=mine) as watched:
        backward(model)
        mine.step()
        other.step()
        row = watched.step()
        assert {n for n, s in zip(watched.names, row.stepped, strict=True) if s} == {"0.weight", "0.bias"}


def test_of_several_updates_in_one_step_the_last_is_recorded():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Watched(model, optimizer=optimizer) as watched:
        weights = None
        for _ in range(2):
            for _ in range(3):
                optimizer.zero_grad()
                backward(model)
                before = weights
                gradients, weights = saved(model)
                optimizer.step()
            # with a plan that asks for the comparison alone, from the second iteration on
            assert_measured(watched, watched.step(), gradients, weights, before)
            watched.plan = Plan(frozenset(Statistic), keep_weights=False)


def test_parameter_groups_have_their_learning_rates():
    model = network()
    optimizer = torch.optim.SGD([{"params": model[0].parameters(), "lr": 0.5}, {"params": model[4].parameters()}], 0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
    with Watched(model, optimizer=optimizer) as watched:
        backward(model)
        optimizer.step()
        scheduler.step()  # the rate recorded is the one the update used
        assert watched.step().scalars == {"learning_rate/0": 0.5, "learning_rate/1": 0.1}


def test_a_learning_rate_in_a_tensor_is_the_one_that_the_update_used():
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), torch.tensor(0.5))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
    with Watched(model, optimizer=optimizer) as watched:
        backward(model)
        optimizer.step()
        scheduler.step()  # writes into the same tensor
        assert watched.step().scalars == {"learning_rate": 0.5}


# -- mixed precision -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unscales", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, 0.1), lambda p: torch.optim.SGD(p, 0.1, fused=True),
        lambda p: torch.optim.Adam(p, 0.1), lambda p: torch.optim.Adam(p, 0.1, fused=True),
    ],
    ids=["sgd", "fused sgd", "adam", "fused adam"],
)  # fmt: skip
def test_the_gradient_scaler_is_divided_out_and_skipped_updates_are_marked(make, unscales):
    model = network()
    optimizer = make(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with Watched(model, optimizer=optimizer) as watched:
        before = None
        for step in range(4):
            optimizer.zero_grad()
            loss = model(torch.randn(16, 4)).square().mean()
            scale = scaler.get_scale()
            scaler.scale(loss).backward()
            gradients, weights = saved(model)
            if step == 2:
                model[0].weight.grad[0, 0] = torch.inf
            if unscales:
                scaler.unscale_(optimizer)
                clip_grad_norm_(model.parameters(), 1e9)
            scaler.step(optimizer)
            scaler.update()
            row = watched.step()
            if step == 2:
                assert row.notes == (("skipped", SKIPPED),)
                assert_measured(watched, row, {}, {})
            else:
                assert row.notes == ()
                gradients = {name: g / scale for name, g in gradients.items()}
                assert_measured(watched, row, gradients, weights, before)
                before = weights
            if unscales and step != 2:
                unscaled = np.sqrt(sum(norm(g) ** 2 for g in gradients.values()))
                assert row.scalars["gradient_norm_before_clipping"] == pytest.approx(unscaled, rel=1e-5)


@pytest.mark.parametrize(
    ("given", "found"),
    [(torch.float16, torch.float32), (torch.float64, torch.float64), (torch.complex64, torch.complex64)],
)
def test_without_the_loss_scale_a_gradient_is_wide_enough_and_still_complex(given, found):
    gradient = torch.tensor([3, 4j] if given.is_complex else [3, 4], dtype=given)
    divided = unscaled(gradient, torch.tensor(2.0))
    assert divided.dtype == found
    assert divided.abs().tolist() == [1.5, 2.0]


def test_a_disabled_scaler_is_no_scaler():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    with Watched(model, optimizer=optimizer) as watched:
        scaler.scale(backward(model))
        gradients, weights = saved(model)
        scaler.step(optimizer)
        assert_measured(watched, watched.step(), gradients, weights)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions(dtype):
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Watched(model, optimizer=optimizer) as watched:
        before = None
        for _ in range(2):
            optimizer.zero_grad()
            backward(model, dtype=dtype)
            gradients, weights = saved(model)
            optimizer.step()
            assert_measured(watched, watched.step(), gradients, weights, before)
            before = weights


def test_complex_parameters():
    model = nn.Module()
    model.weight = nn.Parameter(torch.randn(3, 2, dtype=torch.complex64))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Watched(model, optimizer=optimizer) as watched:
        model.weight.abs().square().sum().backward()
        expected = model.weight.grad.abs().square().sum().sqrt().item()
        optimizer.step()
        assert watched.step().table[Statistic.GRADIENT_NORM][0] == pytest.approx(expected, rel=1e-6)


# -- closures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_keyword", [False, True])
@pytest.mark.parametrize("kind", ["LBFGS", "SGD"])
def test_of_a_closure_the_first_evaluation_is_measured(kind, as_keyword):
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    optimizer = (
        torch.optim.LBFGS(model.parameters(), max_iter=4)
        if kind == "LBFGS"
        else torch.optim.SGD(model.parameters(), 0.1)
    )
    x = torch.randn(16, 4)
    evaluations = []

    def closure():
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        evaluations.append(saved(model))
        return loss

    with Watched(model, optimizer=optimizer) as watched:
        before = None
        for _ in range(2):
            evaluations.clear()
            returned = optimizer.step(closure=closure) if as_keyword else optimizer.step(closure)
            assert returned is not None
            assert_measured(watched, watched.step(), *evaluations[0], before)
            assert len(evaluations) == (1 if kind == "SGD" else len(evaluations))
            before = evaluations[0][1]
        if kind == "LBFGS":
            assert len(evaluations) > 1


# -- torch.compile -------------------------------------------------------------------------------------------------


# aot_eager is the default backend up to its code generator: gradients come from the graph that torch.compile made.
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("what", ["model", "in place", "layer", "optimizer", "everything"])
def test_compiled(what, backend):
    torch._dynamo.reset()
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    trained, step = model, optimizer.step
    if what == "model":
        trained = torch.compile(model, backend=backend)
    elif what == "in place":
        model.compile(backend=backend)
    elif what == "layer":
        model[0] = torch.compile(model[0], backend=backend)
    elif what == "optimizer":
        step = torch.compile(optimizer.step, backend=backend)
    seen = []

    def train(x):
        trained(x).square().mean().backward()
        seen.append(saved(model)) if what != "everything" else None
        step()

    train = torch.compile(train, backend=backend) if what == "everything" else train
    with Watched(trained, optimizer=optimizer, probe=torch.randn(5, 4)) as watched:
        assert watched.names == ["0.weight", "0.bias", "2.weight", "2.bias"]
        assert [layer.name for layer in watched.adapter.facts().layers] == ["0", "1", "2"]
        for _ in range(3):
            optimizer.zero_grad(set_to_none=True)
            x = torch.randn(16, 4)
            if what == "everything":
                twin = copy.deepcopy(model)
                twin(x).square().mean().backward()
                seen.append(saved(twin))
            train(x)
            before = seen[-2][1] if len(seen) > 1 else None
            assert_measured(watched, watched.step(), *seen[-1], before)
            assert watched.adapter.probe().activations["2"].shape == (5, 2)


def test_data_parallel_names_are_the_models_own():
    assert Watched(nn.DataParallel(nn.Linear(2, 1))).names == ["weight", "bias"]


def test_distributed_data_parallel(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        model = nn.Sequential(nn.Linear(4, 2))
        parallel = nn.parallel.DistributedDataParallel(model)
        optimizer = torch.optim.SGD(parallel.parameters(), 0.1)
        with Watched(torch.compile(parallel, backend="eager"), optimizer=optimizer, probe=torch.randn(3, 4)) as watched:
            backward(parallel)
            gradients, weights = saved(model)
            optimizer.step()
            assert_measured(watched, watched.step(), gradients, weights)
            assert list(watched.adapter.probe().activations) == ["0"]
    finally:
        torch.distributed.destroy_process_group()


# -- tensors that come, go and are shared --------------------------------------------------------------------------


def test_tensors_added_later_have_rows_behind_the_others():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Watched(model, optimizer=optimizer) as watched:
        backward(model)
        optimizer.step()
        assert watched.step().arrived == ()
        before = None
        model.append(nn.Linear(2, 3))
        loose = nn.Parameter(torch.zeros(7))
        optimizer.add_param_group({"params": model[5].parameters(), "lr": 0.5})
        optimizer.add_param_group({"params": [loose]})
        for first in (True, False):
            optimizer.zero_grad()
            backward(model)
            loose.grad = torch.ones(7)
            gradients, weights = saved(model)
            gradients["parameter 8 of an optimizer"] = np.ones(7)
            weights["parameter 8 of an optimizer"] = loose.detach().double().numpy().copy()
            optimizer.step()
            row = watched.step()
            if first:
                assert [(t.name, t.shape, t.layer) for t in row.arrived] == [
                    ("5.weight", (3, 2), "5"),
                    ("5.bias", (3,), "5"),
                    ("parameter 8 of an optimizer", (7,), ""),
                ]
                watched.names += [t.name for t in row.arrived]
            else:
                assert row.arrived == ()
                assert_measured(watched, row, gradients, weights, before)
            norms = watched.column(row, Statistic.GRADIENT_NORM)
            assert norms == {name: pytest.approx(norm(g), rel=1e-6) for name, g in gradients.items()}
            before = weights
        assert row.scalars["learning_rate"] == 0.1
        assert row.scalars["learning_rate/1"] == 0.5


def test_tensors_that_come_between_two_updates_of_one_iteration():
    model, late = network(), nn.Linear(4, 2)
    first = torch.optim.SGD(model.parameters(), 0.1)
    with Watched(model) as watched:
        for k in range(3):
            backward(model)
            gradients, _ = saved(model)
            first.step()
            if k == 1:
                model[0].late = late
                second = torch.optim.SGD(late.parameters(), 0.1)
            if k:
                late(torch.randn(5, 4)).square().sum().backward()
                theirs, _ = saved(late)
                gradients |= {f"0.late.{name}": g for name, g in theirs.items()}
                second.step()
            row = watched.step()
            watched.names += [t.name for t in row.arrived]
            norms = watched.column(row, Statistic.GRADIENT_NORM)
            assert norms == {name: pytest.approx(norm(g), rel=1e-6) for name, g in gradients.items()}
            first.zero_grad()
            late.zero_grad()


def test_a_replaced_tensor_of_another_shape_has_a_row_of_its_own():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Watched(model) as watched:
        backward(model)
        optimizer.step()
        watched.step()
        model[4] = nn.Linear(8, 5)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        backward(model)
        gradients, _ = saved(model)
        optimizer.step()
        row = watched.step()
        watched.names += [t.name for t in row.arrived]
        found = watched.column(row, Statistic.GRADIENT_NORM)
        assert found["4.weight (5 x 8)"] == pytest.approx(norm(gradients["4.weight"]), rel=1e-6)
        assert np.isnan(found["4.weight"])


def test_a_new_optimizer_with_a_replaced_layer_goes_on_in_its_rows():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Watched(model) as watched:
        backward(model)
        optimizer.step()
        watched.step()
        model[4] = nn.Linear(8, 2)
        optimizer = torch.optim.Adam(model.parameters(), 0.1)
        backward(model)
        gradients, _ = saved(model)
        optimizer.step()
        row = watched.step()
        found = watched.column(row, Statistic.GRADIENT_NORM)
        assert found["4.weight"] == pytest.approx(norm(gradients["4.weight"]), rel=1e-6)
        assert row.notes == ()


def test_an_optimizer_of_something_else_that_later_gets_our_parameters():
    model, other = network(), nn.Linear(2, 1)
    optimizer = torch.optim.SGD(other.parameters(), 0.1)
    with Watched(model) as watched:
        other(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        assert not watched.step().stepped.any()
        optimizer.add_param_group({"params": model.parameters()})
        backward(model)
        gradients, weights = saved(model)
        optimizer.step()
        assert_measured(watched, watched.step(), gradients, weights)


def test_frozen_and_unused_tensors_did_not_step():
    model = network()
    model[0].requires_grad_(False)
    model.unused = nn.Linear(3, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    facts = Watched(model).adapter.facts()
    assert [t.name for t in facts.tensors if not t.trainable] == ["0.weight", "0.bias"]
    with Watched(model[:5], optimizer=optimizer) as watched:
        backward(model[:5])
        gradients, weights = saved(model)
        assert "0.weight" not in gradients
        optimizer.step()
        assert_measured(watched, watched.step(), gradients, weights)


def test_shared_parameters_count_once():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    watched = Watched({"a": model, "b": model[0]})
    assert watched.names == ["a.0.weight", "a.0.bias", "a.2.bias"]


def test_sparse_gradients():
    model = nn.Sequential(nn.Embedding(50, 3, sparse=True))
    optimizer = torch.optim.SparseAdam(model.parameters(), 0.1)
    plan = Plan(EVERYTHING.statistics, keep_weights=True, raw=frozenset({("gradient", "0.weight")}))
    with Watched(model, optimizer=optimizer) as watched:
        before = None
        for watched.plan in (EVERYTHING, plan):
            optimizer.zero_grad()
            model(torch.tensor([3, 3, 7])).square().sum().backward()
            gradients, weights = saved(model)
            optimizer.step()
            row = watched.step()
            assert_measured(watched, row, gradients, weights, before)
            assert row.table[Statistic.GRADIENT_HISTOGRAM][0][101] >= 150 - 6
            before = weights
        np.testing.assert_allclose(row.raw["gradient", "0.weight"], gradients["0.weight"])


def test_channels_last():
    model = nn.Sequential(nn.Conv2d(3, 4, 3)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Watched(model, optimizer=optimizer) as watched:
        before = None
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.randn(2, 3, 6, 6).to(memory_format=torch.channels_last)).square().mean().backward()
            gradients, weights = saved(model)
            optimizer.step()
            assert_measured(watched, watched.step(), gradients, weights, before)
            before = weights


# -- plans ---------------------------------------------------------------------------------------------------------


def test_pairs_of_steps_compare_only_neighbours():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    comparing = Plan(frozenset({Statistic.UPDATE_NORM}))
    with Watched(model, optimizer=optimizer) as watched:
        weights = []
        updates = []
        for watched.plan in (
            Plan(keep_weights=True),
            comparing,
            comparing,
            Plan(keep_weights=True),
            NOTHING,
            comparing,
        ):
            optimizer.zero_grad()
            backward(model)
            weights.append(saved(model)[1]["0.weight"])
            optimizer.step()
            row = watched.step()
            updates.append(row.table.get(Statistic.UPDATE_NORM, [np.nan])[0])
        assert updates[1] == pytest.approx(norm(weights[1] - weights[0]), rel=1e-6)
        assert np.isnan(updates[2])  # the weights before were not kept
        assert np.isnan(updates[5])  # they were, but an update lies between


def test_raw_tensors_are_exact_copies():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    raw = frozenset((q, n) for q in ("gradient", "weight", "update") for n in ("0.weight", "4.bias"))
    with Watched(model, Plan(raw=raw, keep_weights=True), optimizer=optimizer) as watched:
        backward(model)
        first = saved(model)
        optimizer.step()
        assert {q for q, _ in watched.step().raw} == {"gradient", "weight"}
        optimizer.zero_grad()
        backward(model)
        second = saved(model)
        optimizer.step()
        row = watched.step()
        for name in ("0.weight", "4.bias"):
            np.testing.assert_array_equal(row.raw["gradient", name], second[0][name])
            np.testing.assert_array_equal(row.raw["weight", name], second[1][name])
            np.testing.assert_allclose(row.raw["update", name], second[1][name] - first[1][name], atol=1e-7)


def test_read_at_the_end_of_training():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Watched(model, optimizer=optimizer) as watched:
        backward(model)
        weights = saved(model)[1]
        optimizer.step()
        watched.step()
        row = watched.adapter.read(EVERYTHING)
        after = saved(model)[1]
        assert np.isnan(row.table[Statistic.GRADIENT_NORM]).all()
        assert watched.column(row, Statistic.WEIGHT_NORM)["0.weight"] == pytest.approx(
            norm(after["0.weight"]), rel=1e-6
        )
        change = norm(after["0.weight"] - weights["0.weight"])
        assert watched.column(row, Statistic.UPDATE_NORM)["0.weight"] == pytest.approx(change, rel=1e-6)
        assert row.table[Statistic.WEIGHT_HISTOGRAM].sum() == sum(w.size for w in after.values())


# -- the training is unchanged -------------------------------------------------------------------------------------


def trained(*, recorded: bool) -> tuple[dict[str, torch.Tensor], tuple[object, ...]]:
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    model = network(32)
    model[3].eval()
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    watched = Watched(model, optimizer=optimizer, probe=torch.full((8, 4), 0.5)) if recorded else None
    if watched:
        watched.__enter__()
    for step in range(20):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=step % 2 == 0):
            loss = model(torch.randn(16, 4)).float().square().mean()
            if watched:
                watched.adapter.probe()
            loss = loss + model(torch.randn(16, 4)).float().square().mean()
        loss.backward()
        clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        if watched:
            watched.step(loss=loss)
            watched.adapter.probe()
        if step == 10:
            model[3].train()
    if watched:
        watched.__exit__()
    draws = torch.rand(1).item(), random.random(), np.random.rand()  # noqa: NPY002
    return copy.deepcopy(model.state_dict()), (*draws, [m.training for m in model.modules()])


def test_training_is_the_same_bit_for_bit():
    (plain, plain_state), (recorded, recorded_state) = trained(recorded=False), trained(recorded=True)
    assert plain_state == recorded_state
    for name, tensor in plain.items():
        assert torch.equal(tensor, recorded[name]), name


def hooks(model: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_state_dict_hooks")
    return sum(len(getattr(m, kind)) for m in model.modules() for kind in kinds)


@pytest.mark.parametrize("problem", [None, ValueError, KeyboardInterrupt])
def test_nothing_is_left_behind(problem):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    before = [dict(vars(m)) for m in model.modules()], dict(vars(optimizer)), dict(_global_optimizer_pre_hooks)
    taps = clipping.owner._clip_grads_with_norm_, scaled_step.owner._maybe_opt_step

    def training():
        with Watched(model, optimizer=optimizer, probe=torch.randn(4, 4)) as watched:
            assert len(_global_optimizer_pre_hooks) == len(before[2]) + 1
            backward(model)
            optimizer.step()
            watched.adapter.probe()
            torch.save(model, io.BytesIO())
            torch.save(optimizer, io.BytesIO())
            copy.deepcopy(model)
            copy.deepcopy(optimizer)
            assert hooks(model) == 0
            if problem is not None:
                raise problem

    if problem is None:
        training()
    else:
        with pytest.raises(problem):
            training()
    for module, attributes in zip(model.modules(), before[0], strict=True):
        assert vars(module).keys() == attributes.keys()
        assert module.training == attributes["training"]
    assert vars(optimizer).keys() == before[1].keys()
    assert dict(_global_optimizer_pre_hooks) == before[2]
    assert (clipping.owner._clip_grads_with_norm_, scaled_step.owner._maybe_opt_step) == taps
    torch.save(model, io.BytesIO())
    copy.deepcopy(model)


def test_detaching_twice_and_attaching_again():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    watched = Watched(model, optimizer=optimizer)
    for _ in range(2):
        with watched:
            backward(model)
            optimizer.step()
            assert watched.step().stepped.all()
        watched.adapter.detach()


def test_a_failure_is_raised_to_the_recorder_and_never_to_the_training():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def broken():
        raise RuntimeError("no plan")

    watched = Watched(model, optimizer=optimizer)
    watched.adapter.attach(broken)
    before = saved(model)[1]["0.weight"]
    backward(model)
    optimizer.step()
    assert not np.array_equal(saved(model)[1]["0.weight"], before)
    with pytest.raises(RuntimeError, match="no plan"):
        watched.adapter.collect({})
    optimizer.step()
    watched.adapter.detach()


def test_a_forked_child_records_nothing():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Watched(model, optimizer=optimizer) as watched:
        backward(model)
        pid = os.fork()
        if pid == 0:
            optimizer.step()
            os._exit(int(watched.step().stepped.any()))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        optimizer.step()
        assert watched.step().stepped.any()
