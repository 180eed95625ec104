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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyte

FOREIGN = ("NO_COLOR", "COLORTERM", "LC_ALL", "LC_CTYPE", "TEXTUAL", "TMUX", "STY", "WINDOW")
RUN = "import sys; from tui.cli import main; sys.exit(main(sys.argv[1:]))"
PATIENCE = 120.0  # seconds for what takes one or two, on a machine that has much else to do


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

    def until(self, condition: Callable[[str], bool], *, patience: float = PATIENCE) -> None:
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

    def wait(self, patience: float = PATIENCE) -> int:
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
def terminal(
    words: Sequence[str], *, size: tuple[int, int] = (80, 24), cwd: Path, environ: Mapping[str, str]
) -> Iterator[Terminal]:
    """Run any command in a terminal of that size, with that environment."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execvpe(words[0], [*words], dict(environ))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    made = Terminal(pid, fd, *size)
    try:
        yield made
    finally:
        if made.status is None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        if made.fd >= 0:
            os.close(made.fd)


def surroundings(cwd: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of somebody who has just logged in: a plain terminal, a home of its own under `cwd`."""
    clean = {k: v for k, v in os.environ.items() if k not in FOREIGN}
    return {
        **clean,
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "XDG_STATE_HOME": str(cwd / "state"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        **(environ or {}),
    }


def layerscope(
    *words: str, size: tuple[int, int] = (80, 24), cwd: Path, environ: Mapping[str, str] | None = None
) -> contextlib.AbstractContextManager[Terminal]:
    """Run the command in a terminal."""
    return terminal([sys.executable, "-c", RUN, *words], size=size, cwd=cwd, environ=surroundings(cwd, environ))


def is_there(pid: int) -> bool:
    """Whether a process, child or not, still runs; one that has ended but was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def soon(condition: Callable[[], bool], *, patience: float = PATIENCE) -> bool:
    """Whether something becomes true."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
