"""What does a run hold, and what happened in it, as lines of text?"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from itertools import groupby

from recorder.charting.events import told
from recorder.entries import Entry, entries
from recorder.number import size
from recorder.runfile.describe import how_often, without_value
from recorder.runfile.left_out import left_out
from recorder.runfile.reader import Run
from recorder.runfile.schema import Kind
from recorder.view import Window
from tui.words import aligned, clip, duration, moment, plain

WIDTH = 100
DOC = 80
NAMED = 1000  # items beyond this, and events beyond it, are in the JSON
PAIRS = 4  # that are listed


def held(run: Run) -> list[str]:
    """Everything that can be charted: each scalar, each series, what is derived from one; how often and what it is."""
    rows: list[tuple[str, ...]] = [("entry", "kind", "items", "rows", "unit", "what")]
    rows += [_entry(run, entry) for entry in entries(run) if entry.series in run.series]
    return aligned(rows, right=(3,)) if len(rows) > 1 else ["nothing recorded yet"]


def sizes(run: Run) -> list[str]:
    """What each series takes on disk, the largest first, how often it has a row, and what of it has no value."""
    bytes = {name: run.bytes_of(name) for name in run.series}
    if not bytes:
        return []
    total = max(run.size, 1)
    rows: list[tuple[str, ...]] = [("series", "on disk", "share", "rows", "no value", "recorded")]
    for name, taken in sorted(bytes.items(), key=lambda one: -one[1]):
        s = run.series[name]
        gaps = without_value(run, s)
        count = len(run.clock(name, s.items[0])) if s.items else 0
        often = plain(how_often(run, s))
        rows.append((plain(name), size(taken), _share(taken, total), f"{count:,}", f"{gaps:,}" if gaps else "", often))
    rest = max(total - sum(bytes.values()), 0)
    rows.append(("(clocks, events, headers, logs)", size(rest), _share(rest, total), "", "", ""))
    return aligned(rows, right=(1, 2, 3, 4))


def processes(run: Run) -> list[str]:
    """Who trained, one after the other, where the training was resumed."""
    rows: list[tuple[str, ...]] = [("process", "steps", "hidden", "state", "started", "", "host", "job")]
    for number, p in enumerate(run.processes, 1):
        steps = f"{p.first:,} to {p.stop - 1:,}" if p.stop > p.first else f"none from {p.first:,}"
        length = "" if p.ended is None else duration(p.ended - p.started)
        slurm = p.meta.get("slurm")
        job = str(slurm.get("slurm_job_id", "")) if isinstance(slurm, Mapping) else ""
        host = plain(str(p.meta.get("host", "")))
        hidden = f"{p.hidden:,}" if p.hidden else ""
        rows.append((str(number), steps, hidden, str(p.state), moment(p.started), length, host, plain(job)))
    return aligned(rows, right=(0, 2)) if len(rows) > 2 else []


def left(run: Run) -> list[str]:
    """What is not in the run: dropped, thinned, skipped, switched off, not finite."""
    lines = [f"{one.text}: {plain(one.latest)}" for one in left_out(run.events)]
    for name, s in run.series.items():
        if name.endswith("_nonfinite") and not s.shape and s.items:
            e = run.window(name, Window(points=1))
            bad = e.max.max(initial=0)
            if bad > 0:
                lines.append(f"{plain(name)}: up to {int(bad):,} entries of a {plain(s.item_dim)} were not finite")
    return ["left out or not finite", *(f"  {line}" for line in lines)] if lines else []


def items(run: Run) -> list[str]:
    """The names that `--item` takes, once for all entries that share them."""
    named: dict[tuple[str, ...], str] = {}
    for entry in entries(run):
        if entry.items and entry.kind is not Kind.SCALAR:
            named.setdefault(entry.items, entry.item_dim)
    lines: list[str] = []
    for names, dimension in named.items():
        shown = PAIRS if dimension == "pair" else NAMED  # a pair's name is that of two layers, which are listed
        more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
        listed = ", ".join(plain(name) for name in names[:shown]) + more
        lines += textwrap.wrap(
            f"{plain(dimension)}s: {listed}", WIDTH, subsequent_indent="  ", break_long_words=False,
            break_on_hyphens=False,
        )  # fmt: skip
    return lines


def events(run: Run) -> list[str]:
    """What happened, in the order of steps; the same thing again and again is said once, with how often."""
    rows = [("step", "event", "")]
    for (kind, text), again in groupby(told(run), key=lambda one: one[2:]):
        steps = [step for step, *_ in again]
        often = f" ({len(steps)} times, last at step {steps[-1]:,})" if len(steps) > 1 else ""
        rows.append((f"{steps[0]:,}", plain(kind), plain(text) + often))
    beyond = [f"and {len(rows) - 1 - NAMED:,} more"] if len(rows) - 1 > NAMED else []
    return [*aligned(rows[: NAMED + 1], right=(0,)), *beyond] if len(rows) > 1 else []


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %"


def _entry(run: Run, entry: Entry) -> tuple[str, ...]:
    derived = entry.item is None and entry.name != entry.series
    item = entry.item or (entry.items[0] if entry.items else None)
    rows = len(run.clock(entry.series, item)) if item is not None else 0
    doc = run.doc_of(entry.series, item) if item is not None else entry.doc
    return (
        plain(entry.name),
        str(entry.kind),
        f"{len(entry.items):,} {entry.item_dim}{'s' if len(entry.items) != 1 else ''}" if entry.items else "",
        f"{rows:,}",
        "1" if derived else entry.unit,
        f"Derived from {entry.series}." if derived else clip(doc, DOC),
    )
