"""Drafts in the Canvas: many seeds stopped at a step, of which the marked ones are finished."""

from pathlib import Path

from acting import Opener, each_size, home_of, seen, until, until_seen
from textual.pilot import Pilot

from genui.ui.drafts import FEWEST, MOST, DraftsScreen, count_fitting
from genui.ui.generate.pane import TracePane
from genui.ui.widgets.columns import ColumnView

STOP = 6  # a third of twenty steps


async def opened(pilot: Pilot[None]) -> DraftsScreen:
    """`D`, and all of them paused or finished."""
    await pilot.press("D")
    await until(pilot, lambda: isinstance(pilot.app.screen, DraftsScreen))
    screen = pilot.app.screen
    assert isinstance(screen, DraftsScreen)
    await computed(pilot, screen)
    return screen


async def computed(pilot: Pilot[None], screen: DraftsScreen) -> None:
    await until(pilot, lambda: all(column.place == column.goal for column in screen.columns))


def seeds_at(screen: DraftsScreen, step: int) -> set[int]:
    return {one.trace.request.seed for one in screen.columns if one.trace.computed == step}


async def canvas(pilot: Pilot[None]) -> TracePane:
    """The Canvas with a finished image of seed 1."""
    home = home_of(pilot)
    home.open_model(next(each for each in home.models if each.name == "emoji"))
    pane = home.query_one("#canvas", TracePane)
    await until(pilot, lambda: pane.trace is not None and pane.trace.finished)
    return pane


def test_as_many_drafts_as_fit() -> None:
    assert count_fitting(10, 10) == FEWEST
    assert FEWEST < count_fitting(80, 24) < count_fitting(120, 40) < MOST == count_fitting(400, 90)


async def test_only_the_marked_are_finished_to_the_frames_that_they_have_alone(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = await canvas(pilot)
        screen = await opened(pilot)
        async for _ in each_size(pilot):
            await until_seen(pilot, f"step {STOP} of 20")
            assert "space mark" in seen(pilot)
            assert "esc close" in seen(pilot)
        assert seeds_at(screen, 20) == {1}  # which was there before
        others = {one.trace.request.seed for one in screen.columns} - {1}
        assert seeds_at(screen, STOP) == others
        await pilot.press("right", "space", "down", "space", "space")  # the second is let go
        await until_seen(pilot, "2 ✓")
        await pilot.press("enter")
        await computed(pilot, screen)
        await until_seen(pilot, "2 ●")
        assert seeds_at(screen, 20) == {1, 2}
        assert seeds_at(screen, STOP) == others - {2}

        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        tree = pane.controller.tree
        assert [branch.label for branch in tree.branches] == ["seed 1", "seed 2"]
        assert tree.shown is tree.branches[0]
        finished = tree.branches[1].trace
        pane.controller.seed = 2
        pane.controller.start_over(play=True)
        await until(pilot, lambda: pane.trace is not finished and pane.trace.finished)  # type: ignore[union-attr]
        assert pane.trace is not None
        assert [frame.x for frame in pane.trace.frames] == [frame.x for frame in finished.frames]


async def test_the_others_stay_and_r_puts_other_seeds_in_their_places(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = await canvas(pilot)
        first = await opened(pilot)
        seeds = {one.trace.request.seed for one in first.columns}
        third = list(first.query(ColumnView))[2]
        await pilot.click(third)
        assert first.chosen == 2
        await pilot.click(third)
        await until_seen(pilot, "3 ✓")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        again = await opened(pilot)
        assert again.columns == first.columns
        await until_seen(pilot, "3 ✓")
        await pilot.press("r")
        await computed(pilot, again)
        kept = seeds & {one.trace.request.seed for one in again.columns}
        assert kept == {1, 3}
        await pilot.press("right", "enter")  # with a mark, it finishes that one
        await computed(pilot, again)
        await pilot.press("left", "space")  # of the first generation, which is finished
        await until_seen(pilot, "this one is finished")
        await pilot.press("right")
        await pilot.press("enter")  # without, it opens the chosen one
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        taken = again.columns[1].trace
        assert pane.trace is taken
        assert (taken.position, taken.total) == (STOP, 20)
        await pilot.press("space")
        await until(pilot, lambda: pane.trace is not None and pane.trace.finished)


async def test_a_grid_has_no_drafts(shipped: Path, open_app: Opener) -> None:
    async with open_app() as pilot:
        pane = await canvas(pilot)
        await pilot.press("canvas.grid")
        await until_seen(pilot, "along x")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: pane.trace is not None and bool(pane.trace.request.grid))
        await pilot.press("D")
        await until_seen(pilot, "drafts are single images")
