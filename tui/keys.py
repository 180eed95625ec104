"""Which key does what? The one table that bindings, help, the key line, the palette and the tests read."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding

_NAMES = {
    ",": "comma", ".": "full_stop", "<": "less_than_sign", ">": "greater_than_sign", ":": "colon", "/": "slash",
    "?": "question_mark", "!": "exclamation_mark", "[": "left_square_bracket", "]": "right_square_bracket",
    "+": "plus", "-": "minus", "=": "equals_sign", "Tab": "tab", "Esc": "escape", "Enter": "enter", "Home": "home",
    "End": "end", "PgUp": "pageup", "PgDn": "pagedown", "←": "left", "→": "right", "↑": "up", "↓": "down",
}  # fmt: skip


@dataclass(frozen=True)
class Key:
    """One action: its keys as printed on the keyboard, and its help in a few words."""

    keys: tuple[str, ...]
    action: str
    text: str  # in help and palette
    short: str = ""  # on the key line; empty: not there
    group: str = "Chart"
    typed: bool = False  # opens a line to type into: what follows in the same burst is meant for that

    def binding(self) -> Binding:
        """As Textual wants it; the key line is our own, so none is shown by Textual."""
        names = ",".join(_NAMES.get(key, key) for key in self.keys)
        return Binding(names, self.action, self.text, show=False, priority=self.typed)  # before the next key is read

    @property
    def shown(self) -> str:
        """The keys as help writes them."""
        return " ".join(key for key in self.keys if key != "=")


GLOBAL = (
    Key(("Tab",), "next_pane", "go to the other pane", "pane", "Everywhere"),
    Key(("Esc",), "back", "one layer back: dialog, filter, maximised pane, list, screen", "", "Everywhere"),
    Key(("e",), "export", "export this view as a figure or a table", "export", "Everywhere"),
    Key(("r",), "reload", "read again from disk", "", "Everywhere"),
    Key(("t",), "app.next_theme", "next colour theme", "", "Everywhere"),
    Key(("?",), "app.help", "this help", "help", "Everywhere"),
    Key(("q",), "app.quit", "quit", "quit", "Everywhere"),
)

LIST = (
    Key(("↓", "j"), "move(1)", "next row", "", "Lists"),
    Key(("↑", "k"), "move(-1)", "previous row", "", "Lists"),
    Key(("g",), "move_to('first')", "first row", "", "Lists"),
    Key(("G",), "move_to('last')", "last row", "", "Lists"),
    Key(("PgDn",), "page(1)", "a page down", "", "Lists"),
    Key(("PgUp",), "page(-1)", "a page up", "", "Lists"),
    Key(("Enter",), "open", "open the row, or maximise its chart", "open", "Lists"),
    Key(("/",), "filter", "filter names: words, gl*b, /regex/, !not", "filter", "Lists", typed=True),
    Key(("a",), "arrange", "order of the list: as recorded, by name, by value, who went bad first", "", "Lists"),
    Key(("n",), "match(1)", "next match, from any pane", "", "Lists"),
    Key(("N",), "match(-1)", "previous match", "", "Lists"),
)

RUNS = (Key(("f",), "filter_settings", "filter by settings: lr>0.01 optimizer=adam", "settings", "Lists", typed=True),)

CHART = (
    Key(("←",), "column(-1)", "cursor a column to the left (pans when zoomed)"),
    Key(("→",), "column(1)", "cursor a column to the right"),
    Key((",",), "record(-1)", "previous recorded row"),
    Key((".",), "record(1)", "next recorded row", "row"),
    Key(("<",), "record(-10)", "10 recorded rows back"),
    Key((">",), "record(10)", "10 recorded rows on"),
    Key(("Home",), "end('first')", "first step"),
    Key(("End",), "end('last')", "last step; a growing run is followed"),
    Key((":",), "go_to_step", "go to a step", "step", typed=True),
    Key(("!",), "next_finding", "go to the next health finding", "finding"),
    Key(("[",), "entry(-1)", "previous entry"),
    Key(("]",), "entry(1)", "next entry", "entry"),
    Key(("+", "="), "zoom(1)", "zoom in around the cursor", "zoom"),
    Key(("-",), "zoom(-1)", "zoom out"),
    Key(("0",), "zoom(0)", "all steps"),
    Key(("l",), "log", "logarithmic values", "log"),
    Key(("x",), "time_axis", "x axis: step, epoch, time", "time"),
    Key(("s",), "smooth(1)", "smoother, the raw line stays behind", "smooth"),
    Key(("S",), "smooth(-1)", "less smooth"),
    Key(("o",), "outliers", "leave outliers outside the limits", "outliers"),
    Key(("L",), "limits", "set the limits of the values", typed=True),
    Key(("m",), "colours", "next colour map"),
    Key(("v",), "normalise", "normalise colours: global, per row, per step"),
    Key(("z",), "maximise", "maximise the chart and back", "maximise"),
    Key(("y",), "copy_value", "copy the values under the cursor", "copy"),
    Key(("Y",), "copy_command", "copy the command that makes this view"),
)

GRADIENTS = (
    Key(("M",), "sign_map", "sign map: ← → parameter, ↑ ↓ row, + - 0 zoom; again: back", "signs", "Gradients"),
    Key(("b",), "bad_first", "only the tensors that went bad, who was first; again: all", "bad first", "Gradients"),
)

OPEN_PAIR = Key(("Enter",), "open", "open the pair of layers under the cursor, unit by unit; Esc: back", "units")
CORRELATIONS = (
    Key(("u",), "clustered", "units in model order, or clustered by their correlation", "cluster", "Correlations"),
    Key(("M",), "all_pairs", "the units of all layers in one map; again: back", "all pairs", "Correlations"),
)


def bindings(*keys: Key) -> list[Binding]:
    """The bindings of these keys."""
    return [key.binding() for key in keys]
