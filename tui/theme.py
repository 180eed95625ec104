"""Which colours do charts and screens share, on a dark and on a light background?"""

from __future__ import annotations

from dataclasses import dataclass

from textual.theme import Theme as TextualTheme


@dataclass(frozen=True)
class Theme:
    """The named colours, all "#rrggbb"; `series` is the qualitative palette, safe for colour-blind eyes."""

    name: str
    dark: bool
    background: str
    foreground: str
    muted: str  # labels and ticks
    grid: str
    accent: str  # the cursor, what is selected
    bad: str  # NaN, infinity, killed
    good: str
    series: tuple[str, ...]

    def textual(self) -> TextualTheme:
        """The same colours for Textual's widgets."""
        return TextualTheme(
            name=self.name,
            primary=self.series[0],
            secondary=self.series[2],
            accent=self.accent,
            warning=self.series[1],
            error=self.bad,
            success=self.good,
            foreground=self.foreground,
            background=self.background,
            surface=self.background,
            dark=self.dark,
        )


# Okabe and Ito's eight colours; black is replaced, dark ones are lifted on dark ground, pale ones sunk on light.
DARK = Theme(
    name="layerscope-dark",
    dark=True,
    background="#15171b",  # grey enough for Rich to find the same of 256 colours as charts do
    foreground="#d8dee6",
    muted="#8a94a3",
    grid="#2b313a",
    accent="#f5f7fa",
    bad="#ff5f5f",
    good="#3fc79a",
    series=("#56b4e9", "#e69f00", "#2fbf8f", "#e78ac3", "#f0e442", "#e8743b", "#8c9eff", "#b8bec7"),
)
LIGHT = Theme(
    name="layerscope-light",
    dark=False,
    background="#fbfaf7",
    foreground="#22262c",
    muted="#666e7a",
    grid="#dcdcd6",
    accent="#111418",
    bad="#c92a2a",
    good="#00795a",
    series=("#0072b2", "#d55e00", "#009e73", "#b3558c", "#b58900", "#7a4a2a", "#5a5fd0", "#5c636d"),
)
THEMES = (DARK, LIGHT)


def _ansi(theme: Theme, *, muted: str, grid: str, accent: str, bad: str, good: str, series: tuple[str, ...]) -> Theme:
    return Theme(theme.name, theme.dark, "", "", muted, grid, accent, bad, good, series)


# In 16 colours the user's terminal decides what they look like: "" is its own fore- and background.
ANSI_DARK = _ansi(
    DARK,
    muted="",
    grid="#555555",
    accent="#ffffff",
    bad="#ff5555",
    good="#55ff55",
    series=("#55ffff", "#ffff55", "#55ff55", "#ff55ff", "#5555ff", "#ffffff", "#00aaaa", "#aa5500"),
)
ANSI_LIGHT = _ansi(
    LIGHT,
    muted="",
    grid="#aaaaaa",
    accent="#000000",
    bad="#aa0000",
    good="#00aa00",
    series=("#0000aa", "#aa5500", "#00aa00", "#aa00aa", "#00aaaa", "#000000", "#5555ff", "#555555"),
)
