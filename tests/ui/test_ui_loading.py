"""What a pane shows while a model loads, and how that is cancelled."""

from dataclasses import replace as replace_model
from pathlib import Path

import pytest
from acting import Opener, home_of, seen, until_seen
from fake_process import in_process
from fake_session import FakeSession, Listener
from fake_worker import FakeWorker

from genui import protocol
from genui.protocol import Cancel, Failed, Loading, Start, TextFrame, TextSettings
from genui.runs.models import ModelInfo
from genui.ui.generate.pane import TracePane
from genui.ui.traces.compare import Column, Columns
from genui.ui.traces.controller import TraceController
from genui.ui.traces.trees import ShownTrace

BIG = ModelInfo(
    ref="big", name="big", family="pretrained", medium="text", dataset="", parameters=1, step=0,
    summary="", path=Path("big.gguf"), source="added", format="gguf",
)  # fmt: skip
SMALL = replace_model(BIG, ref="small", name="small")


class SlowWorker(FakeWorker):
    """Reports that 30 % of a model are loaded, and starts the first trace only if it is asked for
    again."""

    def __init__(self) -> None:
        super().__init__()
        self.starts = 0

    def start(self, request: Start) -> None:
        self.starts += 1
        self.send(Loading(trace=request.trace, share=0.3, size=538_000_000))
        if self.starts > 1:
            super().start(request)

    def answer(self, request: protocol.Request) -> None:
        if isinstance(request, Cancel) and request.trace not in self.traces:
            self.send(Failed(request.trace, "loading was stopped: space starts it again"))
        super().answer(request)


class Stage:
    """A controller whose model loads slowly, with a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.listener = Listener()
        self.session = FakeSession(self.listener, SlowWorker())
        self.controller: TraceController[TextFrame, TextSettings] = TraceController(
            self.session,
            self.listener,
            TextSettings(tokens=6),
            first=1,
            steps="tokens",
            clock=lambda: self.now,
        )
        self.listener.controller = self.controller

    @property
    def trace(self) -> ShownTrace[TextFrame]:
        assert self.controller.trace is not None
        return self.controller.trace

    def report(self, share: float, seconds: float) -> None:
        self.now += seconds
        self.session._dispatch([Loading(trace=self.trace.id, share=share, size=0)])


@pytest.fixture
def loading() -> Stage:
    stage = Stage()
    stage.controller.open_model(BIG)
    return stage


def test_share_and_seconds_left_come_from_the_reports(loading: Stage) -> None:
    assert loading.trace.loading_text(2.4) == "loading big … 2 s"
    loading.report(0, 0.0)
    assert "░░░░░░░░░░░░░░░░░░░░ 0 %\n" in loading.trace.loading_text(3)
    loading.report(0.5, 4.0)
    assert "██████████░░░░░░░░░░ 50 %, 4 s left\n" in loading.trace.loading_text(9)
    loading.report(0.1, 60.0)
    assert "██░░░░░░░░░░░░░░░░░░ 10 %, 10 min left\n" in loading.trace.loading_text(9)
    prompt = Loading(trace=loading.trace.id, share=0.5, size=0, prompt=2_000)
    loading.session._dispatch([prompt])
    assert loading.trace.loading_text(9).startswith("reading 2,000 tokens\n██████████░░░")


def test_another_model_that_is_opened_ends_the_loading_of_the_first(loading: Stage) -> None:
    loading.session.deliver()
    first = loading.trace
    loading.controller.open_model(SMALL)
    ended, begun = loading.session.asked[-2:]
    assert ended == Cancel(first.id)
    assert isinstance(begun, Start)
    assert begun.model == "small"
    loading.session.deliver()
    assert not first.loading
    assert not loading.listener.lines  # the user knows
    assert loading.trace.frames


def test_the_same_model_goes_on_loading_for_another_seed(loading: Stage) -> None:
    loading.session.deliver()
    loading.controller.reseed()
    assert not any(isinstance(request, Cancel) for request in loading.session.asked)


def test_a_step_key_loads_a_model_whose_loading_was_stopped(loading: Stage) -> None:
    loading.session.deliver()
    loading.controller.play()
    loading.session.deliver()
    assert loading.trace.load_stopped
    loading.controller.step(1)
    loading.session.deliver()
    assert len(loading.trace.frames) == 1


def test_a_column_of_a_comparison_shows_it(loading: Stage) -> None:
    columns = Columns(loading.session, None, loading.listener, [Column(loading.trace, "big")], "x")
    columns.handle(Loading(trace=loading.trace.id, share=0.3, size=0), 1.0)
    assert "30 %" in loading.trace.loading_text(0)


async def test_the_pane_shows_the_share_and_what_to_press(shipped, open_app: Opener) -> None:
    async with open_app(worker=in_process(SlowWorker)) as pilot:
        await pilot.press("2", "space")
        await until_seen(pilot, "██████░░░░░░░░░░░░░░ 30 %")
        assert "538 MB of memory · space stops" in seen(pilot)
        await pilot.press("space")
        await until_seen(pilot, "shakespeare is not loaded. Press space to load it")
        await pilot.press("space")
        await until_seen(pilot, "What light")


async def test_a_model_that_others_made_is_not_loaded_in_advance(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        home = home_of(pilot)
        assert home.offered_models()
        for pane in home.query(TracePane):
            pane.controller.use_model(BIG)
        assert home.offered_models() == []
