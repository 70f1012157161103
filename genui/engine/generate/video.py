"""From a checkpoint of a video model to what generates clips."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genui.engine.data.captions import Vocabulary
from genui.engine.device import Machine
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.video_medium import VideoMedium
from genui.engine.models.filled import load_frozen
from genui.engine.models.video_dit import VideoDenoiser, VideoDiT, video_dit_config
from genui.recipes.video import VideoRecipe


def load_video_model(
    recipe: VideoRecipe,
    tensors: dict[str, Tensor],
    described: Mapping[str, Any],
    machine: Machine,
    device: torch.device,
) -> DiffusionGenerator:
    """The generator of a checkpoint's weights; errors as `kinds.build_generator` says."""
    vocabulary = Vocabulary(tuple(described["words"]))
    config = video_dit_config(recipe, vocabulary.size)
    model = load_frozen(lambda: VideoDenoiser(VideoDiT(config), recipe.sigma_data), tensors)
    return DiffusionGenerator(model.to(device), vocabulary, machine, VideoMedium(recipe))
