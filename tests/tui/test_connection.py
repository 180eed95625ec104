"""What happens to the explorer, its place and the terminal when the connection goes, in whichever way it goes?"""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.make_run import make_run
from tests.tui.secure_shell import Server, logged_in, served
from tests.tui.terminal_process import PATIENCE, RUN, Terminal, is_there, layerscope, soon, surroundings
from tui.state import Place, load, state_file

pytestmark = pytest.mark.pty


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("ssh")) as found:
        yield found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run.h5", steps=400, tensors=6)


def place(tmp_path: Path) -> Place:
    return load(state_file(tmp_path / "run.h5", {"XDG_STATE_HOME": str(tmp_path / "state")}))


def go_somewhere(t: Terminal) -> None:
    """Screen, item, step and zoom as they are not by themselves."""
    t.shows("step 399 / 399")
    t.press("3")
    t.shows("6 tensors  gradient_norm")
    t.press("jj,+s")
    t.shows("layer1.weight", "step 398", "zoom", "smooth 0.5")


def is_there_again(t: Terminal) -> None:
    t.shows("3 Layers", "· layer1.weight", "step 398", "zoom", "smooth 0.5")


def client_killed(server: Server, t: Terminal) -> None:
    os.kill(t.pid, signal.SIGKILL)


def network_gone(server: Server, t: Terminal) -> None:
    """Nothing comes from the client any more, nothing says that it went, and nobody reads what is sent to it."""
    os.kill(t.pid, signal.SIGSTOP)


def server_side_killed(server: Server, t: Terminal) -> None:
    for pid in server.connections():
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("cut", [client_killed, network_gone, server_side_killed], ids=lambda cut: cut.__name__)
def test_an_ssh_connection_that_is_cut(
    cut: Callable[[Server, Terminal], None], server: Server, run: Path, tmp_path: Path
) -> None:
    with logged_in(server, [run.name], cwd=tmp_path) as (t, explorer):
        go_somewhere(t)
        assert is_there(explorer)
        cut(server, t)
        assert soon(lambda: not is_there(explorer))
    left = place(tmp_path)
    assert (left.screen, left.run, left.item, left.step) == ("layers", "run.h5", "layer1.weight", 398)
    assert left.lo is not None
    with logged_in(server, [run.name], cwd=tmp_path) as (t, explorer):
        is_there_again(t)
        t.press("q")
        assert t.wait() == 0
        assert not is_there(explorer)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_leaves_the_terminal_as_it_was(end: signal.Signals, run: Path, tmp_path: Path) -> None:
    with layerscope(run.name, cwd=tmp_path) as t:
        before = termios.tcgetattr(t.fd)
        go_somewhere(t)
        assert not termios.tcgetattr(t.fd)[3] & termios.ECHO
        os.kill(t.pid, end)
        assert t.wait() == 128 + end
        assert termios.tcgetattr(t.fd) == before
        for sequence in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l", b"\x1b[?1003l", b"\x1b[?2004l"):
            assert t.raw.rfind(sequence) > t.raw.rfind(sequence[:-1] + (b"h" if sequence[-1:] == b"l" else b"l"))
        assert b"Traceback" not in t.raw
    assert place(tmp_path).step == 398


def test_a_terminal_that_takes_no_bytes_does_not_keep_it(run: Path, tmp_path: Path) -> None:
    """As after ctrl+s, or while a network hangs: writing blocks, also what an orderly end wants to write."""
    with layerscope(run.name, cwd=tmp_path) as t:
        before = termios.tcgetattr(t.fd)
        go_somewhere(t)
        its_side = os.open(f"/proc/{t.pid}/fd/1", os.O_WRONLY | os.O_NOCTTY)
        while select.select([], [its_side], [], 0.5)[1]:  # each answer is some kilobytes, which nobody reads
            t.press("23")
            time.sleep(0.05)
        os.close(its_side)
        os.kill(t.pid, signal.SIGTERM)
        assert soon(lambda: not is_there(t.pid))
        assert termios.tcgetattr(t.fd) == before
        assert t.wait() == 128 + signal.SIGTERM
        assert b"\x1b[?1049l" not in t.raw  # it was indeed not an orderly end
    assert place(tmp_path).item == "layer1.weight"


def test_a_terminal_that_goes_is_noticed_by_those_who_are_sent_no_signal(run: Path, tmp_path: Path) -> None:
    """Only the session of a terminal is sent SIGHUP; a process of another session would read nothing, for ever."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, run.name], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path,
        env=surroundings(tmp_path), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    t = Terminal(process.pid, ours, 80, 24)
    go_somewhere(t)
    os.close(ours)
    assert process.wait(PATIENCE) == 128 + signal.SIGHUP
    assert place(tmp_path).step == 398
