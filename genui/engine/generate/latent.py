"""Walking through the latent space of a GAN, a move at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genui.engine.data.captions import Vocabulary
from genui.engine.device import Machine, autocast
from genui.engine.generate.directions import directions
from genui.engine.generate.grid import check_axes, parsed
from genui.engine.generate.latent_state import Spot, WalkState, beginning, point
from genui.engine.generate.pixels import sheet, to_rgb
from genui.engine.models.filled import load_frozen
from genui.engine.models.gan import GAN, SIDE, gan_config
from genui.errors import MisuseError
from genui.protocol import (
    Axis,
    BasisName,
    Edit,
    ImageFrame,
    LatentSettings,
    SetPrompt,
    SetSeed,
    SetSettings,
    Settings,
    Start,
    Started,
)
from genui.recipes.gan import GanRecipe
from genui.render.sanitise import clean

BATCH = 64  # pictures drawn at once by `draw`


class LatentGenerator:
    """One GAN; a step is one move of every picture in the state.

    `captions` are some that it was trained on, from which the directions of "pca" are found.
    """

    family = "gan"

    def __init__(
        self,
        model: GAN,
        vocabulary: Vocabulary,
        machine: Machine,
        captions: Sequence[str] = (),
        longest: int = 12,
    ) -> None:
        self.model = model.eval()
        self._vocabulary = vocabulary
        self._machine = machine
        self._captions = list(captions) or [""]
        self._longest = longest  # words of a caption that are read
        self._device = next(model.parameters()).device
        self._bases: dict[BasisName, np.ndarray] = {}

    # --- a trace ----------------------------------------------------------------------

    def begin(self, request: Start) -> tuple[WalkState, Started]:
        """The first point of the walk. Raises MisuseError where the request does not fit."""
        if request.init is not None or request.forward:
            raise MisuseError("a GAN begins from a seed, not from a picture: leave the picture out")
        caption = clean(request.prompt)
        settings, basis = self._checked(request.settings)
        spots = tuple(
            Spot(caption=words, seed=seed, origin=beginning(seed, settings, basis))
            for words, seed in _spread(caption, request.seed, request.grid)
        )
        columns = len(request.grid[0].values) if request.grid else 1
        state = WalkState(spots=spots, columns=columns, settings=settings, directions=basis)
        return state, Started(
            trace=request.trace,
            model=request.model,
            family=self.family,
            medium="image",
            prompt=caption,
            total_steps=state.total,
            note=self.note(state),
        )

    def step(self, state: WalkState) -> tuple[WalkState, ImageFrame]:
        """One move on."""
        state = replace(state, step=state.step + 1)
        return state, self.frame(state)

    def edit(self, state: WalkState, edit: Edit) -> WalkState:
        """From this point on otherwise. Raises MisuseError where the edit does not fit."""
        match edit:
            case SetSettings(settings=settings):
                return state.turned(*self._checked(settings))
            case SetSeed(seed=seed):
                return state.turned(state.settings, state.directions, seed)
            case SetPrompt(prompt=prompt):
                caption = clean(prompt)
                spots = tuple(replace(spot, caption=caption) for spot in state.spots)
                return replace(state, spots=spots)
        raise MisuseError("a walk has no noise and no tokens; edit its caption, seed or settings")

    def frame(self, state: WalkState) -> ImageFrame:
        """The pictures at this point, side by side, and what the discriminator says of the
        first."""
        latents = state.settings.truncation * state.latents()
        drawn, scores = self._drawn(latents, [spot.caption for spot in state.spots])
        rgb = sheet(drawn, state.columns)
        return ImageFrame(
            trace=0,  # the trace numbers its frames
            step=state.step,
            sigma=0.0,
            width=state.columns * SIDE,
            height=len(state.spots) // state.columns * SIDE,
            x=rgb,
            guess=rgb,
            score=round(float(scores[0]), 4),
            along=state.along(),
        )

    def note(self, state: WalkState) -> str:
        """Words of the captions in force that the model does not know or does not read."""
        captions = [spot.caption for spot in state.spots]
        return "; ".join(self._vocabulary.unread(captions, self._longest))

    def finished(self, state: WalkState) -> bool:
        return state.step >= state.total

    def total(self, state: WalkState) -> int:
        """The step at which the walk ends."""
        return state.total

    # --- drawing ----------------------------------------------------------------------

    def draw(
        self, captions: Sequence[str], seeds: Sequence[int], settings: LatentSettings
    ) -> np.ndarray:
        """The seeds' own pictures, uint8 [B, 32, 32, 3]; `settings` say how they are blended,
        moved and truncated. Raises MisuseError where they do not fit."""
        settings, basis = self._checked(settings)
        latents = settings.truncation * np.stack([point(seed, settings, basis) for seed in seeds])
        parts = [
            self._drawn(latents[at : at + BATCH], captions[at : at + BATCH])[0]
            for at in range(0, len(seeds), BATCH)
        ]
        return np.concatenate(parts)

    @torch.inference_mode()
    def _drawn(self, latents: np.ndarray, captions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Pictures uint8 [B, 32, 32, 3] of latents [B, Z], and their scores [B]."""
        words = self._words(captions)
        z = torch.from_numpy(np.asarray(latents, np.float32)).to(self._device)
        with autocast(self._machine):
            pictures = self.model.generator(z, words).float().clamp(-1, 1)
            scores = self.model.discriminator(pictures, words).float()
        return to_rgb(pictures), scores.cpu().numpy()

    def _words(self, captions: Sequence[str]) -> Tensor:
        return torch.from_numpy(self._vocabulary.encode(captions, self._longest)).to(self._device)

    # --- settings ---------------------------------------------------------------------

    def _checked(self, settings: Settings) -> tuple[LatentSettings, np.ndarray]:
        """The settings, and the directions [D, Z] they count in.

        Raises MisuseError where they are not a walk's, or name a direction there is not.
        """
        if not isinstance(settings, LatentSettings):
            raise MisuseError("a GAN needs the settings of a walk: direction, steps, truncation …")
        if settings.basis not in self._bases:
            found = directions(self.model.generator, settings.basis, self._words(self._captions))
            self._bases[settings.basis] = found.cpu().numpy()
        basis = self._bases[settings.basis]
        if settings.direction > len(basis):
            raise MisuseError(
                f"direction {settings.direction}: this model has {len(basis)}, from 1 on"
            )
        if not all(map(np.isfinite, settings.at)) or len(settings.at) > len(basis):
            raise MisuseError(f"at: give up to {len(basis)} finite numbers, one a direction")
        return settings, basis


def _spread(caption: str, seed: int, grid: Sequence[Axis]) -> list[tuple[str, int]]:
    """Captions and seeds of a grid's pictures, left to right, then down; of none, these.

    Raises MisuseError for what does not vary in a walk, or for too many pictures.
    """
    check_axes(grid)
    rows = [(caption, seed)]
    for axis in grid:
        if axis.name == "caption":
            rows = [(clean(value), at) for value in axis.values for _, at in rows]
        elif axis.name == "seed":
            seeds = [int(parsed(axis.name, value)) for value in axis.values]
            rows = [(words, value) for value in seeds for words, _ in rows]
        else:
            raise MisuseError(f"grid: a walk has no {axis.name}; vary seed or caption")
    return rows


def load_latent_model(
    recipe: GanRecipe,
    tensors: dict[str, Tensor],
    described: Mapping[str, Any],
    machine: Machine,
    device: torch.device,
) -> LatentGenerator:
    """The generator of a checkpoint's weights; errors as `kinds.build_generator` says."""
    vocabulary = Vocabulary(tuple(described["words"]))
    model = load_frozen(lambda: GAN(gan_config(recipe, vocabulary.size)), tensors).to(device)
    captions = tuple(map(str, described["captions"]))
    return LatentGenerator(model, vocabulary, machine, captions, recipe.caption_words)
