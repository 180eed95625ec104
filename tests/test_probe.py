"""What is known of a probe, in whatever form it is said, and what is told where it does not fit."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from recorder import Probe
from recorder.analysis.augmentations import IDENTITY
from recorder.analysis.picture import Picture
from recorder.errors import RecordError
from recorder.probe import LayerFacts, ProbeFacts, described, digest, named, suffixed, unsuffixed

IMAGES = np.random.default_rng(0).random((4, 3, 10, 12)).astype(np.float32)
FLAT = IMAGES[:, 0, :, :10].reshape(4, 100)


def facts(inputs=IMAGES, *, beside=None, **options) -> ProbeFacts:
    return described(Probe(inputs, **options), {"": np.asarray(inputs)}, labels=beside)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([3, 1, 0, 2], (3, 1, 0, 2)),
        (np.array([3, 1, 0, 2], np.int64), (3, 1, 0, 2)),
        (np.array([[3], [1], [0], [2]], np.uint8), (3, 1, 0, 2)),
        (torch.tensor([3, 1, 0, 2]), (3, 1, 0, 2)),
        (torch.tensor([0.5, 1, 2, 3], requires_grad=True), (0.5, 1.0, 2.0, 3.0)),
        (np.eye(4)[[3, 1, 0, 2]], (3, 1, 0, 2)),
        (np.eye(4, dtype=bool)[[3, 1, 0, 2]], (3, 1, 0, 2)),
        ([True, False, True, False], (1, 0, 1, 0)),
        (["cat", "dog", "cat", "cow"], ("cat", "dog", "cat", "cow")),
        (None, ()),
    ],
)
def test_labels_in_any_form(labels, found):
    assert facts(labels=labels).labels == found
    assert facts(beside=labels).labels == found
    json.dumps(asdict(facts(labels=labels)))


@pytest.mark.parametrize("targets", [IMAGES, np.random.default_rng(0).random((4, 5)), {"loss": 3}, object()])
def test_targets_beside_the_inputs_that_are_no_labels_are_let_be(targets):
    assert facts(beside=targets).labels == ()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": [1, 2, 3]}, "3 labels for 4 samples"),
        ({"beside": torch.zeros(5)}, "5 labels for 4 samples"),
        ({"labels": IMAGES}, r"expected one label for each of the 4 samples, got shape \(4, 3, 10, 12\)"),
        ({"labels": [0] * 4, "beside": [0] * 4}, "labels are given twice"),
        ({"labels": [0, 1, 2, 5], "classes": ["a", "b", "c"]}, "label 5 has no name; classes= gives those of 0 to 2"),
        ({"labels": [0, -1, 2, 2], "classes": ["a", "b", "c"]}, "label -1 has no name"),
        ({"mean": [0.5, 0.5]}, "mean= has 2 numbers; expected one, or one for each of the 3 channels"),
        ({"std": (1, 2, 3, 4)}, "std= has 4 numbers"),
        ({"std": 0}, "std= is what numbers were divided by"),
        ({"mean": "grey"}, "mean= is one number or one for each channel, got 'grey'"),
        ({"mean": np.nan}, "mean= is one number"),
        ({"image": (5, 5)}, r"image=\(5, 5\) does not fit samples of shape \(3, 10, 12\)"),
        ({"image": 28}, "image= is"),
        ({"image": (0, 12)}, "image= is"),
    ],
)
def test_what_does_not_fit_is_told(options, said):
    with pytest.raises(RecordError, match=said):
        facts(**options)


def test_a_probe_without_samples():
    with pytest.raises(RecordError, match=r"at least one sample, got an empty one of shape \(0, 3, 10, 12\)"):
        described(Probe(IMAGES[:0]), {"": IMAGES[:0]})


def test_a_mean_of_what_is_no_image():
    with pytest.raises(RecordError, match=r"samples of shape \(30,\) are none; image=\(height, width\) says how"):
        facts(np.zeros((2, 30), "f4"), mean=0.5)


def test_layouts():
    assert facts().layout == "image"
    assert facts().picture == Picture(10, 12, 3)
    assert facts(FLAT).layout == "vector"
    assert facts(FLAT, image=(10, 10)).picture == Picture(10, 10)
    assert facts(FLAT, mean=0.1307, std=0.3081).picture == Picture(
        10, 10, 1, True, (-0.1307 / 0.3081,), ((1 - 0.1307) / 0.3081,)
    )
    assert facts(np.zeros((2, 9, 64), "f4")).layout == "other"
    assert facts(np.zeros((2, 9), int)).layout == "other"


def test_facts_come_back_from_json_as_they_were():
    probe = Probe.augmented((IMAGES, [7, 8, 9, 6]), samples=(1, 2), count=20, mean=[0.4, 0.5, 0.6], std=0.5)
    found = described(probe, {"": probe.inputs})
    whole = ProbeFacts(**{**vars(found), "layers": (LayerFacts("fc", "Linear", (3,)),), "outputs": {"": (3,)}})
    told = json.loads(json.dumps({**asdict(whole), "what a later version says": [1]}))
    assert ProbeFacts.told(told) == whole


def test_the_digest_is_of_every_number_shape_and_dtype():
    same = {"": IMAGES}
    assert digest(same) == digest({"": IMAGES.copy(order="F")})
    other = IMAGES.copy()
    other[-1, -1, -1, -1] += 1e-6
    different = [{"": other}, {"x": IMAGES}, {"": IMAGES.astype("f8")}, {"": IMAGES.reshape(4, -1)}]
    assert len({digest(inputs) for inputs in (same, *different)}) == 5


def test_one_probe_in_any_form_and_several_by_name():
    one, other = Probe(IMAGES), Probe(FLAT)
    assert named(None) == {}
    assert named(one) == {"probe": one}
    assert named({"a": one, "b.2": other}) == {"a": one, "b.2": other}
    for given in (IMAGES, (IMAGES, [1]), {"x": IMAGES}, {}):
        assert named(given)["probe"].inputs is given


@pytest.mark.parametrize("name", ["a b", "a@b", "", "a/b", 3, "é"])
def test_names_that_no_probe_can_have(name):
    with pytest.raises(RecordError, match=r"expected names of letters, digits, '_' and '.', got"):
        named({name: Probe(IMAGES)})


def test_a_dict_in_which_only_some_are_probes():
    with pytest.raises(RecordError, match=r"each one is a Probe\(...\); x, y are not"):
        named({"a": Probe(IMAGES), "x": IMAGES, "y": IMAGES})


@pytest.mark.parametrize(("name", "probe"), [("cka", "noise"), ("cka", "")])
def test_suffixes_and_back(name, probe):
    assert unsuffixed(suffixed(name, probe)) == (name, probe)


def test_augmented_keeps_what_it_is_given():
    probe = Probe.augmented(torch.tensor(IMAGES).bfloat16(), samples=[2, 0], count=12, labels=[5, 6, 7, 8], seed=1)
    assert probe.inputs.dtype is torch.bfloat16
    assert probe.inputs.shape == (26, 3, 10, 12)
    clean = [k for k, how in enumerate(probe.augmentations) if how.transform == IDENTITY]
    assert clean == [0, 13]
    assert torch.equal(probe.inputs[clean], torch.tensor(IMAGES[[2, 0]]).bfloat16())
    assert probe.labels == [7] * 13 + [5] * 13
    flat = Probe.augmented(FLAT, count=2)
    assert flat.inputs.shape == (3, 100)
    assert flat.image == (10, 10)
    np.testing.assert_array_equal(flat.inputs[0], FLAT[0])
    assert Probe.augmented((IMAGES.astype("f8"), [0] * 4), count=2).inputs.dtype == np.float64


@pytest.mark.parametrize(
    ("images", "options", "said"),
    [
        (np.zeros((3, 50), "f4"), {}, r"samples of shape \(50,\) cannot be told to be images; give Probe\(images"),
        (np.zeros((3, 9, 40), "f4"), {}, "cannot be told to be images"),
        (IMAGES, {"samples": (0, 4)}, "there is no sample 4 among 4 images"),
        (IMAGES, {"samples": (-1,)}, "there is no sample -1"),
        (IMAGES[..., :5], {}, "images of 10 x 5 pixels are too small"),
        (["a", "b"], {}, "expected a batch of images, got list"),
        (IMAGES, {"labels": [1]}, "1 labels for 4 samples"),
    ],
)
def test_what_cannot_be_augmented(images, options, said):
    with pytest.raises(RecordError, match=said):
        Probe.augmented(images, **options)
