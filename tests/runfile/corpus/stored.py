"""What can be wrong in HDF5: no such file, links and data that lead elsewhere, sizes that are not true."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np

from tests.runfile.corpus.bad import VALUES, VIEW, Bad, inside, put, redeclare, secret
from tests.runfile.doors import SECRET
from tests.runfile.runs import write


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


def strange_clock(file: h5py.File) -> None:
    file["axes/step/time"][:] = np.resize([np.nan, np.inf, -np.inf, 1e300, -1e300], 40)
    file["axes/step/epoch"][:] = np.resize([-(2**63), 2**63 - 1, 0], 40)
    file["axes/step/step"][:] = np.sort(np.resize([-(2**63), -5, 0, 2**62, 2**63 - 1], 40))


def strange_numbers(file: h5py.File) -> None:
    file[VALUES][:] = np.resize(np.float32([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45]), (40, 3))
    file["scalars/values"][:] = np.resize([1e308, -1e308, 5e-324, np.nan, np.inf], (40, 2))


STORED: Mapping[str, Bad] = {
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
    "a clock gone mad": Bad(inside(strange_clock), VIEW),
    "numbers at their ends": Bad(inside(strange_numbers), VIEW),
}
