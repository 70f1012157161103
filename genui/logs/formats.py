"""The table of log formats. To add one, write a reader and add a row here, or write a plug-in.

A format is recognized by its name and a few bytes, without numpy, so that the app starts fast.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from itertools import dropwhile
from pathlib import Path
from typing import Any

from genui.base.late import late_imports
from genui.base.plugins import Table, index_by_name
from genui.logs.base import HPARAMS_FOLDER, Format, Log, Tail
from genui.logs.clearml import ClearMl, ClearMlTail
from genui.logs.dvclive import DvcLive, DvcLiveTail
from genui.logs.mlflow import Mlflow, MlflowDatabase, MlflowDatabaseTail, MlflowTail
from genui.logs.records import STEP_KEYS, is_number, is_row_of_numbers
from genui.logs.sqlite import MAGIC
from genui.logs.trackio import Trackio, TrackioTail
from genui.logs.wandb_file import Wandb
from genui.logs.wandb_url import WandbUrl, WandbUrlTail
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, summarise

with late_imports():  # numpy, protobuf, and 40 expressions
    from genui.logs import (
        huggingface,
        json_lines,
        native,
        printed_file,
        printed_log,
        tables,
        tensorboard,
        wandb,
    )

SNIFFED = 4096
"""Bytes at the beginning of a file by which its format is recognized."""


class Native(Format):
    """Runs of genui: one folder each."""

    def owns(self, folder: Path, names: Set[str]) -> bool:
        return "run.json" in names and not names.isdisjoint(("metrics.jsonl", "status.json"))

    def logs(self, path: Path, root: Path) -> list[Log]:
        return [Log(path)]

    def summarise(self, path: Path, ended: str = "") -> RunSummary:
        return summarise(RunDir(path))

    def open(self, path: Path) -> Tail:
        return super().open(RunDir(path).metrics)


class TensorBoard(Format):
    """Event files: the files of one folder are one log, with the files of the only folder below it
    that SummaryWriter.add_hparams has made."""

    def place(self, file: Path, root: Path) -> Path:
        folder = file.parent
        if folder != root and HPARAMS_FOLDER.fullmatch(folder.name):
            with suppress(OSError), os.scandir(folder.parent) as entries:
                names = {entry.name for entry in entries}
                logs = any(self.file.fullmatch(name) for name in names)
                if logs and sum(bool(HPARAMS_FOLDER.fullmatch(name)) for name in names) == 1:
                    return folder.parent
        return folder


class HuggingFace(Format):
    """trainer_state.json: the files of all checkpoints of an output folder are one log."""

    def fits_named(self, name: str, head: bytes) -> bool:
        return self.fits(name, head or b"{")  # any JSON begins like one

    def place(self, file: Path, root: Path) -> Path:
        folder = file.parent
        output = folder.parent if folder.name.startswith("checkpoint-") else folder
        return output if output == root or root in output.parents else file

    def place_beside(self, place: Path, file: Path) -> Path:
        return place / "trainer_state.json"

    def files(self, path: Path) -> Iterable[Path]:
        folder = path.parent if path.name == "trainer_state.json" else path
        return [*super().files(path), *folder.glob("checkpoint-*/trainer_state.json")]


class Text(Format):
    """The output of a command, as text. In a folder logs are recognised by their names; the logs
    that W&B keeps of itself, and its copy of the console, are left out, and mmengine's beside its
    vis_data/scalars.json."""

    def repeats(self, file: Path) -> bool:
        return (file.parent / "vis_data" / "scalars.json").is_file()

    def fits_named(self, name: str, head: bytes) -> bool:
        if not head:
            return self.file.fullmatch(name) is not None
        return self.begins(head) and (_is_log_name(name) or _has_metrics(head))


def _is_log_name(name: str) -> bool:
    return re.search(r"(?i)\.(log|out|err)(\.\d+)?$|^slurm-|^std(out|err)|^log\b", name) is not None


def _has_metrics(head: bytes) -> bool:
    log = printed_log.PrintedLog()
    lines = printed_log.Lines().take(head, final=True)
    return any([*(log.take(line.text, line.stays) for line in lines), log.finish()])


_BINARY = re.compile(rb"[\x00-\x06\x0e-\x1a]")  # text of another encoding than UTF-8 has none
_JSON = re.compile(r"\{\s*\"|\[\s*[\[{\"]|\[[-+.,\s\deE]*\]?\s*\Z")
"""The beginning of an object or an array: one of numbers if there is nothing else, since `[10] loss
0.5` is a log."""


def _is_json(head: bytes) -> bool:
    """Whether it is JSON, perhaps cut, and no settings that a script prints before its lines."""
    text = head.decode(errors="replace").lstrip()
    with suppress(ValueError, RecursionError):
        text = text[json.JSONDecoder().raw_decode(text)[1] :].lstrip()
        if not text:
            return True
    return _JSON.match(text) is not None


def _is_printed(head: bytes) -> bool:
    """Whether it is text, and none that another row reads."""
    return not (_BINARY.search(head) or _is_json(head) or _is_csv(head))


def _is_event_file(head: bytes) -> bool:
    # A length and its checksum begin the first record, which usually says "brain.Event:2".
    if not head or b"brain.Event:" in head[:64]:
        return True
    stored = int.from_bytes(head[8:12], "little")
    return len(head) >= 12 and tensorboard.checksum(head[:8]) == stored


class Csv(Format):
    """Tables with a header. In a folder they need a column for the step."""

    def fits_named(self, name: str, head: bytes) -> bool:
        return super().fits_named(name, head) or _is_table(head)


def _lines_of(head: bytes) -> list[str]:
    """The lines of a table, without comments before its header."""
    lines = head.decode(errors="replace").lstrip("\ufeff").splitlines()
    return [*dropwhile(lambda line: line.startswith("#") or not line.strip(), lines)]


def _is_csv(head: bytes) -> bool:
    names = [name.strip(' "').lower() for name in re.split(r"[,;\t]", (_lines_of(head) or [""])[0])]
    return len(names) > 1 and any(name in STEP_KEYS for name in names)


def _is_table(head: bytes) -> bool:
    """Whether it has a row of names and a row of as many cells, most of them numbers."""
    lines = _lines_of(head)
    if len(lines) < 2:
        return False
    delimiter = max(",;\t", key=lines[0].count)
    names, cells = (line.split(delimiter) for line in lines[:2])
    named = not any(map(is_number, names))
    return named and len(names) == len(cells) > 1 and is_row_of_numbers(cells)


def _is_jsonl(head: bytes) -> bool:
    line, newline, _ = head.partition(b"\n")
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError):
        # Cut in the middle of a long line; a line of its own has to be whole.
        return not newline and len(head) >= SNIFFED and re.match(rb'\s*\{\s*"', head) is not None
    return isinstance(record, dict) and bool(record)


FORMATS: Mapping[str, Format] = Table("genui.logs", Format, index_by_name((
    Native("genui", "genui's own runs", lambda path: native.MetricsTail(path)),
    TensorBoard(
        "tensorboard", "TensorBoard event files", lambda path: tensorboard.EventsTail(path),
        file=re.compile(r".*tfevents.*"), begins=_is_event_file,
    ),
    Wandb(
        "wandb", "W&B runs (run-*.wandb)", lambda path: wandb.WandbTail(path),
        file=re.compile(r".+\.wandb"), begins=lambda head: not head or head.startswith(b":W&B"),
        folder_names=re.compile(r".*"),
    ),
    WandbUrl(
        "wandb-url", "copies of runs on a server of W&B", WandbUrlTail,
        file=re.compile(r"history\.wandb-url"),
        begins=lambda head: not head or head.startswith(b'{"wandb_step":'),
        folder_names=re.compile(r"history\.wandb-url"),
    ),
    HuggingFace(
        "trainer-state", "Hugging Face's trainer_state.json",
        lambda path: huggingface.TrainerStateTail(path),
        file=re.compile(r"trainer_state\.json"), begins=lambda head: head.lstrip().startswith(b"{"),
        folder_names=re.compile(r"trainer_state\.json"),
    ),
    Trackio(
        "trackio", "trackio projects (*.db)", TrackioTail,
        file=re.compile(r".+\.db"), begins=lambda head: head.startswith(MAGIC),
    ),
    Mlflow("mlflow", "MLflow runs (mlruns)", MlflowTail),
    MlflowDatabase(
        "mlflow-db", "MLflow databases (mlflow.db)", MlflowDatabaseTail,
        file=re.compile(r".+\.(db|sqlite|sqlite3)"), begins=lambda head: head.startswith(MAGIC),
    ),
    ClearMl("clearml", "ClearML's offline sessions", ClearMlTail),
    DvcLive("dvclive", "DVCLive's folders", DvcLiveTail),
    Format(
        "jsonl", "JSON lines (*.jsonl)", lambda path: json_lines.JsonlTail(path),
        # The others: Detectron2, mmengine, stable-baselines3, mmcv, DeiT and those after it.
        file=re.compile(
            r".+\.(jsonl|ndjson)|metrics\.json|scalars\.json|progress\.json|.+\.log\.json|log\.txt"
        ),
        begins=_is_jsonl,
        folder_names=re.compile(r"metrics\.jsonl?|scalars\.json|progress\.json|log\.txt"),
    ),
    Csv(
        "csv", "CSV with a column step, iteration or epoch", lambda path: tables.CsvTail(path),
        file=re.compile(r".+\.(csv|tsv)"), begins=_is_csv,
        folder_names=re.compile(r"(metrics|progress|results)\.csv"),
    ),
    Text(
        "text", "printed lines (*.log, *.out, slurm-*)", lambda path: printed_file.TextTail(path),
        file=re.compile(r"(?!(?:debug(?:-\w+)?|output)\.log)(?:.+\.(?:log|out|err)|slurm-.+)"),
        begins=_is_printed,
    ),
)))  # fmt: skip
"""Formats by name."""


def formats_of(name: str, head: bytes) -> list[Format]:
    """The formats that a file with that name in a folder may have, the likeliest first."""
    return [row for row in FORMATS.values() if row.fits(name, head)]


def formats_by_content(name: str, head: bytes) -> list[Format]:
    """The formats that a file given by path may have, whatever its name."""
    return formats_of(name, head) or [r for r in FORMATS.values() if r.fits_named(name, head)]


def describe_content(head: bytes) -> str:
    """The kind of a file that no row of the table reads, for a message."""
    if not head:
        return "an empty file: try again when it has content"
    if head.startswith(MAGIC):
        return "an SQLite database, not of trackio or MLflow"
    if _BINARY.search(head):
        return "a binary file of another program"
    if _is_json(head):
        return "a JSON document without lines of metrics"
    return "plain text without metrics at its beginning: call it NAME.log to follow it anyway"
