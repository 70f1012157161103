"""The thread that reads runs and models from disk, so that the app never waits for one.

Every look compares with the last and posts only what changed: an idle app repaints nothing.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual.message_pump import MessagePump

from genui.errors import GenuiError
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, list_runs, summarise
from genui.ui import messages
from genui.ui.looking import RunLook

if TYPE_CHECKING:
    from genui.runs.catalog import ModelInfo

LIVE_POLL = 0.26  # seconds between looks at a run that trains
IDLE_POLL = 1.0
PATIENCE = 1.0  # seconds for which a screen may hold up the reading
MODELS_POLL = 5.0  # new checkpoints of running trainings


class Watcher:
    """Looks at the lists and at some runs, on its own thread, and posts what changed to `host`.

    `runs` lists what there is to watch, newest first; `models` what can generate.
    """

    def __init__(
        self,
        host: MessagePump,
        runs: Callable[[], list[RunSummary]] = list_runs,
        models: "Callable[[], list[ModelInfo]]" = list,
    ) -> None:
        self._host = host
        self._lists = _Lists(runs, models)
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._wanted: tuple[RunSummary | RunDir, ...] = ()
        self._stale = True  # the lists are to be read again at once
        self._lists_fault = ""  # why they could not be read, as was said
        self._thread = threading.Thread(target=self._loop, name="genui-watch", daemon=True)

    def start(self, hurry: bool = True) -> None:
        """Begin looking; without `hurry` only the first part of each log is read until it is."""
        if hurry:
            self._hurry.set()
        self._thread.start()

    def hurry(self) -> None:
        """Read on: the first curves are on the screen, which reading would have held up."""
        self._hurry.set()

    def stop(self) -> None:
        """End the thread after the look it is at; does not wait for it."""
        self._stop.set()
        self._wake.set()

    def watch(self, *runs: RunSummary | RunDir) -> None:
        """Look at these runs from now on, and at no other; the first matters most."""
        self._wanted = runs
        self._wake.set()

    @property
    def watched(self) -> tuple[RunDir, ...]:
        """The runs that are looked at, the first of them first."""
        return tuple(one.run if isinstance(one, RunSummary) else one for one in self._wanted)

    def refresh(self) -> None:
        """Read the lists again at once: a run was just started."""
        self._stale = True
        self._wake.set()

    def _loop(self) -> None:
        looks: dict[RunDir, RunLook] = {}
        faults: dict[RunDir, str] = {}
        while not self._stop.is_set():
            self._wake.clear()
            wanted = {one.run if isinstance(one, RunSummary) else one: one for one in self._wanted}
            looks = {run: looks.get(run) or _look_at(one) for run, one in wanted.items()}
            for look in looks.values():
                view = look.read()
                if view is not None and not self._stop.is_set():
                    self._host.post_message(messages.RunChanged(view))
                if look.fault != faults.get(look.run, ""):
                    faults[look.run] = look.fault
                    if look.fault:
                        self._host.post_message(messages.Say(look.fault))
            self._read_lists()
            if any(look.behind for look in looks.values()):
                self._hurry.wait(PATIENCE)
            else:
                live = any(look.live for look in looks.values())
                self._wake.wait(LIVE_POLL if live else IDLE_POLL)

    def _read_lists(self) -> None:
        stale, self._stale = self._stale, False
        try:
            changed = self._lists.read(fresh=stale)
        except GenuiError as error:
            fault = str(error)
            if fault != self._lists_fault:  # once, not every second: Esc clears it
                self._host.post_message(messages.Say(fault))
        else:
            fault = ""
            if changed is not None:
                self._host.post_message(changed)
        self._lists_fault = fault


def _look_at(run: RunSummary | RunDir) -> RunLook:
    return RunLook(summarise(run) if isinstance(run, RunDir) else run)


class _Lists:
    """The lists of models and runs, and when they were read."""

    def __init__(
        self, runs: Callable[[], list[RunSummary]], models: "Callable[[], list[ModelInfo]]"
    ) -> None:
        self._list_runs, self._list_models = runs, models
        self._models: list[ModelInfo] = []
        self._runs: list[RunSummary] = []
        self._runs_at = 0.0
        self._models_at = 0.0
        self._due = IDLE_POLL  # seconds; more where the runs are so many that a look takes long

    def read(self, fresh: bool) -> messages.ListsChanged | None:
        """The lists if they are due and changed since last time."""
        now = time.monotonic()
        if not fresh and now - self._runs_at < self._due:
            return None
        runs = self._list_runs()
        self._runs_at = time.monotonic()
        self._due = max(IDLE_POLL, 200 * (self._runs_at - now))  # half a percent of a core
        models = self._models
        if fresh or now - self._models_at >= MODELS_POLL:
            self._models_at = now
            models = self._list_models()
        if not fresh and models == self._models and _shown(runs) == _shown(self._runs):
            return None
        self._models, self._runs = models, runs
        return messages.ListsChanged(models, runs)


def _shown(runs: Sequence[RunSummary]) -> list[tuple[object, ...]]:
    """What of the runs can be seen in a list; heartbeats change every second and cannot."""
    return [
        (s.run.id, s.state, s.status.step, s.status.steps, s.status.error, s.fault) for s in runs
    ]
