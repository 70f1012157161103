"""Records from lines: dicts, as in JSON."""

import json
import math
import re
from typing import Any

import msgspec

STEP_KEYS = ("step", "_step", "global_step", "trainer/global_step", "iter", "iteration", "steps",
             "batch", "epoch")  # fmt: skip
"""Names of the step in logs, the most certain first; case is ignored."""

Record = dict[str, Any]

_DEEPEST = 8  # levels of nesting that become a name with slashes
_SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""A surrogate, half of a character above U+FFFF; a single one cannot be encoded."""

_EMPTY = re.compile(rb"^[ \t\r]*\n", re.MULTILINE)

_decoder = msgspec.json.Decoder(Record)


def decode_lines(lines: bytes) -> tuple[list[Record], int]:
    """The records in whole lines, and the number of other lines."""
    try:
        records = _decoder.decode_lines(lines)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        records = []
    if one_a_line(len(records), lines):
        return records, 0
    decoded = [decode_record(line) for line in lines.split(b"\n") if line.strip()]
    good = [record for record in decoded if record is not None]
    return good, len(decoded) - len(good)


def one_a_line(count: int, lines: bytes) -> bool:
    """Whether that many records were decoded from as many lines.

    Two records on one line are damage, and must not balance an empty line: the count of damaged
    lines must not depend on the pieces in which a file is read.
    """
    if count != lines.count(b"\n"):
        return False
    objects = lines.startswith(b"{") + lines.count(b"\n{")  # much faster than the search
    return objects == count or not _EMPTY.search(lines)


def decode_record(text: bytes) -> Record | None:
    """One record, also with a bare NaN as Python writes it; None for anything else.

    Its names can be encoded as UTF-8: a lone surrogate becomes "?".
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


def flatten(record: Record) -> Record:
    """The record without nesting: {"train": {"loss": 2}} becomes {"train/loss": 2}."""
    if not any(type(value) is dict for value in record.values()):
        return record
    result: Record = {}
    _flatten(record, "", result, _DEEPEST)
    return result


def number(cell: object) -> float | None:
    """A number, also "NaN", "Infinity" and "-Infinity"; None for anything else and for bools."""
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


def _flatten(record: Record, prefix: str, result: Record, depth: int) -> None:
    for name, value in record.items():
        if type(value) is not dict:
            result[prefix + name] = value
        elif depth:
            _flatten(value, f"{prefix}{name}/", result, depth - 1)
