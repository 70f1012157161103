"""What every pane of traces can be asked: is this copied? and: more like this one."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import on, work

from genui.errors import GenuiError, MisuseError
from genui.render.sanitise import clean_line
from genui.runs.disk import shown as shown_path
from genui.ui import messages
from genui.ui.in_step import Column
from genui.ui.panes.branching import Branching
from genui.ui.trace import F, Trace

if TYPE_CHECKING:
    from genui.ui.screens.nearest import NearestScreen
    from genui.ui.screens.variations import VariationsScreen


class Likening(Branching[F]):
    """Mixed into the pane that owns a tree of traces. Its windows are imported when opened."""

    _nearest: "NearestScreen | None" = None  # waiting for its answer

    # --- nearest training examples ----------------------------------------------------------

    def action_nearest(self) -> None:
        """What of the training data is most like what is shown."""
        trace = self._known_here("compare")
        if trace is None:
            return
        from genui.ui.screens.nearest import NearestScreen

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
        from genui.ui.screens.variations import COUNT, VariationsScreen
        from genui.variations import USUAL, variations

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
        from genui.saved import save_favourite
        from genui.ui import keeping

        tree = keeping.tree_of(trace, keeping.machine_of(self._session.ready))
        frames = tuple(trace.frames)
        try:
            path = await asyncio.to_thread(
                lambda: save_favourite(keeping.with_result(tree, frames))
            )
        except GenuiError as error:
            say(str(error))
        else:
            say(f"kept as a favourite: {shown_path(path)} · F lists them")

    def _ask_sheet(self, columns: Sequence[Column], screen: "VariationsScreen") -> None:
        """Ask for a file, and write the columns to it as a contact sheet."""
        from genui.ui.screens.value import ValueScreen
        from genui.ui.sheets import free_file, sheet_target

        def done(path: Path | None) -> None:
            if path is not None:
                self._write_sheet(columns, path, screen.tell)

        hint = "a .png file: every one of them with its words below"
        usual = str(free_file("variations"))
        self.app.push_screen(ValueScreen("Contact sheet", usual, hint, sheet_target), done)

    @work(group="sheet", exit_on_error=False)
    async def _write_sheet(self, columns: Sequence[Column], path: Path, say: Any) -> None:
        from genui.ui import keeping, sheets

        machine = keeping.machine_of(self._session.ready)
        try:
            await asyncio.to_thread(sheets.write, columns, machine, path)
        except GenuiError as error:
            say(clean_line(str(error)))
        else:
            say(f"wrote {shown_path(path)}: {len(columns)} on it")
