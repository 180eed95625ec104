"""Provenance: what a run says of its origin is true, JSON-safe, and found without importing anything."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.recording.provenance import provenance, settings

json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@dataclass
class Config:
    lr: float = 0.1
    sizes: tuple[int, ...] = (3, 4)
    inner: dict = field(default_factory=lambda: {"path": Path("data")})


class DictConfig:
    """As OmegaConf's: a mapping by its methods only."""

    def __init__(self, **values):
        self._values = values

    def items(self):
        return self._values.items()


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (None, {}),
        ({"lr": 0.1, 3: [1, (2,)]}, {"lr": 0.1, "3": [1, [2]]}),
        (Namespace(lr=0.1, path=Path("x")), {"lr": 0.1, "path": "x"}),
        (Config(), {"lr": 0.1, "sizes": [3, 4], "inner": {"path": "data"}}),
        (DictConfig(a=1, b=DictConfig(c=2)), {"a": 1, "b": {"c": 2}}),
        ({"n": np.float32(0.5), "inf": float("inf"), "nan": float("nan")}, {"n": 0.5, "inf": "inf", "nan": "nan"}),
        ("a note", {"meta": "a note"}),
    ],
)
def test_settings_of_every_kind_become_plain_data(given_, expected):
    assert settings(given_) == expected


@given(json_like)
def test_settings_are_always_json(given_):
    json.dumps(settings(given_), allow_nan=False)


def test_command_host_versions_and_seed():
    import torch

    found = provenance({"lr": 1})
    json.dumps(found, allow_nan=False)
    assert found["command"] == sys.orig_argv
    assert found["versions"]["numpy"] == np.__version__
    assert found["seeds"]["torch"] == torch.initial_seed()
    assert found["config"] == {"lr": 1}


def test_asking_leaves_the_random_state_alone():
    import torch

    before = torch.get_rng_state()
    provenance()
    assert torch.equal(before, torch.get_rng_state())


def test_slurm(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_SOMETHING_SECRET", "x")
    slurm = provenance()["slurm"]
    assert slurm == {"slurm_job_id": "77", "slurm_array_task_id": "3"}


def test_git_commit_and_whether_it_is_what_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert provenance()["git"] == {}

    def git(*arguments):
        identity = ("-c", "user.name=n", "-c", "user.email=e@x")
        return subprocess.run(("git", *identity, *arguments), check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q", "-b", "trunk")
    Path("train.py").write_text("1")
    git("add", "train.py")
    git("commit", "-q", "-m", "first")
    found = provenance()["git"]
    assert found == {"commit": git("rev-parse", "HEAD"), "branch": "trunk", "dirty": False}
    Path("train.py").write_text("2")
    assert provenance()["git"]["dirty"] is True


def test_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance()["git"] == {}
