"""`genui dataset`: the datasets that are prepared on the disk."""

import argparse

from genui.base.errors import MisuseError, did_you_mean
from genui.base.numbers import size
from genui.cli import output
from genui.cli.command import Runs
from genui.cli.parser import add_json

ALL = "all"


def configure_dataset(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Texts that do not fit into memory are tokenised once into files in the cache, and so are\n"
        "images decoded that do not, or that are in archives and tables. The vocabulary of a text\n"
        "is removed with it. A run that needs removed data makes them again when it is resumed.\n\n"
        "examples:\n"
        "  genui dataset\n"
        "  genui dataset --clear corpus.txt"
    )
    parser.add_argument(
        "--clear", metavar="NAME", default="", help=f"remove those of this name, or '{ALL}'"
    )
    add_json(parser)


def run_dataset(args: argparse.Namespace) -> int:
    from genui.engine.data.own_images import list_decoded
    from genui.engine.data.preparation import remove_prepared
    from genui.engine.data.shards import list_tokenised

    prepared = sorted([*list_tokenised(), *list_decoded()], key=lambda each: each.name)
    if args.clear:
        names = [each.name for each in prepared]
        if args.clear != ALL and args.clear not in names:
            nearest = did_you_mean(args.clear, names, "`genui dataset` lists them")
            raise MisuseError(f"no prepared dataset '{args.clear[:80]}': {nearest}")
        for each in prepared:
            if args.clear in (ALL, each.name):
                remove_prepared(each)
                output.say(f"{each.name}: {each.content} removed, {size(each.octets)} freed")
    elif args.json:
        output.emit([each._asdict() for each in prepared])
    elif prepared:
        output.table(
            ("NAME", "CONTENT", "ON DISK", "READ", "FROM"),
            [
                (each.name, each.content, size(each.octets), f"{100 * each.share:.0f} %", each.path)
                for each in prepared
            ],
            right=(1, 2, 3),
        )
    else:
        output.note(
            "none is prepared: texts that do not fit into memory and images that do not, or are in "
            "archives and tables, are when a run needs them"
        )
    return 0


COMMANDS = {"dataset": Runs(configure_dataset, run_dataset)}
