"""Load checkpoints as generators, and run traces in this process."""

import importlib
import logging
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from genui.base.errors import GenuiError, MisuseError, TooLargeError, UnsupportedError
from genui.base.files import show
from genui.engine import device
from genui.engine.kinds import Checkpoint, begins_of, build_generator, trains
from genui.engine.loaders import find_loader
from genui.engine.loading import SILENT, LoadProgress
from genui.engine.sample.tokens import TokenGenerator, read_ahead
from genui.engine.sample.trace import Generator, Trace
from genui.engine.train.checkpoint import load_weights
from genui.hub import formats
from genui.protocol import Frame, SendMessage, Start, Started
from genui.recipes import recipe_from_dict
from genui.runs.models import ModelInfo, find_model, weights_fingerprint
from genui.runs.writer import one_line

T = TypeVar("T")


def load(path: Path, machine: device.Machine | None = None) -> Generator:
    """The generator of a checkpoint, by default for single samples.

    Raises GenuiError, which names the file, if it is damaged or does not fit its own recipe.
    """
    tensors, described = load_weights(path)
    recipe = recipe_from_dict(described["recipe"])
    machine = machine or device.for_generation()
    with recipe_errors(path):
        return build_generator(Checkpoint(recipe, tensors, described), machine)


def load_open(
    path: Path,
    format: str,
    machine: device.Machine | None = None,
    progress: LoadProgress = SILENT,
) -> Generator:
    """The generator of somebody else's model, by the name of its format.

    Raises MisuseError or GenuiError, which names the file, if it is damaged, unknown or too large
    for the memory of this machine.
    """
    model = formats.FORMATS[format].describe(path)
    with recipe_errors(path, "configuration", "fetch or copy it again"):
        try:
            return find_loader(format).load(model, machine or device.for_generation(), progress)
        except (TooLargeError, UnsupportedError) as error:  # a MisuseError's text stays as it is
            raise type(error)(f"{show(path)}: {error}") from None


def precision_of(generator: Generator) -> str:
    """How its model computes, such as "bf16", or "fp32 by transformers 5.24.0" if the model or its
    generator says what it is `computed_by`; "" if it has no machine: it computes elsewhere.

    A recipe records it, since it determines the bits; a replay gives it to `find_and_load`.
    """
    machine = getattr(generator, "machine", None)
    if not isinstance(machine, device.Machine):
        return ""
    for part in (generator, getattr(generator, "model", None)):
        if by := getattr(part, "computed_by", ""):
            return f"{machine.precision} by {by}"
    return machine.precision


def check_weights(path: Path, name: Path) -> None:
    """Raises GenuiError, one line, if a checkpoint does not fit its own recipe.

    A trainer that starts from a checkpoint builds the network of its recipe, however large; this
    takes no more memory than the file is worth. `name` is the file that the user named.
    """
    tensors, described = load_weights(path)
    recipe = recipe_from_dict(described["recipe"])
    with recipe_errors(name):
        if (classifier := trains(recipe).classifier) is not None:
            classifier(recipe, tensors, described)
        else:
            machine = device.Machine("cpu", "fp32", 1)  # for_generation() would set the threads
            build_generator(Checkpoint(recipe, tensors, described), machine)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within the block the libraries print no warnings, no progress bars and no errors, which they
    raise too."""
    names = ("transformers", "diffusers", "accelerate")
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names[:2]:
            with suppress(ImportError):  # one that is needed and missing is reported later
                importlib.import_module(f"{name}.utils.logging").disable_progress_bar()
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


@contextmanager
def recipe_errors(
    path: Path, plan: str = "recipe", remedy: str = "use the file as genui wrote it"
) -> Iterator[None]:
    """Turns errors of the block, which builds a network from a file by the `plan` in it, into a
    GenuiError of one line that names the file."""
    try:
        yield
    except MisuseError:
        raise  # the request is wrong, not the file
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
        raise GenuiError(f"{path}: does not fit its own {plan} ({fault}); {remedy}") from None


def open_trace(request: Start, progress: LoadProgress = SILENT) -> Trace:
    """A trace for the request, with the fingerprint of the model's weights. Its prompt is read."""
    generator = find_and_load(request.model, precision=request.precision, progress=progress)
    trace = Trace(generator, request)
    if isinstance(generator, TokenGenerator):
        generator.read_prompt(trace.state(0), progress.prompt)
    trace.started = replace(
        trace.started,
        fingerprint=fingerprint_of(request.model),
        precision=precision_of(trace.generator),
    )
    return trace


def find_and_load(
    ref: str, batches: bool = False, precision: str = "", progress: LoadProgress = SILENT
) -> Generator:
    """The generator of a model by name or path, for single samples or large `batches`. `precision`
    is the one recorded in a saved file's recipe, if it is replayed.

    The last four are kept. A run's newest checkpoint is looked up each time, so a model that is
    still training is up to date.
    """
    model = find_model(ref)
    if (begins := begins_of(model.kind)) is not None:
        return begins.generator()
    precision = "" if batches else device.precision_for_generation(precision)
    key = (*_cache_key(model.path), model.format, batches, precision)
    if (generator := _kept.pop(key, None)) is None:
        generator = with_room(lambda: _load(model, batches, precision, progress))
    _kept[key] = generator
    if len(_kept) > KEPT:
        del _kept[next(iter(_kept))]
    return generator


def fingerprint_of(ref: str) -> str:
    """The fingerprint of a model's weights, or of how it is trained if it has none."""
    model = find_model(ref)
    begins = begins_of(model.kind)
    return begins.fingerprint if begins is not None else fingerprint(model.path)


def fingerprint(path: Path) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a weights file."""
    return _fingerprint(*_cache_key(path))


def _cache_key(path: Path) -> tuple[Path, int]:
    """The path and the state of its files: a changed file is read again."""
    return path, formats.state_of(path)


def _load(model: ModelInfo, batches: bool, precision: str, progress: LoadProgress) -> Generator:
    machine = device.for_batches() if batches else device.for_generation(precision)
    if model.format:
        generator = load_open(model.path, model.format, machine, progress)
    else:
        generator = load(model.path, machine)
    if not batches:
        getattr(generator, "decode_fast", lambda: None)()  # some compute elsewhere
    device.return_memory()  # of what was read on the way
    return generator


KEPT = 4
"""Models that are kept loaded."""

_kept: dict[tuple[Path, int, str, bool, str], Generator] = {}
"""The most recently used one last."""


def forget_models() -> None:
    """Forget the models that are kept; models of open traces stay in memory."""
    _kept.clear()
    device.return_memory()


def with_room(load: Callable[[], T]) -> T:
    """The result of `load`. Where the memory does not suffice, the models that no trace uses are
    forgotten, and it is called again."""
    try:
        return load()
    except TooLargeError:
        if not _kept:
            raise
    forget_models()
    return load()


@lru_cache(maxsize=64)
def _fingerprint(path: Path, state: int) -> str:
    return formats.fingerprint(path) if formats.format_of(path) else weights_fingerprint(path)


ENDLESS = 1 << 62


def stream(request: Start) -> Iterator[Started | Frame]:
    """Generate in this process: Started, then the frames up to the end of the trace.

    Raises MisuseError or GenuiError if the model or the request is not valid.
    """
    return next(iter(Streams([request])))


class Streams:
    """The messages of several requests, for each an iterator as of `stream`, in their order;
    `progress` gets the loaded share of each model.

    Texts whose tokens this process can read together advance together, up to `reader.ROWS` at a
    time; a text that ends makes room for the next one. It is faster, and changes no bits. Other
    samples are generated one after another. With `until` none continues after that step.

    In a chat each message of `says` follows at the end of an answer: Started again, with the step,
    then the frames of the next answer.
    """

    def __init__(
        self,
        requests: Iterable[Start],
        says: Sequence[str] = (),
        until: int | None = None,
        progress: LoadProgress = SILENT,
    ) -> None:
        self._requests, self._says, self._loading = iter(requests), says, progress
        self._until = ENDLESS if until is None else until
        self._running: list[_Stream] = []  # the first is the one whose messages are taken
        self._waiting: deque[_Stream] = deque()  # begun, but not taken yet
        self._ended = 0

    def __iter__(self) -> Iterator[Iterator[Started | Frame]]:
        while self._waiting or self._begin():
            yield self._messages(self._waiting.popleft())

    @property
    def progress(self) -> float:
        """The number of samples that are complete, and the parts that others are."""
        return self._ended + sum(one.step / max(1, one.total) for one in self._running)

    def _begin(self) -> bool:
        """Begin the next request, if there is one."""
        if (request := next(self._requests, None)) is None:
            return False
        one = _Stream(request, self._says, self._until, self._loading)
        self._running.append(one)
        self._waiting.append(one)
        return True

    def _messages(self, one: "_Stream") -> Iterator[Started | Frame]:
        while True:
            while one.ready:
                yield one.ready.popleft()
            if one.ended:
                break
            self._advance()
        if one.fault is not None:
            raise one.fault

    def _advance(self) -> None:
        """Advance every unfinished trace by a step, and begin others if there is room."""
        rows = self._running[0].rows
        while len(self._running) < rows and len(self._waiting) < rows and self._begin():
            pass
        read_ahead((one.trace, one.step) for one in self._running if one.trace is not None)
        for one in self._running:
            one.advance()
        self._ended += sum(one.ended for one in self._running)
        self._running = [one for one in self._running if not one.ended]


class _Stream:
    """One request of `Streams`, and the messages that it has ready."""

    def __init__(
        self,
        request: Start,
        says: Sequence[str],
        until: int,
        progress: LoadProgress,
    ) -> None:
        self._request, self._says, self._until = request, says, until
        self._loading = progress
        self.messages = self._generate()
        self.ready: deque[Started | Frame] = deque()
        self.trace: Trace | None = None
        self.step = 0
        self.ended = False
        self.fault: GenuiError | None = None

    @property
    def total(self) -> int:
        """The last step, as far as it is known."""
        return 1 if self.trace is None else min(self._until, self.trace.started.total_steps)

    @property
    def rows(self) -> int:
        """The number of traces like this one that should advance together."""
        if self.trace is None or not isinstance(self.trace.generator, TokenGenerator):
            return 1
        return self.trace.generator.count_rows(self.trace.state(self.step))

    def advance(self) -> None:
        """Have the next message ready. A fault is raised when the messages are taken."""
        try:
            self.ready.append(next(self.messages))
        except StopIteration:
            self.ended = True
        except GenuiError as error:
            self.ended, self.fault = True, error

    def _generate(self) -> Iterator[Started | Frame]:
        trace = self.trace = open_trace(self._request, self._loading)
        yield trace.started
        if trace.opening is not None:
            yield trace.opening
        yield from self._frames(trace)
        for message in self._says:
            trace = self.trace = trace.fork(self._request.trace, self.step, SendMessage(message))
            yield trace.started
            yield from self._frames(trace)

    def _frames(self, trace: Trace) -> Iterator[Frame]:
        for frame in trace.advance(self.step, self._until - self.step):
            self.step = frame.step
            yield frame
