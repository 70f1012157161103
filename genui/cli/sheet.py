"""`genui sheet`: a contact sheet of saved generations, each with its caption."""

import argparse
from pathlib import Path

from genui.base.errors import MisuseError
from genui.base.files import atomic_write
from genui.base.numbers import quantity
from genui.cli import files, output
from genui.cli.generation import generate
from genui.formats.codec import SavedFile, read
from genui.formats.image import MAX_CARDS, Card, caption_of, card_of, encode_sheet
from genui.formats.trees import SavedTree, list_favourites


def configure_sheet(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Images and texts are taken as they are in the files. A .trace holds only its recipe: the\n"
        "branch that was shown is generated again.\n\n"
        "examples:\n"
        "  genui sheet cats.png heart.png hymn.txt --out sheet.png\n"
        "  genui sheet --favourites --out favourites.png"
    )
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        help="a .png, .gif, .apng, .txt or .trace that genui wrote",
    )
    parser.add_argument("--favourites", action="store_true", help="all favourites of the app")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the .png to write")
    parser.add_argument(
        "--columns",
        metavar="N",
        type=int,
        default=0,
        help="samples per row (default: about as many as rows)",
    )


def run_sheet(args: argparse.Namespace) -> int:
    paths = [Path(name) for name in args.files]
    if args.favourites:
        paths += [listed.path for listed in list_favourites()]
    if not paths:
        what = (
            "no favourites yet: press * in the app to add one"
            if args.favourites
            else "name files, or --favourites"
        )
        raise MisuseError(f"sheet: {what}")
    if len(paths) > MAX_CARDS:
        raise MisuseError(f"sheet: {len(paths)} files; at most {MAX_CARDS} fit on one")
    if not 0 <= args.columns <= MAX_CARDS:
        raise MisuseError(f"--columns {args.columns}: expected a whole number, 1 to {MAX_CARDS}")
    files.check_file(args.out, "--out", (".png",), "a contact sheet")
    if args.out.exists() and any(path.exists() and args.out.samefile(path) for path in paths):
        raise MisuseError(f"--out {args.out}: is one of the samples; name another file")
    saved = [read(path) for path in paths]
    recipes = [file.recipe for file in saved]
    atomic_write(args.out, encode_sheet([*map(_card, saved)], recipes, args.columns))
    output.note(f"wrote {args.out}: {quantity(len(saved), 'sample')}")
    return 0


def _card(file: SavedFile) -> Card:
    """The last image or the text in a file. Raises MisuseError for other content."""
    caption, content = caption_of(file.recipe), file.content
    if isinstance(content, SavedTree):
        return card_of(generate(file.start).sample, caption)
    if isinstance(content, str):
        return Card(caption, text=content)
    if isinstance(content, list) and content:
        return Card(caption, content[-1])
    raise MisuseError(f"{file.path}: a contact sheet takes images, texts and traces")
