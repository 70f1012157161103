"""How well a model of music predicts Bach, and how it keeps the rules that he kept."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genui import notes, score
from genui.engine.data.chorales import Chorale, load_dataset, notes_begun
from genui.engine.generate.music import MusicGenerator
from genui.engine.probes.counterpoint import Faults, faults, sonorities
from genui.engine.probes.music_copying import sonorities_of, training_pieces
from genui.engine.probes.music_writing import write_pieces
from genui.engine.train.music_task import held_out
from genui.kinds import KINDS
from genui.protocol import TextSettings
from genui.recipes import MusicRecipe

PIECES = 20  # written for the card
OPENINGS = ("G major, 4/4, upbeat", "G minor, 4/4, upbeat", "D major, 4/4", "A minor, 3/4, upbeat")


def measure_music(generator: MusicGenerator, recipe: MusicRecipe) -> dict[str, str]:
    """Of the test split nats a token and a note; of pieces it writes the faults, beside Bach's."""
    parts = load_dataset(recipe)
    nats = likelihood(generator, parts["test"])
    written = pieces(generator, PIECES)
    its = [faults(grid.heard(), grid.complete) for grid in written]
    bach = [faults(heard(piece), len(piece.pitch)) for piece in parts["test"]]
    lengths = sum(g.complete for g in written), sum(len(p.pitch) for p in parts["test"])
    _, index = training_pieces(recipe)
    runs = [index.longest(sonorities(g.heard(), g.complete)).sixteenths for g in written]
    theirs = [index.longest(sonorities_of(p)).sixteenths for p in parts["test"][:PIECES]]
    return {
        "test loss": f"{nats.sum() / len(nats):.3f} nats a token",
        "a note": f"{nats.sum() / notes_begun(parts['test']):.2f} nats a note begun, test split",
        "parallels": f"{_rate(its, 'parallels', lengths[0]):.1f} in 100 quarters, of {PIECES} "
        f"pieces; Bach {_rate(bach, 'parallels', lengths[1]):.1f}",
        "out of range": f"{_rate(its, 'out_of_range', lengths[0]):.1f} notes in 100 quarters; "
        f"Bach {_rate(bach, 'out_of_range', lengths[1]):.1f}",
        "copied": f"longest run {np.median(runs) / notes.QUARTER:g} quarters in the median piece; "
        f"of Bach's test pieces {np.median(theirs) / notes.QUARTER:g}",
    }


def likelihood(generator: MusicGenerator, pieces: Sequence[Chorale]) -> NDArray[np.float64]:
    """Nats of every token of the pieces, no voice leading."""
    return np.concatenate([held_out(generator.model, p, generator.machine) for p in pieces])


def pieces(
    generator: MusicGenerator, count: int, settings: TextSettings | None = None
) -> list[score.Grid]:
    """Pieces written as the app and the shell do unless told otherwise, from OPENINGS in turn."""
    usual = settings or KINDS["transformer", "music"].defaults
    assert isinstance(usual, TextSettings)
    found: list[score.Grid] = []
    for number, opening in enumerate(OPENINGS):
        seeds = range(number + 1, count + 1, len(OPENINGS))
        if seeds:
            asked = notes.parse_opening(opening)
            found += write_pieces(generator.model, generator.machine, asked, seeds, usual)
    return found


def heard(piece: Chorale) -> list[score.Note]:
    """The notes of a chorale."""
    return [n for voice in range(4) for n in score.sounding(voice, piece.tokens[:, voice].tolist())]


def _rate(found: Sequence[Faults], name: str, sixteenths: int) -> float:
    """How many in 100 quarters."""
    return 100 * notes.QUARTER * sum(getattr(one, name) for one in found) / max(1, sixteenths)
