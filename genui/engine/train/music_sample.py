"""What a model of music writes while it trains: a piano roll to look at, and a MIDI file."""

from collections.abc import Sequence

from genui import notes, score
from genui.engine.device import Machine
from genui.engine.generate.music import MusicGenerator
from genui.engine.models.language_model import LanguageModel
from genui.engine.train.task import Sample, png
from genui.protocol import Start, TextSettings
from genui.recipes import MusicRecipe
from genui.render.midi import encode_midi
from genui.render.roll import roll_picture


def samples(model: LanguageModel, machine: Machine, recipe: MusicRecipe) -> Sequence[Sample]:
    """The piece that the recipe's prompt and seed give: as .png and as .mid."""
    opening = notes.parse_opening(recipe.sample_prompt)
    grid = write_piece(
        MusicGenerator(model, machine),
        recipe.sample_prompt,
        recipe.seed,
        TextSettings(tokens=recipe.sample_tokens),
    )
    heard, length = grid.heard(), grid.complete
    picture = roll_picture(heard, length, opening.bar, opening.begins)
    return Sample(".png", png(picture)), Sample(".mid", encode_midi(heard, opening.bar))


def write_piece(
    generator: MusicGenerator, prompt: str, seed: int, settings: TextSettings
) -> score.Grid:
    """A whole piece, in this process."""
    start = Start(trace=0, model="", prompt=prompt, seed=seed, settings=settings)
    state, _ = generator.begin(start)
    grid = score.Grid(state.leads)
    while not generator.finished(state):
        state, frame = generator.step(state)
        grid.write(frame.token)
    return grid
