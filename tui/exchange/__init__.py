"""How do the numbers of a run reach other tools? As JSON, CSV, Parquet or TensorBoard's event files, exact."""

from typing import Literal

Tool = Literal["json", "csv", "parquet", "tensorboard"]
TOOLS: tuple[Tool, ...] = ("json", "csv", "parquet", "tensorboard")
