"""`genui sweep`: many trainings of a recipe with different settings, and their table."""

import argparse
import dataclasses
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

from genui.base import numbers
from genui.base.errors import GenuiError, MisuseError, did_you_mean
from genui.base.late import late_imports
from genui.base.text import align, clean_line, shorten_middle
from genui.cli import output
from genui.cli.parser import add_json
from genui.cli.recipe_options import absolute, add_recipe, check_data, refuse_missing
from genui.recipes import Recipe, find_recipe, override, parse_settings
from genui.runs.facts import count_steps, figure

with late_imports():
    from genui.runs import listing, models, system, table
    from genui.runs import search as run_search
    from genui.runs import sweep as sweeps

if TYPE_CHECKING:
    from genui.runs.layout import RunDir
    from genui.runs.models import Origin
    from genui.runs.sweep import Axes, SettingResult, Sweep, SweepState, TrialResult

REFRESH = 1.0  # seconds between two tables on a terminal
_NUMBER = re.compile(r"[\d.,/e+-]*")  # a cell that is aligned at the right
_MOST_RUNS = 5  # runs of a setting that are named in the table
_MOST_NOTE = 70  # characters of a note in the table

# --- Asking for a sweep -------------------------------------------------------------------------


MOST_JOBS = 64
"""The most trainings at once: each takes some hundred megabytes."""


def configure_sweep(parser: argparse.ArgumentParser) -> None:
    parser.usage = (
        "genui sweep RECIPE --set KEY=VALUES ... [options]\n       genui sweep show [NAME]"
    )
    parser.epilog = (
        "VALUES are one value, several with commas between (all combinations are trained), or a\n"
        "range LOW..HIGH, in which Optuna searches (package optuna) and stops trials early\n"
        "that are behind the others. A range of a rate is logarithmic; :log, :linear or\n"
        ":STEP after it says otherwise. Several seeds are averaged.\n\n"
        "The sweep runs in the background. On a terminal its table is shown until Ctrl-C, which\n"
        "does not stop it. Each trial is an ordinary run called NAME.1, NAME.2 …\n\n"
        "examples:\n"
        "  genui sweep shakespeare --set learning_rate=1e-3,3e-3 --set width=128,256\n"
        "  genui sweep icons --set learning_rate=1e-4..1e-2 --set batch=16..64:16 --trials 30\n"
        "  genui sweep shakespeare --steps 300 --set width=64,128 --set seed=1,2,3\n"
        "  genui sweep show                             the table of the newest sweep\n"
        "  genui stop NAME; genui resume NAME           the sweep with all its trials"
    )
    add_recipe(parser, "KEY=VALUES", "give a setting one or more values")
    parser.add_argument("sweep_name", metavar="NAME", nargs="?", help="after show: the sweep")
    parser.add_argument(
        "--name", metavar="NAME", default="", help="name of the sweep; its trials are NAME.1 …"
    )
    parser.add_argument(
        "--jobs", metavar="N", type=int, default=1, help="trainings at once (default 1)"
    )
    parser.add_argument(
        "--trials", metavar="N", type=int, help="settings that a search tries (default 20)"
    )
    parser.add_argument(
        "--metric",
        metavar="NAME",
        default="val_loss",
        help="compare trials by the best value of this metric (default val_loss)",
    )
    parser.add_argument(
        "--goal", choices=("min", "max"), help="which value is best, if its name does not say so"
    )
    parser.add_argument(
        "--no-pruning", action="store_true", help="a search trains every trial to its end"
    )
    parser.add_argument(
        "--follow", action="store_true", help="after show: print it again until the sweep ends"
    )
    add_json(parser, "the sweep's name and folder; after show the trials as JSON")


def run_sweep(args: argparse.Namespace) -> int:
    if args.recipe == "show":
        return _show(args)
    if args.sweep_name is not None:
        raise MisuseError(f"sweep: unexpected {args.sweep_name!r}; see genui sweep --help")
    origin = models.find_origin(args.start_from) if args.start_from else None
    if args.recipe is not None:
        base = find_recipe(args.recipe)
    elif origin is not None:
        base = origin.recipe
    else:
        raise MisuseError("sweep: RECIPE is missing; see genui sweep --help")
    sweep = _plan(args, base, sweeps.parse_axes(base, _pairs(args)))
    _check(base, origin, sweep)
    folder = sweeps.create(sweep, origin)
    try:
        sweeps.start(folder)
    except GenuiError:
        shutil.rmtree(folder.path, ignore_errors=True)  # nothing has started
        raise
    if args.json:
        output.print_json({"name": folder.id, "path": folder.path}, indent=False)
    else:
        print(folder.id, flush=True)
    output.note(_describe(sweep))
    if sys.stdout.isatty() and not args.json:
        return _follow(folder)
    output.note("in the background: it continues when you close this terminal")
    output.note(f"  show   genui sweep show {folder.id}   (or the table of runs in the app: o)")
    output.note(f"  stop   genui stop {folder.id}")
    return 0


def _pairs(args: argparse.Namespace) -> list[tuple[str, str]]:
    """The settings in the order given."""
    given = [pair for text in args.settings for pair in parse_settings([text]).items()]
    given += [(key, text) for key in ("steps", "data") if (text := getattr(args, key)) is not None]
    return [(key, absolute(key, text)) for key, text in given]


def _plan(args: argparse.Namespace, base: Recipe, axes: "Axes") -> "Sweep":
    """The sweep that is asked for. Raises MisuseError, one line that names the fault."""
    fixed, lists, ranges = axes
    if not lists and not ranges:
        raise MisuseError(
            "sweep: nothing differs between trials; give a setting several values, as in "
            "--set learning_rate=1e-3,3e-3, or use genui train"
        )
    for name, value in (("jobs", args.jobs), ("trials", args.trials)):
        if value is not None and value < 1:
            raise MisuseError(f"--{name} {value}: expected a whole number, 1 or more")
    if args.jobs > MOST_JOBS:
        raise MisuseError(f"--jobs {args.jobs}: at most {MOST_JOBS} trainings run at once")
    sense = table.better(args.metric)
    goal = args.goal or ("max" if sense > 0 else "min")
    if not sense and args.goal is None:
        raise MisuseError(
            f"--metric {clean_line(args.metric, 40)}: say whether less or more of it is better, "
            "with --goal min or --goal max"
        )
    if args.jobs > 1 and "threads" not in {*fixed, *lists, *ranges}:
        fixed["threads"] = str(max(1, system.usable_cores() // args.jobs))
    search = bool(ranges) or args.trials is not None
    trials = [] if search else sweeps.combinations(lists)
    seeds = max(1, len(lists.get(sweeps.SEED, ())))
    points = (args.trials or sweeps.DEFAULT_POINTS) if search else len(trials) // seeds
    sweeps.check_total(points * seeds)
    if search:
        if not {*lists, *ranges} - {sweeps.SEED}:
            raise MisuseError("--trials: only seeds differ, so there is nothing to search")
        run_search.load_optuna()
    return sweeps.Sweep(
        name=sweeps.choose_name(args.name, base.name),
        recipe=dataclasses.asdict(base),
        settings=fixed,
        lists=lists,
        ranges=ranges,
        metric=args.metric,
        goal=goal,
        jobs=args.jobs,
        points=points,
        search=search,
        pruning=not args.no_pruning,
        seed=base.seed,
        trials=trials,
    )


def _check(base: Recipe, origin: "Origin | None", sweep: "Sweep") -> None:
    """Check the settings of all trials, and that their data can be had.

    Raises GenuiError, one line, before anything is made.
    """
    data: dict[tuple[str, str], Recipe] = {}
    for settings in sweeps.example_settings(sweep):
        recipe = override(base, settings)
        if origin is not None:
            models.check_fits(recipe, origin)
        refuse_missing(recipe)
        data.setdefault((recipe.dataset, recipe.data), recipe)
    for recipe in data.values():  # only after all settings are known to be right
        check_data(recipe)


def _describe(sweep: "Sweep") -> str:
    """`12 trials (4 settings, 3 seeds each), 2 at once with 1 thread each on 2 cores`."""
    total, seeds, cores = sweep.total, len(sweep.seeds), system.usable_cores()
    what = f"{total} trials" if not sweep.search else f"a search of {sweep.points} settings"
    if seeds:
        what += f" ({sweep.points} settings, {seeds} seeds each)"
    threads = sweep.settings.get("threads")
    each = f" with {numbers.quantity(int(float(threads)), 'thread')} each" if threads else ""
    on = f"on {numbers.quantity(cores, 'core')}"
    return f"{what}, {sweep.jobs} at once{each} {on}; the best {sweep.goal} {sweep.metric} is first"


# --- The table of a sweep -----------------------------------------------------------------------


def _show(args: argparse.Namespace) -> int:
    folder = named(args.sweep_name)
    if args.json and args.follow:
        raise MisuseError("sweep show: --json prints the trials once; leave --follow out")
    if args.json:
        output.print_json(as_dict(sweeps.SweepReader(folder).read()))
        return 0
    if args.follow:
        return _follow(folder)
    _print(sweeps.SweepReader(folder).read())
    return 0


def named(name: str | None) -> "RunDir":
    """The sweep of that name, or the newest. Raises MisuseError if there is none."""
    known = sweeps.list_sweeps()
    if not known:
        raise MisuseError("there are no sweeps yet: see genui sweep --help")
    if name is None:
        return known[0]
    folder = listing.find_sweep(name)
    if folder is None:
        nearest = did_you_mean(name, [one.id for one in known])
        raise MisuseError(f"no sweep '{clean_line(name, 60)}': {nearest}")
    return folder


def _follow(folder: "RunDir") -> int:
    """Show the table until the sweep ends, or the user leaves by Ctrl-C."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    reader, last = sweeps.SweepReader(folder), ""
    view = reader.read()
    console = Console(highlight=False)
    shown = nullcontext()
    if sys.stdout.isatty():
        shown = Live(console=console, auto_refresh=False, transient=True)
    try:
        with shown as live:
            while view.is_live:
                if live is not None:
                    live.update(Text(_fitted(view, console.size), no_wrap=True), refresh=True)
                elif (line := view.describe()) != last:
                    output.note(line)
                    last = line
                time.sleep(REFRESH)
                view = reader.read()
    except KeyboardInterrupt:
        _print(view)
        output.note(f"the sweep continues: genui sweep show {folder.id} --follow shows it again,")
        output.note(f"genui stop {folder.id} stops it")
        raise
    _print(view)
    if view.state == "dead":
        raise GenuiError(
            f"the sweep was killed: genui resume {folder.id} continues it; trials that were "
            "training continue by themselves"
        )
    return 1 if view.state == "failed" else 0


def _fitted(view: "SweepState", size: Any) -> str:
    """The table of a sweep, cut to the size of the terminal."""
    lines, height = list(_lines(view)), size.height - 3
    more = len(lines) - height
    if more > 0:
        lines = [*lines[: height - 1], f"… {more + 1} more"]
    lines.append("ctrl+c leaves it; the sweep continues")
    return "\n".join(line[: size.width] for line in lines)


def _print(view: "SweepState") -> None:
    for line in _lines(view):
        output.print_line(line)


def _lines(view: "SweepState") -> Iterator[str]:
    """The state of a sweep and the table of its trials, the best first."""
    yield view.describe()
    if view.error:
        yield clean_line(view.error)
    rows = _setting_rows(view) if view.sweep.seeds else _trial_rows(view)
    if len(rows) > 1:
        yield ""
        columns = enumerate(zip(*rows[1:], strict=True))
        right = [at for at, cells in columns if all(map(_NUMBER.fullmatch, cells))]
        cells = align(rows, right, optional=(len(rows[0]) - 1,))  # the notes
        yield from ("  ".join(row).rstrip() for row in cells)
    waiting = view.sweep.total - len(view.results)
    if waiting > 0:
        yield f"{waiting} more are chosen by the search"


def _trial_rows(view: "SweepState") -> list[list[str]]:
    """A head and a row for each trial."""
    sweep = view.sweep
    heads = ["RUN", "STATE", "STEP", _metric_title(sweep), *sweep.axes, "NOTE"]
    rows = [
        [
            f"{sweep.name}.{one.trial.number}",
            one.state,
            _steps(one),
            figure(one.value),
            *(one.trial.settings.get(key, "") for key in sweep.axes),
            shorten_middle(clean_line(one.note), _MOST_NOTE),
        ]
        for one in view.results
    ]
    return [heads, *rows]


def _setting_rows(view: "SweepState") -> list[list[str]]:
    """A head and a row for each setting, with the mean over its seeds."""
    sweep = view.sweep
    axes = [key for key in sweep.axes if key != sweeps.SEED]
    heads = ["RUNS", "STATE", _metric_title(sweep), "±", "SEEDS", *axes, "NOTE"]
    rows = []
    for one in view.settings:
        names = [f".{result.trial.number}" for result in one.results]
        runs = names if len(names) <= _MOST_RUNS else [*names[:_MOST_RUNS], "…"]
        note = next((result.note for result in one.results if result.note), "")
        rows.append(
            [
                f"{sweep.name}{' '.join(runs)}",
                _states(one.results),
                figure(one.mean),
                "" if one.spread is None else f"{one.spread:.2g}",
                f"{one.counted}/{len(one.results)}",
                *(one.settings.get(key, "") for key in axes),
                shorten_middle(clean_line(note), _MOST_NOTE),
            ]
        )
    return [heads, *rows]


def _metric_title(sweep: "Sweep") -> str:
    return f"{sweep.goal} {clean_line(sweep.metric, 30)}"


def _steps(one: "TrialResult") -> str:
    return count_steps(one.step, one.steps) if one.step or one.steps else ""


def _states(results: "Sequence[TrialResult]") -> str:
    """`finished`, or `2 finished, 1 running`."""
    states = [one.state for one in results]
    if len(set(states)) == 1:
        return states[0]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def as_dict(view: "SweepState") -> dict[str, Any]:
    """A sweep as JSON data for scripts, the best first."""
    sweep = view.sweep
    data = {
        "name": sweep.name,
        "state": view.state,
        "error": view.error,
        "recipe": sweep.recipe.get("name", ""),
        "metric": sweep.metric,
        "goal": sweep.goal,
        "jobs": sweep.jobs,
        "total": sweep.total,
        "settings": sweep.settings,
        "trials": [_trial_dict(sweep, one) for one in view.results],
    }
    if sweep.seeds:
        data["by_setting"] = [_setting_dict(one) for one in view.settings]
    return data


def _trial_dict(sweep: "Sweep", one: "TrialResult") -> dict[str, Any]:
    return {
        "name": f"{sweep.name}.{one.trial.number}",
        "id": one.trial.run,
        "state": one.state,
        "step": one.step,
        "value": one.value,
        "settings": one.trial.settings,
        "note": one.note,
    }


def _setting_dict(one: "SettingResult") -> dict[str, Any]:
    return {
        "settings": one.settings,
        "mean": one.mean,
        "spread": one.spread,
        "seeds": one.counted,
        "trials": [result.trial.number for result in one.results],
    }


# --- `genui stop` and `genui resume` of a sweep -------------------------------------------------


def stop(folder: "RunDir", wait: float) -> None:
    """Stop the sweep, and say how far it is."""
    sweeps.stop(folder)
    reader = sweeps.SweepReader(folder)
    view = reader.read()
    until = time.monotonic() + wait
    with suppress(GenuiError):
        while (view.is_live or view.count("running", "starting")) and time.monotonic() < until:
            time.sleep(0.05)
            view = reader.read()
    line = view.describe()
    if view.is_live:
        line = f"{folder.id}: stop requested; its trials write their checkpoints first"
    output.print_line(line)
    output.note(f"genui resume {folder.id} continues it")


def resume(folder: "RunDir", again: bool) -> None:
    left = sweeps.resume(folder, again)
    trials = numbers.quantity(left, "trial")
    output.print_line(
        f"{folder.id}: continues with {trials}; `genui sweep show {folder.id}` shows them"
    )
