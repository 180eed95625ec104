"""Where does this run come from: command, code, machine, versions, seeds, settings?"""

from __future__ import annotations

import dataclasses
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from recorder.reading import Facts, ProbeFacts

LIBRARIES = ("layerscope", "numpy", "h5py", "torch", "torchvision", "keras", "tensorflow", "lightning")


def provenance(config: Any = None) -> dict[str, Any]:
    """Everything known before the training, safe to store as JSON; `config` is what the user gave as `meta=`."""
    return {
        "command": list(sys.orig_argv),  # as it was typed: `python -m train`, not where the module's file lies
        "executable": sys.executable,
        "folder": os.getcwd(),
        "git": _git(),
        "python": platform.python_version(),
        "versions": _versions(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "pid": os.getpid(),
        "slurm": {key.lower(): value for key, value in sorted(os.environ.items()) if key in _SLURM},
        "seeds": _seeds(),
        "started": time.time(),
        "config": settings(config),
    }


def class_of(model: Any) -> str | dict[str, str]:
    """Where the model's class is, "package.module:Net"; of several models by name."""
    if isinstance(model, Mapping):
        return {str(name): str(class_of(one)) for name, one in model.items()}
    return f"{type(model).__module__}:{type(model).__qualname__}"


def model_facts(facts: Facts, model: Any = None) -> dict[str, Any]:
    """What the recorder learnt of the model, so that a reader can turn counts into shares without it."""
    return {
        **({} if model is None else {"model": class_of(model)}),
        "framework": facts.framework,
        "device": facts.device,
        "gradient_point": facts.gradient_point,
        "parameters": sum(t.size for t in facts.tensors),
        "probe_samples": facts.probe_samples,
        "tensors": [dataclasses.asdict(t) for t in facts.tensors],
        "layers": [dataclasses.asdict(layer) for layer in facts.layers],
        "probes": {name: _probe(probe, facts) for name, probe in facts.probes.items()},
    }


def _probe(probe: ProbeFacts, facts: Facts) -> dict[str, Any]:
    """What is known of a probe; its layers only where they are others than `layers`."""
    found = dataclasses.asdict(probe)
    if probe.layers == facts.layers:
        del found["layers"]
    return found


def settings(given: Any) -> Any:
    """A dict, Namespace, dataclass or OmegaConf as plain JSON data; what JSON does not know becomes its text."""
    if given is None:
        return {}
    plain = _plain(given)
    return plain if isinstance(plain, dict) else {"meta": plain}


def _plain(value: Any) -> Any:
    """Told apart by what they can do, so that no configuration library has to be imported."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, Mapping) or (hasattr(value, "items") and callable(value.items)):  # OmegaConf's DictConfig too
        return {str(key): _plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple | set | frozenset) or type(value).__name__ == "ListConfig":
        return [_plain(item) for item in value]
    if type(value).__name__ == "Namespace" and hasattr(value, "__dict__"):
        return {key: _plain(item) for key, item in vars(value).items()}
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a numpy or torch number
        return _plain(value.item())
    return str(value)


_SLURM = frozenset(
    f"SLURM_{name}"
    for name in ("JOB_ID", "JOB_NAME", "ARRAY_JOB_ID", "ARRAY_TASK_ID", "PROCID", "LOCALID", "NTASKS", "JOB_NODELIST")
)


def _git() -> dict[str, Any]:
    """Commit, branch and whether tracked files differ from it; empty where there is no repository or no git."""
    commit = _ask_git("rev-parse", "HEAD")
    if not commit:
        return {}
    changed = _ask_git("status", "--porcelain", "--untracked-files=no")
    return {
        "commit": commit,
        "branch": _ask_git("rev-parse", "--abbrev-ref", "HEAD") or "",
        "dirty": None if changed is None else bool(changed),
    }


def _ask_git(*arguments: str) -> str | None:
    # GIT_OPTIONAL_LOCKS=0: looking must not lock the index of somebody who is committing.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        answer = subprocess.run(
            ("git", *arguments), capture_output=True, text=True, timeout=5, check=True, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _seeds() -> dict[str, int | str]:
    """Seeds that can be asked for without touching a random state."""
    seeds: dict[str, int | str] = {}
    torch = sys.modules.get("torch")
    if torch is not None:
        seeds["torch"] = int(torch.initial_seed())
    if "PYTHONHASHSEED" in os.environ:
        seeds["PYTHONHASHSEED"] = os.environ["PYTHONHASHSEED"]
    return seeds
