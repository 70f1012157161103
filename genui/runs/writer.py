"""The writer of a run directory: metrics, status, console and samples."""

import json
import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self, SupportsFloat

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import (
    append_whole,
    atomic_write,
    drop_torn_line,
    open_append,
    remove_partial_files,
    sanitize,
    write_all,
    writing,
)
from genui.runs.facts import at_step
from genui.runs.layout import (
    LIVE,
    RunDir,
    RunLock,
    Status,
    last_status,
    read_info,
    starting,
    write_status,
)
from genui.runs.system import SystemLog

# A record is on disk as a whole line before `log` returns, so a crash or a full disk loses nothing
# earlier.

HEARTBEAT = 1.0
"""Seconds between two writes of status.json."""

_PATIENCE = 10.0  # seconds for a driver or a disk that hangs the heartbeat
RESERVED = frozenset({"step", "time", "rewind"})
"""Names that a metric may not have: the fields of every record."""


class RunWriter:
    """Writes one run, as a context manager that holds its lock and keeps its heartbeat.

    An exception in the block marks the run failed, with the exception as its error; leaving
    it in a live state marks it stopped. Every method raises GenuiError naming the path if the disk
    is full or cannot be written.
    """

    def __init__(self, run: RunDir, on_beat: Callable[[], None] | None = None) -> None:
        """`on_beat` is called on the heartbeat's thread before every beat and may not raise."""
        self.run = run
        self._on_beat = on_beat
        self._stack = ExitStack()
        self._lock = RunLock(run)
        self._metrics = -1
        self._console = -1
        self._status = Status(state="starting")
        # Over _status and its file; taken again by a signal handler that ends the run.
        self._guard = threading.RLock()
        self._leaving = threading.Event()
        self._system = SystemLog(run, self.write_line)

    @property
    def status(self) -> Status:
        """The content of status.json, now or at the next heartbeat."""
        return self._status

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._lock)
            for folder in (self.run.path, self.run.samples, self.run.checkpoints):
                remove_partial_files(folder)
            with writing(self.run.metrics):
                drop_torn_line(self.run.metrics)
                self._metrics = open_append(self.run.metrics)
            stack.callback(os.close, self._metrics)
            with writing(self.run.console):
                self._console = open_append(self.run.console)
            stack.callback(os.close, self._console)
            self._status = msgspec.structs.replace(
                last_status(self.run), **starting(), started=time.time(), eta=-1.0
            )
            write_status(self.run, self._status)
            heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
            heart.start()
            stack.callback(heart.join, _PATIENCE)
            stack.callback(self._leaving.set)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._stack:
            changes: dict[str, Any] = {}
            if self._status.state in LIVE:
                changes["state"] = "stopped"
            if isinstance(error, Exception):
                changes = {"state": "failed", "error": one_line(error)}
            try:
                with self._guard:
                    self._write(**changes)
            except GenuiError:
                if error is None:
                    raise
        self._alert()

    def _alert(self) -> None:
        """Sends that the run has finished or failed, if the user wants alerts."""
        status = self._status
        if status.state not in ("finished", "failed"):
            return
        from genui.runs import webhook  # late: few runs send alerts

        with suppress(GenuiError):
            info = read_info(self.run)
            end = at_step("finished", status.step)
            alert = end if status.state == "finished" else f"failed: {status.error}"
            values = {"name": info.name, "alert": alert, "step": str(status.step)}
            webhook.send(values | {"host": status.host, "project": info.project}, wait=True)

    def log(self, step: int, **values: SupportsFloat) -> None:
        """Appends one record to metrics.jsonl; the time is added. NaN and infinities are kept.

        Raises MisuseError for a metric called "time" or "rewind".
        """
        for name in RESERVED & values.keys():
            raise MisuseError(f"a metric may not be called '{name}': choose another name")
        self._append_record(step, {k: json_number(float(value)) for k, value in values.items()})

    def append(self, line: bytes) -> None:
        """Appends one whole encoded record, its newline included, to metrics.jsonl.

        Only one thread may append at a time. Raises OSError; an incomplete line is removed.
        """
        append_whole(self._metrics, line)

    def measure(self, pid: int | None) -> None:
        """Measures the load of that process and its children, and no longer of this one; with None
        that of the machine alone."""
        self._system = SystemLog(self.run, self.write_line, pid)

    def abandon(self) -> None:
        """In a child after a fork: closes the files of the run, which belongs to the parent.

        The child must not keep the lock after the parent has ended.
        """
        for fd in (self._lock.fd, self._metrics, self._console):
            with suppress(OSError):
                os.close(fd)

    def truncate_after(self, step: int) -> None:
        """Records that training continues from `step`: readers drop the points of later steps.

        The lines stay in the file; a marker is appended.
        """
        self._append_record(step, {"rewind": True})

    def update(self, **fields: Any) -> None:
        """Changes fields of Status. A new state or error is written at once, other fields within a
        second by the heartbeat, so it may be called every step."""
        with self._guard:
            if {"state", "error"} & fields.keys():
                self._write(**fields)
            else:
                self._status = msgspec.structs.replace(self._status, **fields)

    def write_line(self, line: str) -> None:
        """Appends to console.log, with the time; several lines each get it."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        text = "".join(f"{stamp} {part}\n" for part in line.splitlines() or [""])
        with writing(self.run.console):
            # Also a launched trainer's stdout: truncating could remove other lines.
            write_all(self._console, text.encode(errors="replace"))

    def rotate_console(self, limit: int) -> None:
        """Moves a console.log of more than `limit` bytes to console.log.1, over the one before.
        If it cannot, console.log grows on."""
        with suppress(OSError):
            if os.fstat(self._console).st_size > limit:
                os.replace(self.run.console, self.run.console.with_name("console.log.1"))
                fresh = open_append(self.run.console)
                os.dup2(fresh, self._console, inheritable=False)
                os.close(fresh)

    def save_sample(self, step: int, suffix: str, data: bytes) -> Path:
        """Writes the sample of that step, whole or not at all, and returns its path."""
        path = self.run.sample(step, suffix)
        atomic_write(path, data)
        return path

    def _beat(self) -> None:
        while not self._leaving.wait(HEARTBEAT):
            if self._on_beat is not None:
                self._on_beat()
            # A full disk is reported by the next log() or checkpoint, where the trainer can handle
            # it.
            with suppress(GenuiError), self._guard:
                self._write()
            self._system.beat()

    def _write(self, **fields: Any) -> None:
        """Writes status.json with a new heartbeat; the caller holds `_guard`."""
        self._status = msgspec.structs.replace(self._status, heartbeat=time.time(), **fields)
        write_status(self.run, self._status)

    def _append_record(self, step: int, fields: dict[str, object]) -> None:
        record = {"step": int(step), "time": round(time.time(), 3), **fields}
        with writing(self.run.metrics):
            self.append(json.dumps(record, separators=(",", ":")).encode() + b"\n")


def json_number(value: float) -> float | str:
    """The number for JSON, which has no NaN: most readers know these words."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def one_line(error: BaseException) -> str:
    """The exception as one line. Never raises."""
    try:
        text = sanitize(" ".join(str(error).split()), 1000)
    except Exception:  # raised by an exception of the script's own
        text = ""
    if isinstance(error, GenuiError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
