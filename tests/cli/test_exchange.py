"""What other tools are given is what was recorded, number by number: through their own writers and readers."""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pyarrow import parquet
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from recorder import open_run
from recorder.runfile.schema import Event, Kind, Series
from recorder.runfile.writer import RunWriter
from tui.cli import main
from tui.exchange.json_file import plain
from tui.exchange.quantities import quantities

ODD = (0.1, math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e300)  # of a loss
TENSORS, LATE = ("fc1.weight", 'fc1,"b"'), "late[0].weight"
EDGES = (-1.0, 0.0, 0.5, 1.0)
STEPS = 40


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Every kind of thing that can be awkward: odd floats, odd names, a late tensor, shapes of their own, a NaN bin."""
    path = tmp_path_factory.mktemp("runs") / "a b.h5"
    rng = np.random.default_rng(0)
    writer = RunWriter(path, meta={"config": {"lr": 0.1}})
    common = {"item_dim": "tensor"}
    writer.declare(
        Series("scalars", Kind.SCALAR, "", "Scalars.", ("loss", "time"), dtype="float64", item_dim="scalar",
               axis="step"),
        Series("norm", Kind.PER_ITEM, "loss / weight", "Norm.", TENSORS, axis="step", **common),
        Series("count", Kind.PER_ITEM, "count", "Count.", TENSORS, dtype="uint64", axis="step", **common),
        Series("bins", Kind.DISTRIBUTION, "count", "Counts.", TENSORS, (6,), ("bin",), "uint32", axis="rare",
               edges=EDGES, **common),
        Series("raw", Kind.RAW, "weight", "Raw.", TENSORS, axis="rare", ragged=((2, 3), (4,)), **common),
    )  # fmt: skip
    for t in range(STEPS):
        if t == 10:
            writer.declare(
                Series("norm", Kind.PER_ITEM, "loss / weight", "Norm.", (LATE,), axis="step_late", **common),
                Series("count", Kind.PER_ITEM, "count", "Count.", (LATE,), dtype="uint64", axis="step_late", **common),
            )
            writer.event(Event("phase", "fine, tuning", t, 1, 1.7e9 + t))
        at = {"step": t, "epoch": t // 10, "time": 1.7e9 + t / 3}
        norms = rng.standard_normal(2).astype("f4")
        loss = ODD[t] if t < len(ODD) else rng.standard_normal()
        row = {"scalars": {"loss": loss, "time": t / 7}, "norm": norms, "count": np.array([t, 2**53 + t], "u8")}
        writer.append("step", **at, values=row)
        if t >= 10 and t % 3 == 0:
            writer.append("step_late", **at, values={"norm": [math.nan], "count": [t]})
        if t % 20 == 0:
            raw = {TENSORS[0]: rng.standard_normal((2, 3)), TENSORS[1]: rng.standard_normal(4)}
            writer.append("rare", **at, values={"bins": rng.integers(0, 99, (2, 6)).astype("u4"), "raw": raw})
    writer.close()
    with open_run(path) as opened:
        yield opened


def export(run, tool, tmp_path, *words):
    """The folder, or the file, that the command wrote."""
    out = tmp_path / ("out.json" if tool == "json" else "out")
    assert main(["export", str(run.path), *words, "--to", tool, "-o", str(out)]) == 0
    return out


def recorded(run):
    """{(quantity, item): (steps, times, values)} as a notebook reads them."""
    found = {}
    for name in ("loss", "time", "norm", "count", "bins", "raw"):
        one = run[name]
        for item in one.items:
            own = one if name in ("loss", "time") else one.item(item)
            found[name, item] = (own.step, own.time, own.values)
    return found


def same(a, b):
    """Equal bit for bit, whatever the type that holds them; NaN equals NaN."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    if b.dtype.kind == "f":
        np.testing.assert_array_equal(a.astype("f8").view("u8"), b.astype("f8").view("u8"))
    else:
        assert a.tolist() == b.tolist()


def test_json_is_exact_and_says_what_everything_is(run, tmp_path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    found = json.loads(export(run, "json", tmp_path).read_text(), parse_constant=refuse)
    assert list(found) == ["run", "series", "events"]
    assert found["run"]["steps"] == STEPS
    assert found["run"]["meta"]["config"] == {"lr": 0.1}
    assert found["events"] == [{"kind": "phase", "text": "fine, tuning", "step": 10, "epoch": 1, "time": 1.7e9 + 10}]
    norm = found["series"]["norm"]
    assert {k: norm[k] for k in ("kind", "unit", "doc", "dtype", "item", "dims")} == {
        "kind": "per_item", "unit": "loss / weight", "doc": "Norm.", "dtype": "float32", "item": "tensor",
        "dims": ["step"],
    }  # fmt: skip
    assert found["series"]["bins"]["edges"] == list(EDGES)
    assert found["series"]["bins"]["dims"] == ["step", "bin"]
    named = {None: math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    for (name, item), (steps, times, values) in recorded(run).items():
        series = found["series"][name]
        column = series["values"] if name in ("loss", "time") else series["values"][item]
        places = [series["step"].index(step) for step in steps.tolist()]
        assert [series["time"][k] for k in places] == times.tolist()
        assert [k for k, entry in enumerate(column) if entry is not None and k not in places] == []
        given = [column[k] for k in places]
        if values.dtype.kind == "f" and values.ndim == 1:
            given = [named.get(entry, entry) if not isinstance(entry, float) else entry for entry in given]
        same(given, values)


def numbers(file, *, dims):
    """A table by item: {item: (steps, times, values)}, in the shape that the indices span."""
    table = list(csv.DictReader(file.open(newline="")))
    found = {}
    for row in table:
        found.setdefault(row.get("tensor", ""), []).append(row)
    return {
        item: (
            [int(row["step"]) for row in rows],
            [float(row["time"]) for row in rows],
            [row["value"] for row in rows],
            [[int(row[d]) for d in dims if row[d]] for row in rows],
        )
        for item, rows in found.items()
    }


@pytest.mark.parametrize(("name", "dims"), [("loss", ()), ("norm", ()), ("count", ()), ("bins", ("bin",)),
                                            ("raw", ("dim_0", "dim_1"))])  # fmt: skip
def test_csv_has_one_row_a_number(run, tmp_path, name, dims):
    file = export(run, "csv", tmp_path, name) / f"{name}.csv"
    item_column = () if name == "loss" else ("tensor",)
    assert next(csv.reader(file.open())) == ["step", "epoch", "time", *item_column, *dims, "value"]
    found = numbers(file, dims=dims)
    expected = {item: row for (quantity, item), row in recorded(run).items() if quantity == name}
    assert set(found) == ({""} if name == "loss" else set(expected))
    for item, (steps, times, values) in expected.items():
        got = found["" if name == "loss" else item]
        inner = int(np.prod(values.shape[1:]))
        assert got[0] == np.repeat(steps, inner).tolist()
        assert got[1] == np.repeat(times, inner).tolist()
        kind = float if values.dtype.kind == "f" else int
        same([kind(v) for v in got[2]], values.ravel())
        assert got[3] == [list(k) for _ in steps for k in np.ndindex(values.shape[1:])]


def test_units_dimensions_and_files_stand_beside_the_tables(run, tmp_path):
    folder = export(run, "csv", tmp_path)
    told = json.loads((folder / "series.json").read_text())["series"]
    assert {told[name]["file"] for name in told} | {"series.json", "events.csv"} == {p.name for p in folder.iterdir()}
    assert told["norm"]["unit"] == "loss / weight"
    assert told["norm"]["items"] == [*TENSORS, LATE]
    rows = list(csv.DictReader((folder / "events.csv").open()))
    assert [(row["step"], row["kind"], row["text"]) for row in rows] == [("10", "phase", "fine, tuning")]


def test_pandas_reads_a_csv_as_it_is(run, tmp_path):
    table = pandas.read_csv(export(run, "csv", tmp_path, "norm") / "norm.csv")
    wide = table.pivot(index="step", columns="tensor", values="value")
    same(wide[TENSORS[0]].to_numpy(), run["norm"].item(TENSORS[0]).values)


def test_parquet_keeps_types_and_is_exact(run, tmp_path):
    folder = export(run, "parquet", tmp_path)
    schema = parquet.read_schema(folder / "norm.parquet")
    assert str(schema.field("value").type) == "float"
    assert schema.field("value").metadata == {b"unit": b"loss / weight", b"doc": b"Norm."}
    assert str(parquet.read_schema(folder / "count.parquet").field("value").type) == "uint64"
    for (name, item), (steps, times, values) in recorded(run).items():
        table = pandas.read_parquet(folder / f"{name}.parquet")
        if name not in ("loss", "time"):
            table = table[table["tensor"] == item]
        inner = int(np.prod(values.shape[1:]))
        assert table["step"].tolist() == np.repeat(steps, inner).tolist()
        assert table["time"].tolist() == np.repeat(times, inner).tolist()
        same(table["value"].to_numpy(), values.ravel())
    assert pandas.read_parquet(folder / "events.parquet")["text"].tolist() == ["fine, tuning"]


def test_tensorboard_reads_every_number_with_its_step_and_time(run, tmp_path, capsys):
    folder = export(run, "tensorboard", tmp_path)
    assert "no view for raw: left out" in capsys.readouterr().err
    board = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    board.Reload()
    shown = {(n, i): row for (n, i), row in recorded(run).items() if n != "raw"}
    tags = {f"{n}/{i}" if n not in ("loss", "time") else n for n, i in shown} | {"events/phase"}
    assert set(board.Tags()["tensors"]) == tags
    for (name, item), (steps, times, values) in shown.items():
        tag = name if name in ("loss", "time") else f"{name}/{item}"
        events = board.Tensors(tag)
        assert [e.step for e in events] == steps.tolist()
        assert [e.wall_time for e in events] == times.tolist()
        got = np.array([tensor_util.make_ndarray(e.tensor_proto) for e in events])
        plugin = board.SummaryMetadata(tag).plugin_data.plugin_name
        if name == "bins":
            assert plugin == "histograms"
            same(got[:, :, 2], values[:, :-1].astype("f8"))
            assert got[0, :, 0].tolist() == [EDGES[0], *EDGES]
            assert got[0, :, 1].tolist() == [*EDGES, EDGES[-1]]
        else:
            assert plugin == "scalars"
            same(got, values.astype("f8"))
    assert board.SummaryMetadata("norm/fc1.weight").summary_description == "Norm. Unit: loss / weight."
    (phase,) = board.Tensors("events/phase")
    assert tensor_util.make_ndarray(phase.tensor_proto).item() == b"fine, tuning"


def test_steps_and_items_can_be_chosen(run, tmp_path):
    words = ("norm", "--item", LATE, "--from", "12", "--until", "20")
    norm = json.loads(export(run, "json", tmp_path, *words).read_text())["series"]["norm"]
    assert norm["step"] == [12, 15, 18]
    assert norm["values"] == {LATE: [None] * 3}
    assert json.loads((tmp_path / "out.json").read_text())["events"] == []


def test_a_derived_share_is_handed_over_too(tmp_path):
    writer = RunWriter(tmp_path / "r.h5", meta={"tensors": [{"name": "w", "shape": [4, 5]}]})
    writer.declare(Series("near_zero_count", Kind.PER_ITEM, "count", "Near zero.", ("w",), dtype="uint64",
                          item_dim="tensor", axis="step", instrument="near_zero"))  # fmt: skip
    for t in range(3):
        writer.append("step", step=t, epoch=0, time=1.7e9, values={"near_zero_count": [5 * t]})
    writer.close()
    with open_run(tmp_path / "r.h5") as run:
        found = json.loads(export(run, "json", tmp_path, "near_zero_share").read_text())["series"]
    assert found["near_zero_share"]["values"] == {"w": [0, 0.25, 0.5]}
    assert found["near_zero_share"]["unit"] == "1"


@pytest.mark.parametrize("words", [(), ("unit_correlation_units",)])
def test_what_has_no_chart_is_handed_over_too(words, tmp_path):
    units = Series("unit_correlation_units", Kind.VECTOR, "1", "Which units.", ("a", "b"), dtype="int32",
                   item_dim="layer", axis="epoch", ragged=((2,), (3,)), instrument="unit_correlation")  # fmt: skip
    writer = RunWriter(tmp_path / "r.h5", meta={})
    writer.declare(units)
    chosen = {"a": np.array([4, 7], "i4"), "b": np.array([0, 1, 2**31 - 1], "i4")}
    writer.append("epoch", step=0, epoch=0, time=1.7e9, values={units.name: chosen})
    writer.close()
    with open_run(tmp_path / "r.h5") as run:
        found = json.loads(export(run, "json", tmp_path, *words).read_text())["series"]
    assert found[units.name]["values"] == {"a": [[4, 7]], "b": [[0, 1, 2**31 - 1]]}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--to", "xml"], "expected json, csv, parquet, tensorboard, got 'xml'"),
        (["--to", "40"], "the last step is --until"),
        (["nrm", "--to", "json"], "did you mean 'norm'?"),
        (["norm", "--item", "fc9", "--to", "json"], "norm has no item 'fc9'"),
        (["raw", "--to", "tensorboard"], "TensorBoard has no view for raw; use --to json, csv or parquet"),
        (["norm", "--to", "csv", "--log"], "--log is for figures, and --to csv writes the numbers"),
        (["--plate", "loss,norm", "--to", "csv"], "--plate is for figures"),
        (["--to", "csv", "-o", "one.csv"], "one.csv is one file, and there are 7 tables; name a folder"),
    ],
)
def test_what_cannot_be_is_said(run, tmp_path, capsys, monkeypatch, words, text):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(["export", str(run.path), *words])
    except SystemExit as refused:  # by the parser of arguments
        status = refused.code
    assert status
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("tool", "module", "extra"), [("parquet", "pyarrow", "parquet"),
                                                       ("tensorboard", "tensorboard", "tensorboard")])  # fmt: skip
def test_a_missing_library_names_its_extra(run, tmp_path, capsys, monkeypatch, tool, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["export", str(run.path), "--to", tool, "-o", str(tmp_path / "out")]) == 1
    assert f"layerscope[{extra}]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tool", ["json", "csv", "parquet", "tensorboard"])
def test_nothing_is_overwritten_unless_forced(run, tmp_path, capsys, tool):
    out = export(run, tool, tmp_path, "norm")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    again = ["export", str(run.path), "norm", "--to", tool, "-o", str(out)]
    assert main(again) == 1
    assert "exists already; nothing was written" in capsys.readouterr().err
    assert main([*again, "--force"]) == 0
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_the_events_of_another_run_are_not_mixed_in(run, tmp_path, capsys):
    (tmp_path / "events.out.tfevents.1.other").write_bytes(b"")
    assert main(["export", str(run.path), "--to", "tensorboard", "-o", str(tmp_path)]) == 1
    assert "holds events of another run (events.out.tfevents.1.other)" in capsys.readouterr().err


def test_one_table_may_be_one_file_and_the_run_names_what_has_no_name(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run.path), "loss", "--to", "csv", "-o", "loss.csv"]) == 0
    assert main(["export", str(run.path), "--to", "json"]) == 0
    assert main(["export", str(run.path), "loss", "--to", "parquet"]) == 0
    assert sorted(p.name for p in Path().iterdir()) == ["a_b-parquet", "a_b.json", "loss.csv"]


def test_a_run_that_holds_nothing_yet(tmp_path, capsys):
    writer = RunWriter(tmp_path / "r.h5", meta={})
    writer.declare(Series("scalars", Kind.SCALAR, "", "Scalars.", ("loss",), dtype="float64", axis="step"))
    writer.close()
    assert main(["export", str(tmp_path / "r.h5"), "--to", "json", "-o", str(tmp_path / "x.json")]) == 0
    assert json.loads((tmp_path / "x.json").read_text())["series"]["loss"]["values"] == []


@given(arrays.arrays(st.sampled_from(["f4", "f8", "u4", "i8", "u8"]), arrays.array_shapes(max_dims=3, max_side=4)))
def test_any_array_comes_back_from_json(values):
    def back(entry):
        return [back(e) for e in entry] if isinstance(entry, list) else math.nan if entry is None else entry

    text = json.dumps(plain(values), allow_nan=False)
    found = json.loads(text.replace('"Infinity"', "Infinity").replace('"-Infinity"', "-Infinity"))
    restored = np.array(back(found), dtype=values.dtype)
    assert restored.shape == values.shape
    np.testing.assert_array_equal(restored, values)


def test_rows_are_read_in_blocks_without_a_seam(run, tmp_path, monkeypatch):
    monkeypatch.setattr("tui.exchange.json_file.NUMBERS", 7)
    monkeypatch.setattr("tui.exchange.tables.NUMBERS", 7)
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    for tool in ("json", "csv"):
        export(run, tool, small)
    monkeypatch.undo()
    for tool in ("json", "csv"):
        export(run, tool, large)
    for path in (p for p in large.rglob("*") if p.is_file()):
        assert path.read_bytes() == (small / path.relative_to(large)).read_bytes()
    assert len(quantities(run, [])) == 6


BATCHES = ("17 4 2051", "cat.png, \u201cdog\u201d.png", "")


def test_what_identifies_the_batches_before_an_anomaly_is_text(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    writer = RunWriter(tmp_path / "f.h5", meta={})
    common = {"axis": "flight", "instrument": "flight"}
    writer.declare(
        Series("flight_batch", Kind.TABLE, "", "Batches.", ("batch",), dtype="S64", item_dim="field", **common),
        Series(
            "flight_scalars", Kind.PER_ITEM, "", "Numbers.", ("loss",), dtype="float64", item_dim="scalar", **common
        ),
    )
    for t, text in enumerate(BATCHES):
        values = {"flight_batch": {"batch": text.encode()}, "flight_scalars": {"loss": float(t)}}
        writer.append("flight", step=t, epoch=0, time=1.7e9 + t, values=values)
    writer.close()
    for tool in ("json", "csv", "parquet"):
        assert main(["export", "f.h5", "--to", tool]) == 0, capsys.readouterr().err
    found = json.loads(Path("f.json").read_text())["series"]["flight_batch"]
    assert (found["dtype"], found["values"]) == ("str", {"batch": list(BATCHES)})
    with Path("f-csv/flight_batch.csv").open(newline="") as file:
        assert [row["value"] for row in csv.DictReader(file)] == list(BATCHES)
    assert parquet.read_table("f-parquet/flight_batch.parquet")["value"].to_pylist() == list(BATCHES)
    assert main(["export", "f.h5", "flight_batch", "--to", "tensorboard"]) == 1
    assert "TensorBoard has no view for flight_batch" in capsys.readouterr().err
