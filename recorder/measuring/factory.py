"""What is behind "package.module:factory"? Imported from the current folder or from what is installed, and called."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from types import TracebackType
from typing import Any

from recorder.errors import RecordError, in_words


def made(given: Any, what: str, *, is_one: Callable[[Any], bool] = lambda _: False) -> Any:
    """What a factory makes, given as "package.module:name" or as itself; anything else is taken as it is.

    `is_one` tells what is wanted already and is not to be called, as a model is, which can be called as well.
    RecordError where it cannot be found, cannot be called without arguments, or fails.
    """
    found = imported(given, what) if isinstance(given, str) else given
    if isinstance(found, type) or (callable(found) and not is_one(found)):
        return _called(found, what, given if isinstance(given, str) else getattr(found, "__qualname__", repr(found)))
    return found


def imported(text: str, what: str) -> Any:
    """What stands at "package.module:name"; the current folder can be imported from."""
    module, colon, name = text.partition(":")
    if not (module and colon and name) or not all(
        part.isidentifier() for part in [*module.split("."), *name.split(".")]
    ):
        raise RecordError(f"{what} {text!r}: expected package.module:name, as in train:make_model")
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise RecordError(f"{what} {text}: {module} needs {error.name}, which is not installed here") from None
        raise RecordError(f"{what} {text}: there is no module {error.name!r} in {here}, nor is one installed") from None
    except Exception as error:
        raise RecordError(f"{what} {text}: importing {module} failed: {_said(error)}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            near = get_close_matches(part, [n for n in dir(found) if not n.startswith("_")], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise RecordError(f"{what} {text}: {module} has no {part!r}{hint}")
        found = getattr(found, part)
    return found


def _called(factory: Any, what: str, name: str) -> Any:
    try:
        wanted = list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):  # of some builtins
        wanted = []
    required = [p.name for p in wanted if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if required:
        raise RecordError(
            f"{what} {name}: cannot be called without arguments, it requires {', '.join(required)}; give a function of "
            "no arguments that makes it"
        )
    try:
        return factory()
    except Exception as error:
        raise RecordError(f"{what} {name}: failed: {_said(error)}") from error


def _said(error: BaseException) -> str:
    """What went wrong, and where in the user's code."""
    frames = traceback.extract_tb(_behind(error.__traceback__))
    where = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return in_words(error) + where


def _behind(trace: TracebackType | None) -> TracebackType | None:
    """The trace without the frames of importing and of this module."""
    while trace is not None and (
        trace.tb_frame.f_code.co_filename == __file__ or "importlib" in trace.tb_frame.f_code.co_filename
    ):
        trace = trace.tb_next
    return trace
