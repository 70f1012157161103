"""What the watermark in the initial noise survives, and what it costs an image: one call.

    python -m tests.bench noise [--models fashion emoji] [-n 200]

- N unmarked and N marked images as drawn, after JPEG 75, noise of 0.05, and cut to the middle
  90 %: the area under the curve by p, and the share below 1e-4. The goals: 0.98, and 0.95 cut.
- p beside the share of 1,000 other keys that score as high: it is computed, and must agree.
- Of `fashion`, the Fréchet distance and recall (k 3, features of `fashion-labels`) of the marked
  images to unmarked ones, beside those of other unmarked ones to the same.
"""

import argparse
import os
import tempfile

import numpy as np
from harness import machine
from msgspec.structs import replace

from genui.base.watermarks import FOUND, keys_file, make_key
from genui.engine.load import find_and_load
from genui.engine.metrics import noise_watermark as watermark
from genui.engine.metrics.classifiers import ImageClassifier
from genui.engine.metrics.distance import CLASSIFIERS, frechet_distance, manifold_metrics
from genui.engine.metrics.marks import DAMAGES
from genui.engine.metrics.shares import area_under_curve
from genui.engine.sample.diffusion import DiffusionGenerator, Prompts
from genui.runs.models import find_model

OTHERS = 1000
BATCH = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["fashion", "emoji", "icons"])
    parser.add_argument("-n", dest="count", type=int, default=200)
    options = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["GENUI_HOME"] = home
        key = make_key("mine")
        for model in options.models:
            measure(model, options.count, key)
        keys_file().unlink()


def measure(model: str, count: int, key: int) -> None:
    generator, usual = find_and_load(model), find_model(model).defaults
    assert isinstance(generator, DiffusionGenerator)
    prompts = Prompts(model, 0)
    captions = [prompts.at(number) for number in range(count)]

    def draw(first: int, name: str) -> np.ndarray:
        settings, parts = replace(usual, watermark=name), []
        for at in range(0, count, BATCH):
            some = captions[at : at + BATCH]
            seeds = list(range(first + at, first + at + len(some)))
            parts.append(generator.draw(some, seeds, settings))
        return np.concatenate(parts)

    tested: tuple[list[np.ndarray], np.ndarray] = [], np.empty(0)
    marked, plain = draw(0, "noise"), draw(count, "none")
    for title, damage in DAMAGES.items():
        chances = []
        for images in (plain, marked):
            noises = [watermark.invert(model, damage(one)) for one in images]
            chances.append(np.array([watermark.measure(noise, key) for noise in noises]))
            if images is plain and title == "as drawn":
                tested = noises[:3], chances[0][:3]
        area = area_under_curve(chances[1], chances[0])
        found = [(p < FOUND).mean() for p in chances]
        print(
            f"{model:8} n {count}+{count} {title:12} AUC {area:.3f}  p<1e-4: marked {found[1]:.3f} "
            f"unmarked {found[0]:.3f}  unmarked p<.05 {(chances[0] < 0.05).mean():.3f}",
            flush=True,
        )
    if (dataset := find_model(model).dataset) in CLASSIFIERS:
        other = draw(2 * count, "none")
        classifier = ImageClassifier.load(CLASSIFIERS[dataset])
        features = [classifier.features(rgb) for rgb in (plain, marked, other)]
        for name, of in (("marked", features[1]), ("unmarked", features[2])):
            distance = frechet_distance(of, features[0])
            recall = manifold_metrics(features[0], of, 3).recall
            print(f"{model:8} {name:8} to unmarked: Fréchet {distance:.3f}, recall {recall:.3f}")
    compare_keys(*tested)


def compare_keys(noises: list[np.ndarray], chances: np.ndarray) -> None:
    """Print the computed p beside the share of other keys that reach it."""
    others = np.array([
        [watermark.measure(noise, number) for noise in noises] for number in range(OTHERS)
    ])  # fmt: skip
    for p, reached in zip(chances, (others <= chances).mean(axis=0), strict=True):
        print(f"p {p:.3f}: reached by {reached:.3f} of {OTHERS} other keys", flush=True)


if __name__ == "__main__":
    main()
