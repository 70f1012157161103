"""Whether several seeds agree on a caption: trained names of `icons` against names it never saw.

    python -m tests.bench one_or_many [--names 60]   (5 to 10 minutes)

Captions are white on black, as `genui.engine.metrics.copying` compares them, so that colours are
the same in both sets; names have two words or more, as all held-out ones have. A line has:

- the area under the curve of the spread (1: every trained name has a smaller one than every
  held-out name; 0.5: chance), ± its standard error by Hanley & McNeil 1982;
- the medians of both sets;
- how often the word is wrong: the share of held-out names that are called one picture, and of
  trained names that are called many, with several edges between the words. The one that is used was
  chosen with the seeds of the app and other trained names; other seeds test it.

The last line draws the names in random trained colours, the same in both sets: the app says no word
of those.

It does not show that one picture is a copy: for this the nearest training image is measured.
"""

import argparse
import time
from collections.abc import Sequence

import numpy as np
from harness import machine, report_machine
from numpy.typing import NDArray

from genui.engine.data.image_datasets import load_images
from genui.engine.data.images import CaptionedImages
from genui.engine.load import find_and_load
from genui.engine.metrics.copying import ONE_PICTURE, SEEDS, spread
from genui.engine.sample.diffusion import DiffusionGenerator

OTHER_SEEDS = (11, 12, 13)
EDGES = (0.09, 0.095, 0.105)  # beside the one that is used

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def names_of(images: CaptionedImages, count: int) -> tuple[Indices, Indices]:
    """Indices of trained names of two words or more, and of as many held-out ones."""
    held = images.held_out[:count]
    several = [i for i in images.train.tolist() if len(images.captions[i].split()) > 1]
    return np.random.default_rng(1).choice(several, len(held), replace=False), held


def area(small: Floats, large: Floats) -> tuple[float, float]:
    """The share of pairs in which `small` is smaller, and its standard error."""
    wins = (small[:, None] < large) + 0.5 * (small[:, None] == large)
    auc, n, m = float(wins.mean()), len(small), len(large)
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (n - 1) * (q1 - auc**2) + (m - 1) * (q2 - auc**2)
    return auc, float(np.sqrt(variance / (n * m)))


def report(label: str, trained: Floats, held: Floats) -> None:
    auc, error = area(trained, held)
    medians = f"median {np.median(trained):.3f} and {np.median(held):.3f}"
    print(f"{label:<34} AUC {auc:.2f} ± {error:.2f}  {medians}", flush=True)


def report_words(trained: Floats, held: Floats) -> None:
    for edge in (*EDGES, ONE_PICTURE):
        alarms, misses = (held <= edge).mean(), (trained > edge).mean()
        is_used = ", which the app uses" if edge == ONE_PICTURE else ""
        words = f"held-out called one {alarms:.0%}, trained called many {misses:.0%}"
        print(f"  edge {edge:.3f}: {words}{is_used}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=60)
    count = parser.parse_args().names
    report_machine(machine())
    generator = find_and_load("icons")
    assert isinstance(generator, DiffusionGenerator)
    images = load_images("icons", "")
    sets = names_of(images, count)

    def spreads(captions: Sequence[str], seeds: Sequence[int]) -> Floats:
        return np.array([spread(generator, caption, seeds) for caption in captions])

    print(f"{len(sets[0])} trained and {len(sets[1])} held-out names; edge {ONE_PICTURE}")
    plain = [images.default_captions(names) for names in sets]
    for seeds in (SEEDS, OTHER_SEEDS):
        begin = time.monotonic()
        found = [spreads(each, seeds) for each in plain]
        report(f"white on black, seeds {seeds}", *found)
        report_words(*found)
        print(f"  {(time.monotonic() - begin) / (2 * len(sets[1])):.2f} s a caption", flush=True)
    coloured = [images.batch(names, np.random.default_rng(2)).captions for names in sets]
    report("random colours", *(spreads(each, SEEDS) for each in coloured))


if __name__ == "__main__":
    main()
