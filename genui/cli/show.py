"""`genui show` and `genui traces`: saved files and models, drawn or printed."""

import argparse
import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.late import late_imports
from genui.base.numbers import count, parameters
from genui.base.schema import settings_of
from genui.base.text import clean
from genui.cli import output
from genui.cli.parser import add_json
from genui.formats import image
from genui.formats.codec import CODECS, SavedFile, codec_of, read
from genui.formats.command import format_edits
from genui.formats.kinds import kind_of_init, saves_of
from genui.formats.sample import NoRecipeError
from genui.formats.text import RECIPE_LINE
from genui.formats.trees import Branch, ListedTrace, SavedTree, list_trees
from genui.hub.formats import format_of
from genui.protocol import Settings
from genui.recipes import FIXED
from genui.runs import facts

with late_imports():
    from genui.cli import inspect
    from genui.runs import layout, listing, models

# --- `genui show`: a file, a run or a model ----------------------------------------------------

MAX_TEXT = 1_000_000  # bytes printed of a text


def configure_show(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "examples:\n"
        "  genui show cats.png                          draws it, and how it was made\n"
        "  genui show icons                             a model's card and recipe"
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="an image, a .txt sample, a .trace, a .cast, a .safetensors, a run folder, or a "
        "model's name",
    )


def run_show(args: argparse.Namespace) -> int:
    file: Path = args.file
    suffix = file.suffix.lower()
    if suffix == ".safetensors" or format_of(file):
        _show_model(str(file))
    elif file.is_dir():
        inspect.describe(listing.summarise(layout.RunDir(file)))
    elif not file.exists():
        if (file.suffix or len(file.parts) > 1) and not models.is_open_model(str(file)):
            raise MisuseError(f"{file}: no such file; check the path")
        _show_model(str(file))
    elif not file.is_file():  # a named pipe would block
        raise MisuseError(f"{file}: not a regular file; name a file or a run folder")
    elif suffix in _SHOWN or suffix in CODECS:
        own = CODECS[suffix].show if suffix in CODECS else None
        (own or _SHOWN.get(suffix, show_saved))(file)
    else:
        raise MisuseError(
            f"{file}: shows files that end in {' '.join(sorted({*CODECS, *_SHOWN}))}, .safetensors "
            "and run folders"
        )
    return 0


_APART = ("name", "facts")
"""Entries of a card that are not printed as a line."""


def _show_model(ref: str) -> None:
    """Prints the card of a model and, of one that genui trained, the recipe in its file."""
    model = models.find_model(ref)
    sample = model.path.with_name("sample.png")
    if model.source == "shipped" and sample.is_file():
        show_image(sample)
    recipe = {} if model.format else dataclasses.asdict(models.read_header(model.path).recipe)
    output.print_facts(
        [
            ("model", model.ref),
            ("kind", f"{model.family}, {model.medium}"),
            ("parameters", parameters(model.parameters) if model.parameters else ""),
            ("step", count(model.step) if recipe else ""),
            ("base", recipe.get("base", "")),
            *((key, _flatten(value)) for key, value in model.card.items() if key not in _APART),
            *model.card.get("facts", {}).items(),
            ("path", str(model.path) if model.format else ""),
            *((key, _flatten(value)) for key, value in recipe.items() if key not in FIXED),
        ]
    )


def _flatten(value: Any) -> str:
    """An entry of a card or recipe on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flatten(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_flatten, value))
    return str(value)


def show_image(file: Path) -> None:
    """Draws the last frame of an image and prints its recipe. Raises GenuiError if unreadable."""
    output.draw(_last_frame(file))
    if codec_of(file) is not None:
        _show_recipe(file)


def _last_frame(file: Path) -> image.Pixels:
    try:
        with image.image_errors(), image.open_image(file) as opened:
            for _ in image.seek_frames(opened):
                pass
            return image.decode_frame(opened)
    except ValueError as error:
        raise GenuiError(f"{file}: {error}") from None


def _show_recipe(file: Path) -> None:
    """Prints the recipe in a file, if it has one."""
    try:
        saved = read(file)
    except NoRecipeError:
        return
    except GenuiError as error:
        output.note(str(error))
        return
    print_facts(saved)


def show_saved(file: Path) -> None:
    """Prints the recipe of a file, and its image or its branches."""
    saved = read(file)
    if isinstance(saved.content, list) and saved.content:
        output.draw(saved.content[-1])
    print_facts(saved)
    if isinstance(saved.content, SavedTree):
        tree = saved.content
        output.print_line()
        output.print_table(
            ("BRANCH", "FROM", "STEP", "EDIT", ""),
            [
                (
                    str(branch.id),
                    "" if branch.parent < 0 else str(branch.parent),
                    "" if branch.edit is None else str(branch.step),
                    _branch_title(branch),
                    "shown" if branch.id == tree.current else "",
                )
                for branch in tree.branches
            ],
        )


def _branch_title(branch: Branch) -> str:
    """The star, the name and the edit of a branch, as far as it has them."""
    title = " · ".join(filter(None, (branch.name, branch.label)))
    return f"★ {title}" if branch.starred else title


def print_facts(saved: SavedFile) -> None:
    """Prints how a file was generated, one fact a line."""
    recipe, machine = saved.recipe, saved.recipe.machine
    grid = [f"{axis.name} {', '.join(axis.values)}" for axis in recipe.grid]
    origin = "" if recipe.init is None else f"an image, strength {recipe.strength:g}"
    if isinstance(recipe.init, str):
        kind = kind_of_init(recipe.init)
        describe_init = saves_of(kind).describe_init if kind is not None else None
        origin = describe_init(recipe.init) if describe_init is not None else recipe.init
    output.print_facts(
        [
            ("model", recipe.model),
            ("weights", recipe.fingerprint),
            ("system", recipe.system),
            ("message" if recipe.chat else "prompt", recipe.prompt),
            ("seed", str(recipe.seed)),
            ("samples", str(recipe.count) if recipe.count > 1 else ""),
            ("settings", _flatten(_settings_by_name(recipe.settings))),
            ("edits", "; ".join(format_edits(recipe.edits, recipe.settings))),
            ("starts from", f"{origin}, noise added" if recipe.forward else origin),
            ("grid", " × ".join(grid)),
            ("steps", count(recipe.result.steps) if recipe.result.digest else ""),
            ("genui", recipe.genui),
            ("torch", machine.torch),
            ("made on", facts.summarise_machine(msgspec.structs.asdict(machine))),
        ]
    )


def _settings_by_name(settings: Settings) -> dict[str, Any]:
    """The settings by name: not empty ones, and rare ones only if they are not the default."""
    return {
        name: value
        for name, one in settings_of(type(settings)).items()
        if (value := getattr(settings, name)) not in (None, "", ())
        and (not one.about.rare or value != one.default)
    }


def show_text(file: Path) -> None:
    with file.open("rb") as stream:
        data = stream.read(MAX_TEXT + 1)
    text = clean(data[:MAX_TEXT].decode("utf-8", "replace"))
    text, mark, _ = text.rpartition(f"\n{RECIPE_LINE}") if RECIPE_LINE in text else (text, "", "")
    print(text, end="" if text.endswith("\n") else "\n")
    if len(data) > MAX_TEXT:
        output.note(f"{file}: only the first {count(MAX_TEXT)} bytes are shown")
    elif mark:
        output.print_line()
        _show_recipe(file)


_SHOWN: Mapping[str, Callable[[Path], None]] = {
    **dict.fromkeys((".apng", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"), show_image),
    **dict.fromkeys((".log", ".md", ".py", ".txt"), show_text),
}
"""The functions that show files by suffix, also files of other programs; else `show_saved` does."""


# --- `genui traces`: the traces that were saved -----------------------------------------------


def configure_traces(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The app saves a trace beside its model; `genui generate --trace FILE` anywhere.\n\n"
        "example:\n"
        "  genui traces --json | jq -r '.[].path'"
    )
    add_json(parser, "a JSON list")


def run_traces(args: argparse.Namespace) -> int:
    listings = list_trees()
    if args.json:
        output.print_json(list(map(_as_dict, listings)))
        return 0
    if not listings:
        output.print_line("no saved traces; the app saves the current one")
        return 0
    output.print_table(
        ("NAME", "MODEL", "STEPS", "BRANCHES", "SAVED", "FILE"),
        [_row(listed, listed.tree) for listed in listings if listed.tree],
        right=(2, 3),
    )
    for listed in listings:
        if listed.tree is None:
            output.note(listed.fault)
    return 0


def _row(listed: ListedTrace, tree: SavedTree) -> tuple[str, ...]:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(listed.changed))
    return (
        tree.name,
        tree.recipe.model,
        count(tree.steps) + (f" of {count(tree.total)}" if tree.steps < tree.total else ""),
        str(len(tree.branches)),
        when,
        str(listed.path),
    )


def _as_dict(listed: ListedTrace) -> dict[str, object]:
    tree = listed.tree
    if tree is None:
        return {"path": str(listed.path), "saved": listed.changed, "fault": listed.fault}
    return {
        "path": str(listed.path),
        "saved": listed.changed,
        "name": tree.name,
        "model": tree.recipe.model,
        "fingerprint": tree.recipe.fingerprint,
        "prompt": tree.recipe.prompt,
        "steps": tree.steps,
        "total_steps": tree.total,
        "branches": len(tree.branches),
    }
