"""Which logs there are below a path, told by names and a few bytes; nothing is read."""

import dataclasses
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import defect, shown
from genui.logs.base import FORMATS, SNIFFED, Format, format_by_content, format_of, looks_like
from genui.logs.trackio import parts_of, run_path, runs_in
from genui.runs.layout import RunDir, RunInfo, Status
from genui.runs.listing import RunSummary, summarise

WRITING = 30.0
"""Seconds since the last write within which a log counts as being written."""

DEEPEST = 8
"""Folders below the one given that are looked into."""

MOST_FILES = 200_000
"""Names looked at before giving up on the rest."""

_TELLS_NOTHING = frozenset({"metrics.csv", "trainer_state.json", "metrics.jsonl"})
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})


class FoundLogs(list[RunSummary]):
    """The logs found, newest first; `note` says in plain words what was not looked at."""

    note: str = ""


def find_logs(path: Path) -> FoundLogs:
    """The logs at or below `path`: a log, the folder of a run, or a folder of many.

    Their names are relative to `path`. Raises MisuseError, one line, where there is nothing to
    watch and GenuiError where it may not be read.
    """
    try:
        about = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise MisuseError(f"there is no {shown(path)}: name a log, or a folder of logs") from None
    except OSError as error:
        raise _refused(path, error) from None
    if stat.S_ISDIR(about.st_mode):
        walk = _Walk(path)
        found = FoundLogs(walk.logs())
        found.note = walk.note
        if not found and walk.refusal is not None:
            raise walk.refusal
    elif stat.S_ISREG(about.st_mode):
        found = FoundLogs(_log_of_file(path))
    else:
        raise MisuseError(
            f"{shown(path)} is no file and no folder: name a log, or a folder of logs"
        )
    if not found:
        raise MisuseError(
            f"nothing to watch in {shown(path)}: what is read here are genui's own runs, "
            + ", ".join(row.title for row in FORMATS.values())
        )
    found.sort(key=lambda summary: (summary.age, summary.info.name))
    return found


def summarise_log(path: Path, format: str, ended: str = "") -> RunSummary:
    """How a log is now, by the time of its last write; `ended` is what its reader found in it.

    Never raises: what is wrong is in `fault`.
    """
    fault = ""
    written = 0.0
    try:
        written = max(_times(path, format), default=0.0)
    except OSError as error:
        fault = f"cannot read {shown(path)}: {(error.strerror or str(error)).lower()}"
    if not written and not fault:
        fault = f"{shown(path)} is gone: it was removed or renamed"
    age = max(0.0, time.time() - written)
    state = "failed" if fault else ended or ("writing" if age < WRITING else "quiet")
    status = Status(state="running" if state == "writing" else "stopped", heartbeat=written)
    info = RunInfo(id=path.name, name=path.name, recipe={}, created=written, kind="script")
    return RunSummary(RunDir(path), info, status, state, age, fault, format)


def _log_of_file(path: Path) -> list[RunSummary]:
    """The log, or logs, in a file that was named."""
    try:
        # Not blocking and regular, as `find_logs` saw; but a stranger may be quick.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            head = file.read(SNIFFED)
    except OSError as error:
        raise _refused(path, error) from None
    row = format_by_content(path.name, head)
    found = _summaries(path, row, path.name, path.name) if row else []
    if not found:
        raise MisuseError(
            f"{shown(path)} is no log of a training: it looks like {looks_like(head)}"
        )
    return found


def _summaries(path: Path, row: Format, name: str, place: str) -> list[RunSummary]:
    """One summary, or one for each run in a file of several; `place` is its path from where
    the search began, which no other has."""
    if row.name != "trackio":
        return [_named(summarise_log(path, row.name), name, place)]
    try:
        runs = runs_in(path)
    except BlockingIOError:  # the writer is at work: it is found at the next look
        return []
    stem = name.removesuffix(".db")
    return [
        _named(
            summarise_log(run_path(path, run.id), row.name),
            f"{stem}/{run.name}",
            f"{place}/{run.id}",
            path.stem,
        )
        for run in runs
    ]


def _named(summary: RunSummary, name: str, id: str, project: str = "") -> RunSummary:
    info = msgspec.structs.replace(summary.info, id=id, name=name, project=project)
    return dataclasses.replace(summary, info=info)


class _Walk:
    """One walk through a folder and what is below it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: set[tuple[int, int]] = set()  # folders, so that links cannot lead in circles
        self._names = 0
        self._too_deep = False
        self._refused = 0
        self.refusal: GenuiError | None = None  # why the first log of those could not be read

    @property
    def note(self) -> str:
        """What was not looked at, if anything."""
        notes: list[str] = []
        if self._names > MOST_FILES:
            notes.append(f"only the first {MOST_FILES:,} files were looked at")
        if self._too_deep:
            notes.append(f"folders more than {DEEPEST} deep were not looked into")
        if self._refused:
            why = "" if self.refusal is None else f": {self.refusal}"
            notes.append(f"what may not be read was left out ({self._refused}){why}")
        return "; ".join(notes)

    def logs(self) -> list[RunSummary]:
        """Raises GenuiError where the folder itself may not be read."""
        found: dict[Path, RunSummary] = {}
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
            if self._names > MOST_FILES:
                break
            names = {entry.name for entry in entries}
            if {"run.json", "metrics.jsonl"} <= names or {"run.json", "status.json"} <= names:
                found[folder] = self._own(folder)
                continue
            found.update((s.run.path, s) for s in self._in_folder(folder, entries))
            below = [e for e in entries if e.name not in _SKIPPED and _is_folder(e)]
            if depth == DEEPEST:
                self._too_deep = self._too_deep or bool(below)
                continue
            for entry in below:
                where = links if entry.is_symlink() else waiting
                where.append((Path(entry.path), depth + 1))
        return list(found.values())

    def _own(self, folder: Path) -> RunSummary:
        return summarise(RunDir(folder))

    def _in_folder(self, folder: Path, entries: list[os.DirEntry[str]]) -> Iterator[RunSummary]:
        """The logs among the files of one folder."""
        whole: dict[str, str] = {}  # formats whose log is the folder
        for entry in entries:
            if not any(row.file.fullmatch(entry.name) for row in FORMATS.values()):
                continue
            try:
                if not entry.is_file():
                    continue
                with open(entry.path, "rb", buffering=0) as file:
                    head = file.read(SNIFFED)
            except OSError:
                self._refused += 1
                continue
            row = format_of(entry.name, head)
            if row is None:
                continue
            path = Path(entry.path)
            if row.whole_folder:
                whole[row.name] = entry.name
            elif row.name == "trainer-state":
                output = folder.parent if folder.name.startswith("checkpoint-") else folder
                inside = output == self._root or self._root in output.parents
                yield from self._of(output if inside else path, row)
            else:
                yield from self._of(path, row)
        for name in whole:
            yield from self._of(folder, FORMATS[name])

    def _of(self, path: Path, row: Format) -> list[RunSummary]:
        """The logs there; none, and a note, where that goes wrong: others are listed all the
        same."""
        try:
            return self._summaries(path, row)
        except GenuiError as error:
            self.refusal = self.refusal or error
        except Exception as error:
            if os.environ.get("GENUI_DEBUG"):
                raise
            self.refusal = self.refusal or defect(path, error)
        self._refused += 1
        return []

    def _summaries(self, path: Path, row: Format) -> list[RunSummary]:
        relative = path.relative_to(self._root)
        place = str(relative)
        if path.name in _TELLS_NOTHING or row.name == "wandb":
            relative = relative.parent if len(relative.parts) > 1 else relative
        name = str(relative) if relative.parts else (self._root.resolve().name or "log")
        return _summaries(path, row, name, place)


def _times(path: Path, format: str) -> Iterator[float]:
    """When the files of a log were last written."""
    if format == "trackio":
        database = str(parts_of(path)[0])
        for name in (database, f"{database}-wal"):
            if os.path.isfile(name):
                yield os.stat(name).st_mtime
        return
    try:
        about = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISDIR(about.st_mode):
        yield about.st_mtime
        return
    pattern = FORMATS[format].file
    with os.scandir(path) as entries:
        for entry in entries:
            if pattern.fullmatch(entry.name):
                yield entry.stat().st_mtime
            elif format == "trainer-state" and entry.name.startswith("checkpoint-"):
                state = os.path.join(entry.path, "trainer_state.json")
                if os.path.exists(state):
                    yield os.stat(state).st_mtime


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _refused(path: Path, error: OSError) -> GenuiError:
    reason = (error.strerror or str(error)).lower()
    return MisuseError(f"cannot read {shown(path)}: {reason}; check that you may read it")
