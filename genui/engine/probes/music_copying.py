"""Whether music is copied: its longest run that stands note for note in the training pieces."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui import notes, score
from genui.engine.data.chorales import Chorale, load_dataset
from genui.engine.generate.music import MusicGenerator, MusicState
from genui.engine.generate.trace import Trace
from genui.engine.probes.counterpoint import Sonority, sonorities
from genui.protocol import Neighbours, Quote
from genui.recipes import MusicRecipe

SILENT = 127  # in place of a MIDI number
_SPREAD = 256


class Run(NamedTuple):
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

    def longest(self, piece: Sequence[Sonority]) -> Run:
        """The longest run of sixteenths in which all four voices are those of an indexed piece,
        or those moved by one interval; of equals the first. Its length is 0 where none is."""
        shapes, moves = _chords(piece)
        best = Run(0, 0, 0, 0)
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
                best = Run(at - longest + 1, longest, number, place)
        return best


def _chords(piece: Sequence[Sonority]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each sixteenth as a number that every key shares, and the bass's move to it."""
    grid = np.array(
        [[SILENT if p is None else p for p in column] for column in piece], np.int64
    ).reshape(-1, len(notes.VOICES))
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
    pieces = load_dataset(recipe)["train"]
    return pieces, Pieces([sonorities_of(piece) for piece in pieces])


def nearest_music(recipe: MusicRecipe, trace: Trace, step: int, count: int) -> Neighbours:
    """The longest run of what was written that a training piece has, in any key.

    `count` is of pictures.
    """
    assert isinstance(trace.generator, MusicGenerator)
    state: MusicState = trace.state(step)
    grid = score.Grid(state.leads, state.given.sixteenths if state.given is not None else None)
    for token in written(state):
        grid.write(token)
    pieces, index = training_pieces(recipe)
    data = f"chorales, {len(pieces)} pieces"
    measured = "all four voices note for note, in any key"
    run = index.longest(sonorities(grid.heard(), grid.complete))
    if not run.sixteenths:
        return Neighbours(trace=0, step=0, data=data, measured=measured)
    end = run.start + run.sixteenths
    steps = [s.step for column in grid.columns[run.start : end] for s in column if s is not None]
    piece = pieces[run.piece]
    bar = (piece.opening.begins + run.place) // piece.opening.bar + 1
    quote = Quote(
        text=_told(grid.heard(), run.start, end, notes.has_flats(state.opening.key)),
        first=min(steps, default=1),
        last=max(steps, default=1),
        where=f"BWV {piece.bwv}, from bar {bar}: {run.sixteenths / notes.QUARTER:g} quarters",
        before="",
        after="",
    )
    return Neighbours(trace=0, step=0, data=data, measured=measured, quote=quote)


def written(state: MusicState) -> list[int]:
    """The tokens of a state, as they were written."""
    read = (
        state.token_ids.since(state.prompt) % notes.INPUTS
    )  # after the key and the leading voices
    return [notes.HOLD if token >= notes.SIZE else token for token in read.tolist()]


def _told(heard: Sequence[score.Note], first: int, end: int, flats: bool) -> str:
    """Each voice's notes within a run, on a line of its own."""
    return "\n".join(
        f"{name}: "
        + " ".join(
            notes.spell(note.pitch, flats)
            for note in heard
            if note.voice == voice and note.last > first and note.first < end
        )
        for voice, name in enumerate(notes.VOICES)
    )
