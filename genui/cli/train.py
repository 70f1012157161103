"""`genui train` and `genui resume`: start or continue a training."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.cli import output
from genui.cli.command import Runs
from genui.cli.control import add_wait, learning_rate, named_sweep, request
from genui.cli.parser import add_json, add_run
from genui.cli.recipe_options import absolute, add_recipe, refuse_missing
from genui.recipes import Recipe, find_recipe, override, parse_settings

if TYPE_CHECKING:
    from genui.runs.hosts import Placement
    from genui.runs.layout import RunDir
    from genui.runs.plan import Plan


PATIENCE_S = 20.0
"""How long a start waits for a measurement. The training itself then says what it takes."""

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
        help="let Slurm start it, in as many processes as these options of sbatch give it tasks: "
        "--slurm='--nodes=2 --ntasks-per-node=4'",
    )
    parser.add_argument(
        "--shard",
        action="store_true",
        help="share out the weights over the processes, for a model that does not fit each of them",
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
    from genui.runs.hosts import HERE, Placement, parse_hosts  # late: as all that starts a run
    from genui.runs.slurm import check_options

    processes = 1 if args.nproc is None else args.nproc
    if args.slurm is not None:
        if args.hosts or args.nproc is not None:
            raise MisuseError("--slurm: its options say the number of tasks: leave out the others")
        check_options(args.slurm)
        return Placement(slurm=args.slurm)
    if args.hosts is not None:
        hosts = parse_hosts(args.hosts, processes)
        is_here = set(hosts) == {HERE}
        return Placement(len(hosts), () if is_here else hosts)
    return None if args.nproc is None else Placement(processes)


def configure_train(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The run's id is the only thing on stdout, so RUN=$(genui train icons) stores it.\n\n"
        "examples:\n"
        "  genui train shakespeare --steps 500 --name first\n"
        "  genui train shakespeare --data letters/ --set width=128 --set layers=4\n"
        "  genui train shakespeare --minutes 1 --foreground     what a minute here can do\n"
        "  genui train icons --dry-run                  how long it takes here\n"
        "  genui train icons --nproc 2                  in two processes\n"
        "  genui train icons --nproc 2 --shard          each with half of the weights\n"
        "  torchrun --nproc-per-node 2 -m genui train icons     started by torchrun\n"
        "  genui train --from last --set learning_rate=3e-4     on from a run's weights\n"
        "  genui train --from shakespeare --data letters/       fine-tune a shipped model"
    )
    add_recipe(parser, "KEY=VALUE", "change a setting")
    parser.add_argument(
        "--minutes",
        metavar="M",
        type=float,
        help="choose the number of steps, and for text sizes, batches and contexts, that make the "
        "most of so many minutes on this machine; what --set gives stays",
    )
    parser.add_argument(
        "--until",
        metavar="CONDITION",
        help="end at the first evaluation at which it holds, e.g. 'val_loss<1.5'; the same as "
        "--set until=CONDITION",
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
        help="say how long it takes on this machine, its memory and its download; start nothing",
    )
    add_json(parser, "the run's id and folder as JSON; with --dry-run a line for each estimate")


def run_train(args: argparse.Namespace) -> int:
    from genui.engine import kinds
    from genui.engine.data.preparation import Preparation
    from genui.runs import launch
    from genui.runs.hosts import ALONE, Placement
    from genui.runs.processes import rank_in_job

    rank = rank_in_job()
    if rank:
        return _train_in_job(None)  # rank 0 checks the settings and makes the run
    where = placement(args, ALONE) or ALONE
    if rank is not None:
        if replace(where, shard=False) != ALONE or args.nproc is not None:
            raise MisuseError("--nproc, --hosts, --slurm: the processes are started already")
        where = Placement(int(os.environ["WORLD_SIZE"]), shard=where.shard)
    settings = _train_settings(args)
    base = _base(args.recipe, args.start_from, settings)
    recipe = override(base, settings)
    launch.check_placement(recipe, where)
    refuse_missing(recipe)
    if args.minutes is not None:
        _check_budget(args.minutes, settings, where)
    plans = _plans(base, settings, args.minutes, bool(args.start_from))
    if args.dry_run:
        return _estimate(recipe, plans, args.json)
    with output.Progress() as progress:
        data = kinds.check_data(recipe, Preparation(progress.show))
    output.note(f"data: {data}")
    settings |= _say_plan(plans, whole=args.minutes is not None)

    def make() -> "RunDir":
        started = launch.create(base, settings, args.name, args.start_from, where)
        _announce(started, args.json)
        return started

    if rank is not None:
        return _train_in_job(make)
    if args.foreground:
        if where.slurm is not None:
            raise MisuseError("--foreground: Slurm starts the training elsewhere: leave it out")
        from genui.cli.foreground import train_here

        return train_here(make())
    started = launch.launch(base, settings, args.name, args.start_from, where)
    _announce(started, args.json)
    _hints(started)
    return 0


def _train_in_job(make: "Callable[[], RunDir] | None") -> int:
    """Train in this process, which torchrun has started with others."""
    from genui.engine.trainer import train_in_job  # late: it imports torch

    return train_in_job(make)


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


def _plans(
    base: Recipe, settings: Mapping[str, str], minutes: float | None, keep_size: bool
) -> Iterator["Plan"]:
    """What the training takes, or what makes the most of a budget, better each time."""
    from genui.engine.estimate import estimate, fit_budget

    if minutes is None:
        return estimate(override(base, settings))
    return fit_budget(base, settings, minutes, keep_size)


def _estimate(recipe: Recipe, plans: Iterator["Plan"], as_json: bool) -> int:
    """Print the plan, with `as_json` each time that more of it is measured."""
    with suppress(OSError):
        os.nice(10)  # as a trainer; the app measures while its user types
    plan = None
    progress = output.Progress()
    for plan in plans:
        if as_json:
            output.emit(plan, indent=False)
        elif plan.fault:
            raise GenuiError(plan.fault)
        else:
            progress.show(plan.describe())
    progress.clear()
    if plan is not None and not as_json:
        output.say(f"{recipe.name}: {plan.describe()}")
    return 1 if plan is not None and plan.fault else 0


def _say_plan(plans: Iterator["Plan"], whole: bool) -> dict[str, str]:
    """Say on stderr what the training takes; returns the settings that its budget chose. Raises
    GenuiError if it cannot start.

    It is measured only for a person at a terminal, if that takes less than `PATIENCE_S`, or if the
    `whole` measurement is needed.
    """
    progress = output.Progress()
    plan = None
    for plan in plans:
        if plan.fault:
            raise GenuiError(plan.fault)
        progress.show(plan.describe())
        if not whole and (not sys.stderr.isatty() or (plan.measuring and plan.left > PATIENCE_S)):
            break
    progress.clear()
    if plan is None:
        return {}
    output.note(f"takes: {msgspec.structs.replace(plan, measuring=False).describe()}")
    return plan.settings


def _base(name: str | None, start_from: str, settings: dict[str, str]) -> Recipe:
    """The recipe before --set: the named one, or that of the model to start from.

    Raises MisuseError if there is neither, or its settings do not fit the weights.
    """
    if not start_from:
        if name is None:
            raise MisuseError(
                "train: RECIPE is missing; see genui train --help (--from MODEL takes the model's)"
            )
        return find_recipe(name)
    from genui.runs.models import check_fits, find_origin

    origin = find_origin(start_from)
    base = origin.recipe if name is None else find_recipe(name)
    check_fits(override(base, settings), origin)
    output.note(f"from: {origin.describe()}")
    return base


def _train_settings(args: argparse.Namespace) -> dict[str, str]:
    settings = parse_settings(args.settings)
    for key in ("steps", "data", "until"):
        if (value := getattr(args, key)) is not None:
            settings[key] = value
    return {key: absolute(key, text) for key, text in settings.items()}


def _announce(started: "RunDir", as_json: bool) -> None:
    if as_json:
        output.emit({"id": started.id, "path": started.path}, indent=False)
    else:
        print(started.id, flush=True)


def _hints(started: "RunDir") -> None:
    from genui.runs.listing import summarise

    summary = summarise(started)
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
        "--again", action="store_true", help="of a sweep: also trials that failed or you stopped"
    )
    add_wait(parser)


def _placement_options(args: argparse.Namespace) -> str:
    """The options given that place processes: `--nproc, --shard`; "" if there are none."""
    given = (name for name in ("nproc", "hosts", "slurm", "shard")
             if getattr(args, name) not in (None, False))  # fmt: skip
    return ", ".join(f"--{name}" for name in given)


def run_resume(args: argparse.Namespace) -> int:
    from genui.runs import launch
    from genui.runs.layout import read_info
    from genui.runs.listing import find_run, summarise
    from genui.runs.processes import rank_in_job

    options = _placement_options(args)
    if (folder := named_sweep(args.run_ref)) is not None:
        from genui.cli import sweep  # late: few runs are sweeps

        if args.settings:
            raise MisuseError(f"{folder.id} is a sweep: its settings are those of its trials")
        if options:
            raise MisuseError(f"{folder.id} is a sweep: leave out {options}")
        sweep.resume(folder, args.again)
        return 0
    run = find_run(args.run_ref)
    if args.again:
        raise MisuseError(f"--again: {run.id} is a run, not a sweep; leave it out")
    if (rank := rank_in_job()) is not None:
        if args.settings or options not in ("", "--shard"):
            raise MisuseError("--set, --nproc, --hosts, --slurm: the processes are started already")

        def again() -> "RunDir":
            if args.shard:
                launch.share_weights(run, int(os.environ["WORLD_SIZE"]))
            return run

        return _train_in_job(None if rank else again)
    new_rate = learning_rate(run, args.settings) if args.settings else None
    summary = summarise(run)
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
        output.say(f"{run.id}: already {summary.state}")
    else:
        launch.resume(run, new_rate, placement(args, launch.placement_of(read_info(run))))
        output.say(f"{run.id}: restarted; `genui inspect {run.id} --follow` watches it")
    return 0


COMMANDS = {
    "train": Runs(configure_train, run_train),
    "resume": Runs(configure_resume, run_resume),
}
