"""Training networks that write: text and code token by token, and four-voice music."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.data import fim
from genui.engine.data.chorales import (
    LICENCE,
    Chorale,
    count_notes,
    describe,
    fingerprint,
    load_music,
    row,
    row_length,
)
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
from genui.engine.kinds import build_network
from genui.engine.models.language_model import LanguageModel, TokenNetwork
from genui.engine.models.transformer import ChoraleTransformer, chorale_config
from genui.engine.sample.music import MusicGenerator
from genui.engine.sample.text import TextGenerator
from genui.engine.train.optimizer import examples_of
from genui.engine.train.task import Sample, png
from genui.formats import score
from genui.formats.midi import encode_midi
from genui.protocol import Start, TextSettings, chorale
from genui.recipes import MusicRecipe, TextRecipe
from genui.render.piano_roll import draw_roll_image

# --- Text and code ----------------------------------------------------------------------------

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
            end = start + fim.tokens_needed(length)
            if end <= len(self._train):
                tokens = self._train[start:end].tolist()
                rows[index], fills[index] = fim.rearrange(tokens, length, self._tokenizer, rng)
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


# --- What a model of music writes while it trains: a piano roll to look at, and a MIDI file ---


def samples(model: LanguageModel, machine: Machine, recipe: MusicRecipe) -> Sequence[Sample]:
    """The piece that the recipe's prompt and seed give: as .png and as .mid."""
    opening = chorale.parse_opening(recipe.sample_prompt)
    grid = write_piece(
        MusicGenerator(model, machine),
        recipe.sample_prompt,
        recipe.seed,
        TextSettings(tokens=recipe.sample_tokens),
    )
    heard, length = grid.notes(), grid.complete
    image = draw_roll_image(heard, length, opening.bar, opening.begins)
    return Sample(".png", png(image)), Sample(".mid", encode_midi(heard, opening.bar))


def write_piece(
    generator: MusicGenerator, prompt: str, seed: int, settings: TextSettings
) -> score.Grid:
    """A whole piece, in this process."""
    start = Start(trace=0, model="", prompt=prompt, seed=seed, settings=settings)
    state, _ = generator.begin(start)
    grid = score.Grid(state.leads)
    while not generator.finished(state):
        state, frame = generator.step(state)
        grid.write(frame.token)
    return grid


# --- Training a Transformer to write four-voice music -----------------------------------------

NO_LEADS: frozenset[int] = frozenset()
KEY_UNKNOWN = 0.1  # share of rows whose key is not told
LEADING = (0.3, 0.65, 0.8)
"""Of the rows, up to these shares nobody leads, the soprano does, the bass does; of the rest any
one to three voices do. So a model learns to harmonise whatever is given."""


class MusicTask:
    """Next-token prediction on grids of four voices, moved to other keys, led by any voices."""

    unit = "tok"

    def __init__(
        self, recipe: MusicRecipe, device: torch.device, extra: dict[str, Any] | None = None
    ) -> None:
        parts = load_music(recipe)
        self._recipe, self._device = recipe, device
        self._train, self._held = parts["train"], parts["valid"]
        self.notes: tuple[str, ...] = ()
        self.data_line = describe(parts)
        # A window a context of each piece, and so every part of it about once an epoch.
        counts = [-(-row_length(piece) // recipe.context) for piece in self._train]
        self._windows = [
            (piece, at, count) for piece, count in enumerate(counts) for at in range(count)
        ]
        self.units_per_step = recipe.batch * recipe.context
        self.units_per_epoch = len(self._windows) * recipe.context
        self.extra = {"dataset": "chorales", "fingerprint": fingerprint(), "licence": LICENCE}
        torch.manual_seed(recipe.seed)
        self.model = ChoraleTransformer(chorale_config(recipe)).to(device)

    def loss(self, step: int) -> Tensor:
        recipe = self._recipe
        rows = []
        chosen = examples_of(step, recipe.batch, len(self._windows), recipe.seed)
        for number, window in enumerate(chosen, step * recipe.batch):
            piece, part, parts = self._windows[window]
            rng = np.random.default_rng((recipe.seed, 1, number))
            rows.append(_window(self._train[piece], part, parts, recipe.context, rng))
        tokens, answers = (np.stack(column) for column in zip(*rows, strict=True))
        device = self._device
        return self.model.loss(
            torch.from_numpy(tokens).to(device), torch.from_numpy(answers).to(device)
        )

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """`val_loss` in nats a token (a voice a sixteenth), `val_note` in nats a note begun."""
        assert isinstance(model, ChoraleTransformer)
        every = 1 if whole else max(1, len(self._held) // self._recipe.eval_batches)
        pieces = self._held[::every]
        nats = [held_out(model, piece, machine) for piece in pieces]
        total = float(sum(one.sum() for one in nats))
        return {"val_loss": total / sum(map(len, nats)), "val_note": total / count_notes(pieces)}

    def sample(self, model: nn.Module, machine: Machine) -> Sequence[Sample]:

        assert isinstance(model, ChoraleTransformer)
        return samples(model, machine, self._recipe)


def _window(
    piece: Chorale, part: int, parts: int, context: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """About the `part`-th of `parts` of a piece: what is read and what to answer, [context].

    In another key, led by other voices and cut elsewhere each time. Where the piece is
    shorter the rest of the answers is -100.
    """
    shift = int(rng.choice(np.array(piece.shifts)))
    tokens, answers = row(piece, _leads(rng), shift, bool(rng.random() >= KEY_UNKNOWN))
    room = max(0, len(tokens) - context)
    first = round(part * room / max(1, parts - 1)) + int(rng.integers(-context // 4, context // 4))
    first = min(max(0, first), room)
    tokens, answers = tokens[first : first + context], answers[first : first + context]
    missing = context - len(tokens)
    return np.pad(tokens, (0, missing)), np.pad(answers, (0, missing), constant_values=-100)


def _leads(rng: np.random.Generator) -> frozenset[int]:
    kind = int(np.searchsorted(LEADING, rng.random(), side="right"))
    if kind < len(LEADING):
        return (NO_LEADS, frozenset({0}), frozenset({3}))[kind]
    chosen = rng.permutation(len(chorale.VOICES))[: int(rng.integers(1, 4))]
    return frozenset(chosen.tolist())


def held_out(
    model: LanguageModel,
    piece: Chorale,
    machine: Machine,
    leads: frozenset[int] = NO_LEADS,
) -> NDArray[np.float64]:
    """Nats of each token of a piece, in the order they are written, END among them.

    A piece longer than the model's context is read in windows that overlap by half, and each
    token is judged where most of what came before it is in sight.
    """
    tokens, answers = row(piece, leads)
    return nats_of(model, tokens, answers, machine)


@torch.inference_mode()
def nats_of(
    model: LanguageModel,
    tokens: NDArray[np.int64],
    answers: NDArray[np.int64],
    machine: Machine,
) -> NDArray[np.float64]:
    """Nats of each answer that is asked for, in order."""
    context = model.context
    starts = [*range(0, max(1, len(tokens) - context), context // 2), max(0, len(tokens) - context)]
    nats_per_token = np.full(len(tokens), np.nan)
    for first in dict.fromkeys(starts):
        read = torch.from_numpy(tokens[first : first + context])[None].to(model.device)
        targets = torch.from_numpy(answers[first : first + context]).to(model.device)
        with autocast(machine):
            nats = F.cross_entropy(model(read)[0], targets, reduction="none").double().cpu().numpy()
        end = first + len(nats)
        known = int(np.count_nonzero(~np.isnan(nats_per_token[first:end])))
        nats_per_token[first + known : end] = nats[known:]
    return nats_per_token[answers >= 0]
