"""Runs that wait in Slurm's queue: the script of the job, and its submission.

The job trains the run in as many processes as the options of `sbatch` give it tasks. Two minutes
before its time is over, or when it is preempted, Slurm sends the trainers SIGTERM: they write a
checkpoint and stop, and `genui.runs.requeue` has the job queued again. It then resumes from its
newest checkpoint.
"""

import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from genui.base.calls import run_program
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_write
from genui.base.text import clean_line
from genui.runs.layout import RunDir, change_status, read_info, read_status, write_info

_SCRIPT = """\
#!/bin/sh
#SBATCH --job-name={name}
#SBATCH --output={log}
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=TERM@120
#SBATCH {options}
# Written by genui, which submits it again on `genui resume`.

MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((10000 + SLURM_JOB_ID % 20000))  # Linux gives other programs those from 32768 on
export MASTER_ADDR MASTER_PORT

echo "{start} $SLURM_JOB_ID"
trap : TERM  # scancel and preemption send it to the trainers, too: wait for their checkpoint
srun --kill-on-bad-exit=1 sh -c '
    export RANK="$SLURM_PROCID" WORLD_SIZE="$SLURM_NTASKS" LOCAL_RANK="$SLURM_LOCALID"
    export LOCAL_WORLD_SIZE=$(((SLURM_NTASKS + SLURM_JOB_NUM_NODES - 1) / SLURM_JOB_NUM_NODES))
    exec "$0" -m genui.engine.trainer "$1"' {python} {run} &
trainers=$!
wait "$trainers"
code=$?
while kill -0 "$trainers" 2>/dev/null; do  # a signal has interrupted the wait
    wait "$trainers"
    code=$?
done
trap '' TERM  # queued again, a job is sent it
{python} -m genui.runs.requeue {run}
exit "$code"
"""


LOG = "slurm.log"
"""The file of a run to which its job prints."""

START = "genui: job"
"""How the line begins that a job prints first, in its log."""


def check_options(options: str) -> None:
    """Raise MisuseError for options that cannot be a line of the script."""
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise MisuseError(f"--slurm {options!r}: {str(error).lower()}") from None
    if "\n" in options or not all(word.startswith("-") for word in words[:1]):
        raise MisuseError(
            f"--slurm {options!r}: expected options of sbatch, "
            "as in --slurm='--nodes=2 --ntasks-per-node=4'"
        )


def submit(run: RunDir, env: Mapping[str, str]) -> str:
    """Write the job script of the run, submit it, and return the number of the job.

    Raises GenuiError if Slurm refuses it.
    """
    info = read_info(run)
    script = run.path / "job.sh"
    text = _SCRIPT.format(
        name=f"genui-{run.id}",
        log=shlex.quote(str(run.path / LOG).replace("%", "%%")),  # %j is the job
        options=info.slurm.get("options", ""),
        start=START,
        python=shlex.quote(sys.executable),
        run=shlex.quote(str(run.path)),
    )
    atomic_write(script, text.replace("#SBATCH \n", "").encode())
    job = call_slurm(["sbatch", "--parsable", str(script)], env).partition(";")[0].strip()
    write_info(run, msgspec.structs.replace(info, slurm={**info.slurm, "job": job}))
    mark_queued(run)
    return job


def mark_queued(run: RunDir) -> None:
    """Write into the run's status that its job waits."""
    doing = f"waits in Slurm's queue as job {read_info(run).slurm.get('job', '')}"
    change_status(run, state="queued", pid=0, host=socket.gethostname(), error="", doing=doing)


def is_queued(run: RunDir) -> bool:
    """Whether the job of a run waits in Slurm's queue, or has started and has no trainer yet.

    A job that Slurm has queued again without its script's knowledge, say after a node failed, is
    recorded in the run's status. Raises GenuiError if Slurm does not say: submitted again, a run
    would be trained twice.
    """
    job = read_info(run).slurm.get("job", "")
    if not job:
        return False
    # A run that has just ended leaves its job running for a moment.
    states = [] if read_status(run).state == "queued" else ["--states=PENDING"]
    try:
        found = call_slurm(["squeue", "--noheader", *states, "--jobs", job]).strip()
    except GenuiError as error:
        if "Invalid job id" in str(error):  # Slurm no longer knows the job
            return False
        raise
    if found:
        mark_queued(run)
    return bool(found)


def cancel(run: RunDir) -> None:
    """Take the job of a queued run out of the queue. Raises GenuiError if that fails."""
    call_slurm(["scancel", read_info(run).slurm.get("job", "")])
    change_status(run, state="stopped", doing="")


def call_slurm(
    command: Sequence[str], env: Mapping[str, str] | None = None, patience: float = 60.0
) -> str:
    """The output of a command of Slurm, which has `patience` seconds. Raises GenuiError with its
    last line if it fails."""
    try:
        done = run_program(command, patience, env)
    except FileNotFoundError:
        raise GenuiError(
            f"{command[0]}: not found; --slurm needs a machine from which Slurm takes jobs"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GenuiError(f"{command[0]}: {error}") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it failed"]
        last = lines[-1].removeprefix(f"{command[0]}: ")
        raise GenuiError(f"{command[0]}: {clean_line(last, 300)}")
    return done.stdout


def describe_end(job: str) -> str:
    """The end of a job, `JobState=TIMEOUT Reason=TimeLimit`, by `scontrol`, which forgets it after
    some minutes, or by `sacct`; "" if neither answers."""
    with suppress(GenuiError):
        return " ".join(re.findall(r"\b(?:JobState|Reason|ExitCode)=\S+", _describe_job(job)))
    with suppress(GenuiError):
        words = ["sacct", "--noheader", "--allocations", "--format=State%30", f"--jobs={job}"]
        if states := call_slurm(words, patience=_PATIENCE).split():
            return f"JobState={states[0]}"
    return ""


# --- The user's jobs in the queue ---------------------------------------------------------------

MOST_JOBS = 200
_PATIENCE = 10.0  # seconds for Slurm to answer
_UNKNOWN = ("", "N/A", "None", "Unknown", "(null)")

Ask = Callable[[Sequence[str]], str]
"""Gives the output of a command of Slurm, here or on another host. Raises GenuiError."""


class Job(NamedTuple):
    """A job of the user's that Slurm still knows; the tasks of an array are jobs."""

    id: str  # "123", of an array "123_4", or "123_[1-3]" while they wait
    state: str  # as Slurm has it, in lower case: "pending", "running", "out_of_memory"
    reason: str  # why it waits or has ended; "" if Slurm says nothing
    start: str  # its start, or when Slurm expects it: "2026-12-01T14:30:00"; "" if not known
    name: str

    @property
    def note(self) -> str:
        """`Resources, starts 12-01 14:30, job 123`."""
        waits = self.start and self.state == "pending"
        start = f"starts {self.start[5:16].replace('T', ' ')}" if waits else ""
        return ", ".join(filter(None, (self.reason, start, f"job {self.id}")))


def ask_slurm(command: Sequence[str]) -> str:
    """The output of a command of Slurm on this machine. Raises GenuiError."""
    return call_slurm(command, patience=_PATIENCE)


def list_jobs(ask: Ask = ask_slurm) -> list[Job]:
    """The user's jobs, also those that have ended some minutes ago, at most MOST_JOBS. Raises
    GenuiError if Slurm does not answer."""
    form = "--format=%i|%T|%r|%S|%j"  # a name may hold anything
    command = ["squeue", "--me", "--noheader", "--states=all", form]
    jobs: list[Job] = []
    for line in ask(command).splitlines()[:MOST_JOBS]:
        fields = [clean_line(field.strip(), 200) for field in line.split("|", 4)]
        if len(fields) == 5:
            id, state, *rest = fields
            reason, start, name = ("" if field in _UNKNOWN else field for field in rest)
            jobs.append(Job(id, state.lower(), reason, start, name))
    return jobs


def find_output(job: str, ask: Ask = ask_slurm) -> str:
    """The file that a job prints to; "" if Slurm does not say. Raises GenuiError."""
    match = re.search(r"\bStdOut=(.*?)\s*(?= [A-Z]\w+=|$)", _describe_job(job, ask))
    return "" if match is None or match[1] in _UNKNOWN else match[1]


def _describe_job(job: str, ask: Ask = ask_slurm) -> str:
    """What Slurm says of a job, in one line. Raises GenuiError."""
    return ask(["scontrol", "show", "job", "--oneliner", job]).partition("\n")[0]


def has_slurm() -> bool:
    """Whether this machine has the commands of Slurm."""
    return shutil.which("squeue") is not None
