"""How much memory do instruments take from one update to the next, before any of it is taken?"""

from __future__ import annotations

from collections.abc import Iterable

from recorder.reading import AVERAGED, OF_SIGNS, OF_TURNS, Statistic, TensorFacts
from recorder.recording.player import Player, plain

PLANES = 3 / 8  # bytes an entry: g > 0, g < 0, near zero; a byte on a GPU
WIDTHS = {"float64": 8, "float16": 2, "bfloat16": 2, "complex64": 8, "complex128": 16}  # bytes; of others 4


def memory(players: Iterable[Player], tensors: Iterable[TensorFacts]) -> int:
    """Bytes for tensors of the kinds that these players compare with the update before."""
    here = [p for p in players if not p.between]
    wanted = frozenset[Statistic]().union(*(p.instrument.statistics for p in here))
    compares, averages = any(p.compares for p in here), not AVERAGED.keys().isdisjoint(wanted)
    return round(sum(t.size * _entry(t.dtype, plain(wanted), compares, averages) for t in tensors if t.trainable))


def gradient_bytes(tensors: Iterable[TensorFacts]) -> int:
    """Bytes that a pass over all gradients reads."""
    return sum(t.size * WIDTHS.get(t.dtype, 4) for t in tensors if t.trainable)


def _entry(dtype: str, wanted: frozenset[Statistic], compares: bool, averages: bool) -> float:
    width = WIDTHS.get(dtype, 4)
    wide = max(4, width)
    found = (2 * wide if averages else 0) + (width if compares else 0) + (wide if averages and compares else 0)
    entrywise = (PLANES if wanted & (OF_SIGNS | OF_TURNS) else 0) + (2 * wide if wanted & OF_TURNS else 0)
    return found + entrywise * (2 if averages else 1)
