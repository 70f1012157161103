"""The recorder of `command | genui watch -`: the output of a command becomes a run."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from genui.base.errors import GenuiError
from genui.base.files import write_all, writing
from genui.logs.printed_choice import Choice, key_of_run, recall
from genui.logs.printed_log import Lines, PrintedLog
from genui.runs.api import Run
from genui.runs.layout import RunDir, create_script_run, read_info
from genui.runs.writer import one_line

# --- The recorder: the end of the pipe in `command | genui watch -` -----------------------------
# The recorder is a process with a session of its own. The app only watches the run's folder, so
# quitting the app or a dropped connection does not close the pipe of the command.

CHUNK = 64 * 1024  # the capacity of a pipe

MAX_CONSOLE = 64 * 1024 * 1024
"""Bytes of console.log, after which a new one is begun; console.log.1 has those before."""


def create(name: str = "", project: str = "") -> RunDir:
    """The folder of a new run for the output. Raises GenuiError if it cannot be written."""
    return create_script_run(name or project or "piped", project, {})


def record(
    folder: RunDir, source: int, echo: int | None = None, choice: Choice | None = None
) -> None:
    """Reads the file descriptor `source` to its end into the run, and ends the run.

    Lines go to the console log and their metrics to the metrics. If it was not certain how to read
    the steps, the console log and the config say how they were read. `echo` is as in Recorder.
    Raises GenuiError if the folder cannot be written.
    """
    info = read_info(folder)
    with Run(folder, info.name, info.project) as run:
        run.measure(None)  # which process writes into the pipe is not known
        recorder = Recorder(run, choice, echo)
        while data := os.read(source, CHUNK):
            recorder.take(data)
        recorder.take(b"", final=True)
        run.end("finished")


class Recorder:
    """Writes the output of a command into a run: its console, and the metrics read from it."""

    def __init__(self, run: Run, choice: Choice | None = None, echo: int | None = None) -> None:
        """Every byte is copied to the descriptor `echo`, if given, while somebody reads it."""
        self._run, self._echo = run, echo
        self._lines, self._log = Lines(), PrintedLog(choice)
        self._known = 0, 0  # how many notes and units of the log were written

    def take(self, data: bytes, final: bool = False) -> None:
        """Takes the next output; with `final` also lines that are held back."""
        if data and self._echo is not None:
            try:
                write_all(self._echo, data)
            except OSError:
                self._echo = None  # the reader has ended, which must not end the command
        lines = self._lines.take(data, final=final)
        if console := [line.text for line in lines if line.stays and line.text.strip()]:
            self._run.write_line("\n".join(console))
        points = [point for line in lines for point in self._log.take(line.text, line.stays)]
        for step, metrics in points + (self._log.finish() if final else []):
            self._run.log(metrics, step=step)
        if new := self._log.notes[self._known[0] :]:
            self._run.write_line("\n".join(f"genui: {note}" for note in new))
        known = len(self._log.notes), len(self._log.units)
        if known != self._known:
            self._known = known
            self._run.config.update(self._log.describe())
        self._run.rotate_console(MAX_CONSOLE)


def choice_key(run: RunDir) -> str:
    """The key of the user's choice about printed lines."""
    info = read_info(run)
    return key_of_run(info.project, info.name)


def start_recorder(run: RunDir, command: Sequence[str] = ()) -> None:
    """Starts a recorder in the background, which outlives this process: of the command, which it
    starts, or of the standard input of this process. Raises GenuiError."""
    with writing(run.console), run.console.open("ab") as console:
        subprocess.Popen(
            [sys.executable, "-m", "genui.logs.command", str(run.path), *command],
            stdin=subprocess.DEVNULL if command else None,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )


def record_input(folder: RunDir) -> None:
    """Records standard input until it ends; after an error the rest of the output is still read."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        record(folder, 0, choice=recall(choice_key(folder)))
    except KeyboardInterrupt:
        return
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr, flush=True)
    except Exception as error:
        print(f"genui: no longer recording: {one_line(error)}", file=sys.stderr, flush=True)
    with suppress(OSError):
        while os.read(0, CHUNK):
            pass
