"""The contact between the processes that train one run: their commands, their variables, and the
line that says why they have ended."""

import os
import socket
import sys
from collections.abc import Mapping, Sequence

from genui.base.errors import MisuseError
from genui.runs.hosts import HERE
from genui.runs.layout import RunDir, checkpoint_steps

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
    return with_remedy(run, what or error or "its processes lost contact with each other")


def with_remedy(run: RunDir, what: str) -> str:
    """A fault with the command that continues the run, and the step it continues from."""
    steps = [step for step in checkpoint_steps(run) if run.checkpoint_state(step).exists()]
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
