"""An explorer under test is at rest when nothing is left to do, not when some time has gone by."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tui.driving import at_rest


@pytest.fixture(scope="session", autouse=True)
def _no_waiting() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in ("app", "pilot"):
            patch.setattr(f"textual.{module}.wait_for_idle", at_rest)
        yield
