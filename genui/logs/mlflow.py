"""MLflow's file store and its SQLite database.

The file store has a folder for each run, and in it a small file for each metric:

    mlruns/EXPERIMENT/meta.yaml                   name
    mlruns/EXPERIMENT/RUN/meta.yaml               run_name, status, lifecycle_stage
    mlruns/EXPERIMENT/RUN/metrics/NAME            lines "milliseconds value step"
    mlruns/EXPERIMENT/RUN/params/NAME             a text
    mlruns/EXPERIMENT/RUN/tags/mlflow.runName     the run's name, in older versions

A slash in a name is a folder. The database, which newer versions write by default as mlflow.db, has
tables of experiments, runs, metrics, params and tags. Sources: mlflow/store/tracking/file_store.py
and mlflow/store/tracking/dbmodels/models.py 3.17.
"""

import math
import os
import stat
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from genui.base.errors import GenuiError
from genui.base.files import SMALL, read_regular
from genui.logs import sqlite
from genui.logs.base import CHUNK, PIECE, Format, LineFile, Log, Reader, files_below
from genui.logs.records import decode_settings, unquote
from genui.logs.sqlite import (
    LONGEST_NAME,
    MAX_RUNS,
    Row,
    SqliteTail,
    column_names,
    open_database,
    run_path,
)
from genui.runs.listing import RunSummary

if TYPE_CHECKING:
    import sqlite3

_META = "meta.yaml"
_ENDED = {"3": "finished", "4": "failed", "5": "stopped"}  # RunStatus; 1 is running
_LONGEST_PARAM = 1000  # characters that are kept
_BEYOND = 2**63

Stamp = tuple[int, int, int]
"""Inode, size and time of the last write of a file."""


_NOTE = "mlflow.note.content"


def _own_tags(tags: Mapping[str, str]) -> tuple[str, ...]:
    """The tags that are not MLflow's own, as "site=north"."""
    own = {name: value for name, value in tags.items() if not name.startswith("mlflow.")}
    return tuple(f"{name}={value}" if value else name for name, value in own.items())


def _seconds(milliseconds: object) -> float:
    """A unix time in seconds; 0 if it is none."""
    try:
        return float(str(milliseconds)) / 1000
    except ValueError:
        return 0.0


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
        tags = {name: _text_of(file) for name, file, _ in _files(path / "tags")}
        return [
            Log(
                path, "/".join((*above, run)), place, experiment, key=path.name,
                tags=_own_tags(tags), note=tags.get(_NOTE, ""),
                created=_seconds(meta.get("start_time")),
            )
        ]  # fmt: skip

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


def _files(folder: Path) -> Iterator[tuple[str, Path, Stamp]]:
    """The regular files in a folder and below it, by name: (name of the metric, path, stamp).

    Nothing if the folder is missing.
    """
    for name, path in files_below(folder):
        with suppress(OSError):  # removed in the meantime
            about = path.stat()
            if stat.S_ISREG(about.st_mode):
                stamp = (about.st_ino, about.st_size, about.st_mtime_ns)
                yield name.encode(errors="replace").decode(), path, stamp


def _read_meta(folder: Path) -> dict[str, str]:
    """The values in a meta.yaml as texts; empty if it cannot be read."""
    values = decode_settings(_text_of(folder / _META, limit=None), unquote)
    return {key: "" if value in ("null", "~") else value for key, value in values.items()}


def _text_of(path: Path, limit: int | None = _LONGEST_PARAM) -> str:
    """The text in a small file; empty if it cannot be read."""
    try:
        return read_regular(path, SMALL).decode(errors="replace")[:limit]
    except GenuiError:
        return ""


# --- The database ------------------------------------------------------------------------------

_TABLES = frozenset({"experiments", "runs", "metrics", "params", "tags"})
_STATES = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "stopped"}
_LARGEST = 1.797e308  # what stands for infinity
_MAX_SETTINGS = 2000
_ROW_BYTES = 80


class MlflowDatabase(Format):
    """A database with any number of runs, each of which is a log."""

    def fits_named(self, name: str, head: bytes) -> bool:
        return self.begins(head)  # an empty file has no runs

    def logs(self, path: Path, root: Path) -> list[Log]:
        relative = path.relative_to(root)
        try:
            with open_database(path, _TABLES, LONGEST_NAME) as connection:
                if not _is_mlflow(connection):
                    return []
                rows = connection.execute(
                    "SELECT runs.run_uuid, runs.name, runs.start_time, runs.status, "
                    "experiments.name FROM runs LEFT JOIN experiments USING (experiment_id) "
                    f"WHERE runs.lifecycle_stage = 'active' LIMIT {MAX_RUNS}"
                ).fetchall()
                tags: dict[str, dict[str, str]] = {}
                for run, name, value in connection.execute(
                    f"SELECT run_uuid, key, value FROM tags LIMIT {20 * MAX_RUNS}"
                ):
                    tags.setdefault(str(run), {})[str(name)] = str(value or "")[:_LONGEST_PARAM]
        except BlockingIOError:  # a writer holds it: the next search finds it
            return []
        above = relative.parts[:-1]
        logs: list[Log] = []
        for run, run_name, started, status, experiment in rows:
            own = tags.get(str(run), {})
            name = str(run_name or own.get("mlflow.runName") or run)
            project = str(experiment or "")
            logs.append(
                Log(
                    run_path(path, str(run)), "/".join((*above, *filter(None, [project]), name)),
                    f"{relative}/{run}", project, key=str(run), tags=_own_tags(own),
                    note=own.get(_NOTE, ""), created=_seconds(started),
                    ended=_STATES.get(str(status), ""),
                )
            )  # fmt: skip
        return logs

    def times(self, path: Path) -> Iterator[float]:
        return sqlite.times(path)


def _is_mlflow(connection: "sqlite3.Connection") -> bool:
    others = _TABLES - {"runs", "metrics"}
    return "run_uuid" in column_names(connection, "runs", *others) and {
        "key", "value", "timestamp", "run_uuid", "step", "is_nan",
    } <= column_names(connection, "metrics")  # fmt: skip


class MlflowDatabaseTail(SqliteTail):
    """The metrics of one run in a database."""

    title = "an MLflow database"
    tables = _TABLES

    def _columns(self, connection: "sqlite3.Connection") -> tuple[str, str, str] | None:
        if not _is_mlflow(connection):
            return None
        return "rowid", "run_uuid", "key, step, value, is_nan, timestamp"

    def _describe(self, connection: "sqlite3.Connection", run_column: str) -> bool:
        config = dict(
            connection.execute(
                f"SELECT key, value FROM params WHERE run_uuid = ? LIMIT {_MAX_SETTINGS}",
                (self._run,),
            )
        )
        query = "SELECT status FROM runs WHERE run_uuid = ?"
        status = connection.execute(query, (self._run,)).fetchone() or [""]
        ended = _STATES.get(str(status[0]), "")
        changed = (config, ended) != (self.config, self.ended)
        self.config, self.ended = config, ended
        return changed

    def _bytes_of(self, row: Row) -> int:
        return _ROW_BYTES

    def _add(self, rows: list[Row]) -> None:
        import numpy as np

        from genui.logs.text import unix_times  # imports numpy, which a list of logs does without

        by_name: dict[str, list[tuple[int, float, float]]] = {}
        for _, name, step, value, is_nan, time in rows:
            if type(step) is not int or step < 0 or not isinstance(value, int | float):
                self._damaged += 1
                continue
            number = math.nan if is_nan else float(value)
            if abs(number) >= _LARGEST:
                number = math.copysign(math.inf, number)
            when = float(time) if isinstance(time, int | float) else math.nan
            by_name.setdefault(str(name), []).append((step, number, when))
        self._collected.add(
            (name, np.array(steps, np.int64), np.array(values), unix_times(np.array(times)))
            for name, points in by_name.items()
            for steps, values, times in [zip(*points, strict=True)]
        )
