"""Is the process that records this run still alive? Its lock file says who it is, and its age that its heart beats."""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

HEARTBEAT = 2.0  # seconds between two beats
SILENCE = 15.0  # seconds without one after which a process counts as dead


@dataclass(frozen=True)
class Holder:
    """Who records; process ids mean something only on the same host in the same namespace."""

    host: str
    pid: int
    namespace: str

    @classmethod
    def me(cls) -> Holder:
        return cls(socket.gethostname(), os.getpid(), _namespace())

    @property
    def near(self) -> bool:
        """Whether its process would be seen from here."""
        me = Holder.me()
        return (self.host, self.namespace) == (me.host, me.namespace)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lock:
    """Held while a run is written."""

    def __init__(self, folder: Path) -> None:
        """Raise FileExistsError where another holds it."""
        self._path = folder / "lock"
        with open(self._path, "x", encoding="utf-8") as file:
            json.dump(asdict(Holder.me()), file)

    def beat(self) -> None:
        with contextlib.suppress(OSError):
            os.utime(self._path)

    def release(self) -> None:
        self._path.unlink(missing_ok=True)


def take(folder: Path) -> Lock:
    """The lock of a process that is gone becomes ours; FileExistsError where another was faster."""
    lock, mine = folder / "lock", folder / f"new-lock-{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.rename(lock, mine)  # of all who want to take it, one succeeds
        if _alive(mine):  # it was taken a moment ago
            os.link(mine, lock)
            mine.unlink()
            raise FileExistsError(lock)
        mine.unlink()
    return Lock(folder)


def silent(folder: Path) -> bool:
    """Whether nobody records; waits until it is certain that a process elsewhere, which may just have died, did."""
    lock = folder / "lock"
    while alive(folder):
        if (who := holder(folder)) is not None and who.near:
            return False
        beat = _beat(lock)
        time.sleep(min(1.0, SILENCE / 4))
        if _beat(lock) != beat:
            return False
    return True


def holder(folder: Path) -> Holder | None:
    """Whoever holds the lock, dead or alive."""
    return _holder(folder / "lock")


def _holder(lock: Path) -> Holder | None:
    try:
        entry = json.loads(lock.read_bytes())
        return Holder(str(entry["host"]), int(entry["pid"]), str(entry["namespace"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def alive(folder: Path) -> bool:
    """Whether a process is recording into this folder: its heart beat lately, and it is not known to be gone."""
    return _alive(folder / "lock")


def _alive(lock: Path) -> bool:
    if time.time() - _beat(lock) > SILENCE:
        return False
    who = _holder(lock)
    if who is None or not who.near:
        return True
    try:
        os.kill(who.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _beat(lock: Path) -> float:
    try:
        return lock.stat().st_mtime
    except OSError:
        return -math.inf


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
