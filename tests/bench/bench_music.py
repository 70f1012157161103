"""How well `chorales` predicts Bach, beside a trigram and the literature, and what it writes.

    python tests/bench/bench_music.py [--model chorales] [--pieces 100] [--split FILE]

Loss is in nats, over the test split (76 pieces; all figures in natural logarithms):

- a token: a voice at a sixteenth, as the literature counts it; the END of each piece is one too;
- a note: all of that divided by the notes that begin;
- a sixteenth: the same divided by the sixteenths.

The trigram knows the last two tokens of a voice (a held note counts as a token of its own) and
which voice it is, of every training piece in every key that fits the voices, interpolated with
a bigram and a unigram by weights fitted on the validation split.

Published losses are of the same pieces (Boulanger-Lewandowski et al. 2012) on the same grid, a
token each voice and sixteenth, but not of the same sequences: theirs have no onsets, so that a
note struck again is no news, and their repeats are played, which is easier. `--split
Jsb16thSeparated.json` (github.com/czhuang/JSB-Chorales-dataset) therefore also measures the
model on those very sequences. There a token's probability is that of the note held and of the
note struck again, summed; metre, upbeat and key, which the sequences do not have, are summed
over with equal odds. The model never saw a piece in which nothing is struck again.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from harness import Figure, home, machine, report
from numpy.typing import NDArray

from genui.engine.device import autocast
from genui.engine.load import find_and_load
from genui.kinds.music import chorale
from genui.kinds.music.data import PARTS, Chorale, count_notes, load_chorales, row
from genui.kinds.music.metrics import (
    Faults,
    chorale_notes,
    chorale_sonorities,
    faults,
    pieces,
    sonorities,
    training_pieces,
)
from genui.kinds.music.recipe import MusicRecipe
from genui.kinds.music.sample import MusicGenerator
from genui.kinds.music.task import held_out
from genui.recipes import find_recipe

PUBLISHED = (
    ("Transformer", "Huang et al. 2018, validation", 0.417),
    ("Music Transformer, relative attention", "Huang et al. 2018, validation", 0.335),
    ("Coconet, in order of time", "Huang et al. 2017, as in Huang et al. 2018", 0.436),
    ("TonicNet", "Peracha 2019, as on Papers with Code", 0.220),
)
OPENINGS = tuple(
    chorale.Opening(chorale.ANY_KEY, bar, begins)
    for bar, begins in ((16, 0), (16, 12), (12, 0), (12, 8))
)
UNKNOWN = -1  # before a piece, in the contexts of the trigram


class Trigram:
    """p(token | voice, the two before it), interpolated (Jelinek & Mercer 1980)."""

    def __init__(self, train: Sequence[Chorale], valid: Sequence[Chorale]) -> None:
        self._counts: list[Counter[tuple[int, ...]]] = [Counter(), Counter(), Counter()]
        self._totals: list[Counter[tuple[int, ...]]] = [Counter(), Counter(), Counter()]
        for piece in train:
            for shift in piece.shifts:
                self._count(_streams(piece, shift))
        self._weights = np.full(4, 0.25)
        odds = np.concatenate([self._odds(_streams(piece)) for piece in valid])
        for _ in range(30):  # expectation maximisation
            share = odds * self._weights
            self._weights = (share / share.sum(1, keepdims=True)).mean(0)

    def nats(self, piece: Chorale) -> NDArray[np.float64]:
        """Of every token of a piece."""
        return -np.log(self._odds(_streams(piece)) @ self._weights)

    def _count(self, streams: list[list[int]]) -> None:
        for voice, tokens in enumerate(streams):
            for at in range(2, len(tokens)):
                for order in range(3):
                    context = (voice, *tokens[at - order : at])
                    self._totals[order][context] += 1
                    self._counts[order][(*context, tokens[at])] += 1

    def _odds(self, streams: list[list[int]]) -> NDArray[np.float64]:
        """Of every token by each order, and by none: [N, 4]."""
        rows = []
        for voice, tokens in enumerate(streams):
            for at in range(2, len(tokens)):
                odds = [1 / chorale.FIRST_KEY]
                for order in range(3):
                    context = (voice, *tokens[at - order : at])
                    total = self._totals[order][context]
                    odds.append(self._counts[order][(*context, tokens[at])] / max(1, total))
                rows.append(odds)
        return np.array(rows)


def _streams(piece: Chorale, shift: int = 0) -> list[list[int]]:
    """Each voice's tokens, a held note as one of its own; two unknown ones before them."""
    found = []
    for voice in range(len(chorale.VOICES)):
        tokens, sounds = [UNKNOWN, UNKNOWN], chorale.HOLD
        for token in piece.tokens[:, voice].tolist():
            sounds = token if token != chorale.HOLD else sounds
            moved = sounds + shift if sounds >= chorale.FIRST_NOTE else sounds
            held = token == chorale.HOLD and sounds >= chorale.FIRST_NOTE
            tokens.append(chorale.SIZE + moved if held else moved)
        found.append(tokens)
    return found


@torch.inference_mode()
def pitch_nats(generator: MusicGenerator, grid: NDArray[np.int64]) -> float:
    """Nats of a piece [T, 4] of MIDI numbers (0 is silence) in which a pitch that stays is held."""
    struck = np.vstack([np.ones((1, 4), bool), np.diff(grid, axis=0) != 0])
    found = []
    for opening in OPENINGS:
        piece = Chorale("", opening, grid.astype(np.uint8), struck)
        tokens, answers = row(piece)
        logits = _logits(generator, tokens)
        log = F.log_softmax(logits, dim=-1)
        asked = answers >= 0
        nats = -log[torch.arange(len(tokens)), torch.from_numpy(np.maximum(answers, 0))]
        # Held and struck again are one pitch: their probabilities add up.
        read = tokens % chorale.INPUTS
        again = np.zeros(len(tokens), np.int64)
        again[:-1] = np.where(
            read[1:] >= chorale.SIZE, read[1:] - chorale.SIZE + chorale.FIRST_NOTE, 0
        )
        both = torch.logaddexp(
            log[:, chorale.HOLD], log[torch.arange(len(tokens)), torch.from_numpy(again)]
        )
        held = torch.from_numpy(again > 0)
        nats = torch.where(held, -both, nats)[torch.from_numpy(asked)]
        found.append(float(nats[:-1].sum()))  # the END is none of theirs
    least = min(found)
    return least - float(np.log(np.mean(np.exp(least - np.array(found)))))


def _logits(generator: MusicGenerator, tokens: NDArray[np.int64]) -> torch.Tensor:
    """[T, SIZE], each position read with at least half a context before it."""
    context = generator.model.context
    starts = [*range(0, max(1, len(tokens) - context), context // 2), max(0, len(tokens) - context)]
    out = torch.zeros(len(tokens), chorale.SIZE)
    done = 0
    for first in dict.fromkeys(starts):
        window = torch.from_numpy(tokens[first : first + context])[None]
        with autocast(generator.machine):
            logits = generator.model(window)[0].float()
        out[done : first + len(logits)] = logits[done - first :]
        done = first + len(logits)
    return out


def losses(generator: MusicGenerator) -> list[Figure]:
    """The model and the trigram on the test split."""
    parts = load_chorales()
    test = parts["test"]
    begun, sixteenths = count_notes(test), sum(len(piece.pitch) for piece in test)

    def figures(name: str, nats: NDArray[np.float64]) -> list[Figure]:
        total = float(nats.sum())
        return [
            Figure(f"{name}, a token", total / len(nats), "nats"),
            Figure(f"{name}, a note", total / begun, "nats"),
            Figure(f"{name}, a sixteenth", total / sixteenths, "nats"),
        ]

    trigram = Trigram(parts["train"], parts["valid"])
    model, machine_ = generator.model, generator.machine
    none = np.concatenate([held_out(model, piece, machine_) for piece in test])
    first = np.concatenate([held_out(model, p, machine_, chorale.MELODY_FIRST) for p in test])
    return [
        *figures("trigram", np.concatenate([trigram.nats(piece) for piece in test])),
        *figures("model, voices together", none),
        *figures("model, melody first", first),
    ]


def counted(
    name: str, found: Sequence[Faults], lengths: Sequence[int], runs: Sequence[int]
) -> list[Figure]:
    """Faults in 100 quarters, and the longest runs that stand in the training pieces."""
    fields = ("fifths", "octaves", "out_of_range", "crossings")
    words = ("parallel fifths", "parallel octaves", "notes out of range", "crossed sixteenths")
    hundreds = sum(lengths) / chorale.QUARTER / 100
    totals = [sum(getattr(one, field) for one in found) for field in fields]
    quarters = np.array(runs) / chorale.QUARTER
    return [
        *(
            Figure(f"{name}: {word}", total / hundreds, "in 100 quarters")
            for word, total in zip(words, totals, strict=True)
        ),
        Figure(f"{name}: longest copied run, median", float(np.median(quarters)), "quarters"),
        Figure(f"{name}: longest copied run, most", float(quarters.max()), "quarters"),
    ]


def own_sequences(generator: MusicGenerator, split: Path) -> list[Figure]:
    """The model on the literature's sequences, beside what was published."""
    figures = []
    for part in PARTS[1:]:
        grids = [np.array(rows) for rows in json.loads(split.read_bytes())[part]]
        grids = [np.where(grid < chorale.LOWEST, 0, grid) for grid in grids]
        total = sum(pitch_nats(generator, grid) for grid in grids)
        name = f"model, the literature's {part} sequences, a token"
        figures.append(Figure(name, total / sum(grid.size for grid in grids), "nats"))
    return [*figures, *(Figure(f"{who} ({where})", loss, "nats") for who, where, loss in PUBLISHED)]


def writing(generator: MusicGenerator, count: int) -> list[Figure]:
    """What it writes, beside Bach's test pieces."""
    recipe = find_recipe("chorales")
    assert isinstance(recipe, MusicRecipe)
    _, index = training_pieces(recipe)
    test, written = load_chorales()["test"], pieces(generator, count)
    ended = float(np.mean([grid.sixteenths is not None for grid in written]))
    length = float(np.median([grid.complete for grid in written])) / chorale.QUARTER
    return [
        *counted(
            "Bach's test pieces",
            [faults(chorale_notes(piece), len(piece.pitch)) for piece in test],
            [len(piece.pitch) for piece in test],
            [index.longest(chorale_sonorities(piece)).sixteenths for piece in test],
        ),
        *counted(
            f"{len(written)} pieces written",
            [faults(grid.notes(), grid.complete) for grid in written],
            [grid.complete for grid in written],
            [index.longest(sonorities(g.notes(), g.complete)).sixteenths for g in written],
        ),
        Figure("come to an end by themselves", 100 * ended, "%"),
        Figure("length of a piece written, median", length, "quarters"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="what a model of music predicts and writes")
    parser.add_argument("--model", default="chorales")
    parser.add_argument("--pieces", type=int, default=100, help="0: none is written")
    parser.add_argument("--split", type=Path, help="Jsb16thSeparated.json")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    with home():
        before = machine()
        generator = find_and_load(args.model)
        assert isinstance(generator, MusicGenerator)
        figures = losses(generator)
        if args.split is not None:
            figures += own_sequences(generator, args.split)
        if args.pieces:
            figures += writing(generator, args.pieces)
        report(before, figures, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
