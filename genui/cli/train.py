"""`genui train` and `genui resume`: start or continue a training."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.late import late_imports
from genui.cli import output
from genui.cli.control import add_wait, learning_rate, named_sweep, request
from genui.cli.parser import add_json, add_run
from genui.cli.recipe_options import absolute, add_recipe, check_data, refuse_missing
from genui.recipes import Recipe, find_recipe, override, parse_settings

with late_imports():
    from genui.cli import foreground, sweep
    from genui.engine import estimate, trainer
    from genui.runs import hosts as run_hosts
    from genui.runs import launch, layout, listing, models, slurm
    from genui.runs import processes as run_processes

if TYPE_CHECKING:
    from genui.runs.hosts import Placement
    from genui.runs.layout import RunDir
    from genui.runs.plan import Plan


PATIENCE_S = 20.0
"""The time that a start waits for a measurement. Later the training itself reports it."""

MOST_MINUTES = 525_600  # a year


def add_placement(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """Add the options that `placement` reads."""
    parser.add_argument(
        "--nproc",
        metavar="N",
        type=int,
        help=f"train in N processes, each with a share of every batch ({otherwise})",
    )
    parser.add_argument(
        "--hosts",
        metavar="HOSTS",
        help="train on several machines over ssh, this one first: localhost,node2 or "
        "localhost:2,node2:4",
    )
    parser.add_argument(
        "--slurm",
        metavar="OPTIONS",
        help="submit it to Slurm with these sbatch options, one process per task: "
        "--slurm='--nodes=2 --ntasks-per-node=4'",
    )
    parser.add_argument(
        "--shard",
        action="store_true",
        help="shard the weights across the processes, for a model too large for one",
    )


def placement(args: argparse.Namespace, otherwise: "Placement") -> "Placement | None":
    """Where the options place the processes, `--shard` alone as `otherwise`; None without any.

    Raises MisuseError.
    """
    placed = _processes(args)
    if not args.shard:
        return placed
    return replace(placed or otherwise, shard=True)


def _processes(args: argparse.Namespace) -> "Placement | None":
    processes = 1 if args.nproc is None else args.nproc
    if args.slurm is not None:
        if args.hosts or args.nproc is not None:
            raise MisuseError("--slurm: its options say the number of tasks: leave out the others")
        slurm.check_options(args.slurm)
        return run_hosts.Placement(slurm=args.slurm)
    if args.hosts is not None:
        hosts = run_hosts.parse_hosts(args.hosts, processes)
        is_here = set(hosts) == {run_hosts.HERE}
        return run_hosts.Placement(len(hosts), () if is_here else hosts)
    return None if args.nproc is None else run_hosts.Placement(processes)


def configure_train(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The run's id is the only thing on stdout, so RUN=$(genui train icons) stores it.\n\n"
        "examples:\n"
        "  genui train shakespeare --steps 500 --name first\n"
        "  genui train shakespeare --data letters/ --set width=128 --set layers=4\n"
        "  genui train shakespeare --minutes 1 --foreground     what a minute here can do\n"
        "  genui train icons --dry-run                  how long it takes here\n"
        "  genui train icons --nproc 2                  in two processes\n"
        "  genui train icons --nproc 2 --shard          each with half the weights\n"
        "  torchrun --nproc-per-node 2 -m genui train icons     started by torchrun\n"
        "  genui train --from last --set learning_rate=3e-4     from a run's weights\n"
        "  genui train --from last@500 --keep-state --set grad_clip=0.5     a fork of a run\n"
        "  genui train --from shakespeare --data letters/       fine-tune a shipped model"
    )
    add_recipe(parser, "KEY=VALUE", "change a setting")
    parser.add_argument(
        "--keep-state",
        action="store_true",
        help="with --from RUN@STEP: keep its step, optimiser and schedule (a fork)",
    )
    parser.add_argument(
        "--minutes",
        metavar="M",
        type=float,
        help="train for M minutes: choose the best steps (for text, also sizes, batch and "
        "context) for this machine; --set values are kept",
    )
    parser.add_argument(
        "--until",
        metavar="CONDITION",
        help="stop at the first evaluation where it holds, e.g. 'val_loss<1.5'; the same as --set "
        "until=CONDITION",
    )
    parser.add_argument("--name", metavar="NAME", default="", help="name of the run")
    add_placement(parser, "default 1")
    parser.add_argument(
        "--foreground",
        action="store_true",
        help="train in this terminal; Ctrl-C writes a checkpoint and stops",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="estimate time, memory and download on this machine; start nothing",
    )
    add_json(parser, "the run's id and folder as JSON; with --dry-run a line for each estimate")


class _Training(NamedTuple):
    """The recipe, the data and the place of a training: the arguments of `launch.create`."""

    base: Recipe
    settings: dict[str, str]
    name: str
    start_from: "str | models.Origin"
    where: "Placement"

    @property
    def recipe(self) -> Recipe:
        return override(self.base, self.settings)


def run_train(args: argparse.Namespace) -> int:
    rank = run_processes.rank_in_job()
    if rank:
        return trainer.train_in_job(None)  # rank 0 checks the settings and makes the run
    training = _read_training(args, in_job=rank is not None)
    plans = _plans(training, args.minutes)
    if args.dry_run:
        return _estimate(training.recipe, plans, args.json)
    check_data(training.recipe)
    training.settings.update(_say_plan(plans, whole=args.minutes is not None))
    if rank is not None:
        return trainer.train_in_job(lambda: _create(training, args.json))
    if args.foreground:
        return foreground.train_here(_create(training, args.json))
    started = launch.launch(*training)
    output.print_started(started, args.json)
    _print_hints(started)
    return 0


def _read_training(args: argparse.Namespace, in_job: bool) -> _Training:
    """The training that the options describe, `in_job` if torchrun has started this process.

    Raises MisuseError for what cannot be trained, or not there.
    """
    where = _choose_place(args, in_job)
    settings = _train_settings(args)
    origin = args.start_from
    if args.keep_state:
        origin = _find_fork(args)
    base = _base(args.recipe, origin, settings)
    training = _Training(base, settings, args.name, origin, where)
    launch.check_placement(training.recipe, where)
    refuse_missing(training.recipe)
    if args.minutes is not None:
        _check_budget(args.minutes, settings, where)
    if args.foreground and where.slurm is not None and not args.dry_run:
        raise MisuseError("--foreground: Slurm starts the training elsewhere: leave it out")
    return training


def _find_fork(args: argparse.Namespace) -> "models.Origin":
    """The state that --keep-state continues from. Raises MisuseError."""
    if not args.start_from:
        raise MisuseError("--keep-state: say whose with --from RUN@STEP")
    if args.recipe is not None:
        raise MisuseError("--keep-state: a fork has the recipe of its run: leave RECIPE out")
    if args.minutes is not None:
        raise MisuseError("--keep-state: a fork keeps the schedule of its run: leave out --minutes")
    return models.find_fork(args.start_from)


def _choose_place(args: argparse.Namespace, in_job: bool) -> "Placement":
    """Where it trains: in the processes of a job, else as the options say. Raises MisuseError."""
    where = placement(args, run_hosts.ALONE) or run_hosts.ALONE
    if not in_job:
        return where
    if replace(where, shard=False) != run_hosts.ALONE or args.nproc is not None:
        raise MisuseError("--nproc, --hosts, --slurm: the processes are started already")
    return run_hosts.Placement(int(os.environ["WORLD_SIZE"]), shard=where.shard)


def _create(training: _Training, as_json: bool) -> "RunDir":
    """The folder of the run, which is printed."""
    started = launch.create(*training)
    output.print_started(started, as_json)
    return started


def _check_budget(minutes: float, settings: Mapping[str, str], where: "Placement") -> None:
    """Raise MisuseError if a budget of time cannot be kept."""
    if not 0 < minutes <= MOST_MINUTES:
        raise MisuseError(f"--minutes {minutes:g}: give a number above 0, at most {MOST_MINUTES:,}")
    if "steps" in settings:
        raise MisuseError("--minutes chooses the number of steps: leave out --steps")
    if where.slurm is not None or where.processes > 1:
        raise MisuseError(
            "--minutes measures one process here: leave out --nproc, --hosts, --slurm"
        )


def _plans(training: _Training, minutes: float | None) -> Iterator["Plan"]:
    """Plans of the training, or of the best use of a budget, better each time."""
    if minutes is None:
        recipe = training.recipe
        if isinstance(training.start_from, models.Origin):  # a fork has the rest to do
            recipe = replace(recipe, steps=recipe.steps - training.start_from.step)
        return estimate.estimate(recipe)
    keep_size = bool(training.start_from)
    return estimate.fit_budget(training.base, training.settings, minutes, keep_size)


def _estimate(recipe: Recipe, plans: Iterator["Plan"], as_json: bool) -> int:
    """Print the plan; with `as_json` again each time that more of it is measured."""
    with suppress(OSError):
        os.nice(10)  # as a trainer; the app measures while its user types
    if not as_json:
        if (plan := _measure(plans, whole=True)) is not None:
            output.print_line(f"{recipe.name}: {plan.describe()}")
        return 0
    fault = ""
    for plan in plans:
        output.print_json(plan, indent=False)
        fault = plan.fault
    return 1 if fault else 0


def _measure(plans: Iterator["Plan"], whole: bool) -> "Plan | None":
    """The last of the plans, each shown while it is made. Raises GenuiError if the training cannot
    start.

    It is measured only for a person at a terminal, if that takes less than `PATIENCE_S`, or if the
    `whole` measurement is needed.
    """
    plan, waits = None, sys.stderr.isatty()
    with output.ProgressLine() as progress:
        for plan in plans:
            if plan.fault:
                raise GenuiError(plan.fault)
            progress.show(plan.describe())
            if not whole and (not waits or (plan.measuring and plan.left > PATIENCE_S)):
                break
    return plan


def _say_plan(plans: Iterator["Plan"], whole: bool) -> dict[str, str]:
    """Print on stderr the time and memory of the training; returns the settings that its budget
    chose."""
    plan = _measure(plans, whole)
    if plan is None:
        return {}
    output.note(f"takes: {msgspec.structs.replace(plan, measuring=False).describe()}")
    return plan.settings


def _base(name: str | None, start_from: "str | models.Origin", settings: dict[str, str]) -> Recipe:
    """The recipe before --set: the named one, or the recipe of the model to start from.

    Raises MisuseError if there is neither, or its settings do not fit the weights.
    """
    if not start_from:
        if name is None:
            raise MisuseError(
                "train: RECIPE is missing; see genui train --help (--from MODEL takes the model's)"
            )
        return find_recipe(name)
    origin = models.find_origin(start_from) if isinstance(start_from, str) else start_from
    base = origin.recipe if name is None else find_recipe(name)
    models.check_fits(override(base, settings), origin)
    output.note(f"from: {origin.describe()}")
    return base


def _train_settings(args: argparse.Namespace) -> dict[str, str]:
    settings = parse_settings(args.settings)
    for key in ("steps", "data", "until"):
        if (value := getattr(args, key)) is not None:
            settings[key] = value
    return {key: absolute(key, text) for key, text in settings.items()}


def _print_hints(started: "RunDir") -> None:
    summary = listing.summarise(started)
    if summary.state == "queued":
        output.note(f"{summary.status.doing}; its script is {started.path / 'job.sh'}")
    else:
        output.note("training in the background: it continues when you close this terminal")
    output.note(f"  watch  genui inspect {started.id} --follow   (or open the app: genui)")
    output.note(f"  pause  genui pause {started.id}")
    output.note(f"  stop   genui stop {started.id}")


# --- `genui resume`: continue a paused run, or restart a stopped or dead one -------------------


def configure_resume(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "A run that was stopped, failed or was killed continues from its newest checkpoint\n"
        "and gives the same losses as one never interrupted.\n\n"
        "examples:\n"
        "  genui resume last\n"
        "  genui resume last --set learning_rate=1e-4   after a loss that became NaN\n"
        "  genui resume wide                            all trials of the sweep `wide`"
    )
    add_run(parser)
    parser.add_argument(
        "--set",
        metavar="learning_rate=VALUE",
        action="append",
        default=[],
        dest="settings",
        help="continue with another learning rate",
    )
    add_placement(parser, "default as before")
    parser.add_argument(
        "--again", action="store_true", help="also trials of a sweep that failed or you stopped"
    )
    add_wait(parser)


def _placement_options(args: argparse.Namespace) -> str:
    """The options given that place processes: `--nproc, --shard`; "" if there are none."""
    given = (name for name in ("nproc", "hosts", "slurm", "shard")
             if getattr(args, name) not in (None, False))  # fmt: skip
    return ", ".join(f"--{name}" for name in given)


def run_resume(args: argparse.Namespace) -> int:
    options = _placement_options(args)
    if (folder := named_sweep(args.run_ref)) is not None:
        _resume_sweep(folder, args, options)
        return 0
    run = listing.find_run(args.run_ref)
    if args.again:
        raise MisuseError(f"--again: {run.id} is a run, not a sweep; leave it out")
    if (rank := run_processes.rank_in_job()) is not None:
        if args.settings or options not in ("", "--shard"):
            raise MisuseError("--set, --nproc, --hosts, --slurm: the processes are started already")
        return trainer.train_in_job(None if rank else lambda: _share_out(run, args.shard))
    _resume_run(run, args, options)
    return 0


def _resume_sweep(folder: "RunDir", args: argparse.Namespace, options: str) -> None:
    """Continue all trials of a sweep. Raises MisuseError for options of a run."""
    if args.settings:
        raise MisuseError(f"{folder.id} is a sweep: its settings are those of its trials")
    if options:
        raise MisuseError(f"{folder.id} is a sweep: leave out {options}")
    sweep.resume(folder, args.again)


def _share_out(run: "RunDir", shard: bool) -> "RunDir":
    """The run, with its weights shared out over the processes of this job if it is to `shard`."""
    if shard:
        launch.share_weights(run, int(os.environ["WORLD_SIZE"]))
    return run


def _resume_run(run: "RunDir", args: argparse.Namespace, options: str) -> None:
    """Continue a run that is paused, or start it again from its newest checkpoint."""
    new_rate = learning_rate(run, args.settings) if args.settings else None
    summary = listing.summarise(run)
    if summary.alive and options:
        raise MisuseError(
            f"{options}: {run.id} is {summary.state}; stop it first (genui stop {run.id}), then "
            "resume it"
        )
    if summary.alive and new_rate is not None:
        request(run, "set_lr", args.wait, new_rate)
    if summary.state == "paused":
        request(run, "resume", args.wait)
    elif summary.state in ("running", "starting"):
        output.print_line(f"{run.id}: already {summary.state}")
    else:
        launch.resume(run, new_rate, placement(args, launch.placement_of(layout.read_info(run))))
        output.print_line(f"{run.id}: restarted; `genui inspect {run.id} --follow` watches it")
