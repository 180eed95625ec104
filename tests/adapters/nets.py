"""One small net and its training in plain numpy: the reference's subject."""

from __future__ import annotations

import numpy as np

Tensors = dict[str, np.ndarray]


class NumpyNet:
    """Linear, ReLU, linear; mean squared output as loss. Tensors are called as torch.nn.Sequential would call them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.parameters: Tensors = {
            "0.weight": rng.standard_normal((8, 4)).astype(np.float32),
            "0.bias": rng.standard_normal(8).astype(np.float32),
            "2.weight": rng.standard_normal((2, 8)).astype(np.float32),
            "2.bias": np.zeros(2, np.float32),
        }
        self.gradients: Tensors = {}

    def forward(self, x: np.ndarray) -> Tensors:
        p = self.parameters
        hidden = x @ p["0.weight"].T + p["0.bias"]
        active = np.maximum(hidden, 0)
        return {"0": hidden, "1": active, "2": active @ p["2.weight"].T + p["2.bias"]}

    def backward(self, x: np.ndarray) -> float:
        found = self.forward(x)
        out = found["2"]
        back = 2 * out / out.size
        hidden = (back @ self.parameters["2.weight"]) * (found["0"] > 0)
        self.gradients = {
            "0.weight": hidden.T @ x,
            "0.bias": hidden.sum(axis=0),
            "2.weight": back.T @ found["1"],
            "2.bias": back.sum(axis=0),
        }
        return float(np.square(out).mean())


class GradientDescent:
    """w <- w - learning_rate g, in place."""

    def __init__(self, net: NumpyNet, learning_rate: float) -> None:
        self.net, self.learning_rate = net, learning_rate

    def step(self) -> str:
        for name, gradient in self.net.gradients.items():
            self.net.parameters[name] -= self.learning_rate * gradient
        return "stepped"
