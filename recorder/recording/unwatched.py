"""What is left to record where no framework is watched (any more): the scalars that the user passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recorder.errors import RecordError
from recorder.number import as_float
from recorder.reading import Collected, Facts, Plan, Probed


class Unwatched:
    """An adapter without tensors and layers; it takes the place of one that failed, so that training goes on."""

    lag = 0

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def facts(self) -> Facts:
        return self._facts

    def attach(self, plan: Callable[[], Plan]) -> None:
        """There is nothing to watch."""

    def collect(self, scalars: Mapping[str, Any]) -> Callable[[], Collected]:
        numbers = {name: as_float(value) for name, value in scalars.items()}
        return lambda: self._collected(numbers)

    def read(self, plan: Plan) -> Collected:  # noqa: ARG002
        return self._collected({})

    def probe(self, name: str = "") -> Probed:  # noqa: ARG002
        return Probed({}, {})

    def inputs(self, name: str) -> Mapping[str, np.ndarray]:  # noqa: ARG002
        return {}

    def augment(self) -> None:
        """There is nothing to look at."""

    def save(self, path: Path) -> None:
        raise RecordError(f"{path.name}: the model is not watched any more, so its weights cannot be saved")

    def model(self) -> Any:
        return None

    def detach(self) -> None:
        """Nothing was attached."""

    def _collected(self, numbers: Mapping[str, float]) -> Collected:
        return Collected({}, np.zeros(len(self._facts.tensors), dtype=bool), {}, numbers)
