"""Whatever a user names as data: only regular files are read, and their size is looked at first."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from file_checks import (
    check_a_device_is_refused,
    check_a_large_file_is_refused,
    check_a_named_pipe_is_refused,
)

from genui.base import paths
from genui.base.errors import GenuiError
from genui.base.files import read_regular
from genui.cli.main import main
from genui.engine.data import download, fashion, text
from genui.engine.sample import media
from genui.formats import codec

READERS: dict[str, Callable[[Path], Any]] = {
    "text.txt": text.read_text,
    "train-images-idx3-ubyte": lambda path: fashion.read_idx(path, 3),
    "init.png": media.read_image,
    "saved.png": codec.read,
    "saved.trace": codec.read,
}
MAX_SIZES = {
    "text.txt": text.MAX_BYTES,
    "train-images-idx3-ubyte": fashion.MAX_IDX_BYTES,
    "saved.trace": codec.MAX_BYTES,
}


@pytest.mark.parametrize("name", READERS)
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    check_a_named_pipe_is_refused(tmp_path / name, READERS[name])


@pytest.mark.parametrize("name", READERS)
def test_a_device_that_never_ends_is_refused(tmp_path: Path, name: str) -> None:
    check_a_device_is_refused(tmp_path / name, READERS[name])


@pytest.mark.parametrize("name", MAX_SIZES)
def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path, name: str) -> None:
    check_a_large_file_is_refused(tmp_path / name, READERS[name], MAX_SIZES[name])


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
