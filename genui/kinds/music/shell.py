"""Music in the shell: options, JSON, and a piano roll in characters."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from genui.base.errors import MisuseError
from genui.cli import files, output
from genui.cli.generation import Generation, recipe_for
from genui.cli.request import Request
from genui.cli.show import print_facts
from genui.formats.codec import read
from genui.formats.recipe import ExportView, TraceRecipe
from genui.kinds.music import chorale, midi, score
from genui.kinds.music.midi import Notes, grid_of_frames
from genui.kinds.music.piano_roll import Column, format_roll
from genui.protocol import Start

if TYPE_CHECKING:
    from genui.runs.models import ModelInfo

# --- Options, edits and JSON --------------------------------------------------------------------


def read_note(text: str, model: "ModelInfo", prefix: str) -> int:
    """The token of a note by its name. Raises MisuseError if it is invalid."""
    return chorale.parse_token(text)


def add_melody(args: argparse.Namespace, base: Start) -> Start:
    """Adds the given voices of a MIDI file."""
    if args.melody is not None and args.init is not None:
        raise MisuseError("--init: names a melody as --melody does; leave one of them out")
    path = args.init if args.melody is None else args.melody
    if args.prompt is not None and (path or base.init) is not None:
        output.note("--prompt has no effect: the melody has its own key, metre and upbeat")
    if path is None:
        if args.voices is not None:
            raise MisuseError("--voices: needs --melody FILE")
        return base
    init = str(Path(os.path.expanduser(path)).absolute())
    return replace(base, init=init + (score.VOICES_OF + args.voices if args.voices else ""))


def check_orchestra(args: argparse.Namespace, request: Request) -> None:
    """Raises MisuseError or GenuiError if `--gm` is given and cannot be done."""
    if not args.gm:
        return
    if files.shown_in(args.out, request.kind) != "sound":
        raise MisuseError("--gm: needs --out FILE.wav and a music model")
    midi.fluidsynth()


def choose_view(args: argparse.Namespace, view: ExportView) -> ExportView:
    """The view of a file, by `--gm`."""
    return replace(view, kind="orchestra") if args.gm else view


def score_as_json(generation: Generation, scale: int) -> dict[str, Any]:
    """One piece for scripts: its recipe and its notes."""
    piece = midi.piece_of(generation.started.init, generation.started.prompt, generation.frames)
    recipe = msgspec.to_builtins(recipe_for([generation], ExportView(kind="score")))
    return {**recipe, "notes": [note._asdict() for note in piece.notes]}


# --- Drawing ------------------------------------------------------------------------------------


def draw_rolls(generations: Sequence[Generation]) -> None:
    """Draws each piece below its opening and seed."""
    for one in generations:
        grid, opening = grid_of_frames(one.started.init, one.started.prompt, one.frames)
        output.print_line(f"{chorale.spell_opening(opening)}, seed {one.start.seed}")
        _draw(grid.columns, opening.bar, opening.begins)


def draw_score(notes: Notes, recipe: TraceRecipe) -> None:
    """Draws the notes of a saved file, which begins with the silence of the first bar."""
    init = recipe.init if isinstance(recipe.init, str) else None
    bar = score.grid_of(init, recipe.prompt)[1].bar
    end = max((note.last for note in notes), default=0)
    _draw(score.columns_of(notes, end), bar, 0)


def _draw(sounds: Sequence[Column], bar: int, begins: int) -> None:
    for line in format_roll(sounds, output.columns(), bar, begins).split("\n"):
        output.print_line(line)


def show_score(file: Path) -> None:
    """Prints the recipe of a file and draws its notes."""
    saved = read(file)
    print_facts(saved)
    output.print_line()
    draw_score(saved.content, saved.recipe)
