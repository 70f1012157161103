"""The keys that steer the first of the runs on the screen, and what it answers."""

import asyncio
from typing import Any, Literal, NamedTuple

from textual import work
from textual.screen import Screen

from genui.errors import GenuiError
from genui.recipes import recipe_from_dict
from genui.render.sanitise import clean_line
from genui.runs.checkpoints import checkpoint_steps
from genui.runs.control import HIGHEST_RATE, Command, Order, steer
from genui.runs.launch import resume
from genui.runs.layout import RunDir
from genui.ui import messages
from genui.ui.board import orders
from genui.ui.board.board import Board
from genui.ui.looking import RunView
from genui.ui.screens.confirm import ConfirmScreen
from genui.ui.screens.new_run import NewRunScreen, Source
from genui.ui.screens.value import ValueScreen

LOOK = 0.25  # seconds between looks for an answer
NO_RUN = "no training here yet: nothing to steer"


_COMMANDS: tuple[Command, ...] = ("pause", "checkpoint", "rate", "stop")  # that the footer has


def _trains_here(view: RunView) -> bool:
    """Whether genui started it: then it has checkpoints that can be read."""
    return view.summary.format == "genui" and view.summary.info.kind != "script"


class _Asked(NamedTuple):
    """The last pause or resume: of which run, the state it was seen in, and the one wanted."""

    run: RunDir | None = None
    seen: str = ""
    wanted: str = ""


class SteeringActions(Screen[Any]):
    """Actions for the first run of a board. Each says what was asked, then what the run did."""

    board: Board
    _asked = _Asked()

    def say(self, line: str, kind: Literal["error", "note", "hint"] = "error") -> None:
        """One line above the footer."""
        raise NotImplementedError

    def refused_keys(self) -> frozenset[str]:
        """The ids of the keys to which the first run would only answer why not."""
        view = self.board.first
        refused = {
            f"board.{command}"
            for command in _COMMANDS
            if view is None or orders.refusal(view, command)
        }
        if view is None or not _trains_here(view):
            refused.add("board.branch")
        return frozenset(refused)

    # --- orders -------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause, or go on."""
        view = self.board.first
        seen = state = view.summary.state if view is not None else ""
        if view is not None and self._asked.run == view.summary.run and self._asked.seen == seen:
            state = self._asked.wanted  # the last press was not obeyed, or not seen so, yet
        wanted = "running" if state == "paused" else "paused"
        if self._order("resume" if state == "paused" else "pause") and view is not None:
            self._asked = _Asked(view.summary.run, seen, wanted)

    def action_checkpoint(self) -> None:
        """Write a checkpoint now."""
        self._order("checkpoint")

    def action_evaluate(self) -> None:
        """Measure on held-out data now, and make a sample."""
        self._order("evaluate")

    def action_stop(self) -> None:
        """Stop the run, once the user has said yes."""
        view = self._may("stop")
        if view is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._give(view.summary.run, Order("stop"))

        self.app.push_screen(ConfirmScreen(orders.stop_question(view), "stop"), answered)

    def action_rate(self) -> None:
        """Train on with another learning rate."""
        view = self._may("rate")
        if view is not None:
            self._ask_rate(view)

    @work(group="rate", exclusive=True, exit_on_error=False)
    async def _ask_rate(self, view: RunView) -> None:
        rate = await asyncio.to_thread(orders.base_rate, view)
        hint = f"above 0, at most {HIGHEST_RATE:g}; the schedule keeps its shape"
        if "lr" in view.series:
            hint += f"; {float(view.series['lr'][1][-1]):.2g} is due at this step"

        def typed(order: Order | None) -> None:
            if order is not None:
                self._give(view.summary.run, order)

        value = "" if rate is None else f"{rate:g}"
        self.app.push_screen(ValueScreen("Learning rate", value, hint, orders.typed_rate), typed)

    def _order(self, command: Command) -> bool:
        """Whether it was given."""
        view = self._may(command)
        if view is not None:
            self._give(view.summary.run, Order(command))
        return view is not None

    def _first(self) -> RunView | None:
        """The run to steer; where there is none, that is said."""
        if self.board.first is None:
            self.say(NO_RUN, "note")
        return self.board.first

    def _may(self, command: Command) -> RunView | None:
        """The run, where it can be asked that; else why not is said."""
        view = self._first()
        if view is not None and (line := orders.refusal(view, command)):
            self.say(clean_line(line), "note")
            return None
        return view

    @work(group="orders", exit_on_error=False)
    async def _give(self, run: RunDir, order: Order) -> None:
        """Leave the order for the trainer, and look until it has answered."""
        waiting = await asyncio.to_thread(orders.Waiting, run, order)
        try:
            await asyncio.to_thread(steer, run, order.command, order.value)
        except GenuiError as error:
            self.say(clean_line(str(error)))
            return
        self.say(orders.asked(order), "note")
        last = False
        while not last:
            await asyncio.sleep(LOOK)
            answer = await asyncio.to_thread(waiting.look)
            if answer is not None:
                last = answer.last
                self.say(clean_line(answer.line), "note")

    # --- a stopped run --------------------------------------------------------------------

    def action_resume(self) -> None:
        """Start a trainer on it again, from its newest checkpoint."""
        view = self._first()
        if view is None:
            return
        summary = view.summary
        if summary.state == "paused":
            self._order("resume")
        elif not _trains_here(view):
            self.say("genui did not start this run: start its script again yourself", "note")
        else:
            self._resume(summary.run)

    @work(group="orders", exit_on_error=False)
    async def _resume(self, run: RunDir) -> None:
        try:
            await asyncio.to_thread(resume, run)
        except GenuiError as error:
            self.say(clean_line(str(error)))
        else:
            self.say("resuming from the newest checkpoint", "note")

    # --- from a checkpoint ----------------------------------------------------------------

    def action_generate(self) -> None:
        """Generate from the newest checkpoint, also while it trains."""
        view = self._trained_here("generate from")
        if view is not None:
            self.post_message(messages.Generate(view.summary.run))

    def action_branch(self) -> None:
        """Start another run from a checkpoint of this one, with changed settings."""
        view = self._trained_here("start from")
        if view is not None:
            cursor = self.board.state.cursor
            self._branch(view, None if cursor is None else self.board.step_at(cursor))

    def _trained_here(self, verb: str) -> RunView | None:
        """The run, where it is a training of ours, with checkpoints that can be read."""
        view = self._first()
        if view is None:
            return None
        if not _trains_here(view):
            self.say(f"this run has no checkpoint of genui's to {verb}", "note")
            return None
        return view

    @work(group="branch", exclusive=True, exit_on_error=False)
    async def _branch(self, view: RunView, step: float | None) -> None:
        run, name = view.summary.run, view.summary.info.name
        try:
            recipe = recipe_from_dict(view.summary.info.recipe)
            steps = await asyncio.to_thread(checkpoint_steps, run)
        except GenuiError as error:
            self.say(clean_line(str(error)))
            return
        if not steps:
            self.say("this run has no checkpoint yet: c asks for one", "note")
            return

        def started(new: RunDir | None) -> None:
            if new is not None:
                line = f"{clean_line(new.id)} is starting; it goes on when you quit"
                self.post_message(messages.OpenRun(new))
                self.call_later(self.say, line, "note")  # after that, which clears the line

        before = [one for one in steps if step is not None and one <= step]
        chosen = before[-1] if before else steps[-1]
        source = Source(run, clean_line(name, 40), recipe, tuple(steps), chosen)
        self.app.push_screen(NewRunScreen(source=source), started)
