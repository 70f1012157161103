"""Logs of other tools for tests: the real ones in fixtures/, and small ones made by hand."""

import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genui.base.errors import GenuiError
from genui.logs.base import Tail
from genui.logs.formats import FORMATS
from genui.logs.sqlite import run_path
from genui.logs.tensorboard import checksum
from genui.recipes import find_recipe
from genui.runs.layout import create_run

BLOCK = 32 * 1024
FIXTURES = Path(__file__).parent / "fixtures"

Seen = dict[str, list[tuple[int, str]]]


def event_files() -> list[Path]:
    """The two event files of the resumed training, in order."""
    return sorted((FIXTURES / "tensorboard").glob("events*"))


def mlflow_run(name: str = "quiet") -> Path:
    """The folder of a run in the real store, by how its name begins."""
    (tag,) = [
        tag
        for tag in (FIXTURES / "mlruns").glob("*/*/tags/mlflow.runName")
        if tag.read_text().startswith(name)
    ]
    return tag.parents[1]


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


def own_run(folder: Path) -> Path:
    """A run of genui with the metrics of the sample."""
    run = create_run(find_recipe("shakespeare"), {})
    run.metrics.write_bytes(whole_log("genui"))
    return run.path.rename(folder / "night")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A log of one format, and what `inspect` tells of it."""

    name: str = ""
    """Of its file that grows. Below the log if that is a folder, and else any name will do
    unless the format is `named`."""
    content: bytes = b""
    """Of that file."""
    is_folder: bool = False
    """Whether the log is a folder."""
    named: bool = False
    """Whether a file of another name is none."""
    beside: tuple[tuple[str, str], ...] = ()
    """The other files of the folder, each with its content."""
    make: Callable[[Path], Path] | None = None
    """Makes the log in a folder, and returns its path, if it takes more than files."""
    is_rewritten: bool = False
    """Whether the file is written whole, again and again."""
    step: int = 29
    metric: str = "loss"
    last: float = 29.5
    """The last value of that metric."""
    state: str = "writing"


def _lines(line: str) -> bytes:
    """The line for each of the steps 0 to 29, which are its N."""
    return "".join(line.replace("N", f"{step}") for step in range(30)).encode()


SAMPLES = {
    "genui": Sample(
        name="metrics.jsonl", is_folder=True, make=own_run,
        content=_lines('{"step":N,"time":1N,"loss":N.5,"lr":1e-3}\n'),
    ),
    "tensorboard": Sample(
        name="events.out.tfevents.1", content=event_files()[0].read_bytes(),
        step=300, metric="train/loss", last=2 / 301,
    ),
    "wandb": Sample(
        name="run-x.wandb", content=(FIXTURES / "run-fixture.wandb").read_bytes(),
        step=9, metric="late", last=1.0, state="finished",
    ),
    "wandb-url": Sample(
        name="history.wandb-url", named=True,
        content=_lines('{"wandb_step":N,"time":1N,"metrics":{"loss":N.5}}\n'),
    ),
    "csv": Sample(
        name="night.csv", content=(FIXTURES / "metrics.csv").read_bytes(),
        step=5, metric="train_loss", last=2 / 6,
    ),
    "jsonl": Sample(
        name="night.jsonl", metric="train/loss",
        content=_lines('{"global_step":N,"timestamp":1N,"train":{"loss":N.5}}\n'),
    ),
    "trainer-state": Sample(
        name="trainer_state.json", named=True, is_rewritten=True,
        content=(FIXTURES / "trainer_state.json").read_bytes(),
        step=40, last=2 / 41, state="finished",
    ),
    "mlflow": Sample(
        name="metrics/loss", is_folder=True,
        content=(mlflow_run() / "metrics" / "loss").read_bytes(),
        beside=(("meta.yaml", "run_id: abc\nrun_name: run\nstatus: 1\n"),), last=2 / 30,
    ),
    "clearml": Sample(
        name="metrics.jsonl", is_folder=True, metric="loss/val",
        content=_lines(
            '[{"type":"training_stats_scalar","metric":"loss","variant":"val",'
            '"iter":N,"value":N.5}]\n'
        ),
        beside=(("task.json", '{"name": "night", "project_name": "owls"}'),),
    ),
    "dvclive": Sample(
        name="plots/metrics/train/loss.tsv", is_folder=True, metric="train/loss",
        content=b"step\tloss\n" + _lines("N\tN.5\n"), beside=(("metrics.json", "{}"),),
    ),
    "text": Sample(name="night.log", content=_lines("step N: loss N.5, lr 1e-3\n")),
    "trackio": Sample(
        make=lambda folder: trackio_run(trackio_database(folder)), step=2, last=2 / 3,
    ),
    "mlflow-db": Sample(
        make=lambda folder: mlflow_database_run(mlflow_database(folder)),
        metric="train/acc", last=2.9, state="finished",
    ),
}  # fmt: skip
"""A row for a new format puts it through every fault (cut, garbage, replaced, refused, a pipe),
between other logs, and through `inspect`."""

GROWING = [format for format, sample in SAMPLES.items() if sample.content]
APPENDED = [format for format in GROWING if not SAMPLES[format].is_rewritten]


def whole_log(format: str) -> bytes:
    """What is in the file of a log of that format."""
    return SAMPLES[format].content


def growing_file(format: str, path: Path) -> Path:
    """The file that is written in a log at that path; what it needs beside it is made."""
    sample = SAMPLES[format]
    if not sample.is_folder:
        return path
    file = path / sample.name
    file.parent.mkdir(parents=True, exist_ok=True)
    for name, text in sample.beside:
        (path / name).write_text(text)
    return file


def write_log(format: str, path: Path) -> Path:
    """Writes a whole log of that format at the path; the file that is written."""
    file = growing_file(format, path)
    file.write_bytes(whole_log(format))
    return file


def make_log(format: str, folder: Path) -> Path:
    """A log of that format in a folder that is searched; the path at which it is found."""
    sample = SAMPLES[format]
    if sample.make is not None:
        return sample.make(folder)
    path = folder / ("night" if sample.is_folder else f"night/{sample.name}")
    path.parent.mkdir(exist_ok=True)
    file = write_log(format, path)
    return path if sample.is_folder else FORMATS[format].place(file, folder)


def open_log(format: str, path: Path) -> Tail:
    """The reader of a log of that format, which has read nothing yet."""
    return FORMATS[format].open(path)


def read_whole(format: str, path: Path) -> Tail:
    tail = open_log(format, path)
    read_all(tail)
    return tail


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
