"""The spaces in which others' diffusion models draw: pixels, or latents of an autoencoder.

Latents of every step are shown through something cheap: a tiny autoencoder that lies beside the
model, or a linear map to colours that was fitted to the true decoder once. Only the last step of a
trace goes through the true decoder.
"""

import json
import math
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from genui.base import paths
from genui.base.errors import MisuseError
from genui.base.files import atomic_write
from genui.base.text import clean_line
from genui.engine.data.image_files import read_image
from genui.engine.sample.diffusion_state import DiffusionState, noise, read_mask
from genui.engine.sample.media import (
    InitialImage,
    check_bytes,
    grid_frame,
    scale_for_display,
    to_rgb,
)
from genui.protocol import FROM_DATA, ImageFrame, RgbImage


class Space(Protocol):
    """The meaning of a model's arrays, whose values are between about -1 and 1."""

    factor: int
    """Pixels of an image for one value."""

    def decode(self, x: Tensor) -> Tensor:
        """Images [B, 3, H, W] in -1 to 1 of clean arrays."""
        ...

    def encode(self, images: Tensor) -> Tensor:
        """The arrays of images [B, 3, H, W] in -1 to 1."""
        ...

    def preview(self, x: Tensor, clean: bool) -> Tensor:
        """Images [B, 3, H, W] of arrays, cheaply; `clean` if they are a prediction of x₀, and not
        noisy."""
        ...


class Pixels:
    """Images themselves, with one or three channels."""

    factor = 1

    def __init__(self, channels: int) -> None:
        self._channels = channels

    def decode(self, x: Tensor) -> Tensor:
        return x

    def encode(self, images: Tensor) -> Tensor:
        return images if self._channels == 3 else images.mean(dim=1, keepdim=True)

    def preview(self, x: Tensor, clean: bool) -> Tensor:
        return x


class Latents:
    """The latents of an autoencoder of diffusers, shifted and scaled as its network expects."""

    def __init__(self, vae: Any, tiny: Any = None, colours: Tensor | None = None) -> None:
        """`tiny` is an AutoencoderTiny, `colours` [C + 1, 3] the linear map, by default fitted
        now."""
        self._vae, self._tiny = vae, tiny
        mean, std = vae.config.get("latents_mean"), vae.config.get("latents_std")
        shift = mean if mean and std else [vae.config.get("shift_factor") or 0.0]
        scale = float(vae.config.scaling_factor)
        # [C] or [1]: latents = (z - shift) · scale
        self._shift = torch.tensor(shift, dtype=torch.float32).view(-1, 1, 1)
        self._scale = scale / torch.tensor(std if mean and std else [1.0]).view(-1, 1, 1)
        self.factor = 2 ** (len(vae.config.block_out_channels) - 1)
        self.colours = fit_colours(self.decode, vae) if colours is None else colours

    @torch.inference_mode()
    def decode(self, x: Tensor) -> Tensor:
        scale, shift = self._scale.to(x.device), self._shift.to(x.device)
        z = (x / scale + shift).to(self._vae.dtype)
        return torch.cat([self._vae.decode(row).sample.float() for row in z.split(1)])

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        latents = self._vae.encode(images.to(self._vae.dtype)).latent_dist.mode().float()
        scale, shift = self._scale.to(latents.device), self._shift.to(latents.device)
        return (latents - shift) * scale

    @torch.inference_mode()
    def preview(self, x: Tensor, clean: bool) -> Tensor:
        if clean and self._tiny is not None:
            return self._tiny.decode(x.to(self._tiny.dtype)).sample.float()
        x, weights = x.float(), self.colours.to(x.device)
        small = torch.einsum("bchw,ck->bkhw", x, weights[:-1]) + weights[-1].view(1, 3, 1, 1)
        return F.interpolate(small, scale_factor=float(self.factor), mode="bilinear")


# --- The linear map of latents to colours -------------------------------------------------------

_FIT_SIDE = 16  # latents of one side of an image
_FIT_BLUR = (1, 2, 4, 8)  # how far a sample's latents are smooth, in latents


def fit_colours(decode: Callable[[Tensor], Tensor], vae: Any) -> Tensor:
    """The best linear map [C + 1, 3] from latents, and a constant, to the mean colours that the
    decoder draws for them, in the least squares of random smooth latents."""
    channels = int(vae.config.latent_channels)
    weight = next(vae.parameters())
    samples = []
    for index, blur in enumerate(_FIT_BLUR):
        side = _FIT_SIDE // blur
        coarse = torch.from_numpy(noise((channels, side, side), 0, index))[None]
        samples.append(F.interpolate(coarse, size=_FIT_SIDE, mode="bicubic"))
    latents = torch.cat(samples)
    images = decode(latents.to(weight.device)).to("cpu")
    colours = F.adaptive_avg_pool2d(images, _FIT_SIDE)
    x = F.pad(latents.movedim(1, -1).reshape(-1, channels), (0, 1), value=1.0)
    y = colours.movedim(1, -1).reshape(-1, colours.shape[1]).expand(-1, 3)
    return torch.linalg.lstsq(x.double(), y.double()).solution.float()


def cached_colours(key: str, fit: Callable[[], Tensor]) -> Tensor:
    """The linear map that was fitted for the autoencoder `key` before, or is fitted now."""
    file = paths.cache_dir() / "latent-colours" / f"{key}.json"
    with suppress(OSError, ValueError, TypeError):
        colours = torch.tensor(json.loads(file.read_text()), dtype=torch.float32)
        if colours.ndim == 2 and colours.shape[1] == 3:
            return colours
    colours = fit()
    with suppress(OSError):
        os.makedirs(file.parent, exist_ok=True)
        atomic_write(file, json.dumps(colours.tolist()).encode())
    return colours


# --- The medium ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class OpenImages:
    """Images of a model whose arrays are of some Space, as a `genui.engine.sample.media.Medium`."""

    space: Space
    shape: tuple[int, int, int]
    patch: int = 1
    """The side of a token, which divides the side of the arrays."""

    medium = "image"

    def sized(self, side: int) -> "OpenImages":
        """The same for square images of `side` pixels. Raises MisuseError if it cannot be."""
        step = self.space.factor * self.patch
        if side % step:
            near = max(step, round(side / step) * step)
            raise MisuseError(
                f"size {side}: this model draws sides of multiples of {step}; use {near}"
            )
        values = side // self.space.factor
        return replace(self, shape=(self.shape[0], values, values))

    def parts(self, caption: str) -> tuple[str, ...]:
        return (caption,)

    def note(self, caption: str) -> str:
        return ""

    def frame(self, state: DiffusionState, sigma_data: float) -> ImageFrame:
        space = self.space
        x, predicted_noise = scale_for_display(state, sigma_data)
        if state.sigma == 0:
            noisy = denoised = space.decode(state.x)
        else:
            full = state.grid.base.settings.decoder == "every"
            show = space.decode if full else lambda x: space.preview(x, True)
            noisy, denoised = space.preview(x, False), show(state.denoised)
        predicted_noise = space.preview(predicted_noise, False)
        return grid_frame(state, to_rgb(noisy), to_rgb(denoised), to_rgb(predicted_noise))

    def load_init(self, init: RgbImage | str, caption: str) -> InitialImage:
        height, width = (side * self.space.factor for side in self.shape[1:])
        if init == FROM_DATA:
            raise MisuseError("this model's training images are not here: name an image")
        rgb, note = _read_rgb(init, width, height)
        pixels = np.array(rgb, np.float32) / 127.5 - 1
        image = RgbImage(width=width, height=height, rgb=rgb.tobytes())
        clean = self.space.encode(torch.from_numpy(pixels).movedim(-1, 0)[None])[0]
        return InitialImage(image, clean.to("cpu"), note)

    def read_mask(self, mask: bytes) -> Tensor:
        """As in Medium. A square mask of any size is fitted: each value takes the nearest pixel."""
        _, height, width = self.shape
        side = math.isqrt(len(mask))
        if side * side != len(mask) or len(mask) == height * width:
            return read_mask(mask, height, width)
        small = read_mask(mask, side, side)
        return F.interpolate(small[None, None].float(), size=(height, width))[0, 0] > 0.5


def _read_rgb(init: RgbImage | str, width: int, height: int) -> tuple[Image.Image, str]:
    """An image, or an image file, cut to the proportions and scaled to width × height, and a
    note if it was changed. Raises MisuseError if it cannot be read."""
    if isinstance(init, RgbImage):
        check_bytes(init)
        image, name = Image.frombytes("RGB", (init.width, init.height), init.rgb), ""
    else:
        path = Path(os.path.expanduser(init))
        name = clean_line(path.name)
        image = read_image(path, _on_white)
    if image.size == (width, height):
        return image, ""
    note = f"{name}: {image.width}×{image.height} fitted to {width}×{height}" if name else ""
    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS), note


def _on_white(image: Image.Image, mode: str) -> Image.Image:
    """An RGBA image as RGB."""
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, image).convert("RGB")
