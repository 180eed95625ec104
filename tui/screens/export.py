"""Which figure should be written, how large, and where?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui import messages
from tui.export import FORMATS, PRESETS, file_name
from tui.requests import Draw, Export
from tui.widgets.choice import Choice
from tui.words import plain

if TYPE_CHECKING:
    from tui.app import Explorer

WIDTHS = {"single": "3.5 in", "double": "7.2 in", "slide": "10 in"}
MOST = 3  # files that are named
STEPS = ("this step", "every recorded step")
BESIDE = ("figure", "+ numbers (csv)", "+ caption (txt)", "+ both")


class ExportDialog(ModalScreen[None]):
    """How, what and where; Enter writes, from any field.

    A view of one step may be written for every step, as NAME-step-N; other entries may stand beside it as panels.
    """

    DEFAULT_CSS = """
    ExportDialog { align: center middle; background: $background 50%; }
    ExportDialog > Vertical { width: 76; max-width: 96%; height: auto; border: round $primary; padding: 0 2;
                              background: $surface; }
    ExportDialog Horizontal { height: 1; }
    ExportDialog .label { width: 9; color: $foreground 70%; }
    ExportDialog Input { border: none; height: 1; padding: 0; width: 1fr; background: $surface; }
    ExportDialog Input:focus { border: none; text-style: underline; }
    ExportDialog #what { color: $primary; text-style: bold; }
    ExportDialog #told { height: auto; min-height: 2; margin-top: 1; }
    """
    BINDINGS = [  # noqa: RUF012
        Binding("escape", "dismiss", "Close", show=False),
        Binding("enter", "write", "Write", show=False, priority=True),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("y", "copy", show=False),
    ]

    def __init__(self, draw: Draw, *, stepwise: bool = False) -> None:
        super().__init__()
        self._draw = draw
        self._stepwise = stepwise  # the view shows one step
        self._refused: Path | None = None  # the path that exists already: a second Enter overwrites it
        self._scp = ""

    def compose(self) -> ComposeResult:
        d = self._draw
        what = d.entry + (f" · {d.item}" if d.item else "") + (f" · step {d.step:,}" if d.step is not None else "")
        with Vertical():
            yield Static(plain(what), id="what", markup=False)
            with Horizontal():
                yield Static("format", classes="label", markup=False)
                yield Choice(FORMATS, id="format")
            with Horizontal():
                yield Static("width", classes="label", markup=False)
                yield Choice(PRESETS, notes=WIDTHS, id="preset")
            with Horizontal():
                yield Static("write", classes="label", markup=False)
                yield Choice(BESIDE, id="beside")
            if self._stepwise:
                with Horizontal():
                    yield Static("steps", classes="label", markup=False)
                    yield Choice(STEPS, id="steps")
            with Horizontal():
                yield Static("panels", classes="label", markup=False)
                yield Input(id="panels", placeholder="entries beside this one, lettered: loss, accuracy")
            with Horizontal():
                yield Static("style", classes="label", markup=False)
                yield Input(id="style", placeholder="a .mplstyle file, or the name of a style")
            with Horizontal():
                yield Static("path", classes="label", markup=False)
                yield Input(self._path("pdf"), id="path", select_on_focus=False)
            yield Static("Enter writes · arrows choose · Esc closes", id="told", markup=False)

    def on_mount(self) -> None:
        self.query_one("#format").focus()

    def _path(self, format: str, *, every: bool = False) -> str:
        step = None if every else self._draw.step
        return file_name(self._draw.entry, item=self._draw.item, step=step, format=format)

    def on_choice_changed(self, event: Choice.Changed) -> None:
        path, ending = self.query_one("#path", Input), self._chosen("format")
        if event.choice.id == "format":
            path.value = str(Path(path.value).with_suffix(f".{event.value}")) if path.value else self._path(event.value)
        elif event.choice.id == "steps" and path.value in (self._path(ending), self._path(ending, every=True)):
            path.value = self._path(ending, every=event.value == STEPS[1])  # the steps name themselves
        self._refused = None

    def on_input_changed(self) -> None:
        self._refused = None

    def action_write(self) -> None:
        """Ask the reading thread to write; the dialog stays and says what came of it."""
        path = Path(self._typed("path") or self._path(self._chosen("format"))).expanduser().absolute()
        beside = self._chosen("beside")
        self.tell("writing…")
        cast("Explorer", self.app).ask(
            Export(
                self._draw,
                path,
                format=cast(Literal["pdf", "svg", "png"], self._chosen("format")),
                preset=cast(Literal["single", "double", "slide"], self._chosen("preset")),
                csv=beside in (BESIDE[1], BESIDE[3]),
                caption=beside in (BESIDE[2], BESIDE[3]),
                force=self._refused == path,
                panels=tuple(name for name in self._typed("panels").replace(",", " ").split()),
                style=self._typed("style").strip(),
                every_step=self._stepwise and self._chosen("steps") == STEPS[1],
            )
        )

    def _chosen(self, id: str) -> str:
        return self.query_one(f"#{id}", Choice).value

    def _typed(self, id: str) -> str:
        return self.query_one(f"#{id}", Input).value

    def action_copy(self) -> None:
        """Copy the command that fetches the figure: on the screen it may be broken over lines."""
        if self._scp:
            cast("Explorer", self.app).copy(self._scp)

    def receive(self, message: messages.Exported | messages.Failed) -> None:
        """What was written, or why not."""
        if isinstance(message, messages.Exported):
            self._refused = None
            lines = [str(written) for written in message.written[:MOST]]
            if len(message.written) > MOST:
                lines.append(f"and {len(message.written) - MOST:,} more")
            self._scp = message.written[0].scp if message.written else ""
            self.query_one("#format").focus()  # where y is no letter of a path
            self.tell(
                "\n".join([*lines, *([self._scp, "y copies this command"] if self._scp else ["nothing to write"])])
            )
        elif isinstance(message.request, Export):
            self._refused = message.request.path if message.exists else None
            found = message.text.partition("; nothing was written")[0]
            self.tell(f"{found}. Enter again overwrites it." if message.exists else message.text)

    def tell(self, text: str) -> None:
        """Show a message at the foot of the dialog."""
        self.query_one("#told", Static).update("\n".join(map(plain, text.splitlines())))
