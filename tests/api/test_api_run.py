"""A run of one's own script: nothing is lost and nothing raises."""

import copy
import errno
import json
import os
import pickle
import shutil
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from api_runs import folder, records, said
from waiting import wait_for

import genui
from genui.base.errors import GenuiError, MisuseError
from genui.cli.control import learning_rate
from genui.runs import control, writer
from genui.runs.labels import Labels, read_labels
from genui.runs.layout import read_status
from genui.runs.listing import list_runs


def test_a_full_disk_is_said_once_and_a_later_log_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    run = genui.init("full")
    run.log({"loss": 1.0})
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if len(data) > 1:
            return real(fd, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", write)
        run.log({"loss": 2.0})
        run.log({"loss": 3.0})
        run.config.lr = 1
    run.log({"loss": 4.0})
    assert records(run) == [{"step": 0, "loss": 1.0}, {"step": 3, "loss": 4.0}]
    lines = said(capsys)
    assert lines[0].startswith("genui: cannot write the metrics of full-")
    assert [line for line in lines if "metrics" in line] == lines[:1]
    assert "run.json: no space left" in lines[1]


def test_a_deleted_folder_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(writer, "HEARTBEAT", 0.01)
    run = genui.init("gone")
    Path(run.dir).rename(tmp_path / "elsewhere")
    run.log({"loss": 1.0})
    lines: list[str] = []
    wait_for(lambda: bool(lines.extend(said(capsys)) or lines))
    time.sleep(0.05)
    assert lines + said(capsys) == [
        f"genui: {run.dir} was removed: nothing more is written for this run"
    ]
    run.log({"loss": 2.0})
    run.config.lr = 1
    run.finish()
    assert said(capsys) == []


def test_where_nothing_can_be_written_the_training_goes_on(
    genui_home: Path, capsys: pytest.CaptureFixture[str]
):
    genui_home.write_text("a file where the folder should be")
    run = genui.init("nowhere", config={"lr": 3})
    run.log({"loss": 1.0, "text": "hi"})
    run.config.lr = 4
    run.summary["best"] = 1
    genui.log({"loss": 2.0})
    assert (run.id, run.dir, run.config.lr) == ("", "", 4)
    run.finish()
    (line,) = said(capsys)
    assert line.startswith(f"genui: this run is not saved: cannot write {genui_home}")


def test_a_disabled_run_writes_nothing_and_says_nothing(
    genui_home: Path, capsys: pytest.CaptureFixture[str]
):
    with genui.init("off", mode="disabled") as run:
        run.log({"loss": 1.0})
    assert not genui_home.exists()
    assert said(capsys) == []


def test_init_again_returns_the_run_unless_it_is_to_be_finished(
    capsys: pytest.CaptureFixture[str],
):
    first = genui.init("first")
    assert genui.init("again") is first is genui.run
    assert len(said(capsys)) == 1
    beside = genui.init("beside", reinit="create_new")
    assert genui.run is first
    second = genui.init("second", reinit=True)
    assert genui.run is second
    assert [read_status(folder(run)).state for run in (first, beside, second)] == [
        "finished", "running", "running",
    ]  # fmt: skip
    beside.finish()


class Hostile:
    """Raises whatever is asked of it."""

    def __getattr__(self, *_: object) -> Any:
        raise ValueError("no")

    __bool__ = __eq__ = __str__ = __repr__ = __float__ = __iter__ = __len__ = __getattr__
    __hash__ = object.__hash__


@pytest.mark.parametrize(
    "make", [Hostile, lambda: np.zeros(2), lambda: Decimal("sNaN"), dict, bytes, complex]
)
def test_no_argument_whatever_raises(make: Callable[[], Any]):
    odd = make()
    run = genui.init("first")
    assert genui.init(reinit=odd) is run
    genui.init(odd, odd, odd, mode=odd, reinit=True, entity=odd)
    genui.log(odd, step=odd, commit=odd)
    genui.log({"loss": odd, "nested": {"a": [odd]}})
    genui.config["odd"] = genui.summary["odd"] = odd
    genui.config.update(a={"b": odd})
    genui.finish(odd)
    assert genui.run is None


def test_logging_before_init_and_after_finish_is_said_once_and_ignored(
    capsys: pytest.CaptureFixture[str],
):
    genui.finish()
    genui.log({"loss": 1.0})
    genui.log({"loss": 1.0})
    run = genui.init("over")
    genui.finish()
    for _ in range(3):
        genui.log({"loss": 1.0})
        run.log({"loss": 1.0})
    run.finish()
    run.config.lr = 1
    assert genui.run is None
    assert said(capsys) == [
        "genui: log() without init(): nothing is logged",
        f"genui: run {run.id} has ended: what is logged now is lost",
    ]


def test_a_stop_from_the_app_is_seen_by_the_script(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writer, "HEARTBEAT", 0.01)
    run = genui.init("stop me")
    assert not run.stop_requested
    control.send_live(folder(run), "stop")
    wait_for(lambda: run.stop_requested)
    run.finish()
    assert read_status(folder(run)).state == "stopped"


def test_the_list_of_runs_shows_step_and_losses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writer, "HEARTBEAT", 0.01)
    run = genui.init("digits", name="my run / 1")
    for step in range(1, 200):
        run.log({"loss": 2.5, "val": {"loss": 3.5}}, step=step)
        time.sleep(0.0005)
    wait_for(lambda: read_status(folder(run)).step == 199)
    (summary,) = list_runs()
    status = summary.status
    assert (summary.state, status.loss, status.val, status.steps) == ("running", 2.5, 3.5, 0)
    assert status.steps_per_s > 0
    assert (summary.info.kind, summary.info.project) == ("script", "digits")
    assert summary.info.name == "my-run-1"
    assert summary.run.id == run.id


def test_what_wandb_has_and_genui_has_not_is_said_once(capsys: pytest.CaptureFixture[str]):
    wandb: Any = genui
    run: Any = wandb.init(project="old", entity="me", tags=["a"], group=None, frobnicate=1)
    wandb.watch(object(), log="all")
    wandb.watch(object())
    table = wandb.Table(columns=["a"])
    table.add_data(1)
    run.define_metric("loss", step_metric="epoch")
    run.log({"loss": 1.0, "table": table, "plot": wandb.plot.scatter(table, "a", "b")})
    assert records(run) == [{"step": 0, "loss": 1.0}]
    assert said(capsys) == [
        "genui: init() ignores entity",
        "genui: init() has no argument frobnicate",
        "genui: watch does nothing here",
        "genui: run.define_metric does nothing here",
        "genui: plot does nothing here",
    ]
    with pytest.raises(AttributeError, match="no attribute 'lgo'"):
        _ = wandb.lgo


def test_what_scripts_do_with_parts_of_wandb_raises_nothing():
    wandb: Any = genui
    run: Any = wandb.init(project="old", config={"lr": 0.1})
    with pytest.raises(wandb.Error, match="no network"):
        raise wandb.errors.CommError("no network")
    things = (wandb.Table(), wandb.Histogram([1, 2]), wandb.Video(None), wandb.Audio(None))
    for kind in (wandb.Table, wandb.Histogram, wandb.Video, wandb.Audio, wandb.Artifact):
        assert sum(isinstance(thing, kind) for thing in things) == (kind is not wandb.Artifact)
    assert not isinstance(run, wandb.sdk.wandb_run.Other)
    assert len(wandb.util.generate_id() + "x") == 9
    assert len(wandb.sweep({"method": "grid"})) == 8
    wandb.agent("sweep", function=lambda: pytest.fail("a sweep needs a server"))
    assert list(wandb.Api().runs("me/old")) == []
    with open(wandb.restore("model.pt").name) as file:
        assert file.read() == ""
    assert run.use_artifact("data:latest").download() + "/train.csv" == "/train.csv"
    artifact = wandb.Artifact("model", type="model")
    artifact.add_file("model.pt")
    run.log_artifact(artifact).wait()
    wandb.integration.keras.WandbCallback(save_model=False)
    assert wandb.plot.line(wandb.Table(), "x", "y") is not None
    assert wandb.AlertLevel.WARN is not None
    assert (run.project_name(), run.get_url(), run.entity) == ("old", run.url, "")
    assert (run.resumed, run.sweep_id, run.offline) == (False, None, True)
    assert run.config.as_dict() == {"lr": 0.1}
    run.config.setdefaults({"lr": 1, "layers": 2})
    assert run.config.as_dict() == {"lr": 0.1, "layers": 2}

    @wandb.profiler.trace
    def step() -> int:
        return 1

    assert step() == 1


def test_tags_and_notes_are_those_of_genui_tag_and_note():
    odd: Any = np.zeros(3)
    assert genui.init("odd", tags=5, notes=odd, reinit=True).tags == ()
    run = genui.init("labelled", tags=["two words", "b"], notes="first\ntry", reinit=True)
    assert (run.tags, run.notes) == (("two-words", "b"), "first try")
    run.tags += ("c",)
    run.notes = ""
    assert read_labels(folder(run)) == Labels(tags=("two-words", "b", "c"))


def test_a_restarted_script_continues_the_run_with_its_id(capsys: pytest.CaptureFixture[str]):
    first = genui.init("job", config={"lr": 1, "layers": 2}, id="job-7")
    for _ in range(3):
        first.log({"loss": 1.0})
    busy = genui.init("job", id="job-7", reinit="create_new")  # while the first lives
    assert busy.id != first.id
    busy.finish()
    shutil.rmtree(busy.dir)
    first.summary["best"] = 0.25
    first.finish()
    again = genui.init("job", config={"lr": 2}, id="job-7", resume="allow")
    assert (again.id, again.resumed, again.step) == (first.id, True, 3)
    assert again.config.as_dict() == {"lr": 2, "layers": 2}
    again.log({"loss": 0.5})
    assert [record["step"] for record in records(again)] == [0, 1, 2, 3]
    again.finish()
    summary = json.loads(folder(first).summary.read_bytes())
    assert {"best": 0.25, "loss": 0.5}.items() <= summary.items()
    other = genui.init("job", id="job-7", resume="never")
    assert other.id != first.id


def test_a_script_that_asks_for_a_learning_rate_gets_one():
    run = genui.init("steered")
    with pytest.raises(GenuiError, match="does not take set_lr"):
        control.send_live(folder(run), "set_lr", 0.5)
    with pytest.raises(MisuseError, match="sets its learning rate itself"):
        learning_rate(folder(run), ["learning_rate=0.5"])
    assert run.take_learning_rate() is None
    with pytest.raises(MisuseError, match="'fast' is not a number"):
        learning_rate(folder(run), ["learning_rate=fast"])
    control.send_live(folder(run), "set_lr", learning_rate(folder(run), ["learning_rate=0.5"]))
    wait_for(lambda: run._learning_rate is not None)
    assert run.take_learning_rate() == 0.5
    assert run.take_learning_rate() is None
    assert [event.text for event in control.read_events(folder(run))] == ["learning rate → 0.5"]


def test_a_run_sent_to_another_process_logs_nothing_there():
    run = genui.init("sent")
    elsewhere = pickle.loads(pickle.dumps(run))
    elsewhere.log({"loss": 1.0})
    elsewhere.finish()
    assert copy.deepcopy({"run": run})["run"] is run
    run.log({"loss": 2.0})
    assert records(run) == [{"step": 0, "loss": 2.0}]


def test_without_a_stderr_nothing_raises(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", None)
    run = genui.init("mute", tags=["a"])
    run.log({"a": object()})
    run.finish()
