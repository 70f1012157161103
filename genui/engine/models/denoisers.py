"""The seam between diffusion and its networks: `Denoiser`, EDM's preconditioning, every denoiser.

Samplers and generators know a `Denoiser` and nothing of what is inside. A training knows an
`EDMDenoiser`, which has a loss. Only this file looks into networks.
"""

from typing import Generic, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.models.dit import DiT, MelDiT, Network, dit_config
from genui.engine.models.unet import UNet, unet_config
from genui.engine.models.video_dit import (
    Prediction,
    VideoDiT,
    place_figure,
    pose_numbers,
    two_colours,
)
from genui.recipes import DiffusionRecipe, VideoRecipe, VoiceRecipe

BLACK = -1.0
SETTLED = 0.5  # σ of clips below which only grain is left to be taken away


class Denoiser(Protocol):
    """Noisy arrays, their noise level and a condition to the expected clean arrays.

    x float [B, C, H, W] is clean + σ·noise, with σ float [B] and noise standard normal
    (Karras et al. 2022, eq. 3, where this is D(x; σ)). The condition is the token ids of a
    caption, int64 [B, L], all 0 where there is no caption. The answer is [B, C, H, W].
    """

    @property
    def sigma_data(self) -> float:
        """The standard deviation of clean arrays."""
        ...

    @property
    def caption_words(self) -> int:
        """L at the most."""
        ...

    @property
    def unguided_below(self) -> float:
        """σ under which nothing is left for guidance to decide."""
        ...

    @property
    def device(self) -> torch.device: ...

    def __call__(self, x: Tensor, sigma: Tensor, condition: Tensor, /) -> Tensor: ...


N = TypeVar("N", bound=Network)


class EDMDenoiser(nn.Module, Generic[N]):
    """EDM's preconditioning around a network (Karras et al. 2022, eq. 7 and table 1)."""

    unguided_below: float = 0.0

    def __init__(self, network: N, sigma_data: float) -> None:
        super().__init__()
        self.network = network
        self.sigma_data = sigma_data

    @property
    def caption_words(self) -> int:
        return self.network.caption_words

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def forward(self, x: Tensor, sigma: Tensor, token_ids: Tensor) -> Tensor:
        """As `Denoiser` says."""
        c_skip, c_out, c_in = self._coefficients(sigma)
        return c_skip * x + c_out * self.network(c_in * x, sigma.log() / 4, token_ids).float()

    def loss(self, clean: Tensor, noise: Tensor, sigma: Tensor, token_ids: Tensor) -> Tensor:
        """EDM's weighted denoising error (eq. 8), one value an array [B]."""
        noisy, target, c_in = self._target(clean, noise, sigma)
        output = self.network(c_in * noisy, sigma.log() / 4, token_ids).float()
        return (output - target).square().mean(dim=(1, 2, 3))

    def draw_canvas(self, token_ids: Tensor) -> Tensor:
        """The coarse image that a caption alone draws, of networks that have one."""
        network = self.network
        assert isinstance(network, DiT | VideoDiT)  # the recipe's check says so
        return network.draw_canvas(token_ids).float()

    def _target(self, clean: Tensor, noise: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The noisy arrays, what the network is to answer for them, and c_in."""
        c_skip, c_out, c_in = self._coefficients(sigma)
        noisy = clean + sigma.view(-1, 1, 1, 1) * noise
        return noisy, (clean - c_skip * noisy) / c_out, c_in

    def _coefficients(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s, d = sigma.view(-1, 1, 1, 1), self.sigma_data
        total = (s**2 + d**2).sqrt()
        return d**2 / total**2, s * d / total, 1 / total


class BorderedDenoiser(EDMDenoiser[Network]):
    """A denoiser of images with a border that is always black: nothing there is computed.

    Fashion's images of 28×28 have one of two pixels; leaving it out saves a quarter of the work.
    """

    def __init__(self, network: Network, sigma_data: float, border: int) -> None:
        super().__init__(network, sigma_data)
        self.border = border

    def forward(self, x: Tensor, sigma: Tensor, token_ids: Tensor) -> Tensor:
        inner = super().forward(self._crop(x), sigma, token_ids)
        return F.pad(inner, (self.border,) * 4, value=BLACK)

    def loss(self, clean: Tensor, noise: Tensor, sigma: Tensor, token_ids: Tensor) -> Tensor:
        return super().loss(self._crop(clean), self._crop(noise), sigma, token_ids)

    def _crop(self, x: Tensor) -> Tensor:
        return x[..., self.border : -self.border, self.border : -self.border]


class VideoDenoiser(EDMDenoiser[VideoDiT]):
    """EDM's denoiser of clips, with what its network learns beside denoising."""

    unguided_below: float = SETTLED

    def forward(self, x: Tensor, sigma: Tensor, token_ids: Tensor) -> Tensor:
        """The expected clean clip of x = clean + σ·noise; x [B, 48, 32, 32], σ [B].

        Below `SETTLED` everything but grain is decided: a captioned clip is then made the
        nearest one of a figure in one colour that moves on a ground in another.
        """
        c_skip, c_out, c_in = self._coefficients(sigma)
        prediction = self.network.predict(c_in * x, sigma.log() / 4, token_ids)
        denoised = c_skip * x + c_out * prediction.out.float()
        settled = (sigma < SETTLED) & (token_ids > 0).any(1)
        if not settled.any():
            return denoised
        alpha = place_figure(prediction.canvas.detach(), prediction.poses[1])
        flat = two_colours(denoised, alpha)
        return torch.where(settled.view(-1, 1, 1, 1), flat, denoised)

    def predict(self, noisy: Tensor, sigma: float, token_ids: Tensor) -> Prediction:
        """The clip, the canvas and the poses that the network predicts at one noise level."""
        level = torch.full((len(noisy),), sigma, device=noisy.device).log() / 4
        c_in = (sigma**2 + self.sigma_data**2) ** -0.5
        return self.network.predict(c_in * noisy, level, token_ids)

    def losses(
        self, clean: Tensor, noise: Tensor, sigma: Tensor, token_ids: Tensor, poses: Tensor
    ) -> tuple[Tensor, Tensor]:
        """EDM's denoising error [B], and the poses' squared error [B] against `pose_numbers`."""
        noisy, target, c_in = self._target(clean, noise, sigma)
        prediction = self.network.predict(c_in * noisy, sigma.log() / 4, token_ids)
        denoising = (prediction.out.float() - target).square().mean(dim=(1, 2, 3))
        wanted = pose_numbers(poses)
        posing = sum((pose - wanted).square().sum(-1).mean(-1) for pose in prediction.poses)
        return denoising, torch.as_tensor(posing)


def build_denoiser(
    recipe: DiffusionRecipe | VideoRecipe | VoiceRecipe, vocab_size: int
) -> EDMDenoiser:
    """The denoiser that a recipe asks for, its weights drawn anew."""
    match recipe:
        case VideoRecipe():
            return VideoDenoiser(VideoDiT(dit_config(recipe, vocab_size)), recipe.sigma_data)
        case VoiceRecipe():
            return EDMDenoiser(MelDiT(dit_config(recipe, vocab_size)), recipe.sigma_data)
    network: Network
    if recipe.network == "unet":
        network = UNet(unet_config(recipe, vocab_size))
    else:
        network = DiT(dit_config(recipe, vocab_size))
    if recipe.border:
        return BorderedDenoiser(network, recipe.sigma_data, recipe.border)
    return EDMDenoiser(network, recipe.sigma_data)
