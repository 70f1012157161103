"""The table of image datasets; their images as examples, and with labels."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import show
from genui.engine.data import fashion, icons
from genui.engine.data.dataset import Dataset, dataset_table, find_dataset
from genui.engine.data.image_files import SIDE
from genui.engine.data.images import (
    CaptionedImages,
    RawImages,
    Scheme,
    fingerprint,
    hold_out_images,
    hold_out_names,
    hold_out_pairs,
    shuffle_key,
)
from genui.engine.data.own_images import check_large, is_large, read_own
from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.data.things import kind_of_thing
from genui.formats.recipe import read_plan
from genui.protocol.kinds import KINDS
from genui.recipes import DiffusionRecipe, Recipe
from genui.recipes.classifier import ImageClassifierRecipe
from genui.runs.models import ModelInfo, find_model, read_header, weights_fingerprint

OWN_LICENCE = "the user's own"


@dataclass(frozen=True, kw_only=True)
class ImageDataset(Dataset):
    """A dataset of captioned images. `load()` returns RawImages.

    `hold_out` says what is never trained on: some `images`, all images of some `names` or the
    dataset's own `test set`.
    """

    side: int = SIDE  # pixels
    scheme: Scheme = "plain"
    hold_out: Literal["images", "names", "test set"] = "images"
    always_trained: frozenset[str] = frozenset()  # names never held out
    label_of: Callable[[str], str] | None = None
    """For classifiers: the function from a caption to its label, or "" for no label. By default
    the caption is the label."""
    reads: Callable[[str], bool] | None = None
    """Whether the path given to `--data` is in this dataset's own format. If so `load(path)` reads
    it, if not it is read as the user's own captioned images."""

    def split(self, raw: RawImages) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(trained, held out) indices."""
        match self.hold_out:
            case "names":
                return hold_out_names(raw.captions, self.always_trained)
            case "images":
                return hold_out_images(len(raw.captions))
            case "test set":
                trained = len(raw.captions) - raw.test
                return np.arange(trained), np.arange(trained, len(raw.captions))


_ONE_IMAGE = (
    "It was trained on one image per caption: a trained name gives that image again, with the "
    "deviation that 'error' measures. New are only combinations with colours."
)
_DERIVED_LABELS = (
    "Its categories were derived for genui from words in the names of the images. Images without "
    "such a word were left out of training and test. A few hundred small images are not enough to "
    "learn much: see 'held-out accuracy'."
)


def _of_kinds() -> dict[str, ImageDataset]:
    """The rows of images in the tables of kinds."""
    tables = (kind.datasets() for kind in KINDS.list_built_in() if kind.datasets)
    rows = ((name, row) for table in tables for name, row in table.items())
    return {name: row for name, row in rows if isinstance(row, ImageDataset)}


IMAGE_DATASETS = dataset_table(
    ImageDataset,
    (
        ImageDataset(
            name="icons",
            summary="plain shapes, each under its own name, in any two of ten colours",
            licence="Apache-2.0 (Material Design Icons 7, by Pictogrammers)",
            load=icons.read_icons,
            scheme="figure-ground",
            hold_out="names",
            label_of=kind_of_thing,
            limitations=_ONE_IMAGE,
            label_limitations=_DERIVED_LABELS,
        ),
        ImageDataset(
            name="emoji",
            summary="about 1,300 colour emoji, where the font is installed",
            licence="OFL-1.1 (Noto Color Emoji, by Google)",
            load=icons.read_emoji,
            check=icons.check_emoji,
            scheme="ground",
            hold_out="names",
            always_trained=icons.ALWAYS_TRAINED,
            label_of=kind_of_thing,
            limitations=_ONE_IMAGE,
            label_limitations=_DERIVED_LABELS,
        ),
        ImageDataset(
            name="fashion",
            summary="Fashion-MNIST: ten kinds of clothing, 7,000 grey images each",
            licence="MIT (Fashion-MNIST, by Zalando SE)",
            load=fashion.read_fashion,
            check=fashion.check_fashion,
            download=fashion.download_fashion,
            stand_in=fashion.random_fashion,
            hold_out="test set",
            reads=fashion.holds_idx,
            limitations="It draws ten kinds of clothing, grey, 28×28 pixels, as in the catalogue "
            "of a shop, and knows ten captions.",
        ),
    ),
    also=_of_kinds,
)


def side_of(dataset: str) -> int:
    """The side of the images of a dataset, in pixels; of a name that is none, of own images."""
    return IMAGE_DATASETS[dataset].side if dataset in IMAGE_DATASETS else SIDE


def load_images(
    dataset: str,
    data: str = "",
    every: bool = False,
    preparation: Preparation = QUIET,
    side: int = SIDE,
) -> CaptionedImages:
    """Load the dataset of that name, or the user's own file or folder `data`; with `every` also
    images past the limit of memory.

    Raises MisuseError for an unknown name, images that do not have that side, or unusable data,
    GenuiError if a font is not installed.
    """
    if data:
        row = IMAGE_DATASETS.get(dataset)
    else:
        row = find_dataset(IMAGE_DATASETS, dataset, "image dataset")
    if row is None or (data and not (row.reads and row.reads(data))):
        if side != SIDE:
            raise MisuseError(
                f"{show(Path(data))}: holds no data of {dataset}; own images become {SIDE}×{SIDE}, "
                f"and this model takes {side}×{side}"
            )
        return load_own(data, every, preparation)
    if row.side != side:
        raise MisuseError(
            f"dataset {row.name}: its images are {row.side}×{row.side}, and this model takes "
            f"{side}×{side}"
        )
    raw = RawImages(*row.read(*filter(None, [data]), preparation=preparation))
    _check(row, raw)
    return _split(row, raw, raw.licence or (OWN_LICENCE if data else row.licence))


def load_own(
    path: str | os.PathLike[str], every: bool = False, preparation: Preparation = QUIET
) -> CaptionedImages:
    """Load the user's own images; raises and takes what `read_own` does."""
    return _split(_OWN, read_own(path, every, preparation), OWN_LICENCE)


_OWN = ImageDataset(
    name="images", summary="the user's own images", licence=OWN_LICENCE, load=read_own
)


def _split(row: ImageDataset, raw: RawImages, licence: str) -> CaptionedImages:
    """Images, and the held-out part of them."""
    train, held_out = row.split(raw)
    return CaptionedImages(
        name=raw.name or row.name,
        licence=licence,
        fingerprint=raw.fingerprint or fingerprint(raw.rgba, raw.captions),
        rgba=raw.rgba,
        captions=raw.captions,
        scheme=row.scheme,
        train=train,
        held_out=held_out,
        held_pairs=hold_out_pairs() if row.scheme == "figure-ground" else frozenset(),
        test_set=row.hold_out == "test set",
        label_of=row.label_of,
        notes=raw.notes,
        styles=raw.styles,
        files=raw.files,
    )


def _check(row: ImageDataset, raw: RawImages) -> None:
    """Raise GenuiError if a loader returned arrays of the wrong dtype, shape or length."""
    name, side, rgba = row.name, row.side, raw.rgba
    if rgba.dtype != np.uint8 or rgba.ndim != 4 or rgba.shape[1:] != (side, side, 4):
        shape = f"{rgba.dtype} {list(rgba.shape)}"
        raise GenuiError(
            f"dataset {name}: its images are {shape}; uint8 [N, {side}, {side}, 4] are needed"
        )
    if not len(rgba) or len(rgba) != len(raw.captions) or raw.test >= len(rgba):
        raise GenuiError(
            f"dataset {name}: {len(rgba)} images, {len(raw.captions)} captions, {raw.test} to "
            "test on; give a caption an image, and images to train on"
        )


def check_images(recipe: Recipe, preparation: Preparation = QUIET) -> str:
    """Load the images of a recipe and describe them in one line."""
    if recipe.data and is_large(recipe.data):
        return check_large(recipe.data)
    images = load_images(recipe.dataset, recipe.data, preparation=preparation)
    return with_notes(f"{images.name}: {len(images):,} images", images.notes)


def check_diffusion_images(recipe: DiffusionRecipe, preparation: Preparation = QUIET) -> str:
    """`check_images`, and the model that drew those that the recipe is trained against."""
    line = check_images(recipe, preparation)
    return f"{line}; against what {find_reference(recipe).name} drew" if recipe.against else line


def with_notes(line: str, notes: Sequence[str]) -> str:
    """A line that describes a dataset and the images that were left out."""
    if not notes:
        return line
    more = f" (and {len(notes) - 1} more like it)" if len(notes) > 1 else ""
    return f"{line}; left out: {notes[0]}{more}"


# --- Generated datasets -----------------------------------------------------------------------

ALIKE = ("channels", "border", "sigma_data")
"""Settings that two models must share if their denoising errors are to be comparable."""

COMMAND = "genui generate MODEL -n 6000 --out FOLDER"


def find_reference(recipe: DiffusionRecipe) -> ModelInfo:
    """Find the model that generated the folder of images `recipe.against`.

    Raises MisuseError if no model generated it, or the model no longer exists, has other weights
    now, or is not comparable with the recipe.
    """
    folder = Path(recipe.against)
    try:
        plan = read_plan(folder)
    except GenuiError:
        raise MisuseError(
            f"against={show(folder)}: is not a folder of generated images; {COMMAND}"
        ) from None
    model = find_model(plan.model)
    if weights_fingerprint(model.path) != plan.fingerprint:
        raise MisuseError(
            f"against={show(folder)}: was generated with other weights of {plan.model}; "
            f"name a new folder: {COMMAND}"
        )
    reference = read_header(model.path).recipe
    if not isinstance(reference, DiffusionRecipe):
        raise MisuseError(f"against={show(folder)}: {model.name} is no diffusion model of images")
    for name in ALIKE:
        if getattr(reference, name) != getattr(recipe, name):
            raise MisuseError(
                f"against={show(folder)}: {model.name} has {name}={getattr(reference, name)} and "
                f"this recipe {getattr(recipe, name)}; start from it: --from {model.name}"
            )
    return model


# --- With labels ------------------------------------------------------------------------------

FEWEST = 12  # names of a kind; a kind with fewer is dropped
HELD_OUT_ONE_IN = 6  # if a dataset has no test set of its own
CAPTION_FEWEST = 2  # images of a caption, for it to be a label


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledImages:
    """Images with labels. Images without a label are neither trained on nor held out."""

    images: CaptionedImages
    labels: tuple[str, ...]
    targets: NDArray[np.int64]  # [N], -1 for an image without a label
    train: NDArray[np.int64]  # indices
    held_out: NDArray[np.int64]  # indices never trained

    def batch(
        self, indices: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Images [B, 3, 32, 32] in -1 to 1, in random colours, and their labels [B]."""
        return self.images.batch(indices, rng).rgb, self.targets[indices]


def load_labelled_images(
    dataset: str, data: str = "", preparation: Preparation = QUIET
) -> LabelledImages:
    """Load a dataset, or the user's folder, with labels.

    The labels are the captions, or what the dataset's `label_of` returns for them. Raises
    MisuseError if there are fewer than two usable labels, and whatever `load_images` raises.
    """
    images = load_images(dataset, data, preparation=preparation)
    label_of_image = images.captions
    if images.label_of:
        label_of_image = tuple(map(images.label_of, images.captions))
    counts = Counter(label_of_image)
    fewest = FEWEST if images.label_of else CAPTION_FEWEST
    labels = tuple(label for label in counts if label and counts[label] >= fewest)
    source = data or dataset
    if len(counts) == 1:
        raise MisuseError(
            f"{source}: every image is {label_of_image[0]!r}; "
            "a classifier needs two labels at the least"
        )
    if len(labels) < 2:
        raise MisuseError(
            f"{source}: no two captions stand at {fewest} images or more; "
            "a classifier needs several images of each label"
        )
    index_of = {label: i for i, label in enumerate(labels)}
    targets = np.array([index_of.get(label, -1) for label in label_of_image], np.int64)
    if images.test_set:
        train, held_out = (each[targets[each] >= 0] for each in (images.train, images.held_out))
    else:
        train, held_out = _split_labelled(targets, images.captions)
    return LabelledImages(
        images=images, labels=labels, targets=targets, train=train, held_out=held_out
    )


def check_labelled_images(recipe: ImageClassifierRecipe, preparation: Preparation = QUIET) -> str:
    """Load the labelled images of a recipe and describe them in one line."""
    data = load_labelled_images(recipe.dataset, recipe.data, preparation)
    return with_notes(describe_labelled(data), data.images.notes)


def describe_labelled(data: LabelledImages) -> str:
    """Describe the data in one line."""
    return (
        f"{data.images.name}: {len(data.labels)} labels, {len(data.train):,} images to train "
        f"on, {len(data.held_out):,} held out"
    )


def _split_labelled(
    targets: NDArray[np.int64], names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(trained, held out) indices: one in six of each label is held out by hash, at least one."""
    held: list[int] = []
    for label in range(targets.max() + 1):
        indices = np.flatnonzero(targets == label).tolist()
        indices.sort(key=lambda i: shuffle_key(f"{names[i]} {i}"))
        held += indices[: max(1, len(indices) // HELD_OUT_ONE_IN)]
    trained = np.setdiff1d(np.flatnonzero(targets >= 0), held)
    return trained, np.array(sorted(held), np.int64)
