"""The generator of a folder of a masked-diffusion model."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.device import Machine, check_memory
from genui.engine.loading import LoadProgress
from genui.hub.open_model import OpenModel
from genui.kinds.open_text.folder import CONFIG, read_json
from genui.kinds.open_text.folder_network import load_tokenizer, read_tensors
from genui.kinds.open_text.llama import Attention, Llama, from_hugging_face
from genui.kinds.open_text_diffusion.folder import DREAM, as_llama, class_of, llama_name
from genui.kinds.text_diffusion.sample import TextDiffusionGenerator
from genui.protocol.kinds import PRETRAINED


class FolderDenoiser(nn.Module):
    """A network that sees both sides, with the calls of `text_diffusion.network.TextDenoiser`: in
    its input the id after the vocabulary is the mask."""

    def __init__(self, network: Llama, mask: int, *, predicts_next: bool) -> None:
        """`mask` is the mask's own id. With `predicts_next` a position predicts the token after it,
        as in Dream, which was a language model first; else its own, as in LLaDA."""
        super().__init__()
        self.network, self.mask, self.predicts_next = network, mask, predicts_next
        self.context = network.context + (0 if predicts_next else 1)
        for module in network.modules():
            if isinstance(module, Attention):
                module.is_causal = False

    @property
    def device(self) -> torch.device:
        return self.network.device

    def denoise(self, token_ids: Tensor, first: Tensor) -> Tensor:
        """The logits fp32 [B, T, V] of the token after each position of token_ids [B, T]; the mask
        is never one. All is seen, whatever `first` is."""
        token_ids = token_ids.where(token_ids < self.network.config.vocab_size, self.mask)
        if self.predicts_next:
            logits = self.network(token_ids)
        else:
            at_end = int(first[0]) == token_ids.shape[1]  # its last prediction is wanted
            own = F.pad(token_ids, (0, 1), value=self.mask) if at_end else token_ids
            logits = F.pad(self.network(own[:, 1:]), (0, 0, 0, 0 if at_end else 1))
        logits[..., self.mask] = -torch.inf
        return logits


class FolderGenerator(TextDiffusionGenerator):
    """A `trace.Generator` as of genui's own models."""

    family = PRETRAINED


def load(model: OpenModel, machine: Machine, progress: LoadProgress) -> FolderGenerator:
    """As `Loader.load` of `genui.engine.load` says."""
    config, dtype = read_json(model.path / CONFIG), machine.dtype
    mask, is_dream = config.get("mask_token_id"), class_of(config) == DREAM
    check_memory(model.parameters, dtype, progress)
    tensors = read_tensors(model.path, dtype, progress)
    if not is_dream:
        tensors = {llama_name(name): tensor for name, tensor in tensors.items()}
    network = from_hugging_face(as_llama(config), tensors, dtype).to(machine.device)
    size = network.config.vocab_size
    if type(mask) is not int or not 0 <= mask < size:
        raise MisuseError(
            f"config.json: mask_token_id is {str(mask)[:20]}; expected 0 to {size - 1}"
        )
    denoiser: Any = FolderDenoiser(network, mask, predicts_next=is_dream)
    tokenizer = load_tokenizer(model.path, size)
    return FolderGenerator(denoiser, tokenizer, machine, "mask", model.medium)
