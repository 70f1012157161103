"""Samples by the thousand: what they are asked, and pictures drawn many at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.pictures import Pictures, load_pictures
from genui.engine.generate.load import find_and_load
from genui.errors import GenuiError
from genui.protocol import Settings
from genui.recipes import Recipe
from genui.runs.catalog import find_model
from genui.runs.checkpoints import read_header

BLOCK = 512  # captions drawn with one generator of random numbers


@runtime_checkable
class Draws(Protocol):
    """A generator that draws finished pictures uint8 [B, H, W, 3] as one batch."""

    def draw(self, captions: list[str], seeds: list[int], settings: Any) -> NDArray[np.uint8]: ...


def draws(model: str) -> bool:
    """Whether `draw` can be asked of a model; what cannot is generated a trace at a time."""
    info = find_model(model)
    return info.medium == "image" and isinstance(find_and_load(model, many=True), Draws)


def draw(
    model: str, captions: Sequence[str], seeds: Sequence[int], settings: Settings
) -> list[bytes]:
    """A PNG for each caption and seed, drawn as one batch, in the precision this is fastest in."""
    from genui.render.film import png

    generator = find_and_load(model, many=True)
    assert isinstance(generator, Draws)
    return [png(rgb, "") for rgb in generator.draw(list(captions), list(seeds), settings)]


@dataclass(frozen=True)
class Prompts:
    """What a model is asked, sample after sample: always `given`, where that is not None.

    Else the captions are drawn like those it was trained on, where its data is a picture set
    on this machine, and otherwise its recipe's own go round. The prompt of sample i depends
    on (seed, i) alone.
    """

    model: str
    seed: int
    given: str | None = None

    @property
    def source(self) -> str:
        """Where they come from, in words."""
        if self.given is not None:
            return "the prompt given"
        if self._pictures is not None:
            return f"captions like those of {self._pictures.name}"
        many = len(self._usual)
        return "the model's usual prompt" if many == 1 else f"the model's {many} usual prompts"

    def at(self, index: int) -> str:
        """The prompt of sample `index`, counted from 0."""
        if self.given is not None:
            return self.given
        if self._pictures is not None:
            return _block(self._pictures, self.seed, index // BLOCK)[index % BLOCK]
        return self._usual[index % len(self._usual)]

    @cached_property
    def _recipe(self) -> Recipe:
        return read_header(find_model(self.model).path).recipe

    @cached_property
    def _usual(self) -> tuple[str, ...]:
        return self._recipe.prompts or ("",)

    @cached_property
    def _pictures(self) -> Pictures | None:
        if self._recipe.medium != "image":
            return None
        try:
            return load_pictures(self._recipe.dataset, self._recipe.data)
        except GenuiError:  # not on this machine
            return None


@lru_cache(maxsize=4)
def _block(pictures: Pictures, seed: int, number: int) -> tuple[str, ...]:
    rng = np.random.default_rng((seed, number))
    return tuple(pictures.batch(rng.choice(pictures.train, BLOCK), rng).captions)
