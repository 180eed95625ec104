"""What is a checkpoint asked? What a factory gives, or what the run keeps of its own probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recorder.charting.kept_inputs import inputs
from recorder.errors import RecordError
from recorder.measuring.factory import made
from recorder.probe import AUGMENTATIONS, DEFAULT, Probe, ProbeFacts, named
from recorder.reading import Facts
from recorder.runfile.reader import Run


def recorded(run: Run | None) -> dict[str, ProbeFacts]:
    """What the run knows of its probes, by name; the first is the default one."""
    known = {} if run is None else run.meta.get("probes", {})
    layers = [] if run is None else run.meta.get("layers", [])
    default = next(iter(known), "")
    return {name: ProbeFacts.told({"layers": layers if name == default else [], **one}) for name, one in known.items()}


def stored(run: Run, name: str) -> Probe | None:
    """The probe as the run keeps it, with all that is known of it; None where it keeps no inputs."""
    facts, kept = recorded(run).get(name), inputs(run, name)
    if facts is None or not kept:
        return None
    probe = Probe(
        _grouped(kept), labels=list(facts.labels) or None, classes=facts.classes, mean=facts.mean or None,
        std=facts.std or None, image=(facts.picture.height, facts.picture.width) if facts.picture else (),
    )  # fmt: skip
    probe.augmentations, probe.dtypes = facts.augmentations, facts.dtypes
    return probe


def wanted(names: Sequence[str], data: Any, run: Run | None) -> dict[str, Probe]:
    """A probe for each name ("": the default one), from `data` or from the run; RecordError says which has none.

    Of `data` that is a dict of Probes each has its name, and where the run has none the first is the default one;
    anything else is the one that is wanted.
    """
    known = recorded(run)
    given = {} if data is None else named(made(data, "data"))
    default = next(iter(known or given), DEFAULT)
    names = [name or default for name in names]
    if data is not None and not _is_several(given):
        asked = [name for name in names if name != AUGMENTATIONS] or [default]
        if len(asked) > 1:
            raise RecordError(
                f"data: one batch was given, and the probes {', '.join(asked)} are looked at; give a dict of them"
            )
        given = {asked[0]: next(iter(given.values()))}
    found: dict[str, Probe] = {}
    for name in names:
        if name == AUGMENTATIONS and name not in given and name not in known:
            name = default  # of whose images it is made
        probe = given.get(name) or (None if run is None else stored(run, name))
        if probe is None:
            raise RecordError(_missing(name, given, known, run))
        found[name] = probe
    return dict(sorted(found.items(), key=lambda one: one[0] != default))  # the default one first, as where it is live


def placed(facts: Facts, run: Run | None) -> Facts:
    """The facts beside those of the run's other probes, so that a default one stays the default one.

    RecordError where a probe has the name of one of the run's, and asks something else.
    """
    known = recorded(run)
    for name, one in facts.probes.items():
        if name in known and known[name].digest and known[name].digest != one.digest:
            raise RecordError(
                f"data: asks something else than the probe {name!r} of the run ({one.samples} and "
                f"{known[name].samples} samples), so its series would be of two kinds; give it a name of its own: "
                "--probe NAME"
            )
    if not known:
        return facts
    probes = {**known, **facts.probes}
    first = next(iter(probes.values()))
    return replace(facts, probes=probes, layers=first.layers, probe_samples=first.samples)


def _missing(name: str, given: Mapping[str, Probe], known: Mapping[str, ProbeFacts], run: Run | None) -> str:
    if given:
        return f"data: has no probe {name!r}; it has {', '.join(given)}"
    if run is None:
        return "data: a run that does not exist yet has no probe; give --data package.module:factory"
    if name in known:
        return f"data: the run keeps nothing of what its probe {name!r} asks; give it: --data package.module:factory"
    there = f"; it has {', '.join(known)}" if known else ""
    return f"data: the run has no probe {name!r}{there}; give --data package.module:factory"


def _is_several(given: Mapping[str, Probe]) -> bool:
    return list(given) != [DEFAULT]


def _grouped(inputs: Mapping[str, np.ndarray]) -> Any:
    """{"": x} -> x; {"0": x, "1": y} -> [x, y]; {"G/0": x, "D": y} -> {"G": [x], "D": y}."""
    if list(inputs) == [""]:
        return inputs[""]
    groups: dict[str, dict[str, np.ndarray]] = {}
    for key, array in inputs.items():
        first, _, rest = key.partition("/")
        groups.setdefault(first, {})[rest] = array
    found = {name: _grouped(group) for name, group in groups.items()}
    if all(name.isdigit() for name in found):
        places = [int(name) for name in found]
        return [found.get(str(k)) for k in range(max(places) + 1)]
    return found
