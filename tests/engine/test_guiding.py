"""Autoguidance: a weaker model in the same file, which drawing leads away from."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from torch import Tensor

from genui.base.errors import GenuiError, MisuseError
from genui.engine import trainer
from genui.engine.data.captions import Vocabulary
from genui.engine.load import load
from genui.engine.models import frozen
from genui.engine.models.denoisers import build_image_denoiser
from genui.engine.sample.diffusion import AUTOGUIDED_FROM, DiffusionGenerator
from genui.engine.sample.trace import Trace
from genui.engine.train.checkpoint import load_weights, quantise, write_tensors
from genui.protocol import ImageFrame, ImageSettings, SetSettings, Start
from genui.recipes import DiffusionRecipe, find_recipe, override
from genui.runs import launch
from genui.runs.models import find_model

Weights = tuple[dict[str, Tensor], dict[str, Any]]
SMALL = {
    "layers": "1", "width": "32", "heads": "2", "patch": "8", "caption_width": "16",
    "batch": "4", "canvas_batch": "4", "threads": "1", "steps": "2", "eval_every": "2",
    "sample_every": "2", "checkpoint_every": "2",
}  # fmt: skip


def weights(seed: int, **changes: str) -> Weights:
    """A small model of images as a checkpoint has it."""
    torch.manual_seed(seed)
    recipe = override(find_recipe("icons"), SMALL | {"sample_captions": "cat"} | changes)
    assert isinstance(recipe, DiffusionRecipe)
    vocabulary = Vocabulary.build(["cat", "dog"])
    model = build_image_denoiser(recipe, vocabulary.size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    described = {
        "format": 1, "recipe": asdict(recipe), "step": 7, "words": list(vocabulary.words),
        "dataset": "icons", "licence": "", "fingerprint": "f",
    }  # fmt: skip
    return dict(model.state_dict()), described


def written(path: Path, of: Weights) -> Path:
    write_tensors(path, quantise(of[0]), {"genui": json.dumps(of[1])})
    return path


def generator(path: Path) -> DiffusionGenerator:
    found = load(path)
    assert isinstance(found, DiffusionGenerator)
    return found


def request(**settings: Any) -> Start:
    chosen = ImageSettings(**({"steps": 6} | settings))  # type: ignore[arg-type]
    return Start(trace=1, model="m", prompt="cat", seed=1, settings=chosen)


def drawn(by: DiffusionGenerator, scale: float, **changes: Any) -> bytes:
    last = list(Trace(by, request(autoguidance=scale, **changes)).advance(0, 6))[-1]
    assert isinstance(last, ImageFrame)
    return last.denoised


@pytest.fixture
def guided(tmp_path: Path) -> Path:
    """A model with a narrower one as its guide."""
    return written(
        tmp_path / "g.safetensors", frozen.join_guide(weights(0), weights(1, width="16"))
    )


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """The same model alone."""
    return written(tmp_path / "plain.safetensors", weights(0))


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_at_one_it_is_the_model_alone_and_beside_that_it_differs(
    guided: Path, plain: Path, guidance: float
) -> None:
    alone = drawn(generator(plain), 1, guidance=guidance)
    assert drawn(generator(guided), 1, guidance=guidance) == alone
    assert drawn(generator(guided), 2, guidance=guidance) != alone


def test_it_leads_as_far_beyond_the_model_as_the_guide_lags_behind(guided: Path) -> None:
    by = generator(guided)
    assert by.guide is not None
    at = {scale: by.begin(request(guidance=1, autoguidance=scale))[0] for scale in (0, 1, 3)}
    away = at[1].denoised - at[0].denoised
    torch.testing.assert_close(at[3].denoised, at[1].denoised + 2 * away, rtol=1e-4, atol=1e-4)
    assert away.abs().max() > 0.01
    level = torch.full((1,), at[0].sigma)  # at 0 it is the guide itself
    torch.testing.assert_close(at[0].denoised, by.guide(at[0].x, level, at[0].token_ids))
    assert at[0].sigma > AUTOGUIDED_FROM


def test_a_model_without_a_guide_says_so(plain: Path) -> None:
    by = generator(plain)
    with pytest.raises(MisuseError, match="autoguidance 2: this model has no guide"):
        drawn(by, 2)
    with pytest.raises(MisuseError, match="autoguidance 2: this model has no guide"):
        Trace(by, request()).fork(2, 0, SetSettings(ImageSettings(autoguidance=2)))


def test_many_at_once_are_drawn_with_what_guide_there_is(guided: Path, plain: Path) -> None:
    settings = ImageSettings(steps=4, guidance=1, autoguidance=2)
    free = replace(settings, autoguidance=1)
    by, alone = generator(guided), generator(plain)
    assert (by.draw(["cat"], [1], settings) != by.draw(["cat"], [1], free)).any()
    assert (alone.draw(["cat"], [1], settings) == by.draw(["cat"], [1], free)).all()


def test_the_list_knows_which_model_has_one(guided: Path, plain: Path) -> None:
    assert find_model(str(guided)).guided
    assert not find_model(str(plain)).guided


def test_a_guide_has_no_guide_of_its_own(guided: Path) -> None:
    twice, _ = frozen.join_guide(weights(0), load_weights(guided))
    assert set(frozen.split_guide(twice)[1]) == set(weights(0)[0])


def test_a_guide_of_other_data_or_of_another_kind_is_refused() -> None:
    tensors, described = weights(1)
    with pytest.raises(MisuseError, match="guide: of other fingerprint than the model"):
        frozen.join_guide(weights(0), (tensors, described | {"fingerprint": "other"}))
    recipe = asdict(find_recipe("shakespeare"))
    with pytest.raises(MisuseError, match="not transformer text"):
        frozen.join_guide(weights(0), (tensors, described | {"recipe": recipe}))


@pytest.mark.parametrize("told", [{}, {"guide": {}}, {"guide": {"recipe": {"name": "icons"}}}])
def test_a_guide_that_does_not_fit_is_one_line(tmp_path: Path, told: dict[str, Any]) -> None:
    tensors, described = frozen.join_guide(weights(0), weights(1))
    del described["guide"]
    path = written(tmp_path / "odd.safetensors", (tensors, described | told))
    with pytest.raises(GenuiError, match=r"odd\.safetensors: (does not fit|its genui metadata)"):
        load(path)


def test_training_goes_on_from_the_model_and_leaves_its_guide(guided: Path, tmp_path: Path) -> None:
    from PIL import Image

    images = tmp_path / "images"
    images.mkdir()
    for name, colour in (("cat", "red"), ("dog", "blue"), ("red cat", "green")):
        Image.new("RGB", (20, 30), colour).save(images / f"{name}.png")
    settings = SMALL | {"data": str(images)}
    run = launch.create(find_recipe("icons"), settings, "next", str(guided))
    assert trainer.train(run) == 0, run.console.read_text()
    tensors, described = load_weights(run.checkpoint(2))
    assert not frozen.split_guide(tensors)[1]
    assert "guide" not in described
