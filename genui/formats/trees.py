"""Saved traces: a trace with its forks in one `.trace` file, in JSON."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from genui.base import paths
from genui.base.errors import GenuiError
from genui.base.files import atomic_write, writing
from genui.formats.frames import MAX_PACKED
from genui.formats.recipe import (
    FORMAT,
    Digests,
    TraceRecipe,
    check_images,
    decode_versioned,
    digest_of,
    edited_error,
    is_sealed,
    read_bytes,
    round_trip,
    seal,
    to_start,
)
from genui.protocol import Edit, EditAt, Start
from genui.protocol.edits import add_edit

SUFFIX = ".trace"
_FOLDER = "traces"
_STRANGE = re.compile(r"[^A-Za-z0-9._-]+")


class Branch(Struct, frozen=True, kw_only=True):
    """One branch: its parent's steps up to `step`, then `edit` applies. The root has neither."""

    id: int
    parent: int = -1
    step: Annotated[int, Meta(ge=0)] = 0
    edit: Edit | None = None
    total: Annotated[int, Meta(ge=0)] = 0  # its steps, 0 if unknown
    label: Annotated[str, Meta(max_length=1000)] = ""
    name: Annotated[str, Meta(max_length=200)] = ""  # given by the user
    starred: bool = False
    folded: bool = False  # its forks are not listed


class SavedTree(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A saved trace. `recipe` is the recipe of the root; parents come before children."""

    format: int = FORMAT
    name: Annotated[str, Meta(max_length=200)]
    created: float = 0.0  # unix time
    recipe: TraceRecipe
    branches: Annotated[tuple[Branch, ...], Meta(min_length=1, max_length=10_000)]
    current: int = 0  # the branch shown
    playhead: Annotated[int, Meta(ge=0)] = 0  # the step shown
    result: Digests | None = None  # of the current branch, as far as it was computed
    frames: Annotated[bytes, Meta(max_length=MAX_PACKED)] = b""  # of it too, if kept
    digest: str = ""  # of all other fields

    @property
    def steps(self) -> int:
        """The computed steps of the current branch."""
        return self.result.steps if self.result is not None else 0

    @property
    def total(self) -> int:
        """The number of steps of the current branch, as far as it is known."""
        branch = next((known for known in self.branches if known.id == self.current), None)
        return max(self.steps, branch.total if branch is not None else 0)


@dataclass(frozen=True)
class ListedTrace:
    """A saved trace in a list; if it cannot be read, `tree` is None and `fault` says why."""

    path: Path
    changed: float  # unix time
    tree: SavedTree | None
    fault: str = ""


def branch_start(tree: SavedTree, branch: int | None = None) -> Start:
    """The request of a branch (the current one), with all edits on the way to it."""
    by_id = {known.id: known for known in tree.branches}
    forks = []
    at = by_id[tree.current if branch is None else branch]
    while at.edit is not None:
        forks.append((at.step, at.edit))
        at = by_id[at.parent]
    start = to_start(tree.recipe)
    for step, edit in reversed(forks):
        start = add_edit(start, step, edit)
    return start


def chain_branches(
    edits: Sequence[EditAt], labels: Sequence[str], totals: Sequence[int]
) -> tuple[Branch, ...]:
    """A root and a branch for each edit, each forked from the previous one; `labels` and `totals`
    include the root's."""
    root = Branch(id=0, total=totals[0], label=labels[0])
    return root, *(
        Branch(
            id=number,
            parent=number - 1,
            step=at.step,
            edit=at.edit,
            total=totals[number],
            label=labels[number][:1000],
        )
        for number, at in enumerate(edits, 1)
    )


def save_tree(tree: SavedTree, path: Path | None = None, *, mark: str = "") -> Path:
    """Writes a trace and returns its path, by default in the folder of its model, with `mark`
    before the suffix. Raises GenuiError if it cannot be written."""
    if not tree.created:
        tree = replace(tree, created=time.time())
    data = _sealed(tree)
    if path is None:
        folder = traces_dir(tree.recipe.model)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        path = _free_name(folder, tree.name, tree.created, mark)
    atomic_write(path, msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n")
    return path


def load_tree(path: Path) -> SavedTree:
    """A saved trace. Raises GenuiError, one line that names the file, if it cannot be read."""
    tree, _ = decode_tree(read_bytes(path), str(path))
    return tree


def decode_tree(data: bytes, name: str) -> tuple[SavedTree, TraceRecipe]:
    """The trace in `data`, and the recipe of its root. Raises GenuiError, one line that begins with
    `name`."""
    tree, fields = decode_versioned(data, SavedTree, name)
    if not (is_sealed(fields) and is_sealed(fields["recipe"])):
        raise edited_error(name)
    check_images(tree.recipe, name)
    if not _is_tree(tree):
        raise GenuiError(f"{name}: its branches do not fit together; write the file again")
    return tree, tree.recipe


def _is_tree(tree: SavedTree) -> bool:
    """Whether the first branch is the root and every other was forked from an earlier one."""
    root, *others = tree.branches
    known = {root.id}
    for branch in others:
        if branch.id in known or branch.parent not in known or branch.edit is None:
            return False
        known.add(branch.id)
    return root.edit is None and tree.current in known


def list_trees() -> list[ListedTrace]:
    """The saved traces of all models, newest first; a damaged one has a `fault`."""
    places = (paths.data_dir() / _FOLDER, paths.runs_dir())
    files = [*places[0].glob(f"*/*{SUFFIX}"), *places[1].glob(f"*/{_FOLDER}/*{SUFFIX}")]
    return sorted(map(_listed, files), key=lambda listed: (-listed.changed, str(listed.path)))


def _listed(path: Path) -> ListedTrace:
    try:
        tree = load_tree(path)
        return ListedTrace(path, tree.created, tree)
    except GenuiError as error:
        try:
            changed = path.lstat().st_mtime
        except OSError:
            changed = 0.0
        return ListedTrace(path, changed, None, str(error))


def traces_dir(model: str) -> Path:
    """The folder of a model's traces: in its run, else one with its name in the data folder."""
    run = paths.runs_dir() / model.partition("@")[0]
    if model and "/" not in model and run.is_dir():
        return run / _FOLDER
    path = Path(model)
    for folder in (path, path.parent.parent):
        if "/" in model and (folder / "run.json").is_file():
            return folder / _FOLDER
    name = path.stem if path.suffix == ".safetensors" else path.name
    return paths.data_dir() / _FOLDER / (_plain(name) or "model")


def _sealed(tree: SavedTree) -> SavedTree:
    tree = round_trip(replace(tree, recipe=seal(tree.recipe)))
    return replace(tree, digest=digest_of(msgspec.to_builtins(tree)))


def _free_name(folder: Path, name: str, created: float, mark: str) -> Path:
    """An unused name in the folder, with `mark` before the suffix."""
    when = time.strftime("%Y%m%d-%H%M%S", time.localtime(created))
    stem = f"{_plain(name) or 'trace'}-{when}"
    path, number = folder / f"{stem}{mark}{SUFFIX}", 2
    while path.exists():
        path, number = folder / f"{stem}-{number}{mark}{SUFFIX}", number + 1
    return path


def _plain(name: str) -> str:
    """A name for any file system."""
    return _STRANGE.sub("-", name).strip("-.")[:60]


# --- Favourites: saved traces with a name that ends in `.favourite.trace` ----------------------
# Renaming the file is enough to make it a favourite or not.

MARK = ".favourite"


def is_favourite(path: Path) -> bool:
    """Whether a file is a favourite, by its name."""
    return path.name.endswith(MARK + SUFFIX)


def list_favourites() -> list[ListedTrace]:
    """The favourites of all models, newest first; a damaged one has a `fault`."""
    return [listed for listed in list_trees() if is_favourite(listed.path)]


def drop_favourite(path: Path) -> None:
    """Removes the file of a favourite. Raises GenuiError for another file, or if it cannot."""
    if not is_favourite(path):
        raise GenuiError(f"{path}: is not a favourite, so it is not removed")
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise GenuiError(f"{path}: cannot be removed ({error.strerror})") from None
