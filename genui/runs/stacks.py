"""The Python stacks of the processes of a run that stands still.

A training writes its stack when it gets a signal (`genui.runs.stack_signal`). The stacks of other
processes are read by py-spy (https://github.com/benfred/py-spy), where the system allows it.
"""

import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from genui.base.calls import run_program
from genui.base.errors import GenuiError, install
from genui.base.files import last_record, read_end
from genui.base.text import clean_line
from genui.runs.layout import LIVE, RunDir, read_info
from genui.runs.listing import RunSummary
from genui.runs.ranks import rank_file
from genui.runs.stack_groups import Frame, RankStack, describe_groups, group_stacks, parse_stack
from genui.runs.stack_signal import STOPPED, answerers, request_stack, stack_file

_PATIENCE = 2.0  # seconds for the stacks; they are written in milliseconds
_POLL = 0.02
_RECENT = 120.0  # seconds for which a stack that was written on another host is used
_LONGEST = 128 * 1024  # bytes of the end of a file with stacks
_PY_SPY_PATIENCE = 5.0
_SKEW = 60.0  # seconds between the clocks of hosts that share the folder


def explain_standstill(summary: RunSummary) -> str:
    """What the ranks of a run do now, in one line; "" if nothing is known. Waits for up to a few
    seconds. Never raises."""
    with suppress(OSError, GenuiError):
        return describe_groups(group_stacks(collect_stacks(summary)))
    return ""


def collect_stacks(summary: RunSummary) -> list[RankStack]:
    """The stacks of the ranks of a run that is alive, by rank. Waits for up to a few seconds."""
    run = summary.run
    if not summary.native or summary.state not in LIVE:
        return []
    since = summary.status.started - _SKEW  # before it are the records of an earlier start
    known = sorted(answerers(run), key=lambda each: each[0])
    records = {rank: one for rank, one, written in known if written > since}
    if not records:
        return _spy(summary)
    stacks: dict[int, RankStack] = {}
    asked: dict[int, int] = {}  # the sizes of the files of ranks that answer a signal
    for rank, one in records.items():
        if not one.is_here:
            stacks[rank] = _recall(run, rank, clean_line(one.host, 60))
        elif isinstance(answer := request_stack(run, rank, one), str):
            remedy = f"kill -CONT {one.pid}" if answer == STOPPED else ""
            stacks[rank] = RankStack(rank, note=answer, remedy=remedy)
        else:
            asked[rank] = answer
            remedy = f"py-spy dump --pid {one.pid}"
            stacks[rank] = RankStack(rank, note="not answering", remedy=remedy)
    for rank, frames in _await_stacks(run, asked).items():
        stacks[rank] = RankStack(rank, frames)
    return [one._replace(step=_last_step(run, rank)) for rank, one in stacks.items()]


def _await_stacks(run: RunDir, before: Mapping[int, int]) -> dict[int, tuple[Frame, ...]]:
    """The stacks that ranks write beyond the size of their files `before`, as far as they come in
    time."""
    answers: dict[int, tuple[Frame, ...]] = {}
    sizes, deadline = dict(before), time.monotonic() + _PATIENCE
    while len(answers) < len(before) and time.monotonic() < deadline:
        time.sleep(_POLL)
        for rank in before.keys() - answers.keys():
            with suppress(OSError):
                earlier, sizes[rank] = sizes[rank], stack_file(run, rank).stat().st_size
                is_whole = earlier == sizes[rank] > before[rank]
                if is_whole and (frames := _read_stack(run, rank)):
                    answers[rank] = frames
    return answers


def _recall(run: RunDir, rank: int, host: str) -> RankStack:
    """The stack that a rank on another host has written lately, or the command that asks there."""
    with suppress(OSError):
        age = time.time() - stack_file(run, rank).stat().st_mtime
        if age < _RECENT and (frames := _read_stack(run, rank)):
            return RankStack(rank, frames)
    return RankStack(rank, note=f"on {host}", remedy=_command_there(run, host))


def _read_stack(run: RunDir, rank: int) -> tuple[Frame, ...]:
    return parse_stack(read_end(stack_file(run, rank), _LONGEST).decode(errors="replace"))


def _last_step(run: RunDir, rank: int) -> int | None:
    """The last step that a rank has recorded."""
    for path in (rank_file(run, rank), *([] if rank else [run.metrics])):
        if isinstance(step := last_record(path).get("step"), int):
            return step
    return None


def _command_there(run: RunDir, host: str) -> str:
    """The command that shows the stacks of the ranks on another host."""
    with suppress(GenuiError):
        if job := read_info(run).slurm.get("job"):
            return shlex.join(
                ["srun", "--overlap", "--jobid", job, "-w", host, "genui", "why", run.id]
            )
    return f"ssh {shlex.quote(host)} genui why {run.id}"


# --- py-spy, for processes that do not answer a signal -----------------------------------------


def _spy(summary: RunSummary) -> list[RankStack]:
    """The stacks of the processes of a run without records, read by py-spy."""
    pid, host = summary.status.pid, clean_line(summary.status.host, 60)
    if not pid:
        return []
    if host != socket.gethostname():
        where = _command_there(summary.run, host)
        return [RankStack(0, note=f"on {host}", remedy=where)]
    is_recorded = {"command", "folder"} <= summary.info.config.keys()  # by `genui run`
    ranks = _ranks_of(pid, is_recorded)
    return [
        _spy_on(rank, pid)._replace(step=_last_step(summary.run, rank))
        for rank, pid in sorted(ranks.items())
    ]


def _ranks_of(pid: int, is_recorded: bool) -> dict[int, int]:
    """The processes by rank: those with RANK, as torchrun sets it, or else the one itself; of a
    command that genui records, its child."""
    import psutil  # late: most runs answer themselves

    ranks: dict[int, int] = {}
    children: list[int] = []
    with suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            children.append(child.pid)
            with suppress(psutil.Error):
                if (rank := child.environ().get("RANK", "")).isdecimal():
                    ranks.setdefault(int(rank), child.pid)  # its own children have it too
    return ranks or {0: children[0] if is_recorded and children else pid}


def _spy_on(rank: int, pid: int) -> RankStack:
    command = ["py-spy", "dump", "--full-filenames", "--pid", str(pid)]
    beside = Path(sys.executable).with_name("py-spy")
    program = shutil.which("py-spy") or (str(beside) if beside.exists() else "")
    if not program:
        note = f"not recorded yet, and py-spy is not installed: {install('stacks')}"
        return RankStack(rank, note=note, remedy=shlex.join(command))
    try:
        done = run_program([program, *command[1:]], _PY_SPY_PATIENCE)
        if not done.returncode and (frames := parse_stack(done.stdout)):
            return RankStack(rank, frames)
        lines = done.stderr.strip().splitlines() or ["it printed no stack"]
        why = clean_line(lines[0].removeprefix("Error: "), 120)
    except (OSError, subprocess.TimeoutExpired) as error:
        why = clean_line(str(error), 120)
    remedy = shlex.join(["sudo", program, *command[1:]])
    return RankStack(rank, note=f"not readable ({why})", remedy=remedy)
