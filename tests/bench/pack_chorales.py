"""Make genui/engine/data/chorales.npz from music21's corpus.

    pip install music21            (in an environment of its own: genui does not need it)
    python tests/bench/pack_chorales.py Jsb16thSeparated.json genui/engine/data/chorales.npz

Bach's music is in the public domain, and what is written are numbers: pitches and where
they begin. The split is that of the JSB Chorales (Boulanger-Lewandowski et al. 2012: 229,
76 and 77 pieces, after Allan & Williams 2005), which names no piece; the sequences of
github.com/czhuang/JSB-Chorales-dataset, `Jsb16thSeparated.json` (sha256 below), tell which
of music21's chorales are in which part. A chorale that is in none of them is left out, and
so is one whose metre changes or is neither 4/4 nor 3/4.
"""

import difflib
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

SPLIT_SHA256 = "79294cc374f9252e95ef4b703161524c1c53dc1f712c236f00f1c1f5d54af5a7"
PARTS = ("train", "valid", "test")
VOICES = ("soprano", "alto", "tenor", "bass")
BARS = {"4/4": 16, "3/4": 12}  # sixteenths
SAME = 2.9  # of 4, the sum of the voices' similarities: of two settings of a tune about 2
QUARTER = 4  # sixteenths


@dataclass
class Chorale:
    """Pitches (0 is silence) and onsets, both [sixteenths, 4]."""

    name: str
    pitch: np.ndarray
    onset: np.ndarray
    bar: int  # sixteenths
    begins: int  # the sixteenth of the bar at which it begins
    key: int  # the tonic, C is 0; minor 12 more


def voices_of(score: Any) -> list[Any] | None:
    """The four singing parts; None where they are not exactly four."""
    parts = list(score.parts)
    if len(parts) == 4:
        return parts
    names = [(part.partName or "").lower() for part in parts]
    found = [[p for p, n in zip(parts, names, strict=True) if n.startswith(v)] for v in VOICES]
    return [one[0] for one in found] if all(len(one) == 1 for one in found) else None


def grid(part: Any, length: int) -> tuple[np.ndarray, np.ndarray]:
    """What one part sounds at each sixteenth, and whether a note begins there."""
    pitch, onset = np.zeros(length, np.uint8), np.zeros(length, bool)
    for note in part.flatten().notes:
        first = int(np.ceil(float(note.offset) * QUARTER - 1e-6))
        last = int(np.ceil(float(note.offset + note.quarterLength) * QUARTER - 1e-6))
        if first >= min(last, length):
            continue  # a note between two sixteenths
        pitch[first:last] = max(p.midi for p in note.pitches)
        onset[first] = note.tie is None or note.tie.type == "start"
    return pitch, onset


def read(path: Path) -> tuple[Chorale | None, list[list[np.ndarray]], str]:
    """The chorale, its voices' pitches (as written, and with repeats played), and why not."""
    score = import_module("music21.converter").parse(path)
    parts = voices_of(score)
    if parts is None:
        return None, [], "not four voices"
    length = int(np.ceil(max(float(part.highestTime) for part in parts) * QUARTER - 1e-6))
    columns = [grid(part, length) for part in parts]
    pitch, onset = (np.stack([c[i] for c in columns], 1) for i in (0, 1))
    forms = [list(pitch.T)]
    try:
        played = [part.expandRepeats() for part in parts]
        longest = int(np.ceil(max(float(p.highestTime) for p in played) * QUARTER))
        forms.append([grid(part, longest)[0] for part in played])
    except import_module("music21.exceptions21").Music21Exception:
        pass  # no repeat, or one that music21 cannot follow
    metres = {t.ratioString for t in score.recurse().getElementsByClass("TimeSignature")}
    if len(metres) != 1 or not metres <= BARS.keys():
        return None, forms, f"metre {' '.join(sorted(metres))}"
    bar = BARS[metres.pop()]
    first = parts[0].getElementsByClass("Measure")[0]
    begins = round(float(first.paddingLeft) * QUARTER) % bar
    key = score.analyze("key")
    number = key.tonic.pitchClass + (12 if key.mode == "minor" else 0)
    name = path.stem.removeprefix("bwv")
    return Chorale(name, pitch, onset, bar, begins, number), forms, ""


def tune(pitches: Sequence[int]) -> tuple[int, ...]:
    """A voice as the steps between its different notes: the same in every key and rhythm."""
    notes = [p for p in pitches if p > 0]
    changes = [a for a, b in zip(notes, [0, *notes], strict=False) if a != b]
    return tuple(b - a for a, b in pairwise(changes))


def similarity(one: Sequence[tuple[int, ...]], other: Sequence[tuple[int, ...]]) -> float:
    """0 to 4: how alike the four voices are."""
    if abs(len(one[0]) - len(other[0])) > 12:
        return 0.0
    total = 0.0
    for mine, its in zip(one, other, strict=True):
        total += difflib.SequenceMatcher(None, mine, its, autojunk=False).ratio()
    return total


def main() -> int:
    split_file, target = Path(sys.argv[1]), Path(sys.argv[2])
    data = split_file.read_bytes()
    assert hashlib.sha256(data).hexdigest() == SPLIT_SHA256, "another split file"
    sequences = [
        (number, [tune([row[v] for row in rows]) for v in range(4)])
        for number, part in enumerate(PARTS)
        for rows in json.loads(data)[part]
    ]
    kept: list[tuple[int, Chorale]] = []
    left: Counter[str] = Counter()
    used: set[int] = set()
    for path in import_module("music21.corpus").getComposer("bach"):
        if path.suffix == ".rntxt":
            continue  # an analysis, no music
        chorale, forms, why = read(path)
        tunes = [[tune(voice.tolist()) for voice in form] for form in forms]
        scores = [max((similarity(t, other) for t in tunes), default=0) for _, other in sequences]
        same = [i for i, score in enumerate(scores) if score >= SAME]
        used.update(same)
        if chorale is None or not same:
            left[why or "in no part of the split"] += 1
            continue
        # One that is in two parts of the split belongs to the one that is held out.
        kept.append((max(sequences[i][0] for i in same), chorale))
    write(target, sorted(kept, key=lambda one: (one[0], one[1].name)))
    print("kept", Counter(PARTS[part] for part, _ in kept), "left out", dict(left))
    found = Counter(PARTS[sequences[i][0]] for i in used)
    print("of the split's sequences found in music21", found, target.stat().st_size, "bytes")
    return 0


def write(target: Path, kept: Sequence[tuple[int, Chorale]]) -> None:
    chorales = [chorale for _, chorale in kept]
    np.savez_compressed(
        target,
        pitch=np.concatenate([c.pitch for c in chorales]),
        onset=np.packbits(np.concatenate([c.onset for c in chorales])),
        length=np.array([len(c.pitch) for c in chorales], np.uint16),
        bar=np.array([c.bar for c in chorales], np.uint8),
        begins=np.array([c.begins for c in chorales], np.uint8),
        key=np.array([c.key for c in chorales], np.uint8),
        part=np.array([part for part, _ in kept], np.uint8),
        bwv=np.array([c.name for c in chorales]),
    )


if __name__ == "__main__":
    sys.exit(main())
