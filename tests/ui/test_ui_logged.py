"""What another tool logged beside its metrics, in the panels of the Training screen."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from acting import board_of, running, until, until_seen
from panel_stage import app_of, opened

from genui.logs.find import find_logs
from genui.ui.app import WatchApp
from genui.ui.training.config import ConfigPanel
from genui.ui.training.console import ConsolePanel, LoggedConsole
from genui.ui.training.samples import SamplesPanel
from genui.ui.training.system import SystemPanel, curve_points, make_groups
from genui.ui.watcher import RunReader, RunView, load_sample, watch_target

LOG = Path(__file__).parents[1] / "runs/logs/fixtures/wandb/run-whole.wandb"


@pytest.fixture
def view() -> RunView:
    (summary,) = find_logs(LOG)
    view = RunReader(summary).read()
    assert view is not None
    return view


def test_a_run_of_wandb_is_read_with_all_that_it_has(view: RunView) -> None:
    assert (view.summary.info.name, view.summary.state) == ("first flight", "finished")
    assert view.summary.labels.tags == ("night", "two words")
    assert view.config["summary"] == {"best": {"loss": 0.5}, "acc": {"max": 3}}
    assert view.config["lr"] == 3e-4
    assert (view.config["id"], view.config["tags"]) == ("of0he9yu", "night, two words")
    assert "memory GB" in view.system
    sample = load_sample(view.sample_files[4], 4)
    assert re.search(r"in +out\nhoo +at 4\n", sample.text)
    assert sample.image is not None
    colours = {tuple(pixel) for row in sample.image.tolist() for pixel in row}
    assert {(160, 160, 160), (161, 161, 161)} <= colours  # both owls


def test_the_lines_of_a_log_are_added_and_the_last_one_may_grow() -> None:
    console = LoggedConsole()
    assert console.read() is None
    console.lines = ((0.0, "one"), (1.0, "tw"))
    lines = console.read()
    assert lines is not None
    assert ([line.text for line in lines.lines], lines.fresh) == (["one", "tw"], True)
    console.lines = ((0.0, "one"), (1.0, "tw"), (2.0, "\x1b[31mthree"))
    lines = console.read()
    assert lines is not None
    assert ([line.text for line in lines.lines], lines.fresh) == (["three"], False)
    console.lines = ((0.0, "one"), (1.0, "tw"), (2.0, "three and"), (np.nan, "four"))
    lines = console.read()
    assert lines is not None
    assert ([line.text for line in lines.lines], lines.fresh) == (
        ["one", "tw", "three and", "four"],
        True,
    )
    assert lines.lines[-1].stamp == ""


def test_measures_of_cores_and_of_unknown_units_have_a_group() -> None:
    groups = make_groups(dict.fromkeys(["core0 %", "core1 %", "gpu0 clock MHz", "tpu.0.duty"]))
    assert {(group.title, group.unit, *group.series) for group in groups} == {
        ("core", "%", "core0", "core1"),
        ("gpu clock", "MHz", "gpu0"),
        ("tpu.0.duty", "", ""),
    }


def test_a_curve_shows_no_smaller_change_than_the_number_beside_it() -> None:
    times = np.array([5.0, 7.0, 9.0])
    for values, shown in (
        ([59.9784, 59.9812, 59.9823], [60.0, 60.0, 60.0]),  # some megabytes of a disk
        ([0.3124, 0.4448, np.nan], [0.312, 0.445, np.nan]),
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
        ([1234.0, 99.4, np.inf], [1230.0, 100.0, np.inf]),
    ):
        points = np.arange(3), np.array(values), times
        x, found = curve_points(points, None)
        assert x.tolist() == [0, 2, 4]
        np.testing.assert_allclose(found, shown)
        np.testing.assert_allclose(curve_points(points, times)[1], shown)


@pytest.mark.parametrize(
    ("panel", "text"),
    [
        (SamplesPanel, "hoo  at 4"),
        (ConsolePanel, "bar 20%"),
        (ConfigPanel, "summary.best.loss"),
        (SystemPanel, "machine memory"),
    ],
)
async def test_the_panels_show_it(panel: type, text: str, view: RunView) -> None:
    async with opened(panel(), size=(70, 30)) as pilot:
        app_of(pilot).show(view)
        await until_seen(pilot, text)


async def test_a_click_in_a_curve_with_its_own_axis_is_a_step_for_the_others() -> None:
    async with running(WatchApp(watch_target([LOG], None)), (120, 40)) as pilot:
        await until_seen(pilot, "x: frame")
        board, cells = board_of(pilot).board, board_of(pilot).grid.cells
        (own,) = (cell for cell in cells if cell.plot is not None and cell.plot.key == "test/f1")
        (loss,) = (cell for cell in cells if cell.plot is not None and cell.plot.key == "loss")
        await until(pilot, lambda: own.curve.frame is not None)
        assert own.curve.frame is not None
        await pilot.click(own.curve, offset=(own.curve.frame.left + own.curve.frame.cols // 2, 3))
        await until(pilot, lambda: loss.curve.options.cursor is not None)
        assert own.curve.options.cursor == pytest.approx(200, abs=20)  # of 400 frames
        assert (
            loss.curve.options.cursor == board.state.cursor == pytest.approx(2, abs=0.2)
        )  # of 4 steps
        await pilot.press("right")
        await until(pilot, lambda: (loss.curve.options.cursor or 0.0) > 2.2)
        assert own.curve.options.cursor is not None
        assert own.curve.options.cursor > 220


def test_a_setting_hides_what_the_tool_says_under_its_name(tmp_path: Path) -> None:
    session = tmp_path / "offline-1"
    session.mkdir()
    task = {"id": "1", "name": "night", "project_name": "owls", "hyperparams": {
        "General": {"project": {"value": "mine"}}}}  # fmt: skip
    (session / "task.json").write_text(json.dumps(task))
    (session / "metrics.jsonl").write_text("")
    (summary,) = find_logs(tmp_path)
    view = RunReader(summary).read()
    assert view is not None
    assert view.config == {"project": "mine", "id": "1"}
