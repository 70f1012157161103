"""Fashion-MNIST from IDX files: small ones made here, and Debian's where they are installed."""

import gzip
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from genui.base.errors import GenuiError, MisuseError
from genui.engine.data import fashion
from genui.engine.data.fashion import CAPTIONS, read_idx
from genui.engine.data.image_datasets import load_images
from genui.engine.data.preparation import Report

TRAINED, TESTED = 30, 20


def idx(array: NDArray[np.uint8]) -> bytes:
    head = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four small IDX files, two of them gzipped; image i is full of i."""
    made = tmp_path / "fashion"
    made.mkdir()
    for part, count, first in (("train", TRAINED, 0), ("t10k", TESTED, TRAINED)):
        numbers = np.arange(first, first + count, dtype=np.uint8)
        images = np.tile(numbers[:, None, None], (1, 28, 28))
        (made / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (made / f"{part}-labels-idx1-ubyte").write_bytes(idx(numbers % 10))
    return made


def test_images_are_padded_to_32_and_grey_in_all_three_colours(folder: Path) -> None:
    images = load_images("fashion", str(folder))
    assert images.rgba.shape == (TRAINED + TESTED, 32, 32, 4)
    assert (images.rgba[7, 2:30, 2:30, :3] == 7).all()
    assert (images.rgba[7, :2, :, :3] == 0).all()
    assert (images.rgba[..., 3] == 255).all()
    assert images.captions[:3] == ("t-shirt", "trouser", "pullover")
    batch = images.batch(np.array([7]), np.random.default_rng(0))
    np.testing.assert_allclose(batch.rgb[0, :, 16, 16], 7 / 127.5 - 1, atol=1e-6)


def test_the_official_test_set_is_held_out_and_never_trained(folder: Path) -> None:
    images = load_images("fashion", str(folder))
    assert list(images.train) == list(range(TRAINED))
    assert list(images.held_out) == list(range(TRAINED, TRAINED + TESTED))


def test_one_of_the_files_stands_for_its_folder(folder: Path) -> None:
    one = load_images("fashion", str(folder / "t10k-images-idx3-ubyte.gz"))
    assert one.fingerprint == load_images("fashion", str(folder)).fingerprint


def test_a_folder_named_by_the_environment_comes_before_the_package(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.rename(tmp_path / "fashion-mnist")
    monkeypatch.setenv("GENUI_DATA", str(tmp_path))
    assert len(load_images("fashion")) == TRAINED + TESTED


def test_without_any_files_they_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str]] = []

    def fetch(name: str, url: str, sha256: str, report: Report) -> Path:
        asked.append((name, url, sha256))
        raise GenuiError(f"{name}: cannot be downloaded")

    monkeypatch.delenv("GENUI_DATA", raising=False)
    monkeypatch.setattr(fashion, "FOLDERS", ())
    monkeypatch.setattr(fashion, "fetch", fetch)
    with pytest.raises(GenuiError, match="train-images"):
        load_images("fashion")
    name, url, sha256 = asked[0]
    assert url.endswith(f"/fashion/{name}")
    assert len(sha256) == 64


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("train-labels-idx1-ubyte", b"", "no IDX file of unsigned bytes in 1 dimensions"),
        ("train-labels-idx1-ubyte", b"PNG!abcd", "no IDX file"),
        ("train-labels-idx1-ubyte", b"\0\0\x0d\x01\0\0\0\1\0\0\0\0", "it begins with 00 00 0d 01"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x03" + bytes(12), "it begins with 00 00 08 03"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x01\0\0", "no IDX file .*; download it again"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x09\1\2", "size 2 into shape"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\2\1\2", "2 labels for 30 images"),
        ("train-labels-idx1-ubyte", idx(np.full(30, 12, np.uint8)), "label 12; they go from 0"),
        ("train-images-idx3-ubyte.gz", b"\x1f\x8b\x08broken", "or damaged "),
        (
            "train-images-idx3-ubyte.gz",
            idx(np.zeros((30, 20, 30), np.uint8)),
            "images of 30×20; 28×28 needed",
        ),
    ],
)
def test_a_broken_file_is_one_line_that_names_it(
    folder: Path, name: str, body: bytes, says: str
) -> None:
    (folder / name).write_bytes(body)
    with pytest.raises(MisuseError, match=says) as fault:
        load_images("fashion", str(folder))
    assert name in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_file_cut_short_is_told_from_a_whole_one(folder: Path) -> None:
    cut(folder / "train-images-idx3-ubyte.gz")
    with pytest.raises(MisuseError, match="or damaged"):
        load_images("fashion", str(folder))


def test_missing_test_files_are_named(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(MisuseError, match=r"t10k-labels-idx1-ubyte\.gz .* is missing"):
        load_images("fashion", str(folder))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="no such file"):
        read_idx(tmp_path / "nowhere", 1)


def test_a_folder_of_captioned_images_is_read_as_such(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="no images in it"):
        load_images("fashion", str(tmp_path))


def test_debians_files_are_ten_captions_of_six_thousand_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GENUI_DATA", raising=False)
    if not Path(fashion.FOLDERS[0]).is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    images = load_images("fashion")
    trained = Counter(images.captions[i] for i in images.train)
    assert trained == dict.fromkeys(CAPTIONS, 6000)
    assert len(images.held_out) == 10_000
    assert images.fingerprint == "ea61fdec7b6d8009"
