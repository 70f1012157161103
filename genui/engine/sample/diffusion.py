"""Diffusion models as generators: traces a denoising step at a time, and samples in batches."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genui.base.errors import GenuiError, MisuseError
from genui.base.text import clean
from genui.engine.data.captions import Vocabulary
from genui.engine.data.images import CaptionedImages, load_images
from genui.engine.device import Machine, autocast
from genui.engine.load import find_and_load
from genui.engine.models import frozen
from genui.engine.models.denoisers import Denoiser, build_denoiser
from genui.engine.models.frozen import load_frozen
from genui.engine.sample.diffusion_state import (
    DiffusionState,
    Grid,
    Held,
    Row,
    image_settings,
    initial_sigmas,
    noise,
    read_mask,
    respace,
    reverse,
)
from genui.engine.sample.media import ImageMedium, Medium, medium_of, to_rgb
from genui.engine.sample.samplers import Point, Step, StepFunction, find_sampler, sigmas
from genui.protocol import (
    SAMPLERS,
    AddNoise,
    Denoise,
    Edit,
    ImageFrame,
    ImageSettings,
    SetPrompt,
    SetSeed,
    SetSettings,
    Settings,
    Start,
    Started,
)
from genui.protocol.registry import KINDS
from genui.recipes import DiffusionRecipe, Recipe, VideoRecipe, VoiceRecipe, recipe_from_dict
from genui.runs.models import find_model, read_header

# Beside (seed, step), what other noise than a sampler's own is drawn from.
HELD_NOISE = 1  # what is outside a mask, the same at every step
ADDED_NOISE = 2  # noise added back, and the next numbers when it is added again

AUTOGUIDED_FROM = 0.3
"""The σ under which a weaker copy no longer guides: it would cost as much and change nothing
(the Fréchet distance of `fashion` is the same to two digits)."""


class DiffusionGenerator:
    """One diffusion model; `step` is one denoising step of everything in the state.

    `medium` says what it denoises: RGB images by default. `guide` is a weaker model of the same
    data, which autoguidance leads away from.
    """

    family = "diffusion"

    def __init__(
        self,
        model: Denoiser,
        vocabulary: Vocabulary,
        machine: Machine,
        medium: Medium | None = None,
        guide: Denoiser | None = None,
    ) -> None:
        self.model = model
        self.guide = guide
        self.medium = medium or ImageMedium()
        self._vocabulary = vocabulary
        self._machine = machine
        self._device = model.device

    # --- a trace ----------------------------------------------------------------------

    def begin(self, request: Start) -> tuple[DiffusionState, Started]:
        """The first state, and what a person should know of it.

        It is pure noise; or `init` under noise (SDEdit, Meng et al. 2022); or, of a forward
        process, `init` itself. Raises MisuseError where the request does not fit.
        """
        settings = self._guidable(image_settings(request.settings))
        caption = clean(request.prompt)
        opening = None
        if request.init is not None:
            opening = self.medium.opening(request.init, caption)
        grid = Grid(Row(caption, request.seed, settings), request.grid)
        clean_part = None if opening is None else opening.clean.to(self._device)
        levels = initial_sigmas(request, settings)
        state = self._first(grid, self._rows(grid), levels, clean_part)
        if request.forward:
            state = replace(state, clean=state.x)
        return state, Started(
            trace=request.trace,
            model=request.model,
            family=self.family,
            medium=self.medium.medium,
            prompt=caption,
            total_steps=state.total,
            note="; ".join(filter(None, (opening and opening.note, self.note(state)))),
            init=opening and opening.image,
        )

    def step(self, state: DiffusionState) -> tuple[DiffusionState, ImageFrame]:
        """One step along the levels: down, or up in a forward process."""
        state = self._next(state)
        return state, self.frame(state)

    def edit(self, state: DiffusionState, edit: Edit) -> DiffusionState:
        """The state changed, at the same step. Raises MisuseError where the edit does not fit."""
        match edit:
            case SetSettings() | SetSeed() | SetPrompt():
                return self._set(state, edit)
            case AddNoise():
                return self._with_noise(state, edit)
            case Denoise():
                return reverse(state)
        raise MisuseError("a denoising has no tokens; edit its caption, seed, settings or noise")

    def note(self, state: DiffusionState) -> str:
        """Words of the captions in force that the model does not know or does not read."""
        return self._note(state.grid, state.rows)

    def finished(self, state: DiffusionState) -> bool:
        return state.step >= state.total

    def total(self, state: DiffusionState) -> int:
        """The step at which the noise levels end."""
        return state.total

    def frame(self, state: DiffusionState) -> ImageFrame:
        """What a person sees of the state, side by side."""
        return self.medium.frame(state, self.model.sigma_data)

    def draw(self, captions: list[str], seeds: list[int], settings: ImageSettings) -> np.ndarray:
        """Finished images uint8 [B, 32, 32, 3], one a caption and seed, as one batch."""
        return to_rgb(self.denoised(captions, seeds, settings))

    def denoised(self, captions: list[str], seeds: list[int], settings: ImageSettings) -> Tensor:
        """Finished arrays [B, C, H, W], one a caption and seed, as one batch."""
        rows = tuple(Row(*each, settings) for each in zip(captions, seeds, strict=True))
        state = self._first(Grid(rows[0]), rows, sigmas(settings), None)
        while not self.finished(state):
            state = self._next(state)
        return state.x

    def token_ids(self, captions: Sequence[str]) -> Tensor:
        """Captions as token ids int64 [B, L]."""
        length = self.model.caption_words
        return torch.from_numpy(self._vocabulary.encode(captions, length)).to(self._device)

    # --- how ----------------------------------------------------------------------------

    def _rows(self, grid: Grid) -> tuple[Row, ...]:
        """The cells of a grid, each in the parts that its caption is drawn in."""
        return tuple(
            replace(row, caption=caption, part=part)
            for row in grid.rows()
            for part, caption in enumerate(self.medium.parts(row.caption))
        )

    def _first(
        self, grid: Grid, rows: tuple[Row, ...], levels: tuple[float, ...], init: Tensor | None
    ) -> DiffusionState:
        """At `levels[0]`: pure noise, or an array [C, H, W] under that much of it."""
        token_ids, sigma = self.token_ids([row.caption for row in rows]), levels[0]
        x = sigma * self._noise(rows, 0)
        if init is not None:
            x = init + x
        return DiffusionState(
            grid=grid,
            rows=rows,
            token_ids=token_ids,
            levels=levels,
            x=x,
            denoised=self._denoise(x, sigma, token_ids, rows),
        )

    def _note(self, grid: Grid, rows: Sequence[Row]) -> str:
        """What the captions hold that the model cannot read, and how the medium takes them."""
        captions = [row.caption for row in rows]
        notes = self._vocabulary.remarks(captions, self.model.caption_words)
        requested = dict.fromkeys(row.caption for row in grid.rows())
        notes += dict.fromkeys(filter(None, map(self.medium.note, requested)))
        return "; ".join(notes)

    def _next(self, state: DiffusionState) -> DiffusionState:
        to = state.step + 1
        target = state.levels[to]
        if state.clean is not None:  # q(xₜ|x₀) with one and the same noise at every level
            x = state.clean + target * self._noise(state.rows, 0)
        else:
            x = self._take_step(state, target)
            if state.held is not None:
                x = state.held.over(x, target, self._noise(state.rows, 0, HELD_NOISE))
        denoised = self._denoise(x, target, state.token_ids, state.rows)
        history: tuple[Point, ...] = ()
        if state.clean is None:
            here = Point(state.sigma, state.x, state.denoised)
            history = (here, *state.history)[: _looks_back(state.rows)]
        return replace(state, x=x, denoised=denoised, history=history, step=to)

    def _take_step(self, state: DiffusionState, sigma_next: float) -> Tensor:
        """x at the next level, each row by its own sampler."""
        noise = self._noise(state.rows, state.step + 1)
        x = torch.empty_like(state.x)
        for (sampler, eta), at in _group_by_sampler(state.rows, state.sigma).items():
            rows, token_ids = [state.rows[i] for i in at], state.token_ids[at]
            step = Step(
                x=state.x[at],
                denoised=state.denoised[at],
                sigma=state.sigma,
                sigma_next=sigma_next,
                noise=noise[at],
                eta=eta,
                history=tuple(Point(p.sigma, p.x[at], p.denoised[at]) for p in state.history),
            )
            x[at] = sampler(step, partial(self._denoise, token_ids=token_ids, rows=rows))
        return x

    def _set(
        self, state: DiffusionState, edit: SetSettings | SetSeed | SetPrompt
    ) -> DiffusionState:
        grid = state.grid.edited(edit)
        self._guidable(grid.base.settings)
        before, now = state.grid.base, grid.base
        levels = state.levels
        if _spacing(now.settings) != _spacing(before.settings):
            levels = respace(state, now.settings)
        rows = self._rows(grid)
        if len(rows) != len(state.rows):
            raise MisuseError(
                f"{now.caption!r} is drawn in {len(rows)} parts and this trace in "
                f"{len(state.rows)}: start another for it"
            )
        kept = state.history if _can_go_on(state.rows, rows) else ()
        state = replace(state, grid=grid, rows=rows, levels=levels, history=kept)
        if (now.caption, _scales(now)) == (before.caption, _scales(before)):
            return state
        token_ids = self.token_ids([row.caption for row in state.rows])
        denoised = self._denoise(state.x, state.sigma, token_ids, state.rows)
        # What came before was of another caption or guidance: nothing to go on from.
        return replace(state, token_ids=token_ids, denoised=denoised, history=())

    def _with_noise(self, state: DiffusionState, edit: AddNoise) -> DiffusionState:
        """Noise up to an earlier level: σ² adds up, and the levels from there come again."""
        levels = sigmas(state.grid.base.settings)
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
        held = None
        if edit.mask:
            _, height, width = self.medium.shape
            held = Held(read_mask(edit.mask, height, width, self._device), _known(state))
        more = math.sqrt(target**2 - state.sigma**2)
        x = state.x + more * self._noise(state.rows, state.step, ADDED_NOISE + state.added)
        if held is not None:
            x = held.over(x, target, self._noise(state.rows, 0, HELD_NOISE))
        return replace(
            state,
            x=x,
            denoised=self._denoise(x, target, state.token_ids, state.rows),
            history=(),
            levels=state.levels[: state.step] + levels[edit.to :],
            held=held,
            clean=None,
            added=state.added + 1,
        )

    def _noise(self, rows: Sequence[Row], *key: int) -> Tensor:
        """Standard normal [B, C, H, W] of the rows' seeds."""
        shape = self.medium.shape
        drawn = [noise(shape, row.seed, *key, part=row.part) for row in rows]
        return torch.from_numpy(np.stack(drawn)).to(self._device)

    def _guidable(self, settings: ImageSettings) -> ImageSettings:
        """The settings. Raises MisuseError where they ask for a guide that the model has not."""
        if settings.autoguidance != 1 and self.guide is None:
            raise MisuseError(
                f"autoguidance {settings.autoguidance:g}: this model has no guide, a weaker copy "
                "of itself to be led away from; leave it at 1"
            )
        return settings

    @torch.inference_mode()
    def _denoise(self, x: Tensor, sigma: float, token_ids: Tensor, rows: Sequence[Row]) -> Tensor:
        """What the model predicts of the clean arrays [B, C, H, W], guided: away from no caption
        towards this one (Ho & Salimans 2022), and away from what the guide predicts (Karras et
        al. 2024, "Guiding a diffusion model with a bad version of itself")."""
        if sigma == 0:
            return x
        guidance, autoguidance = zip(*map(_scales, rows), strict=True)
        if all(scale == 1 for scale in guidance) or sigma < self.model.unguided_below:
            denoised = with_caption = self._evaluate(x, sigma, token_ids)
        else:
            both = torch.cat((token_ids, torch.zeros_like(token_ids)))
            with_caption, without = self._evaluate(torch.cat((x, x)), sigma, both).chunk(2)
            denoised = without + self._column(guidance) * (with_caption - without)
        if self.guide is None or sigma < AUTOGUIDED_FROM or all(w == 1 for w in autoguidance):
            return denoised
        weaker = self._evaluate(x, sigma, token_ids, self.guide)
        return denoised + (self._column(autoguidance) - 1) * (with_caption - weaker)

    def _column(self, scales: Sequence[float]) -> Tensor:
        """One number an image, [B, 1, 1, 1]."""
        return torch.tensor(scales, device=self._device).view(-1, 1, 1, 1)

    def _evaluate(
        self, x: Tensor, sigma: float, token_ids: Tensor, by: Denoiser | None = None
    ) -> Tensor:
        level = torch.full((len(x),), sigma, device=self._device)
        with autocast(self._machine):
            return (by or self.model)(x, level, token_ids).float()


def _scales(row: Row) -> tuple[float, float]:
    """How strongly an image is guided: by its caption, and by the guide."""
    return row.settings.guidance, row.settings.autoguidance


def _spacing(settings: ImageSettings) -> tuple[int, float | None, float]:
    """What the noise levels follow from."""
    return settings.steps, settings.sigma_min, settings.rho


def _looks_back(rows: Sequence[Row]) -> int:
    """How many steps are kept for the samplers of these rows, and one for others to go on from."""
    return max(1, *(SAMPLERS[row.settings.sampler].history for row in rows))


def _can_go_on(before: Sequence[Row], now: Sequence[Row]) -> bool:
    """Whether the samplers of rows can go on from where those before were."""
    pairs = zip(before, now, strict=True)
    names = [(old.settings.sampler, new.settings.sampler) for old, new in pairs]
    return not any(old != new and SAMPLERS[new].corrects for old, new in names)


def _group_by_sampler(
    rows: Sequence[Row], sigma: float
) -> dict[tuple[StepFunction, float], list[int]]:
    """Which rows move alike from σ: by sampler, and by η where it matters."""
    groups: dict[tuple[StepFunction, float], list[int]] = {}
    for i, row in enumerate(rows):
        settings = row.settings
        fresh = SAMPLERS[settings.sampler].noise == "eta" and sigma > settings.s_tmin
        eta = settings.eta if fresh else 0.0
        groups.setdefault((find_sampler(settings), eta), []).append(i)
    return groups


def _known(state: DiffusionState) -> Tensor:
    """What is clean, as far as it is known here: [B, C, H, W]."""
    if state.clean is not None:
        return state.clean
    if state.held is not None:
        return torch.where(state.held.mask, state.denoised, state.held.known)
    return state.denoised


# --- Samples by the thousand: what they are asked, and images drawn many at a time ----------

BLOCK = 512  # captions drawn with one generator of random numbers


@runtime_checkable
class Draws(Protocol):
    """A generator that draws finished images uint8 [B, H, W, 3] as one batch."""

    def draw(self, captions: list[str], seeds: list[int], settings: Any) -> NDArray[np.uint8]: ...


def draws(model: str) -> bool:
    """Whether `draw` can be asked of a model; what cannot is generated a trace at a time."""
    info = find_model(model)
    return KINDS[info.family, info.medium].batches


def draw(
    model: str, captions: Sequence[str], seeds: Sequence[int], settings: Settings
) -> list[bytes]:
    """A PNG for each caption and seed, drawn as one batch, in the precision this is fastest in."""
    from genui.formats.image import png

    generator = find_and_load(model, many=True)
    assert isinstance(generator, Draws)
    return [png(rgb, "") for rgb in generator.draw(list(captions), list(seeds), settings)]


@dataclass(frozen=True)
class Prompts:
    """What a model is asked, sample after sample: always `given`, where that is not None.

    Else the captions are drawn like those it was trained on, where its data is an image set
    on this machine, and otherwise its recipe's own go round. The prompt of sample i depends
    on (seed, i) alone.
    """

    model: str
    seed: int
    given: str | None = None

    @property
    def source(self) -> str:
        """Where they come from, in words."""
        if self.given is not None:
            return "the prompt given"
        if self._images is not None:
            return f"captions like those of {self._images.name}"
        many = len(self._usual)
        return "the model's usual prompt" if many == 1 else f"the model's {many} usual prompts"

    def at(self, index: int) -> str:
        """The prompt of sample `index`, counted from 0."""
        if self.given is not None:
            return self.given
        if self._images is not None:
            return _block(self._images, self.seed, index // BLOCK)[index % BLOCK]
        return self._usual[index % len(self._usual)]

    @cached_property
    def _recipe(self) -> Recipe:
        return read_header(find_model(self.model).path).recipe

    @cached_property
    def _usual(self) -> tuple[str, ...]:
        return self._recipe.prompts or ("",)

    @cached_property
    def _images(self) -> CaptionedImages | None:
        if not KINDS[self._recipe.family, self._recipe.medium].batches:
            return None
        try:
            return load_images(self._recipe.dataset, self._recipe.data)
        except GenuiError:  # not on this machine
            return None


@lru_cache(maxsize=4)
def _block(images: CaptionedImages, seed: int, number: int) -> tuple[str, ...]:
    rng = np.random.default_rng((seed, number))
    return tuple(images.batch(rng.choice(images.train, BLOCK), rng).captions)


# --- From a checkpoint to the generator -------------------------------------------------------


def load_diffusion_model(
    recipe: DiffusionRecipe | VideoRecipe | VoiceRecipe,
    tensors: dict[str, Tensor],
    described: Mapping[str, Any],
    machine: Machine,
    device: torch.device,
) -> DiffusionGenerator:
    """The generator of a checkpoint's weights; errors as `kinds.build_generator` says."""
    vocabulary = Vocabulary(tuple(described["words"]))
    own, of_guide = frozen.split_guide(tensors)
    model = load_frozen(lambda: build_denoiser(recipe, vocabulary.size), own).to(device)
    guide = None
    if of_guide:
        guide_recipe = _guide_recipe(described["guide"]["recipe"])
        guide = load_frozen(lambda: build_denoiser(guide_recipe, vocabulary.size), of_guide)
        guide = guide.to(device)
    return DiffusionGenerator(model, vocabulary, machine, medium_of(recipe, described), guide)


def _guide_recipe(fields: dict[str, Any]) -> DiffusionRecipe:
    """Of the guide in a model's file. Raises TypeError where it is none."""
    try:
        recipe = recipe_from_dict(fields)
        recipe.check()
    except MisuseError as error:
        raise TypeError(f"its guide: {error}") from None
    if not isinstance(recipe, DiffusionRecipe):
        raise TypeError("its guide is no diffusion model")
    return recipe
