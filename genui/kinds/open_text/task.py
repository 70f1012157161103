"""Fine-tuning of other people's language models, in full or by low-rank adapters."""

import copy
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.base.errors import GenuiError, MisuseError
from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.data.text import TextData
from genui.engine.data.tokenizer import Tokenizer
from genui.engine.device import Machine, autocast, to_device
from genui.engine.kinds import Checkpoint
from genui.engine.load import find_and_load, fingerprint_of, load_open
from genui.engine.loaders import load_tokenizer
from genui.engine.metrics.copying import TracedText, index_texts
from genui.engine.models.language_model import TokenNetwork, nats_in_pieces
from genui.engine.sample.chat import Slot, encode_pieces, fill_chat, split_answers
from genui.engine.sample.text import TextGenerator
from genui.engine.train.batches import IndexSkip, examples_of
from genui.engine.train.task import WHOLE, Sample, Share
from genui.kinds.open_text.adapter import write_folder
from genui.kinds.open_text.data import (
    IGNORED,
    WRITER,
    Chat,
    Example,
    Message,
    Row,
    example,
    load_rows,
    pad,
    text_of,
    windows_of,
)
from genui.kinds.open_text.lora import AdaptedModel, Base, check_rank, list_layers
from genui.kinds.open_text.recipe import FineTuneRecipe
from genui.protocol import Piece
from genui.runs import recomputed
from genui.runs.layout import RunDir
from genui.runs.models import find_model

# --- The base model ---------------------------------------------------------------------------


def check_base(recipe: FineTuneRecipe) -> None:
    """Raises GenuiError if the base model is not here, or not the one that was trained on."""
    try:
        is_same = fingerprint_of(recipe.base) == recipe.base_fingerprint
    except (GenuiError, OSError) as error:
        raise GenuiError(
            f"its base model {recipe.base} is not here ({error}); genui pull or genui models add "
            "brings it back under that name"
        ) from None
    if not is_same:
        raise GenuiError(
            f"its base model {recipe.base} is another one now: its fingerprint is not "
            f"{recipe.base_fingerprint}; give that name to the model it was trained on"
        )


def _writer(generator: object, name: str) -> TextGenerator:
    """Raises GenuiError for a model without a network here, such as one on a server."""
    if isinstance(generator, TextGenerator) and isinstance(generator.model, AdaptedModel):
        raise GenuiError(
            f"{name}: is an adapter itself: merge it first (genui convert {name} --to hf --out "
            "FOLDER) and train from that folder"
        )
    if not isinstance(generator, TextGenerator) or not isinstance(generator.model, TokenNetwork):
        remedy = "use a model of the Llama family as GGUF or as a folder of safetensors"
        raise GenuiError(f"{name}: genui does not compute this network itself: {remedy}")
    return generator


def adapt(network: TokenNetwork, recipe: FineTuneRecipe) -> AdaptedModel:
    """The network, frozen, with new adapters that change nothing yet. They have peft's names."""
    targets = tuple(f".{target}_proj" for target in recipe.targets)
    layers = {name: each for name, each in list_layers(network).items() if name.endswith(targets)}
    if not layers:
        raise GenuiError(f"{recipe.base} has no layers {', '.join(recipe.targets)}")
    network.requires_grad_(False)
    adapted = AdaptedModel(Base(network, layers), recipe.rank, recipe.alpha / recipe.rank)
    return adapted.to(network.device)


def load_fine_tuned(checkpoint: Checkpoint[FineTuneRecipe], machine: Machine) -> TextGenerator:
    """The generator of a checkpoint; raises what `kinds.build_generator` says.

    The network of the base model is shared with its own generator.
    """
    recipe, tensors = checkpoint.recipe, checkpoint.tensors
    check_base(recipe)
    base = _writer(find_and_load(recipe.base), recipe.base)
    network = base.model
    assert isinstance(network, TokenNetwork)
    if recipe.mode == "full":
        model: Any = copy.deepcopy(network)
    else:
        check_rank(tensors, recipe.rank)
        model = adapt(network, recipe)
    model.load_state_dict(tensors)
    model.requires_grad_(False)
    return TextGenerator(model, base.tokenizer, base.machine, recipe.family)


# --- Rows as tokens ---------------------------------------------------------------------------


class Encoder:
    """Turns rows into examples by a model's tokenizer and chat template."""

    def __init__(self, tokenizer: Tokenizer, context: int) -> None:
        self.tokenizer, self.context = tokenizer, context

    def row(self, row: Row) -> Example | None:
        """The example of a row; None if its answers lie beyond the context."""
        if isinstance(row, Chat):
            texts = [message.content for message in row.messages]
            parts = [
                ([*encode_pieces(self.tokenizer, part.pieces)], part.is_learned)
                for part in split_answers(self.tokenizer, row.roles, texts)
            ]
            return example(parts, self.context)
        encode = self.tokenizer.encode
        answer = [*encode(row.completion), *self._end()]
        return example([(self.prompt(row.prompt), False), (answer, True)], self.context)

    def texts(self, documents: Sequence[str]) -> list[Example]:
        """Windows of documents, with the end token after each."""
        ids = [t for each in documents for t in (*self.tokenizer.encode(each), *self._end())]
        return windows_of(ids, self.context)

    def examples(self, rows: Sequence[Row] | Sequence[str]) -> tuple[list[Example], int]:
        """The examples of rows, or of documents, and how many rows have none."""
        texts = [row for row in rows if isinstance(row, str)]
        if texts:
            return self.texts(texts), 0
        examples = [self.row(row) for row in rows if not isinstance(row, str)]
        some = [each for each in examples if each is not None]
        return some, len(examples) - len(some)

    def prompt(self, text: str) -> list[int]:
        """The token ids of a text that is continued."""
        begin = self.tokenizer.begin
        return [*([] if begin is None else [begin]), *self.tokenizer.encode(text)]

    def chat_prompt(self, messages: Sequence[Message]) -> list[int]:
        """The token ids of messages, up to where the assistant answers."""
        texts = [message.content for message in messages]
        parts = fill_chat(self.tokenizer, tuple(message.role for message in messages))
        pieces = [
            part.fill(texts) if isinstance(part, Slot) else Piece("template", part)
            for part in parts
        ]
        return [*encode_pieces(self.tokenizer, pieces)]

    def check(self, rows: Sequence[Row] | Sequence[str], name: str) -> None:
        """Raises MisuseError, with the number of the line, for a chat that the model's template
        refuses, and if it has none."""
        kinds = {row.roles: row.line for row in reversed(rows) if isinstance(row, Chat)}
        for roles, line in kinds.items():
            try:
                fill_chat(self.tokenizer, roles)
            except MisuseError as error:
                raise MisuseError(f"{name}, line {line}: {error}") from None

    def _end(self) -> list[int]:
        return [] if self.tokenizer.end is None else [self.tokenizer.end]


# --- The loss ---------------------------------------------------------------------------------


def total_nats(model: Any, tokens: Tensor, targets: Tensor) -> Tensor:
    """The sum of the cross-entropies, in nats, of the targets [B, T] that are learned; logits are
    computed only there."""
    learned = targets != IGNORED
    x = model.last_stream(tokens)[learned]  # [N, C]
    return nats_in_pieces(model.read_out, x, targets[learned], model.config.vocab_size)


def to_tensors(examples: Sequence[Example], device: torch.device) -> tuple[Tensor, Tensor]:
    """Inputs and targets [B, T] of examples, padded."""
    tokens, targets = (to_device(each, device) for each in pad(examples))
    return tokens, targets


@torch.inference_mode()
def mean_nats(model: Any, examples: Sequence[Example], batch: int, machine: Machine) -> float:
    """The mean cross-entropy of the learned tokens, in nats."""
    examples = sorted(examples, key=lambda each: len(each.tokens))  # little padding
    total, count = 0.0, 0
    for first in range(0, len(examples), batch):
        tokens, targets = to_tensors(examples[first : first + batch], model.device)
        with autocast(machine):
            total += float(total_nats(model, tokens, targets))
        count += int((targets != IGNORED).sum())
    return total / count


# --- The task ---------------------------------------------------------------------------------

SAMPLES = 2
"""Held-out rows that are answered as samples."""

ADAPTER = "adapter"
"""The folder of a run with its newest adapter, for peft."""

OPENING = 24
"""Tokens of a held-out text that are the prompt of a sample."""


class FineTuneTask:
    """Next-token prediction from the weights of somebody else's model: mean cross-entropy in nats
    per learned token. Only the answers of chats and completions are learned."""

    unit = "tok"

    def __init__(
        self,
        recipe: FineTuneRecipe,
        device: torch.device,
        extra: dict[str, Any] | None = None,
        preparation: Preparation = QUIET,
    ) -> None:
        rows = load_rows(recipe.dataset, recipe.data, preparation)
        check_base(recipe)
        full = recipe.mode == "full"
        base = find_model(recipe.base)
        # Weights that are trained stay in fp32; frozen ones take half the memory in bf16.
        precision = "fp32" if full or recipe.precision == "auto" else recipe.precision
        machine = Machine(device.type, precision, torch.get_num_threads())
        generator = _writer(load_open(base.path, base.format, machine), recipe.base)
        network = generator.model
        assert isinstance(network, TokenNetwork)
        self._recipe, self._device = recipe, device
        self._encoder = Encoder(generator.tokenizer, min(recipe.context, network.context))
        self.train, skipped = self._encoder.examples(rows.train)
        self._held, skipped_held = self._encoder.examples(rows.validation)
        context = self._encoder.context
        if not self.train or not self._held:
            remedy = f"give a larger one: --set context={2 * context}"
            if context < recipe.context:
                remedy = f"{recipe.base} reads no more: shorten the prompts"
            raise MisuseError(
                f"{rows.name}: no answer begins within context={context} tokens; {remedy}"
            )
        self._skip = IndexSkip(recipe.skip, np.arange(len(self.train)))
        self._first_token = generator.first_token
        self._prompts = self._sample_prompts(rows.validation)
        torch.manual_seed(recipe.seed)
        self.model: Any = network.requires_grad_(True) if full else adapt(network, recipe)
        lengths = [len(each.tokens) for each in self.train]
        learned = sum(int((each.targets != IGNORED).sum()) for each in self.train)
        self.units_per_epoch = sum(lengths)
        self.units_per_step = max(1, round(recipe.batch * sum(lengths) / len(lengths)))
        total = sum(p.numel() for p in network.parameters())
        trained = sum(p.numel() for p in self.model.parameters())
        self.data_line = (
            f"{rows.describe()}; {sum(lengths):,} tokens, {learned:,} of them learned; "
            f"{len(self.train) / recipe.batch:.0f} steps see all of it once"
        )
        notes = list(rows.notes)
        if skipped + skipped_held:
            notes.append(
                f"{skipped + skipped_held} rows are left out: their answers begin after {context} "
                "tokens"
            )
        notes.append(f"{trained:,} of {total:,} parameters of {recipe.base} are trained")
        self.notes = tuple(notes)
        self.extra: dict[str, Any] = {
            "dataset": rows.name,
            "fingerprint": rows.fingerprint,
            "licence": rows.licence,
            "parameters": total if full else total + trained,
        }

    def _sample_prompts(self, held: Sequence[Row] | Sequence[str]) -> list[tuple[str, list[int]]]:
        """The prompts of samples: what is shown of each, and its token ids."""
        encoder, own = self._encoder, self._recipe.sample_prompt
        prompts: list[tuple[str, list[int]]] = []
        if own and isinstance(held[0], Chat):
            prompts.append((own, encoder.chat_prompt([Message("user", own)])))
        elif own:
            prompts.append((own, encoder.prompt(own)))
        for row in held[: 0 if own else SAMPLES]:
            if isinstance(row, str):
                ids = encoder.prompt(row[: 16 * OPENING])[:OPENING]
                prompts.append((encoder.tokenizer.decode(ids), ids))
            elif isinstance(row, Chat):
                first = next(i for i, m in enumerate(row.messages) if m.role == WRITER)
                asked = row.messages[:first]
                shown = asked[-1].content if asked else ""
                # Many templates need a message, and the assistant may have the first.
                prompts.append((shown, encoder.chat_prompt(asked) if asked else []))
            else:
                prompts.append((row.prompt, encoder.prompt(row.prompt)))
        room = self._encoder.context - 1
        return [(text, ids[-room:] or [self._first_token]) for text, ids in prompts]

    def _indices(self, step: int) -> NDArray[np.int64]:
        """The indices of a step's examples, [B]."""
        recipe = self._recipe
        drawn = examples_of(step, recipe.batch, len(self.train), recipe.seed)
        return self._skip.replace(drawn, np.random.default_rng((recipe.seed, step)))

    def loss(self, step: int, share: Share = WHOLE) -> Tensor:
        indices = self._indices(step)
        examples = [self.train[i] for i in indices]
        learned = sum(int((each.targets != IGNORED).sum()) for each in examples)
        tokens, targets = to_tensors(examples[share.rows(len(examples))], self._device)
        return total_nats(self.model, tokens, targets) / learned

    def examples(self, step: int) -> list[recomputed.Example]:
        indices = self._indices(step)
        return [
            recomputed.Example(
                row=row,
                source=f"{self.extra['dataset']}, example {index + 1:,}",
                place=str(index),
                text=self._encoder.tokenizer.decode(self.train[index].tokens.tolist()),
            )
            for row, index in enumerate(indices.tolist())
        ]

    def measure_examples(self, step: int) -> dict[str, NDArray[np.float64]]:
        """The mean loss of each example's learned tokens."""
        indices = self._indices(step)
        losses = []
        for index in indices:
            tokens, targets = to_tensors([self.train[index]], self._device)
            learned = int((targets != IGNORED).sum())
            losses.append(float(total_nats(self.model, tokens, targets)) / learned)
        return {"loss": np.array(losses)}

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """`val_loss` in nats per held-out learned token."""
        held, batch = self._held, self._recipe.batch
        if not whole and len(held) > (most := self._recipe.eval_batches * batch):
            held = [held[i] for i in np.linspace(0, len(held) - 1, most).astype(int)]
        return {"val_loss": mean_nats(model, held, batch, machine)}

    def publish(self, run: RunDir, step: int) -> None:
        """Keep the newest adapter as a folder that peft loads."""
        if self._recipe.mode == "lora":
            write_folder(run.path / ADAPTER, run.checkpoint(step), self._recipe)

    @torch.inference_mode()
    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        """The likeliest continuation of each prompt."""
        parts = []
        for shown, ids in self._prompts:
            answer = self._encoder.tokenizer.decode(self._write(model, machine, ids))
            quoted = "\n".join(f"> {line}" for line in shown.splitlines())
            parts.append(f"{quoted}\n\n{answer.strip()}\n")
        return (Sample(".txt", "\n".join(parts).encode(), len(parts)),)

    def _write(self, model: Any, machine: Machine, ids: list[int]) -> list[int]:
        state, written = model.new_state(1), []
        row = torch.tensor([ids], device=self._device)
        with autocast(machine):
            logits = model.prefill(row, state)
            while True:
                token = int(logits[0, : self._encoder.tokenizer.size].argmax())
                if token in self._encoder.tokenizer.ends:
                    return written
                written.append(token)
                if len(written) == self._recipe.sample_tokens:
                    return written
                logits = model.decode(torch.tensor([token], device=self._device), state)


def check_rows(recipe: FineTuneRecipe, preparation: Preparation = QUIET) -> str:
    """Read the training data of a recipe and describe them in one line, if its base is here."""
    check_base(recipe)
    rows = load_rows(recipe.dataset, recipe.data, preparation)
    if isinstance(rows.train[0], Chat):
        encoder = Encoder(load_tokenizer(find_model(recipe.base)), recipe.context)
        encoder.check(rows.train, rows.name)
        encoder.check(rows.validation, rows.name)
    return rows.describe()


def measure_fine_tuned(generator: TextGenerator, recipe: FineTuneRecipe) -> Mapping[str, str]:
    """The loss on all held-out rows of the data it was trained on."""
    encoder = Encoder(generator.tokenizer, min(recipe.context, generator.model.context))
    held, _ = encoder.examples(load_rows(recipe.dataset, recipe.data).validation)
    nats = mean_nats(generator.model, held, recipe.batch, generator.machine)
    return {"held-out": f"{nats:.3f} nats a learned token"}


# --- Whose words are these? -------------------------------------------------------------------


@lru_cache(maxsize=2)
def index_rows(recipe: FineTuneRecipe) -> TracedText:
    """The rows of a recipe, not what the base model has read. Raises what `load_rows` raises."""
    rows = load_rows(recipe.dataset, recipe.data)
    train, held = ([text_of(row) for row in part] for part in (rows.train, rows.validation))
    if isinstance(rows, TextData):
        names = rows.names
    else:
        names = tuple(f"{rows.name}:{row.line}" for row in rows.train)
    return index_texts(rows.name, train, held, names)
