"""`python -m recorder measure ...`: what is measured, and in words what came of it."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from recorder.charting.captions import many
from recorder.measuring.catalogue import catalogue
from recorder.measuring.instruments import asked as instruments_of
from recorder.measuring.measure import prepared
from recorder.measuring.work import Outcome
from recorder.runfile.guard import clean

AGAIN = 2.0  # seconds within which a second Ctrl-C is taken for the first one: a terminal sends it to two processes
SHOWN = 8  # of what was left out
INTERRUPTED = 130


def run(asked: argparse.Namespace) -> int:
    """Measure, or say what can be measured; the exit status. What is in the way is raised."""
    where = {"checkpoints": asked.checkpoints, "steps": asked.steps, "step_pattern": asked.step_pattern or ""}
    if asked.list:
        print(clean_lines(catalogue(asked.run, model=asked.model, data=asked.data, **where)))
        return 0
    with interruptible():
        try:
            work = prepared(
                asked.run, instruments_of(asked.names, probe=asked.probe or ""), model=asked.model, data=asked.data,
                layers=asked.layers, key=asked.key or "", **where,
            )  # fmt: skip
        except KeyboardInterrupt:
            return INTERRUPTED
        try:
            work.done()
        except KeyboardInterrupt:
            print(clean_lines(told(work.outcome, "interrupted; the same command goes on from here")))
            return INTERRUPTED
    print(clean_lines(told(work.outcome, "")))
    return 0


def told(outcome: Outcome, end: str) -> str:
    """What came of it, a line for each thing."""
    steps = sorted(outcome.steps)
    names = ", ".join(outcome.series[:3]) + (f" and {len(outcome.series) - 3} more" if len(outcome.series) > 3 else "")
    lines = []
    if steps:
        span = f"step {steps[0]:,}" if len(steps) == 1 else f"steps {steps[0]:,} to {steps[-1]:,}"
        lines.append(f"{outcome.path}: {names} at {many(len(steps), 'checkpoint', 'checkpoints')}, {span}")
    if outcome.before:
        there = many(outcome.before, "checkpoint was", "checkpoints were")
        lines.append(f"{outcome.path}: {there} measured before")
    lines += outcome.left_out[:SHOWN]
    if len(outcome.left_out) > SHOWN:
        lines.append(f"and {len(outcome.left_out) - SHOWN} more; the run's events say which")
    return "\n".join([*lines, *filter(None, (outcome.said, end))])


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM end what is being done once, and leave time to put it in order."""
    first = 0.0

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        if not first or now - first > AGAIN:
            first = now
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def clean_lines(text: str) -> str:
    """Without control characters of files and names."""
    return "\n".join(map(clean, text.splitlines()))
