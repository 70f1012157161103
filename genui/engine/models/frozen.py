"""Networks loaded for inference only, and the guide that a model's file may contain."""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from genui.base.errors import MisuseError

M = TypeVar("M", bound=nn.Module)


def load_frozen(build: Callable[[], M], state_dict: Mapping[str, Tensor]) -> M:
    """Build a network, load these weights, and freeze it.

    A small file may describe a huge network, so at most the file's share of memory is allocated. A
    larger network is built on torch's meta device, where tensors have no memory, to find out which
    tensor does not fit. Raises RuntimeError, one line, if names or shapes differ.
    """
    try:
        with _LimitedMemory(state_dict.values()):
            model = build()
    except _TooLargeError:
        # Only in this case, because the meta device imports torch's compiler, which takes 2 s.
        with torch.device("meta"):
            _check_fits(build(), state_dict)
        model = build()
    _check_fits(model, state_dict)
    model.load_state_dict(dict(state_dict))
    return model.eval().requires_grad_(False)


def _check_fits(model: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Raise RuntimeError, one line, if names or shapes differ."""
    expected = {name: list(value.shape) for name, value in model.state_dict().items()}
    stored = {name: list(value.shape) for name, value in state_dict.items()}
    for name, shape in expected.items():
        if name not in stored:
            raise RuntimeError(f"it has no tensor {name}")
        if shape != stored[name]:
            raise RuntimeError(f"{name} is {stored[name]} in it and {shape} by the recipe")
    if extra := stored.keys() - expected.keys():
        raise RuntimeError(f"the recipe knows no tensor {min(extra)}")


class _TooLargeError(Exception):
    """A network needs more memory than its file justifies."""


class _LimitedMemory(TorchFunctionMode):
    """A context that limits new tensors to the total size of these, plus small tables.

    Raises _TooLargeError for more.
    """

    _FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.randn, torch.arange, torch.outer)

    def __init__(self, tensors: Collection[Tensor]) -> None:
        super().__init__()
        self._largest = max([1 << 16, *(tensor.numel() for tensor in tensors)])
        self._left = (1 << 20) + sum(tensor.numel() for tensor in tensors)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in self._FACTORIES:
            elements = _count_elements(func, args)
            self._left -= elements
            if elements > self._largest or self._left < 0:
                raise _TooLargeError
        return func(*args, **(kwargs or {}))


def _count_elements(func: Any, args: tuple[Any, ...]) -> int:
    """An upper bound of the elements of the tensor that this call makes."""
    if func is torch.outer:
        return args[0].numel() * args[1].numel()
    size = args[0] if isinstance(args[0], tuple | list) else args
    return max(size) if func is torch.arange else math.prod(size)


# --- The guide: a weaker model of the same data, for autoguidance (Karras et al. 2024) --------

PREFIX = "guide."
ALIKE = ("fingerprint", "words")  # metadata that a model and its guide must share


def split_guide(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The model's own tensors, and those of its guide, empty if it has none."""
    own = {name: of for name, of in tensors.items() if not name.startswith(PREFIX)}
    guide = {
        name.removeprefix(PREFIX): of for name, of in tensors.items() if name.startswith(PREFIX)
    }
    return own, guide


def add_prefix(guide: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The guide's tensors under their names in the model's file."""
    return {PREFIX + name: value for name, value in guide.items()}


def join_guide(
    model: tuple[dict[str, Tensor], dict[str, Any]], guide: tuple[dict[str, Tensor], dict[str, Any]]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Add a guide to a model; all are (tensors, metadata).

    Raises MisuseError if one is not a diffusion model of images, or their data differ.
    """
    (tensors, metadata), (guide_tensors, guide_metadata) = model, guide
    for each in (metadata, guide_metadata):
        kind = each["recipe"]["family"], each["recipe"]["medium"]
        if kind != ("diffusion", "image"):
            raise MisuseError(f"guide: is of diffusion models of images, not {' '.join(kind)}")
    for key in ALIKE:
        if metadata.get(key) != guide_metadata.get(key):
            raise MisuseError(f"guide: of other {key} than the model; use one of the same data")
    joined = split_guide(tensors)[0] | add_prefix(split_guide(guide_tensors)[0])
    return joined, metadata | {"guide": {key: guide_metadata[key] for key in ("recipe", "step")}}
