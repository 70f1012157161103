"""Music in the terminal: a piano roll in characters."""

from collections.abc import Sequence

from genui.cli import output
from genui.cli.generation import Generation
from genui.formats import score
from genui.formats.midi import ScoreFile, grid_of_frames
from genui.formats.recipe import TraceRecipe
from genui.protocol import chorale
from genui.render.piano_roll import Column, format_roll


def draw_rolls(generations: Sequence[Generation]) -> None:
    """Draws each piece below its opening and seed."""
    for one in generations:
        grid, opening = grid_of_frames(one.started.init, one.started.prompt, one.frames)
        output.say(f"{chorale.spell_opening(opening)}, seed {one.start.seed}")
        _draw(grid.columns, opening.bar, opening.begins)


def draw_score(file: ScoreFile, recipe: TraceRecipe) -> None:
    """Draws the notes of a saved file, which begins with the silence of the first bar."""
    init = recipe.init if isinstance(recipe.init, str) else None
    bar = score.grid_of(init, recipe.prompt)[1].bar
    end = max((note.last for note in file.notes), default=0)
    _draw(score.columns_of(file.notes, end), bar, 0)


def _draw(sounds: Sequence[Column], bar: int, begins: int) -> None:
    for line in format_roll(sounds, output.columns(), bar, begins).split("\n"):
        output.say(line)
