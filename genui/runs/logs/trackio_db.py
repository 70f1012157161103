"""trackio's SQLite files, opened so that its writer notices nothing.

One file a project in $TRACKIO_DIR (else $HF_HOME/trackio); any number of runs in it, told apart
by `run_id`, in older versions by `run_name`. Source: trackio/sqlite_storage.py 0.43.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

from genui.errors import GenuiError
from genui.runs.disk import plain, shown

if TYPE_CHECKING:
    import sqlite3

_PATIENCE = 0.2  # seconds to wait for a writer that holds the lock


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
def opened(database: Path) -> "Iterator[sqlite3.Connection]":
    """A read-only connection. Raises GenuiError where it is no such file or damaged, and
    BlockingIOError while a writer holds it."""
    import sqlite3  # 10 ms that no list without such a file waits for

    where = f"file:{quote(str(database))}?mode=ro{_no_traces(database)}"
    try:
        with closing(sqlite3.connect(where, uri=True, timeout=_PATIENCE)) as connection:
            connection.text_factory = lambda text: text.decode(errors="replace")
            yield connection
    except sqlite3.Error as error:
        if "locked" in str(error) or "busy" in str(error):
            raise BlockingIOError(str(error)) from None
        raise GenuiError(
            f"cannot read {shown(database)} as a trackio project: {plain(str(error))}; "
            "check that it is one and that you may read it and its folder"
        ) from None


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
    """The column that tells runs apart; None where this is no trackio database."""
    names = {row[1] for row in connection.execute("PRAGMA table_info(metrics)")}
    if not {"run_name", "step", "timestamp", "metrics"} <= names:
        return None
    return "run_id" if "run_id" in names else "run_name"


def runs_in(database: Path) -> list[TrackioRun]:
    """The runs of a project, in the order they began; none where it is another kind of
    database. Raises as `opened`."""
    with opened(database) as connection:
        column = id_column(connection)
        if column is None:
            return []
        query = f"SELECT {column}, max(run_name) FROM metrics GROUP BY {column} ORDER BY min(id)"
        return [TrackioRun(str(run_id), str(name)) for run_id, name in connection.execute(query)]
