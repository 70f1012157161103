"""The pane of generated traces: it has a controller, a view of the step shown, an inspector and
the actions of its keys. What is particular to a medium is in the parts that a PaneKind names.
"""

import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingsMap
from textual.containers import Vertical
from textual.geometry import Size
from textual.timer import Timer

from genui.base.text import clean_line
from genui.ui import keys, messages
from genui.ui.generate.actions import (
    Actions,
    Branches,
    Classifying,
    Files,
    Nearest,
    Tuning,
    Variations,
)
from genui.ui.keys import PaneName
from genui.ui.session import Session
from genui.ui.terminal import may_animate
from genui.ui.traces.compare import Part
from genui.ui.traces.controller import TraceController
from genui.ui.traces.trees import Trace
from genui.ui.widgets.base import (
    LineInput,
    Pane,
    Timeline,
    bind_actions,
    escape_newlines,
    unescape_newlines,
)


class View(Vertical):
    """What a trace is seen in: the main part of a pane."""

    part: Part = "x"  # which image of a step is shown

    def __init__(self, pane: "TracePane", classes: str = "main") -> None:
        super().__init__(classes=classes)
        self.pane = pane

    @abstractmethod
    def paint(self) -> None:
        """Draw the step that is shown, and the border of the pane."""

    def fit(self, size: Size) -> None:
        """The pane has another size."""

    @property
    def animated(self) -> bool:
        """Whether what is shown of a step moves by itself, as a clip does."""
        return False

    def animate_step(self) -> bool:
        """Move that on by a tick's time. Returns whether it moved."""
        return False

    def paint_animated(self) -> None:
        """Draw what such a move has changed."""

    def held(self) -> None:
        """The user or the worker moved something."""


class Inspector(Vertical):
    """What is beside the view, mostly while the pane fills the screen."""

    def __init__(self, pane: "TracePane", classes: str = "inspector") -> None:
        super().__init__(classes=classes)
        self.pane = pane

    @abstractmethod
    def paint(self) -> None:
        """Draw what belongs to the step that is shown."""


class Parts(NamedTuple):
    """What a pane has of a medium."""

    controller: TraceController[Any, Any]
    view: View
    inspector: Inspector
    actions: tuple[Actions, ...]


class PaneKind(NamedTuple):
    """A pane as a medium needs it."""

    pane: PaneName
    heading: str
    classes: str  # of the pane's widget, for the style sheet
    build: Callable[["TracePane"], Parts]
    touched: str  # the setting that + and - change at first
    paints_a_second: float = 10
    catch_up: float = 4.0  # seconds within which the playhead reaches the newest frame
    compares: bool = True  # whether two of its traces can be seen side by side


class TracePane(Pane):
    """The pane of one kind. Its actions are the controller's and those of its groups of keys."""

    def __init__(self, kind: PaneKind, session: Session) -> None:
        super().__init__(id=kind.pane, classes=kind.classes)
        self.kind = kind
        self.pane = kind.pane
        self.heading = kind.heading
        self.session = session
        self._bindings = BindingsMap(keys.bindings(kind.pane))
        self._stale = False  # something new is to be painted
        self._painted_at = 0.0  # when it last was, in monotonic seconds
        self._clock: Timer | None = None
        self.tuning = Tuning(self, kind.touched)
        self.files = Files(self)
        self.branches = Branches(self)
        self.classifying = Classifying(self)
        self.controller, self.view, self.inspector, actions = kind.build(self)
        self.actions: tuple[Actions, ...] = (
            *(self.tuning, self.files, self.branches, self.classifying),
            *(Nearest(self), Variations(self), *actions),
        )
        controller = self.controller
        self.action_play, self.action_step = controller.play, controller.step
        self.action_ends = controller.ends
        self.action_reseed, self.action_fork = controller.reseed, controller.fork_here
        bind_actions(self, *self.actions)

    def compose(self) -> ComposeResult:
        yield self.view
        yield self.inspector

    def on_mount(self) -> None:
        self.paint()

    def on_unmount(self) -> None:
        for group in self.actions:
            group.close()

    def on_resize(self, event: events.Resize) -> None:
        self.view.fit(event.size)

    def paint(self) -> None:
        """Draw the trace as it is now."""
        self.view.paint()
        self.inspector.paint()
        self.classifying.paint()

    @property
    def medium(self) -> str:
        return self.controller.model.medium if self.controller.model is not None else ""

    @property
    def trace(self) -> Trace[Any] | None:
        """The trace that is shown."""
        return self.controller.trace

    # --- what the controller tells --------------------------------------------------------

    def moved(self) -> None:
        """The user or the worker moved something: show it at once."""
        self.view.held()
        self._stale = False
        self._painted_at = time.monotonic()
        self.paint()
        self._run_clock()

    def frames_came(self) -> None:
        """There are new frames: show them with the next tick."""
        self._stale = True
        self._run_clock()

    def acted(self) -> None:
        """The user did something real: what was said before has been read."""
        self.post_message(messages.Acted())

    def say(self, line: str, kind: Literal["error", "note"] = "note") -> None:
        """One line for the user."""
        self.post_message(messages.Say(line, kind))

    @on(messages.Reply)
    def _reply_came(self, event: messages.Reply) -> None:
        for group in self.actions:
            group.take(event.reply)
        self.controller.take(event.reply)

    # --- the clock ------------------------------------------------------------------------

    def _run_clock(self) -> None:
        if self._clock is None:
            self._clock = self.set_interval(1 / self.kind.paints_a_second, self._tick)

    def _tick(self) -> None:
        trace = self.controller.trace
        if trace is None:
            self._rest()
            return
        if trace.tick(self.kind.catch_up, self.kind.paints_a_second) or trace.loading:
            self._stale = True
        animated = self.view.animate_step()
        if (self._stale or animated) and may_animate(self.app, self._painted_at):
            self._painted_at = time.monotonic()
            if self._stale:
                self._stale = False
                self.paint()
            else:
                self.view.paint_animated()
        moving = trace.playing or trace.computing or trace.loading or self.view.animated
        if not (moving or self._stale):
            self._rest()

    def _rest(self) -> None:
        if self._clock is not None:
            self._clock.stop()
            self._clock = None

    # --- keys and clicks ------------------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        for group in self.actions:
            group.key_pressed(event.key)

    def action_edit(self) -> None:
        """Type another prompt."""
        line = self.query_one(LineInput)
        line.value = escape_newlines(self.controller.prompt)
        self.add_class("-editing")
        self.screen.set_focus(line)

    @on(LineInput.Submitted)
    def _prompt_typed(self, event: LineInput.Submitted) -> None:
        event.stop()
        self.controller.prompt = unescape_newlines(event.value)
        self._leave_input()
        self.acted()
        self.controller.start_over(play=True)

    @on(LineInput.Cancelled)
    def _leave_input(self) -> None:
        self.remove_class("-editing")
        self.screen.set_focus(self)

    @on(Timeline.Clicked)
    def _timeline_clicked(self, event: Timeline.Clicked) -> None:
        self.controller.seek(event.step)

    # --- what the view says where there is no frame ---------------------------------------

    def empty_text(self) -> str:
        """What the empty view says."""
        controller = self.controller
        if controller.model is None:
            return "Choose a model in Models and press Enter"
        if controller.trace is not None and controller.trace.loading:
            return f"loading {clean_line(controller.model.name)} … {controller.waited:.0f} s"
        return "Press space to start"

    def branch_place(self) -> tuple[int, int, str] | None:
        """Which branch is shown, of how many, and its label; None where there is but one."""
        tree = self.controller.tree
        if tree.shown is None or len(tree.branches) < 2:
            return None
        return tree.branches.index(tree.shown) + 1, len(tree.branches), tree.shown.label
