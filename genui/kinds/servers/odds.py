"""Tokens as a server gives them, and the odds of the likeliest."""

import zlib
from typing import NamedTuple

FIRST_TEXT = 1 << 30
"""Token ids from here on are made of the token's bytes, since the server gives none."""

Parts = tuple[tuple[bool, str], ...]
"""A text in parts: whether special tokens are written in a part as such, and the part. A chat
template writes them, never a user."""


class Token(NamedTuple):
    """A token of a server: its id there, and its bytes; no bytes at the end of a text."""

    id: int
    text: bytes


FIRST_MESSAGE = 1 << 29
"""Token ids from here up to FIRST_TEXT stand for messages of a chat, one id for a whole message."""


def token_from_message(text: str) -> Token:
    """A message of a chat, with all that the template writes around it, as one token."""
    raw = text.encode("utf-8", "replace")
    return Token(FIRST_MESSAGE | zlib.crc32(raw) >> 3, raw)


def is_message(token: Token) -> bool:
    return FIRST_MESSAGE <= token.id < END.id


class Odds(NamedTuple):
    """The likeliest next tokens, the likeliest first, and the logarithms of their probabilities.

    Without tokens the text ends here.
    """

    tokens: tuple[Token, ...] = ()
    logprobs: tuple[float, ...] = ()


END = Token(FIRST_TEXT - 1, b"")
"""The end of a text if the server gives no token for it."""

_ENDS = frozenset(
    (
        b"<|endoftext|>", b"<|im_end|>", b"</s>", b"<|eot_id|>", b"<|end_of_text|>", b"<eos>",
        b"<end_of_turn>", b"<|end|>", b"<|eom_id|>", b"<|return|>", b"<|endofprompt|>",
    )
)  # fmt: skip
"""How servers that give no ids spell the token that ends a text."""


def token_from_text(text: bytes) -> Token:
    """A token that the server gives only as text."""
    return END if text in _ENDS or not text else Token(FIRST_TEXT | zlib.crc32(text) >> 2, text)
