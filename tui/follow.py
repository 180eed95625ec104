"""Who reads the run? One thread, and nothing else touches a file: it is asked, and posts what it found.

Of requests of one kind only the newest is answered, so holding a key down never leaves a queue behind. Between
requests it looks about once a second whether the run has grown, and lists runs while their list is shown.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from textual.message import Message

from recorder.entries import entries, find
from recorder.errors import ExportError, LayerscopeError, NotRecordedError, in_words
from recorder.runfile.schema import Kind
from tui import messages
from tui.drawing import Remembered, draw, recorded
from tui.export import ExistsError, Written
from tui.requests import Draw, Export, Open, ReadItems, ReadScalars, Request, WatchRuns
from tui.sheets import POINTS, plate_of, steps_of, view_of
from tui.source import OpenedRun, Record, Source

PERIOD = 1.0  # seconds between two looks at a growing run
LISTING_SHARE = 10  # a listing that took t seconds is not repeated for 10 t: at most a tenth of one core
FIRST_BATCH = 0.05  # seconds of listing before the first runs are shown
SHOWING_SHARE = 5  # runs found in t seconds are shown again after t / 5: the list is sorted a few dozen times, not 200
MOST = 100  # figures at once: half a minute in which nothing else is read
LEAVING = 10.0  # seconds that a disk which does not answer may hold up quitting
ORDER: tuple[type, ...] = (Open, WatchRuns, Export, Draw, ReadScalars, ReadItems)


class Follower(threading.Thread):
    """Owns the opened run. `post` must be safe to call from this thread, as Textual's post_message is."""

    def __init__(self, source: Source, post: Callable[[Message], object]) -> None:
        super().__init__(name="layerscope-reader", daemon=True)
        self._source, self._post = source, post
        self._asked: dict[type, Request] = {}
        self._news = threading.Condition()
        self._count = 0
        self._stopped = False
        self._run: OpenedRun | None = None
        self._facts: messages.RunFacts | None = None
        self._views = Remembered()
        self._next_look = 0.0
        self._listing: Iterator[Record] | None = None
        self._listed: list[Record] = []
        self._shown: list[tuple[object, ...]] = []
        self._listing_since = self._next_listing = self._next_showing = 0.0
        self._watching = False

    def ask(self, request: Request) -> int:
        """Ask for something; an older request of the same kind that was not begun is forgotten. How many that makes."""
        with self._news:
            self._asked[type(request)] = request
            self._count += 1
            self._news.notify()
            return self._count

    def stop(self) -> None:
        """End the thread and wait until it has let go of the file.

        A thread that is inside HDF5 when the interpreter goes keeps HDF5 locked, and the interpreter waits for ever.
        """
        with self._news:
            self._stopped = True
            self._news.notify()
        if self.is_alive():
            self.join(LEAVING)

    def run(self) -> None:
        """Answer requests, look for news, sleep."""
        while True:
            request = self._next()
            if self._stopped:
                break
            try:
                if request is not None:
                    self._answer(request)
                else:
                    self._look()
            except LayerscopeError as error:
                self._failed(request, str(error), exists=isinstance(error, ExistsError))
            except Exception as error:  # what a file holds must never end the explorer
                self._failed(request, in_words(error))
            with self._news:
                count, done = self._count, request is not None and not self._asked
            if done:
                self._post(messages.Done(count))
        if self._run is not None:
            self._run.close()

    def _next(self) -> Request | None:
        """The next request; None when it is time to look for news."""
        with self._news:
            if not self._asked and not self._stopped:
                self._news.wait(self._patience())
            for kind in ORDER:
                if kind in self._asked:
                    return self._asked.pop(kind)
        return None

    def _patience(self) -> float | None:
        """Seconds until something is due; None: nothing will be, until asked."""
        due = []
        if self._listing is not None:
            return 0.0
        if self._watching:
            due.append(self._next_listing)
        if self._facts is not None:
            due.append(self._next_look)
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def _failed(self, request: Request | None, text: str, *, exists: bool = False) -> None:
        if request is not None:
            self._post(messages.Failed(request, text, exists=exists))
        elif self._listing is not None:  # the folder went away: show what was found, and look again later
            self._end_listing()
            self._show(complete=True)

    def _answer(self, request: Request) -> None:
        match request:
            case Open(path):
                self._open(path)
            case WatchRuns(on):
                self._watching, self._next_listing = on, 0.0
                if self._listing is None or not on:  # a look that is under way goes on
                    self._listing = None
                    self._shown = []
            case Draw():
                run = self._of(request.run)
                self._post(messages.Drawn(request, draw(run, request, self._views), *recorded(run, request)))
            case ReadScalars():
                self._post(messages.ValuesRead(request, _scalars(self._of(request.run), request)))
            case ReadItems():
                self._post(messages.ValuesRead(request, _items(self._of(request.run), request)))
            case Export():
                self._export(request)

    # -- the opened run --------------------------------------------------------------------------------------------

    def _of(self, path: Path) -> OpenedRun:
        if self._run is None or self._facts is None or self._facts.path != path:
            self._open(path)
        assert self._run is not None
        return self._run

    def _open(self, path: Path) -> None:
        version = self._facts.version + 1 if self._facts is not None else 0
        if self._run is not None:
            self._run.close()
            self._run = self._facts = None
        run = self._source.open(path)
        self._run = run
        self._tell(path, run, version)

    def _tell(self, path: Path, run: OpenedRun, version: int) -> None:
        self._views.forget()
        self._facts = messages.RunFacts(
            path=path,
            name=run.name,
            state=run.state,
            meta=dict(run.meta),
            events=tuple(run.events),
            entries=entries(run),
            last_step=run.last_step,
            epochs=run.epochs,
            size=run.size,
            started=run.started,
            ended=run.ended,
            error=run.error,
            version=version,
        )
        self._next_look = time.monotonic() + PERIOD
        self._post(messages.RunRead(self._facts))

    def _look(self) -> None:
        """Go on with what is due: the listing of runs, then news of the opened run."""
        now = time.monotonic()
        if self._listing is not None:
            self._list_some()
        elif self._watching and now >= self._next_listing:
            self._listing, self._listed, self._listing_since, self._next_showing = self._source.runs(), [], now, now
        if self._run is not None and self._facts is not None and now >= self._next_look:
            self._next_look = now + PERIOD
            if self._run.refresh() or self._run.state is not self._facts.state:  # one that is over may be measured
                self._tell(self._facts.path, self._run, self._facts.version + 1)

    # -- the list of runs ------------------------------------------------------------------------------------------

    def _list_some(self) -> None:
        """List for a moment, so that requests in between are not kept waiting."""
        assert self._listing is not None
        until = time.monotonic() + FIRST_BATCH
        for record in self._listing:
            self._listed.append(record)
            if (now := time.monotonic()) > until:
                if len(self._shown) < len(self._listed) and now >= self._next_showing:
                    self._next_showing = now + (now - self._listing_since) / SHOWING_SHARE
                    self._show(complete=False)
                return
        self._end_listing()
        self._show(complete=True)

    def _end_listing(self) -> None:
        now = time.monotonic()
        self._listing = None
        self._next_listing = now + max(2 * PERIOD, LISTING_SHARE * (now - self._listing_since))

    def _show(self, *, complete: bool) -> None:
        """Post the list if anything in it is new."""
        seen: list[tuple[object, ...]] = [(complete,)]
        seen += [(r.path, r.state, r.steps, r.size, r.mtime, r.loss, r.error) for r in self._listed]
        if seen != self._shown:
            self._shown = seen
            self._post(messages.RunsListed(self._listed, complete=complete))

    def _export(self, request: Export) -> None:
        from tui.export import check_free, export  # matplotlib loads here, on this thread, when it is first needed

        asked = replace(request.draw, window=replace(request.draw.window, points=POINTS))
        run = self._of(asked.run)
        figures = _every_step(run, asked, request.path) if request.every_step else {request.path: asked}
        if not request.force:
            for path in figures:
                check_free(path)
        written: list[Written] = []
        for path, one in figures.items():
            view = view_of(run, one)
            if request.panels:
                others = [view_of(run, replace(one, entry=name)) for name in request.panels]
                view = plate_of([view, *others], preset=request.preset)
            written += export(
                view, path, format=request.format, preset=request.preset, style=request.style or None,
                colours=one.options.colours, force=request.force, csv=request.csv, caption=request.caption,
                letters=bool(request.panels),
            )  # fmt: skip
        self._post(messages.Exported(written))


def _every_step(run: OpenedRun, asked: Draw, path: Path) -> dict[Path, Draw]:
    """A figure for each recorded step, as in norm-step-500.pdf."""
    steps = steps_of(run, find(run, asked.entry), item=asked.item, lo=asked.window.lo, hi=asked.window.hi)
    if len(steps) > MOST:
        raise ExportError(f"that would be {len(steps):,} figures; zoom in, or use layerscope export --step all")
    return {path.with_name(f"{path.stem}-step-{step}{path.suffix}"): replace(asked, step=step) for step in steps}


def _scalars(run: OpenedRun, request: ReadScalars) -> dict[str, float]:
    """Every scalar's last value at or before the step; those without one are left out."""
    found = {}
    for name, series in run.series.items():
        if series.kind is not Kind.SCALAR:
            continue
        with suppress(NotRecordedError):
            _, values = run.row(name, request.step)  # hundreds of metrics in one reading
            for item, value in zip(series.items, values.tolist(), strict=True):
                if value == value:
                    found[item] = float(value)
                else:  # not a number was recorded, or nothing
                    with suppress(NotRecordedError):
                        found[item] = float(run.row(name, request.step, item)[1])
    return found


def _items(run: OpenedRun, request: ReadItems) -> dict[str, float]:
    """An entry's number for each item, where it has one number an item."""
    entry = find(run, request.entry)
    if entry.kind is not Kind.PER_ITEM:
        return {}
    try:
        _, values = run.row(entry.series, request.step)
    except NotRecordedError:
        return {}
    return dict(zip(entry.items, map(float, values), strict=True))
