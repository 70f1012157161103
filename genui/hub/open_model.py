"""The description of a model in its own files, if others made it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from genui.base.errors import GenuiError
from genui.base.files import read_regular, sanitize
from genui.protocol.kinds import PRETRAINED


class OpenModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as its files describe it; no tensor was read."""

    path: Path
    """The file or folder, or the record of a model that has none here."""
    format: str
    """A row of `genui.hub.formats.FORMATS`."""
    name: str
    family: str = PRETRAINED
    """With `medium` the kind of the model."""
    medium: str = "text"
    architecture: str = ""
    """As the file names it: "llama"."""
    parameters: int = 0
    size: int = 0
    """Bytes on disk."""
    stored: str = ""
    """The type of most tensors: "Q4_1", "bf16"."""
    context: int = 0
    """The longest text in tokens that it was trained on."""
    licence: str = ""
    chat: bool = False
    """Whether it has a chat template."""
    trains: bool = False
    """Whether it can be trained on: genui's own network computes it."""
    summary: str = ""
    """One line about it for lists."""
    settings: Mapping[str, Any] = {}
    """The settings that its files recommend, where they differ from the defaults of its kind."""


_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_LICENCE = re.compile(r"^license(_name)?:[ \t]*[\"']?([^\n\"'#]+)", re.MULTILINE)


def read_licence(path: Path) -> str:
    """The licence in the front matter of a folder's README.md; "" if it says none.

    `license: other` has the name of the licence in `license_name`.
    """
    try:
        text = read_regular(path / "README.md", 4 << 20, "fetch it again").decode(errors="replace")
    except GenuiError:
        return ""
    front = _FRONT.match(text.replace("\r\n", "\n"))
    matches = _LICENCE.finditer(front[1] if front else "")
    named = {match[1] or "": match[2].strip() for match in matches}
    licence = named.get("", "")
    return sanitize(named.get("_name", licence) if licence in ("", "other") else licence, 100)
