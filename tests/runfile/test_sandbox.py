"""What a file does to HDF5 befalls the sandbox's child, and is one clear error here."""

from __future__ import annotations

import lzma
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.errors import RunFileError
from recorder.runfile import sandbox
from recorder.runfile.listing import list_runs
from recorder.runfile.reader import Run
from recorder.runfile.sandbox import Sandbox, UnavailableError
from recorder.runfile.schema import State
from tests.runfile.corpus import RUNS, good
from tests.runfile.runs import until, write

ROOT = Path(__file__).parents[2]
# A child whose HDF5 does to a file what the file's name says.
STUB = """
import os, signal, sys
sys.path[:] = [{root!r}, *__import__("json").loads(sys.argv[1])]
from recorder.runfile import sandboxed
count = 0
def answer(path):
    global count
    count += 1
    if path.name.startswith("crash") or path.name.startswith("spoilt") and count > 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.name.startswith("hang"):
        while True: pass
    if path.name.startswith("large"):
        bytearray(2 << 30)
    if path.name.startswith("killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    if path.name.startswith("chatty"):
        os.system("echo '{{}}'")
    return {{"count": count, "pid": os.getpid()}}
sandboxed.QUESTIONS = dict.fromkeys(("examine", "record"), answer)
sandboxed.SECONDS = 0.2
sandboxed.serve()
"""


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.setattr(sandbox, "SERVE", STUB.format(root=str(ROOT)))
    box = Sandbox()
    monkeypatch.setattr(sandbox, "_sandbox", box)
    yield box
    box.close()


def a_file(path: Path) -> Path:
    path.write_bytes(b"x")
    return path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("crash.h5", r"crash.h5: is damaged, or made to do harm: HDF5 crashes over it \(SIGSEGV\)"),
        ("hang.h5", "hang.h5: is damaged, or made to do harm: HDF5 comes to no end with it"),
        ("large.h5", r"large.h5: is damaged \(MemoryError"),
        ("killed.h5", "was killed"),
    ],
)
def test_what_ends_the_child_is_an_error_and_the_next_file_is_read(
    tmp_path: Path, stub: Sandbox, name: str, said: str
) -> None:
    with pytest.raises(RunFileError, match=said):
        stub.ask("examine", a_file(tmp_path / name))
    assert stub.ask("examine", a_file(tmp_path / "good.h5"))["count"] <= 2
    with pytest.raises(RunFileError, match=said):
        stub.ask("examine", tmp_path / name)
    assert stub.ask("examine", tmp_path / "good.h5")["count"] >= 1


def test_a_file_that_ended_a_child_is_not_tried_again_until_it_changes(tmp_path: Path, stub: Sandbox) -> None:
    path = a_file(tmp_path / "crash.h5")
    with pytest.raises(RunFileError, match="crashes"):
        stub.ask("examine", path)
    before = stub.ask("examine", a_file(tmp_path / "good.h5"))
    with pytest.raises(RunFileError, match="crashes"):
        stub.ask("examine", path)
    assert stub.ask("examine", tmp_path / "good.h5") == {**before, "count": before["count"] + 1}
    path.write_bytes(b"another")
    with pytest.raises(RunFileError, match="crashes"):
        stub.ask("examine", path)
    assert stub.ask("examine", tmp_path / "good.h5")["pid"] != before["pid"]


def test_what_an_earlier_file_did_to_the_child_is_not_held_against_the_next(tmp_path: Path, stub: Sandbox) -> None:
    stub.ask("examine", a_file(tmp_path / "good.h5"))
    assert stub.ask("examine", a_file(tmp_path / "spoilt.h5"))["count"] == 1


def test_what_a_library_prints_is_no_answer(tmp_path: Path, stub: Sandbox) -> None:
    for count in (1, 2):
        assert stub.ask("examine", a_file(tmp_path / "chatty.h5"))["count"] == count


def test_the_list_goes_on_after_what_ends_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = 'import os; real = sandboxed.QUESTIONS["record"]\n'
    crash += 'sandboxed.QUESTIONS["record"] = lambda p: os.abort() if p.name == "b.h5" else real(p)\n'
    code = STUB.format(root=str(ROOT)).partition("count = 0")[0] + crash + "sandboxed.serve()"
    monkeypatch.setattr(sandbox, "SERVE", code)
    monkeypatch.setattr(sandbox, "_sandbox", Sandbox())
    for name in "abc":
        write(tmp_path / f"{name}.h5", 5)
    found = {record.name: record for record in list_runs(tmp_path)}
    assert {name: record.state for name, record in found.items()} == {
        "a": State.DONE, "b": State.DAMAGED, "c": State.DONE,
    }  # fmt: skip
    assert "HDF5 crashes over it (SIGABRT)" in found["b"].error
    sandbox._sandbox.close()


def test_a_forged_file_that_crashes_hdf5(tmp_path: Path) -> None:
    """Found by benchmarks/hostile.py --forged: HDF5 2.0 dies of it, another version may only refuse it."""
    (tmp_path / "a.h5").write_bytes(lzma.decompress((ROOT / "tests/fixtures/crashes-hdf5-2.0.h5.xz").read_bytes()))
    write(tmp_path / "b.h5", 5)
    with pytest.raises(RunFileError, match="is damaged"):
        Run.open(tmp_path / "a.h5")
    found = {record.name: record.state for record in list_runs(tmp_path)}
    assert found == {"a": State.DAMAGED, "b": State.DONE}


def test_where_no_child_can_be_started_a_file_is_checked_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SERVE", "raise SystemExit(1)")
    monkeypatch.setattr(sandbox, "_sandbox", Sandbox())
    write(tmp_path / "a.h5", 40)
    with pytest.raises(UnavailableError):
        sandbox.ask("examine", tmp_path / "a.h5")
    with Run.open(tmp_path / "a.h5") as run:
        assert run.steps == 40
    (record,) = list_runs(tmp_path)
    assert (record.state, record.steps) == (State.DONE, 40)
    bad = good(tmp_path / "bad")
    RUNS["a short chunk"].build(bad)
    with pytest.raises(RunFileError, match="takes 90 in the file"):
        Run.open(bad)


def test_a_run_of_ones_own_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Sandbox()
    monkeypatch.setattr(sandbox, "_sandbox", box)
    write(tmp_path / "a.h5", 40)
    with Run.open(tmp_path / "a.h5", trusted=True) as run:
        assert run.steps == 40
    assert box._process is None


def test_what_was_found_sound_is_not_tried_again_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    real = Sandbox.ask

    def ask(box: Sandbox, question: str, path: Path, *also: Path) -> dict[str, object]:
        asked.append(path)
        return real(box, question, path, *also)

    monkeypatch.setattr(Sandbox, "ask", ask)
    write(tmp_path / "a.h5", 40)
    for _ in range(3):
        Run.open(tmp_path / "a.h5").close()
    assert len(asked) == 1
    os.utime(tmp_path / "a.h5", (0, 0))
    Run.open(tmp_path / "a.h5").close()
    assert len(asked) == 2


def test_beginning_costs_neither_numpy_nor_h5py() -> None:
    code = "import sys; from recorder.runfile import sandbox; print({'numpy', 'h5py'} & {*sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said == "set()\n"


def test_nothing_is_imported_from_where_the_user_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's folder may hold more than runs."""
    for name in ("json", "numpy", "recorder", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'was here')!r}, 'w')")
    write(tmp_path / "a.h5", 5)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    box = Sandbox()
    box.ask("examine", Path("a.h5"))
    box.close()
    assert not (tmp_path / "was here").exists()


def test_a_relative_path_means_the_folder_of_the_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in (1, 2):
        folder = tmp_path / str(k)
        folder.mkdir()
        write(folder / f"{k}.h5", k)
        monkeypatch.chdir(folder)
        assert [(record.name, record.steps) for record in list_runs(".")] == [(str(k), k)]
        Run.open(f"{k}.h5").close()


OPENS = """
import os, sys, time
from recorder.runfile import sandbox
from recorder.runfile.reader import Run
Run.open(sys.argv[1])
print(sandbox._sandbox._process.pid, flush=True)
if len(sys.argv) > 2: os.kill(os.getpid(), int(sys.argv[2]))
"""


@pytest.mark.parametrize("ending", [[], [str(int(signal.SIGKILL))], [str(int(signal.SIGTERM))]])
def test_the_child_ends_with_its_parent(tmp_path: Path, ending: list[str]) -> None:
    write(tmp_path / "a.h5", 5)
    command = [sys.executable, "-c", OPENS, str(tmp_path / "a.h5"), *ending]
    pid = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    until(lambda: not is_there(int(pid)))


def is_there(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_forked_process_has_a_child_of_its_own(tmp_path: Path) -> None:
    code = """
import os, sys
from recorder.runfile import sandbox
from recorder.runfile.reader import Run
Run.open(sys.argv[1] + "/a.h5")
ours = sandbox._sandbox._process.pid
child = os.fork()
if not child:
    Run.open(sys.argv[1] + "/b.h5")
    os._exit(sandbox._sandbox._process.pid == ours)
assert os.waitpid(child, 0)[1] == 0
Run.open(sys.argv[1] + "/c.h5")
assert sandbox._sandbox._process.pid == ours
print("well")
"""
    for name in "abc":
        write(tmp_path / f"{name}.h5", 5)
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout == "well\n"
