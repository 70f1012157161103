"""The real trainer on a tiny recipe, in this process and as the detached one."""

import json
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forks
import msgspec
import pytest
import torch
from waiting import wait_for

from genui.engine import trainer
from genui.engine.load import stream
from genui.engine.train.language import TextTask
from genui.logs.native import MetricsTail
from genui.protocol import Start, Started, TextFrame, TextSettings
from genui.recipes import recipe_from_dict
from genui.runs import control
from genui.runs.facts import describe_cause
from genui.runs.launch import launch
from genui.runs.layout import (
    RunDir,
    RunLock,
    checkpoint_steps,
    is_locked,
    read_info,
    read_status,
    write_info,
)
from genui.runs.listing import summarise

pytestmark = pytest.mark.usefixtures("signals")

MakeRun = Callable[..., RunDir]


def losses(run: RunDir) -> dict[int, float]:
    tail = MetricsTail(run.metrics)
    while tail.read():
        pass
    points = tail.series["loss"].points
    return dict(zip(points[0].tolist(), points[1].tolist(), strict=True))


def test_a_run_trains_evaluates_samples_and_can_generate(tiny_run: MakeRun) -> None:
    run = tiny_run(steps="30", learning_rate="0.01", sample_first="1")
    assert trainer.train(run) == 0
    status = read_status(run)
    assert (status.state, status.step, status.steps, status.unit) == ("finished", 30, 30, "tok/s")
    found = losses(run)
    assert list(found) == list(range(1, 31))
    assert found[30] < found[1] - 0.3
    assert status.val is not None
    assert status.val < found[1]
    assert status.spent.keys() == {"steps", "data", "evaluation", "sample", "checkpoint"}
    assert min(status.spent.values()) > 0
    machine = read_info(run).machine
    assert (machine["device"], machine["precision"], machine["threads"]) == ("cpu", "fp32", 1)
    text = 120 * len("to be or not to be that is the question\n")
    windows = (int(text * 0.9) - 1) // 32 - 1
    scale = {"unit": "tok", "units_per_step": 4 * 32, "units_per_epoch": windows * 32}
    assert read_info(run).scale == scale
    samples = sorted(p.name for p in run.samples.iterdir())
    steps = (0, 1, 2, 4, 6, 12, 18, 24, 30)
    assert samples == [f"step-{step:08}.txt" for step in steps]
    assert (run.samples / samples[0]).read_text().startswith("to")
    request = Start(trace=0, model=run.id, prompt="to b", seed=1, settings=TextSettings(tokens=5))
    started, *frames = list(stream(request))
    assert isinstance(started, Started)
    assert sum(isinstance(f, TextFrame) for f in frames) == 5


def test_the_threads_chosen_at_first_are_kept(
    tiny_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    run = tiny_run(threads="0")
    recipe = recipe_from_dict(read_info(run).recipe)
    before = torch.get_num_threads()
    try:
        chosen = trainer.settle_machine(run, recipe)
        assert chosen.threads == 3
        assert read_info(run).machine["threads"] == chosen.threads
        kept = {**read_info(run).machine, "threads": 2}  # of a machine with fewer cores
        write_info(run, msgspec.structs.replace(read_info(run), machine=kept))
        assert trainer.settle_machine(run, recipe).threads == 2
        assert torch.get_num_threads() == 2
        assert read_info(run).machine == kept
    finally:
        torch.set_num_threads(before)


def test_images_train_too(tmp_path: Path, genui_home: Path) -> None:
    from PIL import Image

    from genui.recipes import find_recipe, override
    from genui.runs.layout import create_run

    folder = tmp_path / "images"
    folder.mkdir()
    for name, colour in (("red-tile", "red"), ("blue-tile", "blue"), ("green-tile", "green")):
        Image.new("RGB", (20, 30), colour).save(folder / f"{name}.png")
    small = {
        "data": str(folder), "layers": "1", "width": "32", "heads": "2", "caption_width": "16",
        "batch": "4", "canvas_batch": "4", "patch": "8", "steps": "4", "threads": "1",
        "eval_every": "2", "sample_every": "2", "checkpoint_every": "2",
    }  # fmt: skip
    run = create_run(override(find_recipe("emoji"), small), small, "tiles")
    assert trainer.train(run) == 0, run.console.read_text()
    assert "rewind" not in run.metrics.read_text()
    assert len(losses(run)) == 4
    scale = {"unit": "img", "units_per_step": 4, "units_per_epoch": 3}
    assert read_info(run).scale == scale
    with Image.open(run.samples / "step-00000004.png") as sheet:
        assert sheet.size == (96, 32)


def test_killed_and_resumed_equals_never_interrupted(tiny_run: MakeRun) -> None:
    whole = tiny_run(dropout="0.1")
    assert trainer.train(whole) == 0

    run = tiny_run(dropout="0.1", steps="12")
    pid = forks.start(run)
    # Killed somewhere after its first checkpoint; if it was faster than this test, resuming
    # a finished training must change nothing either.
    wait_for(lambda: run.checkpoint_state(4).exists())
    os.kill(pid, signal.SIGKILL)
    forks.wait(pid)
    assert summarise(run).state in ("dead", "finished")  # at once
    assert trainer.train(run) == 0
    assert losses(run) == losses(whole)
    final = [r.checkpoint(12).read_bytes() for r in (run, whole)]
    assert final[0] == final[1]


def test_a_run_killed_before_its_first_checkpoint_starts_again(tiny_run: MakeRun) -> None:
    run = tiny_run(steps="2")
    records = ({"step": 0, "time": 1, "val_loss": 9}, {"step": 7, "time": 2, "loss": 9})
    run.metrics.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    run.checkpoints.mkdir(exist_ok=True)
    part = run.checkpoints / ".step-00000004.safetensors.0123abcd.aside"  # as it was killed
    part.touch()
    assert trainer.train(run) == 0
    assert not part.exists()
    assert losses(run).keys() == {1, 2}
    assert [each.event for each in control.read_events(run)] == ["resumed"]


def test_pause_resume_checkpoint_and_stop_from_outside(
    tiny_run: MakeRun, plays: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = read_info(tiny_run())
    from genui.recipes import recipe_from_dict

    recipe = recipe_from_dict(info.recipe | {"steps": 100_000, "checkpoint_every": 100_000})
    run = launch(recipe, {}, "long")
    wait_for(lambda: read_status(run).state == "running" and read_status(run).step > 0)
    assert os.getsid(read_status(run).pid) != os.getsid(0)  # no hang-up can reach it
    control.send(run, "pause")
    wait_for(lambda: read_status(run).state == "paused")
    lines = run.metrics.read_bytes().count(b"\n")
    time.sleep(0.3)
    assert run.metrics.read_bytes().count(b"\n") == lines
    control.send(run, "checkpoint")
    wait_for(lambda: any(run.checkpoints.glob("*.state.safetensors")))
    control.send(run, "resume")
    wait_for(lambda: run.metrics.read_bytes().count(b"\n") > lines)
    control.send(run, "stop")
    wait_for(lambda: not is_locked(run))
    stopped = read_status(run)
    assert stopped.state == "stopped"
    assert run.checkpoint(stopped.step).exists()

    pid = forks.start(run)
    wait_for(lambda: read_status(run).step > stopped.step)
    assert read_status(run).pid == pid
    os.kill(pid, signal.SIGTERM)
    assert forks.wait(pid) == 0
    assert read_status(run).state == "stopped"
    assert describe_cause(summarise(run)) == "SIGTERM ended it; who sent it is not known"


def test_a_loss_that_is_no_number_stops_the_run_and_says_so(
    tiny_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny_run(learning_rate="9.0", muon_rate="9.0", warmup="0", steps="400", grad_clip="1e9")
    import torch

    original = torch.nn.functional.cross_entropy
    calls = 0

    def breaks(*args: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return original(*args) * (float("nan") if calls > 12 else 1.0)

    torch.nn.functional.cross_entropy = breaks  # type: ignore[assignment]
    try:
        assert trainer.train(run) == 1
    finally:
        torch.nn.functional.cross_entropy = original
    status = read_status(run)
    assert status.state == "failed"
    assert "nan" in status.error
    ending = summarise(run).ending
    assert ending is not None
    assert (ending.name, "loss became nan" in ending.cause) == ("nan", True)
    found = losses(run)
    assert max(found) == status.step + 1
    assert math.isnan(found.pop(status.step + 1))  # the curve shows where
    assert all(map(math.isfinite, found.values()))
    saved = max(checkpoint_steps(run))
    assert status.error == (
        f"the loss became nan at step {status.step + 1}: genui resume {run.id} "
        f"--set learning_rate=3 continues at a lower rate from the checkpoint at step {saved}"
    )
    assert "genui: " in capsys.readouterr().err


def test_two_trainers_on_one_run_are_refused(
    tiny_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny_run()
    monkeypatch.setattr("sys.argv", ["trainer", str(run.path)])
    with RunLock(run):
        assert trainer.main() == 1
    assert capsys.readouterr().err.startswith("genui: ")


def test_data_that_vanished_fails_the_run_with_its_name(tiny_run: MakeRun, plays: Path) -> None:
    run = tiny_run()
    plays.unlink()
    assert trainer.train(run) == 2
    assert str(plays) in read_status(run).error
    assert read_status(run).state == "failed"


def test_a_training_ends_at_the_evaluation_that_meets_its_condition(tiny_run: MakeRun) -> None:
    run = tiny_run(steps="30", learning_rate="0.01", eval_every="2", until="val_loss<2.5")
    assert trainer.train(run) == 0
    status = read_status(run)
    assert (status.state, status.steps) == ("finished", 30)
    assert status.step < 30
    tail = MetricsTail(run.metrics)
    while tail.read():
        pass
    steps, values, _ = tail.series["val_loss"].points
    assert steps[-1] == status.step
    assert values[-1] < 2.5 <= values[:-1].min()
    assert run.checkpoint(status.step).exists()
    assert (run.samples / f"step-{status.step:08}.txt").exists()
    assert control.read_events(run)[-1].text.startswith("until val_loss<2.5: it is 2.")
    assert f"of 30: {control.read_events(run)[-1].text}" in run.console.read_text()


def test_a_condition_on_a_metric_that_the_data_do_not_give_ends_the_run(
    tiny_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TextTask, "evaluate", lambda *_: {"val_bpc": 1.0})
    run = tiny_run(until="val_loss<2")
    assert trainer.train(run) == 2
    assert read_status(run).error == "until=val_loss<2: evaluations of this run give val_bpc"


def test_metrics_are_whole_json_lines(tiny_run: MakeRun) -> None:
    run = tiny_run(steps="3")
    assert trainer.train(run) == 0
    records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    first = next(record for record in records if "loss" in record)
    assert {"step", "time", "loss", "lr", "grad_norm", "rate", "step_seconds"} <= first.keys()
