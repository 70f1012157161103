"""What the app and the shell need to know of a kind of model: one table, a row a kind.

How a kind is trained and asked is the engine's table, `genui.engine.kinds`.
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass

from genui.errors import MisuseError
from genui.protocol import ImageSettings, Settings, TextSettings


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a kind of model is asked, shown and written to files."""

    settings: type[Settings]
    does: str  # in a sentence after the model's name: "writes text"
    makes: str  # with its article: "a picture"
    pane: str  # the id of the pane that shows its traces
    files: tuple[str, ...]  # suffixes that `--out` can write, the usual one first


_WRITES = Kind(
    settings=TextSettings, does="writes text", makes="text", pane="text", files=(".txt", ".cast")
)
_DRAWS = Kind(
    settings=ImageSettings,
    does="draws pictures",
    makes="a picture",
    pane="canvas",
    files=(".png", ".gif", ".apng", ".cast"),
)

KINDS: Mapping[tuple[str, str], Kind] = types.MappingProxyType(
    {
        ("transformer", "text"): _WRITES,
        ("transformer", "code"): _WRITES,
        ("diffusion", "image"): _DRAWS,
    }
)
"""(family, medium) to how its models are met."""


def kind_of(family: str, medium: str, name: str) -> Kind:
    """The row of a model. Raises MisuseError, which begins with the model's name."""
    kind = KINDS.get((family, medium))
    if kind is None:
        raise MisuseError(f"{name}: a {family} of {medium} is none this genui knows; update genui")
    return kind
