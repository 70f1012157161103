"""The settings of a piper voice, and how its speech is varied."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from genui.base.errors import MisuseError
from genui.base.schema import about
from genui.protocol.edits import Variation, VariationMethod
from genui.protocol.messages import Start
from genui.protocol.settings import SetSeed, Settings


class VoiceSettings(Settings, Struct, frozen=True, tag="voice", kw_only=True):
    """Speech of a piper voice; a step is a sentence. The defaults are piper's."""

    GROUP: ClassVar[str] = "piper voices"
    FIRST: ClassVar[tuple[str, ...]] = ("speed",)

    speed: Annotated[
        float, Meta(ge=0.25, le=4), about("how fast it speaks", step=0.1, format="{:g}×")
    ] = 1.0
    noise_scale: Annotated[
        float,
        Meta(ge=0, le=2),
        about("noise in the sound: 0 is flat, more varies the tone", "noise", step=0.1),
    ] = 0.667
    noise_w: Annotated[
        float,
        Meta(ge=0, le=2),
        about("noise in the rhythm: how long each sound lasts", "rhythm", step=0.1),
    ] = 0.8
    pause: Annotated[
        float,
        Meta(ge=0, le=5),
        about("seconds of silence between sentences", step=0.1, format="{:g} s"),
    ] = 0.3
    speaker: Annotated[
        int, Meta(ge=0, le=10_000), about("number of the speaker, for voices that have several")
    ] = 0


def _respeak(start: Start, step: int, share: float, seed: int) -> Variation:
    """The sentences from an earlier one on with another seed."""
    if step == 0:
        raise MisuseError("nothing is spoken yet: go a sentence forward first")
    begin = min(round(step * (1 - share)), step - 1)
    return Variation(begin, (SetSeed(seed),), f"from sentence {begin + 1} on, seed {seed}", seed)


VARIATION = VariationMethod(_respeak, "speak again from an earlier sentence on")
