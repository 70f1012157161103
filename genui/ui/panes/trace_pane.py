"""What Text and Canvas share: one trace with a playhead, played, stepped and started again."""

import random
import time
from abc import abstractmethod
from typing import ClassVar, Generic

from textual import on
from textual.timer import Timer

from genui.render.sanitise import clean_line
from genui.runs.catalog import ModelInfo
from genui.ui import messages
from genui.ui.driver import metered
from genui.ui.panes.line_input import LineInput, escape_newlines, unescape_newlines
from genui.ui.panes.pane import Pane
from genui.ui.screens.value import ValueScreen
from genui.ui.session import Session
from genui.ui.settings import HINTS, S, nudged, typed
from genui.ui.trace import F, Trace

RESTART_DELAY = 0.25  # seconds after the last change of a setting until the trace starts again
LONGEST_WAIT = 1.0  # seconds that keys, which are answered first, may hold up the picture or text


class TracePane(Pane, Generic[F, S]):
    """Owns a trace. Subclasses draw it (`paint`) and say what their medium's defaults are."""

    first_step: ClassVar[int]
    paints_a_second: ClassVar[float]
    catch_up: ClassVar[float]  # seconds within which the playhead reaches the newest frame

    def __init__(self, session: Session, settings: S, touched: str) -> None:
        super().__init__(id=self.pane)
        self._session = session
        self.model: ModelInfo | None = None
        self.trace: Trace[F] | None = None
        self.prompt = ""
        self.seed = 1
        self.settings: S = settings
        self._touched = touched  # the setting + and - change
        self._asked_at = 0.0
        self._stale = False  # something new is to be painted
        self._painted_at = 0.0  # when it last was, in monotonic seconds
        self._clock: Timer | None = None
        self._restart: Timer | None = None

    # --- for subclasses ---------------------------------------------------------------

    @abstractmethod
    def paint(self) -> None:
        """Draw the trace as it is now."""

    @abstractmethod
    def default_prompt(self, model: ModelInfo) -> str:
        """A prompt this model answers well."""

    @abstractmethod
    def total_steps(self) -> int:
        """The steps asked for by the settings."""

    # --- choosing what to generate with -----------------------------------------------

    def on_mount(self) -> None:
        self.paint()

    def offer(self, model: ModelInfo) -> None:
        """Use this model unless another was chosen; nothing is started."""
        if self.model is None:
            self._take(model)
            self.paint()

    def open_model(self, model: ModelInfo) -> None:
        """Use this model and play."""
        self._take(model)
        self.start_over(play=True)

    def _take(self, model: ModelInfo) -> None:
        changed = self.model is None or self.model.name != model.name
        self.model = model
        if changed:
            self.prompt = self.default_prompt(model)
        self._drop()

    def _drop(self) -> None:
        if self.trace is not None and self.trace.id:
            self._session.forget(self.trace.id)
        self.trace = None

    def start_over(self, play: bool) -> None:
        """A new trace with the prompt, seed and settings as they are now."""
        self._drop()
        if self.model is None:
            self.paint()
            return
        self.trace = Trace(
            model=self.model.ref,
            prompt=self.prompt,
            seed=self.seed,
            settings=self.settings,
            first=self.first_step,
            total=self.total_steps(),
        )
        if play:
            self.trace.play()
        self._pump()
        self.paint()

    # --- keys -------------------------------------------------------------------------

    def _needed(self) -> Trace[F] | None:
        """The trace, begun if there is none; None (and a word to the user) without a model."""
        if self.model is None:
            self.post_message(
                messages.Say("no model is chosen yet: pick one in Models and press Enter", "note")
            )
            return None
        if self.trace is None:
            self.start_over(play=False)
        self.post_message(messages.Acted())
        return self.trace

    def action_play(self) -> None:
        """Play, or hold."""
        trace = self._needed()
        if trace is None:
            return
        if trace.playing:
            trace.pause()
        else:
            trace.play()
        self._moved()

    def action_step(self, by: int) -> None:
        """Move the playhead by that many steps."""
        trace = self._needed()
        if trace is not None:
            base = trace.position if trace.playing or by < 0 else trace.goal
            trace.seek(base + by)
            self._moved()

    def action_ends(self, direction: int) -> None:
        """To the start, or to the end."""
        trace = self._needed()
        if trace is not None:
            trace.seek(0 if direction < 0 else trace.total)
            self._moved()

    def action_reseed(self) -> None:
        """The same again with another seed."""
        self.seed = random.randrange(1, 10_000)
        self.post_message(messages.Acted())
        self.start_over(play=True)

    def action_nudge(self, direction: int) -> None:
        """The setting touched last, a step up or down."""
        self._set(nudged(self.settings, self._touched, direction))

    def action_setting(self, name: str) -> None:
        """Ask for a value."""
        self._touched = name

        def parse(text: str) -> S:
            return typed(self.settings, name, text)

        def done(settings: S | None) -> None:
            if settings is not None:
                self._set(settings)

        label = name.replace("_", "-").capitalize()
        value = getattr(self.settings, name)
        self.app.push_screen(ValueScreen(label, f"{value:g}", HINTS[name], parse), done)

    def _set(self, settings: S) -> None:
        """Change the settings; the trace starts again once the changing stops."""
        if settings == self.settings:
            self.paint()
            return
        self.settings = settings
        self.post_message(messages.Acted())
        self.paint()
        if self.trace is not None:
            if self._restart is not None:
                self._restart.stop()
            self._restart = self.set_timer(RESTART_DELAY, lambda: self.start_over(play=True))

    # --- the prompt -------------------------------------------------------------------

    @property
    def _input(self) -> LineInput:
        return self.query_one("LineInput", LineInput)

    def action_edit(self) -> None:
        """Type another prompt."""
        self._input.value = escape_newlines(self.prompt)
        self.add_class("-editing")
        self.screen.set_focus(self._input)

    @on(LineInput.Submitted)
    def _prompt_typed(self, event: LineInput.Submitted) -> None:
        event.stop()
        self.prompt = unescape_newlines(event.value)
        self._leave_input()
        self.post_message(messages.Acted())
        self.start_over(play=True)

    @on(LineInput.Cancelled)
    def _leave_input(self) -> None:
        self.remove_class("-editing")
        self.screen.set_focus(self)

    # --- what the worker says ---------------------------------------------------------

    def _mine(self, trace: int) -> Trace[F] | None:
        return self.trace if self.trace is not None and self.trace.id == trace else None

    @on(messages.TraceStarted)
    def _trace_started(self, event: messages.TraceStarted) -> None:
        if trace := self._mine(event.started.trace):
            trace.begin(event.started)
            if trace.note:
                self.post_message(messages.Say(clean_line(trace.note), "note"))
            self._moved()

    @on(messages.FramesArrived)
    def _frames_arrived(self, event: messages.FramesArrived) -> None:
        if trace := self._mine(event.trace):
            trace.receive(event.frames, time.monotonic())  # type: ignore[arg-type]
            self._pump()
            self._stale = True
            self._run_clock()

    @on(messages.TraceIdle)
    def _trace_idle(self, event: messages.TraceIdle) -> None:
        if trace := self._mine(event.idle.trace):
            trace.idle(event.idle)
            self._moved()

    @on(messages.TraceFailed)
    def _trace_failed(self, event: messages.TraceFailed) -> None:
        if trace := self._mine(event.trace):
            trace.lose()
            self.post_message(messages.Say(event.line))
            self._moved()

    @on(messages.TraceLost)
    def _trace_lost(self) -> None:
        if self.trace is not None:
            self.trace.lose()
            self._moved()

    # --- asking and painting ----------------------------------------------------------

    def _pump(self) -> None:
        """Ask the worker for what is missing."""
        trace = self.trace
        if trace is None:
            return
        match trace.next_request():
            case "start":
                self._asked_at = time.monotonic()
                trace.id = self._session.start(
                    self, trace.model, trace.prompt, trace.seed, trace.settings
                )
            case "cancel":
                self._session.cancel(trace.id)
            case (start, steps):
                self._session.advance(trace.id, start, steps)

    def _moved(self) -> None:
        """The user or the worker moved something: ask, and show it at once."""
        self._pump()
        self._stale = False
        self._painted_at = time.monotonic()
        self.paint()
        self._run_clock()

    def _run_clock(self) -> None:
        if self._clock is None:
            self._clock = self.set_interval(1 / self.paints_a_second, self._tick)

    def _tick(self) -> None:
        trace = self.trace
        if trace is None:
            self._rest()
            return
        if trace.tick(self.catch_up, self.paints_a_second) or trace.loading:
            self._stale = True
        driver = metered(self.app)
        now = time.monotonic()
        # Keys are answered first; held down, they still let it move once a second.
        answering = getattr(self.app, "answering", False) and now - self._painted_at < LONGEST_WAIT
        if self._stale and not answering and not (driver is not None and driver.busy):
            self._painted_at = now
            self._stale = False
            self.paint()
        if not (trace.playing or trace.computing or trace.loading or self._stale):
            self._rest()

    def _rest(self) -> None:
        if self._clock is not None:
            self._clock.stop()
            self._clock = None

    # --- words for both ---------------------------------------------------------------

    def empty_text(self) -> str:
        """What the empty part of the pane says."""
        if self.model is None:
            return "Choose a model in Models and press Enter"
        if self.trace is not None and self.trace.loading:
            waited = time.monotonic() - self._asked_at
            return f"loading {clean_line(self.model.name)} … {waited:.0f} s"
        return "Press space to begin"
