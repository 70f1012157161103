"""An autoencoder trains by the ordinary loop, walks between two images, and is measured."""

import dataclasses
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from shares import assert_shares_add_up
from shown import PNG, show_step

from genui.base.errors import GenuiError, MisuseError
from genui.engine import trainer
from genui.engine.data.image_datasets import IMAGE_DATASETS
from genui.engine.device import Machine
from genui.engine.load import open_trace
from genui.kinds.latent.metrics import measure_autoencoder, similarity
from genui.kinds.latent.recipe import AutoencoderRecipe
from genui.kinds.latent.sample import AutoencoderGenerator
from genui.kinds.latent.task import AutoencoderTask, ImagePair
from genui.kinds.latent.walk import AutoencoderSettings
from genui.logs.native import MetricsTail
from genui.protocol import ImageFrame, SetPrompt, SetSettings, Start
from genui.recipes import find_recipe, override
from genui.runs.layout import RunDir, create_run

pytestmark = pytest.mark.usefixtures("signals")
CPU = Machine("cpu", "fp32", 1)


@pytest.fixture
def tiny(shapes: tuple[str, str]) -> Callable[..., RunDir]:
    """Makes a run of a very small autoencoder."""

    def make(**settings: str) -> RunDir:
        small = {
            "dataset": shapes[0], "also": shapes[1], "width": "4", "blocks": "1",
            "deep_blocks": "1", "batch": "2", "crop": "32", "steps": "4", "threads": "1",
            "precision": "fp32", "eval_every": "2", "sample_every": "2", "checkpoint_every": "2",
        } | settings  # fmt: skip
        return create_run(override(find_recipe("autoencoder-128"), small), small, "tiny")

    return make


def test_it_trains_on_several_datasets_and_logs_each(tiny: Callable[..., RunDir]) -> None:
    run = tiny()
    assert trainer.train(run) == 0, run.console.read_text()
    tail = MetricsTail(run.metrics)
    while tail.read():
        pass
    logged = {"val_loss", "psnr", "psnr_shapes", "psnr_styled"} & tail.series.keys()
    assert logged == {"val_loss", "psnr", "psnr_shapes", "psnr_styled"}
    assert list(run.samples.glob("*.png"))


def test_a_walk_shows_the_blend_of_pixels_beside_that_of_latents(
    tiny: Callable[..., RunDir],
) -> None:
    run = tiny()
    assert trainer.train(run) == 0, run.console.read_text()
    start = Start(
        trace=1, model=run.id, prompt="red square on black", seed=0,
        settings=AutoencoderSettings(steps=4, to="blue wide bar on white"),
    )  # fmt: skip
    trace = open_trace(start)
    opening = trace.opening
    steps = [opening, *trace.advance(0, 4)]
    shown = [frame for frame in steps if isinstance(frame, ImageFrame) and frame.is_whole]
    assert len(shown) == 5
    parts = [
        np.frombuffer(frame.x, np.uint8).reshape(128, 3, 128, 3).astype(int) for frame in shown
    ]
    pixels, decoded = ([part[:, at] for part in parts] for at in (0, 1))
    assert np.abs(pixels[2] - (pixels[0] + pixels[4]) / 2).max() <= 1
    assert all(np.any(one != other) for one, other in pairwise(decoded))
    shown_difference = parts[0][:, 2] - 127.5
    expected = (4 * (decoded[0] - pixels[0])).clip(-127.5, 127.5)
    assert np.abs(shown_difference - expected).max() <= 5
    settings = AutoencoderSettings(steps=2, to="blue wide bar on white")
    quicker = trace.fork(2, 3, SetSettings(settings))
    assert quicker.started.total_steps == 3  # it is at the end, not beyond it
    assert isinstance(quicker.opening, ImageFrame)
    assert quicker.opening.x == shown[4].x
    alone = open_trace(replace(start, settings=AutoencoderSettings(steps=4)))
    assert len(list(alone.advance(0, 2))) == 2
    other = alone.fork(3, 2, SetPrompt("blue wide bar on white"))
    (last,) = [each for each in other.advance(2, 1) if isinstance(each, ImageFrame)]
    assert last.x == shown[4].x  # without a second image it stays at the first


def test_a_caption_that_no_image_has_is_refused_in_one_line(shapes: tuple[str, str]) -> None:
    generator = _generator(shapes)
    with pytest.raises(MisuseError, match="no image of shapes, styled is captioned 'green cat'"):
        generator.begin(
            Start(trace=1, model="it", prompt="green cat", seed=0, settings=AutoencoderSettings())
        )


def test_data_that_is_not_here_is_asked_for_by_its_own_captions_alone(
    shapes: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> int:
        raise GenuiError("styled needs a package")

    recipe = override(_recipe(shapes), {"dataset": shapes[1], "also": shapes[0]})
    assert isinstance(recipe, AutoencoderRecipe)
    generator = AutoencoderGenerator(_task(shapes).model, CPU, recipe)
    row = dataclasses.replace(IMAGE_DATASETS["styled"], check=fail, load=fail)
    monkeypatch.setitem(IMAGE_DATASETS.built_in, "styled", row)
    start = Start(
        trace=1, model="it", prompt="red square on black", seed=0, settings=AutoencoderSettings()
    )
    state, _ = generator.begin(start)
    assert state.first.shape == (1, 3, 128, 128)
    with pytest.raises(GenuiError, match="styled needs a package"):
        generator.begin(replace(start, prompt="noto octopus"))


def test_the_shares_of_a_step_add_up(shapes: tuple[str, str]) -> None:
    assert_shares_add_up(_task(shapes))


def test_its_card_states_each_dataset(shapes: tuple[str, str]) -> None:
    generator = _generator(shapes)
    measured = measure_autoencoder(generator, _recipe(shapes))
    for name in shapes:
        assert "dB" in measured[f"{name} PSNR"]
        assert "between halves of the originals" in measured[f"{name} Fréchet distance"]


def test_the_parts_of_images_of_a_step_are_shown(shapes: tuple[str, str]) -> None:
    assert all(example.image.startswith(PNG) for example in show_step(_task(shapes)))


def test_an_image_is_most_similar_to_itself() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 128, 128) * 2 - 1
    near = (image + 0.2 * torch.randn_like(image)).clamp(-1, 1)
    assert float(similarity(ImagePair(image, image))) == pytest.approx(1)
    assert 0.1 < float(similarity(ImagePair(image, near))) < 0.99
    assert abs(float(similarity(ImagePair(image, -image)))) < 1


def _recipe(shapes: tuple[str, str]) -> AutoencoderRecipe:
    sizes = {"width": "4", "blocks": "1", "deep_blocks": "1", "batch": "4", "crop": "32"}
    data = {"dataset": shapes[0], "also": shapes[1]}
    recipe = override(find_recipe("autoencoder-128"), {**sizes, **data})
    assert isinstance(recipe, AutoencoderRecipe)
    return recipe


def _task(shapes: tuple[str, str]) -> AutoencoderTask:
    return AutoencoderTask(_recipe(shapes), torch.device("cpu"))


def _generator(shapes: tuple[str, str]) -> AutoencoderGenerator:
    recipe = _recipe(shapes)
    return AutoencoderGenerator(_task(shapes).model, CPU, recipe)
