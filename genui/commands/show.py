"""`genui show`: whatever genui wrote, drawn or printed by its kind."""

import argparse
import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

from genui.commands import output
from genui.errors import MisuseError
from genui.recipes import FIXED
from genui.render.numbers import count, short

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp"})
TEXTS = frozenset({".txt", ".md", ".log", ".py"})
MOST_TEXT = 1_000_000  # bytes printed of a text


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "examples:\n"
        "  genui show cats.png                          draws it, and how it was made\n"
        "  genui show icons                             a model's card and recipe"
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="a picture, a .txt sample, a .safetensors, a run folder, or a model's name",
    )


def run(args: argparse.Namespace) -> int:
    file: Path = args.file
    kind = file.suffix.lower()
    if kind == ".safetensors":
        _model(str(file))
    elif file.is_dir():
        _run_folder(file)
    elif not file.exists():
        if file.suffix or len(file.parts) > 1:
            raise MisuseError(f"{file}: no such file; check the path")
        _model(str(file))
    elif not file.is_file():  # a named pipe would keep us waiting
        raise MisuseError(f"{file}: not a regular file; name a file or a run folder")
    elif kind in PICTURES:
        _picture(file)
    elif kind in TEXTS:
        _text(file)
    else:
        raise MisuseError(
            f"{file}: shows pictures ({' '.join(sorted(PICTURES))}), text "
            f"({' '.join(sorted(TEXTS))}), .safetensors and run folders"
        )
    return 0


def _run_folder(folder: Path) -> None:
    from genui.commands.inspect import describe
    from genui.runs.layout import RunDir
    from genui.runs.listing import summarise

    describe(summarise(RunDir(folder)))


def _model(ref: str) -> None:
    """The card of a model and the recipe in its file."""
    from genui.runs.catalog import find_model
    from genui.runs.checkpoints import read_header

    model = find_model(ref)
    recipe = dataclasses.asdict(read_header(model.path).recipe)
    output.facts(
        [
            ("model", model.ref),
            ("kind", f"{model.family}, {model.medium}"),
            ("parameters", short(model.parameters)),
            ("step", count(model.step)),
            *((key, _flat(value)) for key, value in model.card.items() if key != "name"),
            *((key, _flat(value)) for key, value in recipe.items() if key not in FIXED),
        ]
    )


def _flat(value: Any) -> str:
    """A card's entry on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_flat, value))
    return str(value)


def _picture(file: Path) -> None:
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    from genui.commands.export import CHUNK
    from genui.commands.terminal import draw

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as picture:
                recipe = picture.info.get(CHUNK)
                rgb = picture.convert("RGB")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        most = count(Image.MAX_IMAGE_PIXELS or 0)
        raise MisuseError(f"{file}: over {most} pixels; make it smaller") from None
    except (OSError, ValueError, SyntaxError) as error:
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else error
        raise MisuseError(f"{file}: not a readable picture ({reason})") from None
    draw(np.asarray(rgb))
    if isinstance(recipe, str):
        _made_by(recipe)


def _made_by(text: str) -> None:
    """The recipe a PNG of ours carries; a chunk of anyone else's is left alone."""
    try:
        recipe = json.loads(text)
    except ValueError:
        return
    if isinstance(recipe, dict):
        output.facts((str(key), _flat(value)) for key, value in recipe.items())


def _text(file: Path) -> None:
    from genui.render.sanitise import clean

    with file.open("rb") as stream:
        data = stream.read(MOST_TEXT + 1)
    text = clean(data[:MOST_TEXT].decode("utf-8", "replace"))
    print(text, end="" if text.endswith("\n") else "\n")
    if len(data) > MOST_TEXT:
        output.note(f"{file}: only the first {count(MOST_TEXT)} bytes are shown")
