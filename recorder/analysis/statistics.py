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
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from types import ModuleType

import numpy as np

from recorder.analysis import averages, histogram, signs, turns
from recorder.analysis.kept import Flat, Kept, address, order_of_memory

NORMS = ("gradient_norm", "weight_norm", "update_norm")
NONFINITE = ("gradient_nonfinite", "weight_nonfinite")
HISTOGRAMS = ("gradient_histogram", "weight_histogram", "update_histogram")

# what a pass is asked for; in the compiled pass most are one loop over a block
GRADIENT, WEIGHT, UPDATE, KEEP, GRADIENT_BINS, WEIGHT_BINS, UPDATE_BINS, SIGNS, RELATIVE, KNOWN, COMPARES = (
    1 << k for k in range(11)
)
AVERAGES, BEGINS = 1 << 11, 1 << 12  # the moving averages take in this update, and it is their first
ANGLE, COSINE, CURVATURE, MOVEMENT = (1 << k for k in range(13, 17))
REMEMBER, CHANGE = 1 << 17, 1 << 18  # gradient and change are kept for the next update, and a change is known
TURNS = ANGLE | COSINE | CURVATURE | MOVEMENT | REMEMBER
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
    "gradient_angle": ANGLE,
    "update_cosine": COSINE,
    "secant_curvature": CURVATURE,
    "near_zero_movement": MOVEMENT,
}
PORTION = 1 << 16  # entries that the numpy pass converts at a time

# a tensor to the compiled pass: its place in the table, what is wanted, addresses and numbers of entries, of a sparse
# gradient the zeros that are not stored, every how manyth entry curvature is taken of, the addresses of what is kept
ROW = (
    POSITION, WANT, GRADIENT_AT, GRADIENT_SIZE, WEIGHT_AT, SIZE, ZEROS, STRIDE, KEPT_AT, PLANES_AT,
    AVERAGE_GRADIENT_AT, AVERAGE_WEIGHT_AT, GRADIENT_BEFORE_AT, CHANGE_AT,
) = range(14)  # fmt: skip
INTEGERS = (*NONFINITE, *signs.NAMES, "near_zero_relative")  # of a table's row
OF_SIGNS, NEAR = len(NONFINITE), len(INTEGERS) - 1


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
        self._tau = {width: np.array(tau, width) for width in (np.float32, np.float64)}
        self._relative_tau = float(relative_tau)
        binned = not self.wanted.isdisjoint(HISTOGRAMS)
        self._blank = (
            np.full((tensors, len(NORMS) + turns.COLUMNS), np.nan),
            np.zeros((tensors, len(INTEGERS)), np.int64),
            np.zeros((tensors if binned else 0, len(HISTOGRAMS), histogram.COLUMNS), np.int64),
        )
        self._columns = {name: _found_in(name) for name in FLAGS if name in self.wanted}
        self._compiled = _compiled()
        self.clear()

    def clear(self) -> None:
        """Begin anew: no tensor is measured."""
        floats, integers, counts = self._blank  # of which copies are made sooner than others like them
        self._floats, self._integers, self._counts = floats.copy(), integers.copy(), counts.copy()

    def measure(
        self, i: int, gradient: np.ndarray | None, weight: np.ndarray, *, kept: Kept | None = None, keep: bool = False,
        keep_signs: bool = False, keep_turns: bool = False, average: bool = False, zeros: int = 0,
    ) -> None:  # fmt: skip
        """Fill row i, replacing what is there; in the same pass keep weights, signs, and more in `kept` if asked.

        With `average` the moving averages in `kept` take in the update, too.
        `gradient` and `weight` have one shape; a sparse gradient is given as the 1-D array of its values and the
        number of its implicit `zeros`, and then nothing is known of its signs. Without a gradient its norm is NaN and
        its counts are 0.
        """
        want = self._want | keep_signs * SIGNS | keep_turns * REMEMBER | average * AVERAGES
        if gradient is None or gradient.size != weight.size:
            want &= ~(SIGNS | TURNS | AVERAGES)
        if kept is None or not kept.fits(weight):
            kept = Kept.room_for(weight) if want & SIGNS else None
        want |= 0 if gradient is None else KNOWN
        gradient, weight = _in_order_of_memory(weight.ravel()[:0] if gradient is None else gradient, weight)
        want = _settled(want, kept, keep=keep, keep_signs=keep_signs)
        if self._compiled is not None and gradient.dtype == weight.dtype and weight.dtype in _KINDS:
            gradient, weight = (x if x.flags.aligned else x.copy() for x in (gradient, weight))
            memory = address(gradient), gradient.size, address(weight), weight.size, zeros
            self._compiled_pass(weight.dtype, array("q", (i, want, *memory, turns.stride(weight.size), *_places(kept))))
        else:
            self._numpy_pass(i, want, gradient, weight, kept, zeros)

    def measure_flat(
        self, tensors: Iterable[Flat], kept: dict[int, Kept], *, keep: bool = False, keep_signs: bool = False,
        keep_turns: bool = False, average: bool = False,
    ) -> None:  # fmt: skip
        """The same of many tensors in one compiled call; `kept` are those of their positions."""
        rows: dict[np.dtype, array[int]] = {}
        used = []  # what the rows have addresses of
        wanted = self._want | KNOWN | keep_signs * SIGNS | keep_turns * REMEMBER | average * AVERAGES
        for tensor in tensors:
            i, size, dtype, weight, gradient = tensor
            mine = kept.get(i)
            if mine is not None and not mine.fits(tensor):
                del kept[i]
                mine = None
            if mine is None and (keep or wanted & (SIGNS | AVERAGES)):
                mine = Kept.room_for(tensor)
                if keep or average:
                    kept[i] = mine
            used.append(mine)
            want = _settled(wanted, mine, keep=keep, keep_signs=keep_signs)
            if dtype not in rows:
                rows[dtype] = array("q")
            rows[dtype].extend((i, want, gradient, size, weight, size, 0, turns.stride(size), *_places(mine)))
        for dtype, some in rows.items():
            self._compiled_pass(dtype, some)

    def _compiled_pass(self, dtype: np.dtype, rows: array[int]) -> None:
        assert self._compiled is not None
        like, layout = _KINDS[dtype]
        table, tau = np.frombuffer(rows, np.int64).reshape(-1, len(ROW)), self._tau[_width(dtype)]
        selecting = [table[:, WANT] & flag != 0 for flag in (CURVATURE, MOVEMENT)] if self._want & TURNS else []
        found, ends = (np.empty(0), np.empty(0, tau.dtype)), np.empty((0, 2), np.int64)
        if selecting:
            curves, moves = (table[rows, SIZE] for rows in selecting)
            found = np.empty(np.minimum(curves, turns.SAMPLE).sum()), np.empty(moves.sum(), tau.dtype)
            ends = np.empty((len(table), 2), np.int64)
        self._compiled.fused(
            like, layout, table, self._floats, self._integers, self._counts, tau, self._relative_tau, found, ends
        )
        for name, some, end, measured in zip(turns.QUANTILES, found, ends.T, selecting, strict=False):
            column = self._floats[:, _found_in(name)[1]]
            for r in np.flatnonzero(measured):
                column[table[r, POSITION]] = turns.quantiles(some[end[r - 1] if r else 0 : end[r]])

    def _numpy_pass(
        self, i: int, want: int, gradient: np.ndarray, weight: np.ndarray, kept: Kept | None, zeros: int
    ) -> None:
        """The definition of the pass, which the compiled one must equal; 1-D arrays, portion by portion."""
        squares, integers = self._floats[i, : len(NORMS)], self._integers[i]
        counts = self._counts[i] if len(self._counts) else _NO_COUNTS
        squares[:], integers[:], counts[:] = 0, 0, 0
        tau = self._tau[_width(gradient.dtype)]
        before = _NOTHING if kept is None else kept.weights
        self._floats[i, len(NORMS) :] = np.nan
        if want & TURNS and kept is not None:
            for name in (*turns.ANGLES, *turns.QUANTILES):
                if want & FLAGS[name]:
                    self._floats[i, _found_in(name)[1]] = turns.OF[name](gradient, weight, kept, tau)
            if want & REMEMBER:
                turns.remember(gradient, weight, kept)
        for start in range(0, max(gradient.size, weight.size), PORTION):
            portion = slice(start, start + PORTION)
            g, w = as_float64(gradient[portion]), as_float64(weight[portion])
            with np.errstate(all="ignore"):
                if want & GRADIENT:
                    squares[0] += np.dot(g, g)
                    integers[0] += g.size - np.count_nonzero(np.isfinite(g))
                if want & WEIGHT:
                    squares[1] += np.dot(w, w)
                    integers[1] += w.size - np.count_nonzero(np.isfinite(w))
                if want & UPDATE:
                    change = w - as_float64(before[portion])
                    squares[2] += np.dot(change, change)
            if want & SIGNS and kept is not None and kept.planes is not None:
                words = kept.planes[:, start // 64 : (start + PORTION) // 64]
                signs.add_counts(g, w, as_float64(before[portion]), words, tau, integers[OF_SIGNS:NEAR])
            if want & GRADIENT_BINS:
                counts[0] += histogram.counts(g)
            if want & WEIGHT_BINS:
                counts[1] += histogram.counts(w)
            if want & UPDATE_BINS:
                with np.errstate(all="ignore"):
                    counts[2] += histogram.counts(turns.widened(weight[portion]) - turns.widened(before[portion]))
            if want & AVERAGES and kept is not None and kept.averages is not None:
                for average, x in zip(kept.averages, (g, w), strict=True):
                    average[portion] = x if want & BEGINS else averages.blended(average[portion], x)
            if want & KEEP:
                before[portion] = weight[portion]
        if want & RELATIVE and want & KNOWN:
            limit = relative_limit(float(squares[0]), gradient.size + zeros, self._relative_tau)
            if math.isfinite(limit):
                integers[NEAR] = zeros + np.count_nonzero(np.abs(as_float64(gradient)) <= limit)
        if want & COMPARES:
            integers[OF_SIGNS + signs.COMPARED] = weight.size
        if want & GRADIENT_BINS:
            counts[0, histogram.CENTRE] += zeros
        if not want & KNOWN:
            squares[0] = np.nan
        if not want & UPDATE:
            squares[2] = np.nan

    def columns(self) -> dict[str, np.ndarray]:
        """-> {statistic: (tensor,) float64; counts (tensor,) int64; histograms (tensor, 204) int64; quantiles}"""
        return self.later()()

    def later(self) -> Callable[[], dict[str, np.ndarray]]:
        """The columns as they are now, made when they are asked for; before more is measured, it is cleared."""
        return partial(_columns, self._columns, (self._floats, self._integers, self._counts))


def _found_in(name: str) -> tuple[int, int | slice]:
    """In which of a table's arrays the statistic is, and where there in [:, which]."""
    for k, names in enumerate(((*NORMS, *turns.ANGLES), INTEGERS, HISTOGRAMS)):
        if name in names:
            return k, names.index(name)
    first = len(NORMS) + len(turns.ANGLES) + len(turns.AT) * turns.QUANTILES.index(name)
    return 0, slice(first, first + len(turns.AT))


def _columns(
    where: Mapping[str, tuple[int, int | slice]], there: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:  # fmt: skip
    found = {name: there[k][:, column].copy() for name, (k, column) in where.items()}
    for name in NORMS:
        if name in found:
            np.sqrt(found[name], out=found[name])
    return found


def _settled(want: int, kept: Kept | None, *, keep: bool, keep_signs: bool) -> int:
    """What the pass can compare of what is wanted, and must keep; notes what will be kept after it."""
    if kept is None:
        return want & ~(UPDATE | UPDATE_BINS | AVERAGES | TURNS)
    if not (kept.valid and kept.turned):
        want &= ~(ANGLE | CURVATURE)
    if not (kept.valid and kept.changed):
        want &= ~COSINE
    if not (kept.valid and kept.signed):
        want &= ~MOVEMENT
    if not kept.valid:
        want &= ~(UPDATE | UPDATE_BINS)
    elif want & (UPDATE_BINS | COSINE | CURVATURE | MOVEMENT | REMEMBER):
        want |= CHANGE
    if not keep:
        want &= ~REMEMBER
    elif want & REMEMBER:
        kept.room_for_turns()
    if want & SIGNS:
        if kept.valid and kept.signed:
            want |= COMPARES
        else:
            kept.signs()
        kept.signed = keep and keep_signs
    else:
        kept.signed = False
    kept.turned, kept.changed = bool(want & REMEMBER), bool(want & REMEMBER) and kept.valid
    if want & AVERAGES and kept.averages is None:
        kept.room_for_averages()
        want |= BEGINS
    kept.valid = keep
    return want | keep * KEEP


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


def is_compiled() -> bool:
    """Whether there is a compiled pass, which alone measures by addresses."""
    return _compiled() is not None


@cache
def _compiled() -> ModuleType | None:
    try:
        from recorder.analysis import compiled
    except ImportError:  # no numba here
        return None
    return compiled


_NOTHING = np.empty(0, np.float32)
_NOWHERE = (0,) * (len(ROW) - KEPT_AT)
_NO_COUNTS = np.empty((len(HISTOGRAMS), 0), np.int64)
_KINDS = {  # what the compiled pass can read: the type it sees, and how it reads that where it has 16 bits
    np.dtype(np.float32): (np.empty(0, np.float32), 0),
    np.dtype(np.float64): (np.empty(0, np.float64), 0),
    np.dtype(np.uint16): (np.empty(0, np.uint16), 0),
    np.dtype(np.float16): (np.empty(0, np.uint16), 1),
}


def _places(kept: Kept | None) -> tuple[int, ...]:
    """The addresses of what is kept."""
    return _NOWHERE if kept is None else (kept.at, kept.planes_at, *kept.averages_at, *kept.before_at)


def _width(dtype: np.dtype) -> type[np.float32 | np.float64]:
    """The type in which entries are compared."""
    return np.float64 if dtype == np.float64 else np.float32


def as_float64(entries: np.ndarray) -> np.ndarray:
    """Exactly the numbers; uint16 are the bits of bfloat16."""
    if entries.dtype == np.uint16:
        entries = (entries.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return entries.astype(np.float64)


def _in_order_of_memory(gradient: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both flat, entry k of one beside entry k of the other: views unless the memory has gaps or the orders differ."""
    if not weight.flags.c_contiguous:  # transposed, channels last, ...
        order = order_of_memory(weight)
        if gradient.shape == weight.shape:  # else it is sparse
            gradient = gradient.transpose(order)
        weight = weight.transpose(order)
    return gradient.ravel(), weight.ravel()
