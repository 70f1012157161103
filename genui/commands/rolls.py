"""Music in the terminal: a piano roll in characters."""

from collections.abc import Sequence

from genui import notes, score
from genui.commands import output
from genui.commands.samples import Generated
from genui.commands.terminal import columns
from genui.render.roll_lines import Column, text_roll
from genui.saved import TraceRecipe
from genui.saved.music import ScoreFile, written


def draw_rolls(made: Sequence[Generated]) -> None:
    """Each piece under what it began as."""
    for one in made:
        grid, opening = written(one.started.init, one.started.prompt, one.frames)
        output.say(f"{notes.spell_opening(opening)}, seed {one.start.seed}")
        _draw(grid.columns, opening.bar, opening.begins)


def draw_score(file: ScoreFile, recipe: TraceRecipe) -> None:
    """The notes of a saved file, which begin with the first bar's silence."""
    init = recipe.init if isinstance(recipe.init, str) else None
    bar = score.grid_of(init, recipe.prompt)[1].bar
    end = max((note.last for note in file.notes), default=0)
    _draw(score.columns_of(file.notes, end), bar, 0)


def _draw(sounds: Sequence[Column], bar: int, begins: int) -> None:
    for line in text_roll(sounds, columns(), bar, begins).split("\n"):
        output.say(line)
