"""No garbage is looked for while the explorer starts; from then on it is, among what is new."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tui import app
from tui.garbage import keep_everything


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    gc.enable()
    gc.unfreeze()


def test_collecting_begins_once_the_explorer_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "STANDS", 0.01)
    there, seen = gc.get_freeze_count(), []

    async def run_async(*, mouse: bool) -> None:
        seen.append((gc.isenabled(), gc.get_freeze_count() > there))
        while not gc.isenabled():
            await asyncio.sleep(0.01)
        seen.append((gc.isenabled(), gc.get_freeze_count() > there))

    explorer: Any = SimpleNamespace(run_async=run_async)
    departure: Any = SimpleNamespace(watch=lambda: None)
    keep_everything()
    asyncio.run(app._until_it_ends(explorer, departure))
    assert seen == [(False, False), (True, True)]
