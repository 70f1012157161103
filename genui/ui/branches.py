"""The window of branches: a pane's branches as a tree, with a preview of the chosen one."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import Static

from genui.base.text import clean_line
from genui.protocol.messages import text_of_frames
from genui.ui.generate.look import ImagePart
from genui.ui.traces.compare import Column
from genui.ui.traces.trees import NAME_CELLS, Branch, Tree
from genui.ui.widgets.columns import ColumnView
from genui.ui.widgets.dialogs import Window, ask, make_value_screen
from genui.ui.widgets.inputs import SearchLine
from genui.ui.widgets.lists import ListRow, RowList

NO_BRANCHES = "No branches yet: press space in the pane to start one"
KEYS = "⏎ show · ←→ fold · * star · e name · d remove · u undo · / search"
MORE_KEYS = "c compare · x export · ^s save all · esc close"
NAME_HINT = "shown in place of its edit, and saved with the branches; empty removes it"

LEAD_CELLS = 24  # for the lines of the tree; deeper branches leave out the first of them
TITLE_CELLS = 34
WORDS_STEPS = 24  # the steps after a fork whose text a row shows


class Choice(NamedTuple):
    """An action and the branch for it; `save` is for all branches."""

    action: Literal["show", "compare", "export", "save"]
    branch: int


class BranchesScreen(Window[Choice | None]):
    """Shows the branches as a tree. Dismissed with a Choice, or None.

    `model` is the ref of the pane's model, and `part` the image of a step that the pane shows.
    `drop` removes a branch and its forks and returns them; none if they cannot be removed. `undo`
    brings the last ones back and returns a line for the user.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose('show')", "Show", show=False),
        Binding("right,l", "unfold", "Unfold, or to the first fork", show=False),
        Binding("left,h", "fold", "Fold, or to the branch that it was forked from", show=False),
        Binding("asterisk", "star", "Star", show=False),
        Binding("e", "name", "Name", show=False),
        Binding("c", "compare", "Compare", show=False),
        Binding("x", "choose('export')", "Export", show=False),
        Binding("ctrl+s", "choose('save')", "Save all", show=False),
        Binding("d,delete", "drop", "Remove", show=False),
        Binding("u,ctrl+z", "undo", "Bring back", show=False),
        Binding("slash", "search", "Search", show=False),
        Binding("pageup", "scroll_text(-4)", "Scroll the preview up", show=False),
        Binding("pagedown", "scroll_text(4)", "Scroll the preview down", show=False),
        Binding("escape,q,b", "leave", "Close", show=False),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-high")]  # noqa: RUF012

    def __init__(
        self,
        tree: Tree[Any],
        model: str,
        part: ImagePart,
        drop: Callable[[int], list[Branch[Any]]],
        undo: Callable[[], str],
    ) -> None:
        super().__init__()
        self._tree = tree
        self._model = model  # of the pane; the rows name only other models
        self._part: ImagePart = part
        self._drop = drop
        self._undo = undo
        self._removed = 0  # removals in this window that are not undone
        self._line_row = ""  # the row that the line below the list is about

    def compose(self) -> ComposeResult:
        with Vertical(classes="window branches tree"):
            yield SearchLine("part of a name")
            yield RowList()
            if self._tree.branches:
                yield ColumnView(self._column(self._tree.shown or self._tree.branches[0]))
                yield Static(KEYS, classes="keys", markup=False)
            yield Static(classes="fault", markup=False)

    def on_mount(self) -> None:
        self.set_titles("Branches", MORE_KEYS if self._tree.branches else "esc close")
        self._tree.unfold_to_shown()
        rows = self.query_one(RowList)
        if self._tree.shown is not None:
            rows.chosen = str(self._tree.shown.number)
        self._list()
        rows.focus()
        self.call_after_refresh(self._preview)

    def _list(self) -> None:
        sought = self.query_one(SearchLine).value.casefold()
        lines = [
            (branch, 0 if sought else depth)
            for branch, depth in self._tree.lines(fold=not sought)
            if sought in f"{branch.name} {branch.label}".casefold()
        ]
        leads = tree_lines([depth for _, depth in lines])
        depths = {branch.number: depth for branch, depth in lines}
        rows = [
            branch_row(self._tree, branch, lead, self._model, depths.get(branch.parent) == depth)
            for (branch, depth), lead in zip(lines, leads, strict=True)
        ]
        empty = "no branch matches; esc shows all" if sought else NO_BRANCHES
        self.query_one(RowList).set_rows(rows, empty)

    def _say(self, line: str) -> None:
        self._line_row = self.query_one(RowList).chosen
        self.query_one(".fault", Static).update(line)

    @property
    def _chosen(self) -> Branch[Any] | None:
        key = self.query_one(RowList).chosen
        return self._tree.find(int(key)) if key else None

    # --- the preview ------------------------------------------------------------------

    def _column(self, branch: Branch[Any]) -> Column:
        parent = self._tree.find(branch.parent)
        title = f"{branch.name} · {branch.label}" if branch.name else branch.label
        if parent is not None:
            title += f" · step {branch.trace.forked_at} of {parent.title}"
        fault = "" if branch.trace.frames else "not computed yet: ⏎ shows it, then space computes"
        return Column(branch.trace, clean_line(title, 70), branch.number, fault)

    def _preview(self) -> None:
        """Show the chosen branch at its playhead, below the list."""
        branch = self._chosen
        for view in self.query(ColumnView):
            view.display = branch is not None
            if branch is not None and view.is_mounted:
                view.column = self._column(branch)
                view.paint(branch.trace.position, self._part, False, False, 0.0)

    def on_resize(self) -> None:
        self.call_after_refresh(self._preview)

    def action_scroll_text(self, by: int) -> None:
        for view in self.query(ColumnView):
            view.scroll_text(by)

    # --- keys -------------------------------------------------------------------------

    def action_search(self) -> None:
        """Show only the branches with a part of a name, typed in a line above them."""
        self.query_one(SearchLine).open()

    @on(SearchLine.Typed)
    def _sought(self) -> None:
        self._list()

    @on(RowList.Chosen)
    def _row_chosen(self, event: RowList.Chosen) -> None:
        if event.key != self._line_row:
            self._say("")
        self._preview()

    @on(RowList.Opened)
    def _opened(self) -> None:
        self.action_choose("show")

    def action_choose(self, action: Literal["show", "compare", "export", "save"]) -> None:
        """Close with an action for the branch under the cursor."""
        if (branch := self._chosen) is not None:
            self.leave(Choice(action, branch.number))

    def action_fold(self) -> None:
        """Fold the branch; if it has no forks or is folded, go to the one it was forked from."""
        branch = self._chosen
        if branch is None:
            return
        if self._tree.forks(branch.number) and not branch.folded:
            branch.folded = True
            self._list()
        elif self._tree.find(branch.parent) is not None:
            self.query_one(RowList).chosen = str(branch.parent)

    def action_unfold(self) -> None:
        """Unfold the branch; if it is not folded, go to its first fork."""
        branch = self._chosen
        if branch is None:
            return
        forks = self._tree.forks(branch.number)
        if branch.folded:
            branch.folded = False
            self._list()
        elif forks:
            self.query_one(RowList).chosen = str(forks[0].number)

    def action_star(self) -> None:
        """Give the branch a star, or take it away."""
        if (branch := self._chosen) is not None:
            branch.starred = not branch.starred
            self._list()

    def action_name(self) -> None:
        """Ask for a name of the branch."""
        branch = self._chosen
        if branch is None:
            return

        def name(text: str) -> None:
            branch.name = text
            self._list()
            self._preview()

        def parse(text: str) -> str:
            return clean_line(text, NAME_CELLS)

        window: Screen[str | None] = make_value_screen(
            "Name of the branch", branch.name, NAME_HINT, parse, "name"
        )
        ask(self, window, name)

    def action_compare(self) -> None:
        """Compare with the branch that is shown."""
        if self._tree.shown is None:
            self._say("no branch is open to compare with: ⏎ opens this one")
        elif self._chosen is self._tree.shown:
            self._say("this is the branch that is shown: choose another to compare it with")
        else:
            self.action_choose("compare")

    def action_drop(self) -> None:
        """Remove the branch and its forks."""
        branch = self._chosen
        if branch is None:
            return
        rows = self.query_one(RowList)
        place = [row.key for row in rows.rows].index(rows.chosen)
        dropped = self._drop(branch.number)
        if not dropped:
            shown = branch is self._tree.shown
            reason = "this branch is shown" if shown else "the branch shown is forked from it"
            self._say(f"not removed: {reason}; go to another branch first")
            return
        remaining = [row.key for row in rows.rows if self._tree.find(int(row.key)) is not None]
        rows.chosen = remaining[min(place, len(remaining) - 1)]  # the row that moves up
        self._list()
        self._removed += 1
        count = len(dropped)
        what = "1 branch" if count == 1 else f"{count} branches: this one and its forks"
        self._say(f"removed {what}; u undoes it")

    def action_undo(self) -> None:
        """Bring back the branches that were removed last in this window."""
        if not self._removed:
            self._say("nothing to undo in this list")
            return
        self._removed -= 1
        line = self._undo()
        self._list()
        self._say(line)


def branch_row(
    tree: Tree[Any], branch: Branch[Any], lead: str, model: str, continues: bool = False
) -> ListRow:
    """The row of a branch: its title, the first words after the fork, the step at which it forks,
    and its computed steps. `model` is the ref of the pane's model; a branch that `continues` the
    one above it has an arrow."""
    trace = branch.trace
    parts = [clean_line(" · ".join(filter(None, (branch.name, branch.label))), TITLE_CELLS)]
    if trace.request.model != model:
        parts.append(clean_line(trace.request.model, 30))
    if branch.folded and (forks := tree.forks(branch.number)):
        parts.append(f"▸ {len(forks)} folded")
    steps = f"from step {trace.forked_at} · " if branch.parent >= 0 else ""
    steps += f"{trace.computed}/{trace.total}"
    first = trace.forked_at + 1 - trace.first if branch.parent >= 0 else 0
    frames = trace.frames[first : first + WORDS_STEPS]
    words = clean_line(text_of_frames(frames).strip(), 80)
    lead += "↓ " if continues else ""
    if cell_len(lead) > LEAD_CELLS:
        lead = f"⋯{lead[-LEAD_CELLS + 1 :]}"
    sign = "●" if branch is tree.shown else "★" if branch.starred else " "
    star = "★ " if branch.starred and branch is tree.shown else ""
    return ListRow(
        str(branch.number), star + " · ".join(parts), steps, sign, "good", lead, middle=words
    )


def tree_lines(depths: Sequence[int]) -> list[str]:
    """The lines in front of each entry of a tree, from the depths of the entries."""
    leads = []
    for index, depth in enumerate(depths):
        lead = ""
        for level in range(1, depth + 1):
            # Whether a sibling at this level follows before an entry above it.
            more = next((one for one in depths[index + 1 :] if one <= level), -1) == level
            if level == depth:
                lead += "├─ " if more else "└─ "
            else:
                lead += "│  " if more else "   "
        leads.append(lead)
    return leads
