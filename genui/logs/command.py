"""`genui run -- COMMAND`: a command as a run of its own, started and recorded in the background.

The recorder is this module as a process with a session of its own. It starts the command, reads
what it prints, measures the command's processes, and takes a stop: first Ctrl+C, as at a terminal.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from genui.base.errors import GenuiError
from genui.base.secret import mask_command
from genui.logs.printed import CHUNK, Recorder, choice_key, record_input
from genui.logs.printed_choice import recall
from genui.runs import control
from genui.runs.api import Run, plain_data
from genui.runs.endings import signal_name
from genui.runs.layout import RunDir, create_script_run, read_info

SIGNALS = ((signal.SIGINT, 15.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))
"""What a stop sends to the command and all its children, and the seconds until the next."""

_POLL = 0.2  # seconds
_LINGER = 1.0  # seconds: a child that was left behind may hold the output open for ever


def create(command: Sequence[str], name: str = "", project: str = "") -> RunDir:
    """The folder of a new run for the command. Raises GenuiError if it cannot be written."""
    script = next((word for word in command if word.endswith((".py", ".sh"))), command[0])
    folder = os.environ.get("PWD", "")
    with suppress(OSError):  # removed
        folder = os.getcwd()
    # Names may be no UTF-8.
    config = plain_data({"command": mask_command(command), "folder": folder})
    return create_script_run(name or Path(script).stem, project, config)


def record(folder: RunDir, command: Sequence[str], echo: int | None = None) -> int:
    """Runs the command to its end into the run. Returns its exit code, 128 + N after a signal N.

    Its output is also copied to the descriptor `echo`. Raises GenuiError if the folder cannot be
    written; the command is not started then.
    """
    info = read_info(folder)
    with Run(folder, info.name, info.project, info.config) as run:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={"PYTHONUNBUFFERED": "1", **os.environ},
                start_new_session=True,  # so that a stop reaches all its children
            )
        except OSError as error:
            line = f"cannot start {command[0]}: {error.strerror}"
            run.write_line(line)
            run.end("failed", line)
            return 127
        run.measure(process.pid)
        stopper = threading.Thread(target=_stop_on_request, args=(run, process), daemon=True)
        stopper.start()
        _read(Recorder(run, recall(choice_key(folder)), echo), process)
        code = process.wait()
        if run.stop_requested:
            stopper.join()
            run.end("stopped")
        elif code == 0:
            run.end("finished")
        else:
            run.end("failed", _describe(code))
        return code if code >= 0 else 128 - code


def _describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal_name(-code)}"


def _read(recorder: Recorder, process: "subprocess.Popen[bytes]") -> None:
    """Records the output until it ends, or the command has ended and prints no more."""
    assert process.stdout is not None
    source = process.stdout.fileno()
    ended = 0.0
    while True:
        ready, _, _ = select.select([source], [], [], _POLL)
        data = os.read(source, CHUNK) if ready else b""
        if ready or ended:
            last = bool(ready and not data) or (not ready and time.monotonic() > ended + _LINGER)
            recorder.take(data, final=last)
            if last:
                return
        elif process.poll() is not None:
            ended = time.monotonic()


def _stop_on_request(run: Run, process: "subprocess.Popen[bytes]") -> None:
    """Waits for a stop, then ends the command and its children, also those that outlive it."""
    while not run.stop_requested:
        if run.ended or process.poll() is not None:
            return
        time.sleep(_POLL)
    for number, patience in SIGNALS:
        with suppress(OSError):
            os.killpg(process.pid, number)
        run.write_line(f"stop requested: sent {number.name}")
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if process.poll() is not None and not _has_members(process.pid):
                return
            time.sleep(_POLL)


def _has_members(group: int) -> bool:
    """Whether a process of that group lives."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def stop_on(numbers: Iterable[int], folder: RunDir) -> None:
    """Takes these signals to this process as a stop of the run."""

    def request_stop(*_: object) -> None:
        with suppress(GenuiError):
            control.send(folder, "stop")

    for number in numbers:
        signal.signal(number, request_stop)


def main(argv: Sequence[str]) -> int:
    """The recorder: the run's folder, then the command; without one it records its input."""
    path, *command = argv
    folder = RunDir(Path(path))
    # For the command, not for its recorder. Not SIG_IGN, which the command would inherit.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    if not command:
        record_input(folder)
        return 0
    stop_on([signal.SIGTERM], folder)
    try:
        return record(folder, command)
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr, flush=True)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
