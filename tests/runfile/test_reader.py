"""One run, wherever its rows are, for views, notebooks and other libraries."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray

from recorder.errors import LayerscopeError, NotRecordedError, RunFileError
from recorder.runfile.describe import describe
from recorder.runfile.reader import Run
from recorder.runfile.schema import Kind, Series, State
from recorder.runfile.writer import RunWriter
from tests.runfile.runs import START, TENSORS, append, histogram, norms, write
from tests.runfile.test_writer import check


@pytest.mark.parametrize("given", ["a", "a.h5", "a.d"])
def test_a_run_is_found_by_any_of_its_names(tmp_path: Path, given: str) -> None:
    writer = write(tmp_path / "a.h5", 12, close=False)
    with Run.open(tmp_path / given) as run:
        assert run.path == tmp_path / "a.h5"
        assert run.name == "a"
    writer.close()


def test_dots_in_names_are_kept(tmp_path: Path) -> None:
    write(tmp_path / "lr.0.1.h5", 3)
    with Run.open(tmp_path / "lr.0.1.h5") as run:
        assert run.name == "lr.0.1"


def test_a_sealed_run_that_is_open_twice_reads_the_same_twice(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 25)
    with Run.open(tmp_path / "a") as first:
        check(first, 25)
        with Run.open(tmp_path / "a") as second:
            check(second, 25)
            check(first, 25)


def test_a_killed_run_that_is_opened_again_and_again_reads_the_same(tmp_path: Path) -> None:
    """As the explorer does, whose list of runs opens the run that it shows; such a file looks as if it grew."""
    writer = write(tmp_path / "live" / "a.h5", 300, block_bytes=1 << 9, close=False)
    with Run.open(writer.path) as run:
        while run.volumes[0].group is None or run.volumes[0].group["axes/step/committed"][()] < 250:
            run.refresh()
    with writer._mover._open.lock:  # between two commits
        shutil.copytree(tmp_path / "live", tmp_path / "killed", ignore=shutil.ignore_patterns("lock"))
    writer.close()
    with Run.open(tmp_path / "killed" / "a") as first:
        assert first.state is State.KILLED
        check(first, 300)
        for _ in range(3):
            with Run.open(tmp_path / "killed" / "a") as second:
                check(second, 300)
                first.refresh()
                check(first, 300)
            check(first, 300)


def test_nothing_there_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match=r"there is no run; looked for .*a\.h5 and the folder .*a\.d"):
        Run.open(tmp_path / "a")


def test_a_run_is_there_before_its_file(tmp_path: Path) -> None:
    """Only the declaration and the logs, as a process leaves them that dies early."""
    writer = write(tmp_path / "b.h5", 30, block_bytes=1 << 20, close=False)
    (tmp_path / "a.d").mkdir()
    for name in os.listdir(tmp_path / "b.d"):
        if name.startswith(("log", "volume")):
            shutil.copy(tmp_path / "b.d" / name, tmp_path / "a.d")
    with Run.open(tmp_path / "a") as run:
        assert run.state is State.KILLED
        check(run, 30)
    writer.close()


def test_a_reader_follows_from_before_the_first_row_to_the_end(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.h5", 0, close=False)
    with Run.open(tmp_path / "a") as run:
        assert not run.refresh()
        for start in range(0, 300, 25):
            append(writer, range(start, start + 25))
            assert run.refresh()
            check(run, start + 25)
        writer.declare(Series("late", Kind.PER_ITEM, "", "", ("x",), axis="step"))
        writer.append("step", step=300, epoch=0, time=START, values={"late": [1.0]})
        assert run.refresh()
        assert run.row("late") == (300, [1.0])
        writer.close()
        assert run.refresh()
        assert run.state is State.DONE
        check(run, 300)
        assert not run.refresh()
        assert run.row("late") == (300, [1.0])


def test_rows_at_and_between_steps(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 35)
    with Run.open(tmp_path / "a") as run:
        step, counts = run.row("weight_histogram", 29)
        assert step == 20
        np.testing.assert_array_equal(counts, histogram(20))
        np.testing.assert_array_equal(run.row("weight_histogram", item="fc2.weight")[1], histogram(30)[2])
        np.testing.assert_array_equal(run.row("gradient_norm")[1], norms(34))
        step, tensors = run.row("raw", 15)
        assert step == 10
        assert [t.shape for t in tensors] == [(2, 3), (4,), ()]
        with pytest.raises(NotRecordedError, match="no row at or before step -1"):
            run.row("gradient_norm", -1)


def test_names_that_are_not_there_suggest_others(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 3)
    with Run.open(tmp_path / "a") as run:
        with pytest.raises(
            NotRecordedError, match="'gradient_nrom' was not recorded in run 'a'; did you mean 'gradient_norm'"
        ):
            run["gradient_nrom"]
        with pytest.raises(NotRecordedError, match=r"'gradient_norm' has no item 'fc1.wieght'; near are 'fc1.weight'"):
            run["gradient_norm"].item("fc1.wieght")
        assert "loss" in run
        assert "gradient_norm" in run
        assert "nothing" not in run


def test_a_series_in_a_notebook(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 25)
    with Run.open(tmp_path / "a") as run:
        norm = run["gradient_norm"]
        assert (norm.kind, norm.unit, norm.doc, norm.dims) == (
            Kind.PER_ITEM,
            "loss / weight",
            "Its norm.",
            ("step", "tensor"),
        )
        assert "gradient_norm [loss / weight] (step, tensor), 25 rows, 3 items" in repr(norm)
        array = norm.to_xarray()
        assert array.dims == ("step", "tensor")
        np.testing.assert_array_equal(array.sel(tensor="fc1.bias", step=10), norms(10)[1])
        frame = norm.to_pandas()
        assert list(frame.columns) == list(TENSORS)
        assert frame.index.name == "step"
        assert run["loss"].to_pandas().loc[4] == 0.2
        assert run["weight_histogram"].to_xarray().dims == ("step", "tensor", "bin")
        with pytest.raises(NotRecordedError, match="a table has two"):
            run["weight_histogram"].to_pandas()
        one = run["weight_histogram"]["fc1.bias"]
        assert one.name == "weight_histogram[fc1.bias]"
        assert one.to_pandas().shape == (3, 7)
        np.testing.assert_array_equal(np.asarray(run["raw"].item("values"))[0], [0, 1, 2, 3])
        assert run["raw"].item("w").dims == ("step", "dim_0", "dim_1")
        with pytest.raises(NotRecordedError, match="different shapes"):
            run["raw"].values  # noqa: B018


def test_a_missing_library_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.h5", 2)
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with Run.open(tmp_path / "a") as run, pytest.raises(LayerscopeError, match=r"pip install 'layerscope\[xarray\]'"):
        run["loss"].to_pandas()


@pytest.mark.parametrize(
    ("group", "dims"),
    [
        ("gradient_norm", ("step", "tensor")),
        ("scalars", ("step", "scalar")),
        ("weight_histogram", ("step", "tensor", "bin")),
    ],
)
def test_xarray_opens_the_file_itself(tmp_path: Path, group: str, dims: tuple[str, ...]) -> None:
    write(tmp_path / "a.h5", 25)
    with (
        xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf", group=group) as data,
        Run.open(tmp_path / "a") as run,
    ):
        assert data["values"].dims == dims
        np.testing.assert_array_equal(data["values"], run.values(group))
        np.testing.assert_array_equal(data["step"], run.clock(group).step)
        np.testing.assert_array_equal(data["epoch"], run.clock(group).epoch)
        assert data["time"].dtype.kind == "M"
        names = data[dims[1]].to_numpy().astype(str)
        assert tuple(names) == run.series[group].items
        if run.series[group].unit:
            assert data["values"].attrs["units"] == run.series[group].unit
        assert data["values"].attrs["long_name"] == run.series[group].doc


def test_xarray_opens_ragged_series_and_events(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 25)
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf", group="raw") as data:
        assert data["w"].shape == (3, 2, 3)
        assert data["%76alues"].shape == (3, 4)  # an item whose name the series needs for itself
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf", group="events") as data:
        assert data["kind"].dims == ("step",)


def test_of_shapes_of_their_own_the_only_item_is_the_series(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "a.h5", meta={})
    writer.declare(Series("one", Kind.RAW, "", "", ("w",), axis="step", ragged=((2, 3),)))
    writer.declare(Series("two", Kind.RAW, "", "", ("w", "v"), axis="step", ragged=((2, 3), (4,))))
    row = np.arange(6, dtype="f4").reshape(2, 3)
    writer.append("step", step=0, epoch=0, time=START, values={"one": [row], "two": [row, row.ravel()[:4]]})
    writer.close()
    with Run.open(tmp_path / "a") as run:
        for found in (run["one"], run["one"]["w"], run["two"]["w"]):
            np.testing.assert_array_equal(found.values, row[None])
            assert len(found.dims) == 3
        with pytest.raises(NotRecordedError, match="ask for one of 'w', 'v'"):
            _ = run["two"].values


@pytest.mark.parametrize("items", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int64", "bool"])
def test_every_type_and_width_comes_back_exactly(tmp_path: Path, dtype: str, items: int) -> None:
    rng = np.random.default_rng(items)
    values = (
        rng.integers(0, 2, (70, items)).astype(dtype)
        if dtype == "bool"
        else (rng.normal(size=(70, items)) * 99).astype(dtype)
    )
    writer = RunWriter(tmp_path / "a.h5", meta={}, block_bytes=1 << 11)
    writer.declare(Series("x", Kind.PER_ITEM, "", "", tuple(f"i{k}" for k in range(items)), dtype=dtype, axis="step"))
    for step, row in enumerate(values):
        writer.append("step", step=step, epoch=0, time=START, values={"x": row})
    writer.close()
    with Run.open(tmp_path / "a") as run:
        found = run.values("x")
        assert found.dtype == values.dtype
        assert found.tobytes() == values.tobytes()


def test_a_row_larger_than_a_block_or_a_chunk(tmp_path: Path) -> None:
    big = np.random.default_rng(0).normal(size=(2, 300, 1000)).astype("f4")  # 1.2 MB an item
    writer = RunWriter(tmp_path / "a.h5", meta={}, block_bytes=1 << 16)
    writer.declare(Series("big", Kind.IMAGE, "", "", ("a", "b"), (300, 1000), axis="step"))
    for step in range(3):
        writer.append("step", step=step, epoch=0, time=START, values={"big": big + step})
    writer.close()
    with Run.open(tmp_path / "a") as run:
        np.testing.assert_array_equal(run.row("big", 1, "b")[1], big[1] + 1)


def test_names_of_every_kind_come_back(tmp_path: Path) -> None:
    items = ("a/b", "a/b_0", "ü", "block[/b]", "x" * 300, "step", ".", "", " blank ", "%41")
    writer = RunWriter(tmp_path / "a.h5", meta={})
    writer.declare(Series("x", Kind.PER_ITEM, "", "", items, axis="step"))
    writer.declare(Series("y", Kind.RAW, "", "", items, axis="step", ragged=((1,),) * len(items)))
    rows = np.arange(len(items), dtype="f4")
    writer.append("step", step=0, epoch=0, time=START, values={"x": rows, "y": [r[None] for r in rows]})
    writer.close()
    with Run.open(tmp_path / "a") as run:
        assert run.series["x"].items == items
        for k, item in enumerate(items):
            assert run.row("x", item=item)[1] == k
            assert run.row("y", item=item)[1] == k


def test_the_description_is_json(tmp_path: Path) -> None:
    import json

    write(tmp_path / "a.h5", 25, seed=3)
    with Run.open(tmp_path / "a") as run:
        told = json.loads(json.dumps(describe(run)))
    assert (told["name"], told["state"], told["steps"], told["epochs"]) == ("a", "done", 25, 2)
    assert told["axes"] == {"step": 25, "each_epoch": 3}
    assert told["meta"]["seed"] == 3
    norm = next(s for s in told["series"] if s["name"] == "gradient_norm")
    assert (norm["rows"], norm["first_step"], norm["last_step"], norm["row_bytes"]) == (25, 0, 24, 12)
    assert told["bytes"] == (tmp_path / "a.h5").stat().st_size
    rows = 25 * (28 + 24) + 3 * (84 + 44 + 24)  # 24 are the clock's; a level adds one row in 256
    assert rows / 25 <= told["bytes_per_1000_steps"] / 1000 <= 1.02 * rows / 25
