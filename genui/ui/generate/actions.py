"""The actions that all panes of traces share: settings, files, branches, variations, labels.

A pane has one small object for each group of keys; the key table names its methods `action_NAME`.
Windows and file formats are imported when they are first used.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace
from textual.timer import Timer

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import show as shown_path
from genui.base.late import late_imports
from genui.base.numbers import quantity
from genui.base.schema import Setting, ordered, settings_of
from genui.base.text import clean_line
from genui.protocol import Failed, Idle, Label, Labels, Nearest, Neighbours
from genui.protocol.edits import DEFAULT_DISTANCE, inputs_at, variations
from genui.protocol.settings import SEED
from genui.runs.models import ModelInfo
from genui.ui.settings import (
    describe_change,
    describe_setting,
    varied_along,
)
from genui.ui.sound import Speaker
from genui.ui.traces.compare import Column
from genui.ui.traces.controller import NO_MODEL, parse_whole_number
from genui.ui.traces.trees import Branch, Lost, ShownTrace, TraceReply
from genui.ui.widgets.candidates import LabelBars
from genui.ui.widgets.dialogs import ChooseScreen, make_value_screen
from genui.ui.widgets.lists import ListRow
from genui.ui.widgets.settings import Option, SettingsPanel, option_of

with late_imports():
    from genui.formats import trees as tree_files
    from genui.ui import branches as branches_window
    from genui.ui import compare, windows
    from genui.ui import export as export_window
    from genui.ui.traces import export as trace_export

if TYPE_CHECKING:
    from genui.formats.trees import SavedTree
    from genui.ui.branches import Choice
    from genui.ui.compare import VariationsScreen
    from genui.ui.generate.pane import TracePane
    from genui.ui.windows import NearestScreen

T = TypeVar("T")

NOTHING = "nothing to {} yet: press space first"


class Actions:
    """A group of keys of a pane, with its state."""

    def __init__(self, pane: TracePane) -> None:
        self.pane = pane

    def options(self) -> list[Option]:
        """The rows of the Settings panel that the group sets."""
        return []

    def rows(
        self, look: Callable[[], Struct], *names: str, take: Callable[[str, Any], object]
    ) -> list[Option]:
        """The rows of how the trace is shown; `take` takes the name and new value of a field."""
        known = settings_of(type(look()))
        return [option_of(known[name], look, take) for name in names]

    def handle(self, reply: TraceReply) -> None:
        """Handle a reply of the session about a trace of the pane."""

    def handle_key(self, key: str) -> None:
        """React to any key pressed in the pane, besides its own action."""

    def close(self) -> None:
        """Free its resources: the pane is removed."""

    def run(
        self,
        group: str,
        work: Callable[[], T],
        done: Callable[[T], object],
        fail: Callable[[str], object] | None = None,
        exclusive: bool = False,
    ) -> None:
        """Do `work` on a thread, then call `done` with its result. Its GenuiError goes to `fail`,
        or else to the line of the pane."""

        async def run() -> None:
            try:
                result = await asyncio.to_thread(work)
            except GenuiError as error:
                if fail is None:
                    self.pane.say(str(error), "error")
                else:
                    fail(str(error))
            else:
                done(result)

        self.pane.run_worker(run(), group=group, exclusive=exclusive, exit_on_error=False)


# --- Settings: typed, or changed by + and − ---------------------------------------------------

RESTART_DELAY = 0.25  # seconds after the last change of a setting until the trace starts again


class SettingActions(Actions):
    """The Settings panel of a pane; `chosen` is the setting that + and − change at first."""

    def __init__(self, pane: TracePane, chosen: str, without: frozenset[str]) -> None:
        super().__init__(pane)
        self.panel = SettingsPanel(chosen)
        self._without = without
        self._restart: Timer | None = None
        self._reseeded = False  # whether the seed was changed since the trace started

    def options(self) -> list[Option]:
        """The settings that apply now, with the seed before rare ones."""
        controller = self.pane.controller
        fields = [
            one
            for one in ordered(type(controller.settings))
            if one.adjustable and one.name not in self._without and controller.offers(one.name)
        ]
        seed = Option(
            "seed",
            "seed",
            varied_along(controller.opening.grid).get("seed") or str(controller.seed),
            "The seed of the random numbers; r takes another",
            change=lambda by: self._use_seed(max(0, controller.seed + by)),
            use=lambda text: self._use_seed(SEED.parse(text, f"seed {text.strip()!r}")),
            text=str(controller.seed),
        )
        usual, rare = (
            [self._option(one) for one in fields if one.about.rare == is_rare]
            for is_rare in (False, True)
        )
        return [*usual, seed, *rare]

    def _option(self, one: Setting) -> Option:
        controller = self.pane.controller
        along = varied_along(controller.opening.grid)
        value = along.get(one.name) or controller.settings.show(one.name)
        help = describe_setting(controller.settings, one.name)
        option = option_of(one, lambda: controller.settings, self._take)
        return option._replace(value=value, help=help)

    def _take(self, name: str, value: object) -> None:
        self.change(replace(self.pane.controller.settings, **{name: value}))

    def paint(self) -> None:
        """Show the settings as they are now."""
        place = self.pane.branch_place()
        branches = f"branch {place[0]} of {place[1]}" if place is not None else ""
        self.panel.show(self.pane.options(), branches)

    def action_settings(self) -> None:
        """Focus the panel."""
        self.paint()
        self.panel.enter()
        self._reveal()

    def action_setting(self, name: str) -> None:
        """Type a value of a setting; one with fixed choices takes the next one."""
        if line := self.pane.controller.refusal(name):
            self.pane.say(line)
            return
        self.paint()
        if not self.panel.set(name):
            self.pane.say(f"{self.pane.heading} has no {name} to set now")
        elif self.panel.active:
            self._reveal()

    def _reveal(self) -> None:
        """Fill the screen with the pane, if the panel cannot be seen."""
        if not self.pane.zoomed and not self.panel.is_on_screen:
            self.pane.action_zoom()

    def action_nudge(self, by: int) -> None:
        """Change the chosen setting by one step."""
        self.paint()
        self.panel.action_change(by)

    def change(self, settings: Any) -> None:
        """Use these settings; the trace starts again after the last of several quick changes."""
        if self.pane.controller.change(settings):
            self._restart_soon()
        self.pane.paint()

    def _use_seed(self, seed: int) -> None:
        self.pane.controller.seed = seed
        self._reseeded = True
        self._restart_soon()
        self.pane.paint()

    def _restart_soon(self) -> None:
        self.pane.clear_line()
        if self.pane.controller.trace is not None:
            if self._restart is not None:
                self._restart.stop()
            self._restart = self.pane.set_timer(RESTART_DELAY, self._apply)

    def _apply(self) -> None:
        controller = self.pane.controller
        trace = controller.trace
        if self._reseeded:
            self._reseeded = False
            controller.start_over(play=True)
            return
        before = inputs_at(trace.request)[2] if trace is not None else controller.settings
        controller.apply(describe_change(before, controller.settings))


# --- Files: saved trees and exports -----------------------------------------------------------


KEEP_DELAY = 0.3  # seconds without a new step until the shown trace is kept


class FileActions(Actions):
    """Saves branches, opens saved ones and exports the shown branch; keeps the last trace for the
    next start."""

    written = ""  # the path of the last export

    def handle(self, reply: TraceReply) -> None:
        trace = self.pane.controller.trace
        if not isinstance(reply, Idle) or trace is None or trace.id != reply.trace:
            return
        if trace.source == "user" and trace.frames and self.pane.kind.kept:
            self.pane.run_worker(
                self._keep(trace), group="keep", exclusive=True, exit_on_error=False
            )

    async def _keep(self, trace: ShownTrace[Any]) -> None:
        await asyncio.sleep(KEEP_DELAY)
        machine = trace_export.machine_of(self.pane.session.ready)
        with suppress(GenuiError):  # a full disk: the next start shows a record
            await asyncio.to_thread(trace_export.keep_last, self.pane.pane, trace, machine)

    def action_save(self) -> None:
        """Save the tree of the shown branch."""
        shown = self.pane.controller.tree.shown
        if shown is None:
            self.pane.say(NOTHING.format("save"))
        else:
            self.save([shown])

    def save_all(self) -> None:
        """Save every tree; the shown branch is marked as the current one of its tree."""
        tree = self.pane.controller.tree
        shown = tree.shown
        self.save([
            shown if shown is not None and trace_export.root_of(tree, shown) is root else root
            for root in trace_export.roots(tree)
        ])  # fmt: skip

    def save(self, branches: Iterable[Branch[Any]]) -> None:
        """Save the trees of these branches."""
        pane = self.pane
        machine = trace_export.machine_of(pane.session.ready)
        trees = [
            (
                trace_export.saved_tree(pane.controller.tree, branch, machine),
                tuple(branch.trace.frames),
            )
            for branch in branches
        ]

        def write() -> list[Path]:
            return [
                tree_files.save_tree(trace_export.with_result(tree, frames))
                for tree, frames in trees
            ]

        def done(files: list[Path]) -> None:
            total = sum(len(tree.branches) for tree, _ in trees)
            count = quantity(total, "branch", "branches")
            where = shown_path(files[0] if len(files) == 1 else files[0].parent)
            pane.say(f"saved {count}: ^p Open saved trace · {where}")

        self.run("save", write, done)

    def open_saved(self, path: Path) -> None:
        """Add a saved tree to the pane, and show its current branch at the saved playhead."""
        controller = self.pane.controller

        def done(opened: tuple[SavedTree, ModelInfo]) -> None:
            saved, model = opened
            controller.remember_shown()
            controller.pause()
            controller.add_models([model])
            trace_export.add_saved(saved, controller.tree)
            count = quantity(len(saved.branches), "branch", "branches")
            more = ", b lists them" if len(saved.branches) > 1 else ""
            self.pane.say(f"opened {clean_line(saved.name, 60)}: {count}{more}")
            controller.tree_changed()

        self.run("open", lambda: trace_export.open_tree(path), done, exclusive=True)

    def action_export(self) -> None:
        """Export the shown branch to a file that can be replayed."""
        shown = self.pane.controller.tree.shown
        if shown is None or not (shown.trace.started or shown.trace.frames):
            self.pane.say(NOTHING.format("export"))
        else:
            self.export(shown)

    def export(self, branch: Branch[Any]) -> None:
        """Ask for a file, and write the branch to it."""
        pane, trace = self.pane, branch.trace
        step, part = trace.position, pane.view.part

        def make() -> trace_export.Export:
            machine = trace_export.machine_of(pane.session.ready)
            tree = trace_export.saved_tree(pane.controller.tree, branch, machine)
            return trace_export.Export(trace, tree, machine, step, part)

        def finish() -> None:
            trace.seek(trace.total)
            pane.session.ask(pane, trace)

        def done(path: Path | None) -> None:
            if path is not None:
                name = shown_path(path)
                pane.say(f"wrote {name} · V or `genui verify {name}` shows what it proves")
                self.written = str(path)
            pane.controller.refresh()

        pane.app.push_screen(export_window.ExportScreen(trace, part, make, finish), done)


# --- Branches: listed, and side by side -------------------------------------------------------

FEWEST, MAX_COLUMNS, USUAL_COLUMNS = 2, 6, 3  # continuations side by side


class BranchActions(Actions):
    """The list of branches, and comparisons with branches, models and seeds."""

    def action_branches(self) -> None:
        controller = self.pane.controller
        ref = controller.model.ref if controller.model is not None else ""
        part = self.pane.view.part
        window = branches_window.BranchesScreen(
            controller.tree, ref, part, controller.drop, controller.undo
        )
        self.pane.ask(window, self._apply)

    def _apply(self, choice: Choice) -> None:
        controller = self.pane.controller
        branch = controller.tree.find(choice.branch)
        if branch is None:
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
        """Compare with another branch of this pane, or with another model."""
        trace = self.pane.controller.ensure_trace()
        if trace is None:
            return
        empty = "Nothing to compare with: f forks this one, and Models has other models"
        window = ChooseScreen("Compare with", self._comparable(trace), "compare", empty)
        self.pane.ask(window, self.compare_to)

    def _comparable(self, trace: ShownTrace[Any]) -> list[ListRow]:
        """Rows of the other branches and models, each under a heading."""
        controller, rows = self.pane.controller, list[ListRow]()
        branches = [b for b in controller.tree.branches if b is not controller.tree.shown]
        if branches:
            rows.append(ListRow("", "Branches"))
        for branch in branches:
            model = controller.model_name(branch.trace)
            right = f"{model} · {branch.trace.computed} steps"
            rows.append(ListRow(f"branch {branch.number}", controller.branch_label(branch), right))
        models = [model for model in controller.catalogue if model.ref != trace.request.model]
        if models:
            rows.append(ListRow("", "Models, from the same prompt, seed and settings"))
        for model in models:
            left, right = clean_line(model.name), clean_line(model.summary)
            rows.append(ListRow(f"model {model.ref}", left, right))
        return rows

    def compare_to(self, key: str) -> None:
        """Compare with `branch NUMBER` or `model REF`."""
        controller = self.pane.controller
        kind, _, which = key.partition(" ")
        if kind == "model":
            self._compare_with(controller.model_column(which))
        elif (branch := controller.tree.find(int(which))) is not None:
            self._compare_with(controller.column(branch))

    def _compare_with(self, other: Column | None) -> None:
        shown = self.pane.controller.tree.shown
        if other is None or shown is None:
            return
        if not self.pane.kind.compares:
            self.pane.say(f"{self.pane.heading} shows one branch at a time: press b, then ⏎")
            return
        self._side_by_side([self.pane.controller.column(shown), other], playing=False)

    def action_side_by_side(self) -> None:
        """Continue the prompt from several consecutive seeds, side by side."""
        controller = self.pane.controller
        if controller.ensure_trace() is None:
            return

        def parse(text: str) -> int:
            return parse_whole_number(text, FEWEST, MAX_COLUMNS)

        def show(count: int) -> None:
            self._side_by_side(controller.continuations(count), playing=True)

        seed = controller.seed
        hint = f"Number of continuations ({FEWEST}–{MAX_COLUMNS}), from seeds {seed}, {seed + 1}, …"
        self.pane.ask(
            make_value_screen("Side by side", str(USUAL_COLUMNS), hint, parse, "generate"), show
        )

    def _side_by_side(self, columns: list[Column], playing: bool) -> None:
        pane, controller = self.pane, self.pane.controller
        controller.pause()
        if len({column.trace.request.model for column in columns}) > 1:
            for column in columns:
                column.label = f"{controller.model_name(column.trace)} · {column.label}"
        trace = controller.trace
        position = 0 if playing or trace is None else trace.position
        window = compare.CompareScreen(pane, columns, position, playing)
        pane.app.push_screen(window, controller.take_column)


# --- Is it copied? The nearest training data --------------------------------------------------


class NearestActions(Actions):
    """Opens the window of the nearest training examples, and passes the worker's reply to it."""

    _waiting: NearestScreen | None = None

    def action_nearest(self) -> None:
        """Show the training examples nearest to the shown step."""
        controller = self.pane.controller
        trace = controller.ensure_frame("compare")
        if trace is None:
            return
        controller.pause()
        self._waiting = windows.NearestScreen(trace, trace.position)
        self.pane.app.push_screen(self._waiting)
        self.pane.session.put(Nearest(trace=trace.id, step=trace.position))

    def handle(self, reply: TraceReply) -> None:
        if self._waiting is None or not isinstance(reply, Neighbours | Failed | Lost):
            return
        if isinstance(reply, Neighbours) and reply.step != self._waiting.step:
            return  # of another request, for its word on seeds
        window, self._waiting = self._waiting, None
        if isinstance(reply, Neighbours):
            window.show(reply)
        else:
            window.fail("the worker could not answer; esc closes, space continues, then try again")


class ProbeActions(Actions):
    """Measures the model of the pane, in another process."""

    def action_probe(self, name: str) -> None:
        """Ask a probe of `genui probes`."""
        controller = self.pane.controller
        if controller.has_model() and controller.model is not None:
            controller.pause()
            window = windows.MetricsScreen((controller.model.ref,), windows.PROBER, (name,))
            self.pane.app.push_screen(window)


# --- Variations, favourites and contact sheets ------------------------------------------------


class VariationActions(Actions):
    """Variations of the shown step, which can be saved as favourites or as a contact sheet."""

    def action_variations(self) -> None:
        """Show variations at a chosen distance, to continue with one of them."""
        pane, controller = self.pane, self.pane.controller
        trace, shown = controller.ensure_frame("vary"), controller.tree.shown
        if trace is None or shown is None:
            return
        if trace.request.grid:
            pane.say("variations need a single image: u goes back from the grid")
            return
        try:
            variations(trace.request, trace.position, DEFAULT_DISTANCE, (0,))
        except MisuseError as fault:
            pane.say(str(fault))
            return
        controller.pause()
        seed = random.randrange(1, 10_000 - compare.COUNT)

        def done(taken: Column | None) -> None:
            controller.take_column(taken, taken.label if taken is not None else "", shown.number)

        window: compare.VariationsScreen = compare.VariationsScreen(
            pane,
            controller.column(shown),
            trace.position,
            seed,
            keep=lambda variation: self._keep(variation, window.say),
            sheet=lambda columns: self._ask_sheet(columns, window),
        )
        pane.app.push_screen(window, done)

    def action_favourite(self) -> None:
        """Save the shown trace as a favourite."""
        trace = self.pane.controller.ensure_trace()
        if trace is None:
            return
        if not trace.frames:
            self.pane.say(NOTHING.format("save"))
            return
        self._keep(trace, self.pane.say)

    def _keep(self, trace: ShownTrace[Any], say: Callable[[str], object]) -> None:
        tree = trace_export.tree_of(trace, trace_export.machine_of(self.pane.session.ready))
        frames = tuple(trace.frames)

        def save() -> Path:
            saved = trace_export.with_result(tree, frames)
            return tree_files.save_tree(saved, mark=tree_files.MARK)

        def done(_: Path) -> None:
            say("added to favourites: F lists them")

        self.run("favourite", save, done, say)

    def _ask_sheet(self, columns: Sequence[Column], window: VariationsScreen) -> None:
        """Ask for a file, and write the columns to it as a contact sheet."""

        def start(path: Path) -> None:
            machine = trace_export.machine_of(self.pane.session.ready)
            self.run(
                "sheet",
                lambda: trace_export.write_sheet(columns, machine, path),
                lambda _: window.say(f"wrote {shown_path(path)}: {len(columns)} samples"),
                lambda line: window.say(clean_line(line)),
            )

        hint = "a .png file: all of them, each with its label"
        name = str(trace_export.free_file("variations"))
        question = make_value_screen(
            "Contact sheet", name, hint, trace_export.parse_sheet_path, "write"
        )
        self.pane.ask(question, start)


# --- A classifier that labels the shown step, live --------------------------------------------

LABEL_INTERVAL = 0.25  # the least seconds between requests, so that they do not slow generation


def can_label(classifier: ModelInfo, model: ModelInfo) -> bool:
    """Whether a classifier can read what a model generates."""
    kind, reads = model.kind, classifier.kind
    if reads is None or reads.labels is None:
        return False
    return classifier.medium == ((kind and kind.classifier_medium) or model.medium)


class LabelActions(Actions):
    """The chosen classifier and its last reply.

    One request is under way at a time; the next is for the playhead's step at that moment.
    """

    def __init__(self, pane: TracePane) -> None:
        super().__init__(pane)
        self.classifier: ModelInfo | None = None
        self._classifiers: tuple[ModelInfo, ...] = ()  # of every medium
        self._pending: tuple[int, int] | None = None  # the trace and step under way
        self._labelled: tuple[int, int, str] | None = None  # the trace, step and classifier
        self._requested_at = 0.0  # in monotonic seconds
        self._timer: Timer | None = None

    def set_classifiers(self, models: Sequence[ModelInfo]) -> None:
        """Set the available classifiers, of every medium."""
        self._classifiers = tuple(models)

    def _suitable(self) -> list[ModelInfo]:
        """The classifiers that can read the model's output, those for its dataset first."""
        model = self.pane.controller.model
        if model is None:
            return []
        suitable = [each for each in self._classifiers if can_label(each, model)]
        return sorted(suitable, key=lambda each: each.dataset != model.dataset)

    def options(self) -> list[Option]:
        if not self._suitable() and self.classifier is None:
            return []
        value = clean_line(self.classifier.name, 24) if self.classifier is not None else "none"
        return [
            Option(
                "labels", "labels", value, "A classifier that labels it, live", self.action_labels
            )
        ]

    def action_labels(self, by: int = 1) -> None:
        """Use the next classifier or the one before; between the last and the first, none."""
        suitable, ref = self._suitable(), self.classifier.ref if self.classifier else None
        if not suitable and ref is None:
            self.pane.say(self._none_text())
            return
        choices = [None, *suitable]
        at = next((n for n, each in enumerate(suitable, 1) if each.ref == ref), 0)
        self.use(choices[(at + by) % len(choices)])

    def use(self, classifier: ModelInfo | None) -> None:
        """Label the sample in the pane with this classifier, or not at all."""
        self.classifier, self._labelled = classifier, None
        if self.classifier is not None:
            self._show("classifying …")
        self.pane.set_class(self.classifier is not None, "-labelled")
        self.pane.clear_line()
        self.pane.paint()

    def _none_text(self) -> str:
        """Why there is no classifier to use."""
        model = self.pane.controller.model
        if model is None:
            return NO_MODEL
        available = ", ".join(clean_line(each.name, 24) for each in self._classifiers) or "none"
        return f"no classifier fits {clean_line(model.name, 24)}; available: {available}"

    def paint(self) -> None:
        """Request the labels of the shown step, unless they are known or under way."""
        if self.classifier is None or self._pending is not None:
            return
        trace = self.pane.controller.trace
        if trace is None or not trace.started or trace.position < trace.first:
            self._show("press space to generate something to label")
            return
        if not trace.on_worker:
            self._show("the worker does not have this step: press space to continue")
            return
        if self._labelled == (trace.id, trace.position, self.classifier.ref):
            return
        wait = self._requested_at + LABEL_INTERVAL - time.monotonic()
        if wait <= 0:
            self._requested_at = time.monotonic()
            self._pending = (trace.id, trace.position)
            model = self.classifier.ref
            self.pane.session.put(Label(trace=trace.id, step=trace.position, model=model))
        elif self._timer is None:
            self._timer = self.pane.set_timer(wait, self._paint_due)

    def _paint_due(self) -> None:
        self._timer = None
        self.paint()

    def _show(self, line: str, labels: Sequence[tuple[str, float]] = ()) -> None:
        name = clean_line(self.classifier.name, 24) if self.classifier is not None else ""
        self.pane.query_one(LabelBars).show(f"{name} · {line}", labels)

    def handle(self, reply: TraceReply) -> None:
        if isinstance(reply, Failed | Lost):
            self._pending = None
        if not isinstance(reply, Labels):
            return
        self._pending = None
        if self.classifier is not None and reply.model == self.classifier.ref:
            self._labelled = (reply.trace, reply.step, reply.model)
            if reply.fault:
                self._show(clean_line(reply.fault, 200))
            else:
                self._show(f"step {reply.step}", reply.labels)
        self.paint()


# --- Sound ------------------------------------------------------------------------------------


class SoundActions(Actions):
    """Plays one sound at a time, if this machine has an audio player."""

    def __init__(self, pane: TracePane) -> None:
        super().__init__(pane)
        self.speaker = Speaker()

    def close(self) -> None:
        self.speaker.stop()

    def hear(self, make: Callable[[], bytes]) -> None:
        """Play the WAV file that `make` returns; it runs on a thread."""

        async def play() -> None:
            if line := await self.speaker.hear(make):
                self.pane.say(line)

        self.pane.run_worker(play(), group="sound", exclusive=True, exit_on_error=False)
