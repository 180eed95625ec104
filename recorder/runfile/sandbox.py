"""What if HDF5 crashes over a file, or never comes back? Then this befalls a child process, which tries files first.

Who forges HDF5's own blocks, with right checksums, can crash the library or send it round in circles, and no check in
front of it can know. So one long-lived child goes through each file as a reader would (`sandboxed`), and what ends the
child is an error here. It starts with the first question, and anew when a file has ended it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from recorder.errors import RunFileError

PATIENCE = 30.0  # seconds of waiting for an answer or a start: what comes to no end ends itself long before
SERVE = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from recorder.runfile.sandboxed import serve; serve()"
TOO_LONG = -signal.SIGPROF
KILLED = (-signal.SIGKILL, -signal.SIGTERM)  # by somebody else

Stamp = tuple[tuple[int, ...], ...]


class UnavailableError(Exception):
    """No child can be started here."""


class Sandbox:
    """The child, and which files ended one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answered: int | None = None  # questions; None: it is still starting
        self._fatal: dict[tuple[str, Path], tuple[Stamp, str]] = {}  # (question, path) -> the files, what happened
        self._broken = False

    def start(self) -> None:
        """Let the child begin to start, which takes a fifth of a second, before there is a question."""
        with self._lock, contextlib.suppress(UnavailableError):
            self._started()

    def ask(self, question: str, path: Path, *also: Path) -> dict[str, Any]:
        """What `sandboxed` answers; it depends on `path` and the files `also`.

        Raise RunFileError where it refuses the file or dies of it, FileNotFoundError where there is none, and
        UnavailableError where no child can be started.
        """
        files, end = _stamp(path, *also), ""
        with self._lock:
            before, end = self._fatal.get((question, path), ((), ""))
            if before != files:
                answer, end = self._asked(question, path)
                if end:
                    self._fatal[question, path] = files, end
        if end:
            raise RunFileError(f"{path}: is damaged, or made to do harm: {end}")
        if "missing" in answer:
            raise FileNotFoundError(answer["missing"])
        if "refused" in answer:
            raise RunFileError(answer["refused"])
        return answer

    def close(self) -> None:
        """End the child."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _asked(self, question: str, path: Path) -> tuple[dict[str, Any], str]:
        """(the answer, "") or ({}, what ended the child)."""
        while True:
            process = self._started()
            if self._answered is None:
                if not self._line(process, "start"):
                    self._broken = True
                    raise UnavailableError
                self._answered = 0
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps([question, os.fspath(path), _here()]).encode() + b"\n")
                process.stdin.flush()
            if line := self._line(process, f"say what is in {path}"):
                self._answered += 1
                return json.loads(line), ""
            status, before = process.wait(), self._answered
            self.close()
            if before:  # what an earlier file did to it may have ended it: ask one that has seen no other
                continue
            if status in KILLED:
                raise RunFileError(f"{path}: the process that looked into it was killed ({_name(status)}); try again")
            if status == TOO_LONG:
                return {}, "HDF5 comes to no end with it"
            return {}, f"HDF5 crashes over it ({_name(status)})"

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            if self._broken or not sys.executable:
                raise UnavailableError
            root = str(Path(__file__).parents[2])
            path = json.dumps([root, *(p for p in sys.path if p)])
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-SPc", SERVE, path],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # it calculates nothing
                    start_new_session=True,  # Ctrl-C is for us
                )
            except OSError as error:
                raise UnavailableError from error
            self._answered = None
        return self._process

    def _line(self, process: subprocess.Popen[bytes], what: str) -> bytes:
        """What it says next; nothing where it ended."""
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], PATIENCE)[0]:
            self.close()
            raise RunFileError(f"the process that looks into files did not {what} within {PATIENCE:.0f} s: slow disk?")
        line = process.stdout.readline()
        return line if line.endswith(b"\n") else b""


def _stamp(*paths: Path) -> Stamp:
    """Changes when one of the files does."""
    found: list[tuple[int, ...]] = []
    for path in paths:
        try:
            s = os.stat(path)
            found.append((s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns))
        except OSError:
            found.append(())
    return tuple(found)


def _here() -> str:
    """The folder that relative paths mean."""
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return os.sep


def _name(status: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(-status).name
    return f"status {status}"


_sandbox = Sandbox()
_sound: dict[Path, Stamp] = {}  # what was gone through without harm
_inherited: list[Sandbox] = []


def start() -> None:
    """Begin to start the child: for who knows that there will be something to read."""
    _sandbox.start()


def ask(question: str, path: Path, *also: Path) -> dict[str, Any]:
    """As `Sandbox.ask`, of the one child of this process."""
    return _sandbox.ask(question, path, *also)


def examine(path: Path) -> None:
    """Raise RunFileError unless an HDF5 file can be opened and read here without harm."""
    stamp = _stamp(path)
    if _sound.get(path) != stamp:
        try:
            _sandbox.ask("examine", path)
        except UnavailableError:  # then without a net
            from recorder.runfile.sandboxed import examined

            examined(path)
        _sound[path] = stamp


def _forked() -> None:
    """A process that was forked has no right to its parent's child."""
    global _sandbox
    _inherited.append(_sandbox)
    _sandbox = Sandbox()


atexit.register(lambda: _sandbox.close())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
