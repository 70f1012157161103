"""`genui models`, `recipes` and `runs`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from genui.cli.main import main
from genui.recipes import RECIPES
from genui.runs.layout import RunDir


def test_models_shows_what_each_is(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["MEDIUM", "FAMILY", "MODEL"]
    assert first.split()[:4] == ["text", "transformer", "plays", "1.2M"]
    assert "1.44 nats/char" in first
    assert second.split()[:3] == ["image", "diffusion", "shapes"]


def test_models_as_json_carries_the_card(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    plays, _ = json.loads(capsys.readouterr().out)
    assert plays["ref"] == "plays"
    assert plays["path"] == str(shipped / "plays" / "model.safetensors")
    assert plays["card"]["licence"] == "public domain"


def test_recipes_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(RECIPES)


def test_a_recipe_shows_every_setting_that_can_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "icons"]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["width", str(RECIPES["icons"].__dict__["width"])] in [words[:2] for words in shown]
    assert "name" not in [words[0] for words in shown]
    assert main(["recipes", "icons", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["medium"] == "image"


def test_runs_lists_state_and_step(
    make_run: Callable[..., RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    done, killed = make_run("finished", "done"), make_run("running", "killed", step=7)
    assert main(["runs"]) == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert rows[done.id][1:3] == ["finished", "40/40"]
    assert rows[killed.id][1:3] == ["dead", "7/40"]


def test_runs_as_json_says_the_state_as_seen(
    make_run: Callable[..., RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run("running")
    assert main(["runs", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["id"] == run.id
    assert found["state"] == "dead"
    assert found["info"]["recipe"]["name"] == "shakespeare"


def test_a_broken_run_is_listed_with_its_fault(
    make_run: Callable[..., RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    run.run_json.write_text("{")
    assert main(["runs"]) == 0
    assert "broken" in (out := capsys.readouterr().out)
    assert "run.json" in out
