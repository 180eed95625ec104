"""Which names, and which runs, does a filter keep? And in what order do names stand?

A name filter is words that must all hold: `conv` (substring), `layer?.weight` (glob over the whole name), `/re+gex/`,
and `!word` for the opposite. Lower case matches either case. A settings filter asks the run's own settings:
`lr>0.01 optimizer=adam`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Test = Callable[[str], bool]


class FilterError(ValueError):
    """A filter that cannot be understood; its text says what is wrong with which word."""


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts layer2 before layer10, without regard to case; equal keys fall back to the spelling."""
    parts = re.split(r"(\d+)", name)
    key = [(0, int(p), "") if p.isdecimal() else (1, 0, p.casefold()) for p in parts if p]
    return (*key, (2, 0, name))


def name_filter(text: str) -> Test:
    """The test that a filter's text stands for; the empty text keeps every name. Raises FilterError."""
    text = text.strip()
    whole = len(text) > 2 and text.startswith(("/", "!/")) and text.endswith("/") and " /" not in text[2:]
    tests = [_word(word) for word in ([text] if whole else text.split())]
    return tests[0] if len(tests) == 1 else lambda name: all(test(name) for test in tests)


def _word(word: str) -> Test:
    if word.startswith("!") and len(word) > 1:
        inner = _word(word[1:])
        return lambda name: not inner(name)
    if len(word) > 2 and word.startswith("/") and word.endswith("/"):
        return _regex(word[1:-1], word)
    if "*" in word or "?" in word:
        # Only * and ? are special: names such as `block[0]` are common, and [0] must stay what it is.
        glob = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in word)
        return _regex(rf"\A{glob}\Z", word)
    return _regex(re.escape(word), word)


def _regex(pattern: str, word: str) -> Test:
    flags = re.IGNORECASE if word == word.lower() else re.NOFLAG
    try:
        compiled = re.compile(pattern, flags | re.DOTALL)
    except re.error as error:
        raise FilterError(f"{word}: {error}") from None
    return lambda name: compiled.search(name) is not None


# -- settings of runs --------------------------------------------------------------------------------------------------

_CONDITION = re.compile(r"(?P<key>[^\s<>=!~]+)\s*(?P<sign><=|>=|!=|==|=|<|>|~)\s*(?P<value>\"[^\"]*\"|'[^']*'|\S+)")
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Condition:
    """One comparison such as lr>0.01; `~` asks whether the value contains the text."""

    key: str
    sign: str
    value: str

    def holds(self, settings: Mapping[str, Any]) -> bool:
        """Whether any setting of that name (`lr` also finds `optimizer.lr`) compares so; a missing one only fits !=."""
        wanted = self.key.casefold()
        found = [v for k, v in settings.items() if k.casefold() == wanted]
        found = found or [v for k, v in settings.items() if k.casefold().endswith(f".{wanted}")]
        if self.sign == "!=":
            return not any(self._equal(v) for v in found)
        return any(self._compare(v) for v in found)

    def _equal(self, found: Any) -> bool:
        a, b = _number(found), _number(self.value)
        return a == b if a is not None and b is not None else str(found).casefold() == self.value.casefold()

    def _compare(self, found: Any) -> bool:
        if self.sign == "~":
            return self.value.casefold() in str(found).casefold()
        if self.sign in ("=", "=="):
            return self._equal(found)
        a, b = _number(found), _number(self.value)
        return a is not None and b is not None and _ORDER[self.sign](a, b)


def settings_filter(text: str) -> Callable[[Mapping[str, Any]], bool]:
    """The test of a run's flat settings that a text such as `lr>0.01 optimizer=adam` stands for. Raises FilterError."""
    conditions = [
        Condition(m["key"], m["sign"], m["value"].strip("\"'") if m["value"][0] in "\"'" else m["value"])
        for m in _CONDITION.finditer(text)
    ]
    if rest := _CONDITION.sub("", text).strip():
        raise FilterError(f"{rest}: expected comparisons such as lr>0.01 optimizer=adam seed!=1 name~conv")
    return lambda settings: all(condition.holds(settings) for condition in conditions)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names: {"optimizer": {"lr": 1}} -> {"optimizer.lr": 1}."""
    out: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            out |= flat(value, f"{name}.")
        else:
            out[name] = value
    return out


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def wrong_names(text: str) -> str:
    """What is wrong with a name filter; "" where nothing is."""
    return _wrong(name_filter, text)


def wrong_settings(text: str) -> str:
    """What is wrong with a settings filter; "" where nothing is."""
    return _wrong(settings_filter, text)


def _wrong(parse: Callable[[str], object], text: str) -> str:
    try:
        parse(text)
    except FilterError as error:
        return str(error)
    return ""
