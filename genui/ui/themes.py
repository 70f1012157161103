"""The themes of genui: dark, light, and one with the sixteen standard terminal colours."""

from typing import Any

from textual.app import App
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from genui.render.colours import ColourMode

_SAME = {
    "text-primary": "primary",
    "text-accent": "accent",
    "text-success": "success",
    "text-warning": "warning",
    "text-error": "error",
    "block-cursor-foreground": "background",
    "scrollbar": "border-blurred",
    "scrollbar-background": "background",
}
"""Variables that have the value of a colour or of another variable."""


def _make_theme(name: str, dark: bool, variables: dict[str, str], **colours: Any) -> Theme:
    known = colours | variables
    variables |= {variable: known[source] for variable, source in _SAME.items()}
    surface = colours["background"]
    return Theme(name, dark=dark, variables=variables, surface=surface, **colours)


DARK = _make_theme(
    name="genui-dark",
    primary="#79c0ff",
    secondary="#388bfd",
    accent="#f2c46d",
    warning="#f0a35e",
    error="#ff8e86",
    success="#8fd19e",
    foreground="#e6edf3",
    background="#0d1117",
    panel="#161b22",
    dark=True,
    variables={
        "text-muted": "#8b949e",
        "text-disabled": "#6e7681",
        "border-blurred": "#30363d",
        "block-cursor-blurred-background": "#21364f",
        "scrollbar-hover": "#484f58",
    },
)

LIGHT = _make_theme(
    name="genui-light",
    primary="#0550ae",
    secondary="#218bff",
    accent="#8a5a00",
    warning="#9a5b13",
    error="#b3261e",
    success="#1a6b34",
    foreground="#1f2328",
    background="#ffffff",
    panel="#eef1f4",
    dark=False,
    variables={
        "text-muted": "#59636e",
        "text-disabled": "#818b98",
        "border-blurred": "#c5ccd4",
        "block-cursor-blurred-background": "#d7e6f8",
        "scrollbar-hover": "#9aa4af",
    },
)

# Each value is exactly one of the sixteen colours, so that terminals do not change it.
SIXTEEN = _make_theme(
    name="genui-16",
    primary="#00ffff",
    secondary="#0000ff",
    accent="#ffff00",
    warning="#ffff00",
    error="#ff0000",
    success="#00ff00",
    foreground="#ffffff",
    background="#000000",
    panel="#000000",
    dark=True,
    variables={
        "text-muted": "#c0c0c0",
        "text-disabled": "#808080",
        "border-blurred": "#808080",
        "block-cursor-blurred-background": "#808080",
        "scrollbar-hover": "#c0c0c0",
    },
)

OWN = (DARK, LIGHT, SIXTEEN)

# --- Contrast of other people's themes ----------------------------------------------------------

_TEXT = ("text-primary", "text-accent", "text-success", "text-warning", "text-error")
CONTRAST = {
    "border-blurred": 1.4,
    "text-disabled": 2.4,
    **dict.fromkeys(("success", "warning", "error", "accent"), 3.0),
    **dict.fromkeys(("text-muted", *_TEXT), 4.0),
}
"""The least contrast of a colour with the background."""
_SHARES = 10  # steps on the way to the foreground


def contrast(colour: Color, background: Color, foreground: Color, least: float) -> Color:
    """Mix a colour with as little of the foreground as gives it that contrast, at most all."""
    mixed = background.blend(colour, colour.a, 1.0)
    for step in range(_SHARES + 1):
        found = mixed.blend(foreground, step / _SHARES)
        if ratio(found, background) >= least:
            return found
    return foreground


def ratio(one: Color, other: Color) -> float:
    """The contrast of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted(map(_luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Color) -> float:
    """The relative luminance of an sRGB colour, 0 to 1."""
    linear = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in colour.normalized
    )
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def list_themes() -> list[str]:
    """Return the names of all themes, sorted."""
    return sorted({*BUILTIN_THEMES, *(theme.name for theme in OWN)})


def choose_theme(mode: ColourMode, light: bool = False) -> str:
    """Return the name of the default theme for a terminal with these colours, and a light or dark
    background."""
    if mode == "16":
        return SIXTEEN.name
    return LIGHT.name if light else DARK.name


_MODES: dict[str | None, ColourMode] = {
    "truecolor": "truecolor",
    "256": "256",
    "standard": "16",
    "windows": "16",
}


def colour_mode(app: App[Any]) -> ColourMode:
    """Return the colours of the terminal: `ascii` with NO_COLOR, or if it has none."""
    if app.no_color:
        return "ascii"
    return _MODES.get(app.console.color_system, "ascii")
