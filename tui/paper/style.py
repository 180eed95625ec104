"""How does a figure look: journal sizes, fonts that are embedded, colours that everybody can tell apart?

What the user has set comes first: a style file given by name or path, then the user's matplotlibrc or what the
notebook changed, then the settings here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import matplotlib
import matplotlib.style
from cycler import cycler

from recorder.errors import ExportError

Rc = dict[Any, Any]  # newer versions of matplotlib type the keys, older ones do not
PresetName = Literal["single", "double", "slide"]

# Okabe and Ito (2008), darkest contrasts first, without the yellow that vanishes on white paper; ten for ten classes.
PALETTE = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31", "#999999", "#332288",
)  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """A width in inches, the height of a lone panel, the tallest page, the size of text in points, width of lines."""

    width: float
    panel: float
    tallest: float
    text: float
    line: float


PRESETS: Mapping[str, Preset] = {
    "single": Preset(3.5, 2.4, 8.5, 7.0, 1.0),  # one column of a journal
    "double": Preset(7.2, 3.4, 8.5, 7.0, 1.0),  # both columns
    "slide": Preset(10.0, 5.6, 5.6, 14.0, 2.0),  # 16:9
}


def preset_of(name: str) -> Preset:
    """The preset of that name; ExportError names those there are."""
    if name not in PRESETS:
        raise ExportError(f"unknown preset {name!r}; choose one of {', '.join(get_args(PresetName))}")
    return PRESETS[name]


def settings(preset: Preset, style: str | Path | None = None) -> Rc:
    """The rc settings of a figure: ours where the user has none, then those of the user's style."""
    given = _style(style) if style is not None else {}
    own = {**_users_own(), **given}
    ours = {key: value for key, value in _ours(preset).items() if key not in own}
    return {**ours, **given}


def _ours(preset: Preset) -> Rc:
    small = preset.text - 0.5 if preset.text < 10 else preset.text - 2
    thin = 0.6 * preset.line
    return {
        "axes.edgecolor": "#333333",
        "axes.formatter.use_mathtext": True,
        "axes.formatter.limits": (-3, 4),
        "axes.formatter.useoffset": False,
        "axes.labelcolor": "#1a1a1a",
        "axes.labelsize": preset.text,
        "axes.linewidth": thin,
        "axes.prop_cycle": cycler(color=PALETTE),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlepad": 0.6 * preset.text,
        "axes.titlesize": preset.text,
        "figure.constrained_layout.h_pad": 0.03,
        "figure.constrained_layout.w_pad": 0.03,
        "font.sans-serif": ["Arial", "Helvetica", "Nimbus Sans", "Liberation Sans", "DejaVu Sans"],
        "font.size": preset.text,
        "hatch.color": "#c4c4c4",
        "hatch.linewidth": 0.4,
        "legend.fontsize": small,
        "legend.frameon": False,
        "legend.handlelength": 1.4,
        "lines.linewidth": preset.line,
        "lines.markersize": 3 * preset.line,
        "mathtext.default": "regular",
        "pdf.fonttype": 42,  # whole TrueType fonts: text stays text, and journals accept it
        "ps.fonttype": 42,
        "patch.linewidth": thin,
        "savefig.dpi": 300,
        "svg.fonttype": "path",  # outlines: an SVG looks the same where the font is missing
        "svg.hashsalt": "layerscope",
        "xtick.color": "#333333",
        "ytick.color": "#333333",
        "xtick.labelcolor": "#1a1a1a",
        "ytick.labelcolor": "#1a1a1a",
        "xtick.labelsize": small,
        "ytick.labelsize": small,
        "xtick.major.size": 2.5 * preset.line,
        "ytick.major.size": 2.5 * preset.line,
        "xtick.minor.size": 1.5 * preset.line,
        "ytick.minor.size": 1.5 * preset.line,
        "xtick.major.width": thin,
        "ytick.major.width": thin,
        "xtick.minor.width": 0.75 * thin,
        "ytick.minor.width": 0.75 * thin,
    }


def _users_own() -> Rc:
    """What the user's matplotlibrc sets, and what was changed since matplotlib was imported."""
    file: Rc = dict(matplotlib.rc_params_from_file(matplotlib.matplotlib_fname(), use_default_template=False))
    default: Rc = matplotlib.rcParamsDefault
    keys = [key for key in default if key != "backend"]  # asking for the backend would start pyplot
    changed: Rc = {key: matplotlib.rcParams[key] for key in keys if matplotlib.rcParams[key] != default[key]}
    return {**changed, **file}


def _style(style: str | Path) -> Rc:
    """The settings of a style known to matplotlib by name, or of a .mplstyle file."""
    if str(style) in matplotlib.style.library:
        return dict(matplotlib.style.library[str(style)])
    path = Path(style).expanduser()
    if not path.is_file():
        raise ExportError(f"no style {str(style)!r}: neither a file nor one of matplotlib's styles, such as 'ggplot'")
    try:
        return dict(matplotlib.rc_params_from_file(path, use_default_template=False))
    except Exception as error:
        raise ExportError(f"the style {path} cannot be read: {error}") from error
