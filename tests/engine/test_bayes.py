"""Bayes' rule with a diffusion model's bound on p(image | label)."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genui.base.errors import MisuseError
from genui.engine.metrics.bayes import posterior, score_model

LEVELS = torch.tensor([-0.5, 0.5])


class Knowing:
    """Denoises towards the one grey that each label has, as images of the label are."""

    medium = SimpleNamespace(shape=(1, 32, 32))

    def __init__(self, sharpness: float) -> None:
        self._sharpness = sharpness
        self.rows = 0

    def token_ids(self, labels: Any) -> Tensor:
        return torch.arange(len(labels))[:, None]

    def model(self, noisy: Tensor, sigma: Tensor, words: Tensor) -> Tensor:
        self.rows += len(noisy)
        wanted = LEVELS[words[:, 0]].view(-1, 1, 1, 1)
        mean = noisy.mean(dim=(1, 2, 3), keepdim=True)
        return (mean + self._sharpness * (wanted - mean)).expand_as(noisy)


def grey(level: float) -> np.ndarray:
    return np.full((32, 32, 3), round((level + 1) * 127.5), np.uint8)


def test_an_image_belongs_to_the_label_that_denoises_it_best() -> None:
    model: Any = Knowing(1.0)
    p = posterior(model, np.stack((grey(-0.5), grey(0.5))), ("dark", "bright"), samples=8)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p, np.eye(2), atol=1e-6)
    assert model.rows == 2 * 2 * 8


def test_a_model_that_does_not_listen_to_its_caption_says_every_label_alike() -> None:
    model: Any = Knowing(0.0)
    p = posterior(model, grey(0.2)[None], ("dark", "bright"), samples=4)
    np.testing.assert_allclose(p, 0.5, atol=1e-6)


def test_the_same_images_give_the_same_answer() -> None:
    model: Any = Knowing(0.001)
    one, other = (posterior(model, grey(0.1)[None], ("dark", "bright"), 3) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_a_model_of_other_data_is_refused() -> None:
    with pytest.raises(MisuseError, match="icons: a model of icons"):
        score_model("icons", "fashion", 10)


def test_a_model_whose_captions_are_no_labels_is_refused() -> None:
    with pytest.raises(MisuseError, match="captions are the labels"):
        score_model("icons", "icons", 2)
