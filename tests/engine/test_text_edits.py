import msgspec
import pytest
from networks import random_network

from genui.base.errors import MisuseError
from genui.engine.data.tokenizer import ByteTokenizer, Tokenizer, train_bpe
from genui.engine.device import Machine
from genui.engine.sample.text import TextGenerator
from genui.engine.sample.trace import Trace
from genui.protocol import (
    AddNoise,
    Denoise,
    Edit,
    Frame,
    ImageSettings,
    SetPrompt,
    SetSeed,
    SetSettings,
    Start,
    TextFrame,
    TextSettings,
    WriteText,
    WriteToken,
)


def generator_of(tokenizer: Tokenizer) -> TextGenerator:
    model = random_network("transformer", tokenizer.size, layers=1)
    return TextGenerator(model, tokenizer, Machine("cpu", "fp32", 1))


@pytest.fixture
def bpe_generator() -> TextGenerator:
    return generator_of(train_bpe(["the world of words and other worlds\n"] * 20, 290))


def trace(generator: TextGenerator, prompt: str = "to be", tokens: int = 30) -> Trace:
    settings = TextSettings(tokens=tokens)
    return Trace(generator, Start(trace=1, model="m", prompt=prompt, seed=1, settings=settings))


def texts(frames: list[Frame]) -> list[TextFrame]:
    assert all(isinstance(frame, TextFrame) for frame in frames)
    return [frame for frame in frames if isinstance(frame, TextFrame)]


def written(trace: Trace, start: int = 0) -> list[TextFrame]:
    return texts(list(trace.advance(start, 1000)))


def test_settings_apply_from_the_next_token(text_generator: TextGenerator) -> None:
    before = trace(text_generator)
    frames = written(before)
    greedy = before.fork(2, 10, SetSettings(TextSettings(temperature=0, tokens=40)))
    assert greedy.started.total_steps == 40
    after = written(greedy)
    assert [f.token for f in after[:10]] == [f.token for f in frames[:10]]
    assert len(after) == 40
    for frame in after[10:]:
        assert frame.token == max(frame.candidates, key=lambda c: c.model).token
        assert frame.kept == 1
    assert any(frame.kept > 1 for frame in after[:10])


def test_fewer_tokens_than_there_are_end_the_text_where_it_stands(
    text_generator: TextGenerator,
) -> None:
    before = trace(text_generator)
    written(before)
    short = before.fork(2, 12, SetSettings(TextSettings(tokens=5)))
    assert short.started.total_steps == 12
    assert written(short, 12) == []


def test_a_penalty_looks_at_the_prompt_and_at_what_was_written(
    text_generator: TextGenerator,
) -> None:
    settings = TextSettings(temperature=0, repetition_penalty=10, tokens=12)
    start = Start(trace=1, model="m", prompt="to be", seed=1, settings=settings)
    frames = texts(list(Trace(text_generator, start).advance(0, 12)))
    plain = msgspec.structs.replace(start, settings=TextSettings(temperature=0, tokens=12))
    repeating = texts(list(Trace(text_generator, plain).advance(0, 12)))
    assert len({f.token for f in frames}) > len({f.token for f in repeating})
    # Frames tell what the model itself says, before the penalty.
    assert frames[0].entropy == repeating[0].entropy
    assert {c.token: c.logit for c in frames[0].candidates}.items() >= {
        c.token: c.logit for c in repeating[0].candidates[:11]
    }.items()


def test_another_seed_writes_on_differently(text_generator: TextGenerator) -> None:
    before = trace(text_generator)
    frames = [f.token for f in written(before)]
    again = [f.token for f in written(before.fork(2, 10, SetSeed(77)))]
    assert again[:10] == frames[:10]
    assert again[10:] != frames[10:]


def test_a_text_by_hand_is_written_a_token_a_step_and_the_model_goes_on(
    text_generator: TextGenerator,
) -> None:
    before = trace(text_generator)
    written(before)
    by_hand = before.fork(2, 10, WriteText("or not"))
    frames = written(by_hand)
    assert "".join(f.text for f in frames[10:16]) == "or not"
    assert [f.forced for f in frames] == [False] * 10 + [True] * 6 + [False] * 14
    for frame in frames[10:16]:
        assert frame.token in [c.token for c in frame.candidates]
        assert (frame.u, frame.low, frame.high) == (0, 0, 0)
    drawn = frames[16]
    assert drawn.low <= drawn.u < drawn.high


def test_a_candidate_is_taken_instead(text_generator: TextGenerator) -> None:
    before = trace(text_generator)
    frame = written(before)[7]
    other = next(c.token for c in frame.candidates if c.token != frame.token)
    fork = written(before.fork(2, 7, WriteToken(other)), 7)
    assert (fork[0].token, fork[0].forced, fork[1].forced) == (other, True, False)
    assert fork[0].candidates[:11] == frame.candidates[:11]


def test_a_text_by_hand_longer_than_was_asked_for_moves_the_end(
    text_generator: TextGenerator,
) -> None:
    before = trace(text_generator, tokens=10)
    written(before)
    longer = before.fork(2, 8, WriteText("abcdef"))
    assert longer.started.total_steps == 14
    assert "".join(f.text for f in written(longer))[8:] == "abcdef"
    at_the_end = before.fork(3, 10, WriteToken(4))
    assert at_the_end.started.total_steps == 11
    assert [f.token for f in written(at_the_end, 10)] == [4]


def test_a_later_edit_takes_the_place_of_what_was_still_to_be_written(
    text_generator: TextGenerator,
) -> None:
    by_hand = trace(text_generator).fork(2, 0, WriteText("abcdef"))
    written(by_hand)
    seeded = written(by_hand.fork(3, 2, SetSeed(3)))
    assert "".join(f.text for f in seeded[:6]) == "abcdef"
    other = written(by_hand.fork(4, 2, WriteText("xy")))
    assert "".join(f.text for f in other[:4]) == "abxy"
    assert [f.forced for f in other[:5]] == [True] * 4 + [False]


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (WriteText("a☕bé"), "no '☕é'"),
        (WriteText(""), "empty"),
        (WriteToken(28), "token 28: this model has 28, from 0 to 27"),
        (SetSettings(ImageSettings()), "those of text models"),
        (SetPrompt("a cat"), "images"),
        (AddNoise(to=3), "images"),
        (Denoise(), "images"),
    ],
)
def test_an_edit_that_does_not_fit_is_one_line(
    text_generator: TextGenerator, edit: Edit, told: str
) -> None:
    with pytest.raises(MisuseError, match=told) as error:
        trace(text_generator).fork(2, 0, edit)
    assert "\n" not in str(error.value)


def test_a_text_that_ended_is_gone_on_with_from_an_earlier_step(
    bpe_generator: TextGenerator,
) -> None:
    end = bpe_generator.tokenizer.end
    assert end is not None
    before = trace(bpe_generator, "the")
    list(before.advance(0, 6))
    ended = before.fork(2, 4, WriteToken(end))
    assert [f.step for f in written(ended)] == [1, 2, 3, 4, 5]
    assert ended.finished_at(5)
    assert ended.total_at(5) == 5
    with pytest.raises(MisuseError, match="ended at step 5"):
        ended.fork(3, 5, SetSeed(2))
    on = written(ended.fork(4, 0, WriteText(" world")))
    assert len(on) > 5
    assert "".join(f.text for f in on if f.forced) == " world"


def test_bpe_cuts_a_text_as_it_would_have_been_cut_in_one_piece(
    bpe_generator: TextGenerator,
) -> None:
    tokenizer = bpe_generator.tokenizer
    whole = tokenizer.encode("the world of words")
    for cut in range(1, len(whole)):
        before, after = tokenizer.decode(whole[:cut]), tokenizer.decode(whole[cut:])
        frames = written(trace(bpe_generator, before).fork(2, 0, WriteText(after)))
        assert [f.token for f in frames if f.forced] == whole[cut:]
    within = written(trace(bpe_generator, "the wor").fork(2, 0, WriteText("ld of")))
    assert "".join(f.text for f in within if f.forced) == "ld of"


def test_the_end_token_cannot_be_written_as_text(bpe_generator: TextGenerator) -> None:
    fork = trace(bpe_generator, "the").fork(2, 0, WriteText(" world<|end|>"))
    forced = [frame for frame in written(fork) if frame.forced]
    assert "".join(frame.text for frame in forced) == " world<|end|>"
    assert bpe_generator.tokenizer.end not in [frame.token for frame in forced]


def test_a_character_of_several_tokens_appears_when_it_is_whole() -> None:
    fork = trace(generator_of(ByteTokenizer())).fork(2, 0, WriteText("é"))
    assert [f.text for f in written(fork)[:2]] == ["", "é"]
    # Forked within the character, what comes after makes another of it.
    within = fork.fork(3, 1, WriteToken(0xA8))
    assert [f.text for f in written(within)[:2]] == ["", "è"]
