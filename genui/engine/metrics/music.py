"""Metrics of models of music: rules of part-writing, copying, and how well Bach is predicted."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.chorales import Chorale, count_notes, load_music
from genui.engine.device import Machine
from genui.engine.models.language_model import LanguageModel
from genui.engine.sample.logits import distribution, pick, uniform
from genui.engine.sample.music import MusicGenerator, MusicState, mask_slot
from genui.engine.sample.tokens import RowReader
from genui.engine.sample.trace import Trace
from genui.engine.train.language import held_out
from genui.formats import score
from genui.formats.score import Note
from genui.protocol import Neighbours, Quote, TextSettings, chorale
from genui.protocol.chorale import VOICES
from genui.protocol.registry import KINDS
from genui.recipes import MusicRecipe

# --- Rules of part-writing that can be counted: parallels, and the ranges of voices -----------

RANGES = ((60, 79), (55, 72), (48, 67), (40, 62))
"""What textbooks let a choir sing: soprano C4 to G5, alto G3 to C5, tenor C3 to G4, bass E2 to
D4, as MIDI numbers (Aldwell & Schachter, Harmony and Voice Leading, chapter 6)."""


class Faults(NamedTuple):
    """How often a piece breaks each rule."""

    fifths: int  # perfect fifths moving in parallel, between any two voices
    octaves: int  # the same of octaves and unisons
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
    """What the four voices sound at each sixteenth; None where one is silent."""
    grid: list[list[int | None]] = [[None] * len(VOICES) for _ in range(sixteenths)]
    for note in notes:
        for at in range(note.first, min(note.last, sixteenths)):
            grid[at][note.voice] = note.pitch
    return [tuple(column) for column in grid]


def _parallel(before: Sonority, after: Sonority, one: int, other: int) -> int | None:
    """The interval, in semitones within the octave, that two voices keep while both move the
    same way; None where they do not."""
    upper, lower, upper2, lower2 = before[one], before[other], after[one], after[other]
    if upper is None or lower is None or upper2 is None or lower2 is None:
        return None
    if (upper2 - upper) * (lower2 - lower) <= 0:  # one stays, or they move apart or together
        return None
    interval = (upper - lower) % 12
    return interval if interval == (upper2 - lower2) % 12 else None


# --- Whether music is copied: its longest run that stands note for note in the training pieces

SILENT = 127  # in place of a MIDI number
_SPREAD = 256


class MusicRun(NamedTuple):
    """`sixteenths` of a piece from `start` on, the same in training piece `piece` from `place`."""

    start: int
    sixteenths: int
    piece: int
    place: int


class Pieces:
    """An index of pieces; a run in another key is the same run."""

    def __init__(self, pieces: Sequence[Sequence[Sonority]]) -> None:
        self._starts = np.cumsum([0, *(len(piece) for piece in pieces)])
        chords = [_chords(piece) for piece in pieces]
        self._shapes = np.concatenate([shape for shape, _ in chords])
        self._moves = np.concatenate([move for _, move in chords])

    def longest(self, piece: Sequence[Sonority]) -> MusicRun:
        """The longest run of sixteenths in which all four voices are those of an indexed piece,
        or those moved by one interval; of equals the first. Its length is 0 where none is."""
        shapes, moves = _chords(piece)
        best = MusicRun(0, 0, 0, 0)
        runs = np.zeros(len(self._shapes), np.int32)
        for at, (shape, move) in enumerate(zip(shapes, moves, strict=True)):
            same = self._shapes == shape
            # A run goes on where the bass moved as it did there; else it begins here.
            on = np.zeros_like(runs)
            on[1:] = runs[:-1]
            on[self._starts[:-1]] = 0
            runs = np.where(same, np.where(self._moves == move, on, 0) + 1, 0).astype(np.int32)
            longest = int(runs.max(initial=0))
            if longest > best.sixteenths:
                end = int(runs.argmax())
                number = int(np.searchsorted(self._starts, end, "right")) - 1
                place = end - longest + 1 - int(self._starts[number])
                best = MusicRun(at - longest + 1, longest, number, place)
        return best


def _chords(piece: Sequence[Sonority]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each sixteenth as a number that every key shares, and the bass's move to it."""
    grid = np.array(
        [[SILENT if p is None else p for p in column] for column in piece], np.int64
    ).reshape(-1, len(chorale.VOICES))
    bass = grid[:, 3]
    shape = np.zeros(len(grid), np.int64)
    for voice in range(3):
        above = np.where(grid[:, voice] == SILENT, SILENT, grid[:, voice] - bass)
        shape = shape * _SPREAD + above + 128
    return shape, np.diff(bass, prepend=bass[:1] if len(bass) else [0])


def sonorities_of(piece: Chorale) -> list[Sonority]:
    """What a chorale sounds at each sixteenth."""
    return [tuple(int(p) if p else None for p in column) for column in piece.pitch]


@lru_cache(maxsize=2)
def training_pieces(recipe: MusicRecipe) -> tuple[tuple[Chorale, ...], Pieces]:
    """What a model was trained on, and its index."""
    pieces = load_music(recipe)["train"]
    return pieces, Pieces([sonorities_of(piece) for piece in pieces])


def nearest_music(recipe: MusicRecipe, trace: Trace, step: int, count: int) -> Neighbours:
    """The longest run of what was written that a training piece has, in any key.

    `count` is of images.
    """
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
        text=_told(grid.notes(), run.start, end, chorale.has_flats(state.opening.key)),
        first=min(steps, default=1),
        last=max(steps, default=1),
        where=f"BWV {piece.bwv}, from bar {bar}: {run.sixteenths / chorale.QUARTER:g} quarters",
        before="",
        after="",
    )
    return Neighbours(trace=0, step=0, data=data, measured=measured, quote=quote)


def written(state: MusicState) -> list[int]:
    """The tokens of a state, as they were written."""
    read = (
        state.token_ids.since(state.prompt) % chorale.INPUTS
    )  # after the key and the leading voices
    return [chorale.HOLD if token >= chorale.SIZE else token for token in read.tolist()]


def _told(heard: Sequence[score.Note], first: int, end: int, flats: bool) -> str:
    """Each voice's notes within a run, on a line of its own."""
    return "\n".join(
        f"{name}: "
        + " ".join(
            chorale.spell(note.pitch, flats)
            for note in heard
            if note.voice == voice and note.last > first and note.first < end
        )
        for voice, name in enumerate(chorale.VOICES)
    )


# --- Many pieces at once, for measuring: quicker than one after the other, and rounded otherwise


def write_pieces(
    model: LanguageModel,
    machine: Machine,
    opening: chorale.Opening,
    seeds: Sequence[int],
    settings: TextSettings,
) -> list[score.Grid]:
    """A piece a seed, each as `MusicGenerator` would write it but for rounding.

    Those that have ended are read on with silence until all have.
    """
    leads = chorale.MELODY_FIRST
    grids = [score.Grid(leads) for _ in seeds]
    sounds = [[chorale.HOLD] * len(chorale.VOICES) for _ in seeds]
    read = np.tile(np.array(chorale.opening_inputs(leads, opening), np.int64), (len(seeds), 1))
    reader = RowReader(model, machine, len(seeds), read.shape[1])
    for step in range(settings.tokens):
        if all(grid.next is None for grid in grids):
            break
        logits = reader.logits(read)
        column = np.zeros(len(seeds), np.int64)
        for at, (grid, seed) in enumerate(zip(grids, seeds, strict=True)):
            slot = grid.next
            if slot is None:
                continue
            allowed = mask_slot(logits[at], slot, leads, grid.sixteenths)
            chosen = distribution(allowed, settings).probability
            token = pick(chosen, uniform(seed, step + 1)).token
            grid.write(token)
            if token not in (chorale.HOLD, chorale.END):
                sounds[at][slot.voice] = token
            following = grid.next
            place = chorale.beat_position(following, leads, opening) if following is not None else 0
            column[at] = chorale.input_id(token, sounds[at][slot.voice], slot.voice, place)
        read = np.concatenate([read, column[:, None]], axis=1)
    return grids


# --- How well a model of music predicts Bach, and how it keeps the rules that he kept ---------

PIECES = 20  # written for the card
OPENINGS = ("G major, 4/4, upbeat", "G minor, 4/4, upbeat", "D major, 4/4", "A minor, 3/4, upbeat")


def measure_music(generator: MusicGenerator, recipe: MusicRecipe) -> dict[str, str]:
    """Of the test split nats a token and a note; of pieces it writes the faults, beside Bach's."""
    parts = load_music(recipe)
    nats = likelihood(generator, parts["test"])
    written = pieces(generator, PIECES)
    its = [faults(grid.notes(), grid.complete) for grid in written]
    bach = [faults(heard(piece), len(piece.pitch)) for piece in parts["test"]]
    lengths = sum(g.complete for g in written), sum(len(p.pitch) for p in parts["test"])
    _, index = training_pieces(recipe)
    runs = [index.longest(sonorities(g.notes(), g.complete)).sixteenths for g in written]
    real_runs = [index.longest(sonorities_of(p)).sixteenths for p in parts["test"][:PIECES]]
    return {
        "test loss": f"{nats.sum() / len(nats):.3f} nats a token",
        "a note": f"{nats.sum() / count_notes(parts['test']):.2f} nats a note begun, test split",
        "parallels": f"{_rate(its, 'parallels', lengths[0]):.1f} in 100 quarters, of {PIECES} "
        f"pieces; Bach {_rate(bach, 'parallels', lengths[1]):.1f}",
        "out of range": f"{_rate(its, 'out_of_range', lengths[0]):.1f} notes in 100 quarters; "
        f"Bach {_rate(bach, 'out_of_range', lengths[1]):.1f}",
        "copied": f"longest run {np.median(runs) / chorale.QUARTER:g} quarters in the median "
        f"piece; of Bach's test pieces {np.median(real_runs) / chorale.QUARTER:g}",
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
    grids: list[score.Grid] = []
    for number, opening in enumerate(OPENINGS):
        seeds = range(number + 1, count + 1, len(OPENINGS))
        if seeds:
            start = chorale.parse_opening(opening)
            grids += write_pieces(generator.model, generator.machine, start, seeds, usual)
    return grids


def heard(piece: Chorale) -> list[score.Note]:
    """The notes of a chorale."""
    return [
        n
        for voice in range(4)
        for n in score.notes_of_voice(voice, piece.tokens[:, voice].tolist())
    ]


def _rate(faults_of: Sequence[Faults], name: str, sixteenths: int) -> float:
    """How many in 100 quarters."""
    return 100 * chorale.QUARTER * sum(getattr(one, name) for one in faults_of) / max(1, sixteenths)
