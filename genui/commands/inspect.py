"""`genui inspect`: one run or log, as it is now or as it goes on."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from genui.commands import output
from genui.commands.logs import find_one, look_again, read_whole, title
from genui.commands.parser import add_json
from genui.errors import GenuiError, MisuseError, did_you_mean
from genui.render.numbers import clock, count, short, value

if TYPE_CHECKING:
    from genui.commands.follow import Look
    from genui.commands.until import Until
    from genui.runs.listing import RunSummary
    from genui.runs.logs.base import Tail

EARLIER = 10  # records shown before the new ones, for a person
LOST = ("failed", "dead")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "examples:\n"
        "  genui inspect last\n"
        "  genui inspect last --summary             every metric on one screen\n"
        "  genui inspect plays --follow             the last records, then each new one\n"
        "  genui inspect plays --follow --json      every record from the first, a line each\n"
        "  genui inspect plays --until done && genui generate plays\n"
        "  genui inspect lightning_logs/version_3 --until 'val_loss<1.5'\n\n"
        "--until exits with 0 when it is reached, and with 1 where the run fails or ends before."
    )
    parser.add_argument(
        "run_ref", metavar="RUN", help="a run's id, name or 'last', or the path of a log"
    )
    parser.add_argument(
        "--follow", action="store_true", help="print metric records until the run is over"
    )
    parser.add_argument(
        "--until",
        metavar="WHAT",
        help="follow until 'done', a step, or a condition such as 'val_loss<1.5'",
    )
    parser.add_argument("--summary", action="store_true", help="every metric on one screen")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from genui.commands.until import parse_until

    if args.summary and (args.follow or args.until is not None):
        raise MisuseError("inspect: --summary shows a run as it is now; leave --follow out")
    until = None if args.until is None else parse_until(args.until)
    found = find_one(args.run_ref)
    if args.follow or until:
        return _follow(found, args.json, until)
    if args.summary:
        from genui.commands import digest

        if args.json:
            output.emit(digest.digest(found))
        else:
            digest.show(found)
    elif args.json:
        output.emit(as_dict(found))
    else:
        describe(found)
    return 0


def describe(summary: "RunSummary") -> None:
    """What a run is, how far it is and where its files are."""
    from genui.runs.origin import spelled

    _refuse_broken(summary)
    if summary.format != "genui":
        _describe_foreign(summary)
        return
    info, status, run = summary.info, summary.status, summary.run
    recipe = info.recipe
    made = f"{recipe.get('name')} ({recipe.get('family')}, {recipe.get('medium')})"
    step = count(status.step)
    if status.steps:
        step += f" of {count(status.steps)} ({100 * status.step / status.steps:.0f} %)"
    newest = max(run.samples.glob("step-*"), default="", key=str)
    output.facts(
        [
            ("run", run.id),
            ("state", f"{summary.state}: {status.error}" if status.error else summary.state),
            ("project", info.project),
            ("recipe", made if recipe else ""),
            ("config", _settings(info.config)),
            ("changed", _settings(info.overrides)),
            ("from", spelled(info.start_from)),
            ("learning rate", _learning_rate(summary)),
            ("data", info.data),
            ("machine", ", ".join(f"{key} {item}" for key, item in info.machine.items())),
            ("step", step),
            ("left", clock(status.eta) if summary.state == "running" and status.eta >= 0 else ""),
            ("rate", f"{short(status.unit_rate)} {status.unit}" if status.unit_rate else ""),
            ("loss", "" if status.loss is None else value(status.loss)),
            ("val", "" if status.val is None else value(status.val)),
            ("sample", str(newest)),
            ("folder", str(run.path)),
        ]
    )


def as_dict(summary: "RunSummary") -> dict[str, Any]:
    """What `describe` tells, for scripts; of a folder that is broken what is known of it.

    Raises GenuiError where another tool's log cannot be read.
    """
    from genui.commands import runs

    if summary.format == "genui":
        return {**runs.as_dict(summary), "format": summary.format}
    log = _read_foreign(summary)
    last = {name: float(series.values[-1]) for name, series in log.tail.series.items()}
    told = runs.as_dict(log.summary)
    told["info"]["config"] = log.tail.config
    return {
        **told,
        "format": summary.format,
        "step": log.step,
        "loss": last.get("loss"),
        "val": last.get("val"),
        "metrics": last,
    }


class _Foreign(NamedTuple):
    """Another tool's log, read to its end."""

    summary: "RunSummary"
    tail: "Tail"
    step: int | None  # the last; None where nothing was logged yet


def _read_foreign(summary: "RunSummary") -> _Foreign:
    """Raises GenuiError where it cannot be read."""
    tail = read_whole(summary)
    now = replace(look_again(summary, tail.ended), info=summary.info)
    steps = [int(series.steps[-1]) for series in tail.series.values()]
    return _Foreign(now, tail, max(steps, default=None))


def _describe_foreign(summary: "RunSummary") -> None:
    """Another tool's log, which has to be read for what it says."""
    now, tail, step = _read_foreign(summary)
    names = list(tail.series)
    more = len(names) - EARLIER
    output.facts(
        [
            ("log", title(summary)),
            ("format", summary.format),
            ("state", now.state),
            ("config", _settings(tail.config)),
            ("step", "" if step is None else count(step)),
            ("metrics", ", ".join(names[:EARLIER]) + (f" and {more} more" if more > 0 else "")),
            ("written", f"{clock(now.age)} ago"),
        ]
    )


def _learning_rate(summary: "RunSummary") -> str:
    """The base rate that the schedule takes a share of, as last changed."""
    from genui.runs.events import changed_rate

    planned = summary.info.recipe.get("learning_rate")
    changed = changed_rate(summary.run)
    if changed is not None:
        return f"{changed:g}, at first {planned}"
    return "" if planned is None else str(planned)


def _settings(settings: Mapping[str, object]) -> str:
    return " ".join(f"{key}={item}" for key, item in settings.items())


def _refuse_broken(summary: "RunSummary") -> None:
    if summary.fault:
        raise GenuiError(f"{summary.run.path}: {summary.fault}")


def _follow(found: "RunSummary", as_json: bool, until: "Until | None") -> int:
    from genui.commands.follow import follow, line

    _refuse_broken(found)
    if not as_json:
        describe(found)
    say = output.note if as_json else output.say  # stdout is for records alone
    last: Look | None = None
    warned = False
    for look in follow(found):
        if as_json:
            for record in look.records:
                output.emit(record, indent=False)
        else:
            for record in look.records if last else look.records[-EARLIER:]:
                output.say(line(record))
        last = look
        for alert in look.alerts:
            if alert.kind not in ("crash", "finish"):  # said at the end
                say(f"{alert.kind}: {alert.line}")
        if until is not None and (reached := until.reached(look)) is not None:
            say(reached)
            return 0
        if until is not None and not warned:
            warned = _warn(until, look)
    assert last is not None  # there is always a first look
    _over(last, until, say)
    return 0


def _over(look: "Look", until: "Until | None", say: Callable[[str], None]) -> None:
    """What to say of a run that has ended. Raises GenuiError where that is not as asked."""
    last = look.summary
    state = f"{title(last)} {last.state} at step {look.step}"
    if last.state in LOST:
        why = last.fault or last.status.error or "its process is gone"
        remedy = ""
        if last.format == "genui" and last.info.kind == "recipe":
            remedy = f"; `genui resume {last.run.id}` goes on from its newest checkpoint"
        raise GenuiError(f"{state}: {why}{remedy}")
    if until is not None and not until.is_end:
        raise GenuiError(f"{state}, before {until.text}")
    say(f"{last.state} at step {count(look.step)}")


def _warn(until: "Until", look: "Look") -> bool:
    """Says, once, that nothing of that name has been logged; perhaps it is misspelt."""
    if not until.metric or not look.metrics or until.metric in look.metrics:
        return False
    output.note(f"no metric '{until.metric}' so far: {did_you_mean(until.metric, look.metrics)}")
    return True
