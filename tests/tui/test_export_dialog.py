"""The export dialog writes what it says, where it says, and never over something else unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.driving import NARROW, WIDE, Driven, drive
from tests.tui.sources import one, opened


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "120x40"])
def test_a_figure_is_written_and_its_path_size_and_scp_line_are_shown(size: tuple[int, int], tmp_path: Path) -> None:
    async def test(driven: Driven) -> None:
        await driven.press("e")
        assert "loss.pdf" in driven.text
        await driven.press("right", "enter")
        assert await driven.until(lambda: "scp " in driven.text)
        assert " kB" in driven.text
        assert "loss.svg" in driven.text

    drive(one(opened()), test, size=size)
    assert (tmp_path / "loss.svg").read_bytes().startswith(b"<?xml")


def test_numbers_and_caption_go_beside_it(tmp_path: Path) -> None:
    async def test(driven: Driven) -> None:
        await driven.press("3", "e", "right", "right", "down", "right", "down", "left", "enter")
        assert await driven.until(lambda: "scp " in driven.text)

    drive(one(opened()), test)
    found = sorted(file.name for file in tmp_path.iterdir())
    assert "gradient_norm-layer0.weight.png" in found
    assert "gradient_norm-layer0.weight.txt" in found
    assert sum(name.endswith(".csv") for name in found) == 2
    assert "layer0.weight" in (tmp_path / "gradient_norm-layer0.weight.txt").read_text()


def test_a_file_that_exists_is_overwritten_only_by_a_second_enter(tmp_path: Path) -> None:
    (tmp_path / "loss.svg").write_text("mine")

    async def test(driven: Driven) -> None:
        await driven.press("e", "right", "enter")
        assert await driven.until(lambda: "exists already. Enter again overwrites it." in driven.text)
        assert (tmp_path / "loss.svg").read_text() == "mine"
        await driven.press("enter")
        assert await driven.until(lambda: "scp " in driven.text)

    drive(one(opened()), test)
    assert (tmp_path / "loss.svg").read_text() != "mine"


def test_a_path_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def test(driven: Driven) -> None:
        await driven.press("e", "right", *["down"] * 5, "home")
        await driven.type("file/")
        await driven.press("enter")
        assert await driven.until(lambda: "cannot be written" in driven.text)
        await driven.press("escape")
        assert "Enter writes" not in driven.text

    drive(one(opened()), test)


def test_every_recorded_step_is_a_figure_named_by_it(tmp_path: Path) -> None:
    async def test(driven: Driven) -> None:
        await driven.press("right_square_bracket", "right_square_bracket", "right_square_bracket", "e")
        assert "this step" in driven.text
        await driven.press("right", "right", *["down"] * 3, "right", "enter")
        assert await driven.until(lambda: "and 1 more" in driven.text)

    drive(one(opened(steps=151, events=())), test)
    found = sorted(file.name for file in tmp_path.iterdir())
    assert found == [f"weight_histogram-layer0.weight-step-{step}.png" for step in (0, 100, 150, 50)]


def test_other_entries_are_lettered_panels_and_a_style_is_worn(tmp_path: Path) -> None:
    (tmp_path / "own.mplstyle").write_text("svg.fonttype: none\n")

    async def test(driven: Driven) -> None:
        await driven.press("e", "right", "down", "down", "right", "right", "down")
        await driven.type("learning_rate, gradient_norm")
        await driven.press("down")
        await driven.type("own.mplstyle")
        await driven.press("enter")
        assert await driven.until(lambda: "scp " in driven.text)

    drive(one(opened(steps=20)), test, size=NARROW)
    words = (tmp_path / "loss.txt").read_text()
    assert all(letter in words for letter in ("(a) ", "(b) ", "(c) "))
    assert "<text" in (tmp_path / "loss.svg").read_text()  # letters stay letters, as the style asks


@pytest.mark.parametrize(("field", "typed", "told"), [(3, "los", "did you mean 'loss'"), (4, "no-such", "no-such")])
def test_an_entry_or_a_style_that_is_not_there_says_so(field: int, typed: str, told: str, tmp_path: Path) -> None:
    async def test(driven: Driven) -> None:
        await driven.press("e", *["down"] * field)
        await driven.type(typed)
        await driven.press("enter")
        assert await driven.until(lambda: told in " ".join(driven.text.split()) and "writing…" not in driven.text)

    drive(one(opened()), test)
    assert not list(tmp_path.iterdir())


def test_the_scp_command_is_copied_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda: "localhost.localdomain")
    monkeypatch.setattr("socket.gethostname", lambda: "node7")
    folder = "x" * 100

    async def test(driven: Driven) -> None:
        await driven.press("e", "right", *["down"] * 5, "home")
        await driven.type(f"{folder}/")
        await driven.press("enter")
        assert await driven.until(lambda: "y copies" in driven.text)
        await driven.press("y")
        assert driven.app.clipboard.endswith(f"@node7:{tmp_path}/{folder}/loss.svg .")
        assert "\n" not in driven.app.clipboard

    drive(one(opened()), test, size=NARROW)
