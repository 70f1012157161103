"""Two questions of one data set: its curves, on images and texts made here."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genui.base.errors import MisuseError
from genui.engine.metrics.bayes import Examples, learning_curves, load_examples
from genui.engine.models.linear import fit_word_bayes


@pytest.fixture
def images(tmp_path: Path) -> Examples:
    """Noisy images, bright above or below."""
    rng = np.random.default_rng(0)
    for name, top in (("above", 150), ("below", 105)):
        for i in range(48):
            pixels = rng.normal(255 - top, 60, (32, 32, 3))
            pixels[:16] += 2 * top - 255
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / f"{name}_{i}.png")
    return load_examples("fashion", str(tmp_path))


def test_both_models_learn_and_the_same_examples_give_the_same_curves(images: Examples) -> None:
    first, last = learning_curves(images, (2, 80), repeats=3)
    assert (first.examples, last.examples) == (2, 80)
    for name in ("discriminative", "generative"):
        assert last.scores[name].accuracy == 1
        assert last.scores[name].log_loss < first.scores[name].log_loss
    again, _ = learning_curves(images, (2, 80), repeats=3)
    assert again == first


def test_counts_go_up_to_all_there_are(images: Examples) -> None:
    assert [point.examples for point in learning_curves(images, repeats=1)] == [10, 30, 80]


@pytest.mark.parametrize("counts", [(1, 5), (5, 81)])
def test_counts_that_there_are_not_are_refused(images: Examples, counts: tuple[int, ...]) -> None:
    with pytest.raises(MisuseError, match="has 80 to train on"):
        next(learning_curves(images, counts))


def test_texts_are_word_counts_and_bayes_rule_over_words(tmp_path: Path) -> None:
    for label, word in (("sea", "wave"), ("land", "hill")):
        folder = tmp_path / label
        folder.mkdir()
        for i in range(30):
            (folder / f"{i}.txt").write_text(f"the {word} and the {word} number {i} again")
    examples = load_examples("speakers", str(tmp_path))
    assert "words" in examples.features
    (point,) = learning_curves(examples, (40,), repeats=1)
    assert point.scores["generative"].accuracy == 1
    assert point.scores["discriminative"].accuracy == 1


def test_word_bayes_counts_with_one_more_of_each() -> None:
    x, targets = np.array([[2, 0], [1, 1], [0, 3]]), np.array([0, 0, 1])
    found = fit_word_bayes(x, targets, 2).probabilities(np.array([[1, 0]]))
    # p(word 0 | label) is (3+1)/(4+2) and (0+1)/(3+2); p(label) is 3/5 and 2/5.
    joint = np.array([4 / 6 * 3 / 5, 1 / 5 * 2 / 5])
    np.testing.assert_allclose(found[0], joint / joint.sum(), rtol=1e-5)


def test_an_unknown_data_set_names_the_nearest() -> None:
    with pytest.raises(MisuseError, match="did you mean 'fashion'"):
        load_examples("fashoin")
