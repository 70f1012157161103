"""`genui show`: whatever genui wrote, drawn or printed by its kind."""

import argparse
import dataclasses
import warnings
from pathlib import Path
from typing import Any

import msgspec

from genui import notes, score
from genui.commands import output
from genui.commands.forks import spell_all
from genui.errors import GenuiError, MisuseError
from genui.protocol import SELDOM, ImageSettings, Settings
from genui.recipes import FIXED
from genui.render.numbers import count, short
from genui.saved import SUFFIXES, Machine, SavedFile, SavedTree, read
from genui.saved.files import RECIPE_LINE, UnmarkedError
from genui.saved.music import ScoreFile

PICTURES = frozenset({".png", ".apng", ".jpg", ".jpeg", ".gif", ".webp", ".bmp"})
TEXTS = frozenset({".txt", ".md", ".log", ".py"})
SAVED = frozenset({".trace", ".cast", ".mp4", ".wav", ".mid"})
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
        help="a picture, a .txt sample, a .trace, a .cast, a .safetensors, a run folder, or a "
        "model's name",
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
    elif kind in SAVED:
        _saved(file)
    else:
        raise MisuseError(
            f"{file}: shows pictures ({' '.join(sorted(PICTURES))}), text "
            f"({' '.join(sorted(TEXTS))}), {' '.join(sorted(SAVED))}, .safetensors and run folders"
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
    sample = model.path.with_name("sample.png")
    if model.source == "shipped" and sample.is_file():
        _picture(sample)
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

    from genui.commands.terminal import draw

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as picture:
                if picture.format == "GIF":
                    _check_gif(file)
                picture.seek(getattr(picture, "n_frames", 1) - 1)  # what a moving one comes to
                rgb = picture.convert("RGB")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        most = count(Image.MAX_IMAGE_PIXELS or 0)
        raise MisuseError(f"{file}: over {most} pixels; make it smaller") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError) as error:
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else error
        raise MisuseError(f"{file}: not a readable picture ({reason})") from None
    draw(np.asarray(rgb))
    if file.suffix.lower() in SUFFIXES:
        _made_by(file)


def _check_gif(file: Path) -> None:
    """Raises MisuseError for more frames than are read of one file."""
    import mmap

    from genui.render import film

    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            film.check_gif(data)
        except ValueError as error:
            raise MisuseError(f"{file}: {error}; cut it") from None


def _made_by(file: Path) -> None:
    """The recipe in a file of ours; a file that has none, or another's, is left alone."""
    try:
        found = read(file)
    except UnmarkedError:
        return
    except GenuiError as error:
        output.note(str(error))
        return
    facts_of(found)


def _saved(file: Path) -> None:
    """A recording's or a trace's recipe, and of a trace its branches."""
    found = read(file)
    facts_of(found)
    if isinstance(found.content, ScoreFile):
        from genui.commands.rolls import draw_score

        output.say()
        draw_score(found.content, found.recipe)
    if isinstance(found.content, SavedTree):
        tree = found.content
        output.say()
        output.table(
            ("BRANCH", "FROM", "STEP", "EDIT", ""),
            [
                (
                    str(branch.id),
                    "" if branch.parent < 0 else str(branch.parent),
                    "" if branch.edit is None else str(branch.step),
                    branch.label,
                    "shown" if branch.id == tree.current else "",
                )
                for branch in tree.branches
            ],
        )


def facts_of(found: SavedFile) -> None:
    """How a file was made, one fact a line."""
    recipe, machine = found.recipe, found.recipe.machine
    grid = [f"{axis.name} {', '.join(axis.values)}" for axis in recipe.grid]
    begun = "" if recipe.init is None else f"a picture, strength {recipe.strength:g}"
    if isinstance(recipe.init, str):
        given = score.Given.from_text(recipe.init)
        named = " and ".join(notes.VOICES[voice] for voice in sorted(given.leads))
        begun = f"a given {named}, {notes.spell_opening(given.opening)}"
    output.facts(
        [
            ("model", recipe.model),
            ("weights", recipe.fingerprint),
            ("prompt", recipe.prompt),
            ("seed", str(recipe.seed)),
            ("samples", str(recipe.count) if recipe.count > 1 else ""),
            ("settings", _flat(_told(recipe.settings))),
            ("edits", "; ".join(spell_all(recipe.edits, recipe.settings))),
            ("begins from", f"{begun}, drowned" if recipe.forward else begun),
            ("grid", " × ".join(grid)),
            ("steps", count(recipe.result.steps) if recipe.result.digest else ""),
            ("genui", recipe.genui),
            ("torch", machine.torch),
            ("made on", ", ".join(filter(None, _where(machine)))),
        ]
    )


def _told(settings: Settings) -> dict[str, Any]:
    """The settings by name; where the noise levels lie only if that was chosen."""
    usual = msgspec.structs.asdict(ImageSettings())
    return {
        name: value
        for name, value in msgspec.structs.asdict(settings).items()
        if name not in SELDOM or value != usual[name]
    }


def _where(machine: Machine) -> tuple[str, ...]:
    threads = f"{machine.threads} threads" if machine.threads != 1 else "1 thread"
    return machine.processor, machine.device, machine.precision, threads if machine.threads else ""


def _text(file: Path) -> None:
    from genui.render.sanitise import clean

    with file.open("rb") as stream:
        data = stream.read(MOST_TEXT + 1)
    text = clean(data[:MOST_TEXT].decode("utf-8", "replace"))
    text, mark, _ = text.rpartition(f"\n{RECIPE_LINE}") if RECIPE_LINE in text else (text, "", "")
    print(text, end="" if text.endswith("\n") else "\n")
    if len(data) > MOST_TEXT:
        output.note(f"{file}: only the first {count(MOST_TEXT)} bytes are shown")
    elif mark:
        output.say()
        _made_by(file)
