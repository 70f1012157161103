"""The branches of what one pane has generated, and which of them is shown.

A tree, or several: starting over adds a root, a fork adds a branch. Pure: it asks nobody.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic

from genui import protocol
from genui.ui.traces.controller import F, Trace

MOST = 24  # branches kept; the oldest that nothing shown grows from goes first


@dataclass
class Branch(Generic[F]):
    """One trace of the tree and what it is called."""

    number: int  # counts up and is never used again
    trace: Trace[F]
    label: str  # what makes it differ from its parent: "guidance 4", "‘the’ at 12"
    parent: int = -1  # the number of the branch it forked from; -1: it began by itself


@dataclass
class Tree(Generic[F]):
    """Every branch in the order it was made, and the one that is shown."""

    branches: list[Branch[F]] = field(default_factory=list)
    shown: Branch[F] | None = None
    _made: int = 0
    _dropped: list[Branch[F]] = field(default_factory=list)

    @property
    def trace(self) -> Trace[F] | None:
        """What is shown."""
        return self.shown.trace if self.shown is not None else None

    def root(self, trace: Trace[F], label: str) -> Branch[F]:
        """Show a trace that begins by itself."""
        return self.graft(trace, label)

    def fork(
        self, step: int, edit: protocol.Edit, label: str, then: protocol.Edit | None = None
    ) -> Branch[F]:
        """Show a fork of what is shown: `edit` at the step and, where given, `then` after it.

        An edit of the same kind at the step where what is shown was forked makes a branch
        beside it; with nothing else done it takes its place, so that turning a setting leaves
        one branch, not one a turn. Tokens and words written are each kept.
        """
        shown = self.shown
        assert shown is not None, "nothing is shown to fork from"
        parent = self.find(shown.parent)
        alone = all(branch.parent != shown.number for branch in self.branches)
        again = shown.trace.forked_at == step and _same_kind(shown.trace, then or edit)
        if parent is not None and again:
            if alone and not isinstance(edit, protocol.WriteText | protocol.WriteToken):
                self._drop(shown)
            shown = parent
        trace = shown.trace.fork(step, edit, then)
        return self._add(Branch(self._made, trace, label, shown.number))

    def graft(self, trace: Trace[F], label: str, parent: int = -1) -> Branch[F]:
        """Show a branch that was made elsewhere: saved and opened again, or compared."""
        return self._add(Branch(self._made, trace, label, parent))

    def drop(self, number: int) -> list[Branch[F]]:
        """Take out a branch and all that grew from it; nothing where what is shown did.

        Returns what was taken out.
        """
        if number in {branch.number for branch in self._lineage()}:
            return []
        gone = {number}
        for branch in self.branches:  # parents come before their children
            if branch.parent in gone:
                gone.add(branch.number)
        dropped = [branch for branch in self.branches if branch.number in gone]
        for branch in dropped:
            self._drop(branch)
        return dropped

    def show(self, number: int) -> None:
        """Show another branch, if it is still there."""
        self.shown = self.find(number) or self.shown

    def take_back(self, trace: Trace[F]) -> bool:
        """Drop a branch that could not be begun and show what it grew from, or the one before.

        False, and nothing done, where there is nothing else to show.
        """
        branch = next((branch for branch in self.branches if branch.trace is trace), None)
        if branch is None or len(self.branches) == 1:
            return False
        self._drop(branch)
        if self.shown is branch:
            self.shown = self.find(branch.parent) or self.branches[-1]
        return True

    def find(self, number: int) -> Branch[F] | None:
        return next((branch for branch in self.branches if branch.number == number), None)

    def of_trace(self, number: int) -> Trace[F] | None:
        """The branch's trace that has this number in the worker."""
        traces = (branch.trace for branch in self.branches)
        return next((trace for trace in traces if trace.id == number), None)

    def lines(self) -> Iterator[tuple[Branch[F], int]]:
        """The branches as a tree is read, each with its depth."""
        yield from self._below(-1, 0)

    def take_dropped(self) -> list[Branch[F]]:
        """What is no longer in the tree since the last call, for the worker to forget."""
        needed = {branch.number for branch in self._lineage()}
        spare = [branch for branch in self.branches if branch.number not in needed]
        for branch in spare[: max(0, len(self.branches) - MOST)]:
            self._drop(branch)
        dropped, self._dropped = self._dropped, []
        return dropped

    def _drop(self, branch: Branch[F]) -> None:
        self.branches.remove(branch)
        self._dropped.append(branch)

    def _add(self, branch: Branch[F]) -> Branch[F]:
        self._made += 1
        self.branches.append(branch)
        self.shown = branch
        return branch

    def _lineage(self) -> Iterator[Branch[F]]:
        branch = self.shown
        while branch is not None:
            yield branch
            branch = self.find(branch.parent)

    def _below(self, parent: int, depth: int) -> Iterator[tuple[Branch[F], int]]:
        known = {branch.number for branch in self.branches}
        for branch in self.branches:
            # One whose parent was dropped stands by itself.
            above = branch.parent if branch.parent in known else -1
            if above == parent:
                yield branch, depth
                yield from self._below(branch.number, depth + 1)


def _same_kind(trace: Trace[F], edit: protocol.Edit) -> bool:
    return bool(trace.request.edits) and type(trace.request.edits[-1].edit) is type(edit)
