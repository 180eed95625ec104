"""Is what augmentations do to a network, measured afterwards, what was seen live, and what its definitions say?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.stats import f_oneway
from torch import nn

from recorder import Checkpoints, Probe, every, measure, open_run, record
from recorder.charting.kept_inputs import inputs, probe_facts
from recorder.notebook import OpenRun
from tests.measuring.subjects import same

IMAGES = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(2))
LABELS = torch.arange(6) % 5
SERIES = [
    f"augmentation_{what}" for what in (
        "variance", "cosine", "distance", "feature_correlation", "feature_units", "sample_correlation",
    )
]  # fmt: skip


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenRun]:
    """Recorded at every fourth step, and measured at the others in between."""
    torch.manual_seed(0)
    net, path = Net(), tmp_path_factory.mktemp("augmented") / "r.h5"
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    with record(
        net, path, probe=IMAGES, instruments=[every(4, "augmentation_variance"), "cka"], progress=False,
        checkpoints=Checkpoints(every=2),
    ) as live:  # fmt: skip
        for _ in range(8):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(IMAGES), LABELS).backward()
            optimizer.step()
            live.step()
    measure(path, "augmentation_variance", model=Net)
    with open_run(path) as found:
        yield found


def test_measured_afterwards_it_is_what_was_seen_live(run: OpenRun) -> None:
    apart = measure(
        run.path.with_name("apart.h5"), "augmentation_variance", model=Net, data=Probe(IMAGES),
        checkpoints=run.folder / "checkpoints" / "*.pth",
    )  # fmt: skip
    assert sorted(apart) == sorted(SERIES)
    for name in SERIES:
        for item in run[name].items:
            assert run[name].item(item).step.tolist() == [0, 2, 4, 6, 8]
            assert apart[name].item(item).step.tolist() == [2, 4, 6, 8]
            assert same(run[name].item(item).values[1:], apart[name].item(item).values), (name, item)


@pytest.mark.parametrize("step", [4, 6])
@pytest.mark.parametrize("layer", ["conv", "norm", "fc"])
def test_it_is_what_the_definitions_say(run: OpenRun, layer: str, step: int) -> None:
    net, seen = Net().eval(), {}
    net.load_state_dict(torch.load(run.folder / "checkpoints" / f"step-{step:06}.pth", weights_only=True))
    getattr(net, layer).register_forward_hook(lambda _module, _args, output: seen.update(x=output))
    with torch.no_grad():
        net(torch.from_numpy(inputs(run, "augmentations")[""]))
    x = seen["x"].double().numpy()
    x = x.mean((2, 3)) if x.ndim == 4 else x
    how = probe_facts(run, "augmentations").augmentations
    images = [x[[one.sample == image for one in how]] for image in range(3)]

    def got(what: str) -> np.ndarray:
        return run.row(f"augmentation_{what}", step, layer)[1]

    ratio = f_oneway(*images).statistic * (3 - 1) / (len(x) - 3)  # between / within
    np.testing.assert_allclose(got("variance"), 1 / (1 + ratio), atol=1e-6)
    np.testing.assert_allclose(got("feature_correlation"), np.corrcoef(x.T), atol=1e-5)
    np.testing.assert_allclose(got("sample_correlation"), np.corrcoef(x), atol=1e-5)
    assert got("feature_units").tolist() == list(range(x.shape[1]))

    clean = [next(k for k, other in enumerate(how) if other.sample == one.sample) for one in how]
    variance = np.mean([np.sum((row - x.mean(axis=0)) ** 2) for row in x])
    cosines: dict[tuple[str, float], list[float]] = {}
    distances: dict[tuple[str, float], list[float]] = {}
    for k, one in enumerate(how):
        a, b = x[k], x[clean[k]]
        cosines.setdefault((one.transform, one.strength), []).append(a @ b / np.sqrt((a @ a) * (b @ b)))
        distances.setdefault((one.transform, one.strength), []).append(np.sum((a - b) ** 2) / variance)
    transforms = list(dict.fromkeys(one.transform for one in how if one.transform != "identity"))
    for i, transform in enumerate(transforms):
        for j, strength in enumerate((0.25, 0.5, 0.75, 1.0)):
            cell = transform, strength
            assert got("cosine")[i, j] == pytest.approx(np.mean(cosines.get(cell, [np.nan])), abs=1e-6, nan_ok=True)
            assert got("distance")[i, j] == pytest.approx(
                np.mean(distances.get(cell, [np.nan])), rel=1e-4, abs=1e-6, nan_ok=True
            )
