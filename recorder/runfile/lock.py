"""Is the process that records this run still alive? Its lock file says who it is, and its age that its heart beats."""

from __future__ import annotations

import contextlib
import json
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


def holder(folder: Path) -> Holder | None:
    """Whoever holds the lock, dead or alive."""
    try:
        entry = json.loads((folder / "lock").read_bytes())
        return Holder(str(entry["host"]), int(entry["pid"]), str(entry["namespace"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def alive(folder: Path) -> bool:
    """Whether a process is recording into this folder: its heart beat lately, and it is not known to be gone."""
    try:
        age = time.time() - (folder / "lock").stat().st_mtime
    except OSError:
        return False
    if age > SILENCE:
        return False
    who, me = holder(folder), Holder.me()
    if who is None or (who.host, who.namespace) != (me.host, me.namespace):
        return True
    try:
        os.kill(who.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
