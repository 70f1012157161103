"""`--fork STEP:EDIT`: an edit of a trace, as it is typed and as it is said."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from genui import notes
from genui.commands.settings import seed_from, setting
from genui.errors import MisuseError, did_you_mean
from genui.kinds import kind_of
from genui.protocol import (
    AddNoise,
    Denoise,
    Edit,
    EditAt,
    ImageSettings,
    LatentSettings,
    SetPrompt,
    SetSeed,
    SetSettings,
    Settings,
    TextSettings,
    WriteText,
    WriteToken,
)

if TYPE_CHECKING:
    from genui.runs.catalog import ModelInfo

_OTHERS: Mapping[type[Settings], tuple[str, ...]] = {
    ImageSettings: ("seed", "caption", "noise", "denoise"),
    LatentSettings: ("seed", "caption"),
    TextSettings: ("seed", "token", "text"),
}
"""The edits of a kind of trace beside its settings."""

_FORM = re.compile(r"(\d{1,9}):([A-Za-z_-]+)(?:=(.*))?", re.DOTALL)


def parse(
    given: Sequence[str],
    model: "ModelInfo",
    settings: Settings,
    before: Sequence[EditAt],
    mask: bytes,
) -> tuple[EditAt, ...]:
    """The edits of a trace, in the order of their steps: `before`, as far as it still holds,
    and those that were given.

    `settings` are those the trace begins with. As of every fork, an edit of `before` at a
    later step than the first of the given ones no longer holds. Raises MisuseError for what
    is no edit of the model's medium.
    """
    asked = sorted((_split(text) for text in given), key=lambda parts: parts[0])
    if mask and not any(name == "noise" for _, name, _, _ in asked):
        raise MisuseError(
            "--mask: says where noise is added back; give --fork STEP:noise=K with it"
        )
    first = asked[0][0] if asked else None
    edits = [at for at in before if first is None or at.step <= first]
    for at in edits:
        if isinstance(at.edit, SetSettings):
            settings = at.edit.settings
    for step, name, value, text in asked:
        edit = _edit(f"--fork {text}", name, value, model, settings, mask)
        if isinstance(edit, SetSettings):
            settings = edit.settings
        edits.append(EditAt(step=step, edit=edit))
    return tuple(edits)


def _split(text: str) -> tuple[int, str, str | None, str]:
    found = _FORM.fullmatch(text)
    if found is None:
        raise MisuseError(
            f"--fork {text}: give STEP:EDIT, such as 10:seed=7, 4:guidance=3 or 25:text=and"
        )
    return int(found[1]), found[2].replace("-", "_"), found[3], text


def _edit(
    asked: str, name: str, value: str | None, model: "ModelInfo", settings: Settings, mask: bytes
) -> Edit:
    kind = kind_of(model.family, model.medium, model.ref)
    known = (*_OTHERS[kind.settings], *kind.settings.__struct_fields__)
    if name not in known:
        raise MisuseError(
            f"{asked}: no edit of {model.ref}, which {kind.does}; {did_you_mean(name, known)}"
        )
    if (value is None) != (name == "denoise"):
        needs = "takes no value" if name == "denoise" else f"give {name}=VALUE"
        raise MisuseError(f"{asked}: {needs}")
    text = value or ""
    others: dict[str, Callable[[], Edit]] = {
        "seed": lambda: SetSeed(seed_from(text, asked)),
        "caption": lambda: SetPrompt(text),
        "noise": lambda: AddNoise(to=_step(asked, text), mask=mask),
        "denoise": Denoise,
        "text": lambda: WriteText(text),
        "token": lambda: WriteToken(_token(asked, text, model)),
    }
    if name in others:
        return others[name]()
    changed = {name: setting(kind.settings, name, text, asked)}
    return SetSettings(msgspec.structs.replace(settings, **changed))


def _step(asked: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise MisuseError(f"{asked}: give the step whose noise is added back, 0 for pure noise")
    return int(text)


def _token(asked: str, text: str, model: "ModelInfo") -> int:
    """A token by its number (`#12`) or as it is spelled."""
    from genui.engine.data.tokenizer import tokenizer_from_dict
    from genui.runs.checkpoints import read_header

    if text.startswith("#") and text[1:].isdecimal() and len(text) < 12:
        return int(text[1:])
    if model.medium == "music":
        return notes.parse_token(text)
    described = read_header(model.path).metadata.get("tokenizer")
    tokenizer = tokenizer_from_dict(described if isinstance(described, dict) else {})
    spelled: dict[str, int] = {}
    for token in range(tokenizer.size):
        spelled.setdefault(tokenizer.decode([token]), token)
    if text in spelled and text:
        return spelled[text]
    near = difflib.get_close_matches(text, spelled, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else "text=… writes any text, #ID names a token"
    raise MisuseError(f"{asked}: {model.ref} has no such token; {hint}")


def spell(edit: Edit, settings: Settings) -> str:
    """An edit as it is typed, `settings` being those it found."""
    match edit:
        case SetSettings(settings=new):
            old = msgspec.structs.asdict(settings)
            changed = [
                f"{name}={value}"
                for name, value in msgspec.structs.asdict(new).items()
                if old.get(name) != value
            ]
            return " ".join(changed) or "the same settings"
        case SetSeed(seed=seed):
            return f"seed={seed}"
        case SetPrompt(prompt=prompt):
            return f"caption={prompt}"
        case WriteText(text=text):
            return f"text={text}"
        case WriteToken(token=token):
            return f"token=#{token}"
        case AddNoise(to=to, mask=mask):
            return f"noise={to}" + (" in a mask" if mask else "")
        case Denoise():
            return "denoise"


def spell_all(edits: Sequence[EditAt], settings: Settings) -> list[str]:
    """Each as `STEP:EDIT`."""
    lines = []
    for at in edits:
        lines.append(f"{at.step}:{spell(at.edit, settings)}")
        if isinstance(at.edit, SetSettings):
            settings = at.edit.settings
    return lines
