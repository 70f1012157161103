"""Which tokens one token looked at: the strongest with their share, of one head or averaged."""

import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from textual.strip import Strip

from genui.protocol import Attention
from genui.render import numbers
from genui.render.sanitise import clean
from genui.ui.widgets.candidates import bar, token_text
from genui.ui.widgets.lines import LineWidget, strip_of

LEVEL_EDGES = (0.05, 0.15, 0.35, 0.7)
"""Of the strongest weight: where one level of shading ends and the next begins."""

_TOKEN_CELLS, _FEW_TOKEN_CELLS = 12, 8
_NARROW = 36  # cells below which a token has the fewer of those
_WIDE = 56  # cells from which there is room for the words around a token
_BEFORE, _AFTER = 10, 6  # cells of those words


@dataclass(frozen=True)
class Heads:
    """The attention of one token, walked through: 0 is the average, then head by head."""

    attention: Attention

    @property
    def count(self) -> int:
        """The average and every head of every layer."""
        return 1 + self.attention.layers * self.attention.heads

    def weights(self, at: int) -> list[float]:
        """[T], summing to 1: of the average or of one head."""
        told, tokens = self.attention, len(self.attention.texts)
        if not tokens:  # a network without attention
            return []
        if at:
            return list(struct.unpack_from(f"<{tokens}e", told.weights, 2 * (at - 1) * tokens))
        heads = struct.iter_unpack(f"<{tokens}e", told.weights)
        return [sum(weights) / (self.count - 1) for weights in zip(*heads, strict=True)]

    def name(self, at: int) -> str:
        """`average`, or `layer 3 of 6, head 2 of 8`."""
        if not at:
            return "average"
        layer, head = divmod(at - 1, self.attention.heads)
        told = self.attention
        return f"layer {layer + 1} of {told.layers}, head {head + 1} of {told.heads}"

    @property
    def prompt(self) -> tuple[str, ...]:
        """The tokens of the prompt among those seen: the ones before the first written."""
        written = self.attention.step - 1
        return self.attention.texts[: max(len(self.attention.texts) - written, 0)]


def levels(weights: Sequence[float]) -> list[int]:
    """How strongly each token is shaded, 0 to 4, against the strongest."""
    most = max(weights, default=0.0)
    if most <= 0:
        return [0] * len(weights)
    return [bisect_right(LEVEL_EDGES, weight / most) for weight in weights]


class AttentionList(LineWidget):
    """A bar for each of the tokens looked at most, with how far back it is."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "attention--empty",
        "attention--token",
        "attention--number",
        "attention--bar",
    }
    DEFAULT_CSS = """
    AttentionList {
        width: 1fr;
        height: 1fr;
        & > .attention--empty { color: $text-muted; }
        & > .attention--token { color: $foreground; }
        & > .attention--number { color: $text-muted; }
        & > .attention--bar { color: $accent; }
    }
    """

    def __init__(self, *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._empty = "Asking …"
        self._texts: Sequence[str] = ()
        self._weights: Sequence[float] = ()
        self._first = 0

    def show(self, texts: Sequence[str], weights: Sequence[float], first: int = 0) -> None:
        """`weights` [T] of the tokens `texts` [T], the last of which is one back;
        `first` tokens of the text come before them."""
        self._texts, self._weights, self._first = texts, weights, first
        self.redraw()

    def clear(self, empty: str) -> None:
        """Nothing to show, and why."""
        self._texts, self._empty = (), empty
        self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        if not self._texts:
            return self.message(self._empty, "attention--empty", width, height)
        told = self._told(width)
        room = max(height - 1 - len(told), 0)
        order = sorted(range(len(self._weights)), key=lambda at: -self._weights[at])[:room]
        cells = self._cells(order, width)
        rows = [self._row(at, cells, width) for at in order]
        rest = 1 - sum(self._weights[at] for at in order)
        if len(order) < len(self._texts):
            others = numbers.count(len(self._texts) - len(order))
            told[0] = f"the other {others} have {max(rest, 0):.0%}"
        number = self.style("attention--number")
        heading = f"{'token':>{cells}}   back   share"
        if width >= _WIDE:
            heading += f"  {'in':>{_BEFORE + 1}}"
        return [
            strip_of([(heading[:width], number)]),
            *rows,
            *(strip_of([(line[:width], number)]) for line in told),
        ]

    def _cells(self, order: Sequence[int], width: int) -> int:
        most = _TOKEN_CELLS if width >= _NARROW else _FEW_TOKEN_CELLS
        widest = max((cell_len(token_text(self._texts[at])) for at in order), default=0)
        return max(min(widest, most), len("token"))

    def _told(self, width: int) -> list[str]:
        """What else there is to know, one line each."""
        seen = numbers.count(len(self._texts))
        lines = [f"{seen} tokens were in sight"]
        if self._first:
            lines.append(f"out of sight: the first {numbers.count(self._first)}")
        return lines

    def _row(self, at: int, cells: int, width: int) -> Strip:
        number = self.style("attention--number")
        text = token_text(self._texts[at], cells)
        weight = self._weights[at]
        most = max(self._weights) or 1.0
        back = f"−{numbers.count(len(self._texts) - at)}"
        around = self._around(at) if width >= _WIDE else []
        room = max(width - cells - 16 - sum(cell_len(words) for words, _ in around), 0)
        return strip_of(
            [
                (" " * (cells - cell_len(text)), self.rich_style),
                (text, self.style("attention--token")),
                (f" {back:>6} ", number),
                (f"{weight:>6.1%} ", self.rich_style),
                *around,
                (bar(weight / most, room), self.style("attention--bar")),
            ]
        )

    def _around(self, at: int) -> list[tuple[str, Style]]:
        """The token in the words before and after it: a letter by itself tells little."""
        text, number = self._texts[at], self.style("attention--number")
        before = _seen("".join(self._texts[max(at - _BEFORE, 0) : at]))
        after = _seen(text + "".join(self._texts[at + 1 : at + 1 + _AFTER]))
        cut = len(_seen(text))
        before = set_cell_size(before[-_BEFORE:].rjust(_BEFORE), _BEFORE)
        after = set_cell_size(after, _AFTER)
        return [
            (f" {before}", number),
            (after[:cut], self.style("attention--token")),
            (f"{after[cut:]} ", number),
        ]


def _seen(text: str) -> str:
    """Words on one line: a new line as ⏎, a space as it is."""
    return clean(text).replace("\n", "⏎").replace("\t", " ")
