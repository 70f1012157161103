"""The demo on Home: shipped models at work until a key is pressed.

The Canvas denoises captions that `icons` draws well, Text writes plays, and the Training pane
shows a small training of the Lab. They are ordinary traces, computed while they are shown. Any
key or click ends the demo; its traces stay. It also ends after a few rounds or if the terminal is
slow, and does not start if other programs need the processor.
"""

import os
import random
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.timer import Timer

from genui.base.config import AUTO, load_config
from genui.base.errors import MisuseError
from genui.protocol import LabSettings
from genui.ui import messages
from genui.ui.generate.image import NOISE_SIDE, CanvasView
from genui.ui.generate.pane import TracePane
from genui.ui.home_panes import TrainingPane
from genui.ui.session import Session
from genui.ui.terminal import get_metered_driver, may_animate
from genui.ui.traces.compare import Part
from genui.ui.widgets.base import LifecycleGuard
from genui.ui.widgets.curve import Curve

if TYPE_CHECKING:
    from genui.runs.models import ModelInfo
    from genui.ui.home import HomeScreen

CAPTIONS = (
    "green cat on white",
    "red heart on black",
    "blue rocket on yellow",
    "orange fish on blue",
    "purple ghost on white",
    "yellow star on blue",
    "pink flower on black",
)
"""Captions that the model has not seen and draws well."""

SPEAKERS = ("ROMEO:\n", "JULIET:\n", "KING RICHARD III:\n", "GLOUCESTER:\n")
LAB = LabSettings(steps=600)
ROUNDS = 2  # through the captions
TICK = 0.125  # seconds
END_TICKS = 20  # for which a finished trace stays
NOISE_TICKS = 2  # between two images of noise
MAX_BUSY = 12  # ticks in a row in which the terminal may be busy

HINT = "space pauses · ←→ step · e caption · 1 models · n trains · ? keys · F2 tour"


def may_play() -> bool:
    """Whether the demo may play: the setting `quiet`; on auto, unless all processors are in use."""
    quiet = AUTO
    with suppress(MisuseError):  # the app has said what is wrong with the settings
        quiet = load_config().quiet
    if quiet != AUTO:
        return quiet == "off"
    return os.getloadavg()[0] <= (os.cpu_count() or 1)


class LabPreview(LifecycleGuard, Vertical):
    """A training of the Lab in the Training pane, whose curve shows its loss."""

    def __init__(self, session: Session, curve: Curve) -> None:
        super().__init__(classes="preview")
        # Late: they import numpy.
        from genui.ui.lab import Curves, LabController, PlaneCache
        from genui.ui.widgets.plane import PlaneView

        self._curve = curve
        self._curves = Curves()
        self._planes = PlaneCache()
        self._view = PlaneView()
        self.controller = LabController(session, self)
        self.controller.settings = LAB

    def compose(self) -> ComposeResult:
        yield self._view

    def play(self, seed: int) -> None:
        self.controller.seed = seed
        self.controller.start_over(play=True)

    def tick(self) -> None:
        trace = self.controller.trace
        if trace is not None and trace.tick(4.0, 1 / TICK) and may_animate(self.app, 0.0):
            self._paint()

    def _paint(self) -> None:
        from genui.formats.points import scene_of

        trace = self.controller.trace
        if trace is None or not trace.frames:
            return
        if (plane := self._planes.latest(trace, 0.0)) is not None:
            self._view.show(scene_of(plane, trace.frames[0]))
        self._curves.take(trace)
        losses = self._curves.losses
        if losses:
            self._curve.set_series(losses, dict.fromkeys(losses, "smoothed"))

    # --- the Listener of the controller ---------------------------------------------------

    def repaint(self) -> None:
        if self.usable:
            self._paint()

    def repaint_soon(self) -> None:
        """New frames are painted at the next tick."""

    def clear_line(self) -> None:
        """A demo is not a user action."""

    def say(self, line: str, kind: Literal["error", "note"] = "note") -> None:
        """A demo shows no messages."""

    def ask_prompt(self) -> None:
        """A demo has its prompt."""

    @on(messages.Reply)
    def _handle_reply(self, event: messages.Reply) -> None:
        self.controller.handle(event.reply)


class Demo:
    """Plays the demo on Home until the user acts."""

    def __init__(self, home: "HomeScreen", session: Session) -> None:
        self._home = home
        self._session = session
        self._timer: Timer | None = None
        self._preview: LabPreview | None = None
        self._part: Part = "denoised"  # what the Canvas showed of a step before the demo
        self._count = 0  # of captions played
        self._ticks = 0
        self._end_ticks: Counter[str] = Counter()  # since the trace of a pane has finished
        self._busy_ticks = 0  # in a row
        self.over = False

    @property
    def playing(self) -> bool:
        return self._timer is not None

    def start(self, models: "tuple[ModelInfo, ...]") -> None:
        """Start playing, unless the demo is over or one of the models is missing."""
        if self.over or self.playing or not may_play():
            return
        by_name = {model.name: model for model in models if model.source == "shipped"}
        if not {"icons", "shakespeare"} <= by_name.keys():
            return
        home = self._home
        if home.alone:
            home.action_show_pane("canvas")
            if home.is_hint_shown:
                home.say(HINT, "hint")
        self._timer = home.set_interval(TICK, self._tick)
        self._pane("text").controller.use_model(by_name["shakespeare"])
        canvas = self._pane("canvas")
        canvas.controller.use_model(by_name["icons"])
        self._part, canvas.view.part = canvas.view.part, "x"  # show noise that becomes an image
        self._draw_noise()
        self._next_image()
        if home.shows("text"):
            self._next_text()
        if home.shows("training"):
            self._next_training()

    def stop(self) -> None:
        """Stop for good; the traces stay as they are."""
        self.over = True
        if self._timer is None:
            return
        self._timer.stop()
        self._timer = None
        canvas = self._canvas_view
        canvas.part, canvas.noise = self._part, b""
        for pane in self._home.query(TracePane):
            pane.controller.pause()
            pane.controller.refresh()
        if self._preview is not None:
            self._preview.controller.pause()

    def clear_training(self) -> None:
        """Remove the training from the pane, which is needed for a run."""
        if self._preview is not None:
            self._preview.controller.pause()
            self._preview.remove()
            self._preview = None
            self._home.query_one(TrainingPane).remove_class("-preview")

    def _pane(self, name: str) -> TracePane:
        return self._home.query_one(f"#{name}", TracePane)

    @property
    def _canvas_view(self) -> CanvasView:
        return cast("CanvasView", self._pane("canvas").view)

    def _draw_noise(self) -> None:
        """Make other noise, which the Canvas shows until the model has loaded."""
        values = (int(random.gauss(128, 85)) for _ in range(3 * NOISE_SIDE**2))
        self._canvas_view.noise = bytes(min(max(value, 0), 255) for value in values)

    # --- rounds -----------------------------------------------------------------------------

    def _tick(self) -> None:
        driver = get_metered_driver(self._home.app)
        self._busy_ticks = self._busy_ticks + 1 if driver is not None and driver.busy else 0
        self._ticks += 1
        trace = self._pane("canvas").trace
        if trace is None or trace.frames:
            self._canvas_view.noise = b""
        elif self._ticks % NOISE_TICKS == 0:
            self._draw_noise()
        canvas_done = self._is_done("canvas", self._pane("canvas").controller)
        if self._busy_ticks > MAX_BUSY or (canvas_done and self._count >= ROUNDS * len(CAPTIONS)):
            self.stop()
            return
        if canvas_done:
            self._next_image()
        if self._preview is not None:
            self._preview.tick()
            if self._is_done("training", self._preview.controller):
                self._next_training()
        if self._is_done("text", self._pane("text").controller):
            self._next_text()

    def _is_done(self, name: str, controller: Any) -> bool:
        """Whether the finished trace of a pane has been shown long enough."""
        trace = controller.trace
        if trace is None or not trace.finished:
            self._end_ticks[name] = 0
            return False
        self._end_ticks[name] += 1
        return self._end_ticks[name] > END_TICKS

    def _next_image(self) -> None:
        self._play(self._pane("canvas"), CAPTIONS[self._count % len(CAPTIONS)])
        self._count += 1

    def _next_text(self) -> None:
        self._play(self._pane("text"), SPEAKERS[self._count % len(SPEAKERS)])

    def _play(self, pane: TracePane, prompt: str) -> None:
        """Start a trace in place of the last one."""
        controller = pane.controller
        old = [branch.number for branch in controller.tree.branches]
        controller.prompt, controller.seed = prompt, random.randrange(1, 10_000)
        controller.start_over(play=True)
        for number in old:
            controller.drop(number)
        controller.refresh()

    def _next_training(self) -> None:
        pane = self._home.query_one(TrainingPane)
        if self._preview is None:
            pane.add_class("-preview")
            pane.set_title(("a small network learns two moons", "bold"))
            pane.set_subtitle("5 the Lab · n new run")
            self._preview = LabPreview(self._session, pane.query_one(Curve))
            pane.query_one(".body").mount(self._preview)
        self._preview.play(random.randrange(1, 10_000))
