"""How much of what a model of sequences writes is copied, beside what chance would have.

A passage is nearer to the training text where its longest verbatim run there is longer than in as
much text that was held out. Of a model that copies nothing that is so for half of the passages:
common turns of phrase stand in both. (The three-sample test of Meehan et al. 2020 with verbatim
runs for its distance.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from genui.engine.probes.verbatim import Verbatim

PASSAGE = 120  # bytes
MOST_PARTS = 4  # of the training text, each as long as what is held out


@dataclass(frozen=True)
class Copying:
    """What passages came to: all of it is about runs of bytes."""

    passages: int
    share: float  # nearer to the training text; 0.5 where nothing is copied, ties count half
    longest: int  # the longest run of all that stands in the whole training text
    longest_real: int  # the same of as much held-out text, whose runs no copying explains

    def __str__(self) -> str:
        return (
            f"{self.share:.2f} of {self.passages} passages are nearer to training than to "
            f"held-out text (0.5: none)"
        )


def copying(
    samples: Sequence[bytes],
    train: Sequence[bytes],
    held_out: Sequence[bytes],
    passage: int = PASSAGE,
) -> Copying:
    """Samples, cut into passages, against both texts.

    Raises ValueError where there is no passage, or less to train on than held out.
    """
    passages = [
        sample[at : at + passage]
        for sample in samples
        for at in range(0, len(sample) - passage // 2, passage)
    ]
    size = sum(map(len, held_out))
    parts = list(_parts(train, size))[:MOST_PARTS]
    if not passages or not parts:
        raise ValueError(f"{len(passages)} passages and {len(parts)} parts of training text")
    held = Verbatim(held_out)
    to_held = [held.longest(each).length for each in passages]
    wins = 0.0
    for part in map(Verbatim, parts):
        for each, other in zip(passages, to_held, strict=True):
            here = part.longest(each).length
            wins += 1.0 if here > other else 0.5 if here == other else 0.0
    whole = Verbatim(train)
    return Copying(
        passages=len(passages),
        share=wins / (len(parts) * len(passages)),
        longest=max(whole.longest(sample).length for sample in samples),
        longest_real=max(
            whole.longest(piece).length for piece in _pieces(b"\n".join(held_out), samples)
        ),
    )


def _pieces(text: bytes, samples: Sequence[bytes]) -> list[bytes]:
    """For each sample a piece of the text as long as it is, from all over the text."""
    step = len(text) // len(samples)
    return [text[i * step : i * step + len(sample)] for i, sample in enumerate(samples)]


def _parts(texts: Sequence[bytes], size: int) -> list[list[bytes]]:
    """Disjoint parts of the texts, each of `size` bytes; texts are cut where a part is full."""
    parts: list[list[bytes]] = []
    part: list[bytes] = []
    room = size
    for text in texts:
        while text and size:
            piece, text = text[:room], text[room:]
            part.append(piece)
            room -= len(piece)
            if not room:
                parts.append(part)
                part, room = [], size
    return parts
