"""`genui export`: the metrics of a run or log in a form that other tools read."""

import argparse
import csv
import math
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_path
from genui.base.late import late_imports
from genui.base.numbers import quantity
from genui.cli import output
from genui.cli.files import check_file
from genui.cli.runs import find_one, read_whole, title

with late_imports():
    from genui.logs import native, tensorboard

if TYPE_CHECKING:
    from genui.logs.native import Table

STDOUT = "-"
NON_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
EVENTS = "events.out.tfevents."  # the prefix by which TensorBoard finds event files
SUFFIX = ".genui"  # ends the names of the event files that this command writes


def configure_export(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Any log that genui watches can be exported. CSV and JSONL have every number in full;\n"
        "TensorBoard keeps 32-bit floats.\n\n"
        "examples:\n"
        "  genui export last --csv                      to standard output\n"
        "  genui export plays --csv plays.csv\n"
        "  genui export wandb/offline-run-20260105 --tensorboard runs/plays"
    )
    parser.add_argument(
        "run_ref", metavar="RUN", help="a run's id, name or 'last', or the path of a log"
    )
    kinds = parser.add_mutually_exclusive_group(required=True)
    kinds.add_argument(
        "--csv",
        metavar="FILE",
        nargs="?",
        const=STDOUT,
        help="one row per step; FILE or - (default)",
    )
    kinds.add_argument(
        "--jsonl", metavar="FILE", nargs="?", const=STDOUT, help="one JSON object per step"
    )
    kinds.add_argument("--tensorboard", metavar="DIR", help="an event file in the folder DIR")
    parser.add_argument("--force", action="store_true", help="replace existing files")


def run_export(args: argparse.Namespace) -> int:
    if args.tensorboard is not None:
        _write_tensorboard(args.run_ref, Path(os.path.expanduser(args.tensorboard)), args.force)
        return 0
    is_csv = args.csv is not None
    write, word = (_write_csv, args.csv) if is_csv else (_write_json_lines, args.jsonl)
    if word == STDOUT:
        write(_read(args.run_ref)[0], sys.stdout)
        return 0
    target = Path(os.path.expanduser(word))
    check_file(target, "--csv" if is_csv else "--jsonl", force=args.force)
    table, _ = _read(args.run_ref)
    with (
        atomic_path(target) as aside,
        aside.open("x", encoding="utf-8", errors="replace", newline="") as file,
    ):
        write(table, file)
    _report(table, target)
    return 0


def _read(ref: str) -> tuple["Table", float]:
    """The metrics of the run, and the unix time it was created. Raises GenuiError."""
    summary = find_one(ref)
    if summary.fault:
        raise GenuiError(summary.fault)
    table = native.Table(read_whole(summary).series)
    if not len(table):
        raise GenuiError(f"{title(summary)}: has no metrics; nothing is written")
    return table, summary.info.created


def _write_csv(table: "Table", file: TextIO) -> None:
    """The rows in RFC 4180 except for line ends, with all digits of floats."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("step", "time", *table.names))
    for row in table.rows():
        time = "" if math.isnan(row.time) else repr(row.time)
        values = ("" if value is None else repr(value) for value in row.values)
        writer.writerow((row.step, time, *values))


def _write_json_lines(table: "Table", file: TextIO) -> None:
    """The rows in the format of metrics.jsonl, with NaN and infinities by name."""
    encode = msgspec.json.Encoder().encode
    for row in table.rows():
        record: dict[str, float | str] = {"step": row.step}
        if not math.isnan(row.time):
            record["time"] = row.time
        for name, number in zip(table.names, row.values, strict=True):
            if number is not None:
                record[name] = number if math.isfinite(number) else NON_FINITE[str(number)]
        file.write(encode(record).decode() + "\n")


def _write_tensorboard(ref: str, folder: Path, force: bool) -> None:
    _check_folder(folder, force)
    table, created = _read(ref)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GenuiError(
            f"{folder}: cannot be created ({error.strerror}); name another folder"
        ) from None
    # Named as by TensorBoard's writers: it reads the files of a folder in the order of these names.
    host, pid = socket.gethostname(), os.getpid()
    target = folder / f"{EVENTS}{int(created):010d}.{host}.{pid}{SUFFIX}"
    with atomic_path(target) as aside, aside.open("xb") as file:
        file.writelines(tensorboard.event_file(table.names, table.rows(), created))
    for old in folder.glob(f"{EVENTS}*{SUFFIX}"):
        if old != target:
            old.unlink(missing_ok=True)
    _report(table, target)


def _check_folder(folder: Path, force: bool) -> None:
    """Raises MisuseError if the folder has event files: TensorBoard would draw both as one run."""
    try:
        names = [name for name in os.listdir(folder) if name.startswith(EVENTS)]
    except FileNotFoundError:
        return
    except OSError as error:
        raise GenuiError(f"{folder}: {(error.strerror or '').lower()}; name a folder") from None
    foreign = [name for name in names if not name.endswith(SUFFIX)]
    if foreign:
        raise MisuseError(f"{folder}: holds the event file {foreign[0]} of another program; "
                          "name another folder")  # fmt: skip
    if names and not force:
        raise MisuseError(f"{folder}: holds {names[0]} already; --force replaces it")


def _report(table: "Table", target: Path) -> None:
    steps, metrics = quantity(len(table), "step"), quantity(len(table.names), "metric")
    output.note(f"{target}: {steps}, {metrics}")
