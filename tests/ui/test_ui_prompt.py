"""The line of a prompt or caption: its label, completion and the words that the model knows."""

from acting import Opener, home_of, seen, until, until_seen
from canvas_acting import drawn_to, edits
from textual.pilot import Pilot
from textual.widgets import Input

from genui.protocol import SetPrompt
from genui.runs.models import find_model
from genui.ui.generate.prompt import (
    PromptLine,
    Vocabulary,
    complete_caption,
    describe_unknown,
    describe_words,
    read_vocabulary,
    unknown_words,
)

WORDS = Vocabulary(
    ("a", "black", "cat", "hat", "heart", "on", "one", "red", "rides", "rocket", "zero"),
    ("red heart on black", "red rocket on black"),
)


def value(pilot: Pilot[None]) -> str:
    focused = pilot.app.focused
    assert isinstance(focused, Input)
    return focused.value


def test_captions_are_completed_like_the_examples_and_then_by_words() -> None:
    assert complete_caption("red h", WORDS) == "red heart on black"
    assert complete_caption("red r", WORDS) == "red rocket on black"
    assert complete_caption("a red ha", WORDS) == "a red hat"
    assert complete_caption("a red he", WORDS) == "a red heart"
    assert complete_caption("red heart on black", WORDS) is None
    assert complete_caption("", WORDS) is None
    assert complete_caption("red ", WORDS) is None
    assert complete_caption("xy", WORDS) is None


def test_unknown_words_are_said_with_the_nearest_known_one() -> None:
    assert unknown_words("red riding cat", WORDS) == ["riding"]
    assert describe_unknown("a riding hart", WORDS) == (
        "not in this model's vocabulary: riding, hart"
    )
    assert describe_unknown("red haert", WORDS).endswith("haert; did you mean 'heart'?")
    assert describe_unknown("red heart", WORDS) == ""
    assert "did you mean" not in describe_unknown("redder", WORDS)
    # While it is typed, the beginning of a word is not an unknown word.
    assert describe_unknown("red hea", WORDS, typing=True) == ""
    assert "hea" in describe_unknown("red hea", WORDS)
    assert "hea" in describe_unknown("red hea ", WORDS, typing=True)
    assert "hx" in describe_unknown("red hx", WORDS, typing=True)
    # Some models read the digits of a number; a model of text has no vocabulary of words.
    assert unknown_words("42", Vocabulary(("red",), digits=True)) == []
    assert unknown_words("42", Vocabulary(("red",))) == ["42"]
    assert unknown_words("anything", Vocabulary()) == []


def test_the_known_words_are_listed_those_of_examples_first() -> None:
    assert describe_words("", WORDS) == (
        "11 words: black heart red rocket on cat hat one rides zero a"
    )
    assert describe_words("red h", WORDS) == "heart hat"
    assert describe_words("red ", WORDS).startswith("11 words: ")
    assert describe_words("red heart", WORDS).startswith("11 words: ")
    assert describe_words("", Vocabulary()) == ""


async def test_the_caption_line_completes_and_a_caption_from_here_is_checked_in_the_window(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot)
        await pilot.press("e", "ctrl+u", *"red h")
        await until_seen(pilot, "caption  red heart on black")
        await until_seen(pilot, " ⏎ generate  → complete  esc cancel")
        await pilot.press("right")
        await until(pilot, lambda: value(pilot) == "red heart on black")
        await pilot.press("ctrl+u", *"red riding ")
        await until_seen(pilot, "not in this model's vocabulary: riding")
        await pilot.press("ctrl+u")
        await until_seen(pilot, "words: ")
        assert "not in this model's" not in seen(pilot)
        await pilot.press(*"blue heart", "enter")
        await until_seen(pilot, "“blue heart”")
        assert "esc cancel" not in seen(pilot)
        await drawn_to(pilot, "left", "left", "canvas.recaption")
        await until_seen(pilot, "Caption from step 18 on")
        assert "⏎ generate · esc cancel" in seen(pilot)
        await pilot.press("ctrl+u", *"red riding ")
        await until_seen(pilot, "not in this model's vocabulary: riding")
        await pilot.press("enter")  # it is a warning: such a word is left out
        await until(pilot, lambda: edits(pilot) == [(18, SetPrompt("red riding"))])


async def test_a_text_has_a_prompt_without_a_list_of_words(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("2", "e", *"JULIET")
        await until_seen(pilot, "prompt ")
        line = home_of(pilot).query_one("#text PromptLine", PromptLine)
        assert not line.query_one(".prompt-words").display
        assert "→ completes" not in seen(pilot)


def test_a_file_that_cannot_be_read_has_no_vocabulary(shipped) -> None:
    model = find_model("icons")
    assert read_vocabulary(model).captions
    model.path.unlink()
    assert read_vocabulary(model) == Vocabulary()
    assert read_vocabulary(None) == Vocabulary()
