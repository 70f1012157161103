"""What Text and Canvas do with whole branches: list them, and put them side by side."""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from genui import protocol
from genui.errors import MisuseError
from genui.render.sanitise import clean_line
from genui.ui.in_step import Column
from genui.ui.panes.rows import Row
from genui.ui.panes.saving import Saving
from genui.ui.trace import F, Trace
from genui.ui.tree import Branch

if TYPE_CHECKING:
    from genui.ui.screens.branches import Choice

FEWEST, MOST_COLUMNS, USUAL_COLUMNS = 2, 6, 3  # continuations side by side


class Branching(Saving[F]):
    """Mixed into the pane that owns a tree of traces. Its windows are imported when opened."""

    # --- branches -----------------------------------------------------------------------

    def action_branches(self) -> None:
        """Every branch, as a tree."""
        from genui.ui.screens.branches import BranchesScreen

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
        from genui.ui.screens.choose import ChooseScreen

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
        from genui.ui.compare import for_model

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
        from genui.ui.screens.value import ValueScreen

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
        from genui.ui.screens.compare import CompareScreen

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
