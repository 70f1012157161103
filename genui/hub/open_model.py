"""What the files of somebody else's model say about it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

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
