"""The denoiser that a picture recipe asks for."""

import torch.nn.functional as F
from torch import Tensor

from genui.engine.models.dit import Denoiser, DiT, Network, dit_config
from genui.engine.models.unet import UNet, unet_config
from genui.recipes import DiffusionRecipe

BLACK = -1.0


class Bordered(Denoiser[Network]):
    """A denoiser of pictures with a border that is always black: nothing there is computed.

    Fashion's pictures of 28×28 have one of two pixels; leaving it out saves a quarter of the work.
    """

    def __init__(self, network: Network, sigma_data: float, border: int) -> None:
        super().__init__(network, sigma_data)
        self.border = border

    def forward(self, x: Tensor, sigma: Tensor, words: Tensor) -> Tensor:
        inner = super().forward(self._inner(x), sigma, words)
        return F.pad(inner, (self.border,) * 4, value=BLACK)

    def loss(self, clean: Tensor, noise: Tensor, sigma: Tensor, words: Tensor) -> Tensor:
        return super().loss(self._inner(clean), self._inner(noise), sigma, words)

    def _inner(self, x: Tensor) -> Tensor:
        return x[..., self.border : -self.border, self.border : -self.border]


def picture_denoiser(recipe: DiffusionRecipe, words: int) -> Denoiser[Network]:
    """For a vocabulary of that many rows."""
    network: Network
    if recipe.network == "unet":
        network = UNet(unet_config(recipe, words))
    else:
        network = DiT(dit_config(recipe, words))
    if recipe.border:
        return Bordered(network, recipe.sigma_data, recipe.border)
    return Denoiser(network, recipe.sigma_data)
