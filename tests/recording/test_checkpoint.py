"""Checkpoints: whole files only, the right ones stay, and their hashes are those of the files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import Checkpoints, each_epoch, every, open_run, record
from recorder.errors import RecordError
from recorder.recording.checkpoint import Checkpointer, Saved
from tests.recording.quadratic import Quadratic


def train(path, checkpoints, scores=(0.1, 0.9, 0.5), per_epoch=4, model=None):
    model = model or Quadratic()
    with record(model, path, instruments=[], checkpoints=checkpoints, progress=False) as run:
        for score in scores:
            for _ in range(per_epoch):
                model.update()
                run.step(loss=model.loss())
            run.epoch(val_accuracy=score)
    return path.with_suffix(".d") / "checkpoints"


def listed(folder):
    """What the JSON beside each file says, by step."""
    return [Saved(**json.loads(sidecar.read_text())) for sidecar in sorted(folder.glob("step-*.json"))]


def files(folder):
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".json")


def test_every_few_steps_and_all_are_kept(tmp_path):
    folder = train(tmp_path / "q.h5", Checkpoints(every=5))
    assert files(folder) == ["step-000005.pth", "step-000010.pth"]
    events = [(e.step, e.text) for e in open_run(tmp_path / "q.h5").events if e.kind == "checkpoint"]
    assert events == [(5, "step-000005.pth"), (10, "step-000010.pth")]


@pytest.mark.parametrize(("often", "steps"), [(5, [5, 10]), (each_epoch, [4, 8, 12])])
def test_how_often_will_do(tmp_path, often, steps):
    assert files(train(tmp_path / "q.h5", often)) == [f"step-{step:06}.pth" for step in steps]


@pytest.mark.parametrize("often", [True, "daily", 0])
def test_how_often_is_asked_for_at_the_door(tmp_path, often):
    with pytest.raises(RecordError, match="every"):
        record(Quadratic(), tmp_path / "q.h5", checkpoints=often)


def test_a_checkpoint_holds_the_weights_after_as_many_updates(tmp_path):
    folder = train(tmp_path / "q.h5", Checkpoints(every=5))
    model = Quadratic()
    for _ in range(5):
        model.update()
    saved = np.load(folder / "step-000005.pth")
    for name, weight in model.weights.items():
        np.testing.assert_array_equal(saved[name], weight)


@pytest.mark.parametrize("every_epoch", [each_epoch, each_epoch()])
def test_each_epoch(tmp_path, every_epoch):
    folder = train(tmp_path / "q.h5", Checkpoints(every=every_epoch))
    assert files(folder) == ["step-000004.pth", "step-000008.pth", "step-000012.pth"]


def test_the_last_k(tmp_path):
    folder = train(tmp_path / "q.h5", Checkpoints(every=every(2), keep=2))
    assert files(folder) == ["step-000010.pth", "step-000012.pth"]
    assert [s.file for s in listed(folder)] == files(folder)


@pytest.mark.parametrize(("mode", "best"), [("max", "step-000008.pth"), ("min", "step-000004.pth")])
def test_the_best_and_the_last(tmp_path, mode, best):
    folder = train(tmp_path / "q.h5", Checkpoints(every=each_epoch, best="val_accuracy", mode=mode))
    assert files(folder) == [best, "step-000012.pth"]


@settings(max_examples=25, deadline=None)
@given(scores=st.lists(st.one_of(st.floats(), st.none()), min_size=1, max_size=8), mode=st.sampled_from(["max", "min"]))
def test_what_stays_is_the_best_and_the_last(tmp_path_factory, scores, mode):
    folder = tmp_path_factory.mktemp("best")
    writer = Checkpointer(folder, Checkpoints(best="s", mode=mode))
    for step, score in enumerate(scores):
        scalars = {} if score is None else {"s": score}
        writer.save(lambda path: path.write_text("weights"), step=step, epoch=0, scalars=scalars)
    writer.close()
    known = [(score, step) for step, score in enumerate(scores) if score is not None and not np.isnan(score)]
    sign = 1 if mode == "max" else -1
    best = {max(known, key=lambda k: (sign * k[0], -k[1]))[1]} if known else set()
    kept = best | {len(scores) - 1} if any(s is not None for s in scores) else range(len(scores))
    assert files(folder) == sorted(f"step-{step:06d}.pth" for step in kept)


@pytest.mark.parametrize("rule", [each_epoch, 3])
def test_while_no_scalar_tells_the_best_all_stay_and_one_warning_says_so(tmp_path, rule):
    with pytest.warns(
        UserWarning, match=r"best='val_accurcy'.*all checkpoints are kept; did you mean 'val_acc"
    ) as told:
        folder = train(tmp_path / "q.h5", Checkpoints(every=rule, best="val_accurcy"))
    assert sum("val_accurcy" in str(warning.message) for warning in told) == 1
    assert len(files(folder)) == len(range(0, 12, 4 if rule is each_epoch else 3))


def test_a_step_is_saved_once_with_the_score_of_the_epoch_that_it_ends(tmp_path):
    saves = []

    class Counted(Quadratic):
        def save(self, path: Path) -> None:
            saves.append(path)
            super().save(path)

    folder = train(tmp_path / "q.h5", Checkpoints(every=2, best="val_accuracy"), model=Counted())
    assert len(saves) == 6
    assert files(folder) == ["step-000008.pth", "step-000012.pth"]
    said = [json.loads((folder / f"{name}.json").read_text()) for name in files(folder)]
    assert [(s["step"], s["epoch"], s["score"]) for s in said] == [(8, 2, 0.9), (12, 3, 0.5)]
    events = [e.step for e in open_run(tmp_path / "q.h5").events if e.kind == "checkpoint"]
    assert events == [2, 4, 6, 8, 10, 12]


def test_asked_for_again_at_the_same_step_the_weights_are_written_again(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[], progress=False) as run:
        model.update()
        run.step()
        run.checkpoint()
        model.weights["a"] = np.zeros(3)  # averaged weights, say
        path = run.checkpoint()
    np.testing.assert_array_equal(np.load(path)["a"], np.zeros(3))


def test_hashes_and_facts_lie_beside_each_file(tmp_path):
    folder = train(tmp_path / "q.h5", Checkpoints(every=each_epoch, best="val_accuracy"))
    for saved in listed(folder):
        content = (folder / saved.file).read_bytes()
        assert saved.sha256 == hashlib.sha256(content).hexdigest()
        assert saved.bytes == len(content)
    assert [(s.step, s.epoch, s.score) for s in listed(folder)] == [(8, 2, 0.9), (12, 3, 0.5)]
    said = json.loads((folder / "step-000008.pth.json").read_text())
    assert said["file"] == "step-000008.pth"


def test_a_failed_save_leaves_no_file_and_does_not_stop_the_training(tmp_path):
    class Full(Quadratic):
        def save(self, path: Path) -> None:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")

    with pytest.warns(UserWarning, match="no checkpoint at step 5: OSError") as said:
        folder = train(tmp_path / "q.h5", Checkpoints(every=5), model=Full())
    assert len(said) == 1
    assert list(folder.iterdir()) == []
    run = open_run(tmp_path / "q.h5")
    assert len(run["loss"].values) == 12
    assert [e.step for e in run.events if e.kind == "warning"] == [5, 10]


def test_now(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[], progress=False) as run:
        model.update()
        run.step()
        path = run.checkpoint()
    assert path == tmp_path / "q.d" / "checkpoints" / "step-000001.pth"
    assert path.exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"every": 0}, "must be at least 1"),
        ({"every": "epoch"}, "expected a number of steps or each_epoch"),
        ({"keep": 0}, "expected 'all' or a number of files"),
        ({"keep": "best"}, "expected 'all' or a number of files"),
        ({"mode": "maximum"}, "expected 'max' or 'min'"),
        ({"best": "loss", "keep": 3}, "either keep=k or best"),
    ],
)
def test_a_wrong_rule_is_refused_at_once(options, text):
    with pytest.raises(RecordError, match=text):
        Checkpoints(**options)
