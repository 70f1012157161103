"""The interface between diffusion and its networks: `Denoiser`, and EDM's preconditioning.

Samplers and generators use only `Denoiser`; training uses `EDMDenoiser`, which has a loss. Only
denoisers access the networks inside.
"""

from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.models.config import config_from
from genui.engine.models.dit import DiT, DiTConfig, Network
from genui.engine.models.unet import UNet, UNetConfig
from genui.recipes import DiffusionRecipe

BLACK = -1.0


class Denoiser(Protocol):
    """D(x; σ) of Karras et al. 2022, eq. 3: the expected clean arrays, [B, C, H, W].

    x float [B, C, H, W] is clean + σ·noise, with σ float [B] and standard normal noise. The
    condition is the token ids of captions, int64 [B, L], all 0 for no caption.
    """

    @property
    def sigma_data(self) -> float:
        """The standard deviation of the clean arrays."""
        ...

    @property
    def caption_words(self) -> int:
        """The largest L."""
        ...

    @property
    def unguided_below(self) -> float:
        """The σ below which guidance has no effect and is skipped."""
        ...

    @property
    def reads_guidance(self) -> bool:
        """Whether guidance is distilled into the network: its scale, in thousandths, is the last
        column of the condition, and there is no second pass."""
        ...

    @property
    def device(self) -> torch.device: ...

    def __call__(self, x: Tensor, sigma: Tensor, condition: Tensor, /) -> Tensor: ...


@runtime_checkable
class DrawsCanvas(Protocol):
    """A network that predicts a coarse image from captions alone, the canvas."""

    def draw_canvas(self, token_ids: Tensor) -> Tensor: ...


N = TypeVar("N", bound=Network)


class EDMDenoiser(nn.Module, Generic[N]):
    """EDM's preconditioning around a network (Karras et al. 2022, eq. 7 and table 1)."""

    unguided_below: float = 0.0
    reads_guidance: bool = False

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
        c_skip, c_out, c_in = self.coefficients(sigma)
        return c_skip * x + c_out * self.network(c_in * x, sigma.log() / 4, token_ids).float()

    def loss(self, clean: Tensor, noise: Tensor, sigma: Tensor, token_ids: Tensor) -> Tensor:
        """EDM's weighted denoising loss (eq. 8) of each array, [B]."""
        noisy, target, c_in = self.target(clean, noise, sigma)
        output = self.network(c_in * noisy, sigma.log() / 4, token_ids).float()
        return (output - target).square().mean(dim=(1, 2, 3))

    def draw_canvas(self, token_ids: Tensor) -> Tensor:
        """The coarse image predicted from the caption alone; only for networks with a canvas."""
        network = self.network
        assert isinstance(network, DrawsCanvas)  # Recipe.check makes sure of it
        return network.draw_canvas(token_ids).float()

    def target(self, clean: Tensor, noise: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The noisy arrays, the network's target for them, and c_in."""
        c_skip, c_out, c_in = self.coefficients(sigma)
        noisy = clean + sigma.view(-1, 1, 1, 1) * noise
        return noisy, (clean - c_skip * noisy) / c_out, c_in

    def coefficients(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """c_skip, c_out and c_in (table 1), [B, 1, 1, 1] each."""
        s, d = sigma.view(-1, 1, 1, 1), self.sigma_data
        total = (s**2 + d**2).sqrt()
        return d**2 / total**2, s * d / total, 1 / total


class BorderedDenoiser(EDMDenoiser[Network]):
    """A denoiser of images with an always black border, which the network does not see.

    The 28×28 images of Fashion-MNIST have a border of two pixels; cropping it saves a quarter of
    the work.
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


def build_image_denoiser(recipe: DiffusionRecipe, vocab_size: int) -> EDMDenoiser[Network]:
    """Build the denoiser of images with new weights."""
    network: Network
    if recipe.network == "unet":
        network = UNet(config_from(recipe, UNetConfig, vocab_size=vocab_size))
    else:
        has_canvas = recipe.canvas_batch > 0
        network = DiT(config_from(recipe, DiTConfig, vocab_size=vocab_size, canvas=has_canvas))
    if recipe.border:
        return BorderedDenoiser(network, recipe.sigma_data, recipe.border)
    return EDMDenoiser(network, recipe.sigma_data)
