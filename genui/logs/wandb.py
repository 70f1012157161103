"""The reader of W&B's run-*.wandb, which a run writes offline and online."""

import math
import re
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from genui.base import protobuf
from genui.base.errors import GenuiError
from genui.base.files import show
from genui.base.protobuf import BYTES, VARINT, WireError
from genui.logs.base import (
    CHUNK,
    PIECE,
    About,
    Extras,
    GrowingFile,
    Media,
    MediaKind,
    MediaStore,
    Reader,
    file_below,
)
from genui.logs.wandb_file import (
    EXIT,
    FILE_HEADER,
    MAGIC,
    NUMBER_KEY,
    RUN,
    LogBlocks,
    about_run,
    first_varint,
    parts_of_run,
    texts_of,
    timestamp,
)
from genui.runs.definitions import MetricDefinition, find_axes

# Fields of Record.
_HISTORY, _SUMMARY = 2, 3
_CONFIG, _STATS, _METRIC, _OUTPUT, _ENVIRONMENT = 5, 7, 12, 13, 26
_HISTORY_KEY, _SUMMARY_KEY = 0x12, 0x1A  # the first byte of such a field
_STEP_KEY = 0x12  # of HistoryRecord.step
_KEY, _NESTED, _JSON = 1, 2, 16  # fields of HistoryItem, SummaryItem and ConfigItem

# Keys as in the file; the second is that of older versions.
_STEP, _OLD_STEP = b"\x12\x05_step", b"\n\x05_step"
_TIMESTAMPS = (b"\x12\x0a_timestamp", b"\n\x0a_timestamp")
_TYPE = b"\x12\x05_type"  # the end of a key: of an image, a table, a histogram, …

# An item of one short key and a number: the key with the first bytes of its field, and the number.
# Its matches cover a row exactly if the row has only such items.
_PLAIN_ITEM = re.compile(rb"\n.([\n\x12].[^\x82]{1,127}?)\x82\x01.([-+.0-9A-Za-z]+)", re.DOTALL)
_ITEM_FRAME = 5  # bytes of an item besides these two
_SHORT = 12  # bytes; a HistoryStep is shorter

_LONGEST_CONSOLE = 4 * 1024 * 1024  # characters of the newest lines in memory
_LONGEST_CONSOLE_LINE = 16 * 1024
_MAX_RESULTS = 2000  # of the summary

Row = dict[bytes, bytes]
"""One row of the history: keys as in the file, values as JSON."""


class WandbTail(Reader):
    """The history of a run and what else W&B keeps of it: of a .wandb file, and of those in which
    the run was resumed. A step that is in several counts as in the newest; but offline W&B counts
    from 0 again, and such a part goes on after the last step before it."""

    def _forget(self) -> None:
        from genui.logs.series_store import SeriesStore  # brings numpy

        super()._forget()
        self._finished_parts = 0  # of the run, before the one that is read
        self._last_step = -1
        self._open_part(self.path)
        self._rows: list[Row] = []  # of the history, not yet added to the series
        self._about = About()
        self._console = _Console()
        self._system = SeriesStore()
        self._stats: list[tuple[float, str, float]] = []  # not yet added: time, name, value
        self._started = math.nan  # the time of the first stats
        self._defined: dict[str, MetricDefinition] = {}  # by name
        self._aggregates = False  # whether a summary has more than last values
        self._newest_summary = b""  # of a row of the history
        self._summary: dict[str, Any] = {}  # that a script has set
        self._media = MediaStore()

    def _open_part(self, path: Path) -> None:
        self._file = GrowingFile(path)
        self._blocks = LogBlocks()
        self._offset: int | None = None  # added to its steps; unknown before the first row

    def _open_next_part(self) -> bool:
        """Goes on with the next part of the run, if there is one."""
        parts = parts_of_run(self.path)
        count = self._finished_parts + 1
        if count >= len(parts):
            return False
        self._finished_parts = count
        self._damaged += self._blocks.damaged
        self.ended = ""
        self._open_part(parts[count])
        return True

    @property
    def bad_lines(self) -> int:
        return self._damaged + self._blocks.damaged

    @property
    def extras(self) -> Extras:
        return Extras(
            self._about._replace(summary=self._results()),
            self._system.series,
            self._console.lines(),
            find_axes(tuple(self._defined.values()), self._collected.series),
            self._media.by_step,
        )

    def read(self, limit_bytes: int = CHUNK) -> bool:
        changed = False
        while limit_bytes > 0:
            data = self._file.read(PIECE)
            if self._file.restarted:
                self._forget()
                changed = True
            start = 0
            if not self._file.offset and data:
                if not data.startswith(MAGIC[: len(data)]):
                    raise GenuiError(f"{show(self.path)} is not a W&B log: name another file")
                if len(data) < FILE_HEADER:
                    break
                start = FILE_HEADER
            for record in self._blocks.records(data, start, self._file.offset):
                self._record(*record)
            end = self._blocks.end
            if not end:
                if self._open_next_part():
                    changed = True
                    continue
                break
            self._file.take(data, end)
            limit_bytes -= end
            changed = True
            self._add()
        parts = max(self._finished_parts + 1, len(parts_of_run(self.path)))
        share = (self._finished_parts + self._file.progress) / parts
        self.progress = 1.0 if limit_bytes > 0 else share
        return changed

    def _record(self, data: bytes, start: int, end: int) -> None:
        try:
            at = start
            if data[at] == NUMBER_KEY:
                at += 2
                while data[at - 1] >= 0x80:
                    at += 1
            if data[at] == _SUMMARY_KEY:
                # Two of three records, which W&B adds after a row; a script's own begin otherwise.
                if self._aggregates:
                    length, at = protobuf.varint(data, at + 1)
                    self._summarize(data[at : min(end, at + length)])
                return
            if data[at] == _HISTORY_KEY:
                length, at = protobuf.varint(data, at + 1)
                self._history(data[at : min(end, at + length)])
            else:
                self._other(data, at, end)
        except (WireError, IndexError):
            self._damaged += 1

    def _history(self, data: bytes) -> None:
        """One row of the history."""
        pairs = _PLAIN_ITEM.findall(data)
        row: Row = dict(pairs)
        items = len(b"".join(row)) + len(b"".join(row.values())) + _ITEM_FRAME * len(row)
        rest = data[items:]  # usually a HistoryStep; `_step` is an item too
        plain = not rest or (rest[0] == _STEP_KEY and rest[1] == len(rest) - 2 < _SHORT)
        if not plain or len(row) != len(pairs):
            row = _row(data)
        elif _STEP not in row:
            row[_STEP] = row.get(_OLD_STEP) or _step_of(rest)
        if self._offset is None:
            self._offset = self._last_step + 1 if _step_in(row) == 0 else 0
        if not plain and b"_type" in data:
            self._take_media(row)
        self._rows.append(row)

    def _summarize(self, data: bytes) -> None:
        """A SummaryRecord. Most only repeat a row of the history, or have the run's time."""
        if b"_timestamp" in data:
            self._newest_summary = data
        elif b"_wandb" not in data:
            self._summary.update(_summary_items(data))

    def _take_media(self, row: Row) -> None:
        """Moves the images, tables and the like of a row, which is changed, to the samples."""
        objects: dict[str, dict[str, Any]] = {}
        for key in [key for key in row if key.endswith(_TYPE)]:
            prefix = key[: -len(_TYPE)]
            fields = {k: row.pop(k) for k in [k for k in row if k.startswith(prefix)]}
            objects[_name(prefix)] = {_name(k[len(prefix) :]): v for k, v in fields.items()}
        for key, text in row.items():  # of older versions
            if text.startswith(b"{") and b'"_type"' in text:
                with suppress(msgspec.DecodeError, RecursionError, UnicodeError):
                    value = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
                    objects[_name(key)] = {k: bytes(v) for k, v in value.items()}
        step = _step_in(row)
        if step is None:
            return
        step += self._offset or 0
        for name, fields in objects.items():
            self._media.names.add(name)
            values: dict[str, Any] = {}
            for field, text in fields.items():
                with suppress(msgspec.DecodeError, RecursionError, UnicodeError):
                    values[field] = msgspec.json.decode(text)
            if values.get("_type") == "histogram":
                self._media.add(self._histogram(name, step, values))
                continue
            for one in _media_of(name, step, values, self.path.parent / "files"):
                self._media.add(one)

    def _histogram(self, name: str, step: int, values: Mapping[str, Any]) -> Media:
        counts, edges = values.get("values"), values.get("bins")
        packed = values.get("packedBins")
        if isinstance(packed, dict) and isinstance(counts, list):
            with suppress(KeyError, TypeError):
                low, size = packed["min"], packed["size"]
                edges = [low + size * number for number in range(len(counts) + 1)]
        return Media(step, name, "histogram", self.path, content=(edges, counts))

    def _other(self, data: bytes, start: int, end: int) -> None:
        """Any record but history and summary."""
        for number, kind, value, stop in protobuf.fields(data, start, end):
            if kind != BYTES:
                continue
            if number == _CONFIG:
                self._configure(data, value, stop)
            elif number == RUN:
                for at in protobuf.messages(data, value, stop, 4):
                    self._configure(data, *at)
                about = about_run(data, value, stop)
                environment = {**self._about.environment, **about.environment}
                if self._finished_parts:
                    environment["resumed"] = f"{self._finished_parts} times"
                created = self._about.created or about.created
                self._about = about._replace(environment=environment, created=created)
            elif number == _HISTORY:
                self._history(data[value:stop])
            elif number == _SUMMARY:
                self._summarize(data[value:stop])
            elif number == _ENVIRONMENT:
                environment = {**self._about.environment, **_environment(data, value, stop)}
                self._about = self._about._replace(environment=environment)
            elif number == EXIT:
                self.ended = "failed" if first_varint(data, value, stop) else "finished"
            elif number == _OUTPUT:
                self._console.add(data, value, stop)
            elif number == _STATS:
                self._measure(data, value, stop)
            elif number == _METRIC:
                self._define(data, value, stop)

    def _configure(self, data: bytes, start: int, end: int) -> None:
        """Applies the updates of a ConfigRecord."""
        config = dict(self.config)
        for update in protobuf.messages(data, start, end, 1):
            key, text = _item(data, *update)
            name = _name(key)
            if not name.startswith("_"):
                try:
                    config[name] = msgspec.json.decode(text)
                except (msgspec.DecodeError, RecursionError, UnicodeError):
                    self._damaged += 1
        self.config = config

    def _define(self, data: bytes, start: int, end: int) -> None:
        """Applies a MetricRecord: `wandb.define_metric`."""
        texts = texts_of(data, start, end)
        name = next((texts[number][-1] for number in (1, 2) if number in texts), "")
        if name and 4 in texts:
            self._defined[name] = MetricDefinition(name, texts[4][-1])
        self._aggregates = self._aggregates or 7 in texts

    def _results(self) -> dict[str, Any]:
        """What the summary has beside the last values of metrics."""
        results = dict(self._summary)
        with suppress(WireError, IndexError):
            for name, value in _summary_items(self._newest_summary).items():
                if isinstance(value, dict):  # {"max": 0.9}, as define_metric asks for
                    results[name] = value
        series = self._collected.series
        for name in list(results):
            is_media = any(
                name == media or name.startswith(f"{media}/") for media in self._media.names
            )
            if is_media or (name in series and results[name] == series[name].values[-1]):
                del results[name]
        return dict(list(results.items())[:_MAX_RESULTS])

    def _measure(self, data: bytes, start: int, end: int) -> None:
        """A StatsRecord: the load of the machine."""
        for at in protobuf.messages(data, start, end, 2):
            when = timestamp(data, *at)
            break
        else:
            return
        for item in protobuf.messages(data, start, end, 3):
            key, text = _item(data, *item)
            name, factor = _measurement(_name(key))
            with suppress(ValueError):
                self._stats.append((when, name, float(text) * factor))

    def _add(self) -> None:
        """Adds the rows to the series."""
        import numpy as np

        from genui.logs.text import numbers_of  # imports numpy, which a list of logs does without

        if self._stats:
            self._add_stats()
        rows, self._rows = self._rows, []
        steps, good = numbers_of([row.get(_STEP) for row in rows])
        good = good & (steps >= 0) & (steps < 2**53) & (steps == np.floor(steps))
        if not good.all():
            self._damaged += int(len(rows) - good.sum())
            rows = [row for row, is_good in zip(rows, good, strict=True) if is_good]
            steps = steps[good]
        steps = steps.astype(np.int64) + (self._offset or 0)
        self._last_step = max(self._last_step, int(steps.max(initial=-1)))
        all_keys = sorted(set().union(*rows))
        keys: dict[str, list[bytes]] = {}
        for key in all_keys:
            keys.setdefault(_name(key), []).append(key)
        times = numbers_of(_cells(rows, [key for key in all_keys if key in _TIMESTAMPS]))
        self._collected.add(
            (name, steps[there], values[there], times[0][there])
            for name, spellings in keys.items()
            if not name.startswith("_")  # W&B's own
            for values, there in [numbers_of(_cells(rows, spellings))]
        )

    def _add_stats(self) -> None:
        import numpy as np

        stats, self._stats = self._stats, []
        if math.isnan(self._started):
            self._started = stats[0][0]
        by_name: dict[str, list[tuple[float, float]]] = {}
        for when, name, number in stats:
            if 0 <= when - self._started < 1e9:
                by_name.setdefault(name, []).append((when, number))
        for name, points in by_name.items():
            times, values = np.array(points).T
            steps = np.round(10 * (times - self._started)).astype(np.int64)
            self._system.add([(name, steps, values, times)])


class _Console:
    """The newest lines that a run printed, put together from the pieces that it wrote."""

    def __init__(self) -> None:
        self._lines: deque[tuple[float, str]] = deque()
        self._size = 0
        self._open: dict[int, tuple[float, str]] = {}  # lines without an end, by stream

    def add(self, data: bytes, start: int, end: int) -> None:
        """Adds an OutputRawRecord. Raises WireError."""
        stream, when, text = 0, math.nan, ""
        for number, kind, value, stop in protobuf.fields(data, start, end):
            if number == 1 and kind == VARINT:
                stream = value
            elif number == 2 and kind == BYTES:
                when = timestamp(data, value, stop)
            elif number == 3 and kind == BYTES:
                text = protobuf.text(data, value, stop)
        began, before = self._open.pop(stream, (when, ""))
        *whole, rest = (before + text).split("\n")
        for line in whole:
            line = _last_state(line)
            self._lines.append((began, line))
            self._size += len(line) + 1
            began = when
        if rest:
            self._open[stream] = (began, _last_state(rest))
        while self._size > _LONGEST_CONSOLE:
            self._size -= len(self._lines.popleft()[1]) + 1

    def lines(self) -> tuple[tuple[float, str], ...]:
        return (*self._lines, *self._open.values())


def _last_state(line: str) -> str:
    """What is left of a line that carriage returns overwrite, as progress bars do."""
    ended = line.rstrip("\r")
    return ended.rpartition("\r")[2][:_LONGEST_CONSOLE_LINE] + line[len(ended) :]


def _cells(rows: list[Row], keys: Sequence[bytes]) -> list[bytes | None]:
    """The value of each row for the keys, which are spellings of one name."""
    if len(keys) == 1:
        key = keys[0]
        return [row.get(key) for row in rows]
    return [next((row[key] for key in row if key in keys), None) for row in rows]


def _row(data: bytes) -> Row:
    """The items of a HistoryRecord. Raises WireError."""
    row: Row = {}
    step = b"0"
    for number, kind, value, stop in protobuf.fields(data, 0, len(data)):
        if number == 1 and kind == BYTES:
            key, text = _item(data, value, stop)
            row[key] = text
        elif number == 2 and kind == BYTES:
            step = b"%d" % first_varint(data, value, stop)
    row.setdefault(_STEP, row.get(_OLD_STEP, step))
    return row


def _step_in(row: Row) -> int | None:
    """The step of a row; None if it is not a number."""
    try:
        return int(float(row.get(_STEP, b"0")))
    except (ValueError, OverflowError):
        return None


def _step_of(field: bytes) -> bytes:
    """The number in HistoryRecord.step, as JSON."""
    return b"%d" % (first_varint(field, 2, len(field)) if field else 0)


def _item(data: bytes, start: int, end: int) -> tuple[bytes, bytes]:
    """The key of a HistoryItem or ConfigItem as in the file, and its value as JSON."""
    key = text = b""
    for number, kind, value, stop in protobuf.fields(data, start, end):
        if kind == BYTES and number in (_KEY, _NESTED):
            key += data[start:stop]
        elif kind == BYTES and number == _JSON:
            text = data[value:stop]
        start = stop
    return key, text


def _name(key: bytes) -> str:
    """The name of a metric; nested ones with slashes."""
    try:
        return "/".join(
            protobuf.text(key, value, stop)
            for _, kind, value, stop in protobuf.fields(key, 0, len(key))
            if kind == BYTES
        )
    except WireError:
        return "_"


def _summary_items(data: bytes) -> dict[str, Any]:
    """The values in a SummaryRecord by name, without W&B's own. Raises WireError."""
    items: dict[str, Any] = {}
    for update in protobuf.messages(data, 0, len(data), 1):
        key, text = _item(data, *update)
        name = _name(key)
        if not name.startswith("_"):
            with suppress(msgspec.DecodeError, RecursionError, UnicodeError):
                items[name] = msgspec.json.decode(text)
    return items


# --- The machine's load, in the names of genui's own runs ---------------------------------------

_MIB, _GIB = 2**20 / 1e9, 2**30 / 1e9  # in GB
_MEASUREMENTS = {
    "cpu": ("cpu %", 1.0),
    "memory_percent": ("machine memory %", 1.0),
    "proc.memory.rssMB": ("memory GB", _MIB),
    "proc.memory.percent": ("memory %", 1.0),
    "proc.memory.availableMB": ("memory available GB", _MIB),
    "proc.cpu.threads": ("cpu threads", 1.0),
    "network.sent": ("network sent MB", 1e-6),
    "network.recv": ("network received MB", 1e-6),
    "network.tcpRetransmits": ("network retransmits", 1.0),
}
_GPU_MEASUREMENTS = {
    "gpu": ("%", 1.0),
    "memory": ("memory activity %", 1.0),
    "memoryAllocatedBytes": ("memory GB", 1e-9),
    "memoryAllocated": ("memory %", 1.0),
    "powerWatts": ("power W", 1.0),
    "powerPercent": ("power %", 1.0),
    "temp": ("°C", 1.0),
    "smClock": ("clock MHz", 1.0),
    "memoryClock": ("memory clock MHz", 1.0),
}
_OF_GPU = re.compile(r"gpu\.(\d+)\.(\w+)")
_OF_CORE = re.compile(r"cpu\.(\d+)\.cpu_percent")
_OF_DISK = re.compile(r"disk\.(.+)\.(in|out|usagePercent|usageGB)")
_DISK = {
    "in": ("read MB", 1.0),
    "out": ("write MB", 1.0),
    "usagePercent": ("%", 1.0),
    "usageGB": ("GB", _GIB),
}


def _measurement(key: str) -> tuple[str, float]:
    """The name and unit of a measurement, as "gpu0 power W", and the factor to that unit."""
    if key in _MEASUREMENTS:
        return _MEASUREMENTS[key]
    if (gpu := _OF_GPU.fullmatch(key)) and gpu[2] in _GPU_MEASUREMENTS:
        name, factor = _GPU_MEASUREMENTS[gpu[2]]
        return f"gpu{gpu[1]} {name}", factor
    if core := _OF_CORE.fullmatch(key):
        return f"core{core[1]} %", 1.0
    if disk := _OF_DISK.fullmatch(key):
        name, factor = _DISK[disk[2]]
        return f"disk {disk[1]} {name}", factor
    return key, 1.0


# --- Where a run is ----------------------------------------------------------------------


def _environment(data: bytes, start: int, end: int) -> dict[str, Any]:
    """An EnvironmentRecord, without the user's name and address. Raises WireError."""
    texts: dict[str, Any] = {}
    names = {1: "os", 2: "python", 4: "docker", 6: "program", 12: "host", 14: "executable",
             18: "gpu", 25: "cuda"}  # fmt: skip
    numbers = {16: "cpu cores", 17: "logical cpu cores", 19: "gpus"}
    for number, kind, value, stop in protobuf.fields(data, start, end):
        if kind == BYTES and number in names:
            texts[names[number]] = protobuf.text(data, value, stop)
        elif kind == VARINT and number in numbers:
            texts[numbers[number]] = value
        elif kind == BYTES and number == 5:
            texts.setdefault("arguments", []).append(protobuf.text(data, value, stop))
        elif kind == BYTES and number == 9:
            git = texts_of(data, value, stop)
            for field, name in ((1, "git remote"), (2, "git commit")):
                if field in git:
                    texts[name] = git[field][-1]
        elif kind == BYTES and number == 21:
            texts["memory GB"] = round(first_varint(data, value, stop) / 1e9, 1)
        elif kind == BYTES and number == 22:
            texts["cpu"] = texts_of(data, value, stop).get(3, [""])[-1]
        elif kind == BYTES and number == 24:
            gpu = texts_of(data, value, stop).get(1)
            texts.setdefault("gpu names", []).extend(gpu or ())
    return texts


# --- Images, tables, sounds and files of a row ---------------------------------------------------

_KINDS: Mapping[str, MediaKind] = {
    "image-file": "image", "images/separated": "image", "table-file": "table",
    "audio-file": "audio", "audio": "audio", "html-file": "text",
}  # fmt: skip


def _media_of(name: str, step: int, values: Mapping[str, Any], folder: Path) -> list[Media]:
    """The files of an object in a row; none of a kind without files."""
    type_name = str(values.get("_type", ""))
    kind = _KINDS.get(type_name, "file")
    paths: list[Any]
    captions: list[Any]
    if "filenames" in values:
        paths, captions = _list(values["filenames"]), _list(values.get("captions"))
    elif isinstance(values.get("audio"), list):
        sounds = [one for one in values["audio"] if isinstance(one, dict)]
        paths = [one.get("path") for one in sounds]
        captions = [one.get("caption") for one in sounds]
    else:
        paths, captions = [values.get("path")], [values.get("caption")]
    captions += [None] * (len(paths) - len(captions))
    media: list[Media] = []
    for path, caption in zip(paths, captions, strict=False):
        if (file := file_below(folder, path)) is not None:
            text = caption if isinstance(caption, str) else ""
            media.append(Media(step, name, kind, file, caption=text))
    return media


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else []
