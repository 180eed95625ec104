"""Where does a run come from, and what is wrong with it? A few lines for people."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from recorder.number import size
from recorder.runfile.left_out import left_out
from recorder.runfile.schema import State
from tui.health import sentence
from tui.ink import Ink
from tui.messages import RunFacts
from tui.widgets.line import Span
from tui.words import duration, fate, moment, plain


def provenance(facts: RunFacts, now: float, i: Ink) -> list[list[Span]]:
    """Command; commit, host, start and size; what was left out; health: the most important line comes last."""
    lines = []
    if words := command_of(facts.meta):
        lines.append([(f" $ {words}", i.text)])
    lines.append([(" " + "  ·  ".join(origin(facts, now)), i.muted)])
    if missing := left_out(facts.events):
        lines.append([(" not recorded: ", i.bad), (" · ".join(one.text for one in missing), i.text)])
    lines.append(health(facts, i))
    return lines


def command_of(meta: Mapping[str, Any]) -> str:
    """The command line that made the run."""
    command = meta.get("command", "")
    return plain(command if isinstance(command, str) else shlex.join(map(str, command)))


def origin(facts: RunFacts, now: float) -> list[str]:
    """Commit, host, versions, start, duration, where it was resumed, size; each only where it is known."""
    meta = facts.meta
    out = []
    git = meta.get("git")
    commit = git.get("commit") if isinstance(git, Mapping) else meta.get("git_commit")
    if commit:
        dirty = git.get("dirty") if isinstance(git, Mapping) else meta.get("git_dirty")
        out.append(f"{str(commit)[:8]}{' with changes' if dirty else ''}")
    if host := meta.get("host") or meta.get("hostname"):
        out.append(str(host))
    if framework := meta.get("framework"):
        versions = meta.get("versions")
        version = versions.get(framework, "") if isinstance(versions, Mapping) else ""
        out.append(f"{framework} {version}".strip())
    if facts.started:
        out.append(moment(facts.started))
        if facts.ended is not None or facts.state is State.RECORDING:
            out.append(duration((facts.ended or now) - facts.started))
    if resumed := [event.step for event in facts.events if event.kind == "resumed"]:
        often = f"resumed {len(resumed)} times, last" if len(resumed) > 1 else "resumed"
        out.append(f"{often} at step {resumed[-1]:,}")
    out.append(size(facts.size))
    return [plain(word) for word in out]


def health(facts: RunFacts, i: Ink) -> list[Span]:
    """The first bad step and how many more there are; or how the run ended."""
    found = facts.findings
    ended = fate(facts.state, facts.last_step)
    if facts.error:
        return [(f" {ended}: ", i.bad), (plain(facts.error), i.text)]
    told = [(f" {ended} ", i.bad)] if facts.state is State.KILLED else []
    if not found:
        return [*told, (" no health findings", i.good)]
    first = found[0]
    more = f"  +{len(found) - 1} more" if len(found) > 1 else ""
    return [*told, (f" step {first.step:,} ", i.bad), (sentence(first), i.text), (f"{more}  ! goes there", i.muted)]
