"""Starting a trainer that outlives whoever started it.

The trainer has its own session, so closing the app, a dropped SSH link or SIGHUP never reach
it. Nothing here imports torch.
"""

import os
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

import genui
from genui.errors import GenuiError
from genui.recipes import Recipe
from genui.runs import control
from genui.runs.disk import cannot_write
from genui.runs.layout import RunDir, create_run, read_info, read_status, write_status
from genui.runs.listing import summarise
from genui.runs.lock import HANDED_OVER, RunLock


def launch(recipe: Recipe, overrides: Mapping[str, str], name: str = "") -> RunDir:
    """Creates a run and starts its trainer in the background.

    Raises MisuseError for a bad name or override, GenuiError where the disk refuses.
    """
    run = create_run(recipe, overrides, name)
    with RunLock(run) as lock:
        _start(run, lock)
    return run


def resume(run: RunDir) -> RunDir:
    """Starts a trainer on a run that stopped, failed or died; it goes on from its checkpoint.

    Raises GenuiError where a trainer is already on it, it is finished, or its folder is damaged.
    """
    read_info(run)
    summary = summarise(run)
    if summary.alive:
        raise GenuiError(
            f"run {run.id} is already {summary.state} (process {summary.status.pid} "
            f"on {summary.status.host}): stop it first (genui stop {run.id})"
        )
    if summary.state == "finished":
        raise GenuiError(
            f"run {run.id} is finished after {summary.status.step} steps: "
            "start a longer one with genui train RECIPE --steps N"
        )
    with RunLock(run) as lock:
        control.clear(run)  # a stop meant for the trainer that died must not stop this one
        _start(run, lock)
    return run


def foreground(run: RunDir) -> list[str]:
    """The command that trains the run, for a caller that wants to wait for it."""
    return [sys.executable, "-m", "genui.engine.trainer", str(run.path)]


def _start(run: RunDir, lock: RunLock) -> None:
    """Spawns the trainer and hands it the lock."""
    _mark_starting(run)
    try:
        with run.console.open("ab") as console:
            process = subprocess.Popen(
                foreground(run),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                cwd="/",  # holds no folder or mount busy
                env=_environment(lock),
                pass_fds=(lock.fd,),
                start_new_session=True,
            )
    except OSError as error:
        raise cannot_write(run.console, error) from None
    # Collects the exit status, so that a trainer which ends while the app lives is no zombie.
    threading.Thread(target=process.wait, name=f"reap {run.id}", daemon=True).start()


def _mark_starting(run: RunDir) -> None:
    """From here on a free lock means the trainer is gone."""
    try:
        status = read_status(run)
    except GenuiError:
        return  # the trainer writes it anew
    now = time.time()
    write_status(
        run,
        msgspec.structs.replace(
            status,
            state="starting",
            pid=os.getpid(),
            host=socket.gethostname(),
            heartbeat=now,
            error="",
        ),
    )


def _environment(lock: RunLock) -> dict[str, str]:
    """Ours, with what depends on the working directory made independent of it."""
    env = dict(os.environ)
    env[HANDED_OVER] = str(lock.fd)
    if home := env.get("GENUI_HOME"):
        env["GENUI_HOME"] = str(Path(home).expanduser().absolute())
    # `python -m genui` in a checkout finds the package in the working directory alone.
    root = str(Path(genui.__file__).resolve().parent.parent)
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        known = env.get("PYTHONPATH", "")
        env["PYTHONPATH"] = f"{known}{os.pathsep}{root}" if known else root
    return env
