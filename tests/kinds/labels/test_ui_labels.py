"""Labels: what a classifier says of what is shown, while it is generated."""

from pathlib import Path

import pytest
import stage
from acting import SLOW, Opener, each_size, home_of, seen, until, until_seen
from textual.pilot import Pilot

from genui import protocol
from genui.protocol import Label, Request
from genui.ui.generate.pane import TracePane
from genui.ui.messages import Reply
from genui.ui.traces.trees import Lost
from genui.ui.widgets.candidates import LabelBars
from genui.ui.widgets.lists import RowList


@pytest.fixture
def judged(shipped: Path) -> Path:
    """Beside the models that generate, a classifier of texts and one of images."""
    stage.ship(shipped, "speakers", "fashion-labels")
    return shipped


def bars(pilot: Pilot[None], pane: str = "text") -> LabelBars:
    return home_of(pilot).query_one(f"#{pane} LabelBars", LabelBars)


async def test_a_key_shows_the_likeliest_labels_of_the_text_at_the_playhead(
    judged, open_app: Opener
) -> None:
    """And the Canvas asks classifiers of images only."""
    async with open_app() as pilot:
        await pilot.press("2", "text.labels")
        await until_seen(pilot, "speakers · press space")
        await pilot.press("right", "right", "right")
        async for _ in each_size(pilot):
            await until_seen(pilot, "speakers · step 3")
            assert "ROMEO" in seen(pilot)
            assert "75%" in seen(pilot)
            assert "█" in seen(pilot)
            assert "[b]NURSE" in seen(pilot)  # shown as it is, no markup
        await pilot.press("right")
        await until_seen(pilot, "speakers · step 4")
        await pilot.press("left", "left")
        await until_seen(pilot, "speakers · step 2")
        await pilot.press("text.labels")
        assert not bars(pilot).display
        assert "ROMEO  " not in seen(pilot)
        await pilot.press("3", "right", "right", "canvas.labels")
        await until_seen(pilot, "fashion-labels · step 2")
        assert "speakers" not in bars(pilot, "canvas").heading
        await pilot.press("canvas.labels")
        assert not bars(pilot, "canvas").display


async def test_they_are_asked_a_few_times_a_second_while_it_writes(
    judged, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genui.ui.session import Session

    asked: list[int] = []
    put = Session.put

    def counted(self: Session, request: Request) -> None:
        if isinstance(request, Label):
            asked.append(request.step)
        put(self, request)

    monkeypatch.setattr(Session, "put", counted)
    async with open_app() as pilot:  # a worker that writes hundreds of tokens a second
        await pilot.press("2", "text.labels", "space")
        pane = home_of(pilot).query_one("#text", TracePane)
        await until(pilot, lambda: pane.trace is not None and pane.trace.finished)
        await until(pilot, lambda: bool(asked) and asked[-1] == 400)
        assert len(asked) < 100
        await until_seen(pilot, "step 400")


async def test_what_a_classifier_cannot_say_is_a_line(judged, open_app: Opener) -> None:
    async with open_app() as pilot:
        home_of(pilot).query_one("#text", TracePane).controller.prompt = "zebra"
        await pilot.press("2", "right", "text.labels")
        await until_seen(pilot, "zebras: it gives labels to plays")


async def test_without_a_fitting_classifier_the_key_says_so(shipped, open_app: Opener) -> None:
    stage.ship(shipped, "fashion-labels")
    async with open_app() as pilot:
        await pilot.press("2", "text.labels")
        await until_seen(pilot, "no classifier fits")
        assert "fashion-labels" in seen(pilot)


async def test_labels_need_no_colour(
    judged, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with open_app() as pilot:
        await pilot.press("2", "right", "text.labels")
        await until_seen(pilot, "50%")


async def test_a_worker_that_dies_is_asked_again(judged, open_app: Opener) -> None:
    async with open_app(worker=SLOW) as pilot:
        await pilot.press("2", "right", "text.labels")
        await until_seen(pilot, "step 1")
        pane = home_of(pilot).query_one("#text", TracePane)
        pane.labels._pending = (99, 1)  # a question that the next worker knows nothing of
        pane.post_message(Reply(Lost()))
        await pilot.press("right")
        await until_seen(pilot, "step 2")


async def test_a_lost_answer_about_one_branch_leaves_others_labelled(
    judged, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genui.ui.session import Session

    lost: list[Request] = []
    put = Session.put

    def lose_the_first(self: Session, request: Request) -> None:
        if isinstance(request, Label) and not lost:
            lost.append(request)  # as if its branch were closed before the answer
        else:
            put(self, request)

    monkeypatch.setattr(Session, "put", lose_the_first)
    async with open_app(worker=SLOW) as pilot:
        await pilot.press("2", "right", "text.labels")
        await until(pilot, lambda: bool(lost))
        await pilot.press("r")
        await until_seen(pilot, "speakers · step")


def test_the_answer_travels_as_it_is() -> None:
    told = protocol.Labels(trace=1, step=2, model="speakers", labels=(("ROMEO", 0.5),))
    assert list(protocol.replies().feed(protocol.encode(told))) == [told]


# --- opening a classifier from the list ---------------------------------------------------------


@pytest.mark.parametrize(
    ("classifier", "pane"), [("speakers", "text"), ("fashion-labels", "canvas")]
)
async def test_opening_a_classifier_labels_what_a_model_generates(
    classifier: str, pane: str, judged: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        rows = home_of(pilot).query_one(RowList)
        rows.chosen = f"model:{classifier}"
        await pilot.press("enter")
        await until_seen(pilot, f"{classifier} labels each step")
        shown = home_of(pilot).query_one(f"#{pane}", TracePane)
        await until(pilot, lambda: shown.trace is not None)
        await until(pilot, lambda: bars(pilot, pane).display)


async def test_opening_a_classifier_keeps_what_the_user_writes(
    judged: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("2", "right", "right", "right")
        trace = home_of(pilot).query_one("#text", TracePane).trace
        await pilot.press("0")
        home_of(pilot).query_one(RowList).chosen = "model:speakers"
        home_of(pilot).open_model(
            next(model for model in home_of(pilot).models if model.name == "speakers")
        )
        await until_seen(pilot, "speakers · step 3")
        assert home_of(pilot).query_one("#text", TracePane).trace is trace
