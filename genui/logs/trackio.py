"""SQLite files of trackio.

A project is a file in $TRACKIO_DIR (else $HF_HOME/trackio) with any number of runs, identified by
`run_id`, in older versions by `run_name`. Source: trackio/sqlite_storage.py 0.43.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genui.base.late import late_imports
from genui.logs.base import Log, Media, MediaKind, file_below
from genui.logs.records import Record, decode_record
from genui.logs.sqlite import LONGEST, MAX_RUNS, SqliteFormat, SqliteTail, SqlRow, column_names

if TYPE_CHECKING:
    import sqlite3

with late_imports():  # numpy
    from genui.logs import series_store

_TABLES = frozenset({"metrics", "configs"})


def _id_column(connection: "sqlite3.Connection") -> str | None:
    """The column that identifies runs; None if it is not a trackio database, or has views, which
    could compute anything, in place of tables."""
    names = column_names(connection, "metrics", "configs")
    if not {"run_name", "step", "timestamp", "metrics"} <= names:
        return None
    return "run_id" if "run_id" in names else "run_name"


class Trackio(SqliteFormat):
    """A project's file: its runs in the order in which they began."""

    tables = _TABLES

    def _runs(self, connection: "sqlite3.Connection", file: Path) -> Iterator[Log]:
        column = _id_column(connection)
        if column is None:
            return
        query = (
            f"SELECT {column}, max(run_name) FROM metrics GROUP BY {column} ORDER BY min(id) "
            f"LIMIT {MAX_RUNS}"
        )
        room = LONGEST
        for run_id, name in connection.execute(query):
            room -= len(str(run_id)) + len(str(name))
            stem = str(file).removesuffix(".db")
            yield Log(file, f"{stem}/{name}", project=file.stem, key=str(run_id))
            if room < 0:
                return


# --- The reader --------------------------------------------------------------------------------

_ROW_BYTES = 100  # bytes of a row beside its metrics


class TrackioTail(SqliteTail):
    """One run in a trackio project."""

    title = "a trackio project"
    tables = _TABLES

    def _columns(self, connection: "sqlite3.Connection") -> tuple[str, str, str] | None:
        column = _id_column(connection)
        metrics = "timestamp, step, CAST(ifnull(metrics, '') AS BLOB)"
        return None if column is None else ("id", column, metrics)

    def _describe(self, connection: "sqlite3.Connection", run_column: str) -> bool:
        if not self.config:
            self.config = _config(connection, run_column, self._run)
        return False

    def _bytes_of(self, row: SqlRow) -> int:
        return _ROW_BYTES + len(row[-1])

    def _add(self, rows: list[SqlRow]) -> None:
        import numpy as np

        good = [
            (record, step, time)
            for _, time, step, text in rows
            if (record := decode_record(text)) is not None and isinstance(step, int) and step >= 0
        ]
        self.damaged += len(rows) - len(good)
        if any(b'"_type"' in text for *_, text in rows):
            for record, step, _ in good:
                self._take_media(record, step)
        if good:
            records, steps, times = zip(*good, strict=True)
            where, when = np.array(steps, np.int64), series_store.times_of(times)
            self.store.add(series_store.columns(list(records), where, when, ()))

    def _take_media(self, record: Record, step: int) -> None:
        """Moves the images, tables and histograms of a record, which is changed, to the samples."""
        for name, value in list(record.items()):
            if not isinstance(value, dict) or "_type" not in value:
                continue
            del record[name]
            kind = _KINDS.get(str(value["_type"]), "file")
            path, content = self._database, None
            if kind == "histogram":
                content = value.get("bins"), value.get("values")
            elif kind == "table":
                rows = [row for row in _list(value.get("_value")) if isinstance(row, dict)]
                columns = list(rows[0]) if rows else []
                data = [[row.get(name) for name in columns] for row in rows]
                content = {"columns": columns, "data": data}
            else:
                file = file_below(self._database.parent / "media", value.get("file_path"))
                if file is None:
                    continue
                path = file
            caption = value.get("caption")
            text = caption if isinstance(caption, str) else ""
            self.media.add(Media(step, name, kind, path, caption=text, content=content))


_KINDS: Mapping[str, MediaKind] = {
    "trackio.image": "image", "trackio.audio": "audio", "trackio.table": "table",
    "trackio.histogram": "histogram",
}  # fmt: skip


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _config(connection: "sqlite3.Connection", column: str, run: str) -> dict[str, Any]:
    """The config of the run, without trackio's own entries."""
    import sqlite3

    try:
        row = connection.execute(
            f"SELECT config FROM configs WHERE {column} = ?", (run,)
        ).fetchone()
    except sqlite3.OperationalError:  # older versions have no such table
        return {}
    text = row[0] if row else b"{}"
    record = decode_record(text if isinstance(text, bytes) else str(text).encode()) or {}
    return {name: value for name, value in record.items() if not name.startswith("_")}
