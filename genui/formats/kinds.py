"""The functions of a kind of model for the files that genui writes, in the app and in the shell."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from genui.protocol import Frame, Start
from genui.protocol.kinds import KINDS, Kind, open_face

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from genui.formats.codec import Codec
    from genui.formats.recipe import TraceRecipe
    from genui.formats.sample import Sample


RecordedText = tuple[Start, Sequence[Frame]]
"""A text for a record: its request and its frames."""


class Change(NamedTuple):
    """The first step for which a model gave other odds than in a record, and the largest difference
    of a probability there."""

    step: int
    most: float


@dataclass(frozen=True, kw_only=True)
class Saves:
    """How its samples and their starting points are saved.

    `init` is the text of `Start.init` where it is no file: it begins with `Kind.init_prefix`.
    """

    codecs: "Sequence[Codec]" = ()
    """The types of file that its samples have and no other kind's."""
    draw_step: "Callable[[Sequence[Frame], int], NDArray[np.uint8]] | None" = None
    """The image of a step, [H, W, 3], of samples whose frames hold none."""
    list_steps: "Callable[[Sequence[Frame]], Sequence[int]] | None" = None
    """The steps that have such an image, no more than an animation shows."""
    encode_sound: "Callable[[Sequence[Sample], TraceRecipe], bytes] | None" = None
    """A WAV of samples that are not sounds themselves."""
    check_init: Callable[[str], object] | None = None
    """Raises MisuseError if `init` is damaged."""
    describe_init: Callable[[str], str] | None = None
    """`init` in words: "a given soprano, G major, 4/4"."""
    init_options: Callable[[str], dict[str, str]] | None = None
    """The options of `genui generate`, with their values, for an `init` that names a file."""
    record: Callable[[Iterable[RecordedText], bytes], bytes] | None = None
    """The record of a model's answers, for the texts and the answers already in a record: a model
    that computes elsewhere may answer otherwise when it is asked again."""
    first_change: Callable[[bytes, Iterable[RecordedText]], Change | None] | None = None
    """Where texts that were generated again differ from a record; None if they do not."""


def saves_of(kind: Kind) -> Saves:
    """The face of a kind; an empty one if it has none."""
    return open_face(kind.saves, Saves) or Saves()


def saves_of_name(kind: str) -> Saves:
    """The face of the kind of that name; an empty one if it is not known."""
    family, _, medium = kind.partition("/")
    row = KINDS.get((family, medium))
    return Saves() if row is None else saves_of(row)


def record_of(kind: str, texts: Iterable[RecordedText], known: bytes) -> bytes:
    """The record of texts of the kind of that name, with the answers of a `known` record.

    Empty if no frame holds an answer of a model.
    """
    record = saves_of_name(kind).record
    return known if record is None else record(texts, known)


def kind_of_init(init: str) -> Kind | None:
    """The kind of samples that start from such a text; None if it is the name of a file."""
    holds = (kind for kind in KINDS.values() if kind.init_prefix)
    return next((kind for kind in holds if init.startswith(kind.init_prefix)), None)
