"""The hosts that train one run together, and trainers that are started there over `ssh`.

All hosts need the same genui, at the same path, and the same runs folder: on a cluster both are on
a file system that its machines share.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from genui.base.calls import run_program
from genui.base.errors import GenuiError, MisuseError
from genui.base.secret import is_secret_variable
from genui.base.text import clean_line

HERE = "localhost"
"""The host of this machine in a list of hosts."""

SSH = "GENUI_SSH"
"""Environment variable with the command to use in place of `ssh`, like git's GIT_SSH_COMMAND."""

_PASSED = ("GENUI_", "GLIBC_TUNABLES", "OMP_", "MKL_", "NCCL_", "GLOO_", "CUDA_", "HF_", "PYTHON")
"""Prefixes of the names of the variables that a trainer on another host gets too."""

_KEPT = (SSH, "GENUI_ALERT_URL")
"""Variables that it does not get: rank 0, on this machine, sends the alerts."""

MOST_PROCESSES = 4096  # of a run: a typing error must not fill the memory


@dataclass(frozen=True)
class Placement:
    """Where the processes of a run are started."""

    processes: int = 1
    hosts: tuple[str, ...] = ()  # of each process, if not all are on this machine
    slurm: str | None = None  # the options of sbatch, if Slurm starts them
    shard: bool = False  # whether the weights are shared out over them


ALONE = Placement()


def parse_hosts(text: str, processes: int = 1) -> tuple[str, ...]:
    """The host of each rank, from `localhost,node2` or `localhost:2,user@node2:4`.

    A host without a number has `processes` processes. Raises MisuseError for a bad list, and if the
    first host is not this machine: rank 0 writes the run, and the parent of all runs here.
    """
    hosts: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        host, colon, number = part.rpartition(":")
        if not colon:
            host, number = part, str(processes)
        count = int(number) if number.isdecimal() and len(number) < 10 else 0
        if not host or host.startswith("-") or ":" in host or not count:  # IPv6 needs a name
            raise MisuseError(f"--hosts {part!r}: expected HOST or HOST:PROCESSES, as in node2:4")
        if len(hosts) + count > MOST_PROCESSES:
            raise MisuseError(f"--hosts {part!r}: a run has at most {MOST_PROCESSES} processes")
        hosts += [HERE if is_here(host) else host] * count
    if not hosts or hosts[0] != HERE:
        name = socket.gethostname()
        raise MisuseError(
            f"--hosts {text}: the first must be this machine, {name} or localhost; start the "
            "training on the first of your hosts"
        )
    return tuple(hosts)


def is_here(host: str) -> bool:
    """Whether a host name is this machine's."""
    own = socket.gethostname()
    return host in (HERE, own, own.partition(".")[0], socket.getfqdn())


def address_for(hosts: Sequence[str]) -> str:
    """The address at which rank 0 on this machine listens for the others.

    It is MASTER_ADDR if that is set, else the local address of the route to the first other host.
    Raises GenuiError if that host's address is not known.
    """
    other = next((host for host in hosts if host != HERE), "")
    if not other:
        return "127.0.0.1"
    if address := os.environ.get("MASTER_ADDR"):
        return address
    name = _name_of(other)
    try:
        return local_address(name)
    except OSError as error:
        raise GenuiError(
            f"host {clean_line(name, 60)}: its address is not known ({error.strerror or error}); "
            "set MASTER_ADDR to the address of this machine that the others reach"
        ) from None


def local_address(name: str) -> str:
    """The local address of the route to a host name or address. Raises OSError."""
    family, kind, protocol, _, there = socket.getaddrinfo(name, 9, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(there)  # sends nothing: it only chooses the route
        return str(probe.getsockname()[0])


def _name_of(host: str) -> str:
    """The name or address that ssh's configuration has for a host."""
    name = host.rpartition("@")[2]
    with suppress(OSError, subprocess.TimeoutExpired):
        settings = run_program([*ssh_command(), "-G", "--", host], 10)
        for line in settings.stdout.splitlines():
            if line.startswith("hostname "):
                return line.removeprefix("hostname ").strip()
    return name


def ssh_command() -> list[str]:
    """`ssh`, or the command in GENUI_SSH. Raises MisuseError if its quotes are not closed."""
    text = os.environ.get(SSH) or "ssh"
    try:
        return shlex.split(text) or ["ssh"]
    except ValueError as error:
        raise MisuseError(f"{SSH}={clean_line(text, 80)}: {str(error).lower()}") from None


def remote_command(host: str, command: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """The ssh command that runs `command` on a host with the variables `env`."""
    options = ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    options += ["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"]
    words = [f"{name}={value}" for name, value in sorted(env.items())]
    # Not `exec`: the shell turns a signal that ends the trainer into an exit code.
    script = f"cd / && env {shlex.join([*words, *command])}; exit $?"
    return [*ssh_command(), *options, "--", host, script]


def passed_on(env: Mapping[str, str]) -> dict[str, str]:
    """The variables of this machine that a trainer on another host gets; no secrets, for they would
    be in the command line of ssh, which every user of either machine can read."""
    return {
        name: value
        for name, value in env.items()
        if name.startswith(_PASSED) and name not in _KEPT and not is_secret_variable(name, value)
    }


def explain_exit(code: int, last_line: str) -> str:
    """Why a trainer on another host has ended, as the end of a sentence, from the exit code of ssh
    and the last line that was printed; "" if the trainer itself has ended with that code."""
    details = f" ({last_line})" if last_line else ""
    if code == 255:
        return f"is out of reach{details}"
    if code in (126, 127):
        return f"did not start{details}: genui is needed there, too, as {sys.executable}"
    return describe_kill(code - 128)


def describe_kill(number: int) -> str:
    """`was killed by SIGKILL`, for the number of a signal; "" if there is no such signal."""
    with suppress(ValueError):
        return f"was killed by {signal.Signals(number).name}"
    return ""
