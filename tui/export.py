"""How does a view become a file: named, whole or not at all, never over something else, with its numbers beside it?"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from recorder.errors import ExportError
from recorder.number import size

if TYPE_CHECKING:  # numpy and matplotlib are imported when a figure is drawn: half a second
    from recorder.chart import View
    from tui.paper import Format, PresetName

FORMATS = ("pdf", "svg", "png")
PRESETS = ("single", "double", "slide")
LONGEST = 80  # characters of one part of a file's name


class ExistsError(ExportError):
    """A file is in the way."""


@dataclass(frozen=True)
class Written:
    """A file that was written: where, and how large it is."""

    path: Path  # absolute
    size: int  # bytes

    def __str__(self) -> str:
        return f"{self.path} ({size(self.size)})"

    @property
    def scp(self) -> str:
        """The command that fetches the file from another machine."""
        return f"scp {getpass.getuser()}@{host()}:{shlex.quote(str(self.path))} ."


def host() -> str:
    """What other machines call this one, as far as it knows."""
    name = socket.getfqdn()
    return socket.gethostname() if not name or "localhost" in name else name


def export(
    view: View,
    path: Path | str,
    *,
    format: Format | None = None,
    preset: PresetName | None = None,
    style: str | Path | None = None,
    colours: str | None = None,
    force: bool = False,
    csv: bool = False,
    caption: bool = False,
    letters: bool = False,
) -> tuple[Written, ...]:
    """Write the view's figure to `path`; on request its numbers (.csv) and its caption (.txt) beside it.

    The format is that of the path's ending unless given. Nothing is written when one of the files exists, unless
    `force`d; each file appears whole or not at all.
    """
    path = Path(path).expanduser().absolute()
    chosen = format or format_of(path)
    files: dict[Path, Callable[[], bytes]] = {path: lambda: _figure(view, chosen, preset, style, colours, letters)}
    if csv:
        from recorder.charting.columns import columns

        tables = columns(view)
        stems = [path.stem] if len(tables) == 1 else [f"{path.stem}-{k + 1}" for k in range(len(tables))]
        for stem, table in zip(stems, tables, strict=True):
            files[path.with_name(f"{stem}.csv")] = lambda table=table: table.csv().encode()  # type: ignore[misc]
    if caption:
        files[path.with_name(f"{path.stem}.txt")] = lambda: f"{view.caption}\n".encode()
    if not force:
        for file in files:
            check_free(file)
    return tuple(_write(file, content()) for file, content in files.items())


def check_free(file: Path) -> None:
    """ExistsError where there is a file, or a link, of that name."""
    if os.path.lexists(file):
        raise ExistsError(f"{file} exists already; nothing was written. Choose another path or overwrite with --force")


def stem(entry: str, *, item: str | None = None, step: int | None = None) -> str:
    """A safe name without an ending: gradient_norm-layer0.weight-step-500."""
    parts = [entry, *([item] if item is not None else []), *([f"step-{step}"] if step is not None else [])]
    return "-".join(map(_safe, parts))


def file_name(entry: str, *, item: str | None = None, step: int | None = None, format: str = "pdf") -> str:
    """A safe name: gradient_norm-layer0.weight-step-500.pdf."""
    return f"{stem(entry, item=item, step=step)}.{format}"


def one_file(output: str | None, name: str) -> Path:
    """Where one file goes: as it is wanted, or under its own name into the folder that is wanted, or here."""
    path = Path(output or name).expanduser().absolute()
    return path / name if output and (output.endswith(os.sep) or path.is_dir()) else path


def format_of(path: Path) -> Format:
    """The format that a path's ending asks for."""
    match path.suffix.lower():
        case ".pdf":
            return "pdf"
        case ".svg":
            return "svg"
        case ".png":
            return "png"
        case ending:
            found = f"ends in {ending!r}" if ending else "has no ending"
            raise ExportError(f"{path} {found}; a figure's format is one of {', '.join(FORMATS)}")


def _figure(
    view: View,
    format: Format,
    preset: PresetName | None,
    style: str | Path | None,
    colours: str | None,
    letters: bool,
) -> bytes:
    from tui.paper import image

    try:
        return image(view, format, preset=preset, style=style, colours=colours, letters=letters)
    except (ArithmeticError, ValueError) as error:  # numbers at the ends of what a float can hold
        raise ExportError(f"{view.title}: cannot be drawn ({error}); a window, limits or log may help") from error


def _safe(text: str) -> str:
    """Letters, digits, dot, dash and underscore; what is too long ends in a digest, so that names stay different."""
    safe = re.sub(r"[^\w.\-]+", "_", text, flags=re.ASCII).strip("._") or "unnamed"
    if len(safe) > LONGEST:
        safe = f"{safe[: LONGEST - 9]}-{blake2b(text.encode(), digest_size=4).hexdigest()}"
    return safe


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write into that appears at `path` once it is whole, or not at all; ExportError says why."""
    partial = path.with_name(f".{path.name[-100:]}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise ExportError(f"{path} cannot be written: {error.strerror or error}") from error
        raise


def _write(path: Path, content: bytes) -> Written:
    with whole(path) as file:
        file.write(content)
    return Written(path, len(content))
