import numpy as np
import pytest

from genui.engine.generate.text import TextGenerator, filter_distribution, pick, softmax, uniform
from genui.engine.generate.trace import Trace
from genui.errors import MisuseError
from genui.protocol import Frame, ImageSettings, Start, TextFrame, TextSettings

LOGITS = np.log(np.array([0.5, 0.25, 0.125, 0.125]))


def request(prompt: str = "to be", seed: int = 1, **settings: float) -> Start:
    chosen = TextSettings(**({"tokens": 60} | settings))  # type: ignore[arg-type]
    return Start(trace=7, model="m", prompt=prompt, seed=seed, settings=chosen)


def texts(frames: list[Frame]) -> list[str]:
    return [frame.text for frame in frames if isinstance(frame, TextFrame)]


def test_temperature_sharpens_and_zero_is_greedy() -> None:
    warm = filter_distribution(LOGITS, TextSettings(temperature=1, top_p=1))
    np.testing.assert_allclose(warm, softmax(LOGITS))
    cool = filter_distribution(LOGITS, TextSettings(temperature=0.5, top_p=1))
    np.testing.assert_allclose(cool, np.array([16, 4, 1, 1]) / 22)
    greedy = filter_distribution(LOGITS, TextSettings(temperature=0))
    assert greedy.tolist() == [1, 0, 0, 0]


def test_top_k_and_top_p_keep_the_likeliest() -> None:
    two = filter_distribution(LOGITS, TextSettings(temperature=1, top_k=2, top_p=1))
    np.testing.assert_allclose(two, [2 / 3, 1 / 3, 0, 0])
    most = filter_distribution(LOGITS, TextSettings(temperature=1, top_p=0.6))
    np.testing.assert_allclose(most, [2 / 3, 1 / 3, 0, 0])
    one = filter_distribution(LOGITS, TextSettings(temperature=1, top_p=0.01))
    np.testing.assert_allclose(one, [1, 0, 0, 0])


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    probability = np.array([0.6, 0.0, 0.3, 0.1])
    drawn = np.bincount([pick(probability, uniform(1, k)) for k in range(4000)], minlength=4)
    np.testing.assert_allclose(drawn / 4000, probability, atol=0.03)
    assert drawn[1] == 0


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


def test_a_prompt_longer_than_the_context_is_read_from_its_end(
    text_generator: TextGenerator,
) -> None:
    state, started = text_generator.begin(request("to be or not to be " * 20))
    assert "last" in started.note
    assert text_generator.step(state)[1].step == 1


def test_an_empty_prompt_begins_anywhere(text_generator: TextGenerator) -> None:
    assert len(list(Trace(text_generator, request("")).advance(0, 5))) == 5


def test_picture_settings_do_not_fit_a_text_model(text_generator: TextGenerator) -> None:
    wrong = Start(trace=1, model="m", prompt="x", seed=1, settings=ImageSettings())
    with pytest.raises(MisuseError, match="text settings"):
        text_generator.begin(wrong)
