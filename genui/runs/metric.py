"""One metric of a run, read from metrics.jsonl as it is written: for sweeps, without numpy."""

import math
from collections.abc import Mapping
from pathlib import Path

import msgspec

from genui.runs.layout import RunDir

_BLOCK = 1 << 20  # bytes read at once
_EDGE = 1 << 16  # bytes at either end of a log in which metric_names looks


class MetricReader:
    """The values of a metric by step, without those that a resumed run computes again."""

    def __init__(self, path: Path, metric: str) -> None:
        self.values: dict[int, float] = {}
        self._path, self._metric = path, metric
        self._key = msgspec.json.encode(metric)
        self._offset = 0  # of the first line that was not whole yet

    def read(self) -> None:
        """Read what is new. A file that is missing has no values."""
        rest = b""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                while data := file.read(_BLOCK):
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        self._offset += len(line) + 1
                        self._take(line)
        except OSError:
            return

    def _take(self, line: bytes) -> None:
        if self._key not in line and b'"rewind"' not in line:
            return
        try:
            record = msgspec.json.decode(line)
            step = int(record["step"])
            if record.get("rewind"):
                self.values = {at: value for at, value in self.values.items() if at <= step}
            elif self._metric in record:
                self.values[step] = float(record[self._metric])  # "NaN" is a text in JSON
        except (msgspec.DecodeError, AttributeError, KeyError, TypeError, ValueError):
            return  # not a record


def best(values: Mapping[int, float], goal: str) -> float | None:
    """The best finite value after step 0; None if there is none.

    The value at step 0 is that of the weights that the run started from.
    """
    trained = [value for step, value in values.items() if step > 0 and math.isfinite(value)]
    if not trained:
        return None
    return min(trained) if goal == "min" else max(trained)


def metric_names(run: RunDir) -> list[str]:
    """The names of the metrics that a run logs, from the beginning and the end of its log."""
    names: dict[str, None] = {}
    try:
        with run.metrics.open("rb") as file:
            data = file.read(_EDGE)
            end = file.seek(0, 2)
            file.seek(max(0, end - _EDGE))
            data += b"\n" + file.read(_EDGE)
    except OSError:
        return []
    for line in data.split(b"\n"):
        try:
            record = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue
        if isinstance(record, dict):
            names.update(dict.fromkeys(record))
    return [name for name in names if name not in ("step", "time", "rewind")]
