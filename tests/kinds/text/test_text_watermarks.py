"""Watermarks in texts that `genui generate` writes: found with the key, replayed."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from genui.base.errors import GenuiError
from genui.base.schema import settings_of
from genui.base.watermarks import Detection, Search, keys_file, make_key, read_keys
from genui.cli.main import main
from genui.protocol import TextSettings
from genui.protocol.kinds import list_watermarks

Capture = pytest.CaptureFixture[str]


def find(path: Path) -> dict[tuple[str, str], Detection]:
    found = [one for row in list_watermarks("text") for one in row.find(Search(path, read_keys()))]
    return {(one.watermark, one.key): one for one in found}


@pytest.fixture
def marked(tiny: Path, tmp_path: Path) -> Path:
    """A text with the green list of `mine`; there is another key too."""
    make_key("other")
    make_key("mine")
    path = tmp_path / "play.txt"
    words = ["--prompt", "once", "--tokens", "120", "--temperature", "1", "--seed", "1"]
    assert main(["generate", "plays", *words, "--watermark", "green", "--out", str(path)]) == 0
    return path


def test_a_marked_text_is_found_by_its_key_alone_and_without_its_recipe(
    marked: Path, tmp_path: Path
) -> None:
    found = find(marked)
    assert [key for key, one in found.items() if one.is_found] == [("green", "mine")]
    plain = tmp_path / "letter.md"
    plain.write_text(marked.read_text().partition("\ngenui-recipe")[0])
    again = find(plain)["green", "mine"]
    assert again.is_found
    assert again.places == found["green", "mine"].places
    plain.write_text("it was the best of times it was the worst of times " * 3)
    assert not any(one.is_found for one in find(plain).values())


def test_the_key_is_in_no_file_and_a_replay_needs_it(marked: Path, capsys: Capture) -> None:
    assert main(["replay", str(marked)]) == 0
    for number in read_keys().values():
        assert str(number) not in marked.read_text()
        assert f"{number:x}" not in marked.read_text()
    keys_file().unlink()
    assert main(["replay", str(marked)]) == 2
    assert "no watermark key 'mine' on this machine" in capsys.readouterr().err


def test_a_text_is_searched_without_torch(marked: Path) -> None:
    script = f"""if 1:
        import sys
        from pathlib import Path
        from genui.base.watermarks import Search, read_keys
        from genui.protocol import kinds
        kinds.weights_folders = lambda: [Path({str(marked.parent / "tiny")!r})]
        row = kinds.list_watermarks("text")[0]
        found = row.find(Search(Path({str(marked)!r}), read_keys()))
        print(found[0].is_found, "torch" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"], done.stderr


def test_the_setting_goes_through_the_keys_that_exist(tmp_path: Path) -> None:
    setting = settings_of(TextSettings)["watermark_key"]
    assert setting.adjustable
    assert setting.nudge("mine", 1) == "mine"  # without a key there is no other
    for name in ("mine", "work", "home"):
        make_key(name)
    assert [setting.nudge("mine", by) for by in (1, 2, -1, 3)] == ["work", "home", "home", "mine"]
    assert setting.parse("other", "key") == "other"  # if it is missing, the start says so
    keys_file().write_text("no key")
    assert setting.nudge("mine", 1) == "mine"


def test_keys_that_are_made_at_once_are_all_kept() -> None:
    names = [f"key-{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        made = dict(zip(names, pool.map(make_key, names), strict=True))
    assert read_keys() == made


def test_a_named_model_is_the_only_one_that_reads_it(marked: Path) -> None:
    row = list_watermarks("text")[0]
    found = row.find(Search(marked, read_keys(), "plays"))
    assert [one.key for one in found if one.is_found] == ["mine"]
    with pytest.raises(GenuiError, match="shapes: what it makes carries no watermark green"):
        row.find(Search(marked, read_keys(), "shapes"))


def test_what_is_no_text_is_named(marked: Path) -> None:
    marked.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GenuiError, match=r"play\.txt: is not UTF-8 text"):
        find(marked)
    marked.write_bytes(b"")
    assert {(one.places, one.p) for one in find(marked).values()} == {(0, 1.0)}
