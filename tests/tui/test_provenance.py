"""A few lines say where a run comes from, also where its training was resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.runfile.schema import Event, State
from tui.messages import RunFacts
from tui.provenance import origin


@pytest.mark.parametrize(
    ("steps", "said"), [((), None), ((1200,), "resumed at step 1,200"), ((10, 30), "resumed 2 times, last at step 30")]
)
def test_where_a_training_was_resumed(steps: tuple[int, ...], said: str | None) -> None:
    events = tuple(Event("resumed", f"at step {step}", step, 0, 0.0) for step in steps)
    words = origin(RunFacts(Path("r.h5"), "r", State.DONE, meta={"host": "node7"}, events=events), now=0.0)
    assert words[0] == "node7"
    assert [word for word in words if "resumed" in word] == ([said] if said else [])
