"""corr_means.json: for each epoch one symmetric matrix of mean correlations, and the layers' names beside it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recorder.analysis.layer_pairs import pairs_of
from recorder.runfile.schema import Kind, Series
from recorder.runfile.writer import RunWriter
from tui.cli import main

LAYERS = ("fc1", "fc2", "out")


def write(path, items, rows, *, series="correlation_mean", late=(), late_from=0):
    """A run with these rows [(step, epoch, values)]; `late` items have rows from step `late_from` on."""
    writer = RunWriter(path, meta={})
    common = {"item_dim": "pair", "instrument": "correlation_summary"}
    name = series
    writer.declare(Series(name, Kind.PER_ITEM, "1", "Mean.", items, axis="each_epoch_probe", **common))
    begun = False
    for step, epoch, values in rows:
        if late and step >= late_from and not begun:
            begun = True
            writer.declare(Series(name, Kind.PER_ITEM, "1", "Mean.", late, axis="each_epoch_probe", **common))
        known = (*items, *late) if begun else items
        of = dict(zip(known, values, strict=True))
        writer.append("each_epoch_probe", step=step, epoch=epoch, time=1.7e9 + step, values={name: of})
    writer.close()
    return path


def exported(path, tmp_path, *more, name="corr_means"):
    assert main(["export", str(path), name, "--to", "json", "-o", str(tmp_path / "found.json"), *more]) == 0
    return tuple(json.loads((tmp_path / f"found{part}.json").read_text()) for part in ("", "_layers"))


@pytest.mark.parametrize("series", ["correlation_mean", "correlation_mean@noise"])
def test_a_symmetric_matrix_an_epoch_and_the_layers_beside_it(tmp_path, series):
    rng = np.random.default_rng(0)
    rows = [(10 * k, k, rng.uniform(-1, 1, 6).astype("f4")) for k in range(3)]
    path = write(tmp_path / "a.h5", pairs_of(LAYERS), rows, series=series)
    found, layers = exported(path, tmp_path, name=series.replace("correlation_mean", "corr_means"))
    assert layers == list(LAYERS)
    assert list(found) == ["0", "1", "2"]
    for k, (_, _, values) in enumerate(rows):
        matrix = np.array(found[str(k)])
        np.testing.assert_array_equal(matrix, matrix.T)
        for i, a in enumerate(LAYERS):
            for j in range(i, 3):
                assert matrix[i, j] == values[pairs_of(LAYERS).index(f"{a} | {LAYERS[j]}")]  # the very same number


@pytest.mark.parametrize("wanted", [".", "there", "new/"])
@pytest.mark.parametrize("names", [("corr_means",), ()])
def test_in_a_folder_it_has_its_own_name(tmp_path, monkeypatch, wanted, names):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    path = write(tmp_path / "a.h5", ("a | a",), [(0, 0, [0.25])])
    assert main(["export", str(path), *names, "--to", "json", "-o", wanted]) == 0
    assert (tmp_path / wanted / f"{names[0] if names else 'a'}.json").is_file()


def test_it_is_named_after_itself(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "a.h5", ("a | a",), [(0, 0, [0.25])])
    assert main(["export", str(path), "corr_means", "--to", "json"]) == 0
    assert (tmp_path / "corr_means.json").read_text() == '{"0": [[0.25]]}\n'
    assert (tmp_path / "corr_means_layers.json").read_text() == '["a"]\n'
    assert main(["export", str(path), "corr_means", "--to", "json"]) == 1
    assert "corr_means.json" in capsys.readouterr().err


def test_the_first_row_of_an_epoch_counts_and_undefined_is_null(tmp_path):
    rows = [(0, 0, [0.5]), (5, 0, [0.75]), (10, 1, [np.nan]), (20, 2, [-0.5])]
    path = write(tmp_path / "a.h5", ("a | a",), rows)
    assert exported(path, tmp_path)[0] == {"0": [[0.5]], "1": [[None]], "2": [[-0.5]]}
    assert exported(path, tmp_path, "--from", "5", "--until", "10", "--force")[0] == {"0": [[0.75]], "1": [[None]]}


def test_a_layer_that_came_later_is_null_before(tmp_path):
    rows = [(0, 0, [1.0]), (10, 1, [2.0, 3.0, 4.0])]
    path = write(tmp_path / "a.h5", ("a | a",), rows, late=("a | new", "new | new"), late_from=10)
    found, layers = exported(path, tmp_path)
    assert layers == ["a", "new"]
    assert found == {"0": [[1.0, None], [None, None]], "1": [[2.0, 3.0], [3.0, 4.0]]}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["corr_means", "loss", "--to", "json"], "corr_means is a file of its own"),
        (["corr_means", "--item", "a | a", "--to", "json"], "without --item"),
        (["corr_means", "--to", "csv"], "corr_means is a JSON file: --to json; for --to csv export correlation_mean"),
        (["corr_means", "--to", "json", "--from", "9"], "correlation_mean has no rows there"),
        (["corr_means@noise", "--to", "json"], "'correlation_mean@noise', which was not recorded; record it with"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, capsys, words, text):
    path = write(tmp_path / "a.h5", ("a | a",), [(0, 0, [0.5])])
    assert main(["export", str(path), *words]) == 1
    assert text in capsys.readouterr().err
