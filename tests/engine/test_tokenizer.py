import itertools
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from genui.base.errors import GenuiError
from genui.engine.data import words
from genui.engine.data.tokenizer import (
    END,
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    encode_pieces,
    tokenizer_from_dict,
    train_bpe,
)

CORPUS = ("def add(a, b):\n    return a + b\n", "für alle Fälle: naïve café ☕\n") * 20
BPE = train_bpe(CORPUS, 300)
FORGETFUL = BPETokenizer(BPE.to_dict()["tokenizer"])
"""Used where few words are remembered."""


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_bytes_and_bpe_say_any_text(text: str) -> None:
    for tokenizer in (ByteTokenizer(), BPE):
        tokens = tokenizer.encode(text)
        assert tokenizer.decode(tokens) == text
        assert b"".join(map(tokenizer.token_bytes, tokens)) == text.encode()


SPACED = st.text(st.sampled_from("'abdelmrstv1é_.-²  \n\t\r\x00\x1c\x85\xa0\u2028\u3000☕😀"))
SPLITTER = pre_tokenizers.ByteLevel(add_prefix_space=False)


@given(SPACED | st.text())
def test_a_long_text_is_encoded_to_the_same_tokens(text: str) -> None:
    for tokenizer in (CharTokenizer("".join(sorted("ab é\n☕"))), ByteTokenizer(), BPE):
        plain = text if tokenizer is not BPE else text.encode("utf-8", "replace").decode()
        array = tokenizer.encode_array(plain)
        assert array.tolist() == tokenizer.encode(plain)
        assert array.itemsize == (2 if tokenizer is BPE else 1)


def split(word: str) -> list[str]:
    """The words of the `tokenizers` library, in the alphabet of byte-level BPE."""
    return [part for part, _ in SPLITTER.pre_tokenize_str(word)]


@given(SPACED, st.lists(SPACED, max_size=4))
def test_words_begin_where_the_expression_of_gpt_2_splits(text: str, others: list[str]) -> None:
    texts = [text, *others]
    data = b"".join(each.encode() + bytes((words.END,)) for each in texts)
    starts = words.find_words(np.frombuffer(data, np.uint8)).tolist()
    parts = [data[a:b] for a, b in itertools.pairwise([*starts, len(data)])]
    assert b"".join(parts) == data
    expected = [part for each in texts for part in [*split(each), "end"]]
    assert [
        part
        for word in parts
        for part in (["end"] if word == bytes((words.END,)) else split(word.decode()))
    ] == expected


@given(st.sampled_from([6, 9, 40]), st.lists(st.tuples(SPACED, st.booleans()), max_size=6))
def test_blocks_and_borders_do_not_change_the_tokens(
    size: int, texts: list[tuple[str, bool]]
) -> None:
    assert BPE.end is not None
    expected = [
        token for text, ends in texts for token in [*BPE.encode(text), *([BPE.end] if ends else [])]
    ]
    with mock.patch.multiple(words, BLOCK=size, MOST_WORDS=3, LONG_WORD=4):
        assert FORGETFUL.encode_pieces(texts).tolist() == expected
    other: Any = SimpleNamespace(size=BPE.size, end=BPE.end, encode_array=BPE.encode_array)
    for tokenizer in (BPE, other):
        assert encode_pieces(tokenizer, texts).tolist() == expected


def test_words_with_the_same_place_in_the_table_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(words, "_BITS", 1)
    monkeypatch.setattr(words, "_SHIFT", np.uint64(63))
    tokenizer = BPETokenizer(BPE.to_dict()["tokenizer"])
    text = " ".join(f"{i} {'x' * (i % 20)}" for i in range(200))
    for _ in range(2):
        assert tokenizer.encode_array(text).tolist() == BPE.encode(text)


def test_bpe_is_shorter_than_bytes_and_knows_the_end() -> None:
    assert len(BPE.encode(CORPUS[0])) < len(CORPUS[0]) / 2
    assert BPE.end is not None
    assert BPE.end not in BPE.encode(END)  # spelled out it is only text
    assert BPE.decode([BPE.end]) == ""


def test_characters_leave_out_what_they_do_not_know() -> None:
    tokenizer = CharTokenizer("abc")
    assert tokenizer.decode(tokenizer.encode("a☕bca")) == "abca"
    assert tokenizer.unknown("a☕b☕z") == "☕z"


@pytest.mark.parametrize("tokenizer", [CharTokenizer("ab"), ByteTokenizer(), BPE])
def test_a_checkpoint_gives_the_same_tokenizer_back(tokenizer: Tokenizer) -> None:
    again = tokenizer_from_dict(tokenizer.to_dict())
    assert again.size == tokenizer.size
    assert again.encode("ab") == tokenizer.encode("ab")


@pytest.mark.parametrize(
    "fields", [{}, {"kind": "words"}, {"kind": "bpe", "tokenizer": "{"}, {"kind": "chars"}]
)
def test_a_foreign_tokenizer_is_one_line(fields: dict[str, str]) -> None:
    with pytest.raises(GenuiError, match="tokenizer") as caught:
        tokenizer_from_dict(fields)
    assert "\n" not in str(caught.value)


def test_vocabulary_size_is_as_asked() -> None:
    assert isinstance(train_bpe(CORPUS, 280), BPETokenizer)
    assert train_bpe(CORPUS, 280).size == 280
