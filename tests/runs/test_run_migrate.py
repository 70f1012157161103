"""A trainer of an earlier version is watched and controlled by this one, and scripts read on."""

import json
import os

import pytest
from run_makers import a_run, held

from genui.cli.main import main
from genui.runs import control
from genui.runs.control import Control
from genui.runs.layout import Status, read_status, write_status


def test_an_earlier_trainer_understands_the_command_for_a_learning_rate():
    run = a_run()
    with held(run):
        control.send_live(run, "set_lr", 3e-4)
    (name,) = os.listdir(run.control)
    assert (run.control / name).read_text() == "rate 0.0003"
    assert control.poll(run) == [Control("set_lr", 3e-4)]


@pytest.mark.parametrize("word", ["rate", "set_lr"])
def test_a_command_is_read_in_both_words(word: str):
    run = a_run()
    (run.control / "0").write_text(f"{word} 0.001")
    assert control.poll(run) == [Control("set_lr", 1e-3)]


def test_events_of_an_earlier_trainer_are_read():
    run = a_run()
    control.record(run, 7, "rate", "learning rate 0.003 → 0.0002, Muon's 0.02 → 0.001")
    (event,) = control.read_events(run)
    assert (event.step, event.event) == (7, "set_lr")
    assert control.changed_learning_rate(run) == 2e-4


def test_a_status_keeps_the_keys_it_had(capsys: pytest.CaptureFixture[str]):
    run = a_run()
    run.status.write_text('{"state":"stopped","rate":2.5,"unit_rate":640.0,"unit":"tok/s"}')
    status = read_status(run)
    assert (status.steps_per_s, status.units_per_s) == (2.5, 640.0)
    write_status(run, Status(state="stopped", steps_per_s=1.5, units_per_s=10.0))
    written = json.loads(run.status.read_bytes())
    assert (written["rate"], written["unit_rate"]) == (1.5, 10.0)
    assert main(["runs", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["rate"], listed["unit_rate"], listed["state"]) == (1.5, 10.0, "stopped")
