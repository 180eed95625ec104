"""The recipe: patches of photographs that are installed anyway, CIFAR-10 as Keras keeps it, and what is recorded."""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from keras.src.utils import file_utils

from recorder import __main__ as command
from recorder import classification, open_run
from recorder.entries import chart_of, entries
from recorder.errors import RecordError
from recorder.instruments import INSTRUMENTS
from recorder.recipes import photo_cnn, photos
from recorder.runfile.schema import State

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def patches():
    return photos.load()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = photo_cnn.main(tmp_path_factory.mktemp("demo") / "cnn.h5", epochs=1, progress=False)
    with open_run(path) as opened:
        yield opened


def test_ten_photographs_give_patches_of_each(patches):
    assert patches.images.shape == (4581, 32, 32, 3)
    assert patches.validation_images.shape == (1062, 32, 32, 3)
    assert patches.images.dtype == np.uint8
    assert len(patches.classes) == 10
    for labels in (patches.labels, patches.validation_labels):
        counts = np.bincount(labels, minlength=10)
        assert counts.min() > 0.04 * counts.sum()


def test_no_pixel_is_seen_in_training_and_in_validation():
    """A picture whose pixels are all different: what the patches of both hold has nothing in common."""
    pixels = np.arange(64 * 5 * 64 * 6).reshape(64 * 5, 64 * 6)
    seen = {False: set(), True: set()}
    for tile, held in photos.tiles(pixels):
        for patch in photos.patches(tile):
            assert patch.shape == (32, 32)
            seen[held].update(patch.ravel().tolist())
    assert not seen[False] & seen[True]
    assert seen[False] | seen[True] == set(pixels.ravel().tolist())
    assert len(seen[True]) == 6 * 64 * 64  # one tile of five


def test_of_each_row_and_column_every_fifth_tile_is_held():
    side = 5 * photos.TILE
    held = np.array([held for _, held in photos.tiles(np.zeros((side, side, 3)))]).reshape(5, 5)
    assert held.sum(axis=0).tolist() == held.sum(axis=1).tolist() == [1] * 5


def test_a_large_photograph_gives_no_more_than_the_others():
    chosen = photos.tiles(np.zeros((40 * photos.TILE, 40 * photos.TILE, 3)))
    assert len(chosen) == photos.MOST


def test_a_missing_photograph_is_said(monkeypatch):
    monkeypatch.setitem(photos.PHOTOGRAPHS, "cat", ("skimage.data", "gone.png"))
    with pytest.raises(RecordError, match=r"'cat' is gone.png of scikit-image.*pip install 'layerscope\[photos\]'"):
        photos.load()


def test_it_learns_and_all_of_it_is_recorded(run):
    assert run.state is State.DONE
    assert run.steps == -(-4581 // 64)
    assert run["val_accuracy"].values[-1] > 0.5
    assert {s.instrument for s in run.series.values()} - {""} >= {i.name for i in INSTRUMENTS} - {
        "raw_snapshots",
        "raw_activations",
        "probe_activations",
        "augmentation_variance",
    }
    assert not [e for e in run.events if e.kind in ("warning", "off")]
    assert run.meta["config"]["classes"][3] == "cat"
    for entry in entries(run):
        assert chart_of(run, entry.name) is not None


def test_the_scores_of_each_epoch_are_those_of_its_weights(run, patches):
    """Read back the best checkpoint and judge it anew."""
    folder = run.path.with_suffix(".d") / "checkpoints"
    found = {int(p.name[5:11]): p for p in folder.glob("step-*.weights.h5")}
    model = photo_cnn.network()
    for row, step in enumerate(run["val_f1"].step.tolist()):
        if step in found:
            model.load_weights(found[step])
            answers = model.predict(patches.validation_images / np.float32(127.5) - 1, verbose=0)
            expected = classification(patches.validation_labels, answers, prefix="val_")
            assert {name: run[name].values[row] for name in expected} == pytest.approx(expected, rel=1e-6)
            break
    else:
        pytest.fail("no checkpoint at the end of an epoch")


def pickled(batch: dict[bytes, object]) -> bytes:
    """As Python 2 did it, whose strings are bytes."""

    class Python2(pickle._Pickler):
        dispatch: ClassVar = {
            **pickle._Pickler.dispatch,
            bytes: lambda self, text: self.write(pickle.BINSTRING + struct.pack("<i", len(text)) + text),
        }

    file = io.BytesIO()
    Python2(file, protocol=2).dump(batch)
    return file.getvalue()


def member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Keras's cache with CIFAR-10's archive as its authors packed it; image k of each batch has the grey k % 251."""
    (tmp_path / "datasets").mkdir()
    grey = np.repeat(np.arange(10_000) % 251, 3072).astype(np.uint8).reshape(10_000, 3072)
    with tarfile.open(tmp_path / "datasets" / "cifar-10-batches-py-target_archive", "w") as archive:
        for k, name in enumerate([f"data_batch_{b}" for b in range(1, 6)] + ["test_batch"]):
            labels = [(k + i) % 10 for i in range(10_000)]
            batch = {b"batch_label": name.encode(), b"labels": labels, b"data": grey, b"filenames": [b""] * 10_000}
            member(archive, name, pickled(batch))
        member(archive, "batches.meta", pickled({b"label_names": [n.encode() for n in photo_cnn.CIFAR10]}))
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    monkeypatch.setattr(file_utils, "validate_file", lambda *_, **__: True)  # the checksum of the real pictures


def test_cifar10_is_read_by_keras_where_it_was_downloaded(cache):
    found = photo_cnn.load("cifar10")
    assert found.images.shape == (50_000, 32, 32, 3)
    assert found.validation_images.shape == (10_000, 32, 32, 3)
    assert found.labels[[0, 7, 10_000, 49_999]].tolist() == [0, 7, 1, 3]
    assert found.validation_labels[:3].tolist() == [5, 6, 7]
    assert (found.images[20_300] == 300 % 251).all()
    assert found.classes[5] == "dog"


def test_without_a_network_cifar10_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))

    def refuse(*_):
        raise OSError("no network")

    monkeypatch.setattr(file_utils, "urlretrieve", refuse)
    with pytest.raises(RecordError, match=r"CIFAR-10 could not be loaded \(no network\).*--data photos"):
        photo_cnn.load("cifar10")
    with pytest.raises(RecordError, match="choose from photos, cifar10"):
        photo_cnn.load("imagenet")


def test_the_command_trains_it(tmp_path, capsys, monkeypatch):
    asked = {}

    def main(path, **options):
        asked.update(options, path=path)
        return Path(path)

    monkeypatch.setattr(photo_cnn, "main", main)
    path = str(tmp_path / "x.h5")
    assert command.main(["demo", "photo_cnn", "--path", path, "--data", "cifar10"]) == 0
    assert asked == {"data": "cifar10", "seed": 0, "path": path}


@pytest.mark.parametrize("missing", ["keras", "tensorflow"])
def test_without_keras_the_command_says_which_extras_to_install(missing):
    hidden = (
        f"import sys; sys.modules[{missing!r}] = None; "
        "from recorder.__main__ import main; sys.exit(main(['demo', 'photo_cnn']))"
    )
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "layerscope[keras,photos]" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_data_than_the_recipes_is_refused(tmp_path, capsys):
    assert command.main(["demo", "photo_cnn", "--path", str(tmp_path / "x.h5"), "--data", "digits"]) == 1
    assert "choose from photos, cifar10" in capsys.readouterr().err


def test_the_network_is_small_and_built():
    model = photo_cnn.network()
    assert model.built
    assert model.count_params() == 89_834
    assert {v.path for v in model.trainable_variables} >= {"conv1/kernel", "dense/kernel", "output/bias"}
