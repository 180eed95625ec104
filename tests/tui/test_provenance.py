"""The lines above the explorer's entries: where the run comes from, what is not in it, how it went."""

from __future__ import annotations

from pathlib import Path

from recorder.runfile.schema import Event, State
from tui.ink import ink
from tui.messages import RunFacts
from tui.paint.look import Look
from tui.provenance import provenance


def lines(*events: Event) -> list[str]:
    facts = RunFacts(Path("a.h5"), "a", State.DONE, {"command": ["python", "train.py"]}, events)
    return ["".join(text for text, _ in line) for line in provenance(facts, 0.0, ink(Look()))]


def event(kind: str, step: int) -> Event:
    return Event(kind, f"{kind} \x1b[2J of old", step, 0, 0.0)


def test_what_was_left_out_stands_in_one_line_above_the_health():
    told = lines(event("skipped", 12), event("off", 20), event("skipped", 1090), event("thinned", 500))
    assert told[-2] == (
        " not recorded: 1 schedule thinned at step 500 · 2 updates skipped at steps 12 to 1,090"
        " · 1 instrument switched off at step 20"
    )
    assert told[-1] == " no health findings"


def test_where_nothing_was_left_out_nothing_is_said_of_it():
    told = lines(event("note", 3), event("checkpoint", 4))
    assert len(told) == 3
    assert not any("not recorded" in line for line in told)
