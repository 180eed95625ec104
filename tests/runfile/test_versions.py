"""A run written with one h5py is read with another, both ways."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recorder.runfile.reader import Run
from tests.runfile.runs import write
from tests.runfile.test_writer import check

OTHER = "3.14.0"
ROOT = Path(__file__).parents[2]

SCRIPT = """
import sys
from pathlib import Path
import h5py
assert h5py.__version__ == {version!r}, h5py.__version__
from recorder.runfile.reader import Run
from tests.runfile.runs import write
from tests.runfile.test_writer import check
folder = Path(sys.argv[1])
for name in ("sealed", "live"):
    with Run.open(folder / name) as run:
        check(run, 120)
write(folder / "older.h5", 120)
live = write(folder / "older_live.h5", 120, close=False)
print("ready", flush=True)
sys.stdin.readline()
live.close()
"""


@pytest.fixture(scope="module")
def other(request: pytest.FixtureRequest) -> Path:
    """A folder with the other h5py: prepared by the Makefile, or here and kept for the next time."""
    given = os.environ.get("H5PY_OTHER")
    folder = Path(given) if given else ROOT / ".venv-h5py314"
    if not (folder / "h5py").is_dir():
        folder = request.config.cache.mkdir(f"h5py-{OTHER}")
    if not (folder / "h5py").is_dir():
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            str(folder),
            f"h5py=={OTHER}",
        ]
        subprocess.run(pip, check=True, timeout=300)
    return folder.resolve()


def test_two_versions_of_h5py_read_each_other(tmp_path: Path, other: Path) -> None:
    write(tmp_path / "sealed.h5", 120)
    live = write(tmp_path / "live.h5", 120, close=False)
    environment = {**os.environ, "PYTHONPATH": f"{other}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", SCRIPT.format(version=OTHER), str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        for name in ("older", "older_live"):
            with Run.open(tmp_path / name) as run:
                check(run, 120)
        child.communicate(b"\n", timeout=60)
        assert child.returncode == 0
    live.close()
