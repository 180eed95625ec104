"""Is what a user names found, or is it said what is wrong with it?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from recorder.errors import RecordError
from recorder.measuring.factory import made
from recorder.measuring.model import cannot_make

CODE = """
DATA = [1, 2, 3]
class Net:
    parameters = ()
    made = 0
    def __init__(self, units=4):
        self.units = units
    def __call__(self, x):
        raise AssertionError("a model is not called")
net = Net(units=7)
def factory():
    return Net()
def needs(rate, *, units, depth=2):
    return Net()
def fails():
    broken = {}
    return broken["weights"]
class Outer:
    @staticmethod
    def inner():
        return 5
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_code.py").write_text(CODE)
    (tmp_path / "their_missing.py").write_text("import there_is_no_such_package\n")
    (tmp_path / "their_error.py").write_text("x = 1\ny = x / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    yield
    for name in ("their_code", "their_missing", "their_error"):
        sys.modules.pop(name, None)


def model(one: object) -> bool:
    return hasattr(one, "parameters")


def test_functions_and_classes_are_called_and_everything_else_is_taken_as_it_is() -> None:
    assert made("their_code:factory", "model", is_one=model).units == 4
    assert made("their_code:Net", "model", is_one=model).units == 4
    assert made("their_code:net", "model", is_one=model).units == 7
    assert made("their_code:Outer.inner", "data") == 5
    assert made("their_code:DATA", "data") == [1, 2, 3]
    assert made(lambda: 3, "data") == 3
    assert made([4], "data") == [4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("their_code", r"model 'their_code': expected package.module:name, as in train:make_model"),
        ("their_code:", r"expected package.module:name"),
        ("their code:x", r"expected package.module:name"),
        (
            "no_such_module:x",
            r"model no_such_module:x: there is no module 'no_such_module' in /.*, nor is one installed",
        ),
        ("their_code.part:x", r"there is no module 'their_code.part'|their_code.part"),
        ("their_missing:x", r"their_missing needs there_is_no_such_package, which is not installed here"),
        (
            "their_error:x",
            r"importing their_error failed: ZeroDivisionError: division by zero \(their_error.py, line 2\)",
        ),
        ("their_code:factry", r"their_code has no 'factry'; did you mean 'factory'\?"),
        ("their_code:needs", r"cannot be called without arguments, it requires rate, units; give a function of no arg"),
        ("their_code:fails", r"model their_code:fails: failed: KeyError: 'weights' \(their_code.py, line 17\)"),
    ],
)
def test_mistakes_are_said(text: str, said: str) -> None:
    with pytest.raises(RecordError, match=said):
        made(text, "model", is_one=model)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("package.nets:Net", ""),
        ({"G": "package.nets:G", "D": "package.nets:D"}, ""),
        (None, "the run does not say"),
        ("__main__:Net", "its class Net was defined in the script that trained"),
        ({"G": "package.nets:G", "D": "__main__:D"}, "its class D was defined in the script"),
        ("torch.nn.modules.container:Sequential", "it is a Sequential of torch"),
        ("nets:make.<locals>.Net", "was defined inside of a function"),
    ],
)
def test_why_a_recorded_class_is_not_made_again(path: object, said: str) -> None:
    assert said in cannot_make(path)
    assert bool(cannot_make(path)) == bool(said)
