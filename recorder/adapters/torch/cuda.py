"""How are the statistics of an update taken on a GPU, without the training ever waiting for them?

All of them are computed there, behind the training's own work (`statistics`, `signs`, `turns`). The result travels to
pinned memory behind the computation, and is read an iteration later.

Whether a gradient scaler leaves an update out is known on the device alone (`taken`, () bool), so that is where what is
kept stays as it was then: NaN where nothing was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from recorder.adapters.rows import Rows, averaged, no_row
from recorder.adapters.torch.host import Members, unscaled
from recorder.adapters.torch.signs import DeviceSigns, there
from recorder.adapters.torch.signs import Update as SignUpdate
from recorder.adapters.torch.statistics import change_norms, counts, floats, nonfinite, norms, relatively_near
from recorder.adapters.torch.turns import DeviceTurns, if_taken
from recorder.analysis import histogram, signs, turns
from recorder.analysis.averages import DECAY, SHARE
from recorder.reading import AVERAGED, OF_SIGNS, OF_TURNS, OF_UPDATE, Plan, Quantity, Statistic

Later = Callable[[], np.ndarray]

OF_GRADIENTS = (OF_SIGNS | OF_TURNS | {Statistic.GRADIENT_NORM, Statistic.GRADIENT_NONFINITE,
                                       Statistic.GRADIENT_HISTOGRAM, Statistic.NEAR_ZERO_RELATIVE})  # fmt: skip


class Measured(NamedTuple):
    """What was measured of an update, on its way to the host."""

    positions: list[int]
    wanted: list[Statistic]
    numbers: Later  # (tensor, number): whether the update was taken, then the columns of what is wanted
    raw: dict[tuple[Quantity, str], Later]


class CudaPass:
    """The measurements of one iteration on one GPU; see `host.Pass`. Its code runs on any device."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._kept: dict[int, torch.Tensor] = {}
        self._valid: set[int] = set()
        self._seen: dict[int, torch.Tensor] = {}  # of those kept, whether they were, where only the device knows
        self._signs = DeviceSigns()
        self._turns = DeviceTurns()
        self._averages: dict[int, torch.Tensor] = {}  # of the weights; that of the gradient is its `grad`
        self._begun: dict[int, torch.Tensor] = {}  # whether they have taken in an update, where only the device knows
        self._of_averages: CudaPass | None = None
        self._several = False  # updates of one tensor in one iteration
        self._clear()

    @property
    def keeps(self) -> bool:
        return bool(self._valid)

    def _clear(self) -> None:
        self._stepped = np.zeros(len(self.names), bool)  # or left out by the scaler
        self._parts: list[Measured] = []

    def update(self, plan: Plan, members: Members, scale: torch.Tensor | None, skipped: torch.Tensor | None) -> None:
        members = [(i, p) for i, p in members if p.grad is not None]
        if not members:
            return
        positions = [i for i, _ in members]
        taken = None if skipped is None else skipped.reshape(()).to(members[0][1].device, non_blocking=True) == 0
        if plan:
            self._several |= bool(self._stepped[positions].any())
            self._stepped[positions] = True
            gradients = [_entries(p, scale) for _, p in members]
            keep_turns = plan.keep_turns or (self._several and plan.turns)
            entrywise = self._entrywise(plan, members, scale, taken, keep_turns=keep_turns)
            self._measure(plan, members, gradients, taken, entrywise, scale)
            if plan.averages is not None:
                self._average(plan.averages, members, scale, taken)
        keep_signs = plan.keep_signs or plan.keep_turns or (self._several and plan.signs)
        if not plan.turns:
            self._turns.forget(positions)
        if not keep_signs:
            self._signs.forget(positions)
        if keep_signs or plan.keep_weights or (self._several and not OF_UPDATE.isdisjoint(plan.statistics)):
            self._keep(members, taken)
            self._valid.update(positions)
        else:
            self._valid.difference_update(positions)

    def look(self, plan: Plan, members: Members) -> None:
        if members:
            self._stepped[[i for i, _ in members]] = True
            self._measure(plan, members, None, None, {}, None)

    def _entrywise(
        self, plan: Plan, members: Members, scale: torch.Tensor | None, taken: torch.Tensor | None, *,
        keep_turns: bool,
    ) -> dict[Statistic, torch.Tensor]:  # fmt: skip
        """What is compared entry by entry with the update before: (tensor, 1 or 5) each."""
        if not plan.signs:
            return {}
        updates = []
        for i, parameter in members:
            weight, dense = _real(parameter.detach()), parameter.grad
            assert dense is not None
            gradient = _real(unscaled(dense.to_dense() if dense.is_sparse else dense, scale)).detach()
            before = self._kept[i] if self._knows(i, weight) else None
            updates.append(SignUpdate(i, gradient, weight, before, self._seen.get(i)))
        found: dict[Statistic, torch.Tensor] = {}
        if plan.turns:
            retained = [self._signs.retained(update, plan.tau[0]) for update in updates]
            columns = self._turns.columns(updates, retained, taken, remember=keep_turns)
            widths = [1, 1, len(turns.AT), len(turns.AT)]
            found = dict(
                zip(map(Statistic, (*turns.ANGLES, *turns.QUANTILES)), columns.split(widths, dim=1), strict=True)
            )
        counts = self._signs.counts(updates, plan.tau, taken)
        return found | {Statistic(name): counts[:, k, None] for k, name in enumerate(signs.NAMES)}

    def _average(self, plan: Plan, members: Members, scale: torch.Tensor | None, taken: torch.Tensor | None) -> None:
        """Take the update into the moving averages, and measure `plan` of those like tensors of their own."""
        averages = []
        for i, parameter in members:
            dense = (
                parameter.grad.to_dense() if parameter.grad is not None and parameter.grad.is_sparse else parameter.grad
            )
            assert dense is not None
            now = [floats(_real(x.detach())) for x in (unscaled(dense, scale), parameter)]
            average = self._averages.get(i)
            if average is None or average.grad is None or average.shape != now[1].shape:
                average = self._averages[i] = now[1].clone()
                average.grad = now[0].clone()
                self._begun.pop(i, None)
                if taken is not None:
                    self._begun[i] = taken
            else:
                begun = self._begun.get(i)
                for kept, x in zip((average.grad, average), now, strict=True):
                    found = (DECAY * kept.double() + SHARE * x.double()).to(kept.dtype)
                    found = found if begun is None else torch.where(begun, found, x)
                    kept.copy_(found if taken is None else torch.where(taken, found, kept))
                if begun is not None and taken is not None:
                    self._begun[i] = begun | taken
                else:
                    self._begun.pop(i, None)
            averages.append((i, average))
        if self._of_averages is None:
            self._of_averages = CudaPass(self.names)
        self._of_averages.update(plan, averages, None, None if taken is None else ~taken)

    def _measure(
        self, plan: Plan, members: Members, gradients: list[torch.Tensor] | None, taken: torch.Tensor | None,
        entrywise: dict[Statistic, torch.Tensor], scale: torch.Tensor | None,
    ) -> None:  # fmt: skip
        positions = [i for i, _ in members]
        weights = [_real(p.detach()) for _, p in members]
        wanted = [
            s for s in Statistic
            if s in plan.statistics and s not in AVERAGED and (gradients is not None or s not in OF_GRADIENTS)
        ]  # fmt: skip
        columns = [self._column(s, plan, positions, weights, gradients or [], entrywise) for s in wanted]
        done = torch.ones(len(members), 1, dtype=torch.float64, device=weights[0].device)
        done = done if taken is None else done * taken
        raw = {key: copied for i, p in members for key, copied in self._copies(plan, i, p, scale)}
        table = torch.cat([done, *(c.double() for c in columns)], dim=1)
        self._parts.append(Measured(positions, wanted, later(table), raw))

    def _column(
        self, statistic: Statistic, plan: Plan, positions: list[int], weights: list[torch.Tensor],
        gradients: list[torch.Tensor], entrywise: dict[Statistic, torch.Tensor],
    ) -> torch.Tensor:  # fmt: skip
        """-> (tensor, 1, 5 or 204)"""
        match statistic:
            case Statistic.GRADIENT_NORM:
                return norms(gradients)[:, None]
            case Statistic.WEIGHT_NORM:
                return norms(weights)[:, None]
            case Statistic.UPDATE_NORM:
                return self._update_norms(positions, weights)[:, None]
            case Statistic.GRADIENT_NONFINITE:
                return nonfinite(gradients)[:, None]
            case Statistic.WEIGHT_NONFINITE:
                return nonfinite(weights)[:, None]
            case Statistic.GRADIENT_HISTOGRAM:
                return torch.stack([counts(g, w.numel()) for g, w in zip(gradients, weights, strict=True)])
            case Statistic.WEIGHT_HISTOGRAM:
                return torch.stack([counts(w, w.numel()) for w in weights])
            case Statistic.UPDATE_HISTOGRAM:
                return torch.stack([self._update_counts(i, w) for i, w in zip(positions, weights, strict=True)])
            case Statistic.NEAR_ZERO_RELATIVE:
                sizes = [w.numel() for w in weights]
                return relatively_near(gradients, sizes, plan.relative_tau)[:, None]
            case _:
                return entrywise[statistic]

    def _update_norms(self, positions: list[int], weights: list[torch.Tensor]) -> torch.Tensor:
        known = [n for n, i in enumerate(positions) if self._knows(i, weights[n])]
        result = torch.full((len(positions),), torch.nan, dtype=torch.float64, device=weights[0].device)
        if known:
            before = [self._kept[positions[n]] for n in known]
            result[there(known, result.device)] = change_norms([weights[n] for n in known], before)
        return result

    def _update_counts(self, i: int, weight: torch.Tensor) -> torch.Tensor:
        if not self._knows(i, weight):
            return torch.zeros(histogram.COLUMNS, dtype=torch.int64, device=weight.device)
        found = counts(floats(weight) - floats(self._kept[i]), weight.numel())
        return found if i not in self._seen else found * self._seen[i]

    def _knows(self, i: int, weight: torch.Tensor) -> bool:
        """Whether the weights before the tensor's last update are kept."""
        return i in self._valid and self._kept[i].shape == weight.shape

    def _keep(self, members: Members, taken: torch.Tensor | None) -> None:
        weights = [_real(p.detach()) for _, p in members]
        if taken is not None:
            for (i, _), weight in zip(members, weights, strict=True):
                known = self._knows(i, weight)
                if not known or i in self._seen:
                    self._seen[i] = taken | self._seen[i] if known else taken
                self._kept[i] = if_taken(taken, weight, self._kept[i] if known else None)
            return
        for (i, _), weight in zip(members, weights, strict=True):
            self._seen.pop(i, None)
            if i not in self._kept or self._kept[i].shape != weight.shape or self._kept[i].dtype != weight.dtype:
                self._kept[i] = torch.empty_like(weight)
        torch._foreach_copy_([self._kept[i] for i, _ in members], weights)

    def _copies(
        self, plan: Plan, i: int, parameter: torch.Tensor, scale: torch.Tensor | None
    ) -> Iterator[tuple[tuple[Quantity, str], Later]]:
        """What is wanted whole of a tensor."""
        name, weight = self.names[i], _real(parameter.detach())
        if ("gradient", name) in plan.raw and parameter.grad is not None:
            gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
            yield ("gradient", name), later(_real(unscaled(gradient, scale)))
        if ("weight", name) in plan.raw:
            yield ("weight", name), later(weight)
        if ("update", name) in plan.raw and self._knows(i, weight):
            yield ("update", name), later(floats(weight) - floats(self._kept[i]))

    def grow(self, names: Sequence[str]) -> None:
        self.names = names
        if self._of_averages is not None:
            self._of_averages.grow(names)
        self._clear()

    def rows(self) -> Callable[[], Rows]:
        stepped, parts = np.zeros(len(self.names), bool), self._parts
        averages = self._of_averages.rows() if self._of_averages is not None else None
        self._clear()

        def read() -> Rows:
            table: dict[Statistic, np.ndarray] = {}
            raw: dict[tuple[Quantity, str], np.ndarray] = {}
            norms = None  # at the update before, where that was in this iteration as well
            for part in parts:
                done, numbers = np.split(part.numbers(), [1], axis=1)
                measured = np.array(part.positions)[done[:, 0] == 1]
                again = measured[stepped[measured]]
                if again.size and Statistic.WEIGHT_NORM in table:
                    norms = np.full(len(stepped), np.nan) if norms is None else norms
                    norms[again] = table[Statistic.WEIGHT_NORM][again]
                stepped[measured] = True
                first = 0
                for statistic in part.wanted:
                    column = table.setdefault(statistic, no_row(statistic, len(stepped)))
                    width = column[0].size
                    block = numbers[done[:, 0] == 1, first : first + width]
                    column[measured] = block.reshape(len(block), *column.shape[1:])
                    first += width
                if done.all():  # an update is taken as a whole
                    raw |= {key: copied() for key, copied in part.raw.items()}
            if averages is not None:
                table |= averaged(averages().table)
            return Rows(table, stepped, raw, norms)

        return read


def later(tensor: torch.Tensor) -> Later:
    """Start a copy to host memory behind the work that is queued; the thunk waits for it."""
    if not tensor.is_cuda:
        copied = floats(tensor.detach()).numpy(force=True).copy()
        return lambda: copied
    with torch.cuda.device(tensor.device):
        wide = floats(tensor.detach()).contiguous()
        pinned = torch.empty(wide.shape, dtype=wide.dtype, device="cpu", pin_memory=True)
        pinned.copy_(wide, non_blocking=True)
        done = torch.cuda.Event()
        done.record()

    def wait() -> np.ndarray:
        done.synchronize()
        return pinned.numpy().copy()

    return wait


def _entries(parameter: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    """The gradient's numbers; of a sparse one those that are stored."""
    gradient = parameter.grad
    assert gradient is not None
    gradient = gradient.detach()
    return _real(unscaled(gradient.coalesce().values() if gradient.is_sparse else gradient, scale))


def _real(tensor: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
