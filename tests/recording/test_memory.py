"""The memory that is announced is the memory that is taken."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from recorder import every, record
from recorder.adapters.rows import HostRows, Update
from recorder.adapters.torch.cuda import CudaPass
from recorder.instruments import INSTRUMENTS
from recorder.reading import Facts, LayerFacts, Need, Plan, TensorFacts
from recorder.recording.conductor import Conductor
from recorder.recording.memory import memory
from recorder.recording.player import players
from recorder.schedule import Moment, Scheduled
from tests.recording.quadratic import Quadratic

SIZE = 6400  # a multiple of 64, so that the planes have no rest


def taken(rows: HostRows | None) -> int:
    """Bytes of the arrays that are kept."""
    if rows is None:
        return 0
    kept = [(k.weights, k.planes, k.gradient, k.change, *(k.averages or ())) for k in rows._kept.values()]
    return sum(x.nbytes for some in kept for x in some if x is not None) + taken(rows._of_averages)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("wanted", [
    ["update_ratio"], ["near_zero"], ["gradient_angle"], ["moving_averages"], ["sign_flips", "moving_averages"],
    ["weight_norm"], [i.name for i in INSTRUMENTS if Need.PROBE not in i.needs],
])  # fmt: skip
def test_what_is_announced_is_taken(dtype, wanted):
    facts = Facts("", (TensorFacts("w", (SIZE,), dtype, ""), TensorFacts("frozen", (9,), dtype, "", trainable=False)),
                  (LayerFacts("l", "ReLU", (2,)),), 3)  # fmt: skip
    playing = players([Scheduled(every(1), i()) for i in INSTRUMENTS if i.name in wanted], facts)
    conductor, rows = Conductor(playing, lambda *_: None), HostRows(["w", "frozen"])
    for step in range(3):
        conductor.move_to(Moment(step, updates=step))
        plan = conductor.plan()
        rows.measure(Plan(**{**vars(plan), "raw": frozenset()}), [Update(0, *np.ones((2, SIZE), dtype))])
        rows.end()
    assert taken(rows) == memory(playing, facts.tensors)


def taken_there(gpu: CudaPass | None) -> int:
    """Bytes of the tensors that are kept on a GPU."""
    if gpu is None:
        return 0
    codes = [piece for pieces in gpu._signs._codes.values() for piece in pieces]
    averages = [x for average in gpu._averages.values() for x in (average, average.grad)]
    kept = [*gpu._kept.values(), *codes, *gpu._turns._gradients.values(), *gpu._turns._changes.values(), *averages]
    return sum(x.nbytes for x in kept) + taken_there(gpu._of_averages)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("wanted", [["update_ratio"], ["near_zero"], ["gradient_angle"], ["change_cosine", "near_zero",
                                    "moving_averages"]])  # fmt: skip
def test_what_is_announced_of_a_gpu_is_taken_there(dtype, wanted):
    size = 3 * 1024  # whole rows of signs
    facts = Facts("", (TensorFacts("w", (size,), dtype, ""),), (), device="cuda:0")
    playing = players([Scheduled(every(1), i()) for i in INSTRUMENTS if i.name in wanted], facts)
    conductor, gpu = Conductor(playing, lambda *_: None), CudaPass(["w"])
    weight = torch.nn.Parameter(torch.ones(size, dtype=getattr(torch, dtype)))
    weight.grad = torch.ones_like(weight)
    for step in range(3):
        conductor.move_to(Moment(step, updates=step))
        gpu.update(conductor.plan(), [(0, weight)], None, None)
        gpu.rows()
    assert taken_there(gpu) == memory(playing, facts.tensors, device=facts.device)


def test_it_is_said_before_it_is_taken(tmp_path):
    with record(Quadratic(), tmp_path / "q.h5", instruments="full", progress=False) as run:
        assert "324 B of memory from update to update" in " ".join(str(run).split())
    with record(Quadratic(), tmp_path / "r.h5", instruments="weight_norm", progress=False) as run:
        assert "of memory" not in " ".join(str(run).split())


class Watcher(Quadratic):
    """Says of itself how much it has when it is asked to watch."""

    def attach(self, plan):
        super().attach(plan)
        print("attached", file=sys.stderr)


def test_what_is_large_is_printed_by_itself_before_it_is_taken(tmp_path, capsys):
    with record(Watcher(), tmp_path / "q.h5", instruments="full"):
        pass
    told, attached = capsys.readouterr().err.splitlines()
    assert (told, attached) == ("layerscope q.h5: 324 B of memory from update to update, 8.1 x the network's weights",
                                "attached")  # fmt: skip
    with record(Watcher(), tmp_path / "l.h5", instruments="dynamics"):
        pass
    with record(Watcher(), tmp_path / "s.h5", instruments="full", progress=False):
        pass
    assert capsys.readouterr().err == 2 * "attached\n"
