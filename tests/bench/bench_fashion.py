"""How good and how new what a model of `fashion` draws is: the issue's figures, in one call.

    python tests/bench/bench_fashion.py [--model fashion] [--images 10000] [--keep drawn.npz]

- Fréchet distance (features of the shipped `fashion-labels`; never comparable with published
  ones) of what it draws to the test set, beside that of a random half of the training set, which
  is what no model can beat by more than chance. The goal is 1.3 times that, plus its sampling
  error: the standard deviation over random halves against bootstraps of the test set. A finite
  sample is farther than its distribution, so the distance of as many training images as were
  drawn is there too, and the distance in plain pixels, averaged eight by eight, which no network
  had a part in.
- Copying share: samples nearer to training than to test images; 0.47 to 0.53.
- A classifier trained only on drawn images, tested on the real test set, at least 85 %; beside
  it the same one, trained as long on as many real images.

Drawing 10,000 images takes minutes; --keep saves them on the way and the next call goes on
from there. Smaller numbers are named in what is printed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from harness import Figure, machine, quick_generator, report
from numpy.typing import NDArray

from genui.engine.data.image_datasets import LabelledImages, load_labelled_images
from genui.engine.metrics.classifiers import ImageClassifier, render_images
from genui.engine.metrics.distance import Evaluator, frechet_distance
from genui.engine.metrics.synthetic import train_classifier
from genui.engine.sample.diffusion import BatchGenerator
from genui.kinds.gan.walk import LatentSettings
from genui.protocol import ImageSettings
from genui.protocol.settings import UNGUIDED
from genui.runs.models import find_model

HALVES = 20  # draws of a train half and a bootstrap of the test set
WITHIN = 1.3  # times the distance of a train half
COPYING = (0.47, 0.53)
WORTH = 0.85
BATCH = 32  # larger ones are no quicker an image
SAVED = 150  # batches from one saving to the next


def generator_of(
    model: str, guidance: float
) -> tuple[BatchGenerator, ImageSettings | LatentSettings]:
    """What draws, in the precision that this processor is fast at, and how it is asked."""
    found = quick_generator(model)
    if not isinstance(found, BatchGenerator):
        sys.exit(f"{model}: draws no batches of images")
    if find_model(model).family == "gan":
        return found, LatentSettings()
    return found, msgspec.structs.replace(UNGUIDED, guidance=guidance)


def drawn(model: str, captions: list[str], guidance: float, keep: Path | None) -> NDArray[np.uint8]:
    """Images uint8 [N, 32, 32, 3], seeds 0, 1, …; those in `keep` are not drawn again."""
    parts = []
    if keep is not None and keep.exists():
        with np.load(keep, allow_pickle=False) as stored:
            parts.append(stored["rgb"][: len(captions)])
    done = len(parts[0]) if parts else 0
    if done < len(captions):
        generator, settings = generator_of(model, guidance)
        told = say("drawn")
        for at in range(done, len(captions), BATCH):
            seeds = list(range(at, min(at + BATCH, len(captions))))
            parts.append(generator.draw(captions[at : at + BATCH], seeds, settings))
            told(at)
            if keep is not None and (seeds[-1] + 1 == len(captions) or not (at // BATCH) % SAVED):
                part = keep.with_suffix(".part.npz")
                np.savez(part, rgb=np.concatenate(parts))
                part.replace(keep)
    return np.concatenate(parts)


def say(what: str) -> Callable[[int], None]:
    """Progress on stderr, every ten seconds."""
    last = time.monotonic()

    def told(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > 10:
            last = time.monotonic()
            print(f"{what}: {done:,}", file=sys.stderr, flush=True)

    return told


def coarse(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Grey images [N, 32, 32, 3] as the means [N, 64] of their blocks, 0 to 8."""
    return rgb[..., 0].reshape(-1, 8, 4, 8, 4).mean((2, 4)).reshape(len(rgb), -1) / 32


def distance_of_pixels(data: LabelledImages, rgb: NDArray[np.uint8]) -> Figure:
    """Fréchet's in plain pixels: of the samples, and of a half of the training set."""
    half = np.random.default_rng(0).choice(data.train, len(data.train) // 2, replace=False)
    test, real = (coarse(render_images(data, each)[0]) for each in (data.held_out, half))
    found = frechet_distance(coarse(rgb), test)
    peer = frechet_distance(real, test)
    return Figure("Fréchet distance of the pixels, 8×8", found, "", peer, "a train half's")


def distances(evaluator: Evaluator, found: NDArray[np.float32]) -> list[Figure]:
    """Fréchet's: of the samples, of as many real ones, and of halves of the training set."""
    rng = np.random.default_rng(0)
    train, test = evaluator.train, evaluator.held_out
    whole, noisy = [], []
    for _ in range(HALVES):
        half = train[rng.choice(len(train), len(train) // 2, replace=False)]
        whole.append(frechet_distance(half, test))
        noisy.append(frechet_distance(half, test[rng.integers(len(test), size=len(test))]))
    error = float(np.std(noisy, ddof=1))
    half = float(np.mean(whole))
    count = min(len(found), len(train))
    real = train[rng.choice(len(train), count, replace=False)]
    return [
        Figure(
            f"Fréchet distance of {len(found):,} drawn to the test set",
            frechet_distance(found, test), "", half, "a train half's", WITHIN * half + error,
        ),
        Figure(f"Fréchet distance of {count:,} trained ones", frechet_distance(real, test), ""),
        Figure("sampling error of a train half's", error, ""),
    ]  # fmt: skip


def classifiers(
    evaluator: Evaluator, rgb: NDArray[np.uint8], captions: list[str], steps: int
) -> tuple[Figure, int]:
    """Accuracy on the real test set of one trained on drawn images, beside one on real ones."""
    real = evaluator.data
    count = min(len(rgb), len(real.train))
    rgba = np.concatenate((rgb[:count], np.full((count, 32, 32, 1), 255, np.uint8)), axis=3)
    targets = np.array([real.labels.index(caption) for caption in captions[:count]])
    made = replace(
        real,
        images=replace(real.images, rgba=rgba, captions=tuple(captions[:count])),
        targets=targets,
        train=np.arange(count),
        held_out=np.empty(0, np.int64),
    )
    few = replace(real, train=np.random.default_rng(0).choice(real.train, count, replace=False))
    test, truth = render_images(real, real.held_out)
    right = [
        float(
            (
                train_classifier(data, steps, 1, say(name)).probabilities(test).argmax(1) == truth
            ).mean()
        )
        for name, data in (("trained on drawn", made), ("trained on real", few))
    ]
    name = f"accuracy of one trained on {count:,} drawn only"
    return Figure(name, right[0], "", right[1], "on as many real"), count


def main() -> None:
    parser = argparse.ArgumentParser(description="a model of fashion against real images")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--model", default="fashion")
    parser.add_argument("--classifier", default="fashion-labels")
    parser.add_argument("--images", type=int, default=10_000, metavar="N", help="(10000)")
    parser.add_argument("--guidance", type=float, default=1.0, metavar="G",
                        help="of a diffusion model (1: none)")  # fmt: skip
    parser.add_argument("--classifier-steps", type=int, default=1500, metavar="N",
                        help="steps of 128 images (1500); 0 trains none")  # fmt: skip
    parser.add_argument("--keep", type=Path, metavar="FILE", help="an .npz of what was drawn")
    args = parser.parse_args()
    before = machine()
    evaluator = Evaluator(ImageClassifier.load(args.classifier), load_labelled_images("fashion"))
    captions = evaluator.captions(args.images)
    rgb = drawn(args.model, captions, args.guidance, args.keep)
    found = evaluator.measure(rgb, captions)
    figures = distances(evaluator, evaluator.classifier.features(rgb))
    figures += [
        distance_of_pixels(evaluator.data, rgb),
        Figure("copying share", found.copying, "", 0.5, "none copied"),
        Figure("coverage of the test set (k 5)", found.coverage, ""),
        Figure("density (k 5)", found.density, ""),
        Figure("precision (k 3)", found.precision, ""),
        Figure("recall (k 3)", found.recall, ""),
        Figure("right object", found.right, "", found.right_real, "test images"),
    ]
    reached = {
        f"at most {WITHIN} times a train half's distance, plus its sampling error": (
            figures[0].value <= (figures[0].limit or 0)
        ),
        f"copying share within {COPYING[0]}–{COPYING[1]}": (
            COPYING[0] <= found.copying <= COPYING[1]
        ),
    }
    if args.classifier_steps:
        figure, count = classifiers(evaluator, rgb, captions, args.classifier_steps)
        figures.append(figure)
        reached[f"a classifier of {count:,} drawn images is right of {WORTH:.0%}"] = (
            figure.value >= WORTH
        )
    report(before, figures, args.json)
    if not args.json:
        for goal, is_reached in reached.items():
            print(f"{goal}: {'reached' if is_reached else 'missed'}")
    if not all(reached.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
