"""One of a few words, on one line; left and right choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.message import Message
from textual.widget import Widget


class Choice(Widget, can_focus=True):
    """A row of words of which one is chosen."""

    DEFAULT_CSS = "Choice { height: 1; width: 1fr; }"
    BINDINGS = [  # noqa: RUF012
        Binding("left,h", "choose(-1)", show=False),
        Binding("right,l,space", "choose(1)", show=False),
    ]

    class Changed(Message):
        """Another word was chosen."""

        def __init__(self, choice: Choice, value: str) -> None:
            self.choice, self.value = choice, value
            super().__init__()

        @property
        def control(self) -> Choice:
            return self.choice

    def __init__(self, words: Sequence[str], *, notes: Mapping[str, str] | None = None, id: str | None = None) -> None:
        super().__init__(id=id)
        self._words, self._notes = tuple(words), dict(notes or {})
        self._at = 0

    @property
    def value(self) -> str:
        """The chosen word."""
        return self._words[self._at]

    def action_choose(self, by: int) -> None:
        self._at = (self._at + by) % len(self._words)
        self.refresh()
        self.post_message(self.Changed(self, self.value))

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        x = 0
        for k, word in enumerate(self._words):
            x += len(self._label(word)) + 3
            if event.x < x:
                self.action_choose(k - self._at)
                return

    def _label(self, word: str) -> str:
        return f"{word} {self._notes[word]}" if word in self._notes else word

    def render(self) -> Text:
        """The words, the chosen one marked in a way that needs no colour."""
        text = Text(no_wrap=True)
        for k, word in enumerate(self._words):
            chosen = k == self._at
            style = Style(
                reverse=chosen and self.has_focus, bold=chosen, underline=chosen and not self.has_focus, dim=not chosen
            )
            text.append(f" {self._label(word)} ", style)
            text.append(" ", Style(bold=False))
        return text
