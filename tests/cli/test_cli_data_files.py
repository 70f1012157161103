"""Whatever a user names as data: only regular files are read, and their size is looked at first."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genui.base import paths
from genui.base.errors import GenuiError
from genui.base.files import read_regular
from genui.cli.main import main
from genui.engine.data import download, fashion, speech, text
from genui.engine.sample import media
from genui.formats import codec, points
from genui.kinds.music import midi
from genui.kinds.music import sample as music

READERS: dict[str, Callable[[Path], Any]] = {
    "text.txt": text.read_text,
    "melody.mid": music.from_midi,
    "points.csv": points.read_csv,
    "take.wav": speech.read_take,
    "train-images-idx3-ubyte": lambda path: fashion.read_idx(path, 3),
    "init.png": media.read_image,
    "saved.png": codec.read,
    "saved.trace": codec.read,
}
MAX_SIZES = {
    "text.txt": text.MAX_BYTES,
    "melody.mid": midi.MAX_BYTES,
    "points.csv": points.MAX_BYTES,
    "take.wav": speech.MAX_TAKE_BYTES,
    "train-images-idx3-ubyte": fashion.MAX_IDX_BYTES,
    "saved.trace": codec.MAX_BYTES,
}


@pytest.mark.parametrize("name", READERS)
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(GenuiError) as caught:
        READERS[name](tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: is no")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", READERS)
def test_a_device_that_never_ends_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(GenuiError, match=r"is not a regular file"):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", MAX_SIZES)
def test_a_file_that_is_too_large_is_refused_unread(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(MAX_SIZES[name] + 1)
    monkeypatch.setattr("genui.base.files.open", None, raising=False)  # nothing is to be read
    with pytest.raises(GenuiError, match=f"is over {MAX_SIZES[name] >> 20} MB; "):
        READERS[name](tmp_path / name)


def test_a_file_of_the_largest_size_is_read_whole(tmp_path: Path) -> None:
    whole = bytes(range(256)) * 4
    (tmp_path / "whole").write_bytes(whole)
    assert read_regular(tmp_path / "whole", len(whole), "…") == whole


@pytest.mark.parametrize("recipe", ["shakespeare", "speakers"])
def test_training_on_a_named_pipe_is_refused_before_a_run_is_made(
    tmp_path: Path, recipe: str, genui_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "text.txt"
    os.mkfifo(pipe)
    assert main(["train", recipe, "--data", str(pipe)]) == 2
    said = capsys.readouterr().err
    assert said == f"genui: {pipe}: is not a regular file; give a file of data\n"
    assert not list(genui_home.glob("data/runs/*"))


def test_a_named_pipe_where_a_download_belongs_is_refused() -> None:
    target = paths.downloads_dir() / "words.txt"
    target.parent.mkdir(parents=True)
    os.mkfifo(target)
    with pytest.raises(GenuiError, match="is not a regular file; remove it"):
        download.fetch("words.txt", "https://localhost:1/words.txt", "0" * 64)


def test_a_pipe_among_the_files_of_a_folder_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("words " * 500)
    os.mkfifo(tmp_path / "pipe.txt")
    assert text.load_text("", str(tmp_path)).train
