"""The things that diffusion models generate, as a `Medium`, with the medium of images.

A medium knows the shape of its arrays, how to load an initial image, and how to turn a state into a
frame with images and sound. `DiffusionGenerator` only sees arrays [C, H, W].
"""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.engine.data.captions import COLOURS, DEFAULT_GROUND, split_words
from genui.engine.data.image_datasets import load_images
from genui.engine.data.image_files import SIDE, read_square
from genui.engine.data.images import CaptionedImages, as_floats, as_pixels
from genui.engine.models.dit import DIT_SIDE
from genui.engine.sample.diffusion_state import DiffusionState, read_mask
from genui.protocol import FROM_DATA, ImageFrame, RgbImage
from genui.recipes import DiffusionRecipe, Recipe


@dataclass(frozen=True)
class InitialImage:
    """The start that `Start.init` asks for."""

    image: RgbImage  # as the model sees it; stored in the recipe, so that a replay needs no file
    clean: Tensor = field(repr=False)  # [C, H, W] in -1 to 1, a function of `image`
    note: str = ""  # how it was found or converted


class Medium(Protocol):
    """The meaning of a diffusion model's arrays."""

    @property
    def medium(self) -> str:
        """Its name in `genui.protocol.kinds`."""
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """[C, H, W] of one sample."""
        ...

    def parts(self, caption: str) -> tuple[str, ...]:
        """The captions of the samples for one request, at least one.

        An image is one sample; spoken words are one sample each, shown side by side.
        """
        ...

    def note(self, caption: str) -> str:
        """A remark on how the caption is read; "" if there is none."""
        ...

    def frame(self, state: DiffusionState, sigma_data: float) -> ImageFrame:
        """The frame of a state; `sigma_data` is the standard deviation of clean data."""
        ...

    def load_init(self, init: RgbImage | str, caption: str) -> InitialImage:
        """Load `Start.init`: an image, the path of a file, or FROM_DATA.

        Raises MisuseError if it cannot be used, GenuiError if the data is missing.
        """
        ...

    def read_mask(self, mask: bytes) -> Tensor:
        """bool [H, W] of a mask, True where the sample may change. Raises MisuseError if it does
        not fit."""
        ...


# --- Arrays in -1 to 1 as bytes ---------------------------------------------------------------

NOISE_SHOWN = 3.0  # standard deviations of noise on either side of mid-grey


def to_rgb(x: Tensor) -> NDArray[np.uint8]:
    """Images [B, 3, H, W] or [B, 1, H, W] in -1 to 1 as uint8 [B, H, W, 3]."""
    scaled = ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).cpu().numpy()


def sheet(rgb: NDArray[np.uint8], columns: int) -> bytes:
    """Images [B, H, W, 3] as one with `columns` columns: RGB bytes, row by row. Clips
    [B, T, H, W, 3] are T such images, one for each time."""
    rows = np.moveaxis(rgb.reshape(-1, columns, *rgb.shape[1:]), 1, -3)  # [R, .., H, columns, W, 3]
    return (rows if rgb.ndim == 4 else rows.swapaxes(0, 1)).tobytes()


def scale_for_display(state: DiffusionState, sigma_data: float) -> tuple[Tensor, Tensor]:
    """The noisy arrays and the predicted noise, scaled to the displayed range -1 to 1.

    x is scaled to the standard deviation of clean data; otherwise it would be black and white.
    """
    sigma = state.sigma
    x = state.x * sigma_data / math.hypot(sigma, sigma_data)
    noise = (state.x - state.denoised) / sigma if sigma else torch.zeros_like(x)
    return x, noise / NOISE_SHOWN


def grid_frame(
    state: DiffusionState,
    x: NDArray[np.uint8],
    denoised: NDArray[np.uint8],
    noise: NDArray[np.uint8],
) -> ImageFrame:
    """The state's images [B, H, W, 3], or clips [B, T, H, W, 3], side by side."""
    columns = state.grid.columns
    height, width = x.shape[-3:-1]
    return ImageFrame(
        trace=0,  # set by the trace
        step=state.step,
        sigma=state.sigma,
        width=columns * width,
        height=len(x) // columns * height,
        images=1 if x.ndim == 4 else x.shape[1],
        x=sheet(x, columns),
        denoised=sheet(denoised, columns),
        noise=sheet(noise, columns),
    )


# --- Images: 32×32, colour or grey ------------------------------------------------------------


@dataclass(frozen=True)
class ImageMedium:
    """Images with the channels of `recipe`, by default RGB; it also names the training data."""

    recipe: DiffusionRecipe | None = None

    medium = "image"

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.recipe.channels if self.recipe else 3, DIT_SIDE, DIT_SIDE)

    @property
    def border(self) -> int:
        """Black pixels on each side, which the network does not see."""
        return self.recipe.border if self.recipe else 0

    def parts(self, caption: str) -> tuple[str, ...]:
        return (caption,)

    def note(self, caption: str) -> str:
        return ""

    def decode(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] in -1 to 1 of clean arrays: here the arrays themselves."""
        return x

    def frame(self, state: DiffusionState, sigma_data: float) -> ImageFrame:
        x, noise = scale_for_display(state, sigma_data)
        return grid_frame(state, to_rgb(x), to_rgb(state.denoised), to_rgb(noise))

    def load_init(self, init: RgbImage | str, caption: str) -> InitialImage:
        image, note = initial_image(init, caption, self.recipe)
        clean = to_tensor(image)
        if self.shape[0] == 1:
            clean = clean.mean(dim=0, keepdim=True)
        return InitialImage(image, clean, note)

    def read_mask(self, mask: bytes) -> Tensor:
        return read_mask(mask, *self.shape[1:])


def initial_image(
    init: RgbImage | str, caption: str, recipe: Recipe | None, side: int = SIDE
) -> tuple[RgbImage, str]:
    """`Start.init` as RGB of that side, and how it was found or converted.

    Raises MisuseError if it cannot be used, GenuiError if the data needs a font that is not
    installed.
    """
    if isinstance(init, RgbImage):
        return check_image(init, side), ""
    if init == FROM_DATA:
        if recipe is None:
            raise MisuseError("this model does not say what it was trained on: name an image")
        images = load_images(recipe.dataset, recipe.data, side=side)
        return nearest_training_image(images, caption)
    return read_image(Path(os.path.expanduser(init)), side)


def read_image(path: Path, side: int = SIDE) -> tuple[RgbImage, str]:
    """An image file, fitted to a square on white, and what was changed."""
    square = read_square(path, side=side)
    rgba = square.rgba.astype(np.float32)
    alpha = rgba[..., 3:] / 255
    image = _image(np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8))
    note = f"{clean_line(path.name)}: {', '.join(square.changes)}" if square.changes else ""
    return image, note.replace("filled", "filled with white")


def nearest_training_image(images: CaptionedImages, caption: str) -> tuple[RgbImage, str]:
    """The training image that shares the most words with the caption, in the caption's colours,
    and a note with its own caption. Raises MisuseError if no image shares a word.
    """
    words = split_words(caption)
    relevant = set(words) - {"on"}

    def score(name: str) -> tuple[int, int]:
        name_words = split_words(name)
        return len(relevant & set(name_words)), -len(name_words)  # of equals the shortest

    name = max((images.captions[i] for i in images.train), key=score)
    if not score(name)[0]:
        raise MisuseError(
            f"{images.name}: no training image is named like {clean_line(caption)!r}; "
            "name one in the caption, or give an image"
        )
    recoloured = _recolour(name, words, images.scheme)
    rgb = images.compose(recoloured)
    assert rgb is not None  # a training image in two different colours of the palette
    return _image(as_pixels(rgb)), f"starts from the training image “{clean_line(recoloured)}”"


def find_ground(words: tuple[str, ...]) -> str:
    """The background colour that a caption ends with ("… on blue"), or the default one."""
    *_, before, last = "", *words
    return last if before == "on" and last in COLOURS else DEFAULT_GROUND


def _recolour(name: str, words: tuple[str, ...], scheme: str) -> str:
    """The name as a caption of the dataset's colour scheme, with the colours among the words."""
    if scheme == "plain":
        return name
    ground = find_ground(words)
    if scheme == "ground":
        return f"{name} on {ground}"
    return f"{find_colour(words, ground)} {name} on {ground}"


def find_colour(words: tuple[str, ...], ground: str) -> str:
    """The colour that a caption begins with, else white or black, different from the ground."""
    candidates = (*words[:1], "white", "black")
    return next(word for word in candidates if word in COLOURS and word != ground)


def check_image(image: RgbImage, side: int = SIDE) -> RgbImage:
    """The image. Raises MisuseError if it has another side or too few bytes."""
    if (image.width, image.height) != (side, side):
        raise MisuseError(
            f"the image to start from is {image.width}×{image.height}: "
            f"this model draws {side}×{side}"
        )
    check_bytes(image)
    return image


def check_bytes(image: RgbImage, what: str = "image") -> None:
    """Raises MisuseError unless the image has three bytes per pixel, and a pixel."""
    expected = image.width * image.height * 3
    if len(image.rgb) != expected or not image.rgb:
        raise MisuseError(
            f"the {what} to start from has {len(image.rgb)} bytes: "
            f"{image.width}×{image.height} RGB has {expected}"
        )


def _image(rgb: NDArray[np.uint8]) -> RgbImage:
    """The image of an array [H, W, 3]."""
    return RgbImage(width=rgb.shape[1], height=len(rgb), rgb=rgb.tobytes())


def to_tensor(image: RgbImage) -> Tensor:
    """An image as [3, H, W] in -1 to 1."""
    rgb = np.frombuffer(image.rgb, np.uint8).reshape(image.height, image.width, 3)
    return torch.from_numpy(as_floats(rgb))
