"""The settings of a walk between two images through their latents."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from genui.base.schema import about
from genui.protocol.settings import Settings


class AutoencoderSettings(Settings, Struct, frozen=True, tag="autoencoder", kw_only=True):
    """A walk in equal steps from an image to another.

    Each step shows the blend of the pixels, the decoded blend of the latents, and four times the
    difference of the two: at the ends what the autoencoder loses, between them what it adds.
    """

    GROUP: ClassVar[str] = "autoencoders: a walk between two images"
    FIRST: ClassVar[tuple[str, ...]] = ("to",)

    steps: Annotated[int, Meta(ge=1, le=1000), about("steps of the walk", step=1)] = 12
    to: Annotated[
        str,
        Meta(max_length=300),
        about("caption of the image to walk to; none stays at the first"),
    ] = ""

    def sample_step(self, last: int) -> int:
        return 0 if not self.to else last
