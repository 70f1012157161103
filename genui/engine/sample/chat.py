"""Chats: messages as a model's own template writes them, and their tokens.

A template is filled with marks in place of the messages (`data.chat_template`), so that it is known
which characters are its own and which a user's: only its own can be special tokens. Its result
depends on the roles alone, never on the messages.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from genui.base.errors import GenuiError, MisuseError
from genui.base.text import clean_line
from genui.engine.data.chat_template import MARK, fill_with_marks
from genui.engine.data.tokenizer import Tokenizer
from genui.protocol import Piece, label_turn

MOST_SLOTS = 8
"""The factor by which a template may write more messages than there are."""


class Slot(NamedTuple):
    """Where a template writes a message, by its number; with `strip` without space around it."""

    message: int
    strip: bool

    def fill(self, texts: Sequence[str]) -> Piece:
        """The message, of these."""
        text = texts[self.message]
        return Piece("text", text.strip() if self.strip else text)


class Turn(NamedTuple):
    """The text that the model reads for one or more messages."""

    roles: tuple[str, ...]  # of all messages so far, without the answer that follows
    pieces: tuple[Piece, ...]
    token_ids: tuple[int, ...]


def open_chat(tokenizer: Tokenizer, system: str, message: str) -> Turn:
    """The first turn: the system prompt, if it is not empty, and the user's message.

    Raises MisuseError for an empty message, for a model without a chat template, and for what the
    template refuses; GenuiError if the template is damaged.
    """
    texts = [system, message] if system else [message]
    roles = ("system", "user") if system else ("user",)
    parts = fill_chat(tokenizer, roles)
    turn = _turn(tokenizer, roles, parts, texts, first=True)
    if system and all(part.message != 0 for part in parts if isinstance(part, Slot)):
        raise MisuseError("its chat template has no place for a system prompt: leave it out")
    return turn


def continue_chat(
    tokenizer: Tokenizer, roles: tuple[str, ...], message: str, last: int | None
) -> Turn:
    """The next message of the user, after messages of `roles` and an answer that ends with the
    token `last`. Raises as `open_chat` does."""
    roles = (*roles, "assistant", "user")
    answer = len(roles) - 2
    parts = fill_chat(tokenizer, roles)
    answers = [
        i for i, part in enumerate(parts) if isinstance(part, Slot) and part.message == answer
    ]
    if not answers:
        raise GenuiError("its chat template leaves the answer out: begin a new chat")
    at = answers[-1]
    texts = [""] * (len(roles) - 1) + [message]
    turn = _turn(tokenizer, roles, parts[at + 1 :], texts, first=False)
    if last is None or turn.token_ids[0] != last:
        return turn
    # The model has ended its answer itself.
    opening, *others = turn.pieces
    rest = opening.text.removeprefix(tokenizer.special.get(last, ""))
    return turn._replace(pieces=(Piece(opening.kind, rest), *others), token_ids=turn.token_ids[1:])


def _turn(
    tokenizer: Tokenizer,
    roles: tuple[str, ...],
    parts: Sequence[str | Slot],
    texts: Sequence[str],
    first: bool,
) -> Turn:
    """The pieces and tokens of a part of a filled template, with `texts` in its slots."""
    if not texts[-1].strip():
        raise MisuseError("the message is empty: write at least one character")
    if all(part.message != len(roles) - 1 for part in parts if isinstance(part, Slot)):
        raise GenuiError("its chat template leaves the message out: use it without a chat")
    pieces: list[Piece] = []
    for part in parts:
        if isinstance(part, str):
            pieces.append(Piece("template", part))
            continue
        new = first and all(piece.kind == "template" for piece in pieces)
        pieces += [label_turn(roles[part.message], new), part.fill(texts)]
    return Turn(
        roles,
        (*pieces, label_turn("assistant")),
        tuple(encode_pieces(tokenizer, pieces)),
    )


def encode_pieces(tokenizer: Tokenizer, pieces: Sequence[Piece]) -> Iterator[int]:
    """The tokens: special ones where the template writes them, and ordinary text between them."""
    id_of = {name: token for token, name in tokenizer.special.items() if name}
    names = sorted(id_of, key=len, reverse=True)
    pattern = re.compile(f"({'|'.join(map(re.escape, names))})" if names else r"(?!)()")
    stretch = ""
    for piece in pieces:
        split = pattern.split(piece.text) if piece.kind == "template" else [piece.text]
        for index, part in enumerate(split if piece.kind != "label" else ()):
            if index % 2:
                yield from tokenizer.encode(stretch) if stretch else ()
                yield id_of[part]
                stretch = ""
            else:
                stretch += part
    yield from tokenizer.encode(stretch) if stretch else ()


class ChatPart(NamedTuple):
    """A part of a chat to train on, and whether it is learned."""

    pieces: tuple[Piece, ...]
    is_learned: bool


def split_answers(
    tokenizer: Tokenizer, roles: tuple[str, ...], texts: Sequence[str]
) -> Iterator[ChatPart]:
    """The parts of a chat up to the end of its last answer. Learned are the assistant's messages,
    each with the token that ends it. Raises as `fill_chat`."""
    ends = [tokenizer.special[token] for token in tokenizer.ends if token in tokenizer.special]
    pattern = re.compile("|".join(map(re.escape, sorted(ends, key=len, reverse=True))) or r"(?!)")
    pieces: list[Piece] = []
    is_answer = False
    for part in fill_chat(tokenizer, roles):
        if isinstance(part, Slot):
            is_answer = roles[part.message] == "assistant"
            if is_answer and pieces:
                yield ChatPart(tuple(pieces), False)
                pieces = []
            pieces.append(part.fill(texts))
            continue
        end = match.end() if is_answer and (match := pattern.search(part)) else 0
        if is_answer:
            yield ChatPart((*pieces, Piece("template", part[:end])), True)
            pieces, is_answer = [], False
        pieces.append(Piece("template", part[end:]))
    if is_answer:
        yield ChatPart(tuple(pieces), True)


def fill_chat(tokenizer: Tokenizer, roles: tuple[str, ...]) -> tuple[str | Slot, ...]:
    """A filled template, up to where the assistant writes: its own texts, and the slots of the
    messages. Raises MisuseError if there is no template, and for what it refuses."""
    template = tokenizer.chat_template
    if not template:
        raise MisuseError("this model has no chat template: use it without a chat")
    names = [
        tokenizer.special.get(token, "") if token is not None else ""
        for token in (tokenizer.begin, tokenizer.end)
    ]
    text, fault = fill_with_marks(template, roles, *names)
    if fault:
        raise MisuseError(f"its chat template does not accept this chat: {clean_line(fault, 160)}")
    parts: list[str | Slot] = []
    at = 0
    for count, match in enumerate(MARK.finditer(text), 1):
        # Each mark becomes a message, which may be long.
        if int(match[2]) >= len(roles) or count > MOST_SLOTS * len(roles):
            raise GenuiError("its chat template writes a message too often: use it without a chat")
        parts += [text[at : match.start()], Slot(int(match[2]), not (match[1] and match[3]))]
        at = match.end()
    parts.append(text[at:])
    return tuple(part for part in parts if part != "")
