"""A place survives being written and read; anything else on the disk is no reason to fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.state import Options, Place, load, save, state_file

PLACES = st.builds(
    Place,
    screen=st.sampled_from(["", "runs", "layers"]),
    run=st.text(),
    chosen=st.dictionaries(st.text(), st.text(), max_size=3),
    item=st.text(),
    step=st.none() | st.integers(0, 2**60),
    lo=st.none() | st.integers(0, 2**60),
    x=st.sampled_from(["step", "epoch", "time"]),
    order=st.sampled_from(["recorded", "name", "value", "first bad"]),
    maximised=st.booleans(),
    filters=st.dictionaries(st.text(), st.text(), max_size=3),
    options=st.builds(
        Options,
        log=st.none() | st.booleans(),
        smoothing=st.floats(0, 0.99),
        limits=st.none() | st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
        normalise=st.sampled_from(["global", "row", "column"]),
    ),
)


@given(place=PLACES)
def test_what_is_saved_is_loaded(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("place") / "state" / "x.json"
    save(place, file)
    assert load(file) == place
    assert [f.name for f in file.parent.iterdir()] == ["x.json"]


FIELDS = sorted(vars(Place()) | vars(Options()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=8,
)


@given(found=JSON)
def test_a_foreign_file_gives_a_place_of_the_right_types(found: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("place") / "x.json"
    file.write_text(json.dumps(found))
    place = load(file)
    save(place, file)
    assert load(file) == place


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"screen": 3, "step": "x"}'])
def test_a_damaged_file_gives_the_defaults(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    assert load(file) == Place()


def test_no_file_and_no_right_to_write_are_fine(tmp_path: Path) -> None:
    assert load(tmp_path / "none.json") == Place()
    (tmp_path / "file").write_text("")
    save(Place(), tmp_path / "file" / "below" / "x.json")


def test_each_opened_path_has_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"XDG_STATE_HOME": str(tmp_path)}
    monkeypatch.chdir(tmp_path)
    files = {state_file(Path(name), environment) for name in ("a.h5", "b.h5", "./a.h5", str(tmp_path / "a.h5"))}
    assert len(files) == 2
    assert all(file.parent == tmp_path / "layerscope" for file in files)
    assert str(state_file(Path("a"), {"HOME": "/home/me"})).startswith("/home/me/.local/state/layerscope/")
