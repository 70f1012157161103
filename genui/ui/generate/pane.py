"""The pane of generated traces: a controller, a view of the shown step, an inspector and the
actions of its keys. A PaneKind builds the parts that depend on the medium.
"""

import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, NamedTuple, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingsMap
from textual.containers import Vertical
from textual.geometry import Size
from textual.timer import Timer
from textual.widget import Widget

from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.protocol.edits import inputs_at
from genui.ui import keys, messages
from genui.ui.generate.actions import (
    Actions,
    BranchActions,
    FileActions,
    LabelActions,
    NearestActions,
    ProbeActions,
    SettingActions,
    VariationActions,
)
from genui.ui.generate.look import ImagePart
from genui.ui.generate.prompt import PromptLine
from genui.ui.keys import PaneName, Scope, bind_actions
from genui.ui.lifecycle import is_usable
from genui.ui.screens import Copyable
from genui.ui.session import Session
from genui.ui.terminal import may_animate
from genui.ui.textual_parts import set_bindings
from genui.ui.traces.controller import TraceController
from genui.ui.traces.trees import Lost, ShownTrace, Source
from genui.ui.widgets.dialogs import Window, ask
from genui.ui.widgets.inputs import LineInput, escape_newlines, unescape_newlines
from genui.ui.widgets.panes import Pane
from genui.ui.widgets.settings import Option, SettingsPanel
from genui.ui.widgets.timeline import Timeline

with late_imports():
    from genui.formats import command as command_line

T = TypeVar("T")

ORIGINS: dict[Source, str] = {"record": "recorded", "last": "last time"}
PLAYS_LIVE = "space plays it live"


class GenerationView(Vertical):
    """The main part of a pane, which shows the trace."""

    part: ImagePart = "x"  # the image of a step that is shown
    unit = "step"

    def __init__(self, pane: "TracePane", classes: str = "main") -> None:
        super().__init__(classes=classes)
        self.pane = pane

    @abstractmethod
    def paint(self) -> None:
        """Draw the shown step and the border of the pane."""

    def fit(self, size: Size) -> None:
        """Adapt to a new size of the pane."""

    @property
    def animated(self) -> bool:
        """Whether the shown step moves by itself, as a clip does."""
        return False

    def animate_step(self) -> bool:
        """Advance the animation by one tick. Returns whether anything moved."""
        return False

    def paint_animated(self) -> None:
        """Draw only what the animation changed."""

    def copy_text(self) -> str:
        """The shown sample as text; "" if it is none."""
        return ""

    def restart_animation(self) -> None:
        """Play the animation again after a key or a reply of the worker."""


class Inspector(Vertical):
    """Details beside the view; most of them only while the pane fills the screen."""

    def __init__(self, pane: "TracePane", classes: str = "inspector") -> None:
        super().__init__(classes=classes)
        self.pane = pane

    @abstractmethod
    def paint(self) -> None:
        """Draw the details of the shown step."""


class Parts(NamedTuple):
    """The parts of a pane that depend on the medium."""

    controller: TraceController[Any, Any]
    view: GenerationView
    inspector: Inspector
    actions: tuple[Actions, ...]


class PaneKind(NamedTuple):
    """The differences between panes."""

    pane: PaneName
    heading: str
    classes: str  # of the pane's widget, for the style sheet
    build: Callable[["TracePane"], Parts]
    setting: str  # what + and − change until another setting is chosen
    without: frozenset[str] = frozenset()  # settings that do not apply, or have a row of their own
    fps: float = 10  # most repaints a second
    catch_up: float = 4.0  # seconds within which the playhead reaches the newest frame
    compares: bool = True  # whether two of its traces can be shown side by side
    kept: bool = True  # whether the next start of the app shows its last trace again


class TracePane(Pane):
    """A pane of one kind. Its actions are those of the controller and of the groups of keys."""

    def __init__(self, kind: PaneKind, session: Session) -> None:
        super().__init__(id=kind.pane, classes=kind.classes)
        self.kind = kind
        self.pane = kind.pane
        self.heading = kind.heading
        self.session = session
        set_bindings(self, BindingsMap(keys.bindings(kind.pane)))
        self._stale = False  # whether something new is to be painted
        self._painted_at = 0.0  # the last time, in monotonic seconds
        self._clock: Timer | None = None
        self.tuning = SettingActions(self, kind.setting, kind.without)
        self.files = FileActions(self)
        self.branches = BranchActions(self)
        self.labels = LabelActions(self)
        self.controller, self.view, self.inspector, actions = kind.build(self)
        self.actions: tuple[Actions, ...] = (
            *(self.tuning, self.files, self.branches, self.labels),
            *(NearestActions(self), ProbeActions(self), VariationActions(self), *actions),
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

    def options(self) -> list[Option]:
        """The rows of the Settings panel."""
        rows = [row for group in self.actions for row in group.options()]
        return sorted(rows, key=lambda row: not row.first)

    @property
    def scope(self) -> Scope:
        return "settings" if self.tuning.panel.active else self.pane

    def names_of_keys(self) -> dict[str, str]:
        label = self.controller.line_label
        return {f"{self.pane}.prompt": label} if label else {}

    @property
    def focus_target(self) -> Widget:
        if self.has_class("-editing"):
            return self.query_one(PromptLine).input
        panel = self.tuning.panel
        if panel.active and self.zoomed:
            return self.screen.focused or self
        return self

    @on(messages.KeysChanged)
    def _mark_settings(self) -> None:
        self.set_class(self.tuning.panel.active, "-in-settings")

    @on(SettingsPanel.Left)
    def _settings_left(self) -> None:
        self.screen.set_focus(self)

    def on_unmount(self) -> None:
        for group in self.actions:
            group.close()

    def on_resize(self, event: events.Resize) -> None:
        self.view.fit(event.size)

    def paint(self) -> None:
        """Draw the trace as it is now, unless the pane is being removed."""
        if not is_usable(self):
            return
        self.view.paint()
        self.inspector.paint()
        self.labels.paint()

    @property
    def medium(self) -> str:
        return self.controller.model.medium if self.controller.model is not None else ""

    @property
    def trace(self) -> ShownTrace[Any] | None:
        return self.controller.trace

    def set_title(self, *parts: str | tuple[str, str]) -> None:
        super().set_title(*parts, *((f" · {self.origin}", "$warning") for _ in self.origin[:1]))

    def set_subtitle(self, *parts: str | tuple[str, str]) -> None:
        super().set_subtitle(*((PLAYS_LIVE,) if self.origin else parts))

    @property
    def origin(self) -> str:
        """Where the frames of the shown trace were read from; "" if they were computed now."""
        return ORIGINS.get(self.trace.source, "") if self.trace is not None else ""

    # --- as the controller's listener -----------------------------------------------------

    def repaint(self) -> None:
        self.view.restart_animation()
        self._stale = False
        self._painted_at = time.monotonic()
        self.paint()
        self._start_clock()

    def hold(self) -> None:
        """Paint now, without animation."""
        self._stop_clock()
        self.paint()

    def repaint_soon(self) -> None:
        self._stale = True
        self._start_clock()

    def clear_line(self) -> None:
        self.post_message(messages.Acted())

    def say(self, line: str, kind: Literal["error", "note"] = "note") -> None:
        self.post_message(messages.ShowStatus(line, kind))

    def ask_prompt(self) -> None:
        self.call_after_refresh(self.action_edit)

    def forget_questions(self) -> None:
        for group in self.actions:
            group.handle(Lost())

    @property
    def cost(self) -> str:
        trace = self.controller.trace
        return trace.cost_text(self.view.unit) if trace is not None else ""

    @on(messages.Reply)
    def _handle_reply(self, event: messages.Reply) -> None:
        for group in self.actions:
            group.handle(event.reply)
        self.controller.handle(event.reply)

    # --- the clock ------------------------------------------------------------------------

    def _start_clock(self) -> None:
        if self._clock is None:
            self._clock = self.set_interval(1 / self.kind.fps, self._tick)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.stop()
            self._clock = None

    def _tick(self) -> None:
        trace = self.controller.trace
        if trace is None:
            self._stop_clock()
            return
        if trace.tick(self.kind.catch_up, self.kind.fps) or trace.loading:
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
            self._stop_clock()

    # --- keys, clicks and dialogs ---------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        for group in self.actions:
            group.handle_key(event.key)

    def ask(self, window: Window[T | None], use: Callable[[T], object]) -> None:
        """Open a dialog, and call `use` with its result unless it is cancelled."""
        ask(self, window, use)

    def action_edit(self) -> None:
        self.add_class("-editing")
        controller = self.controller
        text = escape_newlines(controller.line_text)
        self.query_one(PromptLine).open(text, controller.model, controller.line_label)
        self.paint()

    @on(LineInput.Submitted)
    def _use_prompt(self, event: LineInput.Submitted) -> None:
        event.stop()
        self._leave_input()
        self.clear_line()
        self.controller.take_line(unescape_newlines(event.value))

    @on(LineInput.Cancelled)
    def _leave_input(self) -> None:
        self.remove_class("-editing")
        self.screen.set_focus(self)
        self.paint()

    @on(Timeline.Clicked)
    def _seek_clicked(self, event: Timeline.Clicked) -> None:
        self.controller.seek(event.step)

    def copyables(self) -> list[Copyable]:
        """The shown text, the prompt with the seed, and the command that generates it again."""
        trace = self.trace
        if trace is None:
            return []
        text = self.view.copy_text()
        offered = [Copyable("text", text)] if text else []
        prompt, seed, _ = inputs_at(trace.request)
        if not self.kind.compares:  # nor is there a command that generates one
            return [*offered, Copyable("data and seed", f"{prompt} · seed {seed}")]
        offered.append(Copyable("prompt and seed", f"{prompt} · seed {seed}"))
        model = self.controller.models.get(trace.request.model)
        kind = model.kind if model is not None else None
        if model is not None and kind is not None:
            with suppress(MisuseError):
                command = command_line.format_command(trace.request, kind, model.defaults)
                offered.append(Copyable("command that generates it", command))
        return offered

    # --- texts for the view ---------------------------------------------------------------

    def empty_text(self) -> str:
        """The text of the view while there is no frame."""
        controller, trace = self.controller, self.trace
        if controller.model is None:
            return "Choose a model in Models and press Enter"
        if trace is not None and trace.loading:
            return trace.loading_text(controller.waited_s)
        if trace is not None and trace.load_stopped:
            return f"{controller.model_name(trace)} is not loaded. Press space to load it"
        if trace is not None and (trace.playing or trace.computing):
            return "starting …"
        return "" if self.has_class("-editing") else controller.start_hint

    def branch_place(self) -> tuple[int, int, str] | None:
        """The shown branch's number from 1, the number of branches and its label; None if there
        is only one branch."""
        tree = self.controller.tree
        if tree.shown is None or len(tree.branches) < 2:
            return None
        return tree.branches.index(tree.shown) + 1, len(tree.branches), tree.shown.title
