"""Which pictures show the product? Records the demos afresh, exports their figures, takes the explorer's screenshots.

python assets/make.py                    everything
python assets/make.py MLP.h5 CNN.h5      from runs of mnist_mlp and photo_cnn that are there already
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from tui.app import Explorer
from tui.paint.look import Look
from tui.source import Disk
from tui.state import Place

ASSETS = Path(__file__).resolve().parent
KERAS = ASSETS.parent / ".venv-keras" / "bin" / "python"  # TensorFlow and PyTorch do not share a process well
WIDE, SMALL = (120, 40), (80, 24)
SPACE = "&#160;"
PATIENCE = 15.0  # seconds until a screen must have come to rest


@dataclass(frozen=True)
class Screenshot:
    """A screen of the explorer: where it stands (fields of `Place`), then keys; `folder` opens all runs."""

    name: str
    place: Mapping[str, Any] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    size: tuple[int, int] = WIDE
    folder: bool = False


UNITS, ALL_UNITS = "unit_correlation_clustered", "unit_correlation_overview"
MIDDLE = {"item": "linear2.weight", "step": 250}
SCREENSHOTS = (
    Screenshot("runs", folder=True),
    Screenshot("overview", {"screen": "overview", "step": 250}),
    Screenshot("layers", {"screen": "layers", **MIDDLE}),
    Screenshot("histograms", {"screen": "layers", "chosen": {"layers": "gradient_histogram"}, **MIDDLE}),
    Screenshot("correlations", {"screen": "correlations", "item": "linear1 | linear2", "step": 250}),
    Screenshot("units", {"screen": "correlations", "item": "linear3 | output", "chosen": {"correlations": UNITS}}),
    Screenshot(
        "samples", {"screen": "correlations", "item": "output", "chosen": {"correlations": "sample_correlation"}}
    ),
    Screenshot(
        "all_pairs", {"screen": "correlations", "item": "linear1 | output", "chosen": {"correlations": ALL_UNITS}}
    ),
    Screenshot("small", {"screen": "layers", "maximised": True, **MIDDLE}, size=SMALL),
    Screenshot("help", {"screen": "layers"}, keys=("question_mark",)),
)

# the arguments of `layerscope export RUN`, by the name of the figure
FIGURES = {
    "loss": ("loss", "--smooth", "0.9", "--preset", "single"),
    "gradient_norm": ("gradient_norm", "--preset", "double"),
    "weight_histogram": ("weight_histogram", "--preset", "single"),
    "training": ("--plate", "loss,val_accuracy,gradient_norm,update_ratio", "--preset", "double"),
}
# the same of a run with the instruments of `dynamics` and the sign map; under assets/optimization-insight
OPTIMIZATION_INSIGHT = {
    "near_zero_count_per_epoch": ("near_zero_count_per_epoch", "--preset", "single"),
    "near_zero_released_per_epoch": ("near_zero_released_per_epoch", "--preset", "single"),
    "sign_flips_per_epoch": ("sign_flips_per_epoch", "--preset", "single"),
    "weight_change_per_epoch": ("weight_change_per_epoch", "--preset", "single"),
    "local_extrema_per_epoch": ("--plate", "local_extrema_per_epoch,near_zero_extrema_per_epoch", "--preset", "double"),
    "sign_map": ("sign_map", "--panel", "1", "--preset", "double"),
    "sign_map_zoom": ("sign_map_zoom", "--preset", "double"),
}
# of a run with the instruments of representations; under assets/feature-signal-vis
FIRST, LAST = "linear1", "output"
FEATURE_SIGNALS = {
    "layer_correlation": ("correlation_mean_abs", "--item", f"{FIRST} | {LAST}", "--preset", "single"),
    "feature_correlation": ("unit_correlation_overview", "--preset", "single"),
    "corr_means": ("corr_means", "--preset", "single"),
    "cka": ("cka", "--item", f"{FIRST} | {LAST}", "--preset", "single"),
    "cka_over_training": ("--plate", "cka_to_first,cka_to_last", "--preset", "double"),
    **{
        f"intra/{name}_{layer}": (entry, "--item", item.format(layer), "--panel", "1", "--preset", "single")
        for layer in (FIRST, LAST)
        for name, entry, item in (
            ("features", "unit_correlation_clustered", "{0} | {0}"),
            ("samples", "sample_correlation", "{0}"),
        )
    },
    "augs/augmented_samples": ("augmented_samples", "--preset", "single"),
    "augs/variance": ("augmentation_variance", "--item", LAST, "--preset", "single"),
    "augs/variance_by_type": ("augmentation_by_type", "--preset", "single"),
    "augs/cosine": ("augmentation_cosine", "--item", LAST, "--preset", "single"),
    **{
        f"augs/{name}_{layer}": (entry, "--item", layer, "--panel", "1", "--preset", "single")
        for layer in (FIRST, LAST)
        for name, entry in (
            ("features", "augmentation_feature_correlation"),
            ("samples", "augmentation_sample_correlation"),
        )
    },
}


def main(mlp: str | None = None, cnn: str | None = None) -> None:
    """Write all pictures."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(cnn) if cnn else record(Path(folder), "photo_cnn", python=KERAS)
        figures(run, OPTIMIZATION_INSIGHT, ASSETS / "optimization-insight")
        run = Path(mlp) if mlp else record(Path(folder), "mnist_mlp", python=Path(sys.executable))
        figures(run, FIGURES, ASSETS / "figures")
        figures(run, FEATURE_SIGNALS, ASSETS / "feature-signal-vis")
        with contextlib.chdir(run.parent.parent):  # what the screens show names no path of this machine, either
            for screenshot in SCREENSHOTS:
                asyncio.run(shoot(run.relative_to(Path.cwd()), screenshot))


def record(folder: Path, recipe: str, *, python: Path) -> Path:
    """Train and record a demo; the command that the pictures show names no path of this machine."""
    environment = os.environ | {"PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]])}
    command = ["python", "-m", "recorder", "demo", recipe, "--path", f"runs/{recipe}.h5"]
    subprocess.run(command, check=True, cwd=folder, env=environment)
    return folder / "runs" / f"{recipe}.h5"


def figures(run: Path, wanted: Mapping[str, Sequence[str]], folder: Path) -> None:
    """Export as a user does."""
    for name, arguments in wanted.items():
        out = folder / f"{name}.svg"
        command = [sys.executable, "-m", "tui.cli", "export", str(run), *arguments, "-o", str(out), "--force"]
        subprocess.run(command, check=True)


async def shoot(run: Path, screenshot: Screenshot) -> None:
    """Take one screenshot once the screen rests."""
    place = Place(run=str(run), **screenshot.place)
    app = Explorer(Disk(run.parent if screenshot.folder else run), look=Look(), place=place)
    async with app.run_test(size=screenshot.size) as pilot:
        await rest(pilot)
        for key in screenshot.keys:
            await pilot.press(key)
            await rest(pilot)
        out = ASSETS / "screens" / f"{screenshot.name}.svg"
        out.parent.mkdir(exist_ok=True)
        out.write_text(self_contained(app.export_screenshot(title=f"layerscope · {screenshot.name}")))
        print(out.relative_to(ASSETS.parent))


async def rest(pilot: Pilot[int]) -> None:
    """Wait until three looks at the screen, a third of a second apart, show the same."""
    seen: list[str] = []
    for _ in range(int(PATIENCE / 0.3)):
        await pilot.pause(0.3)
        seen.append(pilot.app.export_screenshot())
        if len(seen) > 2 and len(set(seen[-3:])) == 1:
            return
    raise SystemExit(f"the screen did not come to rest within {PATIENCE:.0f} s")


def self_contained(svg: str) -> str:
    """In the reader's own monospace font, none from the network; each text begins with a visible character.

    Some viewers drop leading spaces, also those that may not break, and would shift the words after them.
    """

    def begun(text: re.Match[str]) -> str:
        before, x, between, length, after, spaces, words = text.groups()
        count = len(spaces) // len(SPACE)
        cell = float(length) / (count + len(unescape(words)))
        return f"{before}{float(x) + count * cell:g}{between}{float(length) - count * cell:g}{after}{words}<"

    svg = re.sub(r"@font-face\s*{.*?}", "", svg, flags=re.DOTALL)
    return re.sub(rf'(<text [^>]*?x=")([\d.]+)("[^>]*?textLength=")([\d.]+)("[^>]*>)((?:{SPACE})+)([^<]+)<', begun, svg)


if __name__ == "__main__":
    os.environ.pop("NO_COLOR", None)
    main(*sys.argv[1:])
