"""What a classifier says of one step of a trace, while it is generated."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from genui.engine import kinds
from genui.engine.generate.text import TextGenerator, TextState
from genui.engine.generate.trace import Trace
from genui.errors import GenuiError, MisuseError
from genui.protocol import ImageFrame, Labels
from genui.recipes import Recipe
from genui.render.sanitise import clean_line
from genui.runs.catalog import find_model
from genui.runs.checkpoints import read_header

MOST_LABELS = 8  # that are answered with, the likeliest first


class Judge(Protocol):
    """A trained classifier as an instrument."""

    labels: tuple[str, ...]

    def probabilities(self, examples: Any, /) -> np.ndarray:
        """p(label | example), float32 [N, labels]; of texts, or of pictures uint8 [N, H, W, 3]."""
        ...


def labels(trace: Trace, step: int, model: str) -> Labels:
    """What the classifier `model` says of the sample as it stands at `step`.

    Where it cannot say anything, since it is of another medium or is no classifier, `fault`
    says so. Raises MisuseError for a step that has not been reached.
    """
    if not 0 <= step <= trace.reached:
        raise MisuseError(f"step {step}: this trace stands at step {trace.reached}")
    try:
        found, fault = _judged(trace, step, model), ""
    except GenuiError as error:
        found, fault = (), clean_line(str(error), 200)
    return Labels(trace=trace.request.trace, step=step, model=model, labels=found, fault=fault)


def _judged(trace: Trace, step: int, model: str) -> tuple[tuple[str, float], ...]:
    info = find_model(model)
    recipe = read_header(info.path).recipe
    load = kinds.judge_loader(recipe)
    if load is None:
        raise MisuseError(
            f"{info.name} is a {recipe.family} of {recipe.medium} and gives no labels: "
            "name a classifier"
        )
    judge = _loaded(load, str(info.path), _changed(info.path))
    if recipe.medium == "text":
        example: Any = [judge.excerpt(_text(trace, step, recipe))]
        if not example[0].strip():
            raise MisuseError("there is no text yet to give a label to")
    else:
        example = _picture(trace, step, recipe)
    chances = judge.probabilities(example)[0]
    order = np.argsort(-chances, kind="stable")[:MOST_LABELS].tolist()
    return tuple((clean_line(judge.labels[at], 40), float(chances[at])) for at in order)


def _text(trace: Trace, step: int, recipe: Recipe) -> str:
    """The text at a step, its prompt before it."""
    generator, state = trace.generator, trace.state(step)
    if not (isinstance(generator, TextGenerator) and isinstance(state, TextState)):
        raise _other_medium(trace, recipe)
    written = generator.tokenizer.decode(state.token_ids.since(state.prompt).tolist())
    return trace.started.prompt + written + trace.started.suffix


def _picture(trace: Trace, step: int, recipe: Recipe) -> np.ndarray:
    """The clean picture as the model sees it at a step, uint8 [1, H, W, 3]."""
    frame = trace.generator.frame(trace.state(step))
    if not isinstance(frame, ImageFrame) or trace.started.medium != "image":
        raise _other_medium(trace, recipe)
    if trace.request.grid:
        raise MisuseError("a grid is several pictures, and one is given a label: draw one")
    return np.frombuffer(frame.guess, np.uint8).reshape(1, frame.height, frame.width, 3)


def _other_medium(trace: Trace, recipe: Recipe) -> MisuseError:
    return MisuseError(
        f"{recipe.name} gives labels to {_PLURALS.get(recipe.medium, recipe.medium)}, and this is "
        f"{trace.started.medium}: choose another classifier"
    )


_PLURALS = {"image": "pictures", "text": "texts"}


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns


@lru_cache(maxsize=4)
def _loaded(load: Callable[[str], Any], path: str, changed: int) -> Any:
    """A judge, kept until its file changes."""
    return load(path)
