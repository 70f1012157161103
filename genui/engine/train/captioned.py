"""What tasks on captioned pictures have in common, whatever objective they train by."""

from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from genui.engine.data.captions import Vocabulary
from genui.engine.data.pictures import load_pictures
from genui.recipes import DiffusionRecipe, GanRecipe

R = TypeVar("R", DiffusionRecipe, GanRecipe)


class CaptionedPicturesTask(Generic[R]):
    """The pictures of a recipe, the words of their captions, and what is to be said of them.

    The words are those of `extra` where it is given: they are what a checkpoint's weights know.
    """

    unit = "img"

    def __init__(self, recipe: R, device: torch.device, extra: dict[str, Any] | None) -> None:
        pictures = load_pictures(recipe.dataset, recipe.data)
        vocabulary = (
            Vocabulary(tuple(extra["words"])) if extra else Vocabulary.build(pictures.captions)
        )
        self._recipe, self._device = recipe, device
        self._pictures, self._vocabulary = pictures, vocabulary
        self.data_line = (
            f"{pictures.name}: {len(pictures.train):,} pictures to train on, "
            f"{len(pictures.held_out):,} held out, {len(vocabulary.words):,} words"
        )
        self.notes = pictures.notes + (_left_out(vocabulary, pictures.captions) if extra else ())
        self.units_per_step = recipe.batch
        self.units_per_epoch = len(pictures.train)  # drawn at random: seen once on average
        captions = recipe.sample_captions if not recipe.data else ()
        self._captions = captions or tuple(pictures.captions[i] for i in pictures.train[:8])
        self.extra = {
            "words": list(vocabulary.words),
            "captions": list(self._captions),
            "dataset": pictures.name,
            "fingerprint": pictures.fingerprint,
            "licence": pictures.licence,
        }

    def _words(self, captions: list[str]) -> Tensor:
        words = self._vocabulary.encode(captions, self._recipe.caption_words)
        return torch.from_numpy(words).to(self._device)


def _left_out(vocabulary: Vocabulary, captions: tuple[str, ...]) -> tuple[str, ...]:
    """A note on the words a vocabulary made for other data does not know, where there are any."""
    unknown = sorted({word for caption in captions for word in vocabulary.unknown(caption)})
    if not unknown:
        return ()
    return (
        f"{len(unknown)} words of these captions are not in the vocabulary the model came with "
        f"and all count as one: {', '.join(unknown[:8])}",
    )
