"""What is known of the end of a run: its exit status, the last lines of each process, its job.

`find_ending` reads the folder alone, fast enough for a list of runs; with `ask` it also asks the
kernel's log and Slurm. `find_ending_of` reads the files of other people's runs.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import free_space, open_unblocked, stamp_of
from genui.base.numbers import size
from genui.base.text import clean
from genui.runs import slurm
from genui.runs.endings import Ending, Evidence, Output, decide, signal_name
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
from genui.runs.processes import Exit, read_exit, read_failures

LAST_LINES = 200
"""The lines at the end of each file that are searched."""

SHOWN_LINES = 3
"""The lines at the end of each file that are shown."""

_TAIL = 128 << 10  # bytes
_MOST_FILES = 256  # of a folder, and of the ranks of a run
_PRINTED = re.compile(r".+\.(?:log|out|err|txt)|std(?:out|err)|stdout\.log|stderr\.log")
_RANK = re.compile(r"rank[-_]?(\d{1,6})\b|/attempt_\d+/(\d{1,6})/")
_JOB = re.compile(r"slurm-(\d+)(?:_\d+)?\.(?:out|err)$")
_KILLED = re.compile(r"Killed process (?P<pid>\d+) \((?P<name>[^)]*)\)")


def recall_ending(run: RunDir, state: str) -> Ending | None:
    """`find_ending` without `ask`, again only when the files have changed; None if the folder is
    damaged."""
    files = (run.status, run.exit, run.console, run.events)
    return _recall(run, state, tuple(map(stamp_of, files)))


@lru_cache(maxsize=1024)
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
    kept = read_exit(run)
    code = kept.status if kept is not None else _status_in(status.error)
    facts = [] if code is None else [("exit status", describe_status(code))]
    if by := _stopped_by(run) if state == "stopped" else 0:
        code = -by
        facts.append(("signal", signal_name(by)))
    elif state == "stopped" and (code is None or code >= 0):
        return Ending(name=state, cause="it was asked to stop (genui stop, the app, or Ctrl-C)")
    memory = ""
    if kept is not None and kept.oom_kills:
        memory = f"the kernel killed {kept.oom_kills} of its processes for memory (cgroup)"
        facts.append(("memory", memory))
    job = info.slurm.get("job", "") if ask else ""
    is_parent = state == "dead" and info.processes > 1
    evidence = Evidence(
        outputs=tuple(_read_own(run, status, kept)),
        code=code,
        is_parent=is_parent,
        killed_for_memory=memory,
    )
    return _decide(run.path, evidence, facts, job, [status.pid] if ask else [])


def find_ending_of(path: Path) -> Ending:
    """Why a training of another tool has ended, from a file that it has printed to, or a folder of
    such files. Raises MisuseError if there are none."""
    files = [path] if path.is_file() else sorted(_printed_below(path))[:_MOST_FILES]
    outputs = [output for file in files if (output := _read_output(file, path)) is not None]
    if not outputs:
        raise MisuseError(f"{path}: has no file of printed lines (.log, .out, .err, .txt)")
    jobs = [match[1] for file in files if (match := _JOB.search(file.name))]
    pids = [int(pid) for each in outputs for pid in re.findall(r"\(pid: (\d+)\)", str(each.lines))]
    evidence = Evidence(outputs=tuple(outputs))
    return _decide(path, evidence, [], jobs[-1] if jobs else "", pids)


def describe_status(code: int) -> str:
    """`1`, or `137 (SIGKILL)` as shells have it, for -9."""
    return str(code) if code >= 0 else f"{128 - code} ({signal_name(-code)})"


def _status_in(error: str) -> int | None:
    """The exit status in the error of a script or a recorded command: `exit code 137`."""
    match = re.fullmatch(r"exit code (\d{1,3})", error)
    return Exit(int(match[1])).status if match else None


def _decide(
    folder: Path, evidence: Evidence, facts: list[tuple[str, str]], job: str, pids: Sequence[int]
) -> Ending:
    """Ask Slurm for the job and the kernel for the processes, if there are any, and decide."""
    facts = list(facts)
    if job and (found := slurm.describe_end(job)):
        evidence = replace(evidence, slurm=found.get("JobState", ""))
        facts.append((f"job {job}", ", ".join(f"{key}={value}" for key, value in found.items())))
    if pids and (line := _killed_by_kernel(pids)):
        evidence = replace(evidence, killed_for_memory=line)
        facts.append(("kernel", line))
    with suppress(OSError):
        evidence = replace(evidence, free=free_space(folder))
    ending = decide(evidence)
    if ending.name in ("disk-full", "cut-off-file") and evidence.free is not None:
        facts.append(("free now", size(evidence.free)))
    return msgspec.structs.replace(ending, evidence=[*facts, *_show(evidence.outputs)])


def _show(outputs: Sequence[Output]) -> Iterator[tuple[str, str]]:
    """The last lines of each file, and the rank that fell silent first."""
    ranks = [each for each in outputs if each.rank is not None and each.written]
    if len(ranks) > 1:
        first = min(ranks, key=lambda each: each.written)
        when = time.strftime("%H:%M:%S", time.localtime(first.written))
        yield "silent first", f"rank {first.rank}, which printed last at {when}"
    for output in outputs:
        for line in output.lines[-SHOWN_LINES:]:
            yield output.name, line


def _stopped_by(run: RunDir) -> int:
    """The signal that has stopped a run; 0 for a command, and if it is not known."""
    events = list(_last_events(run))
    for event in events:
        if event.get("event") == SIGNALLED:
            with suppress(KeyError):
                return int(signal.Signals[str(event.get("text"))])
            return int(signal.SIGTERM)
    return 0


def _last_events(run: RunDir) -> Iterator[dict[str, Any]]:
    """The last two events: a launcher that gets a signal asks its ranks to stop by a command."""
    for line in _read_tail(run.events)[-2:]:
        with suppress(msgspec.DecodeError, RecursionError):
            yield msgspec.json.decode(line, type=dict[str, Any])


def _read_own(run: RunDir, status: Status, kept: Exit | None) -> list[Output]:
    """What the processes of a run have printed since they were started last, and what others have
    written of them."""
    outputs: list[Output] = []
    if status.error:
        outputs.append(Output(run.status.name, (status.error,)))
    for rank, error in sorted(read_failures(run).items()):
        outputs.append(Output(f"status-rank{rank}.json", (error,), rank))
    paths = [path for path in (run.path / "slurm.log", run.console) if path.is_file()]
    paths += sorted(run.path.glob("console-rank*.log"))[:_MOST_FILES]
    for path in paths:
        begin = kept.console if kept is not None and path == run.console else 0
        output = _read_output(path, run.path, begin)
        if output is None or output.written < status.started:  # of an earlier start
            continue
        starts = [at for at, line in enumerate(output.lines) if line.startswith(slurm.START)]
        outputs.append(output._replace(lines=output.lines[starts[-1] + 1 if starts else 0 :]))
    return outputs


def _printed_below(folder: Path) -> Iterator[Path]:
    """The files of printed lines in a folder, at most four levels below it."""
    for path, folders, names in os.walk(folder):
        if path.count(os.sep) - str(folder).count(os.sep) >= 4:
            folders.clear()
        yield from (Path(path, name) for name in names if _PRINTED.fullmatch(name))


def _read_output(path: Path, folder: Path, begin: int = 0) -> Output | None:
    """The last lines of a file, from the byte `begin` on; None if it is empty or cannot be read."""
    name = str(path.relative_to(folder)) if path != folder else path.name
    rank = _RANK.search(f"/{name}")
    lines = _read_tail(path, begin)[-LAST_LINES:]
    if not lines:
        return None
    number = next((int(group) for group in rank.groups() if group), None) if rank else None
    return Output(name, tuple(lines), number, path.stat().st_mtime)


def _read_tail(path: Path, begin: int = 0) -> list[str]:
    """The lines at the end of a file without control characters, also of one that grows."""
    with suppress(OSError), open_unblocked(path) as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - _TAIL, begin if begin <= end else 0))
        text = (file.read(_TAIL) or b"").decode(errors="replace")
        lines = (clean(line.rpartition("\r")[2]).rstrip() for line in text.split("\n"))
        return [line for line in lines if line]
    return []


def _killed_by_kernel(pids: Sequence[int]) -> str:
    """The line of the kernel's log that says it killed one of these processes for memory; "" if
    there is none, or it may not be read."""
    try:
        log = subprocess.run(
            ["dmesg"], capture_output=True, text=True, errors="replace", timeout=5, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    killed = [
        line
        for line in log.splitlines()
        if (match := _KILLED.search(line)) and int(match["pid"]) in pids
    ]
    return clean(killed[-1]).strip() if killed else ""
