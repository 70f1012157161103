"""Candidates of a token, labels of a classifier, and attention, as lists with bars."""

import struct
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from textual.reactive import reactive
from textual.strip import Strip

from genui.base import numbers
from genui.base.text import clean, clean_line
from genui.protocol import Attention, Candidate, TextFrame
from genui.render.shares import bar
from genui.ui.widgets.lines import LineWidget, strip_of

_TOKEN_CELLS = 12
_TALL = 16  # lines from which the ruler of the random number is drawn
_WIDE = 36  # cells from which probabilities have three decimals and tokens their full width


def token_text(text: str, width: int = _TOKEN_CELLS) -> str:
    """Return a token printably: `·` for a space, `⏎` for a newline, `⇥` for a tab, `∅` if empty."""
    if not text:
        return "∅"
    text = clean(text).replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥") or "�"
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


class BarList(LineWidget):
    """Rows of texts and numbers, each with a bar."""

    DEFAULT_CSS = """
    BarList {
        & > .bars--text { color: $foreground; }
        & > .bars--number { color: $text-muted; }
        & > .bars--bar { color: $primary; }
        & > .bars--faint { color: $primary 45%; }
        & > .bars--accent { color: $accent; }
        & > .bars--against { color: $error; }
        & > .bars--chosen { color: $warning; text-style: bold; }
        & > .bars--selected {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: bold;
        }
    }
    """

    def __init__(self, empty: str = "computing …") -> None:
        super().__init__(empty)

    def look(self, name: str) -> Style:
        """Return the style of a component class `bars--name`."""
        return self.style(f"bars--{name}")

    def list_rows(
        self, heading: str, rows: Iterable[Strip], notes: Iterable[str], width: int
    ) -> list[Strip]:
        """Return a heading, rows, and notes below them."""
        number = self.look("number")
        lines = [strip_of([(line[:width], number)]) for line in (heading, *notes)]
        return [lines[0], *rows, *lines[1:]]

    def draw_bar(
        self,
        parts: Sequence[tuple[str, Style]],
        share: float,
        style: Style,
        width: int,
        selected: bool = False,
    ) -> Strip:
        """Return the parts of a row, all in one style if it is selected, then its bar."""
        row, base = "".join(text for text, _ in parts), self.rich_style
        filled = (bar(share, max(width - cell_len(row) - 2, 0)), style)
        if selected:
            parts = [(row[:width], self.look("selected"))]
        return strip_of([*parts, (" ", base), filled]).crop(0, width)


class Candidates(BarList):
    """The probability of each candidate, by the model and after the sampling settings, as a bar.

    The chosen token has `▸` and its own colour; one that the settings removed has `✂`. A `table`
    also shows the logits, the filter that removed a token, the candidate that the user selected
    (`→`), and the random number that was drawn.
    """

    table: reactive[bool] = reactive(False, repaint=False)
    selected: reactive[int | None] = reactive(None, repaint=False)
    """The index of the candidate that the user selected; None for none."""

    def __init__(self) -> None:
        super().__init__("The next token's candidates show here")
        self._candidates: tuple[Candidate, ...] = ()
        self._chosen = -1
        self._summary = ""
        self._frame: TextFrame | None = None
        self._greedy = False

    def watch_table(self) -> None:
        self.redraw()

    def watch_selected(self) -> None:
        self.redraw()

    def show_frame(self, frame: TextFrame, note: str = "", greedy: bool = False) -> None:
        """Show the distribution that the frame's token was drawn from; `greedy`: the likeliest."""
        self._frame, self._greedy = frame, greedy
        self._candidates, self._chosen = tuple(frame.candidates), frame.token
        left, count = sum(one.sampled > 0 for one in frame.candidates), len(frame.candidates)
        parts = [
            f"entropy {frame.entropy:.1f} bits" if frame.entropy is not None else "",
            f"{left} of {count} kept" if left < count else "",
            _describe_unseen(frame),
            clean_line(note),
        ]
        self._summary = " · ".join(filter(None, parts))
        self.redraw()

    def clear(self, empty: str | None = None) -> None:
        self._candidates = ()
        super().clear(empty)

    def draw(self, width: int, height: int) -> list[Strip]:
        if not self._candidates:
            return self.message(self._empty, width, height)
        if self.table:
            return self._draw_table(width, height)
        room = height - 1 if self._summary and height > 1 else height
        visible = [self._candidates[at] for at in self._list_visible(room)]
        highest = _find_highest(visible)
        cells = _measure_tokens(visible, width // 3)
        strips = [self._draw_line(candidate, highest, cells, width) for candidate in visible]
        if room < height:
            summary = clean_line(self._summary, width)
            strips.append(strip_of([(summary, self.look("number"))]))
        return strips

    def _list_visible(self, room: int) -> list[int]:
        """Return the indices that fit, with the selected or the chosen one among them."""
        count = len(self._candidates)
        room = max(min(room, count), 0)
        if self.table and self.selected is not None:
            first = max(0, min(self.selected - room // 2, count - room))
            return list(range(first, first + room))
        visible = list(range(room))
        chosen = next((n for n, c in enumerate(self._candidates) if c.token == self._chosen), 0)
        if visible and chosen >= room:
            visible[-1] = chosen
        return visible

    def _draw_token(self, candidate: Candidate, cells: int) -> list[tuple[str, Style]]:
        """Return the mark and the token, right-aligned in `cells`."""
        text = token_text(candidate.text, cells)
        pad = " " * (cells - cell_len(text))
        base = self.rich_style
        if candidate.token == self._chosen:
            chosen = self.look("chosen")
            return [("▸ ", chosen), (pad, base), (text, chosen), (" ", base)]
        kind = "text" if candidate.sampled > 0 else "number"
        return [(f"  {pad}", base), (text, self.look(kind)), (" ", base)]

    def _bar_style(self, candidate: Candidate) -> Style:
        chosen = candidate.token == self._chosen
        return self.look("chosen" if chosen else "bar")

    def _draw_line(self, candidate: Candidate, highest: float, cells: int, width: int) -> Strip:
        number, base = self.look("number"), self.rich_style
        sampled = f"{candidate.sampled:.2f}" if candidate.sampled > 0 else "  ✂ "
        parts = [*self._draw_token(candidate, cells), (f"{candidate.model:.2f}→", number)]
        parts.append((sampled, base))
        return self.draw_bar(parts, candidate.sampled / highest, self._bar_style(candidate), width)

    # --- the table --------------------------------------------------------------------

    def _draw_table(self, width: int, height: int) -> list[Strip]:
        notes = self._draw_notes(width, ruler=height >= _TALL)
        spare = height - 1 - len(self._candidates) - len(notes)
        room = min(max(height - 1 - len(notes), 1), len(self._candidates))
        visible = self._list_visible(room)
        candidates = [self._candidates[at] for at in visible]
        highest = _find_highest(candidates)
        places = 3 if width >= _WIDE else 2
        limit = _TOKEN_CELLS if width >= _WIDE else 6
        cells = max(_measure_tokens(candidates, limit), len("token"))
        odds = places + 2
        heading = f"  {'token':>{cells}} {'model':>{odds}} {'logit':>5} {'drawn':>{odds}}"
        rows = [self._draw_row(at, highest, cells, places, width) for at in visible]
        # A blank line between the two if there is room.
        gap = [Strip.blank(width, self.rich_style)] if spare > 0 else []
        return self.list_rows(heading, [*rows, *gap, *notes], (), width)

    def _draw_row(self, at: int, highest: float, cells: int, places: int, width: int) -> Strip:
        candidate = self._candidates[at]
        odds, bar_room = places + 2, max(width - cells - 2 * places - 15, 0)
        kept = candidate.sampled > 0
        sampled = f"{candidate.sampled:.{places}f}" if kept else f"{'✂':>{odds}}"
        model = f"{candidate.model:.{places}f}"
        logit = f"{candidate.logit:.1f}".replace("-", "−")
        number, base = self.look("number"), self.rich_style
        if at == self.selected:  # only the text: a bar on its background would look inverted
            text = token_text(candidate.text, cells)
            pad = " " * (cells - cell_len(text))
            text = f"→ {pad}{text} {model:>{odds}} {logit:>5} {sampled:>{odds}}"
            row = [(text[:width], self.look("selected")), (" ", base)]
        else:
            row = [
                *self._draw_token(candidate, cells),
                (f"{model:>{odds}} {logit:>5} ", number),
                (f"{sampled:>{odds}} ", base if kept else number),
            ]
        if not kept:
            return strip_of([*row, (candidate.dropped[:bar_room], number)])
        full = bar(candidate.sampled / highest, bar_room)
        rest = "░" * (round(candidate.model / highest * bar_room) - len(full))
        row += [(full, self._bar_style(candidate)), (rest, self.look("faint"))]
        return strip_of(row)

    def _draw_notes(self, width: int, ruler: bool) -> list[Strip]:
        """Return lines with the surprise, the entropy, and the random number that was drawn."""
        frame, number = self._frame, self.look("number")
        base = self.rich_style
        if frame is None:
            return []
        tokens = " token" if frame.kept == 1 else " tokens"
        lines = [
            [
                ("surprise ", number),
                (f"{frame.surprisal:.2f}", base),
                (" bits · kept ", number),
                (numbers.short(frame.kept), base),
                (tokens if width >= _WIDE else "", number),
            ],
            [
                ("entropy ", number),
                (f"{frame.entropy:.2f} → {frame.sampled_entropy:.2f}", base),
                (" bits", number),
            ],
        ]
        if unseen := _describe_unseen(frame):
            lines.append([(unseen, number)])
        if frame.forced:
            lines.append([("forced", base), (": written by hand", number)])
        elif self._greedy:
            lines.append([("greedy", base), (": the likeliest is taken", number)])
        else:
            lines.append(
                [
                    ("random number " if width >= _WIDE else "random ", number),
                    (f"{frame.u:.3f}", base),
                    (" falls in ", number),
                    (f"{frame.low:.2f}–{frame.high:.2f}", base),
                ]
            )
            if ruler:
                lines.append(self._draw_ruler(frame, width))
        return [strip_of(line).crop(0, width) for line in lines]

    def _draw_ruler(self, frame: TextFrame, width: int) -> list[tuple[str, Style]]:
        """Return a ruler from 0 to 1 with the chosen token's interval, and `u` in it."""
        cells = max(width - 4, 1)
        at = min(int(frame.u * cells), cells - 1)
        low = min(int(frame.low * cells), at)
        high = max(min(round(frame.high * cells), cells), at + 1)
        number, chosen = self.look("number"), self.look("chosen")
        return [
            ("0 " + "─" * low, number),
            ("━" * (at - low), chosen),
            ("●", chosen),
            ("━" * (high - at - 1), chosen),
            ("─" * (cells - high) + " 1", number),
        ]


def _describe_unseen(frame: TextFrame) -> str:
    """The tokens that were not listed: "20 of 49,152 seen, the rest 3.1 %"; "" if all is known."""
    if not frame.received:
        return ""
    seen = sum(candidate.model > 0 for candidate in frame.candidates)
    of = f" of {frame.vocabulary:,}" if frame.vocabulary else ""
    return f"{seen}{of} seen, the rest {100 * frame.rest:.1f} %"


def _find_highest(candidates: Sequence[Candidate]) -> float:
    """Return the highest probability, which gets the longest bar."""
    return max((max(c.model, c.sampled) for c in candidates), default=0.0) or 1.0


def _measure_tokens(candidates: Sequence[Candidate], limit: int) -> int:
    """Return the width of the widest token, at most `limit` cells."""
    widest = max((cell_len(token_text(c.text)) for c in candidates), default=1)
    return max(min(widest, limit), 1)


# --- The likeliest labels of a classifier -----------------------------------------------------

ROWS = 3
_NAME_CELLS = 18
_NUMBER_CELLS = 5


class LabelBars(BarList):
    """A heading and a line for each of the likeliest labels, if there are any."""

    DEFAULT_CSS = f"""
    LabelBars {{
        width: 1fr;
        height: {ROWS + 1};
        display: none;
    }}
    """

    def __init__(self) -> None:
        super().__init__()
        self.heading = ""
        self.labels: Sequence[tuple[str, float]] = ()

    def show(self, heading: str, labels: Sequence[tuple[str, float]]) -> None:
        """Show labels with their probabilities, the likeliest first; the first few are drawn."""
        self.heading, self.labels = heading, labels
        self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        rows = self.labels[: max(height - 1, 0)]
        names = [clean_line(name, _NAME_CELLS) for name, _ in rows]
        cells = max((cell_len(name) for name in names), default=0)
        strips = [strip_of([(clean_line(self.heading, width), self.look("number"))])]
        for at, (name, (_, share)) in enumerate(zip(names, rows, strict=True)):
            style = self.look("text") + Style(bold=not at)
            number = (f"{share:>{_NUMBER_CELLS}.0%}", self.look("number"))
            row = [(set_cell_size(name, cells), style), number]
            strips.append(self.draw_bar(row, share, self.look("accent"), width))
        return strips


# --- Attention: the tokens with the largest weights, of one head or averaged ------------------

LEVEL_EDGES = (0.05, 0.15, 0.35, 0.7)
"""The boundaries between levels of shading, relative to the strongest weight."""

_ATTENDED_CELLS, _FEW_TOKEN_CELLS = 12, 8
_CONTEXT_CELLS = 56  # cells from which the text around a token is shown
_BEFORE, _AFTER = 10, 6  # cells of that text


@dataclass(frozen=True)
class Heads:
    """The attention of one token; number 0 is the average, then come the heads of each layer."""

    attention: Attention

    @property
    def count(self) -> int:
        """The number of heads of all layers, and one for the average."""
        return 1 + self.attention.layers * self.attention.heads

    def weights(self, at: int) -> list[float]:
        """Return the weights of the average or of a head, [T], which sum to 1."""
        tokens, packed = len(self.attention.texts), self.attention.weights
        if not tokens:  # a network without attention
            return []
        if at:
            return list(struct.unpack_from(f"<{tokens}e", packed, 2 * (at - 1) * tokens))
        heads = struct.iter_unpack(f"<{tokens}e", packed)
        return [sum(weights) / (self.count - 1) for weights in zip(*heads, strict=True)]

    def name(self, at: int) -> str:
        """Return `average`, or `layer 3 of 6, head 2 of 8`."""
        if not at:
            return "average"
        layer, head = divmod(at - 1, self.attention.heads)
        attention = self.attention
        return f"layer {layer + 1} of {attention.layers}, head {head + 1} of {attention.heads}"

    @property
    def prompt(self) -> tuple[str, ...]:
        """The tokens of the prompt in the context: those before the first written token."""
        written = self.attention.step - 1
        return self.attention.texts[: max(len(self.attention.texts) - written, 0)]


def levels(weights: Sequence[float]) -> list[int]:
    """Return the level of shading of each token, 0 to 4, relative to the strongest weight."""
    strongest = max(weights, default=0.0)
    if strongest <= 0:
        return [0] * len(weights)
    return [bisect_right(LEVEL_EDGES, weight / strongest) for weight in weights]


class AttentionList(BarList):
    """The tokens with the largest weights, with a bar and the distance back for each."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: Sequence[str] = ()
        self._weights: Sequence[float] = ()
        self._first = 0

    def show(self, texts: Sequence[str], weights: Sequence[float], first: int = 0) -> None:
        """Show `weights` [T] of the tokens `texts` [T], the last of which is one token back.

        `first` tokens of the text come before the context.
        """
        self._texts, self._weights, self._first = texts, weights, first
        self.redraw()

    def clear(self, empty: str | None = None) -> None:
        self._texts = ()
        super().clear(empty)

    def draw(self, width: int, height: int) -> list[Strip]:
        if not self._texts:
            return self.message(self._empty, width, height)
        notes = self._notes()
        room = max(height - 1 - len(notes), 0)
        order = sorted(range(len(self._weights)), key=lambda at: -self._weights[at])[:room]
        limit = _ATTENDED_CELLS if width >= _WIDE else _FEW_TOKEN_CELLS
        widest = max((cell_len(token_text(self._texts[at])) for at in order), default=0)
        cells = max(min(widest, limit), len("token"))
        rows = [self._draw_row(at, cells, width) for at in order]
        rest = 1 - sum(self._weights[at] for at in order)
        if len(order) < len(self._texts):
            others = numbers.count(len(self._texts) - len(order))
            notes[0] = f"the other {others} have {max(rest, 0):.0%}"
        heading = f"{'token':>{cells}}   back   share"
        if width >= _CONTEXT_CELLS:
            heading += f"  {'in':>{_BEFORE + 1}}"
        return self.list_rows(heading, rows, notes, width)

    def _notes(self) -> list[str]:
        """The size of the context, and the part outside it."""
        lines = [f"{numbers.count(len(self._texts))} tokens in the context"]
        if self._first:
            lines.append(f"before the context: the first {numbers.count(self._first)}")
        return lines

    def _draw_row(self, at: int, cells: int, width: int) -> Strip:
        number = self.look("number")
        text = token_text(self._texts[at], cells)
        weight = self._weights[at]
        strongest = max(self._weights) or 1.0
        back = f"−{numbers.count(len(self._texts) - at)}"
        around = self._draw_around(at) if width >= _CONTEXT_CELLS else []
        parts = [
            (" " * (cells - cell_len(text)), self.rich_style),
            (text, self.look("text")),
            (f" {back:>6} ", number),
            (f"{weight:>6.1%}", self.rich_style),
            *around,
        ]
        return self.draw_bar(parts, weight / strongest, self.look("accent"), width)

    def _draw_around(self, at: int) -> list[tuple[str, Style]]:
        """Return the token with the text around it: a single letter says little."""
        text, number = self._texts[at], self.look("number")
        before = _join_lines("".join(self._texts[max(at - _BEFORE, 0) : at]))
        after = _join_lines(text + "".join(self._texts[at + 1 : at + 1 + _AFTER]))
        cut = len(_join_lines(text))
        before = set_cell_size(before[-_BEFORE:].rjust(_BEFORE), _BEFORE)
        after = set_cell_size(after, _AFTER)
        return [
            (f"  {before}", number),
            (after[:cut], self.look("text")),
            (after[cut:], number),
        ]


def _join_lines(text: str) -> str:
    """Return text on one line, with a newline as ⏎."""
    return clean(text).replace("\n", "⏎").replace("\t", " ")
