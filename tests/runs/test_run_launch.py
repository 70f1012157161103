"""Starting trainers; a small program stands in for the engine's."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from run_makers import a_run, held
from waiting import wait_for

from genui.base.errors import GenuiError, MisuseError
from genui.recipes import find_recipe
from genui.runs import control, launch
from genui.runs.hosts import Placement
from genui.runs.layout import (
    RunDir,
    Status,
    create_script_run,
    is_locked,
    read_info,
    read_status,
    write_status,
)
from genui.runs.listing import summarise

_TRAINER = """
import os, sys, time
from pathlib import Path
from genui.runs import control
from genui.runs.layout import RunDir
from genui.runs.writer import RunWriter
run = RunDir(Path(sys.argv[1]))
with RunWriter(run) as writer:
    writer.update(state="running")
    waits = {name: os.environ.get(name) for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    print("its threads wait", waits, flush=True)
    print("cwd", os.getcwd(), "session", os.getsid(0), "home", os.environ["GENUI_HOME"], flush=True)
    stopped = False
    while not stopped:
        for order in control.poll(run):
            print("obeyed", order, flush=True)
            stopped = stopped or order.command == "stop"
        time.sleep(0.01)
    writer.update(state=os.environ.get("END_AS", "stopped"))
"""


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        launch, "foreground", lambda run: [sys.executable, "-c", _TRAINER, str(run.path)]
    )


def stop(run: RunDir) -> None:
    control.send(run, "stop")
    wait_for(lambda: not is_locked(run))


def test_a_launched_run_is_alive_from_the_first_moment_to_the_last():
    run = launch.launch(find_recipe("shakespeare"), {"steps": "9"}, "mine")
    try:
        assert is_locked(run)
        assert summarise(run).alive
        wait_for(lambda: read_status(run).state == "running")
        assert read_status(run).pid != os.getpid()
        assert read_info(run).name == "mine"
        with pytest.raises(GenuiError, match="already running"):
            launch.resume(run)
    finally:
        stop(run)
    assert summarise(run).state == "stopped"


def test_the_trainer_is_detached_and_does_not_depend_on_where_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENUI_HOME", "relative")
    run = launch.launch(find_recipe("icons"), {})
    wait_for(lambda: read_status(run).state == "running")
    pid = read_status(run).pid
    session = os.getsid(pid)
    assert session != os.getsid(0)
    stop(run)
    assert f"cwd / session {session} home {tmp_path / 'relative'}\n" in run.console.read_text()


def test_how_threads_wait_is_what_the_user_says(monkeypatch: pytest.MonkeyPatch):
    for name in ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    first = launch.launch(find_recipe("shakespeare"), {})
    wait_for(lambda: read_status(first).state == "running")
    monkeypatch.setenv("GOMP_SPINCOUNT", "5")
    second = launch.launch(find_recipe("shakespeare"), {})
    wait_for(lambda: read_status(second).state == "running")
    for run in (first, second):
        stop(run)
    said = "its threads wait {{'OMP_WAIT_POLICY': {}, 'GOMP_SPINCOUNT': {}}}"
    assert said.format(None, None) in first.console.read_text()
    assert said.format(None, "'5'") in second.console.read_text()


def test_a_trainer_killed_is_dead_and_can_be_resumed():
    run = launch.launch(find_recipe("shakespeare"), {})
    wait_for(lambda: read_status(run).state == "running")
    os.kill(read_status(run).pid, signal.SIGKILL)
    wait_for(lambda: summarise(run).state == "dead")
    control.send(run, "stop")  # too late: not meant for the next trainer
    launch.resume(run)
    wait_for(lambda: read_status(run).state == "running")
    assert summarise(run).state == "running"
    stop(run)


def test_a_trainer_that_dies_before_it_can_speak_is_dead(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(launch, "foreground", lambda run: [sys.executable, "-c", "1/0"])
    run = launch.launch(find_recipe("shakespeare"), {})
    wait_for(lambda: summarise(run).state == "dead")
    wait_for(lambda: "ZeroDivisionError" in run.console.read_text())


def test_a_run_is_resumed_at_another_learning_rate():
    run = a_run()
    write_status(run, Status(state="failed"))
    with pytest.raises(MisuseError, match="learning rate 11"):
        launch.resume(run, 11.0)
    launch.resume(run, 1e-4)
    wait_for(lambda: read_status(run).state == "running")
    stop(run)
    assert "obeyed set_lr 0.0001\n" in run.console.read_text()


def test_a_rate_that_no_trainer_took_holds_for_the_next_one():
    run = a_run()
    control.send(run, "set_lr", 1e-4)
    write_status(run, Status(state="failed"))
    launch.resume(run)
    wait_for(lambda: read_status(run).state == "running")
    stop(run)
    assert "obeyed set_lr 0.0001\n" in run.console.read_text()


def test_a_run_is_resumed_while_its_last_trainer_is_leaving():
    run = a_run()
    with held(run) as trainer:
        write_status(run, Status(state="stopped"))
        threading.Timer(1.0, trainer.kill).start()
        launch.resume(run)
    wait_for(lambda: read_status(run).state == "running")
    stop(run)


def test_a_name_that_is_not_utf_8_is_one_line():
    with pytest.raises(MisuseError, match="its name is not UTF-8; rename it"):
        a_run(data=os.fsdecode(b"/tmp/caf\xe9.txt"))


def test_a_resumed_run_shares_its_weights_out_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(launch, "detach", lambda *args: None)
    run = launch.create(find_recipe("shakespeare"), {}, where=Placement(2, shard=True))
    for where, processes in ((None, 2), (Placement(1), 1), (Placement(3), 3)):
        write_status(run, Status(state="stopped"))
        launch.resume(run, where=where)
        assert launch.placement_of(read_info(run)) == Placement(processes, shard=True)
    with pytest.raises(MisuseError, match="one process has nobody to share the weights with"):
        launch.resume(run, where=Placement(1, shard=True))


def test_a_run_held_by_another_process_is_not_resumed():
    run = a_run()
    with held(run) as trainer, pytest.raises(GenuiError, match=f"process {trainer.pid} "):
        launch.resume(run)


def test_a_finished_or_damaged_run_is_not_resumed():
    run = a_run()
    write_status(run, Status(state="finished", step=9, steps=9))
    with pytest.raises(GenuiError, match=f"finished after 9 steps.*genui train --from {run.id}"):
        launch.resume(run)
    run.run_json.write_text("{")
    with pytest.raises(GenuiError, match=r"run\.json is damaged"):
        launch.resume(run)


def test_the_foreground_command_is_the_trainer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    run = RunDir(Path("/some/run"))
    assert launch.foreground(run)[1:] == ["-m", "genui.engine.trainer", "/some/run"]


def test_a_script_of_the_users_own_cannot_be_resumed():
    run = create_script_run("mine", "project", {})
    write_status(run, Status(state="stopped"))
    with pytest.raises(GenuiError, match="start the script again"):
        launch.resume(run)
