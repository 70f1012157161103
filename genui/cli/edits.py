"""The edits of `genui generate --fork STEP:EDIT`, parsed and checked."""

import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from genui.base.errors import MisuseError, did_you_mean
from genui.base.late import late_imports
from genui.base.schema import settings_of
from genui.cli.kinds import prints_of
from genui.cli.options import seed_from
from genui.formats.command import format_edit
from genui.protocol import (
    AddNoise,
    Denoise,
    Edit,
    EditAt,
    SendMessage,
    SetPrompt,
    SetSeed,
    SetSettings,
    Settings,
    Start,
    WriteText,
    WriteToken,
)
from genui.protocol.edits import LAYER_EDITS, parse_layer_edit
from genui.protocol.kinds import Kind, find_kind

with late_imports():
    from genui.engine import loaders
    from genui.engine.data import image_files

if TYPE_CHECKING:
    from genui.runs.models import ModelInfo

_FORM = re.compile(r"(\d{1,9}):([A-Za-z_-]+)(?:=(.*))?", re.DOTALL)


def parse_edits(
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
    if name == "say":  # in place of the message at that step
        edits = [at for at in edits if at.step != first or not isinstance(at.edit, SendMessage)]
    for at in edits:
        settings = at.edit.change(settings)
    for step, name, value, text in given_edits:
        edit = _parse_edit(f"--fork {text}", name, value, model, settings, mask)
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


def _parse_edit(
    prefix: str, name: str, value: str | None, model: "ModelInfo", settings: Settings, mask: bytes
) -> Edit:
    kind = find_kind(model.family, model.medium, model.ref)
    known = (*kind.edits, *type(settings).__struct_fields__)
    if name not in known:
        raise MisuseError(
            f"{prefix}: no edit of {model.ref}, which {kind.ability}; {did_you_mean(name, known)}"
        )
    if (value is None) != (name == "denoise"):
        needs = "takes no value" if name == "denoise" else f"give {name}=VALUE"
        raise MisuseError(f"{prefix}: {needs}")
    text = value or ""
    others: dict[str, Callable[[], Edit]] = {
        "seed": lambda: SetSeed(seed_from(text, prefix)),
        "caption": lambda: SetPrompt(text),
        "noise": lambda: AddNoise(to=_parse_step(prefix, text), mask=mask),
        "denoise": Denoise,
        "text": lambda: WriteText(text),
        "say": lambda: SendMessage(text),
        "token": lambda: WriteToken(_parse_token(prefix, text, model, kind)),
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


def _parse_step(prefix: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise MisuseError(f"{prefix}: give the step to return to; 0 is pure noise")
    return int(text)


def _parse_token(prefix: str, text: str, model: "ModelInfo", kind: Kind) -> int:
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
    tokenizer = loaders.load_tokenizer(model)
    by_text = {name: token for token, name in tokenizer.special.items()}
    for token in range(tokenizer.size):
        by_text.setdefault(tokenizer.decode([token]), token)
    if text in by_text and text:
        return by_text[text]
    near = difflib.get_close_matches(text, by_text, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else "use text=TEXT for any text, or #ID"
    raise MisuseError(f"{prefix}: {model.ref} has no such token; {hint}")


def read_mask(path: Path) -> bytes:
    """One byte for each pixel, 1 for white; an image of another size is fitted.

    Raises MisuseError if the file is not an image, or no pixel or every pixel is white.
    """
    import numpy as np

    rgba = image_files.read_square(path).rgba
    # Transparent pixels are black: they were not painted.
    light = rgba[..., :3].astype(np.float32).mean(axis=-1) * (rgba[..., 3] / 255)
    white = light >= 128
    if not white.any():
        raise MisuseError(f"--mask {path}: no pixel is white; paint the area to change white")
    if white.all():
        raise MisuseError(f"--mask {path}: every pixel is white; leave the area to keep black")
    return white.astype(np.uint8).tobytes()


def check_first_edit(start: Start, total: int) -> None:
    """Raises MisuseError, with the option, if the trace ends before its first edit. Later edits are
    checked by the engine, since the first may change the number of steps."""
    for at in start.edits[:1]:
        if at.step > total:
            what = format_edit(at.edit, start.settings)
            raise MisuseError(
                f"--fork {at.step}:{what[:60]}: this trace has steps 0 to {total}; "
                "fork at one of them"
            )
