"""Do the weights of every form of checkpoint get into the model, and is each thing that is in the way said?"""

from __future__ import annotations

import argparse
import builtins
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from recorder.adapters.torch.weights import load
from recorder.errors import RecordError
from tests.measuring.subjects import LABELS, SAMPLES, Net

State = dict[str, torch.Tensor]


def other(seed: int = 1) -> Net:
    """A net with weights and running statistics of its own."""
    torch.manual_seed(seed)
    net = Net()
    net(SAMPLES)
    return net


def loaded(path: Path, model: nn.Module | None = None, **options: str) -> tuple[nn.Module, str]:
    torch.manual_seed(7)
    model = Net() if model is None else model
    return model, load({"": model}, path, **options)


def equal(model: nn.Module, state: State) -> bool:
    return all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def saved(path: Path, what: object) -> Path:
    torch.save(what, path)
    return path


FORMS = {
    "state dict": lambda state: state,
    "ordered, with half of the bits": lambda state: OrderedDict((k, v) for k, v in state.items()),
    "lightning": lambda state: {
        "state_dict": {f"net.{k}": v for k, v in state.items()}, "epoch": 3, "global_step": 40,
        "pytorch-lightning_version": "2.2", "optimizer_states": [{"state": {}, "param_groups": []}], "loops": {},
    },
    "lightning with a loss that has weights": lambda state: {
        "state_dict": {"loss.weight": torch.ones(3), **{f"net.{k}": v for k, v in state.items()}}
    },
    "a script's": lambda state: {"model_state_dict": state, "optimizer_state_dict": {"state": {}}, "epoch": 2},
    "another script's": lambda state: {"model": state, "args": {"lr": 0.1}},
    "data parallel": lambda state: {f"module.{k}": v for k, v in state.items()},
    "compiled": lambda state: {f"_orig_mod.{k}": v for k, v in state.items()},
    "one part compiled": lambda state: {k.replace("fc1.", "fc1._orig_mod."): v for k, v in state.items()},
    "compiled in lightning": lambda state: {"state_dict": {f"model._orig_mod.{k}": v for k, v in state.items()}},
    "on several devices": lambda state: {"model": {f"module._orig_mod.{k}": v for k, v in state.items()}},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_training_tools_are_known_by_their_keys(tmp_path: Path, form: str) -> None:
    state = other().state_dict()
    model, _ = loaded(saved(tmp_path / "x.ckpt", FORMS[form](state)))
    assert equal(model, state)


def test_what_is_not_the_models_is_told(tmp_path: Path) -> None:
    state = other().state_dict()
    _, said = loaded(saved(tmp_path / "x.ckpt", FORMS["lightning with a loss that has weights"](state)))
    assert said == "'loss.weight' of the file is not the model's"
    assert loaded(saved(tmp_path / "y.ckpt", FORMS["lightning"](state)))[1] == ""


def test_the_older_form_without_a_zip_is_read(tmp_path: Path) -> None:
    state = other().state_dict()
    torch.save(state, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    assert equal(loaded(tmp_path / "x.pth")[0], state)


def test_half_precision_is_widened(tmp_path: Path) -> None:
    half = {k: v.half() if v.is_floating_point() else v for k, v in other().state_dict().items()}
    model, _ = loaded(saved(tmp_path / "x.pth", half))
    assert model.fc1.weight.dtype == torch.float32
    assert torch.equal(model.fc1.weight, half["fc1.weight"].float())


def test_several_models_are_loaded_from_a_dict_of_them(tmp_path: Path) -> None:
    states = {"G": other(1).state_dict(), "D": other(2).state_dict()}
    models = {"G": Net(), "D": Net()}
    load(models, saved(tmp_path / "x.pth", states))
    assert all(equal(models[name], states[name]) for name in models)
    with pytest.raises(RecordError, match=r"x.pth: has no weights of the model 'H'; it holds 'G', 'D'"):
        load({"G": Net(), "H": Net()}, tmp_path / "x.pth")


def test_averaged_weights_are_found_by_their_key(tmp_path: Path) -> None:
    raw, mean = other(1), other(2)
    average = torch.optim.swa_utils.AveragedModel(mean)
    path = saved(
        tmp_path / "x.pth", {"model": raw.state_dict(), "ema": average.state_dict(), "deep": {"ema": mean.state_dict()}}
    )
    assert equal(loaded(path)[0], raw.state_dict())
    assert equal(loaded(path, key="ema")[0], mean.state_dict())
    assert equal(loaded(path, key="deep.ema")[0], mean.state_dict())
    with pytest.raises(RecordError, match=r"has no 'emma'; give one of these as --key: model, ema, deep.ema"):
        loaded(path, key="emma")


def test_averaged_weights_without_buffers_take_those_of_the_checkpoint(tmp_path: Path) -> None:
    raw, mean = other(1), other(2)
    path = saved(tmp_path / "x.pth", {"state_dict": raw.state_dict(), "ema": dict(mean.named_parameters())})
    model, _ = loaded(path, key="ema")
    assert torch.equal(model.fc1.weight, mean.fc1.weight)
    assert torch.equal(model.norm.running_mean, raw.norm.running_mean)
    alone = saved(tmp_path / "y.pth", {"ema": dict(mean.named_parameters())})
    with pytest.raises(RecordError, match="its weights are not where they are as a rule"):
        loaded(alone, key="ema")


def test_a_checkpoint_older_than_the_counters_of_batch_norm_is_read(tmp_path: Path) -> None:
    state = {k: v for k, v in other().state_dict().items() if "num_batches" not in k}
    model, _ = loaded(saved(tmp_path / "x.pth", state))
    assert torch.equal(model.norm.running_var, state["norm.running_var"])


def test_what_does_not_fit_is_named_and_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    state = other().state_dict()
    before = {
        k: v.clone() for k, v in loaded(saved(tmp_path / "fits.pth", other(3).state_dict()))[0].state_dict().items()
    }
    cases = {
        "lacks": ({k: v for k, v in state.items() if k != "fc2.bias"}, r"is not of this model: the file has no 'fc2.b"),
        "more": ({**state, "fc3.weight": torch.ones(2)}, r"has 'fc3.weight' beside the model's 9 tensors"),
        "size": ({**state, "fc2.bias": torch.ones(4)}, r"'fc2.bias' has the shape \(4,\), expected \(3,\)"),
        "other": ({"a": torch.ones(1)}, r"has no 'fc1.weight', 'fc1.bias', 'norm.weight' and 5 more and has 'a'"),
    }  # fmt: skip
    for name, (content, said) in cases.items():
        model = Net()
        model.load_state_dict(before)
        with pytest.raises(RecordError, match=said):
            load({"": model}, saved(tmp_path / f"{name}.pth", content))
        assert equal(model, before)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_nothing_is_ever_executed_and_the_way_out_is_named(tmp_path: Path) -> None:
    trap = saved(tmp_path / "trap.pth", {"state_dict": other().state_dict(), "x": Trap(tmp_path / "sprung")})
    with pytest.raises(
        RecordError, match=r"holds objects of \w+.system beside weights, and reading those would run code"
    ):
        loaded(trap)
    assert not (tmp_path / "sprung").exists()
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(RecordError, match=r"plain.pth: is no checkpoint of torch, or "):
        loaded(tmp_path / "plain.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", ["settings beside the weights", "a whole model"])
def test_the_conversion_that_an_error_names_works(
    tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = other()
    whole = {"state_dict": net.state_dict(), "hyper_parameters": argparse.Namespace(lr=0.1)}
    path = saved(tmp_path / "epoch3.ckpt", whole if content == "settings beside the weights" else net)
    with pytest.raises(RecordError) as refused:
        loaded(path)
    said = str(refused.value)
    assert ("argparse.Namespace" in said) or ("Net" in said)
    assert "nothing was read. If you made the file yourself, save its weights alone: " in said
    monkeypatch.chdir(tmp_path)
    exec(said.partition("alone: ")[2], {"torch": torch})
    assert equal(loaded(tmp_path / "epoch3-weights.pth")[0], net.state_dict())


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.pth", b"", "is no checkpoint of torch, or damaged"),
        ("x.pth", b"not a checkpoint", "is no checkpoint of torch, or of a form that cannot be read as weights alone"),
        ("x.safetensors", b"not a checkpoint", "is no safetensors file, or damaged"),
    ],
)
def test_files_that_are_none_are_said(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordError, match=f"{name}: {said}"):
        loaded(tmp_path / name)


def test_a_torn_file_is_said(tmp_path: Path) -> None:
    whole = saved(tmp_path / "x.pth", other().state_dict()).read_bytes()
    (tmp_path / "x.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordError, match="is no checkpoint of torch, or damaged"):
        loaded(tmp_path / "x.pth")
    with pytest.raises(RecordError, match="cannot be read: No such file"):
        loaded(tmp_path / "gone.pth")


def test_a_scripted_model_is_said_to_be_code(tmp_path: Path) -> None:
    with torch.no_grad():
        torch.jit.trace(other().eval(), SAMPLES).save(tmp_path / "x.pt")
    with pytest.raises(
        RecordError, match=r"is a TorchScript archive, which holds code; .* save its weights alone: torch"
    ):
        loaded(tmp_path / "x.pt")


def test_safetensors_are_read_and_named_where_they_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    state = other().state_dict()
    save_file({f"model.{k}": v for k, v in state.items()}, tmp_path / "model.safetensors")
    assert equal(loaded(tmp_path / "model.safetensors")[0], state)
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("safetensors"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RecordError, match=r"install safetensors: pip install 'layerscope\[safetensors\]'"):
        loaded(tmp_path / "model.safetensors")


def test_the_checkpoints_of_lightning_itself(tmp_path: Path) -> None:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self, rate: float = 0.1) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = Net()
            self.loss = nn.CrossEntropyLoss(weight=torch.ones(3))

        def training_step(self, batch, _):
            return self.loss(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), self.hparams.rate)

    states: dict[int, State] = {}

    class Keep(lightning.Callback):
        def on_train_batch_end(self, trainer, module, *_):
            states[trainer.global_step] = {k: v.clone() for k, v in module.net.state_dict().items()}

    save = lightning.pytorch.callbacks.ModelCheckpoint(
        tmp_path, every_n_train_steps=2, save_top_k=-1, filename="{epoch}-{step}"
    )
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[Keep(), save],
    )  # fmt: skip
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(SAMPLES, LABELS), 4)
    trainer.fit(Module(), batches)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "epoch=0-step=2.ckpt",
        "epoch=1-step=4.ckpt",
        "epoch=1-step=6.ckpt",
    ]
    for path in tmp_path.iterdir():
        step = int(path.stem.rpartition("=")[2])
        model, said = loaded(path)
        assert equal(model, states[step])
        assert said == "'loss.weight' of the file is not the model's"
        assert equal(loaded(path, Module())[0].net, states[step])
