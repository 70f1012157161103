"""Maps over an image at one step: what the words of its caption have to do with each place, and the
channels that a diffusion model computes with."""

from contextlib import ExitStack

import torch
import torch.nn.functional as F
from torch import Tensor

from genui.base.errors import MisuseError
from genui.base.text import split_words
from genui.engine.device import Machine, autocast
from genui.engine.models.denoisers import Denoiser, EDMDenoiser
from genui.engine.models.dit import Block, CaptionedTransformer
from genui.engine.sample.diffusion_state import DiffusionState
from genui.protocol import Maps, ReadMaps

_NO_WORDS = "only genui's own Transformers of images have maps of words: choose another model"
SHOWN = 2.0  # standard deviations of clean data on either side of 0, for channels


def read_maps(model: Denoiser, state: DiffusionState, ask: ReadMaps, machine: Machine) -> Maps:
    """The answer of a diffusion model. Raises MisuseError for a grid, and for the words of a
    network that is no Transformer."""
    row, *others = state.rows
    if others:
        raise MisuseError("several images are not looked into at once: draw one")
    if ask.view == "channels":
        values = (state.denoised[0] / (SHOWN * model.sigma_data)).clamp(-1, 1)
        names = tuple(str(number) for number in range(1, len(values) + 1))
    else:
        names = split_words(row.caption)[: model.caption_words]
        values = attention_by_word(model, state, machine)[: len(names)]
    return Maps(
        trace=ask.trace,
        step=ask.step,
        view=ask.view,
        names=names,
        side=values.shape[-1],
        values=values.half().cpu().numpy().tobytes(),
    )


@torch.inference_mode()
def attention_by_word(model: Denoiser, state: DiffusionState, machine: Machine) -> Tensor:
    """The share of its attention that each patch gives to each word of the caption, [L, H, W]: the
    mean over heads and blocks, at the step's noise level.

    A finished image is read at the last level above 0. Raises MisuseError for another network.
    """
    if not isinstance(model, EDMDenoiser) or not isinstance(model.network, CaptionedTransformer):
        raise MisuseError(_NO_WORDS)
    network, shares = model.network, list[Tensor]()
    sigma = state.sigma or state.levels[state.step - 1]
    words, heads = state.token_ids.shape[1], network.config.heads
    with ExitStack() as stack, autocast(machine):
        for block in network.blocks:
            assert isinstance(block, Block)
            hook = block.qkv.register_forward_hook(
                lambda _block, _inputs, qkv: shares.append(_shares(qkv, heads, words))
            )
            stack.callback(hook.remove)
        level = torch.full((1,), sigma, device=model.device)
        model(state.x[:1], level, state.token_ids[:1])
    mean, side = torch.stack(shares).mean(0), state.x.shape[-1] // network.config.patch  # [L, N]
    if mean.shape[1] != side**2:
        raise MisuseError(_NO_WORDS)
    return mean.unflatten(1, (side, side))


def _shares(qkv: Tensor, heads: int, words: int) -> Tensor:
    """The attention of the patches of one image to its words, the last tokens, [L, N], from a
    block's queries and keys [1, T, 3C], as in `genui.engine.models.dit.attend`."""
    q, k, _ = qkv.float().unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)  # [1, H, T, D]
    q, k = F.rms_norm(q, q.shape[-1:]), F.rms_norm(k, k.shape[-1:])
    weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
    return weights[0, :, :-words, -words:].mean(0).T
