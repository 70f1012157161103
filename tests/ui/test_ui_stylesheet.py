"""Remembered styles are those that Textual would compute."""

from acting import Opener, running, until
from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Button

from genui.ui.stylesheet import CachedStylesheet


def styles_of(node: DOMNode) -> tuple[object, ...]:
    parts = {name: part.base.get_rules() for name, part in node._component_styles.items()}
    return node.styles.base.get_rules(), parts, node._has_hover_style, node._has_focus_within


def differences(pilot: Pilot[None]) -> list[str]:
    """The nodes whose styles are others than those of Textual's own style sheet."""
    app: App[None] = pilot.app
    nodes = [app, *(node for screen in app.screen_stack for node in screen.walk_children(Widget))]
    before = [styles_of(node) for node in nodes]
    plain = Stylesheet(variables=app.get_css_variables())
    plain.source = app.stylesheet.source.copy()
    plain.parse()
    plain.update_nodes(nodes)
    return [str(node) for node, then in zip(nodes, before, strict=True) if styles_of(node) != then]


async def test_each_view_has_the_styles_of_textual(shipped: object, open_app: Opener) -> None:
    async with open_app() as pilot:
        assert not differences(pilot)
        for keys in ("3", "end", "escape", "tab", "2", "escape", "?", "escape", "n", "down"):
            await pilot.press(keys)
            assert not differences(pilot), keys
        await pilot.press("escape")
        for size in ((80, 24), (200, 60), (50, 10)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert not differences(pilot), size


async def test_another_theme_forgets_the_styles(shipped: object, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "escape")
        dark = pilot.app.screen.styles.background
        pilot.app.theme = "textual-light"
        await until(pilot, lambda: pilot.app.screen.styles.background != dark)
        await pilot.press("3")
        assert not differences(pilot)


class Buttons(App[None]):
    """Styles that depend on the focus, on what is disabled, and on neighbours."""

    CSS = """
    Button:focus { color: red; }
    Button:disabled { color: green; }
    Horizontal:focus-within Button { background: blue; }
    Horizontal.-on > Button { width: 9; }
    Button:last-child { height: 5; }
    Horizontal:disabled .second { offset: 1 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.stylesheet = CachedStylesheet(variables=self.get_css_variables())

    def compose(self) -> ComposeResult:
        for name in ("left", "right"):
            with Horizontal(id=name):
                yield Button("1")
                yield Button("2", classes="second")


async def test_styles_follow_the_focus_and_what_is_disabled() -> None:
    async with running(Buttons(), (80, 24)) as pilot:
        left, right = pilot.app.query(Horizontal)
        for change in (
            lambda: None,
            lambda: pilot.app.screen.set_focus(left.query(Button).last()),
            lambda: pilot.app.screen.set_focus(right.query(Button).first()),
            lambda: left.add_class("-on"),
            lambda: setattr(left, "disabled", True),
            lambda: setattr(right.query(Button).first(), "disabled", True),
            lambda: setattr(left, "disabled", False),
            lambda: left.mount(Button("3")),
            lambda: right.query(Button).last().remove(),
        ):
            change()
            await pilot.pause()
            pilot.app.stylesheet.update(pilot.app.screen)  # Textual leaves some out
            assert not differences(pilot)
