"""The interface between diffusion and its networks: `Denoiser`, and EDM's preconditioning.

Samplers and generators use only `Denoiser`; training uses `EDMDenoiser`, which has a loss. Only
denoisers access the networks inside.
"""

from importlib import import_module
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.models.config import config_from
from genui.engine.models.dit import Network
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
    """EDM's preconditioning around a network (Karras et al. 2022, eq. 7 and table 1).

    If it `reads_next` it predicts for one step: it also takes the level σ' at which the step ends,
    and Euler's method from σ to σ' with the prediction is the whole step.
    """

    unguided_below: float = 0.0
    reads_guidance: bool = False
    reads_next: bool = False

    def __init__(self, network: N, sigma_data: float, objective: str = "edm") -> None:
        super().__init__()
        self.network = network
        self.sigma_data = sigma_data
        self.objective = objective

    @property
    def caption_words(self) -> int:
        return self.network.caption_words

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def forward(
        self, x: Tensor, sigma: Tensor, token_ids: Tensor, sigma_next: Tensor | None = None
    ) -> Tensor:
        c_skip, c_out, c_in = self.coefficients(sigma)
        level = self._level(sigma, sigma_next)
        return c_skip * x + c_out * self.network(c_in * x, level, token_ids).float()

    def _level(self, sigma: Tensor, sigma_next: Tensor | None) -> Tensor:
        """The noise level for the network, [B]; if it `reads_next` that of both levels [B, 2], the
        second an angle from 0 to π / 2, by default 0: the step ends at the clean arrays."""
        level = sigma.log() / 4
        if not self.reads_next:
            return level
        end = torch.zeros_like(sigma) if sigma_next is None else sigma_next
        return torch.stack((level, (end / self.sigma_data).atan()), dim=1)

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
        """c_skip, c_out and c_in (table 1), [B, 1, 1, 1] each; for flow matching those with which
        the network predicts noise - clean from (1 - t) clean + t noise, where σ = t / (1 - t)
        (Lipman et al. 2023)."""
        s, d = sigma.view(-1, 1, 1, 1), self.sigma_data
        if self.objective == "flow":
            return 1 / (1 + s), -s / (1 + s), 1 / (1 + s)
        total = (s**2 + d**2).sqrt()
        return d**2 / total**2, s * d / total, 1 / total


class BorderedDenoiser(EDMDenoiser[Network]):
    """A denoiser of images with an always black border, which the network does not see.

    The 28×28 images of Fashion-MNIST have a border of two pixels; cropping it saves a quarter of
    the work.
    """

    def __init__(self, network: Network, sigma_data: float, border: int, objective: str) -> None:
        super().__init__(network, sigma_data, objective)
        self.border = border

    def forward(
        self, x: Tensor, sigma: Tensor, token_ids: Tensor, sigma_next: Tensor | None = None
    ) -> Tensor:
        inner = super().forward(self._crop(x), sigma, token_ids, sigma_next)
        return F.pad(inner, (self.border,) * 4, value=BLACK)

    def loss(self, clean: Tensor, noise: Tensor, sigma: Tensor, token_ids: Tensor) -> Tensor:
        return super().loss(self._crop(clean), self._crop(noise), sigma, token_ids)

    def _crop(self, x: Tensor) -> Tensor:
        return x[..., self.border : -self.border, self.border : -self.border]


def build_image_denoiser(recipe: DiffusionRecipe, vocab_size: int) -> EDMDenoiser[Network]:
    """Build the denoiser of images with new weights.

    The network is in the file of this folder that the recipe names.
    """
    classes = import_module(f"{__package__}.{recipe.network}")
    config = config_from(recipe, classes.CONFIG, vocab_size=vocab_size)
    network: Network = classes.NETWORK(config)
    if recipe.border:
        return BorderedDenoiser(network, recipe.sigma_data, recipe.border, recipe.objective)
    return EDMDenoiser(network, recipe.sigma_data, recipe.objective)
