"""One line to type into, at the foot of the screen: a filter, a step, limits."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class Prompt(ModalScreen[None]):
    """Asks for one line. `check` says what is wrong with a text ("" when nothing is); `changed` sees each good text."""

    DEFAULT_CSS = """
    Prompt { background: transparent; align: left bottom; }
    Prompt Horizontal { height: 1; background: $surface; }
    Prompt Static { width: auto; height: 1; }
    Prompt .label { color: $primary; text-style: bold; padding: 0 1; }
    Prompt .note { color: $error; padding: 0 1; }
    Prompt Input, Prompt Input:focus { border: none; height: 1; width: 1fr; padding: 0; background: $surface; }
    """
    BINDINGS = [Binding("escape", "cancel", "Back", show=False)]  # noqa: RUF012

    def __init__(
        self,
        label: str,
        value: str,
        *,
        placeholder: str = "",
        check: Callable[[str], str],
        changed: Callable[[str], None] | None = None,
        entered: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self._label, self._value, self._placeholder = label, value, placeholder
        self._check, self._changed, self._entered = check, changed, entered

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(self._label, classes="label", markup=False)
            yield Input(self._value, placeholder=self._placeholder, select_on_focus=False)
            yield Static("", classes="note", markup=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        wrong = self._check(event.value)
        self.query_one(".note", Static).update(wrong)
        if not wrong and self._changed is not None:
            self._changed(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if self._check(event.value):
            return
        self.dismiss()
        if self._entered is not None:
            self._entered(event.value)

    def action_cancel(self) -> None:
        """Leave everything as it was before."""
        if self._changed is not None:
            self._changed(self._value)
        self.dismiss()
