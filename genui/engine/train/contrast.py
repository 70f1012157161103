"""Training a denoiser against what a model drew: direct discriminative optimisation (DDO).

A denoiser that has learned all it can by likelihood covers the data and more: what it draws is
smoother than the data. Here the ratio of its likelihood to that of the model which drew the
pictures, the reference, is a discriminator of real from drawn (Zheng et al. 2025, "Direct
Discriminative Optimization: Your Likelihood-Based Visual Generative Model is Secretly a GAN
Discriminator"), and to train that discriminator is to train the model. The loss begins at 2 ln 2,
where both models are the same.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from genui.engine.data.captions import Vocabulary
from genui.engine.data.drawn import drawn_by
from genui.engine.data.folder import load_folder
from genui.engine.models import guiding
from genui.engine.models.dit import Denoiser, Network
from genui.engine.models.filled import load_frozen
from genui.engine.models.picture_denoiser import picture_denoiser
from genui.engine.train.checkpoint import load_weights
from genui.errors import MisuseError
from genui.recipes import DiffusionRecipe, recipe_from_dict
from genui.runs.catalog import ModelInfo


class Contrast:
    """The pictures of `recipe.against` and the model that drew them, which stays as it was."""

    def __init__(
        self, recipe: DiffusionRecipe, vocabulary: Vocabulary, device: torch.device
    ) -> None:
        self._scale = recipe.against_scale
        model = drawn_by(recipe)
        self.pictures = load_folder(recipe.against)
        self.told = f"{len(self.pictures.train):,} pictures that {model.name} drew"
        self._reference = _reference(model, vocabulary).to(device)
        self._found: dict[str, float] = {}

    def loss(
        self, model: Denoiser[Network], arrays: Tensor, words: Tensor, noise: Tensor, sigma: Tensor
    ) -> Tensor:
        """-ln σ(r of real) - ln σ(-r of drawn), averaged over pairs.

        `arrays` [2B, C, H, W] are B real pictures and as many drawn ones, in pairs that share
        their noise and σ. r is ln p(x) / p_reference(x), estimated from one noise level: how much
        smaller the denoising error is than the reference's, in units of 1 / `against_scale`.
        """
        with torch.no_grad():
            before = self._reference.loss(arrays, noise, sigma, words)
        now = model.loss(arrays, noise, sigma, words)
        real, drawn = (self._scale * (before - now)).chunk(2)
        ahead = (real - drawn).detach()
        self._found = {
            "real_gain": float(real.detach().mean()) / self._scale,
            "drawn_gain": float(drawn.detach().mean()) / self._scale,
            "told_apart": float((ahead > 0).float().mean() + (ahead == 0).float().mean() / 2),
        }
        return F.softplus(-real).mean() + F.softplus(drawn).mean()

    def measured(self) -> Mapping[str, float]:
        """Of the last loss: how much the error fell on real and on drawn pictures, and the share
        of pairs in which it fell more on the real one (0.5: they cannot be told apart)."""
        return self._found


def paired(x: Tensor) -> Tensor:
    """The same for the drawn pictures as for the real ones: [B, …] twice over."""
    return torch.cat((x, x))


def _reference(model: ModelInfo, vocabulary: Vocabulary) -> Denoiser[Network]:
    """The model that drew the pictures. Raises MisuseError where it knows other words."""
    tensors, described = load_weights(model.path)
    recipe = recipe_from_dict(described["recipe"])
    assert isinstance(recipe, DiffusionRecipe)  # drawn_by has looked
    if tuple(described["words"]) != vocabulary.words:
        raise MisuseError(
            f"against: {model.name} knows other words; start from it: --from {model.name}"
        )
    own, _ = guiding.apart(tensors)
    return load_frozen(lambda: picture_denoiser(recipe, vocabulary.size), own)
