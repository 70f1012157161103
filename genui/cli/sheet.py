"""`genui sheet`: a contact sheet of saved generations, each with its caption."""

import argparse
from pathlib import Path

from genui.base.errors import MisuseError
from genui.base.files import atomic_write
from genui.base.numbers import quantity
from genui.cli import files, output
from genui.cli.generation import generate
from genui.formats.codec import Sample, SavedFile, read
from genui.formats.image import MAX_CARDS, caption_of, encode_sheet
from genui.formats.recipe import TraceRecipe
from genui.formats.trees import SavedTree, list_favourites
from genui.protocol import Frame, ImageFrame, TextFrame


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
    samples = [_sample(read(path)) for path in paths]
    captions = [caption_of(recipe) for _, recipe in samples]
    atomic_write(args.out, encode_sheet(samples, captions, args.columns))
    output.note(f"wrote {args.out}: {quantity(len(samples), 'sample')}")
    return 0


def _sample(file: SavedFile) -> tuple[Sample, TraceRecipe]:
    """The last frame or text in a file, and its recipe. Raises MisuseError for other content."""
    recipe, content = file.recipe, file.content
    frame: Frame
    if isinstance(content, SavedTree):
        return generate(file.start).sample, recipe
    if isinstance(content, str):
        frame = TextFrame(
            trace=0, step=1, token=0, text=content, surprisal=0, entropy=0, candidates=()
        )
        return Sample(recipe.seed, "", [frame]), recipe
    if isinstance(content, list) and content:
        height, width, _ = content[-1].shape
        rgb = content[-1].tobytes()
        frame = ImageFrame(
            trace=0, step=1, sigma=0.0, width=width, height=height, x=rgb, denoised=rgb
        )
        return Sample(recipe.seed, "", [frame]), recipe
    raise MisuseError(f"{file.path}: a contact sheet takes images, texts and traces")
