"""What the app's traces are on disk: their recipes, saved trees, and such a tree come back."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from genui import protocol
from genui.errors import GenuiError
from genui.render.sanitise import clean, clean_line
from genui.runs.catalog import ModelInfo, find_model
from genui.runs.disk import plain
from genui.saved import (
    Branch,
    Machine,
    Result,
    Sample,
    SavedTree,
    TraceRecipe,
    View,
    branch_start,
    load_tree,
    recipe_of,
    result_of,
)
from genui.ui import tree as trees
from genui.ui.trace import Trace

_LONGEST = 200  # characters of a machine's words


def machine_of(ready: protocol.Ready | None) -> Machine:
    """What the worker computes on, as a recipe keeps it; empty where no worker lives."""
    if ready is None:
        return Machine()
    return Machine(
        device=ready.device,
        precision=ready.precision,
        threads=ready.threads,
        processor=ready.processor[:_LONGEST],
        torch=ready.torch,
    )


def recipe_for(
    trace: Trace[Any], machine: Machine, result: Result | None = None, view: View | None = None
) -> TraceRecipe:
    """The recipe of one branch, as far as it is begun."""
    started = protocol.Started(
        trace=0,
        model=trace.request.model,
        family="",
        medium="",
        prompt=trace.seen_prompt,
        total_steps=trace.total,
        fingerprint=trace.fingerprint,
    )
    return recipe_of(trace.request, started, machine, result, view=view)


def sample_of(trace: Trace[Any]) -> Sample:
    """The frames that are here, as files are written from them."""
    prompt, suffix = clean(trace.seen_prompt), clean(trace.seen_suffix)
    return Sample(trace.request.seed, prompt, tuple(trace.frames), suffix)


# --- saving ----------------------------------------------------------------------------


def roots(tree: trees.Tree[Any]) -> list[trees.Branch[Any]]:
    """The branches that began by themselves, or whose parents are gone: each a tree to save."""
    return [branch for branch, depth in tree.lines() if depth == 0]


def root_of(tree: trees.Tree[Any], branch: trees.Branch[Any]) -> trees.Branch[Any]:
    """Where the branch grew from."""
    while (parent := tree.find(branch.parent)) is not None:
        branch = parent
    return branch


def saved_tree(tree: trees.Tree[Any], current: trees.Branch[Any], machine: Machine) -> SavedTree:
    """The tree that `current` belongs to, with its playhead; `with_result` adds what came of it."""
    root = root_of(tree, current)
    mine = [branch for branch in tree.branches if root_of(tree, branch) is root]
    spare = itertools.count(max(branch.number for branch in mine) + 1)
    return SavedTree(
        name=name_of(root.trace.request),
        recipe=recipe_for(root.trace, machine, view=View(kind="tree")),
        branches=tuple(
            saved for branch in mine for saved in _saved(branch, tree.find(branch.parent), spare)
        ),
        current=current.number,
        playhead=current.trace.position,
    )


def tree_of(trace: Trace[Any], machine: Machine) -> SavedTree:
    """One trace as a tree of its own: a branch for each of its edits, grown one from another."""
    edits = trace.request.edits
    root = replace(trace.request, edits=())
    recipe = replace(recipe_for(trace, machine, view=View(kind="tree")), edits=())
    branches = [Branch(id=0, total=trace.total, label=f"seed {root.seed}")]
    for number, at in enumerate(edits, 1):
        last = number == len(edits)
        branches.append(
            Branch(
                id=number,
                parent=number - 1,
                step=at.step,
                edit=at.edit,
                total=trace.total,
                label=f"edit at {at.step}" if last or edits[number].step != at.step else "",
            )
        )
    return SavedTree(
        name=name_of(trace.request),
        recipe=recipe,
        branches=tuple(branches),
        current=len(edits),
        playhead=trace.position,
    )


def with_result(saved: SavedTree, frames: Sequence[protocol.Frame]) -> SavedTree:
    """The tree with what the shown branch has come to. Reads every frame: a thread's work."""
    return replace(saved, result=result_of(frames) if frames else None)


def _saved(
    branch: trees.Branch[Any], parent: trees.Branch[Any] | None, spare: Iterator[int]
) -> Iterator[Branch]:
    """The branch as it is saved; where it made several edits at once, one after the other.

    Those before the last have no label: they are no branches that anyone saw.
    """
    trace, label = branch.trace, clean_line(branch.label, 200) or "a branch"
    if parent is None:
        yield Branch(id=branch.number, total=trace.total, label=label)
        return
    step = trace.forked_at
    shared = sum(at.step <= step for at in parent.trace.request.edits)
    *others, last = trace.request.edits[shared:]
    before = parent.number
    for other in others:
        number = next(spare)
        yield Branch(id=number, parent=before, step=other.step, edit=other.edit, total=trace.total)
        before = number
    yield Branch(
        id=branch.number,
        parent=before,
        step=step,
        edit=last.edit,
        total=trace.total,
        label=label,
    )


def name_of(request: protocol.Start) -> str:
    """What a trace is called until someone calls it otherwise: its prompt and its seed."""
    words = clean_line(request.prompt, 40) or clean_line(request.model, 40)
    return f"{words} · seed {request.seed}"


# --- opening again -----------------------------------------------------------------------


def opened(path: Path) -> tuple[SavedTree, ModelInfo]:
    """A saved tree and its model. Touches the disk.

    Raises GenuiError, one line, where the file is none or its model is not here.
    """
    saved = load_tree(path)
    try:
        if saved.recipe.model.startswith(protocol.LAB):
            from genui.ui.lab.words import family_named

            return saved, family_named(saved.recipe.model)
        return saved, find_model(saved.recipe.model)
    except GenuiError as error:
        raise GenuiError(f"{plain(path.name)}: its model is not here ({error})") from None


def graft(saved: SavedTree, tree: trees.Tree[Any]) -> None:
    """Put a saved tree beside what the pane has, and show what was shown.

    Nothing is computed: a branch begins by its recipe, from its first step, once it is
    looked at.
    """
    first = 1 if isinstance(saved.recipe.settings, protocol.TextSettings) else 0
    numbers: dict[int, int] = {}
    for branch in saved.branches:
        if not branch.label and branch.parent >= 0:
            numbers[branch.id] = numbers[branch.parent]  # the first of several edits at once
            continue
        trace: Trace[Any] = Trace(
            request=branch_start(saved, branch.id),
            first=first,
            forked_at=branch.step,
            total=branch.total,
            fingerprint=saved.fingerprint,
        )
        parent = numbers.get(branch.parent, -1)
        numbers[branch.id] = tree.graft(trace, branch.label, parent).number
    tree.show(numbers[saved.current])
    if tree.trace is not None:
        tree.trace.seek(saved.playhead)
