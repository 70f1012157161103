import hashlib
from pathlib import Path

import pytest

from genui.base import paths
from genui.base.errors import GenuiError, MisuseError
from genui.engine.data.download import fetch
from genui.engine.data.text import load_text, read_text
from genui.engine.kinds import check_data
from genui.recipes import find_recipe, override


def test_the_standard_library_is_code_with_whole_modules_held_out() -> None:
    data = load_text("python")
    assert sum(map(len, data.train)) > 1_000_000
    assert 0 < len(data.validation) < len(data.train) / 10
    assert not set(data.train) & set(data.validation)
    assert data.fingerprint == load_text("python").fingerprint


def test_the_manual_is_prose() -> None:
    data = load_text("prose")
    assert any("statement" in document for document in data.train)


def test_shakespeare_is_in_the_package_and_split_as_nanogpt_splits_it() -> None:
    data = load_text("shakespeare")
    assert (len(data.train[0]), len(data.validation[0])) == (1_003_854, 111_540)
    text = data.train[0] + data.validation[0]
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"  # nanoGPT's input.txt
    )


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "empty"),
        (b" \n\n ", "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 100, "binary"),
        ("naïve ".encode("latin-1") * 400, "not UTF-8 at byte 2"),
        (b"too short", "too few"),
    ],
)
def test_a_file_that_is_no_text_is_refused_by_name(
    tmp_path: Path, content: bytes, fault: str
) -> None:
    path = tmp_path / "my.txt"
    path.write_bytes(content)
    with pytest.raises(MisuseError, match=fault) as caught:
        load_text("shakespeare", str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="no such file"):
        load_text("shakespeare", str(tmp_path / "gone.txt"))


def test_a_folder_uses_what_it_can_and_says_what_it_could_not(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="no document with a text; looked for"):
        load_text("shakespeare", str(tmp_path))
    for i in range(40):
        (tmp_path / f"{i}.txt").write_text(f"page {i} " * 50)
    (tmp_path / "bad.txt").write_bytes(b"\0\0")
    data = load_text("shakespeare", str(tmp_path))
    assert data.notes == ("1 of 41 files could not be read",)
    assert len(data.train) + len(data.validation) == 40


@pytest.mark.parametrize("name", ["diary.txt", "export.txt", "book.txt", "3.txt"])
def test_a_large_document_beside_a_small_one_is_not_held_out_whole(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("a long diary " * 9000)
    (tmp_path / "README.md").write_text("what this is " * 9)
    data = load_text("shakespeare", str(tmp_path))
    train, held = (sum(map(len, part)) for part in (data.train, data.validation))
    assert 0.05 < held / (train + held) < 0.15


def test_windows_line_ends_and_a_byte_order_mark_are_taken_off(tmp_path: Path) -> None:
    path = tmp_path / "dos.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert read_text(path) == "one\ntwo\n"


def test_unknown_dataset_names_the_nearest() -> None:
    with pytest.raises(MisuseError, match="did you mean 'python'"):
        load_text("pyton")


def test_check_reads_the_data_before_a_run_exists(tmp_path: Path, plays: Path) -> None:
    recipe = find_recipe("shakespeare")
    assert "plays.txt" in check_data(override(recipe, {"data": str(plays)}))
    with pytest.raises(MisuseError):
        check_data(override(recipe, {"data": str(tmp_path / "gone")}))


def test_a_download_is_kept_only_with_the_pinned_checksum(tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    source.write_text("the real thing")
    url = source.as_uri()
    with pytest.raises(GenuiError, match="wrong checksum"):
        fetch("x.txt", url, "0" * 64)
    assert not (paths.downloads_dir() / "x.txt").exists()
    right = hashlib.sha256(source.read_bytes()).hexdigest()
    assert fetch("x.txt", url, right).read_text() == "the real thing"
    source.unlink()  # and the second time nothing is fetched
    assert fetch("x.txt", url, right).exists()


def test_a_download_that_fails_says_where_to_put_the_file(tmp_path: Path) -> None:
    with pytest.raises(GenuiError, match="genui config set data") as caught:
        fetch("y.txt", (tmp_path / "gone").as_uri(), "0" * 64)
    assert "\n" not in str(caught.value)
