"""TensorBoard event files: TFRecord, events, their reader, and a writer of scalars."""

import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError
from genui.base.files import cannot_read, show
from genui.base.protobuf import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    WireError,
    double,
    fields,
    messages,
    signed,
    text,
    varint,
)
from genui.logs.base import CHUNK, Extras, GrowingFile, Media, MediaKind, MediaStore, Reader
from genui.logs.formats import HPARAMS_FOLDER
from genui.logs.native import Row

# --- TFRecord framing: length, its checksum, data, its checksum, repeated ----------------------
# Source: tensorflow/core/lib/io/record_writer.h; the checksum is CRC-32C, rotated and shifted.

HEADER = 12  # bytes before the data: uint64 length, uint32 checksum of the length
FOOTER = 4  # bytes after it: uint32 checksum of the data

Bytes = NDArray[np.uint8]

_LENGTH = struct.Struct("<Q")
_POLYNOMIAL = 0x82F63B78  # Castagnoli, reflected
_MASK = np.uint32(0xA282EAD8)


def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ (table & np.uint32(1)) * np.uint32(_POLYNOMIAL)
    return table


_TABLE = _table()


def checksums(rows: Bytes) -> NDArray[np.uint32]:
    """The masked CRC-32C of each row [records, bytes]."""
    crc = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in np.ascontiguousarray(rows.T):
        crc = _TABLE[(crc ^ column) & 0xFF] ^ (crc >> 8)
    crc = ~crc
    rotated = (crc >> np.uint32(15)) | (crc << np.uint32(17))
    return (rotated + _MASK).astype(np.uint32, copy=False)


def rows_at(data: Bytes, starts: NDArray[np.int64], length: int) -> Bytes:
    """The `length` bytes after each start, uint8 [starts, length]."""
    return data[starts[:, None] + np.arange(length)]


def length_of(header: bytes) -> int | None:
    """The length of the data after this header of HEADER bytes; None if it is damaged."""
    row = np.frombuffer(header, np.uint8, HEADER)
    if checksums(row[None, :8])[0] != row[8:].view("<u4")[0]:
        return None
    return _LENGTH.unpack_from(header)[0]


def split(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """(start of each whole record's data, its length, end of the last record); stops at the first
    damaged header."""
    offsets: list[int] = []
    at, end = 0, len(data)
    unpack = _LENGTH.unpack_from
    while at + HEADER <= end:
        after = at + HEADER + unpack(data, at)[0] + FOOTER
        if after > end:
            break
        offsets.append(at)
        at = after
    heads = np.array(offsets, np.int64)
    if len(heads):
        rows = rows_at(np.frombuffer(data, np.uint8), heads, HEADER)
        wrong = checksums(rows[:, :8]) != np.ascontiguousarray(rows[:, 8:]).view("<u4")[:, 0]
        if wrong.any():
            first = int(wrong.argmax())
            heads, at = heads[:first], offsets[first]
    ends = np.append(heads[1:], at)[: len(heads)]
    return heads + HEADER, ends - heads - HEADER - FOOTER, at


# --- TensorBoard's Event message: the scalars of one, and of many with the same layout ---------
# A log repeats the same few tags, so most records of one length differ only in time, step, tag and
# value. The first is read field by field; all that have the same other bytes are then read as
# columns of a matrix. TensorBoard's EventFileLoader makes an object of every event, which took 30
# times as long for 500,000 scalars.
#
# Source: tensorboard/compat/proto/{event,summary,tensor}.proto, plugins/hparams/plugin_data.proto.

_START = 1  # SessionLog.SessionStatus
_HPARAMS = "_hparams_/session_start_info"
_PACKED = {4: None, 5: "<f4", 6: "<f8"}  # TensorProto: tensor_content, float_val, double_val
_CONTENT = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}  # DataType of tensor_content
_VARINTS = frozenset({7, 10, 11, 16, 17})  # TensorProto: int_val, int64_val, bool_val, uint…


class Scalar(NamedTuple):
    """One value of a summary: the position of its tag and its number in the message."""

    tag: tuple[int, int]
    at: int
    kind: str  # the numpy type; "" for a varint, whose value is `at`


Span = tuple[int, int]
"""The start and end of bytes in a record."""


class Sample(NamedTuple):
    """An image, text, sound, histogram or curve of a summary."""

    tag: Span
    kind: MediaKind
    at: Span  # of the encoded image, text or sound
    content: Any = None  # of a histogram: edges and counts; of a curve: x and y


@dataclass
class Event:
    """The parts of one message that are used; positions are offsets into the record."""

    wall_time: int | None = None  # position of a float64
    step: tuple[int, int] | None = None  # position of a varint
    scalars: list[Scalar] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    restarted: bool = False  # SessionLog.START: earlier records from this step on are void
    config: Mapping[str, Any] = field(default_factory=dict)


class Points(NamedTuple):
    """Scalars of one tag: record numbers, steps, unix times and values, each [points]."""

    tag: bytes
    records: NDArray[np.int64]
    steps: NDArray[np.int64]
    times: NDArray[np.float64]
    values: NDArray[np.float64]


def read_event(record: bytes) -> Event:
    """Raises WireError."""
    event = Event()
    for number, kind, value, end in fields(record, 0, len(record)):
        if number == 1 and kind == FIXED64:
            event.wall_time = value
        elif number == 2 and kind == VARINT:
            event.step = (_varint_start(record, end), end)
        elif number == 5 and kind == BYTES:
            for start, stop in messages(record, value, end, 1):
                _read_value(record, start, stop, event)
        elif number == 7 and kind == BYTES:
            for inner, inner_kind, status, _ in fields(record, value, end):
                if inner == 1 and inner_kind == VARINT:
                    event.restarted = status == _START
    return event


def step_of(record: bytes, event: Event) -> int:
    return signed(varint(record, event.step[0])[0]) if event.step else 0


def points_of(record: bytes, event: Event, index: int) -> list[Points]:
    """The scalars of one record, the `index`th."""
    where = np.array([index], np.int64)
    step = np.array([step_of(record, event)], np.int64)
    time = np.array([np.nan if event.wall_time is None else double(record, event.wall_time)])
    return [
        Points(record[slice(*scalar.tag)], where, step, time, _value(record, scalar))
        for scalar in event.scalars
    ]


def points_alike(
    data: Bytes, starts: NDArray[np.int64], length: int, records: NDArray[np.int64]
) -> tuple[list[Points], NDArray[np.bool_]]:
    """The scalars of the records of one length with the layout of the first, and a mask of these.

    `starts` are the positions of the records in the data, `records` their numbers. The mask is
    empty if the first has no scalars or other content. Raises WireError if it is not a message.
    """
    first = data[starts[0] : starts[0] + length].tobytes()
    event = read_event(first)
    if (
        not event.scalars
        or event.restarted
        or event.config
        or event.samples
        or not all(scalar.kind for scalar in event.scalars)
    ):
        return [], np.zeros(len(starts), bool)
    rows = rows_at(data, starts, length)
    fixed = np.ones(length, bool)
    if event.wall_time is not None:
        fixed[event.wall_time : event.wall_time + 8] = False
    for scalar in event.scalars:
        fixed[slice(*scalar.tag)] = False
        fixed[scalar.at : scalar.at + np.dtype(scalar.kind).itemsize] = False
    alike = np.ones(len(rows), bool)
    if event.step is not None:
        span = slice(*event.step)
        fixed[span] = False  # all but the bits that say where it ends
        alike &= ((rows[:, span] ^ rows[0, span]) < 0x80).all(axis=1)
    alike &= (rows[:, fixed] == rows[0, fixed]).all(axis=1)
    rows, records = rows[alike], records[alike]
    steps = np.zeros(len(rows), np.uint64)
    for shift, place in enumerate(range(*event.step) if event.step else ()):
        steps |= (rows[:, place] & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * shift)
    times = np.full(len(rows), np.nan)
    if event.wall_time is not None:
        times = _numbers(rows, event.wall_time, "<f8")
    points: list[Points] = []
    for scalar in event.scalars:
        values = _numbers(rows, scalar.at, scalar.kind)
        for tag, where in _by_tag(rows[:, slice(*scalar.tag)]):
            signed_steps = steps.view(np.int64)[where]
            points.append(Points(tag, records[where], signed_steps, times[where], values[where]))
    return points, alike


def _by_tag(tags: Bytes) -> list[tuple[bytes, Any]]:
    """Each tag, and the index of its rows."""
    if not tags.shape[1] or (tags == tags[0]).all():
        return [(tags[0].tobytes(), slice(None))]
    names = np.ascontiguousarray(tags).view(f"V{tags.shape[1]}")[:, 0]
    unique, which = np.unique(names, return_inverse=True)
    order = np.argsort(which, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(which))[:-1])
    return [(name.tobytes(), group) for name, group in zip(unique, groups, strict=True)]


def _numbers(rows: Bytes, at: int, kind: str) -> NDArray[np.float64]:
    size = np.dtype(kind).itemsize
    return np.ascontiguousarray(rows[:, at : at + size]).view(kind)[:, 0].astype(np.float64)


def _value(record: bytes, scalar: Scalar) -> NDArray[np.float64]:
    if not scalar.kind:
        return np.array([float(signed(scalar.at))])
    return np.frombuffer(record, scalar.kind, 1, scalar.at).astype(np.float64)


def _varint_start(record: bytes, end: int) -> int:
    """The start of the varint that ends at `end`."""
    start = end - 1
    while start > 0 and record[start - 1] >= 0x80:
        start -= 1
    return start


def _read_value(record: bytes, start: int, end: int, event: Event) -> None:
    """Adds one Summary.Value to the event."""
    tag = (start, start)
    at, kind = -1, ""
    tensor: Span | None = None
    plugin, content = "", (0, 0)
    old: tuple[int, Span] | None = None  # an image, histogram or sound of the first API
    for number, wired, value, stop in fields(record, start, end):
        if number == 1 and wired == BYTES:
            tag = (value, stop)
        elif number == 2 and wired == FIXED32:
            at, kind = value, "<f4"
        elif number == 8 and wired == BYTES:
            tensor = (value, stop)
        elif number == 9 and wired == BYTES:
            plugin, content = _plugin(record, value, stop)
        elif number in _OLD and wired == BYTES:
            old = (number, (value, stop))
    if plugin == "hparams":
        if text(record, *tag) == _HPARAMS:
            event.config = _hparams(record, *content)
    elif at >= 0:
        event.scalars.append(Scalar(tag, at, kind))
    elif old is not None:
        event.samples += _old_samples(record, tag, *old)
    elif tensor is not None and plugin in ("", "scalars"):
        number_at = _tensor(record, *tensor)
        if number_at is not None:
            event.scalars.append(Scalar(tag, *number_at))
    elif tensor is not None and plugin in _PLUGINS:
        event.samples += _samples(record, tag, plugin, *tensor)


# Images, texts, sounds, histograms and precision over recall. Sources: summary.proto, tensor.proto,
# and metadata.py of tensorboard/plugins/{image,text,audio,histogram,pr_curve}.

_IMAGE, _HISTOGRAM, _AUDIO = 4, 5, 6  # fields of Summary.Value
_OLD = frozenset({_IMAGE, _HISTOGRAM, _AUDIO})
_PLUGINS = frozenset({"images", "text", "audio", "histograms", "pr_curves"})
_MAX_NUMBERS = 65_536  # of a tensor


def _old_samples(record: bytes, tag: Span, number: int, at: Span) -> Iterator[Sample]:
    """The sample in Summary.Value.image, histo or audio. Raises WireError."""
    if number == _HISTOGRAM:
        doubles: dict[int, NDArray[np.float64]] = {}
        limits: dict[int, float] = {}
        for field_number, kind, value, stop in fields(record, *at):
            if kind == FIXED64:
                limits[field_number] = double(record, value)
            elif kind == BYTES and (stop - value) % 8 == 0:
                doubles[field_number] = np.frombuffer(record, "<f8", (stop - value) // 8, value)
        rights, counts = doubles.get(6), doubles.get(7)
        if rights is None or counts is None or len(rights) != len(counts) or not len(rights):
            return
        # The last limit is often the largest float.
        rights = np.minimum(rights, max(limits.get(2, rights[0]), rights[0]))
        left = min(limits.get(1, rights[0]), rights[0])
        edges = np.maximum.accumulate(np.concatenate(([left], rights)))
        yield Sample(tag, "histogram", at, (edges, counts))
        return
    for encoded in messages(record, *at, 4):
        yield Sample(tag, "image" if number == _IMAGE else "audio", encoded)


def _samples(record: bytes, tag: Span, plugin: str, start: int, end: int) -> list[Sample]:
    """The samples in a tensor of a plugin. Raises WireError."""
    if plugin in ("images", "text", "audio"):
        texts = list(messages(record, start, end, 8))
        if plugin == "images":
            return [Sample(tag, "image", at) for at in texts[2:]]  # after width and height
        if plugin == "text":
            return [Sample(tag, "text", at) for at in texts]
        return [Sample(tag, "audio", at) for at in texts[::2]]  # each has a label
    numbers = _tensor_numbers(record, start, end)
    if plugin == "histograms" and len(numbers) >= 3 and len(numbers) % 3 == 0:
        rows = numbers.reshape(-1, 3)  # left, right, count
        edges = np.maximum.accumulate(np.concatenate((rows[:1, 0], rows[:, 1])))
        return [Sample(tag, "histogram", (start, end), (edges, rows[:, 2]))]
    if plugin == "pr_curves" and len(numbers) >= 12 and len(numbers) % 6 == 0:
        rows = numbers.reshape(6, -1).astype(np.float32)  # the last two: precision and recall
        return [Sample(tag, "curve", (start, end), (rows[5], rows[4]))]
    return []


def _tensor_numbers(record: bytes, start: int, end: int) -> NDArray[np.float64]:
    """The floats in a TensorProto, flat; empty if it has none or too many. Raises WireError."""
    dtype = 0
    parts: list[NDArray[np.float64]] = []
    for number, kind, value, stop in fields(record, start, end):
        if number == 1 and kind == VARINT:
            dtype = value
        elif number in _PACKED and kind in (BYTES, FIXED32, FIXED64):
            place = _PACKED[number] or _CONTENT.get(dtype, "")
            size = np.dtype(place).itemsize if place else 0
            if size and (stop - value) % size == 0 and stop - value <= size * _MAX_NUMBERS:
                count = (stop - value) // size
                parts.append(np.frombuffer(record, place, count, value).astype(np.float64))
    return np.concatenate(parts)[:_MAX_NUMBERS] if parts else np.empty(0)


def _plugin(record: bytes, start: int, end: int) -> tuple[str, tuple[int, int]]:
    """The name in SummaryMetadata.PluginData, and (start, end) of its content."""
    name, content = "", (0, 0)
    for number, kind, value, stop in fields(record, start, end):
        if number == 1 and kind == BYTES:
            for inner, inner_kind, at, inner_stop in fields(record, value, stop):
                if inner == 1 and inner_kind == BYTES:
                    name = text(record, at, inner_stop)
                elif inner == 2 and inner_kind == BYTES:
                    content = (at, inner_stop)
    return name, content


def _tensor(record: bytes, start: int, end: int) -> tuple[int, str] | None:
    """The position and type of the number in a TensorProto; None if it is not one number."""
    dtype, place_and_type = 0, None
    for number, kind, value, stop in fields(record, start, end):
        if number == 1 and kind == VARINT:
            dtype = value
        elif number == 2 and kind == BYTES:
            if value != stop:
                return None  # it has dimensions
        elif number in _PACKED and kind in (BYTES, FIXED32, FIXED64):
            place = _PACKED[number] or _CONTENT.get(dtype)
            if place is None or stop - value != np.dtype(place).itemsize:
                return None
            place_and_type = (value, place)
        elif number in _VARINTS:
            place_and_type = (varint(record, value)[0] if kind == BYTES else value, "")
    return place_and_type


def _hparams(record: bytes, start: int, end: int) -> dict[str, Any]:
    """The hyperparameters in HParamsPluginData.session_start_info."""
    config: dict[str, Any] = {}
    for info in messages(record, start, end, 3):
        for entry in messages(record, *info, 1):
            key = value = None
            for at in messages(record, *entry, 1):
                key = text(record, *at)
            for at in messages(record, *entry, 2):
                value = _struct_value(record, *at)
            config[key or ""] = value
    return config


def _struct_value(record: bytes, start: int, end: int) -> Any:
    """A google.protobuf.Value: null, number, string or bool."""
    result: Any = None
    for number, kind, value, stop in fields(record, start, end):
        if number == 2 and kind == FIXED64:
            result = double(record, value)
        elif number == 3 and kind == BYTES:
            result = text(record, value, stop)
        elif number == 4 and kind == VARINT:
            result = bool(value)
    return result


# --- The reader of a folder of event files ------------------------------------------------------
# A resumed training starts another file in the same folder. They are read in the order of their
# names, which begin with the time. The end that the hparams plugin records is ignored: most loggers
# write it at the beginning.

_PIECE = 1024 * 1024  # bytes decoded at once
_LARGEST_RECORD = 4 * 1024 * 1024  # bytes; larger records are large images or graphs: skipped
_ALIKE = 4096  # bytes; larger records are too few to be read as a matrix
_MAX_LAYOUTS = 32  # of one length; other records are read one by one


class EventsTail(Reader):
    """The scalars and samples in an event file or in all event files of a folder."""

    def _forget(self) -> None:
        super()._forget()
        self._files: dict[Path, _EventFile] = {}
        self._media = MediaStore()

    @property
    def extras(self) -> Extras:
        return Extras(media=self._media.by_step)

    @property
    def bad_lines(self) -> int:
        return sum(file.bad for file in self._files.values())

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """As `Tail.read`; of several files at least one must be an event file."""
        changed = False
        paths = self._paths()
        refusal: GenuiError | None = None
        for path in paths:
            file = self._files.setdefault(path, _EventFile(path))
            while limit_bytes > 0:
                try:
                    taken = file.take_piece(min(limit_bytes, _PIECE), self)
                except GenuiError as error:
                    refusal = refusal or error
                    file.refuse()
                    break
                if file.restarted:
                    self._forget()
                    return True
                if not taken:
                    break
                changed = True
                limit_bytes -= taken
        if refusal is not None and all(self._files[path].refused for path in paths):
            raise refusal
        size = sum(file.size for file in self._files.values())
        left = sum(file.unread for file in self._files.values())
        self.progress = 1.0 - left / size if size else 1.0
        return changed

    def _paths(self) -> list[Path]:
        names, below = self._list(self.path)
        if names is None:
            return [self.path]
        paths = [self.path / name for name in sorted(names)]
        if names and len(below) == 1:  # as formats.TensorBoard.place has it
            names, _ = self._list(below[0])
            paths += [below[0] / name for name in sorted(names or ())]
        return paths

    def _list(self, folder: Path) -> tuple[list[str] | None, list[Path]]:
        """The names of the event files in a folder, None if it is a file, and the folders of
        add_hparams in it."""
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except NotADirectoryError:
            return None, []
        except FileNotFoundError:
            return [], []
        except OSError as error:
            raise cannot_read(folder, error) from None
        names = [e.name for e in entries if "tfevents" in e.name and e.is_file()]
        below = [e for e in entries if HPARAMS_FOLDER.fullmatch(e.name)]
        return names, [Path(entry.path) for entry in below]

    def add(self, points: list[Points], restarts: list[tuple[int, int]]) -> None:
        """Adds the scalars of a piece; `restarts` are record numbers and steps: earlier records
        from that step on are void."""
        by_tag: dict[bytes, list[Points]] = {}
        for part in points:
            by_tag.setdefault(part.tag, []).append(part)
        whole = [_in_order(parts) for parts in by_tag.values()]
        after = 0
        for record, step in [*restarts, (np.iinfo(np.int64).max, -1)]:
            self._collected.add(
                (part.tag.decode(errors="replace"), part.steps[between], part.values[between],
                 part.times[between])
                for part in whole
                for between in [(after <= part.records) & (part.records < record)]
            )  # fmt: skip
            if step >= 0:
                self._collected.forget_after(step - 1)
            after = record

    def add_samples(
        self, samples: list[tuple[int, Media]], restarts: list[tuple[int, int]]
    ) -> None:
        """Adds samples, each with the number of its record; `restarts` are as in `add`."""
        for record, step in [*restarts, (np.iinfo(np.int64).max, -1)]:
            while samples and samples[0][0] < record:
                self._media.add(samples.pop(0)[1])
            if step >= 0:
                self._media.forget_after(step - 1)

    def learn(self, config: Mapping[str, Any]) -> None:
        self.config = {**self.config, **config}


class _EventFile(GrowingFile):
    """One event file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._damaged = 0
        self._stuck = False  # at a damaged header, after which no record can be found
        self._waiting = 0  # bytes of an incomplete record at the end
        self.refused = False  # it cannot be read, or is not an event file

    def refuse(self) -> None:
        """Counts the file as damaged and its content as read."""
        self.refused = True
        self._waiting = self.size

    @property
    def bad(self) -> int:
        return self._damaged + (self._stuck or self.refused)

    @property
    def unread(self) -> int:
        return max(0, self.size - self.offset - self._waiting)

    def take_piece(self, limit: int, tail: EventsTail) -> int:
        """Adds the scalars of about `limit` bytes to the tail; returns the bytes read."""
        data = self.read(limit)
        if data or self.restarted:
            self.refused = False
        if self.restarted or len(data) < HEADER:
            self._waiting = max(self._waiting, len(data))
            return 0
        starts, lengths, end = split(data)
        self._stuck = False
        if not end:
            length = length_of(data[:HEADER])
            if length is None:
                if not self.offset:
                    raise GenuiError(
                        f"{show(self.path)} is not a TensorBoard event file, or its "
                        "beginning is damaged: remove it, or name another file"
                    )
                self._stuck = True
                self._waiting = self.size - self.offset
                return 0
            whole = HEADER + length + FOOTER
            if whole > self.size - self.offset:
                self._waiting = self.size - self.offset
                return 0
            if whole > _LARGEST_RECORD:
                self.skip(whole)
                return whole
            return self.take_piece(whole, tail)
        self._waiting = 0
        before = self.offset
        self.take(data, end)
        self._decode(data, starts, lengths, tail, before)
        return end

    def _decode(
        self,
        data: bytes,
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        tail: EventsTail,
        offset: int,  # of the data in the file
    ) -> None:
        rows = np.frombuffer(data, np.uint8)
        points: list[Points] = []
        restarts: list[tuple[int, int]] = []
        samples: list[tuple[int, Media]] = []

        def decode_one(index: int) -> None:
            record = data[starts[index] : starts[index] + lengths[index]]
            try:
                event = read_event(record)
                step = step_of(record, event)
            except WireError:
                self._damaged += 1
                return
            points.extend(points_of(record, event, index))
            for sample in event.samples:
                name = text(record, *sample.tag).removesuffix("/text_summary")
                place = offset + int(starts[index]) + sample.at[0]
                size = sample.at[1] - sample.at[0]
                media = Media(
                    step, name, sample.kind, self.path, place, size, content=sample.content
                )
                samples.append((index, media))
            if event.restarted:
                restarts.append((index, max(step, 0)))
            if event.config:
                tail.learn(event.config)

        for length in np.unique(lengths).tolist():
            rest = np.flatnonzero(lengths == length)
            if length <= _ALIKE:
                rest = self._undamaged(rows, starts, length, rest)
            for _ in range(_MAX_LAYOUTS):
                if len(rest) < 2 or length > _ALIKE:
                    break
                try:
                    alike_points, alike = points_alike(rows, starts[rest], length, rest)
                except WireError:
                    break
                if not alike.any():
                    decode_one(int(rest[0]))
                    rest = rest[1:]
                    continue
                points += alike_points
                rest = rest[~alike]
            for index in rest.tolist():
                decode_one(index)
        good = [_drop_negative_steps(part) for part in points]
        self._damaged += sum(len(p.steps) for p in points) - sum(len(p.steps) for p in good)
        restarts.sort()
        tail.add([part for part in good if len(part.steps)], restarts)
        if samples or restarts:
            samples.sort(key=lambda sample: sample[0])
            tail.add_samples(samples, restarts)

    def _undamaged(
        self, rows: Bytes, starts: NDArray[np.int64], length: int, which: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The records with a correct checksum; the others are counted as damaged."""
        records = rows_at(rows, starts[which], length + FOOTER)
        stored = np.ascontiguousarray(records[:, length:]).view("<u4")[:, 0]
        right = checksums(records[:, :length]) == stored
        self._damaged += int(len(which) - right.sum())
        return which[right]


def _drop_negative_steps(part: Points) -> Points:
    valid = part.steps >= 0
    if valid.all():
        return part
    tag, records, steps, times, values = part
    return Points(tag, records[valid], steps[valid], times[valid], values[valid])


def _in_order(parts: list[Points]) -> Points:
    """The points of one tag in the order in which they were written."""
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([part.records for part in parts]), kind="stable")
    return Points(
        parts[0].tag,
        *(np.concatenate(column)[order] for column in zip(*(p[1:] for p in parts), strict=True)),
    )


# --- Writing scalars as a TensorBoard event file ----------------------------------------------
# Scalars need few fields (tensorflow/core/util/event.proto and summary.proto, framed as TFRecord);
# the `tensorboard` package would bring gRPC and protobuf. TensorBoard stores float32, so this
# export is not exact.

VERSION = b"brain.Event:2"
"""The content of the first record of an event file."""

_BATCH = 4096  # records whose checksums are computed together
_CHECKSUM = struct.Struct("<I")
_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")
_LARGEST_STEP = float(np.finfo(np.float32).max)

# Field number and wire type: number << 3 | type.
_WALL_TIME, _STEP, _FILE_VERSION, _SUMMARY = b"\x09", b"\x10", b"\x1a", b"\x2a"
_VALUE, _TAG, _SIMPLE_VALUE = b"\x0a", b"\x0a", b"\x15"


def event_file(names: Sequence[str], rows: Iterable[Row], created: float) -> Iterator[bytes]:
    """The bytes of an event file, in pieces: an event for each row.

    `names` are the tags; `created` is the unix time for rows without a time.
    """
    tags = [_bytes_field(_TAG, name.encode(errors="replace")) for name in names]
    first = _WALL_TIME + _DOUBLE.pack(created) + _bytes_field(_FILE_VERSION, VERSION)
    batch = [first]
    for row in rows:
        batch.append(_event(tags, row, created))
        if len(batch) == _BATCH:
            yield _framed(batch)
            batch = []
    yield _framed(batch)


def _event(tags: Sequence[bytes], row: Row, created: float) -> bytes:
    values = b"".join(
        _bytes_field(_VALUE, tag + _SIMPLE_VALUE + _float32(value))
        for tag, value in zip(tags, row.values, strict=True)
        if value is not None
    )
    time = created if row.time != row.time else row.time
    step = row.step % 2**64  # int64, as two's complement
    return _WALL_TIME + _DOUBLE.pack(time) + _STEP + _varint(step) + _bytes_field(_SUMMARY, values)


def _float32(value: float) -> bytes:
    if abs(value) > _LARGEST_STEP:  # NaN is not
        value = float("inf") if value > 0 else float("-inf")
    return _FLOAT.pack(value)


def _bytes_field(key: bytes, data: bytes) -> bytes:
    return key + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _framed(records: Sequence[bytes]) -> bytes:
    """The records as TFRecords."""
    lengths = [_LENGTH.pack(len(record)) for record in records]
    pieces: list[bytes] = []
    for length, head, record, body in zip(
        lengths, _checksums(lengths), records, _checksums(records), strict=True
    ):
        pieces += (length, head, record, body)
    return b"".join(pieces)


def _checksums(records: Sequence[bytes]) -> list[bytes]:
    """The checksum of each record, computed for all records of one length at once."""
    alike: dict[int, list[int]] = {}
    for number, record in enumerate(records):
        alike.setdefault(len(record), []).append(number)
    results = [b""] * len(records)
    for length, numbers in alike.items():
        data = np.frombuffer(b"".join(records[i] for i in numbers), np.uint8)
        for number, crc in zip(numbers, checksums(data.reshape(-1, length)), strict=True):
            results[number] = _CHECKSUM.pack(int(crc))
    return results
