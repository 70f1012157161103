"""What `genui generate` is asked for: a model or a saved generation, and what changes it."""

import argparse
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from genui import score
from genui.commands import forks
from genui.commands.settings import OPTIONS, seed_from, settings_for
from genui.errors import MisuseError
from genui.grids import parse_axes
from genui.kinds import Kind, kind_of
from genui.protocol import FROM_DATA, Axis, EditAt, ImageSettings, LatentSettings, Settings, Start
from genui.saved import SUFFIXES, SavedTree, branch_start, read, to_start

if TYPE_CHECKING:
    from genui.runs.catalog import ModelInfo

MOST = 64  # samples of one command
PICTURES_ONLY = (
    *("init", "strength", "forward", "mask", "grid", "film", "frames", "scale"),
    "denoising",
)


@dataclass(frozen=True)
class Asked:
    """The traces to generate. `drawn` is a seed that nobody named; `fingerprint` is of the
    weights that a saved generation was made with."""

    model: "ModelInfo"
    kind: Kind
    starts: list[Start]
    drawn: int | None = None
    fingerprint: str = ""


def asked(args: argparse.Namespace) -> Asked:
    """The traces that the options describe. Raises MisuseError where they do not fit."""
    from genui.runs.catalog import find_model

    saved = _saved(args.model)
    base, count, fingerprint = saved or (None, 1, "")
    model = find_model(base.model if base else args.model)
    given = {name: value for name in OPTIONS if (value := getattr(args, name)) is not None}
    kind = kind_of(model.family, model.medium, model.ref)
    settings = settings_for(kind, model.ref, given, base.settings if base else None)
    wanted = getattr(args, "count", None)
    count = count if wanted is None else wanted
    if not 1 <= count <= MOST:
        raise MisuseError(f"-n {count}: between 1 and {MOST}")
    if base is None:
        base = Start(trace=0, model=_pinned(model), prompt="", seed=0, settings=settings)
        if args.prompt is None:
            base = replace(base, prompt=_default_prompt(model))
    if args.prompt is not None:
        # What no encoding can say (an argument in another locale) cannot be asked for.
        base = replace(base, prompt=args.prompt.encode("utf-8", "replace").decode())
    if model.medium != "music" and (args.melody, args.voices) != (None, None):
        raise MisuseError(f"--melody: {model.ref} {kind.does}; it is for models of music")
    if kind.settings is LatentSettings:
        _refuse(args, ("init", "strength", "forward", "mask", "denoising"), model, kind)
        base = _as_grid(args, base, count)
    elif kind.settings is ImageSettings:
        base = _as_pictures(args, base, count)
    else:
        if model.medium == "music":
            base = _round_melody(args, base)
        _refuse_pictures(args, model, kind)
    drawn = None
    if args.seed is not None:
        base = replace(base, seed=seed_from(args.seed))
    elif not saved and all(axis.name != "seed" for axis in base.grid):
        drawn = secrets.randbelow(1_000_000)
        base = replace(base, seed=drawn)
    start = replace(base, settings=settings, edits=_edits(args, model, base, settings))
    starts = [replace(start, trace=i, seed=start.seed + i) for i in range(count)]
    return Asked(model, kind, starts, drawn, fingerprint)


def _saved(model: str) -> tuple[Start, int, str] | None:
    """The start, the number of samples and the weights of a file with a recipe; None of a
    model's name."""
    path = Path(os.path.expanduser(model))
    if path.suffix.lower() not in SUFFIXES or not ("/" in model or path.exists()):
        return None
    file = read(path)
    tree = file.content
    start = branch_start(tree) if isinstance(tree, SavedTree) else to_start(file.recipe)
    return start, file.recipe.count, file.recipe.fingerprint


def _edits(
    args: argparse.Namespace, model: "ModelInfo", base: Start, settings: Settings
) -> tuple[EditAt, ...]:
    mask = b""
    if args.mask is not None:
        from genui.commands import masks

        mask = masks.read(args.mask)
    return forks.parse(args.fork, model, settings, base.edits, mask)


def _as_pictures(args: argparse.Namespace, base: Start, count: int) -> Start:
    """With the options that only pictures have."""
    if args.init is not None:
        init = args.init if args.init == FROM_DATA else str(Path(args.init).expanduser().absolute())
        base = replace(base, init=init)
    if args.forward:
        base = replace(base, forward=True, init=FROM_DATA if base.init is None else base.init)
    if args.strength is not None:
        if base.init is None or base.forward:
            raise MisuseError("--strength: says how far --init IMAGE is drowned; give one with it")
        base = replace(base, strength=_strength(args.strength))
    return _as_grid(args, base, count)


def _as_grid(args: argparse.Namespace, base: Start, count: int) -> Start:
    """With what varies along the sides of a grid, where that is asked for."""
    if args.grid:
        base = replace(base, grid=_axes(args.grid))
    if base.grid and count > 1:
        raise MisuseError("-n: a grid is several pictures already; leave out -n or --grid")
    return base


def _round_melody(args: argparse.Namespace, base: Start) -> Start:
    """With the voices of a MIDI file that are given, where one is named."""
    path = args.melody or args.init
    if path is None:
        if args.voices is not None:
            raise MisuseError("--voices: says which voices of --melody FILE are given; name one")
        return base
    init = str(Path(path).expanduser().absolute())
    return replace(base, init=init + (score.VOICES_OF + args.voices if args.voices else ""))


def _strength(text: str) -> float:
    try:
        strength = float(text)
    except ValueError:
        strength = 0.0
    if not 0 < strength <= 1:
        raise MisuseError(f"--strength {text}: more than 0, and at most 1, which leaves nothing")
    return strength


def _refuse_pictures(args: argparse.Namespace, model: "ModelInfo", kind: Kind) -> None:
    names = [n for n in PICTURES_ONLY if not (n == "init" and model.medium == "music")]
    _refuse(args, names, model, kind)


def _refuse(args: argparse.Namespace, names: Sequence[str], model: "ModelInfo", kind: Kind) -> None:
    """Raises MisuseError where one of these options is given."""
    for name in names:
        if is_given(args, name):
            raise MisuseError(f"--{name}: {model.ref} {kind.does}; it is for models that denoise")


def is_given(args: argparse.Namespace, name: str) -> bool:
    """Whether an option was given; a command that does not have it was not given it."""
    return getattr(args, name, None) not in (None, False, [])


def _default_prompt(model: "ModelInfo") -> str:
    """What the model's own recipe samples with while it trains."""
    from genui.runs.checkpoints import read_header

    return next(iter(read_header(model.path).recipe.prompts), "")


def _pinned(model: "ModelInfo") -> str:
    """The model by a name that still means these weights when the run has trained on."""
    if model.source != "run":
        return model.ref
    run = model.path.parent.parent.name
    return f"{run}@{model.step}"


def first_edit_fits(start: Start, total: int) -> None:
    """Raises MisuseError where the trace is over before its first edit, in the words of the
    command line; what comes after may come within reach by the first, and is the engine's."""
    for at in start.edits[:1]:
        if at.step > total:
            what = forks.spell(at.edit, start.settings)
            raise MisuseError(
                f"--fork {at.step}:{what[:60]}: this trace has steps 0 to {total}; "
                "fork at one of them"
            )


def _axes(given: Sequence[str]) -> tuple[Axis, ...]:
    """`--grid NAME=VALUES`, along x and along y. Raises MisuseError for what cannot be."""
    if len(given) > 2:
        raise MisuseError(f"--grid {given[2]}: a grid has two sides; leave one out")
    for side in given:
        if "=" not in side:
            raise MisuseError(f"--grid {side}: give NAME=V,V,…, as in seed=1..4 or guidance=1,2,4")
    along_x, along_y, *_ = (*(side.replace("=", " ", 1) for side in given), "", "")
    try:
        return parse_axes(along_x, along_y)
    except MisuseError as error:
        raise MisuseError(f"--grid {' --grid '.join(given)}: {error}") from None
