"""The table of formats: how a log is recognised, and what reads it.

Another format is one file with a Tail and one row here. Recognising one takes its name and a
few bytes, and never numpy, which no first frame waits for.
"""

import importlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genui.runs.logs.base import Tail

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
