"""`genui train`: what is refused before anything is made, what is started, and the foreground."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from cli_fakes import write_checkpoint
from waiting import wait_for

from genui.base import paths
from genui.cli.foreground import progress
from genui.cli.main import main
from genui.engine import estimate, kinds
from genui.engine.estimate import missing_bytes
from genui.recipes import find_recipe, override
from genui.runs import launch
from genui.runs.layout import RunDir, Status, create_run, read_info, read_status
from genui.runs.plan import Load, Speed, write_speed

TRAINER = textwrap.dedent(
    """
    import os, sys, time
    from pathlib import Path
    from genui.runs import control
    from genui.runs.layout import RunDir
    from genui.runs.writer import RunWriter

    stop = []
    with RunWriter(RunDir(Path(sys.argv[1]))) as run:
        run.update(state="running")
        run.write_line(f"threads wait {os.environ.get('OMP_WAIT_POLICY')}")
        for step in range(1, run.status.steps + 1):
            run.log(step, loss=1 / step)
            run.update(step=step, loss=1 / step)
            while run.status.steps > 100 and not stop:
                time.sleep(0.01)
                stop += control.poll(run.run)
            if stop:
                break
        run.log(step, val_loss=0.5)
        if "fail" in run.run.id:
            sys.exit(run.update(state="failed", error="the loss became nan") or 1)
        run.update(state="stopped" if stop else "finished")
    """
)
"""Trains nothing, and dies of a signal as the real one while it imports torch or prepares its data;
a budget over 100 steps waits to be stopped."""


@pytest.fixture(autouse=True)
def _data_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "check_data", lambda recipe, _: f"{recipe.dataset}: fine")
    monkeypatch.setattr(estimate, "missing_bytes", lambda recipe: 0)


@pytest.fixture
def detached(monkeypatch: pytest.MonkeyPatch) -> list[RunDir]:
    """Runs that would have been started."""
    made: list[RunDir] = []

    def record(*args: object, **options: object) -> RunDir:
        made.append(launch.create(*args, **options))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(launch, "launch", record)
    return made


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        launch, "foreground", lambda run: [sys.executable, "-c", TRAINER, str(run.path)]
    )


def a_source(**settings: str) -> RunDir:
    """A run called "source" with a checkpoint at step 40."""
    run = create_run(find_recipe("shakespeare"), settings, "source")
    write_checkpoint(run.checkpoint(40), override(find_recipe("shakespeare"), settings), 40)
    return run


def test_only_the_id_goes_to_stdout(
    detached: list[RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "shakespeare", "--name", "first", "--steps", "9"]) == 0
    out, err = capsys.readouterr()
    (run,) = detached
    assert out == f"{run.id}\n"
    assert run.id.startswith("first-")
    assert f"genui inspect {run.id} --follow" in err
    assert read_info(run).recipe["steps"] == 9


def test_json_names_the_folder(detached: list[RunDir], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "icons", "--json", "--set", "width=64"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "id": detached[0].id,
        "path": str(detached[0].path),
    }


def test_the_weights_are_shared_out_over_processes(detached: list[RunDir]) -> None:
    assert main(["train", "icons", "--nproc", "2", "--shard"]) == 0
    assert (read_info(detached[0]).processes, read_info(detached[0]).shard) == (2, True)


def test_a_relative_data_path_is_kept_absolute(
    detached: list[RunDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("words")
    assert main(["train", "shakespeare", "--data", "mine.txt"]) == 0
    assert read_info(detached[0]).data == str(tmp_path / "mine.txt")


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["shakespear"], "did you mean 'shakespeare'?"),
        (["icons", "--set", "widht=64"], "did you mean 'width'?"),
        (["icons", "--set", "width=wide"], "--set width=wide"),
        (["icons", "--steps", "0"], "steps=0"),
        (["icons", "--data", "/no/such/folder"], "/no/such/folder: no such file or folder"),
        (["icons", "--set", "data=/no/such"], "/no/such: no such file or folder"),
        (["icons", "--name", "a/b"], "run name 'a/b'"),
        (["icons", "--minutes", "0"], "--minutes 0: give a number above 0"),
        (["icons", "--minutes", "1e308"], "at most 525,600"),
        (["icons", "--minutes", "1", "--steps", "9"], "leave out --steps"),
        (["icons", "--minutes", "1", "--nproc", "2"], "measures one process here"),
        (
            ["icons", "--shard"],
            "nobody to share the weights with: give --nproc 2 or more, or leave",
        ),
        (
            ["shakespeare", "--until", "soon"],
            "until=soon: write a condition such as 'val_loss<1.5'",
        ),
        (["shakespeare", "--until", "accuracy>1"], "shakespeare give val_loss, val_bpc"),
        (["shakespeare", "--until", "val_loss<1 or acc>1"], "shakespeare give val_loss, val_bpc"),
    ],
)
def test_misuse_makes_no_run(
    words: list[str], fault: str, detached: list[RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *words]) == 2
    assert fault in capsys.readouterr().err
    assert not paths.runs_dir().exists()


def test_a_run_is_trained_on_from_its_weights_with_its_own_recipe(
    detached: list[RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    source = a_source(width="64", layers="2")
    words = ["train", "--from", f"{source.id}@40", "--set", "learning_rate=1e-3", "--name", "next"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out == f"{detached[0].id}\n"
    assert f"from: run {source.id} at step 40" in err
    info = read_info(detached[0])
    assert (info.recipe["width"], info.recipe["layers"]) == (64, 2)
    assert info.recipe["learning_rate"] == 1e-3
    assert info.overrides == {"learning_rate": "1e-3"}
    assert (info.start_from["run"], info.start_from["step"]) == (source.id, 40)


def test_a_shipped_model_is_fine_tuned_on_a_file(
    detached: list[RunDir], bare_models: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("words")
    assert main(["train", "--from", "plays", "--data", str(tmp_path / "mine.txt")]) == 0
    info = read_info(detached[0])
    assert (info.name, info.data) == ("shakespeare", str(tmp_path / "mine.txt"))
    assert info.start_from["path"] == str(bare_models / "plays" / "model.safetensors")


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ([], "RECIPE is missing"),
        (["--from", "sorce"], "did you mean 'source'?"),
        (["--from", "source@9"], "no checkpoint at step '9': it has 40"),
        (["shakespeare", "--from", "source"], "width=256 does not fit the weights of run source-"),
        (["icons", "--from", "source"], "leave RECIPE out, or start from another model"),
        (["--from", "source", "--set", "heads=2"], "heads=2 does not fit"),
        (["--from", "source", "--set", "lr=1"], "--set lr: "),
        (["--from", "source", "--data", "/no/such"], "/no/such: no such file or folder"),
        (["--from", "source", "--name", "a/b"], "run name 'a/b'"),
    ],
)
def test_what_cannot_be_started_from_makes_no_run(
    words: list[str], fault: str, detached: list[RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    source = a_source(width="64")
    assert main(["train", *words]) == 2
    assert fault in capsys.readouterr().err
    assert [path.name for path in paths.runs_dir().iterdir()] == [source.id]


@pytest.mark.usefixtures("trainer")
def test_the_foreground_starts_from_a_run_too(capsys: pytest.CaptureFixture[str]) -> None:
    a_source()
    assert main(["train", "--from", "source", "--steps", "5", "--foreground"]) == 0
    run = RunDir(paths.runs_dir() / capsys.readouterr().out.strip())
    assert read_info(run).start_from["step"] == 40


def test_a_data_folder_that_cannot_be_written_is_named(
    detached: list[RunDir], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENUI_HOME", "/proc/genui")
    assert main(["train", "icons"]) == 1
    assert "genui: cannot write /proc/genui/data/runs" in capsys.readouterr().err
    assert detached == []


def test_starting_a_training_imports_no_torch(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("To be, or not to be. " * 100)
    code = f"""
import sys
from genui.cli.main import main
from genui.engine import kinds
from genui.runs import launch
launch.launch = launch.create
assert main(["train", "shakespeare", "--data", {str(tmp_path / "mine.txt")!r}]) == 0
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.usefixtures("trainer")
def test_the_foreground_reports_evaluations_and_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["train", "shakespeare", "--steps", "5", "--foreground"]) == 0
    out, err = capsys.readouterr()
    run = RunDir(paths.runs_dir() / out.strip())
    assert read_status(run).state == "finished"
    assert "val_loss 0.5" in err
    assert "finished at step 5" in err
    assert f"`genui generate {run.id}` uses it" in err


@pytest.mark.usefixtures("trainer")
def test_a_classifier_that_is_trained_is_not_said_to_generate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["train", "fashion-labels", "--steps", "5", "--foreground"]) == 0
    out, err = capsys.readouterr()
    assert f"`genui show {out.strip()}` shows its card" in err
    assert "genui generate" not in err


@pytest.mark.usefixtures("trainer")
def test_a_failure_in_the_foreground_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "shakespeare", "--steps", "5", "--foreground", "--name", "fail"]
    assert main(words) == 1
    assert "failed at step 5: the loss became nan; see " in capsys.readouterr().err


def test_ctrl_c_stops_a_foreground_training_gently(genui_home: Path) -> None:
    code = f"""
import sys
from genui.engine import kinds
from genui.runs import launch
kinds.check_data = lambda recipe, _: "fine"
launch.foreground = lambda run: [sys.executable, "-c", {TRAINER!r}, str(run.path)]
from genui.cli.main import main
sys.exit(main(["train", "shakespeare", "--steps", "1000", "--foreground"]))
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    run = RunDir(genui_home / "data" / "runs" / child.stdout.readline().strip())
    wait_for(lambda: read_status(run).state == "running")
    os.kill(child.pid, signal.SIGINT)
    _, err = child.communicate()
    assert child.returncode == 130
    assert read_status(run).state == "stopped"
    assert f"`genui resume {run.id}` continues it" in err


def test_what_cannot_start_leaves_no_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENUI_EMOJI_FONT", "/no/such.ttf")
    monkeypatch.setattr(estimate, "missing_bytes", missing_bytes)
    assert main(["train", "emoji"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("genui: emoji_font /no/such.ttf: no such file; name a NotoColorEmoji.ttf\n")
    assert main(["train", "emoji", "--dry-run", "--json"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "no such file" in json.loads(line)["fault"]
    assert not paths.runs_dir().exists()


def test_a_dry_run_says_how_long_it_takes(
    detached: list[RunDir], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(estimate, "measure_load", lambda: Load(20, 20))
    speed = Speed(start=1, step=2, evaluation=0, sample=0, steps=20, memory=10**9, time=time.time())
    write_speed(find_recipe("shakespeare"), speed)
    assert main(["train", "shakespeare", "--steps", "300", "--dry-run"]) == 0
    said = "about 10 minutes on an idle machine (20 steps measured)"
    rest = "1.0 GB of memory · no download"
    now = "; busy now: about 3.5 hours"
    assert capsys.readouterr().out == f"shakespeare: {said}{now} · {rest}\n"
    assert not detached
    assert main(["train", "shakespeare", "--steps", "300"]) == 0  # a script does not wait for it
    assert f"takes: {said} · {rest}\n" in capsys.readouterr().err
    assert detached


def test_a_budget_of_minutes_is_recorded_as_settings(
    detached: list[RunDir], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(estimate, "measure_load", Load)
    recipe = find_recipe("icons")
    speed = Speed(
        start=2, step=0.1, evaluation=1, sample=1, whole=2, checkpoint=0, time=time.time()
    )
    write_speed(recipe, speed)
    assert main(["train", "icons", "--minutes", "2", "--dry-run"]) == 0
    assert "about 2 minutes on this machine" in capsys.readouterr().out
    assert main(["train", "icons", "--minutes", "2", "--set", "grad_clip=1"]) == 0
    chosen = read_info(detached[0]).overrides
    assert (chosen["grad_clip"], chosen["minutes"]) == ("1", "2")
    trained = override(recipe, chosen)
    assert 100 < speed.seconds(trained) <= 120
    assert read_status(detached[0]).steps == trained.steps < recipe.steps
    assert f"steps={trained.steps}" in capsys.readouterr().err


def test_the_progress_of_a_run_that_starts_is_its_download() -> None:
    starting = Status(state="starting", steps=100, doing="downloading fsdd.zip, 8 of 16 MB")
    assert progress(starting) == "downloading fsdd.zip, 8 of 16 MB"
    assert progress(Status(state="running", step=5, steps=100)).startswith("step 5/100")
