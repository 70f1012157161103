"""The table of kinds of pipelines: what each reads, and how it calls its network.

`PIPELINES` of `folder` has a row of the same name with what is known before loading.
"""

import types
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from genui.kinds.open_image.adapters import AdaptedReader, group_rows
from genui.kinds.open_image.conditions import (
    CaptionReader,
    ClassLabels,
    Embeddings,
    Encoder,
    NoCaptions,
    Prompts,
    class_names,
)
from genui.kinds.open_image.folder import Folder
from genui.kinds.open_image.schedule import FolderSchedule


@dataclass(frozen=True)
class Parts:
    """The loaded components of a folder, by name."""

    folder: Folder
    modules: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.modules[name]

    @property
    def network(self) -> Any:
        return self.modules[self.folder.row.network]


@dataclass(frozen=True)
class Inputs:
    """The arguments of a network, for B samples."""

    network: Any
    x: Tensor  # [B, C, H, W], scaled as the network was trained
    time: float
    embeddings: tuple[Any, ...]  # each a tensor with a batch dimension, or a list of tensors
    guidance: Tensor | None  # [B], for a network that reads it
    factor: int  # pixels of an image for one value of x

    @property
    def times(self) -> Tensor:
        """The time for each sample, [B]."""
        whole = float(self.time).is_integer()
        dtype = torch.int64 if whole else torch.float32
        return torch.full((len(self.x),), self.time, dtype=dtype, device=self.x.device)


@dataclass(frozen=True)
class PipelineKind:
    """A kind of pipeline."""

    reader: Callable[[Parts], CaptionReader]
    call: Callable[[Inputs], Tensor]
    """The network's output [B, C, H, W]."""
    channels: Callable[[Any], int] = lambda network: network.config.in_channels
    patch: int = 1
    """The side of a token, in values of x."""


# --- What each kind reads and how it calls its network ------------------------------------------


def _encoder(parts: Parts, suffix: str = "", length: int = 0, **options: Any) -> Encoder:
    tokenizer = parts[f"tokenizer{suffix}"]
    length = length or tokenizer.model_max_length
    return Encoder(tokenizer, parts[f"text_encoder{suffix}"], length, **options)


def _call_plain(inputs: Inputs) -> Tensor:
    return inputs.network(inputs.x, inputs.times).sample


def _read_clip(parts: Parts) -> CaptionReader:
    return Prompts((_encoder(parts),), lambda outputs: (outputs[0][0][0],))


def _call_unet(inputs: Inputs) -> Tensor:
    (states,) = inputs.embeddings
    return inputs.network(inputs.x, inputs.times, encoder_hidden_states=states).sample


def _read_two_clips(parts: Parts) -> CaptionReader:
    """SDXL: the last but one states of both encoders, and the pooled text of the second."""

    def join(outputs: Sequence[Any]) -> Embeddings:
        states = torch.cat([output.hidden_states[-2][0] for output in outputs], dim=-1)
        return states, outputs[1][0][0]

    zero = bool(parts.folder.index.get("force_zeros_for_empty_prompt", True))
    return Prompts((_encoder(parts), _encoder(parts, "_2")), join, zero)


def _call_sdxl(inputs: Inputs) -> Tensor:
    states, pooled = inputs.embeddings
    height, width = (side * inputs.factor for side in inputs.x.shape[2:])
    sizes = (height, width, 0, 0, height, width)  # of the original, the crop's corner, the target
    added = {
        "text_embeds": pooled,
        "time_ids": pooled.new_tensor(sizes).expand(len(inputs.x), -1),
    }
    return inputs.network(
        inputs.x, inputs.times, encoder_hidden_states=states, added_cond_kwargs=added
    ).sample


def _read_class(parts: Parts) -> CaptionReader:
    classes = int(parts.network.config.num_embeds_ada_norm)
    return ClassLabels(classes, class_names(parts.folder.index.get("id2label")))


def _call_dit(inputs: Inputs) -> Tensor:
    (labels,) = inputs.embeddings
    output = inputs.network(inputs.x, timestep=inputs.times, class_labels=labels).sample
    return output[:, : inputs.x.shape[1]]  # without the learned variance


T5_TOKENS = 512  # of a FLUX prompt, as in its pipeline
CHAT_TOKENS = 512


def _read_clip_and_t5(parts: Parts) -> CaptionReader:
    encoders = _encoder(parts), _encoder(parts, "_2", T5_TOKENS)
    return Prompts(encoders, lambda outputs: (outputs[1][0][0], outputs[0].pooler_output[0]))


def _call_flux(inputs: Inputs) -> Tensor:
    """Squares of 2×2 latents are tokens, with their row and column as positions."""
    states, pooled = inputs.embeddings
    B, C, H, W = inputs.x.shape
    tokens = inputs.x.view(B, C, H // 2, 2, W // 2, 2).permute(0, 2, 4, 1, 3, 5)
    places = inputs.x.new_zeros(H // 2, W // 2, 3)
    places[..., 1] += torch.arange(H // 2, device=places.device)[:, None]
    places[..., 2] += torch.arange(W // 2, device=places.device)[None, :]
    output = inputs.network(
        hidden_states=tokens.reshape(B, -1, 4 * C),
        timestep=inputs.x.new_full((B,), inputs.time) / 1000,
        guidance=inputs.guidance,
        pooled_projections=pooled,
        encoder_hidden_states=states,
        txt_ids=inputs.x.new_zeros(states.shape[1], 3),
        img_ids=places.view(-1, 3),
    ).sample
    squares = output.view(B, H // 2, W // 2, C, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return squares.reshape(B, C, H, W)


def _read_chat(parts: Parts) -> CaptionReader:
    """Z-Image: the last but one states of a language model, of the tokens alone."""
    encoder = _encoder(parts, length=CHAT_TOKENS, chat=True, pads=False)
    return Prompts((encoder,), lambda outputs: (outputs[0].hidden_states[-2][0],))


def _call_z_image(inputs: Inputs) -> Tensor:
    """Its time goes from 0 for noise to 1, and it predicts x₀ - noise."""
    (states,) = inputs.embeddings
    times = (1000 - inputs.x.new_full((len(inputs.x),), inputs.time)) / 1000
    images = list(inputs.x.unsqueeze(2).unbind())  # [C, 1, H, W] each
    output = inputs.network(images, times, list(states), return_dict=False)[0]
    return -torch.stack([image.float() for image in output]).squeeze(2)


KINDS: Mapping[str, PipelineKind] = types.MappingProxyType(
    {
        "DDPMPipeline": PipelineKind(lambda parts: NoCaptions(), _call_plain),
        "StableDiffusionPipeline": PipelineKind(_read_clip, _call_unet),
        "StableDiffusionXLPipeline": PipelineKind(_read_two_clips, _call_sdxl),
        "DiTPipeline": PipelineKind(_read_class, _call_dit),
        "FluxPipeline": PipelineKind(
            _read_clip_and_t5,
            _call_flux,
            channels=lambda network: network.config.in_channels // 4,
            patch=2,
        ),
        "ZImagePipeline": PipelineKind(_read_chat, _call_z_image, patch=2),
    }
)


# --- The denoiser -----------------------------------------------------------------------------


CACHED = 32  # encoded prompts


class OpenDenoiser:
    """A folder's network as a `genui.engine.models.denoisers.Denoiser`.

    The output of the text encoders is kept for the last prompts, so a step costs no encoding.
    """

    unguided_below: float = 0.0

    def __init__(
        self, parts: Parts, reader: AdaptedReader, schedule: FolderSchedule, factor: int
    ) -> None:
        self._kind = KINDS[parts.folder.pipeline]
        self._network = parts.network
        self._libraries = sorted({one.library for one in parts.folder.components.values()})
        self._reader = reader
        self._schedule = schedule
        self._factor = factor
        self._embeddings: OrderedDict[bytes, Embeddings] = OrderedDict()
        self.sigma_data = 1.0 if "vae" in parts.modules else 0.5
        self.reads_guidance = bool(self._network.config.get("guidance_embeds", False))

    @property
    def computed_by(self) -> str:
        """The libraries of the components and their versions, for `load.precision_of`."""
        return ", ".join(f"{name} {version(name)}" for name in self._libraries)

    @property
    def caption_words(self) -> int:
        return self._reader.length

    @property
    def device(self) -> torch.device:
        return next(self._network.parameters()).device

    def __call__(self, x: Tensor, sigma: Tensor, condition: Tensor) -> Tensor:
        """All rows have the same level."""
        level = float(sigma[0])
        ids, guidance = condition, None
        if self.reads_guidance:
            ids, guidance = condition[:, :-1], condition[:, -1].float() / 1000
        output = torch.empty_like(x)
        for i in group_rows(ids):
            scales = None if guidance is None else guidance[i]
            output[i] = self._call(x[i], level, ids[i], scales).to(x.dtype)
        return self._schedule.denoised(x, output, level)

    def _call(self, x: Tensor, level: float, ids: Tensor, guidance: Tensor | None) -> Tensor:
        """The network's output for rows with the same adapters."""
        rows = [self._embed(row) for row in ids]
        self._reader.activate(ids[0])
        dtype = self._network.dtype
        inputs = Inputs(
            network=self._network,
            x=self._schedule.scale(x, level).to(dtype),
            time=self._schedule.timestep(level),
            embeddings=tuple(_as_batch(parts, dtype) for parts in zip(*rows, strict=True)),
            guidance=guidance,
            factor=self._factor,
        )
        return self._kind.call(inputs)

    def _embed(self, ids: Tensor) -> Embeddings:
        key = ids.numpy(force=True).tobytes()
        if key not in self._embeddings:
            self._embeddings[key] = self._reader.embed(ids)
        self._embeddings.move_to_end(key)
        if len(self._embeddings) > CACHED:
            self._embeddings.popitem(last=False)
        return self._embeddings[key]


def _as_batch(parts: Sequence[Tensor], dtype: torch.dtype) -> Tensor | list[Tensor]:
    """One tensor of the network's input for each sample; a list if their lengths differ."""
    cast = [part.to(dtype) if part.is_floating_point() else part for part in parts]
    return torch.stack(cast) if len({part.shape for part in cast}) == 1 else cast
