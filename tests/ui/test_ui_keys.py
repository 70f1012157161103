"""The table of keys and what is made from it."""

import asyncio
import importlib
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from acting import Opener, home_of, key_event, seen, until, until_seen
from textual import events
from textual.app import App
from textual.binding import Binding
from textual.color import Color
from textual.widget import Widget
from textual.widgets import Markdown, MarkdownViewer

from genui.base import paths
from genui.base.errors import MisuseError
from genui.protocol import TextSettings
from genui.protocol.kinds import Kind
from genui.protocol.manual import topics
from genui.ui import keys
from genui.ui.app import GenuiApp
from genui.ui.generate.pane import TracePane
from genui.ui.home import HomeScreen
from genui.ui.home_panes import ModelsPane, TrainingPane
from genui.ui.key_help import HelpScreen, help_text
from genui.ui.manual import topic_of
from genui.ui.screens import Palette, PaletteScreen
from genui.ui.training.controls import RunControls
from genui.ui.training.screen import TrainingScreen
from genui.ui.training.table import RunTable
from genui.ui.widgets.bars import FooterLine, fit_keys
from genui.ui.widgets.dialogs import Window
from genui.ui.widgets.lists import RowList
from genui.ui.widgets.settings import SettingsPanel


def test_no_pane_has_a_key_twice() -> None:
    for pane in keys.titles():
        own = [k for key in keys.of_pane(pane) for k in key.keys.split(",") if k]
        if pane != "app":
            own += [k for key in keys.common(pane) for k in key.keys.split(",")]
        twice = {key for key in own if own.count(key) > 1}
        assert not twice, f"two rows of {pane} in genui/ui/keys.py have {twice}: give one another"
    ids = [key.id for key in keys.APP_KEYS]
    assert not {id for id in ids if ids.count(id) > 1}


def test_a_kind_replaces_no_key_of_the_app_or_of_another_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quit_key = keys.find_key("app.quit")
    rows = [
        replace(quit_key, description="another"),
        *(replace(quit_key, id="mine.key", description=text) for text in ("first", "second")),
    ]
    monkeypatch.setattr(keys, "KINDS", {("mine", "key"): SimpleNamespace(keys=lambda: rows)})
    assert keys.find_key("app.quit") == quit_key
    assert keys.find_key("mine.key").description == "first"


@pytest.mark.parametrize(
    "widget", [HomeScreen, ModelsPane, TrainingPane, TrainingScreen, RunTable, SettingsPanel]
)
def test_every_key_of_a_widget_has_an_action(widget: type[Widget]) -> None:
    rows = [row for row in widget.BINDINGS if isinstance(row, Binding) and "." not in row.action]
    assert rows
    for row in rows:
        name = f"action_{row.action.partition('(')[0]}"
        known = hasattr(widget, name) or hasattr(RunControls, name)  # which a run's host has too
        assert known, f"{row.id} of genui/ui/keys.py needs {name} in {widget.__name__}"


MEANINGS = {
    "tab": {"next_pane", "next_side"},
    "shift+tab": {"next_pane", "next_side"},
    "1": {"home"},
    **{digit: {"view"} for digit in "2345"},
    **{key: {"step", "cursor", "move", "change"} for key in "hl"},
    **{key: {"choose", "turn", "move"} for key in "jk"},
    "space": {"play", "pause", "open_row", "toggle_run", "done"},
    "e": {"edit", "edit_run", "points"},
    "r": {"reseed"},
    "f": {"fork"},
    "b": {"branches"},
    "v": {"variations"},
    "c": {"compare"},
    "enter": {"open_row", "open", "zoom", "enter", "set", "type", "toggle_run"},
    "z": {"zoom", "open"},
    "escape": {"back", "leave", "runs", "done"},
    "slash": {"filter", "search"},
    "y": {"copy"},
    "x": {"export"},
    "s": {"settings", "leave"},
    "n": {"new_run", "branch"},
    "o": {"runs"},
    "u": {"undo"},
    "ctrl+z": {"undo"},
    "ctrl+s": {"save", "checkpoint"},
    "question_mark": {"help"},
    "f1": {"manual"},
    "ctrl+p": {"app.command_palette"},
    "q": {"quit"},
    "V": {"verify"},
    "i": {"details", "into"},
    "d": {"delete_run"},
    "m": {"messages"},
    "D": {"drafts"},
    "w": {"why"},
    "F": {"favourites"},
    "G": {"generate", "generate_row"},
}
"""For each key of the grammar, the actions that have its meaning."""


def test_a_key_of_the_grammar_means_the_same_in_every_pane() -> None:
    for row in keys.list_keys():
        action = row.action.partition("(")[0].removeprefix("screen.")
        for key in filter(None, row.keys.split(",")):
            if key in MEANINGS:
                assert action in MEANINGS[key], row.id
            elif key in "HJKL":
                assert action in {"step", "cursor", "move"}, row.id
            else:  # beside the grammar there are no other letters
                assert not (len(key) == 1 and key.isalpha()), row.id
    listed = {key for group in keys.GRAMMAR for key in group.split(",")}
    assert MEANINGS.keys() - {"i", "d", "w", "D", "F", "G", "V"} <= listed


def test_windows_have_no_other_use_for_the_verbs_of_the_grammar() -> None:
    verbs = {
        "e": "edit edit_run name", "f": "fork", "b": "leave", "v": "leave", "c": "compare",
        "r": "more", "x": "export sheet choose", "s": "settings", "o": "runs", "u": "undo",
        "n": "answer leave", "y": "answer agree",
    }  # fmt: skip
    for module in (
        *("branches", "compare", "drafts", "export", "windows", "widgets.dialogs"),
        *(f"training.{name}" for name in ("alerts", "panels", "table", "console", "config")),
    ):
        for name, kind in vars(importlib.import_module(f"genui.ui.{module}")).items():
            for binding in vars(kind).get("BINDINGS", ()) if isinstance(kind, type) else ():
                for key in binding.key.split(","):
                    if key in verbs:
                        action = (
                            binding.action.partition("(")[0]
                            .removeprefix("screen.")
                            .removeprefix("app.")
                        )
                        assert action in verbs[key].split(), (name, key, action)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_footer_never_loses_help_and_quit(width: int) -> None:
    for pane in keys.titles():
        shown = fit_keys(keys.footer(pane), width, {})
        assert {"app.help", "app.quit"} <= {key.id for key in shown}
        assert sum(len(k.shown) + len(k.description) + 3 for k in shown) <= width


async def test_the_help_has_the_keys_of_a_pane_and_leads_to_its_page_of_the_manual(
    shipped,
    open_app: Opener,
) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "question_mark")
        await until_seen(pilot, "Keys of Canvas")
        assert "Generate again from other noise" in seen(pilot)
        await pilot.press("ctrl+p")  # which the help names
        await until(pilot, lambda: isinstance(pilot.app.screen, PaletteScreen))
        await until_seen(pilot, "Denoise")
        assert "Keys of Canvas" not in seen(pilot)
        await pilot.press("escape")
        await pilot.press("2", "question_mark")
        await until_seen(pilot, "Keys of Text")
        await pilot.press("f1")  # from the keys of a pane to its page
        await until_seen(pilot, "Manual: Text")
        viewer = pilot.app.screen.query_one(MarkdownViewer)
        await viewer.go("settings.md")  # as a link on the page does
        await until_seen(pilot, "Manual: Settings of a generation")
        await pilot.press("left")
        await until_seen(pilot, "Manual: Text")
        await pilot.press("i", "down", "enter")  # the topics: start, then models
        await until_seen(pilot, "Manual: Models")
        await pilot.press("t")
        await until_seen(pilot, "Ⅱ Limitations")  # a heading further down
        await pilot.press("t")
        assert "Ⅱ Limitations" not in seen(pilot)


@pytest.mark.parametrize("width", [60, 81])
def test_a_long_line_of_the_help_stays_in_its_column(width: int) -> None:
    lines = help_text("canvas", {}, width).plain.splitlines()
    assert all(len(line) <= width for line in lines)
    column = next(line for line in lines if "Denoise" in line).index("Denoise")
    rows = lines[1 : lines.index("")]
    assert any(line.startswith(" " * column) for line in rows)  # some line goes on
    assert all(line[column - 2 : column] == "  " and line[column] != " " for line in rows)


@pytest.mark.parametrize("theme", ["gruvbox", "nord", "solarized-light", "genui-dark"])
def test_muted_text_is_nearer_to_the_background_than_other_text(theme: str) -> None:
    app = GenuiApp()
    app.set_reactive(App.theme, theme)
    variables = app.get_css_variables()
    background, text, muted = (
        Color.parse(variables[name]) for name in ("background", "foreground", "text-muted")
    )
    distances = [abs(color.brightness - background.brightness) for color in (text, muted)]
    assert distances[0] > distances[1] > 0


async def test_f1_opens_the_manual_at_the_page_of_the_focused_pane(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        for view, page, sentence in (
            ("2", "Text", "Write and step"),
            ("4", "Watching", "Formats"),
        ):
            await pilot.press(view, "f1")
            await until_seen(pilot, f"Manual: {page}")
            await until_seen(pilot, sentence)
            await pilot.press("escape")
            assert "Manual: " not in seen(pilot)
            await pilot.press("1")


def test_the_manual_of_a_medium_that_has_its_own_page(marks: Kind) -> None:
    assert topic_of("canvas") == "images"
    assert topic_of("canvas", "image") == "images"
    assert topic_of("text") == "text"
    assert topic_of("text", "code") == "code"
    assert topic_of("pen") == topic_of("pen", "marks") == "marks"


@pytest.mark.parametrize("scope", keys.titles())
def test_every_place_has_a_page_of_the_manual(scope: str) -> None:
    assert topic_of(scope) in topics()


async def test_the_manual_closes_while_a_page_is_being_made(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("f1")
        await until_seen(pilot, "Manual: Models")
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
        await until_seen(pilot, "Manual: Models")
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
        ('text.reseed = "Ctrl+S"', "no key is called 'Ctrl+S'; write f5, ctrl+s"),
        ('text.reseed = "r,f55"', "no key is called 'f55'"),
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


def test_every_key_of_the_table_may_be_named(tmp_path) -> None:
    path, named = tmp_path / "keys.toml", {row.id: row.keys for row in keys.list_keys() if row.keys}
    named |= {"text.reseed": "?", "text.fork": "R, +,alt+x,ctrl+shift+left,é"}
    path.write_text("".join(f'{id} = "{value}"\n' for id, value in named.items()))
    assert keys.load_keymap(path) == named


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
    paths.state_dir().mkdir(parents=True)
    (paths.state_dir() / keys.KEYMAP_FILE).write_text('text.temperature = "t"\n')
    async with open_app() as pilot:
        pane = home_of(pilot).query_one("#text", TracePane)
        app = pilot.app
        assert isinstance(app, GenuiApp)
        await pilot.press("2")
        for typed, temperature, prompt in (
            ("t|0|full_stop|9|enter", 0.9, "ROMEO:"),
            ("t|backspace|backspace|backspace|1|full_stop|5|enter|enter", 1.5, "ROMEO:"),
            ("t|2|escape", 0.8, "ROMEO:"),
            ("s|home|enter|0|full_stop|9|enter|escape", 0.9, "ROMEO:"),
            ("s|home|right|right|s", 0.9, "ROMEO:"),
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


async def test_keys_are_handled_as_they_were_typed_while_the_app_is_busy(open_app: Opener) -> None:
    handled: list[str] = []
    ready = asyncio.Event()

    class Slow(Window[None]):
        async def on_mount(self) -> None:
            await ready.wait()

        def on_key(self, event: events.Key) -> None:
            event.stop()
            handled.append(event.key)

    async with open_app(lists=False) as pilot:
        app = pilot.app
        app.push_screen(Slow())
        await until(pilot, lambda: isinstance(app.screen, Slow))
        typed = ["up", "down", "left", "right", "home"]
        for key in typed[:-1]:
            app.post_message(key_event(key))
        for _ in range(20):
            await asyncio.sleep(0)
        ready.set()
        while not app.screen.is_mounted:
            await asyncio.sleep(0)
        time.sleep(0.1)  # the loop is busy until after the queue is looked at
        app.post_message(key_event(typed[-1]))
        await until(pilot, lambda: len(handled) == len(typed))
        assert handled == typed


async def test_keys_typed_ahead_are_for_what_the_keys_before_have_opened_or_closed(
    shipped,
    open_app: Opener,
) -> None:
    async with open_app() as pilot:
        app = pilot.app
        assert isinstance(app, GenuiApp)
        for closing in ("escape", "escape|f2|f3"):
            for key in f"ctrl+p|J|space|5|{closing}|question_mark".split("|"):
                app.post_message(key_event(key))
            await until(pilot, lambda: isinstance(app.screen, HelpScreen))
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is home_of(pilot))
            assert app.tour is None
        home = home_of(pilot)
        pane = home.query_one("#text", TracePane)
        for key in ("slash", *"shakespeare", "enter", "space"):
            pilot.app.post_message(key_event(key))
        await until(pilot, lambda: pane.trace is not None)
        assert home.current == "text"
        await pilot.press("1", "escape")  # to the list, and without the filter
        assert home.current == "models"
        for key in ("slash", "x", "escape", "end"):  # to the last row, not to the end of the line
            pilot.app.post_message(key_event(key))
        rows = home.query_one("#rows", RowList)
        await until(pilot, lambda: rows.chosen == rows.rows[-1].key)


async def test_the_list_of_settings_goes_round(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("2", "s")
        rows = home_of(pilot).query_one("#text SettingsPanel RowList", RowList)
        await until(pilot, lambda: bool(rows.rows) and rows.has_focus)
        first, last = rows.rows[0].key, rows.rows[-1].key
        rows.chosen = first
        await pilot.press("up")
        assert rows.chosen == last
        await pilot.press("down")
        assert rows.chosen == first
        await pilot.press("pageup")
        assert rows.chosen == first


async def test_the_settings_panel_explains_changes_and_takes_what_is_typed(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = home_of(pilot).query_one("#text", TracePane)
        settings = pane.controller.settings
        await pilot.press("tab", "tab", "s")  # from Home: the pane fills the screen
        await until_seen(pilot, "0 always takes the likeliest token")
        assert pane.zoomed
        await pilot.press("right", "l", "left", "j")
        assert pane.controller.settings.temperature == pytest.approx(settings.temperature + 0.05)
        await until_seen(pilot, "keep only the k likeliest tokens".capitalize())
        await pilot.press("enter", *"many", "enter")
        await until_seen(pilot, "top-k 'many': expected a whole number")
        await pilot.press("ctrl+u", "ctrl+k", *"40", "enter", "escape", "plus")
        assert pane.controller.settings.top_k == 80  # + goes on with the chosen setting
        assert home_of(pilot).scope == "text"
        await pilot.press("s", "space")  # other keys work from the panel
        await until(pilot, lambda: pane.trace is not None)
        await pilot.press("escape", "escape")
        assert not pane.zoomed
