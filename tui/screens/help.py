"""Which keys are there, and when is a run called ill? Made from the key table, so that it cannot be wrong."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.health import rules
from tui.ink import Ink
from tui.keys import CHART, CORRELATIONS, GLOBAL, GRADIENTS, LIST, OPEN_PAIR, RUNS, Key


class Help(ModalScreen[None]):
    """All keys in columns; scrolls where it does not fit."""

    DEFAULT_CSS = """
    Help { align: center middle; background: $background 50%; }
    Help VerticalScroll { width: 96%; max-width: 104; height: auto; max-height: 96%; background: $surface;
                          border: round $primary; padding: 0 1; scrollbar-size-vertical: 1; }
    Help Static { height: auto; }
    """
    BINDINGS = [  # noqa: RUF012
        Binding("escape,question_mark,q,enter", "dismiss", "Close", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, inks: Ink, screens: tuple[str, ...]) -> None:
        super().__init__()
        self._inks, self._screens = inks, screens

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self._text())

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def _text(self) -> Table:
        i = self._inks
        screens = Key(tuple(str(k + 1) for k in range(len(self._screens))), "", ", ".join(self._screens))
        palette = Key(("ctrl+p",), "", "all commands and entries, by name")
        groups = (
            ("Everywhere", (screens, *GLOBAL, palette)),
            ("Lists", (*LIST, *RUNS)),
            ("Charts", CHART),
            ("Gradients", GRADIENTS),
            ("Correlations", (OPEN_PAIR, *CORRELATIONS)),
        )
        sheet = Table.grid(padding=(0, 1), expand=True)
        sheet.add_column(no_wrap=True, width=12)
        sheet.add_column()
        for title, keys in groups:
            sheet.add_row(Text(title, i.accent))
            for key in keys:
                sheet.add_row(Text(key.shown, i.strong), Text(key.text, i.text))
            sheet.add_row()
        sheet.add_row(Text("Health", i.accent))
        for word, meaning in rules():
            sheet.add_row(Text(word, i.bad), Text(meaning, i.text))
        return sheet
