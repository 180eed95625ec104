"""A training recorded with the preset `dynamics`: the file holds what plain numpy says of the same gradients."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from recorder import every, open_run, record
from recorder.errors import NotRecordedError
from recorder.instruments import NearZero, UpdateRatio
from recorder.schedule import Scheduled

STEPS = 14
TAU = float(np.float32(1e-5))


class Net(nn.Module):
    """A shared matrix, a frozen one, a scalar, one that is used now and then, dead units, an embedding."""

    def __init__(self, *, sparse: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8, sparse=sparse)
        self.shared = nn.Linear(8, 8)
        self.frozen = nn.Linear(8, 8).requires_grad_(False)
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.rare = nn.Linear(8, 8, bias=False)
        self.head = nn.Linear(8, 3)
        nn.init.constant_(self.shared.bias[:4], -5)  # never active: gradients exactly 0

    def forward(self, x, *, rare):
        h = self.embedding(x).mean(1)
        for _ in range(2):
            h = torch.relu(self.shared(h))
        h = self.frozen(h) * self.scale + h
        return self.head(self.rare(h) if rare else h)


def trained(path, *, sparse=False, dtype=torch.float32, instruments="dynamics", optimizer=torch.optim.SGD):
    """-> per step {tensor: (gradient, weights)} in float64, of the tensors that were updated"""
    torch.manual_seed(0)
    net, seen = Net(sparse=sparse).to(dtype), []
    updates = optimizer([p for p in net.parameters() if p.requires_grad], lr=0.5)
    with record(net, path, optimizer=updates, instruments=instruments, progress=False, strict=True) as run:
        for step in range(STEPS):
            updates.zero_grad()
            x, y = torch.randint(0, 20, (6, 4)), torch.randint(0, 3, (6,))
            loss = nn.functional.cross_entropy(net(x, rare=step % 3 != 2).float(), y)
            loss.backward()
            seen.append({
                name: tuple(t.detach().double().numpy().copy() for t in (p.grad.to_dense(), p))
                for name, p in net.named_parameters() if p.grad is not None
            })  # fmt: skip
            updates.step()
            run.step(loss=loss)
    return seen


def counted(now, before, tau=TAU) -> dict[str, float]:
    """The definitions in plain numpy."""
    (g, w), (h, v) = now, before if before is not None else now
    near, was = np.abs(g) <= tau, np.abs(h) <= tau
    retained, flips = near & was, np.sign(g) * np.sign(h) < 0
    s = np.sign(w - v) * np.sign(g - h) * flips
    found = {
        "near_zero_retained": retained, "near_zero_released": was & ~near, "near_zero_trapped": near & ~was,
        "near_zero_flips": flips & retained, "near_zero_minima": (s > 0) & retained,
        "near_zero_maxima": (s < 0) & retained,
        "sign_flips": flips, "local_minima": s > 0, "local_maxima": s < 0,
    }  # fmt: skip
    counts = {name: float(mask.sum()) if before is not None else 0.0 for name, mask in found.items()}
    return counts | {
        "near_zero_count": float(near.sum()),
        "near_zero_count_tight": float((np.abs(g) <= np.float32(1e-7)).sum()),
        "gradient_norm": np.linalg.norm(g.ravel()),
        "weight_change_norm": np.linalg.norm((w - v).ravel()) if before is not None else np.nan,
    }


def assert_as_counted(path, seen, **options) -> None:
    with open_run(path) as run:
        last: dict[str, tuple] = {}
        tensors = run["gradient_norm"].items
        assert run["gradient_norm"].step.tolist() == list(range(STEPS))
        for step, tensors_seen in enumerate(seen):
            assert set(tensors_seen) <= set(tensors)
            for k, tensor in enumerate(tensors):
                if tensor not in tensors_seen:
                    assert np.isnan(run["gradient_norm"].values[step, k])
                    assert run["near_zero_count"].values[step, k] == run["sign_flips"].values[step, k] == 0
                    assert np.isnan(run["sign_flips_share"].values[step, k])
                    continue
                expected = counted(tensors_seen[tensor], last.get(tensor), **options)
                found = {name: run[name].values[step, k] for name in expected}
                assert found == pytest.approx(expected, rel=1e-6, abs=1e-12, nan_ok=True), (step, tensor)
                assert np.isnan(run["sign_flips_share"].values[step, k]) == (tensor not in last)
                last[tensor] = tensors_seen[tensor]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_number_is_that_of_plain_numpy(tmp_path, sparse, dtype):
    seen = trained(tmp_path / "r.h5", sparse=sparse, dtype=dtype)
    tau = {"tau": 1e-5} if dtype is torch.float64 else {}
    assert_as_counted(tmp_path / "r.h5", seen, **tau)
    with open_run(tmp_path / "r.h5") as run:
        total = run["near_zero_total"]
        for k, name in enumerate(total.items):
            np.testing.assert_array_equal(total.values[:, k], run[name.removesuffix("_total")].values.sum(axis=1))
        assert run["near_zero_retained"].values.sum() > 0
        assert run["sign_flips"].values.sum() > 0
        norms = run["gradient_norm"].values
        np.testing.assert_allclose(run["gradient_norm_total"].values, np.sqrt(np.nansum(norms**2, axis=1)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bit(tmp_path, dtype):
    assert_as_counted(tmp_path / "r.h5", trained(tmp_path / "r.h5", dtype=dtype))


def test_a_threshold_of_ones_own(tmp_path):
    seen = trained(tmp_path / "r.h5", instruments=["dynamics", every(1, NearZero(tau=1e-4, tight=1e-7))])
    assert_as_counted(tmp_path / "r.h5", seen, tau=float(np.float32(1e-4)))


def test_what_is_compared_every_third_step_is_compared_with_the_step_before(tmp_path):
    seen = trained(tmp_path / "r.h5", instruments=[every(3, NearZero(), start=1), every(3, "sign_flips", start=1)])
    with open_run(tmp_path / "r.h5") as run:
        assert run["sign_flips"].step.tolist() == [1, 4, 7, 10, 13]
        k = run["sign_flips"].items.index("shared.weight")
        expected = [counted(seen[s]["shared.weight"], seen[s - 1]["shared.weight"])["sign_flips"] for s in (1, 4, 7)]
        assert run["sign_flips"].values[:3, k].tolist() == expected
        with pytest.raises(NotRecordedError):
            _ = run["gradient_norm"]


def test_angles_and_curvature_in_pairs(tmp_path):
    seen = trained(tmp_path / "r.h5", instruments="full", dtype=torch.float64)
    with open_run(tmp_path / "r.h5") as run:
        steps = run["gradient_angle"].step.tolist()
        assert steps == [0, 1, 10, 11]
        k = run["gradient_angle"].items.index("head.weight")
        (g, w), (h, v), (_, u) = (tuple(x.ravel() for x in seen[step]["head.weight"]) for step in (11, 10, 9))
        cosine = lambda x, y: x @ y / np.linalg.norm(x) / np.linalg.norm(y)  # noqa: E731
        expected = np.degrees(np.arccos(cosine(g, h))), cosine(w - v, v - u)
        found = [run[name].values[-1, k] for name in ("gradient_angle", "change_cosine")]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        of_two_changes = [np.isfinite(run[f"{kind}change_cosine"].values[:, k]).tolist() for kind in ("", "average_")]
        assert of_two_changes == [[False, False, True, True]] * 2  # the first of a pair as well, from step 2 on
        quantiles = np.quantile((g - h) / (w - v), [0.05, 0.25, 0.5, 0.75, 0.95])
        np.testing.assert_allclose(run["secant_curvature"].values[-1, k], quantiles, rtol=1e-5)
        assert np.isnan(run["gradient_angle"].values[0]).all()
        assert np.isfinite(
            run["near_zero_movement"].values[-1, run["gradient_norm"].items.index("shared.weight")]
        ).all()


def test_moving_averages_take_in_every_update_also_where_few_are_stored(tmp_path):
    seen = trained(tmp_path / "r.h5", instruments=[every(5, "moving_averages", start=2), every(5, NearZero(tau=1e-3))],
                   dtype=torch.float64)  # fmt: skip
    g, w = seen[0]["shared.weight"]
    averages = [(g, w)]
    for step in seen[1:]:
        averages.append(
            tuple(0.9 * average + 0.1 * x for average, x in zip(averages[-1], step["shared.weight"], strict=True))
        )
    same = ("near_zero_count", "near_zero_retained", "near_zero_released", "sign_flips", "local_minima", "local_maxima",
            "gradient_norm")  # fmt: skip
    names = {name: name for name in same} | {"change_norm": "weight_change_norm"}
    with open_run(tmp_path / "r.h5") as run:
        assert run["average_gradient_norm"].step.tolist() == [2, 7, 12]
        k = run["average_gradient_norm"].items.index("shared.weight")
        for row, step in enumerate((2, 7, 12)):
            expected = counted(averages[step], averages[step - 1], 1e-3)
            for name, plain in names.items():
                found = run[f"average_{name}"].values[row, k]
                assert found == pytest.approx(expected[plain], rel=1e-6), (name, step)
        assert run["average_sign_flips"].values.sum() > 0
        assert np.isfinite(run["average_gradient_angle"].values[:, k]).all()


def test_the_same_training_with_and_without(tmp_path):
    ends = []
    for name, instruments in (("a", "full"), ("b", ())):
        seen = trained(tmp_path / f"{name}.h5", instruments=instruments, optimizer=torch.optim.Adam)
        ends.append(np.concatenate([w.ravel() for _, w in seen[-1].values()]))
    np.testing.assert_array_equal(*ends)


def test_a_scalar_of_the_users_is_told_apart_from_a_total(tmp_path):
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with record(model, tmp_path / "r.h5", optimizer=optimizer, instruments="dynamics", progress=False) as run:
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            run.step(gradient_norm_total=7.0)
    with open_run(tmp_path / "r.h5") as run:
        assert run["step/gradient_norm_total"].values.tolist() == [7.0, 7.0]
        np.testing.assert_allclose(run["gradient_norm_total"].values, np.sqrt(3))


def test_without_warnings(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(tmp_path / "r.h5")


@pytest.mark.parametrize("schedule", [every(1), every(3, start=1)])
def test_the_ratio_of_several_updates_in_an_iteration_is_that_of_the_last(tmp_path, schedule):
    torch.manual_seed(0)
    net, other = nn.Linear(3, 2), nn.Linear(2, 2)
    model = nn.Sequential(net, other)
    optimizers = [torch.optim.SGD(part.parameters(), 0.5) for part in model]
    expected = []
    with record(model, tmp_path / "r.h5", instruments=[Scheduled(schedule, UpdateRatio())], progress=False) as run:
        for _ in range(6):
            for k in range(3):
                before = net.weight.detach().clone()
                optimizers[0].zero_grad()
                model(torch.randn(4, 3)).square().mean().backward()
                optimizers[0].step()
                last = (net.weight.detach() - before).norm() / before.norm()
                if k == 1:
                    expected.append(last.item())  # the update that led to the third
            optimizers[1].step()
            run.step()
    with open_run(tmp_path / "r.h5") as run:
        found = run["update_ratio"]
        k = found.items.index("0.weight")
        np.testing.assert_allclose(found.values[:, k], [expected[step] for step in found.step], rtol=1e-5)
