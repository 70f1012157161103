"""Text and Canvas against a worker process: streaming, stepping, settings, cancelling, death."""

import os
import signal
from functools import partial

import pytest
from acting import SLOW, Opener, fault, home_of, process, seen, session_of, until, until_seen

from genui.protocol import SAMPLERS, ImageFrame
from genui.ui.generate.pane import TracePane
from genui.ui.session import Launch, launch_process
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.prose import Prose

KILLED = "the worker was killed (signal 9); started another — press space to continue"


def text_trace(pilot) -> ShownTrace:
    trace = home_of(pilot).query_one("#text", TracePane).trace
    assert trace is not None
    return trace


def image_trace(pilot) -> ShownTrace:
    trace = home_of(pilot).query_one("#canvas", TracePane).trace
    assert trace is not None
    return trace


async def test_text_streams_with_the_odds_beside_it_and_is_stepped_forward_and_back(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("2", "space")
        await until_seen(pilot, "400/400 tok")
        prose = home_of(pilot).query_one(Prose)
        assert prose.text.startswith("ROMEO:\nWhat light is this ")
        assert prose.token_count == 400
        assert "entropy" in seen(pilot)
        assert "kept" in seen(pilot)
        await pilot.press("home")
        prose = home_of(pilot).query_one(Prose)
        await pilot.press("2", "right", "right", "right")
        await until(pilot, lambda: prose.text == "ROMEO:\nWhat light is ")
        await pilot.press("left")
        assert prose.text == "ROMEO:\nWhat light "
        await pilot.press("home")
        assert prose.text == "ROMEO:\n"
        await pilot.press("end")
        await until(pilot, lambda: prose.token_count == 400)
        await pilot.press("2", "e", "ctrl+u", *"A\\nB", "enter")
        await until(pilot, lambda: text_trace(pilot).started)
        assert text_trace(pilot).request.prompt == "A\nB"
        await pilot.press("e", *"unwanted", "escape")
        assert text_trace(pilot).request.prompt == "A\nB"


async def test_images_step_forward_from_the_worker_and_back_from_memory(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "right", "right", "right")
        await until_seen(pilot, "predicted 3/20")
        trace = image_trace(pilot)
        third = trace.frame
        assert isinstance(third, ImageFrame)
        assert third.step == trace.computed == 3
        await pilot.press("left")
        assert trace.position == 2
        assert "predicted 2/20" in seen(pilot)
        await pilot.press("right")
        assert trace.frame is third
        await pilot.press("shift+right")
        await until_seen(pilot, "predicted 13/20")
        await pilot.press("home")
        assert "predicted 0/20" in seen(pilot)
        await pilot.press("end")
        await until_seen(pilot, "predicted 20/20")
        assert trace.computed == 20
        pane = home_of(pilot).query_one("#canvas", TracePane)
        names = []
        await pilot.press("3")
        for _ in SAMPLERS:
            await pilot.press("canvas.sampler")
            names.append(pane.controller.settings.sampler)
        assert names == [*list(SAMPLERS)[1:], "dpmpp-2m"]
        await pilot.press("3", "e", "ctrl+u", *"zebra", "enter")
        await until_seen(pilot, "does not know 'zebra'")


async def test_space_stops_the_worker_and_a_killed_one_costs_one_line(
    shipped, open_app: Opener
) -> None:
    async with open_app(worker=SLOW) as pilot:
        await pilot.press("2", "space")
        await until(pilot, lambda: len(text_trace(pilot).frames) >= 5)
        await pilot.press("space")
        trace = text_trace(pilot)
        await until(pilot, lambda: not trace.computing)
        assert trace.computed < 400
        assert trace.position <= trace.computed
        held = trace.computed
        await pilot.press("space")
        await until(pilot, lambda: trace.computed > held)
        await until(pilot, lambda: len(text_trace(pilot).frames) >= 5)
        pid = session_of(pilot).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until_seen(pilot, KILLED)
        trace = text_trace(pilot)
        kept = list(trace.frames)
        assert not trace.playing
        await until(pilot, lambda: session_of(pilot).ready is not None)
        assert session_of(pilot).pid != pid
        await pilot.press("space")
        await until(pilot, lambda: len(trace.frames) > len(kept))
        assert trace.frames[: len(kept)] == kept
        assert [frame.step for frame in trace.frames] == list(range(1, len(trace.frames) + 1))


async def test_settings_are_typed_and_refused_in_place(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        pane = home_of(pilot).query_one("#text", TracePane)
        await pilot.press("2", "text.temperature", *"hot", "enter")
        await until(pilot, lambda: "temperature 'hot': expected a number" in fault(pilot))
        await pilot.press("ctrl+u", "ctrl+k", *"11", "enter")
        await until(pilot, lambda: "temperature '11': expected a number, 0 to 10" in fault(pilot))
        await pilot.press("ctrl+u", "ctrl+k", *"0.5", "enter")
        await until(pilot, lambda: pane.controller.settings.temperature == 0.5)
        await pilot.press("plus")
        assert pane.controller.settings.temperature == 0.55
        await pilot.press("text.top_k", "escape", "plus", "plus", "minus")
        assert pane.controller.settings.top_k == 1


@pytest.mark.parametrize(
    ("worker", "line"),
    [
        (process("--die-at-start"), "the worker did not start: no module named torch"),
        (process("--version", "99"), "the worker speaks protocol 99, this app 3; reinstall genui"),
        (partial(launch_process, "/nowhere/python"), "the worker cannot be started"),
    ],
)
async def test_a_worker_that_cannot_serve_is_explained_once(
    shipped, open_app: Opener, worker: Launch, line: str
) -> None:
    async with open_app(worker=worker) as pilot:
        await until_seen(pilot, line)
        assert session_of(pilot).pid is None
