"""What is there to put into a loop that belongs to a framework?

Trainer(callbacks=[recorder.loops.lightning.Record("runs/x.h5")])            # Lightning, pytorch_lightning
Trainer(..., callbacks=[recorder.loops.transformers.Record("runs/x.h5")])    # Hugging Face
with recorder.loops.accelerate.record(accelerator, model, "runs/x.h5") as run:

Each module imports its framework, and is loaded when it is first used: `import recorder` loads none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recorder.loops import accelerate as accelerate
    from recorder.loops import lightning as lightning
    from recorder.loops import transformers as transformers

__all__ = ["accelerate", "lightning", "transformers"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"recorder.loops.{name}")
    raise AttributeError(f"module 'recorder.loops' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
