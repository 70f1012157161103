"""Training against what a model drew: its loss, its folder, and the real trainer with it."""

import json
import math
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shares import assert_shares_add_up
from small_recipes import SMALL

from genui.base import paths
from genui.base.errors import GenuiError, MisuseError
from genui.cli.main import main
from genui.engine import ship, trainer
from genui.engine.data.image_datasets import check_diffusion_images
from genui.engine.load import fingerprint_of
from genui.engine.train import checkpoint
from genui.engine.train.diffusion import ImageTask, twice
from genui.logs.native import MetricsTail
from genui.recipes import DiffusionRecipe, find_recipe, override
from genui.runs import launch
from genui.runs.layout import RunDir, read_info
from genui.runs.models import find_model

DEVICE = torch.device("cpu")


def own(folder: Path, value: int) -> Path:
    """Squares of one brightness, alternately called cat and dog."""
    folder.mkdir()
    for i in range(8):
        grey = np.full((32, 32, 3), value, np.uint8)
        grey[i : i + 4] = 0
        Image.fromarray(grey).save(folder / f"{('cat', 'dog')[i % 2]}_{i}.png")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a run of two steps on bright squares, and twelve images that it drew."""
    folder = tmp_path_factory.mktemp("made")
    before = [(s, signal.getsignal(s)) for s in (signal.SIGTERM, signal.SIGINT)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENUI_HOME", str(folder / "home"))
        settings = SMALL | {"data": str(own(folder / "bright", 200)), "steps": "2"}
        run = launch.create(find_recipe("icons"), settings, "first")
        assert trainer.train(run) == 0
        words = ["--prompt", "cat", "--steps", "1", "--seed", "1", "-n", "12"]
        assert main(["generate", run.id, *words, "--out", str(folder / "drawn")]) == 0
    yield folder
    for number, handler in before:
        signal.signal(number, handler)


@pytest.fixture
def model(made: Path, tmp_path: Path, genui_home: Path, signals: None) -> str:
    """The run, in the home of this test, and its bright squares."""
    shutil.copytree(made / "home" / "data", genui_home / "data")
    shutil.copytree(made / "bright", tmp_path / "bright")
    (run,) = (genui_home / "data" / "runs").iterdir()
    return run.name


@pytest.fixture
def drawn(made: Path, model: str, tmp_path: Path) -> Path:
    """The twelve images."""
    return Path(shutil.copytree(made / "drawn", tmp_path / "drawn"))


def recipe_of(tmp_path: Path, drawn: Path, **settings: str) -> DiffusionRecipe:
    data = {"data": str(tmp_path / "bright"), "against": str(drawn)}
    recipe = override(find_recipe("icons"), SMALL | data | settings)
    assert isinstance(recipe, DiffusionRecipe)
    return recipe


def task_of(model: str, recipe: DiffusionRecipe) -> ImageTask:
    """As a training that starts from the model's weights has it."""
    tensors, described = checkpoint.load_weights(find_model(model).path)
    task = ImageTask(recipe, DEVICE, described)
    task.model.load_state_dict(tensors)
    return task


def test_the_model_itself_cannot_tell_them_apart(model: str, drawn: Path, tmp_path: Path) -> None:
    task = task_of(model, recipe_of(tmp_path, drawn))
    assert any("against 12 images that first drew" in note for note in task.notes)
    assert float(task.loss(0).detach()) == pytest.approx(2 * math.log(2), abs=1e-4)
    (player,) = task.players
    assert player.metrics()["told_apart"] == pytest.approx(0.5)


def test_a_step_down_the_loss_favours_the_real_images(
    model: str, drawn: Path, tmp_path: Path
) -> None:
    task = task_of(model, recipe_of(tmp_path, drawn, against_scale="1000"))
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=1e-3)
    losses = []
    for step in range(12):
        optimizer.zero_grad()
        loss = task.loss(step)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    metrics = task.players[0].metrics()
    assert losses[-1] < 2 * math.log(2)
    assert metrics["real_gain"] > metrics["drawn_gain"]
    assert metrics["told_apart"] > 0.6


def test_a_step_is_the_same_whenever_it_is_taken(model: str, drawn: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, drawn)
    one, other = task_of(model, recipe), task_of(model, recipe)
    for task in (one, other):
        with torch.no_grad():
            for parameter in task.model.parameters():
                parameter.mul_(1.1)
    one.loss(3)
    assert float(one.loss(5).detach()) == float(other.loss(5).detach())
    assert_shares_add_up(one)


def test_pairs_share_their_noise() -> None:
    assert twice(torch.arange(3)).tolist() == [0, 1, 2, 0, 1, 2]


def test_the_real_trainer_goes_on_from_the_model_and_says_how_it_fares(
    model: str, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["--set", f"against={drawn}", "--set", "steps=3", "--set", "eval_every=2"]
    assert main(["train", "--from", model, *settings, "--name", "next", "--foreground"]) == 0
    told = capsys.readouterr()
    assert "against what first drew" in told.err
    run = paths.runs_dir() / told.out.split()[0]
    info = read_info(RunDir(run))
    assert info.recipe["against"] == str(drawn)
    tail = MetricsTail(run / "metrics.jsonl")
    while tail.read():
        pass
    assert set(tail.series) >= {"told_apart", "real_gain", "drawn_gain"}


def test_a_shipped_model_says_what_it_was_trained_against_and_no_path(drawn: Path) -> None:
    told = ship.describe_generated(str(drawn))
    assert told.startswith("12 images that first")
    assert str(drawn.parent) not in told
    fields = ship.without_paths({"against": str(drawn), "data": "/x", "width": 3})
    assert fields == {"against": "", "data": "", "width": 3}


# --- bad input -------------------------------------------------------------------------


def test_a_folder_that_no_model_drew(model: str, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, tmp_path / "bright")
    for check in (check_diffusion_images, lambda recipe: ImageTask(recipe, DEVICE)):
        with pytest.raises(MisuseError, match=r"bright: is not a folder of generated images"):
            check(recipe)


def test_a_folder_that_is_not_there(model: str, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="nowhere: is not a folder of generated images"):
        check_diffusion_images(recipe_of(tmp_path, tmp_path / "nowhere"))


def test_a_damaged_plan(drawn: Path, tmp_path: Path) -> None:
    (drawn / "genui.json").write_text("{")
    with pytest.raises(MisuseError, match="is not a folder of generated images"):
        check_diffusion_images(recipe_of(tmp_path, drawn))


def test_a_model_whose_weights_are_others_now(drawn: Path, tmp_path: Path) -> None:
    plan = json.loads((drawn / "genui.json").read_text())
    (drawn / "genui.json").write_text(json.dumps(plan | {"fingerprint": "0" * 16}))
    with pytest.raises(MisuseError, match="was generated with other weights of"):
        check_diffusion_images(recipe_of(tmp_path, drawn))


def test_a_model_of_another_family(drawn: Path, tmp_path: Path) -> None:
    gan = {"model": "fashion-gan", "fingerprint": fingerprint_of("fashion-gan")}
    plan = json.loads((drawn / "genui.json").read_text())
    (drawn / "genui.json").write_text(json.dumps(plan | gan))
    with pytest.raises(MisuseError, match="fashion-gan is no diffusion model of images"):
        check_diffusion_images(recipe_of(tmp_path, drawn))


def test_a_model_that_is_gone(model: str, drawn: Path, tmp_path: Path) -> None:
    shutil.rmtree(paths.runs_dir() / model)
    with pytest.raises(GenuiError, match=model):
        check_diffusion_images(recipe_of(tmp_path, drawn))


def test_a_model_of_other_arrays_or_words(model: str, drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"has sigma_data=0\.75 and this recipe 0\.5; start from"):
        check_diffusion_images(recipe_of(tmp_path, drawn, sigma_data="0.5"))
    other = own(tmp_path / "others", 99)
    for file in other.glob("cat_*"):
        file.rename(file.with_name(file.name.replace("cat", "bird")))
    with pytest.raises(MisuseError, match="knows other words; start from it: --from first"):
        ImageTask(recipe_of(tmp_path, drawn, data=str(other)), DEVICE)


def test_on_the_shell_it_is_one_line(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--from", model, "--set", f"against={tmp_path / 'bright'}"]) == 2
    told = capsys.readouterr().err
    assert "is not a folder of generated images" in told
    assert "Traceback" not in told
