"""What a fork of an image may change, and that everything before it stands."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from genui.base.errors import MisuseError
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.diffusion_state import DiffusionState
from genui.engine.sample.sigmas import SIGMA_MAX, sigmas
from genui.engine.sample.trace import Trace
from genui.protocol import (
    AddNoise,
    Denoise,
    Edit,
    EditAt,
    ImageSettings,
    RgbImage,
    SetPrompt,
    SetSeed,
    SetSettings,
    Start,
    TextSettings,
    WriteText,
    WriteToken,
)

STEPS = 6
LEVELS = sigmas(ImageSettings(steps=STEPS))
MASK = bytes(1 if x < 16 else 0 for _ in range(32) for x in range(32))  # the left half
IMAGE = RgbImage(
    width=32, height=32, rgb=np.random.default_rng(5).integers(0, 256, 3072, np.uint8).tobytes()
)


def settings(**changes: object) -> ImageSettings:
    return ImageSettings(**({"steps": STEPS, "sampler": "euler"} | changes))  # type: ignore[arg-type]


@pytest.fixture
def opened(image_generator: DiffusionGenerator) -> Callable[..., Trace]:
    """A trace, advanced to a step."""

    def open_(at: int = 0, **request: object) -> Trace:
        asked = {"trace": 1, "model": "m", "prompt": "cat", "seed": 1, "settings": settings()}
        trace = Trace(image_generator, Start(**(asked | request)))  # type: ignore[arg-type]
        assert len(list(trace.advance(0, at))) == at
        return trace

    return open_


def final(trace: Trace) -> DiffusionState:
    last = 0
    for frame in trace.advance(0, 10_000):
        last = frame.step
    assert trace.finished_at(last)
    return trace.state(last)


# --- settings, seed, caption --------------------------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [
        SetSettings(settings(sampler="heun")),
        SetSettings(settings(sampler="ddim", eta=0.7)),
        SetSettings(settings(guidance=7.0)),
        SetSettings(settings(guidance=1.0)),
        SetPrompt("dog"),
        AddNoise(to=1),
        AddNoise(to=1, mask=MASK),
    ],
    ids=["heun", "ddim", "guidance", "no guidance", "caption", "noise", "mask"],
)
def test_each_edit_changes_what_follows_and_nothing_before(
    opened: Callable[..., Trace], edit: Edit
) -> None:
    trace = opened(STEPS)
    forked = trace.fork(2, 3, edit)
    assert forked.state(2) is trace.state(2)
    assert not torch.equal(final(forked).x, final(trace).x)


def test_another_seed_matters_where_noise_is_drawn(opened: Callable[..., Trace]) -> None:
    noisy = opened(3, settings=settings(sampler="ddpm"))
    assert not torch.equal(final(noisy.fork(2, 3, SetSeed(9))).x, final(noisy).x)
    quiet = opened(3)  # Euler draws nothing after the start
    assert torch.equal(final(quiet.fork(2, 3, SetSeed(9))).x, final(quiet).x)


def test_fresh_noise_ends_where_it_is_told_to(opened: Callable[..., Trace]) -> None:
    asked = settings(sampler="dpmpp-2m", eta=1.0, s_tmin=LEVELS[2])
    trace = opened(2, settings=asked)
    other = trace.fork(2, 2, SetSeed(9))
    assert torch.equal(final(other).x, final(trace).x)  # from levels[2] on it draws none
    earlier = trace.fork(3, 1, SetSeed(9))
    assert not torch.equal(earlier.state(2).x, trace.state(2).x)


def test_the_guess_follows_caption_and_guidance_at_once(opened: Callable[..., Trace]) -> None:
    trace = opened(3)
    here = trace.state(3)
    for edit in (SetPrompt("dog"), SetSettings(settings(guidance=5.0))):
        changed = trace.fork(2, 3, edit).state(3)
        assert torch.equal(changed.x, here.x)
        assert not torch.equal(changed.denoised, here.denoised)


@pytest.mark.parametrize(("steps", "total"), [(20, 20), (4, 4), (2, 4), (1, 4)])
def test_another_number_of_steps_counts_those_of_the_whole(
    opened: Callable[..., Trace], steps: int, total: int
) -> None:
    trace = opened(3)
    forked = trace.fork(2, 3, SetSettings(settings(steps=steps)))
    assert forked.started.total_steps == total
    levels = forked.state(3).levels
    assert levels[:4] == LEVELS[:4]
    assert list(levels) == sorted(levels, reverse=True)
    assert final(forked).step == total


def test_other_levels_are_those_ahead(opened: Callable[..., Trace]) -> None:
    trace = opened(3)
    forked = trace.fork(2, 3, SetSettings(settings(sigma_min=0.002, rho=7.0)))
    levels = forked.state(3).levels
    assert levels[:4] == LEVELS[:4]
    assert levels[-2:] == (0.002, 0)
    assert len(levels) == len(LEVELS)


def test_the_multistep_memory_goes_on_where_it_still_fits(opened: Callable[..., Trace]) -> None:
    trace = opened(3, settings=settings(sampler="dpmpp-2m"))
    more = settings(sampler="dpmpp-2m", steps=12)
    assert trace.fork(2, 3, SetSettings(more)).state(3).history
    assert not trace.fork(3, 3, AddNoise(to=1)).state(3).history
    assert not trace.fork(4, 3, SetPrompt("dog")).state(3).history
    assert not trace.fork(5, 3, SetSettings(settings(sampler="unipc"))).state(3).history  # corrects


def test_settings_may_change_where_nothing_is_left(opened: Callable[..., Trace]) -> None:
    trace = opened(STEPS)
    forked = trace.fork(2, STEPS, SetSettings(settings(steps=50)))
    assert list(forked.advance(STEPS, 99)) == []
    assert torch.equal(forked.state(STEPS).x, trace.state(STEPS).x)


# --- noise added back ---------------------------------------------------------------------


def test_noise_comes_back_to_the_level_of_that_step(opened: Callable[..., Trace]) -> None:
    trace = opened(STEPS)
    forked = trace.fork(2, STEPS, AddNoise(to=2))
    state = forked.state(STEPS)
    assert state.sigma == LEVELS[2]
    added = (state.x - trace.state(STEPS).x) / state.sigma  # at the end σ was 0
    assert float(added.std()) == pytest.approx(1, abs=0.05)
    assert forked.started.total_steps == STEPS + STEPS - 2
    assert final(forked).sigma == 0


def test_noise_added_twice_is_not_the_same_noise(opened: Callable[..., Trace]) -> None:
    once = opened(STEPS).fork(2, STEPS, AddNoise(to=4))
    twice = once.fork(3, STEPS, AddNoise(to=2))
    first = once.state(STEPS).x - opened(STEPS).state(STEPS).x
    second = twice.state(STEPS).x - once.state(STEPS).x
    assert abs(float(torch.corrcoef(torch.stack((first.flatten(), second.flatten())))[0, 1])) < 0.1


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (AddNoise(to=STEPS), "schedule has noise at steps 0 to 5"),
        (AddNoise(to=5), "less noise"),
        (AddNoise(to=0, mask=b"\x01" * 1023), "1023 bytes"),
        (AddNoise(to=0, mask=bytes(1024)), "mask of nothing"),
        (AddNoise(to=0, mask=b"\x01" * 1024), "mask of everything"),
        (AddNoise(to=0, mask=b"\x02" * 1024), "mask holds 2"),
        (Denoise(), "only a forward process"),
        (WriteText("x"), "no tokens"),
        (WriteToken(3), "no tokens"),
        (SetSettings(TextSettings()), "those of image models"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_edit_that_does_not_fit_says_why_in_one_line(
    opened: Callable[..., Trace], edit: Edit, message: str
) -> None:
    trace = opened(3)
    with pytest.raises(MisuseError, match=message) as raised:
        trace.fork(2, 3, edit)
    assert "\n" not in str(raised.value)
    assert torch.equal(final(trace).x, final(opened(3)).x)


# --- a mask ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["dpmpp-2m", "heun", "ddpm"])
def test_outside_the_mask_the_image_stays_to_the_bit(
    opened: Callable[..., Trace], sampler: str
) -> None:
    trace = opened(STEPS, settings=settings(sampler=sampler))
    whole, redrawn = trace.state(STEPS).x, final(trace.fork(2, STEPS, AddNoise(to=1, mask=MASK))).x
    assert torch.equal(redrawn[..., 16:], whole[..., 16:])
    assert not torch.equal(redrawn[..., :16], whole[..., :16])


def test_outside_the_mask_there_is_as_much_noise_as_inside(opened: Callable[..., Trace]) -> None:
    trace = opened(STEPS)
    known, forked = trace.state(STEPS).x, trace.fork(2, STEPS, AddNoise(to=1, mask=MASK))
    list(forked.advance(STEPS, 1))
    for step in (STEPS, STEPS + 1):
        state = forked.state(step)
        outside = (state.x - known)[..., 16:] / state.sigma
        assert float(outside.std()) == pytest.approx(1, abs=0.05)


def test_a_second_mask_holds_what_the_first_left(opened: Callable[..., Trace]) -> None:
    trace = opened(STEPS)
    once = trace.fork(2, STEPS, AddNoise(to=1, mask=MASK))
    list(once.advance(STEPS, 2))
    top = bytes(1 if y < 8 else 0 for y in range(32) for _ in range(32))
    twice = once.fork(3, STEPS + 2, AddNoise(to=1, mask=top))
    # The lower right was outside both.
    assert torch.equal(final(twice).x[..., 8:, 16:], trace.state(STEPS).x[..., 8:, 16:])


def test_noise_without_a_mask_lets_everything_go(opened: Callable[..., Trace]) -> None:
    trace = opened(STEPS)
    masked = trace.fork(2, STEPS, AddNoise(to=1, mask=MASK))
    freed = masked.fork(3, STEPS, AddNoise(to=0))
    assert not torch.equal(final(freed).x[..., 16:], trace.state(STEPS).x[..., 16:])


def test_an_image_of_ones_own_is_redrawn_inside_a_mask(opened: Callable[..., Trace]) -> None:
    trace = opened(init=IMAGE, forward=True)
    redrawn = final(trace.fork(2, 0, AddNoise(to=0, mask=MASK))).x
    assert torch.equal(redrawn[..., 16:], trace.state(0).x[..., 16:])
    assert not torch.equal(redrawn[..., :16], trace.state(0).x[..., :16])


# --- the forward process -----------------------------------------------------------------


def test_an_image_drowns_in_one_noise(opened: Callable[..., Trace]) -> None:
    trace = opened(STEPS, init=IMAGE, forward=True)
    assert trace.finished_at(STEPS)
    states = [trace.state(k) for k in range(STEPS + 1)]
    assert tuple(state.sigma for state in states) == LEVELS[::-1]
    clean = states[0].x
    noises = [(state.x - clean) / state.sigma for state in states[1:]]
    for noise in noises:
        torch.testing.assert_close(noise, noises[-1], atol=1e-3, rtol=1e-3)
    assert trace.started.init == IMAGE
    frame = trace.opening
    assert frame is not None
    assert frame.x == frame.denoised == IMAGE.rgb  # type: ignore[union-attr]


@pytest.mark.parametrize("sampler", ["dpmpp-2m", "ddim"])
def test_denoising_turns_round_where_it_stands(opened: Callable[..., Trace], sampler: str) -> None:
    trace = opened(4, init=IMAGE, forward=True, settings=settings(sampler=sampler))
    back = trace.fork(2, 4, Denoise())
    assert back.started.total_steps == 8
    levels = back.state(4).levels
    assert levels == levels[::-1]
    assert final(back).sigma == 0
    with pytest.raises(MisuseError, match="only a forward process"):
        back.fork(3, 5, Denoise())


def test_there_is_nothing_to_denoise_at_the_clean_image(opened: Callable[..., Trace]) -> None:
    with pytest.raises(MisuseError, match="no noise yet"):
        opened(init=IMAGE, forward=True).fork(2, 0, Denoise())


@pytest.mark.parametrize("at", [0, 2, STEPS])
@pytest.mark.parametrize("steps", [1, 30])
def test_the_forward_process_may_change_its_steps(
    opened: Callable[..., Trace], at: int, steps: int
) -> None:
    trace = opened(at, init=IMAGE, forward=True)
    levels = trace.fork(2, at, SetSettings(settings(steps=steps))).state(at).levels
    assert levels[: at + 1] == LEVELS[::-1][: at + 1]
    assert list(levels) == sorted(levels)
    assert levels[-1] == SIGMA_MAX


# --- beginning from an image ----------------------------------------------------------------


@pytest.mark.parametrize(("strength", "left"), [(1.0, 6), (0.5, 3), (0.01, 1)])
def test_strength_is_the_share_of_the_steps_that_are_left(
    opened: Callable[..., Trace], strength: float, left: int
) -> None:
    trace = opened(init=IMAGE, strength=strength)
    assert trace.started.total_steps == left
    assert trace.state(0).levels == LEVELS[-left - 1 :]
    assert final(trace).sigma == 0


def test_a_weak_start_stays_near_the_image(opened: Callable[..., Trace]) -> None:
    image = opened(init=IMAGE, forward=True).state(0).x

    def distance(strength: float) -> float:
        state = opened(init=IMAGE, strength=strength).state(0)
        return float((state.x - image).std())

    assert distance(0.2) < distance(0.6) < distance(1.0)


@pytest.mark.parametrize("strength", [0.0, -0.5, 1.5, float("nan")])
def test_strength_is_a_share(opened: Callable[..., Trace], strength: float) -> None:
    with pytest.raises(MisuseError, match="strength"):
        opened(init=IMAGE, strength=strength)


def test_the_forward_process_needs_an_image(opened: Callable[..., Trace]) -> None:
    with pytest.raises(MisuseError, match="needs an image"):
        opened(forward=True)


# --- the recipe -------------------------------------------------------------------------------


def test_a_recipe_with_edits_begins_anew_to_the_same_bits(
    opened: Callable[..., Trace], image_generator: DiffusionGenerator
) -> None:
    trace = opened(STEPS).fork(2, STEPS, AddNoise(to=1, mask=MASK))
    list(trace.advance(STEPS, 2))
    trace = trace.fork(3, STEPS + 2, SetSettings(settings(sampler="heun", steps=20)))
    assert [at.step for at in trace.request.edits] == [STEPS, STEPS + 2]
    assert isinstance(trace.request.edits[0], EditAt)
    afresh = Trace(image_generator, trace.request)
    assert torch.equal(final(afresh).x, final(trace).x)


def test_a_new_caption_tells_of_words_the_model_never_saw(
    image_generator: DiffusionGenerator,
) -> None:
    settings = ImageSettings(steps=4)
    trace = Trace(
        image_generator, Start(trace=1, model="m", prompt="cat", seed=1, settings=settings)
    )
    next(trace.advance(0, 1))
    assert "zebra" in trace.fork(2, 1, SetPrompt("zebra")).started.note
    assert trace.fork(3, 1, SetPrompt("dog")).started.note == ""
