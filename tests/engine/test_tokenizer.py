from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.base.errors import GenuiError
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


@given(SPACED | st.text())
def test_a_long_text_is_encoded_to_the_same_tokens(text: str) -> None:
    for tokenizer in (CharTokenizer("".join(sorted("ab é\n☕"))), ByteTokenizer(), BPE):
        plain = text if tokenizer is not BPE else text.encode("utf-8", "replace").decode()
        array = tokenizer.encode_array(plain)
        assert array.tolist() == tokenizer.encode(plain)
        assert array.itemsize == (2 if tokenizer is BPE else 1)


def test_a_text_is_encoded_some_words_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "to be, or not  to be: that's 12 é☕\n" * 9
    monkeypatch.setattr("genui.engine.data.tokenizer._WORDS_AT_ONCE", 4)
    assert BPE.encode_array(text).tolist() == BPE.encode(text)


@given(st.lists(st.tuples(SPACED, st.booleans()), max_size=6))
def test_words_that_are_forgotten_do_not_change_the_tokens(texts: list[tuple[str, bool]]) -> None:
    assert BPE.end is not None
    expected = [
        token for text, ends in texts for token in [*BPE.encode(text), *([BPE.end] if ends else [])]
    ]
    with mock.patch.multiple("genui.engine.data.tokenizer", MOST_WORDS=3, LONG_WORD=4):
        assert encode_pieces(FORGETFUL, texts).tolist() == expected
    assert encode_pieces(BPE, texts).tolist() == expected


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
