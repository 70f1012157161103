"""Walks through the latent space of a tiny GAN: where they begin, go, turn and end."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch

from genui.base.errors import MisuseError
from genui.engine.data.captions import Vocabulary
from genui.engine.device import Machine
from genui.engine.sample.trace import Trace
from genui.kinds.gan.network import GAN, GANConfig
from genui.kinds.gan.sample import LatentGenerator, blend_seeds, directions, seed_latent, slerp
from genui.kinds.gan.walk import BASES, BasisName, LatentSettings, WalkFrame
from genui.protocol import (
    AddNoise,
    Axis,
    Edit,
    Frame,
    ImageSettings,
    SetPrompt,
    SetSeed,
    SetSettings,
    Settings,
    Start,
)
from genui.protocol.edits import sample_step, variations

LATENT = 10


def gan(seed: int = 0) -> LatentGenerator:
    torch.manual_seed(seed)
    vocabulary = Vocabulary.build(["boot", "bag"])
    model = GAN(GANConfig(vocabulary.size, LATENT, 4, (16, 8, 8), 1, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    return LatentGenerator(model, vocabulary, Machine("cpu", "fp32", 1), ["boot", "bag"], 2)


@pytest.fixture(scope="module")
def generator() -> LatentGenerator:
    return gan()


def start(settings: Settings | None = None, **more: object) -> Start:
    request = {"trace": 0, "model": "g", "prompt": "boot", "seed": 3} | more
    return Start(settings=settings or LatentSettings(steps=8), **request)  # type: ignore[arg-type]


def walked(generator: LatentGenerator, request: Start) -> list[WalkFrame]:
    """Every frame of a walk, the first point among them."""
    trace = Trace(generator, request)
    frames = [trace.opening, *trace.advance(0, 1000)]
    assert all(isinstance(frame, WalkFrame) for frame in frames)
    return frames  # type: ignore[return-value]


def images(frames: Iterable[Frame | None]) -> list[bytes]:
    """What each of them shows."""
    shown = []
    for frame in frames:
        assert isinstance(frame, WalkFrame)
        shown.append(frame.x)
    return shown


def own_image(generator: LatentGenerator, seed: int, caption: str = "boot") -> bytes:
    return generator.draw([caption], [seed], LatentSettings())[0].tobytes()


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("steps", [8, 7])
def test_a_walk_along_a_direction_has_the_seeds_image_in_its_middle(
    generator: LatentGenerator, basis: BasisName, steps: int
) -> None:
    settings = LatentSettings(steps=steps, direction=2, basis=basis, reach=2.0)
    frames = walked(generator, start(settings))
    assert len(frames) == steps + 1
    middle = settings.seed_step
    assert frames[middle].x == own_image(generator, 3)
    assert sample_step(start(settings), steps) == middle
    assert len({frame.x for frame in frames}) > 1
    gone = [frame.along[1] for frame in frames]
    assert np.diff(gone) == pytest.approx([4.0 / steps] * steps, abs=1e-3)


def test_only_the_walked_direction_changes_where_directions_are_orthogonal(
    generator: LatentGenerator,
) -> None:
    frames = walked(generator, start(LatentSettings(steps=4, direction=3)))
    places = np.array([frame.along for frame in frames])
    moved = np.abs(places - places[0]).max(axis=0) > 1e-3
    assert moved.tolist() == [False, False, True, *[False] * (places.shape[1] - 3)]


def test_every_step_has_the_discriminators_score(generator: LatentGenerator) -> None:
    scores = [frame.score for frame in walked(generator, start())]
    assert all(score is not None and np.isfinite(score) for score in scores)
    assert len(set(scores)) > 1


def test_a_path_leads_from_one_seeds_image_to_another_s(generator: LatentGenerator) -> None:
    frames = walked(generator, start(LatentSettings(steps=6, to=9)))
    assert frames[0].x == own_image(generator, 3)
    assert frames[-1].x == own_image(generator, 9)


def test_the_same_request_gives_the_same_bits_and_so_does_going_back(
    generator: LatentGenerator,
) -> None:
    trace = Trace(generator, start())
    first = images(trace.advance(0, 8))
    again = [frame for step in (6, 2, 4) for frame in trace.advance(step - 1, 1)]
    assert images(again) == [first[step - 1] for step in (6, 2, 4)]
    assert images(Trace(gan(), start()).advance(0, 8)) == first


@pytest.mark.parametrize(
    "edit",
    [
        SetSettings(LatentSettings(steps=8, to=9)),
        SetSettings(LatentSettings(steps=8, direction=4)),
        SetSettings(LatentSettings(steps=8, basis="pca")),
    ],
)
def test_a_walk_that_turns_goes_on_from_where_it_is(generator: LatentGenerator, edit: Edit) -> None:
    trace = Trace(generator, start())
    straight = images(trace.advance(0, 8))
    fork = trace.fork(1, 5, edit)
    turned = images(fork.advance(0, 8))
    assert turned[:5] == straight[:5]
    assert images([fork.opening]) == [straight[4]]
    assert turned[5] != straight[5]
    assert images(Trace(generator, fork.request).advance(0, 8)) == turned


def test_another_seed_or_caption_from_here_changes_this_very_image(
    generator: LatentGenerator,
) -> None:
    trace = Trace(generator, start())
    list(trace.advance(0, 8))
    middle = LatentSettings(steps=8).seed_step
    seeded, told = trace.fork(1, middle, SetSeed(5)), trace.fork(2, middle, SetPrompt("bag"))
    assert images([seeded.opening]) == [own_image(generator, 5)]
    assert images([told.opening]) == [own_image(generator, 3, "bag")]


def test_truncation_leads_to_one_average_image(generator: LatentGenerator) -> None:
    none = LatentSettings(truncation=0.0)
    drawn = generator.draw(["boot"] * 3, [1, 2, 3], none)
    assert np.ptp(drawn.astype(int), axis=0).max() == 0
    spread = [
        generator.draw(["boot"] * 3, [1, 2, 3], LatentSettings(truncation=t)).std(axis=0).mean()
        for t in (0.3, 1.0)
    ]
    assert spread[0] < spread[1]


def test_blending_keeps_the_length_of_a_latent_and_the_order_does_not_matter() -> None:
    mixed = blend_seeds((1, 2, 3, 4), 4096)
    assert np.linalg.norm(mixed) == pytest.approx(64, rel=0.05)
    assert blend_seeds((7,), 16) == pytest.approx(seed_latent(7, 16))
    assert blend_seeds((1, 2, 3), 64) == pytest.approx(blend_seeds((3, 1, 2), 64), abs=1e-6)


def test_slerp_keeps_its_length_and_meets_both_ends() -> None:
    a, b = seed_latent(1, 64), seed_latent(2, 64)
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    assert slerp(a, b, 0.0) == pytest.approx(a, abs=1e-5)
    assert slerp(a, b, 1.0) == pytest.approx(b, abs=1e-5)
    for share in (0.25, 0.5, 0.8):
        assert np.linalg.norm(slerp(a, b, share)) == pytest.approx(np.linalg.norm(a), rel=1e-4)
    assert np.isfinite(slerp(a, -a, 0.5)).all()
    assert slerp(a, a, 0.3) == pytest.approx(a, abs=1e-5)


def test_sefa_s_directions_are_those_the_first_layer_lengthens_most() -> None:
    generator = gan()
    network = generator.model.generator
    found = directions(network, "sefa", torch.zeros(1, 2, dtype=torch.long))
    assert found @ found.T == pytest.approx(torch.eye(len(found)), abs=1e-4)
    weights = network.first.weight.detach()[:, :LATENT]
    lengths = (found @ weights.T).norm(dim=1)
    assert lengths.tolist() == sorted(lengths.tolist(), reverse=True)
    random = torch.nn.functional.normalize(torch.randn(200, LATENT), dim=1)
    assert lengths[0] >= (random @ weights.T).norm(dim=1).max()


def test_a_grid_walks_with_every_seed_and_caption(generator: LatentGenerator) -> None:
    grid = (Axis(name="seed", values=("3", "4")), Axis(name="caption", values=("boot", "bag")))
    frames = walked(generator, start(grid=grid))
    assert (frames[0].width, frames[0].height) == (64, 64)
    sheet = np.frombuffer(frames[4].x, np.uint8).reshape(64, 64, 3)
    alone = np.frombuffer(own_image(generator, 4, "bag"), np.uint8).reshape(32, 32, 3)
    assert np.abs(sheet[32:, 32:].astype(int) - alone).max() <= 1  # of a batch of another shape


def test_a_variation_lies_on_the_way_to_another_seed(generator: LatentGenerator) -> None:
    request = start()
    near, far = (variations(request, 4, distance, (7,))[0] for distance in (0, 4))
    goal = np.frombuffer(own_image(generator, 7), np.uint8).astype(int)
    gaps = [
        np.abs(np.frombuffer(walked(generator, v.start(request))[-1].x, np.uint8) - goal).mean()
        for v in (near, far)
    ]
    assert gaps[1] < gaps[0]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (start(ImageSettings()), "this model takes those of GANs: a walk"),
        (start(LatentSettings(direction=60)), "direction 60: this model has 8"),
        (start(LatentSettings(at=(float("nan"),))), "up to 8 finite numbers"),
        (start(init="data:"), "a GAN begins from a seed"),
        (start(grid=(Axis(name="guidance", values=("1",)),)), "a walk has no guidance"),
        (start(grid=(Axis(name="seed", values=("-1",)),)), "grid: seed '-1'"),
        (start(grid=(Axis(name="seed", values=("x",)),)), "grid: seed 'x'"),
        (start(grid=(Axis(name="seed", values=("1",)),) * 2), "seed is on both axes"),
    ],
)
def test_what_cannot_be_walked_is_refused_in_one_line(
    generator: LatentGenerator, request_: Start, words: str
) -> None:
    with pytest.raises(MisuseError) as fault:
        Trace(generator, request_)
    assert words in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_walk_has_no_noise_to_add(generator: LatentGenerator) -> None:
    trace = Trace(generator, start())
    with pytest.raises(MisuseError, match="no noise and no tokens"):
        trace.fork(1, 0, AddNoise(to=0))


def test_words_that_were_never_trained_are_named(generator: LatentGenerator) -> None:
    trace = Trace(generator, start(prompt="purple boot hat"))
    assert "hat" in trace.started.note
    assert "only the first 2 words are read" in trace.started.note
