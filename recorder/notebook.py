"""How is a run looked at in a notebook? Charts that show themselves, draw into your own axes, and give their numbers.

    run = open_run("runs/mlp.h5")
    run.chart("gradient_norm", item="fc1.weight", log=True)            # shows itself
    run.chart("loss").draw(ax)                                         # in axes of yours
    run.chart("weight_histogram", step=500).figure(preset="double")    # a matplotlib Figure

This is the one module of the recorder above the painters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recorder.chart import Plate, View
from recorder.charting.columns import columns
from recorder.charting.transform import By, limited, log_y, normalised, smoothed, without_outliers
from recorder.entries import chart_of, share
from recorder.entries import entries as entries_of
from recorder.errors import LayerscopeError
from recorder.runfile.reader import Run
from recorder.runfile.recorded import Recorded
from recorder.view import At, Time, Window

if TYPE_CHECKING:  # matplotlib is loaded when a chart is shown
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 2000  # along x: more than a printed line can show


@dataclass(frozen=True, eq=False)
class ShownChart:
    """A view that a notebook shows as a picture; `view` is the data it is made of."""

    view: View
    colours: str | None = None

    @property
    def caption(self) -> str:
        """What was measured, on how much, at which step, with which options."""
        return self.view.caption

    def figure(
        self,
        *,
        preset: Literal["single", "double", "slide"] | None = None,
        style: str | Path | None = None,
        letters: bool = False,
    ) -> Figure:
        """A matplotlib Figure, 3.5 in ("single"), 7.2 in ("double") or 16:9; `style` is a .mplstyle file or a name."""
        from tui.paper import figure

        return figure(self.view, preset=preset, style=style, colours=self.colours, letters=letters)

    def draw(self, ax: Axes, *, panel: int = 1) -> Axes:
        """Draw into axes of yours, with the settings in force; of a view with several panels the one of that number."""
        from tui.paper import draw

        charts = self.view.charts
        if not 1 <= panel <= len(charts):
            raise LayerscopeError(f"panel {panel}: the view has {len(charts)} panels, numbered from 1")
        draw(charts[panel - 1], ax, colours=self.colours)
        return ax

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write a PDF, SVG or PNG by the path's ending, as `layerscope export` does; returns the absolute path."""
        from tui.export import export

        return export(self.view, path, colours=self.colours, **options)[0].path

    def csv(self) -> str:
        """The plotted numbers; several tables are separated by an empty line."""
        return "\n".join(table.csv() for table in columns(self.view))

    def _repr_png_(self) -> bytes:
        from tui.paper import image

        return image(self.view, "png", colours=self.colours, dpi=150)

    def _repr_svg_(self) -> str:
        from tui.paper import image

        return image(self.view, "svg", colours=self.colours).decode()

    def __repr__(self) -> str:
        panels = f", {len(self.view.charts)} panels" if isinstance(self.view, Plate) else ""
        return f"<chart {self.view.title!r}{panels}: {self.view.caption}>"


class OpenRun(Run):
    """A recorded run with charts: `run["gradient_norm"].values`, `run.chart("gradient_norm")`, `run.entries`."""

    @property
    def entries(self) -> tuple[str, ...]:
        """Everything that `chart` can draw, by name."""
        return tuple(entry.name for entry in entries_of(self))

    def __getitem__(self, name: str) -> Recorded:
        """A series, a scalar by its own name, or a share that is derived from counts: run["activation_zero_share"]."""
        if name not in self and (derived := share(self, name)) is not None:
            return Recorded(derived, name)
        return super().__getitem__(name)

    def chart(
        self,
        name: str,
        item: str | None = None,
        step: int | None = None,
        *,
        samples: tuple[int, int] | None = None,
        lo: int | None = None,
        hi: int | None = None,
        x: Time = "step",
        log: bool | None = None,
        smooth: float = 0.0,
        outliers: bool = True,
        limits: tuple[float | None, float | None] | None = None,
        normalise: By | None = None,
        colours: str | None = None,
    ) -> ShownChart:
        """The view of one entry.

        Args:
            name: an entry: a scalar such as "loss", a series, or what is derived from one; see `entries`.
            item: the tensor, layer, ...; None: all of them, or the first where only one can be shown.
            step: of views that show one step; None: the last.
            samples: of a map of samples the two whose pictures are shown; None: those most alike.
            lo: the first step shown; None: the first recorded.
            hi: the last step shown.
            x: "step", "epoch" or "time" (seconds since the run began).
            log: values by factors; None: as suits the numbers.
            smooth: exponential moving average, 0 to 0.99, with the raw line behind it.
            outliers: False leaves the few values far from the rest outside the limits.
            limits: of the values; None on a side: from the data.
            normalise: divide heat maps by their largest magnitude: "global", "row" or "column".
            colours: matplotlib's colour map of heat maps.

        Raises:
            NotRecordedError: the run holds no such entry or item; the message names near ones.
        """
        view = chart_of(self, name, At(step=step, item=item, samples=samples), Window(lo, hi, POINTS, x))
        if log is not None:
            view = log_y(view, log)
        if smooth:
            view = smoothed(view, smooth)
        if not outliers:
            view = without_outliers(view)
        if limits is not None:
            view = limited(view, *limits)
        if normalise is not None:
            view = normalised(view, normalise)
        return ShownChart(view, colours)


def open_run(path: str | Path) -> OpenRun:
    """Open a run, recorded or still being recorded, for reading: NAME.h5, NAME.d or the bare NAME."""
    return OpenRun(Path(path).expanduser())
