"""Language models of the `transformers` library behind the seam `LanguageModel`.

`generate` and its helpers are not used: a prompt is one call and each later token another, so that
the same tokens always give the same bits.
"""

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from genui.base.errors import UnsupportedError
from genui.engine.loading import LoadProgress
from genui.engine.models.language_model import LayerParts, rows_of, token_loss

MAX_STORED = 16
"""The most copies of a cache that a state stores."""

STRIDE = 32
"""The first number of tokens between them."""


class TransformersState:
    """A cache of transformers, as a `ReadingState`.

    A cache of plain keys and values is cut to go back. A cache with sliding windows or recurrent
    layers has lost earlier tokens, so copies are stored every few tokens.
    """

    def __init__(self, cache: Any) -> None:
        self.cache = cache
        self.length = 0
        self._stride = STRIDE
        self._stored: dict[int, Any] = {}

    @property
    def croppable(self) -> bool:
        """Whether the cache can be cut at any length."""
        return all(type(layer).__name__ == "DynamicLayer" for layer in self.cache.layers)

    def advance(self, cache: Any, tokens: int) -> None:
        """Take the cache after `tokens` more."""
        first = self.length == 0
        self.cache, self.length = cache, self.length + tokens
        if not self.croppable and (first or self.length % self._stride == 0):
            self._stored[self.length] = copy.deepcopy(cache)
            if len(self._stored) > MAX_STORED:
                self._stride *= 2
                start = min(self._stored)
                kept = (at for at in self._stored if at == start or at % self._stride == 0)
                self._stored = {at: self._stored[at] for at in kept}

    def seek(self, length: int) -> int:
        if self.croppable:  # what was cut is gone, and is read again
            length = min(length, self.length)
        if length == self.length:
            return length
        if self.croppable and length:
            self.cache.crop(length - self.length)  # negative: how many to remove
            self.length = length
            return length
        at = max((at for at in self._stored if at <= length), default=0)
        self.cache = copy.deepcopy(self._stored[at]) if at else new_cache_like(self.cache)
        self.length = at
        return at

    def snapshot(self, length: int) -> Self:
        other = copy.copy(self)
        other.cache = copy.deepcopy(self.cache)
        other._stored = {at: cache for at, cache in self._stored.items() if at <= length}
        other.seek(length)
        return other


def new_cache_like(cache: Any) -> Any:
    """An empty cache for the same model."""
    empty = copy.deepcopy(cache)
    empty.reset()
    return empty


class Layout(NamedTuple):
    """Where a network has what `LayerParts` names: the list of its layers and the norm after them,
    and in a layer the linear map out of attention and the feed-forward."""

    layers: str
    norm: str
    mixer: str
    feed_forward: str = "mlp"


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "gpt2": Layout("transformer.h", "transformer.ln_f", "attn.c_proj"),
        "gpt_neo": Layout("transformer.h", "transformer.ln_f", "attn.attention.out_proj"),
        "gpt_neox": Layout("gpt_neox.layers", "gpt_neox.final_layer_norm", "attention.dense"),
    }
)
"""The architectures, by `model_type`, whose layers are shown: all that follows the last layer is a
LayerNorm and a linear head."""


class TransformersModel:
    """A `LanguageModel` by an `AutoModelForCausalLM`."""

    unlimited = False

    def __init__(self, network: Any) -> None:
        self.network = network
        config = network.config.get_text_config(decoder=True)
        context = getattr(config, "max_position_embeddings", None)
        self.context = int(context or getattr(config, "n_positions", 0) or 2048)
        self.vocab_size = int(config.vocab_size)
        named = inspect.signature(network.forward).parameters
        self._cache_argument = "cache" if "cache" in named else "past_key_values"  # since 5.2x

    @property
    def computed_by(self) -> str:
        """The library and its version, for `load.precision_of`."""
        return f"transformers {version('transformers')}"

    @property
    def device(self) -> torch.device:
        return self.network.device

    def to(self, device: str) -> Self:
        self.network.to(device)
        return self

    def eval(self) -> Self:
        self.network.eval()
        return self

    def new_state(self, rows: int) -> TransformersState:
        from transformers import DynamicCache

        return TransformersState(DynamicCache(config=self.network.config))

    def _read(self, token_ids: Tensor, state: TransformersState) -> Tensor:
        """Logits [B, V] after the last of token_ids [B, T]."""
        start = state.length
        positions = torch.arange(start, start + token_ids.shape[1], device=token_ids.device)[None]
        output = self.network(
            input_ids=token_ids,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_argument: state.cache},
        )
        state.advance(state.cache, token_ids.shape[1])
        return output.logits[:, -1].float()

    def prefill(self, token_ids: Tensor, state: TransformersState) -> Tensor:
        return self._read(token_ids, state)

    def decode(self, token_ids: Tensor, state: TransformersState) -> Tensor:
        return self._read(token_ids[:, None], state)

    def __call__(self, token_ids: Tensor) -> Tensor:
        return self.network(input_ids=token_ids, use_cache=False).logits.float()

    @torch.inference_mode()
    def check_cache(self) -> None:
        """Read a few tokens at once and one by one. Raises UnsupportedError if the logits differ:
        the network keeps its state elsewhere than in the cache, as RWKV does."""
        token_ids = torch.arange(1, 7, device=self.device)[None] % self.vocab_size
        once, state = self(token_ids)[:, -1], self.new_state(1)
        self.prefill(token_ids[:, :-2], state)
        self.decode(token_ids[:, -2], state)
        difference = (self.decode(token_ids[:, -1], state) - once).square().mean().sqrt()
        rounding = 0.02 if self.network.dtype == torch.float32 else 0.2
        if not difference <= rounding * once.std():
            raise UnsupportedError(
                f"the architecture {self.network.config.model_type!r} keeps no cache that genui "
                "can go back in; use another model"
            )

    def loss(self, token_ids: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        return token_loss(self(token_ids), targets, weights)

    # --- as a LayeredModel: without a row of LAYOUTS it shows no layers ---

    @property
    def _layout(self) -> Layout | None:
        return LAYOUTS.get(self.network.config.model_type)

    def layer_parts(self) -> tuple[LayerParts, ...]:
        if (layout := self._layout) is None:
            return ()
        return tuple(
            LayerParts(
                block,
                block.get_submodule(layout.mixer),
                self.network.config.num_attention_heads,
                block.get_submodule(layout.feed_forward),
            )
            for block in self.network.get_submodule(layout.layers)
        )

    def hidden_states(
        self, token_ids: Tensor, state: TransformersState | None = None
    ) -> tuple[Tensor, ...]:
        """As in `LayeredModel`, by hooks: the last output of transformers is normalised."""
        streams: list[Tensor] = []

        def keep(_: Any, args: tuple[Tensor, ...], output: Any = None) -> None:
            value = args if output is None else output
            streams.append(value[0] if isinstance(value, tuple) else value)

        blocks = [part.block for part in self.layer_parts()]
        with ExitStack() as hooks:
            for block in blocks[:1]:
                hooks.callback(block.register_forward_pre_hook(keep).remove)
            for block in blocks:
                hooks.callback(block.register_forward_hook(keep).remove)
            if state is None:
                self.network.base_model(input_ids=token_ids, use_cache=False)
            else:
                self._read(token_ids, state)
        return tuple(streams)

    def read_out(self, x: Tensor) -> Tensor:
        norm, head = self._norm_and_head()
        return head(norm(x.to(norm.weight.dtype))).float()

    def token_directions(self, x: Tensor, token_ids: Tensor | None) -> tuple[Tensor, Tensor]:
        norm, head = self._norm_and_head()
        x, rows = x.float(), rows_of(head.weight, token_ids)
        scaled = rows * norm.weight.float()
        scale = (x.var(unbiased=False) + norm.eps).rsqrt()
        constants = rows @ norm.bias.float()
        if head.bias is not None:
            constants = constants + rows_of(head.bias, token_ids)
        return (scaled - scaled.mean(-1, keepdim=True)) * scale, constants

    def _norm_and_head(self) -> tuple[nn.LayerNorm, nn.Linear]:
        assert self._layout is not None
        norm = self.network.get_submodule(self._layout.norm)
        return norm, self.network.get_output_embeddings()

    def attention_weights(self, token_ids: Tensor, last: int = 1) -> Tensor | None:
        """As in `LanguageModel`; computed by the "eager" attention, which alone returns them."""
        before = self.network.config._attn_implementation
        self.network.set_attn_implementation("eager")
        try:
            output = self.network(input_ids=token_ids, use_cache=False, output_attentions=True)
        finally:
            self.network.set_attn_implementation(before)
        attentions = [a for a in getattr(output, "attentions", None) or () if a is not None]
        if not attentions:
            return None
        return torch.stack([a[..., -last:, :].float() for a in attentions])


def load_network(path: Path, dtype: torch.dtype, progress: LoadProgress) -> Any:
    """The AutoModelForCausalLM of a folder: safetensors only, nothing fetched, no code of its own.

    Raises OSError, ValueError or ImportError as transformers does.
    """
    from transformers import AutoModelForCausalLM

    with report_tensors(progress):
        return AutoModelForCausalLM.from_pretrained(
            path,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=dtype,
        )


@contextmanager
def report_tensors(progress: LoadProgress) -> Iterator[None]:
    """Within the block the tensors that transformers loads are reported, as in its progress bar.

    Versions without `set_tqdm_hook` report nothing.
    """
    from transformers.utils import logging

    set_hook = getattr(logging, "set_tqdm_hook", None)
    if set_hook is None:
        yield
        return
    before = set_hook(
        lambda make, args, options: _Reporting(progress, make(*args, **options), *args)
    )
    try:
        yield
    finally:
        set_hook(before)


class _Reporting:
    """A progress bar of transformers that also reports its progress."""

    def __init__(self, progress: LoadProgress, bar: Any, items: Any = None, *_: Any) -> None:
        self._progress, self._bar, self._items = progress, bar, items

    def __iter__(self) -> Iterator[Any]:
        total = len(self._items) if hasattr(self._items, "__len__") else 0
        for done, item in enumerate(self._bar):
            if total:
                self._progress.advance(done, total)
            yield item

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bar, name)
