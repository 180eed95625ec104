"""What is read at once is bounded, and what is not read is said."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from recorder.errors import NotRecordedError
from recorder.runfile import merge, reader, stored
from recorder.runfile.left_out import left_out
from recorder.runfile.reader import Run
from recorder.runfile.schema import Event, Kind, Series
from recorder.runfile.writer import RunWriter
from recorder.view import Window
from tests.runfile.runs import START, norms, write
from tui import summary

ROW = 4  # bytes of a row of one tensor's norm


@pytest.mark.parametrize("rows", [1, 2, 7, 100])
def test_large_rows_are_fewer_with_both_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    write(tmp_path / "a.h5", 100)
    monkeypatch.setattr(reader, "ROWS_BYTES", ROW * rows)
    with Run.open(tmp_path / "a.h5") as run:
        clock, values = run.rows("gradient_norm", "fc1.weight", Window(points=1000))
    assert len(clock) == len(values) == rows
    assert clock.step[0] == 0
    assert clock.step[-1] == (99 if rows > 1 else 0)
    np.testing.assert_array_equal(values, [norms(step)[0] for step in clock.step])


def test_every_row_or_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.h5", 300)
    monkeypatch.setattr(reader, "ROWS_BYTES", 10 * ROW)
    with Run.open(tmp_path / "a.h5") as run:
        assert len(run.rows("gradient_norm", "fc1.weight", Window(points=sys.maxsize))[0]) == 300  # the file is larger
        monkeypatch.setattr(reader, "GAIN", 0)
        with pytest.raises(NotRecordedError, match=r"too much to read all 300 rows of .*: ask for a stretch of them"):
            run.rows("gradient_norm", "fc1.weight", Window(points=sys.maxsize))
        assert len(run.rows("gradient_norm", "fc1.weight", Window(1, 10, sys.maxsize))[0]) == 10


@pytest.mark.parametrize("slab", [1, 4, 12, 1 << 20])
@pytest.mark.parametrize("points", [3, 40, 99, 300])
def test_the_same_rows_however_few_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slab: int, points: int
) -> None:
    write(tmp_path / "a.h5", 300, close=False)
    monkeypatch.setattr(merge, "SLAB_BYTES", slab)
    with Run.open(tmp_path / "a.h5") as run:
        clock, values = run.rows("gradient_norm", "fc2.weight", Window(points=points))
    assert len(clock) == points
    np.testing.assert_array_equal(values, [norms(step)[2] for step in clock.step])


def test_an_array_that_would_be_nearly_all_blank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many items with one row, one with many: as one array they take far more than they are."""
    writer = RunWriter(tmp_path / "a.h5", meta={})
    many = Series("norm", Kind.PER_ITEM, "", "", tuple(f"w{k}" for k in range(500)), axis="step")
    writer.declare(many)
    writer.append("step", step=0, epoch=0, time=START, values={"norm": np.ones(500)})
    writer.declare(Series("norm", Kind.PER_ITEM, "", "", ("late",), axis="step"))
    for step in range(1, 2000):
        writer.append("step", step=step, epoch=0, time=START + step, values={"norm": {"late": step}})
    writer.close()
    monkeypatch.setattr(reader, "ROWS_BYTES", 1 << 20)
    monkeypatch.setattr(reader, "GAIN", 1)
    with Run.open(tmp_path / "a.h5") as run:
        with pytest.raises(NotRecordedError, match="too much to read all items of 'norm' in one array: ask for one of"):
            run.values("norm")
        np.testing.assert_array_equal(run.values("norm", "late"), np.arange(1, 2000))


def test_older_events_are_not_read_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "MAX_EVENTS", 10)
    monkeypatch.setattr(stored, "EVENTS_AT_ONCE", 4)
    writer = write(tmp_path / "a.h5", 25, close=False)
    for step in range(10):
        writer.event(Event("note", f"note {step}", step, 0, START + step))
    with Run.open(tmp_path / "a.h5") as run:
        assert [event.text for event in run.events] == [f"note {step}" for step in range(10)]
        assert not left_out(run.events)
    for step in range(10, 25):
        writer.event(Event("note", f"note {step}", step, 0, START + step))
    writer.close()
    with Run.open(tmp_path / "a.h5") as run:
        first, *others = run.events
        assert first == Event(
            "unread", "15 older events are in the file and are not read, only the newest 10", 14, 0, START + 14
        )
        assert [event.text for event in others] == [f"note {step}" for step in range(15, 25)]
        (said,) = left_out(run.events)
        assert said.text == "1 list of events cut short at step 14"
    assert "15 older events are in the file and are not read, only the newest 10" in summary.of_path(tmp_path / "a.h5")
