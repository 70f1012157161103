"""ClearML's offline sessions: a folder with task.json, metrics.jsonl and log.jsonl.

A line of the last two is a list of events, such as {"type": "training_stats_scalar", "metric":
"loss", "variant": "train", "iter": 0, "value": 1.0, "timestamp": milliseconds}. Source: clearml
2.1, backend_interface/metrics/interface.py. ClearML packs the folder into a zip file at the end;
unpacked it is the same.
"""

from collections import deque
from collections.abc import Iterable, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from genui.base.errors import GenuiError
from genui.base.files import LARGEST_JSON, read_json
from genui.base.growing import FileStamp, LineFile
from genui.logs.base import About, Extras, Format, LineReader, Log
from genui.logs.records import number, parse_step, unix_time

_TASK, _METRICS, _LOG = "task.json", "metrics.jsonl", "log.jsonl"
_MAX_LINES = 20_000  # of the console


class ClearMl(Format):
    """Offline sessions: a folder each."""

    def owns(self, folder: Path, names: Set[str]) -> bool:
        return _TASK in names and not names.isdisjoint((_METRICS, _LOG))

    def logs(self, path: Path, root: Path) -> list[Log]:
        (log,) = super().logs(path, root)
        about = _about(_read_task(path))
        return [log.with_about(about._replace(id=path.name.removeprefix("offline-")))]

    def files(self, path: Path) -> Iterable[Path]:
        return [path / name for name in (_TASK, _METRICS, _LOG)]


class ClearMlTail(LineReader):
    """The scalars, settings and console of one session; `path` is its folder."""

    def __init__(self, path: Path) -> None:
        self._task = FileStamp(path / _TASK)
        super().__init__(path)

    def forget(self) -> None:
        super().forget()
        self._task.forget()
        self._console: deque[tuple[float, str]] = deque(maxlen=_MAX_LINES)

    @property
    def extras(self) -> Extras:
        return Extras(self.about, console=tuple(self._console))

    def paths(self) -> Iterable[Path]:
        return (self.path / _METRICS, self.path / _LOG)

    def read_beside(self) -> bool:
        if not self._task.changed():
            return False
        task = _read_task(self.path)
        self.about = _about(task)
        self.config = {
            f"{section}/{name}" if section not in ("General", "Args") else name: item.get("value")
            for section, items in _dict(task.get("hyperparams")).items()
            for name, item in _dict(items).items()
            if isinstance(item, dict)
        }
        return True

    def add_lines(self, file: LineFile, lines: bytes) -> None:
        points: list[tuple[str, int, float, float]] = []
        for line in lines.split(b"\n"):
            if not line.strip():
                continue
            try:
                events = msgspec.json.decode(line, type=list[dict[str, Any]])
            except (msgspec.DecodeError, RecursionError, UnicodeError):
                self.damaged += 1
                continue
            for event in events:
                when = unix_time(event.get("timestamp"))
                if file.path.name == _LOG:
                    text = event.get("msg")
                    if isinstance(text, str):
                        self._console.extend((when, one) for one in text.splitlines())
                elif event.get("type") == "training_stats_scalar":
                    step, value = parse_step(event.get("iter")), number(event.get("value"))
                    if step is None or value is None:
                        self.damaged += 1
                    else:
                        series, variant = event.get("metric", ""), event.get("variant", "")
                        title = f"{series}/{variant}" if variant != series else f"{series}"
                        points.append((title, step, value, when))
        self.store.add_points(points)


def _read_task(folder: Path) -> dict[str, Any]:
    """The content of task.json; empty if it cannot be read."""
    with suppress(GenuiError):
        return read_json(folder / _TASK, dict[str, Any], "remove it", LARGEST_JSON)
    return {}


def _about(task: dict[str, Any]) -> About:
    tags = task.get("tags")
    return About(
        name=str(task.get("name") or ""),
        id=str(task.get("id") or ""),
        project=str(task.get("project_name") or ""),
        tags=tuple(map(str, tags)) if isinstance(tags, list) else (),
        note=str(task.get("comment") or ""),
    )


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
