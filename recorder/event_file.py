"""How do numbers become what TensorBoard shows? One event file, through TensorBoard's own writer.

Scalars are tensors of float64 with the metadata of the scalars' dashboard: exact, where the older `simple_value` would
round them to float32. Nothing here loads TensorFlow. https://www.tensorflow.org/tensorboard
"""

from __future__ import annotations

import os
import socket
import time as clock
from collections.abc import Mapping
from io import FileIO
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from recorder.errors import LayerscopeError

MARK = "tfevents"  # what TensorBoard looks for in a file's name
VERSION = "brain.Event:2"


def file_name(started: float, name: str) -> str:
    """A name that TensorBoard reads."""
    return f"events.out.{MARK}.{ceil(started)}.{name}"


def unique_name() -> str:
    """One that no other process has; TensorBoard reads the files of a folder in the order of their names."""
    return file_name(clock.time(), f"{socket.gethostname()}.{os.getpid()}.{clock.time_ns() % 10**9:09d}")


def event_files(folder: Path) -> list[Path]:
    """The event files that lie in a folder."""
    return sorted(p for p in folder.glob(f"*{MARK}*") if p.is_file()) if folder.is_dir() else []


def check_installed() -> None:
    """LayerscopeError where TensorBoard is missing."""
    try:
        import tensorboard  # noqa: F401
    except ImportError as missing:
        raise LayerscopeError(
            "TensorBoard is not installed; its writer comes with: pip install 'layerscope[tensorboard]'"
        ) from missing


class EventFile:
    """Writes events into a binary file that it is given, which stays the caller's to close."""

    def __init__(self, file: BinaryIO | FileIO, *, started: float) -> None:
        check_installed()
        from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary, self._tensor = event_pb2.Event, summary_pb2.Summary, tensor_pb2.TensorProto
        self._session = event_pb2.SessionLog
        self._records = RecordWriter(file)
        self._told: set[str] = set()  # tags whose metadata is in the file
        self._write(self._event(wall_time=started, file_version=VERSION))

    def begin_at(self, step: int, *, time: float) -> None:
        """A training begins at this step: TensorBoard drops what older files that say so have from there on."""
        self._write(self._event(wall_time=time, step=step, session_log=self._session(status=self._session.START)))

    def scalars(
        self, numbers: Mapping[str, float], step: int, *, time: float, docs: Mapping[str, str] | None = None
    ) -> None:
        """{tag: number} of one step; `docs` has sentences that TensorBoard shows with them."""
        from tensorboard.plugins.scalar.metadata import create_summary_metadata

        values = []
        for tag, number in numbers.items():
            tensor = self._tensor(dtype="DT_DOUBLE", double_val=[number])
            tensor.tensor_shape.SetInParent()  # of no dimension
            values.append(self._value(tag, tensor, create_summary_metadata, docs))
        self._write(self._event(wall_time=time, step=step, summary=self._summary(value=values)))

    def histogram(
        self, tag: str, bins: np.ndarray, step: int, *, time: float, docs: Mapping[str, str] | None = None
    ) -> None:
        """`bins` (bin, 3): where each begins and ends, and its count."""
        from tensorboard.plugins.histogram.metadata import create_summary_metadata

        tensor = self._tensor(dtype="DT_DOUBLE", tensor_content=np.ascontiguousarray(bins, "<f8").tobytes())
        for size in bins.shape:
            tensor.tensor_shape.dim.add(size=size)
        value = self._value(tag, tensor, create_summary_metadata, docs)
        self._write(self._event(wall_time=time, step=step, summary=self._summary(value=[value])))

    def text(self, tag: str, text: str, step: int, *, time: float) -> None:
        """A note at a step."""
        from tensorboard.plugins.text.metadata import create_summary_metadata

        tensor = self._tensor(dtype="DT_STRING", string_val=[text.encode()])
        tensor.tensor_shape.SetInParent()
        value = self._value(tag, tensor, create_summary_metadata, None)
        self._write(self._event(wall_time=time, step=step, summary=self._summary(value=[value])))

    def _value(self, tag: str, tensor: Any, metadata: Any, docs: Mapping[str, str] | None) -> Any:
        """A value; its first one says which dashboard shows it."""
        if tag in self._told:
            return self._summary.Value(tag=tag, tensor=tensor)
        self._told.add(tag)
        return self._summary.Value(tag=tag, tensor=tensor, metadata=metadata("", (docs or {}).get(tag, "")))

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())
