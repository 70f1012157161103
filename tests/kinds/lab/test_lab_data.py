"""The points of the Lab: densities that integrate to one, and samples that follow them."""

import numpy as np
import pytest

from genui.kinds.lab.messages import EDGE
from genui.kinds.lab.points import Point, to_text
from genui.kinds.lab.sample import Divergence, jensen_shannon, shares
from genui.kinds.lab.shapes import NAMES, data_named


@pytest.mark.parametrize("name", NAMES)
def test_a_density_integrates_to_one_and_each_class_to_its_share(name: str) -> None:
    data = data_named(name)
    side = 200
    middles = ((np.arange(side) + 0.5) / side * 2 - 1) * 1.5
    x, y = np.meshgrid(middles, middles)
    found = data.densities(np.stack([x, y], axis=-1).reshape(-1, 2))
    assert found is not None
    each = found.sum(axis=1) * (3 / side) ** 2
    assert each == pytest.approx([0.5, 0.5], abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_points_drawn_are_where_the_density_is_and_of_its_class(name: str) -> None:
    data = data_named(name)
    batch = data.draw(np.random.default_rng(0), 2000)
    assert batch.x.dtype == np.float32
    assert np.abs(batch.x).max() < EDGE
    densities = data.densities(batch.x.astype(np.float64))
    assert densities is not None
    likeliest = densities.argmax(axis=0)
    assert (likeliest == batch.labels).mean() > 0.97


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_itself_is_near_to_the_truth_and_noise_is_not(name: str) -> None:
    divergence = Divergence(data_named(name))
    assert 0 < divergence.floor < 0.08
    noise = np.random.default_rng(1).uniform(-EDGE, EDGE, (1024, 2))
    assert jensen_shannon(divergence.true, shares(noise)) > 4 * divergence.floor


def test_the_divergence_of_what_shares_no_place_is_one_bit() -> None:
    one, other = np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.0, 1.0])
    assert jensen_shannon(one, other) == pytest.approx(1)
    assert jensen_shannon(one, one) == pytest.approx(0)


def test_samples_that_are_no_numbers_count_as_outside() -> None:
    found = shares(np.array([[np.nan, 0.0], [np.inf, 1.0], [0.0, 0.0]]))
    assert found[-1] == pytest.approx(2 / 3)


def test_the_same_names_however_they_are_written() -> None:
    assert {data_named(n).name for n in ("two-moons", "Two Moons", "two_moons")} == {"two moons"}


def test_points_of_ones_own_are_brought_into_the_plane() -> None:
    data = data_named(to_text([Point(100, 900), Point(300, 1000, 1)]))
    batch = data.draw(np.random.default_rng(0), 50)
    assert np.abs(batch.x).max() == pytest.approx(1)
    assert set(batch.labels.tolist()) == {0, 1}
    assert data.densities(np.zeros((1, 2))) is None
