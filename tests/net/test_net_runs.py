"""Old runs: they are listed, inspected, exported, generated from and resumed."""

import csv
import io
import json
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from net_shell import TIMEOUT, environment, genui, has

NAMES = (
    "text", "code", "image", "gan", "labels", "speakers", "music", "voice",
    "whole", "stopped", "killed", "script",
)  # fmt: skip
STATES = {"stopped": "stopped", "killed": "dead"}
"""Of those that did not end by themselves."""

FAMILIES = {
    "text": ("transformer", "text"),
    "code": ("transformer", "code"),
    "image": ("diffusion", "image"),
    "gan": ("gan", "image"),
    "labels": ("classifier", "image"),
    "speakers": ("classifier", "text"),
    "music": ("transformer", "music"),
    "voice": ("diffusion", "audio"),
}


@pytest.fixture(scope="module")
def mine(old: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the old GENUI_HOME that may be changed."""
    home = tmp_path_factory.mktemp("mine") / "home"
    shutil.copytree(old / "home", home)
    return home


@pytest.fixture(scope="module")
def listed(home: Path) -> dict[str, Any]:
    """The runs as `genui runs --json` lists them, by name."""
    return {row["info"]["name"]: row for row in genui(home, "runs", "--json").ok().json}


@pytest.mark.parametrize("name", NAMES)
def test_an_old_run_is_listed(name: str, listed: dict[str, Any], made: dict[str, Any]) -> None:
    row, known = listed[name], made["runs"][name]
    assert row["id"] == known["id"]
    assert row["step"] == known["step"]
    assert row["state"] == STATES.get(name, "finished")
    assert row["fault"] == ""
    if name in FAMILIES:
        recipe = row["info"]["recipe"]
        assert (recipe["family"], recipe["medium"]) == FAMILIES[name]
        assert recipe["steps"] == known["step"]


@pytest.mark.parametrize("name", NAMES)
def test_an_old_run_is_inspected(name: str, home: Path, made: dict[str, Any]) -> None:
    """Every record that was written, with every number in full."""
    done = genui(home, "inspect", name, "--follow", "--json")
    assert done.code == (1 if name == "killed" else 0), done.err
    records = [json.loads(line) for line in done.out.splitlines()]
    for metric, pairs in made["runs"][name]["metrics"].items():
        found = [
            [record["step"], record[metric]]
            for record in records
            if isinstance(record.get(metric), int | float)
        ]
        assert found == pairs, metric


def test_old_metrics_are_exported(home: Path, made: dict[str, Any]) -> None:
    wanted = dict(made["runs"]["gan"]["metrics"]["generator_loss"])
    rows = list(csv.DictReader(io.StringIO(genui(home, "export", "gan", "--csv").ok().out)))
    assert {
        int(row["step"]): float(row["generator_loss"]) for row in rows if row["generator_loss"]
    } == wanted
    lines = genui(home, "export", "gan", "--jsonl").ok().out.splitlines()
    records = [json.loads(line) for line in lines]
    assert {
        record["step"]: record["generator_loss"]
        for record in records
        if record.get("generator_loss") is not None
    } == wanted


def test_an_exported_run_is_read_as_tensorboard_writes_it(
    home: Path, made: dict[str, Any], tmp_path: Path
) -> None:
    """In 32-bit floats."""
    genui(home, "export", "text", "--tensorboard", str(tmp_path / "events")).ok()
    lines = genui(home, "export", str(tmp_path / "events"), "--jsonl").ok().out.splitlines()
    found = {record["step"]: record.get("loss") for record in map(json.loads, lines)}
    wanted = dict(made["runs"]["text"]["metrics"]["loss"])
    assert {step: found[step] for step in wanted} == pytest.approx(wanted, rel=1e-6)


def test_an_old_run_is_shown(home: Path) -> None:
    for name, words in (
        ("text", ("transformer", "shakespeare", "13.2k")),
        ("gan", ("gan", "icons", "latent")),
        ("labels", ("classifier", "fashion")),
    ):
        shown = genui(home, "show", name).ok().out
        assert [word for word in words if word not in shown] == []


def test_old_checkpoints_are_models(home: Path, made: dict[str, Any]) -> None:
    rows = genui(home, "models", "--json").ok().json
    steps = {row["name"]: row["step"] for row in rows if row["source"] == "run"}
    for name in filter(lambda name: has(FAMILIES[name]), FAMILIES):
        assert steps[name] == made["runs"][name]["step"]


# the commands that generate from an old checkpoint; text and image are replayed elsewhere
GENERATED = {
    "code": ("--prompt", "def", "--tokens", "4"),
    "gan": ("--prompt", "cat"),
    "music": ("--prompt", "G major, 4/4", "--tokens", "32"),
    "voice": ("--prompt", "four jackson", "--steps", "2"),
}
FILES = {"code": "made.txt", "gan": "made.png", "music": "made.mid", "voice": "made.wav"}


@pytest.mark.parametrize("name", [name for name in GENERATED if has(FAMILIES[name])])
def test_an_old_checkpoint_generates(name: str, home: Path, tmp_path: Path) -> None:
    file = tmp_path / FILES[name]
    words = GENERATED[name]
    genui(home, "generate", name, *words, "--seed", "1", "--out", str(file)).ok()
    assert file.stat().st_size > 0


def test_an_old_run_is_the_start_of_another(home: Path, old: Path, made: dict[str, Any]) -> None:
    """With its weights."""
    settings = ["steps=1", "eval_every=1", "eval_batches=1", "threads=1", "precision=fp32"]
    argv = ["train", "--from", "text", "--data", "plays.txt", "--foreground", "--json",
            "--name", "tuned"]  # fmt: skip
    for pair in settings:
        argv += ["--set", pair]
    run = Path(genui(home, *argv, cwd=old).ok().json["path"])
    first = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    last = made["runs"]["text"]["metrics"]["val_loss"][-1][1]
    assert first["val_loss"] == pytest.approx(last, rel=1e-3)
    shutil.rmtree(run)


@pytest.fixture(scope="module")
def resumed(mine: Path) -> Path:
    """The home in which the runs that were broken off go on, both at once."""
    for name in ("stopped", "killed"):
        genui(mine, "resume", name).ok()
    return mine


@pytest.mark.parametrize("name", ["stopped", "killed"])
def test_a_resumed_run_comes_to_the_same_as_one_never_interrupted(
    name: str, resumed: Path, made: dict[str, Any]
) -> None:
    """By a trainer of its own, which nothing waits for: it is followed on disk."""
    done = genui(resumed, "inspect", name, "--until", "done", "--json")
    assert done.code == 0, done.err
    (row,) = [
        row for row in genui(resumed, "runs", "--json").ok().json if row["info"]["name"] == name
    ]
    assert (row["state"], row["step"]) == ("finished", 60)
    lines = genui(resumed, "export", name, "--jsonl").ok().out.splitlines()
    records = [json.loads(line) for line in lines]
    for metric in ("loss", "val_loss", "lr"):
        found = {r["step"]: r[metric] for r in records if r.get(metric) is not None}
        wanted = dict(made["runs"]["whole"]["metrics"][metric])
        assert set(found) == set(wanted)
        assert found == pytest.approx(wanted, rel=0.02), metric


def test_a_run_of_a_script(home: Path, made: dict[str, Any]) -> None:
    """Made by `genui.init` and `genui.log`, with a NaN at its end."""
    assert dict(made["runs"]["script"]["metrics"]["acc"])[5] == 1.0
    lines = genui(home, "export", "script", "--jsonl").ok().out.splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["nested/a"] for record in records[:5]] == [0, 1, 2, 3, 4]
    assert math.isnan(float(records[5]["loss"]))
    info = genui(home, "inspect", "script", "--json").ok().json["info"]
    assert info["project"] == "garden"
    assert info["config"] == {"lr": 0.01, "layers": [1, 2]}


SCRIPT = """
import sys
import genui
run = genui.init(project="garden", name="new", config={"lr": 0.1})
genui.log({"loss": 2.0})
genui.log({"loss": 1.0, "sample": genui.Text("hello")})
genui.finish()
assert "torch" not in sys.modules
print(run.id)
"""


def test_a_script_logs_by_the_public_names(mine: Path, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    argv, env = [sys.executable, str(script)], environment(mine)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    name = done.stdout.strip()
    lines = genui(mine, "export", name, "--jsonl").ok().out.splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [2.0, 1.0]
    assert genui(mine, "inspect", name, "--json").ok().json["state"] == "finished"


def test_a_detached_run_is_steered(mine: Path, old: Path) -> None:
    """Started, paused, measured, given another rate, let go on, stopped: all from the shell."""
    tiny = (
        "layers=1 width=32 heads=2 context=32 batch=4 eval_batches=1 sample_tokens=8 "
        "sample_prompt=to steps=1000000 eval_every=1000000 sample_every=1000000 "
        "checkpoint_every=1000000 threads=1 device=cpu"
    )
    argv = ["train", "shakespeare", "--data", "plays.txt", "--name", "live"]
    for pair in tiny.split():
        argv += ["--set", pair]
    run = genui(mine, *argv, cwd=old).ok().out.strip()
    folder = mine / "data" / "runs" / run
    wait = ("--wait", "240")
    try:
        genui(mine, "inspect", run, "--until", "5").ok()
        genui(mine, "pause", run, *wait).ok()
        assert status(folder)["state"] == "paused"
        genui(mine, "set", run, "learning_rate=1e-4", *wait).ok()
        genui(mine, "checkpoint", run, *wait).ok()
        genui(mine, "resume", run, *wait).ok()
        step = status(folder)["step"]
        genui(mine, "inspect", run, "--until", str(step + 2)).ok()
    finally:
        genui(mine, "stop", run, *wait)
    end = time.monotonic() + 240
    while status(folder)["state"] != "stopped" and time.monotonic() < end:
        time.sleep(0.05)
    assert status(folder)["state"] == "stopped"
    checkpoints = sorted(folder.glob("checkpoints/step-*.safetensors"))
    assert any(path.name == f"step-{status(folder)['step']:08}.safetensors" for path in checkpoints)


def status(folder: Path) -> dict[str, Any]:
    """What the trainer says of itself."""
    return json.loads((folder / "status.json").read_text())
