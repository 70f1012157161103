"""The table of formats: how a log is recognised, and what reads it.

Another format is one file with a Tail and one row here. Recognising one takes its name and a
few bytes, and never numpy, which no first frame waits for.
"""

import importlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from genui.base.errors import GenuiError
from genui.base.files import cannot_read, defect, shown
from genui.runs.series import Floats, Series, Steps, is_rising

SNIFFED = 4096
"""Bytes at the beginning of a file that tell its format."""

STEP_KEYS = ("step", "_step", "global_step", "trainer/global_step", "iter", "iteration", "steps",
             "batch", "epoch")  # fmt: skip
"""Names of a step in somebody's log, the surest first; one in capitals is the same."""


@dataclass(frozen=True)
class Format:
    """One row of the table."""

    name: str  # RunSummary.format
    title: str  # for people
    file: re.Pattern[str]  # the names its files have in a folder of runs
    looks: Callable[[bytes], bool]  # whether a file begins like one
    reader: str  # module:class, below genui.runs
    whole_folder: bool = False  # the log is the folder of the file, with all such files in it

    def open(self, path: Path) -> "Tail":
        """The reader, at the beginning. Reads nothing yet."""
        module, name = self.reader.split(":")
        return getattr(importlib.import_module(f"genui.runs.{module}"), name)(path)


def _is_event_file(head: bytes) -> bool:
    # A length and its checksum begin the first record, which usually says "brain.Event:2".
    if not head or b"brain.Event:" in head[:64]:
        return True
    return len(head) >= 12 and _crc32c(head[:8]) == int.from_bytes(head[8:12], "little")


def _crc32c(data: bytes) -> int:
    """The masked checksum of TFRecord (tfrecord.py), of a few bytes without numpy."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _is_wandb(head: bytes) -> bool:
    return not head or head.startswith(b":W&B")


def _is_trainer_state(head: bytes) -> bool:
    return head.lstrip().startswith(b"{")


def _is_csv(head: bytes) -> bool:
    first = head.split(b"\n", 1)[0].decode(errors="replace").lstrip("\ufeff").rstrip("\r")
    names = [name.strip(' "').lower() for name in re.split(r"[,;\t]", first)]
    return len(names) > 1 and any(name in STEP_KEYS for name in names)


def _is_jsonl(head: bytes) -> bool:
    line, newline, _ = head.partition(b"\n")
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError):
        # Cut in the middle of a long line; a line of its own has to be whole.
        return not newline and len(head) >= SNIFFED and re.match(rb'\s*\{\s*"', head) is not None
    return isinstance(record, dict) and bool(record)


def _is_sqlite(head: bytes) -> bool:
    return head.startswith(b"SQLite format 3\0")


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format("tensorboard", "TensorBoard event files", re.compile(r".*tfevents.*"),
               _is_event_file, "logs.tfevents:EventsTail", whole_folder=True),
        Format("wandb", "W&B runs (run-*.wandb)", re.compile(r".+\.wandb"),
               _is_wandb, "logs.wandb:WandbTail"),
        Format("trainer-state", "Hugging Face's trainer_state.json",
               re.compile(r"trainer_state\.json"),
               _is_trainer_state, "logs.trainer_state:TrainerStateTail"),
        Format("trackio", "trackio projects (*.db)", re.compile(r".+\.db"),
               _is_sqlite, "logs.trackio:TrackioTail"),
        Format("jsonl", "JSON lines (*.jsonl)", re.compile(r".+\.(jsonl|ndjson)"),
               _is_jsonl, "logs.jsonl:JsonlTail"),
        Format("csv", "CSV with a column step, iteration or epoch", re.compile(r".+\.csv"),
               _is_csv, "logs.csv:CsvTail"),
    )
}  # fmt: skip
"""Formats of other tools by name."""


def format_of(name: str, head: bytes) -> Format | None:
    """The format of a file with that name in a folder of runs."""
    for row in FORMATS.values():
        if row.file.fullmatch(name):
            return row if row.looks(head) else None
    return None


def format_by_content(name: str, head: bytes) -> Format | None:
    """The same for a file somebody named: its contents count, whatever its name, unless it is
    still empty."""
    if not head:
        rows = (row for row in FORMATS.values() if row.name != "trackio")
        return next((row for row in rows if row.file.fullmatch(name)), None)
    named = format_of(name, head)
    if named is not None:
        return named
    return next(
        (row for row in FORMATS.values() if row.name != "trainer-state" and row.looks(head)), None
    )


def looks_like(head: bytes) -> str:
    """What a file is that no row of the table reads, in words for a message."""
    kinds = {
        b"\x89PNG": "a PNG picture",
        b"\xff\xd8\xff": "a JPEG picture",
        b"PK\x03\x04": "a zip archive (perhaps a PyTorch checkpoint)",
        b"\x1f\x8b": "a gzip archive",
        b"SQLite format 3\0": "an SQLite database that is not trackio's",
        b"\x89HDF": "an HDF5 file",
        b"\x93NUMPY": "a numpy array",
        b"PAR1": "a Parquet file",
        b"%PDF": "a PDF document",
        b"\x7fELF": "a program",
    }
    for magic, kind in kinds.items():
        if head.startswith(magic):
            return kind
    if not head:
        return "an empty file: name it when something is written"
    if head[8:9] == b"{" and head[:8].rstrip(b"\0") != head[:8]:
        return "a safetensors file"
    if b"\0" in head:
        return "a binary file of another program"
    if head.lstrip()[:1] in (b"{", b"["):
        return "a JSON document without lines of metrics"
    try:
        head[:-4].decode()
    except UnicodeDecodeError:
        return "a binary file of another program"
    return "text: follow it with genui watch - < FILE"


# --- Where every reader puts its points: series by name, and the steps that were written again

MOST_SERIES = 20_000
"""Metrics kept; a log with more names than that is not a log of a training."""

MOST_OVERLAPS = 100
"""Spans kept apart; a log that goes backwards more often is out of order, not resumed."""

Column = tuple[str, Steps, Floats, Floats]
"""A metric's name and its points in the order of writing: steps, values, unix times."""


class Collected:
    """The series of a log as far as it was read, each with a point at least.

    `series` is replaced, never changed, when a metric appears or goes, and so is `overlaps`: the
    spans, first and last step, that were written again after going back, of all metrics together.
    `dropped` counts the values left out because there were more than MOST_SERIES metrics.
    """

    def __init__(self) -> None:
        self.series: Mapping[str, Series] = {}
        self.overlaps: tuple[tuple[int, int], ...] = ()
        self.dropped = 0
        self._every: dict[str, Series] = {}  # also those without a point, as a resume leaves them

    def add(self, columns: Iterable[Column]) -> None:
        """Adds points, of which later ones win over earlier ones. Steps are 0 or more."""
        found = [column for column in columns if len(column[1])]
        known = self._every
        new = dict.fromkeys(name for name, *_ in found if name not in known)
        if new:
            room = max(0, MOST_SERIES - len(known))
            known.update((name, Series()) for name in list(new)[:room])
        same: Steps | None = None
        rising, first = True, 0
        for name, steps, values, times in found:
            series = known.get(name)
            if series is None:
                self.dropped += len(steps)
                continue
            if steps is not same:  # most columns of a batch have the same
                same, rising, first = steps, is_rising(steps), int(steps[0])
            if not rising or first < series.written:
                self._compare(series.written, steps)
            series.extend(steps, values, times, rising=rising)
        if len(self.series) < len(known):
            self._show()

    def forget_after(self, step: int) -> None:
        """Drops the points of steps later than `step`, and the metrics that have no other: what
        follows replaces them."""
        for series in self._every.values():
            series.forget_after(step)
        self._show()

    def _show(self) -> None:
        self.series = {name: series for name, series in self._every.items() if len(series)}

    def _compare(self, written: int, steps: Steps) -> None:
        """Notes where the steps go back."""
        before = np.concatenate((np.array([written], np.int64), steps[:-1]))
        back = steps < before
        if back.any():
            # Between two places where it goes back the steps ascend, so what is before such a
            # place is the last step written until then.
            self.overlaps = united(
                [*self.overlaps, *zip(steps[back].tolist(), before[back].tolist(), strict=True)]
            )


def united(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The same steps as ascending spans that do not touch; one single span where there would be
    more than MOST_OVERLAPS."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    if len(result) > MOST_OVERLAPS:
        return ((result[0][0], result[-1][1]),)
    return tuple(result)


# --- What every reader of a training's log offers, ours and other tools' ----------------------

CHUNK = 4 * 1024 * 1024
"""Bytes a reader takes in at once, about: a fraction of a second's work."""

PIECE = 256 * 1024
"""Bytes decoded in one call, which nothing can interrupt: a few milliseconds."""


class Tail(Protocol):
    """A log that is brought up to date by `read`, from one thread.

    The mappings and sequences are replaced, never changed, so another thread may keep one.
    """

    @property
    def series(self) -> Mapping[str, Series]:
        """Metric name to its points, one a step."""
        ...

    @property
    def bad_lines(self) -> int:
        """Records that were no records."""
        ...

    @property
    def dropped(self) -> int:
        """Values left out because there were more than MOST_SERIES metrics."""
        ...

    @property
    def overlaps(self) -> Sequence[tuple[int, int]]:
        """First and last of the steps that were written again, after a resume: the last counts."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """The hyperparameters as the log has them; empty where it has none."""
        ...

    @property
    def ended(self) -> str:
        """What the log itself says: "finished", "failed" or "stopped"; empty if nothing."""
        ...

    @property
    def progress(self) -> float:
        """Share of what was there that has been read: 1.0 is caught up."""
        ...

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """Takes in what was appended, about `limit_bytes` at most; True if anything changed.

        A log that is not there, yet or any more, changes nothing. Raises GenuiError, one line,
        where it may not be read or is none.
        """
        ...


class Reader:
    """What the readers of other tools' logs have in common: where their points go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.progress = 0.0
        self._forget()

    def _forget(self) -> None:
        """Back to the beginning: it is another log now."""
        self.config: Mapping[str, Any] = {}
        self.ended = ""
        self._found = Collected()
        self._damaged = 0

    @property
    def series(self) -> Mapping[str, Series]:
        return self._found.series

    @property
    def bad_lines(self) -> int:
        return self._damaged

    @property
    def dropped(self) -> int:
        return self._found.dropped

    @property
    def overlaps(self) -> tuple[tuple[int, int], ...]:
        return self._found.overlaps


class Guarded:
    """A Tail of which nothing but GenuiError comes: a defect in a reader, or a log that no test
    thought of, is one line about one log. It is read no further then."""

    def __init__(self, tail: Tail, path: Path) -> None:
        self._tail = tail
        self._path = path
        self._defect: GenuiError | None = None

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """As the reader's own; raises the same line again once it has failed."""
        if self._defect is not None:
            raise self._defect
        try:
            return self._tail.read(limit_bytes)
        except GenuiError:
            raise
        except Exception as error:
            if os.environ.get("GENUI_DEBUG"):
                raise
            self._defect = defect(self._path, error)
            raise self._defect from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tail, name)


# --- A file that another program is writing: what was appended, and whether it is still that file

LONGEST_LINE = 1024 * 1024
"""Bytes; a longer line is garbage and is skipped without being held in memory."""

SETTLED = 2.0
"""Seconds without a write after which what follows the last newline may be a line."""

_HEAD = 4096  # bytes at the beginning, and
_FOOT = 64  # before the offset, that tell a rewritten file from one that grew


class GrowingFile:
    """A cursor in a file that grows, may be replaced by another, shrink or vanish.

    `offset` is behind what was taken; `size` is of the last look at a file that was there. A
    file that is another one than before (its inode, its beginning or what is before the offset
    changed, or it shrank) is read from its beginning, and `restarted` says so until the next
    look.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.size = 0
        self.restarted = False
        self._inode: tuple[int, int] | None = None
        self._head = b""
        self._foot = b""
        self._seen: tuple[int, int] | None = None  # size and time of a look that gave nothing
        self._limit = 0  # of that look

    @property
    def progress(self) -> float:
        """Share of the bytes that were there at the last look that is behind the offset."""
        return min(1.0, self.offset / self.size) if self.size else 1.0

    def read(self, limit: int) -> bytes:
        """The bytes after the offset, `limit` at most; none where nothing is new or the file is
        not there. Raises GenuiError where it may not be read or is no regular file."""
        self.restarted = False
        try:
            # Not blocking: a named pipe put here by a stranger must not hang the reader.
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        except OSError as error:
            raise cannot_read(self.path, error) from None
        try:
            return self._read(fd, limit)
        except OSError as error:
            raise cannot_read(self.path, error) from None
        finally:
            os.close(fd)

    def take(self, data: bytes, count: int) -> None:
        """Moves the offset behind the first `count` bytes of what `read` gave."""
        self.offset += count
        self._foot = (self._foot + data[max(0, count - _FOOT) : count])[-_FOOT:]
        self._seen = None

    def skip(self, count: int) -> None:
        """Moves the offset over bytes that nobody reads."""
        self.offset += count
        self._foot = b""
        self._seen = None

    def _read(self, fd: int, limit: int) -> bytes:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):  # told by pread
            raise GenuiError(f"{shown(self.path)} is not a regular file: name another")
        inode = (found.st_dev, found.st_ino)
        written = (found.st_size, found.st_mtime_ns)
        same = self._inode in (None, inode)
        if same and written == self._seen and limit <= self._limit:
            return b""  # nothing was written since a look of which nothing could be taken
        self.size = found.st_size
        head = os.pread(fd, _HEAD, 0)
        same = (
            same
            and found.st_size >= self.offset
            and head.startswith(self._head[: self.offset])
            and os.pread(fd, len(self._foot), self.offset - len(self._foot)) == self._foot
        )
        if not same:
            self.restarted = True
            self.offset = 0
            self._foot = b""
        self._inode, self._head = inode, head
        self._seen, self._limit = written, limit
        return os.pread(fd, limit, self.offset)


class LineFile(GrowingFile):
    """The same, in whole lines: what is after the last newline is not taken by `read_lines`.

    From an offset in the middle it begins with the line after the one that is there.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        super().__init__(path, offset)
        self.too_long = 0  # lines that were
        self._skipping = offset > 0  # inside a line that is too long, or was begun elsewhere
        self._rest = b""  # after the last newline, at the last look
        self._guessed = False  # the line before the offset had no newline
        self._tears = False  # the writer was seen to leave lines half written

    def read_lines(self, limit: int) -> bytes:
        """Whole lines, about `limit` bytes; none where no line was finished."""
        chunk = self._read_on(limit)
        end = chunk.rfind(b"\n") + 1
        if not end and limit <= len(chunk) < LONGEST_LINE:
            restarted = self.restarted
            chunk = self.read(LONGEST_LINE)
            self.restarted |= restarted
            end = chunk.rfind(b"\n") + 1
        if chunk:
            self._rest = chunk[end:]
        if not end:
            if len(chunk) >= LONGEST_LINE:
                self.take(chunk, len(chunk))
                self.too_long += not self._skipping
                self._skipping = True
            return b""
        start = 0
        if self._skipping:
            start, self._skipping = chunk.index(b"\n") + 1, False
        self.take(chunk, end)
        return chunk[start:end]

    def rest(self, settled: float = SETTLED) -> bytes:
        """What is after the last newline, if `read_lines` found nothing else and nothing was
        written for `settled` seconds: perhaps a line whose newline never came, perhaps half of
        one that the writer holds back. Empty also where a guess was wrong before."""
        whole = self.offset + len(self._rest) == self.size
        if self._seen is None or not whole or self._skipping or self._tears:
            return b""
        return self._rest if time.time() - self._seen[1] / 1e9 >= settled else b""

    def take_rest(self) -> None:
        """Takes what `rest` gave for a line. Should it go on after all, everything is read
        again: `restarted`."""
        self.take(self._rest, len(self._rest))
        self._rest, self._guessed = b"", True

    def _read_on(self, limit: int) -> bytes:
        chunk = self.read(limit)
        if self.restarted:
            self.too_long, self._skipping = 0, False
            self._rest, self._guessed, self._tears = b"", False, False
        if self._guessed and chunk:
            self._guessed = False
            if chunk[:1] not in (b"\r", b"\n"):
                self._tears = True
                self.offset, self._foot, self._seen = 0, b"", None
                chunk = self.read(limit)
                self.restarted = True
                self.too_long = 0
        return chunk
