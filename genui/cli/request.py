"""Parsing of `genui generate`: a model or a saved generation, its settings and edits."""

import argparse
import difflib
import os
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from genui.base.errors import MisuseError, did_you_mean
from genui.base.schema import settings_of
from genui.cli.kinds import prints_of
from genui.cli.options import MAX_SAMPLES, seed_from, setting_names, settings_for
from genui.formats.codec import carries_recipe, read
from genui.formats.command import format_edit
from genui.protocol import (
    FROM_DATA,
    AddNoise,
    Axis,
    Denoise,
    Edit,
    EditAt,
    Say,
    SetPrompt,
    SetSeed,
    SetSettings,
    Settings,
    Start,
    WriteText,
    WriteToken,
)
from genui.protocol.edits import LAYER_EDITS, parse_layer_edit, parse_strength
from genui.protocol.kinds import KINDS, Kind, find_kind
from genui.protocol.settings import parse_axes

if TYPE_CHECKING:
    from genui.runs.models import ModelInfo

# --- `--fork STEP:EDIT`: an edit of a trace, parsed -------------------------------------------

_FORM = re.compile(r"(\d{1,9}):([A-Za-z_-]+)(?:=(.*))?", re.DOTALL)


def parse(
    given: Sequence[str],
    model: "ModelInfo",
    settings: Settings,
    before: Sequence[EditAt],
    mask: bytes,
) -> tuple[EditAt, ...]:
    """The edits of a trace, in order of step: the edits `before` up to the first given one, since a
    fork drops later edits, and the given ones.

    `settings` are those at the start of the trace. Raises MisuseError for an edit that is invalid
    for the model.
    """
    given_edits = sorted((_split(text) for text in given), key=lambda parts: parts[0])
    if mask and not any(name == "noise" for _, name, _, _ in given_edits):
        raise MisuseError("--mask: needs --fork STEP:noise=K")
    first, name = given_edits[0][:2] if given_edits else (None, "")
    edits = [at for at in before if first is None or at.step <= first]
    if name == "say":  # in place of what was said at that step
        edits = [at for at in edits if at.step != first or not isinstance(at.edit, Say)]
    for at in edits:
        settings = at.edit.change(settings)
    for step, name, value, text in given_edits:
        edit = _edit(f"--fork {text}", name, value, model, settings, mask)
        settings = edit.change(settings)
        edits.append(EditAt(step=step, edit=edit))
    return tuple(edits)


def _split(text: str) -> tuple[int, str, str | None, str]:
    match = _FORM.fullmatch(text)
    if match is None:
        raise MisuseError(
            f"--fork {text}: give STEP:EDIT, such as 10:seed=7, 4:guidance=3 or 25:text=and"
        )
    return int(match[1]), match[2].replace("-", "_"), match[3], text


def _edit(
    prefix: str, name: str, value: str | None, model: "ModelInfo", settings: Settings, mask: bytes
) -> Edit:
    kind = find_kind(model.family, model.medium, model.ref)
    known = (*kind.edits, *type(settings).__struct_fields__)
    if name not in known:
        raise MisuseError(
            f"{prefix}: no edit of {model.ref}, which {kind.does}; {did_you_mean(name, known)}"
        )
    if (value is None) != (name == "denoise"):
        needs = "takes no value" if name == "denoise" else f"give {name}=VALUE"
        raise MisuseError(f"{prefix}: {needs}")
    text = value or ""
    others: dict[str, Callable[[], Edit]] = {
        "seed": lambda: SetSeed(seed_from(text, prefix)),
        "caption": lambda: SetPrompt(text),
        "noise": lambda: AddNoise(to=_step(prefix, text), mask=mask),
        "denoise": Denoise,
        "text": lambda: WriteText(text),
        "say": lambda: Say(text),
        "token": lambda: WriteToken(_token(prefix, text, model, kind)),
    }
    if name in others:
        return others[name]()
    edits = (one for one in kind.messages if issubclass(one, Edit))
    own = [one for one in edits if one.__struct_config__.tag == name]
    if own or name in LAYER_EDITS:
        try:
            return own[0].parse_value(text) if own else parse_layer_edit(name, text)
        except MisuseError as error:
            raise MisuseError(f"{prefix}: {error}") from None
    changed = {name: settings_of(type(settings))[name].parse(text, prefix)}
    return SetSettings(msgspec.structs.replace(settings, **changed))


def _step(prefix: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise MisuseError(f"{prefix}: give the step to return to; 0 is pure noise")
    return int(text)


def _token(prefix: str, text: str, model: "ModelInfo", kind: Kind) -> int:
    """A token by its number (`#12`) or its text."""
    if text.startswith("#") and text[1:].isdecimal() and len(text) < 12:
        return int(text[1:])
    read_token = prints_of(kind).read_token
    assert read_token is not None  # kinds with the edit `token` have it
    return read_token(text, model, prefix)


def read_vocabulary_token(text: str, model: "ModelInfo", prefix: str) -> int:
    """The token with that text in a model's vocabulary.

    Raises MisuseError, which begins with `prefix`, if there is none.
    """
    from genui.engine.load import load_tokenizer

    tokenizer = load_tokenizer(model)
    by_text = {name: token for token, name in tokenizer.special.items()}
    for token in range(tokenizer.size):
        by_text.setdefault(tokenizer.decode([token]), token)
    if text in by_text and text:
        return by_text[text]
    near = difflib.get_close_matches(text, by_text, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else "use text=TEXT for any text, or #ID"
    raise MisuseError(f"{prefix}: {model.ref} has no such token; {hint}")


# --- The request of `genui generate`: the traces that its options describe ---------------------


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
    from genui.runs.models import find_model

    saved = _saved(args.model)
    base, count, fingerprint = saved or (None, 1, "")
    model = find_model(base.model if base else args.model)
    given = {name: value for name in setting_names() if (value := getattr(args, name)) is not None}
    kind = find_kind(model.family, model.medium, model.ref)
    settings = settings_for(kind, model.ref, given, base.settings if base else None, model.defaults)
    requested = getattr(args, "count", None)
    count = count if requested is None else requested
    if not 1 <= count <= MAX_SAMPLES:
        raise MisuseError(f"-n {count}: expected a whole number, 1 to {MAX_SAMPLES}")
    if base is None:
        base = Start(trace=0, model=_pinned(model), prompt="", seed=0, settings=settings)
        if args.prompt is None:
            base = replace(base, prompt=_default_prompt(model))
    if args.prompt is not None:
        # In another locale an argument may have surrogates, which UTF-8 cannot encode.
        base = replace(base, prompt=args.prompt.encode("utf-8", "replace").decode())
    for name in options_of_some():
        if name not in kind.options and is_given(args, name):
            raise MisuseError(f"--{name}: {model.ref} {kind.does}; it is for {_takers(name)}")
    if args.chat or args.system or args.say:
        base = replace(base, chat=True, system=args.system or base.system)
    if base.chat and not base.prompt.strip():
        raise MisuseError("--chat: needs --prompt MESSAGE")
    base = _with_init(args, base, kind)
    if args.grid:
        base = replace(base, grid=_axes(args.grid))
    if base.grid and count > 1:
        raise MisuseError("-n: a grid is already several images; leave out -n or --grid")
    random_seed = None
    if args.seed is not None:
        base = replace(base, seed=seed_from(args.seed))
    elif not saved and all(axis.name != "seed" for axis in base.grid):
        random_seed = secrets.randbelow(1_000_000)
        base = replace(base, seed=random_seed)
    mask = b"" if args.mask is None else read_mask(args.mask)
    edits = parse(args.fork, model, settings, base.edits, mask)
    start = replace(base, settings=settings, edits=edits)
    starts = [replace(start, trace=i, seed=start.seed + i) for i in range(count)]
    return Request(model, kind, starts, random_seed, fingerprint, tuple(args.say))


def _saved(model: str) -> tuple[Start, int, str] | None:
    """The start, the number of samples and the fingerprint in a file with a recipe; None for the
    name of a model."""
    path = Path(os.path.expanduser(model))
    if not carries_recipe(path) or not ("/" in model or path.exists()):
        return None
    file = read(path)
    return file.start, file.recipe.count, file.recipe.fingerprint


def read_mask(path: Path) -> bytes:
    """One byte for each pixel, 1 for white; an image of another size is fitted.

    Raises MisuseError if the file is not an image, or no pixel or every pixel is white.
    """
    import numpy as np

    from genui.engine.data.image_files import read_square

    rgba = read_square(path).rgba
    # Transparent pixels are black: they were not painted.
    light = rgba[..., :3].astype(np.float32).mean(axis=-1) * (rgba[..., 3] / 255)
    white = light >= 128
    if not white.any():
        raise MisuseError(f"--mask {path}: no pixel is white; paint the area to change white")
    if white.all():
        raise MisuseError(f"--mask {path}: every pixel is white; leave the area to keep black")
    return white.astype(np.uint8).tobytes()


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
        init = args.init if args.init == FROM_DATA else str(Path(args.init).expanduser().absolute())
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


def _default_prompt(model: "ModelInfo") -> str:
    """The first prompt of the model's recipe, used for samples during training."""
    from genui.runs.models import read_header

    return "" if model.format else next(iter(read_header(model.path).recipe.prompts), "")


def _pinned(model: "ModelInfo") -> str:
    """The name of the model; of a run with the step, since it may train on."""
    if model.source != "run":
        return model.ref
    run = model.path.parent.parent.name
    return f"{run}@{model.step}"


def first_edit_fits(start: Start, total: int) -> None:
    """Raises MisuseError, with the option, if the trace ends before its first edit. Later edits are
    checked by the engine, since the first may change the number of steps."""
    for at in start.edits[:1]:
        if at.step > total:
            what = format_edit(at.edit, start.settings)
            raise MisuseError(
                f"--fork {at.step}:{what[:60]}: this trace has steps 0 to {total}; "
                "fork at one of them"
            )


def _axes(given: Sequence[str]) -> tuple[Axis, ...]:
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
