"""Accuracy, log-loss and calibration error, against numbers worked out by hand."""

import math

import numpy as np
import pytest

from genui.engine.models.linear import accuracy, calibration_error, log_loss

P = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]], np.float32)
RIGHT = np.array([0, 1, 1, 1])  # three of four


def test_accuracy_is_the_share_of_likeliest_labels_that_are_true() -> None:
    assert accuracy(P, RIGHT) == 0.75


def test_log_loss_is_the_mean_of_minus_the_logarithm_of_the_true_labels() -> None:
    expected = -sum(math.log(p) for p in (0.9, 0.4, 0.8, 0.7)) / 4
    assert log_loss(P, RIGHT) == pytest.approx(expected)


def test_a_certain_mistake_is_dear_and_finite() -> None:
    assert 20 < log_loss(np.array([[1.0, 0.0]]), np.array([1])) < 40


def test_the_calibration_error_is_the_gap_of_each_bin_weighed_by_its_size() -> None:
    # Two bins: (0, 0.5] is empty, and in (0.5, 1] the mean of (.9, .6, .8, .7) is .75, as is
    # the accuracy; with four bins .6 and .7 (half right) part from .8 and .9 (both right).
    assert calibration_error(P, RIGHT, bins=2) == pytest.approx(0, abs=1e-7)
    expected = 0.5 * abs(0.65 - 0.5) + 0.5 * abs(0.85 - 1)
    assert calibration_error(P, RIGHT, bins=4) == pytest.approx(expected)


def test_one_who_says_what_is_so_is_calibrated_and_a_boaster_is_not() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 20_000)
    targets = (rng.random(20_000) > sure).astype(np.int64)
    honest = np.stack((sure, 1 - sure), axis=1)
    boaster = np.where(honest > 0.5, 0.999, 0.001)
    assert calibration_error(honest, targets) < 0.02
    assert calibration_error(boaster, targets) == pytest.approx(0.25, abs=0.02)
