"""The end of a job of Slurm: `python -m genui.runs.requeue RUN_FOLDER`, called by its script.

A training that Slurm stopped by a signal, before its time limit or for another job, continues: its
job is queued again, if Slurm has not done so, and the run's status says that it waits. A training
that has finished, failed, or was stopped by a command or `scancel` has ended.
"""

import os
import re
import sys
from pathlib import Path

import msgspec

from genui.base.errors import GenuiError
from genui.runs import control
from genui.runs.layout import RunDir, read_info, read_status, write_status
from genui.runs.slurm import call_slurm, mark_queued


def main() -> int:
    if len(sys.argv) != 2 or not (job := os.environ.get("SLURM_JOB_ID")):
        print("usage, in a job of Slurm: python -m genui.runs.requeue RUN_FOLDER", file=sys.stderr)
        return 2
    try:
        requeue(RunDir(Path(sys.argv[1])), job)
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def requeue(run: RunDir, job: str) -> None:
    """Queue the job of a run again if Slurm has stopped the training. Raises GenuiError."""
    status = read_status(run)
    is_former = read_info(run).slurm.get("job") != job  # the run was submitted again already
    if is_former or status.state in ("finished", "failed"):
        return
    events = [each.event for each in control.read_events(run)]
    is_signalled = status.state == "stopped" and events[-1:] == [control.SIGNALLED]
    described = call_slurm(["scontrol", "show", "job", "--oneliner", job])
    if is_signalled and "JobState=RUNNING" in described:  # it was not cancelled
        # One that has a time of grace, to end by itself, is queued again when it does.
        if not re.search(r"\bPreemptTime=\d", described):
            call_slurm(["scontrol", "requeue", job])
        mark_queued(run)
    elif _restarts(described) > int(os.environ.get("SLURM_RESTART_COUNT") or 0):
        mark_queued(run)
    elif status.state == "queued":
        error = "its job ended before the training began: its slurm.log has why"
        write_status(run, msgspec.structs.replace(status, state="failed", doing="", error=error))


def _restarts(described: str) -> int:
    """How often the job was queued again."""
    match = re.search(r"\bRestarts=(\d+)", described)
    return int(match[1]) if match else 0


if __name__ == "__main__":
    sys.exit(main())
