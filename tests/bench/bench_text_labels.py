"""The shipped text classifiers beside simpler ones, and what live labels cost.

    python tests/bench/bench_text_labels.py [--repeats 50] [--json]

- Held-out accuracy beside multinomial logistic regression on the same n-grams, and beside
  always naming the most frequent label.
- Milliseconds for the labels of one step of a text, beside those for one token of it: the app
  asks at most four times a second, so this is what labels take from the writing.
"""

import time
from collections import Counter

import numpy as np
from harness import Figure, arguments, home, machine, percentile, report

from genui.engine.data.text import load_labelled_text
from genui.engine.load import open_trace
from genui.engine.metrics.classifiers import TextClassifier, labels, logistic_regression
from genui.engine.models.linear import accuracy
from genui.engine.train.classifier import bags_of
from genui.protocol import Start, TextSettings
from genui.recipes import find_recipe
from genui.recipes.classifier import TextClassifierRecipe

CLASSIFIERS = ("speakers", "python-or-prose")


def accuracies(name: str) -> list[Figure]:
    """Of one classifier: beside logistic regression, and the most frequent label's."""
    recipe = find_recipe(name)
    assert isinstance(recipe, TextClassifierRecipe)
    data = load_labelled_text(recipe.dataset)
    targets = np.array([label for _, label in data.validation], np.int64)
    classifier = TextClassifier.load(name)
    found = classifier.probabilities([text for text, _ in data.validation])
    bags, wanted = bags_of(data.train, recipe.buckets)
    held, _ = bags_of(data.validation, recipe.buckets)
    regression = logistic_regression(bags, wanted, held, recipe.buckets)
    usual = Counter(wanted.tolist()).most_common(1)[0][0]
    many = f"{name}, {len(targets):,} held-out texts"
    right = 100 * accuracy(found, targets)
    return [
        Figure(many, right, "%", 100 * accuracy(regression, targets), "logistic regression"),
        Figure(many, right, "%", 100 * float((targets == usual).mean()), "most frequent label"),
    ]


def cost(repeats: int) -> Figure:
    """Median milliseconds of labels, beside those of a token."""
    settings = TextSettings(tokens=repeats)
    start = Start(trace=1, model="shakespeare", prompt="ROMEO:\n", seed=1, settings=settings)
    trace = open_trace(start)
    labels(trace, 0, "speakers")  # loads it
    tokens, told = [], []
    for step in range(1, repeats + 1):
        begin = time.perf_counter()
        for _ in trace.advance(step - 1, 1):
            pass
        middle = time.perf_counter()
        labels(trace, step, "speakers")
        tokens.append(1000 * (middle - begin))
        told.append(1000 * (time.perf_counter() - middle))
    token, label = (percentile(times, 50) for times in (tokens, told))
    return Figure("labels of a step", label, "ms", token, "a token of the text")


def main() -> None:
    args = arguments("the text classifiers, and what live labels cost", 50)
    before = machine()
    with home():
        figures = [figure for name in CLASSIFIERS for figure in accuracies(name)]
        figures.append(cost(args.repeats))
    report(before, figures, args.json)


if __name__ == "__main__":
    main()
