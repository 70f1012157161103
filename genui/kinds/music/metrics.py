"""Metrics of music models: rules of part-writing, copying, and the loss on Bach's chorales."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.engine.sample.trace import Trace
from genui.kinds.music import chorale, score
from genui.kinds.music.chorale import VOICES
from genui.kinds.music.data import Chorale, count_notes, load_music
from genui.kinds.music.recipe import MusicRecipe
from genui.kinds.music.sample import MusicGenerator, MusicState
from genui.kinds.music.score import Note
from genui.kinds.music.task import held_out, write_piece
from genui.protocol import Neighbours, Quote, TextSettings
from genui.protocol.kinds import KINDS

# --- Rules of part-writing --------------------------------------------------------------------

RANGES = ((60, 79), (55, 72), (48, 67), (40, 62))
"""The ranges of the voices in textbooks, as MIDI numbers: soprano C4 to G5, alto G3 to C5, tenor C3
to G4, bass E2 to D4 (Aldwell & Schachter, Harmony and Voice Leading, chapter 6)."""


class Faults(NamedTuple):
    """The number of times that a piece breaks each rule."""

    fifths: int  # parallel perfect fifths, between any two voices
    octaves: int  # parallel octaves and unisons
    out_of_range: int  # notes outside RANGES
    crossings: int  # sixteenths at which a voice is above the one above it

    @property
    def parallels(self) -> int:
        return self.fifths + self.octaves


Sonority = tuple[int | None, ...]


def faults(notes: Sequence[Note], sixteenths: int) -> Faults:
    """The faults of a piece of four voices."""
    sounds = sonorities(notes, sixteenths)
    perfect = {7: 0, 0: 0}
    for before, after in pairwise(sounds):
        for one, other in combinations(range(len(VOICES)), 2):
            interval = _parallel(before, after, one, other)
            if interval in perfect:
                perfect[interval] += 1
    outside = sum(not RANGES[n.voice][0] <= n.pitch <= RANGES[n.voice][1] for n in notes)
    crossed = sum(
        any(a is not None and b is not None and a < b for a, b in pairwise(sound))
        for sound in sounds
    )
    return Faults(perfect[7], perfect[0], outside, crossed)


def sonorities(notes: Sequence[Note], sixteenths: int) -> list[Sonority]:
    """The pitches of the four voices at each sixteenth; None for a silent voice."""
    columns = score.columns_of(notes, sixteenths)
    return [tuple(sound.pitch if sound else None for sound in column) for column in columns]


def _parallel(before: Sonority, after: Sonority, one: int, other: int) -> int | None:
    """The interval, in semitones modulo 12, that two voices keep while they move in the same
    direction; None if they do not."""
    upper, lower, upper2, lower2 = before[one], before[other], after[one], after[other]
    if upper is None or lower is None or upper2 is None or lower2 is None:
        return None
    if (upper2 - upper) * (lower2 - lower) <= 0:  # oblique or contrary motion
        return None
    interval = (upper - lower) % 12
    return interval if interval == (upper2 - lower2) % 12 else None


# --- Copying: the longest run of notes that is in a training piece ----------------------------

SILENT = 127  # in place of a MIDI number
_SPREAD = 256


class MusicRun(NamedTuple):
    """`sixteenths` of a piece from `start` on, the same in training piece `piece` from `place`."""

    start: int
    sixteenths: int
    piece: int
    place: int


class Pieces:
    """An index of pieces in which transposed runs match too."""

    def __init__(self, pieces: Sequence[Sequence[Sonority]]) -> None:
        self._starts = np.cumsum([0, *(len(piece) for piece in pieces)])
        chords = [_chords(piece) for piece in pieces]
        self._shapes = np.concatenate([shape for shape, _ in chords])
        self._moves = np.concatenate([move for _, move in chords])

    def longest(self, piece: Sequence[Sonority]) -> MusicRun:
        """The first of the longest runs in which all four voices match an indexed piece, perhaps
        transposed; its length is 0 if there is none."""
        shapes, moves = _chords(piece)
        best = MusicRun(0, 0, 0, 0)
        runs = np.zeros(len(self._shapes), np.int32)  # the length of the run that ends there
        for at, (shape, move) in enumerate(zip(shapes, moves, strict=True)):
            same = self._shapes == shape
            # A run continues if the bass moves by the same interval; otherwise it begins here.
            before = np.zeros_like(runs)
            before[1:] = runs[:-1]
            before[self._starts[:-1]] = 0
            runs = np.where(same, np.where(self._moves == move, before, 0) + 1, 0).astype(np.int32)
            longest = int(runs.max(initial=0))
            if longest > best.sixteenths:
                end = int(runs.argmax())
                number = int(np.searchsorted(self._starts, end, "right")) - 1
                place = end - longest + 1 - int(self._starts[number])
                best = MusicRun(at - longest + 1, longest, number, place)
        return best


def _chords(piece: Sequence[Sonority]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each sixteenth's chord as a number that is the same in every key, and the bass's interval
    from the sixteenth before: [sixteenths] each."""
    grid = np.array(
        [[SILENT if p is None else p for p in column] for column in piece], np.int64
    ).reshape(-1, len(chorale.VOICES))
    bass = grid[:, 3]
    shape = np.zeros(len(grid), np.int64)
    for voice in range(3):
        above = np.where(grid[:, voice] == SILENT, SILENT, grid[:, voice] - bass)
        shape = shape * _SPREAD + above + 128
    return shape, np.diff(bass, prepend=bass[:1] if len(bass) else [0])


def chorale_sonorities(piece: Chorale) -> list[Sonority]:
    """The pitches of a chorale at each sixteenth."""
    return [tuple(int(p) if p else None for p in column) for column in piece.pitch]


@lru_cache(maxsize=2)
def training_pieces(recipe: MusicRecipe) -> tuple[tuple[Chorale, ...], Pieces]:
    """The training pieces and their index."""
    pieces = load_music(recipe)["train"]
    return pieces, Pieces([chorale_sonorities(piece) for piece in pieces])


def nearest_music(recipe: MusicRecipe, trace: Trace, step: int, count: int) -> Neighbours:
    """A quote of the longest run that is in a training piece, in any key; `count` is ignored."""
    assert isinstance(trace.generator, MusicGenerator)
    state: MusicState = trace.state(step)
    grid = score.Grid(state.leads, state.given.sixteenths if state.given is not None else None)
    for token in written(state):
        grid.write(token)
    pieces, index = training_pieces(recipe)
    data = f"chorales, {len(pieces)} pieces"
    measured = "all four voices note for note, in any key"
    run = index.longest(sonorities(grid.notes(), grid.complete))
    if not run.sixteenths:
        return Neighbours(trace=0, step=0, data=data, measured=measured)
    end = run.start + run.sixteenths
    steps = [s.step for column in grid.columns[run.start : end] for s in column if s is not None]
    piece = pieces[run.piece]
    bar = (piece.opening.begins + run.place) // piece.opening.bar + 1
    quote = Quote(
        text=_spell_notes(grid.notes(), run.start, end, chorale.has_flats(state.opening.key)),
        first=min(steps, default=1),
        last=max(steps, default=1),
        where=f"BWV {piece.bwv}, from bar {bar}: {run.sixteenths / chorale.QUARTER:g} quarters",
    )
    return Neighbours(trace=0, step=0, data=data, measured=measured, quotes=(quote,))


def written(state: MusicState) -> list[int]:
    """The tokens of a state, decoded from its inputs."""
    inputs = state.token_ids.since(state.prompt) % chorale.INPUTS
    return [chorale.HOLD if token >= chorale.SIZE else token for token in inputs.tolist()]


def _spell_notes(notes: Sequence[score.Note], first: int, end: int, flats: bool) -> str:
    """The notes between two sixteenths as text, a line for each voice."""
    lines = []
    for voice, name in enumerate(chorale.VOICES):
        sung = [n for n in notes if n.voice == voice and n.last > first and n.first < end]
        lines.append(f"{name}: " + " ".join(chorale.spell(n.pitch, flats) for n in sung))
    return "\n".join(lines)


# --- The metrics ------------------------------------------------------------------------------

PIECES = 20  # generated pieces
OPENINGS = ("G major, 4/4, upbeat", "G minor, 4/4, upbeat", "D major, 4/4", "A minor, 3/4, upbeat")


def measure_music(generator: MusicGenerator, recipe: MusicRecipe) -> dict[str, str]:
    """The loss on the test split, and the faults and copies in generated pieces and in Bach's."""
    parts = load_music(recipe)
    nats = likelihood(generator, parts["test"])
    written = pieces(generator, PIECES)
    own = [faults(grid.notes(), grid.complete) for grid in written]
    bach = [faults(chorale_notes(piece), len(piece.pitch)) for piece in parts["test"]]
    lengths = sum(g.complete for g in written), sum(len(p.pitch) for p in parts["test"])
    _, index = training_pieces(recipe)
    runs = [index.longest(sonorities(g.notes(), g.complete)).sixteenths for g in written]
    real_runs = [index.longest(chorale_sonorities(p)).sixteenths for p in parts["test"][:PIECES]]
    return {
        "test loss": f"{nats.sum() / len(nats):.3f} nats a token",
        "a note": f"{nats.sum() / count_notes(parts['test']):.2f} nats a note begun, test split",
        "parallels": f"{_per_100(own, 'parallels', lengths[0]):.1f} in 100 quarters, of {PIECES} "
        f"pieces; Bach {_per_100(bach, 'parallels', lengths[1]):.1f}",
        "out of range": f"{_per_100(own, 'out_of_range', lengths[0]):.1f} notes in 100 quarters; "
        f"Bach {_per_100(bach, 'out_of_range', lengths[1]):.1f}",
        "copied": f"longest run {np.median(runs) / chorale.QUARTER:g} quarters in the median "
        f"piece; of Bach's test pieces {np.median(real_runs) / chorale.QUARTER:g}",
    }


def likelihood(generator: MusicGenerator, pieces: Sequence[Chorale]) -> NDArray[np.float64]:
    """The loss in nats of every token of the pieces, without leading voices."""
    return np.concatenate([held_out(generator.model, p, generator.machine) for p in pieces])


def pieces(generator: MusicGenerator, count: int) -> list[score.Grid]:
    """Pieces with the default settings, and OPENINGS in turn."""
    usual = KINDS["transformer", "music"].defaults
    assert isinstance(usual, TextSettings)
    grids: list[score.Grid] = []
    for number, opening in enumerate(OPENINGS):
        for seed in range(number + 1, count + 1, len(OPENINGS)):
            grids.append(write_piece(generator, opening, seed, usual))
    return grids


def chorale_notes(piece: Chorale) -> list[score.Note]:
    """The notes of a chorale, voice by voice."""
    voices = (score.notes_of_voice(v, piece.tokens[:, v].tolist()) for v in range(len(VOICES)))
    return [note for notes in voices for note in notes]


def _per_100(faults_of: Sequence[Faults], name: str, sixteenths: int) -> float:
    """The number of faults per 100 quarters."""
    return 100 * chorale.QUARTER * sum(getattr(one, name) for one in faults_of) / max(1, sixteenths)
