"""Who holds a run, and how it is seen from outside."""

import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest
from run_makers import a_run, held
from waiting import wait_for

from genui.base.errors import GenuiError
from genui.runs.layout import HANDED_OVER, RunLock, Status, is_locked, read_status, write_status
from genui.runs.listing import STALE, summarise
from genui.runs.writer import RunWriter


def test_a_second_trainer_is_refused_and_told_who_has_the_run():
    run = a_run()
    with held(run) as trainer:
        assert is_locked(run)
        with (
            pytest.raises(GenuiError, match=f"{run.id} is already .* process {trainer.pid} "),
            RunWriter(run),
        ):
            pytest.fail("two trainers on one run")
        assert summarise(run).state == "running"


def test_a_killed_trainer_is_seen_as_dead():
    run = a_run()
    with held(run) as trainer:
        assert summarise(run).state == "running"
        os.kill(trainer.pid, signal.SIGKILL)
        wait_for(lambda: summarise(run).state == "dead")
    with RunWriter(run):  # and the run can be taken up again
        assert read_status(run).pid == os.getpid()


def test_asking_does_not_take_the_lock():
    run = a_run()
    assert not is_locked(run)
    with RunLock(run):
        assert is_locked(run)
    assert not is_locked(run)


def test_the_lock_is_free_after_a_failure_inside():
    run = a_run()
    with pytest.raises(ZeroDivisionError), RunLock(run):
        raise ZeroDivisionError
    assert not is_locked(run)


def test_a_lock_handed_over_is_never_free_in_between():
    run = a_run()
    code = (
        "import os, sys; from pathlib import Path; from genui.runs.layout import RunLock;"
        "from genui.runs.layout import RunDir\n"
        "with RunLock(RunDir(Path(sys.argv[1]))) as lock:\n"
        "    print('inheritable', os.get_inheritable(lock.fd), flush=True); sys.stdin.read()"
    )
    with RunLock(run) as lock:
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(run.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(lock.fd,),
            env={**os.environ, HANDED_OVER: str(lock.fd)},
        )
    with child:
        assert is_locked(run)
        assert child.stdout is not None
        assert child.stdout.readline() == b"inheritable False\n"
        assert is_locked(run)
        child.kill()
    assert not is_locked(run)


def test_a_descriptor_of_another_file_is_not_taken_for_the_lock(monkeypatch: pytest.MonkeyPatch):
    run = a_run()
    monkeypatch.setenv(HANDED_OVER, "0")
    with RunLock(run) as lock:
        assert lock.fd != 0
        assert is_locked(run)
        assert HANDED_OVER not in os.environ


def test_a_run_on_another_host_lives_by_its_heartbeat():
    run = a_run()
    status = Status(state="running", pid=1, host="elsewhere", heartbeat=time.time())
    write_status(run, status)
    assert summarise(run).state == "running"
    write_status(run, msgspec.structs.replace(status, heartbeat=time.time() - STALE - 1))
    assert summarise(run).state == "dead"


def test_a_run_awaiting_its_trainer_is_starting_but_not_for_ever():
    run = a_run()
    assert summarise(run).state == "starting"
    long_ago = time.time() - STALE - 1
    write_status(run, msgspec.structs.replace(read_status(run), heartbeat=long_ago))
    assert summarise(run).state == "dead"


def test_an_ended_run_is_what_it_said():
    run = a_run()
    write_status(run, Status(state="finished", step=5, steps=5))
    assert summarise(run).state == "finished"
