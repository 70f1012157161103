"""The icons of the installed font."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genui.base.paths import cache_dir
from genui.engine.data import icons as icons_module
from genui.engine.data.icons import LONGEST, choose_icons
from genui.engine.data.image_datasets import load_images
from genui.engine.data.images import CaptionedImages
from genui.recipes import RECIPES, DiffusionRecipe


@pytest.fixture(autouse=True)
def drawn_once() -> None:
    """Here the cache is that of a user."""


@pytest.fixture(scope="module")
def icons(tmp_path_factory: pytest.TempPathFactory) -> CaptionedImages:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENUI_HOME", str(tmp_path_factory.mktemp("icons")))
        return load_images("icons")


def test_names_are_short_distinct_and_in_order(icons: CaptionedImages) -> None:
    assert len(icons) > 1400
    assert list(icons.captions) == sorted(set(icons.captions))
    for name in icons.captions:
        assert len(name.split()) <= LONGEST
        assert name == name.lower() == " ".join(name.split())


def test_shapes_are_distinct_centred_and_keep_their_margin(icons: CaptionedImages) -> None:
    alpha = icons.rgba[..., 3]
    assert len(np.unique(alpha.reshape(len(icons), -1), axis=0)) == len(icons)
    assert not alpha[:, :2].any()
    assert not alpha[:, -2:].any()
    assert not alpha[:, :, :2].any()
    assert not alpha[:, :, -2:].any()
    rows, columns = alpha.any(axis=2), alpha.any(axis=1)
    longest = np.maximum(rows.sum(axis=1), columns.sum(axis=1))
    assert longest.min() >= 22  # sharp tips fade out


@pytest.mark.parametrize("name", ["heart", "cat", "home", "tree", "sun", "letter a", "digit 7"])
def test_what_people_try_first_is_trained(icons: CaptionedImages, name: str) -> None:
    assert icons.captions.index(name) in icons.train


def test_the_recipe_samples_only_trained_shapes(icons: CaptionedImages) -> None:
    recipe = RECIPES["icons"]
    assert isinstance(recipe, DiffusionRecipe)
    held_out = {icons.captions[i] for i in icons.held_out}
    for caption in recipe.sample_captions:
        assert icons.compose(caption) is not None, caption
        assert caption.partition(" ")[2].rpartition(" on ")[0] not in held_out


def test_about_sixty_names_and_eight_pairs_are_held_out(icons: CaptionedImages) -> None:
    assert 50 <= len(icons.held_out) <= 60
    assert len(icons.held_pairs) == 8
    assert set(icons.train).isdisjoint(icons.held_out)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only two icons, so that drawing costs nothing."""
    monkeypatch.setattr(
        icons_module, "choose_icons", lambda names: {"cat": "cat", "heart": "heart"}
    )


def test_the_second_load_reads_the_cache_and_equals_the_first(
    few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_images("icons")
    monkeypatch.setattr(icons_module, "draw_glyph", None)  # drawing now would raise
    second = load_images("icons")
    assert second.captions == first.captions == ("cat", "heart")
    assert second.fingerprint == first.fingerprint
    np.testing.assert_array_equal(second.rgba, first.rgba)


def test_a_broken_cache_is_drawn_again(few: None) -> None:
    first = load_images("icons")
    (cached,) = (cache_dir() / "pictures").glob("icons-*.npz")
    whole = cached.read_bytes()
    foreign = io.BytesIO()
    np.savez(foreign, rgba=np.zeros((2, 8, 8)), captions=np.array(["cat", "heart"]))
    for broken in (b"", b"not an npz", whole[: len(whole) // 2], foreign.getvalue()):
        cached.write_bytes(broken)
        assert load_images("icons").fingerprint == first.fingerprint
        assert cached.read_bytes() == whole
    assert not list(cached.parent.glob("*.tmp"))


def test_a_cache_that_cannot_be_written_is_no_fault(few: None, genui_home: Path) -> None:
    genui_home.mkdir()
    (genui_home / "cache").write_text("a file where the folder should be")
    assert len(load_images("icons")) == 2


def test_variants_brands_and_signs_are_left_out() -> None:
    chosen = choose_icons(
        ["heart", "heart_off", "github", "numeric_10_box", "food_taco", "taco_truck"]
    )
    assert chosen == {"heart": "heart", "taco": "food_taco", "taco truck": "taco_truck"}


def test_a_category_never_takes_the_place_of_a_thing() -> None:
    assert choose_icons(["taco", "food_taco", "table", "table_furniture"]) == {
        "table": "table_furniture",
        "taco": "taco",
    }


def test_no_window_toolkit_and_no_torch_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from genui.engine.data.image_datasets import load_images;"
        "load_images('icons');"
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'superqt', 'qtpy')])"
    )
    environment = {**os.environ, "GENUI_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
