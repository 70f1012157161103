"""What a token of a text looks like: its surprise, whether it is still ahead, the cursor on it.

A mark is one byte: three bits of class, one of `AHEAD`, three of the level of attention or of
the kind of a word in code, one of `CURSOR`.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cache

from rich.style import Style
from textual.color import Color

from genui.render.colour import ColourMode

SURPRISE_EDGES = (1.0, 2.5, 4.5, 7.0)
"""In bits: where one class of surprise ends and the next begins."""

CLASSES = len(SURPRISE_EDGES) + 1
PLAIN, PROMPT = CLASSES, CLASSES + 1
AHEAD, CURSOR = 8, 128
LEVELS = 5
"""Levels of attention, the first of which is hardly any."""

_LEVEL_SHIFT = 4
_ALL_LEVELS = 7 << _LEVEL_SHIFT
_GROUNDS = (0.0, 0.16, 0.32, 0.5, 0.72)  # how much of the accent a level's ground has
_FEW_COLOURS = ("ascii", "16")
_WITHOUT_COLOUR = (
    Style(dim=True),
    Style(),
    Style(underline=True),
    Style(underline=True, bold=True),
    Style(underline=True, bold=True, italic=True),
)


def surprise_class(bits: float | None) -> int:
    """0 (expected) to 4 (surprising); 5 where the surprisal is not known."""
    return PLAIN if bits is None else bisect_right(SURPRISE_EDGES, bits)


@cache
def flagged(flag: int, on: bool) -> bytes:
    """A table for `Flow.remark` that sets one flag, or clears it."""
    return bytes(mark | flag if on else mark & ~flag for mark in range(256))


@cache
def levelled(level: int) -> bytes:
    """A table for `Flow.remark` that gives marks a level of attention."""
    return bytes(mark & ~_ALL_LEVELS | level << _LEVEL_SHIFT for mark in range(256))


def surprise_styles(base: Style, ends: Sequence[Color], mode: ColourMode) -> list[Style]:
    """A style for every class of surprise, from the colours of expected, unsure, surprising."""
    expected, unsure, surprising = ends
    shades = [
        expected,
        expected.blend(unsure, 0.5),
        unsure,
        unsure.blend(surprising, 0.5),
        surprising,
    ]
    looks = [base + Style(color=shade.rich_color) for shade in shades]
    looks[-1] += Style(underline=True)
    if mode == "ascii":
        looks[-2] += Style(underline=True)
        looks[-1] += Style(bold=True)
    return looks


def attention_style(
    level: int, base: Style, ground: Color, accent: Color, mode: ColourMode
) -> Style:
    """The style of a token that was looked at that much."""
    if mode in _FEW_COLOURS:
        return base + _WITHOUT_COLOUR[level]
    shade = ground.blend(accent, _GROUNDS[level])
    words = shade.get_contrast_text(1.0)
    if not level:
        words = shade.blend(words, 0.55)
    return base + Style(color=words.rich_color, bgcolor=shade.rich_color)


def syntax_of(mark: int) -> int:
    """The kind of a word in code, 0 to 7, which is kept where else the attention is."""
    return (mark & _ALL_LEVELS) >> _LEVEL_SHIFT


def level_of(mark: int) -> int:
    """The level of attention in a mark, 0 to 4."""
    return min((mark & _ALL_LEVELS) >> _LEVEL_SHIFT, LEVELS - 1)
