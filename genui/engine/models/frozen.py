"""Networks loaded for inference only, and the guide that a model's file may contain."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from genui.base.errors import MisuseError

M = TypeVar("M", bound=nn.Module)


def load_frozen(build: Callable[[], M], tensors: Mapping[str, Tensor]) -> M:
    """Build a network, load these weights, and freeze it. Raises as `plan_network`, before memory
    is taken: a small file may describe a huge network."""
    plan_network(build, tensors)
    model = build()
    model.load_state_dict(dict(tensors))
    return model.eval().requires_grad_(False)


def plan_network(build: Callable[[], M], tensors: Mapping[str, Tensor]) -> M:
    """Build a network on torch's meta device, where it takes no memory.

    Raises RuntimeError, one line, if the tensors are not its weights.
    """
    with _WithoutInit(), torch.device("meta"):
        model = build()
    expected = {name: list(value.shape) for name, value in model.state_dict().items()}
    stored = {name: list(value.shape) for name, value in tensors.items()}
    for name in sorted(expected.keys() | stored.keys()):
        if name not in stored:
            raise RuntimeError(f"it has no tensor {name}")
        if name not in expected:
            raise RuntimeError(f"this network knows no tensor {name}")
        if expected[name] != stored[name]:
            raise RuntimeError(f"{name} is {stored[name]} and should be {expected[name]}")
    return model


class _WithoutInit(TorchFunctionMode):
    """Create new layers without random weights in the block. On the meta device these would import
    torch's compiler, which takes a second."""

    _INITS = (torch.Tensor.uniform_, nn.init.uniform_, nn.init.normal_, nn.init.kaiming_uniform_)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in self._INITS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


# --- The guide: a weaker model of the same data, for autoguidance (Karras et al. 2024) --------

PREFIX = "guide."
ALIKE = ("fingerprint", "words")  # metadata that a model and its guide must share


def split_guide(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The model's own tensors, and the tensors of its guide; empty if it has none."""
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
