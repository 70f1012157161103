"""Images through an autoencoder: originals, what is decoded, and walks between two of them."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from genui.base.errors import MisuseError
from genui.base.text import clean, clean_line
from genui.engine.data.images import CaptionedImages, as_pixels
from genui.engine.device import Machine, autocast
from genui.engine.kinds import Checkpoint
from genui.engine.models.frozen import load_frozen
from genui.engine.sample.media import check_image, read_image, sheet, to_rgb, to_tensor
from genui.engine.sample.trace import Generator, expect_settings
from genui.kinds.latent.data import has_to_come, load_set
from genui.kinds.latent.network import Autoencoder, autoencoder_config
from genui.kinds.latent.recipe import SIDE, AutoencoderRecipe
from genui.kinds.latent.walk import AutoencoderSettings
from genui.protocol import (
    FROM_DATA,
    Edit,
    ImageFrame,
    RgbImage,
    SetPrompt,
    SetSettings,
    Start,
    Started,
)

DIFFERENCE = 4.0  # times: an error of a sixteenth of the range is easily seen


@dataclass(frozen=True, kw_only=True)
class BlendState:
    """The immutable state at `step` of a walk between two images."""

    caption: str
    settings: AutoencoderSettings
    first: Tensor  # [1, 3, 128, 128] in -1 to 1
    last: Tensor
    step: int = 0

    @property
    def share(self) -> float:
        """Of the way, 0 to 1."""
        return min(1.0, self.step / self.settings.steps)


class AutoencoderGenerator(Generator):
    """Encodes two images and decodes what lies between their latents."""

    family = AutoencoderRecipe.family

    def __init__(self, model: Autoencoder, machine: Machine, recipe: AutoencoderRecipe) -> None:
        self.model, self.machine, self._recipe = model.eval(), machine, recipe
        self._sets: dict[str, CaptionedImages] = {}  # that were searched, by name

    def begin(self, request: Start) -> tuple[BlendState, Started]:
        settings = expect_settings(request.settings, AutoencoderSettings)
        caption = clean(request.prompt)
        image, note = self._load_init(request.init, caption)
        first = to_tensor(image)[None].to(self.model.mean.device)
        last = self._find(settings.to) if settings.to else first
        state = BlendState(caption=caption, settings=settings, first=first, last=last)
        init = image if request.init is not None else None
        return state, self.describe_start(request, state, caption, "image", note, init=init)

    def step(self, state: BlendState) -> tuple[BlendState, ImageFrame]:
        state = replace(state, step=state.step + 1)
        return state, self.frame(state)

    def edit(self, state: BlendState, edit: Edit) -> BlendState:
        match edit:
            case SetSettings(settings=settings):
                settings = expect_settings(settings, AutoencoderSettings)
                last = self._find(settings.to) if settings.to else state.first
                return replace(state, settings=settings, last=last)
            case SetPrompt(prompt=prompt):
                caption = clean(prompt)
                first = self._find(caption)
                last = state.last if state.settings.to else first
                return replace(state, caption=caption, first=first, last=last)
        raise MisuseError("an autoencoder has no noise and no tokens; edit its caption or settings")

    @torch.inference_mode()
    def frame(self, state: BlendState) -> ImageFrame:
        """Side by side the blend of the pixels, the decoded blend of the latents, and their
        difference."""
        pixels = torch.lerp(state.first, state.last, state.share)
        with autocast(self.machine):
            first, last = map(self.model.encode, (state.first, state.last))
            decoded = self.model.decode(torch.lerp(first, last, state.share))
        decoded = decoded.float().clamp(-1, 1)
        parts = pixels, decoded, DIFFERENCE * (decoded - pixels)
        rgb = sheet(to_rgb(torch.cat(parts)), len(parts))
        return ImageFrame(
            trace=0,  # set by the trace
            step=state.step,
            sigma=0.0,
            width=len(parts) * SIDE,
            height=SIDE,
            x=rgb,
            denoised=rgb,
        )

    def total(self, state: BlendState) -> int:
        return max(state.step, state.settings.steps)

    def _load_init(self, init: RgbImage | str | None, caption: str) -> tuple[RgbImage, str]:
        """The first image, and how it was converted."""
        if isinstance(init, RgbImage):
            return check_image(init, SIDE), ""
        if init is None or init == FROM_DATA:
            rgb = as_pixels(self._find(caption)[0].cpu().numpy())
            return RgbImage(width=SIDE, height=SIDE, rgb=rgb.tobytes()), ""
        return read_image(Path(os.path.expanduser(init)), SIDE)

    def _find(self, caption: str) -> Tensor:
        """The image of a caption in the training data, [1, 3, 128, 128]. Data that is always here
        is searched first: other data may need a download or a package."""
        for name in sorted(self._recipe.datasets, key=has_to_come):
            if name not in self._sets:
                self._sets[name] = load_set(self._recipe, name)
            if (rgb := self._sets[name].compose(caption)) is not None:
                return torch.from_numpy(rgb)[None].to(self.model.mean.device)
        raise MisuseError(
            f"no image of {', '.join(self._recipe.datasets)} is captioned {clean_line(caption)!r}; "
            "name one as its caption does, such as 'red heart on black', or give an image"
        )


def load_autoencoder(
    checkpoint: Checkpoint[AutoencoderRecipe], machine: Machine
) -> AutoencoderGenerator:
    """The generator of a checkpoint; raises what `kinds.build_generator` says."""
    recipe = checkpoint.recipe
    model = load_frozen(lambda: Autoencoder(autoencoder_config(recipe)), checkpoint.tensors)
    return AutoencoderGenerator(model.to(machine.device), machine, recipe)
