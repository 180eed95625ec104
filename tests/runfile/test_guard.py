"""A hostile or damaged file is refused with a sentence; it never hangs, reads elsewhere or crashes."""

import json
import os
from collections.abc import Callable
from contextlib import nullcontext
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
from tests.runfile.runs import START, at_rest, write
from tests.runfile.test_writer import check


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


VALUES = "gradient_norm/values"  # declared, so it is read; what nothing declares is never touched


def put(file: h5py.File, shape: tuple[int, ...] = (25, 3), dtype: object = "f4", **storage: object) -> h5py.Dataset:
    """Another dataset in the place of the norms."""
    del file[VALUES]
    return file.create_dataset(VALUES, shape, dtype, **storage)


def a_link_out(file: h5py.File) -> None:
    del file[VALUES]
    file[VALUES] = h5py.ExternalLink("other.h5", "/")


def a_soft_link(file: h5py.File) -> None:
    del file[VALUES]
    file[VALUES] = h5py.SoftLink("/axes/step/step")


def a_link_to_itself(file: h5py.File) -> None:
    del file["gradient_norm"]
    file["gradient_norm"] = h5py.SoftLink("/gradient_norm")


def a_circle(file: h5py.File) -> None:
    del file[VALUES]
    file[VALUES] = file["gradient_norm"]


def virtual_data(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((25, 3), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (25, 3))
    del file[VALUES]
    file.create_virtual_dataset(VALUES, layout)


def external_data(file: h5py.File) -> None:
    put(file, external=[("/etc/hostname", 0, 300)])


def huge_chunks(file: h5py.File) -> None:
    put(file, (25, 1 << 13, 1 << 14), maxshape=(None, 1 << 13, 1 << 14), chunks=(1, 1 << 13, 1 << 14))


def huge_rows(file: h5py.File) -> None:
    put(file, (1, 1 << 40), chunks=(1, 100))


def text_of_any_length(file: h5py.File) -> None:
    put(file, (25, 3), h5py.string_dtype())


def numbers_in_pairs(file: h5py.File) -> None:
    put(file, (25, 3), [("a", "f4"), ("b", "f4")])


def a_named_type(file: h5py.File) -> None:
    del file[VALUES]
    file[VALUES] = np.dtype("f4")


def with_filters(file: h5py.File, *filters: int) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((4, 3))
    for code in filters:
        plist.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (1,) if code == h5py.h5z.FILTER_DEFLATE else ())
    space = h5py.h5s.create_simple((25, 3), (h5py.h5s.UNLIMITED, 3))
    del file[VALUES]
    h5py.h5d.create(file.id, VALUES.encode(), h5py.h5t.NATIVE_FLOAT, space, plist)


def an_unknown_filter(file: h5py.File) -> None:
    with_filters(file, 32999)


def gzip_in_gzip(file: h5py.File) -> None:
    with_filters(file, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_DEFLATE)


def a_filter_of_others(file: h5py.File) -> None:
    with_filters(file, h5py.h5z.FILTER_LZF)


def a_newer_format(file: h5py.File) -> None:
    file.attrs["format"] = 99
    file.attrs["layerscope"] = np.bytes_("9.1")


def a_format_in_words(file: h5py.File) -> None:
    file.attrs["format"] = "one"


def a_count_in_words(file: h5py.File) -> None:
    del file["axes/step/committed"]
    file["axes/step/committed"] = np.bytes_("many")


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
        (a_link_out, "/gradient_norm/values: is a soft or external link"),
        (a_soft_link, "/gradient_norm/values: is a soft or external link"),
        (a_link_to_itself, "/gradient_norm: is a soft or external link"),
        (a_circle, "expected a dataset"),
        (virtual_data, "its data lie in other files"),
        (external_data, "its data lie in other files"),
        (huge_chunks, "its chunks have 536870912 bytes"),
        (huge_rows, "one row has"),
        (text_of_any_length, "of a type that no run has"),
        (numbers_in_pairs, "of a type that no run has"),
        (a_named_type, "expected a dataset"),
        (an_unknown_filter, "packed with filter 32999, which this HDF5 does not have"),
        (gzip_in_gzip, r"filters \[1, 1\]; a run has"),
        (a_filter_of_others, r"filters \[32000\]; a run has"),
        (a_newer_format, r"format 99, written by layerscope 9\.1; this one .* reads format 1 to 1: update .* to 9\.1"),
        (a_format_in_words, "has no format number|format number"),
        (a_count_in_words, "expected one count"),
        (no_format, "it has no format number"),
        (no_json, "declaration of its series cannot be read"),
        (nested_json, "declaration of its series cannot be read"),
        (another_kind, "declaration of its series cannot be read"),
        (another_shape, r"gradient_norm/values: expected rows of \(4,\) float32, found \(3,\)"),
        (no_series, "/gradient_norm: is damaged: it was declared, and is not there"),
        (no_axes, "/axes: is damaged: it was declared, and is not there"),
        (a_status_of_another_type, "expected at most"),
    ],
)
def test_a_run_that_was_tampered_with_is_refused(tmp_path: Path, harm: Callable[[h5py.File], None], said: str) -> None:
    write(tmp_path / "a.h5", 25)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        harm(file)
    with pytest.raises(RunFileError, match=said):
        Run.open(tmp_path / "a.h5")


def test_what_nothing_declares_is_never_touched(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", 25)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["out"] = h5py.ExternalLink("other.h5", "/")
        file["axes/again"] = file["/"]
        file["gradient_norm/loop"] = h5py.SoftLink("/gradient_norm/loop")
        place = file.create_group("deep")
        for _ in range(300):
            place = place.create_group("x")
        file.create_dataset("elsewhere", (8,), "u1", external=[("/etc/hostname", 0, 8)])
    with Run.open(tmp_path / "a.h5") as run:
        check(run, 25)


@pytest.mark.parametrize("sealed", [True, False])
def test_a_cut_file_is_refused_at_once(tmp_path: Path, sealed: bool) -> None:
    writer = write(tmp_path / "a.h5", 300, close=sealed)
    with nullcontext() if sealed else at_rest(writer):
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
    with pytest.raises(RunFileError, match="declaration of the run cannot be read"):
        Run.open(tmp_path / "a.h5")
    (folder / "volume-0003.json").write_text('{"format": 9}')
    with pytest.raises(RunFileError, match=r"format 9, written by layerscope a newer version; .* reads format 1 to 1"):
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
