"""The settings, frames and edits of discrete diffusion on text."""

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from msgspec import Meta, Struct

from genui.base.errors import MisuseError
from genui.base.schema import about
from genui.protocol.messages import Frame
from genui.protocol.settings import Edit, Settings

MOST = 1024
"""Tokens of the longest text: each frame has all of them."""

DOUBLED = (1, 2, 4, 8, 16, 32, 64, 128, 256)
UNDECIDED, GIVEN = -1, 0
"""In place of the step at which a token was decided."""


class TextDiffusionSettings(Settings, Struct, frozen=True, tag="text_diffusion", kw_only=True):
    """How the tokens of a text are decided, a few at each step."""

    GROUP: ClassVar[str] = "discrete diffusion on text"
    FIRST: ClassVar[tuple[str, ...]] = ("block", "steps", "order", "temperature")

    steps: Annotated[
        int,
        Meta(ge=1, le=MOST),
        about(
            "steps over which the tokens are decided, about equally many at each; no step decides "
            "tokens of two blocks",
            step=DOUBLED,
        ),
    ] = 64
    block: Annotated[
        int,
        Meta(ge=1, le=MOST),
        about(
            "tokens per block: blocks are written left to right, tokens within one in any order; "
            "1 is an autoregressive model",
            "block length",
            id="block",
            step=DOUBLED,
            source="Arriola et al. 2025",
        ),
    ] = 256
    order: Annotated[
        Literal["confidence", "entropy", "random", "left"],
        about(
            "which tokens of a block are decided first: those drawn with the highest probability, "
            "those of lowest entropy, random ones, or the leftmost",
            choices={
                "confidence": "confidence",
                "entropy": "entropy",
                "random": "random",
                "left": "left to right",
            },
        ),
    ] = "random"
    temperature: Annotated[
        float,
        Meta(ge=0, le=10),
        about(
            "0 always takes the likeliest token; 1 is the model's own distribution",
            step=0.05,
            format="{:.2f}",
        ),
    ] = 0.6
    remask: Annotated[
        float,
        Meta(ge=0, le=1),
        about(
            "share of each step's tokens by which more are decided and the least sure remasked; "
            "with uniform noise every token may change anyway",
            step=0.1,
            off=0,
            format="{:.1f}",
            source="Wang et al. 2025",
        ),
    ] = 0.0
    gap: Annotated[int, Meta(ge=1, le=256), about("tokens of each gap <FILL> in the prompt")] = 5
    tokens: Annotated[
        int, Meta(ge=1, le=MOST), about("how many tokens to write after a prompt without gaps")
    ] = 240


class CanvasFrame(Frame, Struct, frozen=True, tag="canvas_frame", kw_only=True, gc=False):
    """A text of which some tokens are decided, after a step.

    The tuples have a value for each place. `decided` is the step at which a token was decided,
    GIVEN or UNDECIDED. `texts` has the token, or for an undecided one of the block the likeliest,
    and `sure` its probability by the model: when it was decided, or now.
    """

    trace: int
    step: int
    texts: tuple[str, ...]
    decided: tuple[int, ...]
    sure: tuple[float, ...]
    block: tuple[int, int]  # its first place, and the one after its last; (0, 0) at the end

    @property
    def page(self) -> str:
        """The whole text; each undecided place is a low line."""
        at = zip(self.texts, self.decided, strict=True)
        return "".join(text if step != UNDECIDED else "_" for text, step in at)

    @property
    def identity(self) -> tuple[object, ...]:
        return self.texts, self.decided

    @property
    def content(self) -> bytes:
        return repr((self.page, self.decided)).encode()

    @property
    def is_whole(self) -> bool:
        return len(self.texts) == len(self.decided) == len(self.sure)

    def facts(self) -> dict[str, Any]:
        """The text, and the tokens that the step decided with their probabilities."""
        return {
            "step": self.step,
            "text": self.page,
            "undecided": self.decided.count(UNDECIDED),
            "decided": [
                {"place": place, "text": text, "probability": sure}
                for place, (text, at, sure) in enumerate(
                    zip(self.texts, self.decided, self.sure, strict=True), start=1
                )
                if at == self.step > GIVEN
            ],
        }


# --- Edits ------------------------------------------------------------------------------------

_SPAN = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")
_PIN = re.compile(r"(\d{1,6}):(.+)", re.DOTALL)


class Erase(Edit, Struct, frozen=True, tag="erase", kw_only=True):
    """Makes the places from `first` to `last`, which count from 1, undecided: they are written
    anew, with the text on both sides in sight."""

    first: Annotated[int, Meta(ge=1, le=MOST)]
    last: Annotated[int, Meta(ge=1, le=MOST)]

    @classmethod
    def parse_value(cls, text: str) -> Self:
        match = _SPAN.fullmatch(text)
        if match is None or not 0 < int(match[1]) <= int(match[2] or match[1]) <= MOST:
            raise MisuseError(f"expected PLACE or FIRST-LAST, such as 12-20, up to {MOST}")
        return cls(first=int(match[1]), last=int(match[2] or match[1]))

    def format_value(self) -> str:
        return f"{self.first}-{self.last}"


class Pin(Edit, Struct, frozen=True, tag="pin", kw_only=True):
    """Writes a text at the places from `place` on, which counts from 1; it stays as it is."""

    place: Annotated[int, Meta(ge=1, le=MOST)]
    text: Annotated[str, Meta(min_length=1, max_length=MOST)]

    @classmethod
    def parse_value(cls, text: str) -> Self:
        match = _PIN.fullmatch(text)
        if match is None or not 0 < int(match[1]) <= MOST:
            raise MisuseError("expected PLACE:TEXT, such as 12:love")
        return cls(place=int(match[1]), text=match[2])

    def format_value(self) -> str:
        return f"{self.place}:{self.text}"
