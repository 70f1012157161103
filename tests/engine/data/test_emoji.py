"""Colour emoji, where the font is installed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import features

from genui.base.errors import GenuiError
from genui.engine.data import icons
from genui.engine.data.icons import choose_emoji, find_font
from genui.engine.data.image_datasets import load_images
from genui.engine.data.images import CaptionedImages
from genui.recipes import RECIPES, DiffusionRecipe


@pytest.fixture(scope="module")
def emoji(tmp_path_factory: pytest.TempPathFactory) -> CaptionedImages:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENUI_HOME", str(tmp_path_factory.mktemp("emoji")))
        try:
            find_font()
        except GenuiError as reason:
            pytest.skip(str(reason))
        return load_images("emoji")


@pytest.fixture
def no_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENUI_EMOJI_FONT", raising=False)
    monkeypatch.setattr(icons, "FOLDERS", ())


def test_names_and_images_are_distinct(emoji: CaptionedImages) -> None:
    assert 1200 <= len(emoji) <= 1400
    assert list(emoji.captions) == sorted(set(emoji.captions))
    assert len(np.unique(emoji.rgba.reshape(len(emoji), -1), axis=0)) == len(emoji)


def test_images_are_in_colour_on_transparency(emoji: CaptionedImages) -> None:
    heart = emoji.rgba[emoji.captions.index("red heart")]
    red, green, blue, alpha = heart[14, 16]
    assert alpha == 255
    assert red > 2 * max(green, blue)
    assert heart[0, 0, 3] == 0


def test_the_recipe_samples_only_trained_emoji(emoji: CaptionedImages) -> None:
    recipe = RECIPES["emoji"]
    assert isinstance(recipe, DiffusionRecipe)
    held_out = {emoji.captions[i] for i in emoji.held_out}
    for caption in recipe.sample_captions:
        assert emoji.compose(caption) is not None, caption
        assert caption.partition(" on ")[0] not in held_out


def test_flags_skin_tones_and_families_are_left_out() -> None:
    names = choose_emoji()
    assert "octopus" in names
    for left_out in ("france", "waving hand light skin tone", "family", "keycap 5", "man cook"):
        assert left_out not in names
    assert all(len(name.split()) <= 8 for name in names)


def test_without_the_font_the_package_is_named(no_font: None) -> None:
    with pytest.raises(GenuiError, match="fonts-noto-color-emoji") as fault:
        load_images("emoji")
    assert "\n" not in str(fault.value)


def test_the_font_is_found_below_the_usual_folders(
    no_font: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(icons, "FOLDERS", (str(tmp_path / "none"), str(tmp_path)))
    with pytest.raises(GenuiError):
        find_font()
    folder = tmp_path / "truetype" / "noto"
    folder.mkdir(parents=True)
    (folder / "NotoColorEmoji.ttf").write_bytes(b"font")
    assert find_font() == folder / "NotoColorEmoji.ttf"


def test_a_font_named_by_hand_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENUI_EMOJI_FONT", "/nowhere/x.ttf")
    with pytest.raises(GenuiError, match=r"/nowhere/x\.ttf: no such file"):
        find_font()


def test_a_file_that_is_no_font_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "fake.ttf"
    fake.write_bytes(b"not a font")
    monkeypatch.setenv("GENUI_EMOJI_FONT", str(fake))
    with pytest.raises(GenuiError, match=r"fake\.ttf"):
        load_images("emoji")


def test_a_pillow_without_raqm_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "NotoColorEmoji.ttf"
    fake.write_bytes(b"any font")
    monkeypatch.setenv("GENUI_EMOJI_FONT", str(fake))
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(GenuiError, match="RAQM"):
        load_images("emoji")
