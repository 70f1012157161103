"""The training of language models of text and code."""

import copy
import os
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.data import fim
from genui.engine.data.canaries import TIMES
from genui.engine.data.documents import find_source
from genui.engine.data.preparation import QUIET, Preparation, Report
from genui.engine.data.shards import (
    Corpus,
    TokenFile,
    Tokens,
    build_large_tokenizer,
    open_large,
    read_windows,
)
from genui.engine.data.sources import Source
from genui.engine.data.text import find_large, load_training_text
from genui.engine.data.tokenizer import (
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    encode_pieces,
    tokenizer_from_dict,
    train_bpe,
)
from genui.engine.device import Machine, autocast, to_device
from genui.engine.kinds import build_network
from genui.engine.metrics.exposure import exposure, rank_canaries
from genui.engine.models.language_model import LanguageModel, TokenNetwork
from genui.engine.sample.text import TextGenerator
from genui.engine.train.batches import WindowSkip
from genui.engine.train.schedule import Schedule
from genui.engine.train.task import WHOLE, PerStep, Sample, Share
from genui.protocol import TextSettings
from genui.recipes import TextRecipe
from genui.runs.recomputed import Example

# --- Text and code ----------------------------------------------------------------------------

FILL_WEIGHT = 6.0
"""The weight in the loss of a token that fills a gap: they are few, and they are what matters."""


def build_tokenizer(recipe: TextRecipe, documents: tuple[str, ...]) -> Tokenizer:
    """Build the tokenizer of a recipe from the training documents."""
    if recipe.tokenizer == "bpe":
        return train_bpe(documents, recipe.vocab_size)
    if recipe.tokenizer == "bytes":
        return ByteTokenizer()
    return CharTokenizer("".join(sorted(set("".join(documents)))))


def windows_per_epoch(tokens: int, context: int) -> int:
    """The number of consecutive windows that fit into the text from any offset; at least one."""
    return max(1, (tokens - 1) // context - 1)


def tokens_per_step(recipe: TextRecipe) -> int:
    """The tokens of a step, or their mean if a recipe's batches differ in size."""
    ends = [*(stage.first for stage in recipe.stages[1:]), recipe.steps]
    tokens = sum(
        (end - stage.first) * stage.context * stage.batch
        for stage, end in zip(recipe.stages, ends, strict=True)
    )
    return round(tokens / recipe.steps)


def windows(step: int, batch: int, tokens: int, context: int, *seed: int) -> np.ndarray:
    """Start positions of a step's windows, int64 [batch].

    An epoch cuts the text into consecutive windows from a random offset and shuffles them, so that
    every token is seen once per epoch, each time in another window.
    """
    count = windows_per_epoch(tokens, context)
    starts = np.empty(batch, np.int64)
    epochs, places = np.divmod(step * batch + np.arange(batch), count)
    for epoch in np.unique(epochs):
        seeds = (seed[0], int(epoch), *seed[1:])
        rows = epochs == epoch
        shuffled, offset = _shuffle_windows(seeds, count, context)
        starts[rows] = shuffled[places[rows]].astype(np.int64) * context + offset
    return np.minimum(starts, tokens - context - 1)


@lru_cache(maxsize=2)  # a step may span two epochs
def _shuffle_windows(
    seeds: tuple[int, ...], count: int, context: int
) -> tuple[NDArray[np.uint32], int]:
    """The order of an epoch's windows, a permutation [count], and the offset of the first one.

    Kept, since it costs more than a step of a small model: 8 ms for 500,000 windows.
    """
    rng = np.random.default_rng(seeds)
    order = np.arange(count, dtype=np.uint32)
    rng.shuffle(order)
    return order, int(rng.integers(0, context))


def _unknown_characters(tokenizer: Tokenizer, documents: tuple[str, ...]) -> tuple[str, ...]:
    """A note on the characters that a tokenizer made for other data lacks, if there are any."""
    unknown = tokenizer.unknown("".join(sorted(set("".join(documents)))))
    if not unknown:
        return ()
    count = sum(document.count(character) for document in documents for character in unknown)
    share = 100 * count / sum(map(len, documents))
    return (
        f"{len(unknown)} characters of this data are not in the vocabulary the model came with "
        f"and are left out ({share:.1f} % of the text): {unknown[:20]!r}",
    )


def encode_documents(tokenizer: Tokenizer, documents: tuple[str, ...]) -> np.ndarray:
    """All documents as one array of token ids [N], with the end token after each."""
    if tokenizer.end is None:
        return tokenizer.encode_array("\n".join(documents))
    return encode_pieces(tokenizer, ((document, True) for document in documents))


WHOLE_HELD_OUT = 1 << 18
"""The most tokens of large data in an evaluation of all that is held out: a tenth of 10 GB would
take hours."""

MEASURE_SAMPLE = 4 << 20
"""Bytes of large data on which the speed of a training is measured."""


def load_corpus(
    recipe: TextRecipe, extra: dict[str, Any] | None, preparation: Preparation = QUIET
) -> Corpus:
    """The tokens of a recipe's data, in memory or, if they are too large for it, in files.

    `extra` is the metadata of a checkpoint.
    """
    given = tokenizer_from_dict(extra["tokenizer"]) if extra else None
    if not preparation.is_trial and (source := find_large(recipe)):
        return _load_large(recipe, source, given, preparation.report)
    sample = MEASURE_SAMPLE if preparation.is_trial else 0
    data = load_training_text(recipe, sample=sample, preparation=preparation)
    tokenizer = _with_gaps(recipe, given or build_tokenizer(recipe, data.train))
    held = encode_documents(tokenizer, data.validation)
    names = data.names or (data.name,) * len(data.train)
    times = 1.0
    if data.is_sample:
        times = find_source(Path(os.path.expanduser(recipe.data))).text_bytes / sample
    return Corpus(
        tokenizer=tokenizer,
        train=encode_documents(tokenizer, data.train),
        held=held,
        tokens_per_character=len(held) / sum(map(len, data.validation)),
        name=data.name,
        licence=data.licence,
        fingerprint=data.fingerprint,
        line=data.describe(),
        notes=data.notes + (_unknown_characters(tokenizer, data.train) if extra else ()),
        times=times,
        documents=tuple(zip(names, map(len, data.train), strict=True)),
    )


def _load_large(
    recipe: TextRecipe, source: Source, given: Tokenizer | None, report: Report
) -> Corpus:
    remark = ""
    if given is None:
        given, remark = build_large_tokenizer(source, recipe.tokenizer, recipe.vocab_size, report)
    return open_large(source, _with_gaps(recipe, given), remark, report)


def _with_gaps(recipe: TextRecipe, tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer, with the tokens of gaps if the recipe needs them."""
    if recipe.fim_rate and isinstance(tokenizer, BPETokenizer):
        return tokenizer.with_gaps()  # a checkpoint without them is extended
    return tokenizer


@torch.inference_mode()
def held_out_loss(
    model: LanguageModel,
    held: Tokens,
    machine: Machine,
    batch: int,
    most_batches: int | None = None,
) -> float:
    """The mean loss in nats per token, over consecutive windows of the model's context: of all of
    `held` (at least two tokens), or of at most `most_batches` batches spread evenly over it."""
    context = model.context
    whole = max(0, (len(held) - 1) // context)  # windows of the full context
    rest = np.arange(whole * context, len(held) - 1, context)  # the last one, if it is shorter
    if most_batches is not None and whole > most_batches * batch:
        starts = np.linspace(0, whole - 1, most_batches * batch).astype(int) * context
        rest = rest[:0]
    else:
        starts = np.arange(whole) * context
    batches = [starts[i : i + batch] for i in range(0, len(starts), batch)]
    nats, tokens = 0.0, 0
    for group in [*batches, *([rest] if len(rest) else [])]:
        length = min(context, len(held) - 1 - int(group[-1]))
        rows = torch.from_numpy(read_windows(held, group, length + 1)).to(model.device)
        with autocast(machine):
            loss = model.loss(rows[:, :-1], rows[:, 1:])
        nats += float(loss) * length * len(group)
        tokens += length * len(group)
    return nats / tokens


class TextTask:
    """Next-token prediction (Radford et al. 2019): mean cross-entropy in nats per token."""

    unit = "tok"

    def __init__(
        self,
        recipe: TextRecipe,
        device: torch.device,
        extra: dict[str, Any] | None = None,
        preparation: Preparation = QUIET,
    ) -> None:
        data = load_corpus(recipe, extra, preparation)
        tokenizer = data.tokenizer
        self._recipe, self._device, self._tokenizer = recipe, device, tokenizer
        self._train, self._held, self.notes = data.train, data.held, data.notes
        self._documents = data.documents
        need = recipe.context + 2
        fewest, part = min((len(self._train), "training"), (len(self._held), "held-out"))
        if fewest < need:
            raise MisuseError(
                f"{recipe.data or recipe.dataset}: {fewest} {part} tokens are fewer than the "
                f"{need} that a context of {recipe.context} needs; give more text or --set "
                "context=32" + "".join(f" ({note})" for note in self.notes)
            )
        self._tokens_per_character = data.tokens_per_character
        self.data_line = f"{data.line}; {tokenizer.size:,} tokens in the vocabulary"
        self.units_per_step = tokens_per_step(recipe)
        epoch = windows_per_epoch(len(self._train), recipe.context) * recipe.context
        self.units_per_epoch = round(epoch * data.times)
        self.extra = {
            "tokenizer": tokenizer.to_dict(),
            "dataset": data.name,
            "fingerprint": data.fingerprint,
            "licence": data.licence,
        }
        self.schedule = Schedule(recipe)
        self._skip = WindowSkip(recipe.skip, len(self._train), recipe.context + 1)
        self._batch = PerStep(self._draw)
        torch.manual_seed(recipe.seed)
        self.model = build_network(recipe, tokenizer.size).to(device)

    def loss(self, step: int, share: Share = WHOLE) -> Tensor:
        tokens, weights = self._batch(step)
        rows = share.rows(len(tokens))
        own, total = len(tokens[rows]), len(tokens)
        batch = to_device(tokens[rows], self._device)
        weight = None
        if weights is not None:
            own, total = float(weights[rows].sum()), float(weights.sum())
            weight = to_device(weights[rows], self._device)
        return share.scale(self.model.loss(batch[:, :-1], batch[:, 1:], weight), own, total)

    def examples(self, step: int) -> list[Example]:
        rows, starts = self._batch(step)[0], self._starts(step)[0]
        return [
            Example(
                row=number,
                source=self._source(start),
                place=f"{start}-{start + len(row)}",
                text=self._tokenizer.decode(row.tolist()),
            )
            for number, (row, start) in enumerate(zip(rows, starts.tolist(), strict=True))
        ]

    def _source(self, start: int) -> str:
        """Where a token of the training text comes from: its document and line, if they are in
        memory."""
        if isinstance(self._train, TokenFile) or not self._documents:
            return f"token {start:,}"
        before, end = self._train[:start], self._tokenizer.end
        lines, characters = self._sizes
        if end is not None:
            ends = np.flatnonzero(before == end)
            number, begin = len(ends), int(ends[-1]) + 1 if len(ends) else 0
        else:  # documents are joined by a newline
            sizes = np.cumsum([size + 1 for _, size in self._documents])
            read = np.cumsum(characters[before])
            number = int(np.searchsorted(sizes, read[-1], side="right")) if start else 0
            begin = int(np.searchsorted(read, sizes[number - 1])) if number else 0
        name = self._documents[min(number, len(self._documents) - 1)][0]
        return f"{name}, line {int(lines[before[begin:]].sum()) + 1:,}"

    @cached_property
    def _sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """The newlines and the characters of each token of the vocabulary, int64 [V] each."""
        texts = [self._tokenizer.token_bytes(token) for token in range(self._tokenizer.size)]
        lines = [text.count(b"\n") for text in texts]
        return np.array(lines), np.array([sum(b & 0xC0 != 0x80 for b in text) for text in texts])

    def _starts(self, step: int) -> tuple[np.ndarray, int]:
        """The start positions of a step's windows, int64 [B], and their context."""
        recipe = self._recipe
        begins = ((self.schedule.step_at(stage.first), stage) for stage in reversed(recipe.stages))
        begin, (first, context, count) = next(each for each in begins if each[0] <= step)
        seed = (recipe.seed, first) if first else (recipe.seed,)
        starts = windows(step - begin, count, len(self._train), context, *seed)
        rng = np.random.default_rng((recipe.seed, step))
        return self._skip.replace(starts, context + 1, rng), context

    def _draw(self, step: int) -> tuple[np.ndarray, np.ndarray | None]:
        """The windows of a step, int64 [B, context + 1], and the weights of their targets,
        fp32 [B, context], if they differ."""
        recipe = self._recipe
        starts, context = self._starts(step)
        rows = read_windows(self._train, starts, context + 1)
        weights = None
        if recipe.fim_rate:
            fills = self._add_gaps(rows, starts, np.random.default_rng((recipe.seed, step)))
            weights = 1 + (FILL_WEIGHT - 1) * fills[:, 1:]
        return rows, weights

    def _add_gaps(
        self, rows: np.ndarray, starts: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Rearrange a random `fim_rate` of the rows int64 [B, context + 1] in place.

        Returns a mask of the tokens that fill a gap: fp32 [B, context + 1], 0 or 1.
        """
        length = rows.shape[1]
        fills = np.zeros(rows.shape, np.float32)
        for index in np.flatnonzero(rng.random(len(rows)) < self._recipe.fim_rate):
            start = int(starts[index])
            end = start + fim.tokens_needed(length)
            if end <= len(self._train):
                tokens = self._train[start:end].tolist()
                rows[index], fills[index] = fim.rearrange(tokens, length, self._tokenizer, rng)
        return fills

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """`val_loss` in nats per token, and `val_bpc` in bits per character.

        With canaries also the mean `exposure/N` in bits of those that were planted N times.
        """
        assert isinstance(model, TokenNetwork)
        most = None if whole else self._recipe.eval_batches
        if whole and isinstance(self._held, TokenFile):
            most = max(1, WHOLE_HELD_OUT // self.units_per_step)
        nats = held_out_loss(model, self._held, machine, self._recipe.batch, most)
        metrics = {"val_loss": nats, "val_bpc": nats * self._tokens_per_character / np.log(2)}
        if seed := self._recipe.canaries:
            bits = exposure(rank_canaries(model, self._tokenizer, machine, seed)).mean(axis=1)
            metrics |= {f"exposure/{n}": float(mean) for n, mean in zip(TIMES, bits, strict=True)}
        return metrics

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        recipe = self._recipe
        assert isinstance(model, TokenNetwork)
        if machine.device == "cpu":  # a copy in fp32, whose weights may be laid out for decoding
            model, machine = copy.deepcopy(model), replace(machine, precision="fp32")
        generator = TextGenerator(model, self._tokenizer, machine, recipe.family)
        generator.decode_fast()
        settings = TextSettings(tokens=recipe.sample_tokens)
        prompt = recipe.sample_prompt
        text = prompt + generator.write(prompt, recipe.seed, settings)
        return (Sample(".txt", text.encode()),)
