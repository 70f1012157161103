"""Clips: the data they are trained on, the network, and traces of them."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image
from shares import assert_shares_add_up
from shown import show_step

from genui.base.errors import MisuseError
from genui.engine.data.captions import Vocabulary
from genui.engine.device import Machine
from genui.engine.models.denoisers import EDMDenoiser
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.trace import Trace
from genui.kinds.video.data import (
    CLIP_FRAMES,
    FIGURES,
    MOTIONS,
    ROUND,
    Clips,
    Scene,
    check_clips,
    draw_poses,
    load_clips,
    vocabulary_captions,
)
from genui.kinds.video.medium import VideoMedium, to_clips
from genui.kinds.video.metrics import clips_copied, draw_real, nearest_clips, track_clips
from genui.kinds.video.network import (
    VideoDiT,
    build_video_denoiser,
    from_patches,
    place_figure,
    pose_numbers,
    to_patches,
    two_colours,
)
from genui.kinds.video.recipe import VideoRecipe
from genui.kinds.video.task import VideoTask
from genui.protocol import FROM_DATA, Axis, ImageFrame, ImageSettings, RgbImage, Start
from genui.recipes import find_recipe, override

SMALL = {"layers": "2", "width": "32", "heads": "2", "caption_width": "16", "canvas_batch": "4"}


@pytest.fixture(scope="module")
def clips() -> Clips:
    pytest.importorskip("fonticon_mdi7", reason="the icons are not installed")
    return load_clips()


def small_recipe(**changes: str) -> VideoRecipe:
    recipe = override(find_recipe("video"), SMALL | {"batch": "4"} | changes)
    assert isinstance(recipe, VideoRecipe)
    return recipe


@pytest.fixture
def generator() -> DiffusionGenerator:
    torch.manual_seed(0)
    recipe, vocabulary = small_recipe(), Vocabulary.build(vocabulary_captions())
    model = build_video_denoiser(recipe, vocabulary.size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    return DiffusionGenerator(model, vocabulary, Machine("cpu", "fp32", 1), VideoMedium())


def asked(prompt: str = "red heart moving up on black", **changes: object) -> Start:
    start = Start(trace=1, model="video", prompt=prompt, seed=7, settings=ImageSettings(steps=4))
    return type(start)(**{**{f: getattr(start, f) for f in start.__struct_fields__}, **changes})


def frames_of(generator: DiffusionGenerator, start: Start) -> list[ImageFrame]:
    trace = Trace(generator, start)
    frames = [trace.opening, *trace.advance(0, 1000)]
    assert all(isinstance(frame, ImageFrame) for frame in frames)
    return frames  # type: ignore[return-value]


# --- the data -----------------------------------------------------------------------------


def test_no_training_scene_has_a_pair_that_is_held_out(clips: Clips) -> None:
    held = {(clips.figures[figure], motion) for figure, motion in clips.held_out}
    colours = set(clips.held_colours)
    for scene in clips.scenes(500, np.random.default_rng(0)):
        assert (scene.figure, scene.motion) not in held
        assert (scene.colour, scene.ground) not in colours
    for scene in clips.scenes(200, np.random.default_rng(0), held_out=True):
        assert (scene.figure, scene.motion) in held
        assert (scene.colour, scene.ground) in colours


def test_every_icon_motion_and_colour_is_trained_in_some_other_pair(clips: Clips) -> None:
    assert {figure for figure, _ in clips.trained} == set(range(len(FIGURES)))
    assert {motion for _, motion in clips.trained} == set(MOTIONS)
    assert {colour for colour, _ in clips.trained_colours} == {g for _, g in clips.trained_colours}


def test_icons_that_look_alike_turned_are_never_shown_turning(clips: Clips) -> None:
    turning = {clips.figures[figure] for figure, motion in clips.trained if motion == "turn"}
    assert set(FIGURES) >= ROUND
    assert not turning & ROUND


def test_the_same_seed_draws_the_same_clips_and_another_does_not(clips: Clips) -> None:
    one, again, other = (
        clips.batch(clips.scenes(6, rng), rng)
        for rng in (np.random.default_rng((1, s)) for s in (5, 5, 6))
    )
    assert one.captions == again.captions
    assert np.array_equal(one.clips, again.clips)
    assert not np.array_equal(one.clips, other.clips)
    assert one.clips.shape == (6, CLIP_FRAMES, 3, 32, 32)
    assert -1 <= one.clips.min() < one.clips.max() <= 1


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_figure_stays_in_the_frame(motion: str) -> None:
    for seed in range(50):
        x, y, size, _ = draw_poses(motion, np.random.default_rng(seed)).T
        for centre in (x, y):
            assert (centre - size / 2 >= -0.01).all()
            assert (centre + size / 2 <= 32.01).all()


def test_a_path_begins_at_the_same_place_of_its_shape_and_goes_the_same_way() -> None:
    for seed in range(20):
        x, y, _, _ = draw_poses("orbit", np.random.default_rng(seed)).T
        assert y[0] == y.min()  # from the top
        assert x[4] == x.max()  # with the clock: a quarter round it is at the right
        _, y, _, _ = draw_poses("bounce", np.random.default_rng(seed)).T
        assert y[0] == y[8] == y.max()  # two hops from the ground
        angle = draw_poses("turn", np.random.default_rng(seed))[:, 3]
        assert (np.diff(angle) < 0).all()


def test_a_figure_moves_by_tenths_of_a_pixel(clips: Clips) -> None:
    scene = Scene("heart", "still", "white", "black")
    poses = np.tile(np.array([16, 16, 14, 0], np.float32), (1, CLIP_FRAMES, 1))
    poses[0, :, 0] += np.arange(CLIP_FRAMES) / 10
    light = clips.draw([scene], poses)[0].mean(axis=1) + 1
    across = (light.sum(axis=1) * np.arange(32)).sum(axis=1)
    # The ground is not quite black, so its share is taken out.
    centre = (across - light[0, 0, 0] * 32 * 31 * 16) / (light - light[0, 0, 0]).sum(axis=(1, 2))
    assert np.allclose(np.diff(centre), 0.1, atol=0.01)


def test_a_caption_says_colour_icon_motion_and_ground() -> None:
    assert Scene("heart", "up", "red", "black").caption == "red heart moving up on black"
    assert Scene("cat", "bounce", "green", "white").caption == "green cat bouncing on white"


def test_a_folder_of_ones_own_is_refused() -> None:
    with pytest.raises(MisuseError, match="sets its own icons in motion"):
        check_clips(dataclasses.replace(small_recipe(), data="/tmp/mine"))


# --- the network ----------------------------------------------------------------------------


@pytest.mark.parametrize(("patch", "span"), [(4, 1), (8, 2), (8, 4), (16, 4)])
def test_patches_come_back_as_the_frames_they_were(patch: int, span: int) -> None:
    frames = torch.randn(2, CLIP_FRAMES, 3, 32, 32)
    tokens = to_patches(frames, patch, span)
    assert tokens.shape == (2, CLIP_FRAMES // span * (32 // patch) ** 2, span * 3 * patch**2)
    assert torch.equal(from_patches(tokens, patch, span), frames)


def test_the_network_moves_a_figure_to_where_the_data_drew_it(clips: Clips) -> None:
    scenes = [Scene("guitar", motion, "white", "black") for motion in MOTIONS]
    rng = np.random.default_rng(3)
    poses = np.stack([draw_poses(scene.motion, rng) for scene in scenes])
    drawn = clips.draw(scenes, poses)[:, :, 0]
    alpha = (drawn - drawn.min()) / (drawn.max() - drawn.min())
    shapes, numbers = torch.from_numpy(clips.shapes(scenes)), pose_numbers(torch.from_numpy(poses))
    assert np.square(place_figure(shapes, numbers).numpy() - alpha).mean() < 3e-4


def test_what_is_settled_has_the_two_colours_that_it_had_under_grain(clips: Clips) -> None:
    scene, rng = Scene("heart", "orbit", "red", "cyan"), np.random.default_rng(3)
    batch = clips.batch([scene], rng)
    clean = torch.from_numpy(batch.clips).flatten(1, 2)
    alpha = place_figure(
        torch.from_numpy(batch.shapes), pose_numbers(torch.from_numpy(batch.poses))
    )
    grainy = clean + 0.3 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    assert (two_colours(grainy, alpha) - clean).square().mean() < 2e-3


def network_of(generator: DiffusionGenerator) -> VideoDiT:
    assert isinstance(generator.model, EDMDenoiser)
    assert isinstance(generator.model.network, VideoDiT)
    return generator.model.network


def test_frames_attend_to_each_other(generator: DiffusionGenerator) -> None:
    x = torch.randn(1, 48, 32, 32)
    token_ids = generator.token_ids(["red heart moving up on black"])
    network = network_of(generator)
    before = network(x, torch.zeros(1), token_ids)
    x[:, 45:] += 1  # the last frame
    after = network(x, torch.zeros(1), token_ids)
    assert not torch.allclose(before[:, :3], after[:, :3])  # the first


def test_without_a_caption_the_canvas_draws_nothing_into_the_clip(
    generator: DiffusionGenerator,
) -> None:
    network = network_of(generator)
    x, nothing = torch.randn(1, 48, 32, 32), torch.zeros(1, 8, dtype=torch.long)
    before = network(x, torch.zeros(1), nothing)
    with torch.no_grad():
        bias = network.canvas[2].bias
        assert isinstance(bias, torch.Tensor)
        bias += 5
    assert torch.equal(network(x, torch.zeros(1), nothing), before)


# --- training ---------------------------------------------------------------------------------


def test_the_loss_of_a_step_is_the_same_again_and_teaches_every_weight(clips: Clips) -> None:
    recipe = small_recipe()
    task = VideoTask(recipe, torch.device("cpu"))
    one, again = task.loss(3), task.loss(3)
    assert float(one.detach()) == float(again.detach())
    assert float(one.detach()) != float(task.loss(4).detach())
    assert_shares_add_up(task)
    one.backward()
    assert all(parameter.grad is not None for parameter in task.model.parameters())


def test_the_clips_of_a_step_are_shown_by_their_frames(clips: Clips) -> None:
    for example in show_step(VideoTask(small_recipe(), torch.device("cpu"))):
        with Image.open(io.BytesIO(example.image)) as image:
            assert image.size == (4 * 32, 32)


def test_a_sample_is_a_sheet_and_an_animation(clips: Clips) -> None:
    task = VideoTask(
        small_recipe(sample_captions="red heart moving up on black,blue cat on white"),
        torch.device("cpu"),
    )
    image, moving = task.sample(task.model, Machine("cpu", "fp32", 1))
    assert (image.suffix, moving.suffix) == (".png", ".gif")
    with Image.open(io.BytesIO(image.content)) as image:
        assert image.size == (4 * 32 * 2, 32)
    with Image.open(io.BytesIO(moving.content)) as image:
        assert getattr(image, "n_frames", 1) <= CLIP_FRAMES
        assert image.size == (2 * 32 * 3, 32 * 3)


# --- traces -------------------------------------------------------------------------------------


def test_a_frame_holds_all_images_of_the_clip_one_after_the_other(
    generator: DiffusionGenerator,
) -> None:
    frames = frames_of(generator, asked())
    assert [frame.step for frame in frames] == [0, 1, 2, 3, 4]
    for frame in frames:
        assert (frame.images, frame.width, frame.height) == (16, 32, 32)
        assert len(frame.x) == len(frame.denoised) == len(frame.noise) == 16 * 32 * 32 * 3
    clip = to_clips(generator.denoised([asked().prompt], [7], ImageSettings(steps=4)))
    assert frames[-1].x == clip.tobytes()


def test_the_trained_clips_that_it_is_compared_with_are_those_the_training_drew(
    clips: Clips, generator: DiffusionGenerator
) -> None:
    recipe = small_recipe(steps="40", batch="24")
    rng = np.random.default_rng((recipe.seed, 3))
    scenes = clips.scenes(24, rng)
    trained, scene = clips.batch(scenes, rng), scenes[5]
    prompt = scene.caption
    trace = Trace(generator, asked(prompt))
    list(trace.advance(0, 10))
    found = nearest_clips(recipe, trace, 4, 16)
    assert f"trained clips of {scene.figure} {scene.motion}" in found.data
    distances = [one.distance for one in found.images]
    assert distances == sorted(distances)
    wanted = np.rint((trained.clips[5].transpose(0, 2, 3, 1) + 1) * 127.5).astype(np.uint8)
    four = np.concatenate([np.concatenate(wanted[[a, b]], 1) for a, b in ((0, 5), (10, 15))], 0)
    assert four.tobytes() in [one.rgb for one in found.images]


def test_a_clip_of_no_icon_and_a_grid_of_clips_are_not_compared(
    clips: Clips, generator: DiffusionGenerator
) -> None:
    nothing = Trace(generator, asked("blue on black"))
    with pytest.raises(MisuseError, match="names no icon"):
        nearest_clips(small_recipe(), nothing, 0, 4)
    grid = Trace(generator, asked(grid=(Axis(name="seed", values=("7", "8")),)))
    with pytest.raises(MisuseError, match="one clip is compared"):
        nearest_clips(small_recipe(), grid, 0, 4)


def test_going_back_and_forward_again_gives_the_same_clip(generator: DiffusionGenerator) -> None:
    trace = Trace(generator, asked())
    first = list(trace.advance(0, 10))
    again = list(trace.advance(1, 10))
    assert [frame.x for frame in again] == [frame.x for frame in first[1:]]  # type: ignore[union-attr]


def test_a_grid_of_clips_shows_all_of_them_in_each_image(generator: DiffusionGenerator) -> None:
    grid = (Axis(name="seed", values=("7", "8")),)
    whole = frames_of(generator, asked(grid=grid))[-1]
    alone = frames_of(generator, asked())[-1]
    assert (whole.width, whole.height, whole.images) == (64, 32, 16)
    images = np.frombuffer(whole.x, np.uint8).reshape(16, 32, 64, 3)
    left = np.frombuffer(alone.x, np.uint8).reshape(16, 32, 32, 3)
    assert np.abs(images[:, :, :32].astype(int) - left).max() <= 1  # a batch may round otherwise


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("red heart moving up on black", ""),
        ("red heart on black", "so it stands still: moving up"),
        ("red heart shaking on black", "so it moves as it may: moving up"),
        ("red zebra moving up on black", "not in this model's vocabulary: zebra"),
        ("red zebra moving up on black", "no icon is named that this model knows"),
        ("", ""),
    ],
)
def test_what_a_caption_leaves_open_is_said(
    generator: DiffusionGenerator, prompt: str, said: str
) -> None:
    note = Trace(generator, asked(prompt)).started.note
    assert said in note if said else note == ""


def test_a_clip_of_the_data_drowns_and_comes_back_from_all_its_frames(
    clips: Clips, generator: DiffusionGenerator
) -> None:
    trace = Trace(generator, asked(init=FROM_DATA, forward=True))
    init = trace.started.init
    assert isinstance(init, RgbImage)
    assert (init.width, init.height) == (32, 512)
    assert "red heart moving up on black" in trace.started.note
    (seen,) = track_clips(
        clips,
        [Scene("heart", "up", "red", "black")],
        np.frombuffer(init.rgb, np.uint8).reshape(1, 16, 32, 32, 3),
    )
    assert seen.motion_is_right
    assert seen.icon_is_right


def test_an_image_to_begin_from_stands_still(generator: DiffusionGenerator) -> None:
    image = RgbImage(width=32, height=32, rgb=bytes(range(256)) * 12)
    opening = generator.medium.load_init(image, "red heart")
    assert opening.clean.shape == (48, 32, 32)
    assert torch.equal(opening.clean[:3], opening.clean[45:])


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (RgbImage(width=32, height=64, rgb=b""), "is 32×64: give 32×32, or 16 such frames"),
        (RgbImage(width=32, height=512, rgb=b"abc"), "has 3 bytes: 32×512 RGB has 49152"),
    ],
)
def test_an_image_that_fits_no_clip_is_refused(
    generator: DiffusionGenerator, image: RgbImage, said: str
) -> None:
    with pytest.raises(MisuseError, match=said):
        generator.begin(asked(init=image))


def test_a_caption_without_an_icon_has_no_clip_to_begin_from(
    clips: Clips, generator: DiffusionGenerator
) -> None:
    with pytest.raises(MisuseError, match="no icon of the clips is named in 'zebra'"):
        generator.begin(asked("zebra", init=FROM_DATA))


# --- metrics ----------------------------------------------------------------------------------


def test_the_tracker_sees_in_real_clips_what_they_were_made_of(clips: Clips) -> None:
    scenes = clips.scenes(40, np.random.default_rng(4))
    seen = track_clips(clips, scenes, draw_real(clips, scenes, 5))
    assert all(one.motion_is_right for one in seen)
    assert all(one.icon_is_right for one in seen)
    assert all(one.colours_are_right for one in seen)


def test_the_tracker_tells_a_clip_that_becomes_another_thing_or_does_nothing(clips: Clips) -> None:
    scenes = [Scene("heart", "up", "red", "black"), Scene("key", "up", "red", "black")]
    heart, key = draw_real(clips, scenes, 5)
    half = np.concatenate((heart[:8], key[8:]))
    backwards = heart[::-1]
    empty = np.zeros_like(heart)
    changed, down, nothing = track_clips(clips, [scenes[0]] * 3, np.stack((half, backwards, empty)))
    assert not changed.same_object
    assert down.motion == "down"
    assert not nothing.motion_is_right
    assert not nothing.colours_are_right


def test_clips_that_were_trained_on_count_as_copied_and_fresh_ones_do_not(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genui.kinds.video.metrics.COMPARED", 240)  # drawing more takes long
    scenes = clips.scenes(24, np.random.default_rng(6))
    assert clips_copied(clips, scenes, draw_real(clips, scenes, 1, 0), 1) > 0.95
    assert 0.3 < clips_copied(clips, scenes, draw_real(clips, scenes, 99), 1) < 0.7
