"""Runs that mean harm, or met it: each builder turns a folder with a good run into a bad one, and says what is said.

`RUNS` are built on a run that ended, `KILLED` on one whose process died, with its logs and declarations.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from recorder.runfile.schema import Event, Kind, Series
from recorder.runfile.writer import RunWriter
from tests.runfile.doors import ROOT, SECRET
from tests.runfile.runs import START, write

KILL = """
import os, sys
from pathlib import Path
from tests.runfile.runs import append, at_rest, write
from recorder.runfile.schema import Kind, Series
path = Path(sys.argv[1])
writer = write(path, 300, close=False)
writer.declare(Series("late", Kind.PER_ITEM, "", "", ("x",), axis="step"))
for step in range(300, 480):
    writer.append("step", step=step, epoch=30, time=1.7e9 + step, values={"late": [step]})
append(writer, range(480, 510))
with at_rest(writer):
    os.kill(os.getpid(), 9)
"""
VIEW = "view"  # it opens, and shows only what is in it
VALUES = "gradient_norm/values"
EVIL = (
    "\x1b]0;title\x07\x1b[31m\u202e\u2066\u200b\x9b2J\U000e0041"  # steers a terminal, turns text round, or is not seen
)


@dataclass(frozen=True)
class Bad:
    """One item of the corpus."""

    build: Callable[[Path], object]  # of NAME.h5, which is there already
    said: str  # what the error says, or VIEW


def good(folder: Path) -> Path:
    """A run that ended."""
    folder.mkdir(parents=True)
    write(folder / "run.h5", 40)
    return folder / "run.h5"


def killed(folder: Path) -> Path:
    """A run as a SIGKILL leaves it: flagged as being written, with parts, logs, declarations and a silent lock."""
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", KILL, str(folder / "run.h5")], cwd=ROOT, check=False)
    os.utime(folder / "run.d" / "lock", (0, 0))
    return folder / "run.h5"


def secret(path: Path) -> Path:
    """A file beside the run, not of it."""
    other = path.parent.parent / f"{path.parent.name}.secret"
    other.write_bytes(SECRET * 200)
    return other


# -- in the file -----------------------------------------------------------------------------------------------------


def inside(change: Callable[[h5py.File], object]) -> Callable[[Path], None]:
    """Opens the file for a change."""

    def build(path: Path) -> None:
        with h5py.File(path, "r+", libver=("v110", "v110"), locking=False) as file:
            change(file)

    return build


def put(file: h5py.File, shape: tuple[int, ...] = (40, 3), dtype: object = "f4", **storage: object) -> h5py.Dataset:
    """Another dataset in the place of the norms."""
    del file[VALUES]
    return file.create_dataset(VALUES, shape, dtype, **storage)


def linked(link: object) -> Callable[[Path], None]:
    def change(file: h5py.File) -> None:
        del file[VALUES]
        file[VALUES] = link

    return inside(change)


def link_to_a_secret(path: Path) -> None:
    other = path.parent.parent / f"{path.parent.name}.secret"
    with h5py.File(other, "w") as file:
        file["x"] = np.frombuffer((SECRET * 200)[:480], "f4").reshape(40, 3)
    linked(h5py.ExternalLink(str(other), "/x"))(path)


def virtual_secret(path: Path) -> None:
    link_to_a_secret(path)
    other = path.parent.parent / f"{path.parent.name}.secret"

    def change(file: h5py.File) -> None:
        del file[VALUES]
        layout = h5py.VirtualLayout((40, 3), "f4")
        layout[:] = h5py.VirtualSource(str(other), "x", (40, 3))
        file.create_virtual_dataset(VALUES, layout)

    inside(change)(path)


def external_secret(path: Path) -> None:
    other = secret(path)
    inside(lambda file: put(file, external=[(str(other), 0, 480)]))(path)


def text_from_outside(path: Path) -> None:
    other = secret(path)

    def change(file: h5py.File) -> None:
        del file["layerscope/meta"]
        file.create_dataset("layerscope/meta", (2000,), "u1", external=[(str(other), 0, 2000)])

    inside(change)(path)


def many_objects(file: h5py.File) -> None:
    place, empty = file.create_group("many"), h5py.h5s.create(h5py.h5s.SCALAR)
    for k in range(30_000):
        h5py.h5d.create(place.id, b"%d" % k, h5py.h5t.NATIVE_INT8, empty)


def deep_groups(file: h5py.File) -> None:
    place = file.id
    for _ in range(5_000):
        place = h5py.h5g.create(place, b"g")


def loops(file: h5py.File) -> None:
    file["axes/again"] = file["/"]
    file["gradient_norm/loop"] = h5py.SoftLink("/gradient_norm/loop")
    file["parts"] = file["/"]


def parts_in_a_circle(file: h5py.File) -> None:
    file.create_group("parts")["0001"] = file["/"]


def filtered(code: int) -> Callable[[Path], None]:
    def change(file: h5py.File) -> None:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((4, 3))
        plist.set_filter(code, h5py.h5z.FLAG_OPTIONAL, ())
        del file[VALUES]
        space = h5py.h5s.create_simple((40, 3), (h5py.h5s.UNLIMITED, 3))
        h5py.h5d.create(file.id, VALUES.encode(), h5py.h5t.NATIVE_FLOAT, space, plist)

    return inside(change)


def counted(rows: int) -> Callable[[Path], None]:
    """As many rows as this are promised."""

    def change(file: h5py.File) -> None:
        file["axes/step/committed"][()] = rows

    return inside(change)


def terabytes(file: h5py.File) -> None:
    for name in ("axes/step/step", "axes/step/epoch", "axes/step/time", VALUES, "scalars/values"):
        file[name].resize(1 << 40, axis=0)
    file["axes/step/committed"][()] = 1 << 40


def growing_chunk(file: h5py.File) -> None:
    """A gigabyte of zeros in a chunk that says it has 1,344 bytes."""
    values = file["weight_histogram/values"]
    packer = zlib.compressobj(9)
    head = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # what follows depends on nothing before
    again = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = head + again * 1023 + packer.flush()
    file["weight_histogram"].move("values", "old")
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((4, 3, 7))
    plist.set_deflate(9)
    space = h5py.h5s.create_simple(values.shape, (h5py.h5s.UNLIMITED, 3, 7))
    new = h5py.h5d.create(file["weight_histogram"].id, b"values", h5py.h5t.STD_U32LE, space, plist)
    new.write_direct_chunk((0, 0, 0), bomb)


def gigabyte_of_zeros(path: Path) -> None:
    """Rows of 64 MB, honestly declared, that take a megabyte."""
    for old in (path, path.with_suffix(".d")):
        shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
    write(path, 1)

    def change(file: h5py.File) -> None:
        rows = int(file["axes/each_epoch/committed"][()])
        entries = json.loads(file["layerscope/series"][:].tobytes())
        histogram = next(e for e in entries if e["name"] == "weight_histogram")
        histogram.update(shape=[1 << 24], edges=[], items=["a"])
        redeclare(file, entries)
        del file["weight_histogram/values"]
        new = file.create_dataset(
            "weight_histogram/values", (rows, 1, 1 << 24), "u4", maxshape=(None, 1, 1 << 24),
            chunks=(1, 1, 1 << 18), compression=9,
        )  # fmt: skip
        new[...] = 0

    inside(change)(path)


# -- in what is declared ---------------------------------------------------------------------------------------------


def redeclare(file: h5py.File, entries: object, name: str = "series") -> None:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    del file[f"layerscope/{name}"]
    file["layerscope"].create_dataset(name, data=np.frombuffer(text, np.uint8))


def said(text: bytes, name: str = "series") -> Callable[[Path], None]:
    """JSON of the file is replaced."""
    return inside(lambda file: redeclare(file, text, name))


def changed(series: str = "gradient_norm", **fields: object) -> Callable[[Path], None]:
    """Fields of one declared series are others."""

    def change(file: h5py.File) -> None:
        entries = json.loads(file["layerscope/series"][:].tobytes())
        next(e for e in entries if e["name"] == series).update(fields)
        redeclare(file, entries)

    return inside(change)


def twice(file: h5py.File) -> None:
    entries = json.loads(file["layerscope/series"][:].tobytes())
    redeclare(file, [*entries, entries[0]])


def evil_names(path: Path) -> None:
    path.unlink()
    writer = RunWriter(path, meta={EVIL: [EVIL, {EVIL: EVIL}], "framework": EVIL, "command": EVIL, "host": EVIL})
    scalars = Series(
        "scalars", Kind.SCALAR, EVIL, EVIL, (EVIL + "loss", "rate"), dtype="float64", item_dim=EVIL, axis="a"
    )
    norm = Series("norm", Kind.PER_ITEM, EVIL, EVIL, (EVIL + "a", EVIL + "b"), axis="a", columns=(EVIL,))
    writer.declare(scalars, norm)
    for step in range(5):
        values = {"scalars": np.array([1.0, step]), "norm": np.array([step, 1.0])}
        writer.append("a", step=step, epoch=0, time=START + step, values=values)
    writer.event(Event("health", EVIL, 1, 0, START))
    writer.event(Event(EVIL, EVIL, 1, 0, START))
    writer.close(error=EVIL)


def strange_clock(file: h5py.File) -> None:
    file["axes/step/time"][:] = np.resize([np.nan, np.inf, -np.inf, 1e300, -1e300], 40)
    file["axes/step/epoch"][:] = np.resize([-(2**63), 2**63 - 1, 0], 40)
    file["axes/step/step"][:] = np.sort(np.resize([-(2**63), -5, 0, 2**62, 2**63 - 1], 40))


def strange_numbers(file: h5py.File) -> None:
    file[VALUES][:] = np.resize(np.float32([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45]), (40, 3))
    file["scalars/values"][:] = np.resize([1e308, -1e308, 5e-324, np.nan, np.inf], (40, 2))


TOO_DEEP, TOO_LONG, LISTS = b"[" * 100_000, b'["' + b"x" * (33 << 20) + b'"]', b"[" + b"[]," * 1_000_000 + b"[]]"
UNREAD = "the declaration of its series cannot be read"

RUNS: Mapping[str, Bad] = {
    "nothing in it": Bad(lambda p: p.write_bytes(b""), "it is empty"),
    "a table": Bad(lambda p: p.write_text("loss,step\n"), "is no HDF5 file"),
    "half of it": Bad(lambda p: os.truncate(p, p.stat().st_size // 2), "is cut off"),
    "a FIFO": Bad(lambda p: (p.unlink(), os.mkfifo(p)), "is no regular file"),
    "a folder": Bad(lambda p: (p.unlink(), p.mkdir()), "is no regular file"),
    "a device that never ends": Bad(lambda p: (p.unlink(), p.symlink_to("/dev/zero")), "is no regular file"),
    "a device that is full": Bad(lambda p: (p.unlink(), p.symlink_to("/dev/full")), "is no regular file"),
    "a link to itself": Bad(lambda p: (p.unlink(), p.symlink_to(p)), "cannot be opened|there is no run"),
    "a link to nothing": Bad(lambda p: (p.unlink(), p.symlink_to("gone.h5")), "there is no run|not there"),
    "an external link": Bad(link_to_a_secret, "is a soft or external link"),
    "virtual data": Bad(virtual_secret, "its data lie in other files"),
    "external data": Bad(external_secret, "its data lie in other files"),
    "settings that are outside": Bad(text_from_outside, "its data lie in other files"),
    "a soft link to itself": Bad(linked(h5py.SoftLink(f"/{VALUES}")), "is a soft or external link"),
    "loops of links": Bad(inside(loops), VIEW),
    "a part that is the run": Bad(inside(parts_in_a_circle), VIEW),
    "5,000 nested groups": Bad(inside(deep_groups), VIEW),
    "30,000 objects": Bad(inside(many_objects), VIEW),
    "a filter that is missing": Bad(filtered(32999), "filter 32999, which this HDF5 does not have"),
    "a filter of others": Bad(filtered(h5py.h5z.FILTER_LZF), "is packed with the filters"),
    "8 terabytes": Bad(inside(terabytes), "promises .* bytes in a file of"),
    "2^63 rows": Bad(counted(1 << 63), "rows, 9223372036854775808 were promised"),
    "a chunk of 8 GB": Bad(
        inside(lambda f: put(f, (1, 3, 1 << 28), maxshape=(None, 3, 1 << 28), chunks=(1, 3, 1 << 28))),
        "one row has|its chunks have",
    ),
    "a huge level": Bad(inside(lambda f: f["gradient_norm/level"].resize(1 << 40, axis=0)), VIEW),
    "a gigabyte in a chunk": Bad(inside(growing_chunk), "unpacks to more"),
    "a gigabyte of zeros": Bad(gigabyte_of_zeros, "promises .* bytes in a file of"),
    "a newer format": Bad(
        inside(lambda f: f.attrs.update(format=7, layerscope=np.bytes_("3.2"))), "written by layerscope 3.2; this one"
    ),
    "no format": Bad(inside(lambda f: f.attrs.pop("format")), "it has no format number"),
    "a format of many numbers": Bad(inside(lambda f: f.attrs.update(format=np.ones(9))), "it has no format number"),
    "words for numbers": Bad(inside(lambda f: put(f, dtype="S9", chunks=(4, 3))), "expected rows of"),
    "words of any length": Bad(inside(lambda f: put(f, dtype=h5py.string_dtype())), "a type that no run has"),
    "pairs": Bad(inside(lambda f: put(f, dtype=[("a", "f4"), ("b", "f4")])), "a type that no run has"),
    "an enumeration": Bad(inside(lambda f: put(f, dtype=h5py.enum_dtype({"a": 1}), chunks=(4, 3))), "expected rows of"),
    "references": Bad(inside(lambda f: put(f, dtype=h5py.ref_dtype)), "a type that no run has"),
    "a list for a declaration": Bad(said(b"[1, 2]"), UNREAD),
    "a number for a declaration": Bad(said(b"7"), UNREAD),
    "a deep declaration": Bad(said(TOO_DEEP), UNREAD),
    "a long declaration": Bad(said(TOO_LONG), "expected at most|cannot be read"),
    "a million lists": Bad(said(LISTS), UNREAD),
    "deep settings": Bad(said(b'{"a":' + b"[" * 400 + b"]" * 400 + b"}", "meta"), VIEW),
    "settings too deep": Bad(said(TOO_DEEP, "meta"), "its provenance cannot be read"),
    "settings in a list": Bad(said(b"[NaN]", "meta"), VIEW),
    "a status in a list": Bad(said(b"[]", "status"), "its status cannot be read"),
    "a status that began never": Bad(
        said(b'{"state": "done", "started": NaN, "ended": 1e308, "error": "", "steps": 1, "epochs": 1}', "status"),
        "its status cannot be read",
    ),
    "one name twice": Bad(inside(twice), UNREAD),
    "items that are numbers": Bad(changed(items=[1, 2, 3]), VIEW),
    "items that are one": Bad(changed(items=["a", "a", "a"]), UNREAD),
    "a negative shape": Bad(changed(shape=[-1]), UNREAD),
    "an infinite shape": Bad(changed(shape=[float("inf")]), UNREAD),
    "a huge shape": Bad(changed(shape=[1 << 62]), UNREAD),
    "another shape": Bad(changed(items=["a", "b"]), "expected rows of"),
    "an unknown kind": Bad(changed(kind="dog"), UNREAD),
    "an unknown dtype": Bad(changed(dtype="float99"), UNREAD),
    "objects": Bad(changed(dtype="O"), UNREAD),
    "a dtype of many": Bad(changed(dtype="f4,f4"), UNREAD),
    "a dtype with a shape": Bad(changed(dtype="(1000000,)f4"), UNREAD),
    "a unit that is a list": Bad(changed(unit=["kg"]), UNREAD),
    "a name with a path": Bad(changed(name="../../etc"), UNREAD),
    "an axis of others": Bad(changed(axis="events"), UNREAD),
    "edges that fall": Bad(changed("weight_histogram", edges=[5.0, 4.0, 3.0, 2.0, 1.0]), UNREAD),
    "too many edges": Bad(changed("weight_histogram", edges=[1.0, 2.0]), UNREAD),
    "20,000 shapes": Bad(
        changed("raw", items=[str(k) for k in range(20_000)], ragged=[[1]] * 20_000),
        "is damaged: it has [0-9]+ of 20000 items",
    ),
    "a clock gone mad": Bad(inside(strange_clock), VIEW),
    "numbers at their ends": Bad(inside(strange_numbers), VIEW),
    "names that steer a terminal": Bad(evil_names, VIEW),
}


# -- beside the file -------------------------------------------------------------------------------------------------


def beside(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """A file of the run's folder is replaced."""

    def build(path: Path) -> None:
        found = path.with_suffix(".d") / name
        found.unlink(missing_ok=True)
        make(found)

    return build


def out(target: Path, name: Path) -> None:
    """`name` is a link to a copy outside of what it was."""
    name.symlink_to(target)


def linked_out(pattern: str) -> Callable[[Path], None]:
    """A file of the folder lies elsewhere."""

    def build(path: Path) -> None:
        found = next(path.with_suffix(".d").glob(pattern))
        elsewhere = path.parent.parent / f"{path.parent.name}.{found.name}"
        shutil.move(found, elsewhere)
        found.symlink_to(elsewhere)

    return build


def folder_elsewhere(path: Path) -> None:
    elsewhere = path.parent.parent / f"{path.parent.name}.moved"
    shutil.move(path.with_suffix(".d"), elsewhere)
    path.with_suffix(".d").symlink_to(elsewhere)


def sparse(pattern: str) -> Callable[[Path], None]:
    return lambda path: os.truncate(next(path.with_suffix(".d").glob(pattern)), 1 << 40)


def newer_sidecar(path: Path) -> None:
    path.unlink()
    (path.with_suffix(".d") / "volume-0000.json").write_text('{"format": 5, "layerscope": "4.0"}')


def flipped_head(path: Path) -> None:
    """A block of HDF5's own is damaged: HDF5 reads it again and again where a writer might be at it."""
    data = bytearray(path.read_bytes())
    data[data.find(b"OHDR", 5000) + 40] ^= 0xFF
    path.write_bytes(data)


LOG, SIDECAR = "log-0000-step-000000000300", "volume-0001.json"

KILLED: Mapping[str, Bad] = {
    "nothing wrong": Bad(lambda p: None, VIEW),
    "a damaged block": Bad(flipped_head, "is damaged"),
    "a lock of garbage": Bad(beside("lock", lambda f: f.write_bytes(os.urandom(999))), VIEW),
    "a huge lock": Bad(sparse("lock"), VIEW),
    "a lock that is a FIFO": Bad(beside("lock", os.mkfifo), f"{VIEW}|no regular file"),
    "a lock that is a device": Bad(beside("lock", lambda f: f.symlink_to("/dev/zero")), VIEW),
    "a log that is a FIFO": Bad(beside("log-0000-step-000000000320", os.mkfifo), "is no regular file"),
    "a log of a terabyte": Bad(sparse("log-0000-step-*"), VIEW),
    "a log that is elsewhere": Bad(linked_out("log-0000-step-*"), "is a symbolic link"),
    "a part that is elsewhere": Bad(linked_out("part-*.h5"), "is a symbolic link"),
    "a declaration that is elsewhere": Bad(
        lambda p: (p.unlink(), linked_out("volume-0000.json")(p)), "is a symbolic link"
    ),
    "a folder that is elsewhere": Bad(folder_elsewhere, "is a symbolic link"),
    "a declaration of a terabyte": Bad(lambda p: (p.unlink(), sparse("volume-0000.json")(p)), "cannot be read"),
    "a newer declaration": Bad(newer_sidecar, "format 5, written by layerscope 4.0"),
    "a part of zeros": Bad(beside("part-0001.h5", lambda f: f.write_bytes(bytes(9999))), "is no HDF5 file"),
    "a part that is a folder": Bad(beside("part-0001.h5", lambda f: f.mkdir()), "is no regular file"),
    "logs of nothing": Bad(beside("log-0009-nowhere-000000000000", lambda f: f.write_bytes(b"x")), VIEW),
    "a checkpoint that is a bomb": Bad(
        lambda p: (
            beside("checkpoints", lambda f: f.mkdir())(p) or os.mkfifo(p.with_suffix(".d") / "checkpoints" / "x.pth")
        ),
        VIEW,
    ),
}
