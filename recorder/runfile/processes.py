"""Which processes recorded a run, one after the other, and what does the newer one hide of the older?

A training that is resumed at step N begins a volume whose status says so. From then on the run is what the older
volumes hold before N and what the newer ones hold: older rows and events from N on stay in the file and are hidden.
What was measured between two updates at N itself (a probe, the numbers of an epoch) describes the network that was
resumed, and stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recorder.runfile.declaration import Status
from recorder.runfile.schema import Event, State
from recorder.runfile.stored import NO_STEP, StoredVolume

OF_THE_MODEL = ("tensors", "layers")  # lists of what has a name; what an older process recorded needs its own


@dataclass(frozen=True)
class Process:
    """One process that trained: it recorded the steps first..stop - 1, of which the last `hidden` count no more."""

    first: int
    stop: int
    hidden: int
    state: State
    started: float  # seconds since 1970
    ended: float | None
    error: str
    meta: Mapping[str, Any]


def hide(volumes: Iterable[StoredVolume]) -> None:
    """Tell each volume, the oldest first, from which step on those behind it hide its rows."""
    first = NO_STEP
    for volume in reversed(list(volumes)):
        volume.hidden_from = first
        resumed = volume.declaration.status.resumed
        first = first if resumed is None else min(first, resumed)


def visible_events(volumes: Iterable[StoredVolume]) -> list[Event]:
    """Every event that is not hidden, once."""
    return list(
        dict.fromkeys(
            event
            for volume in volumes
            for event in volume.events
            # What was found in iteration N is a matter of its rows, and goes with them.
            if event.kind != "health" or event.step < volume.hidden_from
        )
    )


def trained(volumes: Sequence[StoredVolume]) -> list[list[StoredVolume]]:
    """The volumes of each process that trained; those of one process say that they started at the same time."""
    heads = [v for k, v in enumerate(volumes) if not k or v.declaration.status.resumed is not None]
    return [[v for v in volumes if v.number >= head.number and _started(v) == _started(head)] for head in heads]


def merged_meta(volumes: Sequence[StoredVolume]) -> dict[str, Any]:
    """What the newest process that trained says of itself, with all parts and probes that the model ever had."""
    merged = dict(trained(volumes)[-1][0].declaration.meta)
    for key in OF_THE_MODEL if len(volumes) > 1 else ():
        lists = [said for volume in volumes if isinstance(said := volume.declaration.meta.get(key), list)]
        known = {str(one.get("name")): one for said in lists for one in said if isinstance(one, Mapping)}
        merged |= {key: list(known.values())} if known else {}
    probes = _probes(merged)
    for volume in volumes:  # where measured ones are among them, these asked more
        probes |= {name: one for name, one in _probes(volume.declaration.meta).items() if name not in probes}
    if probes:
        merged["probes"] = probes
        merged["probe_samples"] = merged.get("probe_samples") or next(iter(probes.values())).get("samples", 0)
    return merged


def _probes(meta: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    said = meta.get("probes")
    known = said.items() if isinstance(said, Mapping) else ()
    return {str(name): one for name, one in known if isinstance(one, Mapping)}


def processes(volumes: Sequence[StoredVolume], newest: Status) -> tuple[Process, ...]:
    """Every process that trained, the oldest first; `newest` is what the writer of the last volume says."""
    found = []
    groups = trained(volumes)
    for group in groups:
        status = newest if group is groups[-1] else group[0].refresh_status()
        if status.state is State.RECORDING and group is not groups[-1]:  # it ended without a word
            status = Status(State.KILLED, status.started, last_time(group))
        first = group[0].declaration.status.resumed or 0
        stop = max(first, completed(group, hidden=True))
        hidden = max(0, stop - max(first, group[0].hidden_from))
        meta = group[0].declaration.meta
        found.append(Process(first, stop, hidden, status.state, status.started, status.ended, status.error, meta))
    return tuple(found)


def completed(volumes: Iterable[StoredVolume], *, hidden: bool = False) -> int:
    """Steps completed: rows of iteration t have step t, what is measured after it has t + 1."""
    count = 0
    for volume in volumes:
        for axis in volume.axes:
            rows = volume.count(axis) if hidden else volume.visible(axis)
            if rows:
                count = max(count, int(volume.clock_entry(axis, "step", rows - 1)) + (axis == "step"))
    return count


def last_time(volumes: Iterable[StoredVolume]) -> float | None:
    """When the last row was recorded, in seconds since 1970."""
    times = [v.clock_entry(a, "time", v.count(a) - 1) for v in volumes for a in v.axes if v.count(a)]
    return max(times, default=None)


def _started(volume: StoredVolume) -> float:
    return volume.declaration.status.started
