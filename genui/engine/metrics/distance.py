"""How near generated images are to real ones: distances of sets in a network's features."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError
from genui.engine.data.image_labels import LabelledImages, load_labelled_images
from genui.engine.metrics.classifiers import ImageClassifier, images_of

# --- Distances of two sets [N, D], in features of your choice ---------------------------------
# Sets are arrays [N, D], a row an image (or anything else that a network turns into D numbers);
# everything is computed in float64. What the numbers mean depends on the features, so they can be
# compared within one table and with nothing outside it.

Features = NDArray[np.floating]
Distances = NDArray[np.float64]

BLOCK_VALUES = 8_000_000  # distances held at a time: 64 MB


@dataclass(frozen=True)
class Manifolds:
    """What of each set lies within the other: four shares, of which density may exceed 1."""

    precision: float  # generated ones within the real manifold: quality
    recall: float  # real ones within the generated manifold: diversity
    density: float  # how many real neighbourhoods a generated one lies in, over k
    coverage: float  # real ones with a generated one in their neighbourhood


def frechet_distance(one: Features, other: Features) -> float:
    """Between the normal distributions fitted to two sets (Dowson & Landau 1982, eq. 4), squared.

    |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2(Σ₁Σ₂)^½), 0 for equal moments. The trace of the root is the sum of
    the roots of the eigenvalues of Σ₁^½ Σ₂ Σ₁^½, which is symmetric: no complex root and no
    matrix square root that fails to converge. Raises ValueError where a set has fewer than two
    rows, holds NaN or infinity, or the widths differ.
    """
    a, b = _pair(one, other, least=2)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    mixed = np.linalg.eigvalsh(root @ second @ root).clip(0)
    between_means = ((a.mean(0) - b.mean(0)) ** 2).sum()
    # Rounding may leave equal sets a little below zero.
    return max(
        0.0, float(between_means + np.trace(first) + np.trace(second) - 2 * np.sqrt(mixed).sum())
    )


def precision_recall(real: Features, generated: Features, neighbours: int = 3) -> Manifolds:
    """Precision and recall (Kynkäänniemi et al. 2019, eq. 1 and 2) with k = `neighbours`.

    With density and coverage of the same neighbourhoods beside them (`density_coverage`).
    Raises ValueError as `frechet_distance`, or where a set has no more than k rows.
    """
    a, b = _pair(real, generated, least=neighbours + 1)
    real_radii, generated_radii = _radii(a, neighbours), _radii(b, neighbours)
    within_real = np.zeros(len(b), np.int64)  # real neighbourhoods each generated one lies in
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


def density_coverage(real: Features, generated: Features, neighbours: int = 5) -> Manifolds:
    """Density and coverage (Naeem et al. 2020, eq. 3 and 4), which outliers do not inflate.

    k = `neighbours`; they mend precision and recall, which lie beside them for the same k.
    """
    return precision_recall(real, generated, neighbours)


def copying_share(generated: Features, train: Features, held_out: Features) -> float:
    """Share of generated ones nearer to the training set than to the held-out set.

    0.5 where nothing is copied, 1 where everything is; a tie counts half. (The three-sample test of
    Meehan et al. 2020, in its simplest form.) A larger set is nearer by chance: where there are
    more rows to train on than held out, the mean over disjoint parts of `train` as large as
    `held_out` is taken. Raises ValueError where there are fewer, or as `frechet_distance`.
    """
    samples, held = _pair(generated, held_out, least=1)
    _, seen = _pair(generated, train, least=1)
    parts = len(seen) // len(held)
    if not parts:
        raise ValueError(f"{len(seen)} training rows are fewer than {len(held)} held out")
    to_held = nearest(samples, held)[0]
    shares = []
    for part in range(parts):
        to_train = nearest(samples, seen[part * len(held) : (part + 1) * len(held)])[0]
        shares.append((to_train < to_held).mean() + (to_train == to_held).mean() / 2)
    return float(np.mean(shares))


def nearest(rows: Features, among: Features) -> tuple[Distances, NDArray[np.int64]]:
    """Of each row the squared distance to the nearest row of `among`, and the number of that."""
    a, b = _pair(rows, among, least=1)
    squared, index = np.empty(len(a)), np.empty(len(a), np.int64)
    for at, block in _blocks(a, b):
        index[at] = block.argmin(1)
        squared[at] = block[np.arange(len(block)), index[at]]
    return squared, index


def _radii(rows: Distances, neighbours: int) -> Distances:
    """The squared distance of each row to its k-th nearest other row."""
    radii = np.empty(len(rows))
    for at, squared in _blocks(rows, rows):
        # The nearest of all is the row itself.
        radii[at] = np.partition(squared, neighbours, axis=1)[:, neighbours]
    return radii


def _blocks(a: Distances, b: Distances) -> Iterator[tuple[slice, Distances]]:
    """Squared distances between some rows of `a` and all of `b`, block by block."""
    size = max(1, BLOCK_VALUES // len(b))
    norms = np.einsum("nd,nd->n", b, b)
    for start in range(0, len(a), size):
        at = slice(start, start + size)
        part = a[at]
        squared = np.einsum("nd,nd->n", part, part)[:, None] + norms - 2 * (part @ b.T)
        yield at, squared.clip(0)


def _pair(one: Features, other: Features, least: int) -> tuple[Distances, Distances]:
    """Both as float64, having checked them."""
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"sets of {a.shape} and {b.shape}: both must be [N, D] with one D")
    if min(len(a), len(b)) < least:
        raise ValueError(f"sets of {len(a)} and {len(b)} rows: {least} are needed at the least")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a set holds NaN or infinity")
    return a, b


# --- How near what a model draws is to images it never saw, for sets of many images a caption
# Everything is measured in the features of a classifier trained here on the same data, so the
# numbers compare models of this data and nothing else; beside each distance stands the one of as
# many real training images, which is what a perfect model would have.

CLASSIFIERS = {"fashion": "fashion-labels"}
"""Data set to the shipped classifier whose features measure it."""

MOST_NEIGHBOURS = 5000  # images of each side among which neighbours are sought

Draw = Callable[[list[str], list[int]], NDArray[np.uint8]]
"""Captions and seeds to images uint8 [N, 32, 32, 3]."""


@dataclass(frozen=True)
class Distribution:
    """N samples against the held-out set."""

    count: int
    frechet: float  # to the held-out images
    frechet_real: float  # of as many training images to the held-out ones
    right: float  # share whose label, by the classifier, is their caption
    right_real: float  # the same of the held-out images
    precision: float  # k = 3 (Kynkäänniemi et al. 2019)
    recall: float
    density: float  # k = 5 (Naeem et al. 2020)
    coverage: float
    copying: float  # share nearer to the training set than to as many held-out images


class Ruler:
    """A classifier, and the real images of its data in its features, computed once."""

    def __init__(self, classifier: ImageClassifier, data: LabelledImages) -> None:
        self.classifier, self.data = classifier, data
        train_rgb, _ = images_of(data, data.train)
        self._held_rgb, self._held_targets = images_of(data, data.held_out)
        self.train = classifier.features(train_rgb)  # float32 [N, D], as `data.train`
        self.held_out = classifier.features(self._held_rgb)

    def captions(self, count: int) -> list[str]:
        """Captions in the shares that the training set has them, in a fixed random order."""
        chosen = np.random.default_rng(0).choice(self.data.train, count)
        return [self.data.labels[target] for target in self.data.targets[chosen]]

    def measure(self, rgb: NDArray[np.uint8], captions: list[str]) -> Distribution:
        """Samples uint8 [N, 32, 32, 3] that were drawn for these captions.

        Neighbours are sought among at most MOST_NEIGHBOURS of each side. Raises ValueError
        where a caption is no label, or there are too few samples to measure anything.
        """
        targets = np.array([self.data.labels.index(caption) for caption in captions])
        features = self.classifier.features(rgb)
        rng = np.random.default_rng(0)
        real = self.train[rng.choice(len(self.train), min(len(rgb), len(self.train)), False)]
        few, few_held = features[:MOST_NEIGHBOURS], self.held_out[:MOST_NEIGHBOURS]
        near, dense = precision_recall(few_held, few), density_coverage(few_held, few)
        return Distribution(
            count=len(rgb),
            frechet=frechet_distance(features, self.held_out),
            frechet_real=frechet_distance(real, self.held_out),
            right=self._right(rgb, targets),
            right_real=self._right(self._held_rgb, self._held_targets),
            precision=near.precision,
            recall=near.recall,
            density=dense.density,
            coverage=dense.coverage,
            copying=copying_share(few, self.train, self.held_out),
        )

    def _right(self, rgb: NDArray[np.uint8], targets: NDArray[np.int64]) -> float:
        return float((self.classifier.probabilities(rgb).argmax(1) == targets).mean())


def measure_distribution(draw: Draw, dataset: str, count: int) -> dict[str, str]:
    """The figures of a card for a model of a data set with many images a caption.

    Raises GenuiError where no classifier of that data is shipped.
    """
    try:
        classifier = ImageClassifier.load(CLASSIFIERS[dataset])
    except KeyError:
        raise GenuiError(f"{dataset}: no shipped classifier measures this data") from None
    ruler = Ruler(classifier, load_labelled_images(dataset))
    captions = ruler.captions(count)
    return in_words(
        ruler.measure(draw(captions, list(range(count))), captions), CLASSIFIERS[dataset]
    )


def in_words(row: Distribution, classifier: str) -> dict[str, str]:
    """Label to value with its unit, the most telling one first."""
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


# --- Whether a generator has collapsed: cheap enough to be asked while it trains --------------
# Images are compared by their means over 4×4 pixels, in which a person still tells a boot
# from a dress, so that no classifier is needed: these numbers watch one training, and are not those
# that models are compared by (`measure_distribution`).

NEIGHBOURS = 5
POOLED = 4  # pixels of a side that one mean is taken over

Indices = NDArray[np.int64]
Images = NDArray[np.float32]


@dataclass(frozen=True)
class Drawn:
    """Real images and generated ones of the same captions: float32 [N, C, H, W] each."""

    real: Images
    generated: Images


def collapse(first: Drawn, second: Drawn) -> dict[str, float]:
    """What falls when samples grow alike, of two sets of N images each.

    - `coverage` (Naeem et al. 2020): the share of `first.real` that have a generated image
      among them, nearer than their fifth nearest real one.
    - `variety`: how far image i of `first` is from image i of `second`, root mean square,
      for generated images over real ones; 1 is as various as the data.
    """
    real, generated = _means(first.real), _means(first.generated)
    return {
        "coverage": coverage(real, generated),
        "variety": _apart(generated, _means(second.generated))
        / max(_apart(real, _means(second.real)), 1e-6),
    }


def coverage(real: Images, generated: Images, neighbours: int = NEIGHBOURS) -> float:
    """The share of real features [N, D] whose ball holds a generated one [M, D], 0 to 1.

    A ball reaches to the `neighbours`-th nearest other real one.
    """
    distances = _squared(real, real)
    reach = np.partition(distances, min(neighbours, len(real) - 1), axis=1)
    radius = reach[:, min(neighbours, len(real) - 1)]  # itself is the 0th
    return float((_squared(real, generated).min(axis=1) <= radius).mean())


def pairs_of_a_caption(
    captions: Sequence[str], pool: Indices, count: int, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """`count` indices out of `pool`, and for each another of the same caption.

    Where a caption has one image only its partner may be any image.
    """
    _, group = np.unique([captions[i] for i in pool], return_inverse=True)
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    starts = np.cumsum(sizes) - sizes
    first = rng.integers(0, len(pool), count)
    place = np.empty(len(pool), np.int64)  # of each image among those of its caption
    place[order] = np.arange(len(pool)) - np.repeat(starts, sizes)
    size = sizes[group[first]]
    on = 1 + rng.integers(0, np.maximum(size - 1, 1))
    second = order[starts[group[first]] + (place[first] + on) % size]
    alone = size == 1
    second[alone] = rng.integers(0, len(pool), int(alone.sum()))
    return pool[first], pool[second]


def _means(x: Images) -> Images:
    """[N, C, H, W] to features [N, C · H/4 · W/4]."""
    n, channels, height, width = x.shape
    blocks = x.reshape(n, channels, height // POOLED, POOLED, width // POOLED, POOLED)
    return blocks.mean(axis=(3, 5)).reshape(n, -1)


def _apart(one: Images, other: Images) -> float:
    return float(np.sqrt(np.square(one - other).mean()))


def _squared(one: Images, other: Images) -> Images:
    """Squared distances [N, M]."""
    lengths = np.square(one).sum(1)[:, None] + np.square(other).sum(1)
    return np.maximum(lengths - 2 * one @ other.T, 0)
