"""Where a training starts from, when not from nothing: the weights of another model.

The weights are put into the new run's folder when it is made, as hard links where the file
system allows: the run they come from may prune its checkpoints at any moment, and a trainer
that dies before its first checkpoint must find them again. They go when it has written one.
"""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from genui.errors import MisuseError
from genui.recipes import Recipe
from genui.runs.catalog import find_model
from genui.runs.checkpoints import read_header, weights_fingerprint
from genui.runs.disk import cannot_read, cannot_write, plain
from genui.runs.layout import RunDir, read_info, write_info

_WEIGHTS = ".safetensors"
_STATE = ".state.safetensors"


@dataclass(frozen=True)
class Origin:
    """A model that a training can start from."""

    ref: str  # as it was asked for
    recipe: Recipe
    step: int
    weights: Path  # those that generate: averaged, and of a shipped model in fewer bits
    state: Path | None  # has the weights as they were trained, where a run still keeps them
    run: str  # the id of the run it is a checkpoint of, or ""

    def named(self) -> str:
        """For a message: "run plays-… at step 400", or the model as it was asked for."""
        return f"run {self.run} at step {self.step}" if self.run else f"model {plain(self.ref)}"


def find_origin(ref: str) -> Origin:
    """What `ref` names: a run's newest checkpoint, RUN@STEP, a shipped model, or a file.

    Raises MisuseError with the nearest name, or saying what is wrong with the file.
    """
    model = find_model(ref)
    header = read_header(model.path)
    folder = model.path.parent
    state = folder / f"{model.path.name.removesuffix(_WEIGHTS)}{_STATE}"
    of_a_run = folder.name == "checkpoints" and (folder.parent / "run.json").exists()
    return Origin(
        ref=ref,
        recipe=header.recipe,
        step=header.step,
        weights=model.path,
        state=state if state.is_file() else None,
        run=folder.parent.name if of_a_run else "",
    )


def spelled(start_from: Mapping[str, Any]) -> str:
    """`RunInfo.start_from` as `genui train --from` takes it; "" where it is empty."""
    if start_from.get("run"):
        return f"{start_from['run']}@{start_from.get('step', 0)}"
    return str(start_from.get("ref", ""))


def check_fits(recipe: Recipe, origin: Origin) -> None:
    """Raises MisuseError naming the settings of `recipe` that the weights are not made for."""
    if recipe.family != origin.recipe.family:
        raise MisuseError(
            f"{origin.named()} is a {origin.recipe.family} and recipe {recipe.name} trains a "
            f"{recipe.family}: leave RECIPE out, or start from another model"
        )
    wrong = [name for name in recipe.ARCHITECTURE if not _same(name, recipe, origin.recipe)]
    if wrong:
        asked = ", ".join(f"{name}={getattr(recipe, name)}" for name in wrong)
        made = " ".join(f"--set {name}={getattr(origin.recipe, name)}" for name in wrong)
        raise MisuseError(
            f"{asked} does not fit the weights of {origin.named()}: give {made}, or train from "
            "nothing without --from"
        )


def _same(setting: str, one: Recipe, other: Recipe) -> bool:
    """Whether both recipes build the same part of a network."""
    a, b = getattr(one, setting), getattr(other, setting)
    if setting == "canvas_batch":
        return (a > 0) == (b > 0)  # only whether there is a canvas
    if setting == "vocab_size" and getattr(one, "tokenizer", "") != "bpe":
        return True  # means nothing without a trained vocabulary
    return a == b


def place(run: RunDir, origin: Origin) -> None:
    """Puts the weights into the folder of a new run and says in its run.json whose they are.

    Raises GenuiError where they are gone or the disk refuses.
    """
    kept, state = placed(run)
    _link(origin.weights, kept)
    if origin.state is not None and origin.state.exists():  # else the averaged ones will do
        _link(origin.state, state)
    try:
        fingerprint = weights_fingerprint(kept)
    except OSError as error:
        raise cannot_read(kept, error) from None
    said = {
        "ref": origin.ref,
        "run": origin.run,
        "step": origin.step,
        "path": str(origin.weights),
        "fingerprint": fingerprint,
    }
    write_info(run, msgspec.structs.replace(read_info(run), start_from=said))


def placed(run: RunDir) -> tuple[Path, Path]:
    """Where a run keeps the weights it starts from, and their training state."""
    return run.path / f"start{_WEIGHTS}", run.path / f"start{_STATE}"


def remove(run: RunDir) -> None:
    """Drops the weights it started from: it has a checkpoint of its own."""
    for path in placed(run):
        with suppress(OSError):
            path.unlink()


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where that cannot be.

    Raises GenuiError: naming `source` where it is gone, else `target`.
    """
    try:
        os.link(os.path.realpath(source), target)
    except FileNotFoundError as error:
        raise cannot_read(source, error) from None
    except OSError:  # another file system, or one without links
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise cannot_write(target, error) from None
