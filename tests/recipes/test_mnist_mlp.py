"""The demo: digits from the package or from torchvision, over 95 % on held-out ones, recorded with everything."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from recorder import __main__ as command
from recorder import open_run
from recorder.entries import chart_of, entries
from recorder.errors import RecordError
from recorder.instruments import INSTRUMENTS
from recorder.recipes import digits, mnist_mlp
from recorder.runfile.schema import State


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = mnist_mlp.main(tmp_path_factory.mktemp("demo") / "mlp.h5", progress=False)
    with open_run(path) as opened:
        yield opened


def test_it_learns(run):
    accuracy = run["val_accuracy"].values
    assert len(accuracy) == 5
    assert accuracy[-1] > 0.95
    assert run.state is State.DONE
    assert run.error == ""


def test_it_is_recorded_with_every_instrument_there_is(run):
    recorded = {s.instrument for s in run.series.values()} - {""}
    assert recorded == {i.name for i in INSTRUMENTS}
    steps = 5 * 8000 // 64
    assert run["gradient_norm"].step.tolist() == list(range(steps))
    assert run["activation_mean"].step.tolist() == [steps // 5 * k for k in range(6)]
    assert not [e for e in run.events if e.kind in ("warning", "off")]


def test_each_epochs_histograms_hold_every_entry(run):
    begins = [8000 // 64 * k for k in range(6)]
    ends = [120, *(t - 1 for t in begins[2:])]  # how long an epoch is shows at the end of the first one
    for name, steps in (("weight_histogram", begins), ("gradient_histogram", ends)):
        counts = run[name].item("linear1.weight").values
        assert run[name].step.tolist() == steps
        assert counts.sum(axis=1).tolist() == [784 * 512] * len(steps)


def test_everything_in_it_can_be_charted(run):
    for entry in entries(run):
        assert chart_of(run, entry.name) is not None


def test_it_looks_at_correlations_as_each_epoch_begins_and_at_augmentations_at_the_end(run):
    begins = [5 * 8000 // 64 // 5 * k for k in range(6)]  # and at the end
    for name in ("unit_correlation", "correlation_mean_abs", "cka", "effective_dimension"):
        assert run[name].step.tolist() == begins, name
    assert run["augmentation_variance"].step.tolist() == begins[-1:]


def test_it_keeps_a_checkpoint_of_each_epoch_and_says_where_it_came_from(run):
    folder = run.path.with_suffix(".d") / "checkpoints"
    saved = sorted(p for p in folder.iterdir() if p.suffix == ".pth")
    assert [p.name for p in saved] == [f"step-{k * 125:06d}.pth" for k in range(1, 6)]
    weights = torch.load(saved[-1], weights_only=True)
    assert weights.keys() == mnist_mlp.network().state_dict().keys()
    assert run.meta["config"]["recipe"] == "mnist_mlp"
    assert run.meta["parameters"] == 568_330


def test_the_same_seed_gives_the_same_training(tmp_path):
    losses = []
    for board in (None, tmp_path / "tb"):
        path = mnist_mlp.main(
            tmp_path / f"{board is None}.h5", epochs=1, batch=512, seed=3, tensorboard=board, progress=False
        )
        losses.append(open_run(path)["loss"].values)
    np.testing.assert_array_equal(*losses)
    assert list((tmp_path / "tb").rglob("events.out.tfevents*"))


def test_the_digits_that_ship():
    found = digits.load()
    assert found.images.shape == (8000, 1, 28, 28)
    assert found.validation_images.shape == (2000, 1, 28, 28)
    assert set(found.labels.tolist()) == set(found.validation_labels.tolist()) == set(range(10))
    assert abs(found.images.mean()) < 0.05
    assert abs(found.images.std() - 1) < 0.05


def idx(path: Path, array: np.ndarray) -> None:
    """MNIST's own format: two zeros, the type of unsigned bytes, the number of dimensions, their sizes, the bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + array.astype(np.uint8).tobytes())
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))


def test_torchvisions_digits_are_read_where_they_were_downloaded(tmp_path):
    rng = np.random.default_rng(0)
    raw = tmp_path / "MNIST" / "raw"
    pixels = {name: rng.integers(0, 256, (n, 28, 28)) for name, n in (("train", 300), ("t10k", 100))}
    for name, images in pixels.items():
        idx(raw / f"{name}-images-idx3-ubyte", images)
        idx(raw / f"{name}-labels-idx1-ubyte", np.arange(len(images)) % 10)
    found = digits.load("torchvision", root=tmp_path)
    assert len(found.images) == 300
    expected = (pixels["t10k"][7] / 255 - digits.MEAN) / digits.STD
    np.testing.assert_allclose(found.validation_images[7, 0], expected, rtol=1e-5)
    assert found.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    path = mnist_mlp.main(tmp_path / "r.h5", data="torchvision", root=tmp_path, epochs=1, progress=False)
    assert open_run(path).last_step == 5


def test_downloads_are_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert digits.cache() == tmp_path / "layerscope"


def test_other_digits_are_refused():
    with pytest.raises(RecordError, match="choose from digits, torchvision"):
        digits.load("letters")


def test_the_command_prints_the_path_last(tmp_path, capsys, monkeypatch):
    asked = {}

    def main(path, **options):
        asked.update(options, path=path)
        return Path(path)

    monkeypatch.setattr(mnist_mlp, "main", main)
    assert command.main(["demo", "--path", str(tmp_path / "x.h5"), "--epochs", "2"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'x.h5'}\n"
    assert asked == {"epochs": 2, "seed": 0, "path": str(tmp_path / "x.h5")}  # the data is the recipe's own default
    assert command.main(["demo", "mnist_mlp", "--path", str(tmp_path), "--tensorboard", "tb"]) == 0
    assert asked["tensorboard"] == "tb"
    assert Path(capsys.readouterr().out.strip()).name.startswith("mnist_mlp-")


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, capsys):
    (tmp_path / "x.h5").write_bytes(b"something else")
    assert command.main(["demo", "--path", str(tmp_path / "x.h5")]) == 1
    assert "a run is already there" in capsys.readouterr().err


def test_without_torch_the_command_says_which_extra_to_install(tmp_path):
    hidden = "import sys; sys.modules['torch'] = None; from recorder.__main__ import main; sys.exit(main(['demo']))"
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 1
    assert "layerscope[torch]" in done.stderr
    assert "Traceback" not in done.stderr
