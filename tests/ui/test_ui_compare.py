"""Two or more traces on one timeline: where they differ, moving in step, taking one along."""

import os
import signal
from pathlib import Path

from acting import (
    FAST,
    REAL,
    Opener,
    each_size,
    home_of,
    seen,
    session_of,
    until,
    until_seen,
)
from msgspec.structs import replace
from textual.pilot import Pilot

from genui.protocol import (
    Edit,
    EditAt,
    ImageFrame,
    SetSeed,
    Start,
    TextFrame,
    TextSettings,
    WriteText,
    WriteToken,
)
from genui.ui.compare import CompareScreen
from genui.ui.generate.pane import TracePane
from genui.ui.traces.compare import (
    Column,
    Difference,
    SharedTimeline,
    differing_step,
    image_difference,
    request_for_model,
)
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.dialogs import ChooseScreen, FormScreen

# --- pure -------------------------------------------------------------------------------


def word(step: int, token: int, text: str = "") -> TextFrame:
    return TextFrame(
        trace=1,
        step=step,
        token=token,
        text=text or f"w{token}",
        surprisal=1.0,
        entropy=1.0,
        candidates=(),
    )


def image(step: int, x: bytes, denoised: bytes = bytes(12)) -> ImageFrame:
    return ImageFrame(trace=1, step=step, sigma=1.0, width=2, height=2, x=x, denoised=denoised)


def test_texts_part_at_the_first_token_that_differs() -> None:
    one = [word(n, n) for n in range(1, 6)]
    assert differing_step([one, [*one[:2], word(3, 9), *one[3:]]]) == 3
    assert differing_step([one, one[:4]]) is None
    assert differing_step([one, []]) is None
    assert columns(5, 4).common_steps == 4
    assert columns(5, 0).common_steps == 0


def test_the_same_number_of_another_vocabulary_is_another_token() -> None:
    assert differing_step([[word(1, 5, "the")], [word(1, 5, "cat")]]) == 1


def test_images_part_where_the_noisy_one_differs_whatever_the_guess() -> None:
    one = [image(0, bytes(12)), image(1, bytes(12))]
    assert differing_step([one, [one[0], image(1, bytes(12), denoised=bytes([9] * 12))]]) is None
    assert differing_step([one, [one[0], image(1, bytes([1] + [0] * 11))]]) == 1


def test_of_several_the_first_that_differs_from_the_first_counts() -> None:
    one = [word(1, 1), word(2, 2), word(3, 3)]
    assert differing_step([one, one, [word(1, 1), word(2, 9)]]) == 2


def test_the_gap_counts_pixels_and_the_mean_difference_of_their_values() -> None:
    one = image(0, bytes(12))
    other = image(0, bytes([30, 0, 0] + [0] * 9))
    assert image_difference(one, other, "x") == Difference(share=0.25, mean=30 / 12)
    assert image_difference(one, other, "denoised") == Difference(share=0.0, mean=0.0)
    assert image_difference(one, replace(one, width=1, x=bytes(6)), "x") is None


def test_another_model_is_asked_for_the_text_of_a_token_chosen_by_hand() -> None:
    def at(step: int, edit: Edit) -> EditAt:
        return EditAt(step=step, edit=edit)

    request = Start(
        trace=0,
        model="one",
        prompt="p",
        seed=3,
        settings=TextSettings(),
        edits=(at(1, WriteToken(7)), at(2, SetSeed(5))),
    )
    trace: ShownTrace[TextFrame] = ShownTrace(request=request, first=1)
    trace.frames = [word(1, 1, "a"), word(2, 7, "b")]
    asked = request_for_model(trace, "other")
    assert (asked.model, asked.prompt, asked.seed) == ("other", "p", 3)
    assert asked.edits == (at(1, WriteText("b")), at(2, SetSeed(5)))


def columns(*computed: int, total: int = 10) -> SharedTimeline:
    """Texts that have come so far."""
    request = Start(trace=0, model="m", prompt="", seed=1, settings=TextSettings())
    traces: list[ShownTrace[TextFrame]] = [
        ShownTrace(request=request, first=1, total=total) for _ in computed
    ]
    for trace, steps in zip(traces, computed, strict=True):
        trace.frames = [word(n, n) for n in range(1, steps + 1)]
    return SharedTimeline(tuple(Column(trace, "") for trace in traces))


def test_the_slowest_sets_the_pace_and_one_that_has_ended_waits_at_its_end() -> None:
    going = columns(3, 7)
    going.seek(9)
    assert (going.position, going.goal, going.available) == (3, 9, 3)
    assert [trace.goal for trace in going.set_goals()] == [9, 9]
    going.traces[0].total = 3
    assert going.available == 7
    assert going.tick(1.0)
    assert going.position == 7
    assert [trace.goal for trace in going.set_goals()] == [3, 9]


def test_one_that_cannot_go_on_holds_nobody_up_until_play_tries_it_again() -> None:
    going = columns(3, 7)
    going.columns[0].fault = "broken"
    going.seek(5)
    assert going.position == 5
    assert list(going.set_goals()) == [going.traces[1]]
    going.play()
    assert list(going.set_goals()) == going.traces


def test_play_at_the_end_begins_again() -> None:
    going = columns(10, 10)
    going.seek(10)
    going.play()
    assert (going.playing, going.position) == (True, 0)
    while going.playing:
        going.tick(4.0)
    assert going.position == 10


# --- the screen ---------------------------------------------------------------------------


def canvas(pilot: Pilot[None]) -> TracePane:
    return home_of(pilot).query_one("#canvas", TracePane)


def text(pilot: Pilot[None]) -> TracePane:
    return home_of(pilot).query_one("#text", TracePane)


async def opened(pilot: Pilot[None]) -> CompareScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
    screen = pilot.app.screen
    assert isinstance(screen, CompareScreen)
    return screen


async def forked(pilot: Pilot[None]) -> TracePane:
    """The Canvas with an image and, shown, a fork of it at step 12 with noise added."""
    pane = canvas(pilot)
    await pilot.press("3", "end")
    await until(pilot, lambda: pane.trace is not None and pane.trace.computed == 20)
    assert pane.trace is not None
    pane.trace.seek(12)
    pane.controller.fork(SetSeed(8), "seed 8")
    await until(pilot, lambda: pane.trace is not None and pane.trace.finished)
    return pane


async def compare_first(pilot: Pilot[None]) -> CompareScreen:
    """`V` and the first row."""
    await pilot.press("c")
    await until(pilot, lambda: isinstance(pilot.app.screen, ChooseScreen))
    await pilot.press("enter")
    return await opened(pilot)


async def test_two_branches_say_where_they_part_and_tab_and_digits_move_the_focus(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await forked(pilot)
        screen = await compare_first(pilot)
        async for _ in each_size(pilot):
            await until_seen(pilot, "they differ from step 12 on; press = to go there")
            await until_seen(pilot, "of pixels differ, mean difference")
            shown = seen(pilot)
            assert "▸ seed 8 from step 12" in shown
            assert "seed 1" in shown
            assert "esc close" in shown
        await pilot.press("equals_sign")
        await until_seen(pilot, "they differ from here on, step 12")
        await pilot.press("left")
        await until_seen(pilot, "no pixel differs")
        assert screen.timeline.position == 11
        await until_seen(pilot, "▸ seed 8")
        await pilot.press("tab")
        await until_seen(pilot, "▸ seed 1")
        await pilot.press("tab")
        await until_seen(pilot, "▸ seed 8")
        await pilot.press("2")
        await until_seen(pilot, "▸ seed 1")
        await pilot.press("9")
        assert "▸ seed 1" in seen(pilot)


async def test_they_move_in_step_and_esc_leaves_the_pane_where_it_was_got_to(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = await forked(pilot)
        screen = await compare_first(pilot)
        await pilot.press("home")
        assert screen.timeline.position == 0
        await pilot.press("right", "right", "shift+right")
        await until(pilot, lambda: screen.timeline.position == 12)
        await pilot.press("home", "space")
        await until(pilot, lambda: screen.timeline.position == 20 and not screen.timeline.playing)
        await pilot.press("left", "escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        assert pane.trace is not None
        assert pane.trace.position == 19


async def test_another_model_begins_from_the_same_request_and_is_closed_on_leaving(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = canvas(pilot)
        await pilot.press("3", "end")
        await until(pilot, lambda: pane.trace is not None and pane.trace.finished)
        assert pane.trace is not None
        screen = await compare_first(pilot)
        other = screen.columns[1].trace
        assert other.request == replace(pane.trace.request, model="emoji")
        await until(pilot, lambda: other.computed == 20 and screen.timeline.position == 20)
        assert "▸ icons · seed 1" in seen(pilot)
        assert "emoji · seed 1" in seen(pilot)
        await until_seen(pilot, "identical to the end, 20 steps")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        assert other.id == 0
        assert len(pane.controller.tree.branches) == 1
        assert pane.trace.id != 0


async def test_what_is_computed_in_step_stays_with_the_branch(
    shipped: Path, open_app: Opener
) -> None:
    """The traces of the pane go on where they were, and the pane has what came."""
    async with open_app() as pilot:
        pane = text(pilot)
        await pilot.press("2", "right", "right", "right")
        await until(pilot, lambda: pane.trace is not None and pane.trace.computed == 3)
        trace = pane.trace
        assert trace is not None
        screen = await compare_first(pilot)
        await until(pilot, lambda: screen.columns[1].trace.computed == 3)
        await until_seen(pilot, "they differ from step 1 on")  # the other model writes code
        await pilot.press("right", "right")
        await until(pilot, lambda: screen.timeline.position == 5)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        assert trace.computed == 5
        await pilot.press("right")
        await until(pilot, lambda: trace.computed == 6)


async def test_a_model_that_cannot_be_loaded_says_so_in_its_column(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = canvas(pilot)
        await pilot.press("3", "right")
        await until(pilot, lambda: pane.trace is not None and pane.trace.computed == 1)
        pane.branches.compare_to("model broken")
        screen = await opened(pilot)
        await until_seen(pilot, "file is truncated")
        await pilot.press("right")
        await until(pilot, lambda: screen.timeline.position == 2)
        await pilot.press("tab", "enter")
        await until_seen(pilot, "no steps yet: nothing to open")


async def test_a_killed_worker_is_told_and_space_goes_on(shipped: Path, open_app: Opener) -> None:
    async with open_app(worker=REAL) as pilot:
        await forked(pilot)
        screen = await compare_first(pilot)
        await pilot.press("home")
        pid = session_of(pilot).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until_seen(pilot, "press space to continue")
        await pilot.press("space")
        await until(pilot, lambda: screen.timeline.position == 20)


async def test_with_nothing_to_compare_with_the_window_says_how_to_get_it(
    shipped: Path, open_app: Opener
) -> None:
    (shipped / "python" / "model.safetensors").unlink()
    async with open_app() as pilot:
        await pilot.press("2", "c")
        await until_seen(pilot, "Nothing to compare with: f forks this one")
        await pilot.press("enter", "escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))


# --- continuations side by side ------------------------------------------------------------


async def side_by_side(pilot: Pilot[None], count: str) -> CompareScreen:
    await pilot.press("2", "text.side")
    await until(pilot, lambda: isinstance(pilot.app.screen, FormScreen))
    await pilot.press("backspace", *count, "enter")
    return await opened(pilot)


async def test_enter_takes_a_column_into_the_pane_and_what_is_there_is_not_written_again(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = text(pilot)
        await pilot.press("2", "end")
        await until(pilot, lambda: pane.trace is not None and pane.trace.computed == 400)
        screen = await side_by_side(pilot, "2")
        assert screen.timeline.traces[0] is pane.trace
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        screen = await side_by_side(pilot, "3")
        await until(pilot, lambda: screen.timeline.position == 400)
        taken = screen.timeline.traces[2]
        await pilot.press("3", "left", "enter")
        await until(pilot, lambda: pane.trace is taken)
        assert (pane.controller.seed, taken.position, taken.computed) == (3, 399, 400)
        assert [branch.label for branch in pane.controller.tree.branches] == ["seed 1", "seed 3"]
        await until_seen(pilot, "399/400 tok")
        pane.controller.fork(SetSeed(77), "seed 77")
        fork = pane.trace
        assert fork is not None
        assert fork is not taken
        await until(pilot, lambda: fork.computed == 400)


async def test_continuations_come_from_as_many_seeds_as_are_asked_for(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app(worker=FAST) as pilot:
        await pilot.press("2", "text.side")
        await until(pilot, lambda: isinstance(pilot.app.screen, FormScreen))
        await pilot.press("backspace", "7", "enter")
        await until_seen(pilot, "'7': expected a number from 2 to 6")
        await pilot.press("escape")
        screen = await side_by_side(pilot, "4")
        await until(pilot, lambda: screen.timeline.position == 400)
        assert [trace.request.seed for trace in screen.timeline.traces] == [1, 2, 3, 4]
        async for size in each_size(pilot):
            await until_seen(pilot, "they differ from step 1 on")
            await until_seen(pilot, "step 400/400")
            label = "seed {}" if size[0] > 80 else " {} ─"  # four columns of 80: the number alone
            assert all(label.format(n) in seen(pilot) for n in (2, 3, 4))
