"""How much of the app a terminal of a given size shows."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from genui.base.errors import GenuiError
from genui.base.text import clean_line
from genui.protocol.registry import does
from genui.recipes import RECIPES
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, summarise
from genui.runs.models import ModelInfo
from genui.ui import keys, messages
from genui.ui.demo import Demo
from genui.ui.generate.pane import TracePane
from genui.ui.generate.text import TEXT
from genui.ui.home_panes import SLOT, ModelsPane, TrainingPane, make_pane, tab_of
from genui.ui.keys import PaneName, Scope
from genui.ui.messages import ViewName
from genui.ui.palette import Command, Palette, list_key_commands, list_theme_commands
from genui.ui.session import Session
from genui.ui.settings import classifiers, newest_model, pane_of, pane_of_saved
from genui.ui.watcher import RunView, Watcher
from genui.ui.widgets.base import (
    TABS,
    DeafWhenLeaving,
    FooterLine,
    HeaderLine,
    Pane,
    StatusLine,
    TabsLine,
)

if TYPE_CHECKING:
    from textual.command import Provider

    from genui.formats.trees import ListedTrace
    from genui.ui.lab import LabScreen
    from genui.ui.training.screen import Left, TrainingScreen

Arrangement = Literal["large", "grid", "tabs", "tiny"]

SMALLEST = (60, 16)
GRID = (104, 33)  # four panes, the image one pixel a column
LARGE = (170, 56)  # four panes, the image two columns a pixel


def arrange(width: int, height: int) -> Arrangement:
    """Four panes where they fit, one at a time where not, a plain word where nothing does."""
    if width < SMALLEST[0] or height < SMALLEST[1]:
        return "tiny"
    if width >= LARGE[0] and height >= LARGE[1]:
        return "large"
    if width >= GRID[0] and height >= GRID[1]:
        return "grid"
    return "tabs"


def too_small(width: int, height: int) -> str:
    """What is shown in place of panes that would not fit."""
    needed = f"{SMALLEST[0]}×{SMALLEST[1]}"
    return (
        f"genui needs {needed} cells;\nthis terminal has {width}×{height}.\n\n"
        "Make it larger, or press q to quit."
    )


# --- The main screen: the panes, which of them are seen, and what they ask of each other ------

Use = Callable[[TracePane], object]
"""What is done with a pane once it is there."""

NAME = "lab"  # among the app's installed screens, which are kept when they are left


def _commands() -> "type[Provider]":
    """The palette's provider, imported when the palette first opens."""

    return HomeCommands


HINT = "↑↓ choose a model · Enter opens it · space plays · n trains · ? every key"


class HomeScreen(DeafWhenLeaving, Screen[None]):
    """Owns the view (all panes, or one full-screen) and the lists the panes are filled from."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("app")]
    COMMANDS = {_commands}  # noqa: RUF012 - as Textual declares it
    AUTO_FOCUS = ""  # `_show` gives the focus; Textual would give it to a hidden input
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    """As Textual has it, but a move of the focus does not paint the whole screen anew: the
    panes it leaves and enters paint themselves."""

    def __init__(self, session: Session, watcher: Watcher) -> None:
        super().__init__()
        self._session = session
        self.watcher = watcher
        self.view: ViewName = "home"
        self.current: PaneName = "models"
        self.runs: tuple[RunSummary, ...] = ()
        self.models: tuple[ModelInfo, ...] = ()
        self.arrangement: Arrangement = "grid"
        self.machine = ""  # the worker's device and precision
        self.traffic = ""  # what the terminal takes
        self.user_keys: dict[str, str] = {}
        self.watched: RunDir | None = None
        self._expected: RunDir | None = None  # just started, and not in the list yet
        self._hinting = False
        self.slot: PaneName = "canvas"  # which of the panes that share a place is in it
        self.demo = Demo(self, session)
        self.board: TrainingScreen | None = None  # while it is over this one
        self.lab: LabScreen | None = None  # made when it is first opened, and kept as it was left

    def compose(self) -> ComposeResult:
        self._fit(self.app.size)  # before there are panes, whose styles it would compute again
        yield HeaderLine()
        yield TabsLine()
        with Horizontal(id="body"):
            yield ModelsPane()
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

    # --- the panes that share a place: the Canvas is there, others are made when needed ---

    def _in_pane(self, name: PaneName, use: Use) -> None:
        """Give a pane the focus and use it; one that is not there yet is made."""
        if self.query(f"#{name}"):
            self._focus_pane(name, use)
        else:
            self._make_pane(name, use)

    @work(group="slot", exclusive=True, exit_on_error=False)
    async def _make_pane(self, name: PaneName, use: Use) -> None:
        pane = make_pane(name, self._session)
        pane.add_class("-hidden")
        await self.query_one("#lower").mount(pane)
        self._tell_models(pane)
        self._focus_pane(name, use)

    def _tell_models(self, pane: TracePane) -> None:
        """Which models there are for it now, and which label what they make."""
        models = [model for model in self.models if pane_of(model) == pane.pane]
        pane.controller.set_catalogue(models)
        pane.classifying.set_classifiers(classifiers(self.models))

    def _focus_pane(self, name: PaneName, use: Use) -> None:
        if name in SLOT and name != self.slot:
            self.slot = name
            if self.view in SLOT:
                self.view = name
            self.current = name
            self._show()
        self.action_show_pane(name)
        use(self.query_one(f"#{name}", TracePane))

    # --- the Training screen over this one ------------------------------------------------

    def open_board(self) -> None:
        """The Training screen, on the run that is watched."""
        from genui.ui.training.screen import TrainingScreen

        self._acted()
        if self.board is not None:
            return
        run, pane = self.watched, self.query_one(TrainingPane)
        shown = [summarise(run)] if run is not None else []
        views = {run: pane.run} if run is not None and pane.run is not None else {}
        board = TrainingScreen(
            self.watcher, run.id if run else "", shown, known=self.runs, views=views
        )
        board.machine, board.traffic = self.machine, self.traffic
        board.user_keys = self.user_keys
        self.board = board
        self.app.push_screen(board, self._board_left)

    def _board_left(self, left: "Left | None") -> None:
        self.board = None
        run, self.watched = self.watched, None  # the watcher is to look at it alone again
        view = left.first if left is not None else None
        if view is not None:
            run = view.summary.run
            self.query_one(ModelsPane).choose_run(run)
        if run is not None:
            self.look_at(run)
        if view is not None:
            self.query_one(TrainingPane).show_run(view)
        if left is not None:
            self.action_view(left.view)
            if left.generate and run is not None:
                self.generate_from(run)

    # --- the Lab over this one -------------------------------------------------------------

    @property
    def lab_shown(self) -> "LabScreen | None":
        """The Lab, while it or a window of it is on the screen."""
        return self.lab if self.lab is not None and self.lab in self.app.screen_stack else None

    def open_lab(self, saved: Path | None = None) -> None:
        """The Lab, as it was left, with a saved training where one is named."""
        from genui.ui.lab import LabScreen

        if self.lab is None:
            self.lab = LabScreen(self._session)
            self.app.install_screen(self.lab, NAME)
        self.tell_lab()
        if self.lab_shown is None:
            self.app.push_screen(self.lab, self._lab_left)
        if saved is not None:
            self.lab.open_saved(saved)

    def tell_lab(self) -> None:
        """What the lines around say is the same there."""
        if self.lab is not None:
            self.lab.machine, self.lab.traffic = self.machine, self.traffic
            self.lab.user_keys = self.user_keys
            self.lab.refresh_chrome()

    def _lab_left(self, view: ViewName | None) -> None:
        if view is not None:
            self.action_view(view)

    # --- which panes are seen -----------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        if self._fit(event.size):
            self._show()
        if self.arrangement == "tiny":
            self.query_one("#tiny", Static).update(too_small(*event.size))

    def _fit(self, size: Size) -> bool:
        """Choose the arrangement for that many cells; whether it is another one."""
        before = self.arrangement
        self.arrangement = arrange(size.width, size.height)
        self.update_classes(self._classes_now(), animate=False)
        return self.arrangement != before

    @property
    def alone(self) -> bool:
        """Whether one pane is shown: full-screen, or because there is no room for more."""
        return self.view != "home" or self.arrangement in {"tabs", "tiny"}

    def shows(self, name: PaneName) -> bool:
        """Whether that pane can be seen."""
        return not self.query_one(f"#{name}", Pane).has_class("-hidden")

    def _classes_now(self) -> dict[str, bool]:
        """The screen's classes, all at once: each change costs a restyling of every widget."""
        arrangements: tuple[Arrangement, ...] = ("grid", "large", "tabs", "tiny")
        classes = {f"-{name}": self.arrangement == name for name in arrangements}
        tab = tab_of(self.current)
        classes |= {f"-only-{name}": self.alone and tab == name for name in TABS}
        classes["-alone"] = self.alone
        classes["-tabbed"] = self.arrangement == "tabs" and self.view == "home"
        return classes

    def _show(self) -> None:
        """Give the classes that make the view, and the focus to its pane."""
        for pane in self.query(Pane):
            shown = pane.pane not in SLOT or pane.pane == self.slot
            shown = shown and (not self.alone or pane.pane == self.current)
            zoomed = shown and self.view != "home"
            pane.update_classes({"-hidden": not shown, "-zoom": zoomed}, animate=False)
        self.update_classes(self._classes_now(), animate=False)
        self._focus_current()
        self.refresh_chrome()
        self.call_after_refresh(self._repaint)

    def _repaint(self) -> None:
        """A pane that changed its shape may show more or less of what it has."""
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
            self.set_focus(self.query_one(f"#{self.current}"))  # at once: keys may follow

    def on_descendant_focus(self) -> None:
        """A click or a key may bring the focus to another pane."""
        nodes = self.focused.ancestors_with_self if self.focused is not None else []
        pane = next((node for node in nodes if isinstance(node, Pane)), None)
        if pane is not None and pane.pane != self.current:
            self.current = pane.pane
            self._mark_current()
            self.refresh_chrome()

    def action_view(self, view: ViewName) -> None:
        """Home, or one pane full-screen; Training and the Lab have screens of their own."""
        if view == "lab":
            self._acted()
            self.open_lab()
            return
        if view == "training":
            self.open_board()
            return
        self.view = view
        if view != "home":
            self.current = self.slot if view == "canvas" else view
        self._show()

    def action_show_pane(self, pane: PaneName) -> None:
        """Give a pane the focus; full-screen stays full-screen.

        The Canvas stands for whichever pane is in its place.
        """
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
        # All panes stay as they are: the key is answered by the focus alone.
        self.refresh_chrome()
        self._focus_current()

    def action_next_pane(self, by: int) -> None:
        """Go round the panes."""
        at = TABS.index(tab_of(self.current))
        self.action_show_pane(TABS[(at + by) % len(TABS)])

    def action_back(self) -> None:
        """Out of full-screen; else give the status line and the filter back."""
        if self.view != "home":
            self.action_view("home")
        elif not self.query_one(ModelsPane).clear_filter():
            self._hush()

    @on(messages.ZoomPane)
    def _zoom(self, event: messages.ZoomPane) -> None:
        self._acted()
        self.action_view(event.view)

    # --- the lines around -----------------------------------------------------------------

    def refresh_chrome(self) -> None:
        """Header, tabs and footer as things stand."""
        self.query_one(TabsLine).set(tab_of(self.current))
        live = sum(run.alive for run in self.runs)
        view = self.view if self.view == "home" else tab_of(self.view)
        self.query_one(HeaderLine).set(view, live, self.machine, self.traffic)
        self.query_one(FooterLine).set(self.current, self.view != "home", self.user_keys)

    def set_machine(self, machine: str) -> None:
        """The worker's device and precision, "" while there is none."""
        self.machine = machine
        if self.board is not None:
            self.board.machine = machine
            self.board.refresh_chrome()
        self.tell_lab()
        self.refresh_chrome()

    def offered_keys(self, scope: Scope) -> list[keys.Key]:
        """The keys of a scope that there is something to do with: of the panes that share a
        place, those of the one that is in it."""
        rows = keys.of_pane(scope)
        if scope == "app":
            return rows
        if scope in SLOT and scope != self.slot:
            return []
        pane = self.query_one(f"#{scope}", Pane)
        refused = pane.refused_keys() if isinstance(pane, TrainingPane) else frozenset()
        return [key for key in rows if key.id not in refused]

    async def press(self, key: keys.Key) -> None:
        """Do what the key does, wherever the focus is."""
        if key.pane not in {"app", "board", self.current}:
            self.action_show_pane(cast("PaneName", key.pane))
        namespace = self if key.pane == "app" else self.query_one(f"#{key.pane}")
        await self.app.run_action(key.action, namespace)

    def say(self, line: str, kind: Literal["error", "note", "hint"] = "error") -> None:
        """One line above the footer."""
        self._hinting = kind == "hint"
        self.query_one(StatusLine).say(line, kind)

    @property
    def hinting(self) -> bool:
        """Whether the status line still has what a new user reads first."""
        return self._hinting

    def hint(self) -> None:
        """The first thing a new user reads."""
        self.say(HINT, "hint")

    def _hush(self) -> None:
        self.query_one(StatusLine).clear_line()

    @on(messages.Say)
    def _said(self, event: messages.Say) -> None:
        event.stop()
        self.say(event.line, event.kind)

    @on(messages.Acted)
    def _acted(self) -> None:
        """The user goes on: what was said has been read."""
        if self._hinting:
            self._hinting = False
            self.app.post_message(messages.HintSeen())
        self._hush()

    # --- models and runs --------------------------------------------------------------------

    def set_lists(self, models: tuple[ModelInfo, ...], runs: tuple[RunSummary, ...]) -> None:
        """What is on disk now."""
        self.models, self.runs = models, runs
        self.query_one(ModelsPane).set_lists(models, runs)
        for pane in self.query(TracePane):
            self._tell_models(pane)
            if pane.controller.catalogue:
                pane.controller.offer(pane.controller.catalogue[0])
        if self._expected is not None:
            self.query_one(ModelsPane).choose_run(self._expected)
            self._expected = None
        if self.board is not None:
            self.board.set_lists(runs)
        if not runs:
            self.demo.begin(models)
        self.refresh_chrome()

    def offered_models(self) -> list[str]:
        """The refs of the models that the panes would use now."""
        models = (pane.controller.model for pane in self.query(TracePane))
        return [model.ref for model in models if model is not None]

    def show_run(self, view: RunView) -> None:
        """A new look at the watched run; one that comes late, of another run, is dropped."""
        if view.summary.run == self.watched:
            self.query_one(TrainingPane).show_run(view)

    def look_at(self, run: RunDir) -> None:
        """Show this run from now on, and have no other read."""
        if run == self.watched:
            return
        self.watched = run
        self.demo.clear_training()
        self.query_one(TrainingPane).expect(run)
        self.watcher.watch(run)

    @on(messages.OpenModel)
    def _open_model(self, event: messages.OpenModel) -> None:
        self.open_model(event.model)

    def open_model(self, model: ModelInfo) -> None:
        """Generate with it, in the pane of its medium."""
        self._acted()
        name = pane_of(model)
        if name is None:
            self.say(f"{model.name} {does(model.family, model.medium)}")
            return
        self._in_pane(name, lambda pane: pane.controller.open_model(model))

    def open_saved(self, path: Path, pane: PaneName) -> None:
        """Show a saved trace, in its pane."""
        self._acted()
        if pane == "lab":
            self.open_lab(path)
            return
        self._in_pane(pane, lambda pane: pane.files.open_saved(path))

    @on(messages.RunHighlighted)
    def _run_highlighted(self, event: messages.RunHighlighted) -> None:
        self.look_at(event.run)

    @on(messages.OpenRun)
    def _open_run(self, event: messages.OpenRun) -> None:
        self.open_run(event.run)

    def open_run(self, run: RunDir) -> None:
        """Show its curves."""
        self._acted()
        self.query_one(ModelsPane).choose_run(run)
        self.look_at(run)
        self.action_show_pane("training")

    @on(messages.Generate)
    def _generate(self, event: messages.Generate) -> None:
        self.generate_from(event.run)

    def generate_from(self, run: RunDir) -> None:
        """Generate from its newest checkpoint, pinned to its step: the trace can be repeated."""
        self._find(run)

    @work(group="find", exclusive=True, exit_on_error=False)
    async def _find(self, run: RunDir) -> None:
        try:
            model = await asyncio.to_thread(newest_model, run)
        except GenuiError as error:
            self.say(str(error))
        else:
            self.open_model(model)

    # --- windows ------------------------------------------------------------------------------

    def action_new_run(self, recipe: str = "") -> None:
        """Ask what to train."""
        from genui.ui.windows import NewRunScreen

        def started(run: RunDir | None) -> None:
            if run is not None:
                self._expected = run
                self.watcher.refresh()
                self.open_run(run)
                self.say(f"{run.id} is starting; it goes on when you quit", "note")

        self.app.push_screen(NewRunScreen(recipe), started)

    def action_favourites(self) -> None:
        """What was kept, to open again."""
        from genui.ui.windows import Favourite, FavouritesScreen

        def chosen(favourite: Favourite | None) -> None:
            if favourite is not None:
                self.open_saved(favourite.path, pane_of_saved(favourite.recipe, self.models))

        self.app.push_screen(FavouritesScreen(), chosen)

    def action_help(self) -> None:
        """The keys of the focused pane."""
        from genui.ui.widgets.dialogs import HelpScreen

        self.app.push_screen(HelpScreen(self.current, self.user_keys))

    def action_manual(self) -> None:
        """The manual, at the page of the focused pane."""
        from genui.ui.windows import ManualScreen

        pane = self.query_one(f"#{self.current}")
        model = pane.controller.model if isinstance(pane, TracePane) else None
        medium = model.medium if model is not None else ""
        self.app.push_screen(ManualScreen(self.current, medium, self.user_keys))

    def action_quit(self) -> None:
        """Close the app; training goes on."""
        self.app.exit()


# --- The main screen's palette: every action, model, run, recipe and theme, by name -----------


class HomeCommands(Palette):
    """What can be done on the main screen."""

    _saved: "tuple[ListedTrace, ...]" = ()

    async def startup(self) -> None:
        """The saved traces, read on a thread when the palette opens."""
        from genui.formats.trees import list_trees

        with contextlib.suppress(OSError, GenuiError):  # the other commands do without them
            self._saved = tuple(await asyncio.to_thread(list_trees))

    def commands(self) -> Iterator[Command]:
        home = self.screen
        if not isinstance(home, HomeScreen):
            return
        scopes: list[Scope] = [home.current, *keys.HOME_SCOPES]
        for scope in dict.fromkeys(scopes):
            yield from list_key_commands(scope, home.offered_keys(scope), home.press)
        for model in home.models:
            if model.source != "run":
                yield Command(
                    f"Open model {clean_line(model.name)}",
                    clean_line(f"{model.family} on {model.dataset} {model.summary}"),
                    lambda model=model: home.open_model(model),
                )
        for listed in self._saved:
            yield saved_command(home, listed)
        for run in home.runs:
            yield Command(
                f"Show run {clean_line(run.info.name)}",
                clean_line(f"{run.state}, {run.run.id}"),
                lambda run=run: home.open_run(run.run),
            )
        for recipe in RECIPES.values():
            yield Command(
                f"Train {recipe.name}",
                f"{recipe.summary} ({recipe.family} on {recipe.dataset})",
                lambda recipe=recipe: home.action_new_run(recipe.name),
            )
        yield from list_theme_commands(self.app)


def saved_command(home: HomeScreen, listed: "ListedTrace") -> Command:
    """Opens a saved trace; one that cannot be read says so."""
    tree = listed.tree
    if tree is None:
        name = f"Open saved trace {clean_line(listed.path.name, 60)}, which is damaged"
        return Command(name, clean_line(listed.fault), lambda: home.say(clean_line(listed.fault)))
    when = time.strftime("%d %B %H:%M", time.localtime(tree.created))
    count = len(tree.branches)
    branches = "1 branch" if count == 1 else f"{count} branches"
    pane = pane_of_saved(tree.recipe, home.models)
    from genui.formats.trees import is_favourite

    what = "favourite" if is_favourite(listed.path) else "saved trace"
    return Command(
        f"Open {what} {clean_line(tree.name, 60)}",
        f"{clean_line(tree.recipe.model, 40)}, {branches}, saved {when}",
        lambda: home.open_saved(listed.path, pane),
    )
