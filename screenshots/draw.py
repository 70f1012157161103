"""Draw the images in this folder from the app itself: `python screenshots/draw.py`.

Everything on them is real: the shipped models write and draw, and two small `shakespeare` runs
are trained for them, on the spot and in a folder that is removed again. Takes about four
minutes on two cores; needs the `dev` extra (resvg) and a monospace font.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import resvg_py

HERE = Path(__file__).parent
FONT = "DejaVu Sans Mono"
TRAINED_STEPS = 420
LAB_STEPS = 600
KEYS = '"text.side" = "f5"\n"canvas.grid" = "f6"\n"canvas.layout" = "f7"\n'
"""A user's keys for actions that have none of their own."""
SMALL = {"layers": "3", "width": "96", "context": "96", "batch": "12", "steps": "900"} | {
    "eval_every": "60",
    "sample_every": "60",
    "checkpoint_every": "120",
    "sample_tokens": "60",
}


def save(app: object, name: str) -> None:
    """The app's present screen as a PNG."""
    svg = app.export_screenshot(title="genui")  # type: ignore[attr-defined]
    # Textual names a web font that is not on this machine; the monospace one stands in.
    svg = svg.replace("Fira Code", FONT)
    png = resvg_py.svg_to_bytes(svg_string=svg, monospace_family=FONT, font_family=FONT)
    (HERE / name).write_bytes(bytes(png))
    print(f"screenshots/{name}", flush=True)


async def until(pilot: object, ready: object, seconds: float = 120.0) -> None:
    """Wait for the app, not for the clock."""
    deadline = time.monotonic() + seconds
    while not ready():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise SystemExit("screenshots: the app did not get there in time")
        await pilot.pause(0.1)  # type: ignore[attr-defined]


async def draw() -> None:
    from genui.recipes import find_recipe
    from genui.runs import control
    from genui.runs.launch import launch
    from genui.runs.layout import read_status
    from genui.ui.app import GenuiApp

    await live_home()
    hot = launch(find_recipe("shakespeare"), SMALL | {"learning_rate": "0.02"}, "plays-hot")
    run = launch(find_recipe("shakespeare"), SMALL, "plays")
    app = GenuiApp()
    async with app.run_test(size=(120, 40)) as pilot:
        for one in (hot, run):
            await until(pilot, lambda one=one: read_status(one).step >= TRAINED_STEPS, 600)
            control.send(one, "pause")  # the models on the images get the processor
            await until(pilot, lambda one=one: read_status(one).state == "paused")
        await prepare(pilot)
        control.send(run, "resume")
        await pilot.pause(2.0)
        for key, name in (("2", "text.png"), ("3", "canvas.png")):
            await pilot.press(key)
            await pilot.pause(1.5)
            save(app, name)
        await watching(pilot)
        await beside(pilot)
        await grid(pilot)
        await page(pilot)
        await pilot.press("1")
        await lab(pilot)
    for one in (hot, run):
        control.send(one, "stop")
        await asyncio.to_thread(wait_for_end, one)


async def live_home() -> None:
    """Home as it is on a first start, when no key was pressed: the demo, near a finished image."""
    from genui.ui.app import GenuiApp

    os.environ["GENUI_QUIET"] = "off"  # the demo plays, however busy the machine
    app = GenuiApp()
    async with app.run_test(size=(120, 40)) as pilot:

        def nearly_done() -> bool:
            text, image = (app.home.query_one(f"#{pane}").trace for pane in ("text", "canvas"))
            return (
                text is not None
                and image is not None
                and text.position > 120
                and (image.position >= 10)
            )

        await until(pilot, nearly_done)
        save(app, "home.png")
    os.environ["GENUI_QUIET"] = "on"


async def prepare(pilot: object) -> None:
    """A text under way, and an image two thirds out of the noise, by keyboard."""
    press, pause = pilot.press, pilot.pause  # type: ignore[attr-defined]
    await press("1")
    await choose(pilot, "shakespeare")
    await pause(6.0)
    await press("space")  # hold
    await press("escape", "1")
    await choose(pilot, "icons-128")
    await press("end")
    await pause(6.0)
    await press(*["left"] * 4)
    await press("escape", "1")


async def watching(pilot: object) -> None:
    """The Training screen with its cursor, and two runs over each other."""
    press, pause = pilot.press, pilot.pause  # type: ignore[attr-defined]
    await press("1", "4")
    await pause(2.0)
    await press(*["left"] * 12)
    await pause(1.5)
    save(pilot.app, "training.png")  # type: ignore[attr-defined]
    await press("end", "o")
    await pause(0.8)
    await press("down", "space", "escape", "tab", "tab")
    await pause(2.0)
    save(pilot.app, "runs.png")  # type: ignore[attr-defined]
    await press("tab", "tab", "1")
    await pause(1.0)


async def beside(pilot: object) -> None:
    """Three continuations of the prompt, in step."""
    press, pause = pilot.press, pilot.pause  # type: ignore[attr-defined]
    await press("2", "f5")
    await pause(0.8)
    await press("enter")
    await pause(1.5)
    await press("space")
    await pause(8.0)
    save(pilot.app, "beside.png")  # type: ignore[attr-defined]
    await press("escape")
    await pause(0.5)


async def lab(pilot: object) -> None:
    """Flow matching on two moons in the Lab, half way."""
    press, app = pilot.press, pilot.app  # type: ignore[attr-defined]
    await press("1", "5", "space")

    def trained() -> bool:
        trace = app.home.screens["lab"].lab.trace
        return trace is not None and trace.position >= LAB_STEPS

    await until(pilot, trained)
    await press("space")
    await pilot.pause(2.0)  # type: ignore[attr-defined]
    save(app, "lab.png")
    await press("1")


async def grid(pilot: object) -> None:
    """Four seeds at four strengths of guidance."""
    press, pause = pilot.press, pilot.pause  # type: ignore[attr-defined]
    await press("3", "f6")
    await pause(0.8)
    await press("enter", "enter")
    await pause(1.0)
    await press("end")
    await pause(14.0)
    save(pilot.app, "grid.png")  # type: ignore[attr-defined]
    await press("f6")
    await pause(0.8)
    await press(*"none", "enter", *"none", "enter")
    await pause(6.0)


async def page(pilot: object) -> None:
    """A play of which two thirds are decided, in any order, with the signs of how surely."""
    press, pause = pilot.press, pilot.pause  # type: ignore[attr-defined]
    await press("1")
    await choose(pilot, "masked-shakespeare")
    await press("end")
    await pause(6.0)
    await press(*["left"] * 20)
    await press("z")
    await pause(1.0)
    save(pilot.app, "page.png")  # type: ignore[attr-defined]
    await press("z", "escape", "1")


async def choose(pilot: object, name: str) -> None:
    """Open a model from the palette and start it."""
    press, pause = pilot.press, pilot.pause  # type: ignore[attr-defined]
    await press("ctrl+p")
    await pause(0.8)
    await press(*name)
    await pause(1.2)
    await press("enter")
    await pause(1.0)
    await press("space")


def wait_for_end(run: object) -> None:
    from genui.runs.listing import summarise

    while summarise(run).alive:  # type: ignore[arg-type]
        time.sleep(0.2)


def at_home(draw: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Draw with a GENUI_HOME that is gone afterwards, for a terminal of all colours."""
    from genui.base import paths

    with tempfile.TemporaryDirectory() as home:
        os.environ["GENUI_HOME"] = home
        os.environ["GENUI_QUIET"] = "on"
        os.environ.setdefault("COLORTERM", "truecolor")
        paths.state_dir().mkdir(parents=True, exist_ok=True)
        (paths.state_dir() / "keys.toml").write_text(KEYS)
        asyncio.run(draw())


if __name__ == "__main__":
    at_home(draw)
