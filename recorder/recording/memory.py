"""How much memory do instruments take from one update to the next, before any of it is taken?"""

from __future__ import annotations

from collections.abc import Iterable

from recorder.reading import OF_SIGNS, OF_TURNS, Statistic, TensorFacts
from recorder.recording.player import Player, of_averages

PLANES = 3 / 8  # bytes an entry: g > 0, g < 0, near zero
CODES = 1.0  # the same on a GPU
WIDTHS = {"float64": 8, "float16": 2, "bfloat16": 2, "complex128": 8}  # bytes of an entry, of others 4


def memory(players: Iterable[Player], tensors: Iterable[TensorFacts], *, device: str = "cpu") -> int:
    """Bytes for tensors of the kinds that these players compare with the update before."""
    here = [p for p in players if not p.between]
    wanted = frozenset[Statistic]().union(*(p.instrument.statistics for p in here))
    compares = any(p.compares for p in here)
    signs = CODES if device.startswith("cuda") else PLANES
    return round(sum(t.size * _entry(t.dtype, wanted, compares, signs) for t in tensors if t.trainable))


def gradient_bytes(tensors: Iterable[TensorFacts]) -> int:
    """Bytes that a pass over all gradients reads."""
    return sum(t.size * WIDTHS.get(t.dtype, 4) for t in tensors if t.trainable)


def _entry(dtype: str, wanted: frozenset[Statistic], compares: bool, signs: float) -> float:
    width = WIDTHS.get(dtype, 4)
    wide = max(4, width)
    found = width + _entrywise(wanted, wide, signs) if compares else 0.0
    averaged = of_averages(wanted)
    return found + (3 * wide + _entrywise(averaged, wide, signs) if averaged else 0)


def _entrywise(wanted: frozenset[Statistic], wide: int, signs: float) -> float:
    return (signs if wanted & (OF_SIGNS | OF_TURNS) else 0) + (2 * wide if wanted & OF_TURNS else 0)
