"""Charts of feature signals: what they show is what was recorded, on scales that stay from step to step."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.analysis.augmentations import Augmentation
from recorder.analysis.correlation import noise_floor
from recorder.analysis.layer_pairs import pair_name
from recorder.chart import Bars, Chart, Heat, Line, Picture, Rule
from recorder.charting.probed import Probed
from recorder.charting.unit_correlation import strongest_of, top
from recorder.entries import chart_of, entries
from recorder.errors import NotRecordedError
from recorder.probe import ProbeFacts
from recorder.runfile.schema import Series
from recorder.view import At, Window
from tests.fakes import FakeRun
from tests.feature_signals import AUGMENTED, LAYERS, SAMPLES, TRANSFORMS, fake_features, features

RUN = fake_features()
NAMES = tuple(LAYERS)


def of(view, kind):
    charts = view.charts
    return [m for chart in charts for m in chart.marks if isinstance(m, kind)]


def with_suffix(run: FakeRun, probe: str) -> FakeRun:
    """The same, measured on another probe."""
    data = {}
    for name, (s, when, values) in run.data.items():
        s = Series(**{**vars(s), "name": f"{name}@{probe}", "instrument": f"{s.instrument}@{probe}"})
        data[s.name] = (s, when, values)
    return FakeRun("other", data, {"probes": {"probe": {"samples": 7}, probe: {"samples": SAMPLES}}})


# -- layers by layers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["correlation_mean_abs", "correlation_mean", "cka"])
@pytest.mark.parametrize("step", [0, 30])
def test_layers_by_layers_at_a_step_has_each_pair_twice(name, step):
    plate = chart_of(RUN, name, At(step=step, item="fc1 | fc3"))
    heat = plate.charts[0].marks[0]
    assert heat.values.shape == (4, 4)
    for i, a in enumerate(NAMES):
        for j in range(i, 4):
            value = RUN.row(name, step, pair_name(a, NAMES[j]))[1]
            assert heat.values[i, j] == heat.values[j, i] == pytest.approx(float(value))
    assert f"step {step}" in plate.title
    assert "40 samples" in plate.caption


@pytest.mark.parametrize("name", ["correlation_mean_abs", "correlation_mean", "cka", "unit_correlation"])
def test_the_colours_are_those_of_all_steps(name):
    limits = {chart_of(RUN, name, At(step=step)).charts[0].marks[0].limits if name != "unit_correlation"
              else chart_of(RUN, name, At(step=step)).marks[0].limits for step in (0, 20, 50)}  # fmt: skip
    assert len(limits) == 1
    assert None not in limits


def test_a_signed_series_is_centred_at_zero_and_a_positive_one_begins_there():
    signed = of(chart_of(RUN, "correlation_mean"), Heat)[0]
    assert signed.diverging
    assert signed.limits[0] == -signed.limits[1]
    assert of(chart_of(RUN, "correlation_mean_abs"), Heat)[0].limits[0] == 0
    assert of(chart_of(RUN, "cka"), Heat)[0].limits == (0, 1)


def test_the_curve_of_a_pair_has_the_floor_of_independent_units_and_the_step():
    plate = chart_of(RUN, "correlation_mean_abs", At(step=30, item="fc1 | fc2"))
    recorded = [float(RUN.row("correlation_mean_abs", 10 * k, "fc1 | fc2")[1]) for k in range(6)]
    curve, floor = of(plate, Line)
    np.testing.assert_allclose(curve.y, recorded)
    assert floor.y.tolist() == [noise_floor(SAMPLES)] * 2
    assert [rule.at for rule in of(plate, Rule) if rule.role == "cursor"] == [30]
    assert f"would give {noise_floor(SAMPLES):.3g}" in plate.caption
    assert len(of(chart_of(RUN, "correlation_mean", At(item="fc1 | fc2")), Line)) == 1


def test_dead_units_which_are_of_layers_are_drawn_as_any_number_an_item():
    assert isinstance(chart_of(RUN, "correlation_dead_units", At(item="fc1")), Chart)


# -- units by units --------------------------------------------------------------------------------------------------


def test_a_pair_unit_by_unit_has_its_numbers_and_the_names_of_both_sides():
    chart = chart_of(RUN, "unit_correlation", At(step=20, item="fc1 | fc2"))
    x = features(2)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.corrcoef(x["fc1"].T, x["fc2"].T)[:24, 24:]
    (heat,) = of(chart, Heat)
    np.testing.assert_allclose(heat.values, expected, atol=1e-6)
    assert (chart.y.label, chart.x.label) == ("unit of fc1", "unit of fc2")
    assert chart.x.names[:3] == ("0", "2", "4")  # as the model counts them
    assert (heat.limits, heat.diverging) == ((-1, 1), True)
    assert "1 unit did not vary" in chart.caption


def test_clustered_units_are_the_same_numbers_in_one_order_a_layer_at_every_step():
    orders = set()
    for step in (0, 20, 50):
        plain, ordered = (chart_of(RUN, name, At(step=step, item="fc1 | fc2"))
                          for name in ("unit_correlation", "unit_correlation_clustered"))  # fmt: skip
        rows, columns = ([names.index(n) for n in order] for names, order in
                         ((plain.y.names, ordered.y.names), (plain.x.names, ordered.x.names)))  # fmt: skip
        np.testing.assert_array_equal(of(ordered, Heat)[0].values, of(plain, Heat)[0].values[np.ix_(rows, columns)])
        orders.add((ordered.y.names, ordered.x.names))
    assert len(orders) == 1
    own = chart_of(RUN, "unit_correlation_clustered", At(item="fc1 | fc1"))
    assert own.y.names == ordered.y.names


def test_all_pairs_in_one_map_and_each_layer_as_wide():
    chart = chart_of(RUN, "unit_correlation_overview", At(step=50))
    (heat,) = of(chart, Heat)
    assert heat.values.shape == (sum(LAYERS.values()),) * 2
    np.testing.assert_array_equal(heat.values, heat.values.T)
    np.testing.assert_array_equal(heat.values[:24, 24:40], RUN.row("unit_correlation", 50, "fc1 | fc2")[1])
    assert heat.x[[0, 24, 40, 52, 57]].tolist() == [0, 1, 2, 3, 4]
    assert [name for _, _, name in chart.x.parts] == list(NAMES)
    assert chart.x.names[25] == "fc2 2"


def test_in_little_room_a_cell_is_the_strongest_of_its_units():
    chart = chart_of(RUN, "unit_correlation_overview", At(step=50), Window(points=48))
    (heat,) = of(chart, Heat)
    assert len(heat.values) == 12 + 8 + 12 + 5
    block = RUN.row("unit_correlation", 50, "fc1 | fc2")[1][2:4, 6:8]
    assert abs(heat.values[1, 12 + 3]) == np.abs(block).max()
    assert chart.x.names[1] == "fc1 4 … 6"
    assert "strongest" in chart.caption


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**31))
def test_the_strongest_of_a_block_is_never_lost(rows, columns, cells, seed):
    values = np.random.default_rng(seed).uniform(-1, 1, (rows, columns))
    shrunk = strongest_of(values, cells)
    assert max(shrunk.shape) <= max(cells, 1)
    assert np.abs(shrunk).max() == np.abs(values).max()
    assert set(shrunk.ravel()) <= set(values.ravel())


@given(st.integers(2, 12), st.integers(1, 30), st.integers(0, 2**31))
def test_the_top_pairs_are_the_strongest_ones_each_once(units, count, seed):
    values = np.random.default_rng(seed).uniform(-1, 1, (units, units))
    values = (values + values.T) / 2
    values[0] = values[:, 0] = np.nan
    found = top(values, count, own=True)
    upper = np.abs(values[np.triu_indices(units, 1)])
    wanted = np.sort(upper[np.isfinite(upper)])[::-1][:count]
    np.testing.assert_array_equal([abs(values[cell]) for cell in found], wanted)
    assert all(i < j for i, j in found)


# -- samples ---------------------------------------------------------------------------------------------------------


def test_samples_of_one_label_stand_beside_each_other():
    chart = chart_of(RUN, "sample_correlation", At(item="fc2", step=0)).charts[0]
    (heat,) = of(chart, Heat)
    order = [int(name.partition(":")[0]) for name in chart.x.names]
    assert [k % 10 for k in order] == sorted(k % 10 for k in range(SAMPLES))
    recorded = RUN.row("sample_correlation", 0, "fc2")[1]
    np.testing.assert_allclose(heat.values, recorded[np.ix_(order, order)])
    assert chart.x.parts[3] == (12, 16, "digit 3")
    apart = chart_of(RUN, "sample_dissimilarity", At(item="fc2", step=0)).charts[0]
    np.testing.assert_allclose(of(apart, Heat)[0].values, 1 - heat.values)


def test_the_two_samples_that_are_asked_for_are_shown_beside_the_map():
    plate = chart_of(RUN, "sample_correlation", At(samples=(3, 17)))
    shown = of(plate, Picture)
    images = RUN.data["probe_input"][2][0, 0]
    np.testing.assert_allclose([one.pixels for one in shown], images[[3, 17], 0])
    assert [chart.title for chart in plate.charts[1:]] == ["3: digit 3", "17: digit 7"]
    assert "samples 3: digit 3 and 17: digit 7" in plate.caption


def test_augmentations_are_named_by_transform_and_strength():
    plate = chart_of(RUN, "augmentation_sample_correlation", At(samples=(0, 5)))
    assert plate.charts[0].x.names[5] == "5: shift 0.67"
    assert [chart.title for chart in plate.charts[1:]] == ["0: identity", "5: shift 0.67"]


def test_of_several_images_it_is_said_which_was_augmented():
    facts = ProbeFacts(
        3,
        augmentations=(
            Augmentation(4, "identity", 0),
            Augmentation(4, "blur", 0.5, {"sigma": 1.25}),
            Augmentation(7, "blur", 0.5),
        ),
    )
    run = FakeRun("two", {}, {"probes": {"augmentations": json.loads(json.dumps(asdict(facts)))}})
    probe = Probed(run, "augmentation_cosine")
    assert [probe.name(k) for k in range(3)] == [
        "0: identity, image 4", "1: blur 0.5, image 4", "2: blur 0.5, image 7",
    ]  # fmt: skip
    assert probe.described(1) == "1: blur 0.5, sigma 1.25, image 4"
    assert probe.stretches(np.arange(3)) == ((0, 1, "identity"), (1, 3, "blur"))


def test_of_many_stretches_of_several_images_the_images_are_named():
    made = [Augmentation(image, f"transform {k}", 0.5) for image in (4, 7, 9) for k in range(12)]
    facts = json.loads(json.dumps(asdict(ProbeFacts(36, augmentations=tuple(made)))))
    probe = Probed(FakeRun("three", {}, {"probes": {"augmentations": facts}}), "augmentation_cosine")
    assert probe.stretches(np.arange(36)) == ((0, 12, "image 4"), (12, 24, "image 7"), (24, 36, "image 9"))


def test_of_more_samples_than_were_compared_the_first_are_named():
    meta = {"probes": {"probe": RUN.meta["probes"]["probe"] | {"samples": 1505, "labels": []}}}
    caption = chart_of(FakeRun("more", RUN.data, meta), "sample_correlation").caption
    assert "the first 40 of 1,505" in caption
    assert "1,505" not in chart_of(RUN, "sample_correlation").caption


def test_what_was_asked_stands_behind_what_was_measured():
    early = FakeRun("early", {"probe_input": RUN.data["probe_input"], **RUN.data}, RUN.meta)
    assert next(iter(early.series)) == "probe_input"
    assert [entry.name for entry in entries(early)][-1] == "probe_input"


def test_without_the_images_the_map_stands_alone():
    run = FakeRun("bare", {k: v for k, v in RUN.data.items() if k != "probe_input"}, RUN.meta)
    assert isinstance(chart_of(run, "sample_correlation"), Chart)
    with pytest.raises(NotRecordedError, match="not in the run"):
        chart_of(run, "augmented_samples")


# -- augmentations ---------------------------------------------------------------------------------------------------


def test_units_from_the_most_invariant_on_and_one_layer_in_model_order():
    plate = chart_of(RUN, "augmentation_variance", At(step=20, item="fc2"))
    lines, (bars,) = of(plate, Line), of(plate, Bars)
    assert [line.label for line in lines] == list(NAMES)
    assert all((np.diff(line.y) >= 0).all() for line in lines)
    np.testing.assert_allclose(bars.heights, RUN.row("augmentation_variance", 20, "fc2")[1])
    assert "9 augmentations of 1 image" in plate.caption


def test_of_many_layers_those_between_the_first_and_the_last_are_drawn_and_the_chosen_one():
    layers = tuple(f"layer{k}" for k in range(50))
    series, clock, values = RUN.data["augmentation_variance"]
    many = replace(series, items=layers, ragged=((24,),) * 50)
    values = np.repeat(values[:, :1], 50, axis=1)
    run = FakeRun("deep", {"augmentation_variance": (many, clock, values)}, RUN.meta)
    plate = chart_of(run, "augmentation_variance", At(item="layer17"))
    drawn = [line.label for line in of(plate, Line)]
    assert {"layer0", "layer17", "layer49"} < set(drawn)
    assert len(drawn) == 10
    assert "10 of 50 layers" in plate.caption


def test_cosines_by_transform_and_strength_and_what_each_transform_changes():
    chart = chart_of(RUN, "augmentation_cosine", At(item="fc1"))
    assert chart.y.names == TRANSFORMS
    assert len(chart.x.names) == 3
    far = of(chart_of(RUN, "augmentation_distance", At(item="fc1")), Heat)[0]
    moved = of(chart_of(RUN, "augmentation_by_type"), Line)
    assert [line.label for line in moved] == list(TRANSFORMS)
    np.testing.assert_allclose([line.y[0] for line in moved], far.values.mean(axis=1), atol=1e-6)


def test_the_gallery_has_the_clean_image_and_a_row_for_each_transform():
    plate = chart_of(RUN, "augmented_samples")
    assert [len(row) for row in plate.rows] == [1, 3, 3, 3]
    np.testing.assert_allclose(plate.charts[4].marks[0].pixels, RUN.data["probe_input"][2][0, 1][4, 0])
    assert len(AUGMENTED) == 10


# -- over the steps --------------------------------------------------------------------------------------------------


def test_cka_over_the_steps_is_that_of_the_recorded_grams():
    grams = RUN.data["cka_gram"][2].reshape(6, 4, -1)
    first, last = (of(chart_of(RUN, f"cka_to_{end}"), Heat)[0] for end in ("first", "last"))
    np.testing.assert_allclose(first.values, np.einsum("kln,ln->lk", grams, grams[0]), atol=1e-5)
    np.testing.assert_allclose(last.values, np.einsum("kln,ln->lk", grams, grams[-1]), atol=1e-5)
    assert first.column_steps.tolist() == [0, 10, 20, 30, 40, 50]
    steps = of(chart_of(RUN, "cka_of_steps", At(item="fc3")), Heat)[0]
    np.testing.assert_allclose(np.diag(steps.values), 1, atol=1e-5)
    np.testing.assert_allclose(steps.values[0], first.values[2], atol=1e-5)


def test_a_zoom_still_compares_with_the_first_step_of_the_run():
    whole, part = (of(chart_of(RUN, "cka_to_first", At(), w), Heat)[0] for w in (Window(), Window(lo=20)))
    np.testing.assert_allclose(whole.values[:, 2:], part.values, atol=1e-12)
    assert "nothing recorded" in chart_of(RUN, "cka_to_first", At(), Window(lo=1000)).caption


def test_means_over_the_epochs_are_those_recorded():
    above, below = chart_of(RUN, "corr_means").charts
    for chart, name in ((above, "correlation_mean_abs"), (below, "correlation_mean")):
        lines = {m.label: m for m in chart.marks if isinstance(m, Line)}
        np.testing.assert_allclose(lines["fc2"].y, RUN.rows(name, "fc2 | fc2", Window(points=99))[1])
        np.testing.assert_allclose(lines["fc2 | fc3"].y, RUN.rows(name, "fc2 | fc3", Window(points=99))[1])
        assert lines["fc2"].x.tolist() == [0, 1, 2, 3, 4, 5]
        assert lines["fc2 | fc3"].dashed


# -- what is derived, and of which probe -----------------------------------------------------------------------------


def test_what_is_derived_of_another_probe_carries_its_name_and_uses_its_series():
    run = with_suffix(RUN, "noise")
    names = {e.name for e in entries(run)}
    assert {"cka_to_first@noise", "unit_correlation_clustered@noise", "corr_means@noise"} <= names
    assert not {"cka_gram@noise", "unit_correlation_units@noise"} & names
    assert chart_of(run, "unit_correlation@noise", At(item="fc1 | fc2")).x.names[:2] == ("0", "2")
    assert f"would give {noise_floor(SAMPLES):.3g}" in chart_of(run, "correlation_mean_abs@noise").caption


def test_grams_have_layers_as_items_and_no_chart_of_their_own():
    known = {e.name: e for e in entries(RUN)}
    assert known["cka_of_steps"].items == NAMES
    assert known["cka"].items[1] == "fc1 | fc2"
    assert "cka_gram" not in known


def test_of_a_run_that_went_bad_the_last_step_that_is_finite_is_compared_with():
    series, clock, values = RUN.data["cka_gram"]
    spoilt = values.copy()
    spoilt[4:] = np.nan
    heat = of(chart_of(FakeRun("bad", {"cka_gram": (series, clock, spoilt)}, RUN.meta), "cka_to_last"), Heat)[0]
    grams = values.reshape(6, 4, -1)
    np.testing.assert_allclose(heat.values[:, :4], np.einsum("kln,ln->lk", grams[:4], grams[3]), atol=1e-5)
    assert np.isnan(heat.values[:, 4:]).all()
