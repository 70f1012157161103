"""Logistic regression and naive Bayes: each is the best of its own question."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from genui.engine.models.linear import Linear, accuracy, fit_logistic, fit_naive_bayes, log_loss

Fit = Callable[[NDArray[np.float64], NDArray[np.int64], int], Linear]


def blobs(count: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Three Gaussian blobs with one diagonal covariance: naive Bayes' own model of the world."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(3, size=count)
    centres = np.array([[0, 0, 0], [2, 0, 1], [0, 2, -1]])
    return centres[targets] + rng.standard_normal((count, 3)) * [1, 0.5, 2], targets


def test_naive_bayes_is_bayes_rule_with_the_density_of_each_label() -> None:
    x, targets = blobs(500)
    found = fit_naive_bayes(x, targets, 3)
    counts = np.bincount(targets)
    means = np.stack([x[targets == k].mean(0) for k in range(3)])
    variances = ((x - means[targets]) ** 2).mean(0)
    variances += 0.01 * max(variances.max(), x.var())
    joint = np.stack(
        [
            (counts[k] + 1) / (len(x) + 3) * np.exp(-((x - means[k]) ** 2) / variances / 2).prod(1)
            for k in range(3)
        ],
        axis=1,
    )
    np.testing.assert_allclose(
        found.probabilities(x), joint / joint.sum(1, keepdims=True), atol=2e-5
    )


def test_logistic_regression_has_no_slope_left_to_climb() -> None:
    x, targets = blobs(300)
    found = fit_logistic(x, targets, 3)
    error = found.probabilities(x) - np.eye(3)[targets]
    np.testing.assert_allclose(x.T @ error + found.weights, 0, atol=0.2)
    np.testing.assert_allclose(error.sum(0), 0, atol=0.2)


def test_where_its_assumption_holds_naive_bayes_needs_fewer_examples() -> None:
    test_x, test_targets = blobs(2000, 99)

    def losses(fit: Fit, count: int) -> float:
        found = [fit(*blobs(count, seed), 3).probabilities(test_x) for seed in range(20)]
        return float(np.mean([log_loss(each, test_targets) for each in found]))

    assert losses(fit_naive_bayes, 12) < losses(fit_logistic, 12)


def test_where_features_say_the_same_twice_naive_bayes_is_too_sure() -> None:
    x, targets = blobs(2000)
    test_x, test_targets = blobs(2000, 99)
    many = np.repeat(x, 8, axis=1), np.repeat(test_x, 8, axis=1)
    found = [
        fit(many[0], targets, 3).probabilities(many[1]) for fit in (fit_logistic, fit_naive_bayes)
    ]
    logistic, bayes = (log_loss(each, test_targets) for each in found)
    assert logistic < bayes
    assert abs(accuracy(found[0], test_targets) - accuracy(found[1], test_targets)) < 0.05


def test_a_label_without_examples_and_a_constant_feature_break_neither() -> None:
    x, targets = np.zeros((4, 2)), np.array([0, 0, 1, 1])
    x[2:, 0] = 1
    for fit in (fit_logistic, fit_naive_bayes):
        found = fit(x, targets, 3).probabilities(x)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
        np.testing.assert_array_equal(found.argmax(1)[[0, 2]], [0, 1])


def test_examples_and_labels_must_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        fit_logistic(np.zeros((3, 2)), np.array([0]), 2)
    with pytest.raises(ValueError, match="of 2"):
        fit_naive_bayes(np.zeros((1, 2)), np.array([2]), 2)
