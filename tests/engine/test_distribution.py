"""Samples against the held-out set, with a classifier whose features are known."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from genui.base.errors import GenuiError
from genui.engine.data.image_datasets import LabelledImages
from genui.engine.data.images import CaptionedImages
from genui.engine.metrics.classifiers import render_images
from genui.engine.metrics.distance import Evaluator, format_distribution, measure_distribution

TRAINED, HELD = 240, 60
LABELS = ("dark", "bright")


class ByBrightness:
    """Says what is brighter than mid-grey is bright; its features are an image's three means."""

    labels = LABELS

    def probabilities(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        bright = rgb.mean(axis=(1, 2, 3)) / 255
        return np.stack((1 - bright, bright), axis=1).astype(np.float32)

    def features(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        return rgb.mean(axis=(1, 2)).astype(np.float32)


def levels(count: int, seed: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Images of one colour each, half of them dark, and their captions."""
    rng = np.random.default_rng(seed)
    bright = rng.random(count) < 0.5
    colours = np.where(bright[:, None], 190, 60) + rng.normal(0, 12, (count, 3))
    rgb = np.tile(colours.astype(np.uint8)[:, None, None], (1, 32, 32, 1))
    return rgb, [LABELS[int(each)] for each in bright]


@pytest.fixture
def evaluator() -> Evaluator:
    rgb, captions = levels(TRAINED + HELD, 0)
    alpha = np.full((*rgb.shape[:3], 1), 255, np.uint8)
    images = CaptionedImages(
        name="levels",
        licence="none",
        fingerprint="",
        rgba=np.concatenate((rgb, alpha), axis=3),
        captions=tuple(captions),
        scheme="plain",
        train=np.arange(TRAINED),
        held_out=np.arange(TRAINED, TRAINED + HELD),
    )
    data = LabelledImages(
        images=images,
        labels=LABELS,
        targets=np.array([LABELS.index(caption) for caption in captions]),
        train=images.train,
        held_out=images.held_out,
    )
    classifier: Any = ByBrightness()
    return Evaluator(classifier, data)


def test_fresh_draws_of_the_same_kind_are_near_right_and_new(evaluator: Evaluator) -> None:
    found = evaluator.measure(*levels(200, 1))
    assert found.right == 1
    assert found.coverage > 0.8
    assert found.copying == pytest.approx(0.5, abs=0.12)
    assert found.frechet < 10 * found.frechet_real + 20


def test_the_training_set_again_is_told_to_be_a_copy(evaluator: Evaluator) -> None:
    rgb, targets = render_images(evaluator.data, evaluator.data.train[:HELD])
    found = evaluator.measure(rgb, [LABELS[target] for target in targets])
    # Each is itself in one of the four parts of the training set, and as near as chance in three.
    assert found.copying > 0.58


def test_one_image_again_and_again_covers_nothing(evaluator: Evaluator) -> None:
    rgb, captions = levels(1, 2)
    found = evaluator.measure(np.repeat(rgb, 100, axis=0), captions * 100)
    assert found.coverage < 0.2
    assert found.recall < 0.2
    assert found.frechet > 1000


def test_the_wrong_caption_is_the_wrong_object(evaluator: Evaluator) -> None:
    rgb, captions = levels(50, 3)
    other = [LABELS[1 - LABELS.index(caption)] for caption in captions]
    assert evaluator.measure(rgb, other).right == 0


def test_captions_come_in_the_shares_of_the_training_set(evaluator: Evaluator) -> None:
    captions = evaluator.captions(1000)
    bright = float((evaluator.data.targets[evaluator.data.train] == 1).mean())
    assert captions.count("bright") / 1000 == pytest.approx(bright, abs=0.06)
    assert captions == evaluator.captions(1000)


def test_formatted_every_number_says_what_it_is(evaluator: Evaluator) -> None:
    words = format_distribution(evaluator.measure(*levels(100, 4)), "the classifier")
    assert words["right object"].startswith("100% by the classifier")
    assert "100 samples, own features" in words["Fréchet distance"]
    assert "0.5: none" in words["copying"]
    assert not any("FID" in key + value for key, value in words.items())


def test_data_without_a_judge_cannot_be_measured() -> None:
    with pytest.raises(GenuiError, match="icons: no shipped classifier"):
        measure_distribution(lambda captions: levels(1, 0)[0], "icons", 10)
