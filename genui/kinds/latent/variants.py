"""The objects and the variants of icons as labels, for classifiers that judge generated ones."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.image_datasets import ImageDataset
from genui.engine.data.image_files import SIDE
from genui.engine.data.images import RawImages
from genui.kinds.latent.data import DATASETS, ICONS, MODIFIERS, read_icons
from genui.kinds.latent.denoiser_recipe import OBJECTS, VARIANTS

PLAIN = "plain"  # of an icon without modifiers


def split_name(name: str) -> tuple[str, str]:
    """The object and the variant of an icon's name: "bell", "outline off"."""
    modifiers: list[str] = []
    for modifier in reversed([*MODIFIERS.values()]):
        if name.endswith(f" {modifier}"):
            name, modifiers = name.removesuffix(f" {modifier}"), [modifier, *modifiers]
    return name, " ".join(modifiers) or PLAIN


def shrink(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images [N, S, S, 4] at [N, 32, 32, 4]: means of squares, of colours by their alpha."""
    factor = rgba.shape[1] // SIDE
    parts = rgba.reshape(len(rgba), SIDE, factor, SIDE, factor, 4).astype(np.float32)
    alpha = parts[..., 3:]
    total = alpha.mean(axis=(2, 4))
    colour = (parts[..., :3] * alpha).mean(axis=(2, 4)) / np.maximum(total, 1e-3)
    return np.rint(np.concatenate((colour, total), axis=-1)).astype(np.uint8)


def _read(part: int) -> RawImages:
    """The icons at 32×32, with a part of `split_name` as their captions."""
    raw = read_icons()
    captions = tuple(split_name(name)[part] for name in raw.captions)
    return raw._replace(rgba=shrink(raw.rgba), captions=captions)


_LABELS = replace(
    DATASETS[ICONS],
    side=SIDE,
    limitations="",
    label_limitations="It is tested on pairs of an object and a variant that it has not seen.",
)
LABEL_DATASETS: Mapping[str, ImageDataset] = {
    OBJECTS: replace(
        _LABELS, name=OBJECTS, summary="icons by object, 32×32", load=lambda: _read(0)
    ),
    VARIANTS: replace(
        _LABELS, name=VARIANTS, summary="icons by variant, 32×32", load=lambda: _read(1)
    ),
}
