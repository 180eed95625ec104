"""The reading thread: the newest request wins, errors become messages, and it is silent when nothing is new."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.errors import RunFileError
from recorder.runfile.schema import State
from recorder.view import Window
from tests.tui.sources import FakeOpened, FakeRecord, FakeSource, folder, one, opened
from tui import follow, messages
from tui.follow import Follower
from tui.requests import Draw, Export, Open, ReadItems, ReadScalars, WatchRuns


class Mailbox:
    """Collects what is posted, and waits for it."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._news = threading.Condition()

    def post(self, message: object) -> None:
        with self._news:
            self.all.append(message)
            self._news.notify_all()

    def wait(self, fits: Callable[[Any], bool], *, patience: float = 120.0) -> Any:
        until = time.monotonic() + patience
        with self._news:
            while True:
                for message in self.all:
                    if fits(message):
                        return message
                left = until - time.monotonic()
                assert left > 0, f"nothing of that kind among {[type(m).__name__ for m in self.all]}"
                self._news.wait(left)

    def of(self, kind: type) -> list[Any]:
        return [m for m in self.all if isinstance(m, kind)]


@pytest.fixture
def started() -> Iterator[Callable[[FakeSource], tuple[Follower, Mailbox]]]:
    threads: list[Follower] = []

    def start(source: FakeSource) -> tuple[Follower, Mailbox]:
        box = Mailbox()
        follower = Follower(source, box.post)
        threads.append(follower)
        follower.start()
        return follower, box

    yield start
    for thread in threads:
        thread.stop()
        thread.join(120)
        assert not thread.is_alive()


Start = Callable[[FakeSource], tuple[Follower, Mailbox]]


def done(count: int) -> Callable[[Any], bool]:
    return lambda m: isinstance(m, messages.Done) and m.count >= count


def test_a_run_is_opened_and_told_about(started: Start) -> None:
    run = opened()
    follower, box = started(one(run))
    follower.ask(Open(run.path))
    facts = box.wait(lambda m: isinstance(m, messages.RunRead)).facts
    assert [e.name for e in facts.entries] == ["loss", "learning_rate", "gradient_norm", "weight_histogram", "events"]
    assert (facts.last_step, facts.state, facts.version) == (499, State.DONE, 0)
    assert [f.step for f in facts.findings] == [166, 250]


def test_of_requests_of_one_kind_only_the_newest_is_answered(started: Start) -> None:
    run = opened()
    gate = threading.Event()

    class Slow(FakeSource):
        def open(self, path: Path) -> FakeOpened:
            gate.wait(120)
            return run

    follower, box = started(Slow(run.path, run.path, run.path.parent))
    follower.ask(Open(run.path))
    for step in range(200):
        count = follower.ask(ReadScalars(run.path, step))
    gate.set()
    box.wait(done(count))
    assert [m.request.step for m in box.of(messages.ValuesRead)] == [199]
    assert box.of(messages.ValuesRead)[0].values["learning_rate"] == 1e-3


def test_numbers_of_all_items(started: Start) -> None:
    run = opened()
    follower, box = started(one(run))
    count = follower.ask(ReadItems(run.path, "gradient_norm", 250))
    box.wait(done(count))
    (message,) = box.of(messages.ValuesRead)
    assert message.values["layer0.bias"] == 50.0
    assert list(message.values) == list(run.series["gradient_norm"].items)
    count = follower.ask(ReadItems(run.path, "weight_histogram", 250))
    box.wait(done(count))
    assert box.of(messages.ValuesRead)[1].values == {}


@pytest.mark.parametrize("x", ["step", "epoch", "time"])
def test_a_view_comes_with_the_recorded_steps_and_their_places(started: Start, x: Any) -> None:
    run = opened()
    follower, box = started(one(run))
    follower.ask(Draw(run.path, "weight_histogram", "layer1.bias", 260, Window(x=x)))
    drawn = box.wait(lambda m: isinstance(m, messages.Drawn))
    assert drawn.steps.tolist() == list(range(0, 500, 50))
    assert len(drawn.x) == 10
    assert (drawn.x[1:] >= drawn.x[:-1]).all()
    assert "layer1.bias" in drawn.view.caption


@pytest.mark.parametrize(
    "error", [RunFileError("no such run"), OSError("gone"), RecursionError("deep")], ids=lambda e: type(e).__name__
)
def test_an_error_becomes_a_message_and_the_thread_goes_on(started: Start, error: Exception) -> None:
    run = opened()

    class Broken(FakeSource):
        def open(self, path: Path) -> FakeOpened:
            if path.name == "bad":
                raise error
            return run

    follower, box = started(Broken(run.path, run.path, run.path.parent))
    follower.ask(Open(Path("bad")))
    failed = box.wait(lambda m: isinstance(m, messages.Failed))
    assert str(error) in failed.text
    follower.ask(Open(run.path))
    box.wait(lambda m: isinstance(m, messages.RunRead))


def test_an_unknown_entry_names_its_neighbours(started: Start) -> None:
    run = opened()
    follower, box = started(one(run))
    follower.ask(Draw(run.path, "gradient_nrom"))
    assert "did you mean 'gradient_norm'" in box.wait(lambda m: isinstance(m, messages.Failed)).text


def test_news_of_a_recording_run_is_told_and_nothing_else(started: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "PERIOD", 0.02)
    looked = threading.Semaphore(0)

    class Watched(FakeOpened):
        def refresh(self) -> bool:
            looked.release()
            return super().refresh()

    fake = opened()
    run = Watched(**{**vars(fake), "state": State.RECORDING})
    follower, box = started(one(run))
    follower.ask(Open(run.path))
    for _ in range(5):
        assert looked.acquire(timeout=120)
    assert len(box.of(messages.RunRead)) == 1
    run.news = True
    box.wait(lambda m: isinstance(m, messages.RunRead) and m.facts.version == 1)
    run.state = State.DONE
    assert box.wait(lambda m: isinstance(m, messages.RunRead) and m.facts.version == 2).facts.state is State.DONE


@pytest.mark.parametrize("state", [State.DONE, State.KILLED, State.FAILED])
def test_a_run_that_is_over_is_looked_at_again_since_it_may_be_resumed_or_measured(
    started: Start, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    monkeypatch.setattr(follow, "PERIOD", 0.02)
    run = opened(state=state)
    follower, box = started(one(run))
    follower.ask(Open(run.path))
    box.wait(lambda m: isinstance(m, messages.RunRead))
    run.state = State.RECORDING
    assert box.wait(lambda m: isinstance(m, messages.RunRead) and m.facts.version == 1).facts.state is State.RECORDING


def test_runs_are_listed_while_watched_and_told_again_only_when_they_change(
    started: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "PERIOD", 0.01)
    monkeypatch.setattr(follow, "FIRST_BATCH", 60.0)  # each listing is told at once, however slow the machine
    listed = threading.Semaphore(0)

    class Counted(FakeSource):
        def runs(self) -> Iterator[FakeRecord]:
            yield from super().runs()
            listed.release()

    base = folder("a", "b")
    source = Counted(**vars(base))
    follower, box = started(source)
    follower.ask(WatchRuns(True))
    for _ in range(3):
        assert listed.acquire(timeout=120)
    assert len(box.of(messages.RunsListed)) == 1
    source.records.append(FakeRecord(Path("runs/c.h5"), "c"))
    box.wait(lambda m: isinstance(m, messages.RunsListed) and len(m.records) == 3)
    box.wait(done(follower.ask(WatchRuns(False))))
    source.records.append(FakeRecord(Path("runs/d.h5"), "d"))
    time.sleep(0.1)
    assert len(box.of(messages.RunsListed)[-1].records) == 3


def test_a_long_listing_shows_its_first_runs_early_and_lets_requests_in(
    started: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "FIRST_BATCH", 0.0)
    gate = threading.Event()
    run = opened()

    class Long(FakeSource):
        def runs(self) -> Iterator[FakeRecord]:
            yield FakeRecord(Path("runs/0.h5"), "0")
            while not gate.is_set():
                yield FakeRecord(Path("runs/1.h5"), "1")

    follower, box = started(Long(run.path, None, Path("runs"), [], {str(run.path): run}))
    follower.ask(WatchRuns(True))
    box.wait(lambda m: isinstance(m, messages.RunsListed) and not m.complete)
    follower.ask(Open(run.path))
    box.wait(lambda m: isinstance(m, messages.RunRead))
    gate.set()
    box.wait(lambda m: isinstance(m, messages.RunsListed) and m.complete)


def test_opening_another_run_closes_the_one_before(started: Start) -> None:
    source = folder("a", "b")
    a, b = source.known.values()
    follower, box = started(source)
    follower.ask(Draw(a.path, "loss"))
    box.wait(lambda m: isinstance(m, messages.Drawn))
    follower.ask(Draw(b.path, "loss"))
    box.wait(lambda m: isinstance(m, messages.Drawn) and m.draw.run == b.path)
    assert a.closed
    assert not b.closed


def test_an_export_tells_what_was_written_or_why_not(started: Start, tmp_path: Path) -> None:
    run = opened()
    follower, box = started(one(run))
    path = tmp_path / "loss.svg"
    export = Export(Draw(run.path, "loss"), path, format="svg", csv=True)
    follower.ask(export)
    written = box.wait(lambda m: isinstance(m, messages.Exported)).written
    assert [w.path.name for w in written] == ["loss.svg", "loss.csv"]
    assert path.stat().st_size == written[0].size
    follower.ask(export)
    assert "exists already" in box.wait(lambda m: isinstance(m, messages.Failed)).text


def test_whoever_stops_it_waits_until_it_has_let_go_of_the_file(started: Start) -> None:
    """An interpreter that ends while the thread is inside HDF5 would never end."""
    run = opened()
    begun = threading.Event()

    class Slow(FakeSource):
        def open(self, path: Path) -> FakeOpened:
            begun.set()
            time.sleep(0.3)
            return super().open(path)

    follower, _ = started(Slow(known={str(run.path): run}))
    follower.ask(Open(run.path))
    assert begun.wait(120)
    follower.stop()
    assert not follower.is_alive()


def test_the_next_tensor_does_not_read_all_the_others_again(started: Start) -> None:
    asked: list[str | None] = []

    class Counted(FakeOpened):
        def window(self, series: str, window: Window, item: str | None = None) -> Any:
            asked.append(item)
            return super().window(series, window, item)

    run = Counted(**vars(opened()))
    follower, box = started(one(run))
    box.wait(done(follower.ask(Draw(run.path, "gradient_norm", "layer0.weight"))))
    once = asked.count(None)
    assert once > 0
    for item in ("layer0.bias", "layer1.weight"):
        box.wait(done(follower.ask(Draw(run.path, "gradient_norm", item))))
    assert asked.count(None) == once
    box.wait(done(follower.ask(Draw(run.path, "gradient_norm", "layer1.bias", window=Window(100, 200)))))
    assert asked.count(None) > once
    drawn = box.of(messages.Drawn)[-1].view
    assert "layer1.bias" in drawn.charts[1].title


def test_a_zoom_that_is_taken_back_reads_no_tensor_again(started: Start) -> None:
    asked: list[int] = []

    class Counted(FakeOpened):
        def window(self, series: str, window: Window, item: str | None = None) -> Any:
            if item is None and window.lo is not None:
                asked.append(window.lo)
            return super().window(series, window, item)

    run = Counted(**vars(opened()))
    follower, box = started(one(run))

    def drawn(lo: int | None) -> None:
        window = Window(lo, None if lo is None else 200)
        box.wait(done(follower.ask(Draw(run.path, "gradient_norm", "layer0.weight", window=window))))

    for lo in (None, 100, None, 100):
        drawn(lo)
    assert asked.count(100) == 1
    for lo in range(10):  # only the last few are kept
        drawn(lo)
    drawn(100)
    assert asked.count(100) == 2
