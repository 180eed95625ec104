"""Does the recorder see this training at all? What there is to say of updates, or of iterations, that pass unseen."""

from __future__ import annotations

UNSEEN = 100  # steps without an update, after which something must be wrong
UPDATES = {"keras": "the optimizer's apply() is traced within the block, not in a tf.function that is older"}
STEPS = {"keras": "give model.fit callbacks=[run.callback()], or call it at the end of each iteration of your own loop"}


def unseen(framework: str, *, steps: int, updates: int, updated: bool, wanted: bool) -> str:
    """Of a training of which so many steps and updates were seen; "" where all is well.

    `updated`: the model was, since the last step. `wanted`: something of its updates is to be recorded.
    """
    if updated and not steps:
        call = STEPS.get(framework, "call it at the end of each iteration of the training loop")
        return f"updates of the model were seen but run.step() was never called, so nothing of them is recorded; {call}"
    if steps and not updates and wanted:
        where = UPDATES.get(framework, "a torch.optim optimizer of its parameters steps")
        return (
            f"no update of the model was seen in {steps} step{'s' if steps > 1 else ''}, so nothing of its "
            f"gradients and weights is recorded; they are seen where {where}"
        )
    return ""
