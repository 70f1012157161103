"""Candidates of a token, labels of a classifier, and attention, as bars."""

import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from textual.reactive import reactive
from textual.strip import Strip

from genui.base import numbers
from genui.base.text import clean, clean_line
from genui.protocol import Attention, Candidate, TextFrame
from genui.ui.widgets.base import LineWidget, strip_of

_EIGHTHS = "▏▎▍▌▋▊▉"
_TOKEN_CELLS = 12
_TALL = 16  # lines from which the ruler of the random number is drawn
_WIDE = 36  # cells from which probabilities have three decimals


def token_text(text: str, width: int = _TOKEN_CELLS) -> str:
    """A printable token: `·` for a space, `⏎` for a newline, `⇥` for a tab."""
    if not text:
        return "∅"
    seen = clean(text).replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥") or "�"
    return seen if cell_len(seen) <= width else set_cell_size(seen, width - 1) + "…"


class Candidates(LineWidget):
    """A bar a candidate: its probability by the model, and after the sampling settings.

    The chosen token has `▸` and its own colour; one that the settings removed has `✂`. A `table`
    also shows the logits, the filter that removed a token, the candidate that the user selected
    (`→`), and the random number that chose.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "candidates--empty",
        "candidates--token",
        "candidates--cut",
        "candidates--number",
        "candidates--model",
        "candidates--sampled",
        "candidates--chosen",
        "candidates--selected",
    }
    DEFAULT_CSS = """
    Candidates {
        width: 1fr;
        height: 1fr;
        & > .candidates--empty { color: $text-muted; }
        & > .candidates--token { color: $foreground; }
        & > .candidates--cut { color: $text-muted; }
        & > .candidates--number { color: $text-muted; }
        & > .candidates--model { color: $primary 45%; }
        & > .candidates--sampled { color: $primary; }
        & > .candidates--chosen { color: $warning; text-style: bold; }
        & > .candidates--selected {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: bold;
        }
    }
    """

    table: reactive[bool] = reactive(False, repaint=False)
    selected: reactive[int | None] = reactive(None, repaint=False)
    """The index of the candidate that the user selected; None for none."""

    def __init__(
        self,
        empty: str = "The next token's odds show here",
        *,
        table: bool = False,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(empty, id=id, classes=classes)
        self._candidates: tuple[Candidate, ...] = ()
        self._chosen = -1
        self._summary = ""
        self._frame: TextFrame | None = None
        self._greedy = False
        self.set_reactive(Candidates.table, table)

    def watch_table(self) -> None:
        self.redraw()

    def watch_selected(self) -> None:
        self.redraw()

    def show(
        self,
        candidates: Sequence[Candidate],
        chosen: int = -1,
        entropy: float | None = None,
        note: str = "",
    ) -> None:
        """`chosen` is a token id, -1 for none; `entropy` in bits; `note` ends the last line."""
        self._frame = None
        self._take(candidates, chosen, entropy, note)

    def show_frame(self, frame: TextFrame, note: str = "", greedy: bool = False) -> None:
        """The distribution the frame's token was drawn from, or `greedy` taken from."""
        self._frame, self._greedy = frame, greedy
        self._take(frame.candidates, frame.token, frame.entropy, note)

    def _take(
        self, candidates: Sequence[Candidate], chosen: int, entropy: float | None, note: str
    ) -> None:
        self._candidates = tuple(candidates)
        self._chosen = chosen
        kept = sum(candidate.sampled > 0 for candidate in candidates)
        parts = [
            f"entropy {entropy:.1f} bits" if entropy is not None else "",
            f"{kept} of {len(candidates)} kept" if kept < len(candidates) else "",
            clean_line(note),
        ]
        self._summary = " · ".join(filter(None, parts))
        self.redraw()

    def clear(self, empty: str | None = None) -> None:
        """Back to the empty state, with another text where one is given."""
        self._candidates = ()
        if empty is not None:
            self._empty = empty
        self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        if not self._candidates:
            return self.message(self._empty, "candidates--empty", width, height)
        if self.table:
            return self._draw_table(width, height)
        room = height - 1 if self._summary and height > 1 else height
        shown = [self._candidates[at] for at in self._visible(room)]
        most = _most(shown)
        cells = _token_cells(shown, width // 3)
        strips = [self._one_line(candidate, most, cells, width) for candidate in shown]
        if room < height:
            summary = clean_line(self._summary, width)
            strips.append(strip_of([(summary, self.style("candidates--number"))]))
        return strips

    def _visible(self, room: int) -> list[int]:
        """The indices that are shown, with the selected and the chosen one among them."""
        count = len(self._candidates)
        room = max(min(room, count), 0)
        if self.table and self.selected is not None:
            first = max(0, min(self.selected - room // 2, count - room))
            return list(range(first, first + room))
        shown = list(range(room))
        taken = next((n for n, c in enumerate(self._candidates) if c.token == self._chosen), 0)
        if shown and taken >= room:
            shown[-1] = taken
        return shown

    def _token(self, candidate: Candidate, cells: int) -> list[tuple[str, Style]]:
        """The mark and the token, `cells` wide, against the right."""
        text = token_text(candidate.text, cells)
        pad = " " * (cells - cell_len(text))
        base = self.rich_style
        if candidate.token == self._chosen:
            chosen = self.style("candidates--chosen")
            return [("▸ ", chosen), (pad, base), (text, chosen), (" ", base)]
        kind = "candidates--token" if candidate.sampled > 0 else "candidates--cut"
        return [(f"  {pad}", base), (text, self.style(kind)), (" ", base)]

    def _bar(self, candidate: Candidate) -> Style:
        chosen = candidate.token == self._chosen
        return self.style("candidates--chosen" if chosen else "candidates--sampled")

    def _one_line(self, candidate: Candidate, most: float, cells: int, width: int) -> Strip:
        number, base = self.style("candidates--number"), self.rich_style
        sampled = f"{candidate.sampled:.2f}" if candidate.sampled > 0 else "  ✂ "
        bar_room = max(width - cells - 3 - 11, 0)
        return strip_of(
            [
                *self._token(candidate, cells),
                (f"{candidate.model:.2f}", number),
                ("→", number),
                (f"{sampled} ", base),
                (bar(candidate.sampled / most, bar_room), self._bar(candidate)),
            ]
        )

    # --- the table --------------------------------------------------------------------

    def _draw_table(self, width: int, height: int) -> list[Strip]:
        notes = self._notes(width, ruler=height >= _TALL)
        spare = height - 1 - len(self._candidates) - len(notes)
        room = min(max(height - 1 - len(notes), 1), len(self._candidates))
        shown = self._visible(room)
        candidates = [self._candidates[at] for at in shown]
        most = _most(candidates)
        places = 3 if width >= _WIDE else 2
        cells = max(_token_cells(candidates, _TOKEN_CELLS if width >= _WIDE else 6), len("token"))
        number = self.style("candidates--number")
        odds = places + 2
        heading = f"  {'token':>{cells}} {'model':>{odds}} {'logit':>5} {'drawn':>{odds}}"
        # A blank line between the two where there is room.
        gap = [Strip.blank(width, self.rich_style)] if spare > 0 else []
        return [
            strip_of([(heading[:width], number)]),
            *(self._row(at, most, cells, places, width) for at in shown),
            *gap,
            *notes,
        ]

    def _row(self, at: int, most: float, cells: int, places: int, width: int) -> Strip:
        candidate = self._candidates[at]
        odds, bar_room = places + 2, max(width - cells - 2 * places - 15, 0)
        kept = candidate.sampled > 0
        sampled = f"{candidate.sampled:.{places}f}" if kept else f"{'✂':>{odds}}"
        model = f"{candidate.model:.{places}f}"
        logit = f"{candidate.logit:.1f}".replace("-", "−")
        if at == self.selected:
            look = self.style("candidates--selected")
            text = token_text(candidate.text, cells)
            pad = " " * (cells - cell_len(text))
            row = f"→ {pad}{text} {model:>{odds}} {logit:>5} {sampled:>{odds}} "
            shape = bar(candidate.sampled / most, bar_room) if kept else candidate.dropped
            return strip_of([(f"{row}{shape}".ljust(width), look)])
        number, base = self.style("candidates--number"), self.rich_style
        row = [
            *self._token(candidate, cells),
            (f"{model:>{odds}} {logit:>5} ", number),
            (f"{sampled:>{odds}} ", base if kept else number),
        ]
        if not kept:
            return strip_of([*row, (candidate.dropped[:bar_room], number)])
        full = bar(candidate.sampled / most, bar_room)
        rest = round(candidate.model / most * bar_room) - len(full)
        return strip_of(
            [*row, (full, self._bar(candidate)), ("░" * rest, self.style("candidates--model"))]
        )

    def _notes(self, width: int, ruler: bool) -> list[Strip]:
        """The surprise, the entropy, and the random number that chose."""
        frame, number = self._frame, self.style("candidates--number")
        base = self.rich_style
        if frame is None:
            return []
        lines = [
            [
                ("surprise ", number),
                (f"{frame.surprisal:.2f}", base),
                (" bits · kept ", number),
                (numbers.short(frame.kept), base),
                (" tokens" if width >= _WIDE else "", number),
            ],
            [
                ("entropy ", number),
                (f"{frame.entropy:.2f} → {frame.sampled_entropy:.2f}", base),
                (" bits", number),
            ],
        ]
        if frame.forced:
            lines.append([("forced", base), (": written by hand", number)])
        elif self._greedy:
            lines.append([("greedy", base), (": the likeliest is taken", number)])
        else:
            lines.append(
                [
                    ("u ", number),
                    (f"{frame.u:.3f}", base),
                    (" is in ", number),
                    (f"{frame.low:.2f}–{frame.high:.2f}", base),
                ]
            )
            if ruler:
                lines.append(self._ruler(frame, width))
        return [strip_of(line).crop(0, width) for line in lines]

    def _ruler(self, frame: TextFrame, width: int) -> list[tuple[str, Style]]:
        """0 to 1, the chosen token's share, and the random number `u` in it."""
        cells = max(width - 4, 1)
        at = min(int(frame.u * cells), cells - 1)
        low = min(int(frame.low * cells), at)
        high = max(min(round(frame.high * cells), cells), at + 1)
        number, chosen = self.style("candidates--number"), self.style("candidates--chosen")
        return [
            ("0 ", number),
            ("─" * low, number),
            ("━" * (at - low), chosen),
            ("●", chosen),
            ("━" * (high - at - 1), chosen),
            ("─" * (cells - high), number),
            (" 1", number),
        ]


def _most(shown: Sequence[Candidate]) -> float:
    """The greatest probability among them, which gets the longest bar."""
    return max((max(c.model, c.sampled) for c in shown), default=0.0) or 1.0


def _token_cells(shown: Sequence[Candidate], most: int) -> int:
    widest = max((cell_len(token_text(c.text)) for c in shown), default=1)
    return max(min(widest, most), 1)


def bar(share: float, cells: int) -> str:
    """A bar of `share` × `cells`, to an eighth of a cell; at least an eighth above 0."""
    eighths = round(min(share, 1.0) * cells * 8)
    if share > 0 and cells > 0:
        eighths = max(eighths, 1)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest - 1] if rest else "")


# --- The likeliest labels of a classifier -----------------------------------------------------

ROWS = 3
_NAME_CELLS = 18
_NUMBER_CELLS = 5


class LabelBars(LineWidget):
    """A heading, and a line a label; or a line why there is none."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "labels--heading",
        "labels--name",
        "labels--likeliest",
        "labels--number",
        "labels--bar",
    }
    DEFAULT_CSS = f"""
    LabelBars {{
        width: 1fr;
        height: {ROWS + 1};
        display: none;
        & > .labels--heading {{ color: $text-muted; }}
        & > .labels--name {{ color: $foreground; }}
        & > .labels--likeliest {{ color: $foreground; text-style: bold; }}
        & > .labels--number {{ color: $text-muted; }}
        & > .labels--bar {{ color: $accent; }}
    }}
    """

    def __init__(self) -> None:
        super().__init__()
        self._heading = ""
        self._labels: Sequence[tuple[str, float]] = ()

    @property
    def labels(self) -> Sequence[tuple[str, float]]:
        """What is shown, the likeliest first."""
        return self._labels

    @property
    def heading(self) -> str:
        """The line above."""
        return self._heading

    def show(self, heading: str, labels: Sequence[tuple[str, float]]) -> None:
        """Labels with their probabilities, the likeliest first; the first few are drawn."""
        self._heading, self._labels = heading, labels
        self.redraw()

    def say(self, line: str) -> None:
        """No labels, and why."""
        self.show(line, ())

    def draw(self, width: int, height: int) -> list[Strip]:
        rows = self._labels[: max(height - 1, 0)]
        names = [clean_line(name, _NAME_CELLS) for name, _ in rows]
        cells = max((cell_len(name) for name in names), default=0)
        room = max(width - cells - _NUMBER_CELLS - 2, 0)
        strips = [strip_of([(clean_line(self._heading, width), self.style("labels--heading"))])]
        for at, (name, (_, share)) in enumerate(zip(names, rows, strict=True)):
            strips.append(
                strip_of(
                    [
                        (
                            set_cell_size(name, cells),
                            self.style("labels--name" if at else "labels--likeliest"),
                        ),
                        (f"{share:>{_NUMBER_CELLS}.0%} ", self.style("labels--number")),
                        (bar(share, room), self.style("labels--bar")),
                    ]
                )
            )
        return strips


# --- Attention: the tokens with the largest weights, of one head or averaged ------------------

LEVEL_EDGES = (0.05, 0.15, 0.35, 0.7)
"""Of the strongest weight: where one level of shading ends and the next begins."""

_ATTENDED_CELLS, _FEW_TOKEN_CELLS = 12, 8
_NARROW = 36  # cells below which a token has the fewer of those
_ATTENTION_CELLS = 56  # cells from which the text around a token is shown
_BEFORE, _AFTER = 10, 6  # cells of that text


@dataclass(frozen=True)
class Heads:
    """The attention of one token: 0 is the average, then head by head."""

    attention: Attention

    @property
    def count(self) -> int:
        """The average and every head of every layer."""
        return 1 + self.attention.layers * self.attention.heads

    def weights(self, at: int) -> list[float]:
        """[T], summing to 1: of the average or of one head."""
        tokens, packed = len(self.attention.texts), self.attention.weights
        if not tokens:  # a network without attention
            return []
        if at:
            return list(struct.unpack_from(f"<{tokens}e", packed, 2 * (at - 1) * tokens))
        heads = struct.iter_unpack(f"<{tokens}e", packed)
        return [sum(weights) / (self.count - 1) for weights in zip(*heads, strict=True)]

    def name(self, at: int) -> str:
        """`average`, or `layer 3 of 6, head 2 of 8`."""
        if not at:
            return "average"
        layer, head = divmod(at - 1, self.attention.heads)
        attention = self.attention
        return f"layer {layer + 1} of {attention.layers}, head {head + 1} of {attention.heads}"

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
    """A bar for each of the tokens with the largest weights, with the distance back."""

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
        super().__init__("computing …", classes=classes)
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
        notes = self._notes(width)
        room = max(height - 1 - len(notes), 0)
        order = sorted(range(len(self._weights)), key=lambda at: -self._weights[at])[:room]
        cells = self._cells(order, width)
        rows = [self._row(at, cells, width) for at in order]
        rest = 1 - sum(self._weights[at] for at in order)
        if len(order) < len(self._texts):
            others = numbers.count(len(self._texts) - len(order))
            notes[0] = f"the other {others} have {max(rest, 0):.0%}"
        number = self.style("attention--number")
        heading = f"{'token':>{cells}}   back   share"
        if width >= _ATTENTION_CELLS:
            heading += f"  {'in':>{_BEFORE + 1}}"
        return [
            strip_of([(heading[:width], number)]),
            *rows,
            *(strip_of([(line[:width], number)]) for line in notes),
        ]

    def _cells(self, order: Sequence[int], width: int) -> int:
        most = _ATTENDED_CELLS if width >= _NARROW else _FEW_TOKEN_CELLS
        widest = max((cell_len(token_text(self._texts[at])) for at in order), default=0)
        return max(min(widest, most), len("token"))

    def _notes(self, width: int) -> list[str]:
        """The size of the context, and what is outside it."""
        seen = numbers.count(len(self._texts))
        lines = [f"{seen} tokens in the context"]
        if self._first:
            lines.append(f"before the context: the first {numbers.count(self._first)}")
        return lines

    def _row(self, at: int, cells: int, width: int) -> Strip:
        number = self.style("attention--number")
        text = token_text(self._texts[at], cells)
        weight = self._weights[at]
        most = max(self._weights) or 1.0
        back = f"−{numbers.count(len(self._texts) - at)}"
        around = self._around(at) if width >= _ATTENTION_CELLS else []
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
        """The token with the text around it: a letter alone says little."""
        text, number = self._texts[at], self.style("attention--number")
        before = _one_line_text("".join(self._texts[max(at - _BEFORE, 0) : at]))
        after = _one_line_text(text + "".join(self._texts[at + 1 : at + 1 + _AFTER]))
        cut = len(_one_line_text(text))
        before = set_cell_size(before[-_BEFORE:].rjust(_BEFORE), _BEFORE)
        after = set_cell_size(after, _AFTER)
        return [
            (f" {before}", number),
            (after[:cut], self.style("attention--token")),
            (f"{after[cut:]} ", number),
        ]


def _one_line_text(text: str) -> str:
    """Text on one line: a new line as ⏎, a space unchanged."""
    return clean(text).replace("\n", "⏎").replace("\t", " ")
