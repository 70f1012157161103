"""128×128 images whose latents are denoised, as a `Medium`.

Every step is shown through the decoder, one image at a time, so that an image has the same bits
alone and in a grid. The predicted noise is shown as its eight channels.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genui.base.errors import GenuiError, MisuseError
from genui.engine.load import find_and_load
from genui.engine.models.config import config_from
from genui.engine.models.denoisers import EDMDenoiser
from genui.engine.models.dit import DiT, DiTConfig
from genui.engine.sample.diffusion import DiffusionParts
from genui.engine.sample.diffusion_state import DiffusionState, read_mask
from genui.engine.sample.media import (
    ImageMedium,
    InitialImage,
    grid_frame,
    initial_image,
    scale_for_display,
    to_rgb,
    to_tensor,
)
from genui.kinds.latent.denoiser_recipe import LatentRecipe
from genui.kinds.latent.network import LATENT_SIDE, Autoencoder
from genui.kinds.latent.recipe import SIDE
from genui.kinds.latent.sample import AutoencoderGenerator
from genui.protocol import ImageFrame, RgbImage
from genui.render.image import signed_colours

CHANNELS = 8  # of a latent
CANVAS_SHAPE = (16, LATENT_SIDE // 2, LATENT_SIDE // 2)
"""Of what the network predicts from the caption alone: a coarse image, each 4×4 folded."""
MAP_SIDE, MAP_GAP, MAPS_ACROSS = 32, 8, 3
"""Of the channels in an image of 128×128, in pixels."""


@dataclass(frozen=True)
class LatentMedium(ImageMedium):
    """Images of SIDE pixels; `autoencoder` makes latents of them, and images of latents."""

    autoencoder: Autoencoder = field(kw_only=True, repr=False)
    trained: LatentRecipe = field(kw_only=True)
    """The recipe, which names the training data."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return CHANNELS, LATENT_SIDE, LATENT_SIDE

    @torch.inference_mode()
    def decode(self, x: Tensor) -> Tensor:
        """Images [B, 3, 128, 128] of clean latents, each decoded alone."""
        x = x.float().to(self.autoencoder.mean.device)
        return torch.cat([self.autoencoder.decode(one) for one in x.split(1)])

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Latents [B, 8, 16, 16] of images [B, 3, 128, 128]."""
        images = images.to(self.autoencoder.mean.device)
        return torch.cat([self.autoencoder.encode(one) for one in images.split(1)]).cpu()

    def frame(self, state: DiffusionState, sigma_data: float) -> ImageFrame:
        """The images of a state. Outside a mask the prediction is what was there before: a decoder
        changes pixels beside those whose latents have changed."""
        x, noise = scale_for_display(state, sigma_data)
        denoised = self.decode(state.denoised)
        if (kept := state.inpainting) is not None:
            changes = F.interpolate(kept.mask[None, None].float(), size=SIDE) > 0
            denoised = torch.where(changes, denoised, self.decode(kept.known))
        noisy = self.decode(x) if state.sigma else denoised
        channels = draw_channels(noise.float().cpu().numpy())
        return grid_frame(state, to_rgb(noisy), to_rgb(denoised), channels)

    def load_init(self, init: RgbImage | str, caption: str) -> InitialImage:
        image, note = initial_image(init, caption, self.trained, SIDE)
        return InitialImage(image, self.encode(to_tensor(image)[None])[0], note)

    def read_mask(self, mask: bytes) -> Tensor:
        """bool [16, 16]: a latent may change if a pixel of its square may. The mask is a square of
        any side. Raises MisuseError as `diffusion_state.read_mask`."""
        side = math.isqrt(len(mask))
        painted = (
            read_mask(mask, side, side) if side**2 == len(mask) else read_mask(mask, SIDE, SIDE)
        )
        return F.adaptive_max_pool2d(painted[None].float(), LATENT_SIDE)[0] > 0


def draw_channels(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Arrays [B, 8, 16, 16], shown from -1 to 1, as images [B, 128, 128, 3]: a map for each
    channel, three in a row."""
    larger = MAP_SIDE // LATENT_SIDE
    maps = signed_colours(values).repeat(larger, axis=2).repeat(larger, axis=3)
    canvas = np.zeros((len(values), SIDE, SIDE, 3), np.uint8)
    for channel in range(CHANNELS):
        y, x = (MAP_GAP + at * (MAP_SIDE + MAP_GAP) for at in divmod(channel, MAPS_ACROSS))
        canvas[:, y : y + MAP_SIDE, x : x + MAP_SIDE] = maps[:, channel]
    return canvas


# --- The autoencoder --------------------------------------------------------------------------


def find_autoencoder(ref: str) -> tuple[Autoencoder, str]:
    """A trained autoencoder by name, run or path, and its fingerprint: that of the weights in 16
    bits, which is the same once it has been shipped.

    Raises MisuseError if there is none or it is another kind of model, and what `find_and_load`
    raises.
    """
    generator = find_and_load(ref)
    if not isinstance(generator, AutoencoderGenerator) or generator.model.config.latent != CHANNELS:
        raise MisuseError(f"autoencoder={ref}: is no autoencoder of 128×128 images; name another")
    digest = hashlib.sha256()
    for value in generator.model.state_dict().values():
        digest.update(value.half().cpu().numpy().tobytes())
    return generator.model, digest.hexdigest()[:16]


def open_medium(recipe: LatentRecipe, described: Mapping[str, Any]) -> LatentMedium:
    """The medium of a checkpoint.

    Raises what `find_autoencoder` raises, and GenuiError if it is not the one of the training.
    """
    autoencoder, fingerprint = find_autoencoder(recipe.autoencoder)
    if described["autoencoder"] != fingerprint:
        raise GenuiError(
            f"it was trained in the latents of another {recipe.autoencoder}: "
            "bring that one back, or train it again"
        )
    return LatentMedium(autoencoder=autoencoder, trained=recipe)


def build_latent_denoiser(recipe: LatentRecipe, vocab_size: int) -> EDMDenoiser[DiT]:
    """Build the denoiser of latents with new weights: the DiT of images, with other channels."""
    config = config_from(
        recipe,
        DiTConfig,
        vocab_size=vocab_size,
        side=LATENT_SIDE,
        channels=CHANNELS,
        canvas_channels=CANVAS_SHAPE[0],
    )
    return EDMDenoiser(DiT(config), recipe.sigma_data)


LATENTS = DiffusionParts(build_latent_denoiser, open_medium)
"""What latents add to diffusion models."""
