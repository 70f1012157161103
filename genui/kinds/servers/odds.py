"""Tokens as a server tells them, and the odds of the likeliest."""

import zlib
from typing import NamedTuple

HASHED = 1 << 30
"""Token ids from here on are made of the token's bytes, since the server tells none."""

Parts = tuple[tuple[bool, str], ...]
"""A text in parts: whether special tokens are written in a part as such, and the part. They are in
what a chat template writes, never in what a user does."""


class Token(NamedTuple):
    """A token of a server: its id there, and its bytes; no bytes at the end of a text."""

    id: int
    text: bytes


SAID = 1 << 29
"""Token ids from here up to HASHED stand for the messages of a chat, a whole one each."""


def said(text: str) -> Token:
    """A message of a chat, with all that the template writes around it, as one token."""
    raw = text.encode("utf-8", "replace")
    return Token(SAID | zlib.crc32(raw) >> 3, raw)


def is_said(token: Token) -> bool:
    return SAID <= token.id < END.id


class Odds(NamedTuple):
    """The likeliest next tokens, the likeliest first, and the logarithms of their probabilities.

    Without tokens the text ends here.
    """

    tokens: tuple[Token, ...] = ()
    logprobs: tuple[float, ...] = ()


END = Token(HASHED - 1, b"")
"""The end of a text where the server tells no token for it."""

_ENDS = frozenset(
    (
        b"<|endoftext|>", b"<|im_end|>", b"</s>", b"<|eot_id|>", b"<|end_of_text|>", b"<eos>",
        b"<end_of_turn>", b"<|end|>", b"<|eom_id|>", b"<|return|>", b"<|endofprompt|>",
    )
)  # fmt: skip
"""How servers that tell no ids spell the token that ends a text."""


def hashed(text: bytes) -> Token:
    """A token that the server tells by its text alone."""
    return END if text in _ENDS or not text else Token(HASHED | zlib.crc32(text) >> 2, text)
