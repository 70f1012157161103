"""What the keys do that all panes of traces share: files, branches, variations, labels, settings.

Each group of keys is a small object that a pane has. Its methods called `action_NAME` are what
the table of keys names; windows and files are imported when they are used.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.timer import Timer

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import show as shown_path
from genui.base.schema import settings_of
from genui.base.text import clean_line
from genui.protocol import Failed, Labels, Neighbours
from genui.protocol.edits import inputs_at
from genui.protocol.registry import KINDS
from genui.runs.models import ModelInfo
from genui.ui.settings import changed_label, hint_of, nudged, typed
from genui.ui.sound import Speaker
from genui.ui.traces.compare import Column
from genui.ui.traces.controller import NO_MODEL
from genui.ui.traces.trees import Branch, Lost, Trace, TraceReply
from genui.ui.widgets.base import Row
from genui.ui.widgets.candidates import LabelBars
from genui.ui.widgets.dialogs import ValueScreen

if TYPE_CHECKING:
    from genui.ui.compare import VariationsScreen
    from genui.ui.generate.pane import TracePane
    from genui.ui.traces.export import Export
    from genui.ui.windows import Choice, NearestScreen

NOTHING = "nothing to {} yet: press space first"


class Actions:
    """Keys of a pane that belong together, and what they keep in mind."""

    def __init__(self, pane: TracePane) -> None:
        self.pane = pane

    def take(self, reply: TraceReply) -> None:
        """A reply of the session about a trace of the pane."""

    def key_pressed(self, key: str) -> None:
        """A key is pressed in the pane, which may do something besides."""

    def close(self) -> None:
        """The pane is taken down."""


def counted(branches: int, more: str = "") -> str:
    """`1 branch`, or `3 branches` and more."""
    return "1 branch" if branches == 1 else f"{branches} branches{more}"


# --- Settings: + and −, and one that is typed -------------------------------------------------

RESTART_DELAY = 0.25  # seconds after the last change of a setting until the trace starts again


class Tuning(Actions):
    """The settings that are typed and nudged; `touched` is the one that + and − change."""

    def __init__(self, pane: TracePane, touched: str) -> None:
        super().__init__(pane)
        self.touched = touched
        self._restart: Timer | None = None

    def action_nudge(self, direction: int) -> None:
        """The setting touched last, a step up or down."""
        self.change(nudged(self.pane.controller.settings, self.touched, direction))

    def action_setting(self, name: str) -> None:
        """Ask for a value; of a few choices, the next."""
        controller = self.pane.controller
        if line := controller.refusal(name):
            self.pane.say(line)
            return
        if settings_of(type(controller.settings))[name].choices is not None:
            self.change(nudged(controller.settings, name, 1))
            return
        self.touched = name

        def parse(text: str) -> Any:
            return typed(controller.settings, name, text)

        def done(settings: Any) -> None:
            if settings is not None:
                self.change(settings)

        label = name.replace("_", "-").capitalize()
        value, hint = getattr(controller.settings, name), hint_of(controller.settings, name)
        self.pane.app.push_screen(ValueScreen(label, f"{value:g}", hint, parse), done)

    def change(self, settings: Any) -> None:
        """Use these settings; the trace starts again once the changing stops."""
        pane = self.pane
        if pane.controller.change(settings):
            pane.acted()
            if pane.controller.trace is not None:
                if self._restart is not None:
                    self._restart.stop()
                self._restart = pane.set_timer(RESTART_DELAY, self._apply)
        pane.paint()

    def _apply(self) -> None:
        controller = self.pane.controller
        trace = controller.trace
        before = inputs_at(trace.request)[2] if trace is not None else controller.settings
        controller.apply(changed_label(before, controller.settings))


# --- Files: saved trees and exports -----------------------------------------------------------


class Files(Actions):
    """Saving the branches, opening them again, and exporting what is shown."""

    def action_save(self) -> None:
        """The tree of what is shown, beside its model."""
        shown = self.pane.controller.tree.shown
        if shown is None:
            self.pane.say(NOTHING.format("save"))
        else:
            self.save([shown])

    def save_all(self) -> None:
        """Every tree, with a branch each as the one that is shown."""
        from genui.ui.traces import export

        tree = self.pane.controller.tree
        shown = tree.shown
        root_shown = export.root_of(tree, shown) if shown is not None else None
        self.save([
            shown if root is root_shown and shown is not None else root
            for root in export.roots(tree)
        ])  # fmt: skip

    def save(self, branches: Iterable[Branch[Any]]) -> None:
        """Write the trees of these branches."""
        from genui.ui.traces import export

        pane = self.pane
        machine = export.machine_of(pane.session.ready)
        trees = [
            (export.saved_tree(pane.controller.tree, branch, machine), tuple(branch.trace.frames))
            for branch in branches
        ]
        pane.run_worker(self._write(trees), group="save", exit_on_error=False)

    async def _write(self, trees: list[tuple[Any, tuple[Any, ...]]]) -> None:
        from genui.formats.trees import save_tree
        from genui.ui.traces import export

        def write() -> list[Path]:
            return [save_tree(export.with_result(tree, frames)) for tree, frames in trees]

        try:
            files = await asyncio.to_thread(write)
        except GenuiError as error:
            self.pane.say(str(error), "error")
            return
        count = sum(len(tree.branches) for tree, _ in trees)
        where = shown_path(files[0] if len(files) == 1 else files[0].parent)
        self.pane.say(f"saved {counted(count)} in {where} · ^p Open saved trace")

    def open_saved(self, path: Path) -> None:
        """Show a saved tree beside what is here, as it was left."""
        self.pane.run_worker(self._read(path), group="open", exclusive=True, exit_on_error=False)

    async def _read(self, path: Path) -> None:
        from genui.ui.traces import export

        try:
            saved, model = await asyncio.to_thread(export.opened, path)
        except GenuiError as error:
            self.pane.say(str(error), "error")
            return
        controller = self.pane.controller
        controller.hold()
        controller.know([model])
        export.graft(saved, controller.tree)
        count = counted(len(saved.branches), ", b lists them")
        self.pane.say(f"opened {clean_line(saved.name, 60)}: {count}")
        controller.tree_changed()

    def action_export(self) -> None:
        """What is shown, to a file that replays."""
        shown = self.pane.controller.tree.shown
        if shown is None or not (shown.trace.started or shown.trace.frames):
            self.pane.say(NOTHING.format("export"))
        else:
            self.export(shown)

    def export(self, branch: Branch[Any]) -> None:
        """Ask for a file, and write the branch to it."""
        from genui.ui.export import ExportScreen
        from genui.ui.traces import export
        from genui.ui.traces.export import Export

        pane, trace = self.pane, branch.trace
        step, part = trace.position, pane.view.part

        def make() -> Export:
            machine = export.machine_of(pane.session.ready)
            tree = export.saved_tree(pane.controller.tree, branch, machine)
            return Export(trace, tree, machine, step, part)

        def finish() -> None:
            trace.seek(trace.total)
            pane.session.ask(pane, trace)

        def done(path: Path | None) -> None:
            if path is not None:
                name = shown_path(path)
                pane.say(f"wrote {name} · genui replay {name} generates it again and compares")
            pane.controller.moved()

        pane.app.push_screen(ExportScreen(trace, part, make, finish), done)


# --- Branches: listed, and side by side -------------------------------------------------------

FEWEST, MOST_COLUMNS, USUAL_COLUMNS = 2, 6, 3  # continuations side by side


class Branches(Actions):
    """The list of branches, and comparisons of branches, models and seeds."""

    def action_branches(self) -> None:
        """Every branch, as a tree."""
        from genui.ui.windows import BranchesScreen

        controller = self.pane.controller
        ref = controller.model.ref if controller.model is not None else ""
        window = BranchesScreen(controller.tree, ref, controller.drop)
        self.pane.app.push_screen(window, self._chosen)

    def _chosen(self, choice: Choice | None) -> None:
        controller = self.pane.controller
        branch = controller.tree.find(choice.branch) if choice is not None else None
        if choice is None or branch is None:
            return
        match choice.action:
            case "show":
                controller.show_branch(branch.number)
            case "compare":
                self._compare_with(controller.column(branch))
            case "export":
                self.pane.files.export(branch)
            case "save":
                self.pane.files.save_all()

    def action_compare(self) -> None:
        """Beside another branch of this pane, or beside another model."""
        from genui.ui.widgets.dialogs import ChooseScreen

        trace = self.pane.controller.needed()
        if trace is None:
            return
        rows = [*self._branch_rows(), *self._model_rows(trace)]
        empty = "Nothing to compare with: f forks this one, and Models has other models"
        window = ChooseScreen("Compare with", rows, "compare", empty)
        self.pane.app.push_screen(window, self.compare_to)

    def _branch_rows(self) -> list[Row]:
        controller = self.pane.controller
        others = [b for b in controller.tree.branches if b is not controller.tree.shown]
        head = [Row("", "Branches")] if others else []
        return head + [
            Row(
                f"branch {branch.number}",
                controller.branch_label(branch),
                f"{controller.model_name(branch.trace)} · {branch.trace.computed} steps",
            )
            for branch in others
        ]

    def _model_rows(self, trace: Trace[Any]) -> list[Row]:
        others = [m for m in self.pane.controller.catalogue if m.ref != trace.request.model]
        head = [Row("", "Models, from the same prompt, seed and settings")] if others else []
        return head + [
            Row(f"model {model.ref}", clean_line(model.name), clean_line(model.summary))
            for model in others
        ]

    def compare_to(self, key: str | None) -> None:
        """Compare with `branch NUMBER` or `model REF`; with nothing for None."""
        controller = self.pane.controller
        kind, _, which = (key or "").partition(" ")
        if kind == "branch":
            branch = controller.tree.find(int(which))
            self._compare_with(controller.column(branch) if branch is not None else None)
        elif kind == "model":
            self._compare_with(controller.model_column(which))

    def _compare_with(self, other: Column | None) -> None:
        shown = self.pane.controller.tree.shown
        if other is None or shown is None:
            return
        if not self.pane.kind.compares:
            self.pane.say("the Lab shows one branch at a time: press b, then ⏎")
            return
        self._side_by_side([self.pane.controller.column(shown), other], playing=False)

    def action_side_by_side(self) -> None:
        """Several continuations of the prompt, from seeds that follow one another."""

        def parse(text: str) -> int:
            if text.strip().isdecimal() and FEWEST <= int(text) <= MOST_COLUMNS:
                return int(text)
            raise MisuseError(f"{clean_line(text, 20)!r}: a number from {FEWEST} to {MOST_COLUMNS}")

        def done(count: int | None) -> None:
            if count is not None and controller.model is not None:
                self._side_by_side(controller.continuations(count), playing=True)

        controller = self.pane.controller
        if controller.needed() is not None:
            seed = controller.seed
            hint = f"how many, {FEWEST} to {MOST_COLUMNS}, from seeds {seed}, {seed + 1}…"
            window = ValueScreen("Side by side", str(USUAL_COLUMNS), hint, parse)
            self.pane.app.push_screen(window, done)

    def _side_by_side(self, columns: list[Column], playing: bool) -> None:
        from genui.ui.compare import CompareScreen

        pane, controller = self.pane, self.pane.controller
        controller.hold()
        if len({column.trace.request.model for column in columns}) > 1:
            for column in columns:
                column.label = f"{controller.model_name(column.trace)} · {column.label}"
        trace = controller.trace
        position = 0 if playing or trace is None else trace.position
        window = CompareScreen(pane.session, pane, columns, position, playing, pane.view.part)
        pane.app.push_screen(window, controller.take_column)


# --- Is it copied? What of the training data is most like it ------------------------------------


class Nearest(Actions):
    """The window of the nearest training examples, and the one that waits for its answer."""

    _waiting: NearestScreen | None = None

    def action_nearest(self) -> None:
        """What of the training data is most like what is shown."""
        controller = self.pane.controller
        trace = controller.frame_needed("compare")
        if trace is None:
            return
        from genui.ui.windows import NearestScreen

        controller.hold()
        self._waiting = NearestScreen(trace, trace.position)
        self.pane.app.push_screen(self._waiting)
        self.pane.session.nearest(trace.id, trace.position)

    def take(self, reply: TraceReply) -> None:
        if self._waiting is None or not isinstance(reply, Neighbours | Failed | Lost):
            return
        waiting, self._waiting = self._waiting, None
        if isinstance(reply, Neighbours):
            waiting.show(reply)
        else:
            waiting.fail("the worker could not answer; esc closes, space continues, then try again")


# --- More like this one: variations, favourites and contact sheets ------------------------------


class Variations(Actions):
    """Variations of what is shown, and what is kept of them."""

    def action_variations(self) -> None:
        """More like this one, nearer or farther, to choose from and go on with."""
        from genui.protocol.edits import DEFAULT_DISTANCE, variations
        from genui.ui.compare import COUNT, VariationsScreen

        pane, controller = self.pane, self.pane.controller
        trace, shown = controller.frame_needed("vary"), controller.tree.shown
        if trace is None or shown is None:
            return
        if trace.request.grid:
            pane.say("variations need a single image: w ends the grid")
            return
        try:
            variations(trace.request, trace.position, DEFAULT_DISTANCE, (0,))
        except MisuseError as fault:
            pane.say(str(fault))
            return
        controller.hold()
        seed = random.randrange(1, 10_000 - COUNT)
        window: VariationsScreen

        def keep(kept: Trace[Any]) -> None:
            self._keep(kept, window.say)

        def sheet(columns: Sequence[Column]) -> None:
            self._ask_sheet(columns, window)

        def done(taken: Column | None) -> None:
            controller.take_column(taken, taken.label if taken is not None else "", shown.number)

        window = VariationsScreen(
            pane.session,
            pane,
            controller.column(shown),
            trace.position,
            seed,
            pane.view.part,
            keep,
            sheet,
        )
        pane.app.push_screen(window, done)

    def action_favourite(self) -> None:
        """Keep what is shown as a favourite."""
        trace = self.pane.controller.needed()
        if trace is None:
            return
        if not trace.frames:
            self.pane.say("nothing to save yet: press space first")
            return
        self._keep(trace, self.pane.say)

    def _keep(self, trace: Trace[Any], say: Any) -> None:
        from genui.formats.trees import save_favourite
        from genui.ui.traces import export

        tree = export.tree_of(trace, export.machine_of(self.pane.session.ready))
        frames = tuple(trace.frames)

        async def keep() -> None:
            try:
                path = await asyncio.to_thread(
                    lambda: save_favourite(export.with_result(tree, frames))
                )
            except GenuiError as error:
                say(str(error))
            else:
                say(f"saved as a favourite: {shown_path(path)} · F lists them")

        self.pane.run_worker(keep(), group="favourite", exit_on_error=False)

    def _ask_sheet(self, columns: Sequence[Column], window: VariationsScreen) -> None:
        """Ask for a file, and write the columns to it as a contact sheet."""
        from genui.ui.traces import export

        async def write(path: Path) -> None:
            machine = export.machine_of(self.pane.session.ready)
            try:
                await asyncio.to_thread(export.write, columns, machine, path)
            except GenuiError as error:
                window.say(clean_line(str(error)))
            else:
                window.say(f"wrote {shown_path(path)}: {len(columns)} samples")

        def done(path: Path | None) -> None:
            if path is not None:
                self.pane.run_worker(write(path), group="sheet", exit_on_error=False)

        hint = "a .png file: all of them, each with its label"
        usual = str(export.free_file("variations"))
        self.pane.app.push_screen(
            ValueScreen("Contact sheet", usual, hint, export.sheet_target), done
        )


# --- What a classifier says of what is shown, live --------------------------------------------

EVERY = 0.25  # seconds between two questions: generating is not to be slowed by them


class Classifying(Actions):
    """The classifier that is asked, and what it said last.

    One question is under way at a time, and it is of where the playhead is when it is asked.
    """

    def __init__(self, pane: TracePane) -> None:
        super().__init__(pane)
        self.classifier: ModelInfo | None = None
        self._known: tuple[ModelInfo, ...] = ()
        self._pending: tuple[int, int] | None = None  # the trace and step under way
        self._labelled: tuple[int, int, str] | None = None  # the trace, step and classifier
        self._requested_at = 0.0  # in monotonic seconds
        self._timer: Timer | None = None

    def set_classifiers(self, models: Sequence[ModelInfo]) -> None:
        """Those there are, of every medium."""
        self._known = tuple(models)

    def _fitting(self) -> list[ModelInfo]:
        """Those that read what the pane's model makes, of its own data first."""
        model = self.pane.controller.model
        if model is None:
            return []
        kind = KINDS.get((model.family, model.medium))
        medium = (kind and kind.classifier_medium) or model.medium
        fitting = [known for known in self._known if known.medium == medium]
        return sorted(fitting, key=lambda known: known.dataset != model.dataset)

    def action_labels(self) -> None:
        """The next classifier; after the last one none."""
        fitting, now = self._fitting(), self.classifier.ref if self.classifier else None
        if not fitting and now is None:
            self.pane.say(self._none_fits())
            return
        refs = [known.ref for known in fitting]
        following = refs.index(now) + 1 if now in refs else 0 if now is None else len(refs)
        self.classifier = fitting[following] if following < len(fitting) else None
        self._labelled = None
        if self.classifier is not None:
            self._say("classifying …")
        self.pane.set_class(self.classifier is not None, "-labelled")
        self.pane.acted()
        self.pane.paint()

    def _none_fits(self) -> str:
        model = self.pane.controller.model
        if model is None:
            return NO_MODEL
        known = ", ".join(clean_line(m.name, 24) for m in self._known) or "none"
        return f"no classifier fits {clean_line(model.name, 24)}; available: {known}"

    def paint(self) -> None:
        """Ask about what is shown, unless that is known or under way."""
        if self.classifier is None or self._pending is not None:
            return
        trace = self.pane.controller.trace
        if trace is None or not trace.started or trace.position < trace.first:
            self._say("press space to generate something to label")
            return
        if not trace.at_hand:
            self._say("the worker does not have this step: press space to continue")
            return
        if self._labelled == (trace.id, trace.position, self.classifier.ref):
            return
        wait = self._requested_at + EVERY - time.monotonic()
        if wait <= 0:
            self._requested_at = time.monotonic()
            self._pending = (trace.id, trace.position)
            self.pane.session.label(trace.id, trace.position, self.classifier.ref)
        elif self._timer is None:
            self._timer = self.pane.set_timer(wait, self._due)

    def _due(self) -> None:
        self._timer = None
        self.paint()

    def _say(self, line: str, labels: Sequence[tuple[str, float]] = ()) -> None:
        name = clean_line(self.classifier.name, 24) if self.classifier is not None else ""
        self.pane.query_one(LabelBars).show(f"{name} · {line}", labels)

    def take(self, reply: TraceReply) -> None:
        if isinstance(reply, Failed | Lost):
            self._pending = None
        if not isinstance(reply, Labels):
            return
        self._pending = None
        if self.classifier is not None and reply.model == self.classifier.ref:
            self._labelled = (reply.trace, reply.step, reply.model)
            if reply.fault:
                self._say(clean_line(reply.fault, 200))
            else:
                self._say(f"step {reply.step}", reply.labels)
        self.paint()


# --- Sound ------------------------------------------------------------------------------------


class Listening(Actions):
    """One sound at a time, where this machine has a player."""

    def __init__(self, pane: TracePane) -> None:
        super().__init__(pane)
        self.speaker = Speaker()

    def close(self) -> None:
        self.speaker.stop()

    def hear(self, make: Callable[[], bytes]) -> None:
        """Play the WAV file that `make` makes on a thread."""

        async def play() -> None:
            if line := await self.speaker.hear(make):
                self.pane.say(line)

        self.pane.run_worker(play(), group="sound", exclusive=True, exit_on_error=False)
