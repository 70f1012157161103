"""How right the shipped classifiers of images are, beside logistic regression on the same data.

    python tests/bench/bench_labels.py [--model fashion-labels ...]

Each is tested on images that no training saw: fashion's official test set, and one in six of the
icons and emoji whose names say what kind of thing they are. Logistic regression sees averages of
2×2 pixels of the same training images, icons and emoji in four colourings.
"""

import argparse

from harness import Figure, home, machine, report

from genui.engine.data.image_datasets import load_labelled_images
from genui.engine.metrics.classifiers import ImageClassifier, linear_baseline, render_images
from genui.engine.models.linear import accuracy, calibration_error, log_loss
from genui.runs.models import find_model

SHIPPED = ("fashion-labels", "icons-labels", "emoji-labels")


def figures(model: str) -> list[Figure]:
    """Accuracy, log-loss and calibration on held-out images."""
    classifier, data = ImageClassifier.load(model), load_labelled_images(find_model(model).dataset)
    rgb, targets = render_images(data, data.held_out)
    own, linear = classifier.probabilities(rgb), linear_baseline(data, rgb)
    peer = "logistic regression"
    return [
        Figure(
            f"{model}: {name}, {len(targets):,} held out",
            measure(own, targets), unit, measure(linear, targets), peer,
        )
        for name, measure, unit in (
            ("right", accuracy, ""),
            ("log-loss", log_loss, "nats"),
            ("calibration error", calibration_error, ""),
        )
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="classifiers of images on held-out images")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--model", action="append", metavar="MODEL", help="(all that are shipped)")
    args = parser.parse_args()
    before = machine()
    with home():
        found = [figure for model in args.model or SHIPPED for figure in figures(model)]
    report(before, found, args.json)


if __name__ == "__main__":
    main()
