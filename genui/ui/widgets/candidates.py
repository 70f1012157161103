"""What the next token might have been, and how likely each was."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from textual.reactive import reactive
from textual.strip import Strip

from genui.protocol import Candidate, TextFrame
from genui.render.sanitise import clean, clean_line
from genui.ui.widgets.lines import LineWidget, strip_of

_EIGHTHS = "▏▎▍▌▋▊▉"
_TOKEN_CELLS = 12


def token_text(text: str, width: int = _TOKEN_CELLS) -> str:
    """A token as it can be read: `·` for a space, `⏎` for a newline, `⇥` for a tab."""
    if not text:
        return "∅"
    seen = clean(text).replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥") or "�"
    return seen if cell_len(seen) <= width else set_cell_size(seen, width - 1) + "…"


class Candidates(LineWidget):
    """A bar a candidate: the model's own probability, and what the settings made of it.

    The token that was chosen has `▸` before it and its own colour; one the settings cut
    off has `✂`. With `detail` the two probabilities have a line each.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "candidates--empty",
        "candidates--token",
        "candidates--cut",
        "candidates--number",
        "candidates--model",
        "candidates--sampled",
        "candidates--chosen",
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
    }
    """

    detail: reactive[bool] = reactive(False, repaint=False)

    def __init__(
        self,
        empty: str = "The next token's odds show here",
        *,
        detail: bool = False,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._empty = empty
        self._candidates: tuple[Candidate, ...] = ()
        self._chosen = -1
        self._summary = ""
        self.set_reactive(Candidates.detail, detail)

    def watch_detail(self) -> None:
        self.redraw()

    def show(
        self,
        candidates: Sequence[Candidate],
        chosen: int = -1,
        entropy: float | None = None,
        note: str = "",
    ) -> None:
        """`chosen` is a token id, -1 for none; `entropy` in bits; `note` ends the last line."""
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

    def show_frame(self, frame: TextFrame, note: str = "") -> None:
        """The distribution the frame's token was drawn from."""
        self.show(frame.candidates, frame.token, frame.entropy, note)

    def clear(self, empty: str | None = None) -> None:
        """Back to the empty state, with another text where one is given."""
        self._candidates = ()
        if empty is not None:
            self._empty = empty
        self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        if not self._candidates:
            return self.message(self._empty, "candidates--empty", width, height)
        room = height - 1 if self._summary and height > 1 else height
        shown = self._candidates[: room // 2 if self.detail else room]
        most = max(max(c.model, c.sampled) for c in shown) if shown else 1.0
        cells = min(max((cell_len(token_text(c.text)) for c in shown), default=1), width // 3)
        draw = self._two_lines if self.detail else self._one_line
        strips = [strip for c in shown for strip in draw(c, most or 1.0, max(cells, 1), width)]
        if room < height:
            summary = clean_line(self._summary, width)
            strips.append(strip_of([(summary, self.style("candidates--number"))]))
        return strips

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

    def _one_line(self, candidate: Candidate, most: float, cells: int, width: int) -> list[Strip]:
        number, base = self.style("candidates--number"), self.rich_style
        sampled = f"{candidate.sampled:.2f}" if candidate.sampled > 0 else "  ✂ "
        bar_room = max(width - cells - 3 - 11, 0)
        parts = [
            *self._token(candidate, cells),
            (f"{candidate.model:.2f}", number),
            ("→", number),
            (f"{sampled} ", base),
            (bar(candidate.sampled / most, bar_room), self._bar(candidate)),
        ]
        return [strip_of(parts)]

    def _two_lines(self, candidate: Candidate, most: float, cells: int, width: int) -> list[Strip]:
        number, base = self.style("candidates--number"), self.rich_style
        bar_room = max(width - cells - 3 - 5, 0)
        model = round(candidate.model / most * bar_room)
        sampled = f"{candidate.sampled:.2f} " if candidate.sampled > 0 else "  ✂  "
        return [
            strip_of(
                [
                    *self._token(candidate, cells),
                    (f"{candidate.model:.2f} ", number),
                    ("░" * model, self.style("candidates--model")),
                ]
            ),
            strip_of(
                [
                    (" " * (cells + 3), base),
                    (sampled, base),
                    (bar(candidate.sampled / most, bar_room), self._bar(candidate)),
                ]
            ),
        ]


def bar(share: float, cells: int) -> str:
    """A bar `share` of `cells` long, to an eighth of a cell; something for anything above 0."""
    eighths = round(min(share, 1.0) * cells * 8)
    if share > 0 and cells > 0:
        eighths = max(eighths, 1)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest - 1] if rest else "")
