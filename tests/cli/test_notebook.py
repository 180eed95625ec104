"""A run opened in a notebook charts itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from recorder import open_run
from recorder.chart import Line
from recorder.errors import LayerscopeError, NotRecordedError
from recorder.notebook import OpenRun
from tests.make_run import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> OpenRun:
    return open_run(make_run(tmp_path_factory.mktemp("runs") / "mlp.h5", steps=120, tensors=4))


def test_a_run_lists_what_it_can_chart(run: OpenRun) -> None:
    assert run.entries == ("loss", "learning_rate", "gradient_norm", "weight_histogram", "events")
    assert "gradient_norm" in run


def test_a_chart_holds_the_recorded_numbers(run: OpenRun) -> None:
    (line,) = (m for m in run.chart("loss").view.marks if isinstance(m, Line))
    np.testing.assert_array_equal(line.y, run["loss"].values)
    np.testing.assert_array_equal(line.x, run["loss"].step)


def test_a_chart_shows_itself(run: OpenRun) -> None:
    chart = run.chart("gradient_norm")
    assert chart._repr_png_().startswith(b"\x89PNG")
    assert "<svg" in chart._repr_svg_()
    assert repr(chart).startswith("<chart 'gradient norm', 2 panels: ")
    assert chart.caption in repr(chart)


def test_a_chart_draws_into_axes_and_makes_figures_and_files(run: OpenRun, tmp_path: Path) -> None:
    ax = Figure().subplots()
    assert run.chart("loss").draw(ax) is ax
    assert len(ax.lines) == 2  # the loss, and where a gradient exploded
    assert run.chart("gradient_norm").draw(Figure().subplots(), panel=2).lines
    assert run.chart("loss").figure(preset="double").get_size_inches()[0] == 7.2
    saved = run.chart("loss").save(tmp_path / "loss.svg", preset="single")
    assert saved == tmp_path / "loss.svg"
    assert saved.exists()
    with pytest.raises(LayerscopeError, match="panel 3: the view has 2 panels"):
        run.chart("gradient_norm").draw(ax, panel=3)


def test_a_chart_gives_its_numbers(run: OpenRun) -> None:
    text = run.chart("loss", lo=10, hi=19).csv()
    assert text.startswith("step,loss\n10,")
    assert len(text.splitlines()) == 11


def test_looks_are_arguments(run: OpenRun) -> None:
    view = run.chart("loss", x="epoch", log=True, smooth=0.9, limits=(0.1, None)).view
    assert view.y.log
    assert view.y.limits[0] == 0.1
    assert view.x.label == "epoch"
    assert "Smoothed" in view.caption
    assert "outside" in run.chart("gradient_norm", item="layer0.bias", outliers=False).caption
    assert "row's largest" in run.chart("gradient_norm", normalise="row").caption


def test_a_wrong_name_is_answered_with_near_ones(run: OpenRun) -> None:
    with pytest.raises(NotRecordedError, match="did you mean 'gradient_norm'"):
        run.chart("gradient_nrom")
    with pytest.raises(NotRecordedError, match=r"did you mean 'layer0\.weight'"):
        run.chart("gradient_norm", "layer0.wieght")
