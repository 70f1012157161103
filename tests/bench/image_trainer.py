"""One training of bench_images.py: `PYTHON image_trainer.py '{"network": "genui", …}'`.

Trains captioned images by genui's own task: the same data, EDM loss, noise levels and evaluation
for both networks. "genui" is the recipe's network and optimisers. "diffusers" is a
`UNet2DConditionModel` of as many parameters, trained by AdamW, as in diffusers' examples.

A line of the standard input is a number of CPU seconds to train for, after which a JSON line of
what was done is printed, or "evaluate". The learning rate falls to zero over `budget` CPU seconds
as the recipe's would over its steps.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from genui.engine.data.captions import Vocabulary
from genui.engine.device import Machine, autocast
from genui.engine.models.denoisers import EDMDenoiser
from genui.engine.models.dit import Network
from genui.engine.train.diffusion import ImageTask
from genui.engine.train.optimizer import EMA, Optimizers, gradient_norm
from genui.engine.train.task import players_of
from genui.recipes import DiffusionRecipe, find_recipe, override

WARMUP = 0.02  # share of the budget
ENDLESS = 1_000_000  # steps: the rate of each is set here


class DiffusersUNet(Network):
    """A `UNet2DConditionModel` that reads captions as embedded words, by cross-attention."""

    def __init__(self, vocab_size: int, caption_words: int, channels: tuple[int, ...]) -> None:
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

        super().__init__()
        self.caption_words = caption_words
        self.words = nn.Embedding(vocab_size, 128)
        self.position = nn.Parameter(torch.randn(caption_words, 128) * 0.1)
        attended = len(channels) - 1
        self.unet = UNet2DConditionModel(
            sample_size=32,
            in_channels=3,
            out_channels=3,
            layers_per_block=1,
            block_out_channels=channels,
            down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * attended,
            up_block_types=("CrossAttnUpBlock2D",) * attended + ("UpBlock2D",),
            cross_attention_dim=128,
            attention_head_dim=4,
            norm_num_groups=16,
        )

    def forward(self, x: Tensor, noise_level: Tensor, token_ids: Tensor) -> Tensor:
        words = self.words(token_ids) + self.position[: token_ids.shape[1]]
        # Its sinusoids are made for time steps from 0 to 1000.
        return self.unet(x, 500 + 250 * noise_level, words).sample


class Training:
    """A training that goes on for CPU seconds at a time."""

    def __init__(self, order: dict[str, Any]) -> None:
        recipe = find_recipe(order["recipe"])
        recipe = override(recipe, order["changes"])
        assert isinstance(recipe, DiffusionRecipe)
        self.budget = order["budget"]
        self._decay_from = recipe.decay_from
        recipe = replace(recipe, steps=ENDLESS, decay_from=1.0, warmup=0)
        torch.set_num_threads(order["threads"])
        self._machine = Machine("cpu", order["precision"], order["threads"])
        self._task = task = ImageTask(recipe, torch.device("cpu"))
        if order["network"] == "diffusers":
            vocabulary = Vocabulary(tuple(task.extra["words"]))
            network = DiffusersUNet(vocabulary.size, recipe.caption_words, order["channels"])
            task.model = EDMDenoiser(network, recipe.sigma_data)
        self._recipe = recipe
        (self._player,) = players_of(task)
        self._optimizers = Optimizers((self._player,), recipe)
        self._ema = EMA(task.model, recipe.ema)
        self.parameters = sum(p.numel() for p in task.model.parameters())
        self.step, self.cpu, self.wall = 0, 0.0, 0.0

    def rate(self) -> float:
        """The factor of the learning rate by the share of the budget that is spent."""
        share = self.cpu / self.budget
        if share < WARMUP:
            return (share + WARMUP / 10) / WARMUP
        if share < self._decay_from:
            return 1.0
        return max(0.001, (1 - share) / (1 - self._decay_from))

    def train(self, seconds: float) -> dict[str, Any]:
        """Train for so many CPU seconds, and say how many images they took."""
        first, cpu, wall = self.step, self.cpu, self.wall
        while self.cpu - cpu < seconds:
            began, at = time.process_time(), time.perf_counter()
            self._train_step()
            self.cpu += time.process_time() - began
            self.wall += time.perf_counter() - at
        images = (self.step - first) * self._recipe.batch
        return {"images": images, "cpu": self.cpu - cpu, "wall": self.wall - wall}

    def _train_step(self) -> None:
        torch.manual_seed(self.step)
        self._task.model.train()
        self._optimizers.learning_rate = self._recipe.learning_rate * min(1.0, self.rate())
        with autocast(self._machine):
            loss = self._player.loss(self.step)
        loss.backward()
        gradient_norm(self._task.model.parameters(), self._recipe.grad_clip)
        self._optimizers.step(self.step, self._player)
        self._ema.update(self.step)
        self.step += 1

    def evaluate(self) -> dict[str, Any]:
        """The losses of the averaged and of the raw weights, on all held-out images."""
        averaged = self._task.evaluate(self._ema.model.eval(), self._machine, True)
        raw = self._task.evaluate(self._task.model.eval(), self._machine, True)
        return {**averaged, "raw_val_loss": raw["val_loss"], "step": self.step, "cpu": self.cpu}


def answers(training: Training) -> Iterator[dict[str, Any]]:
    yield {"parameters": training.parameters}
    for line in sys.stdin:
        if line.strip() == "evaluate":
            yield training.evaluate()
        else:
            yield training.train(float(line))


def main() -> None:
    for answer in answers(Training(json.loads(sys.argv[1]))):
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
