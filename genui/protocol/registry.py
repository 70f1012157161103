"""What the app and the shell need to know of a kind of model: one table, a row a kind.

How a kind is trained and asked is the engine's table, `genui.engine.kinds`.
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass, replace

from genui.base.errors import MisuseError
from genui.protocol.settings import (
    ImageSettings,
    LabSettings,
    LatentSettings,
    Settings,
    TextSettings,
)

UNGUIDED = ImageSettings(steps=20, guidance=1.0, eta=0.5, sigma_min=0.01, rho=7.0, s_tmin=0.3)
"""What pictures that stand for their data are drawn with.

Those that their caption guides are more typical than the data. Fresh noise on the way makes good
again what the network gets wrong at the levels before (Karras et al. 2022, §4); where little noise
is left it would only take their grain. Levels end lower than for a picture to look at.
"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a kind of model is asked, shown and written to files."""

    settings: type[Settings]
    does: str  # in a sentence after the model's name: "writes text"
    makes: str  # with its article: "a picture"
    pane: str  # the id of the pane that shows its traces
    files: tuple[str, ...]  # suffixes that `--out` can write, the usual one first
    usual: Settings | None = None  # what it is asked with, where that is not the type's own

    @property
    def defaults(self) -> Settings:
        """The settings that it is asked with unless others are named."""
        return self.usual or self.settings()


_WRITES = Kind(
    settings=TextSettings, does="writes text", makes="text", pane="text", files=(".txt", ".cast")
)
_CODES = replace(
    _WRITES,
    # Small models of code repeat themselves and lose their place: cooler, what was written counts
    # against it, and what cannot be Python is refused.
    usual=TextSettings(
        temperature=0.5, top_p=0.9, repetition_penalty=1.1, dry=0.8, grammar="python"
    ),
)
_DRAWS = Kind(
    settings=ImageSettings,
    does="draws pictures",
    makes="a picture",
    pane="canvas",
    files=(".png", ".gif", ".apng", ".cast"),
)
_COMPOSES = Kind(
    settings=TextSettings,
    does="writes four-voice music",
    makes="a piece",
    pane="roll",
    files=(".mid", ".wav"),
    usual=TextSettings(tokens=1600),  # 25 bars; most pieces end before
)
_WALKS = Kind(
    settings=LatentSettings,
    does="draws pictures at one stroke",
    makes="a walk",
    pane="walk",
    files=(".gif", ".apng", ".png", ".cast"),
)
_FILMS = Kind(
    settings=ImageSettings,
    does="draws short clips",
    makes="a clip",
    pane="canvas",
    files=(".gif", ".apng", ".mp4", ".png", ".cast"),
)
_SPEAKS = Kind(
    settings=ImageSettings,
    does="speaks",
    makes="a sound",
    pane="canvas",
    files=(".wav", ".png", ".gif", ".apng", ".cast"),
)
_LEARNS = Kind(
    settings=LabSettings,
    does="learns points in the plane",
    makes="a training in the Lab",
    pane="lab",
    files=(".gif", ".apng", ".png", ".csv"),
)

KINDS: Mapping[tuple[str, str], Kind] = types.MappingProxyType(
    {
        ("transformer", "text"): _WRITES,
        ("transformer", "code"): _CODES,
        ("transformer", "music"): _COMPOSES,
        ("recurrent", "text"): _WRITES,
        ("recurrent", "code"): _CODES,
        ("diffusion", "image"): _DRAWS,
        ("diffusion", "video"): _FILMS,
        ("diffusion", "audio"): _SPEAKS,
        ("gan", "image"): _WALKS,
        ("gan", "points"): _LEARNS,
        ("diffusion", "points"): _LEARNS,
        ("flow", "points"): _LEARNS,
        ("autoregressive", "points"): _LEARNS,
        ("classifier", "points"): _LEARNS,
    }
)
"""(family, medium) to how its models are met."""

LABELS: Mapping[tuple[str, str], str] = types.MappingProxyType(
    {
        ("classifier", "image"): "labels pictures",
        ("classifier", "text"): "labels text",
        ("classifier", "audio"): "labels sounds",
    }
)
"""What those do that generate nothing."""


def kind_of(family: str, medium: str, name: str) -> Kind:
    """The row of a model that generates. Raises MisuseError, which begins with its name."""
    kind = KINDS.get((family, medium))
    if kind is None:
        raise MisuseError(f"{name} {does(family, medium)}; `genui models` lists what generates")
    return kind


def does(family: str, medium: str) -> str:
    """What such a model does, in a sentence after its name."""
    if (family, medium) in LABELS:
        return f"{LABELS[family, medium]}, and generates nothing"
    kind = KINDS.get((family, medium))
    return kind.does if kind is not None else "is of a kind that this genui does not know"
