"""The Page: what is decided at a step, how surely and in which order; words pinned and erased."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import stage
import torch
from acting import Opener, home_of, seen, until, until_seen
from fake_process import in_process
from fake_worker import FakeWorker
from msgspec.structs import replace
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from genui import protocol
from genui.engine.data.tokenizer import CharTokenizer
from genui.engine.device import Machine
from genui.engine.sample.trace import Trace
from genui.kinds.text_diffusion.network import build_text_denoiser
from genui.kinds.text_diffusion.page import Page, lines_of, words_of
from genui.kinds.text_diffusion.sample import TextDiffusionGenerator
from genui.kinds.text_diffusion.settings import GIVEN, UNDECIDED, CanvasFrame, Erase, Pin
from genui.protocol import kinds
from genui.recipes import find_recipe, override
from genui.runs.models import find_model
from genui.ui.generate.pane import TracePane

pytestmark = pytest.mark.usefixtures("app_stage")

TEXT = "to be or not to be"
TOKENS = 20


def make_generator() -> TextDiffusionGenerator:
    """A small network with random weights, which knows the letters of the prompt."""
    torch.manual_seed(0)
    small = {"layers": "1", "width": "32", "heads": "2", "context": "64"}
    tokenizer = CharTokenizer("\n :EMOR" + "aeinorst")
    recipe: Any = override(find_recipe("masked-shakespeare"), small)
    model = build_text_denoiser(recipe, tokenizer.size)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return TextDiffusionGenerator(model, tokenizer, Machine("cpu", "fp32", 1), "mask")


def frame_at(step: int) -> CanvasFrame:
    """A text of which each step decides two places, from the right; the first five are given."""
    decided = [GIVEN] * 5 + [1 + at // 2 for at in range(13)][::-1]
    decided = [UNDECIDED if at > step else at for at in decided]
    texts = tuple(c if at != UNDECIDED else "e" for c, at in zip(TEXT, decided, strict=True))
    sure = tuple(0.9 if at % 2 else 0.2 for at in range(len(TEXT)))
    return CanvasFrame(
        trace=0, step=step, texts=texts, decided=tuple(decided), sure=sure, block=(5, 18)
    )


def test_lines_end_at_newlines_and_at_the_width() -> None:
    page = CanvasFrame(
        trace=0, step=1, texts=tuple("ab\ncde"), decided=(1,) * 6, sure=(1.0,) * 6, block=(0, 6)
    )
    assert ["".join(cell.text for cell in line) for line in lines_of(page, 4)] == ["ab↵", "cde"]
    assert len(lines_of(page, 2)) == 4


def test_words_are_runs_of_decided_places() -> None:
    assert words_of(frame_at(7)) == [(0, 1), (3, 4), (6, 7), (9, 11), (13, 14), (16, 17)]
    assert words_of(frame_at(0)) == [(0, 1), (3, 4)]


class Pages(FakeWorker):
    """A worker in the process of the test with a small real network, whose weights are random."""

    opened_traces: ClassVar[dict[int, Trace]] = {}

    def start(self, request: protocol.Start) -> None:
        settings = replace(request.settings, tokens=TOKENS, steps=TOKENS // 2)
        self.begin(Trace(make_generator(), replace(request, settings=settings)))

    def fork(self, request: protocol.Fork) -> None:
        parent = self.opened_traces[request.parent]
        self.begin(parent.fork(request.trace, request.step, request.edit))

    def begin(self, trace: Trace) -> None:
        self.opened_traces[trace.request.trace] = trace
        self.send(trace.started)
        if trace.opening is not None:
            self.send(trace.opening)

    def advance(self, request: protocol.Advance) -> None:
        trace, step = self.opened_traces[request.trace], request.start
        for frame in trace.advance(request.start, request.steps):
            step = frame.step
            self.send(frame)
        finished = "finished" if trace.finished_at(step) else "done"
        self.send(
            protocol.Idle(
                trace=request.trace,
                step=step,
                steps=step - request.start,
                seconds=0.1,
                total=trace.total_at(step),
                reason=finished,
            )
        )


@pytest.fixture(autouse=True)
def shipped_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "weights"
    stage.ship(folder, "shakespeare", "icons", "masked-shakespeare")
    monkeypatch.setattr(kinds, "weights_folders", lambda: [folder])


def pane_of(pilot: Pilot[None]) -> TracePane:
    return home_of(pilot).query_one("#page", TracePane)


async def opened(pilot: Pilot[None]) -> TracePane:
    home_of(pilot).open_model(find_model("masked-shakespeare"))
    await until_seen(pilot, "step 10/10")
    await pilot.press("3")
    await until_seen(pilot, "Settings")
    return pane_of(pilot)


def shown(pilot: Pilot[None]) -> CanvasFrame:
    frame = pane_of(pilot).controller.frame
    assert isinstance(frame, CanvasFrame)
    return frame


async def test_the_timeline_shows_what_is_decided_and_how(open_app: Opener) -> None:
    async with open_app(worker=in_process(Pages)) as pilot:
        await opened(pilot)
        await pilot.press("home")
        await until_seen(pilot, f"{TOKENS} undecided")
        await pilot.press("right")
        await until_seen(pilot, f"{TOKENS - 2} undecided")
        assert shown(pilot).decided.count(1) == 2
        assert "decided now" in seen(pilot)
        assert "▁ to █" in seen(pilot)
        await pilot.press("right_square_bracket")
        await until_seen(pilot, "0 to 9")
        page = pane_of(pilot).query_one(Page)
        signs = "".join(strip.text for strip in page.draw(40, 20)[1::2])
        assert signs.split() == ["0", "0"]


async def test_a_word_is_erased_and_another_pinned_as_branches(open_app: Opener) -> None:
    async with open_app(worker=in_process(Pages)) as pilot:
        pane = await opened(pilot)
        whole = shown(pilot)
        word = words_of(whole)[1]
        await pilot.press("down", "delete")
        await until(pilot, lambda: len(pane.controller.tree.branches) == 2)
        trace = pane.controller.trace
        assert trace is not None
        assert trace.request.edits[-1].edit == Erase(first=word[0] + 1, last=word[1] + 1)
        await until(pilot, lambda: UNDECIDED not in shown(pilot).decided)
        assert shown(pilot).page[: word[0]] == whole.page[: word[0]]
        await pilot.press("up", "enter")
        await until_seen(pilot, "Pin")
        await pilot.press("ctrl+u", "o", "enter")
        await until(pilot, lambda: len(pane.controller.tree.branches) == 3)
        trace = pane.controller.trace
        assert trace is not None
        assert trace.request.edits[-1].edit == Pin(place=1, text="o")
        await until(pilot, lambda: shown(pilot).page.startswith("o"))


async def test_pins_stay_when_a_setting_is_changed(open_app: Opener) -> None:
    async with open_app(worker=in_process(Pages)) as pilot:
        pane = await opened(pilot)
        pin = Pin(place=8, text="sea")
        pane.controller.fork(pin, "pin 8:sea")
        await until(pilot, lambda: shown(pilot).page[7:10] == "sea")
        pane.controller.apply("other settings")
        trace = pane.controller.trace
        assert trace is not None
        assert trace.request.edits == (protocol.EditAt(step=0, edit=pin),)
        await until(pilot, lambda: trace.finished and trace.frame is not None)
        assert shown(pilot).page[7:10] == "sea"


async def test_two_branches_stand_side_by_side(open_app: Opener) -> None:
    async with open_app(worker=in_process(Pages)) as pilot:
        pane = await opened(pilot)
        await pilot.press("home", "right", "right", "f")
        await until(pilot, lambda: len(pane.controller.tree.branches) == 2)
        await until_seen(pilot, "step 10/10")
        await pilot.press("c")
        await until(pilot, lambda: "seed 1" in seen(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: len(pilot.app.screen.query(Page)) == 2)
        assert seen(pilot).count("ROMEO") >= 2


async def test_a_page_is_scrolled_away_from_its_cursor_and_follows_a_move() -> None:
    text = "".join(f"{line:02}\n" for line in range(60))
    frame = CanvasFrame(
        trace=0, step=1, texts=tuple(text), decided=(1,) * 180, sure=(1.0,) * 180, block=(0, 180)
    )

    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield Page()

    async with Alone().run_test(size=(20, 10)) as pilot:
        page = pilot.app.query_one(Page)
        page.show_frame(frame, 1, cursor=(0, 1))
        assert page.draw(20, 10)[0].text.startswith("00")
        page.scroll_text(5)
        assert page.draw(20, 10)[0].text.startswith("05")
        page.show_frame(frame, 1, cursor=(3, 4))
        assert page.draw(20, 10)[0].text.startswith("01")
