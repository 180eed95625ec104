"""What is not in a run that could have been: dropped, thinned, skipped, switched off? Told by its events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from recorder.runfile.schema import Event

# What each kind of event says was left out; one of them, many of them.
KINDS = {
    "dropped": ("loss of rows", "losses of rows"),
    "thinned": ("schedule thinned", "schedules thinned"),
    "skipped": ("update skipped", "updates skipped"),
    "unread": ("list of events cut short", "lists of events cut short"),
    "off": ("instrument switched off", "instruments switched off"),
}


@dataclass(frozen=True)
class LeftOut:
    """Events of one kind: how often, from which step to which, and in their own words the last one."""

    kind: str
    times: int
    first_step: int
    last_step: int
    latest: str

    @property
    def text(self) -> str:
        """As in "3 updates skipped at steps 12 to 90"."""
        where = f"step {self.first_step:,}"
        if self.last_step > self.first_step:
            where = f"steps {self.first_step:,} to {self.last_step:,}"
        return f"{self.times:,} {KINDS[self.kind][self.times > 1]} at {where}"


def left_out(events: Iterable[Event]) -> tuple[LeftOut, ...]:
    """Everything that events say was left out, by kind."""
    found: dict[str, list[Event]] = {}
    for event in events:
        if event.kind in KINDS:
            found.setdefault(event.kind, []).append(event)
    return tuple(
        LeftOut(kind, len(found[kind]), min(e.step for e in found[kind]), max(e.step for e in found[kind]),
                found[kind][-1].text)
        for kind in KINDS
        if kind in found
    )  # fmt: skip
