"""The functions of a kind of model for the engine, and the functions that call them.

This file does not import torch: the faces that need it are imported when they are first used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.engine.data.preparation import QUIET, Preparation
from genui.protocol.kinds import KINDS, Kind, open_face
from genui.recipes import Recipe, TextRecipe

with late_imports():
    from genui.engine.train import recompute

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from genui.engine.device import Machine
    from genui.engine.estimate import Plan
    from genui.engine.metrics.classifiers import Classifier
    from genui.engine.metrics.copying import TracedText
    from genui.engine.models.language_model import TokenNetwork
    from genui.engine.sample.trace import Generator, Trace
    from genui.engine.train.task import Task
    from genui.protocol import Agreement, Neighbours
    from genui.runs.models import ModelInfo

R = TypeVar("R", bound=Recipe)
"""The class of a kind's recipes."""
G = TypeVar("G", bound="Generator")
M = TypeVar("M")
C = TypeVar("C", bound="Classifier")

BuildNetwork = Callable[[Any, int], "TokenNetwork"]
"""A recipe and the size of the vocabulary to a network with new weights."""


# --- The faces ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Prepares(Generic[R]):
    """The facts about a training before it starts. It does not import torch."""

    check: Callable[[R, Preparation], str]
    """Reads the training data and returns one line about them."""
    is_large: Callable[[str], bool] | None = None
    """Whether data at a path do not fit into memory, so that a sample of them is measured."""
    plan: "Callable[[R], Plan] | None" = None
    """The plan of a training that takes too long to load to be measured."""


@dataclass(frozen=True, kw_only=True)
class Trains(Generic[R, M]):
    """How a kind is trained, how good its models are, and what they copied."""

    task: "Callable[[R, torch.device, dict[str, Any] | None, Preparation], Task]"
    """The third argument is the `extra` of a checkpoint, so that resuming keeps its tokenizer."""
    measure: Callable[[M, R], Mapping[str, str]]
    """Labels to values with units, the most important first, of a generator; for a classifier,
    which is not a generator, by its ModelInfo."""
    classifier: "Callable[[R, dict[str, Tensor], Mapping[str, Any]], object] | None" = None
    """For classifiers: makes one from its recipe, and the tensors and metadata of a checkpoint."""
    nearest: "Callable[[R, Trace, int, int], Neighbours] | None" = None
    """The training data most similar to a step of a trace: `nearest(recipe, trace, step, count)`"""
    prepare: "Callable[[R, Trace, int], Agreement | None] | None" = None
    """What takes long before `nearest`; the worker calls it on a thread."""
    index: "Callable[[R], TracedText] | None" = None
    """For texts, in place of both: the training text of a recipe, to trace passages to."""


@dataclass(frozen=True)
class Checkpoint(Generic[R]):
    """The weights of a model, and what made them."""

    recipe: R
    tensors: "dict[str, Tensor]"
    described: Mapping[str, Any]
    """Its metadata, such as the tokenizer."""


@dataclass(frozen=True, kw_only=True)
class Generates(Generic[R, G]):
    """How a checkpoint becomes a generator, or files of other programs."""

    load: "Callable[[Checkpoint[R], Machine], G]"
    """The generator of a checkpoint on a machine."""
    network: BuildNetwork | None = None
    """The network that `TextTask` trains. Other tasks build their own."""
    converts: "Mapping[str, Callable[[ModelInfo, Path, str], None]]" = field(default_factory=dict)
    """Each of `Kind.targets` to the function that writes a model so: into a new folder or a file,
    with a dtype of the target."""


@dataclass(frozen=True, kw_only=True)
class Begins:
    """How a model without a file begins: a trace of it is its training."""

    generator: "Callable[[], Generator]"
    fingerprint: str
    """In place of that of weights: it differs if the same request would train to other numbers."""


@dataclass(frozen=True, kw_only=True)
class Labels(Generic[R, C]):
    """How a classifier labels the samples of generators."""

    load: Callable[[str], C]
    """The classifier of a path."""
    example: "Callable[[Trace, int, R, C], Any]"
    """Its input for a step of a trace."""


# --- The functions that call them --------------------------------------------------------------


def build_task(
    recipe: Recipe,
    device: "torch.device",
    extra: dict[str, Any] | None,
    preparation: Preparation = QUIET,
) -> "Task":
    """The task of a recipe; `extra` is the metadata of a checkpoint to continue from.

    Raises MisuseError if the recipe asks for something that its network cannot do.
    """
    task = trains(recipe).task(recipe, device, extra, preparation)
    if recipe.checkpoint_activations:
        recompute.checkpoint_blocks(task.model)
    return task


def build_network(recipe: TextRecipe, vocab_size: int) -> "TokenNetwork":
    """The network of a text recipe, with random weights."""
    generates = generates_of(_kind(recipe))
    assert generates is not None
    assert generates.network is not None  # each kind of text has one
    return generates.network(recipe, vocab_size)


def build_generator(checkpoint: Checkpoint[Any], machine: "Machine") -> "Generator":
    """The generator of a checkpoint.

    Raises MisuseError for a kind that cannot generate, and KeyError, TypeError or RuntimeError if
    the weights do not fit the recipe.
    """
    recipe = checkpoint.recipe
    generates = generates_of(_kind(recipe))
    if generates is None:
        raise MisuseError(f"{recipe.name} is a {recipe.family}: it labels and cannot generate")
    return generates.load(checkpoint, machine)


def generates_of(kind: Kind) -> "Generates[Any, Any] | None":
    return open_face(kind.generates, Generates)


def begins_of(kind: Kind | None) -> Begins | None:
    return open_face(kind.begins, Begins) if kind is not None else None


def prepares(recipe: Recipe) -> Prepares[Any]:
    """Return the facts that a recipe's kind has about a training before it starts."""
    face = open_face(_kind(recipe).prepares, Prepares)
    assert face is not None  # each kind with recipes has it
    return face


def check_data(recipe: Recipe, preparation: Preparation = QUIET) -> str:
    """Read the training data of a recipe and describe them in one line.

    Raises MisuseError or GenuiError if they cannot be used: better before the training starts than
    in a trainer in the background.
    """
    return prepares(recipe).check(recipe, preparation)


def trains(recipe: Recipe) -> Trains[Any, Any]:
    trains = open_face(_kind(recipe).trains, Trains)
    assert trains is not None  # each kind with recipes has it
    return trains


def _kind(recipe: Recipe) -> Kind:
    return KINDS[recipe.family, recipe.medium]
