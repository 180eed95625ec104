"""A training in phases: new heads, frozen tensors, their own optimizers, late scalars, also after a resume."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from recorder import each_epoch, every, open_run, record
from recorder.recording.session import Session

INSTRUMENTS = [
    every(1, "gradient_norm"), every(1, "weight_norm"), each_epoch("activation_statistics"),
    each_epoch("activation_histogram"), each_epoch("weight_histogram"),
]  # fmt: skip


class Net(nn.Module):
    """A body and a head, which phases replace."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.body(x))


def batch(step):
    return torch.randn(16, 6, generator=torch.Generator().manual_seed(step))


def loop(run, model, optimizer, steps, **scalars):
    for _ in range(steps):
        loss = model(batch(run.steps)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss=loss, **scalars)
    run.epoch()


def finetune(model, *, classes):
    """Freeze the body and begin with a new head; its optimizer."""
    for parameter in model.body.parameters():
        parameter.requires_grad_(False)
    model.head = nn.Linear(8, classes)
    return torch.optim.SGD(model.head.parameters(), lr=0.1)


def recorded(path, model, optimizer, **options):
    options = {"probe": batch(99), "instruments": INSTRUMENTS, "progress": False, "strict": True} | options
    return record(model, path, optimizer=optimizer, **options)


def has_value(run, tensor):
    """At which steps a tensor was updated."""
    norms = run["gradient_norm"][tensor]
    return norms.step[np.isfinite(norms.values)].tolist()


@pytest.mark.parametrize("named", [False, True])
def test_new_heads_and_frozen_tensors(tmp_path, named):
    torch.manual_seed(0)
    model, path = Net(), tmp_path / "a.h5"
    optimizer = torch.optim.Adam(model.parameters())
    with recorded(path, model, optimizer if named else None) as run:
        loop(run, model, optimizer, 10)
        optimizer = finetune(model, classes=5)
        run.phase("finetune", optimizer=optimizer if named else None)
        loop(run, model, optimizer, 10)
        for parameter in model.body.parameters():
            parameter.requires_grad_(True)
        model.head = nn.Sequential(nn.Linear(8, 4), nn.Tanh())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        run.phase("unfrozen", optimizer=optimizer if named else None)
        loop(run, model, optimizer, 10)
    with open_run(path) as run:
        first, second, third = range(10), range(10, 20), range(20, 30)
        for tensor, steps in {
            "body.0.weight": [*first, *third], "body.0.bias": [*first, *third],
            "head.weight": first, "head.bias": first,
            "head.weight (5 x 8)": second, "head.bias (5)": second,
            "head.0.weight": third, "head.0.bias": third,
        }.items():  # fmt: skip
            assert has_value(run, tensor) == list(steps), tensor
        assert len(run["gradient_norm"].items) == 8
        assert run["gradient_norm"]["head.bias (5)"].step[0] == 10  # no rows before it was there
        assert {t["name"] for t in run.meta["tensors"]} == set(run["gradient_norm"].items)

        assert [(e.step, e.text) for e in run.events if e.kind == "phase"] == [(10, "finetune"), (20, "unfrozen")]
        rules = [
            mark
            for mark in run.chart("gradient_norm", item="body.0.weight").view.marks
            if type(mark).__name__ == "Rule"
        ]
        assert {("finetune", 10.0), ("unfrozen", 20.0)} <= {(rule.label, rule.at) for rule in rules}

        mean = run["activation_mean"]
        assert mean.items == ("body.0", "body.1", "head", "head (5)", "head.0", "head.1")
        seen = {layer: mean[layer].step[np.isfinite(mean[layer].values)].tolist() for layer in mean.items}
        assert seen == {
            "body.0": [0, 10, 20, 30], "body.1": [0, 10, 20, 30], "head": [0, 10], "head (5)": [20], "head.0": [30],
            "head.1": [30],
        }  # fmt: skip
        assert run["activation_histogram"]["head (5)"].values.sum() == 16 * 5
        assert run["activation_zero_share"]["head (5)"].values.tolist() == [0, 0]  # its size is known
        assert run["activation_saturated_count"].items == ("head.1",)
        assert not [e for e in run.events if e.kind in ("warning", "off")]
        assert run["weight_histogram"]["head.0.weight"].values.sum(axis=1).max() == 32


def test_a_stale_gradient_of_a_frozen_tensor_is_no_update(tmp_path):
    """The optimizer skips what has no gradient; one that was left behind by zero_grad(set_to_none=False) is one."""
    model, path = Net(), tmp_path / "a.h5"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with recorded(path, model, None) as run:
        loop(run, model, optimizer, 5)
        model.body.requires_grad_(False)
        run.phase("frozen")
        loop(run, model, optimizer, 5)
    with open_run(path) as run:
        assert has_value(run, "body.0.weight") == list(range(5))
        assert has_value(run, "head.weight") == list(range(10))


def test_an_optimizer_that_was_not_named_is_told_of_once(tmp_path):
    model, path = Net(), tmp_path / "a.h5"
    optimizer = torch.optim.Adam(model.parameters())
    with (
        pytest.warns(UserWarning, match="SGD updates the model but is none of the optimizers that were named") as told,
        recorded(path, model, optimizer) as run,
    ):
        loop(run, model, optimizer, 5)
        other = finetune(model, classes=5)
        loop(run, model, other, 10)
    assert len(told) == 1
    with open_run(path) as run:
        assert [e.step for e in run.events if e.kind == "warning"] == [5]
        assert has_value(run, "head.weight") == list(range(5))


def test_an_optimizer_of_something_else_is_nobodys_business(tmp_path):
    model, other = Net(), nn.Linear(2, 2)
    optimizer, more = (torch.optim.SGD(m.parameters(), lr=0.1) for m in (model, other))
    with recorded(tmp_path / "a.h5", model, optimizer) as run:
        for _ in range(3):
            other(torch.ones(1, 2)).sum().backward()
            more.step()
            loop(run, model, optimizer, 1)
    with open_run(tmp_path / "a.h5") as run:
        assert not [e for e in run.events if e.kind == "warning"]


@pytest.mark.parametrize("wrong", ["adam", torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)])
def test_a_wrong_optimizer_of_a_phase_does_not_stop_the_training(tmp_path, wrong):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    with recorded(tmp_path / "a.h5", model, optimizer, strict=False) as run:
        with pytest.warns(UserWarning, match=r"phase 'next': RecordError: optimizer.*; its updates are not recorded"):
            run.phase("next", optimizer=wrong)
        loop(run, model, optimizer, 3)
    with open_run(tmp_path / "a.h5") as run:
        assert has_value(run, "head.weight") == [0, 1, 2]


def test_a_scalar_that_first_appears_at_step_500(tmp_path):
    model, path = Net(), tmp_path / "a.h5"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with recorded(path, model, optimizer, instruments=[]) as run:
        loop(run, model, optimizer, 500)
        loop(run, model, optimizer, 20, perplexity=2.0)
    with open_run(path) as run:
        assert run["perplexity"].step.tolist() == list(range(500, 520))
        assert run["loss"].step.tolist() == list(range(520))
        assert run.chart("perplexity").view.marks


def test_a_phase_a_head_and_a_scalar_after_a_resume(tmp_path):
    """The checkpoint is of the first phase; the second one begins anew."""
    path = tmp_path / "a.h5"
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with recorded(path, model, None) as run:
        loop(run, model, optimizer, 10)
        run.phase("finetune")
        loop(run, model, finetune(model, classes=5), 10)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with recorded(path, model, None, resume=True, step=8, epoch=0) as run:
        loop(run, model, optimizer, 2)
        run.phase("finetune")
        loop(run, model, finetune(model, classes=4), 10)
        run.phase("with a score")
        loop(run, model, torch.optim.SGD(model.head.parameters(), lr=0.1), 10, score=1.0)
    with open_run(path) as run:
        assert [(e.step, e.text) for e in run.events if e.kind == "phase"] == [(10, "finetune"), (20, "with a score")]
        assert has_value(run, "body.0.weight") == list(range(10))
        assert has_value(run, "head.weight (4 x 8)") == list(range(10, 30))
        assert has_value(run, "head.weight (5 x 8)") == []  # of the training that was given up
        assert run["score"].step.tolist() == list(range(20, 30))
        assert run["activation_mean"]["head (4)"].step.tolist() == [20, 30]
        assert run["loss"].step.tolist() == list(range(30))
        assert len(run.processes) == 2


def test_resumed_within_a_phase(tmp_path):
    """The new process builds the model of that phase from the start: its head has the name without a shape."""
    path = tmp_path / "a.h5"
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with recorded(path, model, None) as run:
        loop(run, model, optimizer, 10)
        run.phase("finetune")
        loop(run, model, finetune(model, classes=5), 10)
    model = Net()
    optimizer = finetune(model, classes=5)
    with recorded(path, model, None, resume=True, step=15) as run:
        loop(run, model, optimizer, 10)
    with open_run(path) as run:
        assert [(e.step, e.kind) for e in run.events if e.kind in ("phase", "resumed")] == [
            (10, "phase"), (15, "resumed"),
        ]  # fmt: skip
        assert run["loss"].step.tolist() == list(range(25))
        assert has_value(run, "body.0.weight") == list(range(10))
        assert has_value(run, "head.bias (5)") == list(range(10, 15))
        assert has_value(run, "head.bias") == [*range(10), *range(15, 25)]


def test_no_phase_without_a_word_costs_a_look(tmp_path, monkeypatch):
    """Layers are only looked for where the probe meets one that is not known."""
    looked = []
    monkeypatch.setattr(Session, "_welcome_layers", lambda _: looked.append(1))
    model = Net()
    with recorded(tmp_path / "a.h5", model, None) as run:
        loop(run, model, torch.optim.SGD(model.parameters(), lr=0.1), 3)
    assert not looked
