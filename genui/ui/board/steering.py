"""The keys that steer the first run of the Training screen: more than the Training pane has."""

import asyncio

from textual import work

from genui.errors import GenuiError
from genui.render.sanitise import clean_line
from genui.runs.control import HIGHEST_RATE, Order
from genui.runs.layout import RunDir
from genui.ui import messages
from genui.ui.board import orders
from genui.ui.board.actions import BoardActions
from genui.ui.looking import RunView
from genui.ui.screens.value import ValueScreen
from genui.ui.steering import Steering


class SteeringActions(BoardActions, Steering):
    """Besides what any run is steered by: evaluate, the learning rate, another run from here."""

    @property
    def steered(self) -> RunView | None:
        return self.board.first

    def refused_keys(self) -> frozenset[str]:
        """The ids of the keys to which the first run would only answer why not."""
        view = self.board.first
        refused = {f"board.{command}" for command in self.refused_commands()}
        if view is None or not orders.trains_here(view):
            refused.add("board.branch")
        return frozenset(refused)

    def action_evaluate(self) -> None:
        """Measure on held-out data now, and make a sample."""
        self._order("evaluate")

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

    def action_branch(self) -> None:
        """Start another run from a checkpoint of this one, with changed settings."""
        view = self._trained_here("start from")
        if view is not None:
            cursor = self.board.state.cursor
            self._branch(view, None if cursor is None else self.board.step_at(cursor))

    @work(group="branch", exclusive=True, exit_on_error=False)
    async def _branch(self, view: RunView, step: float | None) -> None:
        # Only this needs the recipes: imported at the top, they would hold up the first curve.
        from genui.recipes import recipe_from_dict
        from genui.runs.checkpoints import checkpoint_steps
        from genui.ui.screens.new_run import NewRunScreen, Source

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
