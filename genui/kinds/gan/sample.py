"""Generation with GANs: walks through latent space, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genui.base.errors import MisuseError
from genui.base.text import clean
from genui.engine.data.captions import Vocabulary
from genui.engine.device import Machine, autocast
from genui.engine.kinds import Checkpoint
from genui.engine.models.frozen import load_frozen
from genui.engine.sample import trace
from genui.engine.sample.diffusion_state import parse_value
from genui.engine.sample.media import sheet, to_rgb
from genui.kinds.gan.network import GAN, SIDE, Generator, gan_config
from genui.kinds.gan.recipe import GanRecipe
from genui.kinds.gan.walk import BasisName, LatentSettings, WalkFrame
from genui.protocol import Axis, Edit, SetPrompt, SetSeed, SetSettings, Settings, Start, Started
from genui.protocol.settings import check_axes

# --- The state of a walk ----------------------------------------------------------------------

Latent = NDArray[np.float32]  # [Z]


@dataclass(frozen=True, kw_only=True)
class WalkImage:
    """The inputs of one image of a walk, and its latent at step `since`."""

    caption: str
    seed: int
    origin: Latent = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class WalkState:
    """The immutable state at `step` of a walk that goes from the origins since step `since`."""

    images: tuple[WalkImage, ...]
    columns: int
    settings: LatentSettings
    directions: NDArray[np.float32] = field(repr=False)  # [D, Z], unit vectors
    since: int = 0
    step: int = 0

    @property
    def total(self) -> int:
        return self.settings.steps

    def latents(self) -> Latent:
        """The current latents before truncation: float32 [B, Z]."""
        settings, steps = self.settings, self.step - self.since
        origins = np.stack([image.origin for image in self.images])
        if settings.to is None:
            return origins + steps * step_length(settings) * self.directions[settings.direction - 1]
        share = settings.share * steps / max(1, self.total - self.since)
        goal = seed_latent(settings.to, origins.shape[1])
        return np.stack([slerp(origin, goal, share) for origin in origins])

    def coordinates(self) -> tuple[float, ...]:
        """The first latent's coordinate along each direction, in standard deviations."""
        return tuple(round(float(at), 4) for at in self.directions @ self.latents()[0])

    def redirect(
        self,
        settings: LatentSettings,
        directions: NDArray[np.float32],
        seed: int | None = None,
    ) -> "WalkState":
        """Continue from here with other settings, and another seed if one is given.

        The latents stay where they are, shifted only as far as a new seed, `blend` or `at` shifts
        the seed's point.
        """
        images = []
        for image, latent in zip(self.images, self.latents(), strict=True):
            new = image.seed if seed is None else seed
            offset = latent - seed_point(image.seed, self.settings, self.directions)
            origin = offset + seed_point(new, settings, directions)
            images.append(replace(image, seed=new, origin=origin))
        return replace(
            self, images=tuple(images), settings=settings, directions=directions, since=self.step
        )


def step_length(settings: LatentSettings) -> float:
    """The length of one step along a direction."""
    return 2 * settings.reach / settings.steps


def walk_origin(seed: int, settings: LatentSettings, directions: NDArray[np.float32]) -> Latent:
    """The first latent [Z] of a seed's walk: the seed's point, or along a direction a point before
    it, so that the walk reaches it at `seed_step`."""
    start = seed_point(seed, settings, directions)
    if settings.to is not None:
        return start
    before = np.float32(settings.seed_step * step_length(settings))
    return start - before * directions[settings.direction - 1]


def seed_point(seed: int, settings: LatentSettings, directions: NDArray[np.float32]) -> Latent:
    """The latent [Z] of a seed, with the settings' `blend` and `at`."""
    start = blend_seeds((seed, *settings.blend), directions.shape[1])
    for offset, direction in zip(settings.at, directions, strict=False):
        start = start + np.float32(offset) * direction
    return start


def seed_latent(seed: int, size: int) -> Latent:
    """The latent of a seed: standard normal [size]."""
    return np.random.default_rng((seed,)).standard_normal(size, np.float32)


def blend_seeds(seeds: Sequence[int], size: int) -> Latent:
    """The mean of the seeds' latents, times √n: otherwise it would be √n times too near to 0."""
    mean = np.mean([seed_latent(seed, size) for seed in seeds], axis=0)
    return (mean * len(seeds) ** 0.5).astype(np.float32)


def slerp(start: Latent, goal: Latent, share: float) -> Latent:
    """Spherical interpolation from `start` (share 0) to `goal` (share 1), Shoemake 1985.

    A straight line would pass near 0, where there are hardly any latents (White 2016). The length
    is interpolated linearly.
    """
    lengths = np.linalg.norm(start), np.linalg.norm(goal)
    cosine = float(np.dot(start, goal) / max(float(lengths[0] * lengths[1]), 1e-12))
    angle = float(np.arccos(np.clip(cosine, -1, 1)))
    if np.sin(angle) < 1e-4:  # equal or opposite directions: no unique arc
        return ((1 - share) * start + share * goal).astype(np.float32)
    a, b = np.sin((1 - share) * angle), np.sin(share * angle)
    unit = (a * start / lengths[0] + b * goal / lengths[1]) / np.sin(angle)
    return (unit * ((1 - share) * lengths[0] + share * lengths[1])).astype(np.float32)


# --- Directions in latent space along which images change the most ----------------------------

MAX_DIRECTIONS = 8  # directions
SAMPLES = 1024  # latents for PCA


def directions(generator: Generator, basis: BasisName, token_ids: Tensor) -> Tensor:
    """Unit vectors [min(MAX_DIRECTIONS, Z), Z], the strongest first; a function of the weights.

    - `sefa`: closed-form factorization of the first layer (Shen & Zhou 2021): the right singular
      vectors of its weights.
    - `pca`: principal components of the first stage's activations for random latents and the
      captions `token_ids` [C, L], mapped back to latents (GANSpace, Härkönen et al. 2020).

    The sign is arbitrary; the largest component is made positive.
    """
    basis_vectors = _sefa(generator) if basis == "sefa" else _pca(generator, token_ids)
    basis_vectors = basis_vectors[:MAX_DIRECTIONS] / basis_vectors[:MAX_DIRECTIONS].norm(
        dim=1, keepdim=True
    )
    largest = basis_vectors.gather(1, basis_vectors.abs().argmax(dim=1, keepdim=True))
    return basis_vectors * largest.sign()


@torch.inference_mode()
def _sefa(generator: Generator) -> Tensor:
    weights = generator.first.weight[:, : generator.config.latent].double()
    return torch.linalg.svd(weights, full_matrices=False).Vh.float()


@torch.inference_mode()
def _pca(generator: Generator, token_ids: Tensor) -> Tensor:
    """Latents regressed on the coordinates along the principal components."""
    size = generator.config.latent
    normal = np.random.default_rng(0).standard_normal((SAMPLES, size), np.float32)
    latents = torch.from_numpy(normal).to(token_ids.device)
    count = len(token_ids)
    repeated = token_ids[torch.arange(SAMPLES, device=token_ids.device) % count]
    activations = generator.first_stage(latents, repeated).flatten(1)
    # Remove the caption's share of the activations.
    for row in range(count):
        activations[row::count] -= activations[row::count].mean(dim=0)
    count = min(MAX_DIRECTIONS, size)
    coordinates, spread, _ = torch.linalg.svd(activations.double(), full_matrices=False)
    coordinates = coordinates[:, :count] * spread[:count]
    return torch.linalg.lstsq(coordinates, latents.double()).solution.float()


# --- The generator ----------------------------------------------------------------------------

BATCH = 64  # images per forward pass of `draw`


class LatentGenerator(trace.Generator):
    """Generates with one GAN; a step moves every latent of the state.

    `captions` are some of the training captions, used by the directions of "pca".
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
        self.machine = machine
        self._captions = list(captions) or [""]
        self._longest = longest  # words per caption
        self._device = next(model.parameters()).device
        self._bases: dict[BasisName, np.ndarray] = {}

    def begin(self, request: Start) -> tuple[WalkState, Started]:
        if request.init is not None or request.forward:
            raise MisuseError("a GAN begins from a seed, not from an image: leave the image out")
        caption = clean(request.prompt)
        settings, basis = self._check_settings(request.settings)
        images = tuple(
            WalkImage(caption=words, seed=seed, origin=walk_origin(seed, settings, basis))
            for words, seed in _expand_grid(caption, request.seed, request.grid)
        )
        columns = len(request.grid[0].values) if request.grid else 1
        state = WalkState(images=images, columns=columns, settings=settings, directions=basis)
        return state, self.describe_start(request, state, caption, "image")

    def step(self, state: WalkState) -> tuple[WalkState, WalkFrame]:
        state = replace(state, step=state.step + 1)
        return state, self.frame(state)

    def edit(self, state: WalkState, edit: Edit) -> WalkState:
        match edit:
            case SetSettings(settings=settings):
                return state.redirect(*self._check_settings(settings))
            case SetSeed(seed=seed):
                return state.redirect(state.settings, state.directions, seed)
            case SetPrompt(prompt=prompt):
                caption = clean(prompt)
                images = tuple(replace(image, caption=caption) for image in state.images)
                return replace(state, images=images)
        raise MisuseError("a walk has no noise and no tokens; edit its caption, seed or settings")

    def frame(self, state: WalkState) -> WalkFrame:
        """The images side by side, and the discriminator's score of the first one."""
        latents = state.settings.truncation * state.latents()
        images, scores = self._generate(latents, [image.caption for image in state.images])
        rgb = sheet(images, state.columns)
        return WalkFrame(
            trace=0,  # set by the trace
            step=state.step,
            sigma=0.0,
            width=state.columns * SIDE,
            height=len(state.images) // state.columns * SIDE,
            x=rgb,
            denoised=rgb,
            score=round(float(scores[0]), 4),
            along=state.coordinates(),
        )

    def note(self, state: WalkState) -> str:
        """Caption words that are not in the vocabulary or that the model does not read."""
        captions = [image.caption for image in state.images]
        return "; ".join(self._vocabulary.remarks(captions, self._longest))

    def draw(
        self, captions: Sequence[str], seeds: Sequence[int], settings: LatentSettings
    ) -> np.ndarray:
        """The seeds' own images, uint8 [B, 32, 32, 3], with the `blend`, `at` and `truncation` of
        the settings. Raises MisuseError for settings that the model cannot have."""
        settings, basis = self._check_settings(settings)
        latents = settings.truncation * np.stack(
            [seed_point(seed, settings, basis) for seed in seeds]
        )
        parts = [
            self._generate(latents[at : at + BATCH], captions[at : at + BATCH])[0]
            for at in range(0, len(seeds), BATCH)
        ]
        return np.concatenate(parts)

    @torch.inference_mode()
    def _generate(
        self, latents: np.ndarray, captions: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Images uint8 [B, 32, 32, 3] from latents [B, Z], and the discriminator's scores [B]."""
        token_ids = self._token_ids(captions)
        z = torch.from_numpy(np.asarray(latents, np.float32)).to(self._device)
        with autocast(self.machine):
            images = self.model.generator(z, token_ids).float().clamp(-1, 1)
            scores = self.model.discriminator(images, token_ids).float()
        return to_rgb(images), scores.cpu().numpy()

    def _token_ids(self, captions: Sequence[str]) -> Tensor:
        return torch.from_numpy(self._vocabulary.encode(captions, self._longest)).to(self._device)

    def _check_settings(self, settings: Settings) -> tuple[LatentSettings, np.ndarray]:
        """Returns `settings` and the directions [D, Z] of their basis.

        Raises MisuseError if they are not LatentSettings, or for a direction that does not exist.
        """
        settings = trace.expect_settings(settings, LatentSettings)
        if settings.basis not in self._bases:
            token_ids = self._token_ids(self._captions)
            vectors = directions(self.model.generator, settings.basis, token_ids)
            self._bases[settings.basis] = vectors.cpu().numpy()
        basis = self._bases[settings.basis]
        if settings.direction > len(basis):
            raise MisuseError(
                f"direction {settings.direction}: this model has {len(basis)}, from 1 on"
            )
        if not all(map(np.isfinite, settings.at)) or len(settings.at) > len(basis):
            raise MisuseError(f"at: give up to {len(basis)} finite numbers, one a direction")
        return settings, basis


def _expand_grid(caption: str, seed: int, grid: Sequence[Axis]) -> list[tuple[str, int]]:
    """The caption and seed of each image of a grid, left to right, then down.

    Raises MisuseError for an axis that a walk does not have, or for too many images.
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


def load_latent_model(checkpoint: Checkpoint[GanRecipe], machine: Machine) -> LatentGenerator:
    """The generator of a checkpoint; raises what `kinds.build_generator` says."""
    recipe, described = checkpoint.recipe, checkpoint.described
    vocabulary = Vocabulary(tuple(described["words"]))
    model = load_frozen(lambda: GAN(gan_config(recipe, vocabulary.size)), checkpoint.tensors)
    captions = tuple(map(str, described["captions"]))
    model.to(machine.device)
    return LatentGenerator(model, vocabulary, machine, captions, recipe.caption_words)
