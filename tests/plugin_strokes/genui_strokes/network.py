"""The network, its training and its generator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.device import Machine
from genui.engine.kinds import Checkpoint
from genui.engine.models.frozen import load_frozen
from genui.engine.sample.trace import Generator, expect_settings
from genui.engine.train.task import WHOLE, PerStep, Sample, Share, png
from genui.protocol import Edit, ImageFrame, SetSeed, SetSettings, Start, Started
from genui_strokes.recipe import StrokesRecipe, describe_data
from genui_strokes.settings import Jump, StrokesSettings

SIDE = 32  # pixels
STROKES = 24  # of a circle


class PenNetwork(nn.Module):
    """The place of the pen [B, 2], in -1 to 1, to its next move [B, 2]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, width), nn.SiLU(), nn.Linear(width, 2))

    def forward(self, places: Tensor) -> Tensor:
        return self.layers(places)


# --- Training -----------------------------------------------------------------------------------


def draw_circles(seed: int, step: int, count: int) -> tuple[Tensor, Tensor]:
    """Places on circles [count, 2] and the moves from there [count, 2]."""
    rng = np.random.default_rng((seed, step))
    radius, angle = rng.uniform(0.3, 0.8, (count, 1)), rng.uniform(0, 2 * np.pi, count)
    after = angle + 2 * np.pi / STROKES
    places = radius * np.stack((np.cos(angle), np.sin(angle)), 1)
    moves = radius * np.stack((np.cos(after), np.sin(after)), 1) - places
    return torch.from_numpy(places).float(), torch.from_numpy(moves).float()


class StrokesTask:
    """The squared error of the next move."""

    unit = "stroke"
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        recipe: StrokesRecipe,
        device: torch.device,
        extra: dict[str, Any] | None = None,
        preparation: Preparation = QUIET,
    ) -> None:
        self._recipe, self._device = recipe, device
        self.data_line = describe_data(recipe)
        self.units_per_step = recipe.batch
        self.units_per_epoch = 1000 * STROKES
        self.extra: dict[str, Any] = {"dataset": "circles", "licence": "CC0-1.0"}
        self._batch = PerStep(lambda step: draw_circles(recipe.seed, step, recipe.batch))
        torch.manual_seed(recipe.seed)
        self.model = PenNetwork(recipe.width).to(device)

    def loss(self, step: int, share: Share = WHOLE) -> Tensor:
        places, moves = self._batch(step)
        rows = share.rows(len(places))
        found = self.model(places[rows].to(self._device))
        loss = (found - moves[rows].to(self._device)).square().mean()
        return share.scale(loss, rows.stop - rows.start, len(places))

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        places, moves = draw_circles(self._recipe.seed + 1, 0, 256)
        found = model(places.to(self._device)).cpu()
        return {"val_loss": float((found - moves).square().mean())}

    def sample(self, model: nn.Module, machine: Machine) -> Sequence[Sample]:
        assert isinstance(model, PenNetwork)
        generator = StrokesGenerator(model)
        settings = StrokesSettings(strokes=self._recipe.sample_strokes)
        start = Start(trace=0, model="", prompt="", seed=self._recipe.seed, settings=settings)
        state, _ = generator.begin(start)
        while not generator.finished(state):
            state, _ = generator.step(state)
        return (Sample(".png", png(state.pixels())),)


def measure_strokes(generator: "StrokesGenerator", recipe: StrokesRecipe) -> Mapping[str, str]:
    """The mean distance of a stroke's end from where the circle goes; half the paper is 1."""
    places, moves = draw_circles(recipe.seed + 1, 0, 256)
    error = float((generator.network(places) - moves).norm(dim=1).mean())
    return {"error": f"{error:.4f} of half the paper"}


# --- Generation ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawing:
    """The places of the pen, the first one included. Coordinates are in -1 to 1."""

    places: tuple[tuple[float, float], ...]
    seed: int
    settings: StrokesSettings
    jumps: tuple[int, ...] = ()  # numbers of places to which no line goes

    def pixels(self) -> NDArray[np.uint8]:
        """The drawing, uint8 [SIDE, SIDE, 3]."""
        image = Image.new("RGB", (SIDE, SIDE))
        points = [((x + 1) * SIDE / 2, (y + 1) * SIDE / 2) for x, y in self.places]
        draw = ImageDraw.Draw(image)
        for begin, end in pairwise((0, *self.jumps, len(points))):
            draw.line(points[begin:end], fill="white", width=self.settings.pen)
        return np.asarray(image)


class StrokesGenerator(Generator):
    """Draws with a pen; a step is one stroke."""

    family = "strokes"

    def __init__(self, network: PenNetwork) -> None:
        self.network = network.eval()

    def begin(self, request: Start) -> tuple[Drawing, Started]:
        settings = expect_settings(request.settings, StrokesSettings)
        place = np.random.default_rng((request.seed, 0)).uniform(-0.6, 0.6, 2)
        state = Drawing(((float(place[0]), float(place[1])),), request.seed, settings)
        return state, self.describe_start(request, state, "", "drawing")

    def step(self, state: Drawing) -> tuple[Drawing, ImageFrame]:
        x, y = state.places[-1]
        with torch.inference_mode():
            move = self.network(torch.tensor([[x, y]]))[0].double().numpy()
        noise = np.random.default_rng((state.seed, len(state.places))).normal(0, 0.02, 2)
        x, y = np.clip((x, y) + move + state.settings.wobble * noise, -1, 1)
        after = replace(state, places=(*state.places, (float(x), float(y))))
        return after, self.frame(after)

    def frame(self, state: Drawing) -> ImageFrame:
        rgb = state.pixels().tobytes()
        step = len(state.places) - 1
        return ImageFrame(
            trace=0, step=step, sigma=0.0, width=SIDE, height=SIDE, x=rgb, denoised=rgb
        )

    def edit(self, state: Drawing, edit: Edit) -> Drawing:
        match edit:
            case SetSeed(seed=seed):
                return replace(state, seed=seed)
            case SetSettings(settings=settings):
                return replace(state, settings=expect_settings(settings, StrokesSettings))
            case Jump(x=x, y=y):
                places = (*state.places[:-1], (x, y))
                return replace(state, places=places, jumps=(*state.jumps, len(places) - 1))
        raise MisuseError("a drawing takes another seed, other settings and jumps")

    def finished(self, state: Drawing) -> bool:
        return len(state.places) > self.total(state)

    def total(self, state: Drawing) -> int:
        return state.settings.strokes


def load_strokes(checkpoint: Checkpoint[StrokesRecipe], machine: Machine) -> StrokesGenerator:
    """The generator of a checkpoint."""
    width = checkpoint.recipe.width
    return StrokesGenerator(load_frozen(lambda: PenNetwork(width), checkpoint.tensors))
