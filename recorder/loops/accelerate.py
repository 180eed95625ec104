"""How is a training with Accelerate recorded? `with record(accelerator, model, "runs/x.h5") as run:` around the loop.

The loop is the user's own, so there is nothing to call back; what differs from other loops is what `prepare` has made
of model and optimizer. This module needs no import of Accelerate.
"""

from __future__ import annotations

import os
from typing import Any

from recorder.errors import RecordError
from recorder.recording.record import record as recorded
from recorder.recording.recording import Recording

ELSEWHERE = {  # how the updates of the training are made, where not by the optimizers of torch
    "DEEPSPEED": "DeepSpeed",
    "MEGATRON_LM": "Megatron-LM",
    "XLA": "XLA",
}


def record(accelerator: Any, model: Any, path: str | os.PathLike[str], **options: Any) -> Recording:
    """Record the training of a prepared model, or of a dict of them; the options are those of `recorder.record`.

    with record(accelerator, model, "runs/x.h5", probe=images) as run:
        for x, y in loader:
            with accelerator.accumulate(model):
                ...
            run.step(loss=loss)

    Call it on every process, after `prepare`: the main one writes the run. A step is a batch, whether it ends in an
    update or in none. Gradients are those that the update uses: accumulated, reduced, clipped, without the loss scale.
    The loss is that of the main process; `accelerator.reduce(loss.detach(), "mean")` gives that of all.

    Raises:
        RecordError: as `recorder.record`; and where the updates are not made by optimizers of torch.
    """
    if not hasattr(accelerator, "distributed_type"):
        raise RecordError(
            f"record: expected an Accelerator first, got {type(accelerator).__name__}: record(accelerator, model, "
            '"runs/x.h5"), after accelerator.prepare(...)'
        )
    kind = getattr(accelerator.distributed_type, "name", str(accelerator.distributed_type))
    if kind in ELSEWHERE:
        raise RecordError(
            f"record: {ELSEWHERE[kind]} makes the updates of this training, and only those of torch's optimizers are "
            "seen; run it with DistributedDataParallel or FSDP2"
        )
    settings = {
        "mixed_precision": accelerator.mixed_precision,
        "gradient_accumulation_steps": accelerator.gradient_accumulation_steps,
    }
    # Not accelerator.unwrap_model, which takes DistributedDataParallel out of a compiled model for good.
    return recorded(model, path, **{"meta": settings, **options})
