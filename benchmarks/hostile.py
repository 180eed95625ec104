"""What does a damaged file do to its reader? Each file of the tests' corpus, and random damage, by the reading doors.

python benchmarks/hostile.py [EXAMPLES] [--forged] [--quick]

A run that ended, one that was killed, with its logs, declarations and parts, and one that was packed: in each example
one to eight bytes of one of its files change. `--forged` mends the checksums of HDF5's own blocks afterwards, as
somebody who means harm would: then not the checksum is tested but HDF5 behind it. Seconds are those of the CPU, of the
reader and its sandbox together; memory is that of the larger of the two.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from recorder.runfile.pack import pack  # noqa: E402
from tests.runfile.corpus import KILLED, RUNS, Bad, good, killed  # noqa: E402
from tests.runfile.doors import MEMORY as CAP  # noqa: E402
from tests.runfile.doors import Child, Outcome  # noqa: E402

MEMORY = Path("/dev/shm")  # where a sync costs nothing
OUT = Path(__file__).parent / "results" / "hostile.json"
DOORS = ("open", "ls", "charts", "info", "pack", "repair")  # not export: it prints the charts
EVERY = 10  # examples of which one goes through all of these, the others through the first two
JOBS = 1  # of two cores, one for each sandbox
BLOCKS = (b"\x89HDF", b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"FHIB", b"BTHD", b"BTLF", b"BTIN", b"FAHD", b"FADB",
          b"EAHD", b"EAIB", b"EASB", b"EADB")  # fmt: skip


def bases(folder: Path) -> dict[str, Path]:
    """The undamaged runs, each in a folder of its own."""
    runs = {"sealed": good(folder / "sealed"), "killed": killed(folder / "killed")}
    (folder / "packed").mkdir()
    return {**runs, "packed": pack(runs["killed"], folder / "packed" / "run.h5")}


@numba.njit
def lookup3(data: np.ndarray) -> int:
    """The checksum of HDF5's blocks."""
    m = 0xFFFFFFFF
    n, at = len(data), 0
    a = b = c = (0xDEADBEEF + n) & m
    while n > 0:
        k = np.zeros(3, np.int64)
        for i in range(min(12, n)):
            k[i // 4] |= np.int64(data[at + i]) << (8 * (i % 4))
        a, b, c = (a + k[0]) & m, (b + k[1]) & m, (c + k[2]) & m
        if n > 12:
            for shift in ((4, 6, 8), (16, 19, 4)):
                a = ((a - c) & m) ^ (((c << shift[0]) | (c >> (32 - shift[0]))) & m)
                c = (c + b) & m
                b = ((b - a) & m) ^ (((a << shift[1]) | (a >> (32 - shift[1]))) & m)
                a = (a + c) & m
                c = ((c - b) & m) ^ (((b << shift[2]) | (b >> (32 - shift[2]))) & m)
                b = (b + a) & m
        else:
            for shift in ((14, 11, 25), (16, 4, 14)):
                c = ((c ^ b) - (((b << shift[0]) | (b >> (32 - shift[0]))) & m)) & m
                a = ((a ^ c) - (((c << shift[1]) | (c >> (32 - shift[1]))) & m)) & m
                b = ((b ^ a) - (((a << shift[2]) | (a >> (32 - shift[2]))) & m)) & m
            c = ((c ^ b) - (((b << 24) | (b >> 8)) & m)) & m
        at += 12
        n -= 12
    return c


def blocks(data: bytes) -> list[tuple[int, int]]:
    """(start, where its checksum is) of each block of HDF5's own, found by trying lengths."""
    found, array = [], np.frombuffer(data, np.uint8)
    for mark in BLOCKS:
        at = data.find(mark)
        while at >= 0:
            for end in range(at + 8, min(at + 8192, len(data) - 3)):
                if lookup3(array[at:end]) == int.from_bytes(data[end : end + 4], "little"):
                    found.append((at, end))
                    break
            at = data.find(mark, at + 1)
    return found


def flipped(data: bytes, chance: random.Random, within: list[tuple[int, int]]) -> bytes:
    """One to eight bytes changed; `within` names blocks to hit, whose checksums are right again afterwards."""
    out = bytearray(data)
    hit = set()
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        start, end = chance.choice(within) if within else (0, len(data))
        hit.add((start, end))
        at = chance.randrange(start, end)
        out[at] = chance.choice((0, 0xFF, out[at] ^ (1 << chance.randrange(8)), chance.randrange(256)))
    for start, end in hit if within else ():
        out[end : end + 4] = int(lookup3(np.frombuffer(bytes(out[start:end]), np.uint8))).to_bytes(4, "little")
    return bytes(out)


def examples(count: int, folder: Path, *, forged: bool, seed: int = 0) -> Iterator[tuple[str, Path]]:
    """(what was damaged, the run), one at a time in a folder that is used again."""
    runs = bases(folder / "bases")
    known = {p: blocks(p.read_bytes()) for r in runs.values() for p in r.parent.rglob("*.h5")} if forged else {}
    for k in range(count):
        chance = random.Random(seed + k)
        base = runs[chance.choice(tuple(runs))]
        here = folder / "here"
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(base.parent, here)
        files = sorted(
            p for p in here.rglob("*") if p.is_file() and p.stat().st_size and (not forged or p.suffix == ".h5")
        )
        victim = chance.choice(files)
        within = known[base.parent / victim.relative_to(here)] if forged else []
        victim.write_bytes(flipped(victim.read_bytes(), chance, within))
        yield f"{base.parent.name}/{victim.relative_to(here)} #{seed + k}", here / base.name


def told(seen: list[tuple[str, Outcome]]) -> dict[str, object]:
    """What was met, in numbers."""
    doors = Counter(said.split(":")[0] for _, o in seen for said in o.doors.values())
    return {
        "examples": len(seen),
        "doors opened": sum(doors.values()),
        "views": doors["view"],
        "clear errors": doors["refused"],
        "other errors": doors["fault"],
        "crashes": sum("crash" in o.end for _, o in seen),
        "hangs": sum(o.end == "hang" for _, o in seen),
        "slowest door, s": round(max(o.slowest for _, o in seen), 2),
        "most memory, MiB": max(o.peak for _, o in seen) >> 20,
    }


def corpus() -> dict[str, object]:
    """Every file of the corpus by every reading door, each with a child of its own that gets 200 MiB."""
    seen: list[tuple[str, Outcome]] = []
    with tempfile.TemporaryDirectory() as folder:
        runs = {"good": good(Path(folder) / "good"), "killed": killed(Path(folder) / "killed")}
        items: list[tuple[str, str, Bad]] = [("good", n, b) for n, b in RUNS.items()]
        items += [("killed", n, b) for n, b in KILLED.items()]
        for k, (base, name, bad) in enumerate(items):
            path = shutil.copytree(runs[base].parent, Path(folder) / str(k) / "runs") / "run.h5"
            bad.build(path)
            with Child(memory=CAP) as child:
                child.look(runs["good"], "open")  # what is imported is no matter of the file
                outcome = child.look(path, *(door for door in DOORS if door != "charts"))
            seen.append((name, outcome))
            for wrong in (*outcome.faults, outcome.end, *outcome.leaks):
                if wrong:
                    print(f"{name}: {wrong[:300]}", flush=True)
    slowest, largest = max(seen, key=lambda one: one[1].slowest), max(seen, key=lambda one: one[1].peak)
    return {**told(seen), "slowest item": slowest[0], "largest item": largest[0]}


def looked(count: int, first: int, *, forged: bool) -> list[tuple[str, Outcome]]:
    """Look at `count` examples from number `first` on; say at once what must not be."""
    seen = []
    memory = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, Child() as child:
        for k, (what, path) in enumerate(examples(count, Path(folder), forged=forged, seed=first)):
            outcome = child.look(path, *(DOORS if k % EVERY == 0 else DOORS[:2]))
            seen.append((what, outcome))
            for bad in (*outcome.faults, outcome.end):
                if bad:
                    print(f"{what}: {bad[:300]}", flush=True)
            if len(seen) % 500 == 0:
                print(f"{first}+{len(seen)}", flush=True)
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("examples", type=int, nargs="?", default=10_000)
    parser.add_argument("--forged", action="store_true")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    found: dict[str, dict[str, object]] = {} if args.forged else {"corpus": corpus()}
    show(found)
    each = (200 if args.quick else args.examples) // JOBS
    with ThreadPoolExecutor(JOBS) as pool:
        parts = pool.map(lambda k: looked(each, k * each, forged=args.forged), range(JOBS))
        seen = [one for part in parts for one in part]
    drawn = {"forged" if args.forged else "flipped": told(seen)}
    show(drawn)
    if not args.quick:
        results = json.loads(OUT.read_text()) if OUT.exists() else {}
        OUT.write_text(json.dumps({**results, **found, **drawn}, indent=1) + "\n")


def show(found: dict[str, dict[str, object]]) -> None:
    for name, numbers in found.items():
        print(name, *(f"{what:>24} {value}" for what, value in numbers.items()), sep="\n", flush=True)


if __name__ == "__main__":
    main()
