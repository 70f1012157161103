"""TensorBoard's Event message: the scalars of one, and of many that look alike at once.

A log is the same few tags over and over, so most records of a length differ only in the time,
the step, the tag and the value. The first is read field by field; all that have the same bytes
everywhere else are then read as columns of a matrix. That is the reason for own code:
TensorBoard's EventFileLoader makes an object of every event: 500,000 scalars took it 30 times
as long.

Source: tensorboard/compat/proto/{event,summary,tensor}.proto, plugins/hparams/plugin_data.proto.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.runs.logs import wire
from genui.runs.logs.tfrecord import Bytes, rows_at
from genui.runs.logs.wire import BYTES, FIXED32, FIXED64, VARINT

_START = 1  # SessionLog.SessionStatus
_HPARAMS = "_hparams_/session_start_info"
_PACKED = {4: None, 5: "<f4", 6: "<f8"}  # TensorProto: tensor_content, float_val, double_val
_CONTENT = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}  # DataType of tensor_content
_VARINTS = frozenset({7, 10, 11, 16, 17})  # TensorProto: int_val, int64_val, bool_val, uint…


class Scalar(NamedTuple):
    """One value of a summary: where its tag and its number lie in the message."""

    tag: tuple[int, int]
    at: int
    kind: str  # the numpy type there; "" for a varint, whose value is `at`


@dataclass
class Event:
    """What is of use in one message; places are offsets into the record."""

    wall_time: int | None = None  # place of a float64
    step: tuple[int, int] | None = None  # place of a varint
    scalars: list[Scalar] = field(default_factory=list)
    restarted: bool = False  # SessionLog.START: what was logged from this step on is void
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
    for number, kind, value, end in wire.fields(record, 0, len(record)):
        if number == 1 and kind == FIXED64:
            event.wall_time = value
        elif number == 2 and kind == VARINT:
            event.step = (_varint_start(record, end), end)
        elif number == 5 and kind == BYTES:
            for inner, inner_kind, start, stop in wire.fields(record, value, end):
                if inner == 1 and inner_kind == BYTES:
                    _read_value(record, start, stop, event)
        elif number == 7 and kind == BYTES:
            for inner, inner_kind, status, _ in wire.fields(record, value, end):
                if inner == 1 and inner_kind == VARINT:
                    event.restarted = status == _START
    return event


def step_of(record: bytes, event: Event) -> int:
    return wire.signed(wire.varint(record, event.step[0])[0]) if event.step else 0


def points_of(record: bytes, event: Event, index: int) -> list[Points]:
    """The scalars of one record, the `index`th."""
    where = np.array([index], np.int64)
    step = np.array([step_of(record, event)], np.int64)
    time = np.array([np.nan if event.wall_time is None else wire.double(record, event.wall_time)])
    return [
        Points(record[slice(*scalar.tag)], where, step, time, _value(record, scalar))
        for scalar in event.scalars
    ]


def points_alike(
    data: Bytes, starts: NDArray[np.int64], length: int, records: NDArray[np.int64]
) -> tuple[list[Points], NDArray[np.bool_]]:
    """The scalars of all records of a length that look like the first of them, and which do.

    `starts` and `records` are where each is in the data and its number. None does if the first
    has no scalars or something besides. Raises WireError if the first is no message.
    """
    first = data[starts[0] : starts[0] + length].tobytes()
    event = read_event(first)
    if (
        not event.scalars
        or event.restarted
        or event.config
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
    times = (
        np.full(len(rows), np.nan)
        if event.wall_time is None
        else _numbers(rows, event.wall_time, "<f8")
    )
    found: list[Points] = []
    for scalar in event.scalars:
        values = _numbers(rows, scalar.at, scalar.kind)
        for tag, where in _by_tag(rows[:, slice(*scalar.tag)]):
            found.append(
                Points(
                    tag, records[where], steps.view(np.int64)[where], times[where], values[where]
                )
            )
    return found, alike


def _by_tag(tags: Bytes) -> list[tuple[bytes, Any]]:
    """Each tag among the rows, and the index of its rows."""
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
        return np.array([float(wire.signed(scalar.at))])
    return np.frombuffer(record, scalar.kind, 1, scalar.at).astype(np.float64)


def _varint_start(record: bytes, end: int) -> int:
    """Where the varint that ends there starts."""
    start = end - 1
    while start > 0 and record[start - 1] >= 0x80:
        start -= 1
    return start


def _read_value(record: bytes, start: int, end: int, event: Event) -> None:
    """One Summary.Value."""
    tag = (start, start)
    at, kind = -1, ""
    tensor: tuple[int, int] | None = None
    plugin, content = "", (0, 0)
    for number, wired, value, stop in wire.fields(record, start, end):
        if number == 1 and wired == BYTES:
            tag = (value, stop)
        elif number == 2 and wired == FIXED32:
            at, kind = value, "<f4"
        elif number == 8 and wired == BYTES:
            tensor = (value, stop)
        elif number == 9 and wired == BYTES:
            plugin, content = _plugin(record, value, stop)
    if plugin == "hparams":
        if wire.text(record, *tag) == _HPARAMS:
            event.config = _hparams(record, *content)
    elif at >= 0:
        event.scalars.append(Scalar(tag, at, kind))
    elif tensor is not None and plugin in ("", "scalars"):
        number_at = _tensor(record, *tensor)
        if number_at is not None:
            event.scalars.append(Scalar(tag, *number_at))


def _plugin(record: bytes, start: int, end: int) -> tuple[str, tuple[int, int]]:
    """The name in SummaryMetadata.PluginData, and where its content lies."""
    name, content = "", (0, 0)
    for number, kind, value, stop in wire.fields(record, start, end):
        if number == 1 and kind == BYTES:
            for inner, inner_kind, at, inner_stop in wire.fields(record, value, stop):
                if inner == 1 and inner_kind == BYTES:
                    name = wire.text(record, at, inner_stop)
                elif inner == 2 and inner_kind == BYTES:
                    content = (at, inner_stop)
    return name, content


def _tensor(record: bytes, start: int, end: int) -> tuple[int, str] | None:
    """Where the one number of a TensorProto lies, and its type; None if it is not one number."""
    dtype, found = 0, None
    for number, kind, value, stop in wire.fields(record, start, end):
        if number == 1 and kind == VARINT:
            dtype = value
        elif number == 2 and kind == BYTES:
            if value != stop:
                return None  # it has dimensions
        elif number in _PACKED and kind in (BYTES, FIXED32, FIXED64):
            place = _PACKED[number] or _CONTENT.get(dtype)
            if place is None or stop - value != np.dtype(place).itemsize:
                return None
            found = (value, place)
        elif number in _VARINTS:
            found = (wire.varint(record, value)[0] if kind == BYTES else value, "")
    return found


def _hparams(record: bytes, start: int, end: int) -> dict[str, Any]:
    """The hyperparameters in HParamsPluginData.session_start_info."""
    config: dict[str, Any] = {}
    for number, kind, value, stop in wire.fields(record, start, end):
        if number != 3 or kind != BYTES:
            continue
        for inner, inner_kind, at, inner_stop in wire.fields(record, value, stop):
            if inner == 1 and inner_kind == BYTES:
                key, entry = "", None
                for part, part_kind, place, part_stop in wire.fields(record, at, inner_stop):
                    if part == 1 and part_kind == BYTES:
                        key = wire.text(record, place, part_stop)
                    elif part == 2 and part_kind == BYTES:
                        entry = _struct_value(record, place, part_stop)
                config[key] = entry
    return config


def _struct_value(record: bytes, start: int, end: int) -> Any:
    """A google.protobuf.Value: null, number, string or bool."""
    result: Any = None
    for number, kind, value, stop in wire.fields(record, start, end):
        if number == 2 and kind == FIXED64:
            result = wire.double(record, value)
        elif number == 3 and kind == BYTES:
            result = wire.text(record, value, stop)
        elif number == 4 and kind == VARINT:
            result = bool(value)
    return result
