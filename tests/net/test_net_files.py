"""Old saved generations: they open, and they are made again."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from net_shell import LAB, MUSIC, OLD, genui, has, machine
from PIL import Image

from genui.protocol.kinds import find_weights

OTHERS = {MUSIC: ("harmonised.mid", "tune.mid", "tune.wav"),
          LAB: ("mine.png", "moons.gif", "spirals.csv")}  # fmt: skip
"""Of kinds that may have been removed."""

LOST = [name for kind, names in OTHERS.items() if not has(kind) for name in names]
FILES = sorted(
    path.relative_to(OLD).as_posix() for path in (OLD / "files").iterdir() if path.name not in LOST
)
RECORDS = {"canvas": ("diffusion", "video"), "text": ("transformer", "text"), "training": LAB}
"""What Home plays in a pane, and the kind that brings it."""
TRACES = sorted(
    path.relative_to(OLD).as_posix() for path in (OLD / "home/data/traces").glob("*/*.trace")
)
SHEET = "files/sheet.png"  # holds the recipes of several, and none of its own
SLOW = "files/pca.gif"  # its directions take seconds to find; `bits.py` makes such a walk

OTHERWISE = {"files/gap.txt"}
"""Made again in another way: the middle of a gap is now checked with what is after it."""

# How far a file may be from what another processor makes of its recipe. A text or a piece of
# music may take another way after any step that is drawn, but not in the prompt.
MEAN = 12.0  # of 255, over the pixels
LARGEST = 6000  # of 32,768, of a sound
NUMBERS = ("mean", "largest", "character", "step", "sixteenth", "line", "output", "compared")


def near(said: dict[str, Any]) -> bool:
    """Whether what `replay --json` says of a file that is not identical is near enough."""
    if "mean" in said:
        return said["mean"] <= MEAN
    if "largest" in said:
        return said["largest"] <= LARGEST
    if "step" in said:
        return said["step"] >= 1
    return any(name in said for name in NUMBERS)


@pytest.mark.parametrize("name", [name for name in FILES if name not in (SHEET, SLOW)] + TRACES)
def test_an_old_file_is_made_again(name: str, old: Path, home: Path, made: dict[str, Any]) -> None:
    done = genui(home, "replay", name, "--json", cwd=old)
    assert done.code in (0, 1), done.err
    assert not done.err.startswith("genui:"), done.err  # only notes, as on a word unknown to it
    said = done.json
    assert said["identical"] is (done.code == 0)
    assert said["file"] == name
    if machine() == made["machine"] and name not in OTHERWISE:
        assert said["identical"], said
    assert said["identical"] or near(said), said


@pytest.mark.parametrize("pane", [pane for pane, kind in RECORDS.items() if has(kind)])
def test_a_record_of_home_is_made_again(pane: str, home: Path, made: dict[str, Any]) -> None:
    """What Home plays before its worker is there was generated: so it is again."""
    path = find_weights(f"records/{pane}.trace")
    said = genui(home, "replay", str(path), "--json").json
    if machine() == made["machine"]:
        assert said["identical"], said
    assert said["identical"] or near(said), said


# of a file: what its recipe says, which `show` prints whatever words stand beside it
RECIPES = {
    "files/play.txt": ("shakespeare", "ROMEO:", "39141d20dcdfbe73"),
    "files/heart.png": ("icons", "red heart on black", "b66e3633d89da7ec", "dpmpp-2m"),
    "files/heun.png": ("icons", "heun", "red heart on black"),
    "files/edited.png": ("icons", "red heart on black"),
    "files/walk.gif": ("fashion-gan", "sneaker", "684fd2da88418b33"),
    "files/tune.mid": ("chorales", "G minor, 3/4"),
    "files/word.wav": ("voice", "four jackson", "04019af0f1aeb663"),
    "files/clip.gif": ("video", "red heart moving up on black", "8990365616f3a5e3"),
    "files/play.cast": ("shakespeare", "ROMEO:"),
    "files/moons.gif": ("two-moons",),
    "files/own.txt": ("text-", "@6"),
}


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(".csv")] + TRACES)
def test_an_old_file_is_shown(name: str, old: Path, home: Path) -> None:
    done = genui(home, "show", name, cwd=old).ok()
    assert done.out.strip()
    assert done.err == ""
    assert [word for word in RECIPES.get(name, ()) if word not in done.out] == []


def test_the_text_of_an_old_file_is_shown(old: Path, home: Path) -> None:
    written = (old / "files/play.txt").read_text().rpartition("\ngenui-recipe: ")[0]
    assert len(written) > len("ROMEO:")
    assert written in genui(home, "show", "files/play.txt", cwd=old).ok().out


def test_an_old_file_is_the_start_of_another(
    old: Path, home: Path, made: dict[str, Any], tmp_path: Path
) -> None:
    """With a fork, it is the file that was made with that fork."""
    forked = tmp_path / "forked.txt"
    forks = ("--fork", "6:seed=9", "--fork", "9:temperature=0.4", "--fork", "12:token=a")
    genui(home, "generate", "files/play.txt", *forks, "--out", str(forked), cwd=old).ok()
    saved = (old / "files/forked.txt").read_text()
    if machine() == made["machine"]:
        assert forked.read_text().splitlines()[:-1] == saved.splitlines()[:-1]
    assert genui(home, "replay", str(forked)).ok().out == "identical\n"


def test_old_traces_are_listed(home: Path) -> None:
    listed = {Path(row["path"]).name: row for row in genui(home, "traces", "--json").ok().json}
    assert set(listed) == {Path(name).name for name in TRACES}
    row = listed["heart-20260105-101600.favourite.trace"]
    assert (row["model"], row["fingerprint"]) == ("icons", "b66e3633d89da7ec")
    assert (row["prompt"], row["steps"], row["branches"]) == ("red heart on black", 4, 2)
    assert listed["play-20260105-101500.trace"]["branches"] == 2


def test_old_favourites_make_a_sheet(home: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    genui(home, "sheet", "--favourites", "--out", str(sheet)).ok()
    genui(home, "show", str(sheet)).ok()
    told = recipes_beside(sheet)
    assert "red heart on black" in told
    assert '"shakespeare"' in told


def test_an_old_sheet_has_the_recipes_of_all(old: Path, home: Path) -> None:
    """And what makes sheets now says them in the same words."""
    told = recipes_beside(old / SHEET)
    for model in ("icons", "emoji", "shakespeare"):
        assert f'"{model}"' in told
    again = old / "again.png"
    genui(home, "sheet", "files/heart.png", "files/play.txt", "--out", str(again), cwd=old).ok()
    told = recipes_beside(again)
    for model in ("icons", "shakespeare"):
        assert f'"model":"{model}"' in told.replace(" ", "")


def recipes_beside(path: Path) -> str:
    """Every text that a PNG carries."""
    with Image.open(path) as image:
        return "".join(str(value) for value in image.info.values())


def test_a_generated_folder_of_an_older_version_is_data_still(old: Path, home: Path) -> None:
    images = sorted((old / "sifted").glob("*/*.png"))
    assert len(images) == 24
    genui(home, "show", str(images[0])).ok()
    argv = ["train", "fashion-labels", "--data", "sifted", "--name", "again"]
    tiny = ["width=8", "batch=4", "steps=1", "eval_batches=1", "threads=1", "device=cpu"]
    settings = [word for pair in tiny for word in ("--set", pair)]
    run = Path(genui(home, *argv, *settings, "--foreground", "--json", cwd=old).ok().json["path"])
    assert (run / "checkpoints/step-00000001.safetensors").is_file()
    shutil.rmtree(run)  # the old home stays as it was
