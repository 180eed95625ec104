"""Is the step of a checkpoint found in its name by the rule that is stated?"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import RecordError
from recorder.measuring.checkpoints import Checkpoint, chosen, of_glob
from recorder.measuring.step_of import compiled, epoch_of, step_of

NAMES = {
    "step-000500.pth": 500,
    "epoch=3-step=1200.ckpt": 1200,
    "epoch=3-step=1200-v2.ckpt": 1200,
    "resnet18_epoch_10.pth": 10,
    "net-0050.pt": 50,
    "checkpoint-500/model.safetensors": 500,
    "checkpoint-500/pytorch_model.bin": 500,
    "global_step1000/model.pt": 1000,
    "val_loss=0.31-epoch=7.ckpt": 7,
    "epoch=07-val_loss=0.31.ckpt": 7,
    "ckpt12.pth": 12,
    "model_iter_000300.pth": 300,
    "iterations_40.pt": 40,
    "vgg16-loss0.52-30.pth": 30,
    "step-000005.weights.h5": 5,
    "model.12.keras": 12,
    "best.pth": None,
    "run7/best.pth": None,
    "global_step12/run7.pth": 7,
}


@pytest.mark.parametrize("name", NAMES)
def test_the_rule(name: str) -> None:
    assert step_of(Path(name)) == NAMES[name]


@given(
    step=st.integers(0, 10**9), epoch=st.integers(0, 10**4), word=st.sampled_from(["step=", "step_", "Step-", "steps"])
)
def test_the_number_behind_step_goes_before_all_others(step: int, epoch: int, word: str) -> None:
    path = Path(f"resnet18-epoch={epoch}-{word}{step}-loss=0.{epoch}.ckpt")
    assert (step_of(path), epoch_of(path)) == (step, epoch)


def test_a_pattern_goes_before_the_rule() -> None:
    path = Path("out/a3/net_7_of_9.pth")
    assert step_of(path, compiled(r"net_(\d+)")) == 7
    assert step_of(path, compiled(r"a(\d+)/")) == 3
    assert step_of(path, compiled(r"\d+(?=\.pth)")) == 9
    assert step_of(path, compiled(r"(x)\d+")) is None
    with pytest.raises(RecordError, match=r"--step-pattern '\(': is no regular expression"):
        compiled("(")


def test_files_are_in_the_order_of_their_steps(tmp_path: Path) -> None:
    tmp_path = tmp_path / "out"  # the folder of the test has words and numbers in its name
    tmp_path.mkdir()
    for step in (10, 9, 100, 1):
        (tmp_path / f"net-{step}.pth").touch()
    (tmp_path / "best.pth").touch()
    (tmp_path / "net-5.json").touch()
    found = of_glob(tmp_path / "*")
    assert [c.step for c in found.checkpoints] == [1, 9, 10, 100]
    assert found.left_out[0].endswith(
        "best.pth: has no step: there is no number in its name; --step-pattern says where it is"
    )
    assert "net-5.json: is no file of weights that is known" in found.left_out[1]
    assert [c.step for c in chosen(found.checkpoints, ["first", "10:"])] == [1, 10, 100]


def test_what_is_in_the_way_of_a_glob_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no file matches '.*\*\.pth' \(in "):
        of_glob(tmp_path / "*.pth")
    (tmp_path / "a").mkdir()
    for name in ("a/net-3.pth", "other-3.pth"):
        (tmp_path / name).touch()
    with pytest.raises(RecordError, match=r"a/net-3.pth and .*other-3.pth are both of step 3; leave one out"):
        of_glob(tmp_path / "**/*.pth")
    with pytest.raises(RecordError, match=r"none of 2 files .* can be measured"):
        of_glob(tmp_path / "**/*.pth", step_pattern="ep([0-9]+)")


@given(st.sets(st.integers(0, 50), min_size=1), st.integers(0, 50), st.integers(0, 50))
def test_a_stretch_of_steps_holds_both_its_ends(steps: set[int], lo: int, hi: int) -> None:
    there = [Checkpoint(Path(f"{s}.pth"), s) for s in sorted(steps)]
    inside = [s for s in sorted(steps) if lo <= s <= hi]
    if inside:
        assert [c.step for c in chosen(there, f"{lo}:{hi}")] == inside
    else:
        with pytest.raises(RecordError, match="there is no checkpoint of"):
            chosen(there, f"{lo}:{hi}")
