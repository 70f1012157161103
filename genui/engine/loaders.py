"""What opens the models of others, and the tokenizers of all models of text; without torch."""

from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import show
from genui.base.watermarks import Search
from genui.engine.data.tokenizer import Tokenizer, tokenizer_from_dict
from genui.engine.loading import LoadProgress
from genui.protocol.kinds import KINDS, open_face
from genui.runs.models import ModelInfo, find_model, list_models, read_header

if TYPE_CHECKING:
    from genui.engine.device import Machine
    from genui.engine.sample.trace import Generator
    from genui.hub.open_model import OpenModel

T = TypeVar("T")


class Loader(NamedTuple):
    """How the engine opens models of one format."""

    load: "Callable[[OpenModel, Machine, LoadProgress], Generator]"
    """Reports its progress. Raises GenuiError or LoadingStoppedError."""
    tokenizer: Callable[[Path], Tokenizer] | None = None
    """None if the models have none here."""


def find_loader(format: str) -> Loader:
    """The function that opens models of a format of `genui.hub.formats`."""
    opens = (kind.opens[format] for kind in KINDS.values() if format in kind.opens)
    loader = open_face(next(opens), Loader)
    assert loader is not None  # a kind with formats has it
    return loader


def load_tokenizer(model: ModelInfo) -> Tokenizer:
    """The tokenizer of a model of text. Raises MisuseError or GenuiError if it is damaged."""
    if model.format:
        return load_open_tokenizer(model.path, model.format, model.ref)
    header = read_header(model.path)
    if base := header.recipe.base_model:  # it was fine-tuned and has the one of its base
        return load_tokenizer(find_model(base))
    described = header.metadata.get("tokenizer")
    return tokenizer_from_dict(described if isinstance(described, dict) else {})


def load_open_tokenizer(path: Path, format: str, name: str = "") -> Tokenizer:
    """The tokenizer of somebody else's model of text. Raises MisuseError or GenuiError if it is
    damaged, and if the model, called `name`, has none here."""
    tokenizer = find_loader(format).tokenizer
    if tokenizer is None:
        raise MisuseError(
            f"{name or show(path)} has no vocabulary on this machine; use text=TEXT for any text"
        )
    return tokenizer(path)


MOST = 8  # models that are tried


def try_models(
    watermark: str, search: Search, recorded: str, read: Callable[[ModelInfo], T]
) -> list[T]:
    """What `read` returns for the models that may have made a file with a watermark: the one of the
    search, else the one that its recipe has `recorded`, or if it is not here those at hand.

    Raises GenuiError if the model of the search is not here, or carries no such watermark.
    """

    def carries(model: ModelInfo) -> bool:
        rows = model.kind.watermarks if model.kind is not None else ()
        return watermark in [row.name for row in rows]

    if search.model:
        model = find_model(search.model)
        if not carries(model):
            raise MisuseError(f"{search.model}: what it makes carries no watermark {watermark}")
        return [read(model)]
    with suppress(GenuiError):
        if recorded:
            model = find_model(recorded)
            return [read(model)] if carries(model) else []
    found = []
    for model in islice(filter(carries, list_models()), MOST):
        search.report(f"looking for a watermark of {model.ref}")
        with suppress(GenuiError):  # it is damaged
            found.append(read(model))
    return found
