"""`genui dataset`: the tokenised datasets on the disk."""

import argparse

from genui.base.errors import MisuseError, did_you_mean
from genui.base.numbers import size
from genui.cli import output
from genui.cli.parser import add_json

ALL = "all"


def configure_dataset(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Texts that do not fit into memory are tokenised once, into files in the cache. A run\n"
        "that needs removed ones makes them again when it is resumed.\n\n"
        "examples:\n"
        "  genui dataset\n"
        "  genui dataset --clear corpus.txt"
    )
    parser.add_argument(
        "--clear", metavar="NAME", default="", help=f"remove those of this name, or '{ALL}'"
    )
    add_json(parser)


def run_dataset(args: argparse.Namespace) -> int:
    from genui.engine.data.shards import list_tokenised, remove_tokenised

    tokenised = list_tokenised()
    if args.clear:
        names = [each.manifest.name for each in tokenised]
        if args.clear != ALL and args.clear not in names:
            nearest = did_you_mean(args.clear, names, "`genui dataset` lists them")
            raise MisuseError(f"no tokenised dataset '{args.clear[:80]}': {nearest}")
        for each in tokenised:
            if args.clear in (ALL, each.manifest.name):
                remove_tokenised(each)
                output.say(f"{each.manifest.name}: removed, {size(each.octets)} freed")
        return 0
    if args.json:
        output.emit(
            [
                {
                    "name": each.manifest.name,
                    "path": each.manifest.path,
                    "tokenizer": each.manifest.tokenizer,
                    "tokens": sum(each.manifest.tokens),
                    "bytes": each.octets,
                    "share": each.manifest.share,
                    "folder": each.folder,
                }
                for each in tokenised
            ]
        )
    elif tokenised:
        output.table(
            ("NAME", "TOKENIZER", "TOKENS", "ON DISK", "READ", "FROM"),
            [
                (
                    each.manifest.name,
                    each.manifest.tokenizer,
                    f"{sum(each.manifest.tokens):,}",
                    size(each.octets),
                    f"{100 * each.manifest.share:.0f} %",
                    each.manifest.path,
                )
                for each in tokenised
            ],
            right=(2, 3, 4),
        )
    else:
        output.note("no tokenised dataset: a text that does not fit into memory becomes one")
    return 0
