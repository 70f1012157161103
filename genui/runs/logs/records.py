"""Records, which are dicts as JSON has them: out of lines, and into columns of numbers."""

import json
import math
import re
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from genui.runs.logs.collect import Column
from genui.runs.series import Floats, Steps

Record = dict[str, Any]

_DEEPEST = 8  # levels of nesting that become a name with slashes
_SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of a character beyond U+FFFF, as JSON escapes it; on its own it is no text."""

_EMPTY = re.compile(rb"^[ \t\r]*\n", re.MULTILINE)

_decoder = msgspec.json.Decoder(Record)


def decode_lines(lines: bytes) -> tuple[list[Record], int]:
    """The records in whole lines, and the number of lines that are none."""
    try:
        records = _decoder.decode_lines(lines)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        records = []
    if one_a_line(len(records), lines):
        return records, 0
    found = [decode_record(line) for line in lines.split(b"\n") if line.strip()]
    good = [record for record in found if record is not None]
    return good, len(found) - len(good)


def one_a_line(count: int, lines: bytes) -> bool:
    """Whether so many records are one a line.

    Two run together on one line are none, but pass for two, and so might make up for an empty
    line: what is damaged is told apart line by line, so that it counts the same in whatever
    pieces it is read.
    """
    if count != lines.count(b"\n"):
        return False
    begun = lines.startswith(b"{") + lines.count(b"\n{")  # far quicker than to look for empty ones
    return begun == count or not _EMPTY.search(lines)


def decode_record(text: bytes) -> Record | None:
    """One record, also in Python's own dialect with a bare NaN; None for anything else.

    Its names can be written as UTF-8: half a surrogate pair in one becomes "?".
    """
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        pass
    try:
        hook = _encodable if _SURROGATE.search(text) else None
        record = json.loads(text, object_pairs_hook=hook)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def columns(
    records: Sequence[Record], steps: Steps, times: Floats, skip: Collection[str]
) -> list[Column]:
    """The metrics of some records, of which `steps` and `times` [records] are known already.

    Numbers count, and the words "NaN", "Infinity" and "-Infinity" (JSON has no numbers for
    them); what is nested is named with slashes, "train/loss"; anything else is no metric.
    They come in the order in which they first appear.
    """
    names = [name for name in dict.fromkeys(chain.from_iterable(records)) if name not in skip]
    if 2 * sum(map(len, records)) < len(names) * len(records):
        return _sparse(records, steps, times, skip)
    found: list[Column] = []
    for name in names:
        cells = [record.get(name) for record in records]
        types = set(map(type, cells))
        if types <= {int, float}:
            try:
                found.append((name, steps, np.array(cells, np.float64), times))
                continue
            except OverflowError:  # an integer no float can hold
                pass
        if dict in types:
            return columns([flat(record) for record in records], steps, times, skip)
        numbers = [number(cell) for cell in cells]
        there = np.array([value is not None for value in numbers], bool)
        values = np.array(numbers, np.float64)[there]  # None became NaN
        found.append((name, steps[there], values, times[there]))
    return found


def flat(record: Record) -> Record:
    """The record without nesting: {"train": {"loss": 2}} becomes {"train/loss": 2}."""
    if not any(type(value) is dict for value in record.values()):
        return record
    result: Record = {}
    _flatten(record, "", result, _DEEPEST)
    return result


def number(cell: object) -> float | None:
    """A JSON number, or one of the spellings JSON has no number for; True is none."""
    if isinstance(cell, bool):
        return None
    if isinstance(cell, int | float):
        try:
            return float(cell)
        except OverflowError:
            return None
    return _SPELLED.get(cell) if isinstance(cell, str) else None


def _encodable(pairs: list[tuple[str, Any]]) -> Record:
    return {name.encode(errors="replace").decode(): value for name, value in pairs}


def _sparse(
    records: Sequence[Record], steps: Steps, times: Floats, skip: Collection[str]
) -> list[Column]:
    """The same cell by cell: for many names of which a record has few."""
    cells: dict[str, tuple[list[int], list[float]]] = {}
    for index, record in enumerate(records):
        for name, cell in flat(record).items():
            value = number(cell)
            if value is not None and name not in skip:
                where, values = cells.setdefault(name, ([], []))
                where.append(index)
                values.append(value)
    return [
        (name, steps[where], np.array(values, np.float64), times[where])
        for name, (where, values) in cells.items()
    ]


def _flatten(record: Record, prefix: str, result: Record, depth: int) -> None:
    for name, value in record.items():
        if type(value) is not dict:
            result[prefix + name] = value
        elif depth:
            _flatten(value, f"{prefix}{name}/", result, depth - 1)
