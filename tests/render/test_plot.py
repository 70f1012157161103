import numpy as np
import pytest
from rich.cells import cell_len

from genui.render.plot import Chart, Trace, chart, legend

STEPS = np.arange(1000)


def texts(drawn: Chart | None) -> list[str]:
    assert drawn is not None
    return ["".join(text for text, _ in line) for line in drawn.lines]


def looks(drawn: Chart | None) -> set[str]:
    assert drawn is not None
    return {look for line in drawn.lines for text, look in line if text.strip()}


def falling(steps: np.ndarray) -> np.ndarray:
    return 1 + 3 * np.exp(-steps / 200)


@pytest.mark.parametrize("size", [(120, 30), (60, 12), (30, 7), (20, 4), (12, 3)])
def test_a_chart_fills_its_room_and_never_leaves_it(size: tuple[int, int]) -> None:
    lines = texts(chart([Trace("loss", STEPS, falling(STEPS))], *size))
    assert len(lines) == size[1]
    assert max(map(cell_len, lines)) <= size[0]


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (5, 2), (3, 30)])
def test_no_room_is_no_chart(size: tuple[int, int]) -> None:
    assert chart([Trace("loss", STEPS, falling(STEPS))], *size) is None


def test_no_points_is_no_chart() -> None:
    assert chart([], 60, 12) is None
    assert chart([Trace("loss", np.empty(0), np.empty(0))], 60, 12) is None


def test_series_have_a_sign_each_beside_their_colour() -> None:
    traces = [Trace("train", STEPS, falling(STEPS), "smoothed", falling(STEPS))]
    traces.append(Trace("val", STEPS[::100], falling(STEPS[::100]) + 1, "marks"))
    traces.append(Trace("other", STEPS, falling(STEPS) + 2))
    plain = "".join(text for text, _ in legend(traces))
    assert plain == "━ train ⠒ raw  ◆ val  ▲ other"
    drawn = "\n".join(texts(chart(traces, 80, 20))[1:])
    assert drawn.count("◆") == 10
    assert "▲" in drawn


def test_a_spike_is_drawn_however_long_the_series() -> None:
    values = np.zeros(100_000)
    values[51_234] = 1.0
    top = texts(chart([Trace("x", np.arange(100_000), values)], 80, 12, with_legend=False))[0]
    assert sum("\u2801" <= c <= "\u28ff" for c in top) == 1


def test_what_is_not_finite_is_marked_and_named() -> None:
    values = falling(STEPS)
    values[500] = np.nan
    drawn = chart([Trace("loss", STEPS, values)], 80, 20)
    assert any("✗" in line for line in texts(drawn)[1:])
    assert "✗ not finite" in texts(drawn)[0]
    assert "fault" in looks(drawn)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 5.0, -3.0])
@pytest.mark.parametrize("log_y", [False, True])
def test_one_value_alone_is_no_trouble(value: float, log_y: bool) -> None:
    for count in (1, 50):
        drawn = chart([Trace("x", np.arange(count), np.full(count, value))], 60, 12, log_y=log_y)
        assert len(texts(drawn)) == 12


def test_a_log_axis_is_straight_where_decay_is_exponential() -> None:
    values = np.exp(-STEPS / 50)
    lines = texts(chart([Trace("x", STEPS, values)], 60, 22, log_y=True, with_legend=False))
    assert any(line.strip().startswith("1e-") for line in lines)
    drawn = [any("\u2801" <= c <= "\u28ff" for c in line) for line in lines[:20]]
    assert all(drawn)


def test_the_caption_says_what_a_column_stands_for() -> None:
    drawn = chart([Trace("x", np.arange(1241), np.arange(1241.0))], 66, 12)
    assert drawn is not None
    assert drawn.caption == "1 column = 21 steps, min–max"


def test_the_cursor_is_a_line_at_its_step() -> None:
    drawn = chart([Trace("x", STEPS, falling(STEPS))], 60, 12, cursor=500, with_legend=False)
    columns = {line.rindex("│") for line in texts(drawn)[:10]}
    assert len(columns) == 1
    assert "cursor" in looks(drawn)
    assert "cursor" not in looks(chart([Trace("x", STEPS, falling(STEPS))], 60, 12, cursor=5000))


def test_a_raw_cloud_is_faint_behind_its_line() -> None:
    raw = falling(STEPS) + np.random.default_rng(0).normal(0, 0.3, 1000)
    drawn = chart([Trace("x", STEPS, raw, "smoothed", falling(STEPS))], 80, 20)
    assert {"raw-1", "series-1"} <= looks(drawn)
