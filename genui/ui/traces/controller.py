"""What a pane of generated traces knows and does, without a screen.

A TraceController owns the tree of branches and what the next trace begins with. It asks the
session for what is missing, takes the session's replies, and tells its listener what changed.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

from msgspec.structs import replace

from genui import protocol
from genui.base.text import clean_line
from genui.protocol import (
    FROM_DATA,
    Axis,
    Failed,
    Idle,
    ImageSettings,
    LabSettings,
    LatentSettings,
    RgbImage,
    Settings,
    Started,
    TextSettings,
)
from genui.protocol.edits import inputs_at
from genui.protocol.registry import KINDS
from genui.recipes import RECIPES
from genui.runs.models import ModelInfo
from genui.ui.traces.compare import Column, for_model
from genui.ui.traces.trees import (
    Branch,
    F,
    Frames,
    Lost,
    Trace,
    TraceReply,
    Tree,
    Worker,
    other_weights,
)

S = TypeVar("S", TextSettings, ImageSettings, LatentSettings, LabSettings)

NO_MODEL = "no model is chosen yet: pick one in Models and press Enter"
LABEL_CELLS = 32  # of a branch's label


class Listener(Protocol):
    """Who is told what changed."""

    def moved(self) -> None:
        """The user or the worker moved something: show it at once."""

    def frames_came(self) -> None:
        """There are new frames: show them with the next tick."""

    def acted(self) -> None:
        """The user did something real: what was said before has been read."""

    def say(self, line: str, kind: Literal["error", "note"] = "note") -> None:
        """One line for the user."""


class Opening(NamedTuple):
    """What a trace begins from besides its prompt, seed and settings, as in `protocol.Start`."""

    init: RgbImage | str | None = None
    strength: float = 0.6
    forward: bool = False
    grid: tuple[Axis, ...] = ()
    name: str = ""  # of `init`, where that does not tell

    @property
    def title(self) -> str:
        """What `init` is, for a person."""
        if self.name or not isinstance(self.init, str):
            return self.name or "an image"
        return "a training image" if self.init == FROM_DATA else PurePath(self.init).name


class UsualSettings(Generic[S]):
    """The settings last used with each kind of model; `first` are those a pane begins with."""

    def __init__(self, first: S) -> None:
        self._first = first
        self._last: dict[Settings, S] = {}  # by the defaults of a kind

    def for_model(self, model: ModelInfo, before: ModelInfo | None, now: S) -> S:
        """The settings for a model, which were `now` for the one before.

        They stay as they are, but for a model of a kind that has other defaults.
        """
        was, usual = self._usual(before), self._usual(model)
        if usual == was:
            return now
        self._last[was] = now
        return self._last.get(usual, usual)

    def _usual(self, model: ModelInfo | None) -> S:
        kind = KINDS.get((model.family, model.medium)) if model is not None else None
        usual = kind.defaults if kind is not None else None
        return usual if isinstance(usual, type(self._first)) else self._first


# --- The controller ---------------------------------------------------------------------------


class TraceController(Generic[F, S]):
    """The branches of one pane, and the model, prompt, seed and settings of the next trace.

    `first` is the step of a trace's first frame: 0 for images, 1 for text. `steps` names the
    setting that says how many steps there are. `clock` counts seconds.
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
        self.known: dict[str, ModelInfo] = {}  # by ref: those that branches are of
        self.catalogue: tuple[ModelInfo, ...] = ()  # of this medium, on disk now
        self.prompt = ""
        self.seed = 1
        self.settings: S = settings
        self.opening = Opening()
        self.requested_at = 0.0  # when the worker was asked to begin a trace
        self._steps = steps
        self._blank = blank  # the first prompt, where no recipe has a better one
        self._usual = UsualSettings(settings)
        self._clock = clock

    @property
    def trace(self) -> Trace[F] | None:
        """The one that is shown."""
        return self.tree.trace

    @property
    def frame(self) -> F | None:
        """The step that is shown; None before there is one."""
        return self.tree.trace.frame if self.tree.trace is not None else None

    @property
    def total_steps(self) -> int:
        """The steps that the settings ask for."""
        return getattr(self.settings, self._steps)

    # --- choosing a model ---------------------------------------------------------------

    def know(self, models: Iterable[ModelInfo]) -> None:
        """Remember which models there are names for."""
        self.known.update((model.ref, model) for model in models)

    def set_catalogue(self, models: Sequence[ModelInfo]) -> None:
        """The models of this medium that are on disk now."""
        self.catalogue = tuple(models)
        self.know(models)

    def offer(self, model: ModelInfo) -> None:
        """Use this model unless another was chosen; nothing is started."""
        if self.model is None:
            self.use_model(model)
            self.moved()

    def open_model(self, model: ModelInfo) -> None:
        """Use this model and play."""
        self.use_model(model)
        self.start_over(play=True)

    def use_model(self, model: ModelInfo) -> None:
        """Use this model for what begins next."""
        changed = self.model is None or self.model.name != model.name
        self.settings = self._usual.for_model(model, self.model, self.settings)
        self.model = model
        self.know([model])
        if changed:
            self.prompt = self.default_prompt(model)
        self.tree.shown = None

    def default_prompt(self, model: ModelInfo) -> str:
        """A prompt this model answers well."""
        recipe = RECIPES.get(model.name) or RECIPES.get(model.dataset)
        return next(iter(recipe.prompts if recipe is not None else ()), self._blank)

    # --- beginning and forking ----------------------------------------------------------

    def request(self) -> protocol.Start:
        """What would begin a trace with everything as it is now."""
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

    def new_label(self) -> str:
        """What a trace is called that would begin now."""
        return f"seed {self.seed}"

    def start_over(self, play: bool) -> None:
        """A new trace with everything as it is now."""
        if self.model is None:
            self.listener.moved()
        else:
            self.begin(self.new_label(), play)

    def begin(self, label: str, play: bool = True) -> None:
        """Show a new trace beside those that are here."""
        self.hold()
        self.tree.root(self._new_trace(self.request(), self.total_steps), label)
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
        self.hold()
        self.tree.fork(step, edit, label, then)
        self._go(play)

    def reseed(self) -> None:
        """The same again with another seed."""
        self.seed = random.randrange(1, 10_000)
        self.listener.acted()
        self.start_over(play=True)

    def fork_here(self) -> None:
        """From here on with other random numbers."""
        if self.needed() is not None:
            self.seed = random.randrange(1, 10_000)
            self.fork(protocol.SetSeed(self.seed), f"seed {self.seed}")

    def recaption(self, trace: Trace[F], caption: str, step: int) -> None:
        """Another caption from `step` of that trace on; nothing where it is not shown any more."""
        if self.trace is trace:
            self.prompt = caption
            label = clean_line(f"“{caption}”", LABEL_CELLS)
            self.fork(protocol.SetPrompt(caption), label, step=step)

    def change(self, settings: S) -> bool:
        """Use these settings; False where they are the same. What is shown stays: see `apply`."""
        changed, self.settings = settings != self.settings, settings
        return changed

    def refusal(self, setting: str) -> str:
        """Why that setting cannot be changed now; "" where it can."""
        return ""

    def apply(self, label: str) -> None:
        """Midway the settings hold from here on, as a fork; at either end it begins again."""
        trace = self.trace
        if trace is None:
            self.start_over(play=True)
        elif trace.position == 0 or trace.finished:
            self.begin(label)
        else:
            self.fork(protocol.SetSettings(self.settings), label)

    def _new_trace(self, request: protocol.Start, total: int) -> Trace[F]:
        model = self.known.get(request.model, self.model)
        medium = model.medium if model is not None else ""
        return Trace(request=request, first=self.first, total=total, medium=medium)

    def _go(self, play: bool) -> None:
        self._forget_dropped()
        if play and self.trace is not None:
            self.trace.play()
        self.moved()

    # --- playing and seeking ------------------------------------------------------------

    def has_model(self) -> bool:
        """Whether a model is chosen; else says so."""
        if self.model is None:
            self.listener.say(NO_MODEL)
        return self.model is not None

    def needed(self) -> Trace[F] | None:
        """The trace, begun if there is none; None (and a line to the user) without a model."""
        if not self.has_model():
            return None
        if self.trace is None:
            self.start_over(play=False)
        self.listener.acted()
        return self.trace

    def frame_needed(self, verb: str) -> Trace[F] | None:
        """The trace, where the worker has the step that is shown; else says what to do."""
        trace = self.needed()
        if trace is None:
            return None
        if trace.frame is None:
            self.listener.say(f"nothing to {verb} yet: press space, then this key again")
            return None
        if not trace.at_hand:
            self.listener.say("the worker does not have this step yet: press space to continue")
            return None
        return trace

    def play(self) -> None:
        """Play, or pause."""
        trace = self.needed()
        if trace is None:
            return
        if trace.playing:
            trace.pause()
        else:
            trace.play()
        self.moved()

    def step(self, by: int) -> None:
        """Move the playhead by that many steps."""
        trace = self.needed()
        if trace is not None:
            base = trace.position if trace.playing or by < 0 else trace.goal
            self.seek(base + by)

    def ends(self, direction: int) -> None:
        """To the start, or to the end."""
        trace = self.needed()
        if trace is not None:
            self.seek(0 if direction < 0 else trace.total)

    def seek(self, step: int) -> None:
        """Go to that step and stay there."""
        if self.trace is not None:
            self.trace.seek(step)
            self.moved()

    def hold(self) -> None:
        """What is shown stays where it is."""
        if self.trace is not None:
            self.trace.pause()
            self._ask()

    # --- branches -----------------------------------------------------------------------

    def show_branch(self, number: int) -> None:
        """Show another branch of the tree, with its own prompt, seed and settings."""
        self.hold()
        self.tree.show(number)
        self.tree_changed()

    def drop(self, number: int) -> list[Branch[F]]:
        """Take out a branch and all that grew from it; nothing where what is shown did."""
        dropped = self.tree.drop(number)
        self._forget_dropped()
        return dropped

    def tree_changed(self) -> None:
        """Another branch is shown: its model, prompt, seed and settings are used from now on."""
        self._forget_dropped()
        self._follow_shown()
        self.moved()

    def _follow_shown(self) -> None:
        if self.trace is None:
            return
        start = self.trace.request
        self.model = self.known.get(start.model, self.model)
        self.prompt, self.seed, self.settings = inputs_at(start)
        name = self.opening.name if start.init == self.opening.init else ""
        self.opening = Opening(start.init, start.strength, start.forward, start.grid, name)

    def _forget_dropped(self) -> None:
        """The worker need not keep what is no longer in the tree."""
        for branch in self.tree.take_dropped():
            if branch.trace.id:
                self.session.forget(branch.trace.id)
                branch.trace.lose()

    def branch_label(self, branch: Branch[F]) -> str:
        """What a branch is called where its tree is not seen."""
        start = f" from step {branch.trace.forked_at}" if branch.parent >= 0 else ""
        return clean_line(f"{branch.label}{start}", 80)

    def model_name(self, trace: Trace[F]) -> str:
        """The name of a trace's model, as far as it is known."""
        ref = trace.request.model
        return clean_line(self.known[ref].name if ref in self.known else ref, 30)

    # --- side by side -------------------------------------------------------------------

    def column(self, branch: Branch[F]) -> Column:
        """A branch, to be compared."""
        return Column(branch.trace, self.branch_label(branch), branch.number)

    def model_column(self, model: str) -> Column | None:
        """What is shown as that model would make it; None where nothing is shown."""
        trace = self.trace
        return self._column_of(for_model(trace, model), trace.total) if trace is not None else None

    def continuations(self, count: int) -> list[Column]:
        """Traces of the prompt from so many seeds that follow one another."""
        start, total = self.request(), self.total_steps
        seeds = ((start.seed + n) % 2**63 for n in range(count))
        return [self._column_of(replace(start, seed=seed), total) for seed in seeds]

    def _column_of(self, request: protocol.Start, total: int) -> Column:
        """The branch that has this request; else a new trace."""
        for branch in self.tree.branches:
            if replace(branch.trace.request, trace=0) == replace(request, trace=0):
                return self.column(branch)
        return Column(self._new_trace(request, total), f"seed {request.seed}")

    def take_column(self, column: Column | None, label: str = "", parent: int = -1) -> None:
        """Go on with a column that was compared; with what is shown where it is None."""
        if column is not None and column.branch is not None:
            self.tree.show(column.branch)
        elif column is not None:
            self.hold()
            self.tree.graft(column.trace, label or f"seed {column.trace.request.seed}", parent)
        self.tree_changed()

    # --- the session's replies ------------------------------------------------------------

    def take(self, reply: TraceReply) -> None:
        """A reply of the session about a trace."""
        if isinstance(reply, Lost):
            for branch in self.tree.branches:
                branch.trace.lose()
            self.moved()
            return
        trace = self.tree.of_trace(reply.trace)
        if trace is None:
            return
        match reply:
            case Started():
                line = other_weights(trace.fingerprint, reply)
                trace.begin(reply)
                line = line or clean_line(trace.note)
                if line and trace is self.trace:
                    self.listener.say(line)
                self.moved()
            case Frames():
                trace.receive(reply.frames, self._clock())  # type: ignore[arg-type]
                if trace is self.trace and not trace.playing and trace.position == trace.goal:
                    self.moved()  # the step that a key asked for
                else:
                    self._ask()
                    self.listener.frames_came()
            case Idle():
                trace.idle(reply)
                self.moved()
            case Failed():
                begun = trace.started or trace.computed > trace.forked_at
                trace.lose()
                if not begun and self.tree.take_back(trace):
                    self._follow_shown()
                self.listener.say(clean_line(reply.message), "error")
                self.moved()

    def moved(self) -> None:
        """Something moved: ask for what is missing, and have it shown at once."""
        self._ask()
        self.listener.moved()

    def _ask(self) -> None:
        if self.trace is not None and self.session.ask(self.listener, self.trace) == "start":
            self.requested_at = self._clock()

    @property
    def waited(self) -> float:
        """Seconds since the worker was asked to begin a trace."""
        return self._clock() - self.requested_at
