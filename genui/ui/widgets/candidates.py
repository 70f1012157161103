"""What the next token might have been, how likely each was, and how the choice fell."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from textual.reactive import reactive
from textual.strip import Strip

from genui.protocol import Candidate, TextFrame
from genui.render import numbers
from genui.render.sanitise import clean, clean_line
from genui.ui.widgets.lines import LineWidget, strip_of

_EIGHTHS = "▏▎▍▌▋▊▉"
_TOKEN_CELLS = 12
_TALL = 16  # lines from which there is room to draw where the choice fell
_WIDE = 36  # cells from which probabilities have three decimals and words are not shortened


def token_text(text: str, width: int = _TOKEN_CELLS) -> str:
    """A token as it can be read: `·` for a space, `⏎` for a newline, `⇥` for a tab."""
    if not text:
        return "∅"
    seen = clean(text).replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥") or "�"
    return seen if cell_len(seen) <= width else set_cell_size(seen, width - 1) + "…"


class Candidates(LineWidget):
    """A bar a candidate: the model's own probability, and what the settings made of it.

    The token that was chosen has `▸` before it and its own colour; one the settings cut
    off has `✂`. As a `table` there are also the logits, the filter that dropped a token, a
    candidate selected by the user (`→`), and how the choice fell.
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
    """Which candidate the user chose, by its place; None for none."""

    def __init__(
        self,
        empty: str = "The next token's odds show here",
        *,
        table: bool = False,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._empty = empty
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
        """The places of those that are shown: the selected and the chosen one among them."""
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
        told = self._told(width, ruler=height >= _TALL)
        spare = height - 1 - len(self._candidates) - len(told)
        room = min(max(height - 1 - len(told), 1), len(self._candidates))
        shown = self._visible(room)
        candidates = [self._candidates[at] for at in shown]
        most = _most(candidates)
        places = 3 if width >= _WIDE else 2
        cells = max(_token_cells(candidates, _TOKEN_CELLS if width >= _WIDE else 6), len("token"))
        number = self.style("candidates--number")
        odds = places + 2
        heading = f"  {'token':>{cells}} {'model':>{odds}} {'logit':>5} {'drawn':>{odds}}"
        # Air between the two where there is room for it.
        gap = [Strip.blank(width, self.rich_style)] if spare > 0 else []
        return [
            strip_of([(heading[:width], number)]),
            *(self._row(at, most, cells, places, width) for at in shown),
            *gap,
            *told,
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

    def _told(self, width: int, ruler: bool) -> list[Strip]:
        """How surprising and how uncertain it was, and how the choice fell."""
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
                    (" fell in ", number),
                    (f"{frame.low:.2f}–{frame.high:.2f}", base),
                ]
            )
            if ruler:
                lines.append(self._ruler(frame, width))
        return [strip_of(line).crop(0, width) for line in lines]

    def _ruler(self, frame: TextFrame, width: int) -> list[tuple[str, Style]]:
        """From 0 to 1, the chosen token's share of it, and `u`, which fell there."""
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
    """A bar `share` of `cells` long, to an eighth of a cell; something for anything above 0."""
    eighths = round(min(share, 1.0) * cells * 8)
    if share > 0 and cells > 0:
        eighths = max(eighths, 1)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest - 1] if rest else "")
