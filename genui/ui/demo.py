"""The demo on Home: models at work until a key is pressed.

At first each pane plays frames that were read from a file: the user's last generation there or,
without one, a record of the package. Then, for a new user and on a machine that is not busy,
shipped models compute what their kinds offer, in a pane of their own or in the Training pane. On a
busy machine the records play again. Any key or click ends the demo, and so do two minutes or a slow
terminal; the last frames stay.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from textual import on
from textual.containers import Vertical
from textual.timer import Timer

from genui.base.config import AUTO, load_config
from genui.base.errors import GenuiError, MisuseError
from genui.base.late import late_imports
from genui.protocol.kinds import KINDS
from genui.protocol.settings import Settings
from genui.ui import messages
from genui.ui.generate.look import ImagePart
from genui.ui.generate.pane import TracePane
from genui.ui.home_panes import TrainingPane, panes_in_canvas
from genui.ui.keys import PaneName
from genui.ui.lifecycle import guard, is_usable
from genui.ui.session import Session
from genui.ui.terminal import get_metered_driver, may_animate
from genui.ui.traces.controller import TraceController
from genui.ui.traces.trees import ShownTrace, Source
from genui.ui.widgets.curve import Curve

with late_imports():
    from genui.ui.traces import records

if TYPE_CHECKING:
    from genui.runs.models import ModelInfo
    from genui.ui.home import HomeScreen

LONGEST = 120.0  # seconds
TICK = 0.1  # seconds
BUSY_TICKS = 4  # between two panes that are drawn on a busy machine: at most a tenth of a core
REST = 6.0  # seconds for which the last step of a record stays
END_TICKS = 20  # for which a finished trace stays
BUSY_CHECK = 10  # ticks between two looks at the load
MAX_BUSY = 12  # ticks in a row in which the terminal may be busy

HINT = "space plays live · ←→ step · e caption · 1 models · n trains · ? keys · F2 tour"
BUSY = "this machine is busy: these are recordings · space plays live"


def read_quiet() -> str:
    with suppress(MisuseError):  # the app has reported the fault of the settings
        return load_config().quiet
    return AUTO


def may_compute() -> bool:
    """Whether the demo may compute: the setting `quiet`; on auto, unless all processors are in
    use."""
    quiet = read_quiet()
    return quiet == "off" if quiet != AUTO else not is_busy()


def is_busy() -> bool:
    """Whether more programs want to compute than there are processors."""
    return os.getloadavg()[0] > (os.cpu_count() or 1)


@guard
class Preview(Vertical):
    """A demonstration in the Training pane, of a kind without a pane of its own on Home."""

    controller: TraceController[Any, Any]

    def __init__(self) -> None:
        super().__init__(classes="preview")

    def tick(self) -> None:
        """Show the steps that were computed since the last tick."""
        raise NotImplementedError

    def paint(self) -> None:
        raise NotImplementedError

    def hold(self) -> None:
        """Show the current step, and nothing that moves."""
        self.paint()

    # --- the Listener of the controller ---------------------------------------------------

    def repaint(self) -> None:
        if is_usable(self):
            self.paint()

    def repaint_soon(self) -> None:
        """New frames are painted at the next tick."""

    def clear_line(self) -> None:
        """A demo is not a user action."""

    def say(self, line: str, kind: Literal["error", "note"] = "note") -> None:
        """A demo shows no messages."""

    def ask_prompt(self) -> None:
        """A demo has its prompt."""

    def forget_questions(self) -> None:
        """A demo asks none."""

    @on(messages.Reply)
    def _handle_reply(self, event: messages.Reply) -> None:
        self.controller.handle(event.reply)


MakePreview = Callable[[Session, TrainingPane], Preview]


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """The demonstration in a pane of Home until the user acts: the last generation there, or the
    record of the package; then traces that are computed for a new user."""

    pane: PaneName
    pace: float = 0.6
    """Seconds for which a recorded step is shown."""
    model: str = ""
    """The shipped model that computes; "" in the Training pane."""
    prompts: Sequence[str] = ()
    settings: Settings | None = None
    """The settings that it computes with, if not those of its pane."""
    preview: MakePreview | None = None
    """Makes the widget that shows it in the Training pane."""


def list_demonstrations() -> list[Demonstration]:
    """Return what kinds offer, in the order of their places."""
    offers = dict.fromkeys(kind.demo for kind in KINDS.values() if kind.demo is not None)
    return [shown for offer in offers if isinstance(shown := offer(), Demonstration)]


def _first_of_each_pane(offers: Sequence[Demonstration]) -> dict[str, Demonstration]:
    """Return the first demonstration of each pane."""
    found: dict[str, Demonstration] = {}
    for shown in offers:
        found.setdefault(shown.pane, shown)
    return found


class SavedTrace(NamedTuple):
    """A trace that was read from a file, with its model and the pane that shows it."""

    pane: PaneName
    trace: ShownTrace[Any]
    model: "ModelInfo"


def find_saved(pane: PaneName) -> SavedTrace | None:
    """The user's last generation in a pane, or its record; for "canvas" also the last generation in
    a pane in its place. None without either. Call it on a thread."""
    names = [pane, *(panes_in_canvas() if pane == "canvas" else ())]
    last = [records.last_path(name) for name in names if records.last_path(name).is_file()]
    newest = max(last, key=lambda path: path.stat().st_mtime, default=None)
    choices: tuple[tuple[Path | None, Source], ...]
    choices = (newest, "last"), (records.record_path(pane), "record")
    for path, source in choices:
        with suppress(GenuiError):  # damaged, or its model is gone
            if path is not None:
                return SavedTrace(path.stem, *records.read_trace(path, source))
    return None


class Player:
    """Moves the playhead of a trace that was read, as time goes by."""

    def __init__(self, saved: SavedTrace, pace: float) -> None:
        self.saved = saved
        self._pace = pace  # seconds a step
        self.begin()

    def begin(self) -> None:
        """Play from the first step."""
        self._begun = time.monotonic()
        self.saved.trace.seek(0)

    def tick(self) -> bool:
        """Go to the step that is due now. Returns whether it is another one."""
        trace = self.saved.trace
        before = trace.position
        trace.seek(int((time.monotonic() - self._begun) / self._pace))
        return trace.position != before

    @property
    def is_over(self) -> bool:
        """Whether its last step was shown long enough."""
        return time.monotonic() - self._begun > self._pace * self.saved.trace.total + REST


class Demo:
    """Plays the demo on Home until the user acts."""

    def __init__(self, home: "HomeScreen", session: Session) -> None:
        self._home = home
        self._session = session
        self._timer: Timer | None = None
        self._preview: Preview | None = None
        self._players: dict[str, Player] = {}  # by pane
        self._models: dict[str, ModelInfo] = {}  # shipped, to compute with; for a new user only
        self._part: ImagePart = "denoised"  # what the Canvas showed of a step before the demo
        self._counts: Counter[str] = Counter()  # of the prompts played in a pane
        self._ticks = 0
        self._is_busy = False
        self._end_ticks: Counter[str] = Counter()  # since the trace of a pane has finished
        self._busy_ticks = 0  # in a row
        self._began = 0.0  # in monotonic seconds
        self.over = False

    @property
    def playing(self) -> bool:
        return self._timer is not None

    @cached_property
    def _offers(self) -> dict[str, Demonstration]:
        """The demonstrations that may play, by pane."""
        return _first_of_each_pane(list_demonstrations())

    @property
    def refs(self) -> list[str]:
        """The models that it computes with."""
        return [model.ref for model in self._models.values()]

    # --- beginning and ending ---------------------------------------------------------------

    async def show_files(self) -> None:
        """Show the recorded trace of each pane, and play it. With the setting `quiet`, and once the
        user has acted, it stands still."""
        for shown in self._offers.values():  # of text first: images need numpy
            saved = await asyncio.to_thread(find_saved, shown.pane)
            if saved is None or not await self._show(saved, shown.preview):
                continue
            if not self.over and read_quiet() != "on":
                self._players[saved.pane] = Player(saved, shown.pace)
                self._go()
        self._greet()

    async def _show(self, saved: SavedTrace, make: MakePreview | None) -> bool:
        """Show a recorded trace, unless the pane shows something already."""
        home = self._home
        if make is not None:
            if home.watched is not None or home.runs:
                return False
            await self._show_preview(make)
        else:
            await home.mount_pane(saved.pane)
        place = self._place(saved.pane)
        if place.controller.trace is not None:
            return False
        place.controller.show_saved(saved.trace, saved.model)
        place.hold()
        return True

    def start(self, models: "tuple[ModelInfo, ...]") -> None:
        """Let shipped models compute for a new user, unless the demo is over or one is missing."""
        if self.over or self._models or read_quiet() == "on":
            return
        by_name = {model.name: model for model in models if model.source == "shipped"}
        here = [one for one in list_demonstrations() if not one.model or one.model in by_name]
        offers = _first_of_each_pane(here)
        if offers.keys() != self._offers.keys():
            return
        self._offers = offers
        self._models = {one.model: by_name[one.model] for one in offers.values() if one.model}
        if may_compute():
            self._go()
        self._greet()

    def _greet(self) -> None:
        """Show a new user the Canvas, if there is room for one pane only, and a hint."""
        home = self._home
        if not (self.playing and self._models):
            return
        if home.alone:
            home.action_show_pane("canvas")
        if home.is_hint_shown:
            home.say(HINT if may_compute() else BUSY, "hint")

    def _go(self) -> None:
        if self._timer is None:
            self._began = time.monotonic()
            self._timer = self._home.set_interval(TICK, self._tick)
            view = self._place("canvas").view
            self._part, view.part = view.part, "x"  # show noise that becomes an image

    def stop(self, still: bool = False) -> None:
        """Stop for good at the last frames. A clip plays for a while, unless `still`."""
        self.over = True
        if self._timer is None:
            return
        self._timer.stop()
        self._timer = None
        self._place("canvas").view.part = self._part
        for place in (*self._home.query(TracePane), *self._home.query(Preview)):
            trace = place.controller.trace
            place.controller.pause()
            if trace is not None and trace.is_read:
                trace.seek(trace.total)
            if still:
                place.hold()
            else:
                place.repaint()

    def clear_training(self) -> None:
        """Remove the training from the pane, which is needed for a run."""
        if self._preview is not None:
            self._preview.controller.pause()
            self._preview.remove()
            self._preview = None
            self._home.query_one(TrainingPane).remove_class("-preview")

    def _place(self, name: str) -> Any:
        """The pane, or the training in the Training pane."""
        return self._preview if name == "training" else self._home.query_one(f"#{name}", TracePane)

    # --- rounds -----------------------------------------------------------------------------

    def _tick(self) -> None:
        driver = get_metered_driver(self._home.app)
        self._busy_ticks = self._busy_ticks + 1 if driver is not None and driver.busy else 0
        if self._ticks % BUSY_CHECK == 0:
            self._is_busy = not may_compute()
        self._ticks += 1
        if self._busy_ticks > MAX_BUSY or time.monotonic() - self._began > LONGEST:
            self.stop(still=True)
            return
        home = self._home
        names: list[PaneName] = [name for name in (home.slot, "text") if home.shows(name)]
        if "training" in self._offers and home.shows("training") and home.watched is None:
            names.append("training")
        for number, name in enumerate(names):
            turn = self._ticks % (BUSY_TICKS * len(names)) == BUSY_TICKS * number
            self._tick_pane(name, turn or not self._is_busy)

    def _tick_pane(self, name: PaneName, draw: bool) -> None:
        place, player = self._place(name), self._players.get(name)
        trace = place.controller.trace if place is not None else None
        if player is not None and trace is player.saved.trace:
            if draw:
                self._paint_read(place, player.tick())
            done = player.is_over
        else:
            done = trace is None or self._is_done(name, trace)
            if name == "training" and place is not None:
                place.tick()
        if done:
            self._next(name)

    def _paint_read(self, place: Any, moved: bool) -> None:
        """Draw the step of a trace that was read or, of a clip, the next frame."""
        if not may_animate(self._home.app, 0.0):
            return
        clip = place.view if isinstance(place, TracePane) else None
        animated = clip is not None and clip.animate_step()
        if moved:
            place.paint()
        elif clip is not None and animated:
            clip.paint_animated()

    def _is_done(self, name: str, trace: ShownTrace[Any]) -> bool:
        """Whether the finished trace of a pane has been shown long enough."""
        if not trace.finished:
            self._end_ticks[name] = 0
            return False
        self._end_ticks[name] += 1
        return self._end_ticks[name] > END_TICKS

    def _next(self, name: PaneName) -> None:
        """Compute in a pane or, on a busy machine, play its record; traces of the user stay."""
        player = self._players.get(name)
        if player is not None and player.saved.trace.source == "last":
            return
        if self._models and self._session.ready is not None and not self._is_busy:
            shown = self._offers.get(name)
            if shown is not None and shown.preview is not None:
                self._home.run_worker(
                    self._compute_preview(shown, shown.preview), exit_on_error=False
                )
            elif shown is not None:
                self._compute(shown)
        elif player is not None:
            player.begin()
            controller = self._place(name).controller
            if controller.trace is not player.saved.trace:
                _replace(controller, lambda: controller.show_saved(*player.saved[1:]))

    def _compute(self, shown: Demonstration) -> None:
        """Generate with the next prompt, in place of the trace that the pane shows."""
        controller = self._place(shown.pane).controller
        if shown.model and controller.model is not self._models[shown.model]:
            controller.use_model(self._models[shown.model])
        if shown.settings is not None:
            controller.settings = shown.settings
        if shown.prompts:
            controller.prompt = shown.prompts[self._counts[shown.pane] % len(shown.prompts)]
        self._counts[shown.pane] += 1
        controller.seed = random.randrange(1, 10_000)
        _replace(controller, lambda: controller.start_over(play=True))
        if controller.trace is not None:
            controller.trace.source = "demo"
        controller.refresh()

    async def _compute_preview(self, shown: Demonstration, make: MakePreview) -> None:
        await self._show_preview(make)
        if self._preview is not None and not self.over:
            self._compute(shown)

    async def _show_preview(self, make: MakePreview) -> None:
        """Make room for a preview in the Training pane, if there is none."""
        pane = self._home.query_one(TrainingPane)
        if self._preview is None:
            pane.add_class("-preview")
            pane.query_one(Curve).clear("")
            self._preview = make(self._session, pane)
            await pane.query_one(".body").mount(self._preview)
            self._preview.paint()


def _replace(controller: TraceController[Any, Any], begin: Callable[[], object]) -> None:
    """Begin another trace in place of the earlier ones."""
    old = [branch.number for branch in controller.tree.branches]
    begin()
    for number in old:
        controller.drop(number)
