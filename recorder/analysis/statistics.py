"""How long are gradient, weights and update of every tensor, how are they distributed, what changed: in one pass.

For a tensor with gradient g_t, weights w_t and the weights w_{t-1} before its last update:

    gradient_norm = ||g_t||_2       gradient_nonfinite = #{k : g_t[k] is NaN or infinite}      gradient_histogram
    weight_norm   = ||w_t||_2       weight_nonfinite   = the same of w_t                       weight_histogram
    update_norm   = ||w_t - w_{t-1}||_2            update_histogram
    near_zero_relative = #{k : |g_t[k]| <= tau rms(g_t)}, rms(g) = gradient_norm / sqrt(entries); the limit is rounded
                         to float32, and where it is not finite none are counted

and what became of signs and of the near-zero set since the last update (`signs`), how both turned (`turns`).

Sums are taken in float64. A norm over entries that are not finite is honestly NaN or infinite. Entries may be float64,
float32, float16, or uint16 holding the bits of bfloat16, which numpy lacks; strides are arbitrary and nothing is
flattened by copying unless the memory has gaps. With numba the pass is compiled (`compiled`), without it numpy gives
the same numbers: counts are equal, sums agree to rounding. It runs on the calling thread only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import numpy as np

from recorder.analysis import averages, histogram, signs, turns

NORMS = ("gradient_norm", "weight_norm", "update_norm")
NONFINITE = ("gradient_nonfinite", "weight_nonfinite")
HISTOGRAMS = ("gradient_histogram", "weight_histogram", "update_histogram")

# what a pass is asked for; in the compiled pass each is one loop over a block
GRADIENT, WEIGHT, UPDATE, KEEP, GRADIENT_BINS, WEIGHT_BINS, UPDATE_BINS, SIGNS, TURNS, RELATIVE = (
    1 << k for k in range(10)
)
FLAGS = {
    "gradient_norm": GRADIENT,
    "weight_norm": WEIGHT,
    "update_norm": UPDATE,
    "gradient_nonfinite": GRADIENT,
    "weight_nonfinite": WEIGHT,
    "gradient_histogram": GRADIENT_BINS,
    "weight_histogram": WEIGHT_BINS,
    "update_histogram": UPDATE_BINS,
    "near_zero_relative": GRADIENT | RELATIVE,
    **dict.fromkeys(signs.NAMES, SIGNS),
    **dict.fromkeys((*turns.ANGLES, *turns.QUANTILES), TURNS),
}
PORTION = 1 << 16  # entries that the numpy pass converts at a time


@dataclass(slots=True)
class Kept:
    """What the pass remembers of one tensor from one update to the next."""

    weights: np.ndarray  # (entry,) in the order of memory
    strides: tuple[int, ...]
    valid: bool = False  # they are the weights before the last update
    planes: np.ndarray | None = None  # see `signs`
    signed: bool = False  # and these are of the last update's gradient
    gradient: np.ndarray | None = None  # see `turns`
    turned: bool = False  # and it is that of the last update
    change: np.ndarray | None = None
    changed: bool = False  # and it is that which led to the last update

    @classmethod
    def room_for(cls, weight: np.ndarray) -> Kept:
        return cls(np.empty(weight.size, weight.dtype), weight.strides)

    def signs(self) -> np.ndarray:
        """The planes of the last update; empty ones where it was not seen."""
        if self.planes is None:
            self.planes = signs.planes_for(self.weights.size)
        elif not (self.valid and self.signed):
            self.planes.fill(0)
        return self.planes

    def fits(self, weight: np.ndarray) -> bool:
        """Whether size, type and order of memory are still those of the room."""
        mine = self.weights
        return self.strides == weight.strides and mine.dtype == weight.dtype and mine.size == weight.size

    def like(self, weight: np.ndarray) -> np.ndarray:
        """The kept weights in the shape of `weight`, which they fit."""
        if weight.flags.c_contiguous:
            return self.weights.reshape(weight.shape)
        order = _order_of_memory(weight)
        return self.weights.reshape([weight.shape[k] for k in order]).transpose(np.argsort(order))


class Table:
    """One row of the wanted statistics a tensor: NaN (counts: 0) until the tensor is measured."""

    def __init__(
        self, wanted: Iterable[str], tensors: int, *, tau: tuple[float, float] = signs.TAU,
        relative_tau: float = signs.RELATIVE_TAU,
    ) -> None:  # fmt: skip
        self.wanted = frozenset(wanted)
        if unknown := self.wanted - FLAGS.keys():
            raise ValueError(f"no such statistics: {sorted(unknown)}; there are {list(FLAGS)}")
        self._want = 0
        for name in self.wanted:
            self._want |= FLAGS[name]
        self._squares = np.empty((tensors, len(NORMS)))
        self._nonfinite = np.empty((tensors, len(NONFINITE)), np.int64)
        self._signs = np.empty((tensors, len(signs.NAMES)), np.int64)
        self._turns = np.empty((tensors, turns.COLUMNS))
        self._tau = {width: np.array(tau, width) for width in (np.float32, np.float64)}
        self._relative, self._relative_tau = np.empty(tensors, np.int64), relative_tau
        binned = not self.wanted.isdisjoint(HISTOGRAMS)
        self._counts = np.empty((tensors if binned else 0, len(HISTOGRAMS), histogram.COLUMNS), np.int64)
        counts = self._counts if binned else tensors * [_NO_COUNTS]
        self._rows = list(zip(self._squares, self._nonfinite, self._signs, counts, strict=True))  # views, made once
        self._measured = np.zeros(tensors, bool)
        self._columns = [(name, *self._found_in(name)) for name in FLAGS if name in self.wanted]
        self._compiled = _compiled()
        self.clear()

    def clear(self) -> None:
        """Begin anew: no tensor is measured."""
        self._squares.fill(0.0)
        self._nonfinite.fill(0)
        self._signs.fill(0)
        self._turns.fill(np.nan)
        self._relative.fill(0)
        self._counts.fill(0)
        self._measured.fill(False)

    def measure(
        self, i: int, gradient: np.ndarray | None, weight: np.ndarray, *, kept: Kept | None = None, keep: bool = False,
        keep_signs: bool = False, keep_turns: bool = False, zeros: int = 0,
    ) -> None:  # fmt: skip
        """Fill row i, replacing what is there; in the same pass keep weights, signs, and more in `kept` if asked.

        `gradient` and `weight` have one shape; a sparse gradient is given as the 1-D array of its values and the
        number of its implicit `zeros`, and then nothing is known of its signs. Without a gradient its norm is NaN and
        its counts are 0.
        """
        want, memory, planes = self._want, _NOTHING, _NO_PLANES
        if keep_signs:
            want |= SIGNS
        if keep_turns:
            want |= TURNS
        if gradient is None or gradient.size != weight.size:
            want &= ~(SIGNS | TURNS)
        if kept is None or not kept.fits(weight):
            kept = Kept.room_for(weight) if want & (SIGNS | TURNS) else None
        if kept is None or not kept.valid:
            want &= ~(UPDATE | UPDATE_BINS)
        if keep and kept is not None:
            want |= KEEP
        known = gradient is not None
        gradient, weight = _in_order_of_memory(weight.ravel()[:0] if gradient is None else gradient, weight)
        tau = self._tau[np.float64 if gradient.dtype == np.float64 else np.float32]
        squares, nonfinite, row, counts = self._rows[i]
        if self._measured[i]:
            self.forget(i)
        self._measured[i] = True
        if kept is not None and want & TURNS:
            remember = keep and keep_turns
            self._turns[i] = turns.measured(gradient, weight, kept, tau, wanted=self.wanted, remember=remember)
        elif kept is not None:
            kept.turned = kept.changed = False
        compares = False
        if kept is not None and want & SIGNS:
            planes, compares = kept.signs(), kept.valid and kept.signed
            kept.signed = keep and keep_signs
        elif kept is not None:
            kept.signed = False
        if kept is not None and want & (UPDATE | UPDATE_BINS | KEEP | SIGNS):
            memory = kept.weights
        if self._compiled is not None and gradient.dtype == weight.dtype:
            _compiled_pass(self._compiled, gradient, weight, memory, want, squares, nonfinite, counts, planes, tau, row)
        else:
            _numpy_pass(gradient, weight, memory, want, squares, nonfinite, counts, planes, tau, row)
        if want & RELATIVE:
            self._relative[i] = self._near(gradient, gradient.size + zeros, float(squares[0]), zeros) if known else 0
        if not known:
            squares[0] = np.nan
        if not want & UPDATE:
            squares[2] = np.nan
        if want & GRADIENT_BINS:
            counts[0, histogram.CENTRE] += zeros
        if compares:
            row[signs.COMPARED] = weight.size
        if kept is not None and want & KEEP:
            kept.valid = True

    def forget(self, i: int) -> None:
        """Make row i that of a tensor which was not updated."""
        for column in (self._squares, self._nonfinite, self._signs, self._relative, self._counts):
            column[i : i + 1] = 0
        self._turns[i] = np.nan
        self._measured[i] = False

    def _found_in(self, name: str) -> tuple[np.ndarray, int | slice]:
        """Where the statistic of all tensors is, [:, which]."""
        kinds = (NORMS, self._squares), (NONFINITE, self._nonfinite), (signs.NAMES, self._signs)
        for names, there in (*kinds, (turns.ANGLES, self._turns), (HISTOGRAMS, self._counts)):
            if name in names:
                return there, names.index(name)
        if name == "near_zero_relative":
            return self._relative[:, None], 0
        first = len(turns.ANGLES) + len(turns.AT) * turns.QUANTILES.index(name)
        return self._turns, slice(first, first + len(turns.AT))

    def columns(self) -> dict[str, np.ndarray]:
        """-> {statistic: (tensor,) float64; counts (tensor,) int64; histograms (tensor, 204) int64; quantiles}"""
        found: dict[str, np.ndarray] = {}
        for name, kind, column in self._columns:
            found[name] = kind[:, column].copy()
            if kind is self._squares:
                np.sqrt(found[name], out=found[name])
                found[name][~self._measured] = np.nan
        return found

    def _near(self, gradient: np.ndarray, entries: int, square: float, zeros: int) -> int:
        """How many entries are near zero beside the root mean square of all; a second look, since that is known now."""
        tau = relative_limit(square, entries, self._relative_tau)
        if not math.isfinite(tau):
            return 0
        if self._compiled is None:
            return zeros + int(np.count_nonzero(np.abs(as_float64(gradient)) <= tau))
        return zeros + _compiled_within(self._compiled, gradient, tau)


def relative_limit(square: float, entries: int, tau: float) -> float:
    """Times tau, the root mean square of so many entries whose squares have this sum, rounded to float32."""
    with np.errstate(all="ignore"):
        return float(np.float32(tau * np.sqrt(square / max(entries, 1))))


def counts(values: np.ndarray) -> np.ndarray:
    """-> (204,) int64, `histogram.counts` at memory speed."""
    table = Table({"weight_histogram"}, 1)
    table.measure(0, None, values)
    return table.columns()["weight_histogram"][0]


def total_norm(norms: np.ndarray, nonfinite: np.ndarray) -> float:
    """The norm of several tensors as one, from theirs; NaN of a tensor without bad entries means it is not there."""
    if len(norms) and not np.isnan(square := np.dot(norms, norms)):  # as a rule; the rest takes ten times as long
        return float(np.sqrt(square))
    there = norms[~np.isnan(norms) | (nonfinite > 0)]
    return float(np.sqrt(np.sum(there**2))) if len(there) else np.nan


def warm_up(dtypes: Iterable[np.dtype | type]) -> None:
    """Compile the pass for these types (or load it from numba's cache), so that no training step waits for it."""
    for dtype in dtypes:
        one = np.zeros(1, dtype)
        Table(FLAGS, 1).measure(0, one, one.copy(), kept=Kept.room_for(one), keep=True, keep_signs=True)
        turns.warm_up(one)
        averages.warm_up(one)


@cache
def _compiled() -> ModuleType | None:
    try:
        from recorder.analysis import compiled
    except ImportError:  # no numba here
        return None
    return compiled


_NOTHING = np.empty(0, np.float32)
_NO_COUNTS = np.empty((0, histogram.COLUMNS), np.int64)
_NO_PLANES = np.empty((3, 0), np.uint64)
_LAYOUTS: Mapping[np.dtype, int] = {np.dtype(np.uint16): 0, np.dtype(np.float16): 1}  # of the compiled 16-bit pass


def _compiled_pass(
    compiled: ModuleType, gradient: np.ndarray, weight: np.ndarray, kept: np.ndarray, want: int, squares: np.ndarray,
    nonfinite: np.ndarray, counts: np.ndarray, planes: np.ndarray, tau: np.ndarray, sign_counts: np.ndarray,
) -> None:  # fmt: skip
    layout = _LAYOUTS.get(weight.dtype)
    if kept.size == 0:
        kept = weight[:0]  # of the same type, so that there is one compiled pass a type
    if layout is None:
        compiled.fused(gradient, weight, kept, want, squares, nonfinite, counts, planes, tau, sign_counts)
    else:
        bits = (x.view(np.uint16) for x in (gradient, weight, kept))
        compiled.fused_16(*bits, layout, want, squares, nonfinite, counts, planes, tau, sign_counts)


def _compiled_within(compiled: ModuleType, gradient: np.ndarray, tau: float) -> int:
    layout = _LAYOUTS.get(gradient.dtype)
    if layout is None:
        return int(compiled.count_within(gradient, gradient.dtype.type(tau)))
    return int(compiled.count_within_16(gradient.view(np.uint16), layout, np.float32(tau)))


def _numpy_pass(
    gradient: np.ndarray, weight: np.ndarray, kept: np.ndarray, want: int, squares: np.ndarray,
    nonfinite: np.ndarray, counts: np.ndarray, planes: np.ndarray, tau: np.ndarray, sign_counts: np.ndarray,
) -> None:  # fmt: skip
    """The definition of the pass; 1-D arrays, portion by portion."""
    for start in range(0, max(gradient.size, weight.size), PORTION):
        portion = slice(start, start + PORTION)
        g, w = as_float64(gradient[portion]), as_float64(weight[portion])
        with np.errstate(all="ignore"):
            if want & GRADIENT:
                squares[0] += np.dot(g, g)
                nonfinite[0] += g.size - np.count_nonzero(np.isfinite(g))
            if want & WEIGHT:
                squares[1] += np.dot(w, w)
                nonfinite[1] += w.size - np.count_nonzero(np.isfinite(w))
            if want & UPDATE:
                change = w - as_float64(kept[portion])
                squares[2] += np.dot(change, change)
        if want & SIGNS:
            words = planes[:, start // 64 : (start + PORTION) // 64]
            signs.add_counts(g, w, as_float64(kept[portion]), words, tau, sign_counts)
        if want & GRADIENT_BINS:
            counts[0] += histogram.counts(g)
        if want & WEIGHT_BINS:
            counts[1] += histogram.counts(w)
        if want & UPDATE_BINS:
            with np.errstate(all="ignore"):
                counts[2] += histogram.counts(turns.widened(weight[portion]) - turns.widened(kept[portion]))
        if want & KEEP:
            kept[portion] = weight[portion]


def as_float64(entries: np.ndarray) -> np.ndarray:
    """Exactly the numbers; uint16 are the bits of bfloat16."""
    if entries.dtype == np.uint16:
        entries = (entries.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return entries.astype(np.float64)


def _in_order_of_memory(gradient: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both flat, entry k of one beside entry k of the other: views unless the memory has gaps or the orders differ."""
    if not weight.flags.c_contiguous:  # transposed, channels last, ...
        order = _order_of_memory(weight)
        if gradient.shape == weight.shape:  # else it is sparse
            gradient = gradient.transpose(order)
        weight = weight.transpose(order)
    return gradient.ravel(), weight.ravel()


def _order_of_memory(x: np.ndarray) -> np.ndarray:
    """The axes from the longest stride to the shortest."""
    return np.argsort([-abs(stride) for stride in x.strides], kind="stable")
