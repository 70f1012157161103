"""The contact between the processes that train one run: their commands, their variables, and the
line that says why they have ended."""

import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_write, read_json
from genui.base.text import clean_line
from genui.runs.hosts import HERE
from genui.runs.layout import RunDir, state_steps

WATCHED = "GENUI_LAUNCHER"
"""Environment variable of a trainer with the process of the launcher that watches it."""

LOST = 75
"""The exit code of a trainer that ends because another one failed, or all did."""

JOB_VARIABLES = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "TORCHELASTIC_USE_AGENT_STORE", WATCHED,
)  # fmt: skip
"""The variables of a job, which a run that is started from within the job must not inherit."""

TRAINER = (sys.executable, "-m", "genui.engine.trainer")
"""The command of a trainer, before the folder of its run."""

LAUNCHER = (sys.executable, "-m", "genui.engine.launcher")
"""The command of the parent of several trainers, before the folder of their run."""


def describe_failure(
    run: RunDir, failed: Mapping[int, str], hosts: Sequence[str], error: str = ""
) -> str:
    """One line that names the ranks that failed, their hosts, the reasons and the remedy.

    `failed` has the reason of each, `hosts` the host of every rank. If there is none, `error` says
    why they ended.
    """
    own = socket.gethostname()
    what = "; ".join(
        f"rank {rank} on {own if hosts[rank] == HERE else hosts[rank]} {reason}"
        for rank, reason in sorted(failed.items())
        if rank < len(hosts)
    )
    what = what or error or "its processes lost contact with each other"
    steps = state_steps(run)
    if not steps:
        return f"{what}; there is no checkpoint yet: genui resume {run.id} starts again"
    return f"{what}; genui resume {run.id} continues from the checkpoint at step {steps[-1]:,}"


def rank_in_job() -> int | None:
    """The rank of this process, if torchrun or a parent has started it with others.

    Raises MisuseError if the variables do not say where they find each other.
    """
    rank, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    if not (rank.isdecimal() and size.isdecimal() and int(size) > 1):
        return None
    port = os.environ.get("MASTER_PORT", "")
    if int(rank) >= int(size) or not os.environ.get("MASTER_ADDR") or not port.isdecimal():
        raise MisuseError(
            f"RANK={rank} and WORLD_SIZE={size} are set, so this is one of several processes, but "
            "RANK is too large, or MASTER_ADDR or MASTER_PORT is not set: set them as torchrun "
            "does, or unset all to train in one process"
        )
    return int(rank)


def without_job(env: Mapping[str, str]) -> dict[str, str]:
    """An environment without the variables of a job, if it is one of a job."""
    return {
        name: value for name, value in env.items() if "RANK" not in env or name not in JOB_VARIABLES
    }


def write_failure(run: RunDir, rank: int, reason: str) -> None:
    """Write why a rank has ended, as the end of a sentence, into the status file of the rank."""
    with suppress(OSError, GenuiError):
        atomic_write(run.path / f"status-rank{rank}.json", msgspec.json.encode({"error": reason}))


def read_failures(run: RunDir) -> dict[int, str]:
    """Why ranks have ended, from their status files."""
    failed: dict[int, str] = {}
    for path in _status_files(run):
        with suppress(ValueError, GenuiError):
            found = read_json(path, dict[str, str], "remove it")
            rank = int(path.stem.removeprefix("status-rank"))
            failed[rank] = clean_line(found.get("error", ""), 500)
    return failed


def clear_failures(run: RunDir) -> None:
    """Remove the status files of the ranks of an earlier start."""
    for path in _status_files(run):
        with suppress(OSError):
            path.unlink()


def _status_files(run: RunDir) -> Iterator[Path]:
    return run.path.glob("status-rank*.json")


# --- The exit status ----------------------------------------------------------------------------
# A shell waits for what `genui.runs.launch` has started: it takes 1 MB and starts in a millisecond,
# and it is still there when the app has gone. Signals to the group do not end it.

_KEEPER = """\
exit=$1 begin=$2 events=$3
shift 3
trap : HUP INT QUIT TERM
count() {
    kills=0
    while read -r name value; do
        [ "$name" = oom_kill ] && kills=$value
    done <"$events"
}
count
earlier=$kills
"$@"
code=$?
count
printf '{"code": %d, "console": %d, "oom_kills": %d}\\n' \
    "$code" "$begin" "$((kills - earlier))" >"$exit"
exit "$code"
"""


CLOCK_LAG = 1.0
"""Seconds by which the times of files may be behind: the kernel counts in ticks, NFS has its own
clock."""


class Exit(Struct, frozen=True):
    """How the processes of a run have ended, as the shell that waited for them wrote it."""

    code: int  # 128 + N after signal N
    console: int = 0  # the size of the console when they began
    oom_kills: int = 0  # processes that the kernel killed meanwhile, in their cgroup, for memory

    @property
    def status(self) -> int:
        """The exit status; -N after signal N."""
        return 128 - self.code if 128 < self.code <= 128 + 64 else self.code


def keep_exit(run: RunDir, command: Sequence[str]) -> list[str]:
    """The command, and a shell around it that writes its exit status. Removes the one before."""
    run.exit.unlink(missing_ok=True)
    begin = run.console.stat().st_size if run.console.exists() else 0
    events = next((path for path in _memory_events() if path.is_file()), Path(os.devnull))
    return ["/bin/sh", "-c", _KEEPER, "sh", str(run.exit), str(begin), str(events), *command]


def write_exit(run: RunDir, code: int) -> None:
    """Write the exit status of a child, which is -N after signal N, as `keep_exit` does."""
    with suppress(GenuiError):
        status = Exit(code if code >= 0 else 128 - code)
        atomic_write(run.exit, msgspec.json.encode(status), durable=False)


def read_exit(run: RunDir, since: float = 0.0) -> Exit | None:
    """How the run has ended; None if nobody could write it, or not since that unix time, less
    CLOCK_LAG."""
    try:
        found = read_json(run.exit, Exit, "remove it")
        return found if run.exit.stat().st_mtime >= since - CLOCK_LAG else None
    except (GenuiError, OSError):
        return None


def _memory_events() -> Iterator[Path]:
    """The files in which the kernel counts the processes of this cgroup that it kills: of version 2
    and 1, also as a container sees them."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for below in (path.lstrip("/"), ""):
                if not controllers:
                    yield Path("/sys/fs/cgroup", below, "memory.events")
                if "memory" in controllers.split(","):
                    yield Path("/sys/fs/cgroup/memory", below, "memory.oom_control")
