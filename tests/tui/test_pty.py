"""The whole program on real files in a real (pseudo) terminal."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from pathlib import Path

import pytest

from recorder.runfile.schema import State
from tests.make_run import Training, make_run
from tests.tui.terminal_process import RUN, is_there, layerscope, soon, surroundings, terminal
from tui.state import load, state_file

pytestmark = pytest.mark.pty
BAD = ("block[/b].weight", "esc\x1b[31m\x1b]0;owned\x07.bias", "[red]" + "x" * 200)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    make_run(folder / "mlp2.h5", steps=120)
    make_run(folder / "mlp10.h5", steps=30, state=State.FAILED)
    return folder


def state(tmp_path: Path, opened: Path) -> Path:
    return state_file(opened, {"XDG_STATE_HOME": str(tmp_path / "state")})


def test_starts_draws_and_quits_leaving_the_terminal_as_it_was(runs: Path, tmp_path: Path) -> None:
    with layerscope("runs", cwd=tmp_path) as t:
        t.shows("1 Runs", "mlp2", "mlp10", "✓ done", "✗ failed", "2 runs")
        t.press("\r")
        t.shows("2 Overview", "loss", "step 119 / 119", "exploding in layer0.bias")
        t.press("3")
        t.shows("3 Layers", "8 tensors", "gradient norm")
        t.press("q")
        assert t.wait() == 0
        for sequence in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l", b"\x1b[?2004l"):
            assert sequence in t.raw  # main screen, cursor, mouse and paste mode are given back
        assert b"Traceback" not in t.raw


def test_an_empty_folder(tmp_path: Path) -> None:
    with layerscope(".", cwd=tmp_path) as t:
        t.shows("No runs here yet", "from recorder import record")
        t.press("q")
        assert t.wait() == 0


@pytest.mark.parametrize("steps", [0, 1])
def test_a_run_of_hardly_any_steps(steps: int, tmp_path: Path) -> None:
    make_run(tmp_path / "run.h5", steps=steps)
    with layerscope("run.h5", cwd=tmp_path) as t:
        t.shows("run ✓ done", "no steps recorded yet" if steps == 0 else "step 0 / 0")
        t.press("3l]l")
        t.shows("3 Layers", "weight_histogram")
        t.press("q")
        assert t.wait() == 0


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    make_run(tmp_path / "run[red].h5", steps=20, names=BAD)
    with layerscope("run[red].h5", cwd=tmp_path, size=(120, 40)) as t:
        t.shows("run[red]", "loss")
        t.press("3")
        t.shows("block[/b].weight")
        t.press("jjY")
        t.shows("copied: layerscope export")
        t.press("\x10")
        t.shows("Search")
        t.press("\x1b")
        t.until(lambda text: "Search" not in text)
        t.press("q")
        t.wait()
        assert b"owned\x07" not in t.raw.replace(b"\x1b]52", b"")
        assert b"Traceback" not in t.raw


def test_hang_up_keeps_the_place_and_reopening_restores_it(runs: Path, tmp_path: Path) -> None:
    file = state(tmp_path, runs / "mlp2.h5")
    with layerscope("runs/mlp2.h5", cwd=tmp_path) as t:
        t.shows("step 119 / 119")
        t.press("3")
        t.shows("8 tensors  gradient_norm", "step")
        t.until(lambda text: "┤" in text)
        t.press("jj,s")
        t.shows("layer1.weight", "step 118", "smooth 0.5")
        os.kill(t.pid, signal.SIGHUP)
        assert t.wait() == 128 + signal.SIGHUP
    assert (load(file).screen, load(file).item, load(file).step) == ("layers", "layer1.weight", 118)
    with layerscope("runs/mlp2.h5", cwd=tmp_path) as t:
        t.shows("· layer1.weight", "step 118", "smooth 0.5")
        t.press("q")
        t.wait()
    with layerscope("runs/mlp2.h5", "--fresh", cwd=tmp_path) as t:
        t.shows("5 entries", "step 119")
        t.press("q")
        t.wait()


def test_who_asks_it_to_end_gets_the_terminal_back_and_the_place_is_kept(runs: Path, tmp_path: Path) -> None:
    with layerscope("runs/mlp2.h5", cwd=tmp_path) as t:
        t.shows("step 119 / 119")
        t.press("3")
        t.shows("8 tensors  gradient_norm")
        os.kill(t.pid, signal.SIGTERM)
        assert t.wait() == 128 + signal.SIGTERM
        for sequence in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l", b"\x1b[?2004l"):
            assert sequence in t.raw
        assert b"Traceback" not in t.raw
    assert load(state(tmp_path, runs / "mlp2.h5")).screen == "layers"


def test_a_cut_connection_ends_it(runs: Path, tmp_path: Path) -> None:
    with layerscope("runs/mlp2.h5", cwd=tmp_path) as t:
        t.shows("step 119 / 119")
        t.press("3")
        t.shows("8 tensors  gradient_norm")
        t.hang_up()
        assert soon(lambda: not is_there(t.pid))
    assert load(state(tmp_path, runs / "mlp2.h5")).screen == "layers"


def test_a_corrupt_state_file_is_ignored(runs: Path, tmp_path: Path) -> None:
    file = state(tmp_path, runs)
    file.parent.mkdir(parents=True)
    file.write_bytes(b'{"screen": "layers", "run": 3, "step": [')
    with layerscope("runs", cwd=tmp_path) as t:
        t.shows("1 Runs", "mlp2")
        t.press("q")
        assert t.wait() == 0


COLOURS = re.compile(rb"\x1b\[[0-9;]*?(?:[34]8;[25];|(?<![0-9])[349][0-7](?=[;m]))")


@pytest.mark.parametrize(
    ("depth", "environ"),
    [("none", {"NO_COLOR": "1"}), ("16", {"TERM": "xterm"}), ("256", {}), ("truecolor", {"COLORTERM": "truecolor"})],
)
def test_only_the_colours_that_the_terminal_has(
    depth: str, environ: dict[str, str], runs: Path, tmp_path: Path
) -> None:
    with layerscope("runs/mlp2.h5", cwd=tmp_path, environ=environ) as t:
        t.shows("step 119 / 119")
        t.press("3")
        t.shows("gradient norm")
        t.press("?")
        t.shows("Everywhere")
        t.press("q")
        t.until(lambda text: "Everywhere" not in text)
        t.press("q")
        t.wait()
        true, palette = b"8;2;" in t.raw, b"8;5;" in t.raw
        assert (true, palette) == (depth == "truecolor", depth == "256")
        assert bool(COLOURS.search(t.raw)) == (depth != "none")


def test_the_flag_outranks_the_environment(runs: Path, tmp_path: Path) -> None:
    with layerscope("runs", "--color", "truecolor", cwd=tmp_path, environ={"NO_COLOR": "1"}) as t:
        t.shows("mlp2")
        t.press("q")
        t.wait()
        assert b"8;2;" in t.raw


def test_the_c_locale_gets_ascii(runs: Path, tmp_path: Path) -> None:
    with layerscope("runs", cwd=tmp_path, environ={"LANG": "C"}) as t:
        t.shows("mlp2", "+ done")
        t.press("G\r")
        t.shows("step 29 / 29")
        t.press("3")
        t.shows("8 tensors  gradient_norm")
        t.press("q")
        t.wait()
        assert t.raw.isascii()


def test_a_recording_run_is_followed_and_idle_writes_nothing(tmp_path: Path) -> None:
    training = Training(tmp_path / "live.h5", tensors=4)
    try:
        training.advance(20)
        with layerscope("live.h5", cwd=tmp_path) as t:
            t.shows("● recording", "step 19 / 19")
            training.advance(30)
            t.shows("step 49 / 49")
            assert any(t.read(4.5) == b"" for _ in range(10))  # what it still has to say of the change comes first
            training.close()
            t.shows("✓ done")
            t.press("q")
            assert t.wait() == 0
    finally:
        training.close()


def test_resizing_goes_from_tabs_to_list_and_detail(runs: Path, tmp_path: Path) -> None:
    import fcntl
    import struct
    import termios

    with layerscope("runs/mlp2.h5", cwd=tmp_path) as t:
        t.shows("5 entries  loss")
        t.screen.resize(40, 120)
        fcntl.ioctl(t.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        t.shows("$ python train.py --lr 0.1", "learning_rate", "8 tensors")
        t.press("q")
        assert t.wait() == 0


def test_errors_sent_elsewhere_leave_the_picture_on_the_terminal(runs: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = ["sh", "-c", f'exec {shlex.quote(sys.executable)} -c "$0" runs 2>log', RUN]
    with terminal(words, cwd=tmp_path, environ=surroundings(tmp_path)) as t:
        t.shows("1 Runs", "mlp2", "2 runs")
        t.press("q")
        assert t.wait() == 0
    assert log.read_bytes() == b""
