"""What is seen of a network between two updates, by those who look at it then?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from recorder.reading import Adapter, Need
from recorder.recording.player import Player


class Wanted(NamedTuple):
    """What those want to see who look."""

    needs: frozenset[Need] = frozenset()
    probes: tuple[str, ...] = ()  # by name, "" the default one


def wanted_by(due: Sequence[Player]) -> Wanted:
    """What those want to see who look at the network between updates."""
    needs = frozenset[Need]().union(*(p.instrument.needs for p in due))
    return Wanted(needs, tuple(sorted({p.probe for p in due if Need.PROBE in p.instrument.needs})))


def looked(adapter: Adapter, wanted: Wanted, *, default: str) -> dict[str, Any]:
    """The fields of a Reading that are wanted: one forward pass of each probe that somebody looks at, the model.

    `default` is the name of the default probe, which need not be the adapter's first one. A pass that fails leaves the
    others alone: only who looks at that probe is told.
    """
    seen: dict[str, Any] = {}
    if wanted.probes:
        probes: dict[str, Mapping[str, Any]] = {}
        outputs: dict[str, Any] = {}
        failed: dict[str, Exception] = {}
        for name in wanted.probes:
            try:
                found = adapter.probe(name or default)
            except Exception as problem:
                failed[name] = problem
                continue
            probes[name or default] = found.activations
            outputs |= {"/".join(filter(None, (name or default, m))): x for m, x in found.outputs.items()}
        seen = {"activations": probes.get(default, {}), "probes": probes, "outputs": outputs, "failed": failed}
    if Need.MODEL in wanted.needs:
        seen["model"] = adapter.model()
    return seen
