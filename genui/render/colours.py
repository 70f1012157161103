"""Detection of the colours of a terminal."""

from collections.abc import Mapping
from typing import Literal

ColourMode = Literal["truecolor", "256", "16", "ascii"]

_TRUECOLOR_TERMS = ("direct", "kitty", "alacritty", "wezterm", "foot", "ghostty", "iterm")
_FORCED: dict[str, ColourMode] = {"0": "ascii", "1": "16", "2": "256", "3": "truecolor"}


def detect_colours(env: Mapping[str, str], isatty: bool) -> ColourMode:
    """Choose the colours by NO_COLOR, then FORCE_COLOR, then the terminal.

    `ascii` means no colours: a pipe, NO_COLOR or TERM=dumb.
    """
    if env.get("NO_COLOR"):
        return "ascii"
    forced = env.get("FORCE_COLOR")
    if forced in _FORCED:
        return _FORCED[forced]
    term = env.get("TERM", "").lower()
    if not (isatty or forced) or (term in ("", "dumb") and "WT_SESSION" not in env):
        return "ascii"
    if env.get("COLORTERM", "").lower() in ("truecolor", "24bit") or "WT_SESSION" in env:
        return "truecolor"
    if any(name in term for name in _TRUECOLOR_TERMS):
        return "truecolor"
    return "256" if "256color" in term else "16"
