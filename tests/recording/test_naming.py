"""Processes that begin at the same moment never write one run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recorder.recording.naming import array_task
from recorder.runfile.listing import list_runs

ROOT = Path(__file__).parents[2]
TASK = """
import sys
from recorder.errors import RunExistsError
from recorder.recording.naming import writer_at
print("ready", flush=True)
sys.stdin.readline()
try:
    writer = writer_at(sys.argv[1], meta={})
    print(writer.path.name, flush=True)
except RunExistsError as error:
    print(error, flush=True)
    sys.exit(3)
sys.stdin.readline()
writer.close()
"""


def together(path: str, count: int, array: bool) -> list[tuple[int, str]]:
    """(exit status, what it said) of processes that all write to `path`."""
    tasks = []
    for k in range(count):
        slurm = {"SLURM_ARRAY_JOB_ID": "4711", "SLURM_ARRAY_TASK_ID": str(k)} if array else {}
        command = [sys.executable, "-c", TASK, path]
        environment = {**os.environ, **slurm}
        pipe = subprocess.PIPE
        tasks.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True))
    for task in tasks:
        assert task.stdout is not None
        assert task.stdout.readline() == "ready\n"
    for task in tasks:
        assert task.stdin is not None
        task.stdin.write("go\n")
        task.stdin.flush()
    said = [task.stdout.readline().strip() for task in tasks if task.stdout]
    for task in tasks:
        task.communicate("done\n")
    return [(task.returncode, text) for task, text in zip(tasks, said, strict=True)]


@pytest.mark.parametrize(("count", "array"), [(16, True), (5, False)])
def test_tasks_with_one_folder_have_a_run_each(tmp_path: Path, count: int, array: bool) -> None:
    told = together(f"{tmp_path}/", count, array)
    assert {code for code, _ in told} == {0}
    names = [name for _, name in told]
    assert len(set(names)) == count
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    assert sorted(record.path.name for record in list_runs(tmp_path)) == sorted(names)
    if array:
        assert all(f"-4711_{k}" in name for k, name in enumerate(names))


def test_of_many_that_ask_for_one_file_one_gets_it(tmp_path: Path) -> None:
    told = together(str(tmp_path / "a.h5"), 4, False)
    assert sorted(code for code, _ in told) == [0] + [3] * 3
    for code, text in told:
        assert code == 0 or "a.h5: a run is being recorded by process" in text
    assert os.listdir(tmp_path) == ["a.h5"]


def test_names_of_tasks_are_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "../x")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    assert array_task() == ""
