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
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING

from genui.base.errors import GenuiError
from genui.base.files import SMALL, files_below, read_regular
from genui.base.growing import LineFile
from genui.logs.base import MAX_FILES, Format, LineReader, Log
from genui.logs.records import decode_settings, known_time, parse_step, unix_time, unquote
from genui.logs.sqlite import MAX_RUNS, SqliteFormat, SqliteTail, SqlRow, column_names
from genui.runs.listing import RunSummary

if TYPE_CHECKING:
    import sqlite3

_META = "meta.yaml"
_ENDED = {"3": "finished", "4": "failed", "5": "stopped"}  # RunStatus; 1 is running
_LONGEST_PARAM = 1000  # characters that are kept

_NOTE = "mlflow.note.content"


def _own_tags(tags: Mapping[str, str]) -> tuple[str, ...]:
    """The tags that are not MLflow's own, as "site=north"."""
    own = {name: value for name, value in tags.items() if not name.startswith("mlflow.")}
    return tuple(f"{name}={value}" if value else name for name, value in own.items())


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
        tags = {name: _text_of(file) for name, file in _files(path / "tags").items()}
        return [
            Log(
                path, "/".join((*above, run)), place, experiment, key=path.name,
                tags=_own_tags(tags), note=tags.get(_NOTE, ""),
                created=known_time(meta.get("start_time")),
            )
        ]  # fmt: skip

    def files(self, path: Path) -> Iterable[Path]:
        return [path / _META, path / "metrics", *_files(path / "metrics").values()]

    def summarise(self, path: Path, ended: str = "") -> RunSummary:
        return super().summarise(path, ended or _ENDED.get(_read_meta(path).get("status", ""), ""))


class MlflowTail(LineReader):
    """The metrics of one run; `path` is its folder."""

    def paths(self) -> Iterable[Path]:
        self._names = {path: name for name, path in _files(self.path / "metrics").items()}
        return self._names

    def read_beside(self) -> bool:
        """Reads the parameters, which MLflow writes once, and the state of the run."""
        params = _files(self.path / "params")
        new = {name: _text_of(params[name]) for name in params.keys() - self.config}
        config = {**self.config, **new}
        return self.set_state(config, _ENDED.get(_read_meta(self.path).get("status", ""), ""))

    def add_lines(self, file: LineFile, lines: bytes) -> None:
        rows = [line for line in lines.split(b"\n") if line.strip()]
        points = [point for point in map(_point, rows) if point is not None]
        self.damaged += len(rows) - len(points)
        self.store.add_points(
            (self._names[file.path], step, value, unix_time(time)) for step, value, time in points
        )


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
    return None if parse_step(step) is None else point


def _files(folder: Path) -> dict[str, Path]:
    """The regular files in a folder and below it, by name; none if it is missing."""
    return {
        str(path.relative_to(folder)).encode(errors="replace").decode(): path
        for path in files_below(folder, most=MAX_FILES)
    }


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
_LARGEST = 1.797e308  # the value that stands for infinity
_MAX_SETTINGS = 2000
_ROW_BYTES = 80


class MlflowDatabase(SqliteFormat):
    """A database with any number of runs."""

    tables = _TABLES

    def _runs(self, connection: "sqlite3.Connection", file: Path) -> Iterator[Log]:
        if not _is_mlflow(connection):
            return
        tags: dict[str, dict[str, str]] = {}
        for run, name, value in connection.execute(
            f"SELECT run_uuid, key, value FROM tags LIMIT {20 * MAX_RUNS}"
        ):
            tags.setdefault(str(run), {})[str(name)] = str(value or "")[:_LONGEST_PARAM]
        for run, run_name, started, status, experiment in connection.execute(
            "SELECT runs.run_uuid, runs.name, runs.start_time, runs.status, "
            "experiments.name FROM runs LEFT JOIN experiments USING (experiment_id) "
            f"WHERE runs.lifecycle_stage = 'active' LIMIT {MAX_RUNS}"
        ):
            own = tags.get(str(run), {})
            name = str(run_name or own.get("mlflow.runName") or run)
            project = str(experiment or "")
            yield Log(
                file, "/".join(filter(None, [*file.parts[:-1], project, name])), project=project,
                key=str(run), tags=_own_tags(own), note=own.get(_NOTE, ""),
                created=known_time(started), ended=_STATES.get(str(status), ""),
            )  # fmt: skip


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
        return self.set_state(config, _STATES.get(str(status[0]), ""))

    def _bytes_of(self, row: SqlRow) -> int:
        return _ROW_BYTES

    def _add(self, rows: list[SqlRow]) -> None:
        points: list[tuple[str, int, float, float]] = []
        for _, name, step, value, is_nan, time in rows:
            if (
                type(step) is not int
                or parse_step(step) is None
                or not isinstance(value, int | float)
            ):
                self.damaged += 1
                continue
            number = math.nan if is_nan else float(value)
            if abs(number) >= _LARGEST:
                number = math.copysign(math.inf, number)
            points.append((str(name), step, number, unix_time(time)))
        self.store.add_points(points)
