"""The training of students, and how their checkpoints are loaded.

A student begins as its teacher and learns steps along the teacher's own trajectories: from each
level of a schedule of 1, 2, 4 or 8 steps to the next one. The teacher takes several steps where the
student takes one. Its samples need no data; only captions like those of the data are drawn.
"""

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.device import Machine, to_device
from genui.engine.kinds import Checkpoint, build_generator, trains
from genui.engine.models.denoisers import EDMDenoiser
from genui.engine.models.frozen import split_guide
from genui.engine.sample.diffusion import DiffusionGenerator, Prompts
from genui.engine.sample.diffusion_state import KarrasSchedule
from genui.engine.sample.sigmas import sigmas
from genui.engine.sample.trace import Trace
from genui.engine.train.checkpoint import load_weights
from genui.engine.train.task import WHOLE, PerStep, Sample, Share, png
from genui.formats import image
from genui.kinds.student.network import keep_captions, read_next_level, split_tensors
from genui.kinds.student.recipe import TAUGHT_STEPS, StudentRecipe, read_teacher
from genui.protocol import Agreement, ImageSettings, Neighbours
from genui.recipes import EDMRecipe, recipe_from_dict

# --- The trajectories of the teacher ------------------------------------------------------------

LONGEST = 2.0
"""The largest ratio of two noise levels between which the teacher takes one step."""

FIRST_SEED = 1 << 40
"""Seeds from here on are trained; those below are held out."""

FIRST_HELD_OUT = 1 << 40
"""Captions from here on are held out; those before are trained."""

BLOCK = 16
"""Trajectories that are drawn at once."""

FIRST_BLOCKS, KEPT_BLOCKS = 2, 16
"""How many blocks the first step has, and how many are kept at most."""


def student_settings(steps: int) -> ImageSettings:
    return ImageSettings(sampler="euler", steps=steps, guidance=1.0)


def teacher_levels() -> tuple[float, ...]:
    """The noise levels of all the student's schedules, and those that the teacher adds."""
    taught = {level for steps in TAUGHT_STEPS for level in sigmas(student_settings(steps))}
    falling = sorted(taught, reverse=True)
    levels = falling[:1]
    for sigma, sigma_next in pairwise(falling):
        if sigma > LONGEST * sigma_next > 0:
            levels.append((sigma * sigma_next) ** 0.5)
        levels.append(sigma_next)
    return tuple(levels)


class Block(NamedTuple):
    """Trajectories of N samples."""

    x: Tensor  # [levels, N, C, H, W]
    token_ids: Tensor  # [N, L]


def held_out_captions(prompts: Prompts, count: int) -> list[str]:
    """Captions like those of the teacher's data, which are not trained."""
    return [prompts.at(FIRST_HELD_OUT + i) for i in range(count)]


class Trajectories:
    """What the teacher draws: block after block, of which a step sees the newest."""

    def __init__(self, teacher: DiffusionGenerator, recipe: StudentRecipe) -> None:
        self.levels = teacher_levels()
        self._teacher, self._recipe = teacher, recipe
        self._settings = ImageSettings(guidance=recipe.guidance)
        self.prompts = Prompts(recipe.teacher, recipe.seed)
        self._blocks: dict[int, Block] = {}

    def of_step(self, step: int) -> list[Block]:
        """The blocks of a training step, a function of the step alone."""
        end = FIRST_BLOCKS + step * self._recipe.batch // (self._recipe.reuse * BLOCK)
        numbers = range(max(0, end - KEPT_BLOCKS), end)
        self._blocks = {i: self._blocks.get(i) or self._draw(i) for i in numbers}
        return list(self._blocks.values())

    def _draw(self, number: int) -> Block:
        places = range(number * BLOCK, (number + 1) * BLOCK)
        rng = np.random.default_rng((self._recipe.seed, number))
        dropped = rng.random(BLOCK) < self._recipe.caption_dropout
        captions = [
            "" if none else self.prompts.at(i) for i, none in zip(places, dropped, strict=True)
        ]
        first = FIRST_SEED * (1 + self._recipe.seed)
        return self.draw(captions, [first + i for i in places])

    def held_out(self, count: int) -> tuple[list[str], list[int]]:
        """Captions and seeds that are not trained."""
        return held_out_captions(self.prompts, count), list(range(count))

    def draw(self, captions: list[str], seeds: list[int]) -> Block:
        """The trajectories of captions and seeds."""
        states = list(self._teacher.states(captions, seeds, self._settings, self.levels))
        return Block(torch.stack([state.x for state in states]), states[0].token_ids)


# --- The task -----------------------------------------------------------------------------------

SHARES = {1: 0.2, 2: 0.5, 4: 0.2, 8: 0.1}
"""The share of each number of steps among what is learned."""

SMALLEST_ERROR = 0.03
"""Root mean square error of a prediction, in the network's unit, below which it is squared."""

EVALUATED = 32


class Steps(NamedTuple):
    """B steps of the teacher's trajectories."""

    x: Tensor  # [B, C, H, W] at sigma
    target: Tensor  # [B, C, H, W] at sigma_next
    sigma: Tensor  # [B]
    sigma_next: Tensor  # [B]
    token_ids: Tensor  # [B, L]

    def rows(self, rows: slice) -> "Steps":
        """Some of the steps."""
        return Steps(*(each[rows] for each in self))


class StudentTask:
    """A student, which learns where its teacher arrives."""

    unit = "img"

    def __init__(
        self,
        recipe: StudentRecipe,
        device: torch.device,
        extra: dict[str, Any] | None = None,
        preparation: Preparation = QUIET,
    ) -> None:
        """Raises MisuseError if the teacher is not the one that a run began with."""
        self._recipe = recipe
        header = read_teacher(recipe)
        tensors, described = load_weights(header.path)
        own, _ = split_guide(tensors)
        taught = {key: value for key, value in described.items() if key != "guide"}
        self.extra = {key: taught[key] for key in COPIED if key in taught} | {"teacher": taught}
        if extra and extra["teacher"] != taught:
            raise MisuseError(
                f"teacher={recipe.teacher}: it is another model than the run began with"
            )
        machine = Machine(device.type, recipe.precision, torch.get_num_threads())
        teacher = build_generator(Checkpoint(header.recipe, own, taught), machine)
        assert isinstance(teacher, DiffusionGenerator)
        self._teacher = teacher
        self._trajectories = Trajectories(teacher, recipe)
        self._pairs, self._shares = taught_pairs(self._trajectories.levels)
        self._step = PerStep(self._draw)
        torch.manual_seed(recipe.seed)
        self.model = copy_denoiser(teacher)
        read_next_level(self.model)
        keep_captions(self.model)
        self.model.train().requires_grad_(True)
        self.data_line = f"what {recipe.teacher} draws, for {self._trajectories.prompts.source}"
        self.notes = ()
        self._captions = header.recipe.prompts
        self.units_per_step = recipe.batch
        self.units_per_epoch = recipe.batch * recipe.steps  # the teacher draws without end

    def loss(self, step: int, share: Share = WHOLE) -> Tensor:
        """The root mean square error of each prediction (Huber's where it is small), which few bad
        ones dominate less than its square (as in Geng et al. 2025, section 4.3)."""
        taken = self._step(step).rows(share.rows(self._recipe.batch))
        ratio = (taken.sigma_next / taken.sigma).view(-1, 1, 1, 1)
        denoised = (taken.target - ratio * taken.x) / (1 - ratio)  # Euler's step, solved for it
        _, c_out, _ = self.model.coefficients(taken.sigma)
        predicted = self.model(taken.x, taken.sigma, taken.token_ids, taken.sigma_next)
        squares = ((predicted - denoised) / c_out).square().mean(dim=(1, 2, 3))
        errors = (squares + SMALLEST_ERROR**2).sqrt() - SMALLEST_ERROR
        return share.scale(errors.mean(), len(errors), self._recipe.batch)

    def _draw(self, step: int) -> Steps:
        blocks = self._trajectories.of_step(step)
        rng = np.random.default_rng((self._recipe.seed, step))
        count = self._recipe.batch
        block, row = rng.integers(len(blocks), size=count), rng.integers(BLOCK, size=count)
        pairs = self._pairs[rng.choice(len(self._pairs), count, p=self._shares)]
        levels = np.array(self._trajectories.levels, np.float32)[pairs]  # [B, 2]
        chosen = list(zip(block, row, pairs, strict=True))
        sigma, sigma_next = (to_device(level, blocks[0].x.device) for level in levels.T.copy())
        return Steps(
            x=torch.stack([blocks[b].x[start, r] for b, r, (start, _) in chosen]),
            target=torch.stack([blocks[b].x[end, r] for b, r, (_, end) in chosen]),
            sigma=sigma,
            sigma_next=sigma_next,
            token_ids=torch.stack([blocks[b].token_ids[r] for b, r, _ in chosen]),
        )

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """The mean squared difference from what the teacher draws, on values from -1 to 1, for each
        number of steps, from seeds that are not trained."""
        captions, seeds = self._trajectories.held_out(EVALUATED * (4 if whole else 1))
        goal = self._trajectories.draw(captions, seeds).x[-1]
        generator = self._generator(model, machine)

        def error(steps: int) -> float:
            drawn = generator.denoised(captions, seeds, student_settings(steps))
            return float((drawn - goal).square().mean())

        return {f"error_{steps}": error(steps) for steps in TAUGHT_STEPS}

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        """The sample captions as a sheet, a row for each number of steps."""
        captions = list(self._captions)
        seeds = list(range(len(captions)))
        generator = self._generator(model, machine)
        rows = [generator.draw(captions, seeds, student_settings(n)) for n in TAUGHT_STEPS]
        sheet = image.sheet(list(np.concatenate(rows)), len(captions))
        return (Sample(".png", png(sheet), count=len(captions) * len(rows)),)

    def _generator(self, model: nn.Module, machine: Machine) -> DiffusionGenerator:
        """The teacher's generator with another model."""
        assert isinstance(model, EDMDenoiser)
        generator = copy.copy(self._teacher)
        generator.model, generator.machine = model, machine
        return generator


COPIED = ("words", "captions", "dataset", "fingerprint", "licence")
"""Metadata that a student has from its teacher."""


def taught_pairs(levels: Sequence[float]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The steps of all schedules as indices of levels [P, 2], and how often each is learned [P]."""
    pairs, shares = [], []
    for steps, share in SHARES.items():
        own = [levels.index(level) for level in sigmas(student_settings(steps))]
        pairs += pairwise(own)
        shares += [share / steps] * steps
    return np.array(pairs), np.array(shares)


def copy_denoiser(generator: DiffusionGenerator) -> EDMDenoiser:
    """A copy of a generator's model. Raises MisuseError if it is not one that genui trains."""
    if not isinstance(generator.model, EDMDenoiser):
        raise MisuseError("teacher: name a diffusion model that genui trained")
    return copy.deepcopy(generator.model)


# --- Loading ------------------------------------------------------------------------------------


def load_student(checkpoint: Checkpoint[StudentRecipe], machine: Machine) -> DiffusionGenerator:
    """The generator of a checkpoint: that of its teacher, with the student as its model. Raises
    what `kinds.build_generator` says."""
    recipe, taught = checkpoint.recipe, checkpoint.described["teacher"]
    own, end = split_tensors(checkpoint.tensors)
    teacher = _teacher_recipe(taught["recipe"], recipe.medium)
    generator = build_generator(Checkpoint(teacher, own, taught), machine)
    assert isinstance(generator, DiffusionGenerator)
    model = generator.model
    assert isinstance(model, EDMDenoiser)
    read_next_level(model)
    model.network.noise.end.load_state_dict(end)
    model.requires_grad_(False).to(machine.device)
    generator.family, generator.schedule = recipe.family, StudentSchedule()
    return generator


def _teacher_recipe(fields: dict[str, Any], medium: str) -> EDMRecipe:
    """The recipe of a checkpoint's teacher. Raises TypeError if it is no diffusion model."""
    try:
        teacher = recipe_from_dict(fields)
        teacher.check()
    except MisuseError as error:
        raise TypeError(f"its teacher: {error}") from None
    if not isinstance(teacher, EDMRecipe) or teacher.medium != medium:
        raise TypeError(f"its teacher is no diffusion model of {medium}")
    return teacher


def nearest(recipe: StudentRecipe, trace: Trace, step: int, count: int) -> Neighbours:
    """The training data of the teacher most similar to a step of a trace. Raises MisuseError or
    GenuiError if the teacher or its data are not here."""
    taught = read_teacher(recipe).recipe
    find_nearest = trains(taught).nearest
    assert find_nearest is not None  # diffusion models of images have it
    return find_nearest(taught, trace, step, count)


def prepare(recipe: StudentRecipe, trace: Trace, step: int) -> Agreement | None:
    """Do what takes long before `nearest`. Raises what it raises."""
    taught = read_teacher(recipe).recipe
    prepare_teacher = trains(taught).prepare
    return prepare_teacher(taught, trace, step) if prepare_teacher is not None else None


class StudentSchedule(KarrasSchedule):
    """The levels of our own models; Euler's steps between them are the student's."""

    def remark(self, sampler: str) -> str:
        if sampler == "euler":
            return ""
        return f"a student takes whole steps, which are Euler's: {sampler} draws worse than euler"
