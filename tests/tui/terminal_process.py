"""The explorer as a child process in a pseudo-terminal, its screen kept by a terminal emulator."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyte

RUN = "import sys; from tui.cli import main; sys.exit(main(sys.argv[1:]))"


class Terminal:
    """Keys go in, a screen comes out."""

    def __init__(self, pid: int, fd: int, columns: int, lines: int) -> None:
        self.pid, self.fd = pid, fd
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.status: int | None = None

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def read(self, seconds: float) -> bytes:
        """What arrives in the next moments, or until the process ends."""
        got = b""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if not select.select([self.fd], [], [], left)[0]:
                break
            try:
                chunk = os.read(self.fd, 1 << 16)
            except OSError:
                chunk = b""
            if not chunk:
                break
            got += chunk
            self._stream.feed(chunk)
        self.raw += got
        return got

    def until(self, condition: Callable[[str], bool], *, patience: float = 30.0) -> None:
        """Read until the screen is as wanted."""
        end = time.monotonic() + patience
        while not condition(self.text):
            assert time.monotonic() < end, f"the screen never came to that:\n{self.text}"
            self.read(0.05)

    def shows(self, *words: str) -> None:
        """Read until all of these stand on the screen."""
        self.until(lambda text: all(word in text for word in words))

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def wait(self, patience: float = 30.0) -> int:
        """The exit status; negative for a signal."""
        end = time.monotonic() + patience
        while self.status is None:
            self.read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < end, f"it did not end:\n{self.text}"
        self.read(0.1)
        return self.status

    def hang_up(self) -> None:
        """The connection is cut."""
        os.close(self.fd)
        self.fd = -1


@contextlib.contextmanager
def layerscope(
    *words: str, size: tuple[int, int] = (80, 24), cwd: Path, environ: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """Run the command in a terminal of that size, with a home of its own under `cwd`."""
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLORTERM", "LC_ALL", "LC_CTYPE", "TEXTUAL")}
    env = {
        **clean,
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "XDG_STATE_HOME": str(cwd / "state"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        **(environ or {}),
    }
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(sys.executable, [sys.executable, "-c", RUN, *words], env)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    terminal = Terminal(pid, fd, *size)
    try:
        yield terminal
    finally:
        if terminal.status is None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        if terminal.fd >= 0:
            os.close(terminal.fd)
