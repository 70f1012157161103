"""The reader of W&B's run-*.wandb, which a run writes offline and online."""

import math
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from google.protobuf.message import DecodeError

from genui.base.errors import GenuiError
from genui.base.files import show
from genui.base.growing import GrowingFile
from genui.base.late import late_imports
from genui.base.protobuf import WireError, define_messages
from genui.logs.base import PIECE, Extras, FilesReader, Media, MediaKind, file_below
from genui.logs.wandb_file import FILE_HEADER, MAGIC, LogBlocks, about_run, parts_of_run
from genui.runs.definitions import MetricDefinition, find_axes

with late_imports():  # numpy
    from genui.logs import series_store

_messages = define_messages(  # of wandb_internal.proto, the fields that are read; texts are bytes
    Record="history:bytes=2 summary:bytes=3 config:Items=5 stats:Stats=7 metric:Metric=12 "
    "output:Output=13 run:bytes=17 exit:Exit=18 environment:Environment=26",
    History="update:Item*=1 step:Step=2",
    Step="number:int64=1",
    Items="update:Item*=1",  # a summary or a config
    Item="key:bytes=1 nested:bytes*=2 json:bytes=16",
    Run="config:Items=4",
    Exit="code:int32=1",
    Time="seconds:int64=1 nanos:int32=2",
    Output="stream:int32=1 time:Time=2 text:bytes=3",
    Stats="time:Time=2 items:Measurement*=3",
    Measurement="key:bytes=1 json:bytes=16",
    Metric="name:bytes=1 glob:bytes=2 step_metric:bytes=4 summary:bytes=7",
    Environment="os:bytes=1 python:bytes=2 docker:bytes=4 arguments:bytes*=5 program:bytes=6 "
    "git:Git=9 host:bytes=12 executable:bytes=14 cores:uint32=16 logical_cores:uint32=17 "
    "gpu:bytes=18 gpus:uint32=19 memory:Memory=21 chip:Chip=22 gpu_names:Gpu*=24 cuda:bytes=25",
    Git="remote:bytes=1 commit:bytes=2",
    Memory="total:uint64=1",
    Chip="name:bytes=3",
    Gpu="name:bytes=1",
)
_Record, _History, _Item = _messages["Record"], _messages["History"], _messages["Item"]

# Keys as in the file; the second is that of older versions.
_STEP, _OLD_STEP = b"\x12\x05_step", b"\n\x05_step"
_TIMESTAMPS = (b"\x12\x0a_timestamp", b"\n\x0a_timestamp")
_TYPE = b"\x12\x05_type"  # the end of a key: of an image, a table, a histogram, …

# An item of one short key and a number: the key with the first bytes of its field, and the number.
# Its matches cover a row exactly if the row has only such items. Rows are read in a third of the
# time: 600,000 values in 1.1 s, not in 3.3.
_PLAIN_ITEM = re.compile(rb"\n.([\n\x12].[^\x82]{1,127}?)\x82\x01.([-+.0-9A-Za-z]+)", re.DOTALL)
_ITEM_FRAME = 5  # bytes of an item besides these two
_STEP_KEY = 0x12  # the first byte of a HistoryStep
_SHORT = 12  # bytes; a HistoryStep is shorter

_LONGEST_CONSOLE = 4 * 1024 * 1024  # characters of the newest lines in memory
_LONGEST_CONSOLE_LINE = 16 * 1024
_MAX_RESULTS = 2000  # of the summary

HistoryRow = dict[bytes, bytes]
"""One row of the history: keys as in the file, values as JSON."""


class _Part(GrowingFile):
    """One file of a run."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.blocks = LogBlocks()
        self.first: int | None = None  # added to its steps; unknown before the first row


class WandbTail(FilesReader[_Part]):
    """The history of a run and the other data that W&B keeps: of a .wandb file, and of those in
    which the run was resumed. A step that is in several counts as in the newest; but offline W&B
    counts from 0 again, and such a part continues after the last step before it."""

    def forget(self) -> None:
        super().forget()
        self._last_step = -1
        self._rows: list[HistoryRow] = []  # of the history, not yet added to the series
        self._console = _Console()
        self._system = series_store.SeriesStore()
        self._stats: list[tuple[float, str, float]] = []  # not yet added: time, name, value
        self._started = math.nan  # the time of the first stats
        self._defined: dict[str, MetricDefinition] = {}  # by name
        self._aggregates = False  # whether a summary has more than last values
        self._newest_summary = b""  # of a row of the history
        self._summary: dict[str, Any] = {}  # that a script has set

    def paths(self) -> Iterable[Path]:
        return parts_of_run(self.path)

    def open_file(self, path: Path) -> _Part:
        self.ended = ""
        return _Part(path)

    @property
    def extras(self) -> Extras:
        return Extras(
            self.about._replace(summary=self._results()),
            self._system.series,
            self._console.lines(),
            find_axes(tuple(self._defined.values()), self.store.series),
            self.media.by_step,
        )

    def read_piece(self, file: _Part, limit: int) -> None:
        self._part = file
        data = file.read(PIECE)  # a smaller one may have no whole record
        if file.restarted:
            self.read_again()
            return
        start = 0
        if not file.offset and data:
            if not data.startswith(MAGIC[: len(data)]):
                raise GenuiError(f"{show(file.path)} is not a W&B log: name another file")
            if len(data) < FILE_HEADER:
                return
            start = FILE_HEADER
        for record in file.blocks.records(data, start, file.offset):
            self._record(*record)
        file.damaged = file.blocks.damaged
        if file.blocks.end:
            file.take(data, file.blocks.end)
            self._add()

    def _record(self, data: bytes, start: int, end: int) -> None:
        try:
            for field, value in _Record.FromString(data[start:end]).ListFields():
                self._take_field(field.name, value)
        except (DecodeError, WireError, IndexError):
            self.damaged += 1

    def _take_field(self, name: str, value: Any) -> None:
        """Takes the data of a record; raises DecodeError or WireError."""
        match name:
            case "history":
                self._history(value)
            case "summary":
                self._summarize(value)
            case "config":
                self._configure(value)
            case "run":
                self._configure(_messages["Run"].FromString(value).config)
                about = about_run(value, 0, len(value))
                environment = {**self.about.environment, **about.environment}
                if resumed := len(self._files) - 1:
                    environment["resumed"] = f"{resumed} times"
                created = self.about.created or about.created
                self.about = about._replace(environment=environment, created=created)
            case "environment":
                environment = {**self.about.environment, **_environment(value)}
                self.about = self.about._replace(environment=environment)
            case "exit":
                self.ended = "failed" if value.code else "finished"
            case "output":
                self._console.add(value)
            case "stats":
                self._measure(value)
            case "metric":
                self._define(value)

    def _history(self, data: bytes) -> None:
        """One row of the history."""
        pairs = _PLAIN_ITEM.findall(data)
        row: HistoryRow = dict(pairs)
        items = len(b"".join(row)) + len(b"".join(row.values())) + _ITEM_FRAME * len(row)
        rest = data[items:]  # usually a HistoryStep; `_step` is an item too
        plain = not rest or (rest[0] == _STEP_KEY and rest[1] == len(rest) - 2 < _SHORT)
        if not plain or len(row) != len(pairs):
            plain, rest = False, data
            row = {_key(item): item.json for item in _History.FromString(data).update}
        if _STEP not in row:
            row[_STEP] = row.get(_OLD_STEP) or b"%d" % _History.FromString(rest).step.number
        if self._part.first is None:
            self._part.first = self._last_step + 1 if _step_in(row) == 0 else 0
        if not plain and b"_type" in data:
            self._take_media(row)
        self._rows.append(row)

    def _summarize(self, data: bytes) -> None:
        """A SummaryRecord. Most only repeat a row of the history, or have the run's time."""
        if b"_timestamp" in data:
            self._newest_summary = data if self._aggregates else b""
        elif b"_wandb" not in data:
            self._summary.update(_summary_items(data))

    def _take_media(self, row: HistoryRow) -> None:
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
        step += self._part.first or 0
        for name, fields in objects.items():
            self.media.names.add(name)
            values: dict[str, Any] = {}
            for field, text in fields.items():
                with suppress(msgspec.DecodeError, RecursionError, UnicodeError):
                    values[field] = msgspec.json.decode(text)
            if values.get("_type") == "histogram":
                self.media.add(self._histogram(name, step, values))
                continue
            for one in _media_of(name, step, values, self.path.parent / "files"):
                self.media.add(one)

    def _histogram(self, name: str, step: int, values: Mapping[str, Any]) -> Media:
        counts, edges = values.get("values"), values.get("bins")
        packed = values.get("packedBins")
        if isinstance(packed, dict) and isinstance(counts, list):
            with suppress(KeyError, TypeError):
                low, size = packed["min"], packed["size"]
                edges = [low + size * number for number in range(len(counts) + 1)]
        return Media(step, name, "histogram", self.path, content=(edges, counts))

    def _configure(self, items: Any) -> None:
        """Applies the updates of a config."""
        config = dict(self.config)
        for item in items.update:
            name = _name_of(item)
            if not name.startswith("_"):
                try:
                    config[name] = msgspec.json.decode(item.json)
                except (msgspec.DecodeError, RecursionError, UnicodeError):
                    self.damaged += 1
        self.config = config

    def _define(self, metric: Any) -> None:
        """Applies a MetricRecord: `wandb.define_metric`."""
        name = _text(metric.name or metric.glob)
        if name and metric.HasField("step_metric"):
            self._defined[name] = MetricDefinition(name, _text(metric.step_metric))
        self._aggregates = self._aggregates or metric.HasField("summary")

    def _results(self) -> dict[str, Any]:
        """The entries of the summary that are not last values of metrics."""
        results = dict(self._summary)
        with suppress(DecodeError):
            for name, value in _summary_items(self._newest_summary).items():
                if isinstance(value, dict):  # {"max": 0.9}, as define_metric asks for
                    results[name] = value
        series = self.store.series
        for name in list(results):
            is_media = any(
                name == media or name.startswith(f"{media}/") for media in self.media.names
            )
            if is_media or (name in series and results[name] == series[name].values[-1]):
                del results[name]
        return dict(list(results.items())[:_MAX_RESULTS])

    def _measure(self, stats: Any) -> None:
        """A StatsRecord: the load of the machine."""
        if stats.HasField("time"):
            for item in stats.items:
                name, factor = _measurement(_text(item.key))
                with suppress(ValueError):
                    self._stats.append((_seconds(stats.time), name, float(item.json) * factor))

    def _add(self) -> None:
        """Adds the rows to the series."""
        import numpy as np

        if self._stats:
            self._add_stats()
        rows, self._rows = self._rows, []
        steps, good = series_store.numbers_of([row.get(_STEP) for row in rows])
        good = good & (steps >= 0) & (steps < 2**53) & (steps == np.floor(steps))
        if not good.all():
            self.damaged += int(len(rows) - good.sum())
            rows = [row for row, is_good in zip(rows, good, strict=True) if is_good]
            steps = steps[good]
        steps = steps.astype(np.int64) + (self._part.first or 0)
        self._last_step = max(self._last_step, int(steps.max(initial=-1)))
        all_keys = sorted(set().union(*rows))
        keys: dict[str, list[bytes]] = {}
        for key in all_keys:
            keys.setdefault(_name(key), []).append(key)
        stamps = [key for key in all_keys if key in _TIMESTAMPS]
        times = series_store.numbers_of(_cells(rows, stamps))
        self.store.add(
            (name, steps[there], values[there], times[0][there])
            for name, spellings in keys.items()
            if not name.startswith("_")  # W&B's own
            for values, there in [series_store.numbers_of(_cells(rows, spellings))]
        )

    def _add_stats(self) -> None:
        stats, self._stats = self._stats, []
        if math.isnan(self._started):
            self._started = stats[0][0]
        self._system.add_points(
            (name, round(10 * (when - self._started)), number, when)
            for when, name, number in stats
            if 0 <= when - self._started < 1e9
        )


class _Console:
    """The newest lines that a run printed, put together from the pieces that it wrote."""

    def __init__(self) -> None:
        self._lines: deque[tuple[float, str]] = deque()
        self._size = 0
        self._open: dict[int, tuple[float, str]] = {}  # lines without an end, by stream

    def add(self, output: Any) -> None:
        """Adds an OutputRawRecord."""
        when = _seconds(output.time) if output.HasField("time") else math.nan
        began, before = self._open.pop(output.stream, (when, ""))
        *whole, rest = (before + _text(output.text)).split("\n")
        for line in whole:
            line = _last_state(line)
            self._lines.append((began, line))
            self._size += len(line) + 1
            began = when
        if rest:
            self._open[output.stream] = (began, _last_state(rest))
        while self._size > _LONGEST_CONSOLE:
            self._size -= len(self._lines.popleft()[1]) + 1

    def lines(self) -> tuple[tuple[float, str], ...]:
        return (*self._lines, *self._open.values())


def _last_state(line: str) -> str:
    """The visible rest of a line that carriage returns overwrite, as progress bars do."""
    ended = line.rstrip("\r")
    return ended.rpartition("\r")[2][:_LONGEST_CONSOLE_LINE] + line[len(ended) :]


def _cells(rows: list[HistoryRow], keys: Sequence[bytes]) -> list[bytes | None]:
    """The value of each row for the keys, which are spellings of one name."""
    if len(keys) == 1:
        key = keys[0]
        return [row.get(key) for row in rows]
    return [next((row[key] for key in row if key in keys), None) for row in rows]


def _step_in(row: HistoryRow) -> int | None:
    """The step of a row; None if it is not a number."""
    try:
        return int(float(row.get(_STEP, b"0")))
    except (ValueError, OverflowError):
        return None


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _key(item: Any) -> bytes:
    """The key of an item as in the file."""
    return _Item(key=item.key or None, nested=item.nested).SerializeToString()


def _name(key: bytes) -> str:
    try:
        return _name_of(_Item.FromString(key))
    except DecodeError:
        return "_"


def _name_of(item: Any) -> str:
    """The name of an item; nested ones with slashes."""
    return "/".join(map(_text, item.nested or (item.key,)))


def _seconds(time: Any) -> float:
    """A google.protobuf.Timestamp as unix time."""
    return time.seconds + time.nanos / 1e9


def _summary_items(data: bytes) -> dict[str, Any]:
    """The values in a SummaryRecord by name, without W&B's own. Raises DecodeError."""
    items: dict[str, Any] = {}
    for item in _messages["Items"].FromString(data).update:
        name = _name_of(item)
        if not name.startswith("_"):
            with suppress(msgspec.DecodeError, RecursionError, UnicodeError):
                items[name] = msgspec.json.decode(item.json)
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


_ENVIRONMENT = {"cores": "cpu cores", "logical_cores": "logical cpu cores"}
"""The names of fields here, if they differ."""


def _environment(record: Any) -> dict[str, Any]:
    """An EnvironmentRecord, without the user's name and address."""
    known: dict[str, Any] = {}
    for field, value in record.ListFields():
        name = _ENVIRONMENT.get(str(field.name), str(field.name))
        if field.name == "git":
            fields = {"git remote": value.remote, "git commit": value.commit}
            known |= {name: _text(text) for name, text in fields.items() if text}
        elif field.name == "memory":
            known["memory GB"] = round(value.total / 1e9, 1)
        elif field.name == "chip":
            known["cpu"] = _text(value.name)
        elif field.name == "arguments":
            known[name] = [_text(text) for text in value]
        elif field.name == "gpu_names":
            known["gpu names"] = [_text(gpu.name) for gpu in value if gpu.name]
        else:
            known[name] = _text(value) if isinstance(value, bytes) else value
    return known


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
