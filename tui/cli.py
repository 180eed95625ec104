"""What does `layerscope` do on the command line? Opens the explorer, or runs one of the commands.

Nothing heavy is imported here: each command imports what it needs when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from recorder.errors import LayerscopeError
from tui.commands import demo, explore, export, info, ls, measure, pack, repair

COMMANDS = {
    "demo": demo, "ls": ls, "info": info, "export": export, "measure": measure, "pack": pack, "repair": repair,
}  # fmt: skip


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status: 0, 1 for what went wrong, 2 for wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = COMMANDS.get(words[0]) if words else None
    try:
        if command is not None:
            parser = Parser(prog=f"layerscope {words[0]}", description=command.__doc__, formatter_class=_Help)
            command.arguments(parser)
            status = command.run(parser.parse_args(words[1:]))
        else:
            status = explore.run(_parser().parse_args(words))
        sys.stdout.flush()
    except LayerscopeError as error:
        print(f"layerscope: {_one_line(error)}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    return status


class _Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of a description."""


def _parser() -> Parser:
    commands = "\n".join(f"  {name:8}{(module.__doc__ or '').splitlines()[0]}" for name, module in COMMANDS.items())
    parser = Parser(
        prog="layerscope",
        description="Explore what was recorded inside a neural network while it trained.",
        epilog=f"commands:\n{commands}\n\nlayerscope COMMAND --help says more.",
        formatter_class=_Help,
    )
    explore.arguments(parser)
    return parser


def _one_line(error: LayerscopeError) -> str:
    from tui.words import plain

    return plain(" ".join(str(error).split()))


if __name__ == "__main__":
    sys.exit(main())
