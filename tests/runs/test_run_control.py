import os
import re
from pathlib import Path

import pytest
from run_makers import a_run, held

from genui.base.errors import GenuiError, MisuseError
from genui.runs import control
from genui.runs.control import Control
from genui.runs.layout import RunDir, Status, create_script_run, write_status


def test_commands_are_obeyed_once_in_the_order_given():
    run = a_run()
    commands = ("pause", "checkpoint", "evaluate", "resume", "stop", "pause")
    for command in commands:
        control.send(run, command)
    assert control.poll(run) == [Control(command) for command in commands]
    assert control.poll(run) == []
    assert os.listdir(run.control) == []


def test_garbage_is_removed_and_noted_in_one_line(tmp_path: Path):
    run = a_run()
    secret = tmp_path / "secret"
    secret.write_text("stop")
    (run.control / "0-word").write_text("explode")
    (run.control / "1-control").write_bytes(b"\x1b[2J\n" * 10)
    (run.control / "2-binary").write_bytes(b"\xff" * 100_000)
    (run.control / "3-empty").touch()
    os.mkfifo(run.control / "4-pipe")
    (run.control / "5-link").symlink_to(secret)
    (run.control / "6-rate").write_text("set_lr")
    (run.control / "7-rate").write_text("set_lr fast")
    (run.control / "8-rate").write_text("set_lr nan")
    (run.control / "9-value").write_text("stop 3")
    control.send(run, "pause")
    notes: list[str] = []
    assert control.poll(run, notes.append) == [Control("pause")]
    assert len(notes) == 10
    assert all(note.isprintable() and len(note) < 120 for note in notes)
    assert os.listdir(run.control) == []
    assert secret.exists()


@pytest.mark.parametrize("rate", [3e-4, 0.1 + 0.2, 5e-324, 10.0])
def test_a_learning_rate_arrives_as_the_same_number(rate: float):
    run = a_run()
    control.send(run, "set_lr", rate)
    assert control.poll(run) == [Control("set_lr", rate)]


@pytest.mark.parametrize("rate", [None, 0.0, -1e-3, 10.01, float("nan"), float("inf")])
def test_a_learning_rate_that_will_not_do_is_refused_before_it_is_sent(rate: float | None):
    run = a_run()
    with pytest.raises(MisuseError, match=r"learning rate.*above 0 and at most 10"):
        control.send(run, "set_lr", rate)
    with pytest.raises(MisuseError, match="stop takes no value"):
        control.send(run, "stop", 1.0)
    assert os.listdir(run.control) == []


def test_a_trainer_that_does_not_know_a_word_says_so_and_goes_on():
    run = a_run()
    (run.control / "0").write_text("dance 0.5")
    notes: list[str] = []
    assert control.poll(run, notes.append) == []
    assert notes == [
        "ignored an unknown command 'dance 0.5' "
        "(known: pause, resume, stop, checkpoint, evaluate, set_lr)"
    ]


def test_a_folder_or_a_file_being_written_is_left_alone():
    run = a_run()
    (run.control / "folder").mkdir()
    (run.control / ".half.aside").write_text("sto")
    assert control.poll(run) == []
    assert len(os.listdir(run.control)) == 2


def test_a_missing_inbox_is_empty_and_made_when_needed():
    run = a_run()
    run.control.rmdir()
    assert control.poll(run) == []
    control.send(run, "stop")
    assert control.poll(run) == [Control("stop")]


def test_a_run_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    run = RunDir(tmp_path / "file" / "run")
    with pytest.raises(GenuiError, match=re.escape(str(run.control))):
        control.send(run, "stop")


def test_steering_reaches_a_living_trainer():
    run = a_run()
    with held(run):
        control.send_live(run, "pause")
        control.send_live(run, "set_lr", 1e-3)
    assert control.poll(run) == [Control("pause"), Control("set_lr", 1e-3)]


def test_the_learning_rate_of_a_run_without_a_trainer_is_given_when_it_is_resumed():
    run = a_run()
    write_status(run, Status(state="failed"))
    with pytest.raises(GenuiError) as caught:
        control.send_live(run, "set_lr", 3e-4)
    assert f"genui resume {run.id} --set learning_rate=0.0003 continues it" in str(caught.value)


def test_a_script_of_the_users_own_can_only_be_asked_to_stop():
    run = create_script_run("mine", "project", {})
    with held(run):
        control.send_live(run, "stop")
        with pytest.raises(GenuiError, match="belongs to a script"):
            control.send_live(run, "pause")
    assert control.poll(run) == [Control("stop")]


@pytest.mark.parametrize(
    ("state", "said"), [("running", "dead.*genui resume"), ("finished", "is finished: nothing to")]
)
def test_steering_a_run_without_a_trainer_says_so(state, said: str):
    run = a_run()
    write_status(run, Status(state=state))
    with pytest.raises(GenuiError, match=f"{run.id} is {said}" if state == "running" else said):
        control.send_live(run, "pause")
    assert control.poll(run) == []


def test_steering_a_damaged_run_names_the_damage():
    run = a_run()
    run.run_json.unlink()
    with pytest.raises(GenuiError, match=r"run\.json"):
        control.send_live(run, "stop")
