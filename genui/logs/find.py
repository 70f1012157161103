"""Which logs there are below a path, by names and the first bytes of files."""

import dataclasses
import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import open_unblocked, report_defect, show
from genui.base.text import clean_line
from genui.logs.base import Format, Log
from genui.logs.formats import FORMATS, SNIFFED, describe_content, formats_by_content, formats_of
from genui.runs.labels import LONGEST_NOTE, Labels
from genui.runs.listing import RunSummary

DEEPEST = 8
"""Levels of folders that are searched."""

MAX_FILES = 200_000
"""Names after which the search ends."""

_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})
_KEY = 8  # characters of a tool's own id, shown after a name that several logs have

T = TypeVar("T")


class LogList(list[RunSummary]):
    """Logs, newest first; `note` names the logs that were left out."""

    note: str = ""


class NoLogsError(MisuseError):
    """A folder has no logs, so far."""


def find_logs(path: Path) -> LogList:
    """The logs at or below `path`: a log, the folder of a run, or a folder of many.

    Their names are relative to `path`. Raises MisuseError, one line, if there is no log
    (NoLogsError for a folder), and GenuiError if it may not be read.
    """
    try:
        about = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        logs = LogList(_runs_in_database(path))
        if not logs:
            raise MisuseError(
                f"there is no {show(path)}: name a log, or a folder of logs"
            ) from None
        return logs
    except OSError as error:
        raise _refused(path, error) from None
    if stat.S_ISDIR(about.st_mode):
        walk = _Walk(path)
        logs = LogList(walk.logs())
        logs.note = walk.note
        if not logs and walk.refusal is not None:
            raise walk.refusal
    elif stat.S_ISREG(about.st_mode):
        logs = LogList(_logs_in_file(path))
    else:
        raise MisuseError(f"{show(path)} is not a file or folder: name a log, or a folder of logs")
    if not logs:
        raise NoLogsError(
            f"no logs in {show(path)}. genui reads "
            + ", ".join(row.title for row in FORMATS.values())
        )
    logs.sort(key=lambda summary: (summary.age, summary.info.name))
    return logs


def names_of(summary: RunSummary) -> set[str]:
    """The names of a log: by its tool, in the list of logs, and by its id."""
    name = summary.info.name
    return {name, name.rpartition("/")[2], summary.info.id}


def _runs_in_database(path: Path) -> list[RunSummary]:
    """The run of that id, or else the runs of that name, in a database; `path` is below its file.
    None if there is no such file."""
    if not os.path.isfile(path.parent):
        return []
    runs = _logs_in_file(path.parent)
    return [run for run in runs if run.run.path == path] or [
        run for run in runs if path.name in names_of(run)
    ]


def summarise_log(path: Path, format: str, ended: str = "") -> RunSummary:
    """The state of a log; `ended` is the end that its reader found in it.

    Never raises: an error is in `fault`.
    """
    return FORMATS[format].summarise(path, ended)


def _logs_in_file(path: Path) -> list[RunSummary]:
    """The log, or logs, in a file that was named."""
    try:
        with open_unblocked(path) as file:  # since `find_logs` checked it, it may be a pipe
            head = file.read(SNIFFED)
    except OSError as error:
        raise _refused(path, error) from None
    for row in formats_by_content(path.name, head):
        logs = row.logs(path, path.parent)
        if logs:
            return [_summary(row, log) for log in _distinguish(logs)]
    raise MisuseError(f"{show(path)} is not a training log but {describe_content(head)}")


def _distinguish(logs: Sequence[Log]) -> list[Log]:
    """The logs, those of the same name with the tool's own id after it."""
    names = Counter(log.name for log in logs)
    return [
        dataclasses.replace(log, name=f"{log.name} {log.key[:_KEY]}")
        if log.key and names[log.name] > 1
        else log
        for log in logs
    ]


def _summary(row: Format, log: Log) -> RunSummary:
    summary = row.summarise(log.path, log.ended)
    if not log.name:
        return summary
    info = msgspec.structs.replace(
        summary.info, id=log.id, name=clean_line(log.name), project=clean_line(log.project),
        created=log.created or summary.info.created, host=clean_line(log.host),
    )  # fmt: skip
    labels = Labels(tags=tuple(map(clean_line, log.tags)), note=clean_line(log.note, LONGEST_NOTE))
    return dataclasses.replace(summary, info=info, labels=labels)


class _Walk:
    """A search of a folder and the folders below it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._formats = tuple(FORMATS.values())
        self._seen: set[tuple[int, int]] = set()  # folders, so that links cannot lead in circles
        self._found: dict[Path, tuple[Format, Log]] = {}
        self._places: dict[Path, Format] = {}
        self._listed: set[Path] = set()
        self._names = 0
        self._too_deep = False
        self._refused = 0
        self.refusal: GenuiError | None = None  # why the first log of those could not be read

    @property
    def note(self) -> str:
        """The logs that were left out, if any."""
        notes: list[str] = []
        if self._names > MAX_FILES:
            notes.append(f"only the first {MAX_FILES:,} files were searched")
        if self._too_deep:
            notes.append(f"folders more than {DEEPEST} levels deep were not searched")
        if self._refused:
            why = "" if self.refusal is None else f": {self.refusal}"
            notes.append(f"unreadable logs left out ({self._refused}){why}")
        return "; ".join(notes)

    def logs(self) -> list[RunSummary]:
        """The logs found. Raises GenuiError if the folder itself cannot be read."""
        waiting = [(self._root, 0)]
        links: list[tuple[Path, int]] = []
        while waiting or links:
            # Links last: what they lead to is listed under its own name if it is below.
            folder, depth = waiting.pop() if waiting else links.pop()
            try:
                about = folder.stat()
                key = (about.st_dev, about.st_ino)
                if key in self._seen:
                    continue
                self._seen.add(key)
                with os.scandir(folder) as listing:
                    entries = [e for e in listing if not e.name.startswith(".")]
            except OSError as error:
                if folder == self._root:
                    raise _refused(folder, error) from None
                self._refused += 1
                continue
            self._names += len(entries)
            if self._names > MAX_FILES:
                break
            names = {entry.name for entry in entries}
            owner = next((row for row in self._formats if row.owns(folder, names)), None)
            files = self._files(entries) if owner is None else [(folder, [owner])]
            for file, rows in files:
                self._add(file, rows)
            if owner is not None:
                continue
            below = [e for e in entries if e.name not in _SKIPPED and _is_folder(e)]
            if depth == DEEPEST:
                self._too_deep = self._too_deep or bool(below)
                continue
            for entry in below:
                where = links if entry.is_symlink() else waiting
                where.append((Path(entry.path), depth + 1))
        rows = [row for row, _ in self._found.values()]
        logs = _distinguish([log for _, log in self._found.values()])
        summaries = (
            self._guard(log.path, partial(_summary, row, log))
            for row, log in zip(rows, logs, strict=True)
        )
        return [summary for summary in summaries if summary is not None]

    def _files(self, entries: list[os.DirEntry[str]]) -> list[tuple[Path, list[Format]]]:
        """The files of one folder that may be logs, and the formats that they may have."""
        files: list[tuple[Path, list[Format]]] = []
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not any(row.file.fullmatch(entry.name) for row in self._formats):
                continue
            try:
                if not entry.is_file():
                    continue
                with open(entry.path, "rb", buffering=0) as file:
                    head = file.read(SNIFFED)
            except OSError:
                self._refused += 1
                continue
            rows = [row for row in formats_of(entry.name, head) if not row.repeats(Path(entry))]
            if rows:
                files.append((Path(entry.path), rows))
        return files

    def _add(self, file: Path, rows: list[Format]) -> None:
        """Adds the logs of the first of these formats that finds any in the file."""
        for row in rows:
            place = row.place(file, self._root)
            other = self._places.setdefault(place, row)
            if other is not row:  # the place is a log of another format too
                place = row.place_beside(place, file)
                self._places.setdefault(place, row)
            elif place in self._listed:
                return
            self._listed.add(place)
            logs = self._guard(place, partial(row.logs, place, self._root))
            if logs is None or logs:
                self._found.update((log.path, (row, log)) for log in logs or ())
                return
            del self._places[place]
            self._listed.remove(place)

    def _guard(self, place: Path, find: Callable[[], T]) -> T | None:
        """The result of `find`; after an error None and a note, and the others are still listed."""
        try:
            return find()
        except GenuiError as error:
            self.refusal = self.refusal or error
        except Exception as error:
            if os.environ.get("GENUI_DEBUG"):
                raise
            self.refusal = self.refusal or report_defect(place, error)
        self._refused += 1
        return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _refused(path: Path, error: OSError) -> GenuiError:
    reason = (error.strerror or str(error)).lower()
    return MisuseError(f"cannot read {show(path)}: {reason}; check that you may read it")
