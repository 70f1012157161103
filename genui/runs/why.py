"""What is known of the end of a run: its exit status, the last lines of each process, its job.

`find_ending` reads the folder alone, fast enough for a list of runs; with `ask` it also asks the
kernel's log and Slurm. `find_ending_of` reads the files of other people's runs.
"""

import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import msgspec

from genui.base.calls import run_program
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import files_below, free_space, read_end, stamp_of
from genui.base.numbers import size
from genui.base.text import clean
from genui.runs import slurm
from genui.runs.endings import Ending, Output, decide, describe_status, signal_name
from genui.runs.facts import at_step
from genui.runs.layout import (
    LIVE,
    SIGNALLED,
    RunDir,
    RunInfo,
    Status,
    read_info,
    read_status,
)
from genui.runs.processes import CLOCK_LAG, LOST, Exit, read_exit, read_failures

_QUIET = 15.0  # seconds after which a log without an error may have ended

LAST_LINES = 200
"""The lines at the end of each file that are searched."""

SHOWN_LINES = 3
"""The lines at the end of each file that are shown."""

_LITTLE = 1 << 30  # bytes of free space: a disk with less counts as full
_TAIL, _LONGEST = 128 << 10, 1000  # bytes, and characters of a line
_MOST_FILES = 256  # of a folder, and of the ranks of a run
_PRINTED = (".log", ".out", ".err", ".txt", "stdout", "stderr")  # how names end
_RANK = re.compile(r"rank[-_]?(\d{1,6})\b|/attempt_\d+/(\d{1,6})/")
_JOB = re.compile(r"slurm-(\d+(?:_\d+)?)\.(?:out|err)$")


def recall_ending(run: RunDir, state: str) -> Ending | None:
    """`find_ending` without `ask`, again only when the files have changed; None if the folder is
    damaged."""
    files = (run.path, run.status, run.exit, run.console, run.events, run.path / slurm.LOG)
    return _recall(run, state, tuple(map(stamp_of, files)))


@lru_cache(maxsize=1 << 14)
def _recall(run: RunDir, state: str, stamps: object) -> Ending | None:
    with suppress(GenuiError):
        return find_ending(run, read_info(run), read_status(run), state)
    return None


def find_ending(
    run: RunDir, info: RunInfo, status: Status, state: str, ask: bool = False
) -> Ending:
    """Why a run has ended, from its folder; with `ask` also from the kernel's log and Slurm.

    Never raises. Its name is "unknown" if nothing says why, and its state if it is not over or has
    ended by itself.
    """
    if state in LIVE or state in ("queued", "finished", "pruned"):
        return Ending(name=state, cause=at_step(state, status.step))
    kept = read_exit(run, status.started)
    code = kept.status if kept is not None else _status_in(status.error)
    facts = [] if code is None else [("exit status", describe_status(code))]
    if by := _stopped_by(run, status) if state == "stopped" else 0:
        code, facts = -by, [("signal", signal_name(by))]
    elif state == "stopped" and (code is None or code >= 0):
        return Ending(name=state, cause="it was asked to stop (genui stop, the app, or Ctrl-C)")
    if state == "dead" and info.processes > 1 and code is not None:
        code = LOST  # it is that of their parent, who writes the end of a rank
    outputs = list(_read_own(run, status, kept))
    if kept is not None and kept.oom_kills:
        outputs.append(Output("cgroup", (f"oom_kill {kept.oom_kills}",)))
    if ask:
        is_here = status.host == socket.gethostname()
        outputs += _ask(info.slurm.get("job", ""), [status.pid] if is_here else [])
    ending = _decide(run.path, outputs, code, facts)
    if ending.name == "unknown" and status.error and code != _status_in(status.error):
        return msgspec.structs.replace(ending, name="error", cause=status.error)
    return ending


def find_ending_of(path: Path) -> Ending:
    """Why a training of another tool has ended, from a file that it has printed to, or a folder of
    such files. Raises MisuseError if there are none."""
    files = [path] if path.is_file() else files_below(path, _PRINTED, _MOST_FILES)
    outputs = [output for file in files if (output := _read_output(file, path)) is not None]
    if not outputs:
        fault = "has no file of printed lines (.log, .out, .err, .txt)"
        if path.is_file():
            fault = "is empty, or cannot be read; name a file of printed lines"
        raise MisuseError(f"{path}: {fault}")
    jobs = [match[1] for file in files if (match := _JOB.search(file.name))]
    pids = [int(pid) for each in outputs for pid in re.findall(r"\(pid: (\d+)\)", str(each.lines))]
    ending = _decide(path, [*outputs, *_ask(jobs[-1] if jobs else "", pids)], None, [])
    if ending.name == "unknown" and max(each.written for each in outputs) > time.time() - _QUIET:
        cause = "it has printed just now: perhaps it still runs"
        return msgspec.structs.replace(ending, cause=cause)
    return ending


def _status_in(error: str) -> int | None:
    """The exit status in the error of a script or a recorded command: `exit code 137`."""
    match = re.fullmatch(r"exit code (\d{1,3})", error)
    return Exit(int(match[1])).status if match else None


def _decide(
    folder: Path, outputs: Sequence[Output], code: int | None, facts: list[tuple[str, str]]
) -> Ending:
    """Choose the ending, and show what speaks for it."""
    free = _LITTLE
    with suppress(OSError):
        free = free_space(folder)
    ending = decide(outputs, code, free < _LITTLE)
    if free < _LITTLE:
        facts = [*facts, ("free space", size(free))]
    return msgspec.structs.replace(ending, evidence=[*facts, *_show(outputs)])


def _ask(job: str, pids: Sequence[int]) -> Iterator[Output]:
    """What Slurm says of a job, and the kernel's log of processes that it killed for memory, as far
    as they answer."""
    if job and (line := slurm.describe_end(job)):
        yield Output(f"job {job}", (line,))
    if not pids:
        return
    with suppress(OSError, subprocess.TimeoutExpired):
        for line in run_program(["dmesg"], 5).stdout.splitlines():
            killed = re.search(r"[Oo]ut of memory: Killed process (\d+) ", line)
            if killed and int(killed[1]) in pids:
                yield Output("dmesg", (clean(line),))


def _show(outputs: Sequence[Output]) -> Iterator[tuple[str, str]]:
    """The last lines of each file, and the rank that fell silent first."""
    newest: dict[int, float] = {}
    for each in outputs:
        if each.rank is not None and each.written:
            newest[each.rank] = max(each.written, newest.get(each.rank, 0.0))
    if len(newest) > 1:
        first = min(newest, key=lambda rank: newest[rank])
        begin, end = (
            time.strftime("%H:%M:%S", time.localtime(when))
            for when in (newest[first], max(newest.values()))
        )
        yield "silent first", f"rank {first}, at {begin}; the last one at {end}"
    for output in outputs:
        for line in output.lines[-SHOWN_LINES:]:
            yield output.name, line


def _stopped_by(run: RunDir, status: Status) -> int:
    """The signal that has stopped a run since its last start; 0 for a command. A launcher that gets
    a signal asks its ranks to stop by a command: so it may be the last event but one."""
    for line in _read_tail(run.events)[-2:]:
        with suppress(msgspec.DecodeError, RecursionError, KeyError):
            event = msgspec.json.decode(line, type=dict[str, str | float])
            is_new = float(event.get("time", 0.0)) >= status.started - CLOCK_LAG
            if event["event"] == SIGNALLED and is_new:
                return signal.Signals.__members__.get(str(event["text"]), signal.SIGTERM)
    return 0


def _read_own(run: RunDir, status: Status, kept: Exit | None) -> list[Output]:
    """What the processes of a run have printed since they were started last, less CLOCK_LAG, and
    what others have written of them."""
    outputs: list[Output] = []
    if status.error:
        outputs.append(Output(run.status.name, (status.error,)))
    for rank, error in sorted(read_failures(run).items()):
        outputs.append(Output(f"status-rank{rank}.json", (error,), rank))
    ranks = sorted(run.path.glob("console-rank*.log"))[:_MOST_FILES]
    for path in (run.path / slurm.LOG, run.console, *ranks):
        begin = kept.console if kept is not None and path == run.console else 0
        output = _read_output(path, run.path, begin)
        if output is not None and output.written >= status.started - CLOCK_LAG:
            starts = [at for at, line in enumerate(output.lines) if line.startswith(slurm.START)]
            outputs.append(output._replace(lines=output.lines[starts[-1] + 1 if starts else 0 :]))
    for path in sorted(run.path.glob("metrics-rank*.jsonl"))[:_MOST_FILES]:
        with suppress(OSError):  # when a rank trained last
            outputs.append(Output(path.name, (), _rank_in(path.name), path.stat().st_mtime))
    return outputs


def _read_output(path: Path, folder: Path, begin: int = 0) -> Output | None:
    """The last lines of a file, from the byte `begin` on; None if it is empty or cannot be read."""
    name = str(path.relative_to(folder)) if path != folder else path.name
    with suppress(OSError):
        if lines := _read_tail(path, begin)[-LAST_LINES:]:
            return Output(name, tuple(lines), _rank_in(name), path.stat().st_mtime)
    return None


def _rank_in(name: str) -> int | None:
    """The rank in the name of a file."""
    match = _RANK.search(f"/{name}")
    return None if match is None else int(match[1] or match[2])


def _read_tail(path: Path, begin: int = 0) -> list[str]:
    """The lines at the end of a file without control characters, also of one that grows."""
    with suppress(OSError):
        text = read_end(path, _TAIL, begin).decode(errors="replace")
        shown = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
        return [line for each in shown if (line := clean(each[:_LONGEST]).rstrip())]
    return []
