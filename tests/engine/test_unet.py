"""The U-Net and the black border: shapes, captions, and what is left out of the work."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genui.base.errors import GenuiError, MisuseError
from genui.engine.data.captions import Vocabulary
from genui.engine.device import Machine
from genui.engine.models.denoisers import BorderedDenoiser, build_image_denoiser
from genui.engine.models.unet import UNet
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.media import ImageMedium
from genui.protocol import FROM_DATA, ImageFrame, ImageSettings, RgbImage, Start
from genui.recipes import DiffusionRecipe, find_recipe, override

MACHINE = Machine("cpu", "fp32", 1)
SMALL = {"width": "16", "caption_width": "16"}
VOCABULARY = Vocabulary.build(["ankle boot", "bag"])


def recipe_with(**settings: str) -> DiffusionRecipe:
    recipe = override(find_recipe("fashion"), SMALL | settings)
    assert isinstance(recipe, DiffusionRecipe)
    return recipe


def alive(recipe: DiffusionRecipe) -> Any:
    """The recipe's denoiser with no weight at zero, as they begin."""
    torch.manual_seed(0)
    model = build_image_denoiser(recipe, VOCABULARY.size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    return model


def words(*captions: str) -> Tensor:
    return torch.from_numpy(VOCABULARY.encode(captions, 2))


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32)])
def test_an_image_comes_out_as_large_as_it_went_in(channels: int, side: int) -> None:
    recipe = recipe_with(channels=str(channels), border="0")
    network = build_image_denoiser(recipe, VOCABULARY.size).network
    assert isinstance(network, UNet)
    x = torch.randn(2, channels, side, side)
    out = network(x, torch.zeros(2), words("bag", "ankle boot"))
    assert out.shape == x.shape
    assert (out == 0).all()  # at the beginning it adds nothing to what the noise level says


def test_the_border_is_black_whatever_is_under_it_and_costs_no_loss() -> None:
    model = alive(recipe_with())
    assert isinstance(model, BorderedDenoiser)
    x = torch.randn(2, 1, 32, 32)
    sigma, captions = torch.ones(2), words("bag", "bag")
    found = model(x, sigma, captions)
    assert found.shape == x.shape
    assert (found[..., :2] == -1).all()
    assert (found[:, :, -2:] == -1).all()
    other = x.clone()
    other[..., :2, :] = 7
    assert torch.equal(model(other, sigma, captions), found)
    noise = torch.randn_like(x)
    assert torch.equal(
        model.loss(x, noise, sigma, captions), model.loss(other, noise, sigma, captions)
    )


def test_its_loss_falls() -> None:
    torch.manual_seed(0)
    model = build_image_denoiser(recipe_with(), VOCABULARY.size)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    clean = torch.zeros(4, 1, 32, 32)
    losses = []
    for _ in range(12):
        loss = model.loss(clean, torch.randn_like(clean), torch.ones(4), words(*["bag"] * 4)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert min(losses[-3:]) < losses[0] / 2


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"canvas_batch": "5"}, "no caption canvas"),
        ({"border": "3"}, "even"),
        ({"width": "17"}, "heads"),
        ({"network": "dit"}, "network=unet"),
        ({"network": "gan"}, "network=gan"),
        ({"channels": "2"}, "channels=2"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(settings: dict[str, str], says: str) -> None:
    with pytest.raises(MisuseError, match=says) as fault:
        recipe_with(**settings)
    assert "\n" not in str(fault.value)


# --- a trace of grey images ----------------------------------------------------------------


@pytest.fixture
def generator() -> DiffusionGenerator:
    recipe = recipe_with()
    return DiffusionGenerator(alive(recipe), VOCABULARY, MACHINE, ImageMedium(recipe))


def start(**options: Any) -> Start:
    return Start(
        trace=1, model="made", prompt="bag", seed=3, settings=ImageSettings(steps=3), **options
    )


def finished(generator: DiffusionGenerator, request: Start) -> ImageFrame:
    state, _ = generator.begin(request)
    while not generator.finished(state):
        state, _ = generator.step(state)
    return generator.frame(state)


def test_grey_images_are_shown_in_three_equal_colours(generator: DiffusionGenerator) -> None:
    frame = finished(generator, start())
    for part in (frame.x, frame.denoised, frame.noise):
        rgb = np.frombuffer(part, np.uint8).reshape(32, 32, 3)
        assert (rgb == rgb[..., :1]).all()
    assert (np.frombuffer(frame.denoised, np.uint8).reshape(32, 32, 3)[:2] == 0).all()


def test_a_trace_ends_in_the_image_that_is_drawn_at_once(generator: DiffusionGenerator) -> None:
    drawn = generator.draw(["bag"], [3], ImageSettings(steps=3))
    assert drawn.shape == (1, 32, 32, 3)
    assert drawn.tobytes() == finished(generator, start()).x


def test_an_image_in_colour_to_begin_from_becomes_grey(generator: DiffusionGenerator) -> None:
    red = RgbImage(width=32, height=32, rgb=bytes((255, 0, 0)) * 1024)
    state, _ = generator.begin(start(init=red, forward=True))
    rgb = np.frombuffer(generator.frame(state).x, np.uint8).reshape(32, 32, 3)
    assert len(np.unique(rgb)) == 1


def test_it_begins_from_its_training_data(generator: DiffusionGenerator) -> None:
    try:
        _, started = generator.begin(start(init=FROM_DATA, strength=0.5))
    except GenuiError as fault:  # the data set is not here
        pytest.skip(str(fault))
    assert "bag" in started.note
