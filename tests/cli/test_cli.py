"""What the command line prints, writes and answers, also when it is used wrongly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recorder.runfile.reader import Run
from recorder.runfile.schema import Event, Kind, Series, State
from recorder.runfile.writer import RunWriter
from tests.make_run import BEGAN, Training, make_run
from tui.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, and a file that is none."""
    where = tmp_path_factory.mktemp("runs")
    make_run(where / "mlp.h5", steps=200, tensors=4)
    (where / "sub").mkdir()
    make_run(where / "sub" / "$nasty [b].h5", steps=3, names=("block[/b]", "\x1b[31mred", "$x_1$"))
    (where / "foreign.h5").write_bytes(b"\x89HDF\r\n\x1a\nnothing of ours")
    return where


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lands in the working directory lands in an empty one; nobody sits at a terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit status, stdout, stderr."""
    try:
        status = main([str(word) for word in words])
    except SystemExit as stop:
        status = int(stop.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


def test_version_and_help_name_every_command(capsys) -> None:
    status, out, _ = run(capsys, "--version")
    assert status == 0
    assert out.startswith("layerscope 0.")
    status, out, _ = run(capsys, "--help")
    assert status == 0
    assert all(f"  {name}" in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(capsys, name: str) -> None:
    status, out, _ = run(capsys, name, "--help")
    assert status == 0
    assert (COMMANDS[name].__doc__ or "").splitlines()[0] in out


def test_without_a_terminal_a_folder_is_listed_and_a_run_described(capsys, folder: Path) -> None:
    status, out, err = run(capsys, folder)
    assert (status, err) == (0, "")
    assert "mlp.h5" in out
    assert "sub/$nasty [b].h5" in out
    assert "foreign" not in out
    status, out, _ = run(capsys, folder / "mlp.h5")
    assert status == 0
    assert "gradient_norm" in out
    assert "200, " in out
    assert "exploding" in out


def test_a_folder_without_runs_says_how_to_record_one(capsys, tmp_path: Path) -> None:
    status, out, _ = run(capsys, "ls", tmp_path)
    assert status == 0
    assert "with record(" in out
    assert run(capsys, "ls", tmp_path, "--json")[1] == "[]\n"


def test_the_list_as_json_has_a_fixed_shape_and_no_nan(capsys, folder: Path) -> None:
    status, out, _ = run(capsys, "ls", folder, "--json")
    runs = {r["name"]: r for r in json.loads(out, parse_constant=pytest.fail)}
    assert status == 0
    assert set(runs) == {"mlp", "$nasty [b]"}
    mlp = runs["mlp"]
    assert (mlp["state"], mlp["steps"], mlp["framework"]) == ("done", 200, "torch")
    assert mlp["path"] == str(folder / "mlp.h5")
    assert {f["finding"] for f in mlp["health"]} == {"exploding", "not_finite"}


def test_a_run_as_json_lists_its_series(capsys, folder: Path) -> None:
    status, out, _ = run(capsys, "info", folder / "mlp", "--json")
    described = json.loads(out, parse_constant=pytest.fail)
    assert status == 0
    assert {s["name"] for s in described["series"]} == {"scalars", "gradient_norm", "weight_histogram"}


@pytest.fixture
def eventful(tmp_path: Path) -> Path:
    """A run with scalars of steps and of epochs, and with something of every kind that can happen."""
    training = Training(tmp_path / "eventful.h5", tensors=2)
    happened = {
        0: ("phase", "warm-up"), 5: ("skipped", "update skipped"), 6: ("skipped", "update skipped"),
        10: ("checkpoint", "step-000010.pth"), 20: ("off", "spectrum failed and is switched off"),
    }  # fmt: skip
    for step, (kind, text) in happened.items():
        training.advance(step - training.step)
        training.writer.event(Event(kind, text, step, 0, BEGAN + 0.1 * step))
    training.advance(100 - training.step)
    late = Series("scalars", Kind.SCALAR, "", "Numbers of each epoch.", ("val_accuracy",), dtype="float64",
                  item_dim="scalar", axis="epoch")  # fmt: skip
    training.writer.declare(late)
    training.writer.append("epoch", step=100, epoch=1, time=BEGAN + 10, values={"scalars": np.array([0.5])})
    training.close()
    return tmp_path / "eventful.h5"


def test_a_run_in_text_tells_every_event_once_and_each_finding(capsys, eventful: Path) -> None:
    lines = [" ".join(line.split()) for line in run(capsys, "info", eventful)[1].splitlines()]
    events = lines[lines.index("step event") + 1 :]
    assert events == [
        "0 phase warm-up",
        "5 skipped update skipped (2 times, last at step 6)",
        "10 checkpoint step-000010.pth",
        "20 off spectrum failed and is switched off",
        "60 health exploding in layer0.bias: gradient norm 500, limit 100",
        "90 health not finite in layer0.bias",
    ]


def test_a_run_in_text_names_each_scalar_with_its_own_rows_and_every_item(capsys, eventful: Path) -> None:
    lines = [" ".join(line.split()) for line in run(capsys, "info", eventful)[1].splitlines()]
    assert "loss scalar 100 Scalars of each step." in lines
    assert "val_accuracy scalar 1 Numbers of each epoch." in lines
    assert "gradient_norm per_item 2 tensors 100 loss / weight Norm of the tensor's gradient." in lines
    assert "tensors: layer0.weight, layer0.bias" in lines
    with Run.open(eventful) as opened:
        assert opened["val_accuracy"].doc == "Numbers of each epoch."
        assert opened["loss"].doc == "Scalars of each step."


@pytest.mark.parametrize("command", ["ls", "info"])
def test_where_the_locale_has_only_ascii_nothing_else_is_printed(
    capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    path = make_run(tmp_path / "größe.h5", steps=50, tensors=1, names=("gewicht.ü",))
    words = (command, tmp_path if command == "ls" else path)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert not run(capsys, *words)[1].isascii()
    monkeypatch.setenv("LC_ALL", "C")
    out = run(capsys, *words)[1]
    assert out.isascii()
    assert "gr??e.h5" in out


def test_text_never_holds_an_escape_sequence(capsys, folder: Path) -> None:
    for words in (("ls", folder), ("info", folder / "sub" / "$nasty [b].h5")):
        assert "\x1b" not in run(capsys, *words)[1]


def test_an_entry_becomes_a_figure_in_the_working_directory(capsys, folder: Path, tmp_path: Path) -> None:
    status, out, err = run(capsys, "export", folder / "mlp.h5", "loss")
    assert (status, err) == (0, "")
    assert out.startswith(str(tmp_path / "loss.pdf"))
    assert (tmp_path / "loss.pdf").read_bytes().startswith(b"%PDF")


def test_what_exists_is_kept_unless_forced(capsys, folder: Path) -> None:
    Path("loss.pdf").write_text("mine")
    status, _, err = run(capsys, "export", folder / "mlp.h5", "loss")
    assert status == 1
    assert "exists already" in err
    assert Path("loss.pdf").read_text() == "mine"
    assert run(capsys, "export", folder / "mlp.h5", "loss", "--force")[0] == 0


def test_all_entries_land_in_a_folder(capsys, folder: Path) -> None:
    status, out, _ = run(capsys, "export", folder / "mlp.h5", "--all", "-o", "figures", "--format", "svg")
    assert status == 0
    names = {"loss.svg", "learning_rate.svg", "gradient_norm.svg", "weight_histogram.svg", "events.svg"}
    assert {p.name for p in Path("figures").iterdir()} == names
    assert len(out.splitlines()) == len(names)


def test_a_figure_for_each_recorded_step(capsys, folder: Path) -> None:
    words = ("export", folder / "mlp.h5", "weight_histogram", "--item", "layer1.bias", "--step", "all")
    status, _, _ = run(capsys, *words, "--from", 50, "--until", 120, "-o", "out", "--format", "png")
    assert status == 0
    assert sorted(p.name for p in Path("out").iterdir()) == [
        "weight_histogram-layer1.bias-step-100.png",
        "weight_histogram-layer1.bias-step-50.png",
    ]


def test_a_step_is_named_as_it_was_recorded(capsys, folder: Path) -> None:
    assert run(capsys, "export", folder / "mlp.h5", "weight_histogram", "--step", 149, "--format", "svg")[0] == 0
    assert Path("weight_histogram-step-100.svg").exists()


def test_several_panels_are_lettered_with_numbers_and_caption_beside(capsys, folder: Path) -> None:
    plate = ("--plate", "loss,gradient_norm", "-o", "both.svg", "--caption", "--csv", "--preset", "double")
    status, _, _ = run(capsys, "export", folder / "mlp.h5", *plate)
    assert status == 0
    assert Path("both.txt").read_text().startswith("(a) loss, 200 rows")
    assert "(b) " in Path("both.txt").read_text()
    assert "4 tensors, 200 rows of steps 0 to 199; 1 value is not finite." in Path("both.txt").read_text()
    assert {p.name for p in Path().iterdir()} == {"both.svg", "both.txt", "both-1.csv", "both-2.csv"}


def test_one_panel_of_a_view_can_be_taken(capsys, folder: Path) -> None:
    words = ("export", folder / "mlp.h5", "gradient_norm", "--csv")
    assert run(capsys, *words, "--panel", 2, "-o", "curve.svg")[0] == 0
    assert Path("curve.csv").read_text().startswith("step,")
    status, _, err = run(capsys, *words, "--panel", 3, "-o", "other.svg")
    assert status == 1
    assert "the view has 2 panels" in err


def test_looks_are_options(capsys, folder: Path, tmp_path: Path) -> None:
    style = tmp_path / "mine.mplstyle"
    style.write_text("lines.linewidth: 3\n")
    looks = ("--log", "--smooth", 0.9, "--hide-outliers", "--x", "epoch", "--style", style, "--map", "magma")
    assert run(capsys, "export", folder / "mlp.h5", "loss", *looks, "--normalise", "row", "--limits", 0.1, 2)[0] == 0
    plain = run(capsys, "export", folder / "mlp.h5", "loss", "-o", "plain.pdf")[0]
    assert plain == 0
    assert Path("plain.pdf").read_bytes() != Path("loss.pdf").read_bytes()


def test_names_from_hell_are_exported(capsys, folder: Path) -> None:
    nasty = folder / "sub" / "$nasty [b].h5"
    assert run(capsys, "export", nasty, "gradient_norm", "--item", "block[/b]", "--format", "svg")[0] == 0
    assert Path("gradient_norm-block_b.svg").exists()
    assert run(capsys, "export", nasty, "--all", "-o", "all", "--format", "png")[0] == 0


def test_over_ssh_the_way_to_fetch_it_is_told(capsys, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "1.2.3.4 5 6.7.8.9 22")
    out = run(capsys, "export", folder / "mlp.h5", "loss", "--format", "svg")[1]
    assert out.splitlines()[1].startswith("  scp ")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("nowhere",), 1, "nowhere: no such folder or run"),
        (("exprot",), 1, "did you mean the command 'export'"),
        (("info", "nowhere.h5"), 1, "nowhere"),
        (("ls", "nowhere"), 1, "nowhere: no such folder"),
        (("export", "RUN", "los"), 1, "did you mean 'loss'"),
        (("export", "RUN", "gradient_norm", "--item", "layer0.wieght"), 1, "did you mean 'layer0.weight'"),
        (("export", "RUN", "loss", "--item", "layer0.weight"), 1, "loss: no item 'layer0.weight'"),
        (("export", "RUN"), 1, "name what to export"),
        (("export", "RUN", "loss", "--all"), 1, "name what to export"),
        (("export", "RUN", "--plate", "loss", "--step", "all"), 1, "a --plate shows one step"),
        (("export", "RUN", "loss", "-o", "x.jpg"), 1, "one of pdf, svg, png"),
        (("export", "RUN", "loss", "learning_rate", "-o", "x.pdf"), 1, "is one file, and there are 2 figures"),
        (("export", "RUN", "weight_histogram", "--step", "-5"), 1, "no row"),
        (("export", "RUN", "loss", "--style", "gone.mplstyle"), 1, "no style"),
        (("export", "RUN", "loss", "--smooth", "2"), 2, "0 to 0.99"),
        (("export", "RUN", "loss", "--step", "x"), 2, "a step or all"),
        (("export", "RUN", "loss", "--panel", "0"), 2, "expected 1, 2"),
        (("export", "RUN", "loss", "--format", "gif"), 2, "invalid choice"),
        (("export",), 2, "required"),
        (("--color", "pink"), 2, "invalid choice"),
        (("pack", "RUN"), 2, "required"),
        (("pack", "RUN", "-o", "RUN"), 1, "already"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(capsys, folder: Path, words, status: int, said: str) -> None:
    answered, out, err = run(capsys, *(folder / "mlp.h5" if word == "RUN" else word for word in words))
    assert (answered, out) == (status, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert list(Path().iterdir()) == []


def test_a_run_is_packed_and_repaired(capsys, folder: Path, tmp_path: Path) -> None:
    status, out, _ = run(capsys, "pack", folder / "mlp.h5", "-o", "one.h5")
    assert status == 0
    assert out.startswith(str(tmp_path / "one.h5"))
    assert run(capsys, "repair", "one.h5")[0] == 0
    before, after = (json.loads(run(capsys, "info", path, "--json")[1]) for path in (folder / "mlp.h5", "one.h5"))
    assert before["series"][0]["rows"] == after["series"][0]["rows"] == 200


def test_a_damaged_run_is_listed_with_its_reason(capsys, tmp_path: Path) -> None:
    path = make_run(tmp_path / "cut.h5", steps=50, tensors=2)
    path.write_bytes(path.read_bytes()[:3000])
    status, out, _ = run(capsys, "ls", tmp_path)
    assert status == 0
    assert "damaged" in out
    status, _, err = run(capsys, "info", path)
    assert status == 1
    assert "cut.h5" in err


def test_a_demo_trains_in_its_own_process_then_summary_and_figures(
    capsys, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def trained(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(words)
        make_run(Path(words[6]), steps=20, tensors=2)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(subprocess, "run", trained)
    status, out, _ = run(capsys, "demo", "--path", "demo.h5", "--epochs", 2)
    assert status == 0
    assert asked[0][:7] == [sys.executable, "-m", "recorder", "demo", "mnist_mlp", "--path", "demo.h5"]
    assert "gradient_norm" in out
    assert {p.suffix for p in Path("demo-figures").iterdir()} == {".pdf"}


def test_a_demo_of_another_recipe_passes_its_own_options_on(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(
        subprocess, "run", lambda words, **_: asked.append(words) or subprocess.CompletedProcess(words, 3)
    )
    run(capsys, "demo", "photo_cnn", "--data", "cifar10", "--path", "cnn.h5", "--tensorboard", "tb/")
    assert asked[0][3:9] == ["demo", "photo_cnn", "--path", "cnn.h5", "--data", "cifar10"]
    assert asked[0][9:] == ["--seed", "0", "--tensorboard", "tb/"]
    status, _, err = run(capsys, "demo", "cnn")
    assert status == 2
    assert "mnist_mlp" in err
    assert "photo_cnn" in err


def test_a_demo_that_fails_passes_its_status_on(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 3)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    assert run(capsys, "demo")[0] == 3


def test_a_demo_in_a_folder_gets_a_name_of_its_own(capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(
        subprocess, "run", lambda words, **_: asked.append(words) or subprocess.CompletedProcess(words, 3)
    )
    run(capsys, "demo", "--path", tmp_path)
    assert Path(asked[0][6]).parent == tmp_path
    assert Path(asked[0][6]).name.startswith("mnist_mlp-")
    assert "Training mnist_mlp, recorded in" in run(capsys, "demo", "--path", "new/")[1]


def test_in_a_terminal_the_explorer_opens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr("tui.commands.explore.interactive", lambda: True)
    monkeypatch.setattr("tui.app.run_explorer", lambda path, **options: opened.append((path, options)) or 0)
    assert main([str(folder), "--fresh", "--color", "256"]) == 0
    assert opened == [(folder, {"fresh": True, "color": "256"})]


def test_a_reader_that_stops_reading_is_no_error(folder: Path) -> None:
    """Like `layerscope ls --json | head -1`, with so much to say that the pipe is full."""
    program = (
        f"import sys; sys.argv[1:] = ['info', {str(folder / 'mlp.h5')!r}, '--json']; from tui import summary, cli;"
    )
    program += "summary.json_of_run = lambda path: 'x' * 10_000_000; sys.exit(cli.main())"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.read(1)
        child.stdout.close()
        err = child.stderr.read()
        assert child.wait() == 141
    assert err == b""


def test_the_command_starts_without_loading_what_it_does_not_need() -> None:
    program = (
        "import sys; from tui.cli import main; main(['--version']);"
        "print(sorted({'torch', 'h5py', 'numpy', 'matplotlib', 'textual'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert out.stdout.splitlines()[1] == "[]"


def test_a_resumed_run_lists_its_processes(capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    for number, begin in enumerate((0, 40, 20)):
        meta = {"host": f"node{number}", "slurm": {"slurm_job_id": f"10{number}"}, "tensors": [{"name": "w"}]}
        resumed = None if number == 0 else begin
        writer = RunWriter(path, meta=meta, extend=number > 0, resumed=resumed)
        writer.declare(Series("loss", Kind.PER_ITEM, "", "", ("x",), axis="step"))
        for step in range(begin, 50):
            writer.append("step", step=step, epoch=0, time=BEGAN + step, values={"loss": [step]})
        writer.event(Event("resumed" if number else "note", f"at step {begin}", begin, 0, BEGAN + step))
        writer.close(State.FAILED if number < 2 else State.DONE, error="" if number == 2 else "SystemExit: 143")
    lines = [line.split() for line in run(capsys, "info", path)[1].splitlines()]
    assert ["steps", "50,", "0", "epochs"] in lines
    at = next(k for k, words in enumerate(lines) if words[:2] == ["process", "steps"])
    assert [(w[:5], w[-2:]) for w in lines[at + 1 : at + 3]] == [
        (["1", "0", "to", "49", "30"], ["node0", "100"]),
        (["2", "40", "to", "49", "10"], ["node1", "101"]),
    ]
    assert (lines[at + 3][:5], lines[at + 3][-2:]) == (["3", "20", "to", "49", "done"], ["node2", "102"])
    described = json.loads(run(capsys, "info", path, "--json")[1], parse_constant=pytest.fail)
    assert [(p["first"], p["stop"], p["hidden"], p["state"]) for p in described["processes"]] == [
        (0, 50, 30, "failed"), (40, 50, 10, "failed"), (20, 50, 0, "done"),
    ]  # fmt: skip
    assert described["meta"]["host"] == "node2"
    assert all("tensors" not in p["meta"] for p in described["processes"])
