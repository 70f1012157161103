"""Distances between sets of generated and real images, in the features of a network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError
from genui.engine.data.image_datasets import LabelledImages, load_labelled_images
from genui.engine.metrics.classifiers import ImageClassifier, render_images
from genui.engine.models.linear import accuracy

# --- Distances between two sets of features [N, D] --------------------------------------------
# Computed in float64. The values depend on the features, so they can be compared within one table
# only.

Features = NDArray[np.floating]
Distances = NDArray[np.float64]

BLOCK_VALUES = 8_000_000  # distances per block: 64 MB


@dataclass(frozen=True)
class Manifolds:
    """How far two sets overlap: four shares; density may exceed 1."""

    precision: float  # of generated rows within the real manifold: quality
    recall: float  # of real rows within the generated manifold: diversity
    density: float  # the number of real neighbourhoods that contain a generated row, over k
    coverage: float  # of real rows with a generated row in their neighbourhood


def frechet_distance(one: Features, other: Features) -> float:
    """The squared Fréchet distance between normal distributions fitted to two sets.

    |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2(Σ₁Σ₂)^½) (Dowson & Landau 1982, eq. 4), 0 for equal moments. The
    trace of the root is the sum of the roots of the eigenvalues of Σ₁^½ Σ₂ Σ₁^½. That matrix is
    symmetric, which avoids complex roots and a matrix square root that may not converge. Raises
    ValueError if a set has fewer than two rows, NaN or infinity, or the widths differ.
    """
    a, b = _pair(one, other, least=2)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    mixed = np.linalg.eigvalsh(root @ second @ root).clip(0)
    between_means = ((a.mean(0) - b.mean(0)) ** 2).sum()
    # With rounding, equal sets may come out slightly below zero.
    return max(
        0.0, float(between_means + np.trace(first) + np.trace(second) - 2 * np.sqrt(mixed).sum())
    )


def manifold_metrics(real: Features, generated: Features, neighbours: int) -> Manifolds:
    """Precision and recall (Kynkäänniemi et al. 2019, eq. 1 and 2; usually with k = 3), density and
    coverage (Naeem et al. 2020, eq. 3 and 4; k = 5), which outliers do not inflate.

    k = `neighbours`. Raises ValueError as `frechet_distance`, or if a set has k rows or fewer.
    """
    a, b = _pair(real, generated, least=neighbours + 1)
    real_radii, generated_radii = _radii(a, neighbours), _radii(b, neighbours)
    within_real = np.zeros(len(b), np.int64)  # the number of real neighbourhoods it is in
    covered = np.zeros(len(a), bool)
    recalled = np.zeros(len(a), bool)
    for at, squared in _blocks(a, b):
        inside = squared <= real_radii[at, None]
        within_real += inside.sum(0)
        covered[at] = inside.any(1)
        recalled[at] = (squared <= generated_radii).any(1)
    return Manifolds(
        precision=float((within_real > 0).mean()),
        recall=float(recalled.mean()),
        density=float(within_real.mean() / neighbours),
        coverage=float(covered.mean()),
    )


def copying_share(generated: Features, train: Features, held_out: Features) -> float:
    """The share of generated rows nearer to the training set than to the held-out set.

    0.5 if nothing is copied, 1 if everything is; a tie counts half (the three-sample test of Meehan
    et al. 2020, in its simplest form). A larger set is nearer by chance, so it is the mean over
    disjoint parts of `train` as large as `held_out`. Raises ValueError if `train` is smaller, or as
    `frechet_distance`.
    """
    samples, held = _pair(generated, held_out, least=1)
    _, training = _pair(generated, train, least=1)
    parts = len(training) // len(held)
    if not parts:
        raise ValueError(f"{len(training)} training rows are fewer than {len(held)} held out")
    to_held = nearest(samples, held)[0]
    shares = []
    for part in range(parts):
        to_train = nearest(samples, training[part * len(held) : (part + 1) * len(held)])[0]
        shares.append((to_train < to_held).mean() + (to_train == to_held).mean() / 2)
    return float(np.mean(shares))


def nearest(rows: Features, among: Features) -> tuple[Distances, NDArray[np.int64]]:
    """The squared distance of each row to the nearest row of `among`, and its index: [N], [N]."""
    a, b = _pair(rows, among, least=1)
    squared, index = np.empty(len(a)), np.empty(len(a), np.int64)
    for at, block in _blocks(a, b):
        index[at] = block.argmin(1)
        squared[at] = block[np.arange(len(block)), index[at]]
    return squared, index


def _radii(rows: Distances, neighbours: int) -> Distances:
    """The squared distance of each row to its k-th nearest other row, [N]."""
    radii = np.empty(len(rows))
    for at, squared in _blocks(rows, rows):
        # The nearest row, at index 0, is the row itself.
        radii[at] = np.partition(squared, neighbours, axis=1)[:, neighbours]
    return radii


def _blocks(a: Distances, b: Distances) -> Iterator[tuple[slice, Distances]]:
    """Slices of the rows of `a`, and their squared distances to all rows of `b`."""
    size = max(1, BLOCK_VALUES // len(b))
    norms = np.einsum("nd,nd->n", b, b)
    for start in range(0, len(a), size):
        at = slice(start, start + size)
        part = a[at]
        squared = np.einsum("nd,nd->n", part, part)[:, None] + norms - 2 * (part @ b.T)
        yield at, squared.clip(0)


def _pair(one: Features, other: Features, least: int) -> tuple[Distances, Distances]:
    """Both sets as float64. Raises ValueError if they are not valid."""
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"sets of {a.shape} and {b.shape}: both must be [N, D] with one D")
    if min(len(a), len(b)) < least:
        raise ValueError(f"sets of {len(a)} and {len(b)} rows: {least} are needed at the least")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a set holds NaN or infinity")
    return a, b


# --- Metrics of a model's whole distribution, for data with many images per caption -----------
# In the features of a classifier trained on the same data, so only models of this data can be
# compared. Each distance has a reference: the value of as many real training images, as for a
# perfect model.

CLASSIFIERS = {"fashion": "fashion-labels"}
"""Maps a dataset to the shipped classifier whose features are used."""

MAX_NEIGHBOURS = 5000  # images of each set, for metrics with neighbours

Draw = Callable[[list[str]], NDArray[np.uint8]]
"""Captions to images uint8 [N, 32, 32, 3]."""


@dataclass(frozen=True)
class Distribution:
    """The metrics of N samples."""

    count: int
    frechet: float  # to the held-out images
    frechet_real: float  # of as many training images to the held-out ones
    right: float  # share for which the classifier's label is the caption
    right_real: float  # the same for the held-out images
    precision: float  # k = 3 (Kynkäänniemi et al. 2019)
    recall: float
    density: float  # k = 5 (Naeem et al. 2020)
    coverage: float
    copying: float  # share nearer to the training set than to as many held-out images


class Evaluator:
    """Computes a Distribution; the features of the real images are computed once."""

    def __init__(self, classifier: ImageClassifier, data: LabelledImages) -> None:
        self.classifier, self.data = classifier, data
        train_rgb, _ = render_images(data, data.train)
        self._held_rgb, self._held_targets = render_images(data, data.held_out)
        self.train = classifier.features(train_rgb)  # float32 [N, D]
        self.held_out = classifier.features(self._held_rgb)

    def captions(self, count: int) -> list[str]:
        """Random captions, distributed as in the training set; always the same."""
        chosen = np.random.default_rng(0).choice(self.data.train, count)
        return [self.data.labels[target] for target in self.data.targets[chosen]]

    def measure(self, rgb: NDArray[np.uint8], captions: list[str]) -> Distribution:
        """The metrics of samples uint8 [N, 32, 32, 3] with these captions.

        Raises ValueError if a caption is not a label, or there are too few samples.
        """
        targets = np.array([self.data.labels.index(caption) for caption in captions])
        features = self.classifier.features(rgb)
        rng = np.random.default_rng(0)
        real = self.train[rng.choice(len(self.train), min(len(rgb), len(self.train)), False)]
        few, few_held = features[:MAX_NEIGHBOURS], self.held_out[:MAX_NEIGHBOURS]
        k3, k5 = (manifold_metrics(few_held, few, neighbours) for neighbours in (3, 5))
        p, p_real = map(self.classifier.probabilities, (rgb, self._held_rgb))
        return Distribution(
            count=len(rgb),
            frechet=frechet_distance(features, self.held_out),
            frechet_real=frechet_distance(real, self.held_out),
            right=accuracy(p, targets),
            right_real=accuracy(p_real, self._held_targets),
            precision=k3.precision,
            recall=k3.recall,
            density=k5.density,
            coverage=k5.coverage,
            copying=copying_share(few, self.train, self.held_out),
        )


def measure_distribution(draw: Draw, dataset: str, count: int) -> dict[str, str]:
    """The metrics of a model card for data with many images per caption.

    Raises GenuiError if no classifier of this data is shipped.
    """
    try:
        classifier = ImageClassifier.load(CLASSIFIERS[dataset])
    except KeyError:
        raise GenuiError(f"{dataset}: no shipped classifier measures this data") from None
    evaluator = Evaluator(classifier, load_labelled_images(dataset))
    captions = evaluator.captions(count)
    result = evaluator.measure(draw(captions), captions)
    return format_distribution(result, CLASSIFIERS[dataset])


def format_distribution(row: Distribution, classifier: str) -> dict[str, str]:
    """Labels to values with units, the most important first."""
    return {
        "right object": (
            f"{row.right:.0%} by {classifier}, which is right of {row.right_real:.0%} of real ones"
        ),
        "Fréchet distance": (
            f"{row.frechet:.2f} to the test set ({row.count:,} samples, own features); as many "
            f"training images {row.frechet_real:.2f}"
        ),
        "precision, recall": f"{row.precision:.2f}, {row.recall:.2f} (k 3)",
        "density, coverage": f"{row.density:.2f}, {row.coverage:.2f} (k 5)",
        "copying": f"{row.copying:.3f} are nearer to training than to test images (0.5: none)",
    }
