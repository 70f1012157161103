"""How near two sets of things are to each other, in features of your choice.

Sets are arrays [N, D], a row a picture (or anything else that a network turns into D numbers);
everything is computed in float64. What the numbers mean depends on the features, so they can be
compared within one table and with nothing outside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    # Rounding may leave equal sets a little below zero.
    return max(0.0, float(apart + np.trace(first) + np.trace(second) - 2 * np.sqrt(mixed).sum()))


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
