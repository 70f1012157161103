"""Tokenizers: characters, bytes, or a trained byte-level BPE. Texts as bags of n-grams."""

import itertools
import json
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError

END = "<|end|>"
"""The token that separates documents in BPE-tokenised data."""


def strip_last_space(text: str) -> str:
    """Strip a last space from a prompt for a model of BPE tokens. The space belongs to the next
    word's token and is rare on its own, so the model writes it."""
    return text.removesuffix(" ")


GapText = Literal["prefix", "suffix"]
"""The text before or after a gap."""


@dataclass(frozen=True)
class GapLayout:
    """How a model reads a gap to fill: token ids and the texts around the gap, in order."""

    parts: tuple[int | GapText, ...]
    ends: frozenset[int]
    """The tokens that end the middle, besides those that end every generation."""
    takes_space: bool = False
    """Whether a last space before the gap is left to the middle (see `strip_last_space`)."""

    @property
    def marks(self) -> list[int]:
        """The tokens that only occur in prompts. They have no text, and text never becomes one."""
        return [part for part in self.parts if isinstance(part, int) and part not in self.ends]


def token_type(size: int) -> np.dtype:
    """The smallest type of the token ids of a vocabulary of this size: uint8, uint16 or uint32."""
    return np.min_scalar_type(max(0, size - 1))


class Tokenizer(ABC):
    """The methods of a tokenizer that the trainer and the generator need."""

    size: int
    """The number of tokens."""
    end: int | None = None
    """The token that ends a document, if there is one."""
    begin: int | None = None
    """The token that comes before every prompt, if the model needs one."""
    ends: frozenset[int] = frozenset()
    """The tokens that end a generation; `end` is one of them."""
    special: Mapping[int, str] = MappingProxyType({})
    """The tokens that stand for no text, and their spelling."""
    gap: GapLayout | None = None
    """How a gap to fill is written, if the tokenizer has tokens for it."""
    chat_template: str = ""
    """How the model writes the messages of a chat, as a Jinja template; "" if it has none."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The token ids of a text. Unknown characters are left out (see `unknown`); a special token
        that is spelled out is ordinary text."""

    def encode_next(self, text: str) -> list[int]:
        """`encode`, of a text that other tokens come before."""
        return self.encode(text)

    def encode_array(self, text: str) -> NDArray[np.unsignedinteger]:
        """`encode`, for long texts, as an array of `token_type`."""
        return np.array(self.encode(text), token_type(self.size))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; special ones have none."""
        return b"".join(map(self.token_bytes, tokens)).decode("utf-8", errors="replace")

    @abstractmethod
    def token_bytes(self, token: int) -> bytes:
        """One token as UTF-8, possibly a part of a character."""

    def unknown(self, text: str) -> str:
        """The distinct characters of a text that cannot be encoded."""
        return ""

    def to_dict(self) -> dict[str, str]:
        """The form in a checkpoint, read back by `tokenizer_from_dict`. The tokenizer of a model
        that others trained has none: it stays in their file."""
        raise NotImplementedError


class CharTokenizer(Tokenizer):
    """One token for each character."""

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self.size = len(characters)
        self._id_of = {c: i for i, c in enumerate(characters)}

    def encode(self, text: str) -> list[int]:
        return [self._id_of[c] for c in text if c in self._id_of]

    def encode_array(self, text: str) -> NDArray[np.unsignedinteger]:
        token_ids = self._table.take(code_points(text), mode="clip")
        return token_ids[token_ids < self.size].astype(token_type(self.size), copy=False)

    @cached_property
    def _table(self) -> NDArray[np.unsignedinteger]:
        """Token ids by code point; `size` for those without one and, as the last, all above."""
        codes = code_points(self.characters)
        table = np.full(int(codes.max(initial=0)) + 2, self.size, token_type(self.size + 1))
        table[codes] = np.arange(self.size)
        return table

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(self.characters[t] for t in tokens)

    def token_bytes(self, token: int) -> bytes:
        return self.characters[token].encode("utf-8", errors="replace")

    def unknown(self, text: str) -> str:
        return "".join(dict.fromkeys(c for c in text if c not in self._id_of))

    def to_dict(self) -> dict[str, str]:
        return {"kind": "chars", "characters": self.characters}


def code_points(text: str) -> NDArray[np.unsignedinteger]:
    """The code points of a text, uint8 or uint32 [N]."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


class ByteTokenizer(Tokenizer):
    """One token for each byte of UTF-8."""

    size = 256

    def encode(self, text: str) -> list[int]:
        return list(text.encode("utf-8", errors="replace"))

    def encode_array(self, text: str) -> NDArray[np.unsignedinteger]:
        return np.frombuffer(text.encode("utf-8", errors="replace"), np.uint8)

    def token_bytes(self, token: int) -> bytes:
        return bytes((token,))

    def to_dict(self) -> dict[str, str]:
        return {"kind": "bytes"}


# A text is encoded word by word, since words recur: of 9 MB the library alone takes 8.5 s of
# computing, and 1.9 s so. Words begin and end where the expression of GPT-2 splits (Radford et al.
# 2019). ASCII next to other characters is left to the last two lines, which reach to the next
# space, where a split always is.
_SPACES = r" \t-\r\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # White_Space
_SIGNS = r"!-/:-@\[-`{-~\x00-\x08\x0e-\x1f\x7f"
_ASCII_FOLLOWS = r"(?![^\x00-\x7f])"
_WORD = re.compile(
    rf" ?[A-Za-z]++{_ASCII_FOLLOWS}"
    r"|'(?:s|t|re|ve|m|ll|d)"
    rf"| ?[{_SIGNS}]++{_ASCII_FOLLOWS}"
    rf"|[{_SPACES}]+(?![^{_SPACES}])|[{_SPACES.lstrip()}]"
    rf"| ?[0-9]++{_ASCII_FOLLOWS}"
    rf"|[{_SPACES}]*[^{_SPACES}]+"
    rf"|[{_SPACES}]+"
)

MOST_WORDS = 1 << 18
"""The most words whose token ids are remembered, about 60 MB."""

_WORDS_AT_ONCE = 1 << 16
"""Words of a text that are in memory as such at once."""

LONG_WORD = 100
"""Characters; a longer word is not remembered."""


class BPETokenizer(Tokenizer):
    """Byte-level byte-pair encoding (Sennrich et al. 2016) by the `tokenizers` library.

    With `gaps` it has two more tokens, for a gap to fill.
    """

    def __init__(self, serialised: str, gaps: bool = False) -> None:
        from tokenizers import Tokenizer as HFTokenizer

        self._serialised = serialised
        self._tokenizer = HFTokenizer.from_str(serialised)
        # A special token that is spelled out in a text is encoded as ordinary text.
        self._tokenizer.encode_special_tokens = True
        vocab_size = self._tokenizer.get_vocab_size()
        self.size = vocab_size + (2 if gaps else 0)
        self.end = self._tokenizer.token_to_id(END)
        self.ends = frozenset() if self.end is None else frozenset((self.end,))
        if gaps and self.end is not None:  # as in `data.fim`; the marks lie beyond the vocabulary
            parts = (vocab_size, "suffix", self.end, "prefix", vocab_size + 1)
            self.gap = GapLayout(parts, self.ends, takes_space=True)
        self._byte_of = byte_alphabet()
        self._ids_of: dict[str, bytes] = {}  # by word
        for text, token in self._tokenizer.get_vocab().items():
            if token >= vocab_size or not self._byte_of.keys() >= set(text):
                raise ValueError(f"token {token} is {text[:20]!r}, which stands for no bytes")

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text).ids

    def encode_array(self, text: str) -> NDArray[np.unsignedinteger]:
        words = (match[0] for match in _WORD.finditer(text))
        parts = iter(lambda: list(itertools.islice(words, _WORDS_AT_ONCE)), [])
        return np.frombuffer(b"".join(map(self._encode_words, parts)), token_type(self.size))

    def _encode_words(self, words: list[str]) -> bytes:
        """The token ids of words, remembered by word."""
        known, dtype = self._ids_of, token_type(self.size)
        new = set(words) - known.keys()
        if len(known) + len(new) > MOST_WORDS:
            known.clear()
            new = set(words)
        for word in new:
            known[word] = np.array(self._tokenizer.encode(word).ids, dtype).tobytes()
        token_ids = b"".join(map(known.__getitem__, words))
        for word in new:
            if len(word) > LONG_WORD:
                del known[word]
        return token_ids

    def token_bytes(self, token: int) -> bytes:
        if token == self.end or token >= self._tokenizer.get_vocab_size():
            return b""
        return bytes(self._byte_of[c] for c in self._tokenizer.id_to_token(token) or "")

    def to_dict(self) -> dict[str, str]:
        fields = {"kind": "bpe", "tokenizer": self._serialised}
        return fields | {"gaps": "marked"} if self.gap else fields

    def with_gaps(self) -> "BPETokenizer":
        """The same tokenizer with the tokens of gaps."""
        return BPETokenizer(self._serialised, gaps=True)


def byte_alphabet() -> dict[str, int]:
    """The printable characters that byte-level BPE uses for bytes (Radford et al. 2019)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    plain += range(ord("®"), ord("ÿ") + 1)
    table = {chr(b): b for b in plain}
    others = [b for b in range(256) if b not in table.values()]
    return table | {chr(256 + i): b for i, b in enumerate(others)}


def train_bpe(documents: Iterable[str], vocab_size: int) -> BPETokenizer:
    """Train a byte-level BPE of `vocab_size` tokens, including END."""
    from tokenizers import Tokenizer as HFTokenizer
    from tokenizers import models, pre_tokenizers, trainers

    tokenizer = HFTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    return BPETokenizer(tokenizer.to_str())


def encode_pieces(
    tokenizer: Tokenizer, pieces: Iterable[tuple[str, bool]]
) -> NDArray[np.unsignedinteger]:
    """The token ids of texts [N], each with whether the end token comes after it, if there is
    one."""
    end = np.array([] if tokenizer.end is None else [tokenizer.end], token_type(tokenizer.size))
    arrays = [end[:0]]
    for text, ends in pieces:
        arrays += [tokenizer.encode_array(text), end[:ends]]
    return np.concatenate(arrays)


def tokenizer_from_dict(fields: dict[str, str]) -> Tokenizer:
    """Restore the tokenizer of a checkpoint. Raises GenuiError if it is damaged or unknown."""
    match fields.get("kind"):
        case "chars" if fields.get("characters"):
            return CharTokenizer(fields["characters"])
        case "bytes":
            return ByteTokenizer()
        case "bpe":
            try:
                return BPETokenizer(fields["tokenizer"], gaps=fields.get("gaps") == "marked")
            except Exception as error:  # the library raises plain Exception for bad JSON
                raise GenuiError(f"the checkpoint's BPE tokenizer is damaged: {error}") from None
    raise GenuiError(f"unknown tokenizer {json.dumps(fields)[:60]} in the checkpoint")


# --- A text as a bag of n-grams: words, pairs of words, and three characters ------------------
# N-grams are hashed into buckets (Weinberger et al. 2009): there is no vocabulary to store, and an
# unknown word is still represented by its characters.

CHARACTERS = 3

_WORDS = re.compile(r"\w+|[^\w\s]")


def bag(text: str, buckets: int) -> np.ndarray:
    """The n-grams of a text as int64 [n], 0 to `buckets` - 1, with n at least 1.

    The last bucket is reserved for a text without n-grams.
    """
    ids = [zlib.crc32(gram.encode("utf-8", "replace")) % (buckets - 1) for gram in _grams(text)]
    return np.array(ids or [buckets - 1], np.int64)


def _grams(text: str) -> Iterator[str]:
    words = _WORDS.findall(text.lower())
    yield from words
    yield from map(" ".join, itertools.pairwise(words))
    plain = " ".join(text.split())
    for at in range(len(plain) - CHARACTERS + 1):
        yield "\0" + plain[at : at + CHARACTERS]
