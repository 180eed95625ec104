"""The recipes' trainer is the plain loop; its callbacks hand on what it measures."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import f1_score, precision_score, recall_score
from torch import nn

from recorder import open_run, record
from recorder.recipes.trainer import Callback, MetricsCallback, ModelSaveCallback, Trainer

EPOCHS, RATE = 4, 0.1


def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 4, generator=generator)
    return x, x[:, :3].argmax(dim=1)


def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def trainer(*callbacks):
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    halved = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5)
    return Trainer(model, optimizer, nn.CrossEntropyLoss(), scheduler=halved, callbacks=callbacks)


def batches():
    x, y = data()
    return list(zip(x.split(10), y.split(10), strict=True))


def test_it_trains_as_a_plain_loop_does():
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    for step in range(3 * EPOCHS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * 0.5 ** (step // 3)
        x, y = batches()[step % 3]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    trained = trainer()
    trained.fit(batches(), data(), epochs=EPOCHS - 1)
    trained.fit(batches(), data(), epochs=1)  # goes on
    assert trained.epoch == EPOCHS
    for (name, expected), found in zip(model.state_dict().items(), trained.model.state_dict().values(), strict=True):
        torch.testing.assert_close(found, expected, msg=name)


class Told(Callback):
    def __init__(self):
        self.told = []

    def on_epoch_begin(self, trainer):
        self.told.append("begin")

    def on_step_end(self, trainer, metrics, samples):
        self.told.append(samples)

    def on_epoch_end(self, trainer, metrics):
        self.told.append(("end", trainer.epoch))


def test_callbacks_are_told_in_order():
    told = Told()
    trainer(told).fit(batches(), data(), epochs=2)
    assert told.told == ["begin", 10, 10, 10, ("end", 1), "begin", 10, 10, 10, ("end", 2)]


def test_metrics_go_to_the_console_the_run_and_tensorboard(tmp_path, capsys):
    trained = trainer()
    path, board = tmp_path / "x.h5", tmp_path / "tb"
    with record(trained.model, path, instruments=[], tensorboard=board, progress=False) as run:
        trained.callbacks = (MetricsCallback(run),)
        trained.fit(batches(), data(), epochs=EPOCHS)
    found = open_run(path)
    x, y = data()
    trained.model.eval()
    with torch.no_grad():
        answers = trained.model(x)
    guess, macro = answers.argmax(dim=1), {"average": "macro", "zero_division": 0}
    expected = {
        "val_loss": nn.functional.cross_entropy(answers, y).item(),
        "val_accuracy": (guess == y).float().mean().item(),
        "val_precision": precision_score(y, guess, **macro),
        "val_recall": recall_score(y, guess, **macro),
        "val_f1": f1_score(y, guess, **macro),
    }
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == EPOCHS
    for name, value in expected.items():
        assert found[name].step.tolist() == [3, 6, 9, 12]
        assert found[name].values[-1] == pytest.approx(value)
        assert f"{name} {value:.4f}" in lines[-1]
    assert found["accuracy"].step.tolist() == found["loss"].step.tolist() == list(range(12))
    assert any(path.name.startswith("events.out.tfevents") for path in board.rglob("*"))


def test_weights_are_saved_every_so_many_epochs(tmp_path):
    trained = trainer(ModelSaveCallback(tmp_path / "saved", every=2))
    trained.fit(batches(), data(), epochs=5)
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["epoch-0002.pth", "epoch-0004.pth"]
    trained.fit(batches(), data(), epochs=1)
    last = torch.load(tmp_path / "saved" / "epoch-0006.pth", weights_only=True)
    assert all(torch.equal(x, last[name]) for name, x in trained.model.state_dict().items())


def test_weights_are_saved_with_the_checkpoints_of_a_run(tmp_path):
    trained = trainer()
    with record(trained.model, tmp_path / "x.h5", instruments=[], progress=False) as run:
        trained.callbacks = (MetricsCallback(run, console=False), ModelSaveCallback(run, every=2))
        trained.fit(batches(), data(), epochs=4)
    saved = sorted((tmp_path / "x.d" / "checkpoints").glob("*.pth"))
    assert [path.name for path in saved] == ["step-000006.pth", "step-000012.pth"]
    last = torch.load(saved[-1], weights_only=True)
    assert all(torch.equal(x, last[name]) for name, x in trained.model.state_dict().items())
