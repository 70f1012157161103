"""Tables among printed lines: with columns under a header, or with a name and a number a row.

Cells are between bars (`| epoch | loss |`, also of Rich's boxes), commas or two spaces and more. A
header is a line of names without numbers, one of which is a step, an epoch or a known metric.
"""

import re
from dataclasses import dataclass, field

from genui.logs.printed_result import Line
from genui.logs.printed_tokens import number_of
from genui.logs.printed_words import Traits, traits

_BARS = "|│┃║"
_SPLIT = re.compile("[|│┃║]")
_RULER = re.compile(r"[-+=|:*#_~ \u2500-\u257f]{4,}+")
_RULE_GROUPS = re.compile(r"[-=─━]{1,}+")
_GAP = re.compile(r" {2,}+|\t+")
_BAR_TAIL = re.compile(r":?\s{0,4}[0-9]{1,3}%\s{0,2}(?:\||[━─╸╺]{3}).*|:?\s{1,4}[━╸╺]{3,}.*")
_CELL = re.compile(
    r"([+-]?(?:[0-9]+(?:,[0-9]{3})*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|nan|[+-]?inf)"
    r"(?:/([0-9]+))?[ ]?([kKMGT]?i?B?|%|m?s)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.@(-])[0-9]+(?:\.[0-9]*)?(?![\w(-])")
_PATIENCE = 2000  # lines without a row after which a header no longer counts
_WIDEST = 64
_MAX_OTHERS = 20  # lines between two rows of one table
_MAX_HEADERS = 4
_MAX_PAIRS = 1000
_SUMMARY = frozenset(("all", "mean", "avg", "average", "overall", "total"))


@dataclass
class _Header:
    names: list[str]
    kind: str  # the text between cells: a bar, a comma, a tab, or two spaces
    spans: list[tuple[int, int]] = field(default_factory=list)  # by the rule below, if any
    label: str | None = None  # of the first row, if the rows begin with a word
    step: int = -1
    epoch: int = -1
    anew: bool = False  # it was printed before, and no row is below it yet


class _Pairs:
    """A table with a name and a number a row; a row without a number begins a group of names."""

    def __init__(self) -> None:
        self._values: dict[str, float] = {}
        self._others = 0  # lines since the last of them
        self._group = ""
        self._indent = 0

    def add(self, raw: str, value: float) -> None:
        """Adds a row, whose first cell is `raw`."""
        if len(self._values) >= _MAX_PAIRS:
            return
        if self._group and _indent(raw) <= self._indent:
            self._group = ""
        self._values[self._group + "_".join(raw.split())] = value
        self._others = 0

    def begin_group(self, raw: str) -> None:
        self._group, self._indent = raw.strip().rstrip("/") + "/", _indent(raw)

    def pass_other(self) -> list[Line]:
        """Another line between the rows does not end a table; many do."""
        self._others += 1
        return self.end() if self._others > _MAX_OTHERS else []

    def end(self) -> list[Line]:
        """The table of names and numbers so far, which ends here, as one line."""
        if not self._values:
            return []
        pairs, self._values, self._group = self._values, {}, ""
        line = Line(record=True)
        level, known = 0, False
        for name, value in pairs.items():
            about = traits(name, record=True)
            tail = traits(name.rpartition("/")[2], record=True)
            step = max(about.step, tail.step)
            if step > level and value.is_integer() and 0 <= value < 2**53:
                line.step, line.whole, level = int(value), step >= 3, step
            elif about.epoch and value >= 0:
                line.epoch = value
                continue
            if not about.setting and (not step or "/" in name):
                line.metrics[name] = value
                known = known or about.known
        line.weak = not known and not line.placed
        return [line] if line.metrics and not line.weak else []


class Tables:
    """Reads the tables of a stream of lines."""

    def __init__(self) -> None:
        self._headers: list[_Header] = []  # the newest first
        self._above = ""  # the line before, which a rule may make a header
        self._idle = 0
        self._pairs = _Pairs()

    def take(self, text: str) -> list[Line] | None:
        """The rows that a line completes; None if it is no part of a table."""
        bare = text.strip()
        above, self._above = self._above, ""
        if not bare:
            return None
        if _RULER.fullmatch(bare):
            if "  " in bare or " " in bare.strip():
                self._rule(above, text)
            return self.end()
        if bare[0] in _BARS and bare[-1] in _BARS and len(bare) > 2:
            rows = self._barred(bare)
            if rows is not None:
                return rows
        ended = self._pairs.pass_other()
        rows = self._columns(text, bare)
        if rows is not None:
            return ended + rows
        self._above = text if len(text) < 400 else ""
        return ended or None

    # --- a name and a number a row, and rows between bars ---

    def _barred(self, bare: str) -> list[Line] | None:
        raw = _SPLIT.split(bare[1:-1])
        cells = [cell.strip() for cell in raw]
        if not 2 <= len(cells) <= _WIDEST:
            return None
        values = [_value(cell) for cell in cells]
        if len(cells) == 2:
            return self._pair(raw, cells, values)
        if all(value is None for value in values):
            if self._is_header(cells):
                self._set(cells, "|")
                return []
            return None
        header = self._barred_header(len(cells))
        words = [cell for cell, value in zip(cells, values, strict=True) if cell and value is None]
        if header is None or (len(words) > 1 and any(" " in word for word in words)):
            return None if header is None else []  # texts with a score each: samples
        return self._row(header, cells)

    def _barred_header(self, count: int) -> _Header | None:
        header = next((header for header in self._headers if header.kind == "|"), None)
        return header if header and len(header.names) == count else None

    def _pair(
        self, raw: list[str], cells: list[str], values: list[float | None]
    ) -> list[Line] | None:
        name, value = cells[0], values[1]
        if not name or values[0] is not None:
            header = self._barred_header(2)
            return self._row(header, cells) if header and value is not None else None
        if value is not None:
            self._pairs.add(raw[0], value)
        elif not cells[1] or name.endswith("/"):
            self._pairs.begin_group(raw[0])
        elif self._is_header(cells):
            self._set(cells, "|")
        return []

    def end(self) -> list[Line]:
        """The table of names and numbers so far, which ends here, as one line."""
        return self._pairs.end()

    # --- columns under a header ---

    def _columns(self, text: str, bare: str) -> list[Line] | None:
        drawn = ("%" in bare and ("|" in bare or "─" in bare)) or "━" in bare
        plain = _BAR_TAIL.sub("", bare) if drawn else bare
        for header in self._headers:
            if header.kind == "|":
                continue
            cells = self._cells(header, _BAR_TAIL.sub("", text) if plain != bare else text, plain)
            if len(cells) == len(header.names) and self._fits(header, cells):
                rows = self._row(header, cells)
                for line in rows:
                    line.redrawn = plain != bare
                return rows
        self._idle += 1
        if self._idle > _PATIENCE:
            self._headers.clear()
        if len(plain) > 2000 or _NUMBER.search(plain):
            return None
        for kind in ("  ", ","):
            cells = _GAP.split(plain) if kind == "  " else plain.split(",")
            least = 3 if kind == "  " else 2
            if least <= len(cells) <= _WIDEST and self._is_header(cells, strict=True):
                self._set(cells, "\t" if "\t" in plain else kind)
                return []
        return None

    def _rule(self, above: str, text: str) -> None:
        """A line of dashes below names: the names are cut where the dashes are."""
        spans = [match.span() for match in _RULE_GROUPS.finditer(text)]
        if not above or not 2 <= len(spans) <= _WIDEST:
            header = self._headers[0] if self._headers else None
            if header is not None and header.kind == "  " and len(spans) == len(header.names):
                header.spans = spans
            return
        names = [above[start:end].strip() for start, end in spans]
        if all(names) and self._is_header(names):
            self._set(names, "  ").spans = spans

    def _cells(self, header: _Header, text: str, plain: str) -> list[str]:
        if header.kind == ",":
            return [cell.strip() for cell in plain.split(",")] if "," in plain else []
        if header.spans and len(plain.split()) != len(header.names):
            return [text[start:end].strip() for start, end in header.spans]
        return plain.split("\t") if header.kind == "\t" else plain.split()

    def _fits(self, header: _Header, cells: list[str]) -> bool:
        values = [_value(cell) is not None for cell in cells]
        words = [_about(cell) for cell, value in zip(cells, values, strict=True) if not value]
        if any(word.step or word.epoch or word.known for word in words):
            return False  # Epoch 2 loss 0.4, below another table
        place = header.step if header.step >= 0 else header.epoch
        if place >= 0 and not values[place]:
            return False
        if place < 0 and any("/" in cell for cell in cells):
            return False
        return 2 * sum(values) >= len(values)

    def _is_header(self, cells: list[str], strict: bool = False) -> bool:
        if any(_value(cell) is not None or len(cell) > 40 for cell in cells):
            return False
        if strict and not all(cells):
            return False
        if strict and any(cell[-1:] in ":.;!?" or "=" in cell or ": " in cell for cell in cells):
            return False
        about = [_about(cell) for cell in cells]
        placed = any(a.step or a.epoch for a in about)
        known = sum(a.known for a in about)
        return (placed and (known > 0 or len(cells) > 2)) or known > 1 or (known > 0 and not strict)

    def _set(self, cells: list[str], kind: str) -> _Header:
        header = _Header(_names(cells), kind)
        best = 0
        for index, cell in enumerate(cells):
            about = _about(cell)
            if about.step > best:
                header.step, best = index, about.step
            elif about.epoch and header.epoch < 0:
                header.epoch = index
        for old in self._headers:
            if old.names == header.names:
                header.spans, header.anew = old.spans, True
                self._headers.remove(old)
                break
        self._headers = [header, *self._headers[: _MAX_HEADERS - 1]]
        self._idle = 0
        return header

    def _row(self, header: _Header, cells: list[str]) -> list[Line]:
        self._idle = 0
        line = Line(record=True, row=True, anew=header.anew)
        header.anew = False
        label = ""
        for index, cell in enumerate(cells):
            match = _CELL.fullmatch(cell)
            value = number_of(match[1]) if match else None
            if match is None or value is None:
                label = label or (cell if index == 0 else "")
                continue
            if index == header.step:
                if value.is_integer() and value >= 0:
                    line.step = int(value)
                    line.whole = _about(header.names[index]).step >= 3
            elif index == header.epoch:
                line.epoch = value if value >= 0 else None
            elif not traits(header.names[index], record=True).is_setting(value):
                line.metrics[header.names[index]] = value
                if match[3]:
                    line.look.units[header.names[index]] = match[3]
        if label and header.step < 0 and header.epoch < 0:
            if header.label is None:
                header.label = label
            elif label != header.label and header.label.lower() in _SUMMARY:
                return []  # a class of its own, below the row of all
            elif label != header.label:
                line.metrics = {f"{label}/{name}": v for name, v in line.metrics.items()}
        return [line] if line.metrics else []


def _about(name: str) -> Traits:
    """The meaning of the title of a column; `#` is a step, and `E` an epoch."""
    if name == "#":
        return traits("step")
    if name == "E":
        return traits("epoch")
    return traits("_".join(name.split()), record=True)


def _names(cells: list[str]) -> list[str]:
    """The names of columns; P, R, Mask/P and Mask/R for `Box(P R) Mask(P R)`."""
    names: list[str] = []
    group = ""
    for cell in cells:
        name = "_".join(cell.split())
        before, opens, after = name.partition("(")
        if opens and ")" not in after and after:
            group, name = before, after
        closes = name.endswith(")") and "(" not in name
        name = name.rstrip(")") if closes else name
        if name in names:
            name = f"{group}/{name}" if group else f"{name}_{len(names)}"
        names.append(name or f"column_{len(names) + 1}")
        group = "" if closes else group
    return names


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _value(cell: str) -> float | None:
    match = _CELL.fullmatch(cell)
    return number_of(match[1]) if match else None
