"""What does a SIGKILL cost? Kill real trainings at random moments and look for every number that was acknowledged.

python benchmarks/crash.py [KILLS] [--first SEED] [--other FOLDER]

Each training (`benchmarks/victim.py`: torch, on every kind of schedule) dies once; then its run must open, be
called killed, hold each acknowledged row unchanged and nothing else, be repaired into one file with the same rows, and
be left alone by a second repair. FOLDER holds another h5py; each of the two then writes what each of the two reads.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OUT = Path(__file__).parent / "results" / "crash.json"
OTHER = ROOT / ".venv-h5py314"


class Server:
    """A process of benchmarks/victim.py, with the h5py of a folder or the installed one; it loads until `with`."""

    def __init__(self, h5py: Path | None = None) -> None:
        path = {"PYTHONPATH": f"{h5py}{os.pathsep}{ROOT}"} if h5py else {}
        script = str(ROOT / "benchmarks" / "victim.py")
        self._process = subprocess.Popen(
            [sys.executable, script],
            env={**os.environ, **path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.h5py = ""

    def ask(self, do: str, **job: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **job}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """What it says to the oldest question that is open."""
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline())
        if isinstance(answer, dict) and "failed" in answer:
            raise RuntimeError(answer["failed"])
        return answer

    def do(self, do: str, **job: Any) -> Any:
        self.ask(do, **job)
        return self.answer()

    def __enter__(self) -> Server:
        self.h5py = self.answer()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@dataclass
class Outcome:
    """What one death led to."""

    kind: str
    found: dict[str, Any] = field(default_factory=dict)  # victim.Found, at once after it
    problems: list[str] = field(default_factory=list)
    steps: int = 0
    repairs_killed: int = 0
    looks: int = 0  # of the reader beside it


def _plain(chance: random.Random) -> dict[str, Any]:
    return {"kill_after": chance.choice([0, chance.randrange(8), chance.randrange(250)])}


def _parts(chance: random.Random) -> dict[str, Any]:
    scalar, tensors = chance.randrange(60), chance.randrange(60)
    return {
        "late_scalar": scalar,
        "late_tensors": tensors,
        "kill_after": max(0, chance.choice([scalar, tensors]) + chance.choice([-1, 0, 1, 5, 60])),
    }


def _closing(chance: random.Random) -> dict[str, Any]:
    return {"steps": chance.randrange(1, 80), "delay": chance.random() * 0.02}


def _folding(chance: random.Random) -> dict[str, Any]:
    return {"late_scalar": 3, "late_tensors": 5, "steps": chance.randrange(8, 60), "delay": chance.random() * 0.12}


KINDS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "recording": _plain,
    "writing parts": _parts,
    "a reader follows": _parts,
    "live packing": _parts,
    "closing": _closing,
    "folding parts while closing": _folding,
    "repair killed as well": _parts,
}


def kill_once(folder: Path, seed: int, writer: Server, reader: Server) -> Outcome:
    """One training dies; whatever is wrong with what is left is in `problems`."""
    chance = random.Random(seed)
    kind = [*KINDS][seed % len(KINDS)]
    run = folder / f"run{seed}.h5"
    blocks = chance.choice([1 << 10, 1 << 13, 1 << 13, 4 << 20])
    plan = {"delay": chance.random() * 0.01, **KINDS[kind](chance)}
    writer.ask("train", path=str(run), seed=seed, block_bytes=blocks, **plan)
    outcome = Outcome(kind)
    copy = folder / f"copy{seed}.h5"
    try:
        if kind == "a reader follows":
            followed = reader.do("follow", path=str(run))
            outcome.looks = followed["looks"]
            outcome.problems += [f"the reader saw {followed['wrong']} wrong states"] * bool(followed["wrong"])
        if kind == "live packing":
            reader.do("pack", path=str(run), out=str(copy), delay=chance.choice([None, chance.random() * 0.3]))
    finally:
        outcome.steps = writer.answer()
    check = {"do": "check", "path": str(run), "told": str(run) + ".told"}
    found = outcome.found = reader.do(**check)
    closing = kind in ("closing", "folding parts while closing")  # its block was left already
    outcome.problems += _wrong(found, ("killed", "done") if closing else ("killed",))
    if kind == "live packing":
        if copy.exists():
            outcome.problems += _wrong({**reader.do(**{**check, "path": str(copy)}), "lost": 0}, ("killed",))
            copy.unlink()
        reader.do("pack", path=str(run), out=str(copy), delay=None)
        outcome.problems += _differs({**found, "state": "killed"}, reader.do(**{**check, "path": str(copy)}), "packed")
        copy.unlink()
    if kind == "repair killed as well":
        for _ in range(chance.randrange(1, 4)):
            outcome.repairs_killed += not reader.do("repair", path=str(run), delay=chance.random() * 0.25)
            outcome.problems += _differs(found, reader.do(**check), "after a killed repair")
    reader.do("repair", path=str(run), delay=None)
    outcome.problems += _differs(found, reader.do(**check), "after repair")
    before = fingerprint(run)
    reader.do("repair", path=str(run), delay=None)
    outcome.problems += ["a second repair changed the file"] * (fingerprint(run) != before)
    Path(f"{run}.told").unlink()
    left = sorted(p.name for p in folder.iterdir())
    outcome.problems += [f"besides the run there are {left}"] * (left != [run.name])
    run.unlink()
    return outcome


def _wrong(found: dict[str, Any], states: Sequence[str]) -> list[str]:
    """What a run must not be."""
    said = [found["error"]] if found["error"] else []
    said += [f"{found[name]} {name}" for name in ("lost", "changed", "invented") if found[name]]
    if not found["error"] and (found["state"] not in states or not found["said"]):
        said.append(f"is called {found['state']!r}, {'with' if found['said'] else 'without'} its step")
    return said


def _differs(before: dict[str, Any], after: dict[str, Any], when: str) -> list[str]:
    changed = {name: after[name] for name in before if name != "said" and before[name] != after[name]}
    return [f"{when}: {changed}"] if changed else []


def fingerprint(path: Path) -> tuple[int, int, str]:
    """The file itself, when it was written, and its bytes."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()


def campaign(seeds: range, pairs: Sequence[tuple[Server, Server]]) -> Iterator[Outcome]:
    """So many deaths, each kind as often, each pair of writer and reader as often with each kind."""
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            place = Path(folder) / str(seed)
            place.mkdir()
            try:
                yield kill_once(place, seed, *pairs[seed // len(KINDS) % len(pairs)])
            except RuntimeError as error:  # said by a server
                yield Outcome([*KINDS][seed % len(KINDS)], problems=[str(error)])
            shutil.rmtree(place)


def table(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """The numbers."""
    total: Counter[str] = Counter()
    for one in outcomes:
        total.update({name: n for name, n in one.found.items() if isinstance(n, int)})
    return {
        "kills": dict(Counter(one.kind for one in outcomes)),
        "repairs killed": sum(one.repairs_killed for one in outcomes),
        "looks of readers beside a writer": sum(one.looks for one in outcomes),
        "steps": sum(one.steps for one in outcomes),
        "rows acknowledged": total["acknowledged"],
        "numbers compared": total["numbers"],
        "acknowledged rows lost": total["lost"],
        "numbers changed": total["changed"],
        "numbers invented": total["invented"],
        "runs that did not open": sum(bool(one.found.get("error", True)) for one in outcomes),
        "states": dict(Counter(one.found.get("state", "") for one in outcomes)),
        "most parts in a run": max(one.found.get("parts", 0) for one in outcomes),
        "deaths with a problem": sum(bool(one.problems) for one in outcomes),
        "minutes": round(seconds / 60, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kills", nargs="?", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the seed of the first one, to see one again")
    parser.add_argument("--other", type=Path, default=OTHER, help="a folder with another h5py")
    args = parser.parse_args()
    began = time.perf_counter()
    with ExitStack() as stack:
        folders = [None, *([args.other] if args.other.is_dir() else [])]
        servers = [Server(folder) for folder in folders * 2]
        writers, readers = servers[: len(folders)], servers[len(folders) :]
        for server in servers:
            stack.enter_context(server)
        pairs = [(writer, reader) for writer in writers for reader in readers]
        outcomes = []
        seeds = range(args.first, args.first + args.kills)
        for seed, outcome in zip(seeds, campaign(seeds, pairs), strict=True):
            outcomes.append(outcome)
            for problem in outcome.problems:
                print(f"seed {seed}, {outcome.kind}: {problem}", flush=True)
        numbers = table(outcomes, time.perf_counter() - began)
        numbers["h5py of writers and readers"] = [f"{w.h5py} -> {r.h5py}" for w, r in pairs]
    for name, number in numbers.items():
        print(f"{name:>34} {number}")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(numbers, indent=1) + "\n")
    sys.exit(numbers["deaths with a problem"] > 0)


if __name__ == "__main__":
    main()
