"""`genui runs`, and the search for the run or log that an argument names."""

import argparse
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from genui.base.errors import MisuseError, did_you_mean
from genui.base.late import late_imports
from genui.base.numbers import about, clock, count
from genui.base.paths import runs_dir
from genui.base.text import clean
from genui.cli import output
from genui.cli.parser import add_json
from genui.runs import facts
from genui.runs.layout import RunDir
from genui.runs.table_state import TableState

with late_imports():
    from genui import logs as genui_logs
    from genui.logs import find, queue, remote, results, wandb_url
    from genui.runs import listing as run_listing
    from genui.runs import table, table_formats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from genui.logs.base import Tail
    from genui.logs.remote import Follower, Place
    from genui.logs.wandb_url import RunFollower, RunUrl
    from genui.runs.listing import RunSummary
    from genui.runs.table import TableRow

    Link = Follower | RunFollower

WAIT_SECONDS = 1.0
"""Between two searches of a folder without logs."""


def find_path(word: str) -> Path:
    """The path of a log or a folder that `word` names, or the folder of a run.

    A run takes precedence over a file of the same name; `./NAME` is the file. For `user@host:PATH`
    and for the URL of a W&B run it is a copy, fetched now. Raises MisuseError if there is neither.
    """
    if (url := run_url(word)) is not None:
        return wandb_url.fetch_once(url)
    if (place := remote_place(word)) is not None:
        notes: list[str] = []
        with output.ProgressLine() as progress:
            copy = remote.fetch_once(place, progress.show, notes.append)
        for line in notes:
            output.note(line)
        return copy
    path = Path(os.path.expanduser(word))
    looks_like_path = os.sep in word or word in (".", "..", "~")
    is_there = word and (_exists(path) or os.path.isfile(path.parent))  # a run inside a database
    if looks_like_path and not is_there:
        raise MisuseError(f"{word}: there is no such file or folder; check the path")
    if looks_like_path or (is_there and not run_listing.match_runs(word, run_listing.list_runs())):
        return path
    return run_listing.find_run(word, "run, file or folder").path


def remote_place(word: str) -> "Place | None":
    """`user@host:PATH`; None for anything else."""
    if ":" not in word:
        return None
    return remote.parse_place(word)


def run_url(word: str) -> "RunUrl | None":
    """The URL of a run on a server of W&B; None for anything else. Raises MisuseError if it names
    no run."""
    if "://" not in word:
        return None
    return wandb_url.parse_run_url(word)


def connect(
    words: "Sequence[str]", show: "Callable[[str], None] | None" = None
) -> "dict[str, Link]":
    """Links that keep the copies of the words up to date that are `user@host:PATH` or the URL of a
    W&B run; with `show` the copies are complete, and it gets lines of progress. Raises
    GenuiError."""
    urls = {word: url for word in words if (url := run_url(word)) is not None}
    places = {
        word: place
        for word in words
        if word not in urls and (place := remote_place(word)) is not None
    }
    if not places and not urls:
        return {}
    hosts = [place.host for place in places.values()] + [url.host for url in urls.values()]
    output.note(f"connecting to {', '.join(dict.fromkeys(hosts))} …")
    links: dict[str, Link] = {word: remote.Follower(place, show) for word, place in places.items()}
    return links | {word: wandb_url.RunFollower(url) for word, url in urls.items()}


def find_one(word: str, wait: bool = False, copy: Path | None = None) -> "RunSummary":
    """The log that `word` names; with `wait` the first that is written to a folder without any.
    `copy` is the copy of another host's logs, if a link keeps one up to date.

    Raises MisuseError if there is none, or more than one.
    """
    path = Path(os.path.expanduser(word))
    if os.sep in word and not _exists(path) and _exists(path.parent):
        logs = _named(path)
        if not logs:
            raise MisuseError(
                f"{word}: there is no such file or folder, and no log of that name in "
                f"{path.parent}; check the path"
            )
    else:
        path = copy or find_path(word)
        logs = find_all(path, wait)
        while not logs:
            time.sleep(WAIT_SECONDS)
            with suppress(MisuseError):
                logs = find_all(path)
    if len(logs) > 1:
        itself = [log for log in logs if log.run.path == path]  # a log with others below it
        if len(itself) == 1:
            return itself[0]
        some = ", ".join(map(_reference, logs[:3])) + (", …" if len(logs) > 3 else "")
        raise MisuseError(
            f"{word}: holds {len(logs)} logs ({some}); name one of them "
            f"(`genui watch {word}` lists them)"
        )
    return logs[0]


def _named(path: Path) -> "list[RunSummary]":
    """The logs in the file or folder above a path that is no file itself: its last part is a tool's
    own name of a run, its id, or the name in the list of runs."""
    try:
        logs = find_all(path.parent)
    except MisuseError:  # there is none
        return []
    exact = [log for log in logs if log.run.path == path]
    return exact or [log for log in logs if path.name in find.names_of(log)]


def _reference(summary: "RunSummary") -> str:
    """The path of a log, with its name if the path does not show it."""
    path, name = str(summary.run.path), summary.info.name.rpartition("/")[2]
    return path if name in path else f"{path} “{name}”"


def find_all(path: Path, wait: bool = False) -> "list[RunSummary]":
    """The logs at or below the path, or the run of that folder; notes the logs that were left out.

    Raises as `find_logs`; with `wait` a folder without logs has none yet, which is noted.
    """
    if path.parent == runs_dir():  # also one that is damaged
        return [run_listing.summarise(RunDir(path))]
    try:
        logs = find.find_logs(path)
    except find.NoLogsError:
        if not wait:
            raise
        output.note(f"{path}: no logs yet")
        return []
    if logs.note:
        output.note(f"{path}: {logs.note}")
    return logs


def read_whole(summary: "RunSummary") -> "Tail":
    """The log, read to its current end. Raises GenuiError if it cannot be read."""
    tail = genui_logs.open_tail(summary)
    while tail.read():
        pass
    return tail


def title(summary: "RunSummary") -> str:
    """The id of a run, or the path of another log."""
    return summary.run.id if summary.native else str(summary.run.path)


def _exists(path: Path) -> bool:
    """Whether the path exists, or may not be read; the reader then raises the reason."""
    try:
        path.stat()
    except PermissionError:
        return True
    except (OSError, ValueError):  # a name too long, a null byte
        return False
    return True


# --- `genui runs`: the list of runs, newest first ----------------------------------------------


def configure_runs(parser: argparse.ArgumentParser) -> None:
    parser.epilog = """\
examples:
  genui runs --json | jq -r '.[] | select(.state=="running").id'
  genui runs --sort val_loss --filter 'lr>1e-4 and not state:failed'
  genui runs logs/ --sort best.acc --columns best.acc,lr,seed
  genui runs --sort val_loss --group lr --format latex > table.tex

A filter has words of the name, /regular expressions/, tag:TAG, has:KEY, state:STATE and comparisons
(< <= > >= = != ~) of config values, metrics (best.KEY is the best value), step and age, with and,
or, not and parentheses."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="logs or folders of logs, instead of your own runs"
    )
    parser.add_argument("--tag", metavar="TAG", help="only runs with this tag")
    parser.add_argument("--sweep", metavar="NAME", help="only the trials of a sweep, best first")
    parser.add_argument("--filter", metavar="FILTER", help="only runs that match, e.g. 'lr>1e-4'")
    parser.add_argument(
        "--sort", metavar="COLUMN", help="sort by a column, its best value first; -COLUMN reverses"
    )
    parser.add_argument(
        "--columns", metavar="KEYS", help="columns, with commas: metrics, best.METRIC, config keys"
    )
    parser.add_argument(
        "--group", metavar="COLUMN", help="a heading for each value of a column, with the mean"
    )
    parser.add_argument(
        "--format", choices=table_formats.FORMATS, help="print the table as it is for a document"
    )
    add_json(parser, "a JSON list")


def run_runs(args: argparse.Namespace) -> int:
    if args.json and args.format:
        raise MisuseError(f"--json and --format {args.format}: give one of them")
    chosen = args.sweep, args.sort, args.group, args.format
    if args.paths or any(chosen) or args.filter is not None or args.columns is not None:
        return _table(args)
    if args.json:
        output.print_json([as_dict(summary) for summary in _runs(args.tag)])
    else:
        print_runs(args.tag)
    return 0


def _table(args: argparse.Namespace) -> int:
    """Prints the runs with their metrics and configs, filtered and sorted."""
    filter = table.RunFilter(args.filter or "")  # before anything is read
    summaries = _logs(args.paths) if args.paths else _runs(None)
    if args.tag is not None:
        summaries = _tagged(summaries, args.tag)
    if args.sweep:
        summaries = find_trials(summaries, args.sweep)
    rows = read_rows(summaries)
    state = TableState()
    if args.sweep:
        view = table.view_of_sweep(rows, args.sweep)
        state = replace(state, **{**view, "filter": ""})
    for key in filter.keys:
        table.check_column(key, rows)
    rows = [row for row in rows if filter.matches(row)]
    if args.sort and rows:
        reverse, key = args.sort.startswith("-"), args.sort.removeprefix("-")
        key = table.check_column(key, rows)
        state = replace(state, sort=key, descending=table.starts_descending(key) != reverse)
    if args.group and rows:
        state = replace(state, group=table.check_column(args.group, rows))
    lines = table.arrange(rows, state)
    rows = [line for line in lines if isinstance(line, table.TableRow)]
    columns = list(state.columns)
    if args.columns is not None:
        names = [name.strip() for name in args.columns.split(",") if name.strip()]
        columns = [table.check_column(name, rows) for name in names] if rows else names
    else:
        columns = columns or table.survey(rows).columns
        if args.json or args.format:
            columns = [key for key in columns if not table.is_curve(key)]
    if args.json:
        output.print_json(
            [
                {**as_dict(row.run), "columns": {key: row.get(key) for key in columns}}
                for row in rows
            ]
        )
    elif args.format:
        if args.format == "csv" and state.group and state.group not in columns:
            columns.insert(0, state.group)
        print(clean(table_formats.FORMATS[args.format](lines, columns)), end="")
    elif not rows:
        output.print_line("no run matches" if args.filter else "no runs yet")
    else:
        run, state_head, *heads = table_formats.list_heads(columns)
        output.print_table(
            (run.upper(), state_head.upper(), *heads),
            [
                table_formats.list_cells(line, columns)
                if isinstance(line, table.TableRow)
                else table_formats.describe_group(line)
                for line in lines
            ],
            right=table_formats.find_numeric(lines, columns),
        )
    return 0


def _logs(words: list[str]) -> "list[RunSummary]":
    """The runs and logs that these words name, each once."""
    found: dict[Path, RunSummary] = {}
    for word in words:
        for log in find_all(find_path(word)):
            found.setdefault(log.run.path, log)
    return list(found.values())


def read_rows(summaries: "Sequence[RunSummary]") -> "list[TableRow]":
    """The rows of a table of these runs, read to their ends, with a line of progress."""
    reader = results.ResultReader()
    reader.set_runs(summaries)
    with output.ProgressLine() as progress:
        while reader.read(0.2):
            done, total = reader.progress
            progress.show(f"reading {count(done)} of {count(total)} runs")
    return results.make_rows(summaries, reader.results)


def _runs(tag: str | None) -> "list[RunSummary]":
    """The runs, only those with the tag if one is given. Raises MisuseError if none has it."""
    jobs = queue.JobQueue(run_listing.list_runs)
    jobs.ask()
    runs = jobs.list_all()
    return runs if tag is None else _tagged(runs, tag)


def _tagged(runs: "list[RunSummary]", tag: str) -> "list[RunSummary]":
    """The runs with this tag. Raises MisuseError if there is none."""
    known = {word for summary in runs for word in summary.labels.tags}
    if tag not in known:
        remedy = did_you_mean(tag, known) if known else "no run has any"
        raise MisuseError(f"no run has the tag '{tag}': {remedy}")
    return [summary for summary in runs if tag in summary.labels.tags]


def find_trials(runs: "list[RunSummary]", name: str) -> "list[RunSummary]":
    """The trials of the sweep. Raises MisuseError if there is none."""
    known = {table.sweep_of(summary) for summary in runs} - {""}
    if name not in known and (state := run_listing.describe_sweep(name)):
        raise MisuseError(f"sweep '{name}' has no trials: {state}; see genui sweep show {name}")
    if name not in known:
        remedy = did_you_mean(name, known) if known else "no run is of a sweep"
        raise MisuseError(f"no run is of a sweep '{name}': {remedy}")
    return [summary for summary in runs if table.sweep_of(summary) == name]


def print_runs(tag: str | None = None) -> None:
    """Prints the runs as a table, or a hint if there are none."""
    summaries = _runs(tag)
    if not summaries:
        output.print_line("no runs yet: `genui train shakespeare-quick` starts one")
        return
    heads = ("RUN", "STATE", "STEP", "VAL", "LEFT", "LAST WRITE", "NAME", "TAGS", "NOTE", "CAUSE")
    output.print_table(heads, map(_run_row, summaries), right=(2, 3, 4), optional=(6, 7, 8, 9))


def as_dict(summary: "RunSummary") -> dict[str, Any]:
    """A run as JSON data for scripts; `state` is the observed one, "dead" for a killed run."""
    status = msgspec.to_builtins(summary.status)
    return {
        "id": summary.run.id,
        "path": summary.run.path,
        "fault": summary.fault,
        "age": summary.age,
        "cause": facts.describe_cause(summary),
        "info": msgspec.structs.asdict(summary.info),
        "tags": summary.labels.tags,
        "note": summary.labels.note,
        **status,
        "state": summary.state,
    }


def _run_row(summary: "RunSummary") -> tuple[str, ...]:
    status, labels = summary.status, summary.labels
    cause = facts.describe_cause(summary) or summary.error
    waits = status.doing if summary.state == "queued" else ""
    given = (labels.name, ", ".join(labels.tags), labels.note or waits)
    if summary.fault:
        return (summary.run.id, "broken", "", "", "", summary.fault, *given, "")
    return (
        summary.run.id if summary.native else summary.info.name,
        summary.state,
        facts.count_steps(status.step, status.steps),
        facts.figure(status.val),
        clock(summary.eta) if summary.eta >= 0 else "",
        f"{about(summary.age)} ago" if summary.age else "",  # a job that waits has no log
        *given,
        cause,
    )
