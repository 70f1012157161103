"""Logs of other tools for tests: the real ones in fixtures/, and small ones made by hand."""

import json
import sqlite3
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from genui.base.errors import GenuiError
from genui.logs.base import Tail
from genui.logs.dvclive import DvcLiveTail
from genui.logs.huggingface import TrainerStateTail
from genui.logs.mlflow import MlflowTail
from genui.logs.native import MetricsTail
from genui.logs.printed_file import TextTail
from genui.logs.sqlite import run_path
from genui.logs.tables import CsvTail
from genui.logs.tensorboard import EventsTail, checksum
from genui.logs.text import JsonlTail
from genui.logs.wandb import WandbTail
from genui.logs.wandb_url import WandbUrlTail

BLOCK = 32 * 1024
FIXTURES = Path(__file__).parent / "fixtures"

READERS = {
    "genui": MetricsTail,
    "tensorboard": EventsTail,
    "wandb": WandbTail,
    "wandb-url": WandbUrlTail,
    "csv": CsvTail,
    "jsonl": JsonlTail,
    "trainer-state": TrainerStateTail,
    "mlflow": MlflowTail,
    "dvclive": DvcLiveTail,
    "text": TextTail,
}
"""Readers of a path in which one file, `growing_file`, is written."""

REWRITTEN = frozenset({"trainer-state"})
"""Formats whose file is written whole, again and again."""

APPENDED = [format for format in READERS if format not in REWRITTEN]

Seen = dict[str, list[tuple[int, str]]]


def event_files() -> list[Path]:
    """The two event files of the resumed training, in order."""
    return sorted((FIXTURES / "tensorboard").glob("events*"))


def growing_file(format: str, path: Path) -> Path:
    """The file that is written in a log at that path; what it needs beside it is made."""
    if format == "dvclive":
        (path / "plots" / "metrics" / "train").mkdir(parents=True, exist_ok=True)
        (path / "metrics.json").write_text("{}")
        return path / "plots" / "metrics" / "train" / "loss.tsv"
    if format != "mlflow":
        return path
    (path / "metrics").mkdir(parents=True, exist_ok=True)
    (path / "meta.yaml").write_text("run_id: abc\nrun_name: run\nstatus: 1\n")
    return path / "metrics" / "loss"


def write_log(format: str, path: Path) -> Path:
    """Writes a whole log of that format at the path; the file that is written."""
    file = growing_file(format, path)
    file.write_bytes(whole_log(format))
    return file


def clearml_session(folder: Path) -> Path:
    """A session of one metric."""
    folder.mkdir(parents=True)
    (folder / "task.json").write_text('{"name": "night", "project_name": "owls"}')
    event = {"type": "training_stats_scalar", "metric": "loss", "variant": "val", "iter": 3,
             "value": 0.5, "timestamp": 1.7e12}  # fmt: skip
    (folder / "metrics.jsonl").write_text(json.dumps([event]) + "\n")
    return folder


def mlflow_run(name: str = "quiet") -> Path:
    """The folder of a run in the real store, by how its name begins."""
    (tag,) = [
        tag
        for tag in (FIXTURES / "mlruns").glob("*/*/tags/mlflow.runName")
        if tag.read_text().startswith(name)
    ]
    return tag.parents[1]


def whole_log(format: str) -> bytes:
    """What is in the file of a valid log of that format."""
    match format:
        case "tensorboard":
            return event_files()[0].read_bytes()
        case "wandb":
            return (FIXTURES / "run-fixture.wandb").read_bytes()
        case "csv":
            return (FIXTURES / "metrics.csv").read_bytes()
        case "genui":
            return b"".join(
                b'{"step":%d,"time":%d,"loss":%d.5,"lr":1e-3}\n' % (n, 1000 + n, n)
                for n in range(30)
            )
        case "jsonl":
            return b"".join(
                b'{"global_step":%d,"timestamp":"2026-01-01T00:00:%02d","train":{"loss":%d.5}}\n'
                % (n, n, n)
                for n in range(30)
            )
        case "mlflow":
            return (mlflow_run() / "metrics" / "loss").read_bytes()
        case "dvclive":
            return b"step\tloss\n" + b"".join(b"%d\t%d.5\n" % (n, n) for n in range(30))
        case "wandb-url":
            return b"".join(
                b'{"wandb_step":%d,"time":%d,"metrics":{"loss":%d.5}}\n' % (n, 1000 + n, n)
                for n in range(30)
            )
        case "text":
            return b"".join(b"step %d: loss %d.5, lr 1e-3\n" % (n, n) for n in range(30))
        case "trainer-state":
            return (FIXTURES / "trainer_state.json").read_bytes()
    raise KeyError(format)


def read_all(tail: Tail) -> None:
    for _ in range(1000):
        if not tail.read():
            return
    raise AssertionError("read() never comes to an end")


def refusal(tail: Tail) -> str:
    """Reads everything; the line of the GenuiError, or "" where nothing was refused."""
    try:
        read_all(tail)
    except GenuiError as error:
        return str(error)
    return ""


def seen(tail: Tail) -> Seen:
    """Every point, values as text so that NaN equals NaN; series without points left out."""
    found: Seen = {}
    for name, series in tail.series.items():
        steps, values, times = series.points
        assert len(steps) == len(values) == len(times)
        assert np.all(np.diff(steps) > 0)
        if len(steps):
            found[name] = [(int(s), repr(float(v))) for s, v in zip(steps, values, strict=True)]
    return found


def read_whole(format: str, path: Path) -> Tail:
    tail = READERS[format](path)
    read_all(tail)
    return tail


def trackio_database(folder: Path) -> Path:
    """The real database, from its dump."""
    path = folder / "myproject.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((FIXTURES / "trackio.sql").read_text())
    connection.close()
    return path


def trackio_run(database: Path, name: str = "first") -> Path:
    with sqlite3.connect(database) as connection:
        query = "SELECT run_id FROM configs WHERE run_name = ?"
        (run_id,) = connection.execute(query, (name,)).fetchone()
    connection.close()
    return run_path(database, run_id)


def mlflow_database(folder: Path) -> Path:
    """The real database, from its dump."""
    path = folder / "mlflow.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((FIXTURES / "mlflow.sql").read_text())
    connection.close()
    return path


def mlflow_database_run(database: Path, name: str = "quiet: owl") -> Path:
    with sqlite3.connect(database) as connection:
        query = "SELECT run_uuid FROM runs WHERE name = ?"
        (run_id,) = connection.execute(query, (name,)).fetchone()
    connection.close()
    return run_path(database, run_id)


def tfrecord(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def event(step: int, scalars: Iterable[tuple[str, float]], time: float = 1.0) -> bytes:
    """One record of an event file."""
    return tfrecord(event_body(step, scalars, time))


def event_body(step: int, scalars: Iterable[tuple[str, float]], time: float = 1.0) -> bytes:
    """What is in such a record."""
    values = b"".join(
        field(1, field(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
        for tag, value in scalars
    )
    return b"\x09" + struct.pack("<d", time) + b"\x10" + varint(step) + field(5, values)


def wandb_log(*records: bytes) -> bytes:
    """A .wandb file of these records, cut into pieces where a block ends."""
    log = bytearray(b":W&B\xe1\xbe\x00")
    for record in records:
        first = True
        while record or first:
            room = BLOCK - len(log) % BLOCK
            if room < 7:
                log += bytes(room)
                continue
            part, record = record[: room - 7], record[room - 7 :]
            kind = bytes([(1 if first else 4) if not record else (2 if first else 3)])
            log += struct.pack("<IH", zlib.crc32(kind + part), len(part)) + kind + part
            first = False
    return bytes(log)


def wandb_row(items: Iterable[tuple[str, str]], step: int | None = None, key: int = 2) -> bytes:
    """A record with a row of the history: names and JSON, under the key's field number."""
    row = b"".join(
        field(1, field(key, name.encode()) + field(16, text.encode())) for name, text in items
    )
    if step is not None:
        row += field(2, b"\x08" + varint(step))
    return b"\x08\x07" + field(2, row)


def wandb_exit(code: int) -> bytes:
    return b"\x08\x07" + field(18, b"\x08" + varint(code))


def varint(value: int) -> bytes:
    value %= 2**64
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def _checksum(data: bytes) -> bytes:
    return checksum(data).to_bytes(4, "little")
