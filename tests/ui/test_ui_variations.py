"""More like this one, kept ones, and: is it copied? In the app, on a worker that is not real."""

import json
import sys
from pathlib import Path

import msgspec
import pytest
from acting import Opener, each_size, home_of, runs_with, seen, until, until_seen
from PIL import Image
from textual.pilot import Pilot

from genui.base.shares import Share, ShareRow, ShareTable
from genui.formats.trees import list_favourites
from genui.protocol import AddNoise, SetSeed
from genui.ui import windows
from genui.ui.compare import COUNT, VariationsScreen
from genui.ui.generate.pane import TracePane
from genui.ui.widgets.prose import CodeProse
from genui.ui.windows import FavouritesScreen, MetricsScreen, NearestScreen, table


async def shown(pilot: Pilot[None], model: str, pane: str) -> TracePane:
    """A finished sample of that model."""
    home = home_of(pilot)
    home.open_model(next(each for each in home.models if each.name == model))
    found = home.query_one(f"#{pane}", TracePane)
    await until(pilot, lambda: found.trace is not None and found.trace.finished)
    return found


async def varied(pilot: Pilot[None]) -> VariationsScreen:
    """`v`, and all of them finished."""
    await pilot.press("v")
    await until(pilot, lambda: isinstance(pilot.app.screen, VariationsScreen))
    screen = pilot.app.screen
    assert isinstance(screen, VariationsScreen)
    await finished(pilot, screen)
    return screen


async def finished(pilot: Pilot[None], screen: VariationsScreen) -> None:
    def done() -> bool:
        others = screen.columns[1:]
        return len(others) == COUNT and all(column.trace.finished for column in others)

    await until(pilot, done)


def noise_of(screen: VariationsScreen) -> int:
    edit = screen.columns[1].trace.request.edits[-1].edit
    assert isinstance(edit, AddNoise)
    return edit.to


async def test_variations_of_an_image_are_a_grid_to_choose_from(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = await shown(pilot, "emoji", "canvas")
        screen = await varied(pilot)
        async for _ in each_size(pilot):
            text = seen(pilot)
            assert "1 this one" in text
            assert "Variations · 1 of 6 · distance: medium · add noise and denoise" in text
            assert "⏎ open" in text
        seeds = {column.trace.request.edits[0].edit for column in screen.columns[1:]}
        assert len(seeds) == COUNT
        assert all(isinstance(seed, SetSeed) for seed in seeds)
        await pilot.press("right", "down")
        assert screen.chosen == 4
        chosen = screen.columns[4].trace
        before = len(pane.controller.tree.branches)
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        assert pane.trace is chosen
        assert len(pane.controller.tree.branches) == before + 1
        assert pane.controller.tree.shown is not None
        assert pane.controller.tree.shown.parent == pane.controller.tree.branches[0].number
        await pilot.press("left")  # it goes on like any branch
        await until(pilot, lambda: pane.trace is not None and not pane.trace.finished)


async def test_farther_and_nearer_add_more_and_less_noise_and_r_makes_others(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = await shown(pilot, "emoji", "canvas")
        screen = await varied(pilot)
        usual = noise_of(screen)
        await pilot.press("plus")
        await finished(pilot, screen)
        assert noise_of(screen) < usual
        await until_seen(pilot, "distance: far · add noise and denoise")
        await pilot.press("minus", "minus")
        await finished(pilot, screen)
        assert noise_of(screen) > usual
        before = [column.trace.request.edits[0].edit for column in screen.columns[1:]]
        await pilot.press("r")
        await finished(pilot, screen)
        after = [column.trace.request.edits[0].edit for column in screen.columns[1:]]
        assert not {edit.seed for edit in before} & {edit.seed for edit in after}  # type: ignore[union-attr]
        await pilot.press("minus")
        await finished(pilot, screen)
        await pilot.press("minus")
        await until_seen(pilot, "they are very near already")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        assert len(pane.controller.tree.branches) == 1
        assert pane.trace is not None
        assert pane.trace.finished


async def test_variations_of_a_text_say_where_they_go_on_and_a_quotation_where_it_stands(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = await shown(pilot, "shakespeare", "text")
        assert pane.trace is not None
        total = pane.trace.total
        screen = await varied(pilot)
        async for _ in each_size(pilot):
            await until_seen(pilot, f"from token {round(total * 0.6)}")
            assert "sample again from an earlier token" in seen(pilot)
        await pilot.press("down", "down")
        assert screen.chosen == 2
        chosen = screen.columns[2].trace
        await pilot.press("enter")
        await until(pilot, lambda: pane.trace is chosen)
        assert (
            chosen.frames[: chosen.forked_at]
            == pane.controller.tree.branches[0].trace.frames[: chosen.forked_at]
        )
        await shown(pilot, "shakespeare", "text")
        pane = await shown(pilot, "shakespeare", "text")
        await until(pilot, lambda: pane.trace is not None and pane.trace.finished)
        await pilot.press("text.nearest")
        async for _ in each_size(pilot):
            await until_seen(pilot, "1 passage in four, 4 things")
        prose = pane.query_one(CodeProse)
        assert prose._text.shaded
        await pilot.press("up")  # to the passage before the cursor, the only one
        assert pane.trace is not None
        await until(pilot, lambda: pane.trace is not None and pane.trace.position == 2)
        await until_seen(pilot, "line 7")
        await until_seen(pilot, "12% of held-out passages have one as long")
        assert "…before it" in seen(pilot)
        await pilot.press("text.nearest")
        await until(pilot, lambda: not prose._text.shaded)


async def test_a_word_beside_the_caption_says_whether_seeds_give_one_picture(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = await shown(pilot, "emoji", "canvas")
        await pilot.press("enter", "canvas.agreement")
        await until_seen(pilot, "one picture · ")
        await pilot.press("canvas.nearest")  # the window has its own answer
        await until_seen(pilot, "nearest in four, 4 things")
        await pilot.press("escape", "canvas.agreement")
        await until(pilot, lambda: "one picture" not in seen(pilot))
        assert pane.trace is not None


async def test_with_nothing_to_vary_one_line_says_what_to_do(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        home_of(pilot).action_show_pane("canvas")
        await pilot.press("canvas.nearest")
        await until_seen(pilot, "nothing to compare yet")
        await pilot.press("asterisk")
        await until_seen(pilot, "nothing to save yet")
        pane = await shown(pilot, "emoji", "canvas")
        await pilot.press("home", "v")
        await until_seen(pilot, "still pure noise")
        await pilot.press("canvas.grid")
        await until_seen(pilot, "along x")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: pane.trace is not None and bool(pane.trace.request.grid))
        await until(pilot, lambda: pane.trace is not None and pane.trace.finished)
        await pilot.press("v")
        await until_seen(pilot, "variations need a single image")


async def test_a_favourite_is_kept_listed_opened_and_let_go(
    shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("F")
        await until_seen(pilot, "No favourites yet: press *")
        await pilot.press("escape")
        pane = await shown(pilot, "emoji", "canvas")
        screen = await varied(pilot)
        await pilot.press("right", "asterisk")
        await until_seen(pilot, "added to favourites")
        await until_seen(pilot, "★ 2 new noise")
        request = screen.columns[1].trace.request
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        await pilot.press("asterisk")
        await until(pilot, lambda: len(list_favourites()) == 2)
        await pilot.press("F")
        await until(pilot, lambda: isinstance(pilot.app.screen, FavouritesScreen))
        await until_seen(pilot, "★")
        await pilot.press("down", "enter")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        await until(pilot, lambda: pane.trace is not None and bool(pane.trace.request.edits))
        assert pane.trace is not None
        assert pane.trace.request.edits == request.edits
        await pilot.press("F")
        await until_seen(pilot, "★")
        await pilot.press("d")
        await until(pilot, lambda: len(list_favourites()) == 1)


async def test_variations_go_on_a_contact_sheet_and_the_nearest_images_beside_the_sample(
    shipped: Path, open_app: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_app() as pilot:
        await shown(pilot, "emoji", "canvas")
        await varied(pilot)
        await pilot.press("x")
        await until_seen(pilot, "variations.png")
        await pilot.press("enter")
        await until_seen(pilot, "6 samples")
        with Image.open(tmp_path / "variations.png") as sheet:
            assert sheet.width > 3 * 160
        await pilot.press("x")
        await until_seen(pilot, "variations-2.png")
        await pilot.press("backspace", *"variations", "full_stop", *"png", "enter")
        await until_seen(pilot, "exists already")
        await pilot.press("escape", "escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        pane = await shown(pilot, "emoji", "canvas")
        await pilot.press("canvas.nearest")
        await until(pilot, lambda: isinstance(pilot.app.screen, NearestScreen))
        async for _ in each_size(pilot):
            await until_seen(pilot, "nearest in four, 4 things · a ruler")
            await until_seen(pilot, "disc 0 · 5 from the sample")
        await pilot.press("right")
        await until_seen(pilot, "disc 1 · 15 from the sample")
        await pilot.press("enter")
        await until(pilot, lambda: "─ the sample ─" not in seen(pilot))
        assert "disc 1" in seen(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        # Where the data is not here, one line says so.
        pane.controller.prompt = "zebra"
        pane.controller.start_over(play=True)
        await until(pilot, lambda: pane.trace is not None and pane.trace.finished)
        await pilot.press("canvas.nearest")
        await until_seen(pilot, "nothing to compare with: zebras: no such file")


# --- the table of probes ------------------------------------------------------------------

ROWS = [
    {"model": "real images", "found": {
        "frechet": 1.5, "precision": 0.9, "recall": 0.8, "density": 1.0, "coverage": 0.95,
        "copying": 0.5, "right": 0.92}},
    {"model": "m\x1b[31m", "family": "gan", "fault": "m: draws nothing"},
]  # fmt: skip

MEASURER = """
import json, sys, time
print("torch says something", flush=True)
print(json.dumps({"progress": f"{sys.argv[1]}: 50/500 samples"}), flush=True)
row = {"model": sys.argv[1], "family": "diffusion", "found": None, "minutes": 33.0}
print(json.dumps({"row": row}), flush=True)
if sys.argv[1] == "slow":
    time.sleep(600)
if sys.argv[1] == "bad":
    sys.exit("genui: bad: no classifier of icons is here")
"""


def measurer(tmp_path: Path) -> tuple[str, str]:
    path = tmp_path / "measure.py"
    path.write_text(MEASURER)
    return sys.executable, str(path)


async def test_the_table_fills_and_says_what_it_measured(
    shipped: Path, open_app: Opener, tmp_path: Path
) -> None:
    async with open_app() as pilot:
        pilot.app.push_screen(MetricsScreen(("one",), measurer(tmp_path)))
        await until_seen(pilot, "33 min")
        await until_seen(pilot, "measured with 500 samples each")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        pilot.app.push_screen(MetricsScreen(("slow",), measurer(tmp_path)))
        await until_seen(pilot, "33 min")
        assert runs_with("slow")
        await pilot.press("escape")  # leaving ends the measuring
        await until(pilot, lambda: not runs_with("slow"))
        pilot.app.push_screen(MetricsScreen(("bad",), measurer(tmp_path)))
        await until_seen(pilot, "bad: no classifier of icons is here")


PROBER = """
import json, sys
if "canaries" in sys.argv:
    sys.exit("genui: one: no canaries were planted in its text")
share = {"hits": 3, "of": 20}
table = {"title": "what came back", "columns": ["held out", "written"], "notes": ["chance too"],
         "rows": [{"label": "30 or more", "shares": [{"hits": 0, "of": 20}, share]}]}
print(json.dumps({"shares": table}), flush=True)
"""


async def test_what_a_text_model_remembers_is_asked_probe_by_probe(
    shipped: Path, open_app: Opener, tmp_path: Path
) -> None:
    path = tmp_path / "probe.py"
    path.write_text(PROBER)
    async with open_app() as pilot:
        argv = (sys.executable, str(path))
        pilot.app.push_screen(MetricsScreen(("one",), argv, ("canaries", "extraction")))
        await until_seen(pilot, "measured")
        await until_seen(pilot, "chance too")
        text = seen(pilot)
        assert text.index("no canaries were planted") < text.index("what came back")
        assert "15.0 %" in text


SHARES = ShareTable(
    title="who speaks next",
    columns=("data", "top-p 0.8"),
    rows=(ShareRow(label="ROMEO", shares=(Share(20, 1000), Share(30, 100))),),
    notes=("▲ more than the data",),
)


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_a_probe_of_the_pane_draws_its_shares(
    shipped: Path,
    open_app: Opener,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
) -> None:
    line = json.dumps({"shares": msgspec.to_builtins(SHARES)})
    path = tmp_path / "measure.py"
    path.write_text(f"import sys\nprint({line!r}.replace('next', ' '.join(sys.argv[1:])))\n")
    monkeypatch.setattr(windows, "PROBER", (sys.executable, str(path)))
    async with open_app(size=size) as pilot:
        await shown(pilot, "shakespeare", "text")
        await pilot.press("text.shares")
        await until_seen(pilot, "--probe shares")
        await until_seen(pilot, "30.0 %▲ █")
        await until_seen(pilot, "▲ more than the data")


def test_a_wide_table_has_a_line_a_model_and_a_narrow_one_a_column_a_model() -> None:
    wide = str(table(ROWS, 200)).split("\n")
    assert wide[0].startswith("model")
    assert wide[1].startswith("real images")
    assert wide[2].startswith("m[31m") or wide[2].startswith("m ")
    assert wide[-1] == "m: draws nothing"
    narrow = str(table(ROWS, 60)).split("\n")
    assert narrow[0].split()[0] == "model"
    assert any(line.startswith("coverage") and "0.950" in line for line in narrow)
    assert max(map(len, narrow)) <= 60
    assert "\x1b" not in "".join(wide + narrow)


async def test_maps_of_words_take_the_place_of_the_image(shipped: Path, open_app: Opener) -> None:
    async with open_app() as pilot:
        await shown(pilot, "emoji", "canvas")
        await pilot.press("enter", "canvas.inside")
        await until_seen(pilot, "attention to each word")
        await until_seen(pilot, "disc")
        await until_seen(pilot, "blue")
        await pilot.press("canvas.inside")
        await until_seen(pilot, "channels of x̂₀")
        await pilot.press("canvas.inside")
        await until(pilot, lambda: "channels of" not in seen(pilot))
