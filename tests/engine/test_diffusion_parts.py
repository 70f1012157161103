"""A diffusion model of another medium: a recipe, a network, a medium and a task of its own."""

from dataclasses import asdict, dataclass

import numpy as np
import pytest
import torch
from shares import assert_shares_add_up
from torch import Tensor, nn

from genui.engine.data.captions import Vocabulary
from genui.engine.device import Machine
from genui.engine.kinds import Checkpoint
from genui.engine.models.denoisers import EDMDenoiser
from genui.engine.models.dit import Network
from genui.engine.sample.diffusion import DiffusionParts
from genui.engine.sample.diffusion_state import DiffusionState
from genui.engine.sample.media import ImageMedium, to_rgb
from genui.engine.sample.trace import Trace
from genui.engine.train.diffusion import Batch, Corpus, DiffusionTask
from genui.engine.train.task import Sample, png
from genui.protocol import ImageFrame, ImageSettings, Start
from genui.recipes import EDMRecipe

MACHINE = Machine("cpu", "fp32", 1)
SHADES = {"dark": -0.8, "light": 0.8}


@dataclass(frozen=True, kw_only=True)
class StripRecipe(EDMRecipe):
    """Grey strips of four pixels."""

    medium: str = "strip"
    width: int = 16


class StripNetwork(Network):
    """Two layers on the pixels, the word and the noise level."""

    def __init__(self, recipe: StripRecipe, vocab_size: int) -> None:
        super().__init__()
        self.caption_words = recipe.caption_words
        self.words = nn.EmbeddingBag(vocab_size, 4, mode="sum")
        self.layers = nn.Sequential(
            nn.Linear(9, recipe.width), nn.SiLU(), nn.Linear(recipe.width, 4)
        )

    def forward(self, x: Tensor, noise_level: Tensor, token_ids: Tensor) -> Tensor:
        parts = (x.flatten(1), self.words(token_ids), noise_level[:, None])
        return self.layers(torch.cat(parts, dim=1)).view(x.shape)


class StripMedium(ImageMedium):
    medium = "strip"

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1, 1, 4)

    def frame(self, state: DiffusionState, sigma_data: float) -> ImageFrame:
        rgb = to_rgb(state.denoised).tobytes()
        return ImageFrame(
            trace=0, step=state.step, sigma=state.sigma, width=4, height=len(state.rows),
            x=rgb, denoised=rgb, noise=rgb,
        )  # fmt: skip


RECIPE = StripRecipe(name="strips", dataset="shades", batch=32, caption_dropout=0.0)


def build_denoiser(recipe: StripRecipe, vocab_size: int) -> EDMDenoiser:
    return EDMDenoiser(StripNetwork(recipe, vocab_size), recipe.sigma_data)


STRIPS = DiffusionParts(build_denoiser, lambda recipe, described: StripMedium())


class StripTask(DiffusionTask[StripRecipe]):
    def __init__(self, recipe: StripRecipe) -> None:
        corpus = Corpus(
            name="shades", fingerprint="", licence="CC0-1.0", vocabulary=Vocabulary.build(SHADES),
            words=recipe.caption_words, captions=tuple(SHADES), data_line="", examples=2,
        )  # fmt: skip
        super().__init__(recipe, torch.device("cpu"), corpus, STRIPS)

    def _batch(self, count: int, held_out: bool, rng: np.random.Generator) -> Batch | None:
        if held_out:
            return None
        captions = rng.choice(list(SHADES), count).tolist()
        arrays = np.array([[[[SHADES[each]] * 4]] for each in captions], np.float32)
        return Batch(captions=captions, arrays=arrays)

    def _sample_files(self, arrays: Tensor, parts: list[int]) -> tuple[Sample, ...]:
        return (Sample(".png", png(to_rgb(arrays).reshape(len(arrays), 4, 3))),)


@pytest.fixture
def task() -> StripTask:
    return StripTask(RECIPE)


def test_it_learns_and_its_checkpoint_draws_as_the_task_does(task: StripTask) -> None:
    optimizer = torch.optim.Adam(task.model.parameters(), 1e-2)
    before = task.evaluate(task.model, MACHINE, False)["seen_loss"]
    for step in range(300):
        optimizer.zero_grad()
        task.loss(step).backward()
        optimizer.step()
    assert task.evaluate(task.model, MACHINE, False)["seen_loss"] < before / 2
    generator = STRIPS.load(Checkpoint(RECIPE, task.model.state_dict(), task.extra), MACHINE)
    settings = ImageSettings(steps=12, guidance=1.0)
    shades = generator.denoised(list(SHADES), [1, 2], settings).mean(dim=(1, 2, 3))
    dark, light = shades.tolist()
    assert dark < -0.3
    assert light > 0.3
    request = Start(trace=1, model="strips", prompt="light", seed=2, settings=settings)
    *_, last = Trace(generator, request).advance(0, 12)
    assert isinstance(last, ImageFrame)
    assert min(last.denoised) > 140


def test_its_loss_adds_up_over_shares(task: StripTask) -> None:
    assert_shares_add_up(task)


def test_a_guide_of_another_kind_is_refused(task: StripTask) -> None:
    tensors = {"guide." + name: value for name, value in task.model.state_dict().items()}
    described = task.extra | {"guide": {"recipe": asdict(RECIPE) | {"medium": "image"}}}
    with pytest.raises(TypeError, match="its guide is no diffusion model of strip"):
        STRIPS.load(Checkpoint(RECIPE, tensors | task.model.state_dict(), described), MACHINE)
