"""A log gives back a whole prefix of what was appended, whatever happens to its bytes."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.runfile.log import Block, Tail, frame_dtype, whole_prefix
from recorder.runfile.schema import row_dtype
from tests.runfile.runs import HISTOGRAM, NORM

ROW = row_dtype((NORM, HISTOGRAM))
ROWS = 5


def filled(path: Path, count: int, *, first: int = 0, capacity: int = 16) -> Block:
    block = Block(path, ROW, first=first, capacity=capacity)
    for step in range(first, first + count):
        k = block.blank()
        block.fields["step"][k] = step
        block.fields["gradient_norm"][k, 0] = step / 3
        block.append()
    return block


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, np.ndarray]:
    path = tmp_path_factory.mktemp("log") / "log"
    block = filled(path, ROWS)
    block.close()
    return path.read_bytes(), block.rows.copy()


def test_what_is_appended_is_read(whole: tuple[bytes, np.ndarray]) -> None:
    data, rows = whole
    assert len(data) == ROWS * frame_dtype(ROW).itemsize
    assert whole_prefix(data, ROW).tobytes() == rows.tobytes()


def test_numbers_that_were_not_given_are_nan_or_zero(whole: tuple[bytes, np.ndarray]) -> None:
    _, rows = whole
    assert np.isnan(rows["gradient_norm"][:, 1:]).all()
    assert not np.isnan(rows["gradient_norm"][:, 0]).any()
    assert (rows["weight_histogram"] == 0).all()


@given(cut=st.integers(0, ROWS * frame_dtype(ROW).itemsize))
def test_any_cut_leaves_a_whole_prefix(whole: tuple[bytes, np.ndarray], cut: int) -> None:
    data, rows = whole
    kept = whole_prefix(data[:cut], ROW)
    assert len(kept) == cut // frame_dtype(ROW).itemsize
    assert kept.tobytes() == rows[: len(kept)].tobytes()


@given(at=st.integers(0, ROWS * frame_dtype(ROW).itemsize - 1), bits=st.integers(1, 255))
def test_any_damaged_byte_ends_the_prefix_at_its_frame(whole: tuple[bytes, np.ndarray], at: int, bits: int) -> None:
    data, rows = whole
    damaged = bytearray(data)
    damaged[at] ^= bits
    kept = whole_prefix(bytes(damaged), ROW)
    assert len(kept) == at // frame_dtype(ROW).itemsize
    assert kept.tobytes() == rows[: len(kept)].tobytes()


@given(st.lists(st.integers(0, 4), max_size=8))
@settings(max_examples=25)
def test_a_tail_follows_a_log_however_it_grows(tmp_path_factory: pytest.TempPathFactory, pieces: list[int]) -> None:
    path = tmp_path_factory.mktemp("tail") / "log"
    block = Block(path, ROW, first=7, capacity=64)
    block.write()
    tail, written = Tail(ROW), 0
    for piece in pieces:
        for _ in range(piece):
            block.fields["step"][block.blank()] = 7 + written
            block.append()
            written += 1
        assert tail.refresh({7: path}) is None
        tail.join(committed=7)
        assert tail.rows["step"].tolist() == list(range(7, 7 + written))
    block.discard()
    assert tail.refresh({7: path}) == 7
    tail.join(committed=7 + written)
    assert len(tail) == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("committed", "rows"),
    [
        (0, range(0)),  # rows 0 to 3 are nowhere: a whole prefix ends there
        (4, range(4, 12)),
        (6, range(4, 12)),  # where both have a row, the log wins
        (12, range(4, 12)),
        (16, range(0)),
        (20, range(20, 24)),  # the logs in the gap were committed while the others were read
        (24, range(20, 24)),
        (30, range(0)),
    ],
)
def test_a_tail_is_the_chain_of_logs_that_carries_on_from_the_file(tmp_path: Path, committed: int, rows: range) -> None:
    paths = {first: tmp_path / str(first) for first in (4, 8, 20)}
    for first, path in paths.items():
        filled(path, 4, first=first).close()
    tail = Tail(ROW)
    tail.refresh(paths)
    tail.join(committed)
    assert tail.rows["step"].tolist() == list(rows)
    assert not rows or tail.first == rows.start


def test_the_last_of_the_logs_that_went_is_named(tmp_path: Path) -> None:
    """Those before it may be in the file; that it is not tells that its rows are in another volume."""
    block = Block(tmp_path / "log", ROW, first=5, capacity=5)
    assert Tail(ROW).refresh({0: tmp_path / "gone", 5: block.path, 10: tmp_path / "gone too"}) == 10


def test_a_full_disk_loses_nothing_once_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, room = os.pwrite, 3 * frame_dtype(ROW).itemsize + 11

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        if offset + len(data) <= room:
            return real(fd, data, offset)
        if offset < room:
            return real(fd, data[: room - offset], offset)  # a full disk takes a part
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", pwrite)
    block = filled(tmp_path / "log", 5)
    assert block.error is not None
    assert block.error.errno == errno.ENOSPC
    assert len(whole_prefix((tmp_path / "log").read_bytes(), ROW)) == 3
    room = 1 << 30
    block.fields["step"][block.blank()] = 5
    block.append()
    assert block.error is None
    assert whole_prefix((tmp_path / "log").read_bytes(), ROW)["step"].tolist() == list(range(6))
