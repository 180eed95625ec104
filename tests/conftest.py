"""What every test may rely on: one thread, the same draws, a home of its own, a plain terminal, no network."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Before any framework is imported, and inherited by every process that a test starts.
os.environ["OMP_NUM_THREADS"] = "1"
for _name in ("MPLBACKEND", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS", "LINES", "PYTHONWARNINGS"):
    os.environ.pop(_name, None)

# Draws are derived from the test itself, so that a run can be repeated; the machine's speed never decides.
settings.register_profile(
    "layerscope", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("explore", parent=settings.get_profile("layerscope"), derandomize=False, max_examples=2000)
settings.load_profile("layerscope")


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The explorer's state goes to an empty folder instead of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """A test that reaches for the network fails instead of hanging; sockets within this machine work."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"tests must not use the network, and this one connects to {address!r}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield
