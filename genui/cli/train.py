"""A training whose progress is drawn in this terminal and that ends with it."""

import argparse
import dataclasses
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from genui.base.errors import GenuiError, MisuseError
from genui.base.numbers import clock, count, short, value
from genui.base.schema import settings_of
from genui.cli import output
from genui.cli.control import add_wait, learning_rate, request
from genui.cli.inspect import FOLLOW_SECONDS, RecordTail, line
from genui.cli.parser import add_json, add_run
from genui.protocol.registry import KINDS
from genui.recipes import FIXED, PATHS, RECIPES, Recipe, find_recipe, override, parse_settings
from genui.runs import launch
from genui.runs.layout import RunDir, Status, read_info, read_status

INTERRUPTED = 130


def train_here(run: RunDir) -> int:
    """Train `run` in a child and wait for it; Ctrl-C asks it for a checkpoint and an end.

    The child has a process group of its own: Ctrl-C reaches us alone, and the child is
    told once, by SIGTERM, whatever ended us.
    """
    with run.console.open("ab") as console:
        child = subprocess.Popen(
            launch.foreground(run),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            process_group=0,
        )
    with _passed_on(child) as interrupts:
        _watch(run, child, interrupts)
    status = read_status(run)
    if interrupts:
        output.note(f"stopped at step {count(status.step)}; `genui resume {run.id}` goes on")
        return INTERRUPTED
    if status.state == "failed" or child.returncode:
        raise GenuiError(
            f"{run.id} failed at step {status.step}: "
            f"{status.error or f'exit code {child.returncode}'}; see {run.console}"
        )
    output.note(f"{status.state} at step {count(status.step)}; {_what_then(run)}")
    return 0


def _what_then(run: RunDir) -> str:
    """What can be done with what was trained: a classifier generates nothing."""
    recipe = read_info(run).recipe
    kind = KINDS.get((recipe.get("family", ""), recipe.get("medium", "")))
    if kind is not None and kind.generates:
        return f"`genui generate {run.id}` uses it"
    return f"`genui show {run.id}` tells of it"


@contextmanager
def _passed_on(child: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Hand Ctrl-C, kill and a closed terminal on to the child; yields the signals seen."""
    seen: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        seen.append(number)  # printing here could cut into a print of the main loop
        child.terminate()

    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.signal(name, pass_on) for name in names}
    try:
        yield seen
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _watch(run: RunDir, child: subprocess.Popen[bytes], interrupts: list[int]) -> None:
    """One line that changes in a terminal; a line an evaluation elsewhere."""
    live = sys.stderr.isatty()
    tail = RecordTail(run.metrics)
    while True:
        try:
            child.wait(FOLLOW_SECONDS)
            over = True
        except subprocess.TimeoutExpired:
            over = False
        for record in tail.read():
            if not live and "val_loss" in record:
                output.note(line(record))
        if live:
            doing = "  writing a checkpoint…" if interrupts else ""
            sys.stderr.write(f"\r\x1b[K{progress(read_status(run))}{doing}")
            sys.stderr.flush()
        if over:
            break
    if live:
        sys.stderr.write("\n")


def progress(status: Status) -> str:
    """step 120/500  24 %  loss 1.604  val 1.712  5.8k tok/s  4:12 left."""
    parts = [
        f"step {count(status.step)}/{count(status.steps)}",
        f"{100 * status.step / max(status.steps, 1):.0f} %",
    ]
    if status.loss is not None:
        parts.append(f"loss {value(status.loss)}")
    if status.val is not None:
        parts.append(f"val {value(status.val)}")
    if status.units_per_s:
        parts.append(f"{short(status.units_per_s)} {status.unit}")
    if status.eta >= 0:
        parts.append(f"{clock(status.eta)} left")
    return "  ".join(parts)


# --- `genui train`: start a training, detached or in this terminal ----------------------------


def configure_train(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The run's id is the only thing on stdout, so RUN=$(genui train icons) keeps it.\n\n"
        "examples:\n"
        "  genui train shakespeare --steps 500 --name first\n"
        "  genui train shakespeare --data letters/ --set width=128 --set layers=4\n"
        "  genui train icons --foreground\n"
        "  genui train --from last --set learning_rate=3e-4     on from a run's weights\n"
        "  genui train --from shakespeare --data letters/       fine-tune a shipped model"
    )
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        nargs="?",
        help="a name that `genui recipes` lists; with --from it may be left out",
    )
    parser.add_argument(
        "--from",
        metavar="MODEL",
        default="",
        dest="start_from",
        help="begin with the weights of RUN, RUN@STEP, a shipped model or a file; step, "
        "optimiser and schedule begin anew",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="settings",
        help="change a setting; `genui recipes RECIPE` lists them; may be given again",
    )
    parser.add_argument("--steps", metavar="N", help="the same as --set steps=N")
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="your own text file or folder, or a folder of captioned images",
    )
    parser.add_argument("--name", metavar="NAME", default="", help="what to call the run")
    parser.add_argument(
        "--foreground",
        action="store_true",
        help="train in this terminal; Ctrl-C writes a checkpoint and stops",
    )
    add_json(parser, "the run's id and folder as JSON")


def run_train(args: argparse.Namespace) -> int:
    from genui.engine import kinds
    from genui.runs import launch

    settings = _train_settings(args)
    base = _base(args.recipe, args.start_from, settings)
    recipe = override(base, settings)
    _refuse_missing(recipe)
    output.note(f"data: {kinds.check_data(recipe)}")
    if args.foreground:
        started = launch.create(base, settings, args.name, args.start_from)
        _announce(started, args.json)
        return train_here(started)
    started = launch.launch(base, settings, args.name, args.start_from)
    _announce(started, args.json)
    _hints(started)
    return 0


def _base(name: str | None, start_from: str, settings: dict[str, str]) -> Recipe:
    """The recipe before --set: the named one, or that of the model it starts from.

    Raises MisuseError where there is neither, or where its settings do not fit the weights.
    """
    if not start_from:
        if name is None:
            raise MisuseError(
                "train: required: RECIPE; see genui train --help (--from MODEL takes the model's)"
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
    for key in ("steps", "data"):
        if (value := getattr(args, key)) is not None:
            settings[key] = value
    for key in PATHS:
        if settings.get(key):  # the trainer runs in another folder
            settings[key] = str(Path(settings[key]).expanduser().absolute())
    return settings


def _refuse_missing(recipe: Recipe) -> None:
    if recipe.data and not Path(recipe.data).exists():
        raise MisuseError(f"--data {recipe.data}: no such file or folder; check the path")


def _announce(started: "RunDir", as_json: bool) -> None:
    if as_json:
        output.emit({"id": started.id, "path": started.path}, indent=False)
    else:
        print(started.id, flush=True)


def _hints(started: "RunDir") -> None:
    output.note("training in the background: closing this terminal does not touch it")
    output.note(f"  watch  genui inspect {started.id} --follow   (or open the app: genui)")
    output.note(f"  pause  genui pause {started.id}")
    output.note(f"  stop   genui stop {started.id}")


# --- `genui resume`: a paused run goes on, a stopped or dead one is started again -------------


def configure_resume(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "A run that was stopped, failed or was killed goes on from its newest checkpoint\n"
        "and gives the same losses as one never interrupted.\n\n"
        "examples:\n"
        "  genui resume last\n"
        "  genui resume last --set learning_rate=1e-4   after a loss that became NaN"
    )
    add_run(parser)
    parser.add_argument(
        "--set",
        metavar="learning_rate=VALUE",
        action="append",
        default=[],
        dest="settings",
        help="go on at another learning rate",
    )
    add_wait(parser)


def run_resume(args: argparse.Namespace) -> int:
    from genui.runs import launch
    from genui.runs.listing import find_run, summarise

    run = find_run(args.run_ref)
    new_rate = learning_rate(run, args.settings) if args.settings else None
    summary = summarise(run)
    if summary.alive and new_rate is not None:
        request(run, "set_lr", args.wait, new_rate)
    if summary.state == "paused":
        request(run, "resume", args.wait)
    elif summary.state in ("running", "starting"):
        output.say(f"{run.id}: already {summary.state}")
    else:
        launch.resume(run, new_rate)
        output.say(f"{run.id}: restarted; `genui inspect {run.id} --follow` watches it")
    return 0


# --- `genui recipes`: what can be trained, and every setting of one recipe --------------------


def configure_recipes(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "examples:\n"
        "  genui recipes\n"
        "  genui recipes icons      every setting that --set changes, with its value"
    )
    parser.add_argument("recipe", metavar="RECIPE", nargs="?", help="show this one's settings")
    add_json(parser)


def run_recipes(args: argparse.Namespace) -> int:
    if args.recipe is not None:
        recipe = find_recipe(args.recipe)
        if args.json:
            output.emit(dataclasses.asdict(recipe))
        else:
            _recipe_settings(recipe)
    elif args.json:
        output.emit([dataclasses.asdict(recipe) for recipe in RECIPES.values()])
    else:
        _listing()
    return 0


def _listing() -> None:
    output.table(
        ("RECIPE", "MEDIUM", "FAMILY", "DATASET", "STEPS", "WHAT"),
        [
            (r.name, r.medium, r.family, r.dataset, count(r.steps), r.summary)
            for r in RECIPES.values()
        ],
        right=(4,),
    )


def _recipe_settings(recipe: Recipe) -> None:
    from genui.engine.data.dataset import describe_dataset

    output.say(f"{recipe.name}: {recipe.summary} ({recipe.family}, {recipe.medium})")
    if data := describe_dataset(recipe.dataset):
        output.say(f"trained on {recipe.dataset}: {data}")
    for name, one in settings_of(type(recipe)).items():
        if name not in FIXED and name != "summary":
            output.say(f"{name:17} {_as_typed(getattr(recipe, name)):10}  {one.help}")


def _as_typed(value: object) -> str:
    """A value as `--set` would take it, with line ends made visible."""
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text.replace("\n", "\\n") or "-"
