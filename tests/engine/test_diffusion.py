import numpy as np
import pytest

from genui.base.errors import MisuseError
from genui.engine.metrics.copying import spread
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.media import to_rgb
from genui.engine.sample.trace import Trace
from genui.protocol import SAMPLERS, ImageFrame, ImageSettings, Start, TextSettings


def request(caption: str = "cat", seed: int = 1, **settings: object) -> Start:
    chosen = ImageSettings(**({"steps": 6} | settings))  # type: ignore[arg-type]
    return Start(trace=3, model="m", prompt=caption, seed=seed, settings=chosen)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_back_and_forward_gives_the_same_bits(
    image_generator: DiffusionGenerator, sampler: str
) -> None:
    trace = Trace(image_generator, request(sampler=sampler))
    first = list(trace.advance(0, 6))
    assert list(trace.advance(2, 4)) == first[2:]
    afresh = Trace(image_generator, request(sampler=sampler))
    assert list(afresh.advance(0, 6)) == first
    assert afresh.finished_at(6)


def test_frames_are_images_of_falling_noise(image_generator: DiffusionGenerator) -> None:
    trace = Trace(image_generator, request())
    frames = [trace.opening, *trace.advance(0, 99)]
    sigmas = []
    for step, frame in enumerate(frames):
        assert isinstance(frame, ImageFrame)
        assert (frame.step, frame.trace) == (step, 3)
        assert len(frame.x) == len(frame.denoised) == frame.width * frame.height * 3
        sigmas.append(frame.sigma)
    assert sigmas == sorted(sigmas, reverse=True)
    last = frames[-1]
    assert isinstance(last, ImageFrame)
    assert last.sigma == 0
    assert last.x == last.denoised or np.frombuffer(last.x, np.uint8).std() > 0


def test_seed_caption_and_guidance_each_matter(image_generator: DiffusionGenerator) -> None:
    def final(**changes: object) -> bytes:
        trace = Trace(image_generator, request(**changes))  # type: ignore[arg-type]
        frames = list(trace.advance(0, 6))
        assert isinstance(frames[-1], ImageFrame)
        return frames[-1].denoised

    base = final()
    assert final() == base
    assert final(seed=2) != base
    assert final(caption="dog") != base
    assert final(guidance=5.0) != base
    assert final(guidance=1.0) != base


def test_unknown_words_are_told(image_generator: DiffusionGenerator) -> None:
    _, started = image_generator.begin(request("red zebra on\x1b[31m black"))
    assert "zebra" in started.note
    assert "\x1b" not in started.prompt
    _, long = image_generator.begin(request("red cat on black on black on black"))
    assert "first 6 words" in long.note


def test_a_batch_is_drawn_at_once(image_generator: DiffusionGenerator) -> None:
    drawn = image_generator.draw(["cat", "dog", ""], [1, 2, 3], ImageSettings(steps=2))
    assert drawn.shape == (3, 32, 32, 3)
    assert drawn.dtype == np.uint8


def test_a_batch_may_be_left_at_a_noise_level(image_generator: DiffusionGenerator) -> None:
    trace = Trace(image_generator, request())
    *_, noisy = (frame for frame in trace.advance(0, 4) if isinstance(frame, ImageFrame))
    settings = ImageSettings(steps=6)
    x0 = image_generator.denoised(["cat", "cat"], [1, 2], settings, until=noisy.sigma)
    assert to_rgb(x0)[0].tobytes() == noisy.denoised
    finished = image_generator.denoised(["cat"], [1], settings)
    assert not np.array_equal(to_rgb(finished)[0], to_rgb(x0)[0])


def test_seeds_that_are_alike_give_one_picture(image_generator: DiffusionGenerator) -> None:
    assert spread(image_generator, "cat", (4, 4, 4)) == 0
    assert spread(image_generator, "cat", (4, 5, 6)) > 0


def test_text_settings_do_not_fit_an_image_model(image_generator: DiffusionGenerator) -> None:
    wrong = Start(trace=1, model="m", prompt="x", seed=1, settings=TextSettings())
    with pytest.raises(MisuseError, match="those of image models"):
        image_generator.begin(wrong)
