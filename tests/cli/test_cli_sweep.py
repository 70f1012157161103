"""`genui sweep`: what is refused before anything is made, its table, and how it is steered."""

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cli_fakes import write_checkpoint
from sweep_world import World, install

from genui.base import paths
from genui.cli.main import main
from genui.engine import kinds
from genui.recipes import find_recipe, override
from genui.runs import control
from genui.runs.layout import RunDir, create_run
from genui.runs.listing import find_sweep


def by_width(recipe: Mapping[str, Any]) -> list[float]:
    if recipe["width"] == 96:
        return [0.5, math.nan]
    return [recipe["width"] / 100 + 2 - at + recipe["seed"] / 100 for at in range(2)]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(kinds, "check_data", lambda recipe, _: f"{recipe.dataset}: fine")
    return install(monkeypatch, by_width)


def folder_of(name: str) -> RunDir:
    folder = find_sweep(name)
    assert folder is not None
    return folder


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ([], "RECIPE is missing"),
        (["shakespear", "--set", "width=64,128"], "did you mean 'shakespeare'?"),
        (["shakespeare"], "nothing differs between trials"),
        (["shakespeare", "--set", "width=64"], "nothing differs between trials"),
        (["shakespeare", "--set", "widht=64,128"], "did you mean 'width'?"),
        (["shakespeare", "--set", "width=64,wide"], "--set width=wide: expected a whole number"),
        (["shakespeare", "--set", "width"], "expected KEY=VALUE"),
        (["shakespeare", "--set", "width=64,66"], "width"),  # heads do not divide it
        (["shakespeare", "--set", "width=64,128", "--jobs", "0"], "--jobs 0"),
        (["shakespeare", "--set", "width=64,128", "--trials", "0"], "--trials 0"),
        (["shakespeare", "--set", "width=64,128", "--metric", "mystery"], "--goal min or"),
        (["shakespeare", "--set", "width=64,128", "--data", "nowhere"], "no such file"),
        (["shakespeare", "--set", "width=64,128", "--name", "a b"], "run name"),
        (["shakespeare", "--set", "seed=1,2", "--trials", "3"], "only seeds differ"),
        (["shakespeare", "wide", "--set", "width=64,128"], "unexpected 'wide'"),
        (["show"], "there are no sweeps yet"),
    ],
)
def test_a_wrong_call_makes_nothing_and_is_one_line(
    words: list[str], fault: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--trials" in words:
        pytest.importorskip("optuna")
    assert main(["sweep", *words]) == 2
    err = capsys.readouterr().err
    assert fault in err
    assert err.count("\n") == 1
    assert not paths.sweeps_dir().exists()
    assert not paths.runs_dir().exists()


def test_a_range_needs_optuna_and_a_grid_does_not(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["sweep", "shakespeare", "--set", "learning_rate=1e-4..1e-2"]) == 1
    err = capsys.readouterr().err
    assert err == f"genui: a search needs Optuna: {sys.executable} -m pip install 'optuna>=4'\n"
    assert main(["sweep", "shakespeare", "--set", "learning_rate=1e-4,1e-2"]) == 0


def test_a_grid_is_started_shown_and_listed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--set", "width=128,96,64", "--steps", "20", "--name", "wide", "--jobs", "2"]
    assert main(["sweep", "shakespeare", *words]) == 0
    out, err = capsys.readouterr()
    assert out == "wide\n"
    assert "3 trials, 2 at once with" in err
    assert "genui stop wide" in err
    assert main(["sweep", "show"]) == 0
    assert capsys.readouterr().out.startswith("wide: starting, 0 of 3 trials have ended\n")
    world.carry_out(folder_of("wide"))
    assert main(["sweep", "show", "wide"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "wide: finished, 3 of 3 trials have ended, 1 failed"
    assert [line.split() for line in lines[2:5]] == [
        ["RUN", "STATE", "STEP", "min", "val_loss", "width", "NOTE"],
        ["wide.3", "finished", "20/20", "1.650", "64"],
        ["wide.1", "finished", "20/20", "2.290", "128"],
    ]
    assert lines[5].split()[:2] == ["wide.2", "failed"]
    assert lines[5].endswith("the loss became nan")
    assert main(["sweep", "show", "wide", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["settings"]["steps"] == "20"
    assert int(data["settings"]["threads"]) >= 1  # two at once share the cores
    assert [one["value"] for one in data["trials"]] == pytest.approx([1.65, 2.29, 0.5])
    assert main(["runs", "--sweep", "wide", "--columns", "width", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [one["columns"]["width"] for one in rows] == [96, 64, 128]
    assert main(["runs", "--sweep", "wider"]) == 2
    assert "did you mean 'wide'?" in capsys.readouterr().err
    assert main(["sweep", "show", "wider"]) == 2
    assert "did you mean 'wide'?" in capsys.readouterr().err
    assert main(["sweep", "show", "wide", "--json", "--follow"]) == 2
    assert "leave --follow out" in capsys.readouterr().err
    assert main(["inspect", "wide.3"]) == 0
    assert "wide, trial 3" in capsys.readouterr().out


def test_seeds_are_one_line_for_each_setting(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--set", "width=128,64", "--set", "seed=1,2,3", "--set", "seed=4"]
    assert main(["sweep", "shakespeare", *words]) == 0
    assert "8 trials (2 settings, 4 seeds each)" in capsys.readouterr().err
    world.carry_out(folder_of("shakespeare-sweep"))
    assert main(["sweep", "show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-5:] for line in lines[3:]] == [
        ["finished", "1.665", "0.013", "4/4", "64"],
        ["finished", "2.305", "0.013", "4/4", "128"],
    ]
    assert main(["sweep", "show", "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["by_setting"][0]
    assert (best["settings"], best["seeds"]) == ({"width": "64"}, 4)


def test_a_sweep_is_stopped_and_resumed_as_one(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "shakespeare", "--set", "width=128,64", "--name", "wide"]) == 0
    for command in ("pause", "evaluate"):
        assert main([command, "wide"]) == 2
        assert "as in wide.1" in capsys.readouterr().err
    assert main(["stop", "wide", "--wait", "0"]) == 0
    assert "wide: stop requested" in capsys.readouterr().out
    assert main(["resume", "wide"]) == 1
    assert "is running already" in capsys.readouterr().err
    world.carry_out(folder_of("wide"))  # which obeys before it starts anything
    assert world.started == []
    assert main(["stop", "wide"]) == 1
    assert "sweep wide is stopped: nothing to stop" in capsys.readouterr().err
    assert main(["resume", "wide", "--set", "learning_rate=1e-3"]) == 2
    assert main(["resume", "wide", "--nproc", "2"]) == 2
    capsys.readouterr()
    assert main(["resume", "wide"]) == 0
    assert capsys.readouterr().out.startswith("wide: continues with 2 trials")
    world.at_tick = lambda tick: control.send(folder_of("wide"), "stop")
    world.carry_out(folder_of("wide"))
    world.at_tick = lambda tick: None
    assert main(["resume", "wide"]) == 0
    world.carry_out(folder_of("wide"))
    assert world.started == ["wide.1", "wide.1", "wide.2"]
    assert main(["resume", "wide"]) == 1
    assert "all 2 trials have ended" in capsys.readouterr().err


def test_a_search_says_how_many_settings_it_tries(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna")
    words = ["--set", "learning_rate=1e-4..1e-2", "--set", "width=64,128", "--trials", "4"]
    assert main(["sweep", "shakespeare", *words, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["name"] == "shakespeare-sweep"
    assert "a search of 4 settings, 1 at once" in err
    assert main(["sweep", "show"]) == 0
    assert "4 more are chosen by the search" in capsys.readouterr().out
    world.carry_out(folder_of("shakespeare-sweep"))
    assert main(["sweep", "show", "--json"]) == 0
    trials = json.loads(capsys.readouterr().out)["trials"]
    assert len(trials) == 4
    assert {one["state"] for one in trials} <= {"finished", "pruned"}


def test_all_trials_start_from_the_model_that_was_last(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = override(find_recipe("shakespeare"), {"width": "64"})
    for name in ("other", "source"):
        source = create_run(find_recipe("shakespeare"), {"width": "64"}, name)
        write_checkpoint(source.checkpoint(40), recipe, 40)
    words = ["sweep", "--from", "last", "--steps", "20", "--set"]
    assert main([*words, "width=64,128"]) == 2
    assert "width=128 does not fit the weights" in capsys.readouterr().err
    assert main([*words, "learning_rate=1e-3,3e-3", "--name", "fine"]) == 0
    capsys.readouterr()
    source.checkpoint(40).unlink()  # it is pruned
    monkeypatch.chdir(tmp_path)
    world.carry_out(folder_of("fine"))
    assert main(["runs", "--sweep", "fine", "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)
    assert [one["state"] for one in runs] == ["finished", "finished"]
    assert [one["info"]["start_from"]["run"] for one in runs] == [source.id, source.id]
    assert [one["info"]["start_from"]["step"] for one in runs] == [40, 40]
