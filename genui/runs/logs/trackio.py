"""trackio's runs: rows appended to a SQLite file, of which only those after the last are read."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genui.errors import GenuiError
from genui.runs.disk import shown
from genui.runs.logs.base import CHUNK, Reader
from genui.runs.logs.keys import times_of
from genui.runs.logs.records import Record, columns, decode_lines, decode_record
from genui.runs.logs.trackio_db import id_column, opened, parts_of

_ROWS = 2000  # decoded at once
_BATCH = 32  # rows in memory before their size is known
_ABOUT = 100  # bytes of a row beside its metrics


Row = tuple[int, object, object, bytes]
"""Its id, time, step and metrics."""


class TrackioTail(Reader):
    """One run in a trackio project; `path` is as `trackio_db.run_path` makes it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._database, self._run = parts_of(path)
        self._seen: tuple[object, ...] = ()  # of a look that gave all there was
        self._looked: tuple[object, ...] = ()  # of the last look
        self._refusal = ""  # what was wrong with it then
        self._inode: tuple[int, int] | None = None

    def _forget(self) -> None:
        super()._forget()
        self._last = 0  # id of the last row read

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """Takes in about `limit_bytes`; True if anything changed: call again until False.

        Raises GenuiError where it may not be read or is no trackio project.
        """
        try:
            about = self._database.stat()
        except OSError:
            self.progress = 1.0
            return False
        seen = (about.st_ino, about.st_size, about.st_mtime_ns, *_written(self._database))
        if seen == self._seen:
            return False
        if self._refusal and seen == self._looked:
            raise GenuiError(self._refusal)  # a second look would take as long as the first
        inode = (about.st_dev, about.st_ino)
        changed = False
        if self._inode not in (None, inode):
            changed = bool(self._last)
            self._forget()
        self._inode = inode
        written, self._looked = seen != self._looked, seen
        try:
            with opened(self._database) as connection:
                changed = self._read(connection, limit_bytes, written) or changed
            self._refusal = ""
        except BlockingIOError:
            self._looked = ()
            return changed  # somebody writes: at the next look
        except GenuiError as error:
            self._refusal = str(error)
            raise
        if self.progress == 1.0:
            self._seen = seen
        return changed

    def _read(self, connection: sqlite3.Connection, limit: int, written: bool) -> bool:
        """Takes in about `limit` bytes of rows; `written` is false where the file is as it was."""
        column = id_column(connection)
        if column is None:
            raise GenuiError(f"{shown(self._database)} is no trackio project: name another")
        changed = False
        known = f"SELECT 1 FROM metrics WHERE id = ? AND {column} = ?"
        if (
            self._last
            and written  # else a damaged file would be read from its beginning for ever
            and not connection.execute(known, (self._last, self._run)).fetchone()
        ):
            self._forget()  # the run was deleted, and perhaps begun again
            changed = True
        if not self.config:
            self.config = _config(connection, column, self._run)
        (newest,) = connection.execute("SELECT max(id) FROM metrics").fetchone()
        # The plus keeps SQLite from taking the index on the run, and sorting what it finds.
        query = (
            "SELECT id, timestamp, step, CAST(ifnull(metrics, '') AS BLOB) FROM metrics "
            f"WHERE id > ? AND +{column} = ? ORDER BY id"
        )
        first = self._last
        rows: list[Row] = []
        try:
            cursor = connection.execute(query, (first, self._run))
            while limit > 0 and (batch := cursor.fetchmany(_BATCH)):
                last = batch[-1][0]
                if type(last) is not int or last <= self._last:
                    raise GenuiError(
                        f"{shown(self._database)} is damaged: its rows are out of order; "
                        "repair it with sqlite3's .recover, or name another"
                    )
                rows += batch
                self._last = last
                limit -= _ABOUT * len(batch) + sum([len(text) for *_, text in batch])
                if len(rows) >= _ROWS:
                    self._add(rows)
                    rows = []
        finally:  # what was read before the damage counts
            if rows:
                self._add(rows)
        if limit > 0 or not isinstance(newest, int):
            self.progress = 1.0
        else:
            self.progress = min(0.99, self._last / max(1, newest))
        return changed or self._last != first

    def _add(self, rows: list[Row]) -> None:
        found = [
            (record, step, time)
            for record, (_, time, step, _) in zip(_records(rows), rows, strict=True)
            if record is not None and isinstance(step, int) and step >= 0
        ]
        self._damaged += len(rows) - len(found)
        if found:
            records, steps, times = zip(*found, strict=True)
            self._found.add(
                columns(list(records), np.array(steps, np.int64), times_of(times), frozenset())
            )


def _records(rows: list[Row]) -> Sequence[Record | None]:
    """The metrics of each row; None for one that is no record."""
    texts = [text for *_, text in rows]
    if not any(b"\n" in text for text in texts):
        records, damaged = decode_lines(b"\n".join([*texts, b""]))  # at once: in half the time
        if not damaged and len(records) == len(rows):
            return records
    return [decode_record(text) for text in texts]


def _config(connection: sqlite3.Connection, column: str, run: str) -> dict[str, Any]:
    """What the run was begun with, without what trackio adds itself."""
    try:
        row = connection.execute(
            f"SELECT config FROM configs WHERE {column} = ?", (run,)
        ).fetchone()
    except sqlite3.OperationalError:  # an older version has no such table
        return {}
    text = row[0] if row else b"{}"
    record = decode_record(text if isinstance(text, bytes) else str(text).encode()) or {}
    return {name: value for name, value in record.items() if not name.startswith("_")}


def _written(database: Path) -> tuple[int, int]:
    """Size and time of the write-ahead log, where new rows are first."""
    try:
        about = os.stat(f"{database}-wal")
    except OSError:
        return 0, 0
    return about.st_size, about.st_mtime_ns
