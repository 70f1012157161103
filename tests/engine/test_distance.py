"""Distances between sets of features, against brute force and against what is known of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from genui.engine.metrics import distance
from genui.engine.metrics.distance import (
    copying_share,
    frechet_distance,
    manifold_metrics,
    nearest,
)

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int, count: int, width: int = 3, spread: float = 1.0) -> NDArray[np.float64]:
    return np.asarray(np.random.default_rng(seed).normal(0, spread, (count, width)), np.float64)


def apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every distance, one at a time."""
    return np.array([[np.linalg.norm(x - y) for y in b] for x in a], np.float64)


# --- Fréchet distance ------------------------------------------------------------------


@given(SEEDS)
@settings(max_examples=20)
def test_of_one_feature_it_is_the_difference_of_means_and_of_deviations(seed: int) -> None:
    a, b = drawn(seed, 30, 1), drawn(seed + 1, 40, 1, 2.0) + 1
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected)


@given(SEEDS)
@settings(max_examples=20)
def test_it_is_the_same_both_ways_round_never_negative_and_zero_to_itself(seed: int) -> None:
    a, b = drawn(seed, 20, 5), drawn(seed + 1, 25, 5)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    assert frechet_distance(a, b) >= 0
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_its_trace_term_is_that_of_the_matrix_square_root() -> None:
    a, b = drawn(0, 400, 4), drawn(1, 400, 4) @ drawn(2, 4, 4)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eig(first @ second)
    root = (vectors * np.sqrt(values.astype(complex))) @ np.linalg.inv(vectors)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root).real
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_turning_and_moving_both_sets_alike_changes_nothing() -> None:
    a, b = drawn(3, 50, 4), drawn(4, 60, 4, 1.5)
    turn, _ = np.linalg.qr(drawn(5, 4, 4))
    assert frechet_distance(a @ turn + 7, b @ turn + 7) == pytest.approx(frechet_distance(a, b))


def test_it_stays_finite_where_features_are_constant_or_fewer_rows_than_features() -> None:
    a, b = drawn(6, 5, 20), drawn(7, 5, 20)
    a[:, 0] = b[:, 0] = 3
    assert np.isfinite(frechet_distance(a, b))


def test_it_grows_with_what_separates_the_sets() -> None:
    a = drawn(8, 500)
    found = [frechet_distance(a, drawn(9, 500) + shift) for shift in (0, 0.5, 1, 2)]
    assert found == sorted(found)


# --- precision, recall, density, coverage ------------------------------------------------


@pytest.mark.parametrize("block", [1, 7, 10_000])
@given(seed=SEEDS, neighbours=st.integers(1, 5))
@settings(max_examples=15)
def test_the_four_shares_are_what_brute_force_counts(
    block: int, seed: int, neighbours: int
) -> None:
    real, made = drawn(seed, 25), drawn(seed + 1, 20, spread=1.3) + 0.3
    between = apart(real, made)
    real_radius = np.sort(apart(real, real), axis=1)[:, neighbours]
    made_radius = np.sort(apart(made, made), axis=1)[:, neighbours]
    inside = between <= real_radius[:, None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distance, "BLOCK_VALUES", block * len(made))
        found = manifold_metrics(real, made, neighbours)
    assert found.precision == pytest.approx(inside.any(0).mean())
    assert found.coverage == pytest.approx(inside.any(1).mean())
    assert found.density == pytest.approx(inside.sum() / (neighbours * len(made)))
    assert found.recall == pytest.approx((between <= made_radius).any(1).mean())


def test_the_very_same_set_is_precise_and_covered() -> None:
    same = drawn(10, 60)
    found = manifold_metrics(same, same, 5)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density >= 1


def test_a_collapsed_set_is_precise_and_covers_little() -> None:
    real = drawn(11, 200)
    collapsed = real[:1] + drawn(12, 200, spread=1e-3)
    found = manifold_metrics(real, collapsed, 5)
    assert found.precision == 1
    assert found.recall < 0.1
    assert found.coverage < 0.2


def test_a_set_somewhere_else_has_none_of_the_four() -> None:
    found = manifold_metrics(drawn(13, 50), drawn(14, 50) + 100, 5)
    assert (found.precision, found.recall, found.density, found.coverage) == (0, 0, 0, 0)


def test_an_outlier_among_the_real_ones_inflates_precision_and_not_density() -> None:
    real = np.concatenate((drawn(15, 100, 2, 0.1), [[50.0, 50.0]]))
    made = drawn(16, 100, 2, 0.1) + 20
    found = manifold_metrics(real, made, 5)
    assert found.precision == 1
    assert found.density == pytest.approx(1 / 5)


# --- copying -----------------------------------------------------------------------------


@given(SEEDS)
@settings(max_examples=15)
def test_the_copying_share_is_what_brute_force_counts(seed: int) -> None:
    made, train, held = drawn(seed, 15), drawn(seed + 1, 20), drawn(seed + 2, 20)
    expected = (apart(made, train).min(1) < apart(made, held).min(1)).mean()
    assert copying_share(made, train, held) == pytest.approx(expected)


def test_copies_are_all_nearer_and_fresh_draws_are_half_and_half() -> None:
    train, held = drawn(20, 2000), drawn(21, 1000)
    assert copying_share(train[:500], train, held) > 0.7  # each is in one part of two
    assert copying_share(train[:500], train[:1000], held) == 1
    assert copying_share(held[:500], train[:1000], held) == 0
    assert copying_share(drawn(22, 2000), train, held) == pytest.approx(0.5, abs=0.04)


def test_a_tie_counts_half() -> None:
    same = drawn(23, 10)
    assert copying_share(drawn(24, 30), same, same) == 0.5


def test_the_nearest_row_is_found_with_its_distance() -> None:
    rows, among = drawn(25, 12), drawn(26, 30)
    squared, index = nearest(rows, among)
    every = apart(rows, among)
    np.testing.assert_array_equal(index, every.argmin(1))
    np.testing.assert_allclose(squared, every.min(1) ** 2)


# --- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        (np.zeros((5, 3)), np.zeros((5, 4)), r"\[N, D\] with one D"),
        (np.zeros(5), np.zeros(5), r"\[N, D\]"),
        (np.zeros((1, 3)), np.zeros((5, 3)), "2 are needed"),
        (np.full((5, 3), np.nan), np.zeros((5, 3)), "NaN"),
    ],
)
def test_sets_that_do_not_fit_are_refused(
    one: NDArray[np.float64], other: NDArray[np.float64], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        frechet_distance(one, other)


def test_too_few_rows_for_their_neighbours_are_refused() -> None:
    with pytest.raises(ValueError, match="4 are needed"):
        manifold_metrics(drawn(1, 3), drawn(2, 50), 3)
    with pytest.raises(ValueError, match="fewer than 10 held out"):
        copying_share(drawn(1, 5), drawn(2, 9), drawn(3, 10))
