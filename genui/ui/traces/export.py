"""The app's traces as files: recipes, saved trees, which can be opened again, and exports."""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from genui import protocol
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_write, cannot_write, sanitize, show
from genui.base.text import clean, clean_line
from genui.formats.codec import CODECS, Sample, codecs_for, encode
from genui.formats.frames import pack_frames
from genui.formats.image import card_of, encode_sheet, film_steps
from genui.formats.kinds import RecordedText, record_of
from genui.formats.recipe import (
    Digests,
    ExportView,
    Machine,
    Shows,
    TraceRecipe,
    recipe_of,
    result_of,
)
from genui.formats.trees import (
    Branch,
    SavedTree,
    branch_start,
    chain_branches,
    load_tree,
    save_tree,
)
from genui.protocol.edits import inputs_at
from genui.protocol.kinds import kind_of_trace
from genui.runs.models import ModelInfo, find_model
from genui.ui.generate.look import ImagePart
from genui.ui.kinds import shows_of
from genui.ui.traces import trees
from genui.ui.traces.compare import Column
from genui.ui.traces.controller import ShownTrace
from genui.ui.traces.records import last_path

_PROCESSOR_CHARACTERS = 200


def machine_of(ready: protocol.Ready | None) -> Machine:
    """The worker's machine for a recipe; empty without a worker."""
    if ready is None:
        return Machine()
    return Machine(
        device=ready.device,
        precision=ready.precision,
        threads=ready.threads,
        processor=ready.processor[:_PROCESSOR_CHARACTERS],
        torch=ready.torch,
    )


def recipe_for(
    trace: ShownTrace[Any],
    machine: Machine,
    result: Digests | None = None,
    view: ExportView | None = None,
) -> TraceRecipe:
    """The recipe of one branch; parts that the worker has not reported yet are empty."""
    record = record_of(trace.kind, [recorded(trace)], trace.request.record)
    begun = started_of(trace)
    return recipe_of(trace.request, begun, machine, result, view=view, record=record)


def started_of(trace: ShownTrace[Any]) -> protocol.Started:
    """The worker's report when the trace began, as far as there is one."""
    family, _, medium = trace.kind.partition("/")
    return protocol.Started(
        trace=0,
        model=trace.request.model,
        family=family,
        medium=medium,
        prompt=trace.model_prompt,
        suffix=trace.model_suffix,
        total_steps=trace.total,
        fingerprint=trace.fingerprint,
        precision=trace.precision,
        pieces=trace.pieces,
    )


def recorded(trace: ShownTrace[Any]) -> RecordedText:
    """The source of the record of a model's answers."""
    return trace.request, trace.frames


def sample_of(trace: ShownTrace[Any]) -> Sample:
    """The computed frames as a sample, from which files are written."""
    prompt = clean(trace.model_prompt)
    suffix = clean(protocol.remaining_suffix(trace.model_suffix, trace.frames))
    return Sample(trace.request.seed, prompt, tuple(trace.frames), suffix, trace.kind)


# --- Saving ----------------------------------------------------------------------------------


def roots(tree: trees.Tree[Any]) -> list[trees.Branch[Any]]:
    """The branches without a parent in the tree, each the root of a tree to save."""
    return [branch for branch in tree.branches if tree.find(branch.parent) is None]


def root_of(tree: trees.Tree[Any], branch: trees.Branch[Any]) -> trees.Branch[Any]:
    """The root that the branch descends from."""
    while (parent := tree.find(branch.parent)) is not None:
        branch = parent
    return branch


def saved_tree(tree: trees.Tree[Any], current: trees.Branch[Any], machine: Machine) -> SavedTree:
    """The tree of the branch `current`, with its playhead; see also `with_result`."""
    root = root_of(tree, current)
    branches = [branch for branch in tree.branches if root_of(tree, branch) is root]
    free_ids = itertools.count(max(branch.number for branch in branches) + 1)
    recipe = recipe_for(root.trace, machine, view=ExportView(kind="tree"))
    texts = [recorded(branch.trace) for branch in branches]
    record = record_of(recipe.kind, texts, recipe.record)
    return SavedTree(
        name=name_of(root.trace.request),
        recipe=replace(recipe, record=record),
        branches=tuple(
            saved
            for branch in branches
            for saved in _save_branch(branch, tree.find(branch.parent), free_ids)
        ),
        current=current.number,
        playhead=current.trace.position,
    )


def tree_of(trace: ShownTrace[Any], machine: Machine) -> SavedTree:
    """A tree of one trace: a chain of branches, one for each edit."""
    edits = trace.request.edits
    root = replace(trace.request, edits=())
    recipe = replace(recipe_for(trace, machine, view=ExportView(kind="tree")), edits=())
    steps = [at.step for at in edits]
    labels = [f"seed {root.seed}"]
    for step, after in itertools.zip_longest(steps, steps[1:]):
        # Of several edits at one step only the last one gets a label: they are one branch.
        labels.append(f"edit at {step}" if step != after else "")
    return SavedTree(
        name=name_of(trace.request),
        recipe=recipe,
        branches=chain_branches(edits, labels, [trace.total] * len(labels)),
        current=len(edits),
        playhead=trace.position,
    )


def with_result(saved: SavedTree, frames: Sequence[protocol.Frame]) -> SavedTree:
    """The tree with the result of its current branch. Reads all frames: call it on a thread."""
    return replace(saved, result=result_of(frames) if frames else None)


def _save_branch(
    branch: trees.Branch[Any], parent: trees.Branch[Any] | None, free_ids: Iterator[int]
) -> Iterator[Branch]:
    """The branch for a file. A fork by several edits is a chain, an edit each.

    Only the last one has a label, since the app shows them as one branch.
    """
    trace, label = branch.trace, clean_line(branch.label, 200) or "a branch"
    marks = {"name": branch.name, "starred": branch.starred, "folded": branch.folded}
    if parent is None:
        yield Branch(id=branch.number, total=trace.total, label=label, **marks)
        return
    step = trace.forked_at
    shared = sum(at.step <= step for at in parent.trace.request.edits)
    *others, last = trace.request.edits[shared:]
    before, total = parent.number, trace.total
    for other in others:
        number = next(free_ids)
        yield Branch(id=number, parent=before, step=other.step, edit=other.edit, total=total)
        before = number
    yield Branch(
        id=branch.number,
        parent=before,
        step=step,
        edit=last.edit,
        total=total,
        label=label,
        **marks,
    )


def name_of(request: protocol.Start) -> str:
    """The default name of a tree: the prompt (or else the model) and the seed."""
    text = clean_line(request.prompt, 40) or clean_line(request.model, 40)
    return f"{text} · seed {request.seed}"


# --- Opening ---------------------------------------------------------------------------------


def open_tree(path: Path) -> tuple[SavedTree, ModelInfo]:
    """Read a saved tree and find its model on disk.

    Raises GenuiError, one line, if the file is not a saved tree or its model is missing.
    """
    saved = load_tree(path)
    try:
        return saved, find_model(saved.recipe.model)
    except GenuiError as error:
        raise GenuiError(f"{sanitize(path.name)}: its model is missing ({error})") from None


def add_saved(saved: SavedTree, tree: trees.Tree[Any]) -> None:
    """Add a saved tree to the pane's, and show its current branch at its playhead.

    Nothing is computed before a branch is shown; then it starts from its recipe.
    """
    first = kind_of_trace(saved.recipe.kind, saved.recipe.settings).first_step
    numbers: dict[int, int] = {}
    for branch in saved.branches:
        if not branch.label and branch.parent >= 0:
            numbers[branch.id] = numbers[branch.parent]  # one of several edits at once
            continue
        trace: ShownTrace[Any] = ShownTrace(
            request=branch_start(saved, branch.id),
            first=first,
            forked_at=branch.step,
            total=branch.total,
            fingerprint=saved.recipe.fingerprint,
            kind=saved.recipe.kind,
        )
        parent = numbers.get(branch.parent, -1)
        added = tree.add(trace, branch.label, parent)
        added.name, added.starred = clean_line(branch.name, trees.NAME_CELLS), branch.starred
        added.folded = branch.folded
        numbers[branch.id] = added.number
    tree.show(numbers[saved.current])
    if tree.trace is not None:
        tree.trace.seek(saved.playhead)


# --- What each pane showed last, for the next start of the app ---------------------------------


def keep_last(pane: str, trace: ShownTrace[Any], machine: Machine) -> None:
    """Keep a trace as the last one of its pane, with its frames unless they are too large.

    Call it on a thread. Raises GenuiError if it cannot be written.
    """
    frames, path = tuple(trace.frames), last_path(pane)
    saved = with_result(tree_of(trace, machine), frames)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path.parent, error) from None
    save_tree(replace(saved, frames=pack_frames(started_of(trace), frames)), path)


# --- The file formats of exports, and writing them on a thread --------------------------------

_SIDE = 256  # pixels, about, that a small image is enlarged to
_MAX_SCALE = 32


@dataclass(frozen=True)
class Format:
    """A kind of file that a trace can be exported to."""

    key: str
    suffix: str  # of a Codec
    text: str  # the view in the file, for the list
    shows: Shows  # the same for a View
    still: bool = False  # only the shown step
    shrink: int = 0  # images are enlarged to about _SIDE ÷ this; 0 keeps their size
    find_step: Callable[[Sequence[Any], int], int] = field(default=lambda frames, step: step)
    """`find_step(frames, step)` returns the step that is written if `still`."""

    @property
    def can_sign(self) -> bool:
        """Whether its files have room for a signature."""
        return bool(CODECS[self.suffix].media_type)

    def view(self, frames: Sequence[Any], step: int, part: ImagePart) -> ExportView:
        """The view of a trace's frames for its recipe: steps, part and scale."""
        first, scale = frames[0], 1
        steps: tuple[int, ...] = ()
        if self.still:
            steps = (self.find_step(frames, step),)
        if self.shrink:
            large = max(1, min(_MAX_SCALE, _SIDE // max(first.width, first.height)))
            scale = max(1, large // self.shrink)
        if self.shows == "sound":
            part = "x"  # a sound has no parts
        return ExportView(kind=self.shows, steps=steps, part=part, scale=scale)


_CAST = Format("cast", ".cast", "a recording of the terminal, for asciinema", "animation")
TREE = Format("trace", ".trace", "the branches, to open again; no images", "tree")

IMAGES = (
    Format("png", ".png", "the {part} at step {step}", "frame", still=True, shrink=1),
    Format("film", ".png", "a filmstrip, ten steps from noise to image", "film", shrink=4),
    Format("gif", ".gif", "every step, moving, 256 colours", "animation", shrink=1),
    Format("apng", ".apng", "every step, moving, all colours", "animation", shrink=1),
    _CAST,
    TREE,
)
TEXTS = (
    Format("txt", ".txt", "prompt and text", "text"),
    Format("cast", ".cast", "a recording of the terminal, for asciinema", "text"),
    Format("trace", ".trace", "the branches, to open again; no text", "tree"),
)


def formats(trace: ShownTrace[Any]) -> tuple[Format, ...]:
    """The formats that a trace can be exported to; formats of a codec's `media` come last."""
    kind = kind_of_trace(trace.kind, trace.request.settings)
    own, added = shows_of(kind).exports, codecs_for(kind.medium)
    frame = next((form for form in own if form.shows == "frame"), own[0])
    return *own, *(
        Format(
            codec.suffix[1:],
            codec.suffix,
            codec.title,
            codec.shows,
            still=codec.shows == "frame",
            find_step=frame.find_step,
        )
        for codec in added
    )


@dataclass(frozen=True)
class Export:
    """A trace to be written as it is now, with the shown step and image."""

    trace: ShownTrace[Any]
    tree: SavedTree  # the tree of the trace
    machine: Machine
    step: int
    part: ImagePart = "x"

    def write(self, form: Format, path: Path, overwrite: bool, sign: bool = False) -> None:
        """Write the whole file or none of it, with content credentials if it is to `sign`.

        Raises MisuseError for a path that cannot be written, FileExistsError if the file exists
        and `overwrite` is false, and GenuiError for faults of the disk.
        """
        check_path(path, form)
        if not overwrite and os.path.lexists(path):
            raise FileExistsError(path)
        try:
            if form.shows == "tree":
                save_tree(with_result(self.tree, tuple(self.trace.frames)), path)
            else:
                atomic_write(path, self.encode(form, sign))
        except GenuiError as error:
            cause = error.__context__
            if isinstance(cause, OSError):
                reason = (cause.strerror or str(cause)).lower()
                raise GenuiError(
                    f"cannot write {show(path)}: {reason}; name a file elsewhere"
                ) from None
            raise

    def encode(self, form: Format, sign: bool = False) -> bytes:
        """The bytes of the file, with the recipe in its metadata.

        Raises GenuiError if no step is computed yet, or if it cannot be signed.
        """
        trace = self.trace
        sample = sample_of(trace)
        if not sample.frames:
            raise GenuiError("no step is computed yet: press space in the pane first")
        view = form.view(sample.frames, self.step, self.part)
        if view.kind == "film":
            view = replace(view, steps=film_steps([sample]))
        result = result_of(sample.frames)
        recipe = recipe_for(trace, self.machine, result, view)
        return encode(form.suffix, [sample], recipe, sign=sign)


def default_name(trace: ShownTrace[Any], form: Format) -> str:
    """`icons-7.png`: the model's name, the seed and the suffix."""
    model = Path(trace.request.model).name.removesuffix(".safetensors")
    stem = "".join(c if c.isalnum() or c in "._-" else "-" for c in clean_line(model, 40))
    return f"{stem or 'genui'}-{inputs_at(trace.request)[1]}{form.suffix}"


def check_path(path: Path, form: Format) -> None:
    """Raise MisuseError, one line, if no file of that format can be written to the path."""
    if path.suffix.lower() != form.suffix:
        raise MisuseError(f"{show(path)}: end the name in {form.suffix}, or choose its format")
    if os.path.isdir(path):
        raise MisuseError(f"{show(path)}: is a folder; name a file in it")
    if not os.path.isdir(path.parent):
        raise MisuseError(
            f"{show(path)}: there is no folder {show(path.parent)}; create it, or name another"
        )


# --- Contact sheets --------------------------------------------------------------------------


def free_file(stem: str) -> Path:
    """`stem.png`, or the first of `stem-2.png`, … that does not exist."""
    path, number = Path(f"{stem}.png"), 2
    while os.path.lexists(path):
        path, number = Path(f"{stem}-{number}.png"), number + 1
    return path


def parse_sheet_path(text: str) -> Path:
    """The path of a contact sheet, as typed.

    Raises MisuseError if it does not end in .png, exists already, or has no folder.
    """
    path = Path(os.path.expanduser(text.strip()))
    if path.suffix.lower() != ".png":
        raise MisuseError(f"'{clean_line(text, 60)}': a contact sheet is an image; end it in .png")
    if os.path.lexists(path):
        raise MisuseError(f"{show(path)}: exists already; name another file")
    if not os.path.isdir(path.parent):
        raise MisuseError(f"{show(path)}: there is no such folder; create it first")
    return path


def write_sheet(columns: Sequence[Column], machine: Machine, path: Path) -> None:
    """Write all columns to one image. Raises GenuiError for faults of the disk."""
    cards = [card_of(sample_of(column.trace), clean_line(column.label)) for column in columns]
    recipes = [recipe_for(column.trace, machine) for column in columns]
    atomic_write(path, encode_sheet(cards, recipes))
