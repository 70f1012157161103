"""GANs as generators: walks through latent space, a move at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genui.base.errors import MisuseError
from genui.base.text import clean
from genui.engine.data.captions import Vocabulary
from genui.engine.device import Machine, autocast
from genui.engine.models.frozen import load_frozen
from genui.engine.models.gan import GAN, SIDE, Generator, gan_config
from genui.engine.sample.diffusion_state import check_axes, parse_value
from genui.engine.sample.media import sheet, to_rgb
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
from genui.protocol.edits import seed_step
from genui.recipes.gan import GanRecipe

# --- The state of a walk: immutable, each point a function of its step ------------------------

Latent = NDArray[np.float32]  # [Z]


@dataclass(frozen=True, kw_only=True)
class Spot:
    """One image of a walk: what it is drawn from, and where it stood at step `since`."""

    caption: str
    seed: int
    origin: Latent = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class WalkState:
    """A walk at `step`: since step `since` it goes from the spots' origins as `settings` say."""

    spots: tuple[Spot, ...]
    columns: int
    settings: LatentSettings
    directions: NDArray[np.float32] = field(repr=False)  # [D, Z], unit vectors
    since: int = 0
    step: int = 0

    @property
    def total(self) -> int:
        return self.settings.steps

    def latents(self) -> Latent:
        """Where every image is now, before truncation: float32 [B, Z]."""
        settings, gone = self.settings, self.step - self.since
        origins = np.stack([spot.origin for spot in self.spots])
        if settings.to is None:
            return origins + gone * stride(settings) * self.directions[settings.direction - 1]
        share = settings.share * gone / max(1, self.total - self.since)
        goal = seed_latent(settings.to, origins.shape[1])
        return np.stack([slerp(origin, goal, share) for origin in origins])

    def along(self) -> tuple[float, ...]:
        """Where the first image is along each direction, in standard deviations."""
        return tuple(round(float(at), 4) for at in self.directions @ self.latents()[0])

    def turned(
        self,
        settings: LatentSettings,
        directions: NDArray[np.float32],
        seed: int | None = None,
    ) -> "WalkState":
        """Going on from here by other settings, or as another seed where one is given.

        The point stands, but for what the seed, `blend` and `at` put it at from the start:
        where those are others it moves as far as they do.
        """
        spots = []
        for spot, latent in zip(self.spots, self.latents(), strict=True):
            new = spot.seed if seed is None else seed
            moved = latent - point(spot.seed, self.settings, self.directions)
            origin = moved + point(new, settings, directions)
            spots.append(replace(spot, seed=new, origin=origin))
        return replace(
            self, spots=tuple(spots), settings=settings, directions=directions, since=self.step
        )


def stride(settings: LatentSettings) -> float:
    """How far one move along a direction goes."""
    return 2 * settings.reach / settings.steps


def beginning(seed: int, settings: LatentSettings, directions: NDArray[np.float32]) -> Latent:
    """Where the walk of a seed begins, [Z]: its point, or, along a direction, so far before it
    that it is reached at step `own_step`."""
    start = point(seed, settings, directions)
    if settings.to is not None:
        return start
    before = np.float32(seed_step(settings) * stride(settings))
    return start - before * directions[settings.direction - 1]


def point(seed: int, settings: LatentSettings, directions: NDArray[np.float32]) -> Latent:
    """The point of a seed, blended with others and moved along directions as the settings say."""
    start = blended((seed, *settings.blend), directions.shape[1])
    for moved, direction in zip(settings.at, directions, strict=False):
        start = start + np.float32(moved) * direction
    return start


def seed_latent(seed: int, size: int) -> Latent:
    """The point of a seed: standard normal [size]."""
    return np.random.default_rng((seed,)).standard_normal(size, np.float32)


def blended(seeds: Sequence[int], size: int) -> Latent:
    """Between the points of several seeds, in equal parts, as far out as each of them is.

    The mean of n independent normal latents is √n times too near to the middle.
    """
    mean = np.mean([seed_latent(seed, size) for seed in seeds], axis=0)
    return (mean * len(seeds) ** 0.5).astype(np.float32)


def slerp(start: Latent, goal: Latent, share: float) -> Latent:
    """Along the arc from `start` (share 0) to `goal` (share 1), Shoemake 1985.

    A straight line would pass through the middle of the space, where hardly any latent lies
    (White 2016). The length goes evenly from the one to the other.
    """
    lengths = np.linalg.norm(start), np.linalg.norm(goal)
    cosine = float(np.dot(start, goal) / max(float(lengths[0] * lengths[1]), 1e-12))
    angle = float(np.arccos(np.clip(cosine, -1, 1)))
    if np.sin(angle) < 1e-4:  # the same direction, or opposite ones, between which no arc is
        return ((1 - share) * start + share * goal).astype(np.float32)
    a, b = np.sin((1 - share) * angle), np.sin(share * angle)
    turned = (a * start / lengths[0] + b * goal / lengths[1]) / np.sin(angle)
    return (turned * ((1 - share) * lengths[0] + share * lengths[1])).astype(np.float32)


# --- Directions of a generator's latent space along which images change the most ------------

MOST = 8  # directions that are offered
SAMPLES = 1024  # latents that the activations are looked at of


def directions(generator: Generator, basis: BasisName, token_ids: Tensor) -> Tensor:
    """The strongest first: unit vectors [min(MOST, Z), Z], the same for the same weights.

    - `sefa`: closed-form factorisation of the first layer (Shen & Zhou 2021): the latents
      that it lengthens the most, the right singular vectors of its weights.
    - `pca`: principal components of what the first stage makes of random latents with these
      captions [C, L], and the latents that lead along them (GANSpace, Härkönen et al. 2020).

    Either end of a direction is as good: its largest number is made positive.
    """
    basis_vectors = _sefa(generator) if basis == "sefa" else _pca(generator, token_ids)
    basis_vectors = basis_vectors[:MOST] / basis_vectors[:MOST].norm(dim=1, keepdim=True)
    largest = basis_vectors.gather(1, basis_vectors.abs().argmax(dim=1, keepdim=True))
    return basis_vectors * largest.sign()


@torch.inference_mode()
def _sefa(generator: Generator) -> Tensor:
    weights = generator.first.weight[:, : generator.config.latent].double()
    return torch.linalg.svd(weights, full_matrices=False).Vh.float()


@torch.inference_mode()
def _pca(generator: Generator, token_ids: Tensor) -> Tensor:
    """Directions as the regression of latents on the components' coordinates."""
    size = generator.config.latent
    drawn = np.random.default_rng(0).standard_normal((SAMPLES, size), np.float32)
    latents = torch.from_numpy(drawn).to(token_ids.device)
    count = len(token_ids)
    repeated = token_ids[torch.arange(SAMPLES, device=token_ids.device) % count]
    activations = generator.first_stage(latents, repeated).flatten(1)
    # What the caption decides is no direction of the latents.
    for row in range(count):
        activations[row::count] -= activations[row::count].mean(dim=0)
    count = min(MOST, size)
    coordinates, spread, _ = torch.linalg.svd(activations.double(), full_matrices=False)
    coordinates = coordinates[:, :count] * spread[:count]
    return torch.linalg.lstsq(coordinates, latents.double()).solution.float()


# --- Walking through the latent space of a GAN, a move at a time ------------------------------

BATCH = 64  # images drawn at once by `draw`


class LatentGenerator:
    """One GAN; a step is one move of every image in the state.

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
            raise MisuseError("a GAN begins from a seed, not from an image: leave the image out")
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
        """The images at this point, side by side, and what the discriminator says of the
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
            denoised=rgb,
            score=round(float(scores[0]), 4),
            along=state.along(),
        )

    def note(self, state: WalkState) -> str:
        """Words of the captions in force that the model does not know or does not read."""
        captions = [spot.caption for spot in state.spots]
        return "; ".join(self._vocabulary.remarks(captions, self._longest))

    def finished(self, state: WalkState) -> bool:
        return state.step >= state.total

    def total(self, state: WalkState) -> int:
        """The step at which the walk ends."""
        return state.total

    # --- drawing ----------------------------------------------------------------------

    def draw(
        self, captions: Sequence[str], seeds: Sequence[int], settings: LatentSettings
    ) -> np.ndarray:
        """The seeds' own images, uint8 [B, 32, 32, 3]; `settings` say how they are blended,
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
        """Images uint8 [B, 32, 32, 3] of latents [B, Z], and their scores [B]."""
        token_ids = self._token_ids(captions)
        z = torch.from_numpy(np.asarray(latents, np.float32)).to(self._device)
        with autocast(self._machine):
            images = self.model.generator(z, token_ids).float().clamp(-1, 1)
            scores = self.model.discriminator(images, token_ids).float()
        return to_rgb(images), scores.cpu().numpy()

    def _token_ids(self, captions: Sequence[str]) -> Tensor:
        return torch.from_numpy(self._vocabulary.encode(captions, self._longest)).to(self._device)

    # --- settings ---------------------------------------------------------------------

    def _checked(self, settings: Settings) -> tuple[LatentSettings, np.ndarray]:
        """The settings, and the directions [D, Z] they count in.

        Raises MisuseError where they are not a walk's, or name a direction there is not.
        """
        if not isinstance(settings, LatentSettings):
            raise MisuseError("a GAN needs the settings of a walk: direction, steps, truncation …")
        if settings.basis not in self._bases:
            found = directions(
                self.model.generator, settings.basis, self._token_ids(self._captions)
            )
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
    """Captions and seeds of a grid's images, left to right, then down; of none, these.

    Raises MisuseError for what does not vary in a walk, or for too many images.
    """
    check_axes(grid)
    rows = [(caption, seed)]
    for axis in grid:
        if axis.name == "caption":
            rows = [(clean(value), at) for value in axis.values for _, at in rows]
        elif axis.name == "seed":
            seeds = [int(parse_value(axis.name, value)) for value in axis.values]
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
