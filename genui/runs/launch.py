"""Starting a trainer that continues after the process that started it has ended.

The trainer has its own session, so closing the app, a dropped SSH link or SIGHUP do not affect it.
Nothing here imports torch.
"""

import os
import shutil
import subprocess
import sysconfig
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

import genui
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import writing
from genui.recipes import Recipe, override, recipe_from_dict
from genui.runs import control, models, slurm
from genui.runs.hosts import ALONE, Placement
from genui.runs.layout import (
    HANDED_OVER,
    RunDir,
    RunInfo,
    RunLock,
    create_run,
    fork_step,
    format_origin,
    last_status,
    read_info,
    read_status,
    starting,
    write_info,
    write_status,
)
from genui.runs.listing import summarise
from genui.runs.processes import LAUNCHER, TRAINER, keep_exit, without_job

ALLOCATOR = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=67108864:"
    "glibc.malloc.trim_threshold=1073741824"
}
"""Environment variables with which glibc keeps freed memory for the next training step, in huge
pages.

By default each step returns the memory of its activations to the system and takes 20,000 new pages:
a step of `icons` took 10 % more processor time. Neither the results nor the peak memory change.
Other C libraries ignore the variables.
"""


def create(
    recipe: Recipe,
    overrides: Mapping[str, str],
    name: str = "",
    start_from: str | models.Origin = "",
    where: Placement = ALONE,
    sweep: Mapping[str, Any] | None = None,
) -> RunDir:
    """Make the folder of a new run; nothing is started.

    `start_from` names the model whose weights it starts from: RUN, RUN@STEP, a shipped model or
    a file, or is what `models.find_fork` found. `sweep` is RunInfo.sweep, for a trial. Raises
    MisuseError, before anything is written, for a bad name, override, model or number of processes,
    or settings that do not fit the weights; GenuiError if it cannot be written.
    """
    changed = override(recipe, overrides)
    check_placement(changed, where)
    origin = start_from or None
    if isinstance(origin, str):
        origin = models.find_origin(origin)
    if origin is not None:
        models.check_fits(changed, origin)
    run = create_run(recipe, overrides, name, sweep)
    try:
        _place(run, where)
        if origin is not None:
            models.install_weights(run, origin)
    except BaseException:
        shutil.rmtree(run.path, ignore_errors=True)  # without its weights it would be another run
        raise
    return run


def launch(
    recipe: Recipe,
    overrides: Mapping[str, str],
    name: str = "",
    start_from: str | models.Origin = "",
    where: Placement = ALONE,
    sweep: Mapping[str, Any] | None = None,
) -> RunDir:
    """Create a run and start its trainer in the background. Raises as `create` does."""
    run = create(recipe, overrides, name, start_from, where, sweep)
    try:
        with RunLock(run) as lock:
            _start(run, lock)
    except GenuiError:
        shutil.rmtree(run.path, ignore_errors=True)  # nothing has started
        raise
    return run


_ENDING = 10.0
"""Seconds in which a trainer that has written its last state frees its run."""


def resume(
    run: RunDir, learning_rate: float | None = None, where: Placement | None = None
) -> RunDir:
    """Start a trainer on a run that was stopped, failed or was killed. It resumes from the newest
    checkpoint, or starts again without one. `learning_rate` replaces the base learning rate, and
    `where` the placement of the processes.

    Raises MisuseError for a wrong rate or number, and GenuiError if the run has a trainer, is
    finished, belongs to a script, or its folder is damaged.
    """
    set_lr = None if learning_rate is None else control.Control("set_lr", learning_rate)
    info = read_info(run)
    if info.kind == "script":
        raise GenuiError(
            f"run {run.id} belongs to a script: start the script again; it makes a new run"
        )
    if where is not None:
        check_placement(recipe_from_dict(info.recipe), where)
        where = replace(where, shard=where.shard or info.shard)
    summary = summarise(run)
    if summary.alive:
        raise GenuiError(
            f"run {run.id} is already {summary.state} (process {summary.status.pid} "
            f"on {summary.status.host}): stop it first (genui stop {run.id})"
        )
    if summary.state == "finished":
        raise GenuiError(
            f"run {run.id} is finished after {summary.status.step} steps: continue from it with "
            f"genui train --from {run.id} --steps N"
        )
    by_slurm = (where or placement_of(info)).slurm is not None
    if (by_slurm or summary.state == "queued") and slurm.is_queued(run):
        doing = read_status(run).doing
        raise GenuiError(f"run {run.id} {doing}: stop it first (genui stop {run.id})")
    with RunLock(run, _ENDING) as lock:
        control.clear(run, set_lr)  # a stop meant for the trainer that died must not stop this one
        if where is not None:
            _place(run, where)
        _start(run, lock)
    return run


def retry(run: RunDir) -> RunDir:
    """Start a new run of the same recipe, settings and start weights.

    Raises GenuiError if the run belongs to a script or its folder is damaged, and as `create`.
    """
    info = read_info(run)
    if info.kind == "script":
        raise GenuiError(f"run {run.id} belongs to a script: start the script again")
    recipe, origin = recipe_from_dict(info.recipe), format_origin(info.start_from)
    if fork_step(info.start_from):
        origin = models.find_fork(origin)
    name = summarise(run).info.name
    return launch(recipe, info.overrides, name, origin, placement_of(info))


def placement_of(info: RunInfo) -> Placement:
    """Where the processes of a run were started last."""
    return Placement(info.processes, info.hosts, info.slurm.get("options"), info.shard)


def share_weights(run: RunDir, processes: int) -> None:
    """Record that the processes of a run, which are started already, share out the weights.

    Raises MisuseError if they cannot.
    """
    info = read_info(run)
    check_processes(recipe_from_dict(info.recipe), processes, shard=True)
    _place(run, replace(placement_of(info), shard=True))


def _place(run: RunDir, where: Placement) -> None:
    """Record where the processes of a run are started."""
    before = read_info(run)
    options = {} if where.slurm is None else {"options": where.slurm}
    info = msgspec.structs.replace(
        before,
        processes=where.processes,
        hosts=where.hosts,
        slurm=options,
        shard=where.shard,
    )
    if info != before:
        write_info(run, info)


def check_placement(recipe: Recipe, where: Placement) -> None:
    """Raise MisuseError if the processes cannot share a step, or the weights."""
    check_processes(recipe, where.processes, where.shard)
    if where.shard and where.processes == 1 and where.slurm is None:
        raise MisuseError(
            "--shard: one process has nobody to share the weights with: give --nproc 2 or more, "
            "or leave it out"
        )


def check_processes(recipe: Recipe, processes: int, shard: bool = False) -> None:
    """Raise MisuseError if a step cannot be shared among so many processes, or with `shard` the
    weights."""
    if shard and recipe.why_whole:
        raise MisuseError(f"--shard: {recipe.why_whole}")
    if processes < 1:
        raise MisuseError(f"--nproc {processes}: give a number from 1")
    batch, parts = recipe.smallest_batch, recipe.micro_batches
    if processes * parts > batch:
        several = f", each with micro_batches={parts}" if parts > 1 else ""
        raise MisuseError(
            f"a batch of {batch} cannot be shared among {processes} processes{several}: give fewer "
            f"of them, or --set batch={processes * parts} or more"
        )


def foreground(run: RunDir) -> list[str]:
    """The command that trains the run in the foreground."""
    processes = 1
    with suppress(GenuiError):  # the trainer reports a damaged run.json
        processes = read_info(run).processes
    return [*(TRAINER if processes == 1 else LAUNCHER), str(run.path)]


def _start(run: RunDir, lock: RunLock) -> None:
    """Start the trainer and hand it the lock, or submit it to Slurm."""
    if read_info(run).slurm:
        slurm.submit(run, _environment())
        return
    # From here on a free lock means that the trainer has ended.
    write_status(run, msgspec.structs.replace(last_status(run), **starting()))
    detach(run, foreground(run), lock)


def detach(run: RunDir, command: Sequence[str], lock: RunLock) -> None:
    """Start the command in the background, with a session of its own and the lock of the folder.

    Its output goes to the console of the folder, and its exit status is kept there. Raises
    GenuiError if it cannot be started.
    """
    with writing(run.console), run.console.open("ab") as console:
        process = subprocess.Popen(
            keep_exit(run, command),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            cwd="/",  # holds no folder or mount busy
            env=_environment(lock),
            pass_fds=(lock.fd,),
            start_new_session=True,
        )
    # Collects the exit status: a trainer that ends while the app runs would stay a zombie.
    threading.Thread(target=process.wait, name=f"reap {run.id}", daemon=True).start()


def _environment(lock: RunLock | None = None) -> dict[str, str]:
    """The trainer's environment, with paths that do not depend on the working directory."""
    env = ALLOCATOR | without_job(os.environ)
    if lock is not None:
        env[HANDED_OVER] = str(lock.fd)
    if home := env.get("GENUI_HOME"):
        env["GENUI_HOME"] = str(Path(os.path.expanduser(home)).absolute())
    # `python -m genui` in a checkout finds the package in the working directory alone.
    root = str(Path(genui.__file__).resolve().parent.parent)
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        known = env.get("PYTHONPATH", "")
        env["PYTHONPATH"] = f"{known}{os.pathsep}{root}" if known else root
    return env
