"""What holds for the tests of all frameworks' loops."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _what_is_imported_is_no_garbage() -> Iterator[None]:
    """`transformers` collects garbage with each training, which takes 0.3 s where so many modules are loaded."""
    gc.freeze()
    yield
    gc.unfreeze()
