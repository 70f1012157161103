"""`genui dataset`: the datasets that are prepared on the disk."""

import argparse

from genui.base.errors import MisuseError, did_you_mean
from genui.base.late import late_imports
from genui.base.numbers import size
from genui.cli import output
from genui.cli.parser import add_json

with late_imports():
    from genui.engine.data import own_images, preparation, shards

ALL = "all"


def configure_dataset(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Texts too large for memory are tokenised once into files in the cache. So are images\n"
        "too large for memory, or in archives and tables: they are decoded. --clear removes a\n"
        "text with its vocabulary. A resumed run prepares removed data again.\n\n"
        "examples:\n"
        "  genui dataset\n"
        "  genui dataset --clear corpus.txt"
    )
    parser.add_argument(
        "--clear", metavar="NAME", default="", help=f"remove those of this name, or '{ALL}'"
    )
    add_json(parser)


def run_dataset(args: argparse.Namespace) -> int:
    prepared = sorted(
        [*shards.list_tokenised(), *own_images.list_decoded()],
        key=lambda each: each.name,
    )
    if args.clear:
        names = [each.name for each in prepared]
        if args.clear != ALL and args.clear not in names:
            nearest = did_you_mean(args.clear, names, "`genui dataset` lists them")
            raise MisuseError(f"no prepared dataset '{args.clear[:80]}': {nearest}")
        for each in prepared:
            if args.clear in (ALL, each.name):
                preparation.remove_prepared(each)
                output.print_line(f"{each.name}: {each.content} removed, {size(each.octets)} freed")
    elif args.json:
        output.print_json([each._asdict() for each in prepared])
    elif prepared:
        output.print_table(
            ("NAME", "CONTENT", "ON DISK", "READ", "FROM"),
            [
                (each.name, each.content, size(each.octets), f"{100 * each.share:.0f} %", each.path)
                for each in prepared
            ],
            right=(1, 2, 3),
        )
    else:
        output.note(
            "none is prepared: a run prepares texts and images too large for memory, and images "
            "in archives and tables"
        )
    return 0
