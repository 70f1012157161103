"""Generation with diffusion models: traces of one denoising step at a time, and batches."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from itertools import pairwise
from typing import Any, Generic, Protocol, TypeGuard, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genui.base.errors import GenuiError, MisuseError
from genui.base.text import clean
from genui.base.watermarks import find_key
from genui.engine.data.captions import Vocabulary
from genui.engine.data.image_datasets import load_images, side_of
from genui.engine.data.images import CaptionedImages
from genui.engine.data.preparation import LOCAL
from genui.engine.device import Machine, autocast
from genui.engine.kinds import Checkpoint
from genui.engine.load import find_and_load
from genui.engine.models import frozen
from genui.engine.models.denoisers import Denoiser, EDMDenoiser, build_image_denoiser
from genui.engine.models.frozen import load_frozen
from genui.engine.sample import noise_watermark
from genui.engine.sample.diffusion_state import (
    DiffusionState,
    Grid,
    ImageInputs,
    Inpainting,
    KarrasSchedule,
    Schedule,
    initial_sigmas,
    noise,
    respace,
    reverse,
)
from genui.engine.sample.maps import read_maps
from genui.engine.sample.media import ImageMedium, Medium, to_rgb
from genui.engine.sample.sigmas import SIGMA_MAX, karras_sigmas
from genui.engine.sample.trace import Generator, expect_settings
from genui.formats.image import png
from genui.protocol import (
    SAMPLERS,
    AddNoise,
    Denoise,
    Edit,
    ImageFrame,
    ImageSettings,
    Maps,
    Question,
    ReadMaps,
    SetPrompt,
    SetSeed,
    SetSettings,
    Settings,
    Start,
    Started,
)
from genui.protocol.kinds import KINDS
from genui.protocol.samplers import Point, Step, StepFunction
from genui.recipes import EDMRecipe, Recipe, recipe_from_dict
from genui.runs.models import find_model, read_header

# Noise is a function of (seed, step); noise that is not the sampler's has one of these as well.
KNOWN_NOISE = 1  # for the part outside an inpainting mask, the same at every step
ADDED_NOISE = 2  # for the first AddNoise of a trace; later ones count up from here

INVERTED_FROM, INVERTED_LEVELS = 0.3, 8
"""The noise level from which an image is inverted, which is above what a file loses of it, and the
number of levels up to the highest."""

AUTOGUIDED_FROM = 0.3
"""Below this σ there is no autoguidance: it would double the cost and change nothing (the Fréchet
distance of `fashion` is the same to two digits)."""


class CaptionReader(Protocol):
    """How the captions of rows become the condition of a denoiser."""

    def condition(self, rows: Sequence[ImageInputs]) -> NDArray[np.int64]:
        """Token ids [B, L] of the captions. Raises MisuseError for one that cannot be read."""
        ...

    def negative(self, rows: Sequence[ImageInputs]) -> NDArray[np.int64]:
        """Token ids [B, L] of the negative prompts, or of no caption."""
        ...

    def remarks(self, rows: Sequence[ImageInputs]) -> list[str]:
        """Lines about the words that the model ignores in the captions and negative prompts."""
        ...


@dataclass(frozen=True)
class WordReader:
    """Captions as words of a vocabulary; the first `length` are read."""

    vocabulary: Vocabulary
    length: int

    def condition(self, rows: Sequence[ImageInputs]) -> NDArray[np.int64]:
        return self.vocabulary.encode([row.caption for row in rows], self.length)

    def negative(self, rows: Sequence[ImageInputs]) -> NDArray[np.int64]:
        return self.vocabulary.encode([row.settings.negative for row in rows], self.length)

    def remarks(self, rows: Sequence[ImageInputs]) -> list[str]:
        texts = [text for row in rows for text in (row.caption, row.settings.negative)]
        return self.vocabulary.remarks(texts, self.length)


class DiffusionGenerator(Generator):
    """Generates with one diffusion model; a step is one denoising step of all rows.

    `medium` is the meaning of the arrays: RGB images by default. `guide` is the weaker model of the
    same data that autoguidance needs. `schedule` has the noise levels, by default EDM's. `sized`
    returns the medium for square images of another side; None if there is one size only.
    """

    def __init__(
        self,
        model: Denoiser,
        vocabulary: Vocabulary | CaptionReader,
        machine: Machine,
        medium: Medium | None = None,
        guide: Denoiser | None = None,
        *,
        schedule: Schedule | None = None,
        family: str = "diffusion",
        sized: Callable[[int], Medium] | None = None,
    ) -> None:
        self.family = family
        self.model = model
        self.guide = guide
        self.medium = medium or ImageMedium()
        self.schedule = schedule or KarrasSchedule()
        self._sized = sized
        own = isinstance(vocabulary, Vocabulary)
        self._reader = WordReader(vocabulary, model.caption_words) if own else vocabulary
        self.machine = machine
        self._device = model.device

    def begin(self, request: Start) -> tuple[DiffusionState, Started]:
        """The first state: pure noise, `init` with noise (SDEdit, Meng et al. 2022), or for a
        forward process `init` itself. Raises MisuseError if the request does not suit the model.
        """
        settings = self._check(expect_settings(request.settings, ImageSettings))
        medium, caption = self._medium_of(settings), clean(request.prompt)
        init = None if request.init is None else medium.load_init(request.init, caption)
        grid = Grid(ImageInputs(caption, request.seed, settings), request.grid)
        x0 = None if init is None else init.clean.to(self._device)
        levels = initial_sigmas(request, settings, self.schedule)
        state = self._first_state(grid, self._rows(grid), levels, x0)
        if request.forward:
            state = replace(state, clean=state.x)
        note, image = (init.note, init.image) if init is not None else ("", None)
        return state, self.describe_start(
            request, state, caption, self.medium.medium, note, init=image
        )

    def step(self, state: DiffusionState) -> tuple[DiffusionState, ImageFrame]:
        """Go to the next noise level: a lower one, or a higher one in a forward process."""
        state = self._next_state(state)
        return state, self.frame(state)

    def edit(self, state: DiffusionState, edit: Edit) -> DiffusionState:
        match edit:
            case SetSettings() | SetSeed() | SetPrompt():
                return self._set_inputs(state, edit)
            case AddNoise():
                return self._add_noise(state, edit)
            case Denoise():
                return reverse(state)
        raise MisuseError("a denoising has no tokens; edit its caption, seed, settings or noise")

    def note(self, state: DiffusionState) -> str:
        """Caption words that the model does not know or does not read, and notes of the medium."""
        notes = self._reader.remarks(state.rows)
        requested = dict.fromkeys(row.caption for row in state.grid.rows())
        notes += dict.fromkeys(filter(None, map(self.medium.note, requested)))
        samplers = dict.fromkeys(row.settings.sampler for row in state.rows)
        notes += dict.fromkeys(filter(None, map(self.schedule.remark, samplers)))
        return "; ".join(notes)

    def frame(self, state: DiffusionState) -> ImageFrame:
        return self._medium_of(state.grid.base.settings).frame(state, self.model.sigma_data)

    def answer(self, state: DiffusionState, question: Question) -> Maps:
        """Raises MisuseError as `read_maps`, and for another question."""
        if not isinstance(question, ReadMaps):
            raise MisuseError("a diffusion model does not answer this: ask another model")
        return read_maps(self.model, state, question, self.machine)

    def draw(self, captions: list[str], seeds: list[int], settings: ImageSettings) -> np.ndarray:
        """Finished images uint8 [B, H, W, 3], one for each caption and seed, as one batch."""
        assert isinstance(self.medium, ImageMedium)  # of kinds with `batches`
        return to_rgb(self.medium.decode(self.denoised(captions, seeds, settings)))

    def denoised(
        self, captions: list[str], seeds: list[int], settings: ImageSettings, until: float = 0.0
    ) -> Tensor:
        """Arrays [B, C, H, W], one for each caption and seed, as one batch: finished, or as they
        are predicted at the first noise level of at most `until`."""
        levels = self.schedule.sigmas(settings)
        states = self.states(captions, seeds, settings, levels)
        return next(state.denoised for state in states if state.sigma <= until)

    def states(
        self,
        captions: Sequence[str],
        seeds: Sequence[int],
        settings: ImageSettings,
        levels: tuple[float, ...],
    ) -> Iterator[DiffusionState]:
        """The states of one batch at noise levels that fall to 0."""
        rows = tuple(ImageInputs(*each, settings) for each in zip(captions, seeds, strict=True))
        state = self._first_state(Grid(rows[0]), rows, levels, None)
        yield state
        while not self.finished(state):
            state = self._next_state(state)
            yield state

    def token_ids(self, captions: Sequence[str]) -> Tensor:
        """Captions as token ids int64 [B, L]."""
        settings = ImageSettings()
        return self._condition([ImageInputs(caption, 0, settings) for caption in captions])

    def _condition(self, rows: Sequence[ImageInputs]) -> Tensor:
        """Token ids int64 [B, L] of the rows' captions."""
        return torch.from_numpy(self._reader.condition(rows)).to(self._device)

    def _rows(self, grid: Grid) -> tuple[ImageInputs, ...]:
        """The cells of a grid, each split into the parts of its caption."""
        return tuple(
            replace(row, caption=caption, part=part)
            for row in grid.rows()
            for part, caption in enumerate(self.medium.parts(row.caption))
        )

    def _first_state(
        self,
        grid: Grid,
        rows: tuple[ImageInputs, ...],
        levels: tuple[float, ...],
        x0: Tensor | None,
    ) -> DiffusionState:
        """The state at `levels[0]`: noise, added to `x0` [C, H, W] if there is one."""
        token_ids, sigma = self._condition(rows), levels[0]
        noise = self._noise(rows, 0)
        x = self.schedule.noise_scale(sigma) * noise if x0 is None else x0 + sigma * noise
        state = DiffusionState(
            grid=grid, rows=rows, token_ids=token_ids, levels=levels, x=x, denoised=x
        )
        return self._predict(state)

    def _predict(self, state: DiffusionState) -> DiffusionState:
        """The state with the model's prediction of x₀ from its x."""
        after = state.levels[state.step + 1 : state.step + 2]
        sigma_next = next((sigma for sigma in after if sigma < state.sigma), 0.0)
        predict = partial(self._denoise, token_ids=state.token_ids, rows=state.rows)
        return replace(state, denoised=predict(state.x, state.sigma, sigma_next=sigma_next))

    def _next_state(self, state: DiffusionState) -> DiffusionState:
        step = state.step + 1
        sigma = state.levels[step]
        history: tuple[Point, ...] = ()
        if state.clean is not None:  # q(xₜ|x₀), with the same noise at every level
            x = state.clean + sigma * self._noise(state.rows, 0)
        else:
            x = self._sample(state, sigma)
            if state.inpainting is not None:
                x = state.inpainting.merge(x, sigma, self._noise(state.rows, 0, KNOWN_NOISE))
            point = Point(state.sigma, state.x, state.denoised)
            history = (point, *state.history)[: _history_length(state.rows)]
        return self._predict(replace(state, x=x, history=history, step=step))

    def _sample(self, state: DiffusionState, sigma_next: float) -> Tensor:
        """x [B, C, H, W] at the next level, each row by its own sampler."""
        noise = self._noise(state.rows, state.step + 1)
        x = torch.empty_like(state.x)
        for (sampler, eta), i in _group_by_sampler(state.rows, state.sigma).items():
            rows, token_ids = [state.rows[row] for row in i], state.token_ids[i]
            step = Step(
                x=state.x[i],
                denoised=state.denoised[i],
                sigma=state.sigma,
                sigma_next=sigma_next,
                noise=noise[i],
                eta=eta,
                history=tuple(Point(p.sigma, p.x[i], p.denoised[i]) for p in state.history),
            )
            x[i] = sampler(step, partial(self._denoise, token_ids=token_ids, rows=rows))
        return x

    def _set_inputs(
        self, state: DiffusionState, edit: SetSettings | SetSeed | SetPrompt
    ) -> DiffusionState:
        """The state with another caption, seed or settings."""
        grid = state.grid.edited(edit)
        self._check(grid.base.settings)
        before, now = state.grid.base, grid.base
        for name in ("size", "watermark", "watermark_key"):
            if getattr(now.settings, name) != getattr(before.settings, name):
                raise MisuseError(
                    f"{name}: the image has its {name} from the first step on; start again"
                )
        levels = state.levels
        if _schedule(now.settings) != _schedule(before.settings):
            levels = respace(state, now.settings, self.schedule)
        rows = self._rows(grid)
        if len(rows) != len(state.rows):
            raise MisuseError(
                f"{now.caption!r} is drawn in {len(rows)} parts and this trace in "
                f"{len(state.rows)}: start another for it"
            )
        history = state.history if _can_use_history(state.rows, rows) else ()
        respaced = reads_next(self.model) and levels != state.levels
        state = replace(state, grid=grid, rows=rows, levels=levels, history=history)
        if (now.caption, _guidance(now)) == (before.caption, _guidance(before)) and not respaced:
            return state
        # The history was predicted with another caption or guidance, so it is not valid.
        return self._predict(replace(state, token_ids=self._condition(state.rows), history=()))

    def _add_noise(self, state: DiffusionState, edit: AddNoise) -> DiffusionState:
        """Add noise up to the level of an earlier step (variances add), and repeat the levels from
        there on."""
        levels = self.schedule.sigmas(state.grid.base.settings)
        if edit.to > len(levels) - 2:
            raise MisuseError(
                f"noise of step {edit.to}: the schedule has noise at steps 0 to {len(levels) - 2}"
            )
        target = levels[edit.to]
        if target < state.sigma:
            raise MisuseError(
                f"step {edit.to} has less noise (σ {target:.3g}) than there is here "
                f"(σ {state.sigma:.3g}): choose an earlier step"
            )
        inpainting = None
        if edit.mask:
            mask = self._medium_of(state.grid.base.settings).read_mask(edit.mask).to(self._device)
            inpainting = Inpainting(mask, _best_x0(state))
        added_sigma = math.sqrt(target**2 - state.sigma**2)
        x = state.x + added_sigma * self._noise(state.rows, state.step, ADDED_NOISE + state.added)
        if inpainting is not None:
            x = inpainting.merge(x, target, self._noise(state.rows, 0, KNOWN_NOISE))
        noisy = replace(
            state,
            x=x,
            history=(),
            levels=state.levels[: state.step] + levels[edit.to :],
            inpainting=inpainting,
            clean=None,
            added=state.added + 1,
        )
        return self._predict(noisy)

    def _noise(self, rows: Sequence[ImageInputs], *key: int) -> Tensor:
        """Standard normal [B, C, H, W], a function of each row's seed and the key; that of step 0
        has the watermark of the row's settings."""
        shape = self._medium_of(rows[0].settings).shape
        samples = [noise(shape, row.seed, *key, part=row.part) for row in rows]
        if key == (0,):
            samples = list(map(self._add_watermark, samples, rows))
        return torch.from_numpy(np.stack(samples)).to(self._device, self.schedule.dtype)

    def _add_watermark(self, sample: NDArray[np.float32], row: ImageInputs) -> NDArray[np.floating]:
        if row.settings.watermark == "none":
            return sample
        assert isinstance(self.medium, ImageMedium)  # `_check` makes sure of it
        key = find_key(row.settings.watermark_key)
        return noise_watermark.add_pattern(sample, self.medium.border, key, row.seed)

    @torch.inference_mode()
    def invert(self, x: Tensor) -> Tensor:
        """The initial noise [B, C, H, W] of finished arrays: the probability-flow ODE without a
        caption, from a low noise level to the highest, by Euler's method (Song et al. 2021)."""
        token_ids = torch.zeros(len(x), self.model.caption_words, dtype=torch.int64)
        token_ids, x = token_ids.to(self._device), x.to(self._device)
        levels = karras_sigmas(INVERTED_FROM, SIGMA_MAX, INVERTED_LEVELS, ImageSettings().rho)
        for sigma, above in pairwise(levels):
            x = x + (above - sigma) / sigma * (x - self._evaluate(x, sigma, token_ids))
        return x / SIGMA_MAX

    def _medium_of(self, settings: ImageSettings) -> Medium:
        """The medium for images of the size that the settings ask for.

        Raises MisuseError if the model cannot draw them.
        """
        if not settings.size:
            return self.medium
        if self._sized is None:
            raise MisuseError(f"size {settings.size}: this model draws one size only; leave it out")
        return self._sized(settings.size)

    def _check(self, settings: ImageSettings) -> ImageSettings:
        """Returns `settings`. Raises MisuseError if they need a guide and the model has none, or a
        watermark that its kind does not have, or a key that is not on this machine."""
        if (name := settings.watermark) != "none":
            kind = KINDS[self.family, self.medium.medium]
            if name not in [row.name for row in kind.watermarks]:
                raise MisuseError(f"watermark {name}: this model {kind.ability}; leave it out")
            find_key(settings.watermark_key)
        if settings.autoguidance != 1 and self.guide is None:
            raise MisuseError(
                f"autoguidance {settings.autoguidance:g}: this model has no guide model, "
                "a weaker copy of itself; leave it at 1"
            )
        return settings

    @torch.inference_mode()
    def _denoise(
        self,
        x: Tensor,
        sigma: float,
        token_ids: Tensor,
        rows: Sequence[ImageInputs],
        sigma_next: float = 0.0,
    ) -> Tensor:
        """The model's prediction of x₀ [B, C, H, W], with classifier-free guidance (Ho & Salimans
        2022) away from the negative prompt, or from no caption, and autoguidance (Karras et al.
        2024, "Guiding a diffusion model with a bad version of itself"). A model that `reads_next`
        predicts for a step to `sigma_next`."""
        if sigma == 0:
            return x
        evaluate = partial(self._evaluate, sigma_next=sigma_next)
        guidance, autoguidance, _ = zip(*map(_guidance, rows), strict=True)
        if self.model.reads_guidance:
            scales = torch.tensor(guidance, device=self._device).view(-1, 1)
            token_ids = torch.cat((token_ids, (1000 * scales).round().long()), dim=1)
            denoised = with_caption = evaluate(x, sigma, token_ids)
        elif all(scale == 1 for scale in guidance) or sigma < self.model.unguided_below:
            denoised = with_caption = evaluate(x, sigma, token_ids)
        else:
            negative = torch.from_numpy(self._reader.negative(rows)).to(self._device)
            both = torch.cat((token_ids, negative))
            with_caption, without = evaluate(torch.cat((x, x)), sigma, both).chunk(2)
            denoised = without + self._column(guidance) * (with_caption - without)
        if self.guide is None or sigma < AUTOGUIDED_FROM or all(w == 1 for w in autoguidance):
            return denoised
        weaker = evaluate(x, sigma, token_ids, self.guide)
        return denoised + (self._column(autoguidance) - 1) * (with_caption - weaker)

    def _column(self, scales: Sequence[float]) -> Tensor:
        """One number for each image, [B, 1, 1, 1]."""
        return torch.tensor(scales, device=self._device).view(-1, 1, 1, 1)

    def _evaluate(
        self,
        x: Tensor,
        sigma: float,
        token_ids: Tensor,
        model: Denoiser | None = None,
        sigma_next: float = 0.0,
    ) -> Tensor:
        model = model or self.model
        sigmas, end = (
            torch.full((len(x),), level, device=self._device) for level in (sigma, sigma_next)
        )
        with autocast(self.machine):
            if reads_next(model):
                return model(x, sigmas, token_ids, end).to(x.dtype)
            return model(x, sigmas, token_ids).to(x.dtype)


def reads_next(model: Denoiser) -> TypeGuard[EDMDenoiser[Any]]:
    """Whether a model's prediction is for one step."""
    return isinstance(model, EDMDenoiser) and model.reads_next


def _guidance(row: ImageInputs) -> tuple[float, float, str]:
    """The scales of classifier-free guidance and autoguidance, and the negative prompt."""
    return row.settings.guidance, row.settings.autoguidance, row.settings.negative


def _schedule(settings: ImageSettings) -> tuple[int, float | None, float]:
    """The settings that the noise levels depend on."""
    return settings.steps, settings.sigma_min, settings.rho


def _history_length(rows: Sequence[ImageInputs]) -> int:
    """The number of levels that these rows' samplers use; at least one, in case the sampler
    changes."""
    return max(1, *(SAMPLERS[row.settings.sampler].history for row in rows))


def _can_use_history(before: Sequence[ImageInputs], now: Sequence[ImageInputs]) -> bool:
    """Whether the samplers of the rows `now` can use the history of those `before`."""
    pairs = zip(before, now, strict=True)
    names = [(old.settings.sampler, new.settings.sampler) for old, new in pairs]
    return not any(old != new and SAMPLERS[new].corrects for old, new in names)


def _group_by_sampler(
    rows: Sequence[ImageInputs], sigma: float
) -> dict[tuple[StepFunction, float], list[int]]:
    """Indices of the rows by sampler and η; η is 0 if the sampler or the level σ ignores it."""
    groups: dict[tuple[StepFunction, float], list[int]] = {}
    for i, row in enumerate(rows):
        settings = row.settings
        sampler = SAMPLERS[settings.sampler]
        fresh = sampler.noise == "eta" and sigma > settings.s_tmin
        eta = settings.eta if fresh else 0.0
        groups.setdefault((sampler.function, eta), []).append(i)
    return groups


def _best_x0(state: DiffusionState) -> Tensor:
    """The best estimate of the clean arrays, [B, C, H, W]."""
    if state.clean is not None:
        return state.clean
    if state.inpainting is not None:
        return torch.where(state.inpainting.mask, state.denoised, state.inpainting.known)
    return state.denoised


# --- Batch generation: prompts, and many images at a time -------------------------------------

BLOCK = 512  # captions sampled with one random number generator
BATCH = 100  # images that are drawn at once


@runtime_checkable
class BatchGenerator(Protocol):
    """A generator that draws finished images uint8 [B, H, W, 3] as one batch."""

    def draw(self, captions: list[str], seeds: list[int], settings: Any) -> NDArray[np.uint8]: ...


def supports_batches(model: str) -> bool:
    """Whether `draw` works for a model; other models generate one trace at a time."""
    info = find_model(model)
    return KINDS[info.family, info.medium].batches


def draw(
    model: str, captions: Sequence[str], seeds: Sequence[int], settings: Settings
) -> list[bytes]:
    """A PNG for each caption and seed, drawn as one batch in the precision that is fastest."""
    generator = find_and_load(model, batches=True)
    assert isinstance(generator, BatchGenerator)
    return [png(rgb, "") for rgb in generator.draw(list(captions), list(seeds), settings)]


def draw_in_batches(
    generator: BatchGenerator, captions: Sequence[str], settings: Settings, first_seed: int = 0
) -> NDArray[np.uint8]:
    """Images uint8 [N, H, W, 3], BATCH at a time, with seeds from `first_seed` on."""
    parts = []
    for at in range(0, len(captions), BATCH):
        part = list(captions[at : at + BATCH])
        seeds = list(range(first_seed + at, first_seed + at + len(part)))
        parts.append(generator.draw(part, seeds, settings))
    return np.concatenate(parts)


@dataclass(frozen=True)
class Prompts:
    """The prompts of a generated dataset: `fixed`, if it is not None.

    Otherwise captions sampled like those in training, if the model's images are on this machine,
    else the recipe's own prompts in turn. The prompt of sample i depends on (seed, i) alone.
    """

    model: str
    seed: int
    fixed: str | None = None

    @property
    def source(self) -> str:
        """Where they come from, as text."""
        if self.fixed is not None:
            return "the prompt given"
        if self._images is not None:
            return f"captions like those of {self._images.name}"
        count = len(self._defaults)
        return "the model's usual prompt" if count == 1 else f"the model's {count} usual prompts"

    def at(self, index: int) -> str:
        """The prompt of sample `index`, counted from 0."""
        if self.fixed is not None:
            return self.fixed
        if self._images is not None:
            return _caption_block(self._images, self.seed, index // BLOCK)[index % BLOCK]
        return self._defaults[index % len(self._defaults)]

    @cached_property
    def _recipe(self) -> Recipe:
        return read_header(find_model(self.model).path).recipe

    @cached_property
    def _defaults(self) -> tuple[str, ...]:
        return self._recipe.prompts or ("",)

    @cached_property
    def _images(self) -> CaptionedImages | None:
        if not KINDS[self._recipe.family, self._recipe.medium].batches:
            return None
        dataset, data = self._recipe.dataset, self._recipe.data
        try:
            return load_images(dataset, data, preparation=LOCAL, side=side_of(dataset))
        except GenuiError:  # not on this machine
            return None


@lru_cache(maxsize=4)
def _caption_block(images: CaptionedImages, seed: int, number: int) -> tuple[str, ...]:
    rng = np.random.default_rng((seed, number))
    return tuple(images.batch(rng.choice(images.train, BLOCK), rng).captions)


# --- Loading ----------------------------------------------------------------------------------

R = TypeVar("R", bound=EDMRecipe)


@dataclass(frozen=True)
class DiffusionParts(Generic[R]):
    """The parts that a kind of captioned diffusion models adds: its network and its medium."""

    build: Callable[[R, int], EDMDenoiser]
    """The denoiser of a recipe and a size of the vocabulary, with new weights."""
    medium: Callable[[R, Mapping[str, Any]], Medium]
    """The medium of a recipe and the metadata of a checkpoint."""

    def load(self, checkpoint: Checkpoint[R], machine: Machine) -> DiffusionGenerator:
        """The generator of a checkpoint; raises what `kinds.build_generator` says."""
        recipe, described = checkpoint.recipe, checkpoint.described
        vocabulary = Vocabulary(tuple(described["words"]))
        own_tensors, guide_tensors = frozen.split_guide(checkpoint.tensors)
        model = load_frozen(lambda: self.build(recipe, vocabulary.size), own_tensors)
        guide = None
        if guide_tensors:
            guide_recipe = _guide_recipe(recipe, described["guide"]["recipe"])
            guide = load_frozen(lambda: self.build(guide_recipe, vocabulary.size), guide_tensors)
            guide = guide.to(machine.device)
        return DiffusionGenerator(
            model.to(machine.device),
            vocabulary,
            machine,
            self.medium(recipe, described),
            guide,
            family=recipe.family,
        )


def _guide_recipe(recipe: R, fields: dict[str, Any]) -> R:
    """The recipe of a checkpoint's guide. Raises TypeError if it is of another kind."""
    try:
        guide = recipe_from_dict(fields)
        guide.check()
    except MisuseError as error:
        raise TypeError(f"its guide: {error}") from None
    if not isinstance(guide, type(recipe)):
        raise TypeError(f"its guide is no {recipe.family} model of {recipe.medium}")
    return guide


IMAGES = DiffusionParts(build_image_denoiser, lambda recipe, described: ImageMedium(recipe))
"""The parts that images add to diffusion models."""
