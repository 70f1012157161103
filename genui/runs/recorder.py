"""What a command prints, kept as a run: the end of the pipe in `command | genui watch -`.

The recorder is a process of its own with a session of its own. The app watches the run's folder
alone, so quitting it, or a link that drops, never closes the pipe under the command.
"""

import os
import signal
import sys
from contextlib import suppress

from genui.errors import GenuiError
from genui.runs.disk import cannot_write, write_all
from genui.runs.layout import RunDir, create_script_run, read_info
from genui.runs.printed import Lines, Printed, PrintedLog
from genui.runs.script import Run
from genui.runs.writer import one_line

CHUNK = 64 * 1024  # what a pipe holds


def create(name: str = "", project: str = "") -> RunDir:
    """The folder of a run for what is about to be printed. Raises GenuiError where the disk
    refuses."""
    return create_script_run(name or project or "piped", project, {})


def record(folder: RunDir, source: int, echo: int | None = None) -> None:
    """Reads the descriptor `source` to its end into the run, and ends the run.

    Lines go to its console log and the measurements in them (genui.runs.printed) to its
    metrics; every byte goes on to the descriptor `echo`, if one is given, for as long as
    somebody reads it. Raises GenuiError where the folder cannot be written.
    """
    info = read_info(folder)
    with Run(folder, info.name, info.project) as run:
        lines, log = Lines(), PrintedLog()
        while True:
            data = os.read(source, CHUNK)
            if data and echo is not None:
                try:
                    write_all(echo, data)
                except OSError:
                    echo = None  # whoever read it has left; the command must not notice
            _take(run, log, lines.take(data, final=not data))
            if not data:
                break
        run.end("finished")


def _take(run: Run, log: PrintedLog, lines: list[Printed]) -> None:
    kept = [line.text for line in lines if line.stays and line.text.strip()]
    if kept:
        run.say("\n".join(kept))
    for line in lines:
        found = log.take(line.text)
        if found is not None:
            step, metrics = found
            run.log(metrics, step=step)


def detach(folder: RunDir) -> None:
    """Hands standard input to a recorder in the background, which outlives this process.

    To be called before any thread is started, since it forks. Raises GenuiError where the
    run's console log cannot be opened.
    """
    try:
        console = os.open(folder.console, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(folder.console, error) from None
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(console)
        os.waitpid(child, 0)
        return
    # Twice, so that nobody has to wait for the recorder when it ends.
    code = 1
    try:
        os.setsid()
        if os.fork() == 0:
            os.dup2(console, 1)
            os.dup2(console, 2)
            _serve(folder)
        code = 0
    finally:
        os._exit(code)


def _serve(folder: RunDir) -> None:
    """Records until the command ends; whatever goes wrong here, its output is read to the end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        record(folder, 0)
    except KeyboardInterrupt:
        return
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr, flush=True)
    except Exception as error:
        print(f"genui: no longer recording: {one_line(error)}", file=sys.stderr, flush=True)
    with suppress(OSError):
        while os.read(0, CHUNK):
            pass
