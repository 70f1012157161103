"""The window of branches, saving the tree and opening it again."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from acting import (
    REAL,
    Opener,
    each_size,
    fault,
    home_of,
    seen,
    session_of,
    until,
    until_seen,
)
from fake_process import in_process
from fake_worker import FakeWorker
from textual.pilot import Pilot

from genui.base import paths
from genui.formats.trees import list_trees, load_tree
from genui.protocol import AddNoise, SetSeed, WriteText
from genui.ui import keys
from genui.ui.branches import BranchesScreen, tree_lines
from genui.ui.generate.pane import TracePane
from genui.ui.traces.records import last_path
from genui.ui.widgets.columns import ColumnView


def canvas(pilot: Pilot[None]) -> TracePane:
    return home_of(pilot).query_one("#canvas", TracePane)


async def grow(pilot: Pilot[None]) -> TracePane:
    """Three branches in the Canvas: one to the end, a fork of it at 12, and a fork of that."""
    pane = canvas(pilot)
    await pilot.press("3", "end")
    await until(pilot, lambda: pane.trace is not None and pane.trace.computed == 20)
    for step, seed in ((12, 7), (15, 9)):
        assert pane.trace is not None
        pane.trace.seek(step)
        pane.controller.seed = seed
        pane.controller.fork(SetSeed(seed), f"seed {seed}")
        await until(pilot, lambda: pane.trace is not None and pane.trace.computed == 20)
    await until(pilot, lambda: pane.trace is not None and pane.trace.finished)
    return pane


def labels(pane: TracePane) -> list[str]:
    return [branch.label for branch in pane.controller.tree.branches]


def test_a_tree_is_drawn_by_how_deep_its_entries_are() -> None:
    assert tree_lines([0, 1, 2, 1, 0, 1]) == ["", "├─ ", "│  └─ ", "└─ ", "", "└─ "]
    assert tree_lines([]) == []


async def test_branches_are_a_tree_of_which_one_is_shown_compared_and_exported(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = await grow(pilot)
        assert pane.controller.seed == 9
        await pilot.press("b")
        async for _ in each_size(pilot):
            shown = seen(pilot)
            assert "└─ seed 7" in shown
            assert "from step 12 · 20/20" in shown
            assert "   └─ seed 9" in shown
            assert "● " in shown
            assert "esc close" in shown
        await pilot.press("d")
        await until(pilot, lambda: "this branch is shown" in fault(pilot))
        await pilot.press("up", "d")
        await until(pilot, lambda: "the branch shown is forked from it" in fault(pilot))
        assert len(pane.controller.tree.branches) == 3
        await pilot.press("enter")
        await until(pilot, lambda: pane.controller.seed == 7)
        assert pane.controller.tree.shown is pane.controller.tree.branches[1]
        await pilot.press("b", "c")
        await until(pilot, lambda: "this is the branch that is shown" in fault(pilot))
        await pilot.press("up", "c")
        await until_seen(pilot, "they differ from step 12 on")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        await pilot.press("b", "home", "x")
        await until_seen(pilot, "icons-1.png")


async def test_dropping_a_branch_drops_what_grew_from_it(shipped: Path, open_app: Opener) -> None:
    async with open_app() as pilot:
        pane = await grow(pilot)
        pane.controller.show_branch(0)
        pane.controller.fork(AddNoise(to=3), "noise to 3")
        await pilot.press("b")
        await until_seen(pilot, "├─ seed 7")
        await pilot.press("up", "up", "d")
        await until(pilot, lambda: labels(pane) == ["seed 1", "noise to 3"])
        await pilot.pause()
        assert fault(pilot) == "removed 2 branches: this one and its forks; u undoes it"
        await pilot.press("d")  # the one that has come up to the cursor
        assert "this branch is shown" in fault(pilot)
        await pilot.press("u")
        assert labels(pane) == ["seed 1", "seed 7", "seed 9", "noise to 3"]
        await pilot.press("u")
        assert "nothing to undo" in fault(pilot)
        await pilot.press("escape", "ctrl+z")
        assert pane.controller.tree.shown is pane.controller.tree.branches[0]


async def test_branches_fold_take_a_star_and_a_name_and_keep_them_in_the_file(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app(size=(80, 24)) as pilot:
        pane = await grow(pilot)
        tree = pane.controller.tree
        pane.controller.show_branch(0)
        await pilot.press("b")
        await until_seen(pilot, "└─ seed 9")
        await pilot.press("down", "left")  # seed 7 is folded; its fork is not listed
        await until_seen(pilot, "seed 7 · ▸ 1 folded")
        assert "seed 9" not in seen(pilot)
        await pilot.press("asterisk", "e", *"dusk", "enter")
        await until_seen(pilot, "★ └─ dusk")
        await until_seen(pilot, "dusk · seed 7 · step 12 of seed 1")  # above the preview
        await pilot.press("left")  # folded already: to the branch it was forked from
        view = pilot.app.screen.query_one(ColumnView)
        await until(pilot, lambda: view.column.trace is tree.branches[0].trace)
        await pilot.press("right", "right")
        await until_seen(pilot, "└─ seed 9")
        await pilot.press("left", "escape")
        path = await saved(pilot)
        marks = [(b.name, b.starred, b.folded) for b in load_tree(path).branches]
        assert marks == [("", False, False), ("dusk", True, True), ("", False, False)]
        home_of(pilot).open_saved(path, "canvas")
        await until(pilot, lambda: len(tree.branches) == 6)
        again = tree.branches[4]
        assert (again.name, again.starred, again.folded, again.label) == marks[1] + ("seed 7",)
        # A folded branch is unfolded to show where the app is; an empty name takes it away.
        pane.controller.show_branch(tree.branches[5].number)
        await pilot.press("b")
        await until(pilot, lambda: not again.folded)
        await pilot.press("up", "e", *["backspace"] * 4, "enter", "asterisk")
        await until(pilot, lambda: not again.is_marked)


async def test_the_tree_of_a_text_shows_the_first_words_after_each_fork(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = home_of(pilot).query_one("#text", TracePane)
        await pilot.press("2", *["right"] * 6)
        await until(pilot, lambda: pane.trace is not None and pane.trace.computed == 6)
        assert pane.trace is not None
        pane.trace.seek(2)
        pane.controller.fork(WriteText("Yonder"), "wrote ‘Yonder’", play=False)
        await pilot.press("right", "right", "right", "right", "b")
        async for _ in each_size(pilot):
            frames = pane.controller.tree.branches[1].trace.frames
            await until_seen(pilot, "".join(frame.text for frame in frames[2:6]).strip())
            assert "from step 2 · 6/" in seen(pilot)


# --- saved and opened again -------------------------------------------------------------


async def saved(pilot: Pilot[None]) -> Path:
    """The file that ctrl+s writes."""
    before = len(list_trees())
    await pilot.press("ctrl+s")
    await until(pilot, lambda: len(list_trees()) == before + 1)
    await until_seen(pilot, "saved ")
    return list_trees()[0].path


async def test_a_saved_tree_is_beside_its_model_and_says_so(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = await grow(pilot)
        in_the_way = paths.data_dir() / "traces" / "icons"
        in_the_way.parent.mkdir(parents=True)
        in_the_way.write_text("")
        await pilot.press("ctrl+s")
        await until_seen(pilot, "cannot write")
        in_the_way.unlink()
        path = await saved(pilot)
        assert path.parent == paths.data_dir() / "traces" / "icons"
        assert "saved 3 branches:" in seen(pilot)
        tree = load_tree(path)
        grown = [(-1, 0, "seed 1"), (0, 12, "seed 7"), (1, 15, "seed 9")]
        assert [(b.parent, b.step, b.label) for b in tree.branches] == grown
        assert (tree.current, tree.playhead) == (2, 20)
        assert tree.recipe.fingerprint == "0123456789abcdef"
        assert tree.recipe.machine.precision == "bf16"
        assert tree.result is not None
        # Opened again, a branch that is not shown computes once it is gone to.
        frames = [frame.x for frame in pane.controller.tree.branches[1].trace.frames]
        home_of(pilot).open_saved(path, "canvas")
        await until(pilot, lambda: len(pane.controller.tree.branches) == 6)
        again = pane.controller.tree.branches[4]
        assert again.trace.frames == []
        pane.controller.show_branch(again.number)
        await pilot.press("end")
        await until(pilot, lambda: again.trace.computed == 20)
        assert [frame.x for frame in again.trace.frames] == frames
        # Without its model it is not opened.
        (shipped / "icons" / "model.safetensors").unlink()
        home_of(pilot).open_saved(path, "canvas")
        await until_seen(pilot, "m shows all")
        await pilot.press("m")
        await until_seen(pilot, "its model is missing")
        assert len(pane.controller.tree.branches) == 6


async def test_every_tree_of_the_pane_is_saved_from_the_window_which_says_what_to_press(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "ctrl+s")
        await until_seen(pilot, "nothing to save yet")
        await pilot.press("x")
        await until_seen(pilot, "nothing to export yet")
        assert list_trees() == []
        await pilot.press("b")
        await until_seen(pilot, "No branches yet: press space")
        await pilot.press("enter", "c", "d", "escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, BranchesScreen))
        pane = await grow(pilot)
        await pilot.press("r")
        await until(pilot, lambda: len(pane.controller.tree.branches) == 4)
        await pilot.press("b", "ctrl+s")
        await until(pilot, lambda: len(list_trees()) == 2)
        await until_seen(pilot, "saved 4 branches:")


async def test_opened_after_the_worker_was_killed_it_gives_the_same_frames(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app(worker=REAL) as pilot:
        pane = await grow(pilot)
        assert pane.trace is not None
        frames = [frame.x for frame in pane.trace.frames]
        path = await saved(pilot)
        pid = session_of(pilot).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until_seen(pilot, "the worker was killed")
        home_of(pilot).open_saved(path, "canvas")
        await until(pilot, lambda: len(pane.controller.tree.branches) == 6)
        await until(pilot, lambda: pane.trace is not None and pane.trace.computed == 20)
        assert pane.controller.tree.shown is pane.controller.tree.branches[5]
        assert [frame.x for frame in pane.trace.frames] == frames


async def test_a_fresh_app_opens_it_from_the_palette_where_it_was_left(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = home_of(pilot).query_one("#text", TracePane)
        await pilot.press("2", "right", "right", "right")
        await until(pilot, lambda: pane.trace is not None and pane.trace.computed == 3)
        pane.controller.fork(SetSeed(5), "seed 5", play=False)
        await pilot.press("right")
        await until(pilot, lambda: pane.trace is not None and pane.trace.computed == 4)
        assert pane.trace is not None
        texts = [frame.text for frame in pane.trace.frames]
        await saved(pilot)
    last_path("text").unlink(missing_ok=True)  # else it may be a branch too
    async with open_app() as pilot:
        await pilot.press("ctrl+p", *"open", "space", *"saved")
        await until_seen(pilot, "Open saved trace ROMEO: · seed 1")
        await pilot.press("down", "enter")
        pane = home_of(pilot).query_one("#text", TracePane)
        await until(pilot, lambda: pane.trace is not None and pane.trace.computed == 4)
        assert pane.trace is not None
        assert [frame.text for frame in pane.trace.frames] == texts
        await until(pilot, lambda: pane.trace is not None and pane.trace.position == 4)
        assert pane.controller.seed == 5
        assert labels(pane) == ["seed 1", "seed 5"]
        await until_seen(pilot, "2 branches, b lists them")


async def test_other_weights_than_it_was_saved_with_are_named(
    shipped: Path, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app() as pilot:
        await grow(pilot)
        path = await saved(pilot)
    text = "fedcba9876543210"
    async with open_app(worker=in_process(partial(FakeWorker, fingerprint=text))) as pilot:
        home_of(pilot).open_saved(path, "canvas")
        await until_seen(pilot, f"({text})")
        assert "0123456789abcdef" in seen(pilot)


async def test_every_action_of_the_panes_there_are_is_in_the_palette(
    shipped: Path, open_app: Opener
) -> None:
    folder = paths.data_dir() / "traces" / "icons"
    folder.mkdir(parents=True)
    (folder / "old.trace").write_text("{}")
    async with open_app() as pilot:
        await pilot.press("3")
        titles = {
            f"{keys.titles()[key.pane]}: {key.description}"
            for key in keys.list_keys()
            if key.pane in ("text", "canvas")
            and key.action in {"branches", "compare", "save", "export", "side_by_side"}
        }
        assert len(titles) >= 8
        commands = home_of(pilot).commands()
        assert titles <= {command.title for command in commands}
        # A damaged trace is there too, and says what is wrong.
        await pilot.press("ctrl+p", *"old.trace, which is damaged")
        await until_seen(pilot, "Open saved trace old.trace, which is damaged")
        await pilot.press("down", "enter")
        await until_seen(pilot, "use the file as it was written")
