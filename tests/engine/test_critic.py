"""The critic: what it learns, what it keeps, and the files and folders it goes by."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from small_recipes import HERE, SMALL

from genui.cli import main
from genui.engine import criticise, ship, trainer
from genui.engine.data.drawn import drawn_by
from genui.engine.data.picture_labels import parted
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.load import find_and_load
from genui.engine.generate.sifting import TRIES, sifted
from genui.engine.models.convnet import ConvNet
from genui.engine.models.critic import Critic
from genui.engine.train.checkpoint import load_weights
from genui.engine.train.critic_fit import fit
from genui.errors import MisuseError
from genui.kinds import UNGUIDED
from genui.recipes import DiffusionRecipe, find_recipe, override
from genui.runs import launch
from genui.runs.catalog import find_model
from genui.saved.drawn import read_plan


class Bright:
    """Takes a picture brighter than 100 for four times as likely among real ones."""

    def log_ratio(self, rgb: np.ndarray, captions: list[str]) -> np.ndarray:
        return np.where(rgb[:, 0, 0, 0] > 100, math.log(1.6), math.log(0.4))


def draw(captions: list[str], seeds: list[int]) -> np.ndarray:
    """Of one brightness, as likely bright as dark."""
    values = [np.random.default_rng(seed).integers(200) for seed in seeds]
    return np.full((len(seeds), 32, 32, 3), np.array(values)[:, None, None, None], np.uint8)


def test_what_is_kept_is_distributed_by_the_ratio() -> None:
    seeds = list(range(2000))
    found = sifted(draw, ["cat"] * 2000, seeds, Bright(), 1.6)  # type: ignore[arg-type]
    assert (draw([], seeds)[:, 0, 0, 0] > 100).mean() == pytest.approx(0.5, abs=0.04)
    assert (found[:, 0, 0, 0] > 100).mean() == pytest.approx(0.8, abs=0.04)


def test_a_picture_depends_on_its_caption_and_seed_alone() -> None:
    whole = sifted(draw, ["cat"] * 40, list(range(40)), Bright(), 1.6)  # type: ignore[arg-type]
    one = sifted(draw, ["cat"], [23], Bright(), 1.6)  # type: ignore[arg-type]
    np.testing.assert_array_equal(whole[23], one[0])


def test_it_ends_where_nothing_pleases() -> None:
    asked = Counter[int]()

    class Never:
        def log_ratio(self, rgb: np.ndarray, captions: list[str]) -> np.ndarray:
            asked[len(rgb)] += 1
            return np.full(len(rgb), -math.inf)

    found = sifted(draw, ["cat"], [1], Never(), 1.5)  # type: ignore[arg-type]
    assert found.shape == (1, 32, 32, 3)
    assert asked == {1: TRIES - 1}


def test_it_learns_what_tells_real_from_drawn_and_is_one_on_average() -> None:
    torch.manual_seed(0)
    critic = Critic([ConvNet(2, 8)], ["cat", "dog"])
    width = critic.weight.shape[1]
    real = {name: torch.randn(400, width) for name in critic.captions}
    drawn = {name: torch.randn(400, width) for name in critic.captions}
    drawn["cat"][:, 0] += 1
    fit(critic, real, drawn)

    def ratio(rows: torch.Tensor, of: int) -> torch.Tensor:
        return (rows @ critic.weight[of] + critic.bias[of]).exp().detach()

    assert float(ratio(drawn["cat"], 0).mean()) == pytest.approx(1, rel=1e-4)
    assert float(ratio(real["cat"], 0).mean()) > 1.3
    of_cat = critic.weight[0].detach()
    assert float(of_cat[0]) < -5 * float(of_cat[1:].abs().mean())
    weights = ratio(drawn["cat"], 0)[:, None]
    assert abs(float((weights * drawn["cat"][:, :1]).sum() / weights.sum())) < 0.5


def test_captions_it_does_not_know_are_as_they_are() -> None:
    critic = Critic([ConvNet(2, 8)], ["cat", "t-shirt"]).eval()
    with torch.no_grad():
        critic.bias[:] = 1.0
    rgb = np.zeros((3, 32, 32, 3), np.uint8)
    assert critic.log_ratio(rgb, ["bird", "Cat", "T shirt"]).tolist() == [0, 1, 1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals: None) -> Path:
    """Three hundred squares called cat and dog."""
    monkeypatch.setenv("GENUI_HOME", str(tmp_path / "home"))
    made = tmp_path / "squares"
    made.mkdir()
    for i in range(300):
        grey = np.full((32, 32, 3), 80 + i // 2, np.uint8)
        grey[i % 9 : i % 9 + 4] = 0
        Image.fromarray(grey).save(made / f"{('cat', 'dog')[i % 2]}_{i}.png")
    return made


def trained(recipe: str, name: str, settings: dict[str, str]) -> str:
    run = launch.create(find_recipe(recipe), settings | HERE, name)
    assert trainer.train(run) == 0
    return run.id


@pytest.fixture
def model(folder: Path) -> str:
    return trained("icons", "first", SMALL | {"data": str(folder), "steps": "2"})


@pytest.fixture
def judge(folder: Path) -> str:
    asked = {"data": str(folder), "steps": "2", "width": "8", "share": "0.4", "figure": "false"}
    return trained("icons-labels", "half", asked)


def drawn(model: str, out: Path, count: int, *words: str) -> Path:
    asked = ["generate", model, "-n", str(count), "--steps", "1", "--seed", "1", *words]
    assert main([*asked, "--out", str(out)]) == 0
    return out


def pixels(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(p)) for p in sorted(folder.rglob("*.png"))])


def test_a_model_with_its_critic_draws_other_pictures_than_without(
    model: str, judge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = drawn(model, tmp_path / "pool", 200)
    out = tmp_path / "sifted.safetensors"
    monkeypatch.setattr("sys.argv", ["criticise", model, str(pool), judge, "--out", str(out)])
    assert criticise.main() == 0
    generator = find_and_load(str(out), many=True)
    assert isinstance(generator, DiffusionGenerator)
    assert generator.critic
    assert set(generator.critic.captions) == {"cat", "dog"}
    # A very strict one, so that something is rejected in so few.
    strict = drawn(str(out), tmp_path / "strict", 8, "--rejection", "50")
    plain = drawn(str(out), tmp_path / "plain", 8, "--rejection", "0")
    assert not np.array_equal(pixels(strict), pixels(plain))
    np.testing.assert_array_equal(pixels(plain), pixels(drawn(model, tmp_path / "own", 8)))
    assert read_plan(pool).settings == msgspec.structs.replace(UNGUIDED, steps=1)

    tensors, told = ship.with_critic(load_weights(find_model(model).path), str(out))
    small = ship.narrowed(tensors | {"guide.w": torch.ones(4, 4)}, 16)
    assert told["critic"]["drawn"] > 150
    assert {str(value.dtype) for name, value in small.items() if name != "guide.w"} == {
        "torch.float16"
    }
    assert small["guide.w"].dtype == torch.int8
    with pytest.raises(MisuseError, match="has no critic"):
        ship.with_critic((tensors, told), model)
    with pytest.raises(MisuseError, match="of other weights"):
        ship.with_critic(load_weights(find_model(judge).path), str(out))

    recipe = override(find_recipe("icons"), SMALL | {"data": str(tmp_path / "squares")})
    assert isinstance(recipe, DiffusionRecipe)
    with pytest.raises(MisuseError, match=r"critic has sifted it; draw with --rejection 0"):
        drawn_by(replace(recipe, against=str(strict)))
    assert drawn_by(replace(recipe, against=str(plain))).path == out


def test_what_cannot_be_a_critic_is_one_line(
    model: str, judge: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = drawn(model, tmp_path / "pool", 12)
    everything = {"data": str(folder), "steps": "1", "width": "8"}
    whole = trained("icons-labels", "whole", everything)
    for words, told in (
        ((model, str(folder), [judge]), "is no folder of pictures that a model drew"),
        ((model, str(pool), [whole]), "learned from a share of 1 of the pictures"),
        ((model, str(pool), [model]), "no classifier of pictures"),
        ((judge, str(pool), [judge]), "draws no pictures by denoising"),
        ((model, str(pool), [judge]), "no caption has 50 pictures"),
    ):
        with pytest.raises(MisuseError, match=told) as caught:
            criticise.criticised(*words)
        assert "\n" not in str(caught.value)
    assert main(["generate", model, "--prompt", "cat", "--rejection", "2"]) == 2
    assert "rejection: is of pictures by the thousand" in capsys.readouterr().err


def test_a_classifier_learns_from_its_share_alone() -> None:
    learned, left = parted(np.arange(10, 30), 0.4)
    assert (len(learned), len(left)) == (8, 12)
    assert sorted((*learned, *left)) == list(range(10, 30))
    np.testing.assert_array_equal(learned, parted(np.arange(10, 30), 0.4)[0])
