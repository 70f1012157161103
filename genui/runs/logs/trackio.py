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

_ROWS = 2000  # fetched at once
_ABOUT = 200  # bytes a row, to keep the limit


class TrackioTail(Reader):
    """One run in a trackio project; `path` is as `trackio_db.run_path` makes it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._database, self._run = parts_of(path)
        self._seen: tuple[object, ...] = ()
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
        inode = (about.st_dev, about.st_ino)
        changed = False
        if self._inode not in (None, inode):
            changed = bool(self._last)
            self._forget()
        self._inode = inode
        try:
            with opened(self._database) as connection:
                changed = self._read(connection, max(1, limit_bytes // _ABOUT)) or changed
        except BlockingIOError:
            return changed  # somebody writes: at the next look
        if self.progress == 1.0:
            self._seen = seen
        return changed

    def _read(self, connection: sqlite3.Connection, limit: int) -> bool:
        """Takes in up to `limit` rows."""
        column = id_column(connection)
        if column is None:
            raise GenuiError(f"{shown(self._database)} is no trackio project: name another")
        changed = False
        known = f"SELECT 1 FROM metrics WHERE id = ? AND {column} = ?"
        if self._last and not connection.execute(known, (self._last, self._run)).fetchone():
            self._forget()  # the run was deleted, and perhaps begun again
            changed = True
        if not self.config:
            self.config = _config(connection, column, self._run)
        (newest,) = connection.execute("SELECT max(id) FROM metrics").fetchone()
        # The plus keeps SQLite from taking the index on the run, and sorting what it finds.
        query = (
            f"SELECT id, timestamp, step, metrics FROM metrics WHERE id > ? AND +{column} = ? "
            "ORDER BY id LIMIT ?"
        )
        first = self._last
        while limit > 0:
            rows = connection.execute(query, (self._last, self._run, min(limit, _ROWS))).fetchall()
            if not rows:
                break
            self._last = rows[-1][0]
            limit -= len(rows)
            self._add(rows)
        self.progress = 1.0 if limit > 0 else min(0.99, self._last / max(1, newest or 1))
        return changed or self._last != first

    def _add(self, rows: list[tuple[int, object, object, object]]) -> None:
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


def _records(rows: list[tuple[int, object, object, object]]) -> Sequence[Record | None]:
    """The metrics of each row; None for one that is no record."""
    texts = [text if isinstance(text, bytes) else str(text).encode() for *_, text in rows]
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
