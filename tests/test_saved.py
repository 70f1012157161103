"""Recipes, and the files that carry them."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from saved_samples import (
    MACHINE,
    SIDE,
    START,
    STARTED,
    as_once_written,
    image_frames,
    image_recipe,
    text_frames,
    text_recipe,
    written,
)

from genui.base.errors import GenuiError, MisuseError
from genui.formats import codec
from genui.formats import recipe as saved
from genui.formats.codec import CODECS, Sample, saves_of
from genui.formats.recipe import ExportView
from genui.protocol import ImageSettings, RgbImage, Start
from genui.protocol.kinds import KINDS

# --- recipes ------------------------------------------------------------------------


def test_a_recipe_makes_the_same_start_again_with_the_image_that_was_read() -> None:
    text = saved.to_json(image_recipe())
    assert text.isascii()
    assert "\n" not in text
    again = saved.to_start(saved.from_json(text, "x"), trace=3)
    assert again == msgspec.structs.replace(START, init=STARTED.init, precision="fp32")


@given(
    prompt=st.text(st.characters(exclude_categories=["Cs"])),
    seed=st.integers(0, 2**63 - 1),
    guidance=st.floats(0, 20),
)
def test_any_start_survives_its_recipe(prompt: str, seed: int, guidance: float) -> None:
    settings = ImageSettings(guidance=guidance)
    start = Start(trace=0, model="m", prompt=prompt, seed=seed, settings=settings)
    recipe = saved.recipe_of(start, STARTED, MACHINE)
    again = saved.to_start(saved.from_json(saved.to_json(recipe), "x"))
    assert again == msgspec.structs.replace(start, init=STARTED.init, precision="fp32")


def test_a_whole_number_for_a_float_is_no_edit_by_hand() -> None:
    start = msgspec.structs.replace(START, settings=ImageSettings(guidance=4, eta=1))
    recipe = saved.recipe_of(start, STARTED, MACHINE)
    assert saved.from_json(saved.to_json(recipe), "x") == recipe


def test_what_no_reader_would_take_is_not_written() -> None:
    with pytest.raises(GenuiError, match="this cannot be saved"):
        saved.recipe_of(msgspec.structs.replace(START, seed=2**63), STARTED, MACHINE)


def test_a_file_too_large_to_be_read_back_is_not_written(tmp_path: Path) -> None:
    from genui.formats import image

    frames = image_frames()[:1] * (image.MAX_PIXELS // (SIDE * SIDE * 32 * 32) + 1)
    recipe = image_recipe(ExportView(kind="animation", scale=32))
    with pytest.raises(GenuiError, match="this would be over 64,000,000 pixels; draw it smaller"):
        codec.encode(".gif", [Sample(7, "A", frames)], recipe)


def test_other_formatting_of_the_json_is_no_edit() -> None:
    text = json.dumps(json.loads(saved.to_json(image_recipe())), indent=3)
    assert saved.from_json(text, "x") == image_recipe()


def test_a_recipe_with_a_setting_that_is_gone_is_read_and_guarded_still() -> None:
    text = as_once_written(saved.to_json(image_recipe()))
    assert "rejection" in text
    found = saved.from_json(text, "x")
    assert saved.to_start(found) == saved.to_start(image_recipe())
    with pytest.raises(GenuiError, match="edited by hand"):
        saved.from_json(text.replace('"rejection": 2.0', '"rejection": 3.0'), "x")
    assert "rejection" not in saved.to_json(found.showing(ExportView(kind="film")))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"gone": 1}, r"is of another version or a plug-in \("),
        (
            {"settings": {"type": "image", "sampler": "my"}},
            "needs the sampler 'my', which is not here; start genui with the plug-in that adds it",
        ),
    ],
)
def test_a_whole_recipe_of_another_version_or_a_plug_in_is_not_damaged(
    change: dict[str, object], fault: str
) -> None:
    fields = json.loads(saved.to_json(image_recipe())) | change
    text = json.dumps(fields | {"digest": saved.digest_of(fields)})
    with pytest.raises(GenuiError, match=f"^x: its recipe {fault}"):
        saved.from_json(text, "x")


@pytest.mark.parametrize(
    "change",
    [
        lambda recipe: recipe | {"seed": 8},
        lambda recipe: recipe | {"prompt": "blue heart"},
        lambda recipe: recipe | {"edits": []},
        lambda recipe: recipe | {"digest": "0" * 64},
        lambda recipe: recipe | {"digest": ""},
        lambda recipe: recipe | {"result": recipe["result"] | {"steps": 1}},
    ],
)
def test_a_recipe_edited_by_hand_is_told(change: Callable[[dict], dict]) -> None:
    text = json.dumps(change(json.loads(saved.to_json(image_recipe()))))
    with pytest.raises(GenuiError, match=r"^x\.png: its recipe was edited by hand"):
        saved.from_json(text, "x.png")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"format": 2}, "its recipe has format 2 and this genui reads 1"),
        ({"seed": -1}, "its recipe is damaged"),
        (
            {"settings": {"type": "sound"}},
            "its recipe needs the kind of model with the settings",
        ),
        ({"settings": {}}, "its recipe is damaged"),
        ({"strange": 1}, "its recipe is damaged"),
        ({"fingerprint": "../../etc"}, "its recipe is damaged"),
        ({"count": 1_000_000}, "its recipe is damaged"),
    ],
)
def test_a_recipe_that_cannot_be_read_says_why(change: dict, fault: str) -> None:
    text = json.dumps(json.loads(saved.to_json(image_recipe())) | change)
    with pytest.raises(GenuiError) as caught:
        saved.from_json(text, "x.png")
    assert str(caught.value).startswith(f"x.png: {fault}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "null", '{"format": "one"}', b"\xff"])
def test_what_is_no_recipe_is_one_line(text: str | bytes) -> None:
    with pytest.raises(GenuiError, match="its recipe is damaged"):
        saved.from_json(text, "x")


def test_an_image_of_other_bytes_than_its_size_is_refused() -> None:
    started = msgspec.structs.replace(STARTED, init=RgbImage(width=9000, height=9000, rgb=b"abc"))
    text = saved.to_json(saved.recipe_of(START, started, MACHINE))
    with pytest.raises(GenuiError, match="the image in its recipe is damaged"):
        saved.from_json(text, "x")


def test_a_result_is_of_all_frames_and_of_the_last() -> None:
    frames = image_frames()
    other = [msgspec.structs.replace(frames[0], x=bytes(SIDE * SIDE * 3)), *frames[1:]]
    one, two = saved.result_of(frames), saved.result_of(other)
    assert one.steps == two.steps == 2
    assert one.digest == two.digest
    assert one.frames != two.frames


def test_a_result_of_text_has_its_tokens() -> None:
    result = saved.result_of(text_frames("a", "b"), text_frames("c"))
    assert result.tokens == ((1, 2), (1,))


# --- files --------------------------------------------------------------------------


TEXTS = ("b\n", "c")
SAVED = {
    ".png": (image_frames(), image_recipe(ExportView(kind="frame"))),
    ".gif": (image_frames(), image_recipe(ExportView(kind="animation"))),
    ".apng": (image_frames(), image_recipe(ExportView(kind="animation"))),
    ".txt": (text_frames(*TEXTS), text_recipe(*TEXTS)),
    ".cast": (text_frames(*TEXTS), text_recipe(*TEXTS)),
}
"""Frames and a recipe of each type of file, and not of those that kinds bring. A row for a new one
puts it through what holds for all."""


def test_each_type_of_file_that_is_written_has_frames() -> None:
    of_kinds = {codec.suffix for kind in KINDS.values() for codec in saves_of(kind).codecs}
    missing = {row.suffix for row in CODECS.values() if row.encode} - of_kinds - SAVED.keys()
    missing -= {".wav"}  # of which a kind makes the sound (tests/kinds)
    assert not missing, f"SAVED of tests/test_saved.py needs a row for {missing}"


@pytest.mark.parametrize("suffix", SAVED)
def test_a_file_has_its_recipe_is_the_same_again_and_is_refused_if_it_is_cut(
    suffix: str, tmp_path: Path
) -> None:
    frames, recipe = SAVED[suffix]
    path, samples = tmp_path / f"x{suffix}", [Sample(7, "A", frames)]
    data = codec.encode(suffix, samples, recipe)
    path.write_bytes(data)
    file = codec.read(path)
    assert file.recipe == recipe, "`decode` returns the recipe that `encode` was given"
    assert codec.compare(file, samples) is None, "`difference` of the same is None"
    others = [Sample(7, "A", [*frames[:-1], frames[0]])]
    assert codec.compare(file, others) is not None, "`difference` of other frames is not None"
    for end in (0, len(data) // 2, len(data) - 40):
        path.write_bytes(data[:end])
        with pytest.raises(GenuiError) as refusal:
            codec.read(path)
        assert str(refusal.value).startswith(str(path)), "the line begins with the name"
        assert "\n" not in str(refusal.value), "what is wrong is one line"


@pytest.mark.parametrize("kind", ["png", "apng", "gif"])
def test_an_image_file_gives_back_its_recipe_and_frames(kind: str, tmp_path: Path) -> None:
    view = ExportView(kind="frame" if kind == "png" else "animation", scale=2)
    file = codec.read(written(tmp_path, kind, view))
    assert file.recipe == image_recipe(view)
    assert file.codec.suffix == f".{kind}"
    assert isinstance(file.content, list)
    assert len(file.content) == (1 if kind == "png" else 3)
    last = np.frombuffer(image_frames()[-1].x, np.uint8).reshape(SIDE, SIDE, 3)
    if kind != "gif":
        assert (file.content[-1][::2, ::2] == last).all()


def test_a_step_and_a_part_can_be_shown(tmp_path: Path) -> None:
    file = codec.read(written(tmp_path, "png", ExportView(steps=(1,), part="denoised")))
    assert isinstance(file.content, list)
    assert file.content[0].tobytes() == image_frames()[1].denoised


def test_a_part_that_was_not_computed_cannot_be_shown(tmp_path: Path) -> None:
    with pytest.raises(GenuiError, match="step 1: this trace has no such image"):
        written(tmp_path, "png", ExportView(steps=(1,), part="noise"))


@pytest.mark.parametrize("texts", [("b", "\n"), ("b", "\n\ngenui-recipe: {}"), ("", "")])
def test_a_text_is_kept_exactly_above_its_recipe(texts: tuple, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    recipe = text_recipe(*texts)
    path.write_bytes(codec.encode(".txt", [Sample(1, "A", text_frames(*texts))], recipe))
    file = codec.read(path)
    assert file.content == "A" + "".join(texts)
    assert file.recipe == recipe


def test_a_recording_gives_back_its_outputs(tmp_path: Path) -> None:
    path = tmp_path / "x.cast"
    frames = text_frames("b\n", "\x1b]0;title\x07c")
    path.write_bytes(codec.encode(".cast", [Sample(1, "A", frames)], text_recipe("b\n", "c")))
    file = codec.read(path)
    assert file.content == ("A", "b\r\n", "c")
    assert file.recipe == text_recipe("b\n", "c")


def test_a_recording_of_images_paints_each_over_the_one_before(tmp_path: Path) -> None:
    path = written(tmp_path, "cast", ExportView(kind="animation"))
    header = json.loads(path.read_text().splitlines()[0])
    assert (header["width"], header["height"]) == (SIDE, SIDE // 2)
    file = codec.read(path)
    assert len(file.content) == 3
    assert all("\x1b[H" in output and output.count("\r\n") == 1 for output in file.content)


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("x.png", None, "no such file"),
        ("x.png", b"", "is empty"),
        ("x.png", b"\x89PNG\r\n\x1a\n" + bytes(40), "image that genui can read"),
        ("x.gif", b"GIF89a", "image that genui can read"),
        ("x.txt", b"just a text\n", "has no recipe"),
        ("x.txt", b"a\ngenui-recipe: {}\nmore", "has no recipe"),
        ("x.txt", b"a\ngenui-recipe: {\n", "its recipe is damaged"),
        ("x.txt", b"\xff\xfe\0a", "is not UTF-8 text (byte 0)"),
        ("x.cast", b"\n\n", "is not a complete asciinema recording"),
        ("x.cast", b'{"version": 2}\n[0, "o"', "is not a complete asciinema recording"),
        ("x.cast", b'{"version": 2}\n[0, "o", "a"]\n', "has no recipe"),
        ("x.trace", b"{}", "its recipe is damaged"),
        ("x.trace", b"\0\1\2", "its recipe is damaged"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_naming_it(
    name: str, content: bytes | None, fault: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GenuiError) as caught:
        codec.read(path)
    assert str(path) in str(caught.value)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_image_without_a_recipe_says_so(tmp_path: Path) -> None:
    from genui.formats import image

    (tmp_path / "x.png").write_bytes(image.png(np.zeros((2, 2, 3), np.uint8), "my holiday"))
    with pytest.raises(GenuiError, match="has no recipe"):
        codec.read(tmp_path / "x.png")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    with path.open("wb") as file:
        file.truncate(codec.MAX_BYTES + 1)
    with pytest.raises(GenuiError, match="over 64 MB"):
        codec.read(path)


def test_a_kind_of_file_that_has_no_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"x\.jpg: a recipe is in files that end in \.png"):
        codec.read(tmp_path / "x.jpg")


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.txt")
    with pytest.raises(GenuiError, match="not a regular file"):
        codec.read(tmp_path / "x.txt")
