import numpy as np
import pytest
from networks import TRANSFORMER

from genui.base.errors import MisuseError
from genui.engine.sample.text import TextGenerator
from genui.engine.sample.trace import Trace
from genui.protocol import Frame, ImageSettings, Start, TextFrame, TextSettings


def request(prompt: str = "to be", seed: int = 1, **settings: float) -> Start:
    chosen = TextSettings(**({"tokens": 60} | settings))  # type: ignore[arg-type]
    return Start(trace=7, model="m", prompt=prompt, seed=seed, settings=chosen)


def texts(frames: list[Frame]) -> list[str]:
    return [frame.text for frame in frames if isinstance(frame, TextFrame)]


def test_the_same_seed_writes_the_same_text(text_generator: TextGenerator) -> None:
    one = texts(list(Trace(text_generator, request()).advance(0, 60)))
    two = texts(list(Trace(text_generator, request()).advance(0, 60)))
    other = texts(list(Trace(text_generator, request(seed=2)).advance(0, 60)))
    assert one == two != other
    assert len(one) == 60  # past the context of 32: the window moved


@pytest.mark.parametrize("start", [0, 3, 30, 44])
def test_going_back_and_on_again_gives_the_same_bits(
    text_generator: TextGenerator, start: int
) -> None:
    trace = Trace(text_generator, request())
    first = list(trace.advance(0, 50))
    again = list(trace.advance(start, 50 - start))
    assert again == first[start:]


def test_a_frame_tells_how_the_choice_fell(text_generator: TextGenerator) -> None:
    frames = list(Trace(text_generator, request()).advance(0, 20))
    for frame in frames:
        assert isinstance(frame, TextFrame)
        assert frame.trace == 7
        chosen = next(c for c in frame.candidates if c.token == frame.token)
        assert chosen.text == frame.text
        assert chosen.sampled > 0
        assert frame.surprisal == pytest.approx(-np.log2(chosen.model))
        assert 0 <= frame.entropy <= np.log2(28) + 1e-9


def test_unknown_characters_are_left_out_and_told(text_generator: TextGenerator) -> None:
    _, started = text_generator.begin(request("to ☕ be"))
    assert started.prompt == "to  be"
    assert "☕" in started.note
    with pytest.raises(MisuseError, match="none of its characters"):
        text_generator.begin(request("☕☕"))


@pytest.mark.parametrize("network", TRANSFORMER)
def test_of_a_prompt_longer_than_the_context_it_says_what_is_not_read(
    text_generator: TextGenerator,
) -> None:
    prompt = "to be or not to be " * 20  # 380 tokens, and a context of 32
    state, started = text_generator.begin(request(prompt))
    assert started.note == (
        "the model reads the last 28 tokens of this prompt: the first 352 of its 380 are left out"
    )
    frame = text_generator.step(state)[1]
    assert frame.step == 1
    alone, untold = text_generator.begin(request(prompt[352:]))
    assert untold.note == ""
    assert text_generator.step(alone)[1] == frame


def test_an_empty_prompt_begins_anywhere(text_generator: TextGenerator) -> None:
    assert len(list(Trace(text_generator, request("")).advance(0, 5))) == 5


def test_image_settings_do_not_fit_a_text_model(text_generator: TextGenerator) -> None:
    wrong = Start(trace=1, model="m", prompt="x", seed=1, settings=ImageSettings())
    with pytest.raises(MisuseError, match="those of text models"):
        text_generator.begin(wrong)
