"""TensorBoard event files: TFRecord, events, their reader, and a writer of scalars."""

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from genui.base.errors import GenuiError
from genui.base.files import list_names, show
from genui.base.growing import GrowingFile
from genui.base.protobuf import define_messages
from genui.logs.base import HPARAMS_FOLDER, FilesReader, Media, MediaKind
from genui.logs.native import LoggedStep

# --- TFRecord framing: length, its checksum, data, its checksum, repeated ----------------------
# Source: tensorflow/core/lib/io/record_writer.h.

_HEADER = struct.Struct("<QI")  # the length of the data, and its checksum
_LENGTH = 8  # bytes of the length
_FOOTER = struct.Struct("<I")  # the checksum of the data


def checksum(data: bytes) -> int:
    """The checksum of TFRecord: CRC-32C, rotated and shifted."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


# --- Messages: the fields that are read ---------------------------------------------------------
# TensorBoard's own loader needs gRPC. Texts are bytes, because they may be no UTF-8; parts that may
# be damaged alone are bytes, and decoded separately. Source:
# tensorboard/compat/proto/{event,summary,tensor}.proto, plugins/hparams/plugin_data.proto.

_messages = define_messages(
    Event="wall_time:double=1 step:int64=2 version:bytes=3 summary:Summary=5 session:Session=7",
    Session="status:int32=1",
    Summary="values:Value*=1",
    Value="tag:bytes=1 simple:float=2 image:bytes=4 histogram:bytes=5 audio:bytes=6 tensor:bytes=8 "
    "metadata:bytes=9",
    Encoded="data:bytes=4",  # of an image or a sound
    Histogram="min:double=1 max:double=2 limits:double*=6 counts:double*=7",
    Tensor="kind:int32=1 shape:bytes=2 content:bytes=4 floats:float*=5 doubles:double*=6 "
    "ints:int32*=7 texts:bytes*=8 longs:int64*=10 bools:bool*=11 uints:uint32*=16 "
    "ulongs:uint64*=17",
    Metadata="plugin:Plugin=1",
    Plugin="name:bytes=1 content:bytes=2",
    HParams="start:Start=3",
    Start="hparams:Entry*=1",
    Entry="key:bytes=1 value:Setting=2",
    Setting="number:double=2 text:bytes=3 flag:bool=4",
)
_Event = _messages["Event"]

_START = 1  # SessionLog.SessionStatus
_HPARAMS = b"_hparams_/session_start_info"
_CONTENT = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}  # DataType of Tensor.content
_NUMBERS = ("floats", "doubles", "ints", "longs", "bools", "uints", "ulongs")
_MAX_NUMBERS = 65_536  # of a tensor


Point = tuple[str, int, float, float]
"""One scalar: name, step, value, and unix time, NaN if none was written."""


def _numbers_of(tensor: Any) -> NDArray[np.float64]:
    """The numbers in a Tensor, flat; empty if it has none or too many."""
    kind = _CONTENT.get(tensor.kind)
    if kind and tensor.content:
        size = np.dtype(kind).itemsize
        if len(tensor.content) % size or len(tensor.content) > size * _MAX_NUMBERS:
            return np.empty(0)
        return np.frombuffer(tensor.content, kind).astype(np.float64)
    numbers = next(filter(None, (getattr(tensor, field) for field in _NUMBERS)), ())
    return np.array(numbers[:_MAX_NUMBERS], np.float64)


def _settings_of(content: bytes) -> dict[str, Any]:
    """The hyperparameters that the plugin has in its metadata."""
    settings: dict[str, Any] = {}
    for entry in _messages["HParams"].FromString(content).start.hparams:
        value = entry.value
        field = next((each for each in ("number", "text", "flag") if value.HasField(each)), "")
        known = getattr(value, field) if field else None
        settings[_text(entry.key)] = _text(known) if isinstance(known, bytes) else known
    return settings


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


# --- Images, texts, sounds, histograms and precision over recall --------------------------------
# Sources: summary.proto, and metadata.py of tensorboard/plugins/{image,text,audio,histogram,
# pr_curve}. Values of the first API have fields of their own.


def _samples_of(value: Any, plugin: bytes, tensor: Any) -> Iterator[tuple[MediaKind, Any]]:
    """(kind, content) of the samples in a value; an image, text or sound is the encoded bytes."""
    if value.histogram:
        if (old := _old_histogram(value.histogram)) is not None:
            yield "histogram", old
    elif value.image or value.audio:
        encoded = _messages["Encoded"].FromString(value.image or value.audio)
        if encoded.HasField("data"):
            yield "image" if value.image else "audio", encoded.data
    elif plugin == b"images":
        for data in tensor.texts[2:]:  # after width and height
            yield "image", data
    elif plugin == b"text":
        for data in tensor.texts:
            yield "text", data
    elif plugin == b"audio":
        for data in tensor.texts[::2]:  # each has a label
            yield "audio", data
    elif plugin in (b"histograms", b"pr_curves"):
        numbers = _numbers_of(tensor)
        if plugin == b"histograms" and len(numbers) >= 3 and len(numbers) % 3 == 0:
            rows = numbers.reshape(-1, 3)  # left, right, count
            edges = np.maximum.accumulate(np.concatenate((rows[:1, 0], rows[:, 1])))
            yield "histogram", (edges, rows[:, 2])
        elif plugin == b"pr_curves" and len(numbers) >= 12 and len(numbers) % 6 == 0:
            rows = numbers.reshape(6, -1).astype(np.float32)  # the last two: precision and recall
            yield "curve", (rows[5], rows[4])


def _old_histogram(data: bytes) -> tuple[Any, Any] | None:
    """The edges and counts of Summary.Value.histo."""
    histogram = _messages["Histogram"].FromString(data)
    rights, counts = np.array(histogram.limits), np.array(histogram.counts)
    if len(rights) != len(counts) or not len(rights):
        return None
    # The last limit is often the largest float.
    high = histogram.max if histogram.HasField("max") else rights[0]
    low = histogram.min if histogram.HasField("min") else rights[0]
    rights = np.minimum(rights, max(high, rights[0]))
    edges = np.concatenate(([min(low, rights[0])], rights))
    return np.maximum.accumulate(edges), counts


# --- The reader of a folder of event files ------------------------------------------------------
# A resumed training starts another file in the same folder. They are read in the order of their
# names, which begin with the time. The end that the hparams plugin records is ignored: most loggers
# write it at the beginning.

_LARGEST_RECORD = 4 * 1024 * 1024  # bytes; larger records are large images or graphs: skipped


class _EventFile(GrowingFile):
    """One event file."""

    _stuck = False  # at a damaged header, after which no record can be found

    def take_records(self, limit: int) -> list[tuple[int, bytes]]:
        """The next records, about `limit` bytes, with their places in the file."""
        data = self.read(limit)
        if self.restarted:
            self.damaged, self._stuck = 0, False
        if len(data) < _HEADER.size:
            return []
        self.damaged -= self._stuck
        self._stuck = False
        records: list[tuple[int, bytes]] = []
        at = length = 0
        is_damaged = False
        while at + _HEADER.size <= len(data):
            length, stored = _HEADER.unpack_from(data, at)
            is_damaged = checksum(data[at : at + _LENGTH]) != stored
            start = at + _HEADER.size
            if is_damaged or start + length + _FOOTER.size > len(data):
                break
            record = data[start : start + length]
            if checksum(record) == _FOOTER.unpack_from(data, start + length)[0]:
                records.append((self.offset + start, record))
            else:
                self.damaged += 1
            at = start + length + _FOOTER.size
        if at:
            self.take(data, at)
        elif is_damaged:
            if not self.offset:
                raise GenuiError(
                    f"{show(self.path)} is not a TensorBoard event file, or its "
                    "beginning is damaged: remove it, or name another file"
                )
            self._stuck, self.damaged = True, self.damaged + 1
        else:
            return self._take_large(_HEADER.size + length + _FOOTER.size)
        return records

    def _take_large(self, whole: int) -> list[tuple[int, bytes]]:
        """The next record, of so many bytes, once it is written; none if it is skipped."""
        if whole > self.size - self.offset:
            return []
        if whole > _LARGEST_RECORD:
            self.skip(whole)
            return []
        restarted = self.restarted
        records = self.take_records(whole)
        self.restarted |= restarted
        return records


class EventsTail(FilesReader[_EventFile]):
    """The scalars and samples in an event file or in all event files of a folder."""

    def open_file(self, path: Path) -> _EventFile:
        return _EventFile(path)

    def paths(self) -> list[Path]:
        if self.path.exists() and not self.path.is_dir():
            return [self.path]
        names = list_names(self.path)
        paths = [self.path / name for name in names if "tfevents" in name]
        below = [self.path / name for name in names if HPARAMS_FOLDER.fullmatch(name)]
        if paths and len(below) == 1:  # as formats.TensorBoard.place has it
            paths += sorted(below[0].glob("*tfevents*"))
        return [path for path in paths if path.is_file()]

    def read_piece(self, file: _EventFile, limit: int) -> None:
        records = file.take_records(limit)
        if file.restarted:
            self.begin_again(file)
        points: list[Point] = []
        for at, record in records:
            try:
                event = _Event.FromString(record)
            except DecodeError:
                self.damaged += 1
                continue
            step, time = event.step, event.wall_time if event.HasField("wall_time") else math.nan
            for value in event.summary.values:
                if value.HasField("simple"):
                    points.append((_text(value.tag), step, value.simple, time))
                    continue
                try:
                    number = self._read_value(value, step, file.path, at, record)
                except DecodeError:
                    self.damaged += 1
                    continue
                if number is not None:
                    points.append((_text(value.tag), step, number, time))
            if event.HasField("session") and event.session.status == _START:
                self.add(points)
                points = []  # all before, from this step on, are void
                self.store.forget_after(max(step, 0) - 1)
                self.media.forget_after(max(step, 0) - 1)
        self.add(points)

    def _read_value(
        self, value: Any, step: int, path: Path, at: int, record: bytes
    ) -> float | None:
        """The number in a value, if it is one; settings and samples are kept. `at` is the place
        of the record in the file. Raises DecodeError."""
        plugin = _messages["Metadata"].FromString(value.metadata).plugin
        tensor = _messages["Tensor"].FromString(value.tensor)
        is_old = value.image or value.histogram or value.audio
        if plugin.name == b"hparams":
            if value.tag == _HPARAMS:
                self.learn(_settings_of(plugin.content))
        elif plugin.name in (b"", b"scalars") and not is_old:
            numbers = _numbers_of(tensor)
            return float(numbers[0]) if len(numbers) == 1 and not tensor.shape else None
        else:
            name = _text(value.tag).removesuffix("/text_summary")
            for kind, content in _samples_of(value, plugin.name, tensor):
                if isinstance(content, bytes):
                    start = at + record.find(content)
                    self.add_media(Media(step, name, kind, path, start, len(content)))
                else:
                    self.add_media(Media(step, name, kind, path, content=content))
        return None

    def add(self, points: list[Point]) -> None:
        """Adds scalars in the order in which they were written."""
        good = [point for point in points if point[1] >= 0]
        self.damaged += len(points) - len(good)
        self.store.add_points(good)

    def add_media(self, media: Media) -> None:
        self.media.add(media)

    def learn(self, config: Mapping[str, Any]) -> None:
        self.config = {**self.config, **config}


# --- Writing scalars as a TensorBoard event file ----------------------------------------------
# Scalars need few fields (tensorflow/core/util/event.proto and summary.proto, framed as TFRecord);
# the `tensorboard` package would bring gRPC and protobuf. TensorBoard stores float32, so this
# export is not exact.

VERSION = b"brain.Event:2"
"""The content of the first record of an event file."""


def event_file(names: Sequence[str], rows: Iterable[LoggedStep], created: float) -> Iterator[bytes]:
    """The bytes of an event file, in pieces: an event for each row.

    `names` are the tags; `created` is the unix time for rows without a time.
    """
    tags = [name.encode(errors="replace") for name in names]
    yield _framed(_Event(wall_time=created, version=VERSION))
    for row in rows:
        event = _Event(wall_time=created if row.time != row.time else row.time, step=row.step)
        for tag, value in zip(tags, row.values, strict=True):
            if value is not None:
                event.summary.values.add(tag=tag, simple=value)
        yield _framed(event)


def _framed(event: Any) -> bytes:
    """The event as a TFRecord."""
    data = event.SerializeToString()
    length = len(data).to_bytes(_LENGTH, "little")
    header = _HEADER.pack(len(data), checksum(length))
    return header + data + _FOOTER.pack(checksum(data))
