"""Draw twins.png: `python screenshots/draw_twins.py`, from `genui twins fashion` and the app.

A curve of each model over the other, by number of examples. Takes about a minute; needs the
`dev` extra (resvg), a monospace font, and Fashion-MNIST or the network.
"""

import asyncio
import os
import sys
import tempfile

from draw import save


async def draw() -> None:
    from genui.runs.listing import list_runs
    from genui.ui.app import WatchApp

    app = WatchApp("", list_runs(), list_runs, listing=False, note="")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(3.0)
        for key in ("o", "down", "space", "escape", "Y"):  # both runs, by logarithmic steps
            await pilot.press(key)
            await pilot.pause(2.0)
        save(app, "twins.png")


def main() -> int:
    from genui.cli.main import main as genui

    with tempfile.TemporaryDirectory() as home:
        os.environ["GENUI_HOME"] = os.environ.get("GENUI_HOME") or home
        os.environ.setdefault("COLORTERM", "truecolor")
        code = 0 if os.environ["GENUI_HOME"] != home else genui(["twins", "fashion"])
        if code == 0:
            asyncio.run(draw())
        return code


if __name__ == "__main__":
    sys.exit(main())
