"""Draw the pictures in this folder from the app itself: `python screenshots/draw.py`.

Everything on them is real: the shipped models write and draw, and a small `prose` run is
trained for them, on the spot and in a folder that is removed again. Takes about two
minutes on two cores; needs the `dev` extra (resvg) and a monospace font.
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import resvg_py

HERE = Path(__file__).parent
FONT = "DejaVu Sans Mono"
TRAINED_STEPS = 420
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
    from genui.recipes import find_recipe, override
    from genui.runs import control
    from genui.runs.launch import launch
    from genui.runs.layout import read_status
    from genui.ui.app import GenuiApp

    run = launch(override(find_recipe("prose"), SMALL), SMALL, "manual")
    app = GenuiApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: read_status(run).step >= TRAINED_STEPS, 600)
        control.send(run, "pause")  # the models on the pictures get the processor
        await until(pilot, lambda: read_status(run).state == "paused")
        await prepare(pilot)
        control.send(run, "resume")
        await pilot.pause(2.0)
        save(app, "home.png")
        for key, name in (("2", "text.png"), ("3", "canvas.png"), ("4", "training.png")):
            await pilot.press(key)
            await pilot.pause(1.5)
            save(app, name)
        await beside(pilot)
        await grid(pilot)
        await pilot.press("1", "question_mark")
        await pilot.pause(1.0)
        save(app, "help.png")
        await pilot.press("escape")
        for columns, rows, name in ((80, 24, "small.png"), (200, 60, "large.png")):
            await pilot.resize_terminal(columns, rows)
            await pilot.pause(2.0)
            save(app, name)
    control.send(run, "stop")
    await asyncio.to_thread(wait_for_end, run)


async def prepare(pilot: object) -> None:
    """A text under way, and a picture two thirds out of the noise, by keyboard."""
    press, pause = pilot.press, pilot.pause  # type: ignore[attr-defined]
    await press("1")
    await choose(pilot, "shakespeare")
    await pause(6.0)
    await press("space")  # hold
    await press("escape", "1")
    await choose(pilot, "emoji")
    await press("end")
    await pause(6.0)
    await press(*["left"] * 6)
    await press("escape", "1")


async def beside(pilot: object) -> None:
    """Three continuations of the prompt, in step."""
    press, pause = pilot.press, pilot.pause  # type: ignore[attr-defined]
    await press("2", "w")
    await pause(0.8)
    await press("enter")
    await pause(1.5)
    await press("space")
    await pause(8.0)
    save(pilot.app, "beside.png")  # type: ignore[attr-defined]
    await press("escape")
    await pause(0.5)


async def grid(pilot: object) -> None:
    """Four seeds at four strengths of guidance."""
    press, pause = pilot.press, pilot.pause  # type: ignore[attr-defined]
    await press("3", "w")
    await pause(0.8)
    await press("enter", "enter")
    await pause(1.0)
    await press("end")
    await pause(14.0)
    save(pilot.app, "grid.png")  # type: ignore[attr-defined]
    await press("w")
    await pause(0.8)
    await press(*"none", "enter", *"none", "enter")
    await pause(6.0)


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


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["GENUI_HOME"] = home
        os.environ.setdefault("COLORTERM", "truecolor")
        sys.exit(asyncio.run(draw()))
