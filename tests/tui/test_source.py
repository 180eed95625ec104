"""The source on disk: a folder, a run by any of its names, live or done."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.errors import RunFileError
from recorder.runfile import listing
from recorder.runfile.listing import RunRecord, record_of
from recorder.runfile.schema import State
from tests.make_run import Training, make_run
from tui.source import Disk


@pytest.mark.parametrize("name", ["a.h5", "a"])
def test_a_run_by_its_names(name: str, tmp_path: Path) -> None:
    make_run(tmp_path / "a.h5", steps=3)
    source = Disk(tmp_path / name)
    assert source.single == tmp_path / name
    assert source.folder == tmp_path
    run = source.open(source.single)
    assert (run.name, run.last_step) == ("a", 2)
    run.close()


def test_a_folder_lists_its_runs_with_what_the_list_needs(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    make_run(tmp_path / "deep" / "a.h5", steps=100)
    (tmp_path / "foreign.h5").write_bytes(b"no run")
    source = Disk(tmp_path)
    assert source.single is None
    (record,) = source.runs()
    assert (record.name, record.steps, record.framework) == ("a", 100, "torch")
    assert record.meta["config"]["lr"] == 0.1
    assert len(record.health) == 2
    assert record.loss is not None
    assert len(record.losses) > 10


def test_runs_that_have_ended_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(path: Path, *, mtime: float) -> RunRecord:
        read.append(path.stem)
        return record_of(path, mtime=mtime)

    monkeypatch.setattr(listing, "record_of", counted)
    make_run(tmp_path / "a.h5", steps=3)
    make_run(tmp_path / "b.h5", steps=3, state=State.FAILED)
    live = Training(tmp_path / "live.h5")
    live.advance(5)
    source = Disk(tmp_path)
    first = list(source.runs())
    assert sorted(read) == ["a", "b", "live"]
    read.clear()
    live.advance(5)
    again = {record.name: record for record in source.runs()}
    assert read == ["live"]  # a run that records is read each time: it may have stopped without a trace
    assert {r.name: r for r in first if r.name != "live"} == {k: r for k, r in again.items() if k != "live"}
    assert again["live"].steps == 10
    live.close()
    (tmp_path / "a.h5").unlink()
    make_run(tmp_path / "a.h5", steps=7)
    assert {r.name: r.steps for r in source.runs()} == {"a": 7, "b": 3, "live": 10}


def test_what_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunFileError):
        Disk(tmp_path).open(tmp_path / "none.h5")
