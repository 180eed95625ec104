"""Compilation is cached on disk, and done before the first step: a fresh process compiles nothing at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.analysis.compiling import trained

ROOT = Path(__file__).parents[2]


def test_nothing_is_compiled_in_a_step_and_nothing_twice(tmp_path):
    trained(tmp_path / "first.h5")  # whoever is first on this machine fills the cache
    module = [sys.executable, "-m", "tests.analysis.compiling"]
    done = subprocess.run([*module, tmp_path / "second.h5"], cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert "fused" in found["entry"]
    assert found["later"] == found["entry"]
    assert found["misses"] == 0
