"""The watermark in the initial noise of images: what it changes, and how it is found."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genui.base.errors import GenuiError, MisuseError
from genui.base.shares import Share
from genui.base.watermarks import FOUND, Search, keys_file, read_keys
from genui.cli.main import main
from genui.engine.load import find_and_load
from genui.engine.metrics import marks
from genui.engine.metrics import noise_watermark as watermark
from genui.engine.sample import noise_watermark
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.protocol import ImageSettings, SetSettings, Start
from genui.protocol.kinds import list_watermarks

MARKED = ImageSettings(steps=6, watermark="noise")
KEY = 0x5EED_0000_1234_ABCD
SHAPE = (3, 32, 32)


@pytest.fixture(scope="module")
def fashion() -> DiffusionGenerator:
    generator = find_and_load("fashion")
    assert isinstance(generator, DiffusionGenerator)
    return generator


@pytest.fixture
def mine() -> int:
    """A key called "mine" in the home of the test, beside another one; both are always the same."""
    keys_file().parent.mkdir(parents=True)
    keys_file().write_text(f'mine = "{KEY:016x}"\nother = "{KEY + 1:016x}"\n')
    return KEY


def write(path: Path, *options: str) -> Path:
    words = ["generate", "fashion", "--prompt", "sneaker", "--seed", "5", "--steps", "6"]
    assert main([*words, "--out", str(path), *options]) == 0
    return path


def test_marked_noise_differs_in_the_band_and_is_as_normal() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((200, *SHAPE))
    marked = np.stack([noise_watermark.add_pattern(one, 0, KEY, i) for i, one in enumerate(noise)])
    assert marked.mean() == pytest.approx(0, abs=0.01)
    assert marked.std() == pytest.approx(1, abs=0.01)
    changed = np.abs(np.fft.fft2(marked - noise)).max(axis=(0, 1)) > 1e-6
    cycles = np.fft.fftfreq(32, 1 / 32)
    radius = np.hypot(cycles[:, None], cycles)
    assert (changed == ((radius >= 3.5) & (radius < 8.5))).all()


def test_a_border_that_the_network_does_not_see_stays() -> None:
    noise = np.random.default_rng(0).standard_normal((1, 32, 32))
    marked = noise_watermark.add_pattern(noise, 2, KEY, 1)
    assert (marked != noise)[:, 2:-2, 2:-2].all()
    assert (marked != noise).sum() == 28 * 28


def test_seeds_share_a_key_among_its_patterns() -> None:
    numbers = [noise_watermark.choose_pattern(KEY, seed) for seed in range(1000)]
    assert set(numbers) <= set(range(noise_watermark.PATTERNS))
    assert len(set(numbers)) > 200  # 1,000 draws of 256: 251 on average


def test_the_pattern_of_a_seed_is_recognised_in_noise() -> None:
    noise = np.random.default_rng(0).standard_normal(SHAPE)
    marked = noise_watermark.add_pattern(noise, 0, KEY, 77)
    [scores] = noise_watermark.correlate(marked[None], KEY)
    assert scores.argmax() == noise_watermark.choose_pattern(KEY, 77)
    assert scores.max() > 0.9


def test_the_chance_of_a_correlation_is_what_other_keys_reach() -> None:
    noise = np.random.default_rng(0).standard_normal((1, *SHAPE)).cumsum(axis=-1)  # not white
    keys = range(1, 11)
    scores = np.concatenate([noise_watermark.correlate(noise, key)[0] for key in keys])
    places = noise_watermark.count_places(SHAPE)
    for expected in (0.5, 0.1, 0.01, 0.001):
        at = np.quantile(scores, 1 - expected)
        error = 4 * np.sqrt(expected / len(scores))
        weighted = noise_watermark.find_chance(float(at), places)
        assert weighted == pytest.approx(expected, abs=error), expected
    chances = [noise_watermark.find_chance(r, places) for r in (-1, -0.3, 0, 0.3, 0.6, 1)]
    assert all(one > other for one, other in pairwise(chances))
    assert chances[2] == pytest.approx(0.5, abs=1e-3)


def test_marked_images_are_found_with_their_key_alone(
    fashion: DiffusionGenerator, mine: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watermark, "STAGES", watermark.STAGES[:1])
    captions = ["sneaker", "bag", "coat", "dress"]
    seeds = list(range(len(captions)))
    marked = fashion.draw(captions, seeds, MARKED)
    plain = fashion.draw(captions, seeds, ImageSettings(steps=6))

    noises, others = (
        [watermark.invert("fashion", one) for one in each] for each in (marked, plain)
    )
    assert np.median([watermark.measure(one, mine) for one in noises]) < FOUND
    assert min(watermark.measure(one, mine + 1) for one in noises) > 1e-3
    assert min(watermark.measure(one, mine) for one in others) > 1e-3
    assert (marked == fashion.draw(captions, seeds, MARKED)).all()


def test_a_file_says_whose_it_is_also_without_its_recipe_and_cropped(
    mine: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "s.png", "--watermark", "noise", "--scale", "8")
    [row] = list_watermarks("image")
    found, other = row.find(Search(path, read_keys()))
    assert (found.key, found.is_found, found.places) == ("mine", True, 188)
    assert (other.key, other.is_found) == ("other", False)
    assert str(mine) not in path.read_bytes().decode("latin-1")
    assert f"{mine:x}" not in path.read_bytes().decode("latin-1")
    cropped = tmp_path / "cropped.jpg"
    with Image.open(path) as image:
        image.convert("RGB").crop((13, 13, 243, 243)).save(cropped, quality=75)
    tried: list[str] = []
    search = Search(cropped, {"mine": mine}, "fashion", tried.append)
    assert row.find(search)[0].is_found
    assert not tried
    with pytest.raises(MisuseError, match="fashion-gan: what it makes carries no watermark noise"):
        row.find(Search(cropped, {"mine": mine}, "fashion-gan"))
    capsys.readouterr()
    assert main(["replay", str(path)]) == 0
    assert capsys.readouterr().out == "identical\n"


def test_a_replay_without_the_key_names_it(
    mine: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "s.png", "--watermark", "noise")
    monkeypatch.setenv("GENUI_HOME", str(tmp_path / "other"))
    capsys.readouterr()
    assert main(["replay", str(path)]) != 0
    assert "no watermark key 'mine' on this machine" in capsys.readouterr().err


def test_a_sheet_of_several_images_is_not_searched(mine: int, tmp_path: Path) -> None:
    path = write(tmp_path / "s.png", "--watermark", "noise", "-n", "2")
    assert watermark.read(Search(path, read_keys())) == []


def test_no_image_is_a_line_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.png"
    path.write_bytes(b"no image")
    with pytest.raises(GenuiError, match=r"s\.png: is not an image"):
        watermark.read(Search(path, {"mine": 1}))


def test_other_media_say_that_they_carry_none(mine: int) -> None:
    with pytest.raises(MisuseError, match="watermark noise: this model speaks; leave it out"):
        find_and_load("voice").begin(
            Start(trace=1, model="voice", prompt="four", seed=1, settings=MARKED)
        )


def test_a_watermark_is_chosen_before_the_first_step(
    fashion: DiffusionGenerator, mine: int
) -> None:
    start = Start(trace=1, model="fashion", prompt="bag", seed=1, settings=ImageSettings(steps=6))
    state, _ = fashion.begin(start)
    with pytest.raises(
        MisuseError, match="watermark: the image has its watermark from the first step on"
    ):
        fashion.edit(state, SetSettings(MARKED))


def test_the_probe_counts_what_is_found_after_each_damage(
    mine: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "DAMAGES", {"as drawn": np.copy})
    told: list[tuple[str, int, int]] = []
    table = marks.find_marks(["fashion"], 2, lambda *of: told.append(of))
    assert table.columns == ("unmarked", "marked")
    [drawn] = table.rows
    assert (drawn.label, drawn.shares) == ("as drawn", (Share(0, 2), Share(2, 2)))
    assert ("marked, as drawn", 1, 2) in told


def test_the_probe_is_of_models_that_carry_the_watermark(mine: int) -> None:
    with pytest.raises(MisuseError, match="fashion-gan: name a model of images, or one of text"):
        marks.find_marks(["fashion-gan"], 4, lambda *_: None)
