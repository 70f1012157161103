"""Low-rank adapters (LoRA, Hu et al. 2021) of a network whose weights stay as they are.

The adapters are hooked into the linear layers only while the adapted model computes. So one network
in memory serves its own generator, a training and any number of adapters.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from genui.base.late import late_imports
from genui.engine.models.language_model import LayerParts, ReadingState, TokenNetwork
from genui.kinds.open_text.llama import Llama, hugging_face_name

with late_imports():
    from genui.engine.models import fast_decoding
    from genui.kinds.open_text import decoder as decoding

if TYPE_CHECKING:
    from genui.engine.models.fast_decoding import Array, Decoder

PEFT = "base_model.model."
"""The prefix that peft puts before the names of a model's layers."""


@dataclass(frozen=True)
class Base:
    """A network and its adapted layers, by names that no other parts of the network have."""

    network: TokenNetwork
    layers: Mapping[str, nn.Linear]

    def __deepcopy__(self, memo: dict[int, Any]) -> "Base":
        return self  # the copies of an adapted model share it


def list_layers(network: TokenNetwork) -> dict[str, nn.Linear]:
    """The layers that may have adapters, by peft's names."""
    return {
        PEFT + hugging_face_name(name): part
        for name, part in network.named_modules()
        if isinstance(part, nn.Linear) and name.startswith("blocks.")
    }


class Adapter(nn.Module):
    """Maps x [.., in] to the addend of the output of its layer, [.., out]: scale · B A x."""

    def __init__(self, layer: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.lora_A = nn.Linear(layer.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, layer.out_features, bias=False)
        self.scale = scale
        nn.init.kaiming_uniform_(self.lora_A.weight, a=5**0.5)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.lora_B(self.lora_A(x.to(self.lora_A.weight.dtype))) * self.scale

    def hook(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """The output of the layer with the adapter's added."""
        return (output + self(inputs[0])).to(output.dtype)

    def low_rank(self) -> "tuple[Array, Array]":
        """Arrays [in, r] and [r, out] whose product with x is `forward`."""
        up = self.lora_B.weight.detach() * self.scale
        return self.lora_A.weight.detach().numpy().T, up.numpy().T

    def merged(self, weight: Tensor) -> Tensor:
        """The weight [out, in] of a layer that gives the same without the adapter."""
        delta = self.lora_B.weight.float() @ self.lora_A.weight.float() * self.scale
        return (weight.float() + delta).to(weight.dtype)


def check_rank(tensors: Mapping[str, Tensor], rank: int) -> None:
    """Raises RuntimeError if stored adapters are of another rank: before memory is taken, since a
    small file may claim a huge one."""
    for name, value in tensors.items():
        stored = value.shape[0] if ".lora_A." in name else value.shape[-1] if value.ndim else 0
        if stored != rank:
            raise RuntimeError(f"{name} is {list(value.shape)} and its rank should be {rank}")


def _with_adapters(name: str) -> Any:
    """A method of the base network, called while the network has the adapters."""

    def call(self: "AdaptedModel", *args: Any, **options: Any) -> Any:
        with self.applied() as network:
            return getattr(network, name)(*args, **options)

    return call


class AdaptedModel(nn.Module):
    """A language model with adapters. Only they are its parameters and its state_dict, where they
    have the names of `Base.layers`."""

    def __init__(self, base: Base, rank: int, scale: float) -> None:
        super().__init__()
        self.base = base
        self.config: Any = base.network.config
        self.context, self.unlimited = base.network.context, base.network.unlimited
        for name, layer in base.layers.items():
            parent: nn.Module = self
            *path, last = name.split(".")
            for part in path:
                if part not in parent._modules:
                    parent.add_module(part, nn.Module())
                parent = parent.get_submodule(part)
            parent.add_module(last, Adapter(layer, rank, scale))

    def adapters(self) -> dict[str, Adapter]:
        """The adapters by the names of their layers."""
        named = {name: self.get_submodule(name) for name in self.base.layers}
        return {name: each for name, each in named.items() if isinstance(each, Adapter)}

    @contextmanager
    def applied(self) -> Iterator[TokenNetwork]:
        """The base network, which has the adapters while the block runs."""
        handles = [
            self.base.layers[name].register_forward_hook(adapter.hook)
            for name, adapter in self.adapters().items()
        ]
        try:
            yield self.base.network
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def merged_weights(self) -> dict[str, Tensor]:
        """The weights of the adapted layers with the adapters merged, by name."""
        return {
            name: adapter.merged(self.base.layers[name].weight)
            for name, adapter in self.adapters().items()
        }

    def decoder(self) -> "Decoder | None":
        """As `genui.engine.models.fast_decoding` builds it; None for a network that has none with
        adapters."""
        network = self.base.network
        if type(network) is not Llama or not fast_decoding.can_decode(network):
            return None
        adapters = {self.base.layers[name]: each for name, each in self.adapters().items()}
        return decoding.LlamaDecoder(
            network, {layer: each.low_rank() for layer, each in adapters.items()}
        )

    # --- as a LanguageModel: what computes has the adapters, all else is the base's ---

    @property
    def device(self) -> torch.device:
        return self.base.network.device

    def new_state(self, rows: int) -> ReadingState:
        return self.base.network.new_state(rows)

    forward = _with_adapters("forward")
    prefill = _with_adapters("prefill")
    decode = _with_adapters("decode")
    loss = _with_adapters("loss")
    hidden_states = _with_adapters("hidden_states")
    last_stream = _with_adapters("last_stream")
    attention_weights = _with_adapters("attention_weights")
    read_out = _with_adapters("read_out")

    def layer_parts(self) -> tuple[LayerParts, ...]:
        parts = self.base.network.layer_parts()  # type: ignore[operator]
        return tuple(replace(part, mix=partial(self._mix, part.mixer)) for part in parts)

    def _mix(self, mixer: nn.Module, x: Tensor) -> Tensor:
        with self.applied():
            return mixer(x)

    def token_directions(self, x: Tensor, token_ids: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.base.network.token_directions(x, token_ids)  # type: ignore[operator]
