"""The predictions of each layer for a token, and the parts of its logit, as lists with bars."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual.strip import Strip

from genui.base import numbers
from genui.protocol import Contribution, LayerOdds, Layers
from genui.ui.widgets.candidates import BarList, token_text
from genui.ui.widgets.lines import strip_of

_TOKEN_CELLS, _FEW_TOKEN_CELLS = 12, 8
_WIDE = 36  # cells from which tokens have their full width
_LABEL_CELLS = 5  # "input", or a layer's number
_MOST_TOKENS = 6  # of the selected layer, one below the other


def _first_visible(selected: int, room: int, count: int) -> int:
    """The first of `count` rows so that the selected one is among the `room` that are shown."""
    return max(0, min(selected - room // 2, count - room))


class LayerList(BarList):
    """The logit lens of a token: a row for each layer, and the likeliest tokens of the selected."""

    _layers: Layers | None = None
    _selected = 0

    def show(self, layers: Layers, selected: int) -> None:
        """Show the layers of a token; `selected` is an index of `layers.layers`."""
        self._layers, self._selected = layers, selected
        self.redraw()

    def clear(self, empty: str | None = None) -> None:
        self._layers = None
        super().clear(empty)

    def draw(self, width: int, height: int) -> list[Strip]:
        layers = self._layers
        if layers is None or not layers.layers:
            return self.message(self._empty, width, height)
        count, one = len(layers.layers), layers.layers[self._selected]
        details = self._draw_details(layers, one, width, height - 1 - count)
        room = max(min(height - 1 - len(details), count), 1)
        first = _first_visible(self._selected, room, count)
        cells = self._token_cells(layers.layers, width)
        written = f"‘{token_text(layers.token, 6)}’"
        heading = f"{'layer':>{_LABEL_CELLS}} {'likeliest':<{cells + 5}} {written:>8}"
        rows = [self._draw_row(layers, at, cells, width) for at in range(first, first + room)]
        return self.list_rows(heading, [*rows, *details], (), width)

    def _token_cells(self, layers: Sequence[LayerOdds], width: int) -> int:
        limit = _TOKEN_CELLS if width >= _WIDE else _FEW_TOKEN_CELLS
        widest = max(cell_len(token_text(one.top[0][0])) for one in layers)
        return max(min(widest, limit), 4)

    def _draw_row(self, layers: Layers, at: int, cells: int, width: int) -> Strip:
        """The likeliest token of a layer with its odds, and the rank of the written one."""
        one = layers.layers[at]
        text, share = one.top[0]
        shown = token_text(text, cells)
        pad = " " * (cells - cell_len(shown))
        label = str(at) if at else "input"
        rank = f"#{numbers.count(one.rank)}"
        style = self.look("chosen" if one.rank == 1 else "text")
        number, base = self.look("number"), self.rich_style
        parts = [
            (f"{label:>{_LABEL_CELLS}} ", number),
            (shown, style),
            (f"{pad} ", number),
            (f"{share:>4.0%} ", base),
            (f"{rank:>8}", number),
        ]
        filled = self.look("chosen" if one.rank == 1 else "bar")
        return self.draw_bar(parts, share, filled, width, selected=at == self._selected)

    def _draw_details(self, layers: Layers, one: LayerOdds, width: int, room: int) -> list[Strip]:
        """The tokens of the selected layer, in one line or, with room, in lines with bars."""
        number, base = self.look("number"), self.rich_style
        wide = width >= _WIDE
        settled = f"{'layer ' if wide else ''}{layers.settled}" if layers.settled else "input"
        notes = [("entropy " if wide else "", number), (f"{one.entropy:.2f}", base)]
        notes += [(" bits · decided at ", number), (settled, base)]
        last = strip_of(notes).crop(0, width)
        if room < _MOST_TOKENS + 3:
            tokens = ""
            for text, share in one.top:
                entry = f"{token_text(text, 8)} {share:.0%}  "
                if cell_len(tokens + entry.rstrip()) > width:
                    break
                tokens += entry
            return [strip_of([(tokens.rstrip(), base)]).crop(0, width), last]
        cells = max(cell_len(token_text(text)) for text, _ in one.top)
        lines = [Strip.blank(width, base)]
        for text, share in one.top[:_MOST_TOKENS]:
            shown = token_text(text)
            style = self.look("chosen" if text == layers.token else "text")
            pad = " " * (_LABEL_CELLS + 1 + cells - cell_len(shown))
            line = [(pad, base), (shown, style), (f" {share:>6.1%}", base)]
            lines.append(self.draw_bar(line, share, self.look("bar"), width))
        return [*lines, last]


class PartList(BarList):
    """What attention heads and feed-forwards added to a token's logit, the largest first."""

    _layers: Layers | None = None
    _parts: Sequence[Contribution] = ()
    _selected = 0

    def show(self, layers: Layers, parts: Sequence[Contribution], selected: int) -> None:
        """Show `parts` of the layers in this order; `selected` is an index of them."""
        self._layers, self._parts, self._selected = layers, parts, selected
        self.redraw()

    def clear(self, empty: str | None = None) -> None:
        self._layers = None
        super().clear(empty)

    def draw(self, width: int, height: int) -> list[Strip]:
        layers = self._layers
        if layers is None or not self._parts:
            return self.message(self._empty, width, height)
        notes = [
            f"input and edits {format_signed(layers.rest)}",
            f"sum {format_signed(layers.difference)}, before soft-capping",
        ]
        room = max(min(height - 1 - len(notes), len(self._parts)), 1)
        first = _first_visible(self._selected, room, len(self._parts))
        rows = range(first, first + room)
        names = {at: part_name(self._parts[at], layers.mixer) for at in rows}
        cells = max(map(len, names.values()))
        most = max(abs(part.value) for part in self._parts) or 1.0
        other = "the mean" if layers.over == "mean" else f"‘{token_text(layers.other, 8)}’"
        heading = f"{'part':<{cells}}   over {other}"
        strips = [self._draw_row(at, names[at], cells, most, width) for at in rows]
        return self.list_rows(heading, strips, notes, width)

    def _draw_row(self, at: int, name: str, cells: int, most: float, width: int) -> Strip:
        value = self._parts[at].value
        text, base = self.look("text"), self.rich_style
        parts = [(f"{name:<{cells}} ", text), (f"{format_signed(value):>7}", base)]
        style = self.look("bar" if value > 0 else "against")
        return self.draw_bar(parts, abs(value) / most, style, width, selected=at == self._selected)


def part_name(part: Contribution, mixer: str) -> str:
    """`layer 3 head 2`, `layer 3 feed-fwd`; `layer 3 recurrence` for a recurrent network."""
    if part.head is None:
        return f"layer {part.layer} feed-fwd"
    return f"layer {part.layer} " + (f"head {part.head}" if mixer == "attention" else mixer)


def format_signed(value: float) -> str:
    """`+9.44`, `−0.18`."""
    return f"{value:+.2f}".replace("-", "−")
