"""What is a run, or what runs are there, in plain text or JSON, for pipes and scripts?"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recorder.analysis.health import findings
from recorder.number import size
from recorder.runfile.describe import cost, describe, rate
from recorder.runfile.listing import RunRecord, list_runs
from recorder.runfile.reader import Run
from tui import contents
from tui.words import age, aligned, clip, duration, fate, moment, number, plain, sparkline

NOTHING = """No runs here yet. Record one:

    from recorder import record

    with record(model, "runs/mlp.h5", optimizer=optimizer) as run:
        for x, y in loader:
            run.step(loss=train_step(x, y))

or see one at once: layerscope demo"""

NAME, SPARK = 40, 16


def of_folder(folder: Path) -> str:
    """The runs under a folder as a table."""
    runs = list(list_runs(folder))
    if not runs:
        return f"{plain(str(folder.absolute()))}\n{NOTHING}"
    now = time.time()
    rows: list[tuple[str, ...]] = [("run", "state", "steps", "loss", "", "health", "size", "age", "framework")]
    rows += [_line(record, folder, now) for record in runs]
    notes = [f"{plain(str(r.path))}: {r.error}" for r in runs if r.error]
    return "\n".join([*aligned(rows, right=(2, 3, 6, 7)), *([""] if notes else []), *notes])


def json_of_folder(folder: Path) -> str:
    """The runs under a folder as a JSON list."""
    return _json([_fields(record) for record in list_runs(folder)])


def of_path(path: Path) -> str:
    """One run: where it comes from, how it went, what it holds."""
    with Run.open(path) as run:
        sections = (
            _facts(run),
            contents.processes(run),
            contents.held(run),
            contents.sizes(run),
            contents.items(run),
            contents.left(run),
            contents.events(run),
        )
        return "\n\n".join("\n".join(lines) for lines in sections if lines)


def json_of_run(path: Path) -> str:
    """One run as a JSON object."""
    with Run.open(path) as run:
        return _json(describe(run))


def _line(record: RunRecord, folder: Path, now: float) -> tuple[str, ...]:
    path = record.path
    name = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
    return (
        clip(name, NAME, middle=True),
        str(record.state),
        f"{record.steps:,}",
        "" if record.loss is None else number(record.loss),
        sparkline(record.losses, SPARK),
        _health(record.health),
        size(record.size),
        age(now - record.mtime),
        plain(record.framework),
    )


def _facts(run: Run) -> list[str]:
    meta = run.meta
    git = meta.get("git")
    command = meta.get("command", "")
    length = (run.ended or time.time()) - run.started
    facts = {
        "run": str(run.path.absolute()),
        "state": f"{fate(run.state, run.last_step)}{': ' + run.error if run.error else ''}",
        "steps": f"{run.steps:,}, {run.epochs:,} epochs",
        "started": f"{moment(run.started)}, {duration(length)}" if run.started else "",
        "command": command if isinstance(command, str) else " ".join(map(str, command)),
        "framework": _versioned(meta),
        "host": str(meta.get("host", "")),
        "git": f"{git.get('commit', '')}{' with changes' if git.get('dirty') else ''}"
        if isinstance(git, Mapping)
        else "",
        "size": f"{size(run.size)}{f' in {run.parts + 1} files' if run.parts else ''}{_growth(run)}",
        "cost": _cost(run),
        "health": _health(run.events) or "no findings",
    }
    return [f"{name:10}{plain(text)}" for name, text in facts.items() if text.strip()]


def _growth(run: Run) -> str:
    """As in ", about 859 kB per 10,000 steps before compression, at most 2.0 GB"."""
    limit = run.meta.get("max_size")
    grows = f", about {size(round(10_000 * rate(run)))} per 10,000 steps before compression" if run.steps else ""
    return grows + (f", at most {size(limit)}" if isinstance(limit, int) else "")


def _cost(run: Run) -> str:
    """As in "0.31 ms a step for recording, 4.8 % of the training's 6.4 ms"."""
    found = cost(run)
    if found is None:
        return ""
    own, training = 1e3 * found["overhead_time"], 1e3 * found["step_time"]
    return f"{own:.3g} ms a step for recording, {100 * found['share']:.1f} % of the training's {training:.3g} ms"


def _versioned(meta: Mapping[str, Any]) -> str:
    framework = str(meta.get("framework", ""))
    versions = meta.get("versions")
    return f"{framework} {versions.get(framework, '')}".strip() if isinstance(versions, Mapping) else framework


def _health(events: Any) -> str:
    """As in "exploding in fc1.weight at step 40, and 2 more"."""
    found = findings(events)
    if not found:
        return ""
    first = found[0]
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return plain(f"{first.finding.replace('_', ' ')} in {first.item} at step {first.step:,}{more}")


def _fields(record: RunRecord) -> dict[str, Any]:
    found = [asdict(one) for one in findings(record.health)]
    return {**asdict(record), "path": str(record.path.absolute()), "state": str(record.state), "health": found}


def _json(value: Any) -> str:
    return json.dumps(_strict(value), indent=2, ensure_ascii=False)


def _strict(value: Any) -> Any:
    """What JSON can hold: NaN and infinity become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _strict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(v) for v in value]
    return value
