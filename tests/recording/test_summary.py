"""What a recording says of itself, and that it says nothing where nobody looks at a terminal."""

from __future__ import annotations

import io
import re
import sys
from typing import ClassVar

from recorder import every, record
from recorder.instruments import WeightNorm
from recorder.recording.summary import ProgressLine
from tests.recording.quadratic import Quadratic


def test_the_table_says_what_how_often_how_much_and_at_what_cost(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "[b]odd[/b].h5", instruments=["full", every(7, WeightNorm())], progress=False) as run:
        assert "no step yet" in str(run)
        assert "and 80 kB per 10,000 steps for each scalar of the loop" in " ".join(str(run).split())
        for _ in range(20):
            model.update()
            run.step(loss=1.0)
        text = str(run)
    lines = {line.split("│")[1].strip(): line for line in text.splitlines() if line.startswith("│")}
    assert "[b]odd[/b].h5" in text
    assert "each scalar of the loop" not in " ".join(text.split())
    assert "each step" in lines["gradient_norm"]
    assert "every 7 steps" in lines["weight_norm"]
    assert "each epoch" in lines["weight_histogram"]
    assert "scalars: loss, learning_rate, step_time," in text
    assert "20 steps" in text
    assert "a step for recording" in text
    assert "with the first rows, then about" in " ".join(text.split())
    assert "per 10,000 steps and at most" in " ".join(text.split())


def test_a_limit_is_said_and_how_far_it_thins(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "q.h5", instruments=[], max_size="150 kB", progress=False) as run:
        assert "; at most 150 kB" in " ".join(str(run).split())
        for _ in range(2000):
            run.step(loss=1.0)
        text, line = " ".join(str(run).split()), run.summary.line.plain
    (thin,) = re.findall(r"at most 150 kB, so that 1 of (\d+) rows is kept where most come", text)
    assert int(thin) > 1
    assert " of 150 kB, " in line
    assert f", 1 of {thin} rows" in line


def test_names_cannot_command_the_terminal(tmp_path):
    model = Quadratic()
    with record(model, tmp_path / "\x1b[2Jq.h5", instruments=[], progress=False) as run:
        model.update()
        run.step(**{"\x1b]0;title\x07loss\u202e": 1.0})
        text, line = str(run), run.summary.line.plain
        assert " per 10,000 steps" in line
    assert "]0;titleloss" in text
    for said in (text, line):
        assert not {"\x1b", "\x07", "\u202e"} & set(said)


def test_the_short_form_says_where_and_in_which_state(tmp_path):
    run = record(Quadratic(), tmp_path / "q.h5", progress=False)
    assert "not begun" in repr(run)
    with run:
        assert "0 steps, 0 epochs, recording" in repr(run)
    assert "closed" in repr(run)


def test_nothing_is_printed_where_the_output_is_no_terminal(tmp_path, capfd):
    model = Quadratic()
    with record(model, tmp_path / "q.h5") as run:
        for _ in range(5):
            model.update()
            run.step(loss=1.0)
    assert capfd.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch):
    """From here on the output is a terminal; not as a fixture, since pytest captures each phase of a test anew."""
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", "xterm-256color")
    return out


def test_in_a_terminal_a_line_follows_and_goes_at_the_end(tmp_path, monkeypatch):
    out = terminal(monkeypatch)
    monkeypatch.setattr("recorder.recording.summary.INTERVAL", 0.0)
    model = Quadratic()
    with record(model, tmp_path / "q.h5") as run:
        for _ in range(3):
            model.update()
            run.step(loss=0.25)
            print("the user's own line")
        assert sys.stdout is not out
    assert sys.stdout is out
    written = out.getvalue()
    assert "step 3 · epoch 0 · loss 0.25" in written
    assert written.count("the user's own line") == 3
    assert written.endswith("\x1b[2K")  # the line is erased


def test_without_progress_not_even_in_a_terminal(tmp_path, monkeypatch):
    out = terminal(monkeypatch)
    with record(Quadratic(), tmp_path / "q.h5", instruments=(), progress=False) as run:
        run.step(loss=1.0)
    assert out.getvalue() == ""


def test_a_bar_of_the_users_goes_first(monkeypatch):
    terminal(monkeypatch)

    class Tqdm:
        _instances: ClassVar = {object()}

    monkeypatch.setitem(sys.modules, "tqdm", type("module", (), {"tqdm": Tqdm}))
    line = ProgressLine(True)
    try:
        assert not line.due
        Tqdm._instances = set()
        assert line.due
    finally:
        line.close()
