"""Commands for a run, without a screen: what is said, what is left for it, and its answer."""

import asyncio
import dataclasses
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
import stage
from waiting import PATIENCE

from genui.base.errors import GenuiError, MisuseError
from genui.runs import control
from genui.runs.control import Control, parse_learning_rate
from genui.runs.hosts import Placement
from genui.runs.layout import RunDir, RunLock, checkpoint_steps, read_info, write_info
from genui.runs.listing import summarise
from genui.ui import keys, messages
from genui.ui.training import controls
from genui.ui.training.controls import (
    RunControls,
    key_hints,
    refusal,
    stop_text,
)
from genui.ui.watcher import RunView


class Host:
    """Stands for a widget: keeps what is posted and runs what is to be worked at."""

    def __init__(self) -> None:
        self.app = self
        self.posted: list[Any] = []
        self.pushed: list[tuple[Any, Callable[[Any], None]]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def post_message(self, message: Any) -> None:
        self.posted.append(message)

    def run_worker(self, work: Coroutine[Any, Any, None], **_: Any) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    def push_screen(self, screen: Any, callback: Callable[[Any], None] = lambda _: None) -> None:
        self.pushed.append((screen, callback))

    @property
    def said(self) -> list[str]:
        return [one.line for one in self.posted if isinstance(one, messages.ShowStatus)]

    async def until_said(self, text: str) -> None:
        await until(lambda: any(text in line for line in self.said), lambda: str(self.said))


async def until(true: Callable[[], bool], found: Callable[[], str] = str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, found()
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "POLL_INTERVAL", 0.01)


def view_of(run: RunDir, format: str = "genui") -> RunView:
    summary = dataclasses.replace(summarise(run), format=format)
    return RunView(summary, has_checkpoint=bool(checkpoint_steps(run)))


def steered(run: RunDir | None, format: str = "genui") -> tuple[Host, RunControls]:
    host: Any = Host()
    return host, RunControls(host, lambda: None if run is None else view_of(run, format))


def make_script(run: RunDir) -> None:
    write_info(run, msgspec.structs.replace(read_info(run), kind="script"))


@pytest.mark.parametrize(
    ("command", "asked", "answer"),
    [
        ("pause", "pause requested", "paused"),
        ("checkpoint", "checkpoint requested", "checkpoint written"),
        ("evaluate", "evaluation requested", "val_loss 1.7120"),
    ],
)
async def test_what_was_asked_is_said_and_then_what_the_run_did(
    run: RunDir, command: control.Command, asked: str, answer: str
) -> None:
    control.record(run, 50, command, "what was asked before is no answer")
    host, steer = steered(run)
    assert steer.give(command)
    await host.until_said(asked)
    assert control.poll(run) == [Control(command)]
    control.record(run, 101, command, answer)
    await host.until_said(f"{answer} at step 101")
    assert not any("no answer" in line for line in host.said)


async def test_pause_pressed_again_means_the_other_though_the_run_has_not_answered(
    run: RunDir,
) -> None:
    host, steer = steered(run)
    given: list[Control] = []
    for _ in range(3):
        steer.action_pause()
        await until(lambda: bool(found := control.poll(run)) and not given.extend(found))
    assert given == [Control("pause"), Control("resume"), Control("pause")]
    stage.set_state(run, "paused", 100, 400)  # it is seen to be so: now it goes on
    steer.action_pause()
    await until(lambda: bool(found := control.poll(run)) and not given.extend(found))
    assert given[3:] == [Control("resume")]
    assert "resume requested" in host.said


async def test_stop_is_given_after_a_yes_and_the_end_is_its_answer() -> None:
    run = stage.make_run(name="plays", step=100, steps=400)
    with RunLock(run):
        stage.set_state(run, "running", 100, 400)
        host, steer = steered(run)
        steer.action_stop()
        _, answered = host.pushed[0]
        answered(None)
        await asyncio.sleep(0.05)
        assert control.poll(run) == []
        answered(True)
        await host.until_said("stop requested")
        assert control.poll(run) == [Control("stop")]
        stage.set_state(run, "stopped", 107, 400)
    await host.until_said("stopped at step 107")


ANSWERS = """\
import sys
from pathlib import Path
from genui.runs.layout import RunDir
from genui.runs.stack_signal import answer_requests
undo = answer_requests(RunDir(Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.read()
"""


async def test_the_stacks_of_a_running_run_are_shown_and_an_ended_one_has_none(run: RunDir) -> None:
    command = [sys.executable, "-c", ANSWERS, str(run.path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe) as process:  # its trainer
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        host, steer = steered(run)
        steer.action_stacks()
        await until(lambda: bool(host.pushed), lambda: str(host.said))
        process.communicate("")
    (screen, _), *_ = host.pushed
    shown = any("the process is in" in line and "at step" in line for line in screen.lines)
    assert shown, screen.lines
    stage.set_state(run, "stopped", 100, 400)
    steer.action_stacks()
    await host.until_said("this run is stopped: it has no process")


async def test_a_run_that_dies_before_it_obeys_says_so() -> None:
    run = stage.make_run(name="plays", step=100, steps=400)
    with RunLock(run):
        stage.set_state(run, "running", 100, 400)
        host, steer = steered(run)
        steer.give("checkpoint")
        await host.until_said("checkpoint requested")
        stage.set_state(run, "failed", 100, 400, error="no space left on device")
    await host.until_said("before it could write the checkpoint: no space left on device")


async def test_a_slow_answer_is_said_once_and_waited_for(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controls, "SLOW", 0.0)
    host, steer = steered(run)
    steer.give("pause")
    await host.until_said("waiting")
    await asyncio.sleep(0.05)
    assert sum(line.startswith("waiting") for line in host.said) == 1
    monkeypatch.setattr(controls, "TIMEOUT", 0.0)
    await host.until_said("no answer to pause")


async def test_a_full_disk_is_one_line(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(run: RunDir, command: str, value: float | None) -> None:
        raise GenuiError(f"cannot write {run.control}: no space left on device")

    monkeypatch.setattr(controls, "send_live", full)
    host, steer = steered(run)
    steer.give("checkpoint")
    await host.until_said("cannot write")
    assert [one.kind for one in host.posted if isinstance(one, messages.ShowStatus)] == ["error"]


@pytest.mark.parametrize(
    ("text", "line"), [("fast", "'fast' is not a number"), ("-1", "above 0"), ("nan", "above 0")]
)
def test_what_is_no_learning_rate_is_one_line(text: str, line: str) -> None:
    with pytest.raises(MisuseError, match=line):
        parse_learning_rate(text)


@pytest.mark.parametrize("command", ["pause", "checkpoint", "evaluate", "set_lr"])
def test_a_script_is_only_asked_to_stop(run: RunDir, command: control.Command) -> None:
    make_script(run)
    assert "run.stop_requested" in refusal(view_of(run), command)
    assert refusal(view_of(run), "stop") == ""
    assert "ends where it checks" in stop_text(view_of(run))
    assert "log of another tool" in refusal(view_of(run, "wandb"), "stop")


@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_a_script_that_has_ended_is_not_said_to_have_a_checkpoint(state: str) -> None:
    run = stage.make_run(name="plays", state=state)
    make_script(run)
    for command in ("stop", "pause"):
        line = refusal(view_of(run), command)
        assert line == f"this run is {state}: start its script again yourself"


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("stopped", "this run is stopped: space resumes it"),
        ("finished", "this run is finished: n starts another from its checkpoint"),
    ],
)
def test_a_run_that_does_not_train_says_what_can_be_done(state: str, line: str) -> None:
    run = stage.make_run(name="plays", state=state)
    host, steer = steered(run)
    steer.give("pause")
    steer.give("checkpoint")
    steer.action_stop()
    steer.action_rate()
    assert host.said == [line] * 4
    assert control.poll(run) == []
    continuing = {"board.resume", "board.pause"} if state == "finished" else set()
    assert steer.refused_keys("board") == continuing | {
        f"board.{key}" for key in ("checkpoint", "rate", "stop")
    }


def test_the_keys_that_are_refused_have_ids_of_the_table(run: RunDir) -> None:
    make_script(run)
    _, steer = steered(run)
    refused = steer.refused_keys("board")
    names = ("pause", "checkpoint", "rate", "branch", "generate", "resume")
    assert refused == {f"board.{key}" for key in names}
    assert refused <= {key.id for key in keys.list_keys()}


def test_without_a_run_each_command_says_so() -> None:
    host, steer = steered(None)
    steer.action_pause()
    steer.action_stop()
    steer.action_resume()
    steer.action_generate()
    steer.branch(None)
    assert host.said == ["no run is shown yet: press 1, then n to start one"] * 5
    assert {"training.pause", "training.rate"} < steer.refused_keys("training")
    assert steer.refused_keys("training") <= {
        f"training.{key}" for key in (*controls.KEYS, "branch", "generate", "resume")
    }


async def test_a_stopped_run_is_resumed_and_a_paused_one_asked_to_go_on(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    resumed: list[RunDir] = []
    monkeypatch.setattr("genui.runs.launch.resume", resumed.append)
    stopped = stage.make_run(name="verse", state="stopped")
    host, steer = steered(stopped)
    steer.action_resume()
    await host.until_said("resuming from the newest checkpoint")
    assert resumed == [stopped]
    stage.set_state(run, "paused", 100, 400)
    host, steer = steered(run)
    steer.action_resume()
    await host.until_said("resume requested")
    assert control.poll(run) == [Control("resume")]


async def test_a_second_press_says_that_the_run_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def resume(run: RunDir) -> None:
        begun.set()
        go_on.wait(PATIENCE)

    monkeypatch.setattr("genui.runs.launch.resume", resume)
    stopped = stage.make_run(name="verse", state="stopped")
    host, steer = steered(stopped)
    steer.action_pause()
    await until(begun.is_set)
    steer.action_pause()
    await host.until_said("this run is starting already")
    go_on.set()
    await host.until_said("resuming from the newest checkpoint")
    with RunLock(stopped):
        stage.set_state(stopped, "running", 100, 400)
        steer.action_resume()
        await host.until_said("this run is running already")


def test_a_script_cannot_be_resumed_nor_branched_nor_generated_from() -> None:
    run = stage.make_run(name="plays", state="stopped")
    make_script(run)
    host, steer = steered(run)
    steer.action_resume()
    steer.branch(None)
    steer.action_generate()
    assert [line.partition(":")[0] for line in host.said] == [
        "genui did not start this run",
        "this run has no genui checkpoint to start from",
        "this run has no genui checkpoint to generate from",
    ]


@pytest.mark.parametrize(
    ("state", "checkpoint", "does"),
    [("failed", False, "start again"), ("failed", True, "resume"), ("finished", True, None)],
)
def test_the_footer_says_what_space_does_to_the_run(
    state: str, checkpoint: bool, does: str | None
) -> None:
    _, one = steered(stage.make_run(name="over", state=state, step=5, checkpoint=checkpoint))
    assert one.names_of_keys("board") == ({"board.pause": does} if does else {})


async def test_without_a_checkpoint_it_says_how_to_get_one(run: RunDir) -> None:
    for path in Path(run.checkpoints).iterdir():
        path.unlink()
    host, steer = steered(run)
    steer.branch(None)
    await host.until_said("no checkpoint yet: ^s writes one")


async def test_a_run_that_waits_in_a_queue_is_stopped_and_not_started_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = stage.make_run(name="plays", state="queued", checkpoint=False)
    launched: list[object] = []
    monkeypatch.setattr("genui.runs.launch.launch", lambda *given: launched.append(given))
    monkeypatch.setattr("genui.runs.slurm.is_queued", lambda run: True)
    view = view_of(run)
    assert key_hints(view) == ["^x stop"]
    assert refusal(view, "stop") == ""
    assert refusal(view, "checkpoint") == "this run is queued: ^x takes it out of Slurm's queue"
    assert stop_text(view) == "Its job leaves Slurm's queue."
    host, steer = steered(run)
    steer.action_pause()
    await host.until_said("stop it first")
    assert not launched


async def test_a_run_that_failed_without_a_checkpoint_can_only_be_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = stage.make_run(name="plays", state="failed", checkpoint=False)
    launched: list[tuple[Any, ...]] = []
    other = RunDir(run.path.with_name("again"))

    def launch(
        recipe: Any, overrides: dict[str, str], name: str, start_from: str, where: Placement
    ) -> RunDir:
        launched.append((recipe.steps, overrides, name, start_from, where))
        return other

    monkeypatch.setattr("genui.runs.launch.launch", launch)
    assert key_hints(view_of(run)) == ["space start again"]
    host, steer = steered(run)
    assert {"board.generate", "board.branch"} <= steer.refused_keys("board")
    steer.action_generate()
    assert host.said == ["this run has no checkpoint to generate from: space starts it again"]
    steer.action_pause()  # as resume does
    steer.action_pause()  # the key was pressed twice
    await host.until_said("again starts again with the same settings")
    assert launched == [(4000, {"steps": "4000"}, "plays", "", Placement())]


@pytest.mark.parametrize(
    ("state", "checkpoint", "script", "hints"),
    [
        ("failed", True, False, ["space resume", "G generate"]),
        ("finished", True, False, ["G generate"]),
        ("finished", False, False, []),
        ("finished", False, True, []),
        ("failed", True, True, []),
    ],
)
def test_a_run_that_has_ended_offers_what_works(
    state: str, checkpoint: bool, script: bool, hints: list[str]
) -> None:
    run = stage.make_run(name="plays", state=state, checkpoint=checkpoint)
    if script:
        make_script(run)
    assert key_hints(view_of(run)) == hints
