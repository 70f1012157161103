"""A whole kind of model as a plug-in: one folder outside genui, in the shell and in the app."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from plugin_site import Site, train

EXAMPLE = Path(__file__).with_name("plugin_strokes")
SMALL = ("device=cpu", "threads=1", "batch=32")
START = ("generate", "mine", "--strokes", "6", "--seed", "1", "--out")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """What `pip install tests/plugin_strokes` leaves, with a model that is trained once."""
    made = Site(EXAMPLE, tmp_path_factory.mktemp("strokes"))
    recipes, pen, keys, _, models, *_ = made.genui(
        ["recipes"], ["help", "pen"], ["help", "keys"], train("circles", 30, SMALL), ["models"],
        [*START, "a.png"], [*START, "a.gif"],
    )  # fmt: skip
    assert "circles" in recipes
    assert "stroke by stroke" in pen
    assert "| `--pen N` | 1 to 8 | width of the line in pixels |" in pen
    assert "pen.reseed" in keys
    assert "drawing" in models
    return made


def test_what_a_plug_in_draws_and_its_settings_and_edits_are_saved_and_replayed(
    site: Site,
) -> None:
    """In another process than drew it, and without the plug-in."""
    given = {
        "thick": ("--pen", "4"),
        "other": ("--fork", "3:wobble=5", "--fork", "4:jump=0.9,-0.9"),
    }
    made = [[*START, f"{name}.png", *more] for name, more in given.items()]
    options, *_, png, gif, other, shown = site.genui(
        ["generate", "--help"], *made, ["replay", "a.png"], ["replay", "a.gif"],
        ["replay", "other.png"], ["show", "other.png"],
    )  # fmt: skip
    assert "--pen N" in options
    assert len({Image.open(site.folder / f"{name}.png").tobytes() for name in ("a", *given)}) == 3
    assert png == gif == other == "identical\n"
    assert '"kind":"strokes/drawing"' in (site.folder / "a.png").read_bytes().decode("latin-1")
    recipe = Image.open(site.folder / "other.png").text["genui"]  # type: ignore[attr-defined]
    assert '{"step":4,"edit":{"type":"jump","x":0.9,"y":-0.9}}' in recipe
    assert "4:jump=0.9,-0.9" in shown
    done = subprocess.run(
        [sys.executable, "-m", "genui", "replay", "thick.png"],
        env=site.bare, cwd=site.folder, text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        "genui: thick.png: its recipe needs the kind of model with the settings 'strokes/drawing', "
        "which is not here; start genui with the plug-in that adds it: genui --plugin FILE\n"
    )


IN_THE_APP = """
import asyncio
from pathlib import Path
from genui.runs.models import find_model
from genui.ui.app import GenuiApp
from genui.ui.generate.pane import TracePane

async def until(pilot, holds):
    while not holds():
        await pilot.pause(0.05)

async def main():
    app = GenuiApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: any(m.name == "mine" for m in app.home.models))
        app.home.open_model(next(m for m in app.home.models if m.name == "mine"))
        await until(pilot, lambda: app.home.query("#pen"))
        pane = app.home.query_one("#pen", TracePane)
        await until(pilot, lambda: pane.controller.frame is not None)
        await pilot.press("end")
        await until(pilot, lambda: pane.controller.trace.position == 24)
        before = pane.controller.frame.x
        await pilot.press("r", "end")
        await until(pilot, lambda: pane.controller.trace.position == 24)
        assert pane.controller.frame.x != before
        from genui.ui.traces.export import formats
        assert ".png" in [form.suffix for form in formats(pane.controller.trace)]
        def tells(words):  # whether the tour is there
            return any(words in str(line.content) for line in app.screen.query(".tour-text"))
        app.action_tour()
        await until(pilot, lambda: tells("Models are listed"))
        while not tells("with a pen"):
            assert not tells("That was the tour")
            await pilot.press("f2")
        await pilot.press("r")
        await until(pilot, lambda: tells("Now train a model"))
        print("drawn")

asyncio.run(asyncio.wait_for(main(), 240))
"""


def test_the_app_shows_it_in_the_place_of_the_canvas(site: Site) -> None:
    assert "drawn" in site.python("-c", IN_THE_APP)
