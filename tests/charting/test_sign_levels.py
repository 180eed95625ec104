"""Each stretch of a sign map, at each level, against counting every parameter; also of older files and late tensors."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import every, open_run, record
from recorder.analysis.signs import codes
from recorder.charting import sign_changes
from recorder.charting.sign_changes import changes
from recorder.charting.sign_levels import EACH, parameters_of, stretch
from recorder.charting.sign_map import ZOOM, liveliest
from recorder.entries import chart_of
from recorder.instruments import sign_map
from recorder.instruments.sign_map import SignMap
from recorder.runfile.schema import Kind, Series
from recorder.view import At, Window

SHAPES = {
    "conv.weight": (7, 3, 5),
    "conv.bias": (7,),
    "frozen": (50,),
    "scalar": (),
    "none": (0,),
    "fc.weight": (40, 101),
}
LATE = {"head.weight": (33, 9)}
TAU = 1e-5


class Training:
    """Gradients near zero on both sides, exact zeros among them; a tensor without a gradient, one that comes later."""

    def __init__(self) -> None:
        self.parameters = {name: np.zeros(shape, "f4") for name, shape in SHAPES.items()}
        self.gradients: dict[str, np.ndarray] = {}
        self._random = np.random.default_rng(0)
        self.seen: list[dict[str, np.ndarray]] = []

    def step(self) -> None:
        """An update of nothing."""

    def iteration(self) -> None:
        g = {n: (self._random.standard_normal(p.shape) * 1e-5).astype("f4") for n, p in self.parameters.items()}
        del g["frozen"]
        self.gradients = {n: np.where(np.abs(v) < 3e-6, np.float32(0), v) for n, v in g.items()}
        self.seen.append(self.gradients)
        self.step()

    def codes(self) -> np.ndarray:
        """(row, parameter), NaN where there was no gradient"""
        return np.array(
            [
                np.concatenate([
                    codes(row[n], TAU).astype(float) if n in row else np.full(p.size, np.nan)
                    for n, p in self.parameters.items()
                ])
                for row in self.seen
            ]
        )  # fmt: skip


class SignMapPerTensor(SignMap):
    """As it was stored once: counts of each tensor in blocks of one size."""

    def declare(self, facts):
        bits, *_ = super().declare(facts)
        shapes = tuple((-(-t.size // 64), 4) for t in facts.tensors if t.size)
        return bits, Series("sign_map_counts", Kind.RAW, "count", "Counts.", bits.items,
                            dims=("block", "colour"), dtype="uint32", item_dim="tensor", ragged=shapes)  # fmt: skip

    def measure(self, reading):
        found = {name: codes(g, TAU) for (_, name), g in reading.raw.items()}
        blocks = {
            name: np.array([np.bincount(c[k : k + 64], minlength=4) for k in range(0, c.size, 64)]).reshape(-1, 4)
            for name, c in found.items()
        }
        return {"sign_map": super().measure(reading)["sign_map"], "sign_map_counts": blocks}


@pytest.fixture(scope="module", params=["three levels", "two levels", "per tensor"])
def written(request, tmp_path_factory):
    """A run and its codes."""
    path, training = tmp_path_factory.mktemp("runs") / "r.h5", Training()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sign_map, "BLOCKS", 8)
        patch.setattr(sign_map, "SMALL", 64)
        patch.setattr(sign_map, "LARGE", 256 if request.param == "three levels" else 1 << 20)
        instrument = SignMapPerTensor(tau=TAU) if request.param == "per tensor" else SignMap(tau=TAU)
        with record(training, path, instruments=every(1, instrument), progress=False, strict=True) as run:
            for row in range(3):
                if row == 1:
                    training.parameters |= {name: np.zeros(shape, "f4") for name, shape in LATE.items()}
                training.iteration()
                run.step()
        training.seen[1] = {n: g for n, g in training.seen[1].items() if n not in LATE}  # rows begin one later
    with open_run(path) as found:
        assert ("sign_map_blocks" in found) == (request.param == "three levels")
        yield found, training.codes()


@given(data=st.data(), columns=st.integers(1, 5000))
@settings(max_examples=80, deadline=None)
def test_every_stretch_is_what_counting_each_parameter_says(written, data, columns):
    run, expected = written
    parameters, total = parameters_of(run), expected.shape[1]
    assert len(parameters) == total
    lo = data.draw(st.integers(0, total - 1))
    hi = data.draw(st.integers(lo + 1, total))
    found = stretch(run, lo, hi, columns=columns)
    edges = found.edges
    late = lo >= parameters.span("head.weight")[0]
    assert found.step.tolist() == ([2] if late else [0, 1, 2])
    expected = expected[2:] if late else expected
    assert edges[0] <= lo < hi <= edges[-1]
    assert (np.diff(edges) > 0).all()
    ends = set(parameters.starts.tolist())
    assert {e for e in ends if edges[0] <= e <= edges[-1]} <= set(edges.tolist())  # no cell has two tensors
    assert len(edges) - 1 <= max(EACH, 2) * columns + len(ends)
    for cell, (a, b) in enumerate(pairwise(edges)):
        counts = np.stack([(expected[:, a:b] == code).sum(axis=1) for code in range(4)], axis=1)
        np.testing.assert_array_equal(found.counts[:, cell], counts)
    if hi - lo <= EACH * columns:
        np.testing.assert_array_equal(found.majority, expected[:, lo:hi])


def test_only_some_rows(written):
    run, expected = written
    found = stretch(run, 0, expected.shape[1], columns=3, window=Window(lo=1, hi=1))
    assert found.step.tolist() == [1]
    assert found.counts.sum() == np.isfinite(expected[1]).sum()


def test_the_zoom_is_where_most_is_near_zero_but_not_dead(written):
    run, expected = written
    lo, hi = liveliest(run, 0, expected.shape[1], Window())
    near = np.isin(expected, [1, 2]).sum(axis=0)
    best = max(near[k : k + ZOOM].sum() for k in range(len(near) - ZOOM + 1))
    assert hi - lo == ZOOM
    assert near[lo:hi].sum() == best


def test_a_parameter_has_its_tensor_and_index(written):
    parameters = parameters_of(written[0])
    assert parameters.named(0) == "conv.weight[0, 0, 0]"
    assert parameters.named(7 * 15 - 1) == "conv.weight[6, 2, 4]"
    assert parameters.named(7 * 15 + 7 + 50) == "scalar[]"
    lo, hi = parameters.span("fc.weight")
    assert (parameters.named(lo), parameters.named(hi - 1)) == ("fc.weight[0, 0]", "fc.weight[39, 100]")
    assert parameters.parts(100, lo) == (
        (100.0, 105.0, "conv.weight"), (105.0, 112.0, "conv.bias"), (112.0, 162.0, "frozen"), (162.0, 163.0, "scalar"),
    )  # fmt: skip


@pytest.mark.parametrize("at_once", [1, 40, 1 << 25])
@pytest.mark.parametrize("tensor", [None, *SHAPES, *LATE])
def test_changes_from_row_to_row_are_those_of_the_codes(written, tensor, at_once, monkeypatch):
    monkeypatch.setattr(sign_changes, "AT_ONCE", at_once)
    run, expected = written
    parameters = parameters_of(run)
    if tensor == "none":
        assert tensor not in parameters.names
        return
    lo, hi = (0, len(parameters)) if tensor is None else parameters.span(tensor)
    before, after = expected[:-1, lo:hi], expected[1:, lo:hi]
    both = np.isfinite(before) & np.isfinite(after)
    colour = both & (before != after)
    sign = both & (before + after == 3) & np.isin(before, [1, 2])  # red and green
    late = tensor in LATE
    found = changes(run, parameters, parameters.names if tensor is None else (tensor,), Window())
    assert found.step.tolist() == ([] if late else [1, 2])
    for mine, wanted in ((found.colour, colour), (found.sign, sign), (found.compared, both)):
        assert mine.tolist() == wanted.sum(axis=1)[2 if late else 0 :].tolist()


def test_changes_are_drawn_as_shares_of_what_was_updated(written):
    run, expected = written
    chart = chart_of(run, "sign_map_changes", At(), Window())
    both = np.isfinite(expected[1:]) & np.isfinite(expected[:-1])
    share = (both & (expected[1:] != expected[:-1])).sum(axis=1) / both.sum(axis=1)
    np.testing.assert_allclose(chart.marks[0].y, share, rtol=1e-12)
    assert share.min() > 0
    assert np.isnan(chart_of(run, "sign_map_changes", At(item="frozen"), Window()).marks[0].y).all()
    assert "no two rows" in chart_of(run, "sign_map_changes", At(), Window(lo=2)).caption
