"""One metric of a run, read from metrics.jsonl as it is written: for sweeps, without numpy."""

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from genui.base.errors import GenuiError
from genui.base.files import read_end
from genui.base.growing import LineFile
from genui.runs.layout import RunDir

_EDGE = 1 << 16  # bytes at either end of a log in which metric_names looks


class MetricReader:
    """The values of a metric by step, without those that a resumed run computes again."""

    def __init__(self, path: Path, metric: str) -> None:
        self.values: dict[int, float] = {}
        self._file, self._metric = LineFile(path), metric
        self._key = msgspec.json.encode(metric)

    def read(self) -> None:
        """Read new lines. A file that is missing, or cannot be read, has no values."""
        with suppress(GenuiError):
            for lines in self._file.read_whole():
                if self._file.restarted:
                    self.values = {}
                for line in lines.split(b"\n"):
                    self._take(line)

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

    The value at step 0 belongs to the weights that the run started from.
    """
    trained = [value for step, value in values.items() if step > 0 and math.isfinite(value)]
    if not trained:
        return None
    return min(trained) if goal == "min" else max(trained)


def metric_names(run: RunDir) -> list[str]:
    """The names of the metrics that a run logs, from the beginning and the end of its log."""
    names: dict[str, None] = {}
    data = b""
    with suppress(OSError), run.metrics.open("rb") as file:
        data = file.read(_EDGE) + b"\n" + read_end(run.metrics, _EDGE)
    for line in data.split(b"\n"):
        with suppress(msgspec.DecodeError):
            names.update(dict.fromkeys(msgspec.json.decode(line, type=dict[str, Any])))
    return [name for name in names if name not in ("step", "time", "rewind")]
