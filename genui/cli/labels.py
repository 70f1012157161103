"""`genui rename`, `tag`, `note` and `rm`: organise the list of runs."""

import argparse

from genui.base.late import late_imports
from genui.base.numbers import size
from genui.cli import output
from genui.cli.parser import add_run

with late_imports():
    from genui.runs import control, labels, listing


def configure_rename(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "The id of a run never changes.\n\nexample:\n  genui rename last wider"
    add_run(parser)
    parser.add_argument("name", metavar="NAME", help="letters, digits, '-', '_' and '.'")


def run_rename(args: argparse.Namespace) -> int:
    run = listing.find_run(args.run_ref)
    labels.rename(run, args.name)
    output.print_line(f"{run.id}: renamed to {args.name}")
    return 0


def configure_tag(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "examples:\n  genui tag last baseline\n  genui tag last --remove baseline"
    add_run(parser)
    parser.add_argument("tags", metavar="TAG", nargs="*", help="a word to add")
    parser.add_argument(
        "--remove", metavar="TAG", action="append", default=[], help="a tag to remove"
    )


def run_tag(args: argparse.Namespace) -> int:
    run = listing.find_run(args.run_ref)
    changes = args.tags or args.remove
    tags = labels.tag(run, args.tags, args.remove) if changes else labels.read_labels(run).tags
    output.print_line(f"{run.id}: {', '.join(tags) or 'no tags'}")
    return 0


def configure_note(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example:\n  genui note last 'twice the width, same budget'"
    add_run(parser)
    parser.add_argument("text", metavar="TEXT", nargs="?", help="the note; '' removes it")


def run_note(args: argparse.Namespace) -> int:
    run = listing.find_run(args.run_ref)
    if args.text is not None:
        labels.annotate(run, args.text)
    output.print_line(f"{run.id}: {labels.read_labels(run).note or 'no note'}")
    return 0


def configure_rm(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example:\n  genui rm last"
    parser.add_argument("run_refs", metavar="RUN", nargs="+", help="a run's id or name")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run_rm(args: argparse.Namespace) -> int:
    runs = list(dict.fromkeys(listing.find_run(ref) for ref in args.run_refs))
    for run in runs:
        control.check_ended(run)
    freed = {run: labels.bytes_of(run) for run in runs}
    names = ", ".join(f"{run.id} ({size(freed[run])})" for run in runs)
    asks = "rm asks before it deletes a run"
    if not args.yes and not output.confirm(f"delete {names} for good?", asks):
        output.note("nothing was deleted")
        return 1
    for run in runs:
        labels.remove(run)
        output.print_line(f"{run.id}: deleted, {size(freed[run])} freed")
    labels.empty()
    return 0
