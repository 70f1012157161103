"""What an image model is trained on: grey where it is grey, and moved where it is asked for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from genui.engine.data.captions import use_one_word
from genui.engine.models.denoisers import BorderedDenoiser
from genui.engine.train.diffusion import ImageTask
from genui.recipes import DiffusionRecipe, find_recipe, override

DEVICE = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One image: black, with a red square left of the middle."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[12:20, 6:14, 0] = 255
    Image.fromarray(pixels).save(tmp_path / "square.png")
    return tmp_path


def task_with(folder: Path, recipe: str, **settings: str) -> ImageTask:
    small = {"data": str(folder), "width": "16", "heads": "2", "caption_width": "16", "batch": "64"}
    changed = override(find_recipe(recipe), small | settings)
    assert isinstance(changed, DiffusionRecipe)
    return ImageTask(changed, DEVICE)


def trained_on(task: ImageTask, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """The clean images of the first step."""
    seen: list[Tensor] = []

    def loss(clean: Tensor, noise: Tensor, sigma: Tensor, words: Tensor) -> Tensor:
        seen.append(clean)
        return torch.zeros(len(clean), requires_grad=True)

    monkeypatch.setattr(task.model, "loss", loss)
    task.loss(0)
    return seen[0]


def test_without_augmentation_every_image_is_as_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = {"canvas_batch": "0", "layers": "1", "shift": "0", "zoom": "0"}
    clean = trained_on(task_with(folder, "icons", **still), monkeypatch)
    assert clean.shape == (64, 3, 32, 32)
    assert (clean == clean[:1]).all()


def test_with_it_a_caption_has_many_images_and_the_same_step_the_same_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving = {"canvas_batch": "0", "layers": "1", "shift": "3", "zoom": "0.1", "flip": "true"}
    clean = trained_on(task_with(folder, "icons", **moving), monkeypatch)
    assert len(torch.unique(clean.flatten(1), dim=0)) == 64
    sides = clean[:, 0, 16].argmax(dim=1) < 16
    assert 10 < int(sides.sum()) < 54  # mirrored or not
    again = trained_on(task_with(folder, "icons", **moving), monkeypatch)
    assert torch.equal(clean, again)


def test_a_grey_model_is_trained_on_one_channel(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_with(folder, "fashion")
    assert isinstance(task.model, BorderedDenoiser)
    assert "outer 2 pixels of every image are left black" in task.notes[-1]
    clean = trained_on(task, monkeypatch)
    assert clean.shape == (64, 1, 32, 32)
    assert float(clean[0, 0, 15, 10]) == pytest.approx((1 - 1 - 1) / 3, abs=0.02)


def test_some_captions_say_one_word_of_a_name_and_keep_the_colours() -> None:
    captions = ["red cowboy hat on black", "blue star on white", "cat with tears of joy on blue"]
    names = ["cowboy hat", "star", "cat with tears of joy"]
    rng = np.random.default_rng(0)
    seen = [use_one_word(captions, names, 0.5, rng) for _ in range(200)]
    hats, stars, cats = (set(column) for column in zip(*seen, strict=True))
    assert hats == {"red cowboy hat on black", "red cowboy on black", "red hat on black"}
    assert stars == {"blue star on white"}
    assert cats == {captions[2], "cat on blue", "tears on blue", "joy on blue"}
    assert use_one_word(captions, names, 0, rng) == captions
    known = {"cowboy", "star"}  # as the name of an image each
    assert {use_one_word(captions, names, 1, rng, known)[0] for _ in range(50)} == {
        "red hat on black"
    }


def test_flow_matching_learns_the_velocity_of_straight_paths(folder: Path) -> None:
    model = task_with(folder, "icons", objective="flow", layers="1", canvas_batch="0").model
    clean, noise = torch.randn(2, 3, 3, 32, 32).unbind()
    t = torch.tensor([0.1, 0.5, 0.9])
    noisy, target, c_in = model.target(clean, noise, t / (1 - t))
    share = t.view(-1, 1, 1, 1)
    assert torch.allclose(c_in * noisy, (1 - share) * clean + share * noise, atol=1e-5)
    assert torch.allclose(target, noise - clean, atol=1e-4)
    before = model.loss(clean, noise, t / (1 - t), torch.zeros(3, 8, dtype=torch.int64))
    assert torch.allclose(before, target.square().mean(dim=(1, 2, 3)))  # a new network predicts 0
