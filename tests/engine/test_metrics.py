"""The metrics against generators whose quality is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genui.engine.data.image_datasets import load_images
from genui.engine.metrics.images import measure_images
from genui.engine.metrics.language import measure_text
from genui.engine.sample.text import TextGenerator
from genui.recipes import TextRecipe, find_recipe, override


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genui.engine.metrics.images.DIFFUSION_SAMPLES", 10)
    monkeypatch.setattr("genui.engine.metrics.language.COPY_SAMPLES", 1)


ICONS = override(find_recipe("icons"), {"canvas_batch": "0"})


class Oracle:
    """Draws the true image of every caption, mirrored and with its colours rolled if asked."""

    def __init__(self, mirrored: bool = False, rolled: bool = False) -> None:
        self._images = load_images("icons")
        self._mirrored, self._rolled = mirrored, rolled

    def draw(self, captions: list[str], seeds: list[int], settings: object) -> np.ndarray:
        drawn = []
        for caption in captions:
            image = self._images.compose(caption)
            if image is None:  # one word of many names
                image = self._images.draw_in_colours_of(caption, np.array([0]))[0]
            if self._mirrored:
                image = image[:, ::-1, ::-1]
            if self._rolled:
                image = np.roll(image, 1, axis=0)
            drawn.append(np.rint((image.transpose(1, 2, 0) + 1) * 127.5))
        return np.stack(drawn).astype(np.uint8)


def measure(generator: Any, recipe: Any) -> dict[str, str]:
    return measure_images(generator, recipe)


def test_true_images_are_all_right_and_all_memory() -> None:
    found = measure(Oracle(), ICONS)
    assert found["trained captions"].startswith("100%")
    assert found["colours right"] == "100%"
    assert found["new colour pairs right"] == "100%"
    assert found["names never trained"].startswith("100% right first, 100%")
    assert found["memory"].startswith("100%")
    assert found["seeds differ by"].startswith("0.000")
    assert float(found["copying"].split()[0]) > 0.5


def test_wrong_shapes_and_wrong_colours_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("describe_copying", "word_variety"):  # long, and not asked here
        monkeypatch.setattr(f"genui.engine.metrics.images.{name}", lambda *_: None)
    upside_down = measure(Oracle(mirrored=True), ICONS)
    assert int(upside_down["trained captions"].partition("%")[0]) < 70
    assert upside_down["colours right"] == "100%"
    discoloured = measure(Oracle(rolled=True), ICONS)
    assert int(discoloured["colours right"].partition("%")[0]) < 50


def test_an_untrained_text_model_predicts_no_better_than_chance(
    text_generator: TextGenerator, plays: Path
) -> None:
    recipe = override(find_recipe("shakespeare"), {"data": str(plays)})
    assert isinstance(recipe, TextRecipe)
    found = measure_text(text_generator, recipe)
    assert float(found["validation loss"].split()[0]) > 2
    assert float(found["held-out text"].split()[0]) > 3
    assert found["copying"].startswith("0.50 of ")
