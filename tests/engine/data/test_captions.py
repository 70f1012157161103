"""Captions as numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.engine.data.captions import COLOURS, PAD, UNKNOWN, Vocabulary, split_words


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("red heart on black", ("red", "heart", "on", "black")),
        ("  Red-HEART,\ton_black!", ("red", "heart", "on", "black")),
        ("t rex 2", ("t", "rex", "2")),
        ("Größe ÉTÉ", ("größe", "été")),
        ("cafe\u0301", ("café",)),
        ("हिन्दी भाषा", ("हिन्दी", "भाषा")),
        ("❤️ → \x1b[31m", ("31m",)),
        ("", ()),
    ],
)
def test_words(caption: str, words: tuple[str, ...]) -> None:
    assert split_words(caption) == words


def test_encode_pads_cuts_and_marks_what_it_does_not_know() -> None:
    vocabulary = Vocabulary.build(["heart", "light bulb"])
    numbers = vocabulary.encode(["red heart", "green zebra on light bulb", ""], length=4)
    assert numbers.shape == (3, 4)
    assert numbers.dtype == np.int64
    assert list(numbers[0, 2:]) == [PAD, PAD]
    assert numbers[1, 1] == UNKNOWN
    assert list(numbers[2]) == [PAD] * 4
    known = [vocabulary.words[n - 2] for n in (numbers[0, 0], numbers[0, 1], numbers[1, 3])]
    assert known == ["red", "heart", "light"]
    assert numbers.max() < vocabulary.size


def test_colours_and_on_are_always_known() -> None:
    assert Vocabulary.build([]).unknown(" on ".join(COLOURS)) == []


def test_unknown_words_are_named_in_order() -> None:
    assert Vocabulary.build(["heart"]).unknown("Zebra heart, on yak") == ["zebra", "yak"]


def test_the_vocabulary_is_the_same_in_any_order_of_captions() -> None:
    captions = ["cat face", "dog face", "cat"]
    assert Vocabulary.build(captions) == Vocabulary.build(reversed(captions))


@given(st.lists(st.text(max_size=30), max_size=5))
def test_a_vocabulary_knows_all_it_was_built_from(captions: list[str]) -> None:
    vocabulary = Vocabulary.build(captions)
    assert (vocabulary.encode(captions, length=30) != UNKNOWN).all()
    assert all(vocabulary.unknown(caption) == [] for caption in captions)
