"""Trainings that start from the weights of another: the real trainer on tiny recipes."""

import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from forks import train_until_killed

from genui.base.errors import GenuiError
from genui.cli.main import main
from genui.engine import ship, trainer
from genui.engine.kinds import build_task
from genui.engine.recompute import recompute
from genui.engine.train import checkpoint
from genui.engine.train.checkpoint import quantise
from genui.engine.train.task import OneLoss
from genui.logs.native import MetricsTail
from genui.protocol import kinds
from genui.recipes import find_recipe, override, recipe_from_dict
from genui.runs import launch, models
from genui.runs.control import read_events
from genui.runs.layout import RunDir, checkpoint_steps, create_run, read_info, read_status

pytestmark = pytest.mark.usefixtures("signals")

MakeRun = Callable[..., RunDir]


@pytest.fixture
def source(tiny_run: MakeRun) -> RunDir:
    """A run that has learnt something: evaluated and saved at steps 8, 16 and 20."""
    run = tiny_run(
        steps="20", eval_every="8", checkpoint_every="8", dropout="0", learning_rate="0.01",
        states_gb="0",
    )  # fmt: skip
    assert trainer.train(run) == 0
    return run


def started(start_from: str, name: str = "next", **settings: str) -> RunDir:
    recipe = models.find_origin(start_from).recipe
    return launch.create(recipe, {"steps": "6", "states_gb": "1"} | settings, name, start_from)


def series(run: RunDir, name: str) -> dict[int, float]:
    tail = MetricsTail(run.metrics)
    while tail.read():
        pass
    return dict(zip(*(part.tolist() for part in tail.series[name].points[:2]), strict=True))


@pytest.mark.parametrize("step", [8, 16])
def test_it_begins_where_the_checkpoint_was(step: int, source: RunDir) -> None:
    run = started(f"{source.id}@{step}")
    assert trainer.train(run) == 0
    # The averaged weights give the evaluation of then, digit for digit.
    assert series(run, "val_loss")[0] == series(source, "val_loss")[step]
    averaged, described = checkpoint.load_weights(source.checkpoint(step))
    raw = averaged
    if step == 16:  # the state of step 8 is pruned, and the averaged weights stand in
        raw = checkpoint.load_state(source, step)[1]
    task = build_task(models.find_origin(run.id).recipe, torch.device("cpu"), described)
    assert isinstance(task, OneLoss)
    task.model.load_state_dict(raw)
    assert series(run, "loss")[1] == float(task.loss(0).detach())


def test_step_schedule_and_budget_begin_anew_and_the_run_says_whose_weights_they_were(
    source: RunDir,
) -> None:
    run = started(source.id, warmup="2", learning_rate="1e-3")
    assert (run.path / "start.safetensors").stat().st_ino == source.checkpoint(20).stat().st_ino
    assert trainer.train(run) == 0
    assert next(iter(series(run, "lr"))) == 1
    assert series(run, "lr")[1] == 5e-4
    assert read_status(run).step == 6
    said = read_info(run).start_from
    assert (said["run"], said["step"], said["ref"]) == (source.id, 20, source.id)
    assert said["path"] == str(source.checkpoint(20))
    assert len(said["fingerprint"]) == 16
    (event,) = read_events(run)
    assert (event.step, event.event) == (0, "started")
    assert event.text == f"started from the weights of {source.id} at step 20"
    assert list(run.path.glob("start*"))  # its first steps can be computed again
    assert recompute(run, 3).agreement == "equal to the bit"
    bare = started(source.id, states_gb="0")
    assert trainer.train(bare) == 0
    assert not list(bare.path.glob("start*"))
    for step in checkpoint_steps(bare):
        bare.checkpoint_state(step).unlink()
    with pytest.raises(GenuiError, match="weights that it started from are gone"):
        recompute(bare, 3)


def test_the_source_may_vanish_and_the_trainer_be_killed_before_its_first_checkpoint(
    source: RunDir,
) -> None:
    whole, run = started(source.id, "whole"), started(source.id, "killed")
    shutil.rmtree(source.path)
    train_until_killed(run, 2)
    assert series(run, "loss").keys() == {1, 2}
    assert trainer.train(run) == 0
    assert trainer.train(whole) == 0
    assert series(run, "loss") == series(whole, "loss")


def test_the_running_average_goes_on_where_it_was(source: RunDir) -> None:
    run = started(source.id, checkpoint_every="1", steps="1", muon_rate="0.5", warmup="0")
    assert trainer.train(run) == 0
    averaged, raw, _, _ = checkpoint.load_state(run, 1)
    before = checkpoint.load_weights(source.checkpoint(20))[0]
    name = next(name for name in raw if "blocks." in name and raw[name].ndim == 2)
    keep = 21 / 30  # of an average 20 steps old, not the 1/10 of a new one
    torch.testing.assert_close(averaged[name], keep * before[name] + (1 - keep) * raw[name])


def test_a_shipped_model_in_eight_bits_is_fine_tuned_on_other_text(
    source: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors, described = checkpoint.load_weights(source.checkpoint(20))
    described["recipe"] |= {"data": ""}
    monkeypatch.setattr(kinds, "weights_folders", lambda: [tmp_path / "weights"])
    shipped = tmp_path / "weights" / "plays" / "model.safetensors"
    checkpoint.write_tensors(shipped, quantise(tensors), {"genui": json.dumps(described)})
    (shipped.parent / "card.json").write_text("{}")
    other = tmp_path / "other.txt"
    other.write_text("to question or not to question, that is the być\n" * 60)

    run = started("plays", data=str(other))
    assert trainer.train(run) == 0, run.console.read_text()
    found = series(run, "loss")
    assert found[1] < series(source, "loss")[1] - 0.3  # it knows the words
    assert found[6] < found[1]
    assert read_info(run).start_from["run"] == ""
    console = run.console.read_text()
    assert "started from the averaged weights of plays at step 20" in console
    assert "3 characters of this data are not in the vocabulary the model came with" in console
    again = checkpoint.load_weights(run.checkpoint(6))[1]
    assert again["tokenizer"] == described["tokenizer"]


def test_text_the_vocabulary_cannot_say_at_all_is_one_line(source: RunDir, tmp_path: Path) -> None:
    other = tmp_path / "greek.txt"
    other.write_text("μῆνινἄειδεθεά" * 200)
    run = started(source.id, data=str(other))
    assert trainer.train(run) == 2
    error = read_status(run).error
    assert "greek.txt" in error
    assert "not in the vocabulary" in error
    assert "\n" not in error


def test_images_start_from_images_with_their_words(tmp_path: Path) -> None:
    from PIL import Image

    def folder(name: str, **colours: str) -> str:
        path = tmp_path / name
        path.mkdir()
        for title, colour in colours.items():
            Image.new("RGB", (20, 30), colour).save(path / f"{title}.png")
        return str(path)

    small = {
        "data": folder("one", red_tile="red", blue_tile="blue", green_tile="green"),
        "layers": "1", "width": "32", "heads": "2", "caption_width": "16",
        "batch": "4", "canvas_batch": "4", "patch": "8", "steps": "4", "threads": "1",
        "eval_every": "2", "sample_every": "4", "checkpoint_every": "2",
    }  # fmt: skip
    source = create_run(override(find_recipe("emoji"), small), {}, "tiles")
    assert trainer.train(source) == 0, source.console.read_text()
    run = started(
        source.id, data=folder("two", red_wall="red", blue_wall="blue", teal="teal"), steps="2"
    )
    assert trainer.train(run) == 0, run.console.read_text()
    assert "2 words of these captions are not in the vocabulary" in run.console.read_text()
    words = [
        checkpoint.load_weights(r.checkpoint(s))[1]["words"] for r, s in ((run, 2), (source, 4))
    ]
    assert words[0] == words[1]


def test_a_damaged_start_fails_the_run_with_the_name_of_the_file(source: RunDir) -> None:
    run = started(source.id)
    state = run.path / "start.state.safetensors"
    state.unlink()
    state.write_bytes(b"torn")
    assert trainer.train(run) == 1
    assert str(state) in read_status(run).error


def test_the_recipe_of_a_checkpoint_is_that_of_the_run(source: RunDir) -> None:
    assert asdict(models.find_origin(source.id).recipe) == {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in read_info(source).recipe.items()
    }


def test_the_card_of_a_shipped_model_says_how_to_train_it_again(source: RunDir) -> None:
    recipe = recipe_from_dict(read_info(source).recipe)
    assert "--from" not in ship.describe_training(source, recipe)["command"]
    run = started(f"{source.id}@16", steps="6", learning_rate="0.02")
    assert trainer.train(run) == 0
    words = shlex.split(ship.describe_training(run, recipe)["command"])
    assert words[:5] == ["genui", "train", recipe.name, "--from", f"{source.id}@16"]
    assert "learning_rate=0.02" in words


def test_whose_path_a_model_came_from_is_nobodys_business(source: RunDir, tmp_path: Path) -> None:
    kept = tmp_path / "secret" / "mine.safetensors"
    kept.parent.mkdir()
    shutil.copy(source.checkpoint(16), kept)
    run = started(str(kept))
    assert trainer.train(run) == 0
    command = ship.describe_training(run, recipe_from_dict(read_info(run).recipe))["command"]
    assert "--from mine.safetensors" in command
    assert "secret" not in command


def test_the_card_names_what_an_average_was_made_of(source: RunDir, tmp_path: Path) -> None:
    soup = tmp_path / "soup.safetensors"
    assert main(["average", f"{source.id}@16", f"{source.id}@20", "--out", str(soup)]) == 0
    run = started(str(soup))
    assert trainer.train(run) == 0
    words = ship.lineage(run, "plays", {})["started"]
    assert words == (
        f"from the average of the weights of {source.id}@16, {source.id}@20, "
        "of which the last (20 steps, 0 minutes) began from nothing"
    )
