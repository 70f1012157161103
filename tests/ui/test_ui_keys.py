"""The table of keys and what is made from it."""

from pathlib import Path

import pytest
from acting import Opener, home_of, key_event, seen, until, until_seen
from textual.color import Color
from textual.widget import Widget
from textual.widgets import Markdown, MarkdownViewer

from genui.base import paths
from genui.base.errors import MisuseError
from genui.protocol import TextSettings
from genui.ui import keys
from genui.ui.app import GenuiApp
from genui.ui.generate.pane import TracePane
from genui.ui.screens import Palette
from genui.ui.widgets.base import FooterLine, fit_keys
from genui.ui.windows import topic_of


def test_no_pane_has_a_key_twice() -> None:
    for pane in keys.TITLES:
        own = [k for key in keys.of_pane(pane) for k in key.keys.split(",")]
        if pane != "app":
            own += [k for key in keys.common(pane) for k in key.keys.split(",")]
        assert len(own) == len(set(own)), pane
    assert len({key.id for key in keys.TABLE}) == len(keys.TABLE)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_footer_never_loses_help_and_quit(width: int) -> None:
    for pane in keys.TITLES:
        shown = fit_keys(keys.footer(pane), width, {})
        assert {"app.help", "app.quit"} <= {key.id for key in shown}
        assert sum(len(k.shown) + len(k.description) + 3 for k in shown) <= width


async def test_the_help_shows_the_keys_of_the_focused_pane(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "question_mark")
        await until_seen(pilot, "Keys of Canvas")
        assert "Generate again from other noise" in seen(pilot)
        await pilot.press("escape")
        assert "Keys of Canvas" not in seen(pilot)


async def test_f1_opens_the_manual_at_the_page_of_the_focused_pane(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        for view, page, sentence in (
            ("2", "text", "Attention"),
            ("3", "images", "Step"),
            ("4", "watching", "Formats"),
            ("5", "lab", "learns points in the plane"),
        ):
            await pilot.press(view, "f1")
            await until_seen(pilot, f"Manual: {page}")
            await until_seen(pilot, sentence)
            await pilot.press("escape")
            assert "Manual: " not in seen(pilot)
            await pilot.press("1")


async def test_the_manual_of_a_medium_that_has_its_own_page() -> None:
    assert topic_of("canvas") == "images"
    assert topic_of("canvas", "image") == "images"
    assert topic_of("canvas", "video") == "video"
    assert topic_of("canvas", "audio") == "audio"
    assert topic_of("text", "code") == "code"


async def test_the_manual_turns_pages_and_goes_back(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("2", "question_mark")
        await until_seen(pilot, "Keys of Text")
        await pilot.press("f1")  # from the keys of a pane to its page
        await until_seen(pilot, "Manual: text")
        viewer = pilot.app.screen.query_one(MarkdownViewer)
        await viewer.go("settings.md")  # as a link on the page does
        await until_seen(pilot, "Manual: settings")
        await pilot.press("left")
        await until_seen(pilot, "Manual: text")
        await pilot.press("i", "down", "enter")  # the topics: start, then models
        await until_seen(pilot, "Manual: models")
        await pilot.press("t")
        await until_seen(pilot, "Ⅱ Limitations")  # a heading further down
        await pilot.press("t")
        assert "Ⅱ Limitations" not in seen(pilot)


async def test_the_manual_closes_while_a_page_is_being_made(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("f1")
        await until_seen(pilot, "Manual: models")
        viewer = pilot.app.screen.query_one(MarkdownViewer)
        viewer.post_message(Markdown.LinkClicked(viewer.document, "commands.md"))
        await pilot.press("escape")
        await until(pilot, lambda: "Manual: " not in seen(pilot))
        await pilot.press("3")
        await until_seen(pilot, "Canvas")


async def test_the_manual_has_the_generated_pages(
    shipped, open_app: Opener, genui_home: Path
) -> None:
    state = paths.state_dir()
    state.mkdir(parents=True)
    (state / keys.KEYMAP_FILE).write_text('"app.new_run" = "f9"\n')
    async with open_app() as pilot:
        await pilot.press("f1")
        await until_seen(pilot, "Manual: models")
        viewer = pilot.app.screen.query_one(MarkdownViewer)
        await viewer.go("keys.md")
        await until_seen(pilot, "f9 ")  # the user's own, not n
        await viewer.go("commands.md")
        await until_seen(pilot, "genui models")


async def test_the_border_shows_the_focus_through_zoom_and_theme(shipped, open_app: Opener) -> None:
    def lit(pane: Widget) -> bool:
        """The corner of its border, as drawn, has the colour of the focus."""
        strip = pane.render_lines(pane.outer_size.region)[0]
        style = next(iter(strip)).style
        assert style is not None
        return Color.from_rich_color(style.color) == Color.parse(
            pilot.app.theme_variables["border"]
        )

    async with open_app() as pilot:
        pane = home_of(pilot).query_one("#text", TracePane)
        assert not lit(pane)
        await pilot.press("tab", "tab")
        assert lit(pane)
        await pilot.press("z")
        assert lit(pane.query_one(".main"))
        await pilot.press("z")
        assert lit(pane)
        pilot.app.theme = "genui-light"
        await pilot.pause()
        assert lit(pane)
        footer = next(iter(pilot.app.screen.query_one(FooterLine).render_line(0)))
        assert footer.style is not None
        drawn = Color.from_rich_color(footer.style.color)
        assert drawn == Color.parse(pilot.app.theme_variables["primary"])
        await pilot.press("tab")
        assert not lit(pane)


async def test_a_key_can_be_remapped_by_id(shipped, open_app: Opener) -> None:
    paths.state_dir().mkdir(parents=True)
    (paths.state_dir() / keys.KEYMAP_FILE).write_text('text.reseed = "f5"\n')
    async with open_app() as pilot:
        pane = home_of(pilot).query_one("#text", TracePane)
        await until_seen(pilot, "cpu bf16")
        await pilot.press("2", "r")
        assert pane.trace is None
        await pilot.press("f5")
        await until(pilot, lambda: pane.trace is not None)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('text.reseeed = "f5"', "did you mean 'text.reseed'?"),
        ("text.reseed = 5", "expected a key in quotes"),
        ("text.reseed = ", "not TOML"),
    ],
)
def test_a_bad_keymap_is_one_line(tmp_path, text: str, fault: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(MisuseError) as raised:
        keys.load_keymap(path)
    assert fault in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_the_palette_has_actions_models_recipes_and_themes(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        for query, expected in (
            ("reseed", "Text: reseed"),
            ("open model icons", "Open model icons"),
            ("train emoji", "Train emoji"),
            ("theme", "Choose a theme"),
            ("back to pure noise", "Canvas: noise"),
        ):
            hits = Palette(home_of(pilot), None).search(query)
            assert expected in [str(hit.text) async for hit in hits]
        await pilot.press("ctrl+p", *"finished image")
        await until_seen(pilot, "To the finished image")
        await pilot.press("enter")
        await until(pilot, lambda: home_of(pilot).current == "canvas")
        await until_seen(pilot, "20/20")


async def test_keys_typed_at_once_reach_the_line_that_the_first_one_opens(
    shipped, open_app: Opener
) -> None:
    """As over a link that stalls: all of them are there before the line is."""
    async with open_app() as pilot:
        pane = home_of(pilot).query_one("#text", TracePane)
        app = pilot.app
        assert isinstance(app, GenuiApp)
        await pilot.press("2")
        for typed, temperature, prompt in (
            ("t|0|full_stop|9|enter", 0.9, "ROMEO:"),
            ("t|backspace|backspace|backspace|1|full_stop|5|enter|enter", 1.5, "ROMEO:"),
            ("t|2|escape|escape", 0.8, "ROMEO:"),
            ("e|H|e|y|enter", 0.8, "Hey"),
            ("e|H|e|y|escape", 0.8, "ROMEO:"),
        ):
            pane.controller.prompt = "ROMEO:"
            pane.controller.change(TextSettings())
            for key in typed.split("|"):
                pilot.app.post_message(key_event(key))
            await pilot.pause()
            # Keys are held until the line is there.
            await until(pilot, lambda: not app._queued_keys and app.screen is home_of(pilot))
            values = pane.controller.settings.temperature, pane.controller.prompt
            assert values == (temperature, prompt), typed
            assert not pane.has_class("-editing")
            assert pane.zoomed
