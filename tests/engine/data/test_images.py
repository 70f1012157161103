"""Batches of captioned images: what is drawn is what the caption says."""

import numpy as np
import pytest

from genui.base.errors import MisuseError
from genui.engine.data.captions import COLOURS
from genui.engine.data.image_datasets import load_images
from genui.engine.data.images import (
    CaptionedImages,
    Scheme,
    fingerprint,
    hold_out_images,
    hold_out_names,
    hold_out_pairs,
)

NAMES = ("left half", "dot", "light bulb on")


def made(scheme: Scheme, names: tuple[str, ...] = NAMES) -> CaptionedImages:
    """Three images: an opaque left half, an opaque 2×2 dot, and one half transparent."""
    rgba = np.zeros((len(names), 32, 32, 4), np.uint8)
    rgba[..., :3] = (200, 100, 50)
    rgba[0, :, :16, 3] = 255
    rgba[1, 10:12, 20:22, 3] = 255
    rgba[2, ..., 3] = 128
    pairs = hold_out_pairs() if scheme == "figure-ground" else frozenset()
    return CaptionedImages(
        name="made",
        licence="none",
        fingerprint=fingerprint(rgba, names),
        rgba=rgba,
        captions=names,
        scheme=scheme,
        train=np.arange(len(names)),
        held_out=np.array([], np.int64),
        held_pairs=pairs,
    )


def colour(name: str) -> np.ndarray:
    return np.array(COLOURS[name], np.float32) / 127.5 - 1


@pytest.mark.parametrize("scheme", ["figure-ground", "ground", "plain"])
def test_a_batch_has_the_promised_shapes_and_range(scheme: Scheme) -> None:
    batch = made(scheme).batch(np.array([0, 1, 2, 0]), np.random.default_rng(0))
    assert len(batch.captions) == 4
    assert batch.rgb.shape == (4, 3, 32, 32)
    assert batch.canvas.shape == (4, 4, 16, 16)
    for array in (batch.rgb, batch.canvas):
        assert array.dtype == np.float32
        assert -1 <= array.min() < array.max() <= 1


def test_an_icon_is_drawn_in_the_colours_of_its_caption() -> None:
    batch = made("figure-ground").batch(np.zeros(50, np.int64), np.random.default_rng(1))
    for caption, image in zip(batch.captions, batch.rgb, strict=True):
        figure, left, half, on, ground = caption.split()
        assert (left, half, on) == ("left", "half", "on")
        assert figure != ground
        np.testing.assert_allclose(image[:, 5, 3], colour(figure), atol=1e-5)
        np.testing.assert_allclose(image[:, 5, 30], colour(ground), atol=1e-5)


def test_held_pairs_are_drawn_only_when_asked_for() -> None:
    images = made("figure-ground")
    indices = np.zeros(2000, np.int64)

    def pairs(held: bool) -> set[tuple[str, str]]:
        captions = images.batch(indices, np.random.default_rng(2), held_pairs=held).captions
        return {(caption.split()[0], caption.split()[-1]) for caption in captions}

    assert pairs(held=True) == images.held_pairs
    assert len(pairs(held=False)) == 90 - len(images.held_pairs)
    assert pairs(held=False).isdisjoint(images.held_pairs)


def test_an_image_on_a_ground_shows_the_named_ground_and_black_without_a_name() -> None:
    batch = made("ground").batch(np.ones(1000, np.int64), np.random.default_rng(3))
    bare = 0
    for caption, image in zip(batch.captions, batch.rgb, strict=True):
        name, _, ground = caption.partition(" on ")
        assert name == "dot"
        bare += not ground
        np.testing.assert_allclose(image[:, 0, 0], colour(ground or "black"), atol=1e-5)
        np.testing.assert_allclose(
            image[:, 10, 20], np.array([200, 100, 50]) / 127.5 - 1, atol=1e-5
        )
    assert 330 < bare < 470


def test_a_plain_image_lies_on_black_under_its_own_caption() -> None:
    batch = made("plain").batch(np.array([2, 1]), np.random.default_rng(0))
    assert batch.captions == ["light bulb on", "dot"]
    black, own = np.array(COLOURS["black"]), np.array([200, 100, 50])
    mixed = (own * 128 + black * 127) / 255 / 127.5 - 1
    np.testing.assert_allclose(batch.rgb[0, :, 7, 7], mixed, atol=1e-5)


def test_the_canvas_of_an_icon_is_its_alpha_folded() -> None:
    _, canvas = made("figure-ground").canvas_batch(np.array([0, 1]), np.random.default_rng(0))
    unfolded = canvas.reshape(2, 2, 2, 16, 16).transpose(0, 3, 1, 4, 2).reshape(2, 32, 32)
    expected = made("figure-ground").rgba[:2, ..., 3] / 127.5 - 1
    np.testing.assert_allclose(unfolded, expected, atol=1e-6)


def test_the_canvas_of_an_image_is_its_premultiplied_average() -> None:
    names, canvas = made("ground").canvas_batch(np.array([2]), np.random.default_rng(0))
    assert names == ["light bulb on"]
    expected = np.array([200 * 128 / 255, 100 * 128 / 255, 50 * 128 / 255, 128]) / 127.5 - 1
    np.testing.assert_allclose(canvas[0, :, 4, 9], expected, atol=0.005)


def test_the_canvas_of_a_plain_image_is_opaque_everywhere() -> None:
    _, canvas = made("plain").canvas_batch(np.array([0, 1, 2]), np.random.default_rng(0))
    assert (canvas[:, 3] == 1).all()
    np.testing.assert_allclose(canvas[1, :3, 0, 0], colour("black"), atol=0.005)


@pytest.mark.parametrize("scheme", ["figure-ground", "ground", "plain"])
def test_compose_gives_the_very_image_that_was_trained(scheme: Scheme) -> None:
    images = made(scheme)
    batch = images.batch(np.array([0, 1, 2] * 5), np.random.default_rng(4))
    for caption, image in zip(batch.captions, batch.rgb, strict=True):
        composed = images.compose(caption)
        assert composed is not None, caption
        np.testing.assert_array_equal(composed, image)


@pytest.mark.parametrize(
    ("scheme", "caption"),
    [
        ("figure-ground", "dot"),
        ("figure-ground", "red dot on red"),
        ("figure-ground", "red heart on blue"),
        ("figure-ground", "red dot on mauve"),
        ("figure-ground", ""),
        ("ground", "heart on blue"),
        ("ground", "dot on mauve"),
        ("plain", "dot on blue"),
    ],
)
def test_compose_knows_what_was_never_an_image(scheme: Scheme, caption: str) -> None:
    assert made(scheme).compose(caption) is None


def test_compose_reads_a_caption_as_people_type_it() -> None:
    images = made("figure-ground")
    assert images.compose(" Red  light-bulb ON on Blue!") is not None


def test_the_same_generator_gives_the_same_batch() -> None:
    one, two = (
        made("figure-ground").batch(np.array([0, 1]), np.random.default_rng(9)) for _ in range(2)
    )
    assert one.captions == two.captions
    np.testing.assert_array_equal(one.rgb, two.rgb)


def test_the_fingerprint_follows_images_and_captions() -> None:
    rgba = np.zeros((2, 32, 32, 4), np.uint8)
    changed = rgba.copy()
    changed[1, 3, 3, 0] = 1
    prints = {fingerprint(rgba, "ab"), fingerprint(rgba, "ac"), fingerprint(changed, "ab")}
    assert len(prints) == 3
    assert fingerprint(rgba, "ab") in prints


def test_held_out_names_are_made_of_trained_words() -> None:
    names = [f"{noun} {kind}" for noun in ("cat", "dog", "cow", "hen") for kind in "abcdefghijkl"]
    names += ["cat", "unheard of"]
    trained, held = hold_out_names(names, keep={"cat a"})
    words = {word for i in trained for word in names[i].split()}
    assert len(held) > 0
    assert sorted([*trained, *held]) == list(range(len(names)))
    for i in held:
        assert set(names[i].split()) <= words
        assert names[i] not in {"cat", "cat a", "unheard of"}


def test_held_out_pairs_leave_every_colour_trained_both_ways() -> None:
    held = hold_out_pairs()
    assert len(held) == 8
    for name in COLOURS:
        assert sum(figure == name for figure, _ in held) < 9
        assert sum(ground == name for _, ground in held) < 9


@pytest.mark.parametrize(("count", "held_count"), [(1, 0), (49, 0), (160, 10), (5000, 60)])
def test_a_small_folder_is_trained_whole(count: int, held_count: int) -> None:
    trained, held = hold_out_images(count)
    assert len(held) == held_count
    assert sorted([*trained, *held]) == list(range(count))


def test_an_unknown_set_names_the_nearest() -> None:
    with pytest.raises(MisuseError, match="'icons'"):
        load_images("icon")
