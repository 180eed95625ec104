"""TensorBoard finds every scalar while it is recorded, and whatever happens to it is nothing to the training."""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from recorder import open_run, record
from recorder.errors import RecordError
from recorder.recording import board
from recorder.recording.recording import Recording


def train(path, *, steps=12, per_epoch=4, first=0, each=None, **options):
    """An SGD on a linear layer; `each(recording, t)` is called after each step."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record(model, path, optimizer=optimizer, progress=False, instruments="dynamics", **options) as run:
        for t in range(first, first + steps):
            optimizer.zero_grad()
            loss = model(torch.randn(4, 3)).square().mean()
            loss.backward()
            optimizer.step()
            run.step(loss=loss, **({"rare": t / 3} if t % 5 == 0 else {}))
            if each is not None:
                each(run, t)
            if (t + 1) % per_epoch == 0:
                run.epoch(loss=1 / (t + 1), val_accuracy=t / 7)
    return model, run.path


def shown(folder):
    """{tag: [(step, number)]} as TensorBoard itself reads it."""
    events = EventAccumulator(str(folder), tensor_size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(e.step, tensor_util.make_ndarray(e.tensor_proto).item()) for e in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }


def scalars(path):
    """The same of the run."""
    run = open_run(path)
    names = [item for s in run.series.values() if s.kind == "scalar" for item in s.items]
    rows = {name: zip(run[name].step.tolist(), run[name].values.tolist(), strict=True) for name in names}
    # What was not given at a step stands in the run as NaN, beside what was.
    return {name: [(t, x) for t, x in found if name != "rare" or x == x] for name, found in rows.items()}


def same(found, expected):
    assert set(found) == set(expected)
    for tag, rows in expected.items():
        assert [step for step, _ in found[tag]] == [step for step, _ in rows], tag
        np.testing.assert_array_equal([x for _, x in found[tag]], [x for _, x in rows], err_msg=tag)


def test_every_scalar_is_there_as_in_the_run(tmp_path):
    _, path = train(tmp_path / "r.h5", tensorboard=tmp_path / "tb")
    found, expected = shown(tmp_path / "tb"), scalars(path)
    assert {"loss", "epoch/loss", "learning_rate", "step_time", "rare", "val_accuracy", "gradient_norm_total"} <= set(
        found
    )
    same(found, expected)


def test_they_are_there_while_the_training_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(board, "PERIOD", 0.01)
    seen = []

    def look(run, t):
        if t == 6:
            print(run)  # it reads the steps that wait
            deadline = time.monotonic() + 60
            while not seen and time.monotonic() < deadline:
                rows = shown(tmp_path / "tb").get("loss", [])
                seen.extend(rows if len(rows) == 7 else [])

    train(tmp_path / "r.h5", each=look, tensorboard=tmp_path / "tb")
    assert [step for step, _ in seen] == list(range(7))


def test_it_changes_nothing_of_the_training_and_leaves_no_thread(tmp_path):
    import threading

    before = threading.active_count()
    with_it, _ = train(tmp_path / "a.h5", tensorboard=tmp_path / "tb")
    without, _ = train(tmp_path / "b.h5")
    for a, b in zip(with_it.parameters(), without.parameters(), strict=True):
        assert torch.equal(a, b)
    assert threading.active_count() == before


def test_a_folder_for_each_run(tmp_path):
    for _ in range(2):
        train(f"{tmp_path}/runs/", tensorboard=f"{tmp_path}/tb/")
    names = {p.stem for p in (tmp_path / "runs").glob("*.h5")}
    assert len(names) == 2
    assert {p.name for p in (tmp_path / "tb").iterdir()} == names
    for name in names:
        same(shown(tmp_path / "tb" / name), scalars(tmp_path / "runs" / f"{name}.h5"))


def test_a_resumed_run_goes_on_where_it_was(tmp_path):
    options = {"tensorboard": tmp_path / "tb", "resume": True}
    train(tmp_path / "r.h5", steps=10, per_epoch=100, step=0, **options)
    train(tmp_path / "r.h5", steps=6, per_epoch=100, first=6, step=6, **options)
    found, expected = shown(tmp_path / "tb"), scalars(tmp_path / "r.h5")
    for tag in ("loss", "learning_rate", "gradient_norm_total"):
        assert found[tag] == expected[tag]
        assert [step for step, _ in found[tag]] == list(range(12))


def test_a_disk_that_refuses_ends_it_with_a_warning_and_the_training_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(board, "PERIOD", 0.01)
    real = board.EventFile.scalars

    def fails(self, numbers, step, **more):
        if step == 3:
            raise OSError(28, "No space left on device")
        real(self, numbers, step, **more)

    monkeypatch.setattr(board.EventFile, "scalars", fails)

    def wait(run, t):
        if t == 3:
            print(run)  # it reads the steps that wait
            deadline = time.monotonic() + 60
            while not run._session.ledger._board.problem:
                assert time.monotonic() < deadline
                time.sleep(0.01)

    with pytest.warns(UserWarning, match="tensorboard: OSError.*No space left.*the run goes on"):
        _, path = train(tmp_path / "r.h5", each=wait, tensorboard=tmp_path / "tb")
    run = open_run(path)
    assert run.steps == 12
    assert [e.kind for e in run.events if "tensorboard" in e.text] == ["warning"]
    assert [step for step, _ in shown(tmp_path / "tb")["loss"]] == [0, 1, 2]


def test_a_disk_that_does_not_answer_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(board, "PATIENCE", 0.05)
    monkeypatch.setattr(board, "PERIOD", 0.01)
    monkeypatch.setattr(board, "MOST", 5)
    answer = board.Event()
    monkeypatch.setattr(board.EventFile, "scalars", lambda *_, **__: answer.wait(60))
    with pytest.warns(UserWarning, match="the disk did not take 5 steps"):
        _, path = train(tmp_path / "r.h5", tensorboard=tmp_path / "tb")
    assert open_run(path).steps == 12
    answer.set()


def refused(match, path, **options):
    with pytest.raises(RecordError, match=match):
        train(path, **options)
    assert not path.exists()


def test_mistakes_are_told_at_the_door(tmp_path, monkeypatch):
    train(tmp_path / "a.h5", tensorboard=tmp_path / "tb")
    path = tmp_path / "b.h5"
    refused(r"holds the events of another run .*give each run a folder of its own", path, tensorboard=tmp_path / "tb")
    (tmp_path / "file").write_text("")
    refused("no folder can be there: ", path, tensorboard=tmp_path / "file" / "tb")
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    refused(r"pip install 'layerscope\[tensorboard\]'", path, tensorboard=tmp_path / "new")


def test_a_forked_child_writes_nothing(tmp_path):
    def fork(run: Recording, t: int) -> None:
        if t == 5:
            child = os.fork()
            if child == 0:
                try:
                    run.step(loss=99.0)
                finally:
                    os._exit(0)
            assert os.waitpid(child, 0)[1] == 0

    train(tmp_path / "r.h5", each=fork, tensorboard=tmp_path / "tb")
    same(shown(tmp_path / "tb"), scalars(tmp_path / "r.h5"))
