"""The themes of genui: dark, light, and one with the sixteen standard terminal colours."""

from textual.theme import BUILTIN_THEMES, Theme

from genui.render.colours import ColourMode

DARK = Theme(
    name="genui-dark",
    primary="#79c0ff",
    secondary="#388bfd",
    accent="#f2c46d",
    warning="#f0a35e",
    error="#ff8e86",
    success="#8fd19e",
    foreground="#e6edf3",
    background="#0d1117",
    surface="#0d1117",
    panel="#161b22",
    dark=True,
    variables={
        "text-muted": "#8b949e",
        "text-disabled": "#6e7681",
        "text-primary": "#79c0ff",
        "text-accent": "#f2c46d",
        "text-success": "#8fd19e",
        "text-warning": "#f0a35e",
        "text-error": "#ff8e86",
        "border": "#79c0ff",
        "border-blurred": "#30363d",
        "block-cursor-background": "#79c0ff",
        "block-cursor-foreground": "#0d1117",
        "block-cursor-blurred-background": "#21364f",
        "block-cursor-blurred-foreground": "#e6edf3",
        "scrollbar": "#30363d",
        "scrollbar-background": "#0d1117",
        "scrollbar-hover": "#484f58",
        "scrollbar-active": "#79c0ff",
    },
)

LIGHT = Theme(
    name="genui-light",
    primary="#0550ae",
    secondary="#218bff",
    accent="#8a5a00",
    warning="#9a5b13",
    error="#b3261e",
    success="#1a6b34",
    foreground="#1f2328",
    background="#ffffff",
    surface="#ffffff",
    panel="#eef1f4",
    dark=False,
    variables={
        "text-muted": "#59636e",
        "text-disabled": "#818b98",
        "text-primary": "#0550ae",
        "text-accent": "#8a5a00",
        "text-success": "#1a6b34",
        "text-warning": "#9a5b13",
        "text-error": "#b3261e",
        "border": "#0550ae",
        "border-blurred": "#c5ccd4",
        "block-cursor-background": "#0550ae",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-blurred-background": "#d7e6f8",
        "block-cursor-blurred-foreground": "#1f2328",
        "scrollbar": "#c5ccd4",
        "scrollbar-background": "#ffffff",
        "scrollbar-hover": "#9aa4af",
        "scrollbar-active": "#0550ae",
    },
)

# Each value is exactly one of the sixteen colours, so that terminals do not change it.
SIXTEEN = Theme(
    name="genui-16",
    primary="#00ffff",
    secondary="#0000ff",
    accent="#ffff00",
    warning="#ffff00",
    error="#ff0000",
    success="#00ff00",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#000000",
    dark=True,
    variables={
        "text-muted": "#c0c0c0",
        "text-disabled": "#808080",
        "text-primary": "#00ffff",
        "text-accent": "#ffff00",
        "text-success": "#00ff00",
        "text-warning": "#ffff00",
        "text-error": "#ff0000",
        "border": "#00ffff",
        "border-blurred": "#808080",
        "block-cursor-background": "#00ffff",
        "block-cursor-foreground": "#000000",
        "block-cursor-blurred-background": "#808080",
        "block-cursor-blurred-foreground": "#ffffff",
        "scrollbar": "#808080",
        "scrollbar-background": "#000000",
        "scrollbar-hover": "#c0c0c0",
        "scrollbar-active": "#00ffff",
    },
)

OWN = (DARK, LIGHT, SIXTEEN)


def list_themes() -> list[str]:
    """Return the names of all themes, sorted."""
    return sorted({*BUILTIN_THEMES, *(theme.name for theme in OWN)})


def choose_theme(mode: ColourMode, light: bool = False) -> str:
    """Return the name of the default theme for a terminal with these colours, and a light or dark
    background."""
    if mode == "16":
        return SIXTEEN.name
    return LIGHT.name if light else DARK.name
