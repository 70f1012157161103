"""Icons with modifiers, emoji in styles, and new images made of their parts."""

import io
import json
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genui.base.errors import MisuseError
from genui.engine.data import icons
from genui.engine.data.image_datasets import load_images
from genui.engine.data.images import add_colour, hold_out_names
from genui.engine.train.diffusion import image_corpus
from genui.kinds.latent import data
from genui.kinds.latent.data import (
    HELD_PAIRS,
    SHA256,
    SIDE,
    STYLES,
    build_vocabulary,
    choose_modified,
    hold_out_modifiers,
    icon_caption,
    pluralise,
    read_emoji,
    vary,
)
from genui.recipes import find_recipe

SQUARE = '<path fill="#f00" d="M2 2h28v28H2z"/>'


def _pack(folder: Path, files: dict[str, object]) -> None:
    """Write the three packages with the same files into a folder."""
    for file in SHA256:
        with tarfile.open(folder / f"iconify-json-{file}", "w:gz") as tar:
            for name, content in files.items():
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                info = tarfile.TarInfo(f"package/{name}.json")
                info.size = len(body)
                tar.addfile(info, io.BytesIO(body))


def _files(**icons: str) -> dict[str, object]:
    """The files of a package with drawings by name; the code points count from 1f400."""
    return {
        "chars": {f"{0x1F400 + i:x}": name for i, name in enumerate(icons)},
        "metadata": {"categories": {"Symbols": ["radio-button"]}},
        "icons": {
            "icons": {name: {"body": body} for name, body in icons.items()},
            "width": 32,
            "height": 32,
        },
    }


def test_captions_of_icons_follow_the_grammar() -> None:
    modified = choose_modified(icons.read_font()[0])
    grammar = re.compile(
        r"( outline)?( off)?( with (plus|minus|cross|check|alert|pencil))?( in a (circle|box))?"
        r"( multiple)?"
    )
    for thing, modifiers in modified.values():
        assert grammar.fullmatch(icon_caption(thing, modifiers).removeprefix(thing))


def test_pairs_of_object_and_modifier_are_held_out_and_each_part_is_trained() -> None:
    modified = list(choose_modified(icons.read_font()[0]).values())
    held = hold_out_modifiers(modified)
    assert len(held) == HELD_PAIRS
    trained = [(thing, m) for thing, m in modified if not any((thing, one) in held for one in m)]
    things = {thing for thing, _ in trained}
    modifiers = {one for _, m in trained for one in m}
    assert all(thing in things and one in modifiers for thing, one in held)
    assert not any(one == "outline" for _, one in held)


def test_emoji_are_drawn_in_every_style_without_symbols_and_other_files(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    drawings = _files(**{"red-cat": SQUARE, "radio-button": SQUARE, "spy": "<image href='/x'/>"})
    _pack(tmp_path, drawings)
    images = load_images("emoji-128", str(tmp_path), side=SIDE)
    assert images.captions == ("red cat",) * len(STYLES)
    assert images.styles == STYLES
    assert "CC-BY-4.0" in images.licence
    assert images.rgba[0, 64, 64].tolist() == [255, 0, 0, 255]
    recipe = replace(find_recipe("emoji-128"), data=str(tmp_path))
    assert image_corpus(recipe, 16, images, None).captions == recipe.prompts


def test_the_small_dataset_of_emoji_holds_out_what_the_whole_one_does(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    food = [f"{colour}-fruit" for colour in ("red", "green", "blue")]
    drawings = _files(**dict.fromkeys(["red-hat", "blue-hat", *food], SQUARE))
    categories = {"Food & Drink": food, "Objects": ["red-hat", "blue-hat"]}
    _pack(tmp_path, {**drawings, "metadata": {"categories": categories}})
    whole = load_images("emoji-128", str(tmp_path), side=SIDE)
    small = load_images("mini-emoji-128", str(tmp_path), side=SIDE)
    assert sorted(set(small.captions)) == ["blue fruit", "green fruit", "red fruit"]
    never_trained = {small.captions[i] for i in small.held_out}
    assert never_trained
    assert never_trained == {whole.captions[i] for i in whole.held_out} & set(small.captions)
    assert sorted(small.styles) == sorted(STYLES * 3)


def test_canvases_of_emoji_are_trained_with_and_without_their_style(
    shapes: tuple[str, str],
) -> None:
    images = load_images(shapes[1], side=SIDE)
    indices = np.repeat(images.train[:1], 8)
    captions, canvas = images.canvas_batch(indices, np.random.default_rng(0))
    name = images.captions[indices[0]]
    assert set(captions) == {name, f"{images.styles[indices[0]]} {name}"}
    assert np.array_equal(canvas, images.batch(indices, np.random.default_rng(0)).canvas)


@pytest.mark.parametrize(
    "files",
    [
        {"chars": b"{", "metadata": {}, "icons": {}},
        {"chars": {"1f400": 3}, "metadata": {}, "icons": {"icons": {}}},
        {"chars": {}, "metadata": {}},
        {**_files(), "icons": b""},
    ],
    ids=["cut", "another type", "a file is missing", "empty"],
)
def test_a_damaged_package_is_one_line(tmp_path: Path, files: dict[str, object]) -> None:
    _pack(tmp_path, files)
    with pytest.raises(MisuseError, match=r"noto-1.2.9.tgz: is no package of Iconify, or damaged"):
        read_emoji(str(tmp_path))


def test_a_file_in_a_package_is_read_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "MAX_MEMBER", 100)
    _pack(tmp_path, _files(cat=SQUARE * 9))
    with pytest.raises(MisuseError, match=r"icons.json is empty or larger"):
        read_emoji(str(tmp_path))


def test_a_folder_without_a_package_says_how_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="npm pack @iconify-json/noto"):
        read_emoji(str(tmp_path))
    with pytest.raises(MisuseError, match="holds no data of emoji-128"):
        load_images("emoji-128", str(tmp_path), side=SIDE)


def test_a_model_of_other_images_refuses_them(shapes: tuple[str, str]) -> None:
    with pytest.raises(MisuseError, match="its images are 128×128, and this model takes 32×32"):
        load_images(shapes[0])


def test_new_images_depend_on_the_seed_alone_and_have_known_words(
    shapes: tuple[str, str],
) -> None:
    for name in shapes:
        images = load_images(name, side=SIDE)
        words = build_vocabulary(images)
        batches = []
        for seed in (1, 1, 2):
            rng = np.random.default_rng(seed)
            varied = vary(images, rng.choice(images.train, 40), rng)
            batches.append(varied.batch(varied.train, rng))
        same, again, other = batches
        assert same.captions == again.captions
        assert np.array_equal(same.rgb, again.rgb)
        assert same.captions != other.captions
        captions = [*same.captions, *other.captions]
        assert not [word for caption in captions for word in words.unknown(caption)]
        made = " ".join(captions)
        assert any(word in made for word in ("two", "three", "small", "above", "beside"))


def test_half_of_the_captions_say_the_style_and_one_without_it_is_any(
    shapes: tuple[str, str],
) -> None:
    images = load_images(shapes[1], side=SIDE)
    captions = images.batch(np.repeat(images.train, 40), np.random.default_rng(0)).captions
    styled = sum(caption.startswith(("flat ", "round ")) for caption in captions)
    assert 0.4 < styled / len(captions) < 0.6
    flat, round_, bare = (images.compose(f"{one}square on red") for one in ("flat ", "round ", ""))
    assert flat is not None
    assert round_ is not None
    assert bare is not None
    assert not np.array_equal(flat, round_)
    assert np.array_equal(flat, bare)


def test_all_images_of_a_name_are_held_out_together() -> None:
    captions = [f"{size} {thing}" for size in ("big", "small") for thing in ("cat", "dog", "cow")]
    trained, held = hold_out_names([name for name in captions for _ in range(3)])
    assert len(held)
    assert not {i // 3 for i in held} & {i // 3 for i in trained}


def test_a_colour_stands_after_a_number() -> None:
    plurals = [pluralise(name) for name in ("heart", "cherry", "key", "box", "glasses")]
    assert plurals == ["hearts", "cherries", "keys", "boxes", "glasses"]
    assert add_colour("two red apples", "green") == "two green red apples"
    assert add_colour("small", "red") == "red small"
