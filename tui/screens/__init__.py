"""The screens, in the order of their number keys; a new one is a file and a line here."""

from __future__ import annotations

from tui.screens.correlations import Correlations
from tui.screens.gradients import Gradients
from tui.screens.layers import Layers
from tui.screens.overview import Overview
from tui.screens.page import Page
from tui.screens.runs import Runs

SCREENS: tuple[type[Page], ...] = (Runs, Overview, Layers, Gradients, Correlations)
