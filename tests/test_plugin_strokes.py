"""A whole kind of model as a plug-in: one folder outside genui, in the shell and in the app."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from plugin_site import install_plugin

EXAMPLE = Path(__file__).with_name("plugin_strokes")
SMALL = ("device=cpu", "threads=1", "batch=32")

Genui = Callable[..., str]


@pytest.fixture
def genui(tmp_path: Path) -> Genui:
    """Runs Python with genui and what `pip install tests/plugin_strokes` leaves."""
    site = tmp_path / "site"
    install_plugin(EXAMPLE, site)
    path = f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            env=os.environ | {"PYTHONPATH": path}, cwd=tmp_path, text=True, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def train(genui: Genui) -> None:
    settings = [word for pair in SMALL for word in ("--set", pair)]
    words = ("train", "circles", "--steps", "30", "--name", "mine", *settings, "--foreground")
    genui("-m", "genui", *words)


def test_a_kind_of_a_plug_in_is_listed_trained_drawn_and_replayed(
    genui: Genui, tmp_path: Path
) -> None:
    assert "circles" in genui("-m", "genui", "recipes")
    assert "stroke by stroke" in genui("-m", "genui", "help", "pen")
    assert "pen.reseed" in genui("-m", "genui", "help", "keys")
    train(genui)
    assert "drawing" in genui("-m", "genui", "models")
    for name in ("a.png", "a.gif"):
        words = ("generate", "mine", "--strokes", "6", "--seed", "1", "--out", name)
        genui("-m", "genui", *words)
        assert genui("-m", "genui", "replay", name).strip() == "identical"
    assert '"kind":"strokes/drawing"' in (tmp_path / "a.png").read_bytes().decode("latin-1")


def test_settings_and_edits_of_a_plug_in_are_options_saved_and_replayed(
    genui: Genui, tmp_path: Path
) -> None:
    """In the shell, in a saved file, and without the plug-in."""
    assert "--pen N" in genui("-m", "genui", "generate", "--help")
    assert "| `--pen N` | 1 to 8 | width of the line in pixels |" in genui(
        "-c", "from genui.protocol.manual import read_page; print(read_page('pen'))"
    )
    train(genui)
    start = ("generate", "mine", "--strokes", "6", "--seed", "1", "--out")
    given = {
        "thin": (),
        "thick": ("--pen", "4"),
        "other": ("--fork", "3:wobble=5", "--fork", "4:jump=0.9,-0.9"),
    }
    for name, more in given.items():
        genui("-m", "genui", *start, f"{name}.png", *more)
    drawn = {name: Image.open(tmp_path / f"{name}.png").tobytes() for name in given}
    assert len({*drawn.values()}) == len(given)
    assert genui("-m", "genui", "replay", "other.png").strip() == "identical"
    recipe = Image.open(tmp_path / "other.png").text["genui"]  # type: ignore[attr-defined]
    assert '{"step":4,"edit":{"type":"jump","x":0.9,"y":-0.9}}' in recipe
    assert "4:jump=0.9,-0.9" in genui("-m", "genui", "show", "other.png")
    done = subprocess.run(
        [sys.executable, "-m", "genui", "replay", "thick.png"],
        cwd=tmp_path, text=True, capture_output=True,
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
        await until(pilot, lambda: tells("The models are listed"))
        while not tells("with a pen"):
            assert not tells("That was the tour")
            await pilot.press("f2")
        await pilot.press("r")
        await until(pilot, lambda: tells("Now train a model"))
        print("drawn")

asyncio.run(asyncio.wait_for(main(), 240))
"""


def test_the_app_shows_it_in_the_place_of_the_canvas(genui: Genui, tmp_path: Path) -> None:
    train(genui)
    assert "drawn" in genui("-c", IN_THE_APP)
