"""The model of the Training screen, without a screen: plots, axes, view, navigation, runs."""

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest
import stage
from textual.geometry import Size

from genui.base import paths
from genui.base.errors import MisuseError
from genui.logs.base import Extras
from genui.render.axis import Axis
from genui.runs.definitions import MetricDefinition
from genui.runs.layout import RunInfo
from genui.runs.listing import summarise
from genui.ui.training import moves, shown, state
from genui.ui.training.axes import known_axes, start_time, x_positions
from genui.ui.training.board import NO_CURVES, Board
from genui.ui.training.curves import curve_settings, layout_for, room_for, room_in_grid
from genui.ui.training.moves import ChartRange, bring_into_view, follow_x
from genui.ui.training.plots import Plot, curve_series, is_noisy, make_plots, select_plots
from genui.ui.training.shown import ShownRuns
from genui.ui.training.state import (
    SIDE_TABS,
    VIEW_SETTINGS,
    ViewState,
    format_grid,
    parse_grid,
    pattern,
)
from genui.ui.watcher import RunView


def points(*steps: int, since: float = 100.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    at = np.array(steps, np.int64)
    return at, at * 0.5, since + at * 2.0


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["loss", "lr", "val_loss"], [("loss", "val_loss"), ("lr",)]),
        (["eval/acc", "train/acc"], [("train/acc", "eval/acc")]),
        (["val_loss"], [("val_loss",)]),
        (["val_val_loss", "val_loss", "loss"], [("loss", "val_loss", "val_val_loss")]),
        (["val_", "val/"], [("val_",), ("val/",)]),
        ([], []),
    ],
)
def test_a_validation_metric_shares_the_curve_of_its_training_metric(names, found) -> None:
    assert [plot.metrics for plot in make_plots(names)] == found


def keys(every, filter: str = "", pins: tuple[str, ...] = ()) -> list[str]:
    return [plot.key for plot in select_plots(every, pattern(filter), pins)]


def test_what_is_validated_comes_first_and_what_is_pinned_before_it() -> None:
    every = make_plots(["gpu", "aux_loss", "acc", "val_acc"])
    assert keys(every) == ["acc", "aux_loss", "gpu"]
    assert keys(every, pins=("gpu", "gone")) == ["gpu", "acc", "aux_loss"]
    assert keys(every, "VAL|gp") == ["acc", "gpu"]


def test_a_few_metrics_that_differ_in_a_number_share_a_plot() -> None:
    exposed = [f"exposure/{times}" for times in (0, 1, 16)]
    many = [f"layer/{number}/norm" for number in range(3)] + [f"heads/{n}" for n in range(9)]
    plots = make_plots(["loss", *exposed, "val_loss", "other/1", "bleu/1", "val_bleu/1", *many])
    assert [plot.metrics for plot in plots][:4] == [
        ("loss", "val_loss"), tuple(exposed), ("other/1",), ("bleu/1", "val_bleu/1")
    ]  # fmt: skip
    assert all(len(plot.metrics) == 1 for plot in plots[4:])
    run, plot = run_of("plays", **{name: points(0, 5, 10) for name in exposed}), plots[1]
    alone = board_of(run).lines(plot)
    assert [(line.label, line.look.hue) for line in alone] == [("0", 0), ("1", 1), ("16", 2)]
    other = run_of("other", **{exposed[0]: points(0, 5)})
    both = board_of(run, other).lines(plot)
    assert [line.label for line in both] == ["plays 0", "other 0", "plays 1", "plays 16"]
    assert [line.look.dashed for line in both] == [False, False, True, True]


def test_the_energy_comes_last_unless_it_is_pinned() -> None:
    every = make_plots(["joules_estimate", "grad_norm", "lr"])
    assert keys(every) == ["grad_norm", "lr", "joules_estimate"]
    assert keys(every, pins=("joules_estimate",)) == ["joules_estimate", "grad_norm", "lr"]


@pytest.mark.parametrize("text", ["(", "[z-a]", "*", "(?P<", "\x1b[31m("])
def test_a_wrong_filter_is_one_line_that_names_it(text: str) -> None:
    with pytest.raises(MisuseError, match="is not a regular expression") as raised:
        pattern(text)
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize(
    ("filter", "matches"),
    [
        ("train/*/loss", ["train/a/loss"]),
        ("*b/LOSS", ["eval/b/loss"]),
        ("train/?/*", ["train/a/loss"]),
        ("train/.*loss", ["train/a/loss"]),
        ("b?/l", ["train/a/loss", "eval/b/loss"]),
    ],
)
def test_a_filter_is_a_glob_if_it_has_stars_and_no_other_sign(filter, matches) -> None:
    assert keys([Plot((name,)) for name in ("train/a/loss", "eval/b/loss", "train/b")], filter) == (
        matches
    )


def view_of(series, **scale) -> RunView:
    run = stage.make_run(step=1)
    info = RunInfo(id="x", name="x", recipe={}, scale=scale)
    return RunView(dataclasses.replace(summarise(run), info=info), series)


def places(axis: Axis, view: RunView, since: float | None = None) -> list[float] | None:
    found = x_positions(axis, view, view.series["loss"], since)
    return None if found is None else found.tolist()


def test_tokens_and_epochs_are_offered_where_they_are_known() -> None:
    bare = view_of({"loss": points(0, 10)})
    assert known_axes(bare) == ["step", "time"]
    known = view_of({"loss": points(0, 10)}, unit="tok", units_per_step=64, units_per_epoch=640)
    assert known_axes(known) == ["step", "time", "tokens", "epochs"]
    assert places("tokens", known) == [0, 640]
    assert places("epochs", known) == [0, 1]
    assert places("time", known, start_time(known)) == [0, 20]
    assert places("tokens", bare) is None
    logged = view_of({"loss": points(0, 10), "epoch": points(0, 10)})
    assert known_axes(logged) == ["step", "time", "epochs"]
    assert places("epochs", logged) == [0, 5]


def test_time_is_no_axis_of_a_log_without_times() -> None:
    steps, values, times = points(0, 10)
    assert known_axes(view_of({"loss": (steps, values, times * float("nan"))})) == ["step"]


def test_a_step_is_found_again_on_another_axis() -> None:
    view = view_of({"loss": points(0, 5, 10)})
    board = Board([view.summary], ViewState(axis="time"))
    board.runs.receive(view)
    assert board.place_of(5) == 10.0
    assert board.places.step_at(10.0, "time") == 5
    assert board.places.step_at(13.0, "time") == 5  # at or before
    assert board.places.step_at(-1.0, "time") == 0
    board.change(cursor=12.0)
    assert (board.snapshot.cursor, board.snapshot.x) == (5, 10.0)


def test_a_view_follows_the_newest_in_leaps() -> None:
    assert follow_x((0.0, 100.0), 95.0) == (0.0, 100.0)
    assert follow_x((0.0, 100.0), 101.0) == pytest.approx((11.0, 111.0))
    assert follow_x((0.0, 100.0), 20.0) == pytest.approx((-70.0, 30.0))
    assert bring_into_view((0.0, 10.0), 12.0) == (2.0, 12.0)
    assert bring_into_view((5.0, 10.0), 1.0) == (1.0, 6.0)
    assert bring_into_view((5.0, 10.0), 7.0) == (5.0, 10.0)


@pytest.mark.parametrize("size", [(36, 9), (74, 33), (120, 40), (200, 60), (20, 5)])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_every_plot_of_a_page_has_a_cell_of_the_least_size(size, count: int) -> None:
    room = room_for(Size(*size))
    count = min(count, room.capacity)
    layout = layout_for(count, Size(*size))
    assert layout.capacity >= count
    assert layout.capacity - count < layout.columns  # no row is empty
    assert layout.columns <= room.columns
    assert layout.rows <= room.rows


@pytest.mark.parametrize(
    ("text", "grid"),
    [("2x3", (2, 3)), (" 2 × 3 ", (2, 3)), ("4", (4, 0)), ("auto", (0, 0)), ("", (0, 0))],
)
def test_a_grid_is_typed_as_columns_and_rows(text: str, grid: tuple[int, int]) -> None:
    assert parse_grid(text) == grid
    assert parse_grid(format_grid(grid)) == grid


def test_what_is_no_grid_is_said() -> None:
    with pytest.raises(MisuseError, match="is not columns x rows"):
        parse_grid("0x2")


def test_a_grid_gets_more_columns_and_is_typed_in_the_settings() -> None:
    board = board_of(run_of("plays"), grid=(9, 2))
    shown = []
    for by in (-1, 1, 1):
        board.nudge("grid", by)
        shown.append(board.settings()["grid"].show(board.state.grid))
    assert shown == ["8×2", "9×2", "2"]
    assert board.settings()["grid"].parse("2x3", "grid") == (2, 3)


def test_the_panel_has_a_share_of_the_width_within_bounds() -> None:
    board, width = board_of(run_of("plays")), VIEW_SETTINGS["panel_width"]
    assert board.nudge("panel_width") == "panel width 40 %"
    for _ in range(20):
        board.nudge("panel_width", -1)
    assert board.state.panel_width == width.ge
    board.resize_side(2.0)
    assert board.state.panel_width == width.le
    usual = ViewState().panel_width
    assert [width.parse(text, "") for text in ("50", " 33 % ", "auto")] == [50, 33, usual]
    assert width.show(usual) == "auto"
    for text in ("5", "100", "wide", "", "9" * 5000):
        with pytest.raises(MisuseError, match="whole number, 20 to 70, or auto"):
            width.parse(text, "panel width")


def test_a_grid_holds_as_far_as_it_fits() -> None:
    size = Size(120, 40)
    assert room_in_grid(size, (2, 3)) == (2, 3)
    assert room_in_grid(size, (9, 9)) == room_for(size)
    assert layout_for(6, size, (2, 3)) == (2, 3)
    assert layout_for(3, size, (3, 0)) == (3, 1)
    assert layout_for(1, size, (3, 2)) == (1, 1)


def test_a_view_is_kept_for_each_thing_that_is_watched() -> None:
    one = ViewState(filter="loss", pins=("lr",), view=(1.0, 2.5), cursor=2.0, axis="time")
    state.remember("run-1", one)
    state.remember("/a/b", ViewState(smoothing=0.5))
    assert state.recall("run-1") == one
    assert state.recall("/a/b").smoothing == 0.5
    assert state.recall("other") == ViewState()


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", '{"filter": 5}', '{"filter": "("}', '{"smoothing": 1}', '{"view": [2, 1]}',
        '{"axis": "miles"}', '{"cursor": null, "view": [null, 1]}', "\x00\xff", "[" * 5000,
        '{"view": [1, 1e999]}', '{"panel_width": 3}',
    ],
)  # fmt: skip
def test_a_damaged_file_is_a_first_look(text: str) -> None:
    state.remember("run-1", ViewState(filter="lr"))
    (file,) = (paths.state_dir() / state.FOLDER).iterdir()
    file.write_bytes(text.encode("latin-1"))
    assert state.recall("run-1") == ViewState()


def test_the_views_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MAX_VIEW_FILES", 3)
    for number in range(6):
        state.remember(f"run-{number}", ViewState(filter=str(number)))
    assert len(list((paths.state_dir() / state.FOLDER).iterdir())) == 3
    assert state.recall("run-5").filter == "5"


def test_a_state_folder_that_cannot_be_written_is_no_fault(tmp_path) -> None:
    paths.state_dir().parent.mkdir(parents=True, exist_ok=True)
    paths.state_dir().write_text("a file")
    state.remember("run-1", ViewState(filter="lr"))
    assert state.recall("run-1") == ViewState()


# --- which series are smoothed ----------------------------------------------------------

STEPS = np.arange(5_000, dtype=float)
NOISE = np.random.default_rng(1).normal(size=5_000)


@pytest.mark.parametrize("size", [1e-12, 0.01, 1.0, 1e12])
def test_noise_of_any_size_on_a_falling_loss_is_noise(size: float) -> None:
    assert is_noisy(size * (4 * np.exp(-STEPS / 5e5) + NOISE))


def test_what_changes_steadily_is_not_noisy() -> None:
    schedule = np.minimum(STEPS / 100, 1) * (1 - STEPS / 5_000)
    for values in (schedule, STEPS, np.full(5_000, 3e-4), np.exp(-STEPS / 100), STEPS[:1]):
        assert not is_noisy(values)


def test_values_that_are_not_finite_say_nothing() -> None:
    values = NOISE.copy()
    values[::7] = np.nan
    assert is_noisy(values)
    assert not is_noisy(np.full(100, np.nan))


# --- what the keys do -------------------------------------------------------------------


def run_of(name: str, *samples: int, **series) -> RunView:
    """A look at a run of that name, with metrics and samples at these steps."""
    view = view_of(series or {"loss": points(*range(101))})
    info = msgspec.structs.replace(view.summary.info, name=name)
    summary = dataclasses.replace(view.summary, info=info)
    files = {step: Path(f"step-{step}.txt") for step in samples}
    return dataclasses.replace(view, summary=summary, sample_files=files)


def board_of(*views: RunView, **fields) -> Board:
    board = Board([view.summary for view in views], ViewState(**fields))
    for view in views:
        assert board.runs.receive(view)
    return board


def axis_of(board: Board, plot: Plot) -> str:
    return board.curves.axis_of(plot, board.state)


def sight(board: Board, columns: int = 50) -> ChartRange:
    """What a chart of so many columns would show."""
    first, last = 0.0, float(board.runs.newest_step())
    span = board.state.view or (first, last)
    return ChartRange(span, (first, last), (span[1] - span[0]) / columns)


def test_the_cursor_moves_by_columns_and_stays_on_the_axis() -> None:
    board = board_of(run_of("plays"))
    cursors = []
    for columns in (-1, -1, 1, 10, -100):
        board.move(moves.move_cursor, columns, sight(board))
        cursors.append(board.state.cursor)
    assert cursors == [98, 96, 98, 100, 0]


def test_a_column_of_less_than_a_step_moves_to_the_next_step() -> None:
    board = board_of(run_of("plays"), cursor=50.0)
    for columns, step in ((1, 51), (1, 52), (-1, 51)):
        board.move(moves.move_cursor, columns, sight(board, columns=400))
        assert board.state.cursor == step


def test_the_cursor_goes_to_the_ends_of_what_is_in_sight() -> None:
    board = board_of(run_of("plays"), view=(20.0, 400.0))
    board.move(moves.move_to_end, -1, sight(board))
    assert board.state.cursor == 20
    board.move(moves.move_to_end, 1, sight(board))
    assert board.state.cursor == 100


def test_a_cursor_that_leaves_the_view_takes_it_along() -> None:
    board = board_of(run_of("plays"), view=(40.0, 60.0), cursor=41.0, follow=True)
    board.move(moves.move_cursor, -10, sight(board))
    assert board.state.cursor == 37
    assert board.state.view == (37.0, 57.0)
    assert not board.state.follow


def test_zoom_halves_and_doubles_what_is_in_sight_about_the_cursor() -> None:
    board = board_of(run_of("plays"))
    board.move(moves.zoom, 1, sight(board))
    assert board.state.view == (50.0, 100.0)  # about the newest
    assert board.state.follow
    board.take(moves.point(board.state, 75.0))
    board.move(moves.zoom, 1, sight(board))
    assert board.state.view == (62.5, 87.5)
    assert not board.state.follow
    board.move(moves.zoom, -1, sight(board))
    board.move(moves.zoom, -1, sight(board))
    assert board.state.view is None
    assert board.state.follow


def test_pan_moves_what_is_in_sight_by_a_quarter_and_not_beyond_the_ends() -> None:
    board = board_of(run_of("plays"))
    with pytest.raises(MisuseError, match="all points are shown"):
        board.move(moves.pan, -1, sight(board))
    board.take(moves.look_at(board.state, (50.0, 90.0)))
    for direction, view in ((-1, (40.0, 80.0)), (1, (50.0, 90.0)), (1, (60.0, 100.0))):
        board.move(moves.pan, direction, sight(board))
        assert board.state.view == view
    board.move(moves.pan, 1, sight(board))
    assert board.state.view == (60.0, 100.0)
    board.take(moves.look_at(board.state, None))
    assert board.state.follow


def test_a_zoomed_view_follows_until_it_is_moved() -> None:
    board = board_of(run_of("plays"), view=(80.0, 100.0))
    board.runs.receive(
        dataclasses.replace(board.runs.views[0], series={"loss": points(*range(201))})
    )
    board.follow()
    view = board.state.view
    assert view is not None
    assert view[0] < 200 < view[1]
    assert view[1] - view[0] == pytest.approx(20)
    board.move(moves.pan, -1, sight(board))
    moved = board.state.view
    board.runs.receive(
        dataclasses.replace(board.runs.views[0], series={"loss": points(*range(401))})
    )
    board.follow()
    assert board.state.view == moved
    assert board.follow_newest() == "following the newest step"
    view = board.state.view
    assert view is not None
    assert view[0] < 400 < view[1]
    assert board.state.cursor is None


def test_the_x_axis_goes_round_what_is_known_and_the_cursor_keeps_its_step() -> None:
    board = board_of(run_of("plays"), cursor=40.0, view=(0.0, 50.0))
    assert board.nudge("axis") == "the x axis counts the time since the first record"
    assert board.state.cursor == 80.0  # two seconds a step
    assert board.cursor_step == 40
    assert board.state.view is None
    assert board.nudge("axis") == "the x axis counts steps"
    assert board.state.cursor == 40


def test_any_metric_is_an_x_axis() -> None:
    seen = (np.array([0, 20, 40]), np.array([0.0, 200.0, 400.0]), np.full(3, 100.0))
    board = board_of(run_of("plays", loss=points(*range(41)), seen=seen), cursor=40.0)
    assert board.parse_axis("time") == "time"
    assert board.set("axis", board.parse_axis("seen")) == "the x axis is seen"
    assert (board.state.cursor, board.cursor_step) == (400.0, 40)
    (line,) = board.lines(Plot(("loss",)))
    assert line.x[:3].tolist() == [0.0, 10.0, 20.0]  # ten a step
    assert curve_settings(board.state)["unit"] == "seen"
    assert board.nudge("axis") == "the x axis counts steps"
    assert board.state.cursor == 40
    with pytest.raises(MisuseError, match=r"no metric 'sen'.*seen"):
        board.parse_axis("sen")
    state.remember("x", ViewState(axis="metric:seen", overlays=(("a", "b"),)))
    assert state.recall("x") == ViewState(axis="metric:seen", overlays=(("a", "b"),))


def test_on_the_axis_of_a_metric_that_also_falls_points_are_paired_and_in_order() -> None:
    falling = (np.array([0, 2, 4, 5]), np.array([9.0, 3.0, np.nan, 1.0]), np.full(4, 100.0))
    board = board_of(run_of("plays", loss=points(*range(41)), lr=falling))
    board.set("axis", board.parse_axis("lr"))
    (line,) = board.lines(Plot(("loss",)))
    assert (line.x.tolist(), line.values.tolist()) == ([1.0, 3.0, 9.0], [2.5, 1.0, 0.0])


def test_the_axis_that_a_tool_asks_for_is_known() -> None:
    view = dataclasses.replace(
        board_of(run_of("plays")).runs.views[0], extras=Extras(axes={"loss": "lr", "x": "gone"})
    )
    assert (
        known_axes(dataclasses.replace(view, series={**view.series, "lr": points(0, 1)}))[-1]
        == "metric:lr"
    )
    assert "metric:gone" not in known_axes(view)


def test_a_metric_is_drawn_over_another_and_taken_off_again() -> None:
    board = board_of(run_of("plays", loss=points(0, 9), acc=points(0, 9), lr=points(0, 9)))
    board.change(chosen="lr")
    assert board.overlay("acc") == "acc is over lr"
    assert [plot.metrics for plot in board.curves.every(board.state)] == [("loss",), ("lr", "acc")]
    assert board.overlaid() == "acc"
    lines = board.lines(board.plots()[board.chosen()])
    looks = [(line.part, line.look.hue, line.look.over) for line in lines]
    assert looks == [("lr", 0, False), ("acc", 1, True)]
    assert board.overlay("lr") == "lr is in this curve"
    with pytest.raises(MisuseError, match="no metric 'ac'"):
        board.overlay("ac")
    assert board.overlay("loss") == "loss is over lr"
    assert [plot.metrics for plot in board.curves.every(board.state)] == [("lr", "acc", "loss")]
    assert board.overlay("") == "lr has a curve of its own"
    assert len(board.curves.every(board.state)) == 3
    assert board.overlaid() == ""


def test_a_hidden_metric_has_a_curve_for_a_filter_alone() -> None:
    view = run_of("plays", loss=points(0, 9), epoch=points(0, 9))
    info = msgspec.structs.replace(
        view.summary.info, metrics=(MetricDefinition("ep*", hidden=True),)
    )
    hidden = dataclasses.replace(view, summary=dataclasses.replace(view.summary, info=info))
    board = board_of(hidden)
    assert [plot.key for plot in board.plots()] == ["loss"]
    board.change(filter="epo")
    assert [plot.key for plot in board.plots()] == ["epoch"]
    board.change(filter="")
    assert [plot.key for plot in board.plots()] == ["loss"]
    # A run in which it is not hidden shows it.
    assert [plot.key for plot in board_of(hidden, view).plots()] == ["loss", "epoch"]


def test_a_curve_has_the_axis_that_its_metric_was_defined_with() -> None:
    frames = (np.array([0, 10, 50]), np.array([0.0, 100.0, 500.0]), np.zeros(3))
    series = {"loss": points(0, 50, 100), "frame": frames, "f1": points(0, 10, 50)}
    view = dataclasses.replace(run_of("plays", **series), extras=Extras(axes={"f1": "frame"}))
    board = board_of(view)
    f1, loss = Plot(("f1",)), Plot(("loss",))
    assert board.axes()[:2] == [board.axis, "step"]
    assert [board.lines(plot)[0].x.tolist() for plot in (f1, loss)] == [[0, 100, 500], [0, 50, 100]]
    board.change(view=(10.0, 40.0), cursor=30.0)  # steps
    own = board.state_of(f1)
    assert (own.axis, own.view, own.cursor) == ("metric:frame", (100.0, 400.0), 300.0)
    assert board.state_of(loss) is board.state
    assert board.from_plot(f1, 300.0, 400.0) == (30.0, 40.0)
    assert board.from_plot(loss, 30.0) == (30.0,)
    board.change(view=(60.0, 90.0))  # after the last frame
    assert board.state_of(f1).view is None
    # Runs, or metrics in one curve, of which one has no such axis are over steps.
    assert axis_of(board, Plot(("f1", "loss"))) == "step"
    assert axis_of(board_of(view, run_of("other", f1=points(0, 1))), f1) == "step"
    assert axis_of(board_of(view, run_of("other", loss=points(0, 1))), f1) == "metric:frame"
    # Another axis holds for all curves, until this one is chosen again.
    before = board.axis
    board.nudge("axis")
    assert (board.axis, axis_of(board, f1)) == ("step", "step")
    board.nudge("axis", -1)
    assert (board.axis, axis_of(board, f1)) == (before, "metric:frame")
    board.set("axis", board.parse_axis("frame"))
    assert (board.axis, axis_of(board, loss)) == ("metric:frame", "metric:frame")
    assert board.settings()["axis"].show(board.values.axis) == "frame"
    board.set("axis", board.parse_axis(before))
    assert axis_of(board, f1) == "metric:frame"


def test_a_log_without_times_has_no_other_axis() -> None:
    steps, values, times = points(0, 10)
    board = board_of(run_of("plays", loss=(steps, values, times * np.nan)))
    with pytest.raises(MisuseError, match="this run's x axis can only be steps"):
        board.nudge("axis")
    assert board.axis == "step"


def test_logarithmic_axes_and_smoothings() -> None:
    board = board_of(run_of("plays"), view=(10.0, 20.0))
    board.nudge("log_y")
    assert board.state.log_y
    assert board.state.view == (10.0, 20.0)
    board.nudge("log_x")
    assert board.state.log_x
    assert board.state.view is None
    board.nudge("log_y")
    assert not board.state.log_y
    lines = [board.nudge("smoothing") for _ in range(5)]
    assert lines[:2] == ["smoothing 0.97", "smoothing 0.99"]
    assert lines[2] == "smoothing off"
    assert board.state.smoothing == 0.9
    assert board.set("smoothing", 0.8) == "smoothing 0.8"
    assert board.nudge("smoothing") == "smoothing 0.9"
    assert board.nudge("smoothing", -1) == "smoothing 0.5"


@pytest.mark.parametrize("text", ["2", "1", "-0.1", "nan", "much", ""])
def test_what_is_no_smoothing_is_one_line(text: str) -> None:
    with pytest.raises(MisuseError, match="smoothing: expected a number, 0 to below 1"):
        VIEW_SETTINGS["smoothing"].parse(text, "smoothing")


def keys_of(board: Board) -> list[str]:
    return [plot.key for plot in board.plots()]


def chosen(board: Board) -> str:
    return keys_of(board)[board.chosen()]


def test_curves_are_chosen_round_the_ends_and_pinned_to_the_front() -> None:
    one = points(1, 2)
    board = board_of(run_of("plays", loss=one, lr=one, grad_norm=one))
    assert chosen(board) == "loss"
    board.choose(-1)
    assert chosen(board) == "grad_norm"
    board.choose(1)
    board.choose(1)
    assert chosen(board) == "lr"
    board.toggle_pin()
    assert keys_of(board) == ["lr", "loss", "grad_norm"]
    assert chosen(board) == "lr"
    board.toggle_pin()
    assert keys_of(board) == ["loss", "lr", "grad_norm"]
    board.toggle_alone()
    assert board.state.alone


def test_pages_are_turned_to_their_first_curve_and_not_beyond_the_ends() -> None:
    board = board_of(run_of("many", **{f"m{n}": points(1, 2) for n in range(10)}))
    board.capacity = 4
    found = [(board.turn_page(by), chosen(board)) for by in (1, 1, 1, -1, -1, -1)]
    last, first = "this is the last page", "this is the first page"
    assert found == [
        ("", "m4"), ("", "m8"), (last, "m8"), ("", "m4"), ("", "m0"), (first, "m0")
    ]  # fmt: skip
    board.choose(1)
    board.turn_page(1)
    assert chosen(board) == "m4"
    board.toggle_alone()
    board.turn_page(1)
    assert chosen(board) == "m5"


def test_a_filter_keeps_the_metrics_that_match_and_the_chosen_one_if_it_can() -> None:
    board = board_of(run_of("many", **{f"m{n}": points(1, 2) for n in range(10_000)}))
    board.change(filter="m777[78]")
    assert keys_of(board) == ["m7777", "m7778"]
    board.choose(1)
    board.change(filter="")
    assert len(board.plots()) == 10_000
    assert chosen(board) == "m7778"
    board.change(filter="nothing")
    assert keys_of(board) == []


def test_without_a_curve_each_key_says_so() -> None:
    board = Board([], ViewState())
    for act in (board.toggle_alone, board.toggle_pin, lambda: board.choose(1)):
        with pytest.raises(MisuseError, match=NO_CURVES):
            act()
    with pytest.raises(MisuseError, match=NO_CURVES):
        board.turn_page(1)
    assert not board.state.alone
    with pytest.raises(MisuseError, match="no run is shown: o adds others"):
        board.show_runs(ShownRuns.turn, 1)
    with pytest.raises(MisuseError, match="this run has no samples yet"):
        board.move_to_sample(1)


def test_the_sample_keys_go_from_one_to_the_next_and_follow_after_the_last() -> None:
    board = board_of(run_of("plays", 20, 40, 100))
    for by, cursor in ((-1, 40), (-1, 20), (1, 40), (1, None)):
        board.move_to_sample(by)
        assert board.state.cursor == cursor
    with pytest.raises(MisuseError, match="there is no later sample"):
        board.move_to_sample(1)
    board.point_at_step(20)
    with pytest.raises(MisuseError, match="there is no earlier sample"):
        board.move_to_sample(-1)
    assert board.state.cursor == 20
    board.point_at_step(None)
    board.change(axis="time")
    board.move_to_sample(-1)
    assert board.state.cursor == 80.0


def test_runs_are_laid_over_each_other_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    views = [run_of(f"run-{number}") for number in range(9)]
    board = board_of(views[0])
    with pytest.raises(MisuseError, match="one run must be shown: add another first"):
        board.show_runs(ShownRuns.toggle, views[0].summary)
    with pytest.raises(MisuseError, match="only one run is shown: o adds others"):
        board.show_runs(ShownRuns.turn, 1)
    for view in views[1:8]:
        assert board.show_runs(ShownRuns.toggle, view.summary) == ""
        board.runs.receive(view)
    monkeypatch.setattr(shown, "MAX_RUNS", 8)
    with pytest.raises(MisuseError, match="at most 8 runs"):
        board.show_runs(ShownRuns.toggle, views[8].summary)
    assert board.show_runs(ShownRuns.pick, [view.summary for view in views]).startswith(
        "the first 8 of 9"
    )
    assert [view.summary.info.name for view in board.runs.views] == [f"run-{n}" for n in range(8)]
    assert board.show_runs(ShownRuns.turn, -1) == ""
    assert board.runs.first is not None
    assert board.runs.first.summary.info.name == "run-7"
    assert board.show_runs(ShownRuns.toggle, views[7].summary) == ""
    assert board.runs.first.summary.info.name == "run-0"
    assert board.state.runs[0] == str(views[0].summary.run.path)
    assert not board.runs.receive(views[7])  # it comes late


def test_a_run_that_just_began_comes_first_and_in_sight() -> None:
    old, new = run_of("old"), run_of("new")
    board = board_of(old, view=(50.0, 60.0), cursor=55.0, follow=False)
    board.put_first(new.summary)
    assert [one.info.name for one in board.runs.listed] == ["new", "old"]
    assert (board.state.view, board.state.cursor, board.state.follow) == (None, None, True)


def test_lines_are_named_by_run_and_those_of_one_name_are_told_apart() -> None:
    first, second = run_of("plays"), run_of("plays")
    labels = [line.label for line in board_of(first, second).lines(Plot(("loss",)))]
    assert labels == [f"plays {view.summary.run.id[-4:]}" for view in (first, second)]


def test_long_names_that_differ_anywhere_have_a_line_each() -> None:
    trials = [run_of(f"a-sweep-of-shakespeare-quick.{trial}") for trial in (1, 2)]
    middles = [run_of(f"a-sweep-of-shakespeare-{word}-and-its-longer-end") for word in "ab"]
    lines = board_of(*trials, *middles).lines(Plot(("loss",)))
    assert [line.label for line in lines[:2]] == [
        "a-sweep-of-s…are-quick.1",
        "a-sweep-of-s…are-quick.2",
    ]
    assert len(curve_series(lines)[0]) == 4
    names = [f"model.layers.{number}.attention.weight_norm" for number in (1, 2)]
    board = board_of(run_of("plays", **dict.fromkeys(names, points(0, 5))))
    board.change(chosen=names[0])
    board.overlay(names[1])
    (plot,) = board.plots()
    assert len(curve_series(board.lines(plot))[0]) == 2


def test_a_run_that_is_renamed_has_its_new_name_in_every_curve() -> None:
    old, other = run_of("old"), run_of("other")
    board = board_of(old, other)
    info = msgspec.structs.replace(old.summary.info, name="new")
    board.runs.receive(
        dataclasses.replace(old, summary=dataclasses.replace(old.summary, info=info))
    )
    assert [line.label for line in board.lines(Plot(("loss",)))] == ["new", "other"]


def test_a_few_points_beside_many_are_marks_but_a_young_run_is_a_line() -> None:
    val = points(50, 100)
    view = run_of("old", loss=points(*range(101)), val_loss=val)
    young = run_of("young", loss=points(*range(5)))
    both = Plot(("loss", "val_loss"))
    lines = board_of(view, young).lines(both)
    assert [(line.label, line.part) for line in lines] == [
        ("old train", "train"), ("young train", "train"), ("old val", "val")
    ]  # fmt: skip
    assert [line.kind == "marks" for line in lines] == [False, False, True]


def test_the_side_goes_round_its_panels_and_on_a_narrow_screen_back_to_the_curves() -> None:
    board = Board([], ViewState())
    wide = []
    for _ in SIDE_TABS:
        board.next_side(1)
        wide.append(board.side)
    assert wide == [*SIDE_TABS[1:], SIDE_TABS[0]]
    narrow = []
    board.wide = False
    for _ in range(len(SIDE_TABS) + 1):
        board.next_side(1)
        narrow.append(board.side if board.state.side_shown else "curves")
    assert narrow == [*SIDE_TABS, "curves"]
