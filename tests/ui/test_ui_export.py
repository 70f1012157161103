"""The window that writes files: formats, names, finishing first, overwriting, what can go wrong."""

from pathlib import Path

import numpy as np
import pytest
from acting import (
    Opener,
    each_size,
    fault,
    home_of,
    process,
    seen,
    session_of,
    until,
    until_seen,
)
from msgspec.structs import replace
from textual.pilot import Pilot

from genui.formats.codec import SavedFile, read
from genui.formats.recipe import result_of, to_start
from genui.formats.trees import SavedTree, branch_start
from genui.protocol import SetSeed, SetSettings, Start, TextSettings
from genui.ui.export import ExportScreen
from genui.ui.generate.pane import TracePane
from genui.ui.widgets.inputs import LineInput
from genui.ui.widgets.lists import RowList


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


async def drawn(pilot: Pilot[None]) -> TracePane:
    pane = home_of(pilot).query_one("#canvas", TracePane)
    await pilot.press("3", "end")
    await until(pilot, lambda: pane.trace is not None and pane.trace.finished)
    return pane


async def written(pilot: Pilot[None]) -> TracePane:
    pane = home_of(pilot).query_one("#text", TracePane)
    pane.controller.settings = TextSettings(tokens=12)
    await pilot.press("2", "end")
    await until(pilot, lambda: pane.trace is not None and pane.trace.finished)
    return pane


async def window(pilot: Pilot[None], form: str = "") -> ExportScreen:
    """`x`, with the cursor on that format."""
    await pilot.press("x")
    await until(pilot, lambda: isinstance(pilot.app.screen, ExportScreen))
    screen = pilot.app.screen
    assert isinstance(screen, ExportScreen)
    if form:
        screen.query_one(RowList).chosen = form
        await pilot.pause()
    return screen


def frames_in(found: SavedFile) -> list:
    """The images in a file."""
    assert isinstance(found.content, list)
    return found.content


def as_saved(request: Start) -> Start:
    """The request with the precision of the fake worker, which a file names."""
    return replace(request, precision="bf16")


async def closed(pilot: Pilot[None]) -> None:
    await until(pilot, lambda: pilot.app.screen is home_of(pilot))


async def test_every_format_is_listed_and_a_png_is_the_image_at_the_playhead_with_its_recipe(
    shipped: Path, open_app: Opener, folder: Path
) -> None:
    at_playhead = "predicted x₀, without noise at step 20"
    async with open_app() as pilot:
        await drawn(pilot)
        await window(pilot)
        async for _ in each_size(pilot):
            shown = seen(pilot)
            for words in ("png", at_playhead, "film", "gif", "apng", "cast", "trace"):
                assert words in shown
            assert "icons-1.png" in shown
            assert "esc cancel" in shown
        await pilot.press("escape")
        await closed(pilot)
        pane = await drawn(pilot)
        await pilot.press("left", "left", "right_square_bracket")
        trace = pane.trace
        assert trace is not None
        assert trace.frame is not None
        await window(pilot)
        await pilot.press("enter")
        await closed(pilot)
        await until_seen(pilot, "V or `genui verify icons-1.png`")
        found = read(folder / "icons-1.png")
        recipe = found.recipe
        assert to_start(recipe) == as_saved(trace.request)
        assert recipe.fingerprint == "0123456789abcdef"
        ready = session_of(pilot).ready
        assert ready is not None
        assert (recipe.machine.device, recipe.machine.threads) == (ready.device, ready.threads)
        assert recipe.result == result_of(trace.frames)
        assert (recipe.view.steps, recipe.view.part, recipe.view.scale) == ((18,), "x", 8)
        pixels = np.frombuffer(trace.frame.x, np.uint8).reshape(32, 32, 3)
        assert np.array_equal(frames_in(found)[0], pixels.repeat(8, 0).repeat(8, 1))


async def test_strips_and_moving_images_carry_the_recipe(
    shipped: Path, open_app: Opener, folder: Path
) -> None:
    async with open_app() as pilot:
        pane = await drawn(pilot)
        for form, name, images in (
            ("film", "icons-1.png", 1),
            ("gif", "icons-1.gif", 21),
            ("apng", "icons-1.apng", 21),
        ):
            await window(pilot, form)
            assert name in seen(pilot)
            await pilot.press("enter")
            await closed(pilot)
            found = read(folder / name)
            assert pane.trace is not None
            assert to_start(found.recipe) == as_saved(pane.trace.request)
            assert len(frames_in(found)) == images


async def test_a_signs_what_has_room_for_a_signature(
    shipped: Path, open_app: Opener, folder: Path
) -> None:
    pytest.importorskip("c2pa")
    async with open_app() as pilot:
        await drawn(pilot)
        await window(pilot, "png")
        await pilot.press("a")
        await until_seen(pilot, "signed · it contains its recipe")
        await pilot.press("enter")
        await closed(pilot)
        assert b"org.genui.recipe" in (folder / "icons-1.png").read_bytes()
        await window(pilot, "trace")
        await pilot.press("a")
        await until_seen(pilot, "a .trace cannot be signed")
        await pilot.press("enter")
        await closed(pilot)
        assert read(folder / "icons-1.trace").recipe.model == "icons"


async def test_text_is_written_whole_with_the_recipe_of_its_branch(
    shipped: Path, open_app: Opener, folder: Path
) -> None:
    async with open_app() as pilot:
        pane = await written(pilot)
        await pilot.press("left", "left", "left")
        pane.controller.fork(SetSeed(5), "seed 5")
        await until(pilot, lambda: pane.trace is not None and pane.trace.finished)
        assert pane.trace is not None
        await window(pilot)
        await pilot.press("enter")
        await closed(pilot)
        found = read(folder / "shakespeare-5.txt")
        text = "".join(frame.text for frame in pane.trace.frames)
        assert found.content == f"ROMEO:\n{text}"
        assert to_start(found.recipe) == as_saved(pane.trace.request)
        assert found.recipe.edits[-1].step == 9


async def test_a_recording_and_the_branches_are_written_too(
    shipped: Path, open_app: Opener, folder: Path
) -> None:
    async with open_app() as pilot:
        pane = await written(pilot)
        await window(pilot, "cast")
        await pilot.press("enter")
        await closed(pilot)
        recording = read(folder / "shakespeare-1.cast").content
        assert len(recording) == 13
        await pilot.press("left", "left")
        pane.controller.fork(SetSeed(4), "seed 4")
        await until(pilot, lambda: pane.trace is not None and pane.trace.finished)
        await window(pilot, "trace")
        await pilot.press("enter")
        await closed(pilot)
        tree = read(folder / "shakespeare-4.trace").content
        assert isinstance(tree, SavedTree)
        assert pane.trace is not None
        assert branch_start(tree) == as_saved(pane.trace.request)
        assert tree.result == result_of(pane.trace.frames)


async def test_two_edits_at_once_are_saved_and_come_back_as_one_branch(
    shipped: Path, open_app: Opener, folder: Path
) -> None:
    from genui.ui.traces import export
    from genui.ui.traces.trees import Tree

    async with open_app() as pilot:
        pane = await written(pilot)
        assert pane.trace is not None
        pane.trace.seek(5)
        pane.controller.fork(SetSeed(4), "both", then=SetSettings(TextSettings(tokens=9)))
        await until(pilot, lambda: pane.trace is not None and pane.trace.finished)
        assert pane.controller.tree.shown is not None
        machine = export.machine_of(None)
        saved = export.saved_tree(pane.controller.tree, pane.controller.tree.shown, machine)
        again: Tree = Tree()
        export.add_saved(saved, again)
        assert [branch.label for branch in again.branches] == ["seed 1", "both"]
        assert again.trace is not None
        assert again.trace.request == pane.trace.request


async def test_an_unfinished_trace_is_finished_first_or_written_as_far_as_it_is(
    shipped: Path, open_app: Opener, folder: Path
) -> None:
    async with open_app() as pilot:
        pane = home_of(pilot).query_one("#canvas", TracePane)
        await pilot.press("3", "right", "right", "right")
        await until(pilot, lambda: pane.trace is not None and pane.trace.computed == 3)
        await window(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "y computes the rest first" in fault(pilot))
        assert seen(pilot).count("3 of 20 steps are computed") == 1
        await pilot.press("enter")  # is no answer
        assert list(folder.iterdir()) == []
        await pilot.press("y")
        await closed(pilot)
        assert read(folder / "icons-1.png").recipe.result.steps == 20
        assert read(folder / "icons-1.png").recipe.view.steps == (3,)
        assert pane.trace is not None
        assert pane.trace.position == 3
        pane = home_of(pilot).query_one("#text", TracePane)
        await pilot.press("2", "right", "right")
        await until(pilot, lambda: pane.trace is not None and pane.trace.computed == 2)
        await window(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "n writes these" in fault(pilot))
        await pilot.press("n")
        await closed(pilot)
        assert read(folder / "shakespeare-1.txt").recipe.result.steps == 2


async def test_leaving_while_it_finishes_writes_nothing(
    shipped: Path, open_app: Opener, folder: Path
) -> None:
    async with open_app(worker=process("--delay", "1.5")) as pilot:
        pane = home_of(pilot).query_one("#canvas", TracePane)
        await pilot.press("3", "right")
        await until(pilot, lambda: pane.trace is not None and pane.trace.computed == 1)
        await window(pilot)
        await pilot.press("enter", "y")
        await until_seen(pilot, "finishing: ")
        await pilot.press("escape")
        await closed(pilot)
        assert pane.trace is not None
        await until(pilot, lambda: pane.trace is not None and not pane.trace.computing)
        assert pane.trace.position == 1
        assert pane.trace.computed < 20
        assert list(folder.iterdir()) == []


async def test_a_file_that_is_there_is_written_over_only_after_a_yes(
    shipped: Path, open_app: Opener, folder: Path
) -> None:
    (folder / "icons-1.png").write_text("mine")
    async with open_app() as pilot:
        await drawn(pilot)
        await window(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "icons-1.png exists" in fault(pilot))
        await pilot.press("enter", "n")
        assert (folder / "icons-1.png").read_text() == "mine"
        assert fault(pilot) == ""
        await pilot.press("enter")
        await until(pilot, lambda: "exists" in fault(pilot))
        await pilot.press("y")
        await closed(pilot)
        assert read(folder / "icons-1.png").codec.suffix == ".png"


async def test_a_name_that_will_not_do_is_one_line_in_the_window(
    shipped: Path, open_app: Opener, folder: Path
) -> None:
    async with open_app() as pilot:
        await drawn(pilot)
        for name, line in (
            ("nowhere/a.png", "there is no folder nowhere"),
            ("a.gif", "end the name in .png"),
            ("", "end the name in .png"),
            ("~nobody-of-that-name/a.png", "home"),
            (f"{'x' * 300}.png", "too long"),
        ):
            screen = await window(pilot)
            screen.query_one("#file", LineInput).value = name
            await pilot.pause()
            await pilot.press("tab", "enter")
            await until(pilot, lambda line=line: line in fault(pilot))
            assert list(folder.iterdir()) == []
            await pilot.press("escape")
            await closed(pilot)
        # A name that was typed keeps its stem in another format.
        screen = await window(pilot)
        line_input = screen.query_one("#file", LineInput)
        line_input.value = "cat.png"
        await pilot.press("down", "down")
        await until(pilot, lambda: line_input.value == "cat.gif")


async def test_a_full_disk_is_one_line_in_the_window(
    shipped: Path, open_app: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("genui.base.files.write_all", full)
    async with open_app() as pilot:
        await drawn(pilot)
        await window(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "no space left on device; name a file" in fault(pilot))
        assert list(folder.iterdir()) == []
