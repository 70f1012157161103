"""The table of runs on the Training screen."""

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import stage
from acting import Opener, board_of, each_size, seen, until, until_seen
from sweep_world import install
from textual.pilot import Pilot

from genui.logs import find_logs
from genui.recipes import find_recipe
from genui.runs import control, sweep
from genui.runs.table import Heading
from genui.runs.table_state import TableState
from genui.ui import app
from genui.ui.app import WatchApp
from genui.ui.training.curves import CurveGrid
from genui.ui.training.table import TableRows
from genui.ui.watcher import WatchTarget
from genui.ui.widgets.dialogs import ChooseScreen


@pytest.fixture
def array(tmp_path: Path) -> Path:
    """The logs of 50 jobs: the best is job-23, though its last loss is not."""
    for number in range(50):
        write_job(tmp_path / "jobs", number)
    return tmp_path / "jobs"


def write_job(jobs: Path, number: int) -> None:
    folder = jobs / f"job-{number}"
    folder.mkdir(parents=True)
    loss = 1 + abs(number - 23.2) / 50
    last = 3.0 if number == 23 else loss
    table = f"step,val_loss,acc\n1,{loss},{number / 50}\n2,{last},{number / 50}\n"
    (folder / "metrics.csv").write_text(table)
    rate = 10 ** (-5 + number / 10)
    (folder / "hparams.yaml").write_text(f"lr: {rate}\nseed: {number % 3}\n")


def watch(folder: Path, *links: Any) -> WatchApp:
    target = WatchTarget(str(folder), find_logs(folder), lambda: find_logs(folder), listing=False)
    return WatchApp(target, links)


def rows_of(pilot: Pilot[None]) -> TableRows:
    return board_of(pilot).query_one(TableRows)


def names(pilot: Pilot[None]) -> list[str]:
    """The names in the table, in order, with the heads of groups."""
    lines = rows_of(pilot).rows
    return [line.text if isinstance(line, Heading) else line.run.info.name for line in lines]


def read(pilot: Pilot[None]) -> bool:
    """Whether every run has been read."""
    done, total = board_of(pilot).table._progress
    return done == total == 50


async def test_the_best_of_an_array_is_found_in_three_keys(array: Path) -> None:
    async with watch(array).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(board_of(pilot).board.runs.views))
        await pilot.press("o")
        await until(pilot, lambda: read(pilot))
        await pilot.press("right", "enter")
        await until(
            pilot,
            lambda: [one.info.name for one in board_of(pilot).board.runs.listed] == ["job-23"],
        )
        await until_seen(pilot, "job-23")
        assert not board_of(pilot).table.display


async def test_what_is_left_out_on_another_host_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LINK_POLL", 0.01)
    write_job(tmp_path / "jobs", 1)
    link = SimpleNamespace(line="", note="host:jobs: too large to be read over ssh: mlflow.db")
    async with watch(tmp_path / "jobs", link).run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "too large to be read over ssh: mlflow.db")


async def test_runs_are_filtered_live_sorted_grouped_and_pinned(array: Path) -> None:
    async with watch(array).run_test(size=(120, 40)) as pilot:
        await pilot.press("o")
        await until(pilot, lambda: read(pilot))
        await pilot.press("slash", *"acc<.06")
        await until(pilot, lambda: sorted(names(pilot)) == ["job-0", "job-1", "job-2"])
        await pilot.press(*" an")  # the begin of "and": no name
        await until_seen(pilot, "acc<.06 an")
        assert len(names(pilot)) == 3
        await pilot.press("enter")
        await until_seen(pilot, "no run matches")
        lines = seen(pilot).splitlines()
        assert "no run matches" in "".join(lines[15:25])  # in the middle, not where a row would be
        await pilot.press("slash", *"lr>")
        await until_seen(pilot, "needs a value")
        await pilot.press("ctrl+u", *"ac=1")
        await until_seen(pilot, "no run has 'ac'")
        await pilot.press("ctrl+u", *"job-2[1234]", "enter", "right", "right")
        await until(pilot, lambda: names(pilot) == ["job-24", "job-22", "job-21", "job-23"])
        await pilot.press("greater_than_sign")
        await until(pilot, lambda: names(pilot)[0] == "job-23")
        await pilot.press("end", "asterisk", "slash", "ctrl+u", *"job-4$", "enter")
        await until(pilot, lambda: len(names(pilot)) == 2)
        assert "hidden" not in seen(pilot)
        write_job(array, 50)
        board_of(pilot).watcher.refresh()
        await until_seen(pilot, "2 of 51  /job-4$  1 new run hidden")
        state = board_of(pilot).board.state.table
        assert state.pins == (str(array / f"{names(pilot)[0]}" / "metrics.csv"),)
        await pilot.press(
            "slash", "ctrl+u", "enter", "s", "down", "down", "right"
        )  # lr has another value in each run
        await until(pilot, lambda: any(name.startswith("seed ") for name in names(pilot)))


async def test_the_grouped_table_is_copied_as_latex(array: Path) -> None:
    async with watch(array).run_test(size=(120, 40)) as pilot:
        await pilot.press("o")
        await until(pilot, lambda: read(pilot))
        await until_seen(pilot, "curve")
        await pilot.press("right")
        board_of(pilot).table.set("group", "seed")
        await until(pilot, lambda: any(name.startswith("seed ") for name in names(pilot)))
        await pilot.press("y")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseScreen))
        await pilot.press("end", "enter")
        await until_seen(pilot, "copied the table as latex")
        assert "textbf{seed 2, 16 runs, mean min val" in pilot.app.clipboard


async def test_as_many_runs_as_are_chosen_are_overlaid(array: Path) -> None:
    async with watch(array).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(board_of(pilot).board.runs.views))
        await pilot.press("o")
        await until(pilot, lambda: read(pilot))
        await pilot.press("right", "space", "down", "space")
        await until(pilot, lambda: len(board_of(pilot).board.runs.listed) == 3)
        await pilot.press("slash", *"job-1", "enter", "unbound.runs.all")
        await until(pilot, lambda: len(board_of(pilot).board.runs.views) == 11)
        cell = board_of(pilot).query_one(CurveGrid).cells[0]
        await until(pilot, lambda: len({line.look.hue for line in cell._lines}) == 11)


async def test_the_table_is_as_it_was_in_the_next_app(array: Path) -> None:
    async with watch(array).run_test(size=(120, 40)) as pilot:
        await pilot.press("o")
        await until(pilot, lambda: read(pilot))
        await pilot.press("right", "slash", *"acc>0.5", "enter", "unbound.runs.chart")
        await until(pilot, lambda: board_of(pilot).board.state.table.chart == "scatter")
        left = board_of(pilot).board.state.table
        assert left == TableState(sort="best.val_loss", filter="acc>0.5", chart="scatter")
    async with watch(array).run_test(size=(120, 40)) as pilot:
        await pilot.press("o")
        await until(pilot, lambda: len(names(pilot)) == 24)
        assert board_of(pilot).board.state.table == left
        await until_seen(pilot, "└")


async def test_the_table_and_its_charts_fit(array: Path) -> None:
    async with watch(array).run_test(size=(120, 40)) as pilot:
        await pilot.press("o")
        await until(pilot, lambda: read(pilot))
        async for size in each_size(pilot):
            await until_seen(pilot, "min val_loss")
            for _ in range(3):
                await pilot.press("unbound.runs.chart", "right", "down")
                lines = seen(pilot).splitlines()
                assert len(lines) == size[1]
                assert lines[1].startswith("╭─ Runs  50")
                assert any("╰" in line and "/50" in line for line in lines[-3:])
            await until(pilot, lambda: board_of(pilot).board.state.table.chart == "")


async def test_a_log_that_grows_moves_up_under_the_cursor(array: Path) -> None:
    async with watch(array).run_test(size=(120, 40)) as pilot:
        await pilot.press("o")
        await until(pilot, lambda: read(pilot))
        await pilot.press("right", "end")
        await until(pilot, lambda: rows_of(pilot).number == 50)
        row = rows_of(pilot).chosen_row
        assert row is not None
        worst = row.run.info.name
        with (array / worst / "metrics.csv").open("a") as file:
            file.write("3,0.5,0.5\n")
        board_of(pilot).watcher.refresh()
        await until(pilot, lambda: names(pilot)[0] == worst)
        row = rows_of(pilot).chosen_row
        assert row is not None
        assert row.run.info.name == worst
        assert math.isclose(row.metrics["val_loss"].best, 0.5)


async def test_enter_on_an_overlaid_run_puts_it_first(array: Path) -> None:
    async with watch(array).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(board_of(pilot).board.runs.views))
        await pilot.press("o")
        await until(pilot, lambda: read(pilot))
        first = board_of(pilot).board.runs.listed[0].info.name
        await pilot.press("right", "space", "enter")
        expected = ["job-23", *([] if first == "job-23" else [first])]
        await until(
            pilot, lambda: [one.info.name for one in board_of(pilot).board.runs.listed] == expected
        )


async def test_runs_of_genui_are_in_the_table_of_the_app(open_watch: Opener) -> None:
    stage.make_run(name="plays", step=200)
    async with open_watch() as pilot:
        await pilot.press("o")
        await until_seen(pilot, "min val_loss")
        await until(
            pilot, lambda: (row := rows_of(pilot).chosen_row) is not None and "loss" in row.metrics
        )


async def test_a_sweep_is_shown_alone_stopped_and_resumed(
    open_watch: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = install(monkeypatch, lambda recipe: [recipe["width"] / 100 + recipe["seed"] / 10])
    lists = {"width": ["128", "64"], "seed": ["1", "2"]}
    trials, recipe = sweep.combinations(lists), dataclasses.asdict(find_recipe("shakespeare"))
    folder = sweep.create(
        sweep.Sweep(name="wide", recipe=recipe, lists=lists, points=2, trials=trials)
    )
    world.at_tick = lambda tick: control.send(folder, "stop") if tick == 3 else None
    world.carry_out(folder)
    stage.make_run(name="plays", step=200)
    async with open_watch() as pilot:
        await pilot.press("o")
        runs = {"plays", "wide.1", "wide.2", "wide.3"}
        await until(pilot, lambda: set(names(pilot)) == runs)
        await pilot.press("unbound.runs.sweep")
        await until_seen(pilot, "not a trial of a sweep")
        await pilot.press("down")
        await pilot.press("unbound.runs.sweep")
        await until_seen(pilot, "setting width=64  1 run")
        grouped = ["setting width=64", "wide.3", "setting width=128", "wide.1", "wide.2"]
        await until(pilot, lambda: names(pilot) == grouped)
        await until_seen(pilot, "mean min val_loss 1.430 ± 0.071")
        await until_seen(pilot, "stopped, 3 of 4 trials have ended")
        await pilot.press("unbound.runs.resume_sweep")
        await until_seen(pilot, "sweep wide continues: 1 of its trials are left")
        await pilot.press("unbound.runs.stop_sweep")
        await until_seen(pilot, "Stop the sweep wide?")
        await pilot.press("y")
        await until(pilot, lambda: [one.command for one in control.poll(folder)] == ["stop"])
        await pilot.press("unbound.runs.sweep")
        await until_seen(pilot, "plays")
