"""Tokenizers of other people's models: byte-level BPE and SentencePiece, with their special tokens.

A text never becomes a special token: a typed `<|im_end|>` is encoded as ordinary text. Special
tokens of chat templates are put between texts by `genui.engine.sample.chat`.
"""

import json
import math
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeGuard, TypeVar

from genui.base.errors import GenuiError, UnsupportedError
from genui.engine.data.tokenizer import GapLayout, Tokenizer, byte_alphabet
from genui.kinds.open_text.gaps import FIELDS as GAP_FIELDS
from genui.kinds.open_text.gaps import find_layout

T = TypeVar("T")


Encoder = Callable[[str], list[int]]
"""Turns text into token ids; special tokens in it are ordinary text."""


SPACE = "▁"
"""The character that SentencePiece writes for a space."""

_ANCHOR = "☺"
"""A text that never becomes one token with the next character."""

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class PretrainedTokenizer(Tokenizer):
    """The tokenizer of somebody else's model."""

    def __init__(
        self,
        *,
        pieces: Sequence[str],
        encoder: Encoder,
        byte_level: bool,
        special: Sequence[int],
        verbatim: Sequence[int] = (),
        begin: int | None = None,
        end: int | None = None,
        ends: Sequence[int] = (),
        chat_template: str = "",
        gap: GapLayout | None = None,
        fields: dict[str, Any] | None = None,
    ) -> None:
        """`pieces` are the tokens as the vocabulary spells them: with `byte_level` in the alphabet
        of byte-level BPE, else as SentencePiece does; those of `verbatim` are plain text.

        `special` tokens stand for no text. `begin` is put before a prompt, `end` ends a document,
        and each of `ends` ends a generation. The tokens of `gap` are special too. `fields` are
        those of a GGUF file's tokenizer, without their prefix.
        """
        self.size = len(pieces)
        self.begin, self.end = begin, end
        self.ends = frozenset(ends) | (frozenset() if end is None else {end})
        self.special = {token: pieces[token] for token in special}
        self.chat_template = chat_template
        self.gap = gap
        self._pieces, self._encoder = pieces, encoder
        self._verbatim = frozenset(verbatim)
        self._byte_of = byte_alphabet() if byte_level else None
        self.fields = fields or {}

    def encode(self, text: str) -> list[int]:
        return self._encoder(text)

    def encode_next(self, text: str) -> list[int]:
        """As in Tokenizer; SentencePiece puts a space before a text, and here it must not."""
        if self._byte_of is not None:
            return self._encoder(text)
        return self._encoder(_ANCHOR + text)[len(self._encoder(_ANCHOR)) :]

    def token_bytes(self, token: int) -> bytes:
        if token in self.special:
            return b""
        piece = self._pieces[token]
        if token in self._verbatim:
            return piece.encode("utf-8", "replace")
        if self._byte_of is None:
            if match := _BYTE.fullmatch(piece):
                return bytes((int(match[1], 16),))
            return piece.replace(SPACE, " ").encode("utf-8", "replace")
        byte_of = self._byte_of
        if all(c in byte_of for c in piece):
            return bytes(byte_of[c] for c in piece)
        return piece.encode("utf-8", "replace")


# --- Byte-level BPE ---------------------------------------------------------------------------
# How a text is split before BPE is not in the vocabulary: files name a pattern. A wrong one gives
# other tokens without an error. The patterns come from llama.cpp (src/llama-vocab.cpp) and from the
# tokenizers that it names.

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DIGIT = r"\p{N}"


@dataclass(frozen=True)
class Splitter:
    """How a text is split before BPE: by each pattern in turn."""

    patterns: tuple[str, ...]
    whole_first: bool = False
    """Whether a word that is a token is taken whole, without merges."""


_DIGITS_ALONE = Splitter((_DIGIT, _GPT2))
_OF_LLAMA3 = Splitter((_LLAMA3,), whole_first=True)
_OF_QWEN2 = Splitter((_LLAMA3.replace("{1,3}", ""),))

SPLITTERS: Mapping[str, Splitter] = {
    "gpt-2": Splitter((_GPT2,)),
    "smollm": _DIGITS_ALONE,
    "starcoder": _DIGITS_ALONE,
    "llama-bpe": _OF_LLAMA3,
    "llama-v3": _OF_LLAMA3,
    "llama3": _OF_LLAMA3,
    "falcon3": _OF_LLAMA3,
    "smaug-bpe": Splitter((_LLAMA3,)),
    "qwen2": _OF_QWEN2,
    "deepseek-r1-qwen": _OF_QWEN2,
    "tekken": Splitter((_TEKKEN,), whole_first=True),  # Mistral's own; llama.cpp's differs for É
}
"""By the name in `tokenizer.ggml.pre`."""


def bpe_tokenizer(
    pieces: Sequence[str],
    merges: Sequence[tuple[str, str]],
    splitter: Splitter,
    special: Sequence[int],
    verbatim: Sequence[int],
) -> Any:
    """A byte-level BPE vocabulary as a tokenizer of the `tokenizers` library."""
    from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers
    from tokenizers import Tokenizer as HFTokenizer

    vocabulary = {piece: token for token, piece in enumerate(pieces)}
    bpe = models.BPE(vocabulary, list(merges), ignore_merges=splitter.whole_first)
    tokenizer = HFTokenizer(bpe)
    splits: list[Any] = [
        pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in splitter.patterns
    ]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(pieces[t], normalized=False) for t in special])
    tokenizer.add_tokens([AddedToken(pieces[t], normalized=False) for t in verbatim])
    return tokenizer


def library_encoder(tokenizer: Any) -> Encoder:

    def encode(text: str) -> list[int]:
        text = text.encode("utf-8", "replace").decode()  # a lone surrogate is a question mark
        tokenizer.encode_special_tokens = True  # as text
        with _tokenizer_errors():
            return tokenizer.encode(text, add_special_tokens=False).ids

    return encode


@contextmanager
def _tokenizer_errors() -> Iterator[None]:
    """Turns an error of the `tokenizers` library into a GenuiError of one line."""
    try:
        yield
    except BaseException as error:  # plain Exception, and for a panic not even that
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).split())[:80]
        raise GenuiError(f"its tokenizer is damaged ({reason}); fetch it again") from None


_silencing = threading.Lock()  # of stderr, which all threads share


@contextmanager
def _without_backtraces() -> Iterator[None]:
    """Nothing is written to stderr in the block: the library prints a page there for a panic."""
    with _silencing:
        kept = os.dup(2)
        try:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


_MOST_GROWTH = 64


def open_tokenizer(text: str) -> Any:
    """The tokenizer of a tokenizer.json, which neither cuts nor pads a text.

    Raises GenuiError if it is damaged, or makes a text many times as long.
    """
    from tokenizers import Tokenizer as HFTokenizer

    with _without_backtraces(), _tokenizer_errors():
        tokenizer = HFTokenizer.from_str(text)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        growth = _growth(json.loads(text).get("normalizer") or {})
    if growth > _MOST_GROWTH:
        raise GenuiError(f"its tokenizer makes a text {growth:,.0f} times as long; use another")
    return tokenizer


def _growth(normalizer: dict[str, Any]) -> float:
    """The factor by which a character can become longer."""
    match normalizer.get("type"):
        case "Sequence":
            return math.prod(map(_growth, normalizer["normalizers"]))
        case "Replace":
            replaced = normalizer["pattern"].get("String") or " "
            return max(1.0, len(normalizer["content"]) / len(replaced))
        case "Prepend":
            return 1.0 + len(normalizer["prepend"])
    return 1.0


# --- From the metadata of a GGUF file ---------------------------------------------------------

_FILE = "tokenizer.json"
"""The kind of a tokenizer that is one of the `tokenizers` library."""

_MOST_TOKENS = 1 << 22

_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4  # values of `tokenizer.ggml.token_type`

_ENDS = frozenset(
    {
        "</s>", "<|im_end|>", "<|end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>",
        "<|endoftext|>", "<|end_of_text|>", "<eos>", "<|return|>", "<|end_of_turn|>",
    }
)  # fmt: skip
"""Special tokens that end a turn or a document, as llama.cpp recognises them by their text."""

_FIELDS = (
    "model", "pre", "tokens", "merges", "scores", "token_type", "bos_token_id", "eos_token_id",
    "eot_token_id", "eom_token_id", "unknown_token_id", "add_bos_token", "add_space_prefix",
    *(f"{name}_token_id" for name in GAP_FIELDS),
)  # fmt: skip


def tokenizer_from_gguf(metadata: Mapping[str, Any]) -> PretrainedTokenizer:
    """The tokenizer in the metadata of a GGUF file.

    Raises GenuiError, without the file's name, if it is missing, damaged or of an unknown kind.
    """
    fields = {
        name: metadata[key] for name in _FIELDS if (key := f"tokenizer.ggml.{name}") in metadata
    }
    template = metadata.get("tokenizer.chat_template")
    return _build(fields, template if isinstance(template, str) else "")


def tokenizer_from_file(
    text: str, template: str, ends: Iterable[object] = (), vocab_size: int = 0
) -> PretrainedTokenizer:
    """The tokenizer in a tokenizer.json of Hugging Face.

    `ends` are the tokens that end a generation, the first a document; other values are ignored.
    Ids from the last token up to `vocab_size` are special tokens without a name. Raises
    GenuiError, without the file's name, if it is damaged.
    """
    tokenizer = open_tokenizer(text)
    described = json.loads(text)
    added = {entry["id"]: bool(entry["special"]) for entry in described["added_tokens"]}
    ids = {*tokenizer.get_vocab().values()}
    known = 1 + max(ids, default=-1)
    if not 0 < known < min(_MOST_TOKENS, 1000 + 2 * len(ids)) or vocab_size >= _MOST_TOKENS:
        raise GenuiError(f"its tokenizer has {len(ids):,} tokens, with ids up to {known - 1:,}")
    size = vocab_size or known
    if (learned := 1 + max(ids - added.keys(), default=-1)) > size:
        raise GenuiError(
            f"its tokenizer has {learned:,} tokens and its network {size:,}; fetch it again"
        )
    pieces = [tokenizer.id_to_token(token) or "" for token in range(size)]
    types = [1 if piece else _CONTROL for piece in pieces]
    for token, special in added.items():
        if token >= known:
            raise GenuiError(f"its tokenizer has {known:,} tokens and names one {token:,}")
        if token < size:  # one that the network has not, such as [PAD], is left out
            types[token] = _CONTROL if special else _USER_DEFINED
    with _without_backtraces(), _tokenizer_errors():
        with_begin = tokenizer.encode("a", add_special_tokens=True).ids
    first = with_begin[0] if with_begin else -1  # "a" itself, if nothing is put before a text
    adds_begin = added.get(first, False)
    valid = [end for end in ends if type(end) is int and 0 <= end < size]
    fields = {
        "model": _FILE,
        "file": text,
        "tokens": pieces,
        "token_type": types,
        "byte_level": '"ByteLevel"' in json.dumps(described.get("decoder")),
        "bos_token_id": first if adds_begin else -1,
        "add_bos_token": adds_begin,
        "eos_token_id": valid[0] if valid else -1,
        "ends": valid,
    }
    return _build(fields, template)


def serialise(tokenizer: "PretrainedTokenizer") -> Any:
    """The tokenizer as one of the `tokenizers` library."""
    from tokenizers import Tokenizer as HFTokenizer

    fields = tokenizer.fields
    if fields["model"] == _FILE:
        return HFTokenizer.from_str(fields["file"])
    special, verbatim = _kinds(fields, tokenizer.gap)
    build = _bpe if fields["model"] == "gpt2" else _scored_bpe
    return build(fields, fields["tokens"], special, verbatim)


def gguf_fields(tokenizer: "PretrainedTokenizer") -> dict[str, Any]:
    """The fields of the tokenizer in a GGUF file, without their prefix.

    Raises GenuiError if it came from a tokenizer.json that is not a byte-level BPE, or one that
    splits words in an unknown way.
    """
    fields = tokenizer.fields
    if fields["model"] != _FILE:
        return fields
    described = json.loads(fields["file"])
    model = described["model"]
    if model.get("type") != "BPE" or not fields["byte_level"]:
        raise GenuiError(
            "its tokenizer is not a byte-level BPE, and others are not written as GGUF"
        )
    patterns = tuple(_patterns(described.get("pre_tokenizer") or {}))
    names = [name for name, splitter in SPLITTERS.items() if splitter.patterns == patterns]
    if not names:
        raise GenuiError("its tokenizer splits words in a way that has no name in GGUF files")
    merges = [each if isinstance(each, str) else " ".join(each) for each in model["merges"]]
    ids = {name: fields[name] for name in ("bos_token_id", "eos_token_id") if fields[name] >= 0}
    return {
        "model": "gpt2",
        "pre": names[0],
        "tokens": [piece or f"[PAD{token}]" for token, piece in enumerate(fields["tokens"])],
        "token_type": fields["token_type"],
        "merges": merges,
        "add_bos_token": fields["add_bos_token"],
        **ids,
    }


def _patterns(described: dict[str, Any]) -> Iterator[str]:
    """The patterns by which a pre-tokenizer of a tokenizer.json splits, in turn."""
    match described.get("type"):
        case "Sequence":
            for each in described["pretokenizers"]:
                yield from _patterns(each)
        case "Split":
            yield str(described["pattern"].get("Regex"))
        case "Digits":
            yield _DIGIT if described.get("individual_digits") else "digits"
        case "ByteLevel":
            if described.get("use_regex", True):
                yield _GPT2
        case other:
            yield str(other)


def _kinds(fields: dict[str, Any], gap: GapLayout | None) -> tuple[list[int], list[int]]:
    """The special tokens, and those that are taken verbatim. Those of gaps are special, whatever a
    file says, so that nobody types them."""
    types = fields.get("token_type", [])
    of_gaps = {*gap.marks, *gap.ends} if gap else set[int]()
    special = {t for t, kind in enumerate(types) if kind in (_UNKNOWN, _CONTROL)} | of_gaps
    verbatim = [t for t, kind in enumerate(types) if kind == _USER_DEFINED and t not in special]
    return sorted(special), verbatim


def _build(fields: dict[str, Any], template: str) -> PretrainedTokenizer:
    model, pieces = fields.get("model"), fields.get("tokens")
    if not _is_list(pieces, str) or len(pieces) == 0:
        raise GenuiError("it has no tokenizer; use a file with its vocabulary")
    types = fields.get("token_type", [])
    if types and (not _is_list(types, int) or len(types) != len(pieces)):
        raise GenuiError("the types of its tokens do not fit its vocabulary; fetch it again")
    gap = find_layout(pieces, fields)
    special, verbatim = _kinds(fields, gap)

    def token(name: str) -> int | None:
        value = fields.get(f"{name}_token_id")
        return value if isinstance(value, int) and 0 <= value < len(pieces) else None

    if model == "gpt2":
        encoder = library_encoder(_bpe(fields, pieces, special, verbatim))
    elif model == _FILE:
        encoder = library_encoder(_with_special(open_tokenizer(fields["file"]), pieces, gap))
    elif model == "llama":
        encoder = library_encoder(_scored_bpe(fields, pieces, special, verbatim))
    else:
        raise UnsupportedError(
            f"its tokenizer {str(model)[:40]!r} is unknown; known are 'gpt2' (byte-level BPE) and "
            "'llama' (SentencePiece)"
        )
    end = token("eos")
    more = fields.get("ends", [])
    ends = [*more] if _is_list(more, int) else []
    ends += [t for t in special if pieces[t] in _ENDS]
    ends += [t for name in ("eot", "eom") if (t := token(name)) is not None]
    adds_begin = fields.get("add_bos_token", model == "llama" or fields.get("pre") == "llama-bpe")
    return PretrainedTokenizer(
        pieces=pieces,
        encoder=encoder,
        byte_level=bool(fields.get("byte_level", model == "gpt2")),
        special=special,
        verbatim=verbatim,
        begin=token("bos") if adds_begin else None,
        end=end,
        ends=ends,
        chat_template=template,
        gap=gap,
        fields=fields,
    )


def _with_special(tokenizer: Any, pieces: list[str], gap: GapLayout | None) -> Any:
    """A tokenizer of the library in which the tokens of gaps are special, and those that are not
    among the pieces."""
    from tokenizers import AddedToken

    names = [pieces[t] for t in (*gap.marks, *gap.ends)] if gap else []
    added = tokenizer.get_added_tokens_decoder()
    names += [added[t].content for t in added if t >= len(pieces)]
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in names])
    return tokenizer


def _bpe(fields: dict[str, Any], pieces: list[str], special: list[int], verbatim: list[int]) -> Any:
    name, merges = fields.get("pre", "default"), fields.get("merges")
    if name not in SPLITTERS:
        raise UnsupportedError(
            f"its pre-tokenizer {str(name)[:40]!r} is unknown, and another would split words "
            f"wrongly; known are {', '.join(SPLITTERS)}"
        )
    if not _is_list(merges, str):
        raise GenuiError("its tokenizer has no merges; fetch it again")
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    with _tokenizer_errors():
        return bpe_tokenizer(pieces, pairs, SPLITTERS[name], special, verbatim)


MOST_CHARACTERS = 128
"""Of a token of SentencePiece: all its pairs of parts are looked up."""


def _scored_bpe(
    fields: dict[str, Any], pieces: list[str], special: list[int], verbatim: list[int]
) -> Any:
    """SentencePiece's BPE with scores (Kudo & Richardson 2018) as a tokenizer of the library.

    The merges are all pairs that are a token, by its score. A character that is no token becomes
    its bytes.
    """
    from tokenizers import AddedToken, decoders, models, normalizers
    from tokenizers import Tokenizer as HFTokenizer

    scores, unknown = fields.get("scores"), fields.get("unknown_token_id", 0)
    if not _is_list(scores, float) or len(scores) != len(pieces):
        raise GenuiError("the scores of its tokens do not fit its vocabulary; fetch it again")
    if not isinstance(unknown, int) or not 0 <= unknown < len(pieces):
        unknown = 0
    hidden = {*special, *verbatim}
    id_of = {piece: token for token, piece in enumerate(pieces) if token not in hidden}
    if max(map(len, id_of), default=0) > MOST_CHARACTERS:
        raise GenuiError(f"a token has more than {MOST_CHARACTERS} characters; fetch it again")
    merges: list[tuple[str, str]] = []
    for piece in sorted(id_of, key=lambda piece: -scores[id_of[piece]]):
        cuts = ((piece[:cut], piece[cut:]) for cut in range(1, len(piece)))
        pairs = [pair for pair in cuts if pair[0] in id_of and pair[1] in id_of]
        merges += sorted(pairs, key=lambda pair: id_of[pair[0]])
    vocabulary = {piece: token for token, piece in enumerate(pieces)}
    with _tokenizer_errors():
        bpe = models.BPE(
            vocabulary, merges, unk_token=pieces[unknown], fuse_unk=True, byte_fallback=True
        )
    tokenizer = HFTokenizer(bpe)
    replaced = normalizers.Replace(" ", SPACE)
    parts: list[Any] = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if fields.get("add_space_prefix", True):
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), replaced])
        parts.append(decoders.Strip(" ", 1, 0))
    else:
        tokenizer.normalizer = replaced
    tokenizer.decoder = decoders.Sequence(parts)
    tokenizer.add_special_tokens([AddedToken(pieces[t], normalized=False) for t in special])
    tokenizer.add_tokens([AddedToken(pieces[t], normalized=False) for t in verbatim])
    return tokenizer


def _is_list(value: object, of: type[T]) -> TypeGuard[list[T]]:
    return isinstance(value, list) and all(isinstance(each, of) for each in value)
