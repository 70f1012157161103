"""Draw walk.png, roll.png, voice.png and video.png: `python screenshots/draw_media.py`.

The shipped models of these kinds, each full-screen and part of the way through a trace.
Takes about a minute; needs the `dev` extra (resvg) and a monospace font.
"""

import asyncio
import os
import sys
import tempfile

from draw import choose, save, until

SCENES = (("fashion-gan", "walk", 26), ("chorales", "roll", 420), ("voice", "voice", 12))
CLIP = ("video", "video", 12)


async def draw() -> None:
    from genui.ui.app import GenuiApp

    app = GenuiApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(2.0)
        for model, name, step in (*SCENES, CLIP):
            await choose(pilot, model)  # which holds it
            await pilot.press("space")
            await until(pilot, lambda step=step: shown(app) >= step)
            await pilot.press("z")
            await pilot.pause(3.0)
            if model == "chorales":
                await pilot.press("space")
            if (model, name, step) == CLIP:
                await pilot.press("p", "p")  # all sixteen frames
                await pilot.pause(2.0)
            save(app, f"{name}.png")
            await pilot.press("escape", "1")
            await pilot.pause(0.5)


def shown(app: object) -> int:
    """The step that the pane in the Canvas's place shows."""
    home = app.home  # type: ignore[attr-defined]
    trace = home.query_one(f"#{home.slot}").trace
    return trace.position if trace is not None else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["GENUI_HOME"] = home
        os.environ.setdefault("COLORTERM", "truecolor")
        sys.exit(asyncio.run(draw()))
