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
from genui.engine.sample.trace import Generator, Trace
from genui.engine.train.checkpoint import load_weights
from genui.protocol import LAB, Frame, Start, Started
from genui.recipes import recipe_from_dict
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
    with fitting_its_recipe(path):
        return build_generator(recipe, tensors, described, machine, torch.device(machine.device))


@contextmanager
def fitting_its_recipe(path: Path) -> Iterator[None]:
    """Building a network from what a checkpoint holds.

    Raises GenuiError naming it, one line, whatever fails there.
    """
    try:
        yield
    except MisuseError:
        raise  # of the request, not of the file
    except GenuiError as error:
        raise GenuiError(f"{path}: {error}") from None
    except KeyError as error:
        raise GenuiError(f"{path}: does not fit its own recipe (it has no {error})") from None
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise GenuiError(f"{path}: does not fit its own recipe ({one_line(error)})") from None


def open_trace(request: Start) -> Trace:
    """A trace of the model that the request names, with the fingerprint of its weights."""
    trace = Trace(find_and_load(request.model), request)
    trace.started = replace(trace.started, fingerprint=fingerprint_of(request.model))
    return trace


def find_and_load(ref: str, many: bool = False) -> Generator:
    """`load` of what `find_model` finds under a name or path; the last few stay loaded.

    With `many` it is to draw by the thousand, in the precision that this is fastest in.

    A run's newest checkpoint is looked up each time, so a model that still trains is never
    an old one. `lab:` before a family's name is a training in the Lab, which has no weights yet.
    """
    if ref.startswith(LAB):
        from genui.engine.sample.points import LabGenerator

        return LabGenerator(ref)
    return _loaded(*_as_it_stands(find_model(ref).path), many)


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
def _loaded(path: Path, changed: int, many: bool) -> Generator:
    return load(path, device.for_batches() if many else None)


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
