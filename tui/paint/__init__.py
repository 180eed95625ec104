"""How a Chart becomes cells of a terminal, one idea a file; `tui.terminal` is the door."""
