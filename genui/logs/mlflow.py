"""MLflow's file store: a folder for each run, and in it a small file for each metric.

    mlruns/EXPERIMENT/meta.yaml                   name
    mlruns/EXPERIMENT/RUN/meta.yaml               run_name, status, lifecycle_stage
    mlruns/EXPERIMENT/RUN/metrics/NAME            lines "milliseconds value step"
    mlruns/EXPERIMENT/RUN/params/NAME             a text
    mlruns/EXPERIMENT/RUN/tags/mlflow.runName     the run's name, in older versions

A slash in a name is a folder. Source: mlflow/store/tracking/file_store.py 3.17.
"""

import json
import os
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from genui.base.errors import GenuiError
from genui.base.files import cannot_read, read_small
from genui.logs.base import CHUNK, PIECE, Format, LineFile, Log, Reader
from genui.runs.listing import RunSummary

_META = "meta.yaml"
_ENDED = {"3": "finished", "4": "failed", "5": "stopped"}  # RunStatus; 1 is running
_MAX_FILES = 20_000  # of a run's metrics or parameters
_DEEPEST = 8  # slashes in a name
_LONGEST_PARAM = 1000  # characters that are kept
_BEYOND = 2**63

Stamp = tuple[int, int, int]
"""Inode, size and time of the last write of a file."""


@dataclass(frozen=True)
class Mlflow(Format):
    """Runs of MLflow: a folder each."""

    def owns(self, folder: Path, names: Set[str]) -> bool:
        return {_META, "metrics"} <= names and "run_id" in _read_meta(folder)

    def logs(self, path: Path, root: Path) -> list[Log]:
        meta = _read_meta(path)
        if meta.get("lifecycle_stage") == "deleted":
            return []
        run = meta.get("run_name") or _text_of(path / "tags" / "mlflow.runName") or path.name
        experiment = _read_meta(path.parent).get("name") or path.parent.name
        relative = path.relative_to(root)
        above = (*relative.parts[:-2], experiment) if len(relative.parts) > 1 else ()
        place = str(relative) if relative.parts else path.name
        return [Log(path, "/".join((*above, run)), place, experiment)]

    def times(self, path: Path) -> Iterator[float]:
        for name in (_META, "metrics"):
            if os.path.exists(path / name):
                yield os.stat(path / name).st_mtime
        for _, _, (_, _, written) in _files(path / "metrics"):
            yield written / 1e9

    def summarise(self, path: Path, ended: str = "") -> RunSummary:
        return super().summarise(path, ended or _ENDED.get(_read_meta(path).get("status", ""), ""))


class MlflowTail(Reader):
    """The metrics of one run; `path` is its folder."""

    def _forget(self) -> None:
        super()._forget()
        self._metrics: dict[str, LineFile] = {}
        self._read: dict[Path, Stamp] = {}  # files that were read to their end
        self._refused: dict[str, GenuiError] = {}

    @property
    def bad_lines(self) -> int:
        too_long = sum(file.too_long for file in self._metrics.values())
        return self._damaged + too_long + len(self._refused)

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """As `Tail.read`; raises GenuiError if none of its files can be read."""
        changed = self._read_settings()
        size = 0
        for name, path, stamp in _files(self.path / "metrics"):
            size += stamp[1]
            if self._read.get(path) == stamp:
                continue
            file = self._metrics.setdefault(name, LineFile(path))
            self._refused.pop(name, None)
            while limit_bytes > 0:
                before = file.offset
                try:
                    lines = file.read_lines(min(limit_bytes, PIECE))
                except GenuiError as error:
                    self._refused[name] = error
                    break
                if file.restarted:
                    self._forget()
                    return True
                if file.offset == before:
                    self._read[path] = stamp
                    break
                changed = True
                limit_bytes -= file.offset - before
                self._add(name, lines)
        if self._refused and len(self._refused) == len(self._metrics):
            raise next(iter(self._refused.values()))
        taken = sum(file.offset for file in self._metrics.values())
        self.progress = 1.0 if limit_bytes > 0 or not size else min(0.99, taken / size)
        return changed

    def _read_settings(self) -> bool:
        """Reads the parameters and the state of the run; returns whether they changed."""
        config = dict(self.config)
        for name, path, stamp in _files(self.path / "params"):
            if self._read.get(path) != stamp:
                self._read[path] = stamp
                config[name] = _text_of(path)
        ended = _ENDED.get(_read_meta(self.path).get("status", ""), "")
        changed = (config, ended) != (self.config, self.ended)
        self.config, self.ended = config, ended
        return changed

    def _add(self, name: str, lines: bytes) -> None:
        """Adds the points in whole lines of one metric."""
        import numpy as np

        from genui.logs.text import unix_times  # imports numpy, which a list of logs does without

        rows = [line for line in lines.split(b"\n") if line.strip()]
        points = [point for point in map(_point, rows) if point is not None]
        self._damaged += len(rows) - len(points)
        if points:
            steps, values, times = zip(*points, strict=True)
            columns = np.array(steps, np.int64), np.array(values), unix_times(np.array(times))
            self._collected.add([(name, *columns)])


def _point(line: bytes) -> tuple[int, float, float] | None:
    """Step, value and time of a line; None if it is damaged."""
    fields = line.split()
    if not 2 <= len(fields) <= 5:  # the first versions had no step; newer ones add a data set
        return None
    try:
        step = int(fields[2]) if len(fields) > 2 else 0
        point = step, float(fields[1]), float(fields[0])
    except ValueError:
        return None
    return point if 0 <= step < _BEYOND else None


def _files(folder: Path, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Path, Stamp]]:
    """The regular files in a folder and below it, by name: (name of the metric, path, stamp).

    Nothing if the folder is missing. Raises GenuiError if it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            listing = sorted(entries, key=lambda entry: entry.name)[:_MAX_FILES]
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise cannot_read(folder, error) from None
    for entry in listing:
        try:
            if entry.is_dir(follow_symlinks=False):
                if depth < _DEEPEST:
                    yield from _files(Path(entry.path), f"{prefix}{entry.name}/", depth + 1)
            elif entry.is_file():
                about = entry.stat()
                stamp = about.st_ino, about.st_size, about.st_mtime_ns
                name = (prefix + entry.name).encode(errors="replace").decode()
                yield name, Path(entry.path), stamp
        except OSError:  # removed in the meantime
            continue


def _read_meta(folder: Path) -> dict[str, str]:
    """The flat `key: value` lines of a meta.yaml; empty if it cannot be read.

    PyYAML breaks long values: an indented line continues the one before.
    """
    values: dict[str, str] = {}
    key = ""
    for line in _text_of(folder / _META, limit=None).splitlines():
        if line[:1].isspace():
            values[key] = f"{values.get(key, '')} {line.strip()}"
        else:
            key, _, value = line.partition(":")
            values[key] = value.strip()
    return {key: _scalar(value) for key, value in values.items()}


def _scalar(value: str) -> str:
    """The value of a YAML scalar, as text."""
    if value[:1] == value[-1:] == "'":
        return value[1:-1].replace("''", "'")
    if value[:1] == value[-1:] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            return value[1:-1]
    return "" if value in ("null", "~") else value


def _text_of(path: Path, limit: int | None = _LONGEST_PARAM) -> str:
    """The text in a small file; empty if it cannot be read."""
    try:
        return read_small(path).decode(errors="replace")[:limit]
    except GenuiError:
        return ""
