"""How do the weights of a checkpoint get into a Keras model? From `.weights.h5`, `.keras` or the older `.h5`.

Of a `.keras` file only the weights are read, never the model. Keras itself passes over variables of a file that the
model has no layer for; so what is in the file is first held against what the model would save.
"""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras.src.saving import saving_lib

from recorder.adapters.fitting import some
from recorder.adapters.keras.probe_pass import STYLES
from recorder.errors import RecordError

SUFFIXES = (".weights.h5", ".keras", ".h5", ".hdf5")
BESIDE = ("optimizer/", "_optimizer/")  # groups that are not the model's

Shapes = Mapping[str, tuple[int, ...]]  # by the variable's place in a file


def load(model: Any, path: Path, *, key: str = "") -> str:
    """Put the weights of a file into the model; what else the file holds, in words.

    RecordError where it is of another model, or damaged.
    """
    if key:
        raise RecordError(f"{path}: a Keras file holds one set of weights; leave --key out")
    if not path.name.endswith(SUFFIXES):
        raise RecordError(f"{path}: expected weights of a Keras model: {', '.join(SUFFIXES)}")
    try:
        found = _stored(path)
        with tempfile.TemporaryDirectory() as folder:
            own = Path(folder) / "own.weights.h5"
            if found is not None:
                model.save_weights(own)
                _check(found, _stored(own) or {}, str(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an optimizer's state, which is not wanted
            model.load_weights(path)
    except RecordError:
        raise
    except Exception as error:
        said = " ".join(STYLES.sub("", str(error)).split())
        raise RecordError(f"{path}: its weights do not go into {model.name!r}: {said[:300]}") from None
    return ""


def _check(found: Shapes, wanted: Shapes, where: str) -> None:
    """RecordError unless as many variables of each shape are in the file as in the model."""
    if Counter(found.values()) == Counter(wanted.values()):
        return  # under other names perhaps, which Keras knows how to read
    other = [n for n in wanted if n in found and found[n] != wanted[n]]
    missing, more = [n for n in wanted if n not in found], [n for n in found if n not in wanted]
    said = [f"has no {some(missing)}"] if missing else []
    said += [f"has {some(more)} beside the model's {len(wanted)} variables"] if more else []
    said += [f"has {other[0]!r} of the shape {found[other[0]]}, expected {wanted[other[0]]}"] if other else []
    raise RecordError(f"{where}: is not of this model: the file {' and '.join(said)}; give the model that was trained")


def _stored(path: Path) -> Shapes | None:
    """The shapes of what a file holds; None of one of the older form, which Keras checks by itself."""
    if path.suffix in (".h5", ".hdf5") and not path.name.endswith(".weights.h5"):
        return None
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, one: Any) -> None:
        if hasattr(one, "shape") and not name.startswith(BESIDE):
            shapes[name] = tuple(one.shape)

    with _opened(path) as store:
        store.h5_file.visititems(note)
    return shapes


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if path.suffix != ".keras":
        store = saving_lib.H5IOStore(path, mode="r")
        try:
            yield store
        finally:
            store.close()
        return
    with zipfile.ZipFile(path) as archive:
        store = saving_lib.H5IOStore(saving_lib._VARS_FNAME_H5, archive=archive, mode="r")
        try:
            yield store
        finally:
            store.close()
