"""A view becomes a file that is whole, safe to name, and never in place of another."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.chart import Chart
from recorder.entries import chart_of
from recorder.errors import ExportError
from tests.fakes import fake_run
from tui.export import LONGEST, export, file_name, format_of

VIEW = chart_of(fake_run(steps=20), "loss")
MAGIC = {"pdf": b"%PDF", "svg": b"<?xml", "png": b"\x89PNG"}


@pytest.mark.parametrize("format", ["pdf", "svg", "png"])
def test_the_ending_chooses_the_format_and_the_answer_says_where_and_how_large(tmp_path: Path, format: str) -> None:
    (file,) = export(VIEW, tmp_path / "folder" / f"loss.{format}")
    assert file.path.is_absolute()
    assert file.path.read_bytes().startswith(MAGIC[format])
    assert file.size == file.path.stat().st_size
    assert str(file).startswith(str(file.path))
    assert file.scp.startswith("scp ")
    assert str(file.path) in file.scp


def test_numbers_and_caption_stand_beside_the_figure(tmp_path: Path) -> None:
    files = export(VIEW, tmp_path / "loss.svg", csv=True, caption=True)
    assert [f.path.name for f in files] == ["loss.svg", "loss.csv", "loss.txt"]
    rows = list(csv.reader((tmp_path / "loss.csv").open()))
    assert rows[0] == ["step", "loss"]
    assert len(rows) == 21
    assert (tmp_path / "loss.txt").read_text() == f"{VIEW.caption}\n"


def test_a_view_of_several_tables_numbers_them(tmp_path: Path) -> None:
    files = export(chart_of(fake_run(), "gradient_norm"), tmp_path / "norm.svg", csv=True)
    assert [f.path.name for f in files] == ["norm.svg", "norm-1.csv", "norm-2.csv"]


@pytest.mark.parametrize("taken", ["loss.svg", "loss.csv", "loss.txt"])
def test_nothing_is_written_when_one_of_the_files_exists(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("mine")
    with pytest.raises(ExportError, match=r"exists already; nothing was written.*--force"):
        export(VIEW, tmp_path / "loss.svg", csv=True, caption=True)
    assert [p.name for p in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "mine"
    export(VIEW, tmp_path / "loss.svg", csv=True, caption=True, force=True)
    assert (tmp_path / taken).read_text() != "mine"


def test_a_link_to_nowhere_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "loss.svg").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExportError, match="exists already"):
        export(VIEW, tmp_path / "loss.svg")


def test_a_disk_that_refuses_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExportError, match=r"cannot be written: No space left"):
        export(VIEW, tmp_path / "loss.svg")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        export(VIEW, tmp_path / "file" / "loss.svg")


@pytest.mark.parametrize(("name", "found"), [("loss", "has no ending"), ("loss.jpg", r"ends in '\.jpg'")])
def test_a_format_that_is_not_there_is_said(name: str, found: str) -> None:
    with pytest.raises(ExportError, match=f"{found}.*one of pdf, svg, png"):
        format_of(Path(name))


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("gradient_norm", None, None), "gradient_norm.pdf"),
        (("gradient_norm", "fc1.weight", 500), "gradient_norm-fc1.weight-step-500.pdf"),
        (("learning_rate/0", None, None), "learning_rate_0.pdf"),
        (("../../etc/passwd", None, None), "etc_passwd.pdf"),
        (("", "", 0), "unnamed-unnamed-step-0.pdf"),
        (("block[/b] $x$", None, None), "block_b_x.pdf"),
    ],
)
def test_a_name_says_what_the_figure_shows(parts: tuple, name: str) -> None:
    entry, item, step = parts
    assert file_name(entry, item=item, step=step) == name


@given(st.text(), st.text())
def test_any_name_is_one_safe_file_name(entry: str, item: str) -> None:
    name = file_name(entry, item=item)
    assert len(name) <= 2 * LONGEST + 5
    assert Path(name).name == name
    assert name.isascii()
    assert not name.startswith((".", "-"))


def test_long_names_that_differ_at_the_end_stay_different() -> None:
    assert file_name("x" * 300 + "a") != file_name("x" * 300 + "b")


def test_a_chart_without_marks_is_a_figure_too(tmp_path: Path) -> None:
    assert export(Chart("empty"), tmp_path / "empty.png")[0].size > 0
