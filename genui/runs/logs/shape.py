"""Records that all look alike, decoded faster than as dicts.

Most of a log is the same few names over and over. A struct of just these fields, all floats,
takes three quarters of the time and a third of the memory of a dict a record (msgspec), and
its columns need no look at the type of each cell. Whatever does not fit is left to the dicts.
"""

from collections.abc import Collection
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from genui.runs.logs.collect import Column
from genui.runs.logs.records import one_a_line

_MOST_NAMES = 64
_NAN = float("nan")


class Shapes:
    """Decodes lines by the shape of those before them.

    A shape that does not fit is tried again only after more and more misses, so that a log of
    ever other records costs little more than without.
    """

    def __init__(self) -> None:
        self._names: frozenset[str] = frozenset()
        self._decoder: msgspec.json.Decoder[Any] | None = None
        self._wait = self._patience = 0

    def decode(self, lines: bytes) -> list[Column] | None:
        """The metrics of the lines, or None where any of them has another shape."""
        if self._decoder is None or self._wait:
            self._wait = max(0, self._wait - 1)
            return None
        try:
            records = self._decoder.decode_lines(lines)
            if records and one_a_line(len(records), lines):
                found = self._columns(records)
                if found is not None:
                    self._patience = 0
                    return found
        except (msgspec.DecodeError, OverflowError, RecursionError, UnicodeError):
            pass
        self._patience = min(64, 2 * self._patience + 1)
        self._wait = self._patience
        return None

    def learn(self, columns: Collection[Column]) -> None:
        """Takes the names of metrics that were decoded otherwise into the shape."""
        names = self._names.union(column[0] for column in columns)
        if names == self._names or len(names) > _MOST_NAMES:
            return
        self._names = names
        fields = {f"f{index}": name for index, name in enumerate(sorted(names))}
        try:
            shape = msgspec.defstruct(
                "Shape",
                [("step", int), ("time", float, _NAN), *((field, float, _NAN) for field in fields)],
                rename=fields,
                forbid_unknown_fields=True,
                gc=False,
            )
        except ValueError:  # a name with quotes or control characters, which msgspec refuses
            self._decoder = None
        else:
            self._decoder = msgspec.json.Decoder(shape)

    def _columns(self, records: list[Any]) -> list[Column] | None:
        count = len(records)
        steps = np.fromiter(map(attrgetter("step"), records), np.int64, count)
        if steps.min() < 0:
            return None
        times = np.fromiter(map(attrgetter("time"), records), np.float64, count)
        found: list[Column] = []
        for index, name in enumerate(sorted(self._names)):
            values = np.fromiter(map(attrgetter(f"f{index}"), records), np.float64, count)
            there = ~np.isnan(values)  # JSON has no NaN, so NaN is a field that is not there
            if there.all():
                found.append((name, steps, values, times))
            elif there.any():
                found.append((name, steps[there], values[there], times[there]))
        return found
