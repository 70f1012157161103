"""Every theme can be read: text and borders stand out from the background."""

import pytest
from textual.color import Color

from genui.ui import themes
from genui.ui.app import WatchApp
from genui.ui.themes import CONTRAST, OWN, list_themes, ratio
from genui.ui.watcher import WatchTarget

OF_THE_TERMINAL = [name for name in list_themes() if name.startswith(("ansi", "textual-ansi"))]
NAMED = [name for name in list_themes() if name not in OF_THE_TERMINAL]


def watching() -> WatchApp:
    return WatchApp(WatchTarget("", (), list, False))


@pytest.mark.parametrize("name", NAMED)
def test_text_and_borders_stand_out(name: str) -> None:
    app = watching()
    app._set_first_theme(name)
    variables = app.get_css_variables()
    background, foreground = (Color.parse(variables[one]) for one in ("background", "foreground"))
    for one, least in CONTRAST.items():
        shown = ratio(Color.parse(variables[one]), background)
        assert shown >= min(least, ratio(foreground, background)) - 0.05, one


@pytest.mark.parametrize("name", OF_THE_TERMINAL)
def test_colours_of_the_terminal_are_left_to_it(name: str) -> None:
    app = watching()
    app._set_first_theme(name)
    assert app.get_css_variables()["text-muted"].startswith("ansi_")


@pytest.mark.parametrize("theme", OWN, ids=lambda theme: theme.name)
def test_our_own_colours_stay_as_they_are(theme: themes.Theme) -> None:
    app = watching()
    app._set_first_theme(theme.name)
    variables = app.get_css_variables()
    for one in CONTRAST.keys() & theme.variables.keys():
        assert Color.parse(variables[one]) == Color.parse(theme.variables[one])
