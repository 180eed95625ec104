"""Which calls of torch does the recorder listen in on, beside the optimizers' own hooks?

Two things never reach an optimizer hook: by how much gradients were clipped before, and that a GradScaler left an
update out. Both pass through one inner function of torch, whichever way the user imported the outer one. A `Tap`
replaces that function by one that calls it, then tells the listeners; the last listener to leave puts it back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

Listener = Callable[..., None]


class Tap:
    """One attribute of a module or class, wrapped while somebody listens.

    A listener is told `(result, *args, **kwargs)` of each call, after it; what the call does is not changed. Nothing is
    told while torch.compile traces. `there` is false where this torch has no such attribute; nothing is told then.
    """

    def __init__(self, owner: Any, name: str) -> None:
        self.owner, self.name = owner, name
        self._listeners: list[Listener] = []
        self._original: Any = None
        self._wrapper: Any = None

    @property
    def there(self) -> bool:
        return hasattr(self.owner, self.name)

    def listen(self, listener: Listener) -> None:
        if not self._listeners and self.there:
            self._install()
        self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)
        if not self._listeners and getattr(self.owner, self.name, None) is self._wrapper is not None:
            setattr(self.owner, self.name, self._original)
            self._wrapper = None

    def _install(self) -> None:
        original = self._original = getattr(self.owner, self.name)

        @functools.wraps(original)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if not torch.compiler.is_compiling():
                for listener in tuple(self._listeners):
                    listener(result, *args, **kwargs)
            return result

        self._wrapper = wrapper
        setattr(self.owner, self.name, wrapper)


# clip_grad_norm_ calls it with (parameters, max_norm, total_norm, foreach)
clipping = Tap(torch.nn.utils.clip_grad, "_clip_grads_with_norm_")
# GradScaler.step calls it with (scaler, optimizer, state); it calls optimizer.step unless something was not finite
scaled_step = Tap(torch.amp.GradScaler, "_maybe_opt_step")
