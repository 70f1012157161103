"""The shell command that generates a sample again, and its edits as `--fork` takes them."""

import shlex
from collections.abc import Sequence
from typing import Any

import msgspec

from genui.base.errors import MisuseError
from genui.base.schema import settings_of
from genui.formats.kinds import kind_of_init, saves_of
from genui.protocol import (
    Ablate,
    AddNoise,
    Axis,
    Denoise,
    Edit,
    EditAt,
    Patch,
    SendMessage,
    SetPrompt,
    SetSeed,
    SetSettings,
    Settings,
    Start,
    Steer,
    WriteText,
    WriteToken,
)
from genui.protocol.edits import format_layer_edit
from genui.protocol.kinds import Kind


def format_command(start: Start, kind: Kind, defaults: Settings | None = None) -> str:
    """`genui generate …` that generates `start` with a model of that kind, whose default settings
    are `defaults` (by default those of the kind).

    Raises MisuseError, one line, for what cannot be typed: a mask, and an image or notes that are
    in no file.
    """
    words = ["genui", "generate", quote(start.model), "--prompt", quote(start.prompt)]
    words += ["--seed", str(start.seed)]
    for name, value in _changes(defaults or kind.defaults, start.settings):
        words += [settings_of(type(start.settings))[name].option, quote(value)]
    if start.chat:
        words += ["--chat", *(["--system", quote(start.system)] if start.system else [])]
    words += _init(start, kind)
    for axis in start.grid:
        words += ["--grid", quote(_axis(axis))]
    settings = start.settings
    for at in start.edits:
        for edit in _edits(at, settings):
            words += ["--fork", quote(f"{at.step}:{edit}")]
        settings = at.edit.change(settings)
    return " ".join(words)


def quote(text: str) -> str:
    """A word of a shell command; control characters as `$'…\\n'`, which bash and zsh read."""
    if text.isprintable():
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    special = {"\n": "\\n", "\t": "\\t"}
    parts = (
        special.get(char, char if char.isprintable() else f"\\U{ord(char):08x}") for char in escaped
    )
    return f"$'{''.join(parts)}'"


def _changes(before: Settings, after: Settings) -> list[tuple[str, str]]:
    """The settings that differ, each with its value as it is typed."""
    changes = []
    for name, value in _changed(before, after).items():
        if value is None:
            raise MisuseError(f"no option gives {name.replace('_', ' ')} its default again")
        changes.append((name, _value(value)))
    return changes


def _changed(before: Settings, after: Settings) -> dict[str, Any]:
    old = msgspec.structs.asdict(before)
    new = msgspec.structs.asdict(after)
    return {name: value for name, value in new.items() if old.get(name) != value}


def _value(value: Any) -> str:
    return ",".join(map(_value, value)) if isinstance(value, tuple) else str(value)


def _init(start: Start, kind: Kind) -> list[str]:
    """The options for its start."""
    if start.init is None:
        return []
    if not isinstance(start.init, str) or kind_of_init(start.init) is not None:
        raise MisuseError("it starts from an image or notes that are in no file: x exports it")
    if (options := saves_of(kind).init_options) is not None:
        given = options(start.init)
        return [word for name, value in given.items() for word in (f"--{name}", quote(value))]
    words = ["--init", quote(start.init)]
    if start.forward:
        words.append("--forward")
    elif start.strength != _STRENGTH:
        words += ["--strength", str(start.strength)]
    return words


_STRENGTH = next(one.default for one in msgspec.structs.fields(Start) if one.name == "strength")


def _axis(axis: Axis) -> str:
    return f"{axis.name}={('; ' if axis.name == 'caption' else ',').join(axis.values)}"


def _edits(at: EditAt, settings: Settings) -> list[str]:
    """An edit as `--fork` takes it after the step; other settings are one edit each."""
    match at.edit:
        case SetSettings(settings=new):
            return [f"{name}={value}" for name, value in _changes(settings, new)]
        case AddNoise(mask=mask) if mask:
            raise MisuseError("a part was drawn again with a mask: x exports it")
    return [format_edit(at.edit, settings)]


# --- Edits in words -----------------------------------------------------------------------------


def format_edit(edit: Edit, settings: Settings) -> str:
    """An edit as typed for `--fork`; `settings` are those before it."""
    match edit:
        case SetSettings(settings=new):
            changed = _changed(settings, new)
            return " ".join(f"{name}={value}" for name, value in changed.items()) or (
                "the same settings"
            )
        case SetSeed(seed=seed):
            return f"seed={seed}"
        case SetPrompt(prompt=prompt):
            return f"caption={prompt}"
        case WriteText(text=text):
            return f"text={text}"
        case WriteToken(token=token):
            return f"token=#{token}"
        case SendMessage(text=text):
            return f"say={text}"
        case AddNoise(to=to, mask=mask):
            return f"noise={to}" + (" in a mask" if mask else "")
        case Denoise():
            return "denoise"
        case Ablate() | Steer() | Patch():
            return format_layer_edit(edit)
        case _:
            return f"{edit.__struct_config__.tag}={edit.format_value()}"


def format_edits(edits: Sequence[EditAt], settings: Settings) -> list[str]:
    """The edits as `STEP:EDIT`; `settings` are those before the first."""
    lines = []
    for at in edits:
        lines.append(f"{at.step}:{format_edit(at.edit, settings)}")
        settings = at.edit.change(settings)
    return lines
