"""Open models that draw images, such as Stable Diffusion."""

from msgspec.structs import replace

from genui.kinds.image import DENOISED
from genui.protocol.kinds import PRETRAINED

KINDS = (
    replace(
        DENOISED,
        family=PRETRAINED,
        place=25,
        limitations="Others trained it: its own card says on what, and what it cannot do.",
    ),
)
