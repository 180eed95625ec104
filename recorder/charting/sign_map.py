"""How is a sign map drawn, from the whole network down to single parameters?

    white |g| > tau        red -tau <= g < 0        green 0 < g <= tau        black g = 0 exactly

Parameters in model order along x, rows downwards. A cell of several parameters has the colour of most of them, and
below it stand their shares in the row under the cursor.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recorder.analysis.signs import MINUS, PLUS, ZERO
from recorder.chart import Chart, Heat, Line, Plate, Rule, Scale, View
from recorder.charting.captions import many, stretch
from recorder.charting.heat_maps import COLUMNS, centred
from recorder.charting.parameters import Parameters
from recorder.charting.sign_levels import BITS, Stretch, parameters_of
from recorder.charting.sign_levels import stretch as stretch_of
from recorder.runfile.schema import Clock
from recorder.view import At, RunView, Window

OF_EPOCHS = "epoch_ends"  # the axis whose rows each are an epoch's last
ZOOM = 256  # parameters of the zoomed map
TITLE = "gradient signs"
SIGN_NAMES = ("|g| > tau", "-tau <= g < 0", "0 < g <= tau", "g = 0")
SIGN_COLOURS = ("#ffffff", "#d62728", "#2ca02c", "#000000")
SHARES = ((MINUS, "-tau <= g < 0"), (PLUS, "0 < g <= tau"), (ZERO, "g = 0"))


def chart(run: RunView, series: str, at: At, window: Window) -> View:  # noqa: ARG001 - there is one
    """The whole network, one tensor, or `window.parameters`."""
    parameters = parameters_of(run)
    lo, hi = (0, len(parameters)) if at.item is None else parameters.span(at.item)
    if window.parameters is not None:
        lo, hi = max(window.parameters[0], 0), min(window.parameters[1], len(parameters))
    whole = at.item if at.item is not None and window.parameters is None else ""
    return _drawn(run, parameters, lo, hi, at, window, whole)


def zoomed(run: RunView, series: str, at: At, window: Window) -> View:
    """The neighbouring parameters that are near zero most often, one by one."""
    if window.parameters is not None:
        return chart(run, series, at, window)
    parameters = parameters_of(run)
    lo, hi = (0, len(parameters)) if at.item is None else parameters.span(at.item)
    lo, hi = liveliest(run, lo, hi, window)
    drawn = _drawn(run, parameters, lo, hi, at, window, "")
    return _said(drawn, "The stretch with most gradients near zero that are not exactly 0.")


def shares(run: RunView, series: str, at: At, window: Window) -> Chart:
    """The shares of the colours over the rows, in all tensors or in one."""
    parameters = parameters_of(run)
    lo, hi = (0, len(parameters)) if at.item is None else parameters.span(at.item)
    found = stretch_of(run, lo, hi, columns=1, window=window)
    total = found.counts.sum(axis=1)
    share = total / np.where(total.any(axis=1), total.sum(axis=1), np.nan)[:, None]
    lines = tuple(Line(found.step.astype(float), share[:, k], name, colour=k) for k, name in SHARES)
    where = at.item or "all tensors"
    caption = f"{run.series[series].doc} {where}, {many(hi - lo, 'parameter', 'parameters')}, {stretch(found.step)}."
    title = f"shares of {TITLE}" + (f": {at.item}" if at.item else "")
    return Chart(title, Scale("step"), Scale("share of the parameters"), lines, caption)


def liveliest(run: RunView, lo: int, hi: int, window: Window) -> tuple[int, int]:
    """The ZOOM neighbouring parameters with most cells that are red or green, over all rows."""
    columns = COLUMNS * 10
    while hi - lo > ZOOM:
        found = stretch_of(run, lo, hi, columns=columns, window=window)
        near = found.counts[:, :, [MINUS, PLUS]].sum(axis=(0, 2))
        before = np.append(0, np.cumsum(near))
        stop = np.searchsorted(found.edges, found.edges[:-1] + ZOOM, side="left").clip(max=len(near))
        best = int(np.argmax(before[stop] - before[:-1]))
        first, last = int(found.edges[best]), int(found.edges[max(int(stop[best]), best + 1)])
        if last - first <= ZOOM or found.codes is not None or last - first >= hi - lo:
            first = max(min(first, hi - ZOOM), lo)
            return first, first + ZOOM
        lo, hi = first, last
    return lo, hi


def rows_named(axis: str, clock: Clock) -> Scale:
    """The rows downwards: by epoch where each is one's last, else by step."""
    if axis == OF_EPOCHS:
        return Scale("epoch", names=tuple(f"{int(e) + 1:,}" for e in clock.epoch), reverse=True)
    return Scale("step", names=tuple(f"{int(s):,}" for s in clock.step), reverse=True)


def _drawn(
    run: RunView, parameters: Parameters, lo: int, hi: int, at: At, window: Window, whole: str
) -> View:  # fmt: skip
    s = run.series[BITS]
    title = f"{TITLE}: {whole}" if whole else TITLE
    found = stretch_of(run, lo, hi, columns=min(window.points, 10 * COLUMNS), window=window)
    if not len(found.step):
        return Chart(title, caption=f"{s.doc} Nothing recorded in this stretch.")
    heat = Heat(
        found.majority, found.edges.astype(float), centred(len(found.step)),
        categories=SIGN_NAMES, category_colours=SIGN_COLOURS,
    )  # fmt: skip
    parts = parameters.parts(lo, hi)
    rules = tuple(Rule(a) for a, _, _ in parts if a > lo)
    single = found.codes is not None
    cells = (
        "Each cell is a parameter"
        if single
        else f"Cells of up to {_largest(found):,} parameters, each in the colour of most"
    )
    where = whole or (
        _between(parameters, lo, hi) if (lo, hi) != (0, len(parameters)) else "all tensors in model order"
    )
    caption = f"{s.doc} {cells}; {where}, {many(hi - lo, 'parameter', 'parameters')}, {stretch(found.step)}."
    down = rows_named(s.axis, Clock(found.step, found.epoch, np.zeros(len(found.step))))
    across = Scale("parameter", parts=parts, limits=(float(lo), float(hi)))
    above = Chart(title, across, down, (heat, *rules), caption)
    if single:
        return above
    last = len(found.step) if at.step is None else int(np.searchsorted(found.step, at.step, side="right"))
    row = max(last - 1, 0)
    below = _shares_along(found, row, across, down)
    return Plate(((above,), (below,)), title, f"{caption} Below: {below.caption}", heights=(3.0, 1.5), share_x=True)


def _shares_along(found: Stretch, row: int, across: Scale, down: Scale) -> Chart:
    """What part of each cell has which colour in one row."""
    counts = found.counts[row]
    share = counts / np.where(counts.any(axis=1), counts.sum(axis=1), np.nan)[:, None]
    middle = (found.edges[1:] + found.edges[:-1]) / 2
    lines = tuple(Line(middle, share[:, k], name, colour=k) for k, name in SHARES)
    name = f"{down.label} {down.names[row]}"
    return Chart(name, across, Scale("share"), lines, f"shares in {name}; the rest is |g| > tau.")


def _between(parameters: Parameters, lo: int, hi: int) -> str:
    return f"{parameters.named(lo)} to {parameters.named(hi - 1)}"


def _largest(found: Stretch) -> int:
    return int(np.diff(found.edges).max())


def _said(view: View, note: str) -> View:
    return replace(view, caption=f"{view.caption} {note}")
