"""The terminal's replies about its colours: the background, and how many it has.

Both are asked for in one round, which ends with DA1. A terminal that does not know a query does not
answer it. Textual is not imported here.
"""

import re
from collections.abc import Mapping

from genui.render.colours import ColourMode
from genui.ui.graphics import is_asked

BACKGROUND = "\x1b]11;?\x1b\\"  # OSC 11
# A background of 24 bits, the style as the terminal keeps it (DECRQSS), and the style before.
TRUECOLOUR = "\x1b[48;2;1;2;3m\x1bP$qm\x1b\\\x1b[m"
VERSION = "\x1b[>c"  # DA2, by which PuTTY is known

_BACKGROUND = re.compile(r"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})")
_STYLE = re.compile(r"\x1bP1\$r[\d;:]*?48[;:]2[;:]+1[;:]2[;:]3m?\x1b")
_PUTTY = re.compile(r"\x1b\[>0;136;\d+c")
_LIGHT = 0.5  # relative luminance


def list_queries(env: Mapping[str, str], colours: ColourMode, background: bool) -> str:
    """The queries for the unknown facts, "" for none: the colours, if the environment promises
    fewer than 24 bits and does not choose them, and the background.

    tmux answers for itself, and turns colours into those that its terminal has.
    """
    if not is_asked(env) or colours == "ascii":
        return ""
    chosen = any(env.get(name) for name in ("FORCE_COLOR", "COLORTERM", "TMUX"))
    deeper = colours != "truecolor" and not chosen and env.get("TERM_PROGRAM") != "Apple_Terminal"
    return BACKGROUND * background + (TRUECOLOUR + VERSION) * deeper


def read_colours(replies: str, colours: ColourMode) -> ColourMode:
    """The colours by the replies; `colours`, from the environment, if the replies say no more.

    PuTTY does not answer for its style. It has had 256 colours for as long as it is known.
    """
    if _STYLE.search(replies):
        return "truecolor"
    return "256" if _PUTTY.search(replies) else colours


def is_light(replies: str) -> bool | None:
    """Whether the background is light; None if the terminal does not report it."""
    found = _BACKGROUND.search(replies)
    if found is None:
        return None
    red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in found.groups())
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > _LIGHT
