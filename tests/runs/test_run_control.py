import os
import re
from pathlib import Path

import pytest
from run_makers import a_run, held

from genui.errors import GenuiError
from genui.runs import control
from genui.runs.layout import RunDir, Status, write_status


def test_commands_are_obeyed_once_in_the_order_given():
    run = a_run()
    for command in ("pause", "checkpoint", "resume", "stop", "pause"):
        control.send(run, command)
    assert control.poll(run) == ["pause", "checkpoint", "resume", "stop", "pause"]
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
    control.send(run, "pause")
    notes: list[str] = []
    assert control.poll(run, notes.append) == ["pause"]
    assert len(notes) == 6
    assert all(note.isprintable() and len(note) < 120 for note in notes)
    assert os.listdir(run.control) == []
    assert secret.exists()


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
    assert control.poll(run) == ["stop"]


def test_a_run_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    run = RunDir(tmp_path / "file" / "run")
    with pytest.raises(GenuiError, match=re.escape(str(run.control))):
        control.send(run, "stop")


def test_steering_reaches_a_living_trainer():
    run = a_run()
    with held(run):
        control.steer(run, "pause")
    assert control.poll(run) == ["pause"]


@pytest.mark.parametrize(
    ("state", "said"), [("running", "dead.*genui resume"), ("finished", "is finished: nothing to")]
)
def test_steering_a_run_without_a_trainer_says_so(state, said: str):
    run = a_run()
    write_status(run, Status(state=state))
    with pytest.raises(GenuiError, match=f"{run.id} is {said}" if state == "running" else said):
        control.steer(run, "pause")
    assert control.poll(run) == []


def test_steering_a_damaged_run_names_the_damage():
    run = a_run()
    run.run_json.unlink()
    with pytest.raises(GenuiError, match=r"run\.json"):
        control.steer(run, "stop")
