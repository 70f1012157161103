"""The tour: each sentence gives way once what it names has happened, and to nothing else."""

import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import stage
from acting import FAST, Opener, board_of, home_of, running, seen, until, until_seen
from textual.pilot import Pilot

from genui.base import paths
from genui.runs.layout import RunDir, RunLock
from genui.ui import keys, new_run, tour
from genui.ui.app import GenuiApp
from genui.ui.generate.pane import TracePane
from genui.ui.home_panes import ModelsPane
from genui.ui.tour import CLOSE, END, TourStrip, list_steps, show_keys
from genui.ui.training.screen import TrainingScreen
from genui.ui.widgets.bars import FooterLine
from genui.ui.widgets.inputs import LineInput
from genui.ui.widgets.lists import RowList

STEPS = list_steps()
COUNT = len(STEPS) - 1  # without the demo, which the tests have off


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tour, "TICK", 0.01)
    monkeypatch.setattr(tour, "PAUSE", 0.0)
    monkeypatch.setattr(tour, "AWAY", 0.0)


class Trainer:
    """Stands in for the trainer that the form starts: the run is alive until it is stopped."""

    def __init__(self) -> None:
        self._life = ExitStack()
        self.run: RunDir | None = None

    def launch(self, *_: Any) -> RunDir:
        self.run = stage.make_run("shakespeare-quick", name="first", step=200, steps=1400)
        self._life.enter_context(RunLock(self.run))
        stage.set_state(self.run, "running", 200, 1400)
        return self.run

    def stop(self) -> None:
        self._life.close()
        if self.run is not None:
            stage.set_state(self.run, "stopped", 200, 1400)


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trainer]:
    trainer = Trainer()
    monkeypatch.setattr(new_run, "launch", trainer.launch)
    yield trainer
    trainer.stop()


async def strip_shown(pilot: Pilot[None]) -> None:
    """Waits for the strip of the screen in front, above its footer if it has one."""
    screen = pilot.app.screen

    def shown() -> bool:
        strips = [strip.region for strip in screen.query(TourStrip)]
        footers = [footer.region.y for footer in screen.query(FooterLine)]
        return (
            [strip.height for strip in strips] == [2]
            and screen.region.contains_region(strips[0])
            and footers in ([], [strips[0].bottom])
        )

    await until(pilot, shown)


async def strip_gone(pilot: Pilot[None]) -> None:
    await until(pilot, lambda: not pilot.app.screen.query(TourStrip))


def sentence(pilot: Pilot[None]) -> str:
    """What the strip of the screen in front says; "" before it is there."""
    lines = pilot.app.screen.query(".tour-text")
    return "".join(str(line.content) for line in lines)  # type: ignore[attr-defined]


async def at(pilot: Pilot[None], number: int, begin: str = "") -> None:
    """Waits for the step of that number, whose sentence begins so."""

    def reached() -> bool:
        places = pilot.app.screen.query(".tour-at")
        text = "".join(str(place.content) for place in places)  # type: ignore[attr-defined]
        return text.startswith(f"{number}/") and sentence(pilot).startswith(begin)

    await until(pilot, reached)


def text_of(pilot: Pilot[None]) -> TracePane:
    return home_of(pilot).query_one("#text", TracePane)


async def text_seen_finished(pilot: Pilot[None]) -> None:
    """Waits until the tour has seen the end of the text."""
    app = pilot.app
    assert isinstance(app, GenuiApp)
    await until(pilot, lambda: app.tour is not None and app.tour.now.trace("text").finished)


def has_curve(board: TrainingScreen) -> bool:
    cell = board.grid.chosen
    return cell is not None and cell.curve.extent() is not None


# --- The sentences ------------------------------------------------------------------------------


def test_each_sentence_fits_in_two_lines_of_80_columns() -> None:
    room = 80 - 2 - 6 - 9  # without the padding, the number and the keys
    sentences = [step.sentence for step in STEPS] + [END]
    ways = [step.place.way + step.sentence for step in STEPS]
    for one in [*sentences, *ways, *(CLOSE + sentence for sentence in sentences)]:
        parts = show_keys(one, {})
        text = "".join(part if isinstance(part, str) else part[0] for part in parts)
        assert len(textwrap.wrap(text, room)) <= 2, text


# --- The whole tour -----------------------------------------------------------------------------


BEFORE_TRAINING = (
    (1, "Models are listed", "space"),
    (2, "2 fills the screen", "2"),
    (3, "Space pauses", "left"),
    (4, "↑↓ choose another token", "down", "enter"),
    (5, "s goes to the settings", "s", "right"),
    (6, "3 is the Canvas", "3", "e", *"heart", "enter"),
    (7, "← goes back towards the noise", "left"),
    (8, "The caption named no colours", "r"),
    (9, "c, then Enter", "c", "enter"),
)
"""The steps, each with its sentence and the keys that it names."""


async def test_the_whole_tour_by_its_own_keys(
    shipped: Path, open_app: Opener, trainer: Trainer
) -> None:
    async with open_app(size=(80, 24)) as pilot:
        await pilot.press("f2")
        home_of(pilot).query_one(ModelsPane).query_one(RowList).chosen = "model:shakespeare"
        for number, begin, *pressed in BEFORE_TRAINING:
            await at(pilot, number, begin)
            if number == 3:
                await text_seen_finished(pilot)
            await pilot.press(*pressed)
        await at(pilot, 10, "Esc closes this. Now train a model: n")
        await strip_shown(pilot)  # in a window too
        await pilot.press("escape")
        await at(pilot, 10, "Now train a model")
        await pilot.press("n")
        await strip_shown(pilot)
        await pilot.press("ctrl+s")
        await at(pilot, 12, "4 shows every curve")  # what comes between has happened at once
        await strip_shown(pilot)  # on the Training screen too
        await pilot.press("4")
        await until(pilot, lambda: has_curve(board_of(pilot)))
        await pilot.press("left")
        await at(pilot, 13, "Ctrl+x stops it")
        await pilot.press("ctrl+x", "y")
        trainer.stop()
        await at(pilot, 14, "Ctrl+p finds")
        await pilot.press("ctrl+p")
        await at(pilot, 15, "Esc closes this. ? lists the keys")
        await strip_shown(pilot)
        await pilot.press("escape", "question_mark")
        await until(pilot, lambda: "That was the tour" in sentence(pilot))
        await pilot.press("escape", "f3")
        await strip_gone(pilot)


async def test_the_demo_is_the_first_step(
    shipped: Path, usual_pace: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENUI_QUIET", "0")
    app = GenuiApp(FAST, tour=True)
    async with running(app, (120, 40)) as pilot:
        await at(pilot, 1, "A demo by shipped models")
        await until_seen(pilot, f"1/{len(STEPS)}")
        assert app.home.demo.playing
        await pilot.press("1")
        await at(pilot, 2, "Models are listed")


async def test_genui_tour_without_a_demo_begins_with_the_models(shipped: Path) -> None:
    async with running(GenuiApp(FAST, tour=True), (80, 24)) as pilot:
        await at(pilot, 1, "Models are listed")
        await until_seen(pilot, f"1/{COUNT}")
        assert "Enter opens it" not in seen(pilot)  # the hint for those who take no tour


# --- Other keys ---------------------------------------------------------------------------------


async def test_a_key_that_has_no_effect_ends_no_step(shipped: Path, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("f2", "f2", "2")
        await at(pilot, 3, "Space pauses")
        await pilot.press("1", "1", "left", "h")  # the list has no steps to go back
        await at(pilot, 3, "2 for Text: Space pauses")
        await pilot.press("2", "end")
        await text_seen_finished(pilot)
        await at(pilot, 3, "Space pauses")
        await pilot.press("left")
        await at(pilot, 4)


async def test_skipping_leaves_out_what_needs_what_was_skipped(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("f2")
        await at(pilot, 1)
        for _ in STEPS:
            if sentence(pilot).startswith("? lists"):
                break
            assert "stops it" not in sentence(pilot)  # there is no training
            await pilot.press("f2")
        await pilot.press("f1")  # the manual will do as well
        await until(pilot, lambda: "That was the tour" in sentence(pilot))
        await pilot.press("escape", "f2")
        await strip_gone(pilot)


async def test_it_is_left_at_any_moment_and_the_app_goes_on(
    shipped: Path, open_app: Opener, usual_pace: None
) -> None:
    async with open_app(size=(80, 24)) as pilot:
        await pilot.press("2", "f2")
        await strip_shown(pilot)
        height = text_of(pilot).region.height
        await pilot.press("e", "x", "f3")  # while a prompt is typed
        await strip_gone(pilot)
        assert isinstance(line := pilot.app.focused, LineInput)
        assert line.value == "x"
        await pilot.press("f3", "enter")
        await until(
            pilot, lambda: (trace := text_of(pilot).trace) is not None and trace.position > 0
        )
        assert text_of(pilot).region.height == height + 2
        await pilot.press("f2")  # from its beginning
        await at(pilot, 1)


async def test_the_keys_are_those_of_the_user(shipped: Path, open_app: Opener) -> None:
    file = paths.state_dir() / keys.KEYMAP_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('"models.play" = "P"\n"tour.skip" = "f6"\n"app.home" = "f2"\n')
    async with open_app() as pilot:
        await until(pilot, lambda: bool(home_of(pilot).shell.user_keys))
        await pilot.press("app.tour")
        await until_seen(pilot, "then P: it writes a play")
        await until_seen(pilot, "f6 skip")
        await pilot.press("f2")
        await at(pilot, 1)
        await pilot.press("f6")
        await at(pilot, 2)
