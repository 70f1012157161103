"""The base classes of log formats and their readers.

Nothing here needs numpy, so a list of logs does not wait for it.
"""

import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Protocol, TypeVar

from genui.base.errors import GenuiError
from genui.base.files import report_defect, show
from genui.base.growing import CHUNK, GrowingFile, LineFile
from genui.base.late import late_imports
from genui.runs.layout import RunDir, RunInfo, Status
from genui.runs.listing import RunSummary

if TYPE_CHECKING:
    from genui.runs.series import Series

with late_imports():  # numpy
    from genui.logs import histograms, series_store

WRITING = 30.0
"""Seconds since the last write within which a log counts as being written."""

NEVER = re.compile(r"(?!)")
HPARAMS_FOLDER = re.compile(r"\d{10}\.\d+")  # the time, as TensorBoard's add_hparams names it
_BEYOND = 2**63  # steps are int64


@dataclass(frozen=True)
class Log:
    """A log found by the search: its path and its name."""

    path: Path
    name: str = ""  # empty: the name in the log itself
    id: str = ""  # unique among the logs of the search
    project: str = ""
    key: str = ""  # the tool's own short id, which distinguishes logs of the same name
    tags: tuple[str, ...] = ()
    note: str = ""
    created: float = 0.0  # unix time; 0 if it is not known
    host: str = ""
    ended: str = ""  # "finished", "failed" or "stopped", if the log says so

    def with_about(self, about: "About", ended: str = "") -> "Log":
        """The log as its tool calls it."""
        return replace(
            self, name=about.name or self.name, project=about.project, key=about.id,
            tags=about.tags, note=about.note, created=about.created, ended=ended,
            host=str(about.environment.get("host", "")),
        )  # fmt: skip


@dataclass(frozen=True)
class Format:
    """How logs of one format are recognized, named, summarized and read.

    The methods suit a log in one file; other formats override what differs.
    """

    name: str  # RunSummary.format
    title: str  # for people
    reader: Callable[[Path], "Tail"]  # at the beginning; one that needs numpy is imported in it
    file: re.Pattern[str] = NEVER  # the names of its files
    begins: Callable[[bytes], bool] = lambda head: False  # whether the first bytes fit
    folder_names: re.Pattern[str] = NEVER  # files that are listed by the name of their folder

    def fits(self, name: str, head: bytes) -> bool:
        """Whether a file in a folder has this format."""
        return self.file.fullmatch(name) is not None and self.begins(head)

    def fits_named(self, name: str, head: bytes) -> bool:
        """The same for a file given by path: its content counts, or its name while it is empty."""
        return self.begins(head) if head else self.file.fullmatch(name) is not None

    def repeats(self, file: Path) -> bool:
        """Whether a file that fits repeats the data of a log of another format in its folder."""
        return False

    def owns(self, folder: Path, names: Set[str]) -> bool:
        """Whether a folder with these names is one log, with everything below it."""
        return False

    def place(self, file: Path, root: Path) -> Path:
        """The place of the log to which a file belongs; `root` is the folder that is searched."""
        return file

    def place_beside(self, place: Path, file: Path) -> Path:
        """The same if `place` is a log of another format already."""
        return file

    def logs(self, path: Path, root: Path) -> list[Log]:
        """The log or logs at that place. Raises GenuiError if it cannot be read."""
        relative = path.relative_to(root)
        place = str(relative)
        if len(relative.parts) > 1 and self.folder_names.fullmatch(path.name):
            relative = relative.parent
        name = str(relative) if relative.parts else root.resolve().name or "log"
        return [Log(path, name, place if path != root else path.name)]

    def files(self, path: Path) -> Iterable[Path]:
        """The files of the log; some may be gone. Raises OSError."""
        if not path.is_dir():
            return [path]
        return [path / name for name in os.listdir(path) if self.file.fullmatch(name)]

    def summarise(self, path: Path, ended: str = "") -> RunSummary:
        """The state of the log, by the time of its last write; `ended` is the end that its reader
        found.

        Never raises: an error is in `fault`.
        """
        fault = ""
        written = 0.0
        try:
            for file in self.files(path):
                with suppress(FileNotFoundError, NotADirectoryError):
                    written = max(written, file.stat().st_mtime)
        except OSError as error:
            fault = f"cannot read {show(path)}: {(error.strerror or str(error)).lower()}"
        if not written and not fault:
            fault = f"{show(path)} no longer exists: it was removed or renamed"
        age = max(0.0, time.time() - written)
        state = "failed" if fault else ended or ("writing" if age < WRITING else "quiet")
        status = Status(state="running" if state == "writing" else "stopped", heartbeat=written)
        info = RunInfo(id=path.name, name=path.name, recipe={}, created=written, kind="script")
        return RunSummary(RunDir(path), info, status, state, age, fault, self.name)

    def open(self, path: Path) -> "Tail":
        """The reader, at the beginning. Reads nothing yet."""
        return self.reader(path)


# --- The contents of a log besides its metrics and config -------------------------------------


class About(NamedTuple):
    """A tool's description of a run."""

    name: str = ""
    id: str = ""
    project: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    created: float = 0.0  # unix time; 0 if it is not known
    environment: Mapping[str, Any] = {}  # program, host, GPUs, …
    summary: Mapping[str, Any] = {}  # results that are no metric's last


MediaKind = Literal["image", "text", "audio", "table", "file", "histogram", "curve"]


class Media(NamedTuple):
    """A sample that a tool logged: a file, a part of one, or the pixels themselves."""

    step: int
    name: str  # of the metric, so to say: "validation/images"
    kind: MediaKind
    path: Path
    start: int = 0  # bytes
    size: int = -1  # bytes; -1: up to the end of the file
    caption: str = ""
    content: Any = None  # of a histogram: see MediaStore; of a curve: x and y; of a table: itself


def file_below(folder: Path, name: object) -> Path | None:
    """The file of that name in a folder or below it; None if it is elsewhere: a log may come from
    someone else."""
    if not isinstance(name, str) or name.startswith("/") or "\0" in name:
        return None
    parts = Path(name).parts
    return folder.joinpath(*parts) if parts and ".." not in parts else None


class MediaStore:
    """The samples of a log, at most MAX_SAMPLES. The mapping is replaced when one is added.

    A histogram is added with its edges and counts as content; `by_step` has it with all of its name
    in their place.
    """

    MAX_SAMPLES = 20_000

    def __init__(self, most_histograms: int = 200) -> None:
        """Histograms of more names are left out."""
        self.names: set[str] = set()
        self._most_histograms = most_histograms
        self._histograms: dict[str, histograms.Histograms] = {}
        self._lists: dict[int, list[Media]] = {}
        self._count = 0
        self._by_step: Mapping[int, Sequence[Media]] | None = {}

    def add(self, media: Media) -> None:
        """Adds a sample; a histogram that is none, or is thinned out, is left out."""
        self.names.add(media.name)
        if media.kind == "histogram":
            known = self._histograms_with(media)
            if known is None:
                return
            media = media._replace(content=known)
        if 0 <= media.step < _BEYOND and self._count < self.MAX_SAMPLES:
            self._lists.setdefault(media.step, []).append(media)
            self._count += 1
            self._by_step = None

    def _histograms_with(self, media: Media) -> "histograms.Histograms | None":
        """All histograms of that name, this one included; None if it is left out."""
        known = self._histograms.get(media.name)
        if known is None and len(self._histograms) < self._most_histograms:
            known = histograms.Histograms()
        if known is None or not known.add(media.step, *media.content):
            return None
        self._histograms[media.name] = known
        return known

    def forget_after(self, step: int) -> None:
        """Drops the samples of steps later than `step`."""
        for known in self._histograms.values():
            known.forget_after(step)
        self._lists = {one: media for one, media in self._lists.items() if one <= step}
        self._count = sum(map(len, self._lists.values()))
        self._by_step = None

    @property
    def by_step(self) -> Mapping[int, Sequence[Media]]:
        """The samples by step, ascending; the media of a step by name."""
        if self._by_step is None:
            self._by_step = {
                step: tuple(sorted(self._lists[step], key=lambda media: media.name))
                for step in sorted(self._lists)
            }
        return self._by_step


class Extras(NamedTuple):
    """The contents of a log besides its metrics and config; empty if the format has none."""

    about: About = About()
    system: Mapping[str, "Series"] = {}  # with ten steps per second
    console: Sequence[tuple[float, str]] = ()  # the newest lines: unix time or NaN, and text
    axes: Mapping[str, str] = {}  # the metric that is a metric's x axis
    media: Mapping[int, Sequence[Media]] = {}  # by step, ascending


NO_EXTRAS = Extras()

# --- Readers: the protocol of all, and the base class of readers of other tools' logs ----------

PIECE = 256 * 1024
"""Bytes that are decoded without interruption: a few milliseconds."""


class Tail(Protocol):
    """A log that is brought up to date by `read`, from one thread.

    The mappings and sequences are replaced, never changed, so another thread may keep one.
    """

    @property
    def series(self) -> "Mapping[str, Series]":
        """The points of each metric by its name, one for each step."""
        ...

    @property
    def bad_lines(self) -> int:
        """Damaged records, which were left out."""
        ...

    @property
    def dropped(self) -> int:
        """Values left out because there were more than MAX_SERIES metrics."""
        ...

    @property
    def overlaps(self) -> Sequence[tuple[int, int]]:
        """Ranges of steps, (first, last), that were logged again; the newest values count."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """The hyperparameters in the log; empty if it has none."""
        ...

    @property
    def ended(self) -> str:
        """ "finished", "failed" or "stopped", if the log says so; else empty."""
        ...

    @property
    def progress(self) -> float:
        """The share of the log that was read: 1.0 is all of it."""
        ...

    @property
    def extras(self) -> Extras:
        """The contents of the log besides its metrics and config."""
        ...

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """Reads appended data, about `limit_bytes` at most; True if anything changed: call again
        until False to reach the end.

        A missing log changes nothing. Raises GenuiError, one line, if it cannot be read or has
        another format.
        """
        ...


class LogReader:
    """Base of the readers of other tools' logs. `read` is as in `Tail`.

    A reader adds its points to `store`, counts in `damaged` the records that it leaves out, and
    sets `config`, `ended`, `about` and `media` if the log has them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.progress = 0.0
        self.forget()

    def forget(self) -> None:
        """Starts again: the log was replaced."""
        self.config: Mapping[str, Any] = {}
        self.ended = ""
        self.store = series_store.SeriesStore()
        self.damaged = 0
        self.about, self.media = About(), MediaStore()

    @property
    def series(self) -> "Mapping[str, Series]":
        return self.store.series

    @property
    def bad_lines(self) -> int:
        return self.damaged

    @property
    def dropped(self) -> int:
        return self.store.dropped

    @property
    def overlaps(self) -> tuple[tuple[int, int], ...]:
        return self.store.overlaps

    @property
    def extras(self) -> Extras:
        return Extras(self.about, media=self.media.by_step)

    def set_state(self, config: Mapping[str, Any], ended: str) -> bool:
        """Takes the config and the end that are known now; returns whether they changed."""
        changed = (config, ended) != (self.config, self.ended)
        self.config, self.ended = config, ended
        return changed


class SafeTail:
    """Wraps a reader so that it raises only GenuiError: a defect becomes one line about one log,
    which is then not read further."""

    def __init__(self, tail: Tail, path: Path) -> None:
        self._tail = tail
        self._path = path
        self._defect: GenuiError | None = None

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """Calls the reader. After a defect the same error is raised again."""
        if self._defect is not None:
            raise self._defect
        try:
            return self._tail.read(limit_bytes)
        except GenuiError:
            raise
        except Exception as error:
            if os.environ.get("GENUI_DEBUG"):
                raise
            self._defect = report_defect(self._path, error)
            raise self._defect from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tail, name)


# --- Readers of files that grow -----------------------------------------------------------------

F = TypeVar("F", bound=GrowingFile)


MAX_FILES = 20_000
"""Files of one log, of those that have one for each metric."""


class FilesReader(LogReader, ABC, Generic[F]):
    """Base of the readers of files that are appended to: of one, or of several in a folder.

    If one of them was replaced, all are read again. One that cannot be read counts as a damaged
    record, unless there is no other.
    """

    def __init__(self, path: Path) -> None:
        self.restarted = False  # the last `read` found another file
        self._files: dict[Path, F] = {}
        self._refused: dict[Path, GenuiError] = {}
        self.again = False  # the files must be read again with new knowledge
        super().__init__(path)

    @abstractmethod
    def open_file(self, path: Path) -> F:
        """The cursor in a file, at its beginning."""

    @abstractmethod
    def read_piece(self, file: F, limit: int) -> None:
        """Reads about `limit` bytes and adds their points; calls `begin_again` if the file was
        replaced."""

    def paths(self) -> Iterable[Path]:
        return (self.path,)

    def read_beside(self) -> bool:
        """Reads data in other files; returns whether it changed."""
        return False

    def add_rest(self, file: F) -> bool:
        """Adds the points of the rest at the end of a file; returns whether there were any."""
        return False

    def read_again(self) -> None:
        """Forgets all: the next `read` begins at the beginning of the files."""
        self._files, self._refused = {}, {}
        self.restarted = True
        self.forget()

    def begin_again(self, file: F) -> None:
        """Forgets everything except a file that was replaced, whose first bytes were just read."""
        self.read_again()
        self._files = {file.path: file}

    @property
    def bad_lines(self) -> int:
        return (
            self.damaged + sum(file.damaged for file in self._files.values()) + len(self._refused)
        )

    @property
    def size(self) -> int:
        """Bytes of the files."""
        return sum(file.size for file in self._files.values())

    @property
    def offset(self) -> int:
        """The number of bytes that were read."""
        return sum(file.offset for file in self._files.values())

    def read(self, limit_bytes: int = CHUNK) -> bool:
        self.restarted = False
        changed = self.read_beside()
        for path in self.paths():
            try:
                while limit_bytes > 0 and (taken := self._advance(path, limit_bytes)):
                    limit_bytes -= taken
                    changed = True
            except GenuiError as error:
                self._refused[path] = error
        if self._refused and len(self._refused) == len(self._files):
            raise next(iter(self._refused.values()))
        self.progress = 1.0 if limit_bytes > 0 else min(0.99, self.offset / max(1, self.size))
        return changed or self.restarted

    def _advance(self, path: Path, limit: int) -> int:
        """Reads a piece of a file; returns how many bytes were taken, or `limit` if all files are
        read again."""
        file = self._files[path] = self._files.get(path) or self.open_file(path)
        before, failed = file.offset, file.failed
        self.read_piece(file, min(limit, PIECE))
        if failed:
            self._refused.pop(path, None)
        before = 0 if file.restarted else before
        if self._files and file.offset == before and not self.add_rest(file):
            return 0
        self._refused.pop(path, None)
        if self.again:
            self.again = False
            self.read_again()
        return file.offset - before if self._files else limit


class LineReader(FilesReader[LineFile]):
    """The same of files with whole lines. `add_lines` is all that a log in one file needs; `paths`
    lists the files of one in several, and `read_beside` reads what is written whole."""

    def open_file(self, path: Path) -> LineFile:
        return LineFile(path)

    def read_piece(self, file: LineFile, limit: int) -> None:
        lines = file.read_lines(limit)
        if file.restarted:
            self.begin_again(file)
        if lines:
            self.add_lines(file, lines)

    @abstractmethod
    def add_lines(self, file: LineFile, lines: bytes) -> None:
        """Adds the points of whole lines."""
