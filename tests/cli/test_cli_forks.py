"""`genui generate` with forks, grids, masks, images to begin from and saved generations."""

import json
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image
from tiny_models import CONTEXT

from genui.cli.main import main
from genui.formats import codec, trees
from genui.formats import recipe as saved
from genui.formats.command import format_edits
from genui.protocol import (
    Ablate,
    AddNoise,
    Axis,
    Denoise,
    EditAt,
    ImageSettings,
    Patch,
    RgbImage,
    SetPrompt,
    SetSeed,
    SetSettings,
    Steer,
    TextSettings,
    WriteText,
    WriteToken,
)
from genui.protocol.settings import LayerEdit

pytestmark = pytest.mark.usefixtures("tiny")

TEXT = ["generate", "plays", "--prompt", "to be", "--seed", "3", "--tokens", "8"]
IMAGE = ["generate", "shapes", "--prompt", "cat", "--seed", "3", "--steps", "3"]


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """White above, black below."""
    path = tmp_path / "mask.png"
    pixels = np.zeros((64, 64), np.uint8)
    pixels[:32] = 255
    Image.fromarray(pixels).save(path)
    return path


def made(words: list[str], out: Path) -> saved.TraceRecipe:
    """The recipe of what a command wrote."""
    assert main([*words, "--out", str(out)]) == 0
    return codec.read(out).recipe


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command is refused with."""
    capsys.readouterr()
    assert main(words) in (1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


# --- forks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "edit"),
    [
        ("ablate=1.2", Ablate(layer=1, head=2)),
        ("ablate=1.ff", Ablate(layer=1)),
        (
            "steer=1:-0.5:the sea|a\nstone",
            Steer(layer=1, strength=-0.5, towards="the sea", away="a\nstone"),
        ),
        ("steer=1:2:a\\|b|c: |d", Steer(layer=1, strength=2, towards="a|b", away="c: |d")),
        ("patch=1:6:not to be", Patch(layer=1, position=6, text="not to be")),
        ("patch=1:-2:#3,14,15", Patch(layer=1, position=-2, token_ids=(3, 14, 15))),
        ("patch=1:0:to\\#b#5", Patch(layer=1, position=0, text="to#b", token_ids=(5,))),
    ],
)
def test_an_edit_of_a_layer_is_spelled_as_it_is_printed(
    typed: str, edit: LayerEdit, tmp_path: Path
) -> None:
    recipe = made([*TEXT, "--fork", f"3:{typed}"], tmp_path / "x.txt")
    assert recipe.edits == (EditAt(step=3, edit=edit),)
    assert format_edits(recipe.edits, recipe.settings) == [f"3:{typed}"]


@pytest.mark.parametrize(
    "typed",
    [
        "ablate=1",
        "ablate=0.1",
        "ablate=1.0",
        "steer=1:x:a|b",
        "steer=1:2:a",
        "steer=1:2000:a|b",
        "patch=1:a",
    ],
)
def test_an_edit_of_a_layer_in_another_form_is_one_line(
    typed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused([*TEXT, "--fork", f"3:{typed}"], capsys)
    assert f"--fork 3:{typed}: expected LAYER" in line


def test_every_edit_of_a_text_is_spelled_on_the_command_line(tmp_path: Path) -> None:
    edits = ["6:tokens=9", "5:temperature=0", "4:top-k=2", "3:text=no", "2:token=#5", "1:token=z"]
    forks = [word for edit in (*edits, "7:seed=9") for word in ("--fork", edit)]
    recipe = made([*TEXT, *forks], tmp_path / "x.txt")
    assert recipe.edits == (
        EditAt(step=1, edit=WriteToken(27)),
        EditAt(step=2, edit=WriteToken(5)),
        EditAt(step=3, edit=WriteText("no")),
        EditAt(step=4, edit=SetSettings(TextSettings(tokens=8, top_k=2))),
        EditAt(step=5, edit=SetSettings(TextSettings(tokens=8, top_k=2, temperature=0))),
        EditAt(step=6, edit=SetSettings(TextSettings(tokens=9, top_k=2, temperature=0))),
        EditAt(step=7, edit=SetSeed(9)),
    )
    assert recipe.result.steps == 9
    text = codec.read(tmp_path / "x.txt").content
    assert isinstance(text, str)
    assert text[len("to be") :][1:5] == "zdno"  # #5 is d


def test_every_edit_of_an_image_is_spelled_on_the_command_line(mask: Path, tmp_path: Path) -> None:
    edits = ["1:guidance=4", "1:sampler=heun", "2:caption=dog", "3:noise=1", "4:seed=8"]
    forks = [word for edit in edits for word in ("--fork", edit)]
    recipe = made([*IMAGE, *forks, "--mask", str(mask)], tmp_path / "x.png")
    settings = ImageSettings(steps=3, guidance=4)
    assert [at.step for at in recipe.edits] == [1, 1, 2, 3, 4]
    assert [at.edit for at in recipe.edits] == [
        SetSettings(settings),
        SetSettings(ImageSettings(steps=3, guidance=4, sampler="heun")),
        SetPrompt("dog"),
        AddNoise(to=1, mask=bytes([1] * 512 + [0] * 512)),
        SetSeed(8),
    ]
    assert recipe.result.steps == 5


def test_what_a_mask_does_not_mark_stays(mask: Path, tmp_path: Path) -> None:
    before, after = tmp_path / "a.png", tmp_path / "b.png"
    made(IMAGE, before)
    made([*IMAGE, "--fork", "3:noise=0", "--mask", str(mask)], after)
    apart = np.abs(pixels(before) - pixels(after)).max(axis=-1)
    assert apart[16:].max() <= 1
    assert apart[:16].max() > 1


@pytest.mark.parametrize(
    ("fork", "fault"),
    [
        ("9:seed=1", "--fork 9:seed=1: this trace has steps 0 to 8"),
        ("seed=1", "give STEP:EDIT, such as 10:seed=7"),
        ("one:seed=1", "give STEP:EDIT"),
        ("1:seed", "--fork 1:seed: give seed=VALUE"),
        ("1:seed=x", "--fork 1:seed=x: "),
        ("1:sed=1", "did you mean 'seed'?"),
        ("1:guidance=1", "no edit of plays, which writes text; "),
        ("1:temperature=99", "--fork 1:temperature=99: "),
        ("1:token=zz", "plays has no such token; did you mean 'z'?"),
        ("1:token=É", "plays has no such token; use text=TEXT for any text"),
        ("1:token=#99", "token 99: this model has 28, from 0 to 27"),
        ("1:text=É", "this model has no 'É'"),
        ("1:text=", "the text is empty"),
    ],
)
def test_a_fork_that_cannot_be_is_one_line(
    fork: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*TEXT, "--out", str(tmp_path / "x.txt"), "--fork", fork]
    assert fault in refused(words, capsys)
    assert list(tmp_path.glob("*.txt")) == []


@pytest.mark.parametrize(
    ("fork", "fault"),
    [
        ("4:seed=1", "--fork 4:seed=1: this trace has steps 0 to 3"),
        ("1:token=a", "no edit of shapes, which draws images; "),
        ("1:sampler=huen", "did you mean 'heun'?"),
        ("3:noise=x", "give the step to return to"),
        ("1:noise=2", "has less noise"),
        ("3:noise=7", "the schedule has noise at steps 0 to 2"),
        ("1:denoise=1", "takes no value"),
        ("1:guidance=-1", "--fork 1:guidance=-1: "),
    ],
)
def test_a_fork_of_an_image_that_cannot_be_is_one_line(
    fork: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fault in refused([*IMAGE, "--fork", fork], capsys)


def test_an_edit_out_of_reach_of_the_first_is_told_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*IMAGE, "--fork", "3:noise=1", "--fork", "9:seed=1"]
    assert "an edit at step 9: the trace ends at step 5" in refused(words, capsys)


# --- masks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shade", "fault"), [(0, "no pixel is white"), (255, "every pixel is white")]
)
def test_a_mask_of_nothing_or_of_everything_is_refused(
    shade: int, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mask.png"
    Image.new("L", (32, 32), shade).save(path)
    words = [*IMAGE, "--fork", "3:noise=1", "--mask", str(path)]
    assert f"--mask {path}: {fault}" in refused(words, capsys)


def test_a_mask_alone_says_what_is_missing(mask: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fault = refused([*IMAGE, "--mask", str(mask)], capsys)
    assert "--mask: needs --fork STEP:noise=K" in fault


def test_a_mask_that_is_no_image_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.png").write_bytes(b"no")
    words = [*IMAGE, "--fork", "3:noise=1", "--mask", str(tmp_path / "m.png")]
    assert "m.png: is not an image" in refused(words, capsys)


# --- images to begin from -------------------------------------------------------------


def of_another_size(path: Path) -> None:
    Image.new("RGB", (50, 20), (200, 0, 0)).save(path)


def transparent(path: Path) -> None:
    Image.new("RGBA", (32, 32), (200, 0, 0, 0)).save(path)


def of_16_bits(path: Path) -> None:
    Image.fromarray(np.full((32, 32), 200 * 257, np.uint16)).save(path)


@pytest.mark.parametrize(
    ("draw", "middle"),
    [(of_another_size, (200, 0, 0)), (transparent, (255,) * 3), (of_16_bits, (200,) * 3)],
)
def test_any_image_begins_a_trace_and_is_kept_in_its_recipe(
    draw, middle: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin, out = tmp_path / "begin.png", tmp_path / "x.png"
    draw(begin)
    recipe = made([*IMAGE, "--init", str(begin), "--strength", "0.5"], out)
    begin.unlink()  # the recipe needs it no longer
    assert isinstance(recipe.init, RgbImage)
    assert tuple(recipe.init.rgb[(16 * 32 + 16) * 3 :][:3]) == middle
    assert recipe.strength == 0.5
    capsys.readouterr()
    assert main(["replay", str(out)]) == 0
    assert capsys.readouterr().out == "identical\n"


def test_an_image_of_too_many_pixels_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "huge.png"
    Image.new("1", (8_001, 8_000)).save(path)
    fault = refused([*IMAGE, "--init", str(path)], capsys)
    assert f"{path}: over 64,000,000 pixels; make it smaller" in fault


def test_an_image_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "/no/x.png: cannot be read (no such file" in refused(
        [*IMAGE, "--init", "/no/x.png"], capsys
    )


def test_an_image_drowns_and_is_denoised_again(tmp_path: Path) -> None:
    begin = tmp_path / "begin.png"
    of_another_size(begin)
    words = [*IMAGE, "--init", str(begin), "--forward", "--fork", "2:denoise"]
    recipe = made(words, tmp_path / "x.gif")
    assert recipe.forward
    assert recipe.edits == (EditAt(step=2, edit=Denoise()),)
    assert recipe.result.steps == 4


# --- grids --------------------------------------------------------------------------


def test_a_grid_has_a_setting_along_each_side(tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    words = [*IMAGE, "--grid", "seed=3..5", "--grid", "guidance=1,2"]
    recipe = made(words, out)
    assert recipe.grid == (
        Axis(name="seed", values=("3", "4", "5")),
        Axis(name="guidance", values=("1", "2")),
    )
    assert pixels(out).shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("grid", "fault"),
    [
        (["seed"], "give NAME=V,V,…"),
        (["size=1,2"], "no setting 'size': "),
        (["seed=1..99"], "give 1 to 16 seeds"),
        (["seed=5..1"], "give 1 to 16 seeds, the lowest first"),
        (["seed=,"], "give its values"),
        (["guidance=1,x"], "guidance 'x'"),
        (["sampler=huen"], "did you mean 'heun'?"),
        (["seed=1,2", "eta=0,1", "guidance=1,2"], "a grid has two axes"),
        (["seed=1,2", "seed=3,4"], "choose two different settings"),
    ],
)
def test_a_grid_that_cannot_be_is_one_line(
    grid: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for side in grid for word in ("--grid", side)]
    assert fault in refused([*IMAGE, *words], capsys)


def test_a_grid_is_no_sample_of_several(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*IMAGE, "--grid", "seed=1,2", "-n", "2"]
    assert "a grid is already several images" in refused(words, capsys)


# --- saved generations as a start ---------------------------------------------------------


def test_a_saved_image_generates_itself_again(tmp_path: Path) -> None:
    first, again = tmp_path / "a.png", tmp_path / "b.png"
    recipe = made([*IMAGE, "--fork", "2:guidance=4", "-n", "2"], first)
    assert made(["generate", str(first)], again) == recipe
    assert (pixels(first) == pixels(again)).all()


def test_a_fork_of_a_saved_text_keeps_what_came_before_and_drops_what_came_after(
    tmp_path: Path,
) -> None:
    first, again = tmp_path / "a.txt", tmp_path / "b.txt"
    made([*TEXT, "--fork", "2:token=z", "--fork", "6:seed=5"], first)
    recipe = made(["generate", str(first), "--fork", "4:token=y"], again)
    assert recipe.edits == (
        EditAt(step=2, edit=WriteToken(27)),
        EditAt(step=4, edit=WriteToken(26)),
    )
    shared = len("to be") + 4
    texts = [codec.read(path).content for path in (first, again)]
    assert isinstance(texts[0], str)
    assert isinstance(texts[1], str)
    assert texts[0][:shared] == texts[1][:shared]
    assert texts[1][shared] == "y"


def test_options_change_what_a_saved_generation_begins_with(tmp_path: Path) -> None:
    first, again = tmp_path / "a.png", tmp_path / "b.png"
    made([*IMAGE, "--guidance", "3"], first)
    recipe = made(["generate", str(first), "--seed", "8", "--sampler", "heun"], again)
    assert recipe.seed == 8
    assert recipe.prompt == "cat"
    assert recipe.settings == ImageSettings(steps=3, guidance=3, sampler="heun")


def test_a_saved_trace_goes_on_with_another_branch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "a.trace", tmp_path / "b.trace"
    assert main([*TEXT, "--fork", "2:token=z", "--trace", str(first)]) == 0
    assert main(["generate", str(first), "--fork", "5:seed=4", "--trace", str(second)]) == 0
    tree = trees.load_tree(second)
    assert [(branch.parent, branch.step, branch.edit) for branch in tree.branches] == [
        (-1, 0, None),
        (0, 2, WriteToken(27)),
        (1, 5, SetSeed(4)),
    ]
    assert (tree.name, tree.current, tree.playhead, tree.steps) == ("b", 2, 8, 8)
    capsys.readouterr()
    assert main(["show", str(second)]) == 0
    out = capsys.readouterr().out
    assert "token=#27 at 2" in out
    assert "seed=4 at 5" in out


def test_a_file_whose_recipe_was_edited_is_no_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.txt"
    made(TEXT, path)
    path.write_text(path.read_text().replace('"seed":3', '"seed":4'))
    assert "edited by hand" in refused(["generate", str(path)], capsys)


def test_a_prompt_longer_than_the_context_says_what_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, prompt = tmp_path / "x.txt", "to be or not to be " * 3
    assert len(prompt) > CONTEXT
    recipe = made(["generate", "plays", "--prompt", prompt, "--seed", "1", "--tokens", "2"], path)
    err = capsys.readouterr().err
    assert f"of its {len(prompt)} are left out" in err
    assert recipe.prompt == prompt


# --- saved traces ---------------------------------------------------------------------


def test_saved_traces_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traces"]) == 0
    assert capsys.readouterr().out.startswith("no saved traces")
    assert main([*TEXT, "--trace", str(tmp_path / "x.trace")]) == 0
    kept = trees.save_tree(trees.load_tree(tmp_path / "x.trace"))
    kept.with_name("broken.trace").write_bytes(b"")
    capsys.readouterr()
    assert main(["traces"]) == 0
    out, err = capsys.readouterr()
    head, row = out.splitlines()
    assert head.split() == ["NAME", "MODEL", "STEPS", "BRANCHES", "SAVED", "FILE"]
    assert row.split()[:4] == ["x", "plays", "8", "1"]
    assert row.endswith(str(kept))
    assert "broken.trace: is empty" in err
    assert main(["traces", "--json"]) == 0
    assert str(kept) in capsys.readouterr().out


def test_of_a_saved_trace_the_computed_steps_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TEXT, "--trace", str(tmp_path / "x.trace")]) == 0
    tree = trees.load_tree(tmp_path / "x.trace")
    branch = replace(tree.branches[0], total=4000)
    trees.save_tree(replace(tree, branches=(branch,)))
    capsys.readouterr()
    assert main(["traces"]) == 0
    assert " 8 of 4,000 " in capsys.readouterr().out
    assert main(["traces", "--json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)
    assert (facts["steps"], facts["total_steps"]) == (8, 4000)
