"""From a voice checkpoint to the generator that speaks."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genui.engine.data.captions import Vocabulary
from genui.engine.device import Machine
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.sound_medium import SoundMedium
from genui.engine.models.dit import Denoiser
from genui.engine.models.filled import load_frozen
from genui.engine.models.mel_dit import MelDiT, mel_dit_config
from genui.recipes.voice import VoiceRecipe


def load_voice_model(
    recipe: VoiceRecipe,
    tensors: dict[str, Tensor],
    described: Mapping[str, Any],
    machine: Machine,
    device: torch.device,
) -> DiffusionGenerator:
    """The generator of a checkpoint's weights; errors as `kinds.build_generator` says."""
    vocabulary = Vocabulary(tuple(described["words"]))
    config = mel_dit_config(recipe, vocabulary.size)
    model = load_frozen(lambda: Denoiser(MelDiT(config), recipe.sigma_data), tensors)
    medium = SoundMedium(recipe, tuple(described["voices"]))
    return DiffusionGenerator(model.to(device), vocabulary, machine, medium)
