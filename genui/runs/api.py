"""`genui.init`, `genui.log` and `genui.finish`: one run a process, ended with the process.

The call is that of wandb (https://docs.wandb.ai/models/ref/python) and trackio
(https://huggingface.co/docs/trackio), so `import genui as wandb` is the whole switch.
"""

import atexit
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, SupportsInt

from genui.runs.config import Config, fields_of, small_data
from genui.runs.disk import plain
from genui.runs.ignored import KEYWORDS, Ignored
from genui.runs.layout import create_script_run, read_info
from genui.runs.notes import Notes
from genui.runs.script import Run
from genui.runs.writer import one_line

_notes = Notes()


class _Process:
    """The runs of this process, and how it is about to end."""

    def __init__(self) -> None:
        self.current: Run | None = None
        self.open: list[Run] = []
        self.watched = 0  # process id in which the hooks were set
        self.exit: tuple[object, int] | None = None  # given to sys.exit, after so many logs


_process = _Process()


def init(project: str | None = None, config: Any = None, name: str | None = None, *,
         mode: str | None = None, reinit: Any = None, **ignored: Any) -> Run:  # fmt: skip
    """Starts a run and makes it the one that `log` writes to.

    Args:
        project: what the run belongs to; any text.
        config: hyperparameters as a dict, a Namespace or a dataclass.
        name: what to call the run; the project or the script's file where it is left out.
        mode: "disabled" gives a run that is written nowhere; wandb's other modes mean nothing.
        reinit: what to do about a run still going on: "return_previous" (so it is without),
            "finish_previous" (or True), or "create_new" beside it.
        ignored: further arguments of wandb and trackio; which of them were given is said once.

    Never raises: where no folder can be written the run is written nowhere, and stderr says so.
    """
    _mention(ignored)
    previous = current()
    wanted = reinit if isinstance(reinit, bool | str) else None  # an array compares to an array
    if previous is not None:
        if wanted in (True, "finish_previous"):
            previous.finish()
        elif wanted != "create_new":
            _notes.say("twice", f"init() again while {previous.id or 'a run'} goes on returns that "
                       "run; finish() it first, or give reinit=True")  # fmt: skip
            return previous
    run = _start(project, config, name, isinstance(mode, str) and mode == "disabled")
    if not (previous is not None and wanted == "create_new"):
        _process.current = run
    return run


def log(data: Mapping[str, Any], step: SupportsInt | None = None, commit: bool | None = None,
        **ignored: Any) -> None:  # fmt: skip
    """`Run.log` of the run that `init` started."""
    run = _process.current
    if run is None:
        _notes.say("early", "log() without init(): nothing is kept")
    else:
        run.log(data, step, commit)


def finish(exit_code: int | None = None, **ignored: Any) -> None:
    """`Run.finish` of the run that `init` started; without one nothing happens."""
    if _process.current is not None:
        _process.current.finish(exit_code)


def current() -> Run | None:
    """The run that `log` writes to; None before `init` and after `finish`."""
    run = _process.current
    return None if run is None or run.ended else run


def current_config() -> Config:
    """That of the newest run, or one that is kept nowhere."""
    return _process.current.config if _process.current else Config({}, lambda: None)


def current_summary() -> Config:
    """That of the newest run, or one that is kept nowhere."""
    return _process.current.summary if _process.current else Config({}, lambda: None)


def ignored_function(name: str) -> Ignored:
    """Stands in for a function or class of wandb's that means nothing here."""
    _notes.say(name, f"{name} does nothing here")
    return Ignored()


def _start(project: Any, config: Any, name: Any, disabled: bool) -> Run:
    title, group, values = "run", "", {}
    try:
        values = _values(config)
        group = plain("" if project is None else str(project))
        title = plain("" if name is None else str(name)) or group or _script()
        if not disabled:
            folder = create_script_run(title, group, small_data(values, _notes.say))
            run = Run(folder, read_info(folder).name, group, values)
            _watch()
            _process.open = [each for each in _process.open if not each.ended]
            _process.open.append(run)
            return run
    except Exception as error:
        _notes.say("start", f"this run is kept nowhere: {one_line(error)}")
    return Run(None, title, group, values)


def _values(config: Any) -> dict[str, Any]:
    try:
        return fields_of(config)
    except Exception:
        kind = type(config).__name__
        _notes.say("config", f"config is left out: {kind} is neither a dict nor like one")
        return {}


def _script() -> str:
    """The name of the script's file."""
    stem = Path(sys.argv[0]).stem if sys.argv else ""
    return stem if stem and not stem.startswith("-") else "run"  # -c, -m or typed in


def _mention(ignored: Mapping[str, Any]) -> None:
    given = [name for name, value in ignored.items() if value is not None]
    known = [name for name in given if name in KEYWORDS]
    if known:
        _notes.say("known", f"init() has no use for {', '.join(known)}")
    if others := [name for name in given if name not in KEYWORDS]:
        _notes.say("unknown", f"init() does not know {', '.join(others)}")


def _watch() -> None:
    """Hooks the ways in which a process ends, and the fork; once a process."""
    if _process.watched == os.getpid():
        return
    if not _process.watched:  # hooks are inherited by a fork
        atexit.register(_at_exit)
        os.register_at_fork(after_in_child=_after_fork)
        sys.excepthook = _excepthook(sys.excepthook)
        sys.exit = _exit(sys.exit)
    _process.watched = os.getpid()
    # A child of multiprocessing's ends without atexit and excepthook. Its own hook runs while
    # the exception that ends it is handled.
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _at_exit, exitpriority=1)


def _at_exit() -> None:
    code, logs = _process.exit or (None, -1)
    error = sys.exc_info()[1]
    total = sum(run.logs for run in _process.open)
    for run in _process.open:
        if error is not None:
            run.fail(error)
        else:
            # A sys.exit that was caught, and the training went on, says nothing of the end.
            run.finish_with(code if total == logs else None)


def _after_fork() -> None:
    for run in _process.open:
        run.forked()
    _process.open = []


Hook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]


def _excepthook(previous: Hook) -> Hook:
    """A sys.excepthook that ends the runs first: it is called for what nobody caught."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        for run in _process.open:
            run.fail(error)
        previous(kind, error, trace)

    return hook


def _exit(previous: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
    """A sys.exit that remembers its code: at exit nothing else tells it (wandb does so too)."""

    def leave(code: Any = None, /) -> NoReturn:
        if threading.current_thread() is threading.main_thread():
            _process.exit = (code, sum(run.logs for run in _process.open))
        previous(code)

    return leave
