"""What Text and Canvas do with a tree of branches and the disk: save, open again and export."""

import asyncio
import random
import time
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from msgspec.structs import replace
from textual import on, work
from textual.timer import Timer

from genui import protocol
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import shown as shown_path
from genui.base.schema import settings_of
from genui.base.text import clean_line
from genui.protocol import Settings
from genui.protocol.edits import in_force
from genui.protocol.registry import KINDS
from genui.runs.models import ModelInfo
from genui.ui import messages
from genui.ui.session import Session
from genui.ui.settings import S, changed_label, hint_of, nudged, recipe_of, typed
from genui.ui.terminal import may_move
from genui.ui.traces.compare import Column
from genui.ui.traces.controller import F, Trace
from genui.ui.traces.trees import Branch, Tree
from genui.ui.widgets.base import LineInput, Pane, Row, Timeline, escape_newlines, unescape_newlines
from genui.ui.widgets.candidates import LabelBars
from genui.ui.widgets.dialogs import ValueScreen

if TYPE_CHECKING:
    from genui.ui.compare import VariationsScreen
    from genui.ui.traces.compare import Part
    from genui.ui.windows import Choice, NearestScreen

NO_MODEL = "no model is chosen yet: pick one in Models and press Enter"
NOTHING = "nothing is begun yet: press space, then there is something to {}"


class Saving(Pane, Generic[F]):
    """Mixed into the pane that owns a tree of traces. What reads files is imported when used."""

    traces: Tree[F]
    model: ModelInfo | None
    seed: int
    first_step: ClassVar[int]
    _session: Session

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.known: dict[str, ModelInfo] = {}  # by ref: those that branches are of
        self.catalogue: tuple[ModelInfo, ...] = ()  # of this medium

    # --- what the pane has --------------------------------------------------------------

    @property
    @abstractmethod
    def trace(self) -> Trace[F] | None: ...
    @abstractmethod
    def request(self) -> protocol.Start: ...
    @abstractmethod
    def total_steps(self) -> int: ...
    @abstractmethod
    def show_branch(self, number: int) -> None: ...
    @abstractmethod
    def _needed(self) -> Trace[F] | None: ...
    @abstractmethod
    def _hold(self) -> None: ...
    @abstractmethod
    def _moved(self) -> None: ...
    @abstractmethod
    def _follow_shown(self) -> None: ...
    @abstractmethod
    def _forget_dropped(self) -> None: ...

    def _tell(self, line: str) -> None:
        """A note to the user."""
        self.post_message(messages.Say(line, "note"))

    def know(self, models: Iterable[ModelInfo]) -> None:
        """Remember which models there are names for."""
        self.known.update((model.ref, model) for model in models)

    def set_catalogue(self, models: Sequence[ModelInfo]) -> None:
        """The models of this medium that are on disk now."""
        self.catalogue = tuple(models)
        self.know(models)

    @property
    def shown_part(self) -> "Part":
        """Which picture of a step the pane shows."""
        part = getattr(self, "shown", "x")
        return part if part in ("guess", "x", "noise") else "x"

    # --- save and open --------------------------------------------------------------------

    def action_save(self) -> None:
        """The tree of what is shown, beside its model."""
        if self.traces.shown is None:
            self._tell(NOTHING.format("save"))
        else:
            self._save([self.traces.shown])

    def _trees(self) -> Iterable[Branch[F]]:
        """A branch of every tree: of that which is shown the one that is."""
        from genui.ui.traces import export as keeping

        shown = self.traces.shown
        for root in keeping.roots(self.traces):
            mine = shown is not None and keeping.root_of(self.traces, shown) is root
            yield shown if mine and shown is not None else root

    @work(group="save", exit_on_error=False)
    async def _save(self, branches: list[Branch[F]]) -> None:
        """Write the trees of these branches."""
        from genui.formats.favourites import save_tree
        from genui.ui.traces import export as keeping

        machine = keeping.machine_of(self._session.ready)
        trees = [
            (keeping.saved_tree(self.traces, branch, machine), tuple(branch.trace.frames))
            for branch in branches
        ]

        def write() -> list[Path]:
            return [save_tree(keeping.with_result(tree, frames)) for tree, frames in trees]

        try:
            files = await asyncio.to_thread(write)
        except GenuiError as error:
            self.post_message(messages.Say(str(error)))
            return
        count = sum(len(tree.branches) for tree, _ in trees)
        what = "1 branch" if count == 1 else f"{count} branches"
        where = shown_path(files[0] if len(files) == 1 else files[0].parent)
        self._tell(f"saved {what} in {where} · ^p Open saved trace")

    @work(group="open", exclusive=True, exit_on_error=False)
    async def open_saved(self, path: Path) -> None:
        """Show a saved tree beside what is here, as it was left."""
        from genui.ui.traces import export as keeping

        try:
            saved, model = await asyncio.to_thread(keeping.opened, path)
        except GenuiError as error:
            self.post_message(messages.Say(str(error)))
            return
        self._hold()
        self.know([model])
        keeping.graft(saved, self.traces)
        self._forget_dropped()
        self._follow_shown()
        count = len(saved.branches)
        what = "1 branch" if count == 1 else f"{count} branches, b lists them"
        self._tell(f"opened {clean_line(saved.name, 60)}: {what}")
        self._moved()

    # --- export ---------------------------------------------------------------------------

    def action_export(self) -> None:
        """What is shown, to a file that replays."""
        shown = self.traces.shown
        if shown is None or not (shown.trace.started or shown.trace.frames):
            self._tell(NOTHING.format("export"))
        else:
            self._export(shown)

    def _export(self, branch: Branch[F]) -> None:
        from genui.ui.traces import export as keeping
        from genui.ui.traces.export import Export
        from genui.ui.widgets.dialogs import ExportScreen

        trace: Trace[Any] = branch.trace
        step = trace.position

        def export() -> Export:
            machine = keeping.machine_of(self._session.ready)
            tree = keeping.saved_tree(self.traces, branch, machine)
            return Export(trace, tree, machine, step, self.shown_part)

        def finish() -> None:
            trace.seek(trace.total)
            self._session.ask(self, trace)

        def done(path: Path | None) -> None:
            if path is not None:
                name = shown_path(path)
                self._tell(f"wrote {name} · genui replay {name} makes it again and compares")
            self._moved()

        self.app.push_screen(ExportScreen(trace, self.shown_part, export, finish), done)


def other_weights(expected: str, started: protocol.Started) -> str:
    """The one line for a trace that other weights go on with; empty where they are the same."""
    if not expected or expected == started.fingerprint:
        return ""
    return (
        f"{clean_line(started.model, 40)} has other weights now ({started.fingerprint}) than "
        f"this was made with ({clean_line(expected, 16)}): its steps will differ"
    )


# --- What Text and Canvas do with whole branches: list them, and put them side by side --------

FEWEST, MOST_COLUMNS, USUAL_COLUMNS = 2, 6, 3  # continuations side by side


class Branching(Saving[F]):
    """Mixed into the pane that owns a tree of traces. Its windows are imported when opened."""

    # --- branches -----------------------------------------------------------------------

    def action_branches(self) -> None:
        """Every branch, as a tree."""
        from genui.ui.windows import BranchesScreen

        ref = self.model.ref if self.model is not None else ""
        self.app.push_screen(BranchesScreen(self.traces, ref, self._drop), self._chosen)

    def _drop(self, number: int) -> list[Branch[F]]:
        dropped = self.traces.drop(number)
        self._forget_dropped()
        return dropped

    def _chosen(self, choice: "Choice | None") -> None:
        branch = self.traces.find(choice.branch) if choice is not None else None
        if choice is None or branch is None:
            return
        match choice.action:
            case "show":
                self.show_branch(branch.number)
            case "compare":
                self._compare_with(self._column(branch))
            case "export":
                self._export(branch)
            case "save":
                self._save([*self._trees()])

    # --- compare ------------------------------------------------------------------------

    def action_compare(self) -> None:
        """Beside another branch of this pane, or beside another model."""
        from genui.ui.widgets.dialogs import ChooseScreen

        trace = self._needed()
        if trace is None:
            return
        rows = [*self._branch_rows(), *self._model_rows(trace)]
        empty = "Nothing to compare with: f forks this one, and Models has other models"
        self.app.push_screen(ChooseScreen("Compare with", rows, "compare", empty), self._compare_to)

    def _branch_rows(self) -> list[Row]:
        others = [branch for branch in self.traces.branches if branch is not self.traces.shown]
        head = [Row("", "Branches")] if others else []
        return head + [
            Row(
                f"branch {branch.number}",
                self._branch_label(branch),
                f"{self._model_name(branch.trace)} · {branch.trace.computed} steps",
            )
            for branch in others
        ]

    def _model_rows(self, trace: Trace[F]) -> list[Row]:
        others = [model for model in self.catalogue if model.ref != trace.request.model]
        head = [Row("", "Models, from the same prompt, seed and settings")] if others else []
        return head + [
            Row(f"model {model.ref}", clean_line(model.name), clean_line(model.summary))
            for model in others
        ]

    def _compare_to(self, key: str | None) -> None:
        from genui.ui.traces.compare import for_model

        kind, _, which = (key or "").partition(" ")
        trace = self.trace
        if trace is None or not kind:
            return
        if kind == "branch":
            branch = self.traces.find(int(which))
            if branch is not None:
                self._compare_with(self._column(branch))
        else:
            self._compare_with(self._column_of(for_model(trace, which), trace.total))

    def _compare_with(self, other: Column) -> None:
        if self.traces.shown is not None:
            self._side_by_side([self._column(self.traces.shown), other], playing=False)

    def action_side_by_side(self) -> None:
        """Several continuations of the prompt, from seeds that follow one another."""
        from genui.ui.widgets.dialogs import ValueScreen

        def parse(text: str) -> int:
            if text.strip().isdecimal() and FEWEST <= int(text) <= MOST_COLUMNS:
                return int(text)
            raise MisuseError(f"{clean_line(text, 20)!r}: a number from {FEWEST} to {MOST_COLUMNS}")

        if self._needed() is not None:
            hint = f"how many, {FEWEST} to {MOST_COLUMNS}, from seeds {self.seed}, {self.seed + 1}…"
            screen = ValueScreen("Side by side", str(USUAL_COLUMNS), hint, parse)
            self.app.push_screen(screen, self._continue)

    def _continue(self, count: int | None) -> None:
        if count is None or self.model is None:
            return
        request = self.request()
        requests = [replace(request, seed=(request.seed + n) % 2**63) for n in range(count)]
        self._side_by_side(
            [self._column_of(each, self.total_steps()) for each in requests], playing=True
        )

    def _branch_label(self, branch: Branch[F]) -> str:
        """What a branch is called where its tree is not seen."""
        start = f" from step {branch.trace.forked_at}" if branch.parent >= 0 else ""
        return clean_line(f"{branch.label}{start}", 80)

    def _model_name(self, trace: Trace[F]) -> str:
        ref = trace.request.model
        return clean_line(self.known[ref].name if ref in self.known else ref, 30)

    def _column(self, branch: Branch[F]) -> Column:
        return Column(branch.trace, self._branch_label(branch), branch.number)

    def _column_of(self, request: protocol.Start, total: int) -> Column:
        """What the pane has of this request; else a new trace."""
        for branch in self.traces.branches:
            if replace(branch.trace.request, trace=0) == replace(request, trace=0):
                return self._column(branch)
        model = self.known.get(request.model, self.model)
        medium = model.medium if model is not None else ""
        trace: Trace[F] = Trace(request=request, first=self.first_step, total=total, medium=medium)
        return Column(trace, self._branch_label(Branch(-1, trace, f"seed {request.seed}")))

    def _side_by_side(self, columns: list[Column], playing: bool) -> None:
        from genui.ui.compare import CompareScreen

        self._hold()
        if len({column.trace.request.model for column in columns}) > 1:
            for column in columns:
                column.label = f"{self._model_name(column.trace)} · {column.label}"
        position = 0 if playing or self.trace is None else self.trace.position
        screen = CompareScreen(self._session, self, columns, position, playing, self.shown_part)
        self.app.push_screen(screen, self._compared)

    def _compared(self, taken: Column | None) -> None:
        """Back from a comparison, maybe with one of its traces."""
        if taken is not None and taken.branch is None:
            self._hold()
            self.traces.graft(taken.trace, f"seed {taken.trace.request.seed}")
            self._forget_dropped()
        elif taken is not None and taken.branch is not None:
            self.traces.show(taken.branch)
        self._follow_shown()
        self._moved()


# --- What every pane of traces can be asked: is this copied? and: more like this one ----------


class Likening(Branching[F]):
    """Mixed into the pane that owns a tree of traces. Its windows are imported when opened."""

    _nearest: "NearestScreen | None" = None  # waiting for its answer

    # --- nearest training examples ----------------------------------------------------------

    def action_nearest(self) -> None:
        """What of the training data is most like what is shown."""
        trace = self._known_here("compare")
        if trace is None:
            return
        from genui.ui.windows import NearestScreen

        self._hold()
        self._nearest = NearestScreen(trace, trace.position)
        self.app.push_screen(self._nearest)
        self._session.nearest(trace.id, trace.position)

    @on(messages.NeighboursArrived)
    def _neighbours_arrived(self, event: messages.NeighboursArrived) -> None:
        if self._nearest is not None:
            self._nearest.show(event.neighbours)
        self._nearest = None

    @on(messages.TraceFailed)
    @on(messages.TraceLost)
    def _no_neighbours(self) -> None:
        if self._nearest is not None:
            self._nearest.fail(
                "the worker could not say; esc leaves, space goes on, then try again"
            )
        self._nearest = None

    def _known_here(self, verb: str) -> Trace[F] | None:
        """The trace, where the worker has the step that is shown; else says what to do."""
        trace = self._needed()
        if trace is None:
            return None
        if trace.frame is None:
            self._tell(f"nothing to {verb} yet: space begins, then press this again")
            return None
        if not trace.at_hand:
            self._tell("the worker does not have this step yet: press space to go on")
            return None
        return trace

    # --- variations -------------------------------------------------------------------------

    def action_variations(self) -> None:
        """More like this one, nearer or farther, to choose from and go on with."""
        trace, shown = self._known_here("vary"), self.traces.shown
        if trace is None or shown is None:
            return
        if trace.request.grid:
            self._tell("this is a grid: vary one picture of it; w ends the grid")
            return
        from genui.protocol.edits import USUAL, variations
        from genui.ui.compare import COUNT, VariationsScreen

        try:
            variations(trace.request, trace.position, USUAL, (0,))
        except MisuseError as fault:
            self._tell(str(fault))
            return
        self._hold()
        sample = Column(trace, self._branch_label(shown), shown.number)
        seed = random.randrange(1, 10_000 - COUNT)
        screen: VariationsScreen

        def keep(kept: Trace[Any]) -> None:
            self._keep(kept, screen.tell)

        def sheet(columns: Sequence[Column]) -> None:
            self._ask_sheet(columns, screen)

        screen = VariationsScreen(
            self._session, self, sample, trace.position, seed, self.shown_part, keep, sheet
        )
        self.app.push_screen(screen, self._varied)

    def _varied(self, taken: Column | None) -> None:
        """Back from the variations, maybe with one to go on with."""
        if taken is not None and taken.branch is None and self.traces.shown is not None:
            self.traces.graft(taken.trace, taken.label, self.traces.shown.number)
            self._forget_dropped()
        self._follow_shown()
        self._moved()

    # --- favourites and sheets ----------------------------------------------------------------

    def action_favourite(self) -> None:
        """Keep what is shown as a favourite."""
        trace = self._needed()
        if trace is None:
            return
        if not trace.frames:
            self._tell("nothing to keep yet: space begins")
            return
        self._keep(trace, self._tell)

    @work(group="favourite", exit_on_error=False)
    async def _keep(self, trace: Trace[Any], say: Any) -> None:
        from genui.formats.favourites import save_favourite
        from genui.ui.traces import export

        tree = export.tree_of(trace, export.machine_of(self._session.ready))
        frames = tuple(trace.frames)
        try:
            path = await asyncio.to_thread(lambda: save_favourite(export.with_result(tree, frames)))
        except GenuiError as error:
            say(str(error))
        else:
            say(f"kept as a favourite: {shown_path(path)} · F lists them")

    def _ask_sheet(self, columns: Sequence[Column], screen: "VariationsScreen") -> None:
        """Ask for a file, and write the columns to it as a contact sheet."""
        from genui.ui.traces.export import free_file, sheet_target
        from genui.ui.widgets.dialogs import ValueScreen

        def done(path: Path | None) -> None:
            if path is not None:
                self._write_sheet(columns, path, screen.tell)

        hint = "a .png file: every one of them with its words below"
        usual = str(free_file("variations"))
        self.app.push_screen(ValueScreen("Contact sheet", usual, hint, sheet_target), done)

    @work(group="sheet", exit_on_error=False)
    async def _write_sheet(self, columns: Sequence[Column], path: Path, say: Any) -> None:
        from genui.ui.traces import export

        machine = export.machine_of(self._session.ready)
        try:
            await asyncio.to_thread(export.write, columns, machine, path)
        except GenuiError as error:
            say(clean_line(str(error)))
        else:
            say(f"wrote {shown_path(path)}: {len(columns)} on it")


# --- What a classifier says of what is shown, live, in any pane of traces ---------------------

EVERY = 0.25  # seconds between two questions: generating is not to be slowed by them


class Labelling(Likening[F]):
    """Mixed into the pane that owns a tree of traces; it has a LabelBars and paints it.

    One question is under way at a time, and it is of where the playhead is when it is asked.
    """

    judge: ModelInfo | None = None  # the classifier that is asked, where one is
    _classifiers: tuple[ModelInfo, ...] = ()
    _label_asked: tuple[int, int] | None = None  # the trace and step under way
    _label_of: tuple[int, int, str] | None = None  # the trace, step and classifier last answered
    _label_asked_at = 0.0  # in monotonic seconds
    _label_timer: Timer | None = None

    @abstractmethod
    def paint(self) -> None:
        """Draw the trace as it is now."""

    def set_classifiers(self, models: Sequence[ModelInfo]) -> None:
        """Those there are, of every medium."""
        self._classifiers = tuple(models)

    @property
    def judges(self) -> list[ModelInfo]:
        """Those that know what this pane's model makes, of its own data first."""
        if self.model is None:
            return []
        kind = KINDS.get((self.model.family, self.model.medium))
        medium = (kind and kind.labelled_as) or self.model.medium
        dataset = self.model.dataset
        fitting = [judge for judge in self._classifiers if judge.medium == medium]
        return sorted(fitting, key=lambda judge: judge.dataset != dataset)

    def action_labels(self) -> None:
        """The next classifier; after the last one none."""
        judges, shown = self.judges, self.judge.ref if self.judge is not None else None
        if not judges and self.judge is None:
            self._tell(self._no_judge())
            return
        refs = [judge.ref for judge in judges]
        following = refs.index(shown) + 1 if shown in refs else 0 if shown is None else len(refs)
        self.judge = judges[following] if following < len(judges) else None
        self._label_of = None
        if self.judge is not None:
            self.query_one(LabelBars).say(self._label_heading("asking …"))
        self.set_class(self.judge is not None, "-labelled")
        self.post_message(messages.Acted())
        self.paint()

    def _no_judge(self) -> str:
        if self.model is None:
            return NO_MODEL
        known = ", ".join(clean_line(m.name, 24) for m in self._classifiers) or "none"
        return (
            f"no classifier here reads what {clean_line(self.model.name, 24)} makes; "
            f"there is {known}"
        )

    def paint_labels(self) -> None:
        """Ask about what is shown, unless that is known or under way."""
        trace = self.trace
        if self.judge is None or self._label_asked is not None:
            return
        bars = self.query_one(LabelBars)
        if trace is None or not trace.started or trace.position < self.first_step:
            bars.say(self._label_heading("press space: it reads what is shown"))
            return
        if not trace.at_hand:
            bars.say(self._label_heading("the worker does not have this yet: space goes on"))
            return
        if self._label_of == (trace.id, trace.position, self.judge.ref):
            return
        wait = self._label_asked_at + EVERY - time.monotonic()
        if wait <= 0:
            self._label_asked_at = time.monotonic()
            self._label_asked = (trace.id, trace.position)
            self._session.label(trace.id, trace.position, self.judge.ref)
        elif self._label_timer is None:
            self._label_timer = self.set_timer(wait, self._label_due)

    def _label_due(self) -> None:
        self._label_timer = None
        self.paint_labels()

    def _label_heading(self, more: str) -> str:
        name = clean_line(self.judge.name, 24) if self.judge is not None else ""
        return f"{name} · {more}"

    @on(messages.LabelsArrived)
    def _labels_arrived(self, event: messages.LabelsArrived) -> None:
        told, self._label_asked = event.labels, None
        if self.judge is not None and told.model == self.judge.ref:
            self._label_of = (told.trace, told.step, told.model)
            bars = self.query_one(LabelBars)
            if told.fault:
                bars.say(self._label_heading(clean_line(told.fault, 200)))
            else:
                bars.show(self._label_heading(f"of step {told.step}"), told.labels)
        self.paint_labels()

    @on(messages.TraceFailed)
    @on(messages.TraceLost)
    def _no_labels(self) -> None:
        self._label_asked = None


# --- The settings of a pane that several kinds of models are asked in: each kind keeps its own


class UsualSettings(Generic[S]):
    """What each kind of model was asked with last; `first` is what the pane begins with."""

    def __init__(self, first: S) -> None:
        self._first = first
        self._last: dict[Settings, S] = {}  # by what a kind is usually asked with

    def for_model(self, model: ModelInfo, before: ModelInfo | None, now: S) -> S:
        """The settings for a model, which were `now` for the one before.

        They stay as they are, but for a model of a kind that is usually asked otherwise.
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


# --- The prompt of a pane of traces: what it is at first, and typing another ------------------


class Prompting(Labelling[F]):
    """Mixed into the pane that owns a tree of traces; most have a LineInput."""

    prompt = ""
    blank: ClassVar[str] = ""  # the first prompt, where no recipe has a better one

    @abstractmethod
    def start_over(self, play: bool) -> None:
        """A new trace with the prompt, seed and settings as they are now."""

    def default_prompt(self, model: ModelInfo) -> str:
        """A prompt this model answers well."""
        recipe = recipe_of(model)
        return next(iter(recipe.prompts if recipe is not None else ()), self.blank)

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


# --- What Text and Canvas share: a tree of traces, one of them shown, played, stepped and forked

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
        """Ask for a value; of a few choices, the next."""
        if settings_of(type(self.settings))[name].choices is not None:
            self._set(nudged(self.settings, name, 1))
            return
        self._touched = name

        def parse(text: str) -> S:
            return typed(self.settings, name, text)

        def done(settings: S | None) -> None:
            if settings is not None:
                self._set(settings)

        label = name.replace("_", "-").capitalize()
        value = getattr(self.settings, name)
        hint = hint_of(self.settings, name)
        self.app.push_screen(ValueScreen(label, f"{value:g}", hint, parse), done)

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
