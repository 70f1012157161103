"""How printed lines are read, said on the Training screen and chosen there."""

from pathlib import Path

from acting import board_of, running, seen, until, until_seen

from genui.logs.printed_choice import Choice, key_of_file, key_of_run, recall
from genui.runs.layout import create_script_run
from genui.runs.listing import list_runs
from genui.ui.app import WatchApp
from genui.ui.training.screen import TrainingScreen
from genui.ui.watcher import watch_target
from genui.ui.widgets.dialogs import FormScreen


def steps(screen: TrainingScreen) -> list[int]:
    view = screen.board.runs.first
    return [] if view is None or "loss" not in view.series else view.series["loss"][0].tolist()


async def test_the_steps_of_a_log_are_chosen_in_a_form_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "slurm-7.out"
    path.write_text("loss 0.5 acc 0.1 at tick 5\nloss 0.4 acc 0.2 at tick 9\n")
    async with running(WatchApp(watch_target([path], None)), (120, 40)) as pilot:
        board = board_of(pilot)
        await until(pilot, lambda: steps(board) == [0, 1])
        await until_seen(pilot, "steps are uncertain: s, steps")
        await pilot.press("s", "up", "enter")  # the last row
        await until(pilot, lambda: isinstance(pilot.app.screen, FormScreen))
        await pilot.press(*"a,b", "enter", "enter")
        await until_seen(pilot, "a,b is not one name")
        await pilot.press("up", *["backspace"] * 3, *"tick", "enter", *"loss", "enter")
        await until(pilot, lambda: steps(board) == [5, 9])
        assert board.board.runs.first is not None
        assert set(board.board.runs.first.series) == {"loss"}
        await until_seen(pilot, "read again, with steps tick, loss")
        await until(pilot, lambda: "unsure" not in seen(pilot))
    assert recall(key_of_file(path)) == Choice("tick", ("loss",))


async def test_the_steps_of_a_recorded_run_are_chosen_for_the_next(tmp_path: Path) -> None:
    run = create_script_run("night", "ticks", {"printed lines": ["unsure: no step is printed"]})
    run.metrics.write_text('{"step": 1, "loss": 0.5}\n')
    async with running(WatchApp(watch_target(None, run)), (80, 24)) as pilot:
        await until_seen(pilot, "steps are uncertain")
        board_of(pilot).ask_lines()
        await until(pilot, lambda: isinstance(pilot.app.screen, FormScreen))
        await pilot.press(*"count", "enter", "enter")
        await until_seen(pilot, "used when the next output of this project is recorded")
    assert [one.run for one in list_runs()] == [run]
    assert recall(key_of_run("ticks", "night")) == Choice("count")
