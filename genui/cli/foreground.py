"""`genui train --foreground`: a training that shows its progress in this terminal."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from genui.base.errors import INTERRUPTED, GenuiError
from genui.base.growing import LineFile
from genui.cli import output
from genui.cli.inspect import FOLLOW_SECONDS, line, read_records
from genui.protocol.kinds import KINDS
from genui.runs import control, launch
from genui.runs.facts import at_step, count_steps, figure, percent, speed, time_left
from genui.runs.layout import RunDir, Status, read_info, read_status
from genui.runs.processes import write_exit


def train_here(run: RunDir) -> int:
    """Train `run` in a child process; Ctrl-C makes it write a checkpoint and stop.

    The child has its own process group, so it does not get Ctrl-C: any signal that ends this
    process asks it to stop, and a second one is passed on.
    """
    with run.console.open("ab") as console:
        child = subprocess.Popen(
            launch.foreground(run),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            env=launch.ALLOCATOR | dict(os.environ),
            process_group=0,
        )
    with _collect_signals() as interrupts:
        _watch(run, child, interrupts)
    write_exit(run, child.returncode)
    status = read_status(run)
    if interrupts and status.state not in ("failed", "finished"):
        what = "stopped" if status.state == "stopped" else "killed"
        output.note(f"{at_step(what, status.step)}; `genui resume {run.id}` continues it")
        return INTERRUPTED
    if status.state == "failed" or child.returncode:
        raise GenuiError(
            f"{at_step(f'{run.id} failed', status.step)}: "
            f"{status.error or f'exit code {child.returncode}'}; see {run.console}"
        )
    output.note(f"{at_step(status.state, status.step)}; {_what_then(run)}")
    return 0


def _what_then(run: RunDir) -> str:
    """The next command for the model: a classifier does not generate."""
    recipe = read_info(run).recipe
    kind = KINDS.get((recipe.get("family", ""), recipe.get("medium", "")))
    if kind is not None and kind.can_generate:
        return f"`genui generate {run.id}` uses it"
    return f"`genui show {run.id}` shows its card"


@contextmanager
def _collect_signals() -> Iterator[list[int]]:
    """Collect the signals SIGINT, SIGTERM and SIGHUP in the list that it yields."""
    received: list[int] = []

    def receive(number: int, _: FrameType | None) -> None:
        received.append(number)  # the main loop may be in the middle of a print

    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.signal(name, receive) for name in names}
    try:
        yield received
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _watch(run: RunDir, child: subprocess.Popen[bytes], interrupts: list[int]) -> None:
    """Print the progress, one changing line in a terminal, else a line for each evaluation, and
    pass interrupts on."""
    live, shown = sys.stderr.isatty(), output.ProgressLine()
    metrics = LineFile(run.metrics)
    passed = 0
    while True:
        while passed < len(interrupts):
            passed += 1
            _pass_on(run, child, passed)
        try:
            child.wait(FOLLOW_SECONDS)
            over = True
        except subprocess.TimeoutExpired:
            over = False
        for record in read_records(metrics):
            if not live and "val_loss" in record:
                output.note(line(record))
        doing = "  stopping…; Ctrl-C again kills it" if interrupts else ""
        shown.show(f"{progress(read_status(run))}{doing}")
        if over:
            break
    shown.clear()
    if live:
        output.note(progress(read_status(run)))


def _pass_on(run: RunDir, child: subprocess.Popen[bytes], number: int) -> None:
    """Ask the child to stop, and the second time terminate it."""
    if number == 1:  # by a file: a trainer that imports torch or reads data would die of a signal
        with suppress(GenuiError):  # the disk is full
            control.send(run, "stop")
            return
    child.terminate()


def progress(status: Status) -> str:
    """`step 120/500  24 %  loss 1.604  val 1.712  5.8k tok/s  312 J estimate …`, or what a run
    that is starting waits for."""
    if status.doing:
        return status.doing
    loss, val, left = figure(status.loss), figure(status.val), time_left(status.eta)
    parts = [
        f"step {count_steps(status.step, status.steps)}",
        percent(status.step, status.steps),
        loss and f"loss {loss}",
        val and f"val {val}",
        speed(status),
        status.energy.format(),
        left and f"{left} left",
    ]
    return "  ".join(filter(None, parts))
