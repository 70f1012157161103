"""Home before a key is pressed: it plays by itself, yields to anybody, and ends."""

import os
from pathlib import Path
from typing import Any

import pytest
import stage
from acting import Opener, home_of, until
from textual.pilot import Pilot

from genui.kinds.image import CAPTIONS
from genui.ui import demo
from genui.ui.generate.pane import TracePane
from genui.ui.home_panes import ModelsPane
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.lists import RowList


@pytest.fixture(autouse=True)
def _lively(usual_pace: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENUI_QUIET", "0")


def pane(pilot: Pilot[None], name: str) -> TracePane:
    return home_of(pilot).query_one(f"#{name}", TracePane)


def shown_steps(trace: ShownTrace[Any] | None) -> int:
    return trace.position if trace is not None else 0


def moving(pilot: Pilot[None], name: str) -> bool:
    return shown_steps(pane(pilot, name).trace) > 0


async def test_an_image_and_a_text_play_until_a_key_takes_over_and_leaves_what_is_shown(
    shipped: Path, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "END_TICKS", 10_000)
    async with open_app() as pilot:
        await until(pilot, lambda: moving(pilot, "canvas") and moving(pilot, "text"))
        model = pane(pilot, "canvas").controller.model
        assert model is not None
        assert model.name == "icons"
        assert pane(pilot, "canvas").controller.prompt in CAPTIONS
        await until(pilot, lambda: moving(pilot, "canvas"))
        await pilot.press("down")
        home = home_of(pilot)
        assert not home.demo.playing
        for name in ("text", "canvas"):
            trace = pane(pilot, name).trace
            assert trace is not None
            assert not trace.playing
        assert len(pane(pilot, "canvas").controller.tree.branches) == 1
        home.demo.start(home.models)  # never again in this session
        assert not home.demo.playing


async def test_space_plays_the_model_that_is_highlighted(shipped: Path, open_app: Opener) -> None:
    async with open_app() as pilot:
        rows = home_of(pilot).query_one(ModelsPane).query_one(RowList)
        assert rows.chosen == "model:icons"
        await pilot.press("down", "space")
        chosen = rows.chosen.removeprefix("model:")
        controllers = [pane(pilot, name).controller for name in ("text", "canvas")]
        await until(
            pilot,
            lambda: any(
                c.model is not None
                and c.model.name == chosen
                and c.trace is not None
                and c.trace.position > 0
                for c in controllers
            ),
        )


async def test_at_80_columns_the_canvas_is_what_plays(shipped: Path, open_app: Opener) -> None:
    async with open_app(size=(80, 24)) as pilot:
        await until(pilot, lambda: moving(pilot, "canvas"))
        assert home_of(pilot).current == "canvas"
        assert pane(pilot, "text").trace is None


async def test_a_new_caption_follows_and_after_two_minutes_all_is_still(
    shipped: Path, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "END_TICKS", 0)
    async with open_app() as pilot:
        captions = set()

        def changed() -> bool:
            captions.add(pane(pilot, "canvas").controller.prompt)
            return len(captions & set(CAPTIONS)) > 1

        await until(pilot, changed)
        monkeypatch.setattr(demo, "LONGEST", 0.0)
        await until(pilot, lambda: home_of(pilot).demo.over)
        assert not home_of(pilot).demo.playing


@pytest.mark.parametrize("reason", ["quiet", "load", "run", "models"])
async def test_it_does_not_begin(
    reason: str,
    tmp_path: Path,
    shipped: Path,
    open_app: Opener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GENUI_QUIET")
    monkeypatch.setattr(os, "getloadavg", lambda: (99.0 if reason == "load" else 0.0, 0.0, 0.0))
    if reason == "quiet":
        monkeypatch.setenv("GENUI_QUIET", "1")
    if reason == "run":
        stage.make_run()
    if reason == "models":
        (shipped / "icons" / "model.safetensors").unlink()
    async with open_app() as pilot:
        assert not home_of(pilot).demo.playing
        assert pane(pilot, "canvas").trace is None
