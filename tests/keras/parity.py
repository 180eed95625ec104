"""One small training for three frameworks, and what it means that their runs hold the same.

Matrix products are rounded otherwise in each framework, so numbers agree to a tolerance: a few float32 roundings, more
for what is made of small differences. Counts agree exactly, as no entry of this training comes so near to a threshold
that rounding decides; only at the edge of a bin one may fall on either side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recorder import every, open_run, pairs, record
from recorder.analysis.signs import unpacked
from recorder.instruments import MovingAverages, NearZero, RawActivations, RawSnapshots, SignMap
from tests.adapters.nets import GradientDescent, NumpyNet

QUANTITIES = ("gradient", "weight", "update")
BATCHES, EPOCHS, RATE, MOMENTUM = 5, 3, 0.02, 0.9
TAU = 0.03  # so wide that the near-zero set is neither empty nor everything
TOLERANCE = 2e-6  # relative and absolute, under XLA five times as large
OF_DIFFERENCES = {  # and of these
    "secant_curvature": 3e-4, "average_secant_curvature": 3e-4, "change_cosine": 1e-5, "average_change_cosine": 1e-5,
    "gradient_angle": 1e-5, "average_gradient_angle": 1e-5,
}  # fmt: skip
BIN = 2  # one entry in the neighbouring bin changes two counts


class Momentum(GradientDescent):
    """v <- momentum v + g, w <- w - learning_rate v: what torch does, and Keras with a constant rate."""

    def __init__(self, net: NumpyNet) -> None:
        super().__init__(net, RATE)
        self.velocity = {name: np.zeros_like(w) for name, w in net.parameters.items()}

    def step(self) -> str:
        for name, gradient in self.net.gradients.items():
            self.velocity[name] = np.float32(MOMENTUM) * self.velocity[name] + gradient
            self.net.parameters[name] -= np.float32(RATE) * self.velocity[name]
        return "stepped"


def everything() -> list[Any]:
    """`full`, with thresholds that this small net meets, and all that is opt-in."""
    return [
        "full", every(1, NearZero(tau=TAU, tight=TAU / 4)), every(1, MovingAverages()), SignMap(tau=TAU),
        pairs(4, RawSnapshots(quantities=QUANTITIES)), RawActivations(),
    ]  # fmt: skip


def data() -> tuple[NumpyNet, np.ndarray, np.ndarray]:
    """-> the net, its batches end to end, a probe batch"""
    rng = np.random.default_rng(0)
    net = NumpyNet(rng)
    net.parameters["0.bias"][:2] = -9  # two dead units: gradients of exactly 0
    x = rng.standard_normal((BATCHES * 16, 4)).astype(np.float32)
    return net, x, rng.standard_normal((24, 4)).astype(np.float32)


def reference(path: Any, net: NumpyNet, x: np.ndarray, probe: np.ndarray) -> Any:
    """The run of the training in plain numpy."""
    optimizer = Momentum(net)
    options = {"optimizer": optimizer, "probe": probe, "instruments": everything(), "progress": False, "strict": True}
    with record(net, path, **options) as run:
        for _ in range(EPOCHS):
            for batch in np.split(x, BATCHES):
                loss = net.backward(batch)
                optimizer.step()
                run.step(loss=loss)
            run.epoch()
    return open_run(path)


def assert_same_runs(found: Any, expected: Any, names: dict[str, str], *, looser: int = 1) -> None:
    """Every series of every tensor and layer; `names` are the reference's tensors -> those of `found`."""
    assert list(found.series) == list(expected.series)
    shapes = {t["name"]: tuple(t["shape"]) for t in expected.meta["tensors"]}
    transposed = any(
        tuple(t["shape"]) != shapes[name]
        for name, t in zip(shapes, found.meta["tensors"], strict=True)
    )  # fmt: skip
    for name, series in expected.series.items():
        if name == "scalars":
            continue
        mine, theirs = found.clock(name), expected.clock(name)
        np.testing.assert_array_equal(mine.step, theirs.step, err_msg=name)
        np.testing.assert_array_equal(mine.epoch, theirs.epoch, err_msg=name)
        for item in series.items:
            both = found.values(name, names.get(item, item)), expected.values(name, item)
            if transposed:
                both = _in_one_order(name, *both, shapes.get(item, ()))
            _assert_same(name, *both, looser)
    for name in ("loss", "learning_rate"):
        np.testing.assert_allclose(found[name].values, expected[name].values, rtol=looser * TOLERANCE)


def _in_one_order(
    name: str, mine: np.ndarray, theirs: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Keras's kernels are (input, output), torch's (output, input); the entries of ours come as those of theirs."""
    if name == "sign_map":
        mine, theirs = (unpacked(x)[:, : int(np.prod(shape))] for x in (mine, theirs))
        if len(shape) == 2:
            mine = mine.reshape(-1, *shape[::-1]).swapaxes(1, 2).reshape(len(mine), -1)
    elif name.startswith("sign_map_"):  # which entries are neighbours differs, how many there are does not
        mine, theirs = mine.sum(axis=1), theirs.sum(axis=1)
    elif name.startswith("raw_") and "activation" not in name and mine.ndim == 3:
        mine = mine.swapaxes(1, 2)
    return mine, theirs


def _assert_same(name: str, mine: np.ndarray, theirs: np.ndarray, looser: int) -> None:
    if "histogram" in name:
        differing = np.abs(mine.astype(np.int64) - theirs.astype(np.int64)).sum()
        assert differing <= BIN * len(theirs), name
    elif theirs.dtype.kind in "iu":
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
    else:
        tolerance = looser * OF_DIFFERENCES.get(name, TOLERANCE)
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance, err_msg=name)


def empty(run: Any) -> list[str]:
    """The series that hold nothing but zeros and NaN, so that comparing them proves nothing."""
    return [
        name for name, series in run.series.items()
        if not any(np.nan_to_num(run.values(name, item).astype(float)).any() for item in series.items)
    ]  # fmt: skip
