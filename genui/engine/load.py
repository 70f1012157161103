"""From a checkpoint to something that generates, and its traces."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch
from msgspec.structs import replace

from genui.base.errors import GenuiError, MisuseError
from genui.engine import device
from genui.engine.kinds import build_generator
from genui.engine.models.classifiers import build_classifier
from genui.engine.models.frozen import load_frozen
from genui.engine.sample.trace import Generator, Trace
from genui.engine.train.checkpoint import load_weights
from genui.protocol import LAB, Frame, Start, Started
from genui.recipes import recipe_from_dict
from genui.recipes.classifier import ClassifierRecipe
from genui.runs.models import find_model, weights_fingerprint
from genui.runs.writer import one_line

# --- Loading ----------------------------------------------------------------------------------


def load(path: Path, machine: device.Machine | None = None) -> Generator:
    """A checkpoint's network with its weights, ready to generate; one sample at a time, unless
    told what on.

    Raises GenuiError naming the file where it is damaged or does not fit its own recipe.
    """
    tensors, described = load_weights(path)
    recipe = recipe_from_dict(described["recipe"])
    machine = machine or device.for_generation()
    with recipe_errors(path):
        return build_generator(recipe, tensors, described, machine, torch.device(machine.device))


def check_weights(path: Path, name: Path) -> None:
    """Raises GenuiError, one line, if a checkpoint does not fit its own recipe.

    A trainer that starts from a checkpoint builds the network of its recipe, however large; this
    takes no more memory than the file is worth. `name` is the file that the user named.
    """
    tensors, described = load_weights(path)
    recipe = recipe_from_dict(described["recipe"])
    with recipe_errors(name):
        if isinstance(recipe, ClassifierRecipe):
            load_frozen(lambda: build_classifier(recipe, len(described["labels"])), tensors)
        else:
            machine = device.Machine("cpu", "fp32", 1)  # for_generation() would set the threads
            build_generator(recipe, tensors, described, machine, torch.device("cpu"))


@contextmanager
def recipe_errors(path: Path) -> Iterator[None]:
    """Building a network from what a checkpoint holds.

    Raises GenuiError, one line.
    """
    try:
        yield
    except MisuseError:
        raise  # of the request, not of the file
    except GenuiError as error:
        raise GenuiError(f"{path}: {error}") from None
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        fault = f"it has no {error}" if isinstance(error, KeyError) else one_line(error)
        raise GenuiError(
            f"{path}: does not fit its own recipe ({fault}); use the file as genui wrote it"
        ) from None


def open_trace(request: Start) -> Trace:
    """A trace of the model that the request names, with the fingerprint of its weights."""
    trace = Trace(find_and_load(request.model), request)
    trace.started = replace(trace.started, fingerprint=fingerprint_of(request.model))
    return trace


def find_and_load(ref: str, batches: bool = False) -> Generator:
    """`load` of what `find_model` finds under a name or path; the last few stay loaded.

    With `batches` it is to draw by the thousand, in the precision that this is fastest in.

    A run's newest checkpoint is looked up each time, so a model that still trains is never
    an old one. `lab:` before a family's name is a training in the Lab, which has no weights yet.
    """
    if ref.startswith(LAB):
        from genui.engine.sample.points import LabGenerator

        return LabGenerator(ref)
    return _loaded(*_as_it_stands(find_model(ref).path), batches)


def fingerprint_of(ref: str) -> str:
    """Of a model's weights; of a family in the Lab, of the way in which it is trained."""
    if ref.startswith(LAB):
        from genui.engine.sample.points import fingerprint as of_the_lab

        return of_the_lab()
    return fingerprint(find_model(ref).path)


def fingerprint(path: Path) -> str:
    """Of a weights file: the first 16 hexadecimal digits of its SHA-256."""
    return _fingerprint(*_as_it_stands(path))


def _as_it_stands(path: Path) -> tuple[Path, int]:
    """The path, and when the file last changed: what is remembered of it holds until then."""
    return path, path.stat().st_mtime_ns


@lru_cache(maxsize=4)
def _loaded(path: Path, changed: int, batches: bool) -> Generator:
    return load(path, device.for_batches() if batches else None)


@lru_cache(maxsize=64)
def _fingerprint(path: Path, changed: int) -> str:
    return weights_fingerprint(path)


# --- Generation: one generator a family, each a step at a time --------------------------------

ENDLESS = 1 << 62


def stream(request: Start) -> Iterator[Started | Frame]:
    """Generate in this process: what started, then a frame a step.

    Raises MisuseError or GenuiError where the model or the request is at fault.
    """

    trace = open_trace(request)
    yield trace.started
    if trace.opening is not None:
        yield trace.opening
    yield from trace.advance(0, ENDLESS)  # a trace ends by itself
