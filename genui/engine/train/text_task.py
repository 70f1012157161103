"""Training a network to predict the next token."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genui.engine.data import fim
from genui.engine.data.text import load_text
from genui.engine.data.tokenizer import (
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    tokenizer_from_dict,
    train_bpe,
)
from genui.engine.device import Machine, autocast
from genui.engine.generate.text import TextGenerator
from genui.engine.kinds import build_network
from genui.engine.models.language_model import LanguageModel, TokenNetwork
from genui.engine.train.task import Sample
from genui.errors import MisuseError
from genui.protocol import TextSettings
from genui.recipes import TextRecipe

FILL_WEIGHT = 6.0
"""How much a token that fills a gap counts: few of a window do, and they are what is learnt."""


def build_tokenizer(recipe: TextRecipe, documents: tuple[str, ...]) -> Tokenizer:
    """The tokenizer the recipe names, made from the training documents."""
    if recipe.tokenizer == "bpe":
        return train_bpe(documents, recipe.vocab_size)
    if recipe.tokenizer == "bytes":
        return ByteTokenizer()
    return CharTokenizer("".join(sorted(set("".join(documents)))))


def windows_per_epoch(tokens: int, context: int) -> int:
    """How many windows side by side fit into the text from any offset; at least one."""
    return max(1, (tokens - 1) // context - 1)


def windows(step: int, batch: int, tokens: int, context: int, seed: int) -> np.ndarray:
    """First positions of a step's `batch` windows, int64.

    An epoch cuts the text into windows side by side, from a random offset and in random
    order, so every token is seen once an epoch and never in the same window twice.
    """
    count = windows_per_epoch(tokens, context)
    starts = np.empty(batch, np.int64)
    epochs, places = np.divmod(step * batch + np.arange(batch), count)
    for epoch in np.unique(epochs):
        rng = np.random.default_rng((seed, epoch))
        order, offset = rng.permutation(count), int(rng.integers(0, context))
        rows = epochs == epoch
        starts[rows] = order[places[rows]] * context + offset
    return np.minimum(starts, tokens - context - 1)


def left_out(tokenizer: Tokenizer, documents: tuple[str, ...]) -> tuple[str, ...]:
    """A note on the characters a tokenizer made for other data cannot say, where there are any."""
    unknown = tokenizer.unknown("".join(sorted(set("".join(documents)))))
    if not unknown:
        return ()
    many = sum(document.count(character) for document in documents for character in unknown)
    share = 100 * many / sum(map(len, documents))
    return (
        f"{len(unknown)} characters of this data are not in the vocabulary the model came with "
        f"and are left out ({share:.1f} % of the text): {unknown[:20]!r}",
    )


def encode_documents(tokenizer: Tokenizer, documents: tuple[str, ...]) -> np.ndarray:
    """All documents as one row of token numbers, int64, each closed by the end token."""
    if tokenizer.end is None:
        return np.array(tokenizer.encode("\n".join(documents)), np.int64)
    return np.concatenate([np.array([*tokenizer.encode(d), tokenizer.end]) for d in documents])


@torch.inference_mode()
def held_out_loss(
    model: LanguageModel,
    held: np.ndarray,
    machine: Machine,
    batch: int,
    most_batches: int | None = None,
) -> float:
    """Mean nats a token over windows of the model's context, side by side.

    All of `held` where `most_batches` is None, else that many batches spread evenly over it.
    """
    context = model.context
    starts = np.arange(0, len(held) - 1, context)
    whole = starts[starts + context + 1 <= len(held)]
    if most_batches is not None and len(whole) > most_batches * batch:
        whole = whole[np.linspace(0, len(whole) - 1, most_batches * batch).astype(int)]
        rest = starts[:0]
    else:
        rest = starts[len(whole) :]  # the last window, shorter than the others
    groups = [whole[i : i + batch] for i in range(0, len(whole), batch)]
    total, count = 0.0, 0
    for group in [*groups, *([rest] if len(rest) else [])]:
        length = min(context, len(held) - 1 - int(group[-1]))
        rows = torch.from_numpy(held[group[:, None] + np.arange(length + 1)]).to(model.device)
        with autocast(machine):
            loss = model.loss(rows[:, :-1], rows[:, 1:])
        total += float(loss) * length * len(group)
        count += length * len(group)
    return total / count


class TextTask:
    """Next-token prediction (Radford et al. 2019): mean cross-entropy in nats a token."""

    unit = "tok"

    def __init__(
        self, recipe: TextRecipe, device: torch.device, extra: dict[str, Any] | None = None
    ) -> None:
        data = load_text(recipe.dataset, recipe.data)
        if extra:
            tokenizer = tokenizer_from_dict(extra["tokenizer"])
        else:
            tokenizer = build_tokenizer(recipe, data.train)
        if recipe.fim_rate and isinstance(tokenizer, BPETokenizer):
            tokenizer = tokenizer.with_gaps()  # the network's new rows are learnt
        self._recipe, self._device, self._tokenizer = recipe, device, tokenizer
        self._train = encode_documents(tokenizer, data.train)
        self._held = encode_documents(tokenizer, data.validation)
        self.notes = data.notes + (left_out(tokenizer, data.train) if extra else ())
        need = recipe.context + 2
        if len(self._train) < need or len(self._held) < need:
            raise MisuseError(
                f"{recipe.data or recipe.dataset}: {len(self._held)} held-out tokens are fewer "
                f"than one context of {recipe.context}; give more text or --set context=32"
                + "".join(f" ({note})" for note in self.notes)
            )
        held_characters = sum(map(len, data.validation))
        self._tokens_per_character = len(self._held) / held_characters
        self.data_line = f"{data.describe()}; {tokenizer.size:,} tokens in the vocabulary"
        self.units_per_step = recipe.batch * recipe.context
        self.units_per_epoch = windows_per_epoch(len(self._train), recipe.context) * recipe.context
        self.extra = {
            "tokenizer": tokenizer.to_dict(),
            "dataset": data.name,
            "fingerprint": data.fingerprint,
            "licence": data.licence,
        }
        torch.manual_seed(recipe.seed)
        self.model = build_network(recipe, tokenizer.size).to(device)

    def loss(self, step: int) -> Tensor:
        recipe = self._recipe
        starts = windows(step, recipe.batch, len(self._train), recipe.context, recipe.seed)
        span = np.arange(recipe.context + 1)
        rows = self._train[starts[:, None] + span]
        weights = None
        if recipe.fim_rate:
            fills = self._leave_gaps(rows, starts, np.random.default_rng((recipe.seed, step)))
            weights = torch.from_numpy(1 + (FILL_WEIGHT - 1) * fills[:, 1:]).to(self._device)
        batch = torch.from_numpy(rows).to(self._device)
        return self.model.loss(batch[:, :-1], batch[:, 1:], weights)

    def _leave_gaps(
        self, rows: np.ndarray, starts: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Rearrange `fim_rate` of the rows int64 [batch, context + 1] in place.

        Which of their tokens fill a gap: fp32 [batch, context + 1], 0 or 1.
        """
        length = rows.shape[1]
        fills = np.zeros(rows.shape, np.float32)
        for index in np.flatnonzero(rng.random(len(rows)) < self._recipe.fim_rate):
            start = int(starts[index])
            end = start + fim.needed(length)
            if end <= len(self._train):
                tokens = self._train[start:end].tolist()
                rows[index], fills[index] = fim.rearranged(tokens, length, self._tokenizer, rng)
        return fills

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """`val_loss` in nats a token, over windows side by side; `val_bpc` in bits a character."""
        recipe = self._recipe
        assert isinstance(model, TokenNetwork)
        most = None if whole else recipe.eval_batches
        nats = held_out_loss(model, self._held, machine, recipe.batch, most)
        return {"val_loss": nats, "val_bpc": nats * self._tokens_per_character / np.log(2)}

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        recipe = self._recipe
        assert isinstance(model, TokenNetwork)
        generator = TextGenerator(model, self._tokenizer, machine, recipe.family)
        settings = TextSettings(tokens=recipe.sample_tokens)
        prompt = recipe.sample_prompt
        text = prompt + generator.write(prompt, recipe.seed, settings)
        return (Sample(".txt", text.encode()),)
