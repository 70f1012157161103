"""Pictures as what is denoised: 32×32, in colour or grey, drawn whole."""

from dataclasses import dataclass

from genui.engine.generate.diffusion_state import DiffusionState
from genui.engine.generate.medium import Opening
from genui.engine.generate.picture_frame import from_rgb, picture_frame
from genui.engine.generate.picture_start import opening_picture
from genui.engine.models.dit import SIDE
from genui.protocol import ImageFrame, Picture
from genui.recipes import DiffusionRecipe


@dataclass(frozen=True)
class PictureMedium:
    """Pictures of the `recipe`'s channels (RGB without one), which can begin from its data."""

    recipe: DiffusionRecipe | None = None

    medium = "image"

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.recipe.channels if self.recipe else 3, SIDE, SIDE)

    def parts(self, caption: str) -> tuple[str, ...]:
        return (caption,)

    def note(self, caption: str) -> str:
        return ""

    def frame(self, state: DiffusionState, spread: float) -> ImageFrame:
        return picture_frame(state, spread)

    def opening(self, init: Picture | str, caption: str) -> Opening:
        picture, note = opening_picture(init, caption, self.recipe)
        clean = from_rgb(picture.rgb)
        if self.shape[0] == 1:
            clean = clean.mean(dim=0, keepdim=True)
        return Opening(picture, clean, note)
