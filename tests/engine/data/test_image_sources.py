"""Images in archives and tables: the same as from a folder, decoded once; hostile files."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from source_checks import check_reading_resumes_anywhere

from genui.base.errors import GenuiError, MisuseError
from genui.cli.main import main
from genui.engine.data import image_files, image_sources, own_images, sources
from genui.engine.data.documents import find_source
from genui.engine.data.image_datasets import (
    check_images,
    load_images,
    load_labelled_images,
    load_own,
)
from genui.engine.data.image_sources import FORMATS, find_images
from genui.engine.data.own_images import is_large, list_decoded
from genui.engine.data.preparation import Preparation
from genui.engine.data.sources import find_files, read
from genui.recipes import DiffusionRecipe, find_recipe, override

COUNT = 60
SIDES = ((8, 8), (32, 32), (40, 20))


def picture(number: int, suffix: str = "PNG") -> bytes:
    rng = np.random.default_rng(number)
    width, height = SIDES[number % 3]
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
    file = io.BytesIO()
    image.save(file, suffix, lossless=True)
    return file.getvalue()


def caption(number: int) -> str:
    return f"{('red', 'blue')[number % 2]} thing {number // 20}"


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_sources, "AT_ONCE", 7)
    monkeypatch.setattr(sources, "REPORT_S", 0)


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def as_tar(path: Path) -> None:
    """Captions as text, JSON and classes; some stand far from their images, as `tar` may list
    them."""
    members: dict[str, bytes] = {}
    late: dict[str, bytes] = {}
    for i in range(COUNT):
        members[f"a/{i:03}.png"] = picture(i)
        beside = (
            (".txt", f" {caption(i).upper()}\n".encode()),
            (".json", json.dumps({"caption": caption(i), "width": 8}).encode()),
            (".cls", caption(i).encode()),
        )[i % 3]
        (late if i % 4 == 0 else members)[f"a/{i:03}{beside[0]}"] = beside[1]
    write_tar(path, members | late)


def as_shards(path: Path) -> None:
    path.mkdir()
    for shard in range(3):
        numbers = range(shard * 20, shard * 20 + 20)
        files = {f"{i:03}.webp": picture(i, "WEBP") for i in numbers}
        write_tar(
            path / f"{shard}.tar", files | {f"{i:03}.txt": caption(i).encode() for i in numbers}
        )
    (path / "README.md").write_text("a card")


def table(arrow: Any, numbers: range, struct: bool = True) -> Any:
    images: list[Any] = [picture(i) for i in numbers]
    if struct:
        images = [{"bytes": data, "path": "/etc/passwd"} for data in images]
    return arrow.table({"id": list(numbers), "image": images, "text": list(map(caption, numbers))})


def as_parquet(path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path.mkdir()
    parquet.write_table(table(arrow, range(25)), path / "0.parquet", row_group_size=9)
    parquet.write_table(table(arrow, range(25, COUNT), False), path / "1.parquet")


def as_dataset_on_disk(path: Path) -> None:
    """As `save_to_disk` writes it: streams of batches, labels named in the schema."""
    arrow = pytest.importorskip("pyarrow")
    (path / "train").mkdir(parents=True)
    (path / "train" / "state.json").write_text("{}")
    names = list(dict.fromkeys(map(caption, range(COUNT))))
    features = {"label": {"names": names, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    data = table(arrow, range(COUNT)).drop_columns(["text"])
    labels = arrow.array([names.index(caption(i)) for i in range(COUNT)], arrow.int64())
    data = data.append_column("label", labels).replace_schema_metadata(metadata)
    file = path / "train" / "data-00000-of-00001.arrow"
    with arrow.ipc.new_stream(str(file), data.schema) as writer:
        writer.write_table(data, max_chunksize=11)


def as_arrow_file(path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    data = table(arrow, range(COUNT))
    with arrow.ipc.new_file(str(path), data.schema) as writer:
        writer.write_table(data, max_chunksize=11)


SOURCES: dict[str, Callable[[Path], None]] = {
    "one.tar": as_tar,
    "shards": as_shards,
    "parquet": as_parquet,
    "saved": as_dataset_on_disk,
    "file.arrow": as_arrow_file,
}


def expected(tmp_path: Path) -> Any:
    """The same images from a folder."""
    folder = tmp_path / "files"
    folder.mkdir()
    for i in range(COUNT):
        (folder / f"{i:03}.png").write_bytes(picture(i))
        (folder / f"{i:03}.txt").write_text(caption(i))
    return load_own(folder)


@pytest.mark.parametrize("name", SOURCES)
def test_every_format_has_the_images_and_captions_of_a_folder(
    tmp_path: Path, few_at_once: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    SOURCES[name](path)
    wanted = expected(tmp_path)
    images = load_images("icons", str(path), every=True)
    assert images.captions == wanted.captions
    assert (images.rgba == wanted.rgba).all()
    assert images.held_out.tolist() == wanted.held_out.tolist()
    assert images.scheme == wanted.scheme
    assert images.notes == ()
    assert isinstance(images.rgba.base, np.memmap)
    monkeypatch.setattr(own_images, "read_square", None)  # decoded once
    again = load_images("icons", str(path))
    assert (again.rgba == images.rgba).all()
    assert again.fingerprint == images.fingerprint != wanted.fingerprint
    (row,) = list_decoded()
    assert (row.path, row.content, row.share) == (str(path), f"{COUNT} images", 1.0)
    assert main(["dataset", "--clear", "all"]) == 0
    assert not list_decoded()


@pytest.mark.parametrize("name", SOURCES)
def test_reading_goes_on_from_any_place(tmp_path: Path, few_at_once: None, name: str) -> None:
    path = tmp_path / name
    SOURCES[name](path)
    check_reading_resumes_anywhere(find_files(path, FORMATS))


@pytest.mark.parametrize("name", ["shards", "saved"])
def test_decoding_goes_on_after_it_was_killed(
    tmp_path: Path, few_at_once: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    SOURCES[name](path)
    monkeypatch.setattr(own_images, "KEEP_EVERY", 5)
    lines: list[str] = []

    def kill(line: str) -> None:
        lines.append(line)
        if len(lines) in (4, 8):
            raise KeyboardInterrupt

    watched = Preparation(kill)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            load_own(path, every=True, preparation=watched)
        (row,) = list_decoded()
        assert 0 < row.share < 1
        with (row.folder / own_images.PIXELS).open("ab") as file:
            file.write(b"torn")  # what was written after the last mark does not count
    images = load_own(path, every=True, preparation=watched)
    assert lines[0].startswith(f"decoding {name}, ")
    wanted = expected(tmp_path)
    assert images.captions == wanted.captions
    assert (images.rgba == wanted.rgba).all()


def test_metrics_take_the_first_images_and_a_training_all(
    tmp_path: Path, few_at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_tar(tmp_path / "one.tar")
    monkeypatch.setattr(own_images, "MAX_IMAGES", 10)
    first = load_own(tmp_path / "one.tar")
    assert len(first) == 10
    assert "only the first 10 taken" in first.notes
    recipe = override(find_recipe("icons"), {"data": str(tmp_path / "one.tar")})
    assert isinstance(recipe, DiffusionRecipe)
    whole = load_own(tmp_path / "one.tar", every=True)
    assert len(whole) == COUNT
    assert load_own(tmp_path / "one.tar").fingerprint == first.fingerprint != whole.fingerprint


def test_a_speed_is_measured_on_the_first_images_in_memory(
    tmp_path: Path, few_at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_tar(tmp_path / "one.tar")
    assert is_large(tmp_path / "one.tar")
    monkeypatch.setattr(own_images, "SAMPLE", 10)
    trial = Preparation(is_trial=True)
    sample = load_own(tmp_path / "one.tar", every=True, preparation=trial)
    assert 10 <= len(sample) < COUNT
    assert not list_decoded()


def test_captions_are_labels_of_a_classifier(tmp_path: Path, few_at_once: None) -> None:
    as_dataset_on_disk(tmp_path / "saved")
    data = load_labelled_images("icons", str(tmp_path / "saved"))
    assert set(data.labels) == {caption(i) for i in range(COUNT)}


def test_names_are_captions_of_an_archive_without_any(tmp_path: Path) -> None:
    names = ("./red-cat_01.png", "cats/002.png", "../../etc/blue dog.png", "/003.png", "._x.png")
    images = load_own(write_tar(tmp_path / "x.tar", {name: picture(1) for name in names}))
    assert images.captions == ("red cat", "cats", "blue dog")
    assert len(images.notes) == 1
    assert "/003.png: no caption" in images.notes[0]


def test_a_caption_of_several_names_in_an_archive(tmp_path: Path) -> None:
    members = {
        "1.image.png": picture(1),
        "1.txt": b"one",
        "2.png": picture(2),
        "2.cls": b"7",
        "2.json": b'{"label": 5, "text": "two"}',
        "3.png": picture(3),
        "3.json": b'{"label": 5, "text": ["three", "drei"]}',
        "4.png": picture(4),
        "4.json": b"[" * 100_000,
        "5.png": picture(5),
    }
    images = load_own(write_tar(tmp_path / "x.tar", members))
    assert images.captions == ("one", "two", "three")
    assert [note.split(": ")[1] for note in images.notes] == ["4.png", "5.png"]
    assert all("no caption; give it its caption in" in note for note in images.notes)


def test_columns_are_found_by_name_or_by_being_the_only_ones(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "x.parquet"
    columns: dict[str, Any] = {"photo": [picture(1), None, b"", picture(3)], "digit": [3, 4, 5, -1]}
    parquet.write_table(arrow.table(columns), path)
    images = load_own(path)
    assert images.captions == ("3",)
    assert [note.partition("row ")[2] for note in images.notes] == [
        "2: no bytes in 'photo', and no path is followed; save bytes",
        "4: no caption; give it one in 'digit'",
        "3: is not an image that genui can read; use a PNG, JPEG, WEBP, GIF or BMP",
    ]
    columns |= {"text": ["a", "b", "c", "d"], "label": [1, 2, 3, 4], "image": [picture(2)] * 4}
    parquet.write_table(arrow.table(columns), path)
    assert load_own(path).captions == ("a", "b", "c", "d")


def test_a_folder_of_image_files_stays_one(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    as_tar(tmp_path / "files" / "backup.tar")
    (tmp_path / "files" / "cat.png").write_bytes(picture(1))
    assert find_images(tmp_path / "files").describe().endswith("in 1 file")
    assert load_own(tmp_path / "files").captions == ("cat",)


def test_the_check_before_a_run_reads_only_the_first_images(
    tmp_path: Path, few_at_once: None
) -> None:
    as_shards(tmp_path / "shards")
    recipe = override(find_recipe("icons"), {"data": str(tmp_path / "shards")})
    assert isinstance(recipe, DiffusionRecipe)
    line = check_images(recipe)
    assert line.startswith("shards: ")
    assert "in 3 files" in line
    assert not list_decoded()


# --- what is refused ----------------------------------------------------------------


def fault(path: Path) -> str:
    """The error of a source of which nothing can be used: one line that names the file."""
    messages = []
    for _ in range(2):  # also after it was tried
        with pytest.raises(GenuiError) as caught:
            load_own(path, every=True)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert messages[0].isprintable()
    assert str(path) in messages[0]
    return messages[0]


def test_an_archive_of_links_and_devices(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture(1))
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("a.png", tarfile.SYMTYPE), ("b.png", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, str(secret)
            archive.addfile(info)
        info = tarfile.TarInfo("c.png")
        info.type = tarfile.CHRTYPE
        archive.addfile(info)
    assert "no images in it: " in fault(path)
    assert "a.png: is a link or no plain file; store the image itself" in fault(path)


def header(size: bytes, kind: bytes = b"0") -> bytes:
    """The header of a member `a.png` with that field of its size."""
    block = bytearray(tarfile.TarInfo("a.png").tobuf())
    block[124:136], block[156:157] = size, kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


HUGE = b"\x80" + (1 << 40).to_bytes(11, "big")
NEGATIVE = b"\xff" + (-1024 & (1 << 88) - 1).to_bytes(11, "big")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"no archive at all" * 99, "invalid header"),
        (header(HUGE) + picture(1), "unexpected end of data"),
        (header(HUGE, b"L") + bytes(2048), "is damaged"),  # a name of a terabyte
        (header(HUGE, b"x") + bytes(2048), "is damaged"),  # attributes of a terabyte
        (header(NEGATIVE) + bytes(2048), "is damaged"),
        (header(b"00000000000\0") + bytes(1024), "use a PNG"),
    ],
)
def test_an_archive_that_lies(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    assert reason in fault(path)


def test_a_truncated_archive_among_others_is_left_out(tmp_path: Path, few_at_once: None) -> None:
    as_shards(tmp_path / "shards")
    cut = tmp_path / "shards" / "1.tar"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 3])
    images = load_own(tmp_path / "shards", every=True)
    assert images.captions == tuple(caption(i) for i in range(COUNT) if i // 20 != 1)
    (note,) = images.notes
    assert "1.tar: is damaged" in note


def test_images_that_are_too_large_are_refused_by_their_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = io.BytesIO()
    Image.new("RGB", (8, 8)).save(bomb, "BMP")
    header = bytearray(bomb.getvalue())
    header[18:26] = (100_000).to_bytes(4, "little") * 2  # claims 10 gigapixels
    monkeypatch.setattr(image_sources, "MAX_IMAGE_BYTES", 5000)
    members = {"bomb.bmp": bytes(header), "large.png": bytes(5001), "cat.png": picture(0)}
    images = load_own(write_tar(tmp_path / "x.tar", members))
    assert images.captions == ("cat",)
    assert sorted(note.split(": ")[1] for note in images.notes) == ["bomb.bmp", "large.png"]
    assert all("make it smaller" in note for note in images.notes)


def test_an_archive_of_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_tar(tmp_path / "one.tar")
    monkeypatch.setattr(image_sources, "MAX_MEMBERS", 50)
    assert "split it into several archives" in fault(tmp_path / "one.tar")


@pytest.mark.parametrize("suffix", ["tar", "parquet", "arrow"])
def test_what_is_no_file_or_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    if suffix != "tar":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"x.{suffix}"
    path.mkdir()
    assert "no images in it" in fault(path)
    path.rmdir()
    path.write_bytes(b"plain text " * 100)
    assert "is damaged or not what its name says" in fault(path)

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("genui.base.files.os.open", refuse)
    with pytest.raises(GenuiError, match="permission denied"):
        list(read(find_files(path, FORMATS)))


@pytest.mark.parametrize("write", ["parquet", "arrow"])
def test_tables_without_images_or_captions_name_their_columns(tmp_path: Path, write: str) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / f"x.{write}"

    def save(columns: dict[str, Any]) -> None:
        data = arrow.table(columns)
        if write == "parquet":
            parquet.write_table(data, path)
        else:
            with arrow.ipc.new_stream(str(path), data.schema) as writer:
                writer.write_table(data)

    save({"image": ["a.png"], "text": ["a"]})
    assert "no column 'image' or 'img' with images" in fault(path)
    assert "its columns: image string, text string" in fault(path)
    save({"image": [[1, 2]], "text": ["a"]})
    assert "image list<" in fault(path)
    save({"image": [picture(1)], "a": ["x"], "b": [1]})
    assert "no column 'caption' or 'text' or 'label'" in fault(path)
    kind = arrow.struct({"bytes": arrow.binary(), "path": arrow.string()})
    paths = [{"bytes": None, "path": str(tmp_path / "secret.png")}]
    save({"image": arrow.array(paths, kind), "text": ["a"]})
    (tmp_path / "secret.png").write_bytes(picture(1))  # a path is never opened
    assert "row 1: no bytes in 'image', and no path is followed" in fault(path)
    save({"image": arrow.array([], arrow.binary()), "text": arrow.array([], arrow.string())})
    assert "it has no rows" in fault(path)


def test_a_row_that_decompresses_to_too_much_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(sources, "MAX_ROW", 20_000)
    bomb = arrow.table({"image": [bytes(50_000)], "text": ["a"]})
    parquet.write_table(bomb, tmp_path / "x.parquet", compression="zstd")
    assert (tmp_path / "x.parquet").stat().st_size < 20_000
    assert "make its contents smaller" in fault(tmp_path / "x.parquet")


def test_long_rows_are_read_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    for name in ("file.arrow", "parquet"):
        SOURCES[name](tmp_path / name)
        monkeypatch.setattr(sources, "AT_ONCE", 1)
        batches = list(read(find_files(tmp_path / name, FORMATS)))
        assert [len(batch.items) for batch in batches] == [1] * COUNT


def test_wrong_offsets_of_a_column_are_not_followed(tmp_path: Path) -> None:
    """They would end the process; in tables of texts too."""
    arrow = pytest.importorskip("pyarrow")
    path = tmp_path / "x.arrow"
    data = arrow.table({"image": arrow.array([picture(1)], arrow.binary()), "text": ["a" * 12345]})
    with arrow.ipc.new_stream(str(path), data.schema) as writer:
        writer.write_table(data)
    offsets, wrong = (np.array([0, end], np.int32).tobytes() for end in (12345, 1 << 30))
    before, found, after = path.read_bytes().rpartition(offsets)  # the first are of a header
    assert found
    path.write_bytes(before + wrong + after)
    assert "is damaged" in fault(path)
    with pytest.raises(MisuseError, match="is damaged"):
        list(read(find_source(path)))


def test_the_largest_images_are_decoded_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "LARGE_PIXELS", 10)
    as_tar(tmp_path / "one.tar")
    assert len(load_own(tmp_path / "one.tar")) == COUNT


def test_without_pyarrow_its_installation_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "t.arrow").write_bytes(b"x")
    with pytest.raises(MisuseError, match=r"needs pyarrow: .* -m pip install 'pyarrow"):
        load_own(tmp_path / "t.arrow")
