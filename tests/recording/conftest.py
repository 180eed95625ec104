from __future__ import annotations

from typing import Any

import pytest

from recorder import adapters
from tests.recording.quadratic import Quadratic


@pytest.fixture(autouse=True)
def quadratics_are_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """`record(Quadratic(), ...)` watches it; real models go their usual way."""
    real = getattr(adapters, "adapter_for", None)

    def adapter_for(model: Any, **options: Any) -> Any:
        return model if isinstance(model, Quadratic) else real(model, **options)

    monkeypatch.setattr(adapters, "adapter_for", adapter_for, raising=False)
