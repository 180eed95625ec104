"""What does the sandbox's child do? It goes through files, with as much time and memory as their size justifies.

A question a line in, an answer a line out, both JSON: what comes back from a process that a hostile file may have taken
over must not be able to do more than lie.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from recorder.errors import RunFileError, in_words
from recorder.runfile.guard import close, open_checked
from recorder.runfile.listing import read_record
from recorder.runfile.on_disk import allocated_to
from recorder.runfile.volumes import volumes_in

SECONDS = 0.75  # of CPU for a question, which a small run answers in 0.03; more for each dataset that was found sound
SECONDS_PER_DATASET = 0.002
SECONDS_PER_BYTE = 2e-9
MEMORY = 128 << 20  # bytes, and more as the run takes on the disk


def serve() -> None:
    """Answer until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no answer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _say(answers, {})
    for line in sys.stdin.buffer:
        question, path, here = json.loads(line)
        try:
            os.chdir(here)
            with _limits(Path(path)):
                answer = QUESTIONS[question](Path(path))
        except FileNotFoundError as error:
            answer = {"missing": str(error)}
        except RunFileError as error:
            answer = {"refused": str(error)}
        except Exception as error:  # whatever a damaged file provokes
            answer = {"refused": f"{path}: is damaged ({in_words(error)})"}
        _say(answers, answer)


def examined(path: Path) -> dict[str, Any]:
    """Open an HDF5 file and look at all that a reader may meet in it; RunFileError where not all is as it should be."""
    file = open_checked(path, trusted=True)
    try:
        for volume in volumes_in(file, str(path)).values():
            for _ in volume.check():
                _earn(SECONDS_PER_DATASET)
    finally:
        close(file)
    return {}


def recorded(path: Path) -> dict[str, Any]:
    """The line of a run in a list of runs."""
    record = read_record(path, trusted=True)
    return {**vars(record), "path": "", "health": [vars(event) for event in record.health]}


QUESTIONS: dict[str, Callable[[Path], dict[str, Any]]] = {"examine": examined, "record": recorded}


@contextlib.contextmanager
def _limits(path: Path) -> Iterator[None]:
    """What is not done in this time, by the CPU's clock, ends the process by SIGPROF."""
    size = allocated_to(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if (most := _address_space() + MEMORY + size) < soft or soft == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    signal.setitimer(signal.ITIMER_PROF, SECONDS + SECONDS_PER_BYTE * size)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _earn(seconds: float) -> None:
    if left := signal.getitimer(signal.ITIMER_PROF)[0]:
        signal.setitimer(signal.ITIMER_PROF, left + seconds)


def _address_space() -> int:
    """Bytes that this process has mapped; more than there is where nobody says."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 1 << 60


def _say(answers: IO[bytes], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()
