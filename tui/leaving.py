"""How does the explorer end when nobody presses q? The place is kept, and the terminal given back while there is one.

The connection is cut (SIGHUP, or a terminal that is no longer there): nothing can be shown any more, so it goes at
once. It is asked to end (SIGTERM, from `kill` or a batch system): it does what `q` does, but a terminal that takes no
bytes, or a disk that does not answer, holds it up for a moment only.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol

PATIENCE = 3.0  # seconds for an orderly end
# Marked pasting and the mouse off, the screen from before, a cursor, no colours.
AS_BEFORE = b"\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1049l\x1b[?25h\x1b[0m"


class Leaves(Protocol):
    """What can keep its place, and end."""

    def save(self) -> None: ...
    def exit(self, result: Any = ..., return_code: int = ...) -> None: ...


class Departure:
    """Watches for reasons to end; made in the main thread while the terminal is as the user had it."""

    def __init__(self, app: Leaves) -> None:
        self._app = app
        self._terminal = sys.__stdin__.fileno() if sys.__stdin__ is not None else -1
        self._modes: list[Any] | None = None
        with suppress(termios.error, OSError):
            self._modes = termios.tcgetattr(self._terminal)

    def watch(self) -> None:
        """From here on; call it inside the event loop."""
        loop = asyncio.get_running_loop()
        for number, handler in (
            (signal.SIGHUP, lambda *_: self.now(signal.SIGHUP)),
            (signal.SIGTERM, self._asked(loop)),
        ):
            with suppress(ValueError):  # signals are handled in the main thread only
                signal.signal(number, handler)
        if self._modes is not None:
            threading.Thread(target=self._await_hangup, name="layerscope-terminal", daemon=True).start()

    def _asked(self, loop: asyncio.AbstractEventLoop) -> Callable[[int, FrameType | None], None]:
        def handler(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signal calls it
            patience = threading.Timer(PATIENCE, self.now, (signal.SIGTERM,))
            patience.daemon = True
            patience.start()
            loop.call_soon_threadsafe(lambda: self._app.exit(return_code=128 + signal.SIGTERM))

        return handler

    def _await_hangup(self) -> None:
        """Not everybody is sent SIGHUP: only the terminal's own session is. The others would read nothing, for ever."""
        watch = select.poll()
        watch.register(self._terminal, 0)  # no event but that it is gone
        watch.poll()
        self.now(signal.SIGHUP)

    def now(self, number: signal.Signals) -> None:
        """Keep the place, leave the terminal as it was found, and be gone, whatever the other threads wait for."""
        self._app.save()
        if self._modes is not None:
            # A process in the background would be stopped for changing the terminal.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
            with suppress(termios.error, OSError):
                os.set_blocking(self._terminal, False)
                try:
                    os.write(self._terminal, AS_BEFORE)
                finally:
                    os.set_blocking(self._terminal, True)  # it is the shell's terminal too
                    termios.tcsetattr(self._terminal, termios.TCSANOW, self._modes)
        os._exit(128 + number)
