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
from datetime import timedelta
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
from genui.runs import control, webhook, writer
from genui.runs.alerts import Alerts
from genui.runs.definitions import find_axes, is_hidden
from genui.runs.labels import Labels, read_labels
from genui.runs.layout import read_info, read_status
from genui.runs.listing import list_runs, summarise


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
    wandb.unwatch(object(), log="all")
    wandb.unwatch(object())
    table = wandb.Table(columns=["a"])
    table.add_data(1)
    run.log_artifact("model.pt").wait()
    run.log_artifact("model.pt")
    run.log({"loss": 1.0, "table": table, "plot": wandb.plot.scatter(table, "a", "b")})
    assert records(run) == [{"step": 0, "loss": 1.0}]
    assert said(capsys) == [
        "genui: init() ignores entity, frobnicate",
        "genui: unwatch does nothing here",
        "genui: run.log_artifact does nothing here",
        "genui: plot does nothing here",
    ]
    with pytest.raises(AttributeError, match="no attribute 'lgo'"):
        _ = wandb.lgo


def test_what_scripts_do_with_parts_of_wandb_raises_nothing():
    wandb: Any = genui
    run: Any = wandb.init(project="old", id=wandb.util.generate_id(), config={"lr": 0.1})
    assert (run.project, run.url, run.resumed) == ("old", Path(run.dir).as_uri(), False)
    run.config.setdefaults({"lr": 1, "layers": 2})
    assert run.config.as_dict() == {"lr": 0.1, "layers": 2}
    things = (wandb.Table(), wandb.Histogram([1, 2]), wandb.Video(None), wandb.Audio(None))
    for kind in (wandb.Table, wandb.Histogram, wandb.Video, wandb.Audio):
        assert sum(isinstance(thing, kind) for thing in things) == 1
    assert not any(isinstance(thing, wandb.Artifact) for thing in things)
    with pytest.raises(wandb.Error, match="no network"):
        raise wandb.errors.CommError("no network")
    assert not isinstance(run, wandb.sdk.wandb_run.Other | None | wandb.Artifact)
    wandb.agent(wandb.sweep({}), function=lambda: pytest.fail("a sweep needs a server"))
    assert list(wandb.Api().runs("me/old")) == []
    with open(wandb.restore("model.pt").name) as file:
        assert file.read() == ""
    assert run.use_artifact("data:latest").download() + "/train.csv" == "/train.csv"
    artifact = wandb.Artifact("model", type="model")
    artifact.metadata["step"] = artifact.version / "a"
    with artifact.new_file("model.pt") as file:
        assert file[0] is file.name
        assert (str(file), file < 1, 0 in file, bool(file), bool(run.entity)) == ("", *[False] * 4)

    class Callback(wandb.integration.keras.WandbCallback):
        pass

    assert not Callback(save_model=False)

    @wandb.profiler.trace
    def step() -> int:
        return 1

    assert step() == 1
    with pytest.raises(AttributeError, match="a run has no 'lgo'"):
        run.lgo()


def summary_of(run: genui.Run) -> dict[str, Any]:
    """What is in summary.json, without the step and the time."""
    run.finish()
    found = json.loads(folder(run).summary.read_bytes())
    return {name: value for name, value in found.items() if name not in ("step", "time")}


def test_define_metric_says_what_of_a_metric_is_in_the_summary():
    run = genui.init("defined")
    genui.define_metric("loss", summary="min, mean")
    run.define_metric("loss", summary="max")  # beside those
    run.define_metric("acc/*", summary="best", goal="maximize")
    run.define_metric("acc/exact", summary="first,last")
    run.define_metric("lr", summary="none")
    run.define_metric("grad", summary="max")
    run.define_metric("grad", summary="min", overwrite=True)
    for loss, acc in ((3.0, 0.25), (1.0, 0.75), (2.0, 0.5)):
        run.log({"loss": loss, "acc/top5": acc, "acc": {"exact": acc}, "lr": 0.5, "grad": loss})
    run.log({"loss": float("nan"), "time_s": 2})
    assert run.summary["loss"] == {"min": 1.0, "mean": 2.0, "max": 3.0}
    assert summary_of(run) == {
        "loss": {"min": 1.0, "mean": 2.0, "max": 3.0},
        "acc/top5": {"best": 0.75},
        "acc/exact": {"first": 0.25, "last": 0.5},
        "grad": {"min": 1.0},
        "time_s": 2,
    }
    assert run._latest["loss"] == "NaN"


def test_a_restarted_script_goes_on_with_its_definitions():
    first = genui.init("defined", id="d-1")
    first.define_metric("acc", summary="max", step_metric="epoch")
    first.log({"acc": 0.75, "epoch": 3})
    first.finish()
    again = genui.init("defined", id="d-1")
    again.log({"acc": 0.5})
    assert records(again)[-1] == {"step": 1, "acc": 0.5, "epoch": 3}
    assert summary_of(again) == {"acc": {"max": 0.75}, "epoch": 3}


def test_a_step_metric_is_the_axis_and_a_hidden_metric_has_no_curve():
    run = genui.init("axes")
    epoch = run.define_metric("epoch", hidden=True)
    run.define_metric("val/*", step_metric=epoch)
    run.define_metric("val/free", step_metric="epoch", step_sync=False)
    run.define_metric("gone", step_metric="nowhere")
    run.log({"epoch": 2, "val/loss": 1.0})
    run.log({"val/loss": 0.5})  # belongs to the same epoch
    run.log({"val/free": 0.5, "gone": 1})
    steps = [record.get("epoch") for record in records(run)]
    assert steps == [2, 2, None]
    metrics = read_info(folder(run)).metrics
    names = ["epoch", "val/loss", "val/free", "gone"]
    assert find_axes(metrics, names) == {"val/loss": "epoch", "val/free": "epoch"}
    assert [is_hidden(metrics, name) for name in names] == [True, False, False, False]


def test_a_definition_that_is_none_is_said_and_raises_nothing(capsys: pytest.CaptureFixture[str]):
    genui.define_metric("early")
    odd: Any = Hostile()
    run = genui.init("wrong")
    assert run.define_metric("a*b") is None
    assert run.define_metric("acc", goal="up") is None
    assert run.define_metric("lr", summary="median") is None
    assert run.define_metric("lr", summary="median") is None
    assert [line.partition(": ")[2][:38] for line in said(capsys)] == [
        "define_metric() without init(): nothin",
        "define_metric() takes a name, which ma",
        "define_metric() takes goal='minimize' ",
        "define_metric() has no summary 'median",
    ]
    for arguments in ({"name": odd}, {"name": "a", "summary": odd}, {"name": "b", "goal": odd}):
        run.define_metric(**arguments)
    run.log({"loss": 1.0})
    assert read_info(folder(run)).metrics == ()


def test_an_alert_is_an_alert_of_the_run_and_comes_once_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    sent: list[dict[str, str]] = []
    monkeypatch.setattr(webhook, "send", lambda values, wait=False: sent.append(values))
    genui.alert("nobody", "is told")
    run = genui.init("digits", name="loud")
    run.log({"loss": 9.0}, step=7)
    genui.alert("Loss", "it is\n9", level=genui.AlertLevel.WARN)
    run.alert("Loss", "again at once")
    run.alert("Loss", "again later", wait_duration=0, level="error")
    run.alert("Other", "of its own", wait_duration=timedelta(seconds=3), level="loudest")
    odd: Any = Hostile()
    run.alert(odd, odd, level=odd)
    alerts = Alerts()
    (first, second, third, fourth) = alerts.look(summarise(folder(run)), {})
    assert (first.kind, first.step, first.line) == ("warn", 7, "Loss: it is 9")
    assert (second.kind, second.line) == ("error", "Loss: again later")
    assert (third.kind, third.line) == ("info", "Other: of its own")
    assert fourth.kind == "info"
    assert alerts.look(summarise(folder(run)), {}) == []
    run.alert("Third")
    assert [one.line for one in alerts.look(summarise(folder(run)), {})] == ["Third"]
    assert [one["alert"] for one in sent][:2] == ["Loss: it is 9", "Loss: again later"]
    assert sent[0].items() >= {"name": "loud", "step": "7", "project": "digits"}.items()
    assert said(capsys) == ["genui: alert() without init(): nobody is told"]
    run.alert("Fourth", wait_duration=odd)
    assert said(capsys) == ["genui: ValueError: no"]


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
