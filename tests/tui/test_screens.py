"""What the screens say, at every size and on awkward runs."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recorder.runfile.schema import Event, State
from recorder.view import Envelope, Window
from tests.fakes import clock
from tests.tui.driving import HUGE, NARROW, WIDE, Driven, drive
from tests.tui.sources import FINDINGS, FakeOpened, FakeRecord, FakeSource, folder, one, opened
from tui.paint.look import Depth, Look
from tui.state import Options, Place

SIZES = {"80x24": NARROW, "120x40": WIDE, "200x50": HUGE}


def names(driven: Driven, *wanted: str) -> None:
    """All of these stand on the screen."""
    for word in wanted:
        assert word in driven.text, f"{word!r} is not in\n{driven.text}"


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_runs_stand_in_natural_order_with_their_state(size: tuple[int, int]) -> None:
    async def test(driven: Driven) -> None:
        text = driven.text
        assert text.index("cnn") < text.index("mlp2") < text.index("mlp10")
        names(driven, "✓ done", "0.25", "500", "3 runs")
        if size != NARROW:
            names(driven, "not finite +1", "1.2 MB", "torch")

    drive(folder(), test, size=size)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("screen", ["runs", "overview", "layers"])
def test_every_line_is_as_wide_as_the_screen(size: tuple[int, int], screen: str) -> None:
    async def test(driven: Driven) -> None:
        assert [len(line) for line in driven.lines] == [size[0]] * size[1]
        assert driven.lines[0].startswith(" layerscope ")
        assert driven.lines[-1].strip()

    run = opened()
    drive(one(run), test, size=size, place=Place(screen=screen, run=str(run.path)))


def test_an_empty_folder_says_how_to_record() -> None:
    async def test(driven: Driven) -> None:
        names(driven, "from recorder import record", "with record(model", "run.step(loss=loss)", "layerscope demo")

    drive(FakeSource(), test, size=NARROW)


def test_a_run_that_cannot_be_read_says_why_and_does_not_open() -> None:
    source = folder()
    source.records.append(FakeRecord(Path("runs/x.h5"), "x", state=State.DAMAGED, error="not an HDF5 file"))

    async def test(driven: Driven) -> None:
        names(driven, "‼ damaged", "not an HDF5 file")
        await driven.press("G", "enter")
        assert driven.app.place.screen == "runs"
        assert await driven.until(lambda: "x: not an HDF5 file" in driven.text)

    drive(source, test)


def test_filters_of_runs_by_name_and_by_settings() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("slash")
        await driven.type("mlp")
        await driven.press("enter")
        names(driven, "2 of 3 runs", "/mlp")
        assert "cnn" not in driven.text
        await driven.press("f")
        await driven.type("lr>0.05")
        await driven.press("enter")
        names(driven, "1 of 3 runs", "mlp2")
        await driven.press("escape")
        names(driven, "3 runs", "cnn")

    drive(folder(), test)


def test_a_wrong_filter_says_so_and_keeps_the_last_good_one() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("slash")
        await driven.type("mlp")
        await driven.type(" /(/")
        names(driven, "/(/: missing )")
        assert driven.app.place.filters["runs"] == "mlp /("
        await driven.press("escape")
        names(driven, "3 runs")

    drive(folder(), test)


def test_a_folder_is_followed() -> None:
    source = folder("a")

    async def test(driven: Driven) -> None:
        source.records.append(FakeRecord(Path("runs/b.h5"), "brand-new", state=State.RECORDING))
        assert await driven.until(lambda: "brand-new" in driven.text)
        names(driven, "● recording")

    drive(source, test)


def test_opening_a_run_shows_where_it_comes_from_and_how_it_went() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("G", "enter")
        names(driven, "$ train.py --lr 0.1", "node7", "2 m 13 s")
        names(driven, "step 166", "not finite in layer1.weight", "+1 more")
        names(driven, "loss", "learning_rate", "gradient_norm", "8 tensors", "step 499", "/ 499", "mlp10 ✓ done")

    drive(folder(), test)


def test_the_key_for_findings_visits_them_in_order_and_begins_again() -> None:
    async def test(driven: Driven) -> None:
        seen = []
        for _ in range(3):
            await driven.press("exclamation_mark")
            seen.append(driven.app.place.step)
        assert seen == [166, 250, 166]
        assert await driven.until(lambda: "1 of 2, step 166" in driven.text)

    drive(one(opened()), test)


def test_a_healthy_run_says_so() -> None:
    async def test(driven: Driven) -> None:
        names(driven, "no health findings")

    drive(one(opened(events=())), test)


def test_the_cursor_reads_the_recorded_number_in_list_and_status() -> None:
    run = opened()
    values = run.data["scalars"][2]
    values[123, 0] = 0.1234567

    async def test(driven: Driven) -> None:
        await driven.press("colon")
        await driven.type("123")
        await driven.press("enter")
        names(driven, "step 123")
        assert "0.123457" in driven.lines[-2]
        assert any("loss" in line and "0.1235" in line for line in driven.lines[4:8])

    drive(one(run), test)


def test_moving_by_rows_columns_and_ends() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("home")
        assert driven.app.place.step == 0
        await driven.press("full_stop")
        assert driven.app.place.step == 1
        await driven.press("greater_than_sign")
        assert driven.app.place.step == 11
        await driven.press("comma")
        assert driven.app.place.step == 10
        await driven.press("right")
        column = driven.app.place.step
        assert column is not None
        assert 12 <= column <= 20  # 500 steps on some 75 columns
        await driven.press("end")
        assert driven.app.place.step is None

    drive(one(opened()), test)


def test_zooming_keeps_the_cursor_and_left_beyond_the_border_pans() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("colon")
        await driven.type("250")
        await driven.press("enter", "plus", "plus", "plus")
        place = driven.app.place
        assert place.lo is not None
        assert place.hi is not None
        assert place.lo <= 250 <= place.hi
        assert place.hi - place.lo <= 65
        names(driven, f"zoom {place.lo}..{place.hi}")
        while (driven.app.place.step or 0) >= place.lo:
            await driven.press("less_than_sign")
        assert driven.app.place.lo is not None
        assert driven.app.place.lo < place.lo
        await driven.press("0")
        assert (driven.app.place.lo, driven.app.place.hi) == (None, None)

    drive(one(opened()), test)


def test_options_are_named_in_the_status_line() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("l", "s", "s", "o", "x")
        names(driven, "[log]", "[smooth 0.8]", "[no outliers]", "[x: epoch]")
        await driven.press("L")
        await driven.type("0.1 0.5")
        await driven.press("enter")
        names(driven, "[limits 0.1..0.5]")

    drive(one(opened()), test, size=HUGE)


def test_limits_in_the_wrong_order_are_refused() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("L")
        await driven.type("2 1")
        await driven.press("enter")
        names(driven, "the first number must be the lower one")
        assert driven.app.place.options.limits is None

    drive(one(opened()), test)


def test_layers_show_each_tensors_number_and_switch_entries() -> None:
    run = opened()

    async def test(driven: Driven) -> None:
        await driven.press("3", "home")
        names(driven, "8 tensors", "layer3.bias", "gradient norm")
        number = f"{run.data['gradient_norm'][2][0, 7]:.4g}"
        assert any("layer3.bias" in line and number in line for line in driven.lines)
        await driven.press("right_square_bracket")
        assert driven.app.place.chosen["layers"] == "weight_histogram"
        names(driven, "weight histogram")
        await driven.press("left_square_bracket", "slash")
        await driven.type("*.bias !layer0")
        await driven.press("enter")
        names(driven, "3 of 8 tensors")
        assert driven.app.place.item == "layer1.bias"

    drive(one(run), test)


def test_the_list_stands_in_recorded_order_by_name_or_by_value() -> None:
    run = opened(tensors=4)
    series, axis, values = run.data["gradient_norm"]
    run.data["gradient_norm"] = (replace(series, items=("b10", "b2", "a", "c")), axis, values)
    values[-1] = [3.0, 1.0, np.nan, 2.0]

    def order(driven: Driven) -> list[str]:
        return [line.split()[0] for line in driven.lines[2:6]]

    async def test(driven: Driven) -> None:
        await driven.press("3")
        assert order(driven) == ["b10", "b2", "a", "c"]
        await driven.press("a")
        assert order(driven) == ["a", "b2", "b10", "c"]
        await driven.press("a")
        assert order(driven) == ["a", "b10", "c", "b2"]  # what is not finite comes first

    drive(one(run), test)


def test_going_from_tensors_to_layers_stays_with_the_layer() -> None:
    run = opened()
    series, axis, values = run.data["gradient_norm"]
    layers = replace(series, name="activation_mean", items=tuple(f"layer{k}" for k in range(4)), item_dim="layer")
    run.data["activation_mean"] = (layers, axis, values[:, :4])

    async def test(driven: Driven) -> None:
        await driven.press("3", "G", "up", "left_square_bracket")
        assert driven.app.place.item == "layer3.weight"
        names(driven, "4 layers", "activation mean: layer3")

    drive(one(run), test)


def test_a_growing_run_is_followed_and_a_chosen_step_stays() -> None:
    run = opened(steps=200, state=State.RECORDING, ended=None)
    more = opened(steps=300).data

    async def test(driven: Driven) -> None:
        names(driven, "● recording", "step 199")
        run.data, run.news = more, True
        assert await driven.until(lambda: "step 299" in driven.text)
        await driven.press("home")
        run.data, run.news, run.state = opened(steps=400).data, True, State.DONE
        assert await driven.until(lambda: "/ 399" in driven.text and "✓ done" in driven.text)
        names(driven, "step 0 ")

    drive(one(run), test)


def test_a_run_that_is_gone_leads_back_to_the_list() -> None:
    source = folder()

    async def test(driven: Driven) -> None:
        assert driven.app.place.screen == "runs"
        assert await driven.until(lambda: "runs/gone.h5 is no run" in driven.text)

    drive(source, test, place=Place(screen="overview", run="runs/gone.h5"))


def awkward(name: str) -> FakeOpened:
    run = opened(steps={"no steps": 0, "one step": 1}.get(name, 300), events=FINDINGS if name == "not finite" else ())
    for series, axis, values in run.data.values():
        if values.dtype.kind == "f":
            match name:
                case "not finite":
                    values[:] = math.nan
                case "infinite":
                    values[::3] = math.inf
                    values[1::3] = -math.inf
                case "zero":
                    values[:] = 0.0
                case "constant":
                    values[:] = 1.5
        if name == "other clocks" and series.name == "weight_histogram":
            run.data[series.name] = (series, clock(axis.step * 7 + 3), values)
    if name == "hostile names":
        bad = tuple(f"{k}[/b]\x1b[31m[red]\u202e{'x' * 300}" for k in range(8))
        for key in ("gradient_norm", "weight_histogram"):
            series, axis, values = run.data[key]
            run.data[key] = (replace(series, items=bad), axis, values)
        run.name = "run[/b]\x1b]0;owned\x07"
    return run


TROUBLES = ["no steps", "one step", "not finite", "infinite", "zero", "constant", "other clocks", "hostile names"]


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "120x40"])
@pytest.mark.parametrize("name", TROUBLES)
def test_awkward_runs_can_be_walked_through(name: str, size: tuple[int, int]) -> None:
    keys = "tab l s o v left right comma exclamation_mark plus minus 0 x x down"
    keys += " 3 l end right_square_bracket left up tab y Y"

    async def test(driven: Driven) -> None:
        for key in keys.split():
            await driven.press(key)
            wrong = [line for line in driven.lines if any(c in line for c in "\x1b\x07\u202e")]
            assert not wrong, f"after {key} a control character reached the screen"
        if name == "no steps":
            names(driven, "no steps recorded yet")

    drive(one(awkward(name)), test, size=size)


def test_hostile_names_in_palette_help_prompts_and_export() -> None:
    async def test(driven: Driven) -> None:
        for opening in ("ctrl+p", "question_mark", "e", "slash"):
            await driven.press("3", opening)
            if opening in ("ctrl+p", "slash"):
                await driven.type("[/b]")
            assert "\x1b" not in driven.text
            while len(driven.app.screen_stack) > 1:
                await driven.press("escape")

    drive(one(awkward("hostile names")), test)


def test_the_palette_runs_actions_and_shows_entries() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("ctrl+p")
        await driven.type("show learning")
        assert await driven.until(lambda: "show learning_rate" in driven.text)
        await driven.press("enter")
        assert await driven.until(lambda: driven.app.place.chosen.get("overview") == "learning_rate")
        await driven.press("ctrl+p")
        await driven.type("logarithmic")
        assert await driven.until(lambda: "logarithmic values" in driven.text)
        await driven.press("enter")
        assert await driven.until(lambda: driven.app.place.options.log is True)

    drive(one(opened()), test)


def test_a_click_moves_the_cursor_and_a_second_click_opens() -> None:
    async def test(driven: Driven) -> None:
        await driven.pilot.click("#chart", offset=(40, 15))
        await driven.settle()
        step = driven.app.place.step
        assert step is not None
        assert 150 < step < 350
        await driven.pilot.click("#list", offset=(3, 3))
        await driven.settle()
        assert driven.app.place.chosen["overview"] == "gradient_norm"

    drive(one(opened()), test)


@pytest.mark.parametrize("depth", list(Depth))
@pytest.mark.parametrize("ascii_only", [False, True])
def test_each_colour_depth_and_ascii(depth: Depth, ascii_only: bool) -> None:
    async def test(driven: Driven) -> None:
        await driven.press("3", "t", "t", "1", "2")
        if ascii_only:
            assert driven.text.isascii()
            await driven.press("question_mark")
            assert driven.text.isascii()
        if depth in (Depth.ANSI, Depth.NONE):
            assert driven.app.ansi_color

    drive(one(opened()), test, look=Look(depth=depth, ascii=ascii_only))


def test_what_was_chosen_is_there_again(tmp_path: Path) -> None:
    from tui.state import load

    file = tmp_path / "place.json"

    async def choose(driven: Driven) -> None:
        await driven.press("3", "down", "down", "l", "s", "home", "t")
        assert await driven.until(lambda: load(file) == driven.app.place)

    async def look(driven: Driven) -> None:
        assert driven.app.place == before
        names(driven, "layer1.weight", "[smooth 0.5]", "step 0 ")

    before = drive(one(opened()), choose, state=file).place
    assert before.screen == "layers"
    drive(one(opened()), look, place=load(file), state=file)


def test_another_run_begins_at_its_own_end(tmp_path: Path) -> None:
    async def test(driven: Driven) -> None:
        assert driven.app.place.step is None
        assert driven.app.place.options == Options()

    other = Place(screen="layers", run="runs/other.h5", step=3, options=Options(smoothing=0.5))
    drive(one(opened()), test, place=other)


def test_copying_says_what_was_copied() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("home", "l", "y")
        assert driven.app.clipboard.splitlines()[0] == "step\t0"
        assert driven.app.clipboard.splitlines()[1].startswith("loss\t")
        await driven.press("3", "plus", "Y")
        words = driven.app.clipboard.split()
        assert words[:4] == ["layerscope", "export", "runs/mlp.h5", "gradient_norm"]
        assert {"--item", "layer0.weight", "--log", "--from", "--until"} <= set(words)
        assert await driven.until(lambda: "copied: layerscope export" in driven.text)

    drive(one(opened()), test)


def gated() -> tuple[FakeOpened, threading.Event]:
    """A run that reads nothing while the gate, open at first, is shut."""
    gate = threading.Event()
    gate.set()

    class Gated(FakeOpened):
        def window(self, series: str, window: Window, item: str | None = None) -> Envelope:
            gate.wait(120)
            return super().window(series, window, item)

    return Gated(**vars(opened())), gate


def test_a_sign_appears_when_reading_takes_long() -> None:
    run, gate = gated()

    async def test(driven: Driven) -> None:
        assert "reading…" not in driven.text
        gate.clear()
        await driven.pilot.press("plus")
        assert await driven.until(lambda: "reading…" in driven.text)
        gate.set()
        await driven.settle()
        assert "reading…" not in driven.text

    drive(one(run), test)


def test_keys_that_come_before_the_first_view_are_not_lost() -> None:
    run, gate = gated()

    async def test(driven: Driven) -> None:
        gate.clear()
        await driven.pilot.press("3", "comma", "comma", "full_stop", "plus")
        gate.set()
        await driven.settle()
        assert driven.app.place.step == 498
        assert driven.app.place.lo is not None
        await driven.press("0", "home", "right")
        assert driven.app.place.lo is None
        assert 0 < driven.app.place.step < 20

    drive(one(run), test)


def test_what_is_read_fast_shows_no_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    signs: list[bool] = []
    monkeypatch.setattr("tui.app.PATIENCE", 30.0)  # fast, however slow the machine that tests
    monkeypatch.setattr("tui.screens.page.Page.busy", lambda self, on: signs.append(on))

    async def test(driven: Driven) -> None:
        await driven.press("plus", "3", "right_square_bracket", "2", "left")

    drive(one(opened()), test)
    assert signs
    assert not any(signs)


def test_the_events_of_a_run_are_an_entry_of_their_own() -> None:
    events = [Event("checkpoint", f"step-{step}.pth", step, 0, 1.7e9 + step) for step in range(0, 500, 10)]
    events += [Event("warning", "instrument x is switched off: it failed", 333, 3, 1.7e9), *FINDINGS]

    async def test(driven: Driven) -> None:
        while driven.app.place.chosen.get("overview") != "events":
            await driven.press("right_square_bracket")
        names(driven, "53 events", "step-490.pth", "rows 39 to 53 of 53")  # the newest are seen
        await driven.press("colon")
        await driven.type("333")
        await driven.press("enter")
        names(driven, "Step 333, warning: instrument x is switched off: it failed")
        await driven.press("exclamation_mark")
        names(driven, "not finite in layer1.weight", "step 166")
        await driven.press("full_stop")
        assert driven.app.place.step == 170

    drive(one(opened(events=events)), test, size=NARROW)


def test_the_label_of_a_line_that_tensors_share_is_the_chosen_ones() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("3")
        for name in ("layer0.weight", "layer0.bias", "layer1.weight", "layer1.bias"):
            assert any(f"{name}┤" in line or f"{name}│" in line for line in driven.lines), driven.text
            await driven.press("j")

    drive(one(opened()), test, size=NARROW)


def test_the_smoothed_value_stands_beside_the_recorded_one() -> None:
    async def test(driven: Driven) -> None:
        await driven.press("s", "home")
        shown = dict(driven.app.page.values_shown())  # type: ignore[attr-defined]
        assert {"loss", "smoothed"} <= set(shown)

    drive(one(opened()), test)


@pytest.mark.parametrize("screen", ["runs", "overview", "layers"])
def test_no_cell_is_left_on_the_terminals_own_ground(screen: str) -> None:
    """A dark text of ours on somebody's dark terminal could not be read."""

    async def test(driven: Driven) -> None:
        await driven.press("j", "k")
        bare = [
            s.text for line in driven.frame for s in line if s.text and (s.style is None or s.style.bgcolor is None)
        ]
        assert bare == []

    drive(folder(), test, place=Place(screen=screen, run="runs/mlp10.h5"), look=Look(Depth.TRUE))
