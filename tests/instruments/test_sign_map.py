"""The map of gradient signs: every code, its packing, its blocks, and what is drawn of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recorder.analysis.signs import FAR, MINUS, PLUS, ZERO, changed, codes, counted, mapped, packed, unpacked
from recorder.chart import Chart, Heat, Plate, Rule
from recorder.entries import chart_of
from recorder.errors import RecordError
from recorder.instruments import SignMap
from recorder.instruments.sign_map import block_of
from recorder.reading import Facts, TensorFacts
from recorder.runfile.schema import Clock
from recorder.view import At, Window
from tests.fakes import FakeRun
from tests.instruments.readings import FACTS, reading

TAU = np.float32(1e-5)
GRADIENT = np.array([1, -1, TAU, -TAU, 1e-9, -1e-9, 0, -0.0, np.nan, np.inf, np.nextafter(TAU, np.float32(1))], "f4")
ALONE = Facts("numpy", (TensorFacts("w", (2, 3), "float32", "layer"),), ())
EXPECTED = [FAR, FAR, PLUS, MINUS, PLUS, MINUS, ZERO, ZERO, FAR, FAR, FAR]


def test_every_code():
    assert codes(GRADIENT, 1e-5).tolist() == EXPECTED
    assert codes(GRADIENT.reshape(1, -1).astype("f8"), 2e-5).tolist() == [*EXPECTED[:-1], PLUS]


@given(arrays(np.uint8, st.integers(0, 40), elements=st.integers(0, 3)))
def test_packing_is_two_bits_a_parameter_and_exact(some):
    bytes = packed(some)
    assert bytes.size == -(-some.size // 4)
    assert unpacked(bytes)[: some.size].tolist() == some.tolist()
    assert not unpacked(bytes)[some.size :].any()
    assert unpacked(np.stack([bytes, bytes])).shape == (2, 4 * bytes.size)


@given(arrays("f4", st.integers(0, 200), elements=st.floats(-(2.0**-15), 2.0**-15, width=32) | st.just(np.nan)))
def test_the_compiled_pass_has_the_same_codes(gradient):
    for g in (gradient, gradient.astype("f8"), gradient[::2]):
        assert mapped(g, 1e-5).tolist() == packed(codes(g, 1e-5)).tolist()


@given(arrays(np.uint8, st.integers(0, 300), elements=st.integers(0, 3)), st.sampled_from([32, 64, 256]))
def test_blocks_count_each_colour(some, block):
    found = counted(packed(some), some.size, block)
    assert len(found) == -(-some.size // block)
    for k, row in enumerate(found):
        assert row.tolist() == [(some[k * block : (k + 1) * block] == code).sum() for code in range(4)]


def test_changes_of_every_code_to_every_other():
    """All 16 ways: 12 have another code, of which MINUS to PLUS and back have another sign."""
    before, after = np.repeat(np.arange(4, dtype=np.uint8), 4), np.tile(np.arange(4, dtype=np.uint8), 4)
    colour, sign = changed(np.stack([packed(before), packed(after), packed(after)]))
    assert colour.tolist() == [12, 0]
    assert sign.tolist() == [2, 0]


@pytest.mark.parametrize("parameters", [1, 4096, 4097, 570_000, 20_000_000])
def test_a_network_has_at_most_4096_blocks(parameters):
    blocks = -(-parameters // block_of(parameters))
    assert blocks <= 4096
    assert blocks > 2048 or block_of(parameters) == 32


def recorded(gradients, *, facts=FACTS):
    """A run of three rows."""
    instrument = SignMap()
    series = {s.name: replace(s, instrument="sign_map") for s in instrument.declare(facts)}
    row = instrument.measure(reading(raw={("gradient", name): g for name, g in gradients.items()}))
    return series, row


def run_of(series, row, sizes):
    clock = Clock(np.arange(3) * 10, np.arange(3), np.arange(3.0))
    data = {}
    for name, s in series.items():
        one = replace(s, items=("w",), ragged=(), shape=s.shape_of("w"))
        data[name] = (one, clock, np.stack([row[name]["w"][None]] * 3))
    return FakeRun(data=data, meta={"tensors": [{"name": n, "shape": [k]} for n, k in sizes.items()]})


def test_a_tensor_without_a_gradient_is_left_out():
    _, row = recorded({"w": np.zeros((2, 3), "f4")})
    assert set(row["sign_map"]) == {"w"}
    assert unpacked(row["sign_map"]["w"])[:6].tolist() == [ZERO] * 6
    assert row["sign_map_overview"]["w"].tolist() == [[0, 0, 0, 6], [0, 0, 0, 0]]  # of both tensors


def test_a_large_network_has_blocks_of_256_as_well():
    small, large = (Facts("numpy", (TensorFacts("w", (n,), "float32", ""),), ()) for n in (10**6, 10**7))
    assert [s.name for s in SignMap().declare(small)] == ["sign_map", "sign_map_overview"]
    assert [s.name for s in SignMap().declare(large)] == ["sign_map", "sign_map_overview", "sign_map_blocks"]
    assert SignMap().declare(large)[2].ragged == ((-(-(10**7) // 256), 4),)


def test_one_tensor_is_drawn_cell_by_cell():
    run = run_of(*recorded({"w": np.array([[1, 1e-6, -1e-6], [0, 1, 1]], "f4")}, facts=ALONE), {"w": 6})
    chart = chart_of(run, "sign_map", At(item="w"), Window())
    assert isinstance(chart, Chart)
    (heat,) = [m for m in chart.marks if isinstance(m, Heat)]
    assert heat.values.tolist() == [[FAR, PLUS, MINUS, ZERO, FAR, FAR]] * 3
    assert "6 parameters" in chart.caption


def test_more_parameters_than_columns_are_drawn_in_blocks_with_their_shares():
    run = run_of(*recorded({"w": np.array([[1, 1e-6, -1e-6], [0, 1, 1]], "f4")}, facts=ALONE), {"w": 6})
    view = chart_of(run, "sign_map", At(), Window(points=1))
    assert isinstance(view, Plate)
    heat = view.rows[0][0].marks[0]
    assert heat.values.tolist() == [[FAR, FAR]] * 3
    assert heat.x.tolist() == [0, 4, 6]
    assert [line.y.tolist() for line in view.rows[1][0].marks] == [[1 / 4, 0]] * 3


def test_shares_over_the_rows():
    run = run_of(*recorded({"w": np.array([[1, 1e-6, -1e-6], [0, 1, 1]], "f4")}, facts=ALONE), {"w": 6})
    chart = chart_of(run, "sign_map_shares", At(), Window())
    assert [line.y.tolist() for line in chart.marks] == [[1 / 6] * 3] * 3


def test_a_threshold_that_makes_no_sense_is_refused():
    with pytest.raises(RecordError, match=r"SignMap\(tau=-1\): expected 0 <= tau"):
        SignMap(tau=-1)


def test_in_a_recorded_run_of_torch(tmp_path):
    import torch
    from torch import nn

    from recorder import each_epoch, open_run, record

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 3), nn.Linear(3, 2).requires_grad_(False))
    optimizer = torch.optim.SGD(model[:3].parameters(), 0.1)
    gradients = []
    with record(model, tmp_path / "r.h5", optimizer=optimizer, instruments=each_epoch(SignMap(tau=1e-3)),
                progress=False, strict=True) as run:  # fmt: skip
        for _ in range(3):
            for batch in range(2):
                optimizer.zero_grad()
                model(torch.randn(4, 30)).square().mean().backward()
                if batch == 0:
                    gradients.append(
                        {n: p.grad.numpy().copy() for n, p in model.named_parameters() if p.grad is not None}
                    )
                optimizer.step()
                run.step()
            run.epoch()
    with open_run(tmp_path / "r.h5") as found:
        for tensor in ("0.weight", "0.bias", "2.weight"):
            expected = [codes(g[tensor], 1e-3) for g in gradients]
            bytes = found["sign_map"][tensor].values
            np.testing.assert_array_equal(unpacked(bytes)[:, : expected[0].size], expected)
        whole = [sum(np.bincount(codes(v, 1e-3), minlength=4) for v in g.values()) for g in gradients]
        np.testing.assert_array_equal(found["sign_map_overview"]["0.weight"].values.sum(axis=1), whole)
        view = chart_of(found, "sign_map")
        assert "all tensors in model order, 1,371 parameters" in view.caption
        assert [r.at for r in view.marks if isinstance(r, Rule)] == [1200, 1240, 1360, 1363, 1369]
        assert [name for _, _, name in view.x.parts] == [n for n, _ in model.named_parameters()]
        cells = view.marks[0].values
        np.testing.assert_array_equal(cells[:, :1200], [codes(g["0.weight"], 1e-3) for g in gradients])
        assert np.isnan(cells[:, 1363:]).all()  # never updated
