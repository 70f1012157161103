"""The request of `genui generate`: the traces that its options describe."""

import argparse
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.cli.edits import parse_edits, read_mask
from genui.cli.kinds import prints_of
from genui.cli.options import MAX_SAMPLES, seed_from, setting_names, settings_for
from genui.formats.codec import SavedFile, codec_of, read
from genui.protocol import FROM_DATA, Axis, Settings, Start
from genui.protocol.edits import parse_strength
from genui.protocol.kinds import KINDS, Kind, find_kind
from genui.protocol.settings import parse_axes

with late_imports():
    from genui.runs import models

if TYPE_CHECKING:
    from genui.runs.models import ModelInfo


def options_of_some() -> tuple[str, ...]:
    """The options, besides settings, that only some kinds of models take."""
    return tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind.options))


@dataclass(frozen=True)
class Request:
    """The traces to generate."""

    model: "ModelInfo"
    kind: Kind
    starts: list[Start]
    random_seed: int | None = None  # if none was given
    fingerprint: str = ""  # of the weights of a saved generation
    says: tuple[str, ...] = ()  # the later messages of a chat


def parse_request(args: argparse.Namespace) -> Request:
    """The traces that the options describe. Raises MisuseError if they do not fit."""
    saved = _read_saved(args.model)
    model = models.find_model(saved.start.model if saved else args.model)
    kind = find_kind(model.family, model.medium, model.ref)
    if kind.prints is None:
        own = " or ".join(f"genui {name}" for name in (*kind.commands, "replay FILE"))
        raise MisuseError(f"{args.model}: {model.ref} {kind.ability}; use {own}")
    given = {name: value for name in setting_names() if (value := getattr(args, name)) is not None}
    begin = saved.start if saved else None
    settings = settings_for(kind, model.ref, given, begin and begin.settings, model.defaults)
    count = _parse_count(args, saved)
    start = begin or _new_start(model, settings)
    start = _with_prompt(args, start)
    _refuse_options_of_others(args, model, kind)
    start = _with_chat(args, start)
    start = _with_init(args, start, kind)
    start = _with_grid(args, start, count)
    seeds = _parse_seeds(args)
    start, random_seed = _with_seed(args, start, keep=saved is not None or bool(seeds))
    mask = b"" if args.mask is None else read_mask(args.mask)
    edits = parse_edits(args.fork, model, settings, start.edits, mask)
    start = replace(start, settings=settings, edits=edits)
    seeds = seeds or [start.seed + i for i in range(count)]
    starts = [replace(start, trace=i, seed=seed) for i, seed in enumerate(seeds)]
    fingerprint = saved.recipe.fingerprint if saved else ""
    return Request(model, kind, starts, random_seed, fingerprint, tuple(args.say))


def _read_saved(model: str) -> SavedFile | None:
    """The file with a recipe that is given as MODEL; None for the name of a model."""
    path = Path(os.path.expanduser(model))
    return read(path) if codec_of(path) and ("/" in model or path.exists()) else None


def _parse_count(args: argparse.Namespace, saved: SavedFile | None) -> int:
    """The number of samples; commands without `-n` repeat the number in the file."""
    drafts = getattr(args, "drafts", None)
    count = drafts if drafts is not None else getattr(args, "count", None)
    if count is None:
        count = saved.recipe.count if saved else 1
    if not 1 <= count <= MAX_SAMPLES:
        option = "-n" if drafts is None else "--drafts"
        raise MisuseError(f"{option} {count}: expected a whole number, 1 to {MAX_SAMPLES}")
    return count


def _new_start(model: "ModelInfo", settings: Settings) -> Start:
    """The start of a new trace, with the first prompt of the model's recipe."""
    prompt = _default_prompt(model)
    return Start(trace=0, model=_pinned(model), prompt=prompt, seed=0, settings=settings)


def _with_prompt(args: argparse.Namespace, start: Start) -> Start:
    if args.prompt is None:
        return start
    # In another locale an argument may have surrogates, which UTF-8 cannot encode.
    return replace(start, prompt=args.prompt.encode("utf-8", "replace").decode())


def _refuse_options_of_others(args: argparse.Namespace, model: "ModelInfo", kind: Kind) -> None:
    """Raise MisuseError for an option of another kind of models."""
    for name in options_of_some():
        if name not in kind.options and is_given(args, name):
            raise MisuseError(f"--{name}: {model.ref} {kind.ability}; it is for {_takers(name)}")


def _with_chat(args: argparse.Namespace, start: Start) -> Start:
    if args.chat or args.system or args.say:
        start = replace(start, chat=True, system=args.system or start.system)
    if start.chat and not start.prompt.strip():
        raise MisuseError("--chat: needs --prompt MESSAGE")
    if not all(message.strip() for message in args.say):
        raise MisuseError("--say: the message is empty; write at least one character")
    return start


def _with_grid(args: argparse.Namespace, start: Start, count: int) -> Start:
    if args.grid:
        start = replace(start, grid=_parse_axes(args.grid))
    if start.grid and count > 1:
        raise MisuseError("-n: a grid is already several images; leave out -n or --grid")
    return start


def _parse_seeds(args: argparse.Namespace) -> list[int]:
    """The seeds of `--seeds`, [] without it."""
    text = getattr(args, "seeds", None)
    if text is None:
        return []
    refuse_options(args, "seed count grid frames", "leave it out with --seeds")
    return list(dict.fromkeys(seed_from(part, f"--seeds {text}") for part in text.split(",")))


def _with_seed(args: argparse.Namespace, start: Start, keep: bool) -> tuple[Start, int | None]:
    """The start with its seed, and the seed if it was chosen at random. Without `--seed` a saved
    generation has to `keep` its own, and a grid may give each image one."""
    if args.seed is not None:
        return replace(start, seed=seed_from(args.seed)), None
    if keep or any(axis.name == "seed" for axis in start.grid):
        return start, None
    random_seed = secrets.randbelow(1_000_000)
    return replace(start, seed=random_seed), random_seed


def _takers(name: str) -> str:
    """The models that take an option, as text."""
    rows = {medium: kind for (_, medium), kind in KINDS.items() if name in kind.options}
    if takers := next(iter(rows.values())).takers:
        return takers
    *most, last = rows
    return f"models of {', '.join(most)} and {last}" if most else f"models of {last}"


def _with_init(args: argparse.Namespace, base: Start, kind: Kind) -> Start:
    """Adds the image that the trace starts from, or what its kind starts from."""
    if (parse_init := prints_of(kind).parse_init) is not None:
        return parse_init(args, base)
    if args.init is not None:
        path = str(Path(os.path.expanduser(args.init)).absolute())
        init = args.init if args.init == FROM_DATA else path
        base = replace(base, init=init)
    if args.forward:
        base = replace(base, forward=True, init=FROM_DATA if base.init is None else base.init)
    if args.strength is not None:
        if base.init is None or base.forward:
            raise MisuseError("--strength: needs --init IMAGE")
        try:
            base = replace(base, strength=parse_strength(args.strength))
        except ValueError:
            raise MisuseError(
                f"--strength {args.strength}: give a number above 0 and up to 1"
            ) from None
    return base


def is_given(args: argparse.Namespace, name: str) -> bool:
    """Whether an option was given; False for a command without it."""
    return getattr(args, name, None) not in (None, False, [])


def refuse_options(args: argparse.Namespace, names: str, reason: str) -> None:
    """Raise MisuseError with that reason if one of these options is given."""
    for name in names.split():
        if is_given(args, name):
            option = "-n" if name == "count" else f"--{name.replace('_', '-')}"
            raise MisuseError(f"{option}: {reason}")


def _default_prompt(model: "ModelInfo") -> str:
    """The first prompt of the model's recipe, used for samples during training."""
    return "" if model.format else next(iter(models.read_header(model.path).recipe.prompts), "")


def _pinned(model: "ModelInfo") -> str:
    """The name of the model; for a run with the step, since its training may continue."""
    if model.source != "run":
        return model.ref
    run = model.path.parent.parent.name
    return f"{run}@{model.step}"


def _parse_axes(given: Sequence[str]) -> tuple[Axis, ...]:
    """The axes of `--grid NAME=VALUES`, x and y. Raises MisuseError if they are invalid."""
    if len(given) > 2:
        raise MisuseError(f"--grid {given[2]}: a grid has two axes; leave one out")
    for axis in given:
        if "=" not in axis:
            raise MisuseError(f"--grid {axis}: give NAME=V,V,…, as in seed=1..4 or guidance=1,2,4")
    along_x, along_y, *_ = (*(axis.replace("=", " ", 1) for axis in given), "", "")
    try:
        return parse_axes(along_x, along_y)
    except MisuseError as error:
        raise MisuseError(f"--grid {' --grid '.join(given)}: {error}") from None
