import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from genui.render.chart import Chart, ChartOptions, Curves, build_legend, draw_chart
from genui.render.series import ChartLine, Look, choose_window

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
    lines = texts(draw_chart([ChartLine("loss", STEPS, falling(STEPS))], *size))
    assert len(lines) == size[1]
    assert max(map(cell_len, lines)) <= size[0]


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (5, 2), (3, 30)])
def test_no_room_is_no_chart(size: tuple[int, int]) -> None:
    assert draw_chart([ChartLine("loss", STEPS, falling(STEPS))], *size) is None


def test_no_points_is_no_chart() -> None:
    assert draw_chart([], 60, 12) is None
    assert draw_chart([ChartLine("loss", np.empty(0), np.empty(0))], 60, 12) is None


def test_series_have_a_sign_each_beside_their_colour() -> None:
    traces = [ChartLine("train", STEPS, falling(STEPS), "smoothed", (STEPS, falling(STEPS)))]
    traces.append(ChartLine("val", STEPS[::100], falling(STEPS[::100]) + 1, "marks"))
    traces.append(ChartLine("other", STEPS, falling(STEPS) + 2))
    plain = "".join(text for text, _ in build_legend(traces))
    assert plain == "━ train ⠒ raw  ◆ val  ● other"
    drawn = "\n".join(texts(draw_chart(traces, 80, 20))[1:])
    assert drawn.count("◆") == 10
    assert "●" in drawn


def test_what_has_no_range_yet_has_no_axis_but_its_value() -> None:
    one = ChartLine("loss", np.array([7.0]), np.array([5.4321]))
    lines = texts(draw_chart([one], 60, 12, with_legend=False))
    assert [line.split("┤")[0].strip() for line in lines if "┤" in line] == ["5.432"]
    assert lines[-1].split() == ["step", "7"]
    assert "•" in "".join(lines)
    constant = ChartLine("lr", STEPS, np.full(1000, 3e-4))
    for log_y in (False, True):
        lines = texts(draw_chart([constant], 60, 12, log_y=log_y, with_legend=False))
        assert [line.split("┤")[0].strip() for line in lines if "┤" in line] == ["3.00e-04"]
        assert len(lines[-1].split()) > 2


def test_a_column_below_one_step_is_not_explained() -> None:
    few = ChartLine("loss", STEPS[:20], falling(STEPS[:20]))
    drawn = draw_chart([few], 80, 12)
    assert drawn is not None
    assert drawn.caption == ""


def test_a_spike_is_drawn_however_long_the_series() -> None:
    values = np.zeros(100_000)
    values[51_234] = 1.0
    top = texts(
        draw_chart([ChartLine("x", np.arange(100_000), values)], 80, 12, with_legend=False)
    )[0]
    assert sum("\u2801" <= c <= "\u28ff" for c in top) == 1


def test_what_is_not_finite_is_marked_where_it_happened_and_named() -> None:
    values = falling(STEPS)
    values[[250, 500, 750]] = np.nan, np.inf, -np.inf
    drawn = draw_chart([ChartLine("loss", STEPS, values)], 80, 20)
    assert drawn is not None
    lines, frame = texts(drawn), drawn.frame
    foot, head = lines[frame.top + frame.rows - 1], lines[frame.top]
    assert foot.index("✗") == frame.left + frame.col(250)
    assert head.index("▲") == frame.left + frame.col(500)
    assert foot.index("▼") == frame.left + frame.col(750)
    assert "✗ NaN  ▲ +∞  ▼ -∞" in lines[0]
    assert "fault" in looks(drawn)


def test_a_legend_names_only_the_faults_in_sight() -> None:
    values = falling(STEPS)
    values[250] = np.nan
    trace = ChartLine("loss", STEPS, values)
    drawn = draw_chart([trace], 80, 20, within=choose_window([trace], False, view=(500, 900)))
    assert texts(drawn)[0].split() == ["━", "loss"]


def test_on_a_log_axis_what_is_not_positive_is_marked() -> None:
    values = falling(STEPS)
    values[[300, 301]] = 0.0, -4.0
    drawn = draw_chart([ChartLine("loss", STEPS, values)], 80, 20, log_y=True)
    assert drawn is not None
    foot = texts(drawn)[drawn.frame.top + drawn.frame.rows - 1]
    assert foot.index("↓") == drawn.frame.left + drawn.frame.col(300)
    assert "↓ ≤ 0" in texts(drawn)[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 5.0, -3.0])
@pytest.mark.parametrize("log_y", [False, True])
def test_one_value_alone_is_no_trouble(value: float, log_y: bool) -> None:
    for count in (1, 50):
        drawn = draw_chart(
            [ChartLine("x", np.arange(count), np.full(count, value))], 60, 12, log_y=log_y
        )
        assert len(texts(drawn)) == 12


def test_a_log_axis_is_straight_where_decay_is_exponential() -> None:
    values = np.exp(-STEPS / 50)
    lines = texts(
        draw_chart([ChartLine("x", STEPS, values)], 60, 22, log_y=True, with_legend=False)
    )
    assert any(line.strip().startswith("1e-") for line in lines)
    drawn = [any("\u2801" <= c <= "\u28ff" for c in line) for line in lines[:20]]
    assert all(drawn)


def test_the_caption_says_what_a_column_stands_for() -> None:
    drawn = draw_chart([ChartLine("x", np.arange(1241), np.arange(1241.0))], 66, 12)
    assert drawn is not None
    assert drawn.caption == "1 column = 21 steps, min–max"


def test_the_cursor_is_a_line_at_its_step_that_leaves_the_curve_to_be_seen() -> None:
    plain = draw_chart([ChartLine("x", STEPS, falling(STEPS))], 60, 12, with_legend=False)
    drawn = draw_chart(
        [ChartLine("x", STEPS, falling(STEPS))], 60, 12, cursor=500, with_legend=False
    )
    assert drawn is not None
    column = drawn.frame.left + drawn.frame.col(500)
    before = [line[column] for line in texts(plain)[:10]]
    after = [line[column] for line in texts(drawn)[:10]]
    assert set(after) - set(before) == {"│"}
    assert [a for a, b in zip(after, before, strict=True) if b != " "] == [
        sign for sign in before if sign != " "
    ]
    assert texts(drawn)[10][column] == "┴"
    assert "cursor" not in looks(
        draw_chart([ChartLine("x", STEPS, falling(STEPS))], 60, 12, cursor=5000)
    )


def test_what_was_written_again_is_marked_on_the_axis() -> None:
    drawn = draw_chart(
        [ChartLine("x", STEPS, falling(STEPS))], 60, 12, overlaps=[(200, 400), (999, 2000)]
    )
    assert drawn is not None
    rule, frame = texts(drawn)[-2], drawn.frame
    first, last = frame.left + frame.col(200), frame.left + frame.col(400)
    assert rule[first : last + 1] == "↺" + "═" * (last - first)
    assert rule[-1] == "↺"
    assert "↺ written again" in texts(drawn)[0]


def test_a_view_shows_only_what_is_in_it() -> None:
    trace = ChartLine("x", STEPS, np.where(STEPS < 500, 100.0, 1.0) + STEPS / 1000)
    drawn = draw_chart([trace], 80, 20, within=choose_window([trace], False, view=(600, 700)))
    assert drawn is not None
    assert drawn.caption == "1 column = 1.4 steps, every point"
    numbers = [word for line in texts(drawn)[1:18] for word in line.split("┤")[0].split()]
    assert all(float(number) < 2 for number in numbers if number[0].isdigit())


def test_between_two_far_points_the_line_runs_through_the_view() -> None:
    trace = ChartLine("x", np.array([0, 1000]), np.array([0.0, 10.0]))
    drawn = draw_chart([trace], 60, 20, within=choose_window([trace], False, view=(400, 600)))
    assert drawn is not None
    rows = texts(drawn)[drawn.frame.top :][: drawn.frame.rows]
    dotted = [any("\u2801" <= row[col] <= "\u28ff" for row in rows)
              for col in range(drawn.frame.left, 60)]  # fmt: skip
    assert all(dotted)


def test_a_line_is_open_where_only_nan_is() -> None:
    values = falling(STEPS)
    values[400:600] = np.nan
    drawn = draw_chart([ChartLine("x", STEPS, values)], 60, 20, with_legend=False)
    assert drawn is not None
    middle = drawn.frame.left + drawn.frame.col(500)
    assert {line[middle] for line in texts(drawn)[: drawn.frame.rows]} == {" ", "✗"}


@pytest.mark.parametrize(
    ("unit", "caption"),
    [
        ("step", "1 column = 21 steps, min–max"),
        ("s", "1 column = 21 s, min–max"),
        ("token", "1 column = 21 tokens, min–max"),
        ("epoch", "1 column = 21 epochs, min–max"),
    ],
)
def test_the_caption_has_the_unit_of_the_axis(unit: str, caption: str) -> None:
    drawn = draw_chart([ChartLine("x", np.arange(1241), np.arange(1241.0))], 66, 12, unit=unit)
    assert drawn is not None
    assert drawn.caption == caption


def test_a_log_axis_of_x_has_columns_of_one_ratio() -> None:
    trace = ChartLine("x", STEPS, falling(STEPS))
    drawn = draw_chart([trace], 66, 12, within=choose_window([trace], False, log_x=True))
    assert drawn is not None
    assert drawn.caption == "1 column = × 1.12, min–max"
    assert texts(drawn)[-1].split() == ["1", "3", "10", "30", "100", "300"]
    assert drawn.frame.col(1) == 0
    assert drawn.frame.x_at(drawn.frame.share(30)) == pytest.approx(30)


def test_eight_runs_are_told_apart_without_colour() -> None:
    runs = [ChartLine(f"run {n}", STEPS, falling(STEPS) + n) for n in range(8)]
    drawn = texts(draw_chart(runs, 120, 40))
    for sign in "◆●■◇○□★":
        assert sign in drawn[0]
        assert sum(line.count(sign) for line in drawn[1:]) >= 4


def test_signs_stay_in_their_columns_while_a_run_grows() -> None:
    other = ChartLine("a", np.array([0, 2000]), np.array([1.0, 4.0]))

    def columns(points: int) -> list[int]:
        run = ChartLine("b", STEPS[:points], np.full(points, 2.0))
        lines = texts(draw_chart([other, run], 100, 20))[1:]
        return [at for line in lines for at, sign in enumerate(line) if sign == "◆"]

    assert columns(1000)[: len(columns(800))] == columns(800)


EXTREME = [0.0, 5e-324, 1e-310, 1.0, -1.0, 1e300, -1.7e308, 1.7e308, np.nan, np.inf, -np.inf]


@given(
    st.lists(st.sampled_from(EXTREME), min_size=1, max_size=8),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["step", "s", "token"]),
)
def test_any_values_are_drawn_in_their_room(
    values: list[float], log_y: bool, log_x: bool, unit: str
) -> None:
    trace = ChartLine("x", np.arange(len(values)), np.array(values))
    span = choose_window([trace], log_y, log_x=log_x)
    with np.errstate(all="raise", under="ignore"):
        lines = texts(draw_chart([trace], 60, 12, within=span, unit=unit))
    assert len(lines) == 12
    assert max(map(cell_len, lines)) <= 60


def test_a_raw_cloud_is_faint_behind_its_line() -> None:
    raw = falling(STEPS) + np.random.default_rng(0).normal(0, 0.3, 1000)
    drawn = draw_chart([ChartLine("x", STEPS, raw, "smoothed", (STEPS, falling(STEPS)))], 80, 20)
    assert {"raw-1", "series-1"} <= looks(drawn)


def test_the_line_of_an_average_is_thin_however_many_averages_a_column_has() -> None:
    average = 2 + np.resize([0.1, -0.1], 1000)
    drawn = draw_chart(
        [ChartLine("x", STEPS, 4 * (STEPS % 2.0), "smoothed", (STEPS, average))], 80, 40
    )
    assert drawn is not None
    plot = drawn.lines[1 : drawn.frame.rows + 1]
    line = [text for row in plot for text, look in row if look == "series-1"]
    assert line == ["⠤" * drawn.frame.cols]


def test_without_a_legend_the_caption_says_what_the_marks_mean() -> None:
    values = falling(STEPS)
    values[500] = np.nan
    drawn = draw_chart(
        [ChartLine("x", STEPS, values)], 60, 12, with_legend=False, overlaps=[(3, 4)]
    )
    assert drawn is not None
    assert drawn.caption == "1 column = 18 steps, min–max · ✗ NaN  ↺ again"


def test_a_series_without_points_keeps_its_sign_and_colour_from_the_next() -> None:
    empty, full = ChartLine("a", np.empty(0), np.empty(0)), ChartLine("b", STEPS, falling(STEPS))
    drawn = draw_chart([empty, full], 60, 14)
    assert drawn is not None
    assert texts(drawn)[0].split() == ["━", "a", "◆", "b"]
    used = {look for line in drawn.lines[1:] for _, look in line}
    assert "series-2" in used
    assert "series-1" not in used


def overlaid(over: np.ndarray, log_y: bool = False) -> tuple[Curves, Chart]:
    """A falling loss from 4 to 1, and a metric over it, of as many points."""
    curves = Curves()
    series = {"loss": (STEPS, falling(STEPS)), "over": (STEPS, over)}
    curves.set_series(series, {}, {"loss": (0, False), "over": Look(1, over=True)})
    drawn = curves.chart(60, 20, ChartOptions(log_y, legend=False))
    assert drawn is not None
    return curves, drawn


@pytest.mark.parametrize("log_y", [False, True])
def test_a_metric_over_another_of_other_values_has_an_axis_on_the_right(log_y: bool) -> None:
    curves, drawn = overlaid(1e6 / falling(STEPS), log_y=log_y)
    lines = texts(drawn)
    assert max(map(cell_len, lines)) <= 60
    plot = lines[: drawn.frame.rows]
    right = [line.partition("├")[2].strip() for line in plot if "├" in line]
    left = [line.partition("┤")[0].strip() for line in plot if "┤" in line]
    assert any(text.startswith(("1", "1,000,000", "500")) for text in right)
    assert all(len(text) <= 4 for text in left)  # 4, 2.5, 1 …
    # Each fills its axis: the loss falls from the top, the metric over it rises to the top.
    first, last = drawn.frame.left, drawn.frame.left + drawn.frame.cols - 1
    assert any(line[first] != " " for line in plot[:4])
    assert any(line[last] != " " for line in plot[:4])
    # The values are those of the metric, wherever it is drawn.
    assert curves.values_at(0)["over"] == (0, 250_000)


def test_guides_are_at_the_labels_and_behind_the_curve() -> None:
    def draw(guides: bool) -> list[str]:
        return texts(draw_chart([ChartLine("loss", STEPS, falling(STEPS))], 60, 20, guides=guides))

    plain, guided = draw(False), draw(True)
    assert [line.replace("┈", " ") for line in guided] == plain
    assert not any("┈" in line for line in plain)
    assert [("┈" in line) for line in guided] == ["┤" in line for line in plain]


def test_metrics_of_similar_values_share_one_axis() -> None:
    _, drawn = overlaid(falling(STEPS) + 0.5)
    assert not any("├" in line for line in texts(drawn))


def test_marks_of_faults_stay_on_a_right_axis() -> None:
    over = 1e6 / falling(STEPS)
    over[500], over[600], over[700] = np.nan, np.inf, -1
    _, drawn = overlaid(over, log_y=True)
    assert {"✗", "▲", "↓"} <= set("".join(texts(drawn)))
    assert drawn.caption.endswith("✗ NaN  ▲ +∞  ↓ ≤ 0")
