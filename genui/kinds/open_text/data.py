"""Examples to fine-tune on: chats, prompts with completions, and plain text."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.data.text import TextData, load_text, read_text

ROLES = ("system", "user", "assistant", "tool")
WRITER = "assistant"
"""The role whose messages are learned."""

HELD_OUT = 10
"""One row in so many is held out."""

IGNORED = -100
"""The target of a token that is not learned."""


class Message(Struct, frozen=True):
    role: str
    content: str


class Chat(Struct, frozen=True):
    """A line of a chat file. Other keys are ignored."""

    messages: Annotated[tuple[Message, ...], Meta(min_length=1)]
    line: int = 0

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(message.role for message in self.messages)


class Completion(Struct, frozen=True):
    """A line with a prompt and what follows it."""

    prompt: str
    completion: str
    line: int = 0


Row = Chat | Completion


@dataclass(frozen=True)
class Rows:
    """Rows of one kind to train on and held-out ones, as TextData has documents."""

    name: str
    train: tuple[Row, ...]
    validation: tuple[Row, ...]
    fingerprint: str
    licence: str = "yours"
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """Describe the data in one line."""
        kind = "conversations" if isinstance(self.train[0], Chat) else "prompts with completions"
        train, held = len(self.train), len(self.validation)
        return f"{self.name}: {train:,} {kind} to train on, {held:,} held out"


def longest(rows: Rows | TextData) -> int:
    """The characters of the longest row, with some for what a template adds."""
    return max(map(_length, (*rows.train, *rows.validation)))


def text_of(row: Row | str) -> str:
    """A row as plain text, without a template."""
    if isinstance(row, Chat):
        return "\n\n".join(message.content for message in row.messages)
    return row if isinstance(row, str) else row.prompt + row.completion


def _length(row: Row | str) -> int:
    if isinstance(row, Chat):
        return 60 + sum(30 + len(message.content) for message in row.messages)
    return len(row) if isinstance(row, str) else len(row.prompt) + len(row.completion)


def load_rows(dataset: str, data: str, preparation: Preparation = QUIET) -> Rows | TextData:
    """The rows of the user's file or folder `data`, or the texts of a dataset.

    A file that ends in .jsonl has a chat, {"messages": [{"role": …, "content": …}, …]}, or
    {"prompt": …, "completion": …} in each line. Everything else is plain text, as for our own
    models. Raises MisuseError, which names the file and the line that is wrong.
    """
    path = Path(os.path.expanduser(data))
    if data and path.suffix.lower() == ".jsonl" and not path.is_dir():
        content = read_text(path)
        keys = _first_keys(content)
        if "text" not in keys or not keys.isdisjoint(("messages", "prompt")):
            kind = Completion if "prompt" in keys else Chat
            return _split(path, list(_parse(path, content, kind)), content)
    if not data and not dataset:
        raise MisuseError(
            "no data to train on; name a file as data (--data FILE), with a chat in each line"
        )
    return load_text(dataset, data, preparation=preparation)


def _first_keys(content: str) -> frozenset[str]:
    """The keys of the first line; none if it is no JSON object."""
    first = next((line for line in content.split("\n") if line.strip()), "")
    try:
        return frozenset(msgspec.json.decode(first.encode("utf-8", "replace"), type=dict[str, Any]))
    except (msgspec.DecodeError, RecursionError):
        return frozenset()


def _parse(path: Path, content: str, kind: type[Row]) -> Iterator[Row]:
    """The row of each line. Raises MisuseError for the first that is wrong, or of another kind."""
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():  # JSON may hold other line separators, such as U+2028
            continue
        where, raw = f"{path}, line {number}", line.encode("utf-8", "replace")
        try:
            row = msgspec.json.decode(raw, type=kind)
        except (msgspec.DecodeError, RecursionError) as error:
            reason = str(error).replace("`", "'")
            expected = (
                '{"messages": [{"role": "user", "content": …}, …]} or '
                '{"prompt": …, "completion": …}'
                if kind is Chat
                else '{"prompt": …, "completion": …}, as in the first line'
            )
            raise MisuseError(f"{where}: {reason}; expected {expected}") from None
        _check(row, where)
        yield msgspec.structs.replace(row, line=number)


def _check(row: Row, where: str) -> None:
    """Raises MisuseError for a row from which nothing can be learned."""
    if isinstance(row, Completion):
        if not row.completion:
            raise MisuseError(f"{where}: its completion is empty; write it or remove the line")
        return
    for message in row.messages:
        if message.role not in ROLES:
            roles = ", ".join(ROLES)
            raise MisuseError(f"{where}: role {message.role[:20]!r}; known are {roles}")
    if not any(m.role == WRITER and m.content for m in row.messages):
        raise MisuseError(f"{where}: no message of the assistant; add one or remove the line")


def _split(path: Path, rows: list[Row], content: str) -> Rows:
    """Hold out one row in HELD_OUT, evenly spread."""
    if len(rows) < 2:
        raise MisuseError(f"{path}: {len(rows)} rows; at least 2 are needed, one to hold out")
    every = min(HELD_OUT, len(rows))
    held = tuple(row for i, row in enumerate(rows) if i % every == every - 1)
    train = tuple(row for i, row in enumerate(rows) if i % every != every - 1)
    digest = hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()
    return Rows(path.name, train, held, digest[:16])


# --- As tokens --------------------------------------------------------------------------------

Pieces = list[tuple[list[int], bool]]
"""Token ids in order, and whether they are learned."""


@dataclass(frozen=True)
class Example:
    """Inputs and targets [T] of one row; targets that are not learned are IGNORED."""

    tokens: NDArray[np.int64]
    targets: NDArray[np.int64]


def example(pieces: Pieces, context: int) -> Example | None:
    """The example of a row, cut to `context` tokens; None if nothing in it is learned."""
    ids = np.concatenate([np.array(ids, np.int64) for ids, _ in pieces])
    learned = np.concatenate([np.full(len(ids), is_learned) for ids, is_learned in pieces])
    tokens, targets = ids[:-1][:context], np.where(learned, ids, IGNORED)[1:][:context]
    return Example(tokens, targets) if (targets != IGNORED).any() else None


def windows_of(ids: Sequence[int], context: int) -> list[Example]:
    """Consecutive windows of a text; all its tokens are learned."""
    whole = np.array(ids, np.int64)
    starts = range(0, max(1, len(whole) - 1), context)
    cuts = [whole[start : start + context + 1] for start in starts]
    return [Example(cut[:-1], cut[1:]) for cut in cuts if len(cut) > 1]


def pad(examples: Sequence[Example]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Inputs and targets [B, T] of several examples, padded on the right, where a causal model
    does not look."""
    length = max(len(each.tokens) for each in examples)
    shape = (len(examples), length)
    tokens, targets = np.zeros(shape, np.int64), np.full(shape, IGNORED, np.int64)
    for row, each in enumerate(examples):
        tokens[row, : len(each.tokens)] = each.tokens
        targets[row, : len(each.targets)] = each.targets
    return tokens, targets
