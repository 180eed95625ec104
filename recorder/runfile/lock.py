"""Is the process that records this run still alive? Its lock says who it is, and its heart is heard to beat.

On its own machine a process is there or not. From other machines only its beats can be heard, and clocks differ: of a
lock that is seen for the first time the clocks tell how old the last beat is; from then on only whether it beats
again, by the one clock of whoever listens.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

from recorder.errors import RunFileError
from recorder.runfile.guard import read_inside

HEARTBEAT = 2.0  # seconds between two beats
CLAIM = "lock-claim"  # held while a dead lock is taken over
SILENCE = 15.0  # seconds without one after which a process on another machine counts as dead
LONG_AGO = 86_400.0  # no two clocks differ by more
_BYTES = 512  # of a lock, always the same: a beat rewrites it in place, on a full disk too


@dataclass(frozen=True)
class Holder:
    """Who records; process ids mean something only on the same machine in the same namespace."""

    host: str
    pid: int
    namespace: str
    boot: str = ""  # of the machine, since hosts may share a name
    born: int = 0  # when the process began, since process ids are used again

    @classmethod
    def me(cls) -> Holder:
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _namespace(), _boot(), (_born(pid) or (0, ""))[0])

    @classmethod
    def of(cls, text: bytes) -> Holder | None:
        """Who says so in JSON; None where that says nothing."""
        try:
            entry = json.loads(text)
            known = {f.name: entry[f.name] for f in fields(cls) if f.name in entry}
            who = cls(**known)
            return cls(str(who.host), int(who.pid), str(who.namespace), str(who.boot), int(who.born))
        except (ValueError, TypeError, RecursionError, OverflowError):
            return None

    @property
    def text(self) -> str:
        """What `of` reads."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def running(self) -> bool | None:
        """Whether its process runs; None where this machine cannot tell."""
        boot, place = _boot(), (self.boot or self.host, self.namespace)
        if place != (boot if self.boot else socket.gethostname(), _namespace()):
            return None
        if boot:
            found = _born(self.pid)
            return found is not None and found[1] not in "ZX" and self.born in (0, found[0])
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass
        return None  # a process is there, but it may be another one


class _Look(NamedTuple):
    """A lock as it was seen."""

    who: Holder | None
    beat: tuple[int, int, float]  # changes with every beat
    age: float  # seconds since the last one, by the clocks of those involved


class Lock:
    """Held while a run is written."""

    def __init__(self, folder: Path, name: str = "lock") -> None:
        """Raise FileExistsError where another holds it, dead or alive."""
        self.folder = folder
        self._name = name
        self._me = Holder.me()
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            self._inode = os.fstat(fd).st_ino
            os.write(fd, self._text)
        finally:
            os.close(fd)

    def beat(self) -> bool:
        """Let others hear it; False where the lock is gone or somebody else's."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError:  # a disk that takes nothing: others see a silent heart
            return True
        try:
            ours = Holder.of(os.read(fd, 4 * _BYTES)) in (None, self._me)
            if ours:
                with contextlib.suppress(OSError):
                    os.pwrite(fd, self._text, 0)
                    os.utime(fd)  # by the clock of the file server
            return ours
        except OSError:
            return True
        finally:
            os.close(fd)

    def release(self) -> None:
        with contextlib.suppress(OSError):
            if holder(self.folder, self._name) in (None, self._me):
                self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self.folder / self._name

    @property
    def _text(self) -> bytes:
        entry = asdict(self._me) | {"inode": self._inode, "beat": time.time()}
        return json.dumps(entry).encode().ljust(_BYTES)


def holder(folder: Path, name: str = "lock") -> Holder | None:
    """Whoever holds the lock, dead or alive."""
    try:
        return Holder.of(read_inside(folder / name, most=4 * _BYTES))
    except (OSError, RunFileError):
        return None


def alive(folder: Path) -> bool:
    """Whether a process is recording into this folder, as far as this process has heard until now."""
    look = _look(folder)
    if look is None:
        _heard.pop(os.fspath(folder), None)
        return False
    if look.who is not None and (running := look.who.running) is not None:
        return running
    now = time.monotonic()
    beat, heard = _heard.get(os.fspath(folder), (None, 0.0))
    if beat != look.beat:
        heard = now - max(0.0, look.age) if beat is None else now
        _heard[os.fspath(folder)] = (look.beat, heard)
    return now - heard <= SILENCE


def silent(folder: Path) -> bool:
    """Whether surely nobody records; where only beats can tell, listen for them as long as it takes."""
    look = _look(folder)
    if look is None:
        return True
    if look.who is not None and (running := look.who.running) is not None:
        return not running
    begun = time.monotonic()
    while look.age < LONG_AGO and time.monotonic() - begun <= SILENCE:
        time.sleep(HEARTBEAT / 4)
        now = _look(folder)
        if now is None or now.beat != look.beat:
            return now is None
    return True


def take(folder: Path) -> Lock:
    """The lock of a process that is gone, if there is one, becomes ours; FileExistsError where another was faster.

    Only who made the claim may remove a lock, and looks at it again before: what it removes is then a dead one's.
    """
    claim = _claim(folder)
    try:
        if not silent(folder):
            raise FileExistsError(folder / "lock")
        (folder / "lock").unlink(missing_ok=True)
        return Lock(folder)
    finally:
        claim.release()


def _claim(folder: Path) -> Lock:
    """FileExistsError where another has it who may be alive: it is held for moments, but one can die in them too."""
    try:
        return Lock(folder, CLAIM)
    except FileExistsError:
        look = _look(folder, CLAIM)
        if look is None:  # it was given back just now: whoever is first
            return Lock(folder, CLAIM)
        running = look.who.running if look.who is not None else None
        if running is not False and (running or look.age <= 2 * SILENCE):
            raise
        (folder / CLAIM).unlink(missing_ok=True)
        return Lock(folder, CLAIM)


_heard: dict[str, tuple[tuple[int, int, float], float]] = {}  # folder -> the last beat, when by our own clock


def _look(folder: Path, name: str = "lock") -> _Look | None:
    """Opened rather than looked at from outside: NFS then asks its server instead of its memory."""
    try:
        fd = os.open(folder / name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text, status = os.read(fd, 4 * _BYTES), os.fstat(fd)
    except OSError:
        return None
    finally:
        os.close(fd)
    who, beat = Holder.of(text), 0.0
    with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
        entry = json.loads(text)
        if entry.get("inode", status.st_ino) != status.st_ino:  # a copy of the run: nobody writes that
            who = None
        beat = float(entry.get("beat", 0.0))
    # Of the file server's clock and the recorder's own, one that agrees with ours is enough.
    age = time.time() - (max(status.st_mtime, beat) if who else status.st_mtime)
    return _Look(who, (status.st_ino, status.st_mtime_ns, beat), age)


def _born(pid: int) -> tuple[int, str] | None:
    """(when it began, its state) of a process on Linux; None where there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            entries = file.read().rpartition(b")")[2].split()
        return int(entries[19]), entries[0].decode()
    except (OSError, ValueError, IndexError):
        return None


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""
