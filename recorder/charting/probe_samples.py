"""What do the samples of a probe look like?"""

from __future__ import annotations

from recorder.chart import Chart, Picture, Plate, View
from recorder.charting.captions import many
from recorder.charting.default_chart import default_chart
from recorder.charting.kept_inputs import thumbnail
from recorder.charting.probed import Probed
from recorder.probe import INPUT, suffixed
from recorder.view import At, RunView, Window

ACROSS, DOWN = 6, 4


def chart(run: RunView, series: str, at: At, window: Window) -> View:
    """Two dozen images with their labels, from the sample at the cursor on; of what is no image the numbers."""
    s = run.series[series]
    item = at.item_of(s)
    probe = item.partition("/")[0]
    probed = Probed(run, suffixed(INPUT, probe))
    first = max(0, min(at.sample or 0, probed.samples - 1))
    shown = range(first, min(first + ACROSS * DOWN, probed.samples))
    pictures = [(k, thumbnail(run, probe, k)) for k in shown]
    charts = [Chart(probed.name(k), marks=(Picture(pixels),)) for k, pixels in pictures if pixels is not None]
    if not charts:
        return default_chart(run, series, at, window)
    rows = tuple(tuple(charts[k : k + ACROSS]) for k in range(0, len(charts), ACROSS))
    which = "" if len(charts) == probed.samples else f", of which {len(charts)} from sample {first} on are shown"
    return Plate(rows, f"probe {probe}", f"{s.doc} {probe}: {many(probed.samples, 'sample', 'samples')}{which}.")
