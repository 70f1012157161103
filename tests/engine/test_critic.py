"""The critic: what it learns, what it keeps, and the files and folders it goes by."""

import json
import math
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from small_recipes import HERE, SMALL

from genui.cli import main
from genui.engine import ship_critic, trainer
from genui.engine.data.drawn import drawn_by
from genui.engine.data.picture_labels import parted
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.load import find_and_load
from genui.engine.generate.sifting import TRIES, sifted
from genui.engine.models.convnet import ConvNet
from genui.engine.models.critic import Critic
from genui.engine.models.guiding import prefixed
from genui.engine.train.checkpoint import load_weights, write_tensors
from genui.engine.train.critic_fit import averaged, fit
from genui.engine.train.quantise import halved, quantise
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


def test_two_are_one_by_the_mean_of_their_log_ratios() -> None:
    torch.manual_seed(0)
    critics, drawn = [], []
    for captions in (["cat", "dog"], ["dog"]):
        critic = Critic([ConvNet(2, 8)], captions)
        torch.nn.init.normal_(critic.weight, std=0.1)
        critics.append(critic)
        drawn.append({"dog": torch.randn(50, critic.weight.shape[1])})
    both = averaged(critics, drawn, ["dog"])
    seen = torch.cat([each["dog"] for each in drawn], dim=1)
    found = (seen @ both.weight[0] + both.bias[0]).detach()
    first = drawn[0]["dog"] @ critics[0].weight[1]
    second = drawn[1]["dog"] @ critics[1].weight[0]
    wanted = ((first + second) / 2).detach()
    torch.testing.assert_close(found - found[0], wanted - wanted[0])
    assert float(found.exp().mean()) == pytest.approx(1, rel=1e-4)


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
    return half_judge(folder, "first")


def half_judge(folder: Path, half: str) -> str:
    asked = {"data": str(folder), "steps": "2", "width": "8", "half": half, "figure": "false"}
    return trained("icons-labels", f"{half}-half", asked)


def drawn(model: str, out: Path, count: int, *words: str) -> Path:
    asked = ["generate", model, "-n", str(count), "--steps", "1", "--seed", "1", *words]
    assert main([*asked, "--out", str(out)]) == 0
    return out


def pixels(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(p)) for p in sorted(folder.rglob("*.png"))])


def criticised(out: Path, model: str, *words: str) -> int:
    return main(["criticise", model, *words, "--out", str(out)])


def test_a_model_with_its_critic_draws_other_pictures_than_without(
    model: str, judge: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pools = [drawn(model, tmp_path / "pool", 120), drawn(model, tmp_path / "more", 80)]
    out = tmp_path / "sifted.safetensors"
    judges = [half_judge(folder, "second"), judge]
    assert criticised(out, model, "--drawn", *map(str, pools), "--by", *judges) == 0
    assert "critic of 2 captions, fitted to 200 drawn pictures" in capsys.readouterr().err
    generator = find_and_load(str(out), many=True)
    assert isinstance(generator, DiffusionGenerator)
    assert generator.critic
    assert set(generator.critic.captions) == {"cat", "dog"}
    # A very strict one, so that something is rejected in so few.
    strict = drawn(str(out), tmp_path / "strict", 8, "--rejection", "50")
    plain = drawn(str(out), tmp_path / "plain", 8, "--rejection", "0")
    assert not np.array_equal(pixels(strict), pixels(plain))
    np.testing.assert_array_equal(pixels(plain), pixels(drawn(model, tmp_path / "own", 8)))
    alone = msgspec.structs.replace(UNGUIDED, steps=1, rejection=0.0)
    assert read_plan(pools[0]).settings == alone

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
    out = tmp_path / "sifted.safetensors"
    for critic_of, where, by, told in (
        (model, folder, judge, "is no folder of pictures that a model drew"),
        (model, pool, whole, "learned from all of the pictures; train one with --set half=first"),
        (model, pool, model, "no classifier of pictures"),
        (judge, pool, judge, "draws no pictures by denoising"),
        (model, pool, judge, "no caption has 50 pictures"),
    ):
        assert criticised(out, critic_of, "--drawn", str(where), "--by", by) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert told in said
        assert not out.exists()
    out.touch()
    assert criticised(out, model, "--drawn", str(pool), "--by", judge) == 2
    assert "is there already; --force replaces it" in capsys.readouterr().err
    asked = ["generate", model, "-n", "2", "--rejection", "2", "--out", str(tmp_path / "none")]
    assert main(asked) == 2
    assert "has no critic; leave it out, or give it one" in capsys.readouterr().err
    assert main(["generate", model, "--prompt", "cat", "--rejection", "2"]) == 2
    assert capsys.readouterr().err == (
        "genui: --rejection: is of pictures by the thousand, -n N --out FOLDER\n"
    )


def test_a_classifier_learns_from_its_half_alone() -> None:
    learned, left = parted(np.arange(10, 31), "first")
    assert (len(learned), len(left)) == (10, 11)
    assert sorted((*learned, *left)) == list(range(10, 31))
    for one, other in zip(parted(np.arange(10, 31), "second"), (left, learned), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [len(each) for each in parted(np.arange(10, 31), "both")] == [21, 0]


def test_a_shipped_model_stays_what_it_is_beside_its_critic(
    model: str, judge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genui.paths.weights_dir", lambda: tmp_path / "weights")
    monkeypatch.setattr(ship_critic, "measure", lambda *_: {"Fréchet distance": "0.01"})
    home = tmp_path / "weights" / "squares"
    home.mkdir(parents=True)
    tensors, described = load_weights(find_model(model).path)
    guide = prefixed(tensors, "guide.")
    small = halved(tensors) | prefixed(quantise(tensors), "guide.")
    assert len(small) > len(tensors | guide)  # scales
    told = described | {"guide": {"recipe": described["recipe"], "step": 2}}
    write_tensors(home / "model.safetensors", small, {"genui": json.dumps(told)})
    (home / "card.json").write_text('{"trained": {"steps": 2}, "quality": {}}')

    pool = drawn("squares", tmp_path / "pool", 200)
    out = tmp_path / "sifted.safetensors"
    assert criticised(out, "squares", "--drawn", str(pool), "--by", judge) == 0
    strict = drawn(str(out), tmp_path / "strict", 8, "--rejection", "50")
    card = ship_critic.give_critic("squares", str(out))
    assert card == json.loads((home / "card.json").read_text())
    assert card["trained"]["steps"] == 2
    assert (
        "between 200 drawn pictures and 125 real ones, on what 1 classifier that"
        in (card["trained"]["critic"])
    )
    assert "16 bits" in card["size"]
    stored = load_file(home / "model.safetensors")
    assert all(stored[name].equal(value) for name, value in small.items())
    np.testing.assert_array_equal(
        pixels(strict), pixels(drawn("squares", tmp_path / "again", 8, "--rejection", "50"))
    )
    with pytest.raises(MisuseError, match="has no critic"):
        ship_critic.give_critic("squares", model)
    other = trained("icons", "other", SMALL | {"data": str(tmp_path / "squares"), "seed": "7"})
    shutil.copy(find_model(other).path, home / "model.safetensors")
    with pytest.raises(MisuseError, match="of other weights"):
        ship_critic.give_critic("squares", str(out))
