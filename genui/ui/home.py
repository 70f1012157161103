"""The main screen: its panes, their arrangement in the terminal, and its palette."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.dom import DOMNode
from textual.geometry import Size
from textual.reactive import Reactive
from textual.widget import Widget
from textual.widgets import Static

from genui.base.errors import GenuiError
from genui.base.late import late_imports
from genui.base.text import clean_line
from genui.protocol.kinds import describe_ability
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, summarise
from genui.runs.models import ModelInfo
from genui.ui import keys, messages
from genui.ui.arrangement import PANES, SMALLEST, TABS, Arrangement, arrange
from genui.ui.demo import Demo
from genui.ui.generate.actions import can_label
from genui.ui.generate.pane import TracePane
from genui.ui.generate.text import TEXT
from genui.ui.home_panes import (
    ModelsPane,
    TrainingPane,
    list_screens,
    make_pane,
    panes_in_canvas,
    tab_of,
)
from genui.ui.keys import PaneName, Scope
from genui.ui.kinds import shows_of
from genui.ui.lifecycle import is_usable
from genui.ui.messages import ViewName
from genui.ui.organise import RunOrganiser
from genui.ui.screens import AppScreen, Command, Copyable, PaneScreen
from genui.ui.session import Session
from genui.ui.settings import find_newest_model, list_classifiers, pane_of, pane_of_saved
from genui.ui.watcher import RunView, Watcher
from genui.ui.widgets.bars import FooterLine, HeaderLine, StatusLine
from genui.ui.widgets.dialogs import ask
from genui.ui.widgets.panes import Pane
from genui.ui.widgets.settings import SettingsPanel

with late_imports():
    from genui import recipes
    from genui.formats import trees as tree_files
    from genui.ui import new_run, verify, windows
    from genui.ui.training import screen as training_screen

if TYPE_CHECKING:
    from genui.formats.recipe import TraceRecipe
    from genui.formats.trees import ListedTrace
    from genui.ui.new_run import Source
    from genui.ui.training.screen import Exit, TrainingScreen


def too_small(width: int, height: int) -> str:
    needed = f"{SMALLEST[0]}×{SMALLEST[1]}"
    return (
        f"genui needs {needed} cells;\nthis terminal has {width}×{height}.\n\n"
        "Make it larger, or press q to quit."
    )


# --- The main screen ----------------------------------------------------------------------------

Use = Callable[[TracePane], object]
"""What to do with a pane once it is mounted."""

HINT = "↑↓ choose · Enter opens it · space plays · n trains · ? every key · F2 tour"


class HomeScreen(AppScreen[None]):
    """Shows all panes, or one full-screen, with the models and runs on disk."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("app")]
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    """As in Textual, except that a change of focus does not repaint the whole screen: the two
    panes repaint themselves."""

    def __init__(self, session: Session, watcher: Watcher) -> None:
        super().__init__()
        self._session = session
        self.watcher = watcher
        self.view: ViewName = "home"
        self.current: PaneName = "models"
        self.runs: tuple[RunSummary, ...] = ()
        self.models: tuple[ModelInfo, ...] = ()
        self.arrangement: Arrangement = "grid"
        self.watched: RunDir | None = None
        self._new_run: RunDir | None = None  # just started and not listed yet
        self._asked: RunDir | None = None  # the run that the user opened last
        self._organiser = RunOrganiser(self, watcher, self._leave_run)
        self.is_hint_shown = False
        self._saved: tuple[ListedTrace, ...] = ()  # saved traces, for the palette
        self.slot: PaneName = "canvas"  # the visible one of the panes that share a place
        self.demo = Demo(self, session)
        self.board: TrainingScreen | None = None  # while it is open
        self.screens: dict[PaneName, PaneScreen] = {}  # of kinds, once they have been opened

    def compose(self) -> ComposeResult:
        self._fit(self.app.size)  # before the panes exist: later it would restyle them all
        yield HeaderLine()
        with Horizontal(id="body"):
            yield ModelsPane(lambda: None if self.alone else self.watched)
            with Vertical(id="right"):
                yield TrainingPane()
                with Horizontal(id="lower"):
                    yield TracePane(TEXT, self._session)
                    yield make_pane("canvas", self._session)
        yield Static(id="tiny", markup=False)
        yield StatusLine()
        yield FooterLine()

    def on_mount(self) -> None:
        self._show()

    # --- the panes that share a place: all but the Canvas are made when needed ------------

    def _with_pane(self, name: PaneName, use: Use) -> None:
        """Focus a pane and call `use` with it; make it first if it does not exist."""
        if self.query(f"#{name}"):
            self._focus_pane(name, use)
        else:
            self._make_pane(name, use)

    @work(group="slot", exclusive=True, exit_on_error=False)
    async def _make_pane(self, name: PaneName, use: Use) -> None:
        await self.mount_pane(name)
        self._focus_pane(name, use)

    async def mount_pane(self, name: PaneName) -> None:
        """Make a pane if it does not exist, and give it its place, without the focus."""
        if not self.query(f"#{name}"):
            pane = make_pane(name, self._session)
            pane.add_class("-hidden")
            await self.query_one("#lower").mount(pane)
            self._update_models(pane)
        self._give_place(name)

    def _update_models(self, pane: TracePane) -> None:
        """Give a pane its models and the classifiers."""
        models = [model for model in self.models if pane_of(model) == pane.pane]
        pane.controller.set_catalogue(models)
        pane.labels.set_classifiers(list_classifiers(self.models))

    def _give_place(self, name: PaneName) -> None:
        """Show a pane in the place that it shares with others."""
        if name in panes_in_canvas() and name != self.slot:
            before, self.slot = self.slot, name
            self.view = name if self.view == before else self.view
            self.current = name if self.current == before else self.current
            self._show()

    def _focus_pane(self, name: PaneName, use: Use) -> None:
        self._give_place(name)
        self.action_show_pane(name)
        use(self.query_one(f"#{name}", TracePane))

    # --- the Training screen --------------------------------------------------------------

    @on(messages.ListRuns)
    def action_runs(self) -> None:
        """Open the Training screen with the table of runs."""
        self.open_board(listing=True)

    def open_board(self, listing: bool = False) -> None:
        """Open the Training screen with the watched run; with `listing`, the table of runs too."""
        self.clear_line()
        if self.board is not None:
            return
        run, pane = self.watched, self.query_one(TrainingPane)
        shown = [summarise(run)] if run is not None else []
        views = {run: pane.run} if run is not None and pane.run is not None else {}
        board = training_screen.TrainingScreen(
            self.watcher,
            run.id if run else "",
            shown,
            known=self.runs,
            views=views,
            listing=listing,
        )
        self.board = board
        self.app.push_screen(board, self._board_closed)

    def _board_closed(self, result: "Exit | None") -> None:
        self.board = None
        run, self.watched = self.watched, None  # so that `look_at` watches it again, alone
        view = result.first if result is not None else None
        if view is not None:
            run = view.summary.run
            self.query_one(ModelsPane).choose_run(run)
        if run is not None:
            self.look_at(run)
        if view is not None:
            self.query_one(TrainingPane).show_run(view)
        # The run may have been deleted.
        self._choose_watched(tuple(run for run in self.runs if run.native))
        if result is not None:
            self._go_to(result.view)
            if result.generate and run is not None:
                self.generate_from(run)

    # --- the screens of kinds ---------------------------------------------------------------

    @property
    def visible_screen(self) -> PaneScreen | None:
        """The screen of a kind, while it or one of its windows is open; else None."""
        stack = self.app.screen_stack
        return next((screen for screen in self.screens.values() if screen in stack), None)

    def open_screen(self, pane: PaneName, saved: Path | None = None) -> None:
        """Open the screen of a kind as it was left, or with a saved trace."""
        if pane not in self.screens:
            make = shows_of(list_screens()[pane]).screen
            assert make is not None  # a kind that says that it has a screen
            screen = self.screens[pane] = make(self._session)
            self.app.install_screen(screen, pane)  # Textual keeps it when it is closed
        screen = self.screens[pane]
        screen.update_bars()
        if screen not in self.app.screen_stack:
            self.app.push_screen(screen, self._screen_closed)
        if saved is not None:
            screen.open_saved(saved)

    def _screen_closed(self, view: ViewName | None) -> None:
        if view is not None:
            self._go_to(view)

    def _go_to(self, view: ViewName) -> None:
        """Show the view that was asked for on another screen."""
        if view == "home" and self.arrangement == "tabs":
            self.action_home()
        else:
            self.action_view(view)

    # --- which panes are visible --------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        if self._fit(event.size):
            self._show()
        if self.arrangement == "tiny":
            self.query_one("#tiny", Static).update(too_small(*event.size))

    def _fit(self, size: Size) -> bool:
        """Choose the arrangement for a size. Returns whether it has changed."""
        before = self.arrangement
        self.arrangement = arrange(size.width, size.height)
        self.update_classes(self._make_classes(), animate=False)
        return self.arrangement != before

    @property
    def alone(self) -> bool:
        """Whether only one pane is shown: full-screen, or for lack of room."""
        return self.view != "home" or self.arrangement in {"tabs", "tiny"}

    def shows(self, name: PaneName) -> bool:
        return not self.query_one(f"#{name}", Pane).has_class("-hidden")

    def _make_classes(self) -> dict[str, bool]:
        """All classes of the screen. They are set together: each change restyles every widget."""
        arrangements: tuple[Arrangement, ...] = ("grid", "large", "tabs", "tiny")
        classes = {f"-{name}": self.arrangement == name for name in arrangements}
        tab = tab_of(self.current)
        classes |= {f"-only-{name}": self.alone and tab == name for name in PANES}
        classes["-alone"] = self.alone
        return classes

    def _show(self) -> None:
        """Set the classes of the panes and the screen, and focus the current pane."""
        changed: list[DOMNode] = []  # restyled when all classes are set: it takes long
        for pane in self.query(Pane):
            shown = pane.pane not in panes_in_canvas() or pane.pane == self.slot
            shown = shown and (not self.alone or pane.pane == self.current)
            zoomed = shown and self.view != "home"
            if pane.set_classes_of_view(not shown, zoomed, pane.pane == self.current):
                changed.append(pane)
        before = self.classes
        self.update_classes(self._make_classes(), update=False)
        for node in changed if self.classes == before else [self]:
            node.update_node_styles(animate=False)
        self._focus_current()
        self.update_bars()
        self.call_after_refresh(self._repaint)

    def _repaint(self) -> None:
        self.query_one(ModelsPane).show_card()
        for pane in self.query(TracePane):
            pane.paint()
        self.query_one(TrainingPane).paint()

    def _mark_current(self) -> None:
        for pane in self.query(Pane):
            pane.mark_current(pane.pane == self.current)

    def _focus_current(self) -> None:
        self._mark_current()
        if self.arrangement == "tiny":
            self.set_focus(None)
        elif self.current == "models":
            self.query_one(ModelsPane).focus_list()
        else:
            # at once: more keys may follow
            self.set_focus(self.query_one(f"#{self.current}", Pane).focus_target)

    def on_descendant_focus(self) -> None:
        """Mark the pane that a click or a key has focused."""
        nodes = self.focused.ancestors_with_self if self.focused is not None else []
        pane = next((node for node in nodes if isinstance(node, Pane)), None)
        if pane is not None and pane.pane != self.current:
            self.current = pane.pane
            self._mark_current()
            self.update_bars()

    def action_home(self) -> None:
        """Show all panes; if they are shown, or do not fit, focus the list."""
        shown = self.view == "home"
        if not shown:
            self.action_view("home")
        if shown or self.arrangement == "tabs":
            self.action_show_pane("models")

    def action_view(self, view: ViewName) -> None:
        """Show Home, a pane full-screen, the Training screen or the screen of a kind."""
        self.clear_line()  # it was about the earlier view
        if view in list_screens():
            self.open_screen(view)
            return
        if view == "training":
            self.open_board()
            return
        self.view = view
        if view != "home":
            self.current = self.slot if view == "canvas" else view
        self._show()

    def action_show_pane(self, pane: PaneName) -> None:
        """Focus a pane, full-screen if another is; `canvas` is the visible one in its place."""
        if pane == "canvas":
            pane = self.slot
        if pane == "training" and self.view != "home":
            self.open_board()
            return
        self.current = pane
        if self.alone:
            self.view = pane if self.view != "home" else "home"
            self._show()
            return
        self.update_bars()
        self._focus_current()

    def action_next_pane(self, by: int) -> None:
        order = TABS if self.arrangement == "tabs" else PANES
        at = order.index(tab_of(self.current))
        self.action_show_pane(order[(at + by) % len(order)])

    def action_search(self) -> None:
        """Search the models and runs, from any pane."""
        self.view, self.current = "home", "models"
        self._show()
        self.query_one(ModelsPane).action_filter()

    def action_back(self) -> None:
        """Leave full-screen, or clear the filter or the status line."""
        if self.view != "home":
            self.action_view("home")
        elif not self.query_one(ModelsPane).clear_filter():
            super().clear_line()

    @on(messages.ZoomPane)
    def _zoom(self, event: messages.ZoomPane) -> None:
        self.clear_line()
        self.action_view(event.view)

    # --- the lines around -----------------------------------------------------------------

    @property
    def scope(self) -> Scope:
        return self.query_one(f"#{self.current}", Pane).scope

    def update_bars(self) -> None:
        view = self.view if self.view == "home" else tab_of(self.view)
        if view == "home" and self.arrangement == "tabs" and self.current != "models":
            view = tab_of(self.current)
        pane = self.query_one(f"#{self.current}", Pane)
        self.query_one(HeaderLine).set(view, cost=pane.cost)
        refused, names = pane.refused_keys(), pane.names_of_keys()
        self.query_one(FooterLine).set(self.scope, self.view != "home", refused, names)

    def offered_keys(self, scope: Scope) -> list[keys.Key]:
        """The keys of a scope that have an effect now; none for a pane that another replaces."""
        rows = keys.of_pane(scope)
        if scope == "app":
            return rows
        if scope in panes_in_canvas() and scope != self.slot:
            return []
        refused = self.query_one(f"#{scope}", Pane).refused_keys()
        return [key for key in rows if key.id not in refused]

    async def press(self, key: keys.Key) -> None:
        """Run the action of a key; focus its pane first."""
        pane = self.current if key.pane == "settings" else key.pane
        if pane not in {"app", "board", self.current}:
            self.action_show_pane(pane)
        namespace: Widget = self if key.pane == "app" else self.query_one(f"#{pane}")
        if key.pane == "settings":
            namespace = namespace.query_one(SettingsPanel)
        await self.app.run_action(key.action, namespace)

    def say(self, line: str, kind: Literal["error", "note", "hint"] = "error") -> None:
        self.is_hint_shown = kind == "hint"
        super().say(line, kind)

    def show_hint(self) -> None:
        """Show a new user the first keys."""
        self.say(HINT, "hint")

    @on(messages.Acted)
    def clear_line(self) -> None:
        if self.is_hint_shown:
            self.is_hint_shown = False
            self.app.post_message(messages.HintSeen())
        super().clear_line()

    # --- models and runs --------------------------------------------------------------------

    def set_lists(self, models: tuple[ModelInfo, ...], runs: tuple[RunSummary, ...]) -> None:
        self.models, self.runs = models, runs
        own = tuple(run for run in runs if run.native)  # without other jobs of Slurm
        self.query_one(ModelsPane).set_lists(models, own)
        for pane in self.query(TracePane):
            self._update_models(pane)
            if pane.controller.catalogue:
                pane.controller.offer(pane.controller.catalogue[0])
        if any(run.run == self._new_run for run in runs):
            self.query_one(ModelsPane).reveal_run(cast("RunDir", self._new_run))
            self._new_run = None
        if self.board is not None:
            self.board.set_lists(runs)
        else:
            self._choose_watched(own)
        if not runs:
            self.demo.start(models)

    def set_table(self, event: messages.TableChanged) -> None:
        """Take what was read of the runs, for their list and their table."""
        self.query_one(ModelsPane).set_curves(event.rows)
        if self.board is not None:
            self.board.set_table(event)

    def offered_models(self) -> list[str]:
        """The refs of the panes' models, those of genui. One that others made may have gigabytes:
        it is loaded when the user opens it, and not before."""
        models = (pane.controller.model for pane in self.query(TracePane))
        refs = [model.ref for model in models if model is not None and not model.format]
        return [*refs, *self.demo.refs]

    def show_run(self, view: RunView) -> None:
        """Show a new view of the watched run; ignore late views of others."""
        if view.summary.run == self.watched and is_usable(self):
            self.query_one(TrainingPane).show_run(view)
            self.update_bars()

    def look_at(self, run: RunDir) -> None:
        """Watch and show this run, and no other."""
        if run == self.watched:
            return
        self.watched = run
        self.demo.clear_training()
        self.query_one(TrainingPane).clear_for(run)
        self.query_one(ModelsPane).show_card()
        self.watcher.watch(run)

    def _choose_watched(self, runs: tuple[RunSummary, ...]) -> None:
        """Watch the run that the user opened; until then one that trains: the watched one, or the
        newest. If none does, the watched one stays, or else it is the newest."""
        live = [run.run for run in runs if run.alive]
        if any(run.run == self.watched for run in runs):
            if live and self.watched not in (self._asked, *live):
                self.look_at(live[0])
        elif self._new_run is None:
            if self.watched is not None:
                self._leave_run(self.watched)
            if runs:
                self.look_at(next((run for run in runs if run.alive), runs[0]).run)

    def _leave_run(self, run: RunDir) -> None:
        """Stop showing a run that is deleted."""
        if run == self.watched:
            self.watched = None
            self.watcher.watch()
            self.query_one(TrainingPane).clear()

    @on(messages.OrganiseRun)
    def _organise_run(self, event: messages.OrganiseRun) -> None:
        self._organiser.begin(event)

    @on(messages.OpenModel)
    def _open_model(self, event: messages.OpenModel) -> None:
        self.open_model(event.model)

    def open_model(self, model: ModelInfo) -> None:
        """Generate with a model in the pane of its medium."""
        self.clear_line()
        name = pane_of(model)
        if name is not None:
            self._with_pane(name, lambda pane: pane.controller.open_model(model))
        elif model in list_classifiers(self.models):
            self._open_classifier(model)
        else:
            self.say(f"{model.name} {describe_ability(model.family, model.medium)}")

    def _open_classifier(self, classifier: ModelInfo) -> None:
        """Label the user's present sample with a classifier or, if it cannot read that, the sample
        of a model, of the same data if there is one."""

        def label(pane: TracePane) -> None:
            pane.labels.use(classifier)
            name = clean_line(classifier.name, 24)
            pane.say(f"{name} labels each step in {pane.heading} · s labels: none ends it")

        for pane in self.query(TracePane):
            trace, model = pane.trace, pane.controller.model
            own = trace is not None and trace.source == "user" and self.shows(pane.pane)
            if own and model is not None and can_label(classifier, model):
                self._with_pane(pane.pane, label)
                return
        readable = [m for m in self.models if pane_of(m) and can_label(classifier, m)]
        if not readable:
            self.say(f"{classifier.name}: no model here generates what it labels")
            return
        model = min(readable, key=lambda one: one.dataset != classifier.dataset)

        def play(pane: TracePane) -> None:
            pane.controller.open_model(model)
            label(pane)

        name = pane_of(model)
        assert name is not None  # a model that is readable has a pane
        self._with_pane(name, play)

    def open_saved(self, path: Path, pane: PaneName) -> None:
        self.clear_line()
        if pane in list_screens():
            self.open_screen(pane, path)
            return
        self._with_pane(pane, lambda pane: pane.files.open_saved(path))

    @on(messages.OpenRun)
    def _open_run(self, event: messages.OpenRun) -> None:
        self.open_run(event.run)

    def open_run(self, run: RunDir) -> None:
        """Show the curves of a run."""
        self.clear_line()
        self._asked = run
        self.query_one(ModelsPane).choose_run(run)
        self.look_at(run)
        self.action_show_pane("training")

    @on(messages.Generate)
    def _generate(self, event: messages.Generate) -> None:
        self.generate_from(event.run)

    @work(group="find", exclusive=True, exit_on_error=False)
    async def generate_from(self, run: RunDir) -> None:
        """Generate from the newest checkpoint; its step is in the model's ref, so that the result
        can be repeated."""
        try:
            model = await asyncio.to_thread(find_newest_model, run)
        except GenuiError as error:
            self.say(str(error))
        else:
            self.open_model(model)

    # --- windows ------------------------------------------------------------------------------

    def action_new_run(self, recipe: str = "") -> None:
        """Open the window that starts a training run, from the model of others under the cursor if
        it can be trained on."""
        model = self.query_one(ModelsPane).chosen_open_model() if not recipe else None
        if model is not None and self.current == "models":
            self._train_from(model.ref)
        else:
            self._open_new_run(recipe)

    @work(exit_on_error=False, group="new run", exclusive=True)
    async def _train_from(self, ref: str) -> None:
        source = None
        with contextlib.suppress(GenuiError):  # one that only generates: a new run of a recipe
            source = await asyncio.to_thread(new_run.source_of_model, ref)
        self._open_new_run("", source)

    def _open_new_run(self, recipe: str, source: "Source | None" = None) -> None:
        def started(run: RunDir) -> None:
            self._new_run = run
            self.watcher.refresh()
            self.open_run(run)
            self.say("the run is starting; it keeps training after you quit", "note")

        ask(self, new_run.NewRunScreen(recipe, source), started)

    def action_favourites(self) -> None:
        def chosen(favourite: "tuple[Path, TraceRecipe]") -> None:
            path, recipe = favourite
            self.open_saved(path, pane_of_saved(recipe))

        ask(self, windows.FavouritesScreen(), chosen)

    def action_verify(self) -> None:
        """Verify a file: at first what the pane exported last."""
        pane = self.query_one(f"#{self.current}", Pane)
        written = pane.files.written if isinstance(pane, TracePane) else ""
        self.app.push_screen(verify.VerifyScreen(written))

    def copyables(self) -> list[Copyable]:
        """The parts of the current pane that can be copied."""
        pane = self.query_one(f"#{self.current}", Pane)
        return pane.copyables() if isinstance(pane, TracePane | ModelsPane | TrainingPane) else []

    async def action_undo(self) -> None:
        """Undo the last action in the current pane; if there is none, the last action elsewhere."""
        pane = self.query_one(f"#{self.current}", Pane)
        line = pane.controller.undo() if isinstance(pane, TracePane) else ""
        if line:
            self.say(line, "note")
        else:
            await super().action_undo()

    def action_manual(self, medium: str = "") -> None:
        super().action_manual(medium or self.query_one(f"#{self.current}", Pane).medium)

    # --- the palette --------------------------------------------------------------------------

    async def prepare_commands(self) -> None:
        with contextlib.suppress(OSError, GenuiError):  # the other commands do not need them
            self._saved = tuple(await asyncio.to_thread(tree_files.list_trees))

    def commands(self) -> Iterator[Command]:
        scopes: list[Scope] = [self.current, *keys.home_scopes()]
        for scope in dict.fromkeys(scopes):
            yield from self.list_key_commands(scope, self.offered_keys(scope))
        for model in self.models:
            if model.source != "run":
                pane = pane_of(model)
                shown_in = f"{keys.titles()[pane]} · " if pane is not None else ""
                yield Command(
                    f"Open model {clean_line(model.name)}",
                    clean_line(f"{shown_in}{model.family}{_of_data(model)} {model.summary}"),
                    partial(self.open_model, model),
                )
        for listed in self._saved:
            yield saved_command(self, listed)
        for run in (run for run in self.runs if run.native):
            yield Command(
                f"Show run {clean_line(run.info.name)}",
                clean_line(f"{run.state}, {run.run.id}"),
                partial(self.open_run, run.run),
            )
        for recipe in recipes.RECIPES.values():
            yield Command(
                f"Train {recipe.name}",
                f"{recipe.summary} ({recipe.family} on {recipe.dataset})",
                partial(self.action_new_run, recipe.name),
            )
        yield from self.list_theme_commands()


def _of_data(model: ModelInfo) -> str:
    return f" on {model.dataset}" if model.dataset else ""


def saved_command(home: HomeScreen, listed: "ListedTrace") -> Command:
    """The command that opens a saved trace or, if it is damaged, says why."""
    tree = listed.tree
    if tree is None:
        name = f"Open saved trace {clean_line(listed.path.name, 60)}, which is damaged"
        return Command(name, clean_line(listed.fault), lambda: home.say(clean_line(listed.fault)))
    when = time.strftime("%d %B %H:%M", time.localtime(tree.created))
    count = len(tree.branches)
    branches = "1 branch" if count == 1 else f"{count} branches"
    pane = pane_of_saved(tree.recipe)
    kind = "favourite" if tree_files.is_favourite(listed.path) else "saved trace"
    return Command(
        f"Open {kind} {clean_line(tree.name, 60)}",
        f"{clean_line(tree.recipe.model, 40)}, {branches}, saved {when}",
        lambda: home.open_saved(listed.path, pane),
    )
