"""`genui models`, `recipes` and `runs`."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from genui.cli.main import main
from genui.recipes import RECIPES
from genui.runs.layout import RunDir


def test_models_shows_what_each_is(bare_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["MEDIUM", "FAMILY", "MODEL"]
    assert first.split()[:4] == ["text", "transformer", "plays", "1.2M"]
    assert "1.44 nats/char" in first
    assert second.split()[:3] == ["image", "diffusion", "shapes"]


def test_models_as_json_carries_the_card(
    bare_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--json"]) == 0
    plays, _ = json.loads(capsys.readouterr().out)
    assert plays["ref"] == "plays"
    assert plays["path"] == str(bare_models / "plays" / "model.safetensors")
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


def write_array(folder: Path) -> None:
    """Logs of three jobs, whose best is not their last and not in order."""
    for name, rate, losses in (("a", 0.1, "3 2.5"), ("b", 0.01, "1.5 2"), ("c", 0.001, "2 1.75")):
        rows = [f"{step},{loss}" for step, loss in enumerate(losses.split())]
        (folder / name).mkdir(parents=True)
        (folder / name / "metrics.csv").write_text("\n".join(["step,val_loss", *rows, ""]))
        (folder / name / "hparams.yaml").write_text(f"lr: {rate}\nseed: 1\n")


def test_runs_of_a_folder_are_sorted_and_filtered_by_metrics_and_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_array(tmp_path / "jobs")
    assert main(["runs", str(tmp_path / "jobs"), "--sort", "best.val_loss"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:6] == ["RUN", "STATE", "min", "val_loss", "curve", "val_loss"]
    assert "lr" in head
    assert "seed" not in head  # the same in all
    assert [row.split()[0] for row in rows] == ["b", "c", "a"]
    words = ["--filter", "lr<0.1 val_loss<=2", "--sort=-lr", "--columns", "lr,best.val_loss"]
    assert main(["runs", str(tmp_path / "jobs"), *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["columns"] for one in found] == [
        {"lr": 0.01, "best.val_loss": 1.5}, {"lr": 0.001, "best.val_loss": 1.75},
    ]  # fmt: skip


def test_a_grouped_table_is_printed_for_people_and_for_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_array(tmp_path / "jobs")
    words = ["runs", str(tmp_path / "jobs"), "--sort", "val_loss", "--group", "seed"]
    assert main(words) == 0
    _, head, *_ = capsys.readouterr().out.splitlines()
    assert head == "seed 1, 3 runs, mean val_loss 2.083 ± 0.38"
    assert main([*words, "--format", "csv"]) == 0
    head, *rows = csv.reader(capsys.readouterr().out.splitlines())
    assert head[:5] == ["run", "state", "seed", "best.val_loss", "val_loss"]
    assert [row[0] for row in rows] == ["c", "b", "a"]
    assert main([*words, "--format", "latex", "--filter", "lr<0"]) == 0
    assert capsys.readouterr().out.startswith(r"\begin{tabular}{ll")
    assert main([*words, "--format", "markdown", "--json"]) == 2


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--filter", "lr>"], "'lr >' needs a value"),
        (["--filter", "lrr>1"], "no run has 'lrr': did you mean 'lr'?"),
        (["--sort", "val_los"], "did you mean 'val_loss'?"),
        (["--columns", "nothing"], "no run has 'nothing'"),
    ],
)
def test_a_column_or_filter_that_is_none_is_one_line(
    options: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_array(tmp_path / "jobs")
    assert main(["runs", str(tmp_path / "jobs"), *options]) == 2
    assert why in (line := capsys.readouterr().err)
    assert len(line.splitlines()) == 1
