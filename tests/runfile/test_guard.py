"""A hostile or damaged file is refused with a sentence; it never hangs, reads elsewhere or crashes."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from recorder.errors import RunFileError
from recorder.runfile import guard
from recorder.runfile.guard import clean
from recorder.runfile.reader import Run
from recorder.runfile.schema import Kind, Series
from recorder.runfile.writer import RunWriter
from recorder.view import Window
from tests.runfile.runs import START, write


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: os.mkfifo(p), "is no regular file"),
        (lambda p: p.mkdir(), "is no regular file"),
        (lambda p: p.symlink_to("/dev/zero"), "is no regular file"),
        (lambda p: p.write_bytes(b""), "it is empty"),
        (lambda p: p.write_text("loss,step\n1,2\n"), "is no HDF5 file"),
        (lambda p: p.write_bytes(guard.SIGNATURE), "is no HDF5 file"),
        (lambda p: p.write_bytes(guard.SIGNATURE + b"\x03" * 500), "is cut off"),
        (lambda p: p.write_bytes(guard.SIGNATURE + b"\x00" * 500), "HDF5 cannot open it"),
        (lambda p: h5py.File(p, "w").close(), "is HDF5 but no run"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    make(tmp_path / "a.h5")
    with pytest.raises(RunFileError, match=said):
        Run.open(tmp_path / "a.h5")


def a_link_out(file: h5py.File) -> None:
    file["elsewhere"] = h5py.ExternalLink("other.h5", "/")


def a_soft_link(file: h5py.File) -> None:
    file["soft"] = h5py.SoftLink("/gradient_norm")


def virtual_data(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset("virtual", layout)


def external_data(file: h5py.File) -> None:
    file.create_dataset("external", (8,), "u1", external=[("/etc/hostname", 0, 8)])


def huge_chunks(file: h5py.File) -> None:
    file.create_dataset(
        "huge", (0, 1 << 13, 1 << 14), "f4", maxshape=(None, 1 << 13, 1 << 14), chunks=(1, 1 << 13, 1 << 14)
    )


def huge_rows(file: h5py.File) -> None:
    file.create_dataset("huge", (1, 1 << 40), "f4", chunks=(1, 100))


def deep_groups(file: h5py.File) -> None:
    file.create_group("a/b/c/d/e/f/g/h")


def text_of_any_length(file: h5py.File) -> None:
    file.create_dataset("text", (1,), h5py.string_dtype())


def a_named_type(file: h5py.File) -> None:
    file["type"] = np.dtype("f4")


def an_unknown_filter(file: h5py.File) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((4,))
    plist.set_filter(32999, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple((4,))
    h5py.h5d.create(file.id, b"packed", h5py.h5t.NATIVE_FLOAT, space, plist)


def a_newer_format(file: h5py.File) -> None:
    file.attrs["format"] = 99


def no_format(file: h5py.File) -> None:
    del file.attrs["format"]


def declared(file: h5py.File, text: bytes) -> None:
    del file["layerscope/series"]
    file["layerscope"].create_dataset("series", data=np.frombuffer(text, np.uint8))


def no_json(file: h5py.File) -> None:
    declared(file, b"{{{")


def nested_json(file: h5py.File) -> None:
    declared(file, b"[" * 100_000)


def another_kind(file: h5py.File) -> None:
    text = file["layerscope/series"][:].tobytes().replace(b"per_item", b"per_dog")
    declared(file, text)


def another_shape(file: h5py.File) -> None:
    entries = json.loads(file["layerscope/series"][:].tobytes())
    entries[1]["items"].append("ghost")
    declared(file, json.dumps(entries).encode())


def no_series(file: h5py.File) -> None:
    del file["gradient_norm"]


def no_axes(file: h5py.File) -> None:
    del file["axes"]


def a_status_of_another_type(file: h5py.File) -> None:
    del file["layerscope/status"]
    file["layerscope/status"] = 3.0


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (a_link_out, "/elsewhere: is a soft or external link"),
        (a_soft_link, "/soft: is a soft or external link"),
        (virtual_data, "its data lie in other files"),
        (external_data, "its data lie in other files"),
        (huge_chunks, "its chunks have 536870912 bytes"),
        (huge_rows, "one row has"),
        (deep_groups, "nested more than 6 deep"),
        (text_of_any_length, "of a type that no run has"),
        (a_named_type, "neither a group nor a dataset"),
        (an_unknown_filter, "packed with filter 32999"),
        (a_newer_format, "format .*99.*; this version reads 1 to 1: update layerscope"),
        (no_format, "it has no format number"),
        (no_json, "declaration of its series cannot be read"),
        (nested_json, "declaration of its series cannot be read"),
        (another_kind, "declaration of its series cannot be read"),
        (another_shape, r"gradient_norm/values: expected rows of \(4,\) float32, found \(3,\)"),
        (no_series, "is damaged"),
        (no_axes, "is damaged"),
        (a_status_of_another_type, "expected at most"),
    ],
)
def test_a_run_that_was_tampered_with_is_refused(tmp_path: Path, harm: Callable[[h5py.File], None], said: str) -> None:
    write(tmp_path / "a.h5", 25)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        harm(file)
    with pytest.raises(RunFileError, match=said):
        Run.open(tmp_path / "a.h5")


def test_more_objects_than_any_run_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.h5", 25)
    monkeypatch.setattr(guard, "MAX_OBJECTS", 20)
    with pytest.raises(RunFileError, match="more than 20 objects"):
        Run.open(tmp_path / "a.h5")


def test_a_circle_of_groups_ends(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 25)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["axes/again"] = file["/"]
    with pytest.raises(RunFileError, match="nested more than"):
        Run.open(tmp_path / "a.h5")


@pytest.mark.parametrize("sealed", [True, False])
def test_a_cut_file_is_refused_at_once(tmp_path: Path, sealed: bool) -> None:
    writer = write(tmp_path / "a.h5", 300, close=sealed)
    while not (tmp_path / "a.h5").exists():
        time.sleep(0.01)
    writer._thread.join(0.3)
    whole = (tmp_path / "a.h5").read_bytes()
    end = int.from_bytes(whole[28:36], "little")
    for cut in range(13, end, end // 40):
        (tmp_path / "b.h5").write_bytes(whole[:cut])
        with pytest.raises(RunFileError, match=r"b\.h5"):
            Run.open(tmp_path / "b.h5")
    writer.close()


def test_damaged_numbers_are_noticed_when_they_are_read(tmp_path: Path) -> None:
    """Every chunk has a checksum."""
    write(tmp_path / "a.h5", 300)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        chunk = file["gradient_norm/values"].id.get_chunk_info(0)
    data = bytearray((tmp_path / "a.h5").read_bytes())
    data[chunk.byte_offset + 3] ^= 0xFF
    (tmp_path / "a.h5").write_bytes(data)
    with Run.open(tmp_path / "a.h5") as run:
        with pytest.raises(RunFileError, match=r"gradient_norm/values: is damaged"):
            run.window("gradient_norm", Window())
        assert len(run["loss"].values) == 300


def test_fewer_rows_than_promised(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 30)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["axes/step/committed"][()] = 1 << 40
    with pytest.raises(RunFileError, match=r"has 30 rows, 1099511627776 were promised"):
        Run.open(tmp_path / "a.h5").clock("gradient_norm")


def test_steps_that_go_back(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 30)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["axes/step/step"][7] = 2
    with pytest.raises(RunFileError, match="steps of axis 'step' go back"):
        Run.open(tmp_path / "a.h5").clock("gradient_norm")


def test_logs_and_declarations_beside_a_run_are_no_more_trusted(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 30)
    folder = tmp_path / "a.d"
    folder.mkdir()
    (folder / "log-0000-step-000000000030").write_bytes(os.urandom(5000))
    (folder / "log-0000-nowhere-000000000000").write_bytes(b"x")
    (folder / "log-0007-step-000000000000").write_bytes(b"x")
    (folder / "checkpoints").mkdir()
    with Run.open(tmp_path / "a.h5") as run:
        assert run.last_step == 29
    (folder / "volume-0003.json").write_text("[]")
    with pytest.raises(RunFileError, match="no declaration of a run"):
        Run.open(tmp_path / "a.h5")
    (folder / "volume-0003.json").write_text('{"format": 9}')
    with pytest.raises(RunFileError, match="format 9; this version reads up to 1"):
        Run.open(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("loss", "loss"),
        ("block[/b] ü 日本", "block[/b] ü 日本"),
        ("\x1b[31mred\x07", "[31mred"),
        ("a\nb\tc\r", "a b c"),
        ("\u202eevil\u2066", "evil"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("half\ud800", "half"),
        ("\x9b31m", "31m"),
    ],
)
def test_text_is_stripped_of_what_steers_a_terminal(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_no_control_character_leaves_the_reader(tmp_path: Path) -> None:
    evil = "\x1b]0;title\x07\u202e"
    writer = RunWriter(tmp_path / "a.h5", meta={evil: [evil, {"x": evil}]})
    writer.declare(
        Series("x", Kind.PER_ITEM, evil, evil, (evil + "a", evil + "b"), (2,), (evil,), axis="step", item_dim=evil)
    )
    writer.append("step", step=0, epoch=0, time=START, values={"x": np.arange(4).reshape(2, 2)})
    writer.close(error=evil)
    with Run.open(tmp_path / "a") as run:
        told = repr((run.series, run.meta, run.error, run.events, run["x"]))
        assert not any(c in told for c in (r"\x1b", r"\x07", r"\u202e", *evil[:1], "\u202e"))
        np.testing.assert_array_equal(run.row("x", item="]0;titleb")[1], [2, 3])
