"""What a kind of model gives the shell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genui.protocol.kinds import Kind, open_face

if TYPE_CHECKING:
    from genui.cli.generation import Generation
    from genui.runs.models import ModelInfo


@dataclass(frozen=True, kw_only=True)
class Prints:
    """How its samples are printed, and its tokens typed."""

    as_json: "Callable[[Generation, int], dict[str, Any]]"
    """A sample at a scale as JSON data for scripts."""
    draw: "Callable[[Sequence[Generation]], None] | None" = None
    """Draws samples in the terminal, for kinds that do not stream."""
    read_token: "Callable[[str, ModelInfo, str], int] | None" = None
    """The token that the text of an edit names, for a model; faults begin with the last argument"""


def prints_of(kind: Kind) -> Prints:
    prints = open_face(kind.prints, Prints)
    assert prints is not None  # each kind that generates in the shell has it
    return prints
