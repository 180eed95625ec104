"""One training in several processes gives one run, that of the reduced gradients, and nobody waits for nobody."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed.optim

from recorder import Checkpoints, open_run, record
from recorder.adapters.torch import team
from recorder.adapters.torch.adapter import TorchAdapter
from recorder.errors import LayerscopeError, RecordError, RunExistsError
from recorder.recording.forecast import Budget
from recorder.runfile.schema import State
from tests.recording.several import (
    PATIENCE,
    alone,
    distributed_data_parallel,
    fsdp2,
    killed,
    network,
    same,
    started,
    train,
)

ROOT = Path(__file__).parents[2]
TIMES = {"step_time", "overhead_time"}
OWN = TIMES | {"loss"}  # of one process: its clock, and its share of the batch


def ddp(folder, rank, size):
    weights = train(distributed_data_parallel, folder / "run.h5", rank=rank, size=size)
    torch.save(weights, folder / f"weights-{rank}.pth")
    zero = partial(torch.distributed.optim.ZeroRedundancyOptimizer, optimizer_class=torch.optim.SGD)
    train(distributed_data_parallel, folder / "rank-0.h5" if rank == 0 else None, rank=rank, size=size, sgd=zero)


def same_series(run, reference, *, without=()):
    """Every series of a run beside that of the same training in one process: equal within float32, integers exactly."""
    assert set(reference.series) - set(without) == set(run.series)
    for name in run.series:
        found, expected = run[name], reference[name]
        assert found.items == expected.items
        for item in expected.items:
            if name == "scalars" and item in OWN:
                continue
            there, here = expected.item(item), found.item(item)
            np.testing.assert_array_equal(here.step, there.step, err_msg=f"{name} {item}")
            if there.values.dtype.kind in "iu":
                np.testing.assert_array_equal(here.values, there.values, err_msg=f"{name} {item}")
            else:
                np.testing.assert_allclose(here.values, there.values, rtol=2e-4, atol=2e-5, err_msg=f"{name} {item}")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """-> the run of one process, and its weights"""
    path = tmp_path_factory.mktemp("alone") / "run.h5"
    weights = train(alone, path)
    return open_run(path), weights


# -- every process has all tensors ---------------------------------------------------------------------------------


def test_ddp_is_one_run_equal_to_that_of_one_process(tmp_path, reference):
    run, weights = reference
    assert started(ddp, tmp_path) == [0, 0]
    for name in ("run.h5", "rank-0.h5"):  # on every rank; and on rank 0 only, of which each updates a part (ZeRO)
        found = open_run(tmp_path / name)
        same_series(found, run)
        assert found.meta["processes"] == 2
        assert not found.events
    assert len(list(tmp_path.glob("*.h5"))) == 2
    for rank in range(2):
        assert same(torch.load(tmp_path / f"weights-{rank}.pth"), weights)


def inert(folder, rank, size):
    with record(network(), folder / "run.h5", probe=torch.zeros(2, 5), progress=False) as run:
        for _ in range(3):
            run.step(loss=1.0)
        run.epoch()
        run.event("note", "by every process")
        assert run.steps == 3
        assert (run.checkpoint() is None) == (rank > 0)
        assert repr(run).endswith("recording)" if rank == 0 else "recorded by another process)")
    each_its_own(folder, rank)


def each_its_own(folder, rank):
    with record(network(), folder / f"run-{rank}.h5", rank=None, progress=False) as run:
        run.step(loss=float(rank))
    with record(network(), folder / "second.h5", rank=1, progress=False) as run:
        run.step(loss=float(rank))
    with pytest.raises(RecordError, match=r"rank=2.*2 processes, with ranks 0 to 1"):
        record(network(), folder / "third.h5", rank=2)


def test_a_process_that_does_not_write_has_the_same_run_in_its_hands(tmp_path):
    assert started(inert, tmp_path) == [0, 0]
    run = open_run(tmp_path / "run.h5")
    assert run.steps == 3
    assert [event.text for event in run.events if event.kind == "note"] == ["by every process"]
    losses = {path.stem: open_run(path)["loss"].values.tolist() for path in tmp_path.glob("*.h5")}
    assert losses == {"run": [1.0] * 3, "run-0": [0.0], "run-1": [1.0], "second": [1.0]}


@pytest.mark.parametrize("rank", [-1, True, "0", 1.5])
def test_a_rank_that_is_none(tmp_path, rank):
    with pytest.raises(RecordError, match="expected the rank of the process that writes"):
        record(network(), tmp_path / "run.h5", rank=rank)


def test_a_process_group_that_is_made_too_late_is_told(tmp_path, monkeypatch):
    with record(network(), tmp_path / "run.h5", instruments=[], progress=False):
        with pytest.raises(RunExistsError) as plain, record(network(), tmp_path / "run.h5"):
            pass
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", "1")
        late = record(network(), tmp_path / "run.h5")
        with pytest.raises(RunExistsError, match=r"process 1 of 2: call torch.distributed.init_process_group"):
            late.__enter__()
    assert "init_process_group" not in str(plain.value)


# -- a process dies ------------------------------------------------------------------------------------------------


def dies(folder, rank, size, victim, moment, wrap):
    def each(step):
        if step == moment and rank == victim:
            killed()

    try:
        train(wrap, folder / "run.h5", rank=rank, size=size, each=each)
    except RuntimeError:  # of torch: the other process is gone
        os._exit(3)


# Sharded, the other one closes the epoch before the training itself finds out.
@pytest.mark.parametrize(("victim", "moment", "wrap"), [(0, 4, distributed_data_parallel), (1, 2, fsdp2)])
def test_a_process_that_is_killed_leaves_a_readable_run(tmp_path, reference, victim, moment, wrap):
    codes = started(dies, tmp_path, victim, moment, wrap)
    assert codes[victim] == -9
    assert codes[1 - victim] == 3
    run = open_run(tmp_path / "run.h5")
    assert run.state is (State.KILLED if victim == 0 else State.FAILED)
    assert ["process 1 has ended" in e.text for e in run.events if e.kind == "off"] == [True] * victim
    norms, expected = run["gradient_norm"], reference[0]["gradient_norm"]
    assert norms.step.tolist()[:moment] == list(range(moment))
    np.testing.assert_allclose(norms.values[:moment], expected.values[:moment], rtol=1e-4)


# -- every process has a part of each tensor -----------------------------------------------------------------------

OF_WHOLES = ["secant_curvature", "near_zero_movement", "near_zero_relative", "moving_averages", "sign_map"]


def sharded(folder, rank, size):
    weights = train(fsdp2, folder / "run.h5", rank=rank, size=size, checkpoints=Checkpoints(every=4))
    bare = train(fsdp2, None, rank=rank, size=size)
    assert all(torch.equal(x, bare[name]) for name, x in weights.items())
    torch.save(weights, folder / f"weights-{rank}.pth")


def test_fsdp2_is_one_run_equal_to_that_of_one_process(tmp_path, reference):
    run, weights = reference
    assert started(sharded, tmp_path) == [0, 0]
    found = open_run(tmp_path / "run.h5")
    left_out = [name for name, s in run.series.items() if s.instrument in OF_WHOLES]
    assert len(left_out) > 10
    same_series(found, run, without=left_out)
    note, checkpoint = found.events
    assert note.text.endswith(f"not recorded: {', '.join(OF_WHOLES)}")
    for rank in range(2):
        assert same(torch.load(tmp_path / f"weights-{rank}.pth"), weights)
    network().load_state_dict(torch.load(tmp_path / "run.d" / "checkpoints" / checkpoint.text))  # of whole tensors
    assert [path.name for path in tmp_path.glob("*.h5")] == ["run.h5"]


def troubled(folder, rank, size):
    """Whatever fails in one process, and whatever is called in one only, the others go on."""
    bare = train(fsdp2, None, rank=rank, size=size)

    def goes_on(name, **options):
        torch.distributed.barrier()
        team.PATIENCE = PATIENCE
        weights = train(fsdp2, folder / f"{name}.h5", rank=rank, size=size, **options)
        assert all(torch.equal(x, bare[key]) for key, x in weights.items()), name

    def impatient(_=0):  # from the first step on: who is waited for then does not come
        team.PATIENCE = 0.5

    def breaks(patch):
        update, steps = TorchAdapter._update, itertools.count()

        def fails(*given):
            if next(steps) == 2:
                raise OSError("of the recorder")
            update(*given)

        patch.setattr(TorchAdapter, "_update", fails)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for victim in range(size):
            with pytest.MonkeyPatch.context() as patch:
                if rank == victim:
                    breaks(patch)
                goes_on(f"broken-{victim}")
        goes_on("silent", told=rank == 0, each=impatient)
        goes_on("epochs", epochs=rank == 0, each=impatient)
        goes_on("saving", checkpoints=Checkpoints(every=3) if rank == 0 else None)
        goes_on("otherwise", instruments="full" if rank == 0 else "light")
        with pytest.MonkeyPatch.context() as patch:
            if rank == 0:
                patch.setattr(Budget, "spend", lambda budget, axis: budget.thin.__setitem__(axis, 2))
            goes_on("thinned", instruments="dynamics", max_size="1 GB")
        with pytest.raises(LayerscopeError, match="could not begin it: RunExistsError" if rank else "already there"):
            record(fsdp2(network()), folder / "thinned.h5", progress=False).__enter__()
        with pytest.raises(RecordError, match=r"rank=None.*leave rank= out"):
            record(fsdp2(network()), folder / "none.h5", rank=None)
        with pytest.raises(RecordError, match="'sign_map' needs whole tensors"):
            record(fsdp2(network()), folder / "none.h5", instruments=["sign_map"])
        torch.distributed.barrier()
        if rank == 0:
            impatient()
            with pytest.raises(RecordError, match=r"process 1 did not come within 0.5 s.*called on each of them"):
                record(fsdp2(network()), folder / "none.h5")
        torch.distributed.barrier()


def test_trouble_in_one_process_stops_no_other(tmp_path, reference):
    assert started(troubled, tmp_path) == [0, 0]
    found = {path.stem: open_run(path) for path in tmp_path.glob("*.h5")}
    for run in found.values():
        assert run.state is State.DONE
        assert run.steps == 6
    off = {name: " ".join(e.text for e in run.events if e.kind == "off") for name, run in found.items()}
    assert off.pop("thinned") == ""
    assert "OSError: of the recorder" in off.pop("broken-0")
    assert "process 1 records no more" in off.pop("broken-1")
    assert "process 1 did not come within 0.5 s" in off.pop("silent")
    assert "the forward pass of the probe 'one': process 1 did not come within 0.5 s" in off["epochs"]
    for name in ("epochs", "otherwise"):
        assert "measured something else than process 0 at this step" in off.pop(name)
    assert "process 0 is at a checkpoint, process 1 is at the forward pass of the probe 'one'" in " ".join(
        event.text for event in found["saving"].events if event.kind == "warning"
    )
    off.pop("saving")
    assert not off
    np.testing.assert_array_equal(found["thinned"]["gradient_norm"].step, [0, 1, 2, 4])
    expected = reference[0]["gradient_norm"].values[[0, 1, 2, 4]]
    np.testing.assert_allclose(found["thinned"]["gradient_norm"].values, expected, rtol=1e-4)
    for name in ("broken-0", "broken-1"):  # what was on its way is lost, scalars go on
        np.testing.assert_array_equal(found[name]["loss"].step[-3:], [3, 4, 5])
        np.testing.assert_allclose(found[name]["gradient_norm"].values[0], expected[0], rtol=1e-4)
        assert np.isnan(found[name]["gradient_norm"].values[-3:]).all()


# -- the same under torchrun ---------------------------------------------------------------------------------------


def test_the_same_script_under_torchrun(tmp_path, reference):
    run, _ = reference
    script = ["-m", "tests.recording.several", str(tmp_path)]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *script]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
    assert ended.returncode != 0  # of the third training one process was killed
    left_out = [name for name, s in run.series.items() if s.instrument in OF_WHOLES]
    same_series(open_run(tmp_path / "data-parallel.h5"), run)
    same_series(open_run(tmp_path / "sharded.h5"), run, without=left_out)
    dead = open_run(tmp_path / "killed.h5")
    assert dead.state in (State.KILLED, State.FAILED)
    assert dead["gradient_norm"].step.tolist()[:3] == [0, 1, 2]
