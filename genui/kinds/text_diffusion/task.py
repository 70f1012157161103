"""The training of discrete diffusion on text."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.data.shards import Tokens, read_windows
from genui.engine.device import Machine, autocast, to_device
from genui.engine.models.language_model import token_loss
from genui.engine.train.language import TextTask
from genui.engine.train.task import WHOLE, Sample, Share
from genui.kinds.text_diffusion.network import TextDenoiser
from genui.kinds.text_diffusion.noise import add_noise, draw_lengths, uniform_bound
from genui.kinds.text_diffusion.recipe import Noise, TextDiffusionRecipe
from genui.kinds.text_diffusion.sample import TextDiffusionGenerator, write
from genui.kinds.text_diffusion.settings import TextDiffusionSettings

BATCH = 16


class TextDiffusionTask(TextTask):
    """Restoring noisy tokens: mean cross-entropy in nats a token, weighted as in `add_noise`.

    A window ends with a noisy block of any length, or is one. The text before the block is learned
    as by a language model.
    """

    def __init__(
        self,
        recipe: TextDiffusionRecipe,
        device: torch.device,
        extra: dict[str, Any] | None = None,
        preparation: Preparation = QUIET,
    ) -> None:
        super().__init__(recipe, device, extra, preparation)
        self._diffusion = recipe

    def loss(self, step: int, share: Share = WHOLE) -> Tensor:
        rows, _ = self._batch(step)
        recipe = self._diffusion
        rng = np.random.default_rng((recipe.seed, 2, step))
        lengths = draw_lengths(len(rows), rows.shape[1] - 1, recipe.block_rate, rng)
        noisy = add_noise(rows, lengths, self._tokenizer.size, recipe.noise, rng)
        own = share.rows(len(rows))
        token_ids, clean, first, weights, _ = (to_device(of[own], self._device) for of in noisy)
        model = self.model
        assert isinstance(model, TextDenoiser)
        loss = token_loss(model.denoise(token_ids, first)[:, :-1], clean[:, 1:], weights)
        return share.scale(loss, len(token_ids), len(rows))

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """`val_loss`, the bound in nats a token with the window as one block; `val_bpc` in bits a
        character; and `val_loss_block_1` with blocks of one token, which is no bound but exact."""
        assert isinstance(model, TextDenoiser)
        recipe, most = self._diffusion, None if whole else self._recipe.eval_batches * BATCH
        bound = measure_bound(model, self._held, machine, recipe.noise, recipe.context, most)
        return {
            "val_loss": bound,
            "val_bpc": bound * self._tokens_per_character / np.log(2),
            "val_loss_block_1": measure_bound(model, self._held, machine, recipe.noise, 1, most),
        }

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        """The text of the recipe's prompt and seed."""
        assert isinstance(model, TextDenoiser)
        recipe = self._diffusion
        generator = TextDiffusionGenerator(model, self._tokenizer, machine, recipe.noise)
        settings = TextDiffusionSettings(tokens=recipe.sample_tokens)
        text = write(generator, recipe.sample_prompt, recipe.seed, settings)
        return (Sample(".txt", text.encode()),)


@torch.inference_mode()
def measure_bound(
    model: TextDenoiser,
    held: Tokens,
    machine: Machine,
    noise: Noise,
    length: int,
    most: int | None = None,
) -> float:
    """The bound on the nats a token of held-out text, written in blocks of `length` tokens.

    Of consecutive windows of the context, or of `most` of them spread evenly; with blocks of one
    token it is exact. Of other blocks one is read of each window, with noise of a fixed seed.
    """
    context = model.context - 1
    starts = np.arange((len(held) - 1) // context) * context
    if most is not None and len(starts) > most:
        starts = starts[np.linspace(0, len(starts) - 1, most).astype(int)]
    rng = np.random.default_rng((length, 0))
    blocks = max(1, context // length) if length > 1 else 1
    nats = 0.0
    for number, at in enumerate(range(0, len(starts), BATCH)):
        rows = read_windows(held, starts[at : at + BATCH], context + 1)
        if blocks > 1:
            rows = rows[:, : (number % blocks + 1) * length + 1]
        nats += float(_block_nats(model, rows, machine, noise, length, rng)) * len(rows)
    return nats / len(starts)


def _block_nats(
    model: TextDenoiser,
    rows: NDArray[np.int64],
    machine: Machine,
    noise: Noise,
    length: int,
    rng: np.random.Generator,
) -> Tensor:
    """The mean bound on the nats of the tokens in the last block of rows [B, T + 1]; of all
    tokens, if they are blocks of one."""
    noisy = add_noise(rows, np.full(len(rows), length), model.config.vocab_size - 1, noise, rng)
    token_ids, clean, first, weights, times = (to_device(each, model.device) for each in noisy)
    with autocast(machine):
        logits = model.denoise(token_ids, first)[:, :-1]
    if noise == "uniform" and length > 1:
        part = slice(logits.shape[1] - length, None)
        return uniform_bound(
            logits[:, part], token_ids[:, 1:][:, part], clean[:, 1:][:, part], times
        ).mean()
    if length > 1:
        weights[:, :-length] = 0
    return token_loss(logits, clean[:, 1:], weights)
