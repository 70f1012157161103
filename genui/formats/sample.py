"""A generation as codecs write it, and the comparison of two files (`genui.formats.codec`)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from genui.base.errors import GenuiError
from genui.protocol import Frame


@dataclass(frozen=True)
class Sample:
    """One generation: the prompt as the model saw it, and its frames in order.

    `suffix` is the text after the gap of a prompt that has one, and `kind` the name of its kind of
    model.
    """

    seed: int
    prompt: str
    frames: Sequence[Frame]
    suffix: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Difference:
    """The difference between two files of one codec: one line for a person, and numbers."""

    line: str
    numbers: dict[str, Any] = field(default_factory=dict)


class NoRecipeError(GenuiError):
    """A file without a recipe."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: has no recipe; `genui generate --out` and the app write files with one"
        )


def first_difference(one: Sequence[Any], other: Sequence[Any]) -> int | None:
    """The first index at which two sequences differ; None if they are equal."""
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return at
    return None if len(one) == len(other) else min(len(one), len(other))
