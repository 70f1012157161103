"""What every network of images does, by the values of the recipe's `network`."""

from typing import Any

import pytest
import torch
from torch import Tensor

from genui.base.schema import settings_of
from genui.engine.data.captions import Vocabulary
from genui.engine.models.denoisers import build_image_denoiser
from genui.recipes import DiffusionRecipe

NETWORKS = tuple(settings_of(DiffusionRecipe)["network"].choices or ())
VOCABULARY = Vocabulary.build(["ankle boot", "bag"])


def small_network(name: str, spread: float = 0.0) -> Any:
    """The network of a small recipe; with a spread its weights are drawn at random."""
    torch.manual_seed(0)
    recipe = DiffusionRecipe(
        name="small",
        dataset="icons",
        summary="",
        network=name,  # type: ignore[arg-type]
        canvas_batch=0,
        layers=1,
        width=16,
        heads=4,
        caption_width=16,
        caption_words=2,
    )
    recipe.check()
    network = build_image_denoiser(recipe, VOCABULARY.size).network
    if spread:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.normal_(std=spread)
    return network


def words(*captions: str) -> Tensor:
    return torch.from_numpy(VOCABULARY.encode(captions, 2))


@pytest.mark.parametrize("name", NETWORKS)
def test_an_image_comes_out_as_large_as_it_went_in(name: str) -> None:
    network = small_network(name)
    x = torch.randn(2, 3, 32, 32)
    out = network(x, torch.zeros(2), words("bag", "ankle boot"))
    assert out.shape == x.shape
    assert (out == 0).all()  # at the beginning it adds nothing to what the noise level says
    assert network.caption_words == 2


@pytest.mark.parametrize("name", NETWORKS)
def test_the_caption_and_the_noise_level_change_what_is_drawn(name: str) -> None:
    network = small_network(name, spread=0.1)
    x, level = torch.randn(1, 3, 32, 32), torch.zeros(1)
    one = network(x, level, words("bag"))
    assert not torch.equal(one, network(x, level, words("boot")))
    assert not torch.equal(one, network(x, level + 1, words("bag")))
    assert not torch.equal(one, network(x, level, torch.zeros(1, 2, dtype=torch.int64)))
