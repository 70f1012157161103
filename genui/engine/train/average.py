"""Weights averaged over models that were trained from one another, or from one model.

Such a "soup" (Wortsman et al. 2022) costs no more to use than one of them, and what each training
left to chance in the weights is averaged out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from genui.engine.models import guiding
from genui.engine.train.checkpoint import load_weights
from genui.errors import MisuseError

ALIKE = ("fingerprint", "words", "tokenizer", "labels")
"""What the weights mean: of other data or other words they cannot be averaged."""


def average(
    names: Sequence[str], paths: Sequence[Path]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(fp32 tensors, description) of the mean of some models' weights, at least two.

    A guide beside the weights is left out. Raises MisuseError naming the first model
    that does not fit the first one.
    """
    total, described = load_weights(paths[0])
    total = guiding.apart(total)[0]
    for name, path in zip(names[1:], paths[1:], strict=True):
        tensors, theirs = load_weights(path)
        tensors = guiding.apart(tensors)[0]
        for what in ALIKE:
            if described.get(what) != theirs.get(what):
                data = "data" if what == "fingerprint" else what
                raise MisuseError(f"{name}: is of other {data} than {names[0]}")
        if _shapes(tensors) != _shapes(total):
            raise MisuseError(f"{name}: its network is not that of {names[0]}")
        total = {key: value + tensors[key] for key, value in total.items()}
    told = {key: value for key, value in described.items() if key not in ("guide", "critic")}
    mean = {key: value / len(names) for key, value in total.items()}
    return mean, told | {"averaged": list(names)}


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in tensors.items()}
