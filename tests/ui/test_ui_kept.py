"""What is closed is freed: the app may stay open for days."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
import stage
from acting import FAST, Opener, running, until
from textual.screen import Screen
from textual.widget import Widget
from waiting import wait_for

from genui.ui.app import GenuiApp


def refer(screen: Screen[Any]) -> list[weakref.ref[object]]:
    """To a screen, its widgets and the lines that they have drawn."""
    widgets: list[Widget] = [screen, *screen.walk_children(Widget)]
    return [weakref.ref(part) for widget in widgets for part in (widget, widget._styles_cache)]


def all_freed(references: list[weakref.ref[object]]) -> Callable[[], bool]:
    def freed() -> bool:
        gc.unfreeze()  # the app freezes what there is after its first paint: here a window perhaps
        gc.collect()
        return not any(reference() is not None for reference in references)

    return freed


def name_keepers(references: list[weakref.ref[object]]) -> str:
    """The way from what should be gone to what keeps it: the nearest first."""
    kept: list[object] = [part for reference in references if (part := reference()) is not None]
    known, lines = {id(kept)}, list[str]()
    while kept and len(lines) < 200:
        part = kept.pop(0)
        known.add(id(part))
        keepers = [each for each in gc.get_referrers(part) if id(each) not in known]
        keepers = [each for each in keepers if not isinstance(each, FrameType)]
        known.update(map(id, keepers))
        lines.append(f"{type(part)} {str(part)[:80]!r} is kept by:")
        lines += [f"    {type(each)} {str(each)[:120]!r}" for each in keepers]
        kept += keepers
    return "\n".join(lines)


@pytest.mark.parametrize("key", ["?", "f1", "ctrl+p", "n", "m"])
async def test_a_closed_window_is_freed_with_all_that_it_has_drawn(
    shipped: object, open_app: Opener, key: str
) -> None:
    async with open_app() as pilot:
        home = pilot.app.screen
        await pilot.press(key)
        await until(pilot, lambda: pilot.app.screen is not home)
        references = refer(pilot.app.screen)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is home)
        for part in pilot.app, home, *home.walk_children(Widget):
            part.call_later(lambda: None)  # each keeps its last message, and with it who sent it
        await until(pilot, all_freed(references), tell=lambda: name_keepers(references))


def test_a_closed_app_is_freed(shipped: object, open_app: Opener) -> None:
    stage.make_run()

    async def use() -> list[weakref.ref[object]]:
        async with open_app() as pilot:
            await pilot.press("space")  # a text is written
            for view in "4", "3", "5", "1":
                await pilot.press(view)
            assert isinstance(pilot.app, GenuiApp)
            return [weakref.ref(pilot.app), *refer(pilot.app.home)]

    references = asyncio.run(use())  # the loop of an app keeps what its timers knew
    wait_for(all_freed(references))


@pytest.mark.parametrize("term", ["xterm", "no colour"])
async def test_the_filters_of_colours_are_the_same_for_each_line(
    monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLORTERM", "")
    if term == "no colour":
        monkeypatch.setenv("NO_COLOR", "1")
    async with running(GenuiApp(FAST), (80, 24)) as pilot:
        once, again = pilot.app.get_line_filters(), pilot.app.get_line_filters()
        assert once
        assert [id(each) for each in once] == [id(each) for each in again]
