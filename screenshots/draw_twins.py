"""Draw twins.png: `python screenshots/draw_twins.py`, from `genui twins` and the app.

A curve of each model over the other, by number of examples: Python or English, two texts that come
with genui. Needs the `dev` extra (resvg) and a monospace font.
"""

import asyncio
import os
import sys
import tempfile

from draw import save


async def draw() -> None:
    from genui.runs.listing import list_runs
    from genui.ui.app import WatchApp
    from genui.ui.watcher import WatchTarget

    app = WatchApp(WatchTarget("", tuple(list_runs()), list_runs, False))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(3.0)
        for key in ("o", "down", "space", "escape"):  # both runs
            await pilot.press(key)
            await pilot.pause(2.0)
        await app.action_press("board.log_x")
        await pilot.pause(2.0)
        save(app, "twins.png")


def main() -> int:
    from genui.cli.main import main as genui

    with tempfile.TemporaryDirectory() as home:
        os.environ["GENUI_HOME"] = os.environ.get("GENUI_HOME") or home
        os.environ.setdefault("COLORTERM", "truecolor")
        code = 0 if os.environ["GENUI_HOME"] != home else genui(["twins", "python-or-prose"])
        if code == 0:
            asyncio.run(draw())
        return code


if __name__ == "__main__":
    sys.exit(main())
