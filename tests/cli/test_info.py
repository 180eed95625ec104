"""`layerscope info` says how large each series is, what recording cost, and whatever is not in the run."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recorder import every, open_run, record
from recorder.instruments import GradientNorm, UpdateRatio
from recorder.number import size
from recorder.runfile.on_disk import on_disk
from recorder.runfile.schema import Event
from recorder.runfile.writer import RunWriter
from tests.make_run import make_run
from tests.recording.quadratic import Quadratic
from tui.cli import main


class Falls(GradientNorm):
    """Fails at step 5."""

    name = "falls"

    def declare(self, facts):
        return ()

    def measure(self, reading):
        if reading.step == 5:
            raise ValueError("too deep")
        return {}


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A run that was thinned, lost an instrument, skipped updates and has entries without a value."""
    from recorder import adapters

    monkeypatch.setattr(adapters, "adapter_for", lambda model, **options: model)
    model = Quadratic()
    asked = [every(1, GradientNorm()), every(1, UpdateRatio()), every(1, Falls())]
    with (
        pytest.warns(UserWarning, match="too deep"),
        record(model, tmp_path / "q.h5", instruments=asked, max_size="300 kB", progress=False) as run,
    ):
        for step in range(4000):
            if step != 7:
                model.update()
            if step in (12, 90):
                run.event("skipped", "update skipped by the gradient scaler: a gradient was not finite")
            run.step(loss=1.0)
        run.event("dropped", "2 rows were dropped: no space left on the device")
    return tmp_path / "q.h5"


def told(capsys, *words):
    assert main(["info", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_sizes_cost_and_growth_are_told(path, capsys):
    lines = [" ".join(line.split()) for line in told(capsys, path).splitlines()]
    with open_run(path) as run:
        written = on_disk(path)
        (said,) = [line for line in lines if line.startswith("size ")]
        assert said.startswith(f"size {size(written)}, about ")
        assert said.endswith(" per 10,000 steps before compression, at most 300 kB")
        (said,) = [line for line in lines if line.startswith("cost ")]
        own, training = np.mean(run["overhead_time"].values), np.mean(run["step_time"].values)
        assert said.startswith(f"cost {1e3 * own:.3g} ms a step for recording, {100 * own / training:.1f} % of")
        table = lines[lines.index("series on disk share rows no value recorded") + 1 :]
        rows = len(run.clock("update_ratio"))
        share = f"{100 * run.bytes_of('update_ratio') / written:.0f} %"
        (said,) = [line for line in table if line.startswith("update_ratio ")]
        gaps = int(np.isnan(run["update_ratio"].values).sum())
        assert gaps
        assert said == f"update_ratio {size(run.bytes_of('update_ratio'))} {share} {rows:,} {gaps:,} each step"
        assert any(line.startswith("(clocks, events, headers, logs) ") for line in table)


def test_whatever_was_left_out_is_told_and_counted(path, capsys):
    lines = told(capsys, path).splitlines()
    begin = lines.index("left out or not finite") + 1
    left = [line.strip() for line in lines[begin : lines.index("", begin)]]
    assert left[0] == "1 loss of rows at step 4,000: 2 rows were dropped: no space left on the device"
    assert "schedules thinned at steps " in left[1]
    assert "max_size of 300 kB: from here on 1 of " in left[1]
    assert left[2].startswith("2 updates skipped at steps 12 to 90: update skipped by the gradient scaler")
    assert left[3].startswith("1 instrument switched off at step 5: falls failed at step 5 and is switched off")


def test_the_same_is_there_as_data(path, capsys):
    said = json.loads(told(capsys, path, "--json"), parse_constant=pytest.fail)
    assert said["max_size"] == 300_000
    assert said["cost"]["share"] == pytest.approx(said["cost"]["overhead_time"] / said["cost"]["step_time"])
    assert {one["kind"]: one["times"] for one in said["left_out"]} | {"thinned": 0} == {
        "dropped": 1, "thinned": 0, "skipped": 2, "off": 1,
    }  # fmt: skip
    (ratio,) = [s for s in said["series"] if s["name"] == "update_ratio"]
    assert ratio["how_often"] == "each step"
    assert ratio["without_value"] > 0
    assert sum(s["bytes"] for s in said["series"]) < said["bytes"] <= 300_000


def test_entries_that_are_not_finite_are_told(tmp_path, capsys, monkeypatch):
    from recorder import adapters

    monkeypatch.setattr(adapters, "adapter_for", lambda model, **options: model)
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[every(1, GradientNorm())], progress=False) as run:
        for step in range(20):
            if step == 9:
                model.weights["a"][:2] = np.nan
            model.update()
            run.step(loss=1.0)
    assert "  gradient_nonfinite: up to 2 entries of a tensor were not finite" in told(capsys, tmp_path / "q.h5")


def test_a_run_that_says_nothing_of_schedules_costs_and_limits_is_told_all_the_same(tmp_path, capsys):
    make_run(tmp_path / "old.h5", steps=200, tensors=4)
    out = told(capsys, tmp_path / "old.h5")
    assert "weight_histogram" in out
    assert "cost " not in out
    assert "at most" not in out
    assert "left out" not in out
    said = json.loads(told(capsys, tmp_path / "old.h5", "--json"))
    assert (said["max_size"], said["cost"], said["left_out"]) == (None, None, [])
    assert {s["name"]: s["how_often"] for s in said["series"]}["weight_histogram"] == "rare"


def test_a_run_without_a_step_is_told(tmp_path, capsys):
    writer = RunWriter(tmp_path / "a.h5", meta={})
    writer.event(Event("note", "nothing came", 0, 0, 0.0))
    writer.close()
    assert "nothing recorded yet" in told(capsys, tmp_path / "a.h5")
