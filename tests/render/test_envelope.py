import numpy as np

from genui.render.envelope import envelope


def test_a_spike_of_one_step_is_in_its_column() -> None:
    values = np.zeros(100_000)
    values[70_123] = 9.0
    columns = envelope(np.arange(100_000), values, 0, 99_999, 240)
    assert np.nanmax(columns.high) == 9.0
    assert columns.high[int(70_123 / 99_999 * 240)] == 9.0
    assert np.nanmax(columns.low) == 0.0


def test_every_point_counts_once() -> None:
    rng = np.random.default_rng(1)
    steps = np.sort(rng.choice(10_000, 500, replace=False))
    values = rng.normal(size=500)
    columns = envelope(steps, values, steps[0], steps[-1], 64)
    edges = np.linspace(steps[0], steps[-1], 65)
    for column in range(64):
        inside = (steps >= edges[column]) & (steps < edges[column + 1])
        if column == 63:
            inside |= steps == steps[-1]
        if inside.any():
            assert columns.low[column] == values[inside].min()
            assert columns.high[column] == values[inside].max()
        else:
            assert np.isnan(columns.low[column])


def test_what_is_not_finite_marks_its_column_only() -> None:
    values = np.array([1.0, np.nan, 3.0, np.inf, 5.0, 6.0])
    columns = envelope(np.arange(6), values, 0, 5, 3)
    assert columns.broken.tolist() == [True, True, False]
    assert columns.low.tolist() == [1.0, 3.0, 5.0]
    assert columns.high.tolist() == [1.0, 3.0, 6.0]


def test_zoomed_in_only_what_is_in_view_counts() -> None:
    columns = envelope(np.arange(100), np.arange(100.0), 20, 29, 2)
    assert columns.low[0] == 20
    assert columns.high[1] == 29
