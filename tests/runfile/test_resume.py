"""A training that is resumed at step N is one run: what older processes recorded from N on is hidden, and kept."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from recorder.errors import RunExistsError
from recorder.runfile.describe import describe
from recorder.runfile.listing import record_of
from recorder.runfile.pack import pack, repair
from recorder.runfile.reader import Run
from recorder.runfile.schema import Event, Kind, Series, State
from recorder.runfile.writer import RunWriter
from recorder.view import Window

BEGAN = 1.7e9
PER_EPOCH = 7
NORM_EVERY, PROBE_EVERY = 3, 5


def scalars(*names: str, axis: str = "step") -> Series:
    return Series("scalars", Kind.SCALAR, "", "", names, dtype="float64", item_dim="scalar", axis=axis)


def norm(*names: str) -> Series:
    return Series("norm", Kind.PER_ITEM, "", "", names, dtype="float64", item_dim="tensor", axis="every_3")


PROBE = Series("probe", Kind.VECTOR, "", "", ("x",), (2,), ("unit",), "float64", axis="probe", between=True)
RAW = Series("raw", Kind.RAW, "", "", ("v", "w"), dtype="float64", axis="probe", ragged=((2,), ()), between=True)


@dataclass(frozen=True)
class Part:
    """What one process of a training does."""

    back: int  # steps that its checkpoint is older than the last step
    steps: int
    names: tuple[str, ...]  # of its tensors
    extra: bool  # whether it gives a second scalar
    late: int | None  # after how many steps a third one comes
    killed: bool


parts = st.builds(
    Part,
    back=st.integers(0, 25),
    steps=st.integers(0, 30),
    names=st.sampled_from([("a", "b"), ("b", "a"), ("a",), ("b", "c", "a")]),
    extra=st.booleans(),
    late=st.one_of(st.none(), st.integers(0, 20)),
    killed=st.booleans(),
)


@dataclass
class Truth:
    """What a run should hold: for each series and item its rows by step, and the steps of each axis."""

    rows: dict[tuple[str, str], dict[int, np.ndarray]] = field(default_factory=dict)
    times: dict[int, float] = field(default_factory=dict)
    axes: dict[str, set[int]] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    next: int = 0

    def resume(self, step: int) -> None:
        for (series, _), rows in self.rows.items():
            for t in [t for t in rows if t >= step + (series in ("probe", "raw"))]:
                del rows[t]
        for axis, steps in self.axes.items():
            steps -= {t for t in steps if t >= step + (axis == "probe")}
        self.notes = {text: t for text, t in self.notes.items() if t <= step}
        self.next = step

    def add(self, axis: str, step: int, series: str, values: dict[str, object]) -> None:
        self.axes.setdefault(axis, set()).add(step)
        for item, value in values.items():
            self.rows.setdefault((series, item), {})[step] = np.asarray(value, dtype=float)


def run_part(path: Path, number: int, part: Part, truth: Truth) -> RunWriter:
    """Record as a process would that loads a checkpoint."""
    resumed = max(0, truth.next - part.back)
    writer = RunWriter(
        path, meta={"process": number}, block_bytes=1 << 9, extend=number > 0, resumed=resumed if number else None
    )
    if number:
        truth.resume(resumed)
    writer.declare(scalars("loss", *(["extra"] if part.extra else [])), norm(*part.names), PROBE, RAW)
    for step in range(resumed, resumed + part.steps):
        clock = {"step": step, "epoch": step // PER_EPOCH, "time": BEGAN + 1000 * number + step}
        note = f"{number} at {step}"
        if step % 4 == 0:
            writer.event(Event("note", note, step, clock["epoch"], clock["time"]))
            truth.notes[note] = step
        if step % PROBE_EVERY == 0:
            x, v, w = [number, step], [step, -number], step + number / 10
            writer.append("probe", **clock, values={"probe": [x], "raw": [v, w]})
            truth.add("probe", step, "probe", {"x": x})
            truth.add("probe", step, "raw", {"v": v, "w": w})
        given = {"loss": step + number / 10, **({"extra": -step} if part.extra else {})}
        writer.append("step", **clock, values={"scalars": given})
        truth.add("step", step, "scalars", given)
        if part.late is not None and step >= resumed + part.late:
            if step == resumed + part.late:
                writer.declare(scalars("late", axis="step_2"))
            writer.append("step_2", **clock, values={"scalars": {"late": number}})
            truth.add("step_2", step, "scalars", {"late": number})
        if step % NORM_EVERY == 0:
            values = {name: step * 10 + number + k for k, name in enumerate(part.names)}
            writer.append("every_3", **clock, values={"norm": values})
            truth.add("every_3", step, "norm", values)
    truth.next = resumed + part.steps
    return writer


def end(writer: RunWriter, folder: Path, *, killed: bool) -> Path:
    """Close the run; or what a SIGKILL leaves, which is the run as it is now, elsewhere."""
    path = writer.path
    if killed:
        path = folder / "copy" / writer.path.name
        with writer._mover._open.lock:  # between two commits
            shutil.copytree(writer.path.parent, path.parent, ignore=lambda _, names: {"lock", "copy"} & set(names))
    writer.close(State.DONE)
    return path


def check(run: Run, truth: Truth, steps: list[int]) -> None:
    assert {(name, item) for name, s in run.series.items() for item in s.items} >= truth.rows.keys()
    for (series, item), rows in truth.rows.items():
        at = np.array(sorted(rows), dtype=int)
        expected = np.array([rows[t] for t in at.tolist()])
        clock = run.clock(series, item)
        np.testing.assert_array_equal(clock.step, at)
        np.testing.assert_array_equal(clock.epoch, at // PER_EPOCH)
        np.testing.assert_array_equal(run[series].item(item).to_xarray().step, at)
        np.testing.assert_array_equal(run.values(series, item).reshape(expected.shape), expected)
        clock, found = run.rows(series, item, Window(points=10_000))
        np.testing.assert_array_equal(clock.step, at)
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)
        for step in steps:
            past = [t for t in rows if t <= step]
            if past:
                assert run.row(series, step, item)[0] == max(past)
                np.testing.assert_array_equal(run.row(series, step, item)[1], rows[max(past)])
        for points in (1, 4, 10_000):
            window = run.window(series, Window(points=points), item)
            assert window.rows == len(at)
            for k, (a, b) in enumerate(zip(window.step, [*window.step[1:], 1 << 40], strict=False)):
                numbers = [rows[t] for t in at.tolist() if a <= t < b]
                assert (window.min[k], window.max[k]) == (np.min(numbers), np.max(numbers))
                np.testing.assert_allclose(window.mean[k], np.mean(numbers), rtol=1e-6)
    for series in ("norm", "scalars"):
        check_whole(run, truth, series)
    assert {axis: n for axis, n in run.axes.items() if n} == {axis: len(s) for axis, s in truth.axes.items() if s}
    every = set().union(*truth.axes.values())
    assert run.last_step == max(every, default=-1)
    assert run.steps == max([0, *every, *(t + 1 for t in truth.axes.get("step", ()))])
    assert run.epochs == max((t // PER_EPOCH for t in every), default=0)
    assert sorted(e.text for e in run.events) == sorted(truth.notes)
    told = describe(run)
    rows = {s["name"]: s["rows"] for s in told["series"]}
    assert rows.get("probe", 0) == len(truth.rows.get(("probe", "x"), {}))
    line = record_of(run.path)
    loss = truth.rows.get(("scalars", "loss"), {})
    assert line.loss == (loss[max(loss)] if loss else None)
    assert len(line.losses) == min(64, len(loss))


def check_whole(run: Run, truth: Truth, series: str) -> None:
    """All items at once: rows at the union of their steps, NaN where one has none."""
    items = run.series[series].items if series in run.series else ()
    columns = [truth.rows.get((series, item), {}) for item in items]
    at = sorted(set().union(*columns)) if columns else []
    expected = np.array([[c.get(t, np.nan) for c in columns] for t in at], dtype=float).reshape(len(at), len(items))
    if items:
        np.testing.assert_array_equal(run.clock(series).step, at)
        np.testing.assert_array_equal(run.values(series), expected)


@given(st.lists(parts, min_size=2, max_size=4), st.lists(st.integers(-1, 80), max_size=3))
@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.generate))
def test_a_resumed_run_is_what_was_recorded_last_for_each_step(
    tmp_path_factory: pytest.TempPathFactory, process: list[Part], steps: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("resumed")
    path, truth, appended = folder / "a.h5", Truth(), 0
    for number, part in enumerate(process):
        writer = run_part(path, number, part, truth)
        appended += part.steps
        path = end(writer, path.parent, killed=part.killed)
        with Run.open(path) as run:
            check(run, truth, steps)
            assert len(run.processes) == number + 1
            assert run.meta["process"] == number
            assert kept(run) == appended
    packed = pack(path, folder / "packed.h5")
    for found in (packed, repair(path)):
        with Run.open(found) as run:
            check(run, truth, steps)
            assert run.parts == 0 or found.with_suffix(".d").exists() is False
            assert kept(run) == appended
            assert [p.meta["process"] for p in run.processes] == list(range(len(process)))


def kept(run: Run) -> int:
    """Rows of the loss in the file, hidden or not."""
    return sum(volume.count("step") for volume in run.volumes if "step" in volume.axes)


def many(path: Path, steps: range, *, resumed: int | None = None, name: str = "loss") -> RunWriter:
    """Enough rows for a level; those that will be hidden are far above the others."""
    writer = RunWriter(path, meta={}, extend=resumed is not None, resumed=resumed)
    writer.declare(scalars(name))
    for step in steps:
        value = 1e9 if resumed is None and step >= 20_000 else 1 + step % 7
        writer.append("step", step=step, epoch=0, time=BEGAN, values={"scalars": {name: value}})
    return writer


@pytest.mark.parametrize("again", [True, False])
def test_no_hidden_row_leaks_into_a_summary(tmp_path: Path, again: bool) -> None:
    path = tmp_path / "a.h5"
    many(path, range(36_000)).close()
    many(path, range(20_000, 37_000), resumed=20_000, name="loss" if again else "other").close()
    end = 37_000 if again else 20_000
    with Run.open(path) as run:
        hidden = run.volumes[0]
        assert hidden.level_buckets("scalars") * 256 > 20_256  # a bucket of both kinds of rows, and whole hidden ones
        for points in (1, 3, 40, 1000):
            for lo, hi in ((None, None), (0, 20_100), (19_900, 20_300), (5_000, None)):
                found = run.window("scalars", Window(lo, hi, points), "loss")
                a, b = lo or 0, end if hi is None else min(end, hi + 1)
                assert found.max.max() == 7
                assert found.rows == b - a
                edges = [*found.step.tolist(), b]
                for k, (first, stop) in enumerate(pairwise(edges)):
                    np.testing.assert_allclose(found.mean[k], np.mean(1 + np.arange(first, stop) % 7))


def test_a_process_that_died_before_its_file_was_there(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "b.h5", meta={})
    (tmp_path / "a.d").mkdir()
    shutil.copy(tmp_path / "b.d" / "volume-0000.json", tmp_path / "a.d")
    writer.close()
    many(tmp_path / "a.h5", range(10), resumed=0).close()
    with Run.open(tmp_path / "a") as run:
        assert run["loss"].step.tolist() == list(range(10))
        assert [p.state for p in run.processes] == [State.KILLED, State.DONE]
    assert not (tmp_path / "a.d").exists()


def test_nothing_at_all_is_left_of_the_process_that_died(tmp_path: Path) -> None:
    (tmp_path / "a.d").mkdir()
    RunWriter(tmp_path / "a.h5", meta={}, extend=True).close()
    with Run.open(tmp_path / "a") as run:
        assert [v.number for v in run.volumes] == [0]


@pytest.mark.parametrize("sealed", [False, True])
def test_who_reads_meanwhile_sees_the_run_go_on(tmp_path: Path, sealed: bool) -> None:
    """Also a copy of the live run, which is one file."""
    path = end(many(tmp_path / "a.h5", range(100)), tmp_path, killed=not sealed)
    with Run.open(path) as run:
        assert run.state is (State.DONE if sealed else State.KILLED)
        assert run.steps == 100
        writer = many(path, range(60, 80), resumed=60)
        assert run.refresh()
        assert run.state is State.RECORDING
        assert run["loss"].step.tolist() == list(range(80))
        assert [(p.first, p.stop, p.hidden) for p in run.processes] == [(0, 100, 40), (60, 80, 0)]
        assert [p.state for p in run.processes] == [State.DONE if sealed else State.KILLED, State.RECORDING]
        with Run.open(pack(path, tmp_path / "copy.h5")) as copy:
            assert copy["loss"].step.tolist() == list(range(80))
            assert [(p.first, p.stop, p.hidden) for p in copy.processes] == [(0, 100, 40), (60, 80, 0)]
        writer.close()
        assert run.refresh()
        assert run.state is State.DONE
        assert run.processes[1].ended is not None


def test_a_part_that_comes_late_hides_nothing_of_its_own_process(tmp_path: Path) -> None:
    writer = many(tmp_path / "a.h5", range(50), resumed=None)
    writer.close()
    writer = many(tmp_path / "a.h5", range(20, 60), resumed=20)
    writer.declare(scalars("late", axis="step_2"))
    writer.append("step_2", step=60, epoch=0, time=BEGAN, values={"scalars": {"late": 1.0}})
    with Run.open(tmp_path / "a") as run:
        assert len(run.volumes) == 3
        assert len(run.processes) == 2
        assert run["loss"].step.tolist() == list(range(60))
    writer.close()


def test_what_is_measured_later_is_no_process_that_trained(tmp_path: Path) -> None:
    many(tmp_path / "a.h5", range(50)).close()
    writer = RunWriter(tmp_path / "a.h5", meta={"command": "measure"}, extend=True)
    writer.declare(norm("a"))
    writer.append("every_3", step=30, epoch=0, time=BEGAN, values={"norm": {"a": 1.0}})
    writer.close()
    many(tmp_path / "a.h5", range(40, 60), resumed=40).close()
    with Run.open(tmp_path / "a") as run:
        assert [(p.first, p.stop) for p in run.processes] == [(0, 50), (40, 60)]
        assert run["norm"].step.tolist() == [30]
        assert run["loss"].step.tolist() == list(range(60))


def test_two_that_want_to_resume_at_once(tmp_path: Path) -> None:
    path = end(many(tmp_path / "a.h5", range(10)), tmp_path, killed=True)
    writer = many(path, range(5, 8), resumed=5)
    with pytest.raises(RunExistsError, match="a run is being recorded by process"):
        RunWriter(path, meta={}, extend=True, resumed=5)
    writer.close()
    with Run.open(path) as run:
        assert len(run.processes) == 2


def test_the_lines_of_the_document_find_the_steps_that_count(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    many(path, range(50)).close()
    many(path, range(40, 45), resumed=40).close()
    many(path, range(20, 60), resumed=20).close()
    document = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
    (code,) = re.findall(r"\n\n((?:    .*\n)+)", document[document.index("**Resumed trainings.**") :])[:1]
    said: list[int] = []
    with h5py.File(path) as file:
        exec(textwrap.dedent(code), {"file": file, "json": json, "np": np, "print": lambda *steps: said.extend(steps)})
    with Run.open(path) as run:
        assert said == run["loss"].step.tolist() == list(range(60))


def test_plain_h5py_finds_where_a_part_was_resumed(tmp_path: Path) -> None:
    many(tmp_path / "a.h5", range(50)).close()
    many(tmp_path / "a.h5", range(20, 60), resumed=20).close()
    with h5py.File(tmp_path / "a.h5") as file:
        main, part = (json.loads(g["layerscope/status"][:].tobytes()) for g in (file, file["parts/0001"]))
        assert (main["resumed"], part["resumed"]) == (None, 20)
        assert file["axes/step/step"][:].tolist() == list(range(50))  # kept
        assert file["parts/0001/axes/step/step"][0] == 20
