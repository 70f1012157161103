"""What a diffusion model denoises, and how a person sees it: the one thing media differ in.

`DiffusionGenerator` knows noise, levels, samplers, edits and grids for arrays of any shape
[C, H, W]. That an array is a picture, a sound or a film is known to its `Medium` alone.
"""

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from genui.engine.generate.diffusion_state import DiffusionState
from genui.protocol import ImageFrame, Picture


@dataclass(frozen=True)
class Opening:
    """What a trace begins from (`Start.init`)."""

    picture: Picture  # as the model sees it: kept in the recipe, so that a replay needs no file
    clean: Tensor = field(repr=False)  # [C, H, W] in -1 to 1, made of `picture` alone
    note: str = ""  # what was done to have it


class Medium(Protocol):
    """Arrays of one shape with a meaning."""

    @property
    def medium(self) -> str:
        """Its name, as `genui.kinds` has it."""
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """[C, H, W] of what one caption draws."""
        ...

    def parts(self, caption: str) -> tuple[str, ...]:
        """The captions that one request is drawn by, at least one.

        A picture is drawn whole; spoken digits are drawn one by one and shown side by side.
        """
        ...

    def note(self, caption: str) -> str:
        """What a person should know of how a caption is read; "" where nothing."""
        ...

    def frame(self, state: DiffusionState, spread: float) -> ImageFrame:
        """What a person sees of a state; `spread` is the standard deviation of clean data."""
        ...

    def opening(self, init: Picture | str, caption: str) -> Opening:
        """What `Start.init` asks to begin from: a picture, the path of a file, or FROM_DATA.

        Raises MisuseError where there is none to be had, GenuiError where the data is missing.
        """
        ...
