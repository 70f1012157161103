"""trackio's SQLite files, opened so that its writer notices nothing.

One file a project in $TRACKIO_DIR (else $HF_HOME/trackio); any number of runs in it, told apart
by `run_id`, in older versions by `run_name`. Source: trackio/sqlite_storage.py 0.43.

A file that somebody else made can hold anything, so SQLite is kept within bounds: it reads two
tables and nothing a view or another table would compute, no value of more than LONGEST bytes, and
stops after SECONDS of work. Source: sqlite.org/security.html.
"""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

from genui.errors import GenuiError
from genui.runs.disk import cannot_read, plain, shown

if TYPE_CHECKING:
    import sqlite3

LONGEST = 4 * 1024 * 1024
"""Bytes of a value that is read; a row of metrics with more is none."""

LONGEST_NAME = 64 * 1024
"""The same where only the names of runs are read."""

MOST_RUNS = 20_000
"""Runs of one file that are listed."""

SECONDS = 3.0
"""Processor time for one look at a file: some ten million rows."""

_PATIENCE = 0.2  # seconds to wait for a writer that holds the lock
_STEPS = 10_000  # of SQLite's machine between looks at the clock; a fraction of a millisecond
_TABLES = frozenset({"metrics", "configs", "sqlite_master"})
_FUNCTIONS = frozenset({"ifnull", "max", "min"})


class TrackioRun(NamedTuple):
    """One run in a project's file."""

    id: str
    name: str


def run_path(database: Path, run_id: str) -> Path:
    """A path for a run inside the file: there is no such file, but it names the run."""
    return database / quote(run_id, safe="")


def parts_of(path: Path) -> tuple[Path, str]:
    """The file and the run's id that make such a path."""
    return path.parent, unquote(path.name)


@contextmanager
def opened(database: Path, longest: int = LONGEST) -> "Iterator[sqlite3.Connection]":
    """A read-only connection, within the bounds above. Raises GenuiError where it is no such file,
    damaged or out of bounds, and BlockingIOError while a writer holds it."""
    import sqlite3  # 10 ms that no list without such a file waits for

    try:
        if not stat.S_ISREG(database.stat().st_mode):  # a named pipe would hang the reader
            raise GenuiError(f"{shown(database)} is not a regular file: name another")
        where = f"file:{quote(os.fsencode(database))}?mode=ro{_no_traces(database)}"
        with closing(sqlite3.connect(where, uri=True, timeout=_PATIENCE)) as connection:
            connection.text_factory = lambda text: text.decode(errors="replace")
            _bound(connection, longest)
            yield connection
    except OSError as error:
        raise cannot_read(database, error) from None
    except (sqlite3.Error, UnicodeError) as error:  # what SQLite says of a damaged name is no text
        if "locked" in str(error) or "busy" in str(error):
            raise BlockingIOError(str(error)) from None
        why = "damaged text" if isinstance(error, UnicodeError) else plain(str(error))
        if why == "interrupted":
            why = f"not read within {SECONDS:.0f} s of work, so it is damaged or far too large"
        raise GenuiError(
            f"cannot read {shown(database)} as a trackio project: {why}; "
            "check that it is one and that you may read it and its folder"
        ) from None


def _bound(connection: "sqlite3.Connection", longest: int) -> None:
    """Limits what the connection reads, computes and holds in memory."""
    import sqlite3

    for limit, most in (
        (sqlite3.SQLITE_LIMIT_LENGTH, longest),
        (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000),
        (sqlite3.SQLITE_LIMIT_COLUMN, 200),
        (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 20),
        (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 3),
        (sqlite3.SQLITE_LIMIT_VDBE_OP, 25_000),
        (sqlite3.SQLITE_LIMIT_FUNCTION_ARG, 8),
        (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    ):
        connection.setlimit(limit, most)
    over = time.thread_time() + SECONDS
    connection.set_progress_handler(lambda: time.thread_time() > over, _STEPS)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")  # a file cut short would end the process

    def authorise(
        action: int, name: str | None, detail: str | None, _database: str | None, view: str | None
    ) -> int:
        if view is None and (
            action == sqlite3.SQLITE_SELECT
            or (action == sqlite3.SQLITE_READ and name in _TABLES)
            or (action == sqlite3.SQLITE_FUNCTION and detail in _FUNCTIONS)
            or (action == sqlite3.SQLITE_PRAGMA and name == "table_info")
        ):
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    connection.set_authorizer(authorise)


def _no_traces(database: Path) -> str:
    """What keeps SQLite from leaving two files beside a database nobody has open: in its
    write-ahead mode, and without the log that a writer would have made, the file stands still."""
    try:
        with database.open("rb") as file:
            header = file.read(20)
    except OSError:
        return ""  # told by SQLite
    ahead = header[18:20] == b"\x02\x02"
    return "&immutable=1" if ahead and not os.path.exists(f"{database}-wal") else ""


def id_column(connection: "sqlite3.Connection") -> str | None:
    """The column that tells runs apart; None where this is no trackio database, with views in
    place of its tables perhaps, which compute whatever they like."""
    kinds = connection.execute(
        "SELECT type FROM sqlite_master WHERE name IN ('metrics', 'configs')"
    )
    if {kind for (kind,) in kinds} != {"table"}:
        return None
    names = {row[1] for row in connection.execute("PRAGMA table_info(metrics)")}
    if not {"run_name", "step", "timestamp", "metrics"} <= names:
        return None
    return "run_id" if "run_id" in names else "run_name"


def runs_in(database: Path) -> list[TrackioRun]:
    """The runs of a project, in the order they began; none where it is another kind of
    database. Raises as `opened`."""
    with opened(database, LONGEST_NAME) as connection:
        column = id_column(connection)
        if column is None:
            return []
        query = (
            f"SELECT {column}, max(run_name) FROM metrics GROUP BY {column} ORDER BY min(id) "
            f"LIMIT {MOST_RUNS}"
        )
        found: list[TrackioRun] = []
        room = LONGEST
        for run_id, name in connection.execute(query):
            found.append(TrackioRun(str(run_id), str(name)))
            room -= len(found[-1].id) + len(found[-1].name)
            if room < 0:
                break
        return found
