"""The explorer inside tmux and inside screen, as people use it on clusters."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.make_run import make_run
from tests.tui.terminal_process import RUN, surroundings, terminal

pytestmark = pytest.mark.pty

INSTALL = "this test needs {0}; on Debian: apt-get install {0}"


def in_tmux(command: str, folder: Path) -> list[str]:
    return ["tmux", "-S", str(folder / "socket"), "-f", "/dev/null", "-u", "new-session", command]


def in_screen(command: str, folder: Path) -> list[str]:
    (folder / "screenrc").write_text("startup_message off\nterm screen-256color\n")
    return ["screen", "-S", "explorer", "-U", "-c", str(folder / "screenrc"), "sh", "-c", command]


@pytest.mark.parametrize("wrapped", [in_tmux, in_screen], ids=["tmux", "screen"])
@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_it_works_inside(wrapped: Callable[[str, Path], list[str]], locale: str, tmp_path: Path) -> None:
    make_run(tmp_path / "run.h5", steps=120, tensors=6)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    command = shlex.join(["env", f"LANG={locale}", sys.executable, "-c", RUN, "run.h5"])
    words = wrapped(f"{command} 2>{home}/errors", home)
    assert shutil.which(words[0]), INSTALL.format(words[0])
    environ = surroundings(tmp_path, {"SCREENDIR": str(home), "HOME": str(home), "COLORTERM": "truecolor"})
    with terminal(words, cwd=tmp_path, environ=environ) as t:
        try:
            t.shows("2 Overview", "step 119 / 119")
            t.press("3")
            t.shows("6 tensors  gradient_norm")
            t.press("jj")
            t.shows("layer1.weight")
            t.press("\x1b[D")  # an arrow is a sequence that begins like Escape: it moves, and nothing goes back
            t.shows("step 11")
            t.until(lambda text: "step 119 / 119" not in text)
            t.press("/")
            t.shows("gl*b")
            t.press("bias")  # tmux takes keys that come at once for a paste
            t.shows("3 of 6 tensors")
            t.press("\r")
            t.until(lambda text: "gl*b" not in text)
            t.press("\x1b")  # alone it must not be taken for the beginning of something
            t.shows("Enter open")
            t.press("\x1b")
            t.until(lambda text: "3 of 6" not in text)
            t.press("?")
            t.shows("Everywhere")
            t.press("\x1b")
            t.until(lambda text: "Everywhere" not in text)
            assert t.text.isascii() == (locale == "C")
            t.press("q")
            t.wait()
            assert b"38;5;" in t.raw
            assert b"38;2;" not in t.raw  # neither passes true colour on to a terminal like this one
        finally:
            end = ["kill-server"] if words[0] == "tmux" else ["-X", "quit"]  # both outlive their client
            subprocess.run([*words[:3], *end], env=environ, capture_output=True, check=False)
    assert (home / "errors").read_text() == ""
