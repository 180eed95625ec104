"""Which charts does a run offer, and how is one of them drawn?

An entry is what the explorer lists, the command line exports and a notebook charts: each scalar by its own name,
every other series by the series' name, the views that an instrument derives from what it stored, and the events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from recorder.chart import View
from recorder.charting import events, flight, probe_samples
from recorder.charting.default_chart import default_chart
from recorder.charting.shares import Shares
from recorder.errors import NotRecordedError
from recorder.probe import is_input, suffixed, unsuffixed
from recorder.runfile.schema import Kind
from recorder.view import At, Drawer, RunView, Window


@dataclass(frozen=True)
class Entry:
    """One thing that can be charted: its name, the series behind it, and the item it is bound to (a scalar).

    The run's events are an entry too, with no series behind it.
    """

    name: str
    series: str
    kind: Kind
    unit: str
    doc: str
    item: str | None = None
    items: tuple[str, ...] = ()  # what At.item may choose
    item_dim: str = "item"
    draw: Drawer = default_chart


def entries(run: RunView) -> tuple[Entry, ...]:
    """Every entry of the run: scalars first, then series and what is derived from them as recorded, then inputs."""
    scalars: dict[str, Entry] = {}
    others: dict[str, Entry] = {}
    asked: dict[str, Entry] = {}  # the inputs of probes stand behind what was measured on them
    for name, s in sorted(run.series.items(), key=lambda named: named[0] != "scalars"):  # the training's own first
        if s.kind is Kind.SCALAR:
            for item in s.items:
                scalars.setdefault(item, Entry(item, name, s.kind, s.unit, s.doc, item=item, item_dim=s.item_dim))
            continue
        if name == flight.BATCH:  # texts, which the table has
            continue
        instrument, (base, probe) = _instrument(s.instrument), unsuffixed(name)
        plain = Entry(name, name, s.kind, s.unit, s.doc, items=s.items, item_dim=s.item_dim)
        if base not in getattr(instrument, "inner", ()):
            own, there = (probe_samples.chart, asked) if is_input(name) else (default_chart, others)
            there[name] = replace(plain, draw=getattr(instrument, "chart", own))
        for derived, draw in getattr(instrument, "derived", {}).get(base, {}).items():
            others[suffixed(derived, probe)] = replace(plain, name=suffixed(derived, probe), draw=draw)
    others |= asked
    if flight.NUMBERS in run.series and flight.NAME not in others:
        numbers = run.series[flight.NUMBERS].items
        others[flight.NAME] = Entry(
            flight.NAME, flight.NUMBERS, Kind.TABLE, "", flight.DOC, items=numbers, item_dim="number", draw=flight.chart
        )
    if run.events and events.NAME not in others:
        others[events.NAME] = Entry(events.NAME, "", Kind.TABLE, "", events.DOC, item_dim="event", draw=events.chart)
    return (*scalars.values(), *(e for e in others.values() if e.name not in scalars))


def share(run: RunView, name: str) -> Shares | None:
    """The run with the share of that name in it, derived from counts that it holds."""
    wanted, probe = unsuffixed(name)
    for series, s in run.series.items():
        base, of = unsuffixed(series)
        derive = getattr(_instrument(s.instrument), "shares", {}).get(base, {}).get(wanted)
        if derive is not None and of == probe:
            found: Shares = derive(run, series)
            return found
    return None


def find(run: RunView, name: str) -> Entry:
    """The entry of that name; NotRecordedError names the nearest ones."""
    known = {entry.name: entry for entry in entries(run)}
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=3, cutoff=0.5) or [k for k in known if name.lower() in k.lower()][:3]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it holds {', '.join(known) or 'nothing yet'}"
    raise NotRecordedError(f"{name!r} was not recorded in {run.name}; {hint}")


def chart_of(run: RunView, name: str, at: At = At(), window: Window = Window()) -> View:  # noqa: B008 - frozen
    """The view of one entry with the cursor at `at` over the steps of `window`."""
    return drawn(run, find(run, name), at, window)


def drawn(run: RunView, entry: Entry, at: At, window: Window) -> View:
    """The view of an entry that is known."""
    if entry.item is not None:
        at = replace(at, item=entry.item)
    elif at.item is not None and at.item not in entry.items:
        near = get_close_matches(at.item, entry.items, n=3, cutoff=0.5)
        hint = (
            f"did you mean {' or '.join(map(repr, near))}?"
            if near
            else f"it has {len(entry.items):,} {entry.item_dim}s"
        )
        raise NotRecordedError(f"{entry.name!r} has no {entry.item_dim} {at.item!r}; {hint}")
    return entry.draw(run, entry.series, at, window)


def _instrument(name: str) -> Any:
    """The class that measured a series, on whatever probe; None where this version knows no such instrument."""
    return _known().get(unsuffixed(name)[0])


def _known() -> Mapping[str, Any]:
    from recorder import instruments  # late: a run is browsed without its instruments until a chart is wanted

    return {i.name: i for i in getattr(instruments, "INSTRUMENTS", ())}
