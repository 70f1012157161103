"""A real Slurm of one machine: munged, slurmctld and slurmd on free ports, in a temporary folder.

Its one node has more processors than the machine: tasks of a test need not wait for each other.
Jobs are tracked without cgroups, so it runs in a container. Needs Debian's slurm-wlm and munge, and
root: slurmd starts jobs as the user that submits them.
"""

import os
import random
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
from waiting import wait_for

DAEMONS = ("munged", "slurmctld", "slurmd")

_CONF = """\
ClusterName=genui
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1
ReturnToService=2
FirstJobId={first_job}
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs=64 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes={host} Default=YES PreemptMode=OFF
PartitionName=low Nodes={host} PriorityTier=1 GraceTime=60
PartitionName=high Nodes={host} PriorityTier=2 PreemptMode=OFF
"""
# A job that is queued again starts when its credential has expired: after 5 seconds, not 120.


def why_no_slurm() -> str:
    """Why no Slurm can be started here; "" if one can."""
    missing = [name for name in (*DAEMONS, "sbatch") if _find(name) is None]
    if missing:
        return f"no {', '.join(missing)} here: install slurm-wlm and munge"
    return "" if os.geteuid() == 0 else "slurmd needs root"


def _find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


@contextmanager
def start_slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start a Slurm, and end it with its jobs. Gives the variables that its commands need."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as other:
        ports = one.getsockname()[1], other.getsockname()[1]
    host = socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir(mode=0o755)
    conf = folder / "slurm.conf"
    conf.write_text(
        _CONF.format(
            host=host,
            folder=folder,
            controller=ports[0],
            node=ports[1],
            first_job=random.randrange(1, 40_000),  # ranks meet at a port that comes from it
        )
    )
    (folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(128))
    files = {"key-file": key, "socket": folder / "munge.socket"} | {
        f"{name}-file": folder / f"munge.{name}" for name in ("pid", "log", "seed")
    }
    options = {
        "munged": [
            "--foreground",
            "--force",
            *(f"--{name}={path}" for name, path in files.items()),
        ],
        "slurmctld": ["-D", "-c", "-f", str(conf)],
        "slurmd": ["-D", "-c", "-f", str(conf), "-N", host],
    }
    env = {"SLURM_CONF": str(conf)}
    with ExitStack() as stack:
        for name in DAEMONS:
            stack.enter_context(_running([str(_find(name)), *options[name]], folder / name))
            if name == "munged":
                wait_for(files["socket"].exists)
        wait_for(lambda: "idle" in _output(["sinfo", "--noheader", "--format=%T"], env))
        yield env
        _output(["scancel", "--user=root"], env)
        wait_for(lambda: not _output(["squeue", "--noheader"], env).strip())


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = psutil.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        family = [*process.children(recursive=True), process]
        process.terminate()
        psutil.wait_procs(family, timeout=10)
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()


def _output(command: list[str], env: dict[str, str]) -> str:
    return subprocess.run(
        command, env=os.environ | env, capture_output=True, text=True, check=False
    ).stdout
