"""A real ssh connection on the loopback: a server of our own, as the user who runs the tests, and its client."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.tui.terminal_process import RUN, Terminal, soon, surroundings, terminal

HOW = "this test needs OpenSSH; on Debian: apt-get install openssh-server openssh-client"


@dataclass(frozen=True)
class Server:
    """A server that lets its own user in."""

    folder: Path  # keys and logs
    port: int
    pid: int

    def connections(self) -> list[int]:
        """The processes that serve one client each."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Server]:
    """A server on a free port; a client of which nothing is heard for some seconds is given up."""
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    assert sshd is not None, HOW
    assert shutil.which("ssh") is not None, HOW
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # as its service does: sshd wants it of root
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    settings = {
        "Port": port, "ListenAddress": "127.0.0.1", "HostKey": folder / "host", "PidFile": "none", "UsePAM": "no",
        "AuthorizedKeysFile": folder / "user.pub", "StrictModes": "no", "PermitRootLogin": "yes",
        "ClientAliveInterval": 1, "ClientAliveCountMax": 3,
    }  # fmt: skip
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", "/dev/null", *options], stderr=log)
    try:
        assert soon(lambda: _answers(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "sshd.log").read_text()
        yield Server(folder, port, process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def logged_in(server: Server, words: Sequence[str], *, cwd: Path) -> Iterator[tuple[Terminal, int]]:
    """The explorer on the other side of a connection: the client's terminal, and the explorer's process."""
    pid_file = cwd / "pid"
    pid_file.unlink(missing_ok=True)
    env = {name: value for name, value in surroundings(cwd).items() if name in ("LANG", "XDG_STATE_HOME", "PYTHONPATH")}
    there = ["env", *(f"{name}={value}" for name, value in env.items()), sys.executable, "-c", RUN, *words]
    command = f"cd {shlex.quote(str(cwd))} && echo $$ > pid && exec {shlex.join(there)}"
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "IdentitiesOnly=yes")
    client = [
        "ssh", "-tt", "-F", "none", "-p", str(server.port), "-i", str(server.folder / "user"),
        *(word for option in options for word in ("-o", option)), "127.0.0.1", command,
    ]  # fmt: skip
    with terminal(client, cwd=cwd, environ=surroundings(cwd)) as t:
        t.until(lambda _: pid_file.exists() and pid_file.read_text().endswith("\n"))
        yield t, int(pid_file.read_text())
