"""The controller of a pane of generated traces, without Textual.

A TraceController owns the tree of branches and the inputs of the next trace. It requests missing
steps from the session, handles the replies, and tells its listener when to paint.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

from msgspec.structs import replace
from rich.cells import cell_len

from genui import protocol
from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.base.text import clean_line
from genui.protocol import (
    FROM_DATA,
    Axis,
    Failed,
    Idle,
    Loading,
    RgbImage,
    Settings,
    Spent,
    Started,
)
from genui.protocol.edits import inputs_at
from genui.runs.models import ModelInfo
from genui.ui.traces.compare import Column, request_for_model
from genui.ui.traces.trees import (
    Branch,
    F,
    Frames,
    Lost,
    ShownTrace,
    TraceReply,
    Tree,
    Worker,
    weights_warning,
)

with late_imports():
    from genui import recipes

S = TypeVar("S", bound=Settings)

NO_MODEL = "no model is chosen yet: pick one in Models and press Enter"
LABEL_CELLS = 32  # of a branch's label


class Listener(Protocol):
    """The pane, as its controller sees it."""

    def repaint(self) -> None:
        """Paint now: the user or the worker has moved something."""

    def repaint_soon(self) -> None:
        """Paint with the next tick: there are new frames."""

    def clear_line(self) -> None:
        """Clear the status line: the user has done something since."""

    def say(self, line: str, kind: Literal["error", "note"] = "note") -> None:
        """Show one line to the user."""

    def ask_prompt(self) -> None:
        """Let the user write the prompt."""

    def forget_questions(self) -> None:
        """Wait for no reply: those about a closed branch, or one lent to a window, are lost."""


class Opening(NamedTuple):
    """The start of a trace besides prompt, seed and settings, as in `protocol.Start`."""

    init: RgbImage | str | None = None
    strength: float = 0.6
    forward: bool = False
    grid: tuple[Axis, ...] = ()
    name: str = ""  # of `init`, if it is an image without a path

    @property
    def title(self) -> str:
        """The description of `init`."""
        if self.name or not isinstance(self.init, str):
            return self.name or "an image"
        return "a training image" if self.init == FROM_DATA else PurePath(self.init).name


# --- The controller ---------------------------------------------------------------------------


class TraceController(Generic[F, S]):
    """The branches of one pane, and the model, prompt, seed and settings of the next trace.

    `first` is the step of a trace's first frame: 0 for images, 1 for text. `steps` is the name of
    the setting for the number of steps, `blank` the first prompt of a model without a recipe, and
    `clock` returns seconds.
    """

    def __init__(
        self,
        session: Worker,
        listener: Listener,
        settings: S,
        *,
        first: int = 0,
        steps: str = "steps",
        blank: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.session = session
        self.listener = listener
        self.first = first
        self.tree: Tree[F] = Tree()
        self.model: ModelInfo | None = None
        self.models: dict[str, ModelInfo] = {}  # by ref; branches may be of any of these
        self.catalogue: tuple[ModelInfo, ...] = ()  # the models of this medium on disk now
        self.prompt = ""
        self.seed = 1
        self.settings: S = settings
        self.opening = Opening()
        self._requested_at = 0.0  # when the last trace was requested, in seconds of `clock`
        self._steps = steps
        self._blank = blank
        self._first_settings = settings
        self._recent: dict[Settings, S] = {}  # the last settings, by the defaults of a kind
        self._clock = clock
        self._undoable: list[int | list[Branch[F]]] = []  # a branch left, or branches removed

    @property
    def trace(self) -> ShownTrace[F] | None:
        return self.tree.trace

    @property
    def frame(self) -> F | None:
        """The frame of the shown step; None before there is one."""
        return self.tree.trace.frame if self.tree.trace is not None else None

    @property
    def syntax(self) -> str:
        """The language of the code that the model writes; "" for none."""
        kind = self.model.kind if self.model is not None else None
        return kind.syntax if kind is not None else ""

    @property
    def total_steps(self) -> int:
        """The steps that the settings ask for."""
        return getattr(self.settings, self._steps)

    # --- choosing a model ---------------------------------------------------------------

    def add_models(self, models: Iterable[ModelInfo]) -> None:
        """Remember these models, so that traces of them have a name."""
        self.models.update((model.ref, model) for model in models)

    def set_catalogue(self, models: Sequence[ModelInfo]) -> None:
        """Set the models of this medium that are on disk now."""
        self.catalogue = tuple(models)
        self.add_models(models)

    def offer(self, model: ModelInfo) -> None:
        """Use this model unless another was chosen; start nothing."""
        if self.model is None:
            self.use_model(model)
            self.refresh()

    def open_model(self, model: ModelInfo) -> None:
        """Use this model and play. Another that is still loading for the shown trace is given
        up."""
        trace = self.trace
        if trace is not None and trace.loading and trace.request.model != model.ref:
            trace.stop()
            self._ask()
        self.use_model(model)
        self.start_over(play=True)

    def use_model(self, model: ModelInfo) -> None:
        """Use this model for the next trace."""
        changed = self.model is None or self.model.name != model.name
        old, new = self._default_settings(self.model), self._default_settings(model)
        if new != old:  # else the settings stay
            self._recent[old] = self.settings
            self.settings = self._recent.get(new, new)
        self.model = model
        self.add_models([model])
        if changed:
            self.prompt = self.default_prompt(model)
        self.tree.shown = None

    def _default_settings(self, model: ModelInfo | None) -> S:
        """The defaults of the model; without any, the first settings of the pane."""
        defaults = model.defaults if model is not None else None
        first = self._first_settings
        return defaults if isinstance(defaults, type(first)) else first

    def default_prompt(self, model: ModelInfo) -> str:
        """The first prompt of the model's recipe."""
        recipe = recipes.RECIPES.get(model.name) or recipes.RECIPES.get(model.dataset)
        return next(iter(recipe.prompts if recipe is not None else ()), self._blank)

    def show_saved(self, trace: ShownTrace[F], model: ModelInfo) -> None:
        """Show a trace whose frames were read from a file, and use its inputs; paint nothing. The
        settings of a record are its own: the pane keeps those that are usual for the model."""
        self.add_models([model])
        self.tree.add(trace, f"seed {trace.request.seed}")
        self._use_inputs_of_shown()
        if trace.source == "record":
            self.settings = self._default_settings(model)

    # --- beginning and forking ----------------------------------------------------------

    def request(self) -> protocol.Start:
        """The request for a trace with the current inputs; its number is not set yet."""
        assert self.model is not None, "no model is chosen"
        opening = self.opening
        return protocol.Start(
            trace=0,
            model=self.model.ref,
            prompt=self.prompt,
            seed=self.seed,
            settings=self.settings,
            init=opening.init,
            strength=opening.strength,
            forward=opening.forward,
            grid=opening.grid,
        )

    @property
    def line_label(self) -> str:
        """The label of the line in which the prompt is typed; "" for the usual one."""
        return ""

    @property
    def line_text(self) -> str:
        """The first text of this line."""
        return self.prompt

    @property
    def start_hint(self) -> str:
        """The key to press while there is no trace."""
        return "Press space to start"

    def take_line(self, text: str) -> None:
        """Begin with the prompt that was typed."""
        self.prompt = text
        self.start_over(play=True)

    def new_label(self) -> str:
        """The label of a trace with the current inputs."""
        return self.name_prompt(f"seed {self.seed}")

    def name_prompt(self, label: str) -> str:
        """The label of a trace, with its prompt if other branches have another one."""
        prompts = [inputs_at(branch.trace.request)[0] for branch in self.tree.branches]
        if all(prompt == self.prompt for prompt in prompts):
            return label
        prompt = clean_line(self.prompt, LABEL_CELLS - cell_len(label) - 5) or "no prompt"
        return f"“{prompt}” · {label}" if self.prompt else f"{prompt} · {label}"

    def start_over(self, play: bool) -> None:
        """Show a new trace with the current inputs."""
        if self.model is None:
            self.listener.repaint()
        else:
            self.begin(self.new_label(), play)

    def begin(self, label: str, play: bool = True, edits: tuple[protocol.EditAt, ...] = ()) -> None:
        """Show a new trace with this label and edits; the others stay in the tree."""
        self.remember_shown()
        self.pause()
        request = replace(self.request(), edits=edits)
        self.tree.add(self._new_trace(request, self.total_steps), label)
        for branch in [one for one in self.tree.branches if one.trace.source == "record"]:
            self.tree.drop(branch.number)  # the user did not make it
        self._go(play)

    def fork(
        self,
        edit: protocol.Edit,
        label: str,
        play: bool = True,
        step: int | None = None,
        then: protocol.Edit | None = None,
    ) -> None:
        """Fork the shown trace at `step` (by default the playhead), and show the fork.

        `then` is a second edit at the same step.
        """
        trace = self.trace
        if trace is None:
            return
        step = trace.position if step is None else step
        self.remember_shown()
        self.pause()
        self.tree.fork(step, edit, label, then)
        self._go(play)

    def reseed(self) -> None:
        """Start again with a random seed."""
        self.seed = random.randrange(1, 10_000)
        self.listener.clear_line()
        self.start_over(play=True)

    def fork_here(self) -> None:
        """Fork at the playhead with a random seed; at the end nothing is left to be drawn."""
        trace = self.ensure_trace()
        if trace is None:
            return
        if trace.finished and trace.position:
            self.listener.say("it is complete: ← goes back, and f forks there")
            return
        self.seed = random.randrange(1, 10_000)
        self.fork(protocol.SetSeed(self.seed), f"seed {self.seed}")

    def recaption(self, trace: ShownTrace[F], caption: str, step: int) -> None:
        """Fork that trace at `step` with another caption, if it is still shown."""
        if self.trace is trace:
            self.prompt = caption
            label = clean_line(f"“{caption}”", LABEL_CELLS) if caption else "no caption"
            self.fork(protocol.SetPrompt(caption), label, step=step)

    def change(self, settings: S) -> bool:
        """Set the settings; returns whether they differ. The shown trace stays: see `apply`."""
        changed, self.settings = settings != self.settings, settings
        return changed

    def refusal(self, setting: str) -> str:
        """Why that setting cannot be changed now; "" if it can."""
        if setting == "watermark_key" and getattr(self.settings, "watermark", "") == "none":
            return "no watermark is on: choose one first"
        return ""

    def offers(self, setting: str) -> bool:
        """Whether that setting is shown: it can be changed, or varies in the grid."""
        return not self.refusal(setting) or any(axis.name == setting for axis in self.opening.grid)

    def apply(self, label: str) -> None:
        """Fork at the playhead with the settings; at either end, start again with them."""
        trace = self.trace
        if trace is None:
            self.start_over(play=True)
        elif trace.position == 0 or trace.finished:
            self.begin(label, edits=self.find_lasting(trace.request))
        else:
            self.fork(protocol.SetSettings(self.settings), label)

    def find_lasting(self, request: protocol.Start) -> tuple[protocol.EditAt, ...]:
        """The edits that also hold when a trace starts again with other settings."""
        return ()

    def _new_trace(self, request: protocol.Start, total: int) -> ShownTrace[F]:
        model = self.models.get(request.model, self.model)
        kind = model.kind.name if model is not None and model.kind is not None else ""
        return ShownTrace(request=request, first=self.first, total=total, kind=kind)

    def _go(self, play: bool) -> None:
        self._forget_dropped()
        if play and self.trace is not None:
            self.trace.play()
        self.refresh()

    # --- playing and seeking ------------------------------------------------------------

    def has_model(self) -> bool:
        """Whether a model is chosen; else tells the user."""
        if self.model is None:
            self.listener.say(NO_MODEL)
        return self.model is not None

    def ensure_trace(self) -> ShownTrace[F] | None:
        """Return the shown trace, begun if there is none; without a model tell the user."""
        if not self.has_model():
            return None
        if self.trace is None:
            self.start_over(play=False)
        self.listener.clear_line()
        return self.trace

    def ensure_frame(self, verb: str) -> ShownTrace[F] | None:
        """Return the shown trace if the worker has the shown step, else tell the user why not."""
        trace = self.ensure_trace()
        if trace is None:
            return None
        if trace.frame is None:
            self.listener.say(f"nothing to {verb} yet: press space, then this key again")
            return None
        if not trace.on_worker:
            self.listener.say("the worker does not have this step yet: press space to continue")
            return None
        return trace

    def play(self) -> None:
        trace = self.ensure_trace()
        if trace is None:
            return
        if trace.playing:
            trace.stop()
        else:
            trace.play()
        self.refresh()

    def step(self, by: int) -> None:
        """Move the playhead by that many steps."""
        trace = self.ensure_trace()
        if trace is not None:
            base = trace.position if trace.playing or by < 0 else trace.goal
            self.seek(base + by)

    def ends(self, direction: int) -> None:
        """Go to the start, or to the end."""
        trace = self.ensure_trace()
        if trace is not None:
            self.seek(0 if direction < 0 else trace.total)

    def seek(self, step: int) -> None:
        """Go to that step and stay there."""
        if self.trace is not None:
            self.trace.seek(step)
            self.refresh()

    def pause(self) -> None:
        """Pause the shown trace, without painting."""
        if self.trace is not None:
            self.trace.pause()
            self._ask()

    # --- branches -----------------------------------------------------------------------

    def show_branch(self, number: int) -> None:
        """Show another branch of the tree."""
        self.remember_shown()
        self._show_branch(number)

    def _show_branch(self, number: int) -> None:
        self.pause()
        self.tree.show(number)
        self.tree_changed()

    def drop(self, number: int) -> list[Branch[F]]:
        """Remove a branch and its forks, which are returned; nothing if one of them is shown."""
        dropped = self.tree.drop(number)
        self._forget_dropped()
        if dropped:
            self._undoable.append(dropped)
        return dropped

    def remember_shown(self) -> None:
        """Remember the shown branch, so that `undo` goes back to it."""
        if self.tree.shown is not None:
            self._undoable.append(self.tree.shown.number)

    def undo(self) -> str:
        """Bring back the branches removed last, or the branch that was shown before.

        Returns a line for the user; "" if there is nothing to undo.
        """
        while self._undoable:
            last = self._undoable.pop()
            if isinstance(last, list):
                self.tree.restore(last)
                self.refresh()
                more = f" and {len(last) - 1} more" if len(last) > 1 else ""
                return f"{_quote(last[0])}{more}: brought back"
            branch = self.tree.find(last)
            if branch is not None and branch is not self.tree.shown:
                self._show_branch(last)
                return f"back to {_quote(branch)}"
        return ""

    def tree_changed(self) -> None:
        """Use the model, prompt, seed and settings of the branch that is shown now."""
        self._forget_dropped()
        self._use_inputs_of_shown()
        self.refresh()

    def _use_inputs_of_shown(self) -> None:
        if self.trace is None:
            return
        start = self.trace.request
        self.model = self.models.get(start.model, self.model)
        self.prompt, self.seed, self.settings = inputs_at(start)
        name = self.opening.name if start.init == self.opening.init else ""
        self.opening = Opening(start.init, start.strength, start.forward, start.grid, name)

    def _forget_dropped(self) -> None:
        """Close the traces of dropped branches in the worker; a branch was begun or shown."""
        self.listener.forget_questions()
        for branch in self.tree.take_dropped():
            if branch.trace.id:
                self.session.forget(branch.trace.id)
                branch.trace.lose()

    def branch_label(self, branch: Branch[F]) -> str:
        """The label of a branch, with the step at which it forks."""
        start = f" from step {branch.trace.forked_at}" if branch.parent >= 0 else ""
        return clean_line(f"{branch.title}{start}", 80)

    def model_name(self, trace: ShownTrace[F]) -> str:
        """The name of a trace's model; its ref if the model is not known."""
        ref = trace.request.model
        return clean_line(self.models[ref].name if ref in self.models else ref, 30)

    # --- side by side -------------------------------------------------------------------

    def column(self, branch: Branch[F]) -> Column:
        """A branch as a column of a comparison."""
        return Column(branch.trace, self.branch_label(branch), branch.number)

    def model_column(self, model: str) -> Column | None:
        """The shown trace repeated with another model; None if no trace is shown."""
        trace = self.trace
        if trace is None:
            return None
        request = request_for_model(trace, model)
        if model in self.models:
            request = self.fit_request(request, self.models[model])
        return self._column_of(request, trace.total)

    def fit_request(self, request: protocol.Start, model: ModelInfo) -> protocol.Start:
        """The request without settings that the other model lacks, so that it can be compared."""
        return request

    def continuations(
        self, count: int, first: int | None = None, stop_at: int | None = None
    ) -> list[Column]:
        """Traces of the prompt from `count` consecutive seeds, by default from its own seed on."""
        start, total = self.request(), self.total_steps
        first = start.seed if first is None else first
        seeds = ((first + n) % 2**63 for n in range(count))
        columns = [self._column_of(replace(start, seed=seed), total) for seed in seeds]
        for column in columns:
            column.stop_at = None if column.trace.computed >= total else stop_at
        return columns

    def _column_of(self, request: protocol.Start, total: int) -> Column:
        """The branch that has this request; else a new trace."""
        for branch in self.tree.branches:
            same = replace(branch.trace.request, trace=0) == replace(request, trace=0)
            if same and not branch.trace.is_read:
                return self.column(branch)
        return Column(self._new_trace(request, total), f"seed {request.seed}")

    def adopt(self, columns: Iterable[Column]) -> None:
        """Make branches of columns that are none; the shown branch stays."""
        shown = self.tree.shown
        for column in columns:
            if column.branch is None or self.tree.find(column.branch) is None:
                column.branch = self.tree.add(column.trace, column.label).number
        self.tree.shown = shown

    def take_column(self, column: Column | None, label: str = "", parent: int = -1) -> None:
        """Show a column of a comparison, as a new branch if needed; None shows the branch again."""
        if column is not None:
            self.remember_shown()
        if column is not None and column.branch is not None:
            self.tree.show(column.branch)
        elif column is not None:
            self.pause()
            self.tree.add(column.trace, label or f"seed {column.trace.request.seed}", parent)
        self.tree_changed()

    # --- the session's replies ------------------------------------------------------------

    def handle(self, reply: TraceReply) -> None:
        """Handle a reply of the session about a trace."""
        if isinstance(reply, Lost):
            for branch in self.tree.branches:
                branch.trace.lose()
            self.refresh()
            return
        trace = self.tree.find_trace(reply.trace)
        if trace is None:
            return
        match reply:
            case Started():
                line = weights_warning(trace.fingerprint, reply)
                trace.begin(reply)
                line = line or clean_line(trace.note)
                if line and trace is self.trace:
                    self.listener.say(line)
                self.refresh()
            case Loading():
                trace.report_load(reply, self._clock())
            case Frames():
                trace.receive(reply.frames, self._clock())  # type: ignore[arg-type]
                if trace is self.trace and not trace.playing and trace.position == trace.goal:
                    self.refresh()  # the step that a key requested
                else:
                    self._ask()
                    self.listener.repaint_soon()
            case Spent():
                trace.spend(reply)
            case Idle():
                trace.idle(reply)
                self.refresh()
            case Failed():
                stopped = trace.load_stopped
                has_steps = trace.started or trace.computed > trace.forked_at
                trace.lose()
                trace.load_stopped = stopped
                if not (has_steps or stopped) and self.tree.take_back(trace):
                    self._use_inputs_of_shown()
                if not stopped or trace is self.trace:
                    self.listener.say(clean_line(reply.message), "note" if stopped else "error")
                self.refresh()

    def refresh(self) -> None:
        """Request the next steps of the shown trace, and paint now."""
        self._ask()
        self.listener.repaint()

    def _ask(self) -> None:
        if self.trace is not None and self.session.ask(self.listener, self.trace) == "start":
            self._requested_at = self._clock()

    @property
    def waited_s(self) -> float:
        """Seconds since the last trace was requested."""
        return self._clock() - self._requested_at


def parse_whole_number(text: str, least: int, most: int, noun: str = "number") -> int:
    """A number in that range, as typed. Raises MisuseError."""
    with suppress(ValueError):  # also for more digits than Python converts
        if least <= (number := int(text)) <= most:
            return number
    raise MisuseError(f"{clean_line(text, 20)!r}: expected a {noun} from {least} to {most}")


def _quote(branch: Branch[Any]) -> str:
    """The label of a branch in quotes, and where it was forked."""
    where = f", forked at step {branch.trace.forked_at}" if branch.parent >= 0 else ""
    return f"“{clean_line(branch.title, 60).strip('“”')}”{where}"
