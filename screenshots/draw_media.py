"""Draw walk.png, roll.png, voice.png and video.png: `python screenshots/draw_media.py`.

The shipped models of these kinds, each full-screen and part of the way through a trace.
Takes about a minute; needs the `dev` extra (resvg) and a monospace font.
"""

from typing import Any

from draw import at_home, save, until

SCENES = (
    ("fashion-gan", "walk", 40, ["left"] * 16),  # back towards the seed's own image
    ("chorales", "roll", 420, []),
    ("voice", "voice", 12, []),
    ("video", "video", 12, ["f7", "f7"]),  # all sixteen frames
)
"""Model, image, the step that it has reached, and the keys pressed then."""


async def draw() -> None:
    from genui.ui.app import GenuiApp

    app = GenuiApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(2.0)
        for model, name, step, keys in SCENES:
            await pilot.press("slash", *model, "enter", "space")
            await until(pilot, lambda model=model: trace_of(app, model) is not None)
            if not trace_of(app, model).playing:
                await pilot.press("space")
            await until(pilot, lambda m=model, step=step: trace_of(app, m).position >= step)
            await pilot.press("z")
            await pilot.pause(3.0)
            if trace_of(app, model).playing:
                await pilot.press("space")
            if keys:
                await pilot.press(*keys)
                await pilot.pause(2.0)
            save(app, f"{name}.png")
            await pilot.press("escape", "1")
            await pilot.pause(0.5)


def trace_of(app: Any, model: str) -> Any:
    """The trace in the Canvas's place, once it is of that model."""
    pane = app.home.query_one(f"#{app.home.slot}")
    opened = pane.controller.model
    return pane.trace if opened is not None and opened.name == model else None


if __name__ == "__main__":
    at_home(draw)
