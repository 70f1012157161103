"""Records from lines: dicts, as in JSON."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

STEP_KEYS = (
    *("step", "_step", "global_step", "trainer/global_step", "iter", "iteration", "steps"),
    *("current_steps", "current_step", "num_updates"),
    *("time/total_timesteps", "total_timesteps", "num_timesteps", "timesteps"),
    *("timestep", "env_steps", "env_step", "batch", "epoch"),
)
"""Names of the step in logs, the most certain first; case is ignored."""

STEP_NAMES = frozenset(STEP_KEYS)

PHASE_KEYS = frozenset({"mode", "split", "phase", "stage", "subset", "type"})
"""Names of the field with the phase of a record."""

_TRAINING = frozenset({"train", "training"})
_HELD_OUT = frozenset(
    {"val", "valid", "validation", "validate", "eval", "evaluation", "evaluate", "test", "dev"}
)

STEP_TIME = re.compile(
    r"(?:^|[_/])(?:seconds|(?:step|iter|batch)_?time(?:_m?s)?|dt)$", re.IGNORECASE
)
"""Found in the name of a metric that says how long a step took."""

TIME_KEYS = ("time", "timestamp", "_timestamp", "wall_time", "datetime", "date")

_PLACES = STEP_NAMES.union(TIME_KEYS)
"""Names of what is no metric: the step or the time."""

_NAME_KEYS = ("name", "metric", "key", "tag")
"""Names of the field with the name of the metric whose number is in "value"."""

SLOWEST, SPREAD = "ranks/slowest", "ranks/spread "
"""Names of how the ranks of a job compare: the slowest at each step, and the spread of a metric,
whose name follows. The ranks of a run are compared in whole arrays (`native.py`), printed ones line
by line (`printed_ranks.py`), which would take 20 times as long for a run."""

Record = dict[str, Any]

_DEEPEST = 8  # levels of nesting that become a name with slashes
_SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|nan|[-+]?inf", re.ASCII)
_LONGEST_NUMBER = 40  # characters

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""A surrogate, half of a character above U+FFFF; a single one cannot be encoded."""

_decoder = msgspec.json.Decoder(Record)


def decode_lines(lines: bytes) -> tuple[list[Record], int]:
    """The records in whole lines, and the number of other lines."""
    decoded = [decode_record(line) for line in lines.split(b"\n") if line.strip()]
    good = [record for record in decoded if record is not None]
    return good, len(decoded) - len(good)


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
    if dict not in map(type, record.values()):
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


def number_or_text(cell: object) -> float | None:
    """The same, also for a number in a string, as "2.5"."""
    if isinstance(cell, str) and len(cell) <= _LONGEST_NUMBER and _NUMBER.fullmatch(cell):
        return float(cell)
    return number(cell)


def split_phase(record: Record) -> tuple[str, Record]:
    """(held-out phase or "", record): a record of {"split": "val", "loss": 2} is of the phase
    "val" and {"val/loss": 2}. Records of training, and those that do not say, keep their names."""
    key = next((key for key in record if key in PHASE_KEYS and _phase(record[key])), None)
    if key is None:
        return "", record
    word = _phase(record[key])
    rest = {name: value for name, value in record.items() if name != key}
    if word in _TRAINING:
        return "", rest
    own = _PLACES | {"lr"}
    return word, {
        name if name.lower() in own or name.lower().startswith(word) else f"{word}/{name}": value
        for name, value in rest.items()
    }


def name_value(record: Record) -> Record:
    """The record with its metric by name: {"name": "loss", "value": 2} becomes {"loss": 2}. One
    with other metrics beside it stays as it is: there "value" is a name of its own."""
    if "value" not in record:
        return record
    key = next((key for key in _NAME_KEYS if isinstance(record.get(key), str)), None)
    if key is None:
        return record
    rest = {name: value for name, value in record.items() if name not in (key, "value")}
    if any(number(rest[name]) is not None for name in rest if name.lower() not in _PLACES):
        return record
    return {record[key]: record["value"], **rest}


def _phase(value: object) -> str:
    """The word of a phase, as "val"; "" for anything else."""
    word = value.lower() if isinstance(value, str) else ""
    return word if word in _TRAINING or word in _HELD_OUT else ""


def _encodable(pairs: list[tuple[str, Any]]) -> Record:
    return {name.encode(errors="replace").decode(): value for name, value in pairs}


def _flatten(record: Record, prefix: str, result: Record, depth: int) -> None:
    for name, value in record.items():
        if type(value) is not dict:
            result[prefix + name] = value
        elif depth:
            _flatten(value, f"{prefix}{name}/", result, depth - 1)


_CELL = re.compile(r'\s*"?[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?"?\s*')


def is_row_of_numbers(cells: Sequence[str]) -> bool:
    """Whether most cells of a row of a table are numbers, also with decimal commas."""
    return 2 * sum(map(is_number, cells)) > len(cells)


def is_number(cell: str) -> bool:
    return len(cell) <= _LONGEST_NUMBER and _CELL.fullmatch(cell) is not None


# --- The step and the time of a record ----------------------------------------------------------

_BEYOND = 2**53  # from here on a float64 is not exact
_EARLIEST = 1e8  # seconds; less is a duration, not a date
_LATEST = 1e20  # nanoseconds in the year 5138; more is not a date
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))  # least value: nano-, micro-, milliseconds


def step_key(record: Mapping[str, Any]) -> str | None:
    """The name of the step in a record, if it has one that is a whole number."""
    return _first(record, STEP_KEYS, lambda cell: parse_step(cell) is not None)


def time_key(record: Mapping[str, Any]) -> str | None:
    """The name of the time in a record, if it has one."""
    return _first(record, TIME_KEYS, lambda cell: not math.isnan(unix_time(cell)))


def parse_step(cell: object) -> int | None:
    """A cell, or its text in a CSV file, as a step; None for anything else."""
    if type(cell) is int:
        return cell if 0 <= cell < 2**63 else None
    if isinstance(cell, str | float):
        try:
            figure = float(cell)
        except ValueError:
            return None
        if 0 <= figure < _BEYOND and figure == int(figure):
            return int(figure)
    return None


def unix_time(cell: object) -> float:
    """Seconds since 1970 from seconds, milli-, micro- or nanoseconds, or an ISO date; else NaN."""
    if isinstance(cell, bool) or cell is None:
        return math.nan
    try:
        figure = float(cell)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return math.nan
    except ValueError:
        return _iso(str(cell))
    if not _EARLIEST <= figure < _LATEST:
        return math.nan
    for limit, divisor in _UNITS:
        if figure >= limit:
            return figure / divisor
    return figure


def known_time(cell: object) -> float:
    """The same; 0 if it is no time."""
    when = unix_time(cell)
    return 0.0 if math.isnan(when) else when


def number_of_text(cell: Any) -> float | None:
    """The number in a text or bytes; None for None and other texts."""
    try:
        return None if cell is None else float(cell)
    except ValueError:  # a word, a table, an image
        return None


def _iso(text: str) -> float:
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        return math.nan


def _first(
    record: Mapping[str, Any], keys: Sequence[str], fits: Callable[[Any], bool]
) -> str | None:
    lower = {name.lower(): name for name in record}
    return next((lower[key] for key in keys if key in lower and fits(record[lower[key]])), None)


def is_epoch(cell: object) -> bool:
    """Whether a cell is an epoch, or a part of one, as 0.25."""
    try:
        return cell is not None and 0 <= float(cell) < _BEYOND  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


# --- Settings that tools write beside a log, as YAML --------------------------------------------

_ITEM = re.compile(r"( *)([^\s:#-][^:]*):(?:\s+(.*))?")
_BROKEN = re.compile(r"(?<![:\n])\n +(?! |[^\s:#-][^:\n]*:(?:\s|$)|- |#)")
"""Between two lines of one value: PyYAML breaks long ones, and indents the rest."""
_WORDS = {"null": None, "~": None, "true": True, "false": False}


def decode_settings(text: str, scalar: Callable[[str], Any] | None = None) -> Record:
    """The settings in simple YAML, nested ones as "optimizer.lr"; other lines are left out.
    `scalar` decodes a value, by default `decode_scalar`."""
    scalar = scalar or decode_scalar
    settings: Record = {}
    above: list[tuple[int, str]] = []  # indent and key of the mappings around a line
    for line in _BROKEN.sub(" ", text).splitlines():
        if item := _ITEM.fullmatch(line.rstrip()):
            indent, key, value = len(item[1]), item[2].strip("'\""), item[3]
            while above and above[-1][0] >= indent:
                above.pop()
            name = ".".join([*(key for _, key in above), key])
            if value and not value.startswith("#"):
                settings[name] = scalar(value)
            else:
                above.append((indent, key))
        elif (word := line.strip()).startswith("- ") and above:
            name = ".".join(key for _, key in above)
            items = settings.setdefault(name, [])
            if isinstance(items, list):
                items.append(scalar(word[2:].strip()))
    return settings


def decode_scalar(text: str) -> Any:
    """The value of a YAML scalar."""
    if text[:1] in ("'", '"'):
        return unquote(text)
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def unquote(text: str) -> str:
    """A YAML scalar as text."""
    if text[:1] == text[-1:] == "'":
        return text[1:-1].replace("''", "'")
    if text[:1] == text[-1:] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    return text
