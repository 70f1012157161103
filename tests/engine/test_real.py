"""Detectors of what is generated: what they score, and their false alarms on real examples."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from genui.engine.data.image_datasets import LabelledImages
from genui.engine.data.images import CaptionedImages
from genui.engine.metrics import real
from genui.engine.metrics import table as metrics_table
from genui.engine.metrics.real import curvature, find_above

P = np.array([0.5, 0.25, 0.125, 0.125])


class Unigrams:
    """A model of independent tokens."""

    device = torch.device("cpu")

    def __call__(self, token_ids: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.log(P)).float().expand(*token_ids.shape, len(P))


def curvature_of(tokens: NDArray[np.int64]) -> float:
    model: Any = Unigrams()
    return curvature(model, tokens)


def test_the_curvature_of_the_models_own_text_is_standard_normal() -> None:
    rng = np.random.default_rng(0)
    scores = [curvature_of(rng.choice(4, 200, p=P)) for _ in range(300)]
    assert abs(np.mean(scores)) < 0.2
    assert np.std(scores) == pytest.approx(1, abs=0.15)


def test_likelier_text_scores_higher_and_unlikely_text_lower() -> None:
    mean = (P * np.log(P)).sum()
    spread = np.sqrt((P * np.log(P) ** 2).sum() - mean**2)
    likeliest = curvature_of(np.zeros(101, np.int64))
    assert likeliest == pytest.approx((np.log(0.5) - mean) / spread * 10, rel=1e-4)
    assert curvature_of(np.full(101, 3)) < -10
    assert likeliest > 5


def test_false_alarms_are_those_of_real_examples_that_set_no_threshold() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=2000)
    origins = {"apart": scores[:500] + 10, "alike": rng.normal(size=500)}
    rows = list(find_above(scores, origins))
    found = {row.label: row.shares[0].value for row in rows}
    assert found["real, held out"] == pytest.approx(0.05, abs=0.03)
    assert rows[0].shares[0].of == 1000
    assert found["apart"] == 1
    assert rows[1].remark == "area 1.00"
    assert found["alike"] == pytest.approx(0.05, abs=0.03)
    # Other real text, on which nothing was set, may look as generated as samples do.
    drifted = np.concatenate((scores[:1000], scores[1000:] + 3))
    assert next(find_above(drifted, {})).shares[0].value > 0.8


class Tinted:
    """A generator of grey images that are a little too red."""

    def draw(self, captions: list[str], seeds: list[int], settings: Any) -> NDArray[np.uint8]:
        rgb = np.stack([greys(1, seed)[0] for seed in seeds])
        rgb[..., 0] += 12
        return rgb


def greys(count: int, seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng((7, seed))
    shades = rng.integers(40, 200, (count, 1)) + rng.normal(0, 2, (count, 3))
    return np.tile(shades.astype(np.uint8)[:, None, None], (1, 32, 32, 1))


def test_a_probe_finds_what_samples_have_and_real_images_have_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rgb = greys(400, 0)
    images = CaptionedImages(
        name="greys",
        licence="none",
        fingerprint="",
        rgba=np.concatenate((rgb, np.full((400, 32, 32, 1), 255, np.uint8)), axis=3),
        captions=("grey",) * 400,
        scheme="plain",
        train=np.arange(200),
        held_out=np.arange(200, 400),
    )
    data = LabelledImages(
        images=images,
        labels=("grey",),
        targets=np.zeros(400, np.int64),
        train=images.train,
        held_out=images.held_out,
    )
    monkeypatch.setattr(real, "load_labelled_images", lambda dataset: data)
    monkeypatch.setattr(metrics_table, "find_and_load", lambda model: Tinted())
    table = real.detect(["fashion", "fashion-gan"], 50, lambda *done: None)
    labels = (
        "real, held out",
        *(f"fashion, guidance {value}" for value in (0, 1, 4)),
        *(f"fashion-gan, truncation {value}" for value in (1, 0.5)),
    )
    assert tuple(row.label for row in table.rows) == labels
    alarms, *found = table.rows
    assert alarms.shares[0].value < 0.3
    assert all(row.shares[0].of == 50 for row in found)
    assert all(row.shares[0].value > 0.8 for row in found)
    assert "of as many other real examples" in table.notes[0]
