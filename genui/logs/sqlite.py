"""SQLite files that another tool writes, read without disturbing it, and their reader.

The file may be hostile, so SQLite is limited: it reads a few tables and no views, no value of more
than LONGEST bytes, and stops after SECONDS of work. Source: sqlite.org/security.html.
"""

import os
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, unquote

from genui.base.errors import GenuiError
from genui.base.files import cannot_read, sanitize, show, stamp_of
from genui.base.growing import CHUNK
from genui.logs.base import Format, Log, LogReader

if TYPE_CHECKING:
    import sqlite3

MAGIC = b"SQLite format 3\0"

LONGEST = 4 * 1024 * 1024
"""Bytes of the largest value that is read; a larger row of metrics is damaged."""

LONGEST_NAME = 64 * 1024
"""The same when only the names of runs are read."""

MAX_RUNS = 20_000
"""The number of runs listed of one file."""

SECONDS = 3.0
"""Processor time for one read of a file, enough for some ten million rows."""

_PATIENCE = 0.2  # seconds to wait for a writer that holds the lock
_STEPS = 10_000  # of SQLite's virtual machine between checks of the time: under a millisecond
_FUNCTIONS = frozenset({"ifnull", "max", "min"})


def run_path(database: Path, run_id: str) -> Path:
    """A path that names a run inside the file; there is no file at it."""
    return database / quote(run_id, safe="")


def parts_of(path: Path) -> tuple[Path, str]:
    """The file and the run's id in such a path."""
    return path.parent, unquote(path.name)


@contextmanager
def open_database(
    database: Path, tables: Collection[str], longest: int = LONGEST
) -> "Iterator[sqlite3.Connection]":
    """A read-only connection to these tables with the limits above. Raises GenuiError if the file
    is damaged, not a database or over a limit, and BlockingIOError while a writer holds it."""
    import sqlite3  # 10 ms, and only for such a file

    try:
        if not stat.S_ISREG(database.stat().st_mode):  # a named pipe would hang the reader
            raise GenuiError(f"{show(database)} is not a regular file: name another file")
        where = f"file:{quote(os.fsencode(database))}?mode=ro{_immutable(database)}"
        with closing(sqlite3.connect(where, uri=True, timeout=_PATIENCE)) as connection:
            connection.text_factory = lambda text: text.decode(errors="replace")
            _bound(connection, {*tables, "sqlite_master"}, longest)
            yield connection
    except OSError as error:
        raise cannot_read(database, error) from None
    except (sqlite3.Error, UnicodeError) as error:  # sqlite3 cannot decode every error message
        if "locked" in str(error) or "busy" in str(error):
            raise BlockingIOError(str(error)) from None
        why = "damaged text" if isinstance(error, UnicodeError) else sanitize(str(error))
        if why == "interrupted":
            why = f"not read within {SECONDS:.0f} s of work, so it is damaged or far too large"
        raise GenuiError(
            f"cannot read {show(database)} as a log of trackio or MLflow: {why}; "
            "check that it is one and that you may read it and its folder"
        ) from None


def _bound(connection: "sqlite3.Connection", tables: Collection[str], longest: int) -> None:
    """Limits the reading, computing and memory of the connection."""
    import sqlite3

    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, longest)
    over = time.thread_time() + SECONDS
    connection.set_progress_handler(lambda: time.thread_time() > over, _STEPS)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")  # reading past a truncated file is SIGBUS

    def authorise(
        action: int, name: str | None, detail: str | None, _database: str | None, view: str | None
    ) -> int:
        if view is None and (
            action == sqlite3.SQLITE_SELECT
            or (action == sqlite3.SQLITE_READ and name in tables)
            or (action == sqlite3.SQLITE_FUNCTION and detail in _FUNCTIONS)
            or (action == sqlite3.SQLITE_PRAGMA and name == "table_info")
        ):
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    connection.set_authorizer(authorise)


def _immutable(database: Path) -> str:
    """The option by which SQLite leaves no files beside the database, if nobody has it open: in
    write-ahead mode without a log file it does not change."""
    try:
        with database.open("rb") as file:
            header = file.read(20)
    except OSError:
        return ""  # SQLite raises it
    ahead = header[18:20] == b"\x02\x02"
    return "&immutable=1" if ahead and not os.path.exists(f"{database}-wal") else ""


def column_names(connection: "sqlite3.Connection", table: str, *others: str) -> set[str]:
    """The columns of a table; empty if there is none, or if it or one of the others is a view,
    which could compute anything."""
    names = ", ".join("?" * (1 + len(others)))
    kinds = connection.execute(
        f"SELECT type FROM sqlite_master WHERE name IN ({names})", (table, *others)
    )
    if {kind for (kind,) in kinds} != {"table"}:
        return set()
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


class SqliteFormat(Format, ABC):
    """Files with any number of runs, each of which is a log."""

    tables: ClassVar[frozenset[str]]  # that are read

    @abstractmethod
    def _runs(self, connection: "sqlite3.Connection", file: Path) -> Iterator[Log]:
        """The runs in a file, with the tool's own id as `key`; none if it is not of this tool.
        `file` is relative to the folder that is searched."""

    def fits_named(self, name: str, head: bytes) -> bool:
        return self.begins(head)  # an empty file has no runs

    def logs(self, path: Path, root: Path) -> list[Log]:
        relative = path.relative_to(root)
        try:
            with open_database(path, self.tables, LONGEST_NAME) as connection:
                runs = list(self._runs(connection, relative))
        except BlockingIOError:  # a writer holds it: the next search finds it
            return []
        return [
            replace(run, path=run_path(path, run.key), id=f"{relative}/{run.key}") for run in runs
        ]

    def files(self, path: Path) -> Iterable[Path]:
        database = parts_of(path)[0]
        return [database, database.with_name(f"{database.name}-wal")]


# --- The reader: rows are appended, so only those after the last one are read -------------------

_ROWS = 2000  # decoded at once
_BATCH = 32  # rows in memory before their size is known

SqlRow = tuple[Any, ...]
"""A number that grows with each row, and the other columns that are read."""


class SqliteTail(LogReader, ABC):
    """The rows of one run in a table `metrics`; `path` is a `run_path`."""

    title: ClassVar[str]  # for people
    tables: ClassVar[frozenset[str]]  # that are read

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._database, self._run = parts_of(path)
        self._finished: tuple[object, ...] = ()  # stamp of the file when it was read to its end
        self._stamp: tuple[object, ...] = ()  # when it was read last
        self._refusal = ""  # the error then
        self._inode: int | None = None

    def forget(self) -> None:
        super().forget()
        self._last = 0  # number of the last row read

    @abstractmethod
    def _columns(self, connection: "sqlite3.Connection") -> tuple[str, str, str] | None:
        """The columns of the number of a row, of its run, and of the other data; None if the
        database is not one of this tool."""

    @abstractmethod
    def _describe(self, connection: "sqlite3.Connection", run_column: str) -> bool:
        """Reads the description of the run in the database; returns whether it changed."""

    @abstractmethod
    def _add(self, rows: list[SqlRow]) -> None:
        """Adds the points of rows."""

    @abstractmethod
    def _bytes_of(self, row: SqlRow) -> int:
        """About how many bytes a row has."""

    def read(self, limit_bytes: int = CHUNK) -> bool:
        state = stamp_of(self._database)
        if state is None:
            self.progress = 1.0
            return False
        # New rows are first in the write-ahead log.
        stamp = (state, stamp_of(self._database.with_name(f"{self._database.name}-wal")))
        if stamp == self._finished:
            return False
        if self._refusal and stamp == self._stamp:
            raise GenuiError(self._refusal)  # reading it again would take as long
        inode = state[0]
        changed = False
        if self._inode not in (None, inode):
            changed = bool(self._last)
            self.forget()
        self._inode = inode
        written, self._stamp = stamp != self._stamp, stamp
        try:
            with open_database(self._database, self.tables) as connection:
                changed = self._read(connection, limit_bytes, written) or changed
            self._refusal = ""
        except BlockingIOError:
            self._stamp = ()
            return changed  # a writer holds it: read it next time
        except GenuiError as error:
            self._refusal = str(error)
            raise
        if self.progress == 1.0:
            self._finished = stamp
        return changed

    def _read(self, connection: "sqlite3.Connection", limit: int, written: bool) -> bool:
        """Reads about `limit` bytes of rows; `written` is whether the file changed."""
        columns = self._columns(connection)
        if columns is None:
            raise GenuiError(f"{show(self._database)} is not {self.title}: name another file")
        number, run, others = columns
        changed = False
        known = f"SELECT 1 FROM metrics WHERE {number} = ? AND {run} = ?"
        if (
            self._last
            and written  # else a damaged file would be read from its beginning again and again
            and not connection.execute(known, (self._last, self._run)).fetchone()
        ):
            self.forget()  # the run was deleted, and perhaps started again
            changed = True
        if written or not self._last:
            changed = self._describe(connection, run) or changed
        (newest,) = connection.execute(f"SELECT max({number}) FROM metrics").fetchone()
        # The plus keeps SQLite from using the index on the run and then sorting.
        query = (
            f"SELECT {number}, {others} FROM metrics "
            f"WHERE {number} > ? AND +{run} = ? ORDER BY {number}"
        )
        first = self._last
        rows: list[SqlRow] = []
        try:
            cursor = connection.execute(query, (first, self._run))
            while limit > 0 and (batch := cursor.fetchmany(_BATCH)):
                last = batch[-1][0]
                if type(last) is not int or last <= self._last:
                    raise GenuiError(
                        f"{show(self._database)} is damaged: its rows are out of order; "
                        "repair it with sqlite3's .recover, or name another"
                    )
                rows += batch
                self._last = last
                limit -= sum(map(self._bytes_of, batch))
                if len(rows) >= _ROWS:
                    self._add(rows)
                    rows = []
        finally:  # rows before the damage count
            if rows:
                self._add(rows)
        if limit > 0 or not isinstance(newest, int):
            self.progress = 1.0
        else:
            self.progress = min(0.99, self._last / max(1, newest))
        return changed or self._last != first
