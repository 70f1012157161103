"""What a kind of model gives the files that genui writes, in the app and in the shell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genui.protocol.kinds import KINDS, Kind, open_face

if TYPE_CHECKING:
    from genui.formats.codec import Codec
    from genui.formats.recipe import TraceRecipe
    from genui.formats.sample import Sample


@dataclass(frozen=True, kw_only=True)
class Saves:
    """How its samples are saved, and what they start from.

    `init` is the text of `Start.init` where it is no file: it begins with `Kind.init_prefix`.
    """

    codecs: "Sequence[Codec]" = ()
    """The types of file that its samples have and no other kind's."""
    encode_sound: "Callable[[Sequence[Sample], TraceRecipe], bytes] | None" = None
    """A WAV of samples that are not sounds themselves."""
    check_init: Callable[[str], object] | None = None
    """Raises MisuseError if `init` is damaged."""
    describe_init: Callable[[str], str] | None = None
    """`init` in words: "a given soprano, G major, 4/4"."""
    init_options: Callable[[str], dict[str, str]] | None = None
    """The options of `genui generate`, with their values, for an `init` that names a file."""


def saves_of(kind: Kind) -> Saves:
    """The face of a kind; an empty one if it has none."""
    return open_face(kind.saves, Saves) or Saves()


def kind_of_init(init: str) -> Kind | None:
    """The kind whose samples start from such a text; None if it is the name of a file."""
    holds = (kind for kind in KINDS.values() if kind.init_prefix)
    return next((kind for kind in holds if init.startswith(kind.init_prefix)), None)
