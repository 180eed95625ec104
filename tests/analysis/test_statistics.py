"""The fused pass: closed forms, honesty about what is not finite, the compiled pass against numpy."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recorder.analysis import histogram, statistics
from recorder.analysis.statistics import FLAGS, Kept, Table, as_float64, warm_up

NORMS = ("gradient_norm", "weight_norm", "update_norm")
DTYPES = [np.float16, np.float32, np.float64, np.uint16]  # uint16: the bits of bfloat16


@pytest.fixture(params=["compiled", "numpy"])
def passes(request, monkeypatch):
    """Both passes, one after the other."""
    if request.param == "numpy":
        monkeypatch.setattr(statistics, "_compiled", lambda: None)
    return request.param


def kept_of(before: np.ndarray) -> Kept:
    kept = Kept.room_for(before)
    Table((), 1).measure(0, None, before, kept=kept, keep=True)
    return kept


def measured(gradient, weight, *, before=None, wanted=FLAGS, relative_tau=1e-2, **options) -> dict[str, np.ndarray]:
    table = Table(wanted, 1, relative_tau=relative_tau)
    table.measure(0, gradient, weight, kept=None if before is None else kept_of(before), **options)
    return {name: column[0] for name, column in table.columns().items()}


def test_closed_forms(passes):
    gradient, weight = np.array([3.0, 4.0, 0.0], np.float32), np.array([[2.0, -3.0, 6.0]], np.float32).ravel()
    found = measured(gradient, weight, before=weight - np.array([1, 2, 2], np.float32))
    assert [found[n] for n in NORMS] == [5.0, 7.0, 3.0]
    assert found["gradient_nonfinite"] == found["weight_nonfinite"] == 0
    assert found["gradient_histogram"].sum() == found["weight_histogram"].sum() == 3


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 70_001])
def test_sizes_around_the_blocks(passes, size):
    ones = np.ones(size, np.float32)
    found = measured(ones, 2 * ones, before=-ones)
    np.testing.assert_allclose([found[n] for n in NORMS], np.sqrt(size) * np.array([1, 2, 3]), rtol=1e-12)
    assert found["weight_histogram"].sum() == size


@pytest.mark.parametrize(
    ("bad", "norm"),
    [([np.inf], np.inf), ([-np.inf, np.inf], np.inf), ([np.nan], np.nan), ([np.nan, np.inf, -np.inf], np.nan)],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_norm_is_honest_about_what_is_not_finite(passes, dtype, bad, norm):
    x = np.ones(5000, dtype)
    x[3000 : 3000 + len(bad)] = bad
    found = measured(x, x)
    np.testing.assert_equal([found["gradient_norm"], found["weight_norm"]], [norm, norm])
    assert found["gradient_nonfinite"] == found["weight_nonfinite"] == len(bad)


def test_small_and_large_float32_neither_vanish_nor_overflow(passes):
    assert measured(np.full(4, 1e-30, np.float32), np.full(4, 1e30, np.float32))["gradient_norm"] == pytest.approx(
        2e-30
    )
    assert measured(np.full(4, 1e-30, np.float32), np.full(4, 1e30, np.float32))["weight_norm"] == pytest.approx(2e30)


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_compiled_equals_numpy_on_any_bits(dtype, data):
    bits = arrays(np.uint8, st.integers(0, 64).map(lambda n: 3 * n * np.dtype(dtype).itemsize))
    gradient, weight, before = np.split(data.draw(bits).view(dtype), 3)
    fast, slow = kept_of(before), kept_of(before)
    tables = Table(FLAGS, 1), Table(FLAGS, 1)
    tables[1]._compiled = None
    for table, kept in zip(tables, (fast, slow), strict=True):
        table.measure(0, gradient, weight, kept=kept, keep=True)
    found, expected = (t.columns() for t in tables)
    for name in FLAGS:
        if name in NORMS:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    for kept in (fast, slow):
        np.testing.assert_array_equal(kept.weights.view(np.uint8), weight.view(np.uint8))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.T, lambda x: x[::2], lambda x: x[:, ::-1], lambda x: x.transpose(2, 0, 1),
        lambda x: np.asfortranarray(x), lambda x: np.broadcast_to(x[:1], x.shape), lambda x: x[:, :0],
    ],
)  # fmt: skip
def test_any_strides(passes, view):
    rng = np.random.default_rng(0)
    gradient, weight, before = (view(rng.standard_normal((6, 8, 10)).astype(np.float32)) for _ in range(3))
    found = measured(gradient, weight, before=before)
    change = weight.astype(float) - before
    expected = [np.linalg.norm(x.astype(float).ravel()) for x in (gradient, weight, change)]
    np.testing.assert_allclose([found[n] for n in NORMS], expected, rtol=1e-12)


def test_gradient_and_weight_in_different_orders_of_memory_stay_paired(passes):
    weight = np.arange(12, dtype=np.float32).reshape(3, 4)
    kept = kept_of(np.asfortranarray(weight))
    table = Table(FLAGS, 1)
    table.measure(0, np.ones((3, 4), np.float32), weight, kept=kept)
    assert np.isnan(table.columns()["update_norm"][0])  # the kept weights lie in another order: not comparable
    assert kept.like(np.asfortranarray(weight)).tolist() == weight.tolist()


def test_update_needs_the_weights_before(passes):
    weight = np.ones(3, np.float32)
    table, kept = Table(FLAGS, 1), Kept.room_for(weight)
    table.measure(0, weight, weight, kept=kept, keep=True)
    assert np.isnan(table.columns()["update_norm"][0])
    table.measure(0, weight, weight + 2, kept=kept, keep=True)
    assert table.columns()["update_norm"][0] == pytest.approx(np.sqrt(12))
    table.measure(0, weight, weight + 2, kept=kept)
    assert table.columns()["update_norm"][0] == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_histogram_of_the_update_is_that_of_the_difference(passes, dtype):
    rng = np.random.default_rng(0)
    store = lambda x: (x.view(np.uint32) >> 16).astype(dtype) if dtype == np.uint16 else x.astype(dtype)  # noqa: E731
    before, weight = (store(rng.standard_normal(9001).astype(np.float32)) for _ in range(2))
    weight[:1000] = before[:1000]  # these stand still
    table, kept = Table({"update_histogram"}, 1), Kept.room_for(weight)
    table.measure(0, None, before, kept=kept, keep=True)
    assert table.columns()["update_histogram"].sum() == 0  # the update before was not seen
    table.measure(0, None, weight, kept=kept)
    wide = np.float64 if dtype == np.float64 else np.float32
    expected = histogram.counts(as_float64(weight).astype(wide) - as_float64(before).astype(wide))
    found = table.columns()["update_histogram"][0]
    np.testing.assert_array_equal(found, expected)
    assert found.sum() == 9001
    assert found[histogram.CENTRE] >= 1000


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
def test_what_is_near_zero_beside_the_others_does_not_depend_on_the_scale(passes, dtype, scale):
    x = np.concatenate([np.full(900, 0.0625), np.full(99, 1.0), [-16.0]]) * scale  # rms: 0.6 scale
    stored = (x.astype(np.float32).view(np.uint32) >> 16).astype(dtype) if dtype == np.uint16 else x.astype(dtype)
    if dtype == np.float16 and scale != 1:
        return  # it has not that range
    for tau, expected in ((0.05, 0), (0.2, 900), (10.0, 999), (40.0, 1000)):
        table = Table({"near_zero_relative"}, 1, relative_tau=tau)
        table.measure(0, stored, stored)
        assert table.columns()["near_zero_relative"].tolist() == [expected]


def test_the_limit_is_the_rounded_root_mean_square_and_belongs_to_it(passes):
    g = np.full(7, 0.1, np.float32)
    assert measured(g, g, relative_tau=1.0)["near_zero_relative"] == 7
    assert measured(g, g, relative_tau=0.999)["near_zero_relative"] == 0
    assert measured(np.zeros(7), np.zeros(7))["near_zero_relative"] == 7
    assert measured(np.array([3.0]), np.zeros(100), zeros=99)["near_zero_relative"] == 99  # of a sparse gradient
    for bad in (np.nan, np.inf):
        assert measured(np.array([bad, 0.0]), np.zeros(2), relative_tau=1.0)["near_zero_relative"] == 0
    assert measured(None, np.zeros(2))["near_zero_relative"] == 0


def test_kept_weights_are_a_copy(passes):
    weight = np.ones(3, np.float32)
    kept = kept_of(weight)
    weight += 1
    assert kept.weights.tolist() == [1, 1, 1]


def test_sparse_gradient_counts_its_zeros(passes):
    found = measured(np.array([3.0, 4.0], np.float32), np.zeros(10, np.float32), zeros=8)
    assert found["gradient_norm"] == 5
    assert found["gradient_histogram"].sum() == 10
    assert found["gradient_histogram"][101] == 8


def test_without_a_gradient(passes):
    found = measured(None, np.array([3.0, 4.0], np.float32))
    assert np.isnan(found["gradient_norm"])
    assert found["weight_norm"] == 5
    assert found["gradient_histogram"].sum() == 0


def test_rows_not_measured_are_nan_and_zero():
    table = Table(FLAGS, 3)
    table.measure(1, np.ones(2, np.float32), np.ones(2, np.float32))
    columns = table.columns()
    np.testing.assert_array_equal(np.isnan(columns["gradient_norm"]), [True, False, True])
    assert columns["gradient_histogram"].sum(axis=1).tolist() == [0, 2, 0]
    assert columns["gradient_nonfinite"].dtype == np.int64


def test_a_second_update_replaces_the_row_of_the_first(passes):
    table, kept = Table(FLAGS, 1), kept_of(np.zeros(100, np.float32))
    table.measure(0, np.full(100, np.nan, np.float32), np.ones(100, np.float32), kept=kept)
    table.measure(0, None, np.zeros(100, np.float32))
    alone = Table(FLAGS, 1)
    alone.measure(0, None, np.zeros(100, np.float32))
    for name, column in alone.columns().items():
        np.testing.assert_array_equal(table.columns()[name], column, err_msg=name)


def test_only_what_is_wanted():
    assert set(measured(np.ones(2), np.ones(2), wanted={"gradient_norm"})) == {"gradient_norm"}
    with pytest.raises(ValueError, match="no such statistics: \\['loss'\\]"):
        Table({"loss"}, 1)


def test_mixed_precisions():
    found = measured(np.array([3.0, 4.0]), np.array([1.0, 0.0], np.float16))
    assert found["gradient_norm"] == 5
    assert found["weight_norm"] == 1


@given(arrays(np.uint16, 20))
def test_bfloat16_is_read_exactly(bits):
    np.testing.assert_array_equal(as_float64(bits), (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64))


def test_warm_up_leaves_nothing_to_compile():
    from recorder.analysis import compiled

    warm_up([np.float32, np.uint16])
    before = len(compiled.fused.signatures)
    for dtype in (np.float32, np.uint16, np.float16):
        measured(np.ones(3, dtype), np.ones(3, dtype), before=np.ones(3, dtype), keep=True)
    assert len(compiled.fused.signatures) == before


def test_without_numba_numpy_takes_over():
    program = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np\n"
        "from recorder.analysis.statistics import FLAGS, Table\n"
        "t = Table(FLAGS, 1); x = np.array([3.0, 4.0]); t.measure(0, x, x); print(t.columns()['weight_norm'][0])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "5.0\n"
