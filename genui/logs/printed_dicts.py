"""Dicts of JSON or Python: their numbers, and those over several lines joined to one.

`{'loss': 0.5, 'epoch': 1.0}`, `{"step": 5, "train": {"loss": 0.25}}`, also with tensors, and broken
as pprint does it. It handles the text between the braces; the text before them is a line of its
own.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

import msgspec

from genui.logs.printed_result import Line
from genui.logs.printed_tokens import INT, LONGEST, REAL, VALUE, number_of, split_numbers
from genui.logs.printed_words import traits

_OPENS = re.compile(r"\{\s*['\"][^{}]{1,400},\s*+$")
_GOES_ON = re.compile(r"\s+['\"}\w\[(-]|['\"}]")
_MAX_LINES = 200
_MAX_NUMBERS = 512
_MAX_TEMPLATES = 512
_DEEPEST = 6  # dicts in each other whose names are kept
_ITEM = re.compile(
    r"(?P<q>['\"])(?P<key>[^'\"\n]{1,120}+)(?P=q)\s*+:\s*+(?:(?P<open>\{)"
    r"|(?:(?:[A-Za-z]{1,8}+\.)?+(?:tensor|array|Array|float\d*+|int\d*+)\(|['\"])?+\s*+"
    r"(?P<number>[\x11\x12])(?:/(?P<total>\x11))?+(?=\s*+[,)}\]'\"]|\.?$))|(?P<close>\})",
    re.IGNORECASE,
)  # in a template
_WRITTEN = re.compile(rf"\s*({VALUE})(?:/([0-9]{{1,15}}))?\s*", re.IGNORECASE)

_Item = tuple[str, float, int]
"""A name, its number, and the total that it is a part of, or 0."""


class OpenDict:
    """Holds the lines of a dict until it is closed."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = self._length = 0

    def may_hold(self, text: str) -> bool:
        """Whether a line must be taken; it is read as it is otherwise."""
        return bool(self._lines) or "{" in text

    def take(self, text: str) -> list[str]:
        """The lines to read now: none while a dict is open, the joined one that closes it, or, if
        that was no dict, all that were held."""
        if not self._lines:
            if not _OPENS.search(text[-500:]):
                return [text]
        elif not _GOES_ON.match(text) or self._length > LONGEST or len(self._lines) >= _MAX_LINES:
            return [*self.finish(), text]
        self._lines.append(text)
        self._length += len(text)
        self._depth += text.count("{") - text.count("}")
        if self._depth > 0:
            return []
        lines = self.finish()
        return [" ".join([lines[0], *(line.strip() for line in lines[1:])])]

    def finish(self) -> list[str]:
        """The lines that are held."""
        lines, self._lines, self._depth, self._length = self._lines, [], 0, 0
        return lines


def read_dict(body: str, line: Line) -> None:
    """Reads the numbers of a dict into a line."""
    items: Iterator[_Item] | None = None
    if body[1:].lstrip()[:1] == '"':
        with suppress(msgspec.DecodeError, RecursionError, UnicodeError):
            items = _flatten(msgspec.json.decode(body), "", _DEEPEST)
    known, level = False, 0
    for name, value, total in _python_items(body) if items is None else items:
        about = traits(name, record=True)
        if about.epoch:
            if value >= 0:
                line.epoch = value
        elif about.step and value.is_integer() and 0 <= value < 2**53:
            if about.step > level:
                line.step, line.total, level = int(value), total, about.step
                line.whole = about.step >= 3
        elif not about.step and not about.is_setting(value) and not total:
            line.metrics[name] = value
            known = known or about.known
    line.weak = not known and not line.placed


def _flatten(record: Any, prefix: str, depth: int) -> Iterator[_Item]:
    """(name, value, total) of the numbers in a JSON object, nested ones with slashes."""
    for key, cell in record.items() if isinstance(record, dict) else ():
        name = f"{prefix}{key}"
        if isinstance(cell, dict) and depth:
            yield from _flatten(cell, f"{name}/", depth - 1)
        elif isinstance(cell, str):
            if match := _WRITTEN.fullmatch(cell):
                value = number_of(match[1])
                if value is not None:
                    yield _without_total(name), value, int(match[2] or 0)
        elif isinstance(cell, int | float) and not isinstance(cell, bool):
            try:
                yield name, float(cell), 0
            except OverflowError:  # an integer too large for a float
                continue


def _python_items(body: str) -> Iterator[_Item]:
    """The same of a dict as Python prints it."""
    template, numbers = split_numbers(body)
    items = _items_of(template) if len(numbers) <= _MAX_NUMBERS else []
    for name, index, total in items:
        value = number_of(numbers[index])
        if value is not None:
            yield name, value, 0 if total < 0 else int(float(numbers[total]))


@lru_cache(maxsize=_MAX_TEMPLATES)
def _items_of(template: str) -> list[tuple[str, int, int]]:
    """(name, index of its number, index of its total or -1) in the template of a dict."""
    masks = (place for place, char in enumerate(template) if char in (INT, REAL))
    at = {place: index for index, place in enumerate(masks)}
    items: list[tuple[str, int, int]] = []
    prefixes: list[str] = []
    for match in _ITEM.finditer(template):
        if match["close"]:
            if prefixes:
                prefixes.pop()
        elif match["open"]:
            prefixes.append(match["key"] + "/")
        else:
            total = at[match.start("total")] if match["total"] else -1
            name = "".join(prefixes[-_DEEPEST:]) + match["key"]
            items.append((_without_total(name), at[match.start("number")], total))
    return items


def _without_total(name: str) -> str:
    """`global_step/max_steps` is global_step."""
    return re.sub(r"/(?:max|total|num)_\w+$", "", name)
