"""`genui pause`, `resume`, `stop`, `checkpoint`, `evaluate`, `set` and `inspect`."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from genui.cli.main import main
from genui.runs import control, launch
from genui.runs.control import Control
from genui.runs.hosts import Placement
from genui.runs.layout import RunDir, create_script_run
from genui.runs.writer import RunWriter

States = {"pause": "paused", "resume": "running", "stop": "stopped"}


@contextmanager
def trained(run: RunDir, obeys: bool = True) -> Iterator[RunWriter]:
    """A trainer in a thread that does what control/ says and nothing else."""
    over = threading.Event()
    with RunWriter(run) as writer:
        writer.update(state="running", step=7)

        def obey() -> None:
            while not over.wait(0.01):
                for order in control.poll(run) if obeys else ():
                    if order.command in States:
                        writer.update(state=States[order.command])
                    else:
                        control.record(run, 7, order.command, f"obeyed {order}")

        thread = threading.Thread(target=obey)
        thread.start()
        try:
            yield writer
        finally:
            over.set()
            thread.join()


@pytest.fixture
def run(make_run: Callable[..., RunDir]) -> RunDir:
    return make_run("stopped")


def test_a_live_run_obeys_and_the_shell_says_so(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    with trained(run):
        assert main(["pause", "last"]) == 0
        assert main(["resume", "tiny"]) == 0
        assert main(["resume", "tiny"]) == 0
        assert main(["checkpoint", run.id[:8]]) == 0
        assert main(["evaluate", "last"]) == 0
        assert main(["set", "last", "learning_rate=3e-4"]) == 0
        assert main(["set", "last", "learning_rate=1e-4"]) == 0
        assert main(["stop", run.id]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{run.id}: paused at step 7",
        f"{run.id}: running at step 7",
        f"{run.id}: already running",
        f"{run.id}: obeyed checkpoint at step 7",
        f"{run.id}: obeyed evaluate at step 7",
        f"{run.id}: obeyed set_lr 0.0003 at step 7",
        f"{run.id}: obeyed set_lr 0.0001 at step 7",
        f"{run.id}: stopped at step 7",
    ]


def test_a_run_that_is_busy_is_not_waited_for_forever(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    with trained(run, obeys=False):
        assert main(["pause", "last", "--wait", "0"]) == 0
    assert "pause requested; it takes effect between two steps" in capsys.readouterr().out
    assert control.poll(run) == [Control("pause")]


@pytest.mark.parametrize("command", ["pause", "stop", "checkpoint", "evaluate"])
def test_there_is_nothing_to_steer_in_a_run_that_is_over(
    command: str, run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "last"]) == 1
    assert f"genui resume {run.id}" in capsys.readouterr().err
    assert control.poll(run) == []


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("learning_rate=0", "learning rate 0: give a number above 0 and at most 10, as in 3e-4"),
        ("learning_rate=11", "learning rate 11: give a number above 0 and at most 10, as in 3e-4"),
        ("learning_rate=nan", "learning rate nan: give a number"),
        ("learning_rate=fast", "'fast' is not a number: above 0 and at most 10"),
        ("3e-4", "'3e-4': expected learning_rate=VALUE, as in learning_rate=3e-4"),
        ("lr=3e-4", "lr=3e-4: only learning_rate can change in a run; give learning_rate=VALUE"),
        ("name=x", "only learning_rate can change"),
        ("width=64", "genui train --from last --set width=64"),
    ],
)
def test_what_cannot_be_set_in_a_run_is_refused_in_one_line(
    setting: str, fault: str, run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    with trained(run, obeys=False):
        assert main(["set", "last", setting]) == 2
    said = capsys.readouterr().err.replace(run.id, "last")
    assert said.startswith("genui: ")
    assert said.count("\n") == 1
    assert fault in said
    assert control.poll(run) == []


def test_a_script_has_no_learning_rate_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    create_script_run("mine", "project", {})
    assert main(["set", "last", "learning_rate=3e-4"]) == 2
    assert "belongs to a script" in capsys.readouterr().err


def test_a_learning_rate_is_given_to_a_run_when_it_is_resumed(
    make_run: Callable[..., RunDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float | None, Placement | None]] = []
    monkeypatch.setattr(launch, "resume", lambda run, *given: asked.append(given))
    run = make_run("failed")
    assert main(["resume", "last", "--set", "learning_rate=1e-4"]) == 0
    assert main(["resume", "last", "--nproc", "2"]) == 0
    assert main(["resume", "last", "--nproc", "2", "--shard"]) == 0
    assert main(["resume", "last", "--set", "width=64"]) == 2
    with trained(run) as writer:
        writer.update(state="paused")
        assert main(["resume", "last", "--set", "learning_rate=2e-4"]) == 0
        assert writer.status.state == "running"
    assert [event.text for event in control.read_events(run)] == ["obeyed set_lr 0.0002"]
    # None: in as many processes as before
    assert asked == [(1e-4, None), (None, Placement(2)), (None, Placement(2, shard=True))]


def test_what_cannot_apply_to_a_resumed_run_is_refused(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with trained(run) as writer:
        for state in ("running", "paused"):
            writer.update(state=state)
            assert main(["resume", "last", "--nproc", "2", "--shard"]) == 2
            fault = f"--nproc, --shard: {run.id} is {state}; stop it first (genui stop {run.id})"
            assert fault in capsys.readouterr().err
    assert main(["resume", "last", "--again"]) == 2
    assert f"--again: {run.id} is a run, not a sweep" in capsys.readouterr().err
    for name, value in {
        "RANK": "1",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "h",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    for option in ("--nproc=2", "--set=learning_rate=1e-4"):
        assert main(["resume", "last", option]) == 2
        assert "the processes are started already" in capsys.readouterr().err


@pytest.mark.parametrize("state", ["stopped", "failed", "running"])
def test_resume_restarts_a_run_without_a_trainer(
    state: str,
    make_run: Callable[..., RunDir],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    started: list[RunDir] = []
    monkeypatch.setattr(launch, "resume", lambda run, *given: started.append(run))
    run = make_run(state)  # "running" without a trainer is dead
    assert main(["resume", "last"]) == 0
    assert started == [run]
    assert f"{run.id}: restarted" in capsys.readouterr().out


def test_a_finished_run_has_nothing_to_resume(
    make_run: Callable[..., RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run("finished")
    assert main(["resume", "last"]) == 1
    assert f"{run.id} is finished" in capsys.readouterr().err


def test_an_unknown_run_is_misuse_with_the_nearest(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stop", "tinny"]) == 2
    assert "did you mean 'tiny'?" in capsys.readouterr().err


# --- inspect ------------------------------------------------------------------------


def test_inspect_says_how_far_a_run_is(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    with trained(run) as writer:
        writer.update(state="paused", loss=1.25, units_per_s=5800.0, unit="tok/s")
        assert main(["inspect", "last"]) == 0
    facts = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert facts["state"] == "paused"
    assert facts["step"] == "7 of 40 (18 %)"
    assert facts["loss"] == "1.250"
    assert facts["speed"] == "5.8k tok/s"
    assert facts["changed"] == "steps=40"
    assert facts["folder"] == str(run.path)


def test_inspect_json(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "last", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["id"], found["state"], found["step"]) == (run.id, "stopped", 40)


def test_inspect_names_what_is_broken(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    run.status.write_text("not json")
    assert main(["inspect", run.id]) == 1
    assert "status.json" in capsys.readouterr().err


def test_follow_prints_each_record_until_the_run_is_over(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    with trained(run) as writer:
        writer.log(1, loss=3.0)

        def go_on() -> None:
            time.sleep(0.1)
            writer.log(2, loss=float("nan"))
            writer.log(3, loss=1.0)
            writer.update(state="finished")

        thread = threading.Thread(target=go_on)
        thread.start()
        assert main(["inspect", "last", "--follow", "--json"]) == 0
        thread.join()
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["step"], r["loss"]) for r in records] == [(1, 3.0), (2, "NaN"), (3, 1.0)]


def test_follow_shows_a_person_the_last_records_first(
    make_run: Callable[..., RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run("finished")
    whole = "".join(f'{{"step": {i}, "time": 1.0, "loss": 0.5}}\n' for i in range(1, 31))
    run.metrics.write_text(whole + 'garbage\n{"step": 40, "rewind": true}\n{"step": 31, "lo')
    assert main(["inspect", "last", "--follow"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert lines[1:10] == [f"step {i}  loss 0.5000" for i in range(22, 31)]
    assert lines[10].startswith("step 40  continues from here")
    assert len(lines) == 11  # the first is the fact "step 40 of 40"


def test_following_a_run_that_failed_says_why(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    status = json.loads(run.status.read_bytes()) | {"state": "failed", "error": "the disk is full"}
    run.status.write_text(json.dumps(status))
    assert main(["inspect", "last", "--follow"]) == 1
    assert "failed at step 40: the disk is full" in capsys.readouterr().err
