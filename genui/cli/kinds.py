"""The functions of a kind of model for the shell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genui.protocol.kinds import Kind, open_face

if TYPE_CHECKING:
    from argparse import Namespace

    from genui.cli.generation import Generation
    from genui.cli.request import Request
    from genui.formats.recipe import ExportView
    from genui.protocol import Start
    from genui.runs.models import ModelInfo


@dataclass(frozen=True, kw_only=True)
class Prints:
    """How its samples are printed, and its tokens typed."""

    as_json: "Callable[[Generation, int], dict[str, Any]]"
    """A sample at a scale as JSON data for scripts."""
    draw: "Callable[[Sequence[Generation]], None] | None" = None
    """Draws samples in the terminal, for kinds that do not stream."""
    read_token: "Callable[[str, ModelInfo, str], int] | None" = None
    """The token of a model that a text names; faults begin with the last argument."""
    parse_init: "Callable[[Namespace, Start], Start] | None" = None
    """Adds the start of a trace; None for images, by `--init`."""
    check: "Callable[[Namespace, Request], None] | None" = None
    """Raises MisuseError for options of its own that do not fit."""
    choose_view: "Callable[[Namespace, ExportView], ExportView] | None" = None
    """The view of a file by options of its own."""


def prints_of(kind: Kind) -> Prints:
    prints = open_face(kind.prints, Prints)
    assert prints is not None  # each kind that generates in the shell has it
    return prints
