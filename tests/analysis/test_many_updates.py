"""Many tensors over many updates, in one compiled call each: the numbers of numpy, tensor by tensor."""

from __future__ import annotations

import numpy as np
import pytest

from recorder.analysis import averages
from recorder.analysis.kept import Flat, Kept, address
from recorder.analysis.statistics import FLAGS, Table, as_float64

SIZES = (1, 63, 64, 127, 128, 129, 255, 256, 257, 1023, 40_000)  # around words and tiles; curvature of every third
TAU = (0.3, 0.1)
SUMS = ("gradient_norm", "weight_norm", "update_norm", "gradient_angle", "update_cosine")


def updates(dtype: np.dtype, count: int) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Gradients and weights, of which some stand still."""
    rng = np.random.default_rng(0)

    def drawn(size: int) -> np.ndarray:
        x = rng.standard_normal(size, np.float32)
        return (x.view(np.uint32) >> 16).astype(np.uint16) if dtype == np.uint16 else x.astype(dtype)

    found = []
    weights = [drawn(size) for size in SIZES]
    for _ in range(count):
        weights = [np.where(rng.random(len(w)) < 0.2, w, drawn(len(w))) for w in weights]
        found.append([(drawn(len(w)), w) for w in weights])
    return found


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint16])
def test_one_compiled_call_equals_numpy_tensor_by_tensor(dtype):
    kinds = dict.fromkeys(("keep", "keep_signs", "keep_turns"), True)
    compiled, plain = Table(FLAGS, len(SIZES), tau=TAU), Table(FLAGS, len(SIZES), tau=TAU)
    plain._compiled = None
    fast: dict[int, Kept] = {}
    slow = {i: Kept.room_for(np.empty(size, dtype)) for i, size in enumerate(SIZES)}
    for step, tensors in enumerate(updates(np.dtype(dtype), 6)):
        keeping = kinds if step != 3 else {}  # what follows has nothing to compare with
        flat = [Flat(i, len(w), w.dtype, address(w), address(g)) for i, (g, w) in enumerate(tensors)]
        compiled.measure_flat(flat, fast, average=True, **keeping)
        for i, (g, w) in enumerate(tensors):
            plain.measure(i, g, w, kept=slow[i], average=True, **keeping)
        found, expected = compiled.columns(), plain.columns()
        for name in FLAGS:
            rtol = 1e-9 if name in SUMS else 0
            np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=1e-9 * bool(rtol), err_msg=name)
        assert np.isnan(found["gradient_angle"]).all() == (step in (0, 4))
        assert np.isnan(found["update_cosine"]).all() == (step in (0, 1, 4, 5))
        compiled.clear(), plain.clear()
    for i in fast:
        for mine, other in zip(fast[i].averages, slow[i].averages, strict=True):
            np.testing.assert_array_equal(mine, other)


def test_averages_take_in_each_update_from_the_first_one_on():
    table, kept = Table(("gradient_norm",), 1), Kept.room_for(np.empty(1000))
    steps = [(g, w) for ((g, w), *_) in [[two[3]] for two in updates(np.dtype(np.float64), 5)]]
    kept = Kept.room_for(steps[0][1])
    for gradient, weight in steps:
        table.measure(0, gradient, weight, kept=kept, average=True)
    for average, series in zip(kept.averages, zip(*steps, strict=True), strict=True):
        expected = as_float64(series[0])
        for x in series[1:]:
            expected = averages.DECAY * expected + averages.SHARE * x
        np.testing.assert_allclose(average, expected, rtol=1e-14)
