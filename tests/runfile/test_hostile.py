"""A file from a stranger does no harm: through every door one clear error or a safe view, nothing from outside."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.hostile import flipped
from recorder.errors import RunFileError
from recorder.runfile.listing import list_runs
from recorder.runfile.reader import Run
from recorder.runfile.schema import State
from tests.runfile.corpus import KILLED, RUNS, VIEW, Bad, good, killed, redeclare
from tests.runfile.doors import MEMORY, SECRET, Child, Outcome
from tests.runfile.runs import norms

READING = ("open", "ls", "info", "pack", "repair")
DRAWING = ("charts", "export")  # by matplotlib, which takes memory of its own
DRAWN = {
    "names that steer a terminal",
    "numbers at their ends",
    "a clock gone mad",
    "an external link",
    "external data",
}


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good run of each kind, to be spoilt."""
    folder = tmp_path_factory.mktemp("templates")
    return {"good": good(folder / "good").parent, "killed": killed(folder / "killed").parent}


@pytest.fixture(scope="module")
def reader() -> Iterator[Child]:
    with Child(memory=MEMORY) as child:
        yield child


@pytest.fixture(scope="module")
def painter() -> Iterator[Child]:
    with Child() as child:
        yield child


def harmless(outcome: Outcome) -> None:
    """What holds of every file."""
    assert not outcome.end
    assert not outcome.faults
    assert not outcome.leaks


ALL = [*(("good", name, bad) for name, bad in RUNS.items()), *(("killed", name, bad) for name, bad in KILLED.items())]


def spoilt(tmp_path: Path, template: Path, bad: Bad) -> Path:
    path = shutil.copytree(template, tmp_path / "runs") / "run.h5"
    bad.build(path)
    return path


@pytest.mark.parametrize(("kind", "name", "bad"), ALL, ids=[name for _, name, _ in ALL])
def test_every_door_gives_one_clear_error_or_a_safe_view(
    tmp_path: Path, templates: dict[str, Path], reader: Child, kind: str, name: str, bad: Bad
) -> None:
    outcome = reader.look(spoilt(tmp_path, templates[kind], bad), *READING)
    harmless(outcome)
    assert outcome.peak < MEMORY
    assert outcome.doors["ls"] == VIEW
    if bad.said == VIEW:
        assert outcome.doors["open"] == VIEW
    else:
        assert any(re.search(bad.said, said) for said in outcome.doors.values()), outcome.doors


@pytest.mark.parametrize(
    ("kind", "bad"), [(k, b) for k, n, b in ALL if n in DRAWN], ids=[n for _, n, _ in ALL if n in DRAWN]
)
def test_what_is_drawn_and_exported_holds_to_it_too(
    tmp_path: Path, templates: dict[str, Path], painter: Child, kind: str, bad: Bad
) -> None:
    outcome = painter.look(spoilt(tmp_path, templates[kind], bad), *DRAWING)
    harmless(outcome)


def test_the_doors_see_what_they_should(tmp_path: Path, reader: Child) -> None:
    """A door that hides a leak or a fault would make every other test here worthless."""
    path = good(tmp_path / "runs")
    redeclared = json.dumps({"framework": SECRET.decode()}).encode()
    with h5py.File(path, "r+") as file:
        redeclare(file, redeclared, "meta")
    assert set(reader.look(path, "open", "ls", "info", "pack").leaks) >= {"open", "ls", "info", "pack"}


@pytest.mark.parametrize("kind", ["good", "killed"])
def test_a_file_cut_anywhere_is_refused_or_shown_as_far_as_it_goes(
    tmp_path: Path, templates: dict[str, Path], kind: str
) -> None:
    whole = templates[kind]
    for file in (p.relative_to(whole) for p in sorted(whole.rglob("*")) if p.is_file()):
        size = (whole / file).stat().st_size
        here = shutil.copytree(whole, tmp_path / file.name)
        for cut in range(size - 1, -1, -97 if file.name == "run.h5" else -max(1, size // 20)):
            os.truncate(here / file, cut)
            with contextlib.suppress(RunFileError), Run.open(here / "run.h5") as run:
                rows, steps = run.values("gradient_norm"), run.clock("gradient_norm").step
                np.testing.assert_array_equal(rows, [norms(k) for k in steps])


@settings(max_examples=100, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_flipped_bytes_do_no_harm(
    tmp_path_factory: pytest.TempPathFactory, templates: dict[str, Path], reader: Child, seed: int
) -> None:
    """A small edition of benchmarks/hostile.py."""
    chance = random.Random(seed)
    whole = templates[chance.choice(("good", "killed"))]
    here = shutil.copytree(whole, tmp_path_factory.getbasetemp() / "flipped" / "runs", dirs_exist_ok=True)
    try:
        victim = chance.choice(sorted(p for p in here.rglob("*") if p.is_file()))
        victim.write_bytes(flipped(victim.read_bytes(), chance, []))
        outcome = reader.look(here / "run.h5", "open", "ls")
    finally:
        shutil.rmtree(here)
    harmless(outcome)
    assert outcome.peak < MEMORY


def test_an_edge_that_hdf5_would_not_unpack_is_unpacked(tmp_path: Path, templates: dict[str, Path]) -> None:
    """HDF5 takes the packed bytes, and the memory behind them, for rows."""
    path = spoilt(tmp_path, templates["good"], RUNS["a packed edge"])
    with Run.open(path) as run:
        assert not run.values("weight_histogram").any()
        assert run.values("gradient_norm").any()


def test_the_list_shows_what_is_damaged_and_goes_on(tmp_path: Path, templates: dict[str, Path]) -> None:
    for k, (kind, _, bad) in enumerate(ALL):
        spoilt(tmp_path / f"{k:02}", templates[kind], bad)
    found = {record.path.parent.parent.name: record for record in list_runs(tmp_path)}
    for k, (_, name, bad) in enumerate(ALL):
        record = found.get(f"{k:02}")
        if record is not None and record.state is State.DAMAGED:
            assert bad.said != VIEW, (name, record.error)
            assert re.search(bad.said, record.error), (name, record.error)
    damaged = [record for record in found.values() if record.state is State.DAMAGED]
    assert len(damaged) > 40
