"""What the Training screen is made of, without a screen: plots, axes, views and what is kept."""

import dataclasses

import numpy as np
import pytest
import stage
from textual.geometry import Size

from genui.base import paths
from genui.base.errors import MisuseError
from genui.render.axis import Axis
from genui.runs.layout import RunInfo
from genui.runs.listing import summarise
from genui.ui.training import model
from genui.ui.training.curves import layout_for, room_for
from genui.ui.training.model import (
    Board,
    ViewState,
    following,
    known_axes,
    pattern,
    plots,
    select_plots,
    showing,
    start_time,
    x_positions,
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
    assert [plot.metrics for plot in plots(names)] == found


def keys(every, filter: str = "", pins: tuple[str, ...] = ()) -> list[str]:
    return [plot.key for plot in select_plots(every, pattern(filter), pins)]


def test_what_is_validated_comes_first_and_what_is_pinned_before_it() -> None:
    every = plots(["gpu", "aux_loss", "acc", "val_acc"])
    assert keys(every) == ["acc", "aux_loss", "gpu"]
    assert keys(every, pins=("gpu", "gone")) == ["gpu", "acc", "aux_loss"]
    assert keys(every, "VAL|gp") == ["acc", "gpu"]


@pytest.mark.parametrize("text", ["(", "[z-a]", "*", "(?P<", "\x1b[31m("])
def test_a_wrong_filter_is_one_line_that_names_it(text: str) -> None:
    with pytest.raises(MisuseError, match="is no regular expression") as raised:
        pattern(text)
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)


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
    board.receive(view)
    assert board.place_of(5) == 10.0
    assert board.step_at(10.0) == 5
    assert board.step_at(13.0) == 5  # at or before
    assert board.step_at(-1.0) == 0


def test_a_view_follows_the_newest_in_leaps() -> None:
    assert following((0.0, 100.0), 95.0) == (0.0, 100.0)
    assert following((0.0, 100.0), 101.0) == pytest.approx((11.0, 111.0))
    assert following((0.0, 100.0), 20.0) == pytest.approx((-70.0, 30.0))
    assert showing((0.0, 10.0), 12.0) == (2.0, 12.0)
    assert showing((5.0, 10.0), 1.0) == (1.0, 6.0)
    assert showing((5.0, 10.0), 7.0) == (5.0, 10.0)


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


def test_a_view_is_kept_for_each_thing_that_is_watched() -> None:
    one = ViewState(filter="loss", pins=("lr",), view=(1.0, 2.5), cursor=2.0, axis="time")
    model.remember("run-1", one)
    model.remember("/a/b", ViewState(smoothing=0.5))
    assert model.recall("run-1") == one
    assert model.recall("/a/b").smoothing == 0.5
    assert model.recall("other") == ViewState()


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", '{"filter": 5}', '{"filter": "("}', '{"smoothing": 1}', '{"view": [2, 1]}',
        '{"axis": "miles"}', '{"cursor": null, "view": [null, 1]}', "\x00\xff", "[" * 5000,
        '{"view": [1, 1e999]}',
    ],
)  # fmt: skip
def test_a_damaged_file_is_a_first_look(text: str) -> None:
    model.remember("run-1", ViewState(filter="lr"))
    (file,) = (paths.state_dir() / model.FOLDER).iterdir()
    file.write_bytes(text.encode("latin-1"))
    assert model.recall("run-1") == ViewState()


def test_the_views_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "MOST_VIEW_FILES", 3)
    for number in range(6):
        model.remember(f"run-{number}", ViewState(filter=str(number)))
    assert len(list((paths.state_dir() / model.FOLDER).iterdir())) == 3
    assert model.recall("run-5").filter == "5"


def test_a_state_folder_that_cannot_be_written_is_no_fault(tmp_path) -> None:
    paths.state_dir().parent.mkdir(parents=True, exist_ok=True)
    paths.state_dir().write_text("a file")
    model.remember("run-1", ViewState(filter="lr"))
    assert model.recall("run-1") == ViewState()
