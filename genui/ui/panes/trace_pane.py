"""What Text and Canvas share: a tree of traces, one of them shown, played, stepped and forked."""

import random
import time
from abc import abstractmethod
from typing import ClassVar, Generic

from textual import on
from textual.timer import Timer

from genui import protocol
from genui.edits import in_force
from genui.render.sanitise import clean_line
from genui.runs.catalog import ModelInfo
from genui.ui import messages
from genui.ui.driver import may_move
from genui.ui.panes.prompting import Prompting
from genui.ui.panes.saving import NO_MODEL, other_weights
from genui.ui.panes.timeline import Timeline
from genui.ui.panes.usual import UsualSettings
from genui.ui.screens.value import ValueScreen
from genui.ui.session import Session
from genui.ui.settings import HINTS, S, changed_label, nudged, typed
from genui.ui.trace import F, Trace
from genui.ui.tree import Tree

RESTART_DELAY = 0.25  # seconds after the last change of a setting until the trace starts again


class TracePane(Prompting[F], Generic[F, S]):
    """Owns a trace. Subclasses draw it (`paint`) and say what their medium's defaults are."""

    first_step: ClassVar[int]
    paints_a_second: ClassVar[float]
    catch_up: ClassVar[float]  # seconds within which the playhead reaches the newest frame

    def __init__(self, session: Session, settings: S, touched: str) -> None:
        super().__init__(id=self.pane)
        self._session = session
        self.model: ModelInfo | None = None
        self.traces: Tree[F] = Tree()
        self.seed = 1
        self.settings: S = settings
        self._usual = UsualSettings(settings)
        self._touched = touched  # the setting + and - change
        self._asked_at = 0.0
        self._stale = False  # something new is to be painted
        self._painted_at = 0.0  # when it last was, in monotonic seconds
        self._clock: Timer | None = None
        self._restart: Timer | None = None

    @property
    def trace(self) -> Trace[F] | None:
        """What is shown."""
        return self.traces.trace

    # --- for subclasses ---------------------------------------------------------------

    @abstractmethod
    def total_steps(self) -> int:
        """The steps asked for by the settings."""

    @property
    def drifting(self) -> bool:
        """Whether what is shown of a step moves by itself, as a clip does."""
        return False

    def drift(self) -> bool:
        """Move that on by a tick's time. Returns whether it moved."""
        return False

    def paint_drift(self) -> None:
        """Draw what such a move has changed."""

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
        self.settings = self._usual.for_model(model, self.model, self.settings)
        self.model = model
        self.know([model])
        if changed:
            self.prompt = self.default_prompt(model)
        self.traces.shown = None

    def request(self) -> protocol.Start:
        """What would make a new trace with the model, prompt, seed and settings as they are."""
        assert self.model is not None, "no model is chosen"
        return protocol.Start(
            trace=0,
            model=self.model.ref,
            prompt=self.prompt,
            seed=self.seed,
            settings=self.settings,
        )

    def start_over(self, play: bool) -> None:
        """A new trace with the prompt, seed and settings as they are now."""
        if self.model is None:
            self.paint()
            return
        self.begin(self.request(), f"seed {self.seed}", play)

    def begin(self, request: protocol.Start, label: str, play: bool = True) -> None:
        """Show a new trace beside those that are here."""
        self._hold()
        trace: Trace[F] = Trace(
            request=request,
            first=self.first_step,
            total=self.total_steps(),
            medium=self.model.medium if self.model is not None else "",
        )
        self.traces.root(trace, label)
        self._go(play)

    def fork(
        self,
        edit: protocol.Edit,
        label: str,
        play: bool = True,
        step: int | None = None,
        then: protocol.Edit | None = None,
    ) -> None:
        """Show a branch that differs from what is shown from `step` on, or from the playhead.

        `then` is a second edit at the same step.
        """
        trace = self.trace
        if trace is None:
            return
        step = trace.position if step is None else step
        self._hold()
        self.traces.fork(step, edit, label, then)
        self._go(play)

    def show_branch(self, number: int) -> None:
        """Show another branch of the tree, with its own prompt, seed and settings."""
        self._hold()
        self.traces.show(number)
        self._follow_shown()
        self._moved()

    def _follow_shown(self) -> None:
        """The model, prompt, seed and settings are those of what is shown."""
        if self.trace is not None:
            self.model = self.known.get(self.trace.request.model, self.model)
            self.prompt, self.seed, self.settings = in_force(self.trace.request)

    def _hold(self) -> None:
        """What is shown stays where it is."""
        if self.trace is not None:
            self.trace.pause()
            self._pump()

    def _forget_dropped(self) -> None:
        """The worker need not keep what is no longer in the tree."""
        for branch in self.traces.take_dropped():
            if branch.trace.id:
                self._session.forget(branch.trace.id)
                branch.trace.lose()

    def _go(self, play: bool) -> None:
        self._forget_dropped()
        if play and self.trace is not None:
            self.trace.play()
        self._moved()

    # --- keys -------------------------------------------------------------------------

    def _has_model(self) -> bool:
        """Whether a model is chosen; else says so."""
        if self.model is None:
            self._tell(NO_MODEL)
        return self.model is not None

    def _needed(self) -> Trace[F] | None:
        """The trace, begun if there is none; None (and a word to the user) without a model."""
        if not self._has_model():
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
            self._restart = self.set_timer(RESTART_DELAY, self._apply)

    def _apply(self) -> None:
        """Midway the settings hold from here on, as a fork; at either end it begins again."""
        trace = self.trace
        if trace is None:
            self.start_over(play=True)
            return
        label = changed_label(in_force(trace.request)[2], self.settings)
        if trace.position == 0 or trace.finished:
            self.begin(self.request(), label)
        else:
            self.fork(protocol.SetSettings(self.settings), label)

    def action_fork(self) -> None:
        """From here on with other random numbers."""
        if self._needed() is not None:
            self.seed = random.randrange(1, 10_000)
            self.fork(protocol.SetSeed(self.seed), f"seed {self.seed}")

    @on(Timeline.Sought)
    def _sought(self, event: Timeline.Sought) -> None:
        if self.trace is not None:
            self.trace.seek(event.step)
            self._moved()

    # --- what the worker says ---------------------------------------------------------

    @on(messages.TraceStarted)
    def _trace_started(self, event: messages.TraceStarted) -> None:
        if trace := self.traces.of_trace(event.started.trace):
            line = other_weights(trace.fingerprint, event.started)
            trace.begin(event.started)
            line = line or clean_line(trace.note)
            if line and trace is self.trace:
                self._tell(line)
            self._moved()

    @on(messages.FramesArrived)
    def _frames_arrived(self, event: messages.FramesArrived) -> None:
        if trace := self.traces.of_trace(event.trace):
            trace.receive(event.frames, time.monotonic())  # type: ignore[arg-type]
            if trace is self.trace and not trace.playing and trace.position == trace.goal:
                self._moved()  # the step that a key asked for
                return
            self._pump()
            self._stale = True
            self._run_clock()

    @on(messages.TraceIdle)
    def _trace_idle(self, event: messages.TraceIdle) -> None:
        if trace := self.traces.of_trace(event.idle.trace):
            trace.idle(event.idle)
            self._moved()

    @on(messages.TraceFailed)
    def _trace_failed(self, event: messages.TraceFailed) -> None:
        if trace := self.traces.of_trace(event.trace):
            begun = trace.started or trace.computed > trace.forked_at
            trace.lose()
            if not begun and self.traces.take_back(trace):
                self._follow_shown()
            self.post_message(messages.Say(event.line))
            self._moved()

    @on(messages.TraceLost)
    def _trace_lost(self) -> None:
        for branch in self.traces.branches:
            branch.trace.lose()
        self._moved()

    # --- asking and painting ----------------------------------------------------------

    def _pump(self) -> None:
        """Ask the worker for what is missing."""
        trace = self.trace
        if trace is None:
            return
        if self._session.ask(self, trace) == "start":
            self._asked_at = time.monotonic()

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
        drifted = self.drift()
        if (self._stale or drifted) and may_move(self.app, self._painted_at):
            self._painted_at = time.monotonic()
            if self._stale:
                self._stale = False
                self.paint()
            else:
                self.paint_drift()
        moving = trace.playing or trace.computing or trace.loading or self.drifting
        if not (moving or self._stale):
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
