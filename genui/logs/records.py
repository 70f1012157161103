"""Records, which are dicts as JSON has them, out of lines."""

import json
import math
import re
from typing import Any

import msgspec

STEP_KEYS = ("step", "_step", "global_step", "trainer/global_step", "iter", "iteration", "steps",
             "batch", "epoch")  # fmt: skip
"""Names of a step in somebody's log, the surest first; one in capitals is the same."""

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
    decoded = [decode_record(line) for line in lines.split(b"\n") if line.strip()]
    good = [record for record in decoded if record is not None]
    return good, len(decoded) - len(good)


def one_a_line(count: int, lines: bytes) -> bool:
    """Whether that many records were decoded from as many lines.

    Two records on one line are damage, and must not make up for an empty line: damage counts the
    same in whatever pieces a file is read.
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


def flatten(record: Record) -> Record:
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


def _flatten(record: Record, prefix: str, result: Record, depth: int) -> None:
    for name, value in record.items():
        if type(value) is not dict:
            result[prefix + name] = value
        elif depth:
            _flatten(value, f"{prefix}{name}/", result, depth - 1)
