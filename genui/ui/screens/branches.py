"""The window that lists every branch of a pane, drawn as a tree."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from genui.render.sanitise import clean_line
from genui.ui.panes.rows import Row, RowList
from genui.ui.screens.window import Window
from genui.ui.tree import Branch, Tree

EMPTY = "No branch yet. Press space in the pane to begin one, then f forks it"


class Choice(NamedTuple):
    """What is to be done with which branch; `save` is of all of them."""

    action: Literal["show", "compare", "export", "save"]
    branch: int


class BranchesScreen(Window[Choice | None]):
    """Dismissed with a Choice, or None. `drop` takes branches out, and stays in the window."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose('show')", "Go to it", show=False),
        Binding("V,v", "compare", "Compare", show=False),
        Binding("x", "choose('export')", "Export", show=False),
        Binding("s,ctrl+s", "choose('save')", "Save all", show=False),
        Binding("d,delete", "drop", "Drop", show=False),
        Binding("escape,q,b", "leave", "Leave", show=False),
    ]

    def __init__(
        self, tree: Tree[Any], model: str, drop: Callable[[int], list[Branch[Any]]]
    ) -> None:
        super().__init__()
        self._tree = tree
        self._model = model  # that the pane has now: it need not be named in a row
        self._drop = drop
        self._said_of = ""  # the row that the line below the list is about

    def compose(self) -> ComposeResult:
        with Vertical(classes="window branches"):
            yield RowList()
            yield Static(classes="fault", markup=False)

    def on_mount(self) -> None:
        window = self.query_one(".window")
        window.border_title = "Branches"
        full = "⏎ go to it · V compare · x export · s save all · d drop · esc leave"
        window.border_subtitle = full if self._tree.branches else "esc leave"
        rows = self.query_one(RowList)
        if self._tree.shown is not None:
            rows.chosen = str(self._tree.shown.number)
        self._list()
        rows.focus()

    def _list(self) -> None:
        lines = list(self._tree.lines())
        leads = tree_lines([depth for _, depth in lines])
        rows = [
            branch_row(branch, lead, branch is self._tree.shown, self._model)
            for (branch, _), lead in zip(lines, leads, strict=True)
        ]
        self.query_one(RowList).set_rows(rows, EMPTY)

    def _say(self, line: str) -> None:
        self._said_of = self.query_one(RowList).chosen
        self.query_one(".fault", Static).update(line)

    @property
    def _chosen(self) -> Branch[Any] | None:
        key = self.query_one(RowList).chosen
        return self._tree.find(int(key)) if key else None

    # --- keys -------------------------------------------------------------------------

    @on(RowList.Chosen)
    def _moved(self, event: RowList.Chosen) -> None:
        if event.key != self._said_of:
            self._say("")

    @on(RowList.Opened)
    def _opened(self) -> None:
        self.action_choose("show")

    def action_choose(self, action: Literal["show", "compare", "export", "save"]) -> None:
        """Leave, for that to be done with the branch under the cursor."""
        if (branch := self._chosen) is not None:
            self.leave(Choice(action, branch.number))

    def action_compare(self) -> None:
        """Beside the one that is shown."""
        if self._tree.shown is None:
            self._say("no branch is shown to compare with: ⏎ shows this one")
        elif self._chosen is self._tree.shown:
            self._say("this is the branch that is shown: choose another to compare it with")
        else:
            self.action_choose("compare")

    def action_drop(self) -> None:
        """Forget the branch and what grew from it."""
        branch = self._chosen
        if branch is None:
            return
        rows = self.query_one(RowList)
        place = [row.key for row in rows.rows].index(rows.chosen)
        dropped = self._drop(branch.number)
        if not dropped:
            shown = branch is self._tree.shown
            why = "it is the one that is shown" if shown else "what is shown grew from it"
            self._say(f"not dropped: {why}; go to another branch first")
            return
        left = [row.key for row in rows.rows if self._tree.find(int(row.key)) is not None]
        # What was below moves up to the cursor; those that are gone were next to each other.
        rows.chosen = left[min(place, len(left) - 1)]
        self._list()
        count = len(dropped)
        self._say("" if count == 1 else f"dropped {count} branches: it and what grew from it")

    def action_leave(self) -> None:
        self.leave(None)


def branch_row(branch: Branch[Any], lead: str, shown: bool, model: str) -> Row:
    """A branch as a line: what it is, where it forked and how far it is computed."""
    trace = branch.trace
    parts = [clean_line(branch.label, 60)]
    if trace.request.model != model:
        parts.append(clean_line(trace.request.model, 30))
    at = f"from step {trace.forked_at} · " if branch.parent >= 0 else ""
    playhead = " · shown" if shown else ""
    return Row(
        str(branch.number),
        " · ".join(parts),
        f"{at}{trace.computed}/{trace.total} steps{playhead}",
        "●" if shown else " ",
        "good",
        lead,
    )


def tree_lines(depths: Sequence[int]) -> list[str]:
    """The lines before each entry of a tree, given how deep each is, as it is read."""
    leads = []
    for index, depth in enumerate(depths):
        lead = ""
        for level in range(1, depth + 1):
            more = _goes_on(depths[index + 1 :], level)
            if level == depth:
                lead += "├─ " if more else "└─ "
            else:
                lead += "│  " if more else "   "
        leads.append(lead)
    return leads


def _goes_on(after: Sequence[int], level: int) -> bool:
    """Whether another entry of that level follows before one above it."""
    for depth in after:
        if depth <= level:
            return depth == level
    return False
