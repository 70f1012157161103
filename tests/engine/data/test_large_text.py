"""Texts that do not fit into memory, and the formats of files; the limit of memory is made tiny."""

import gc
import gzip
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import psutil
import pytest
import torch
from source_checks import check_reading_resumes_anywhere

from genui.base.errors import GenuiError, MisuseError
from genui.cli.main import main
from genui.engine import trainer
from genui.engine.data import documents, shards, sources, text
from genui.engine.data.documents import find_source
from genui.engine.data.preparation import Preparation, locked, remove_prepared
from genui.engine.data.shards import (
    MANIFEST,
    Corpus,
    TokenFile,
    list_tokenised,
    read_manifest,
    tokens_dir,
)
from genui.engine.data.sources import Source
from genui.engine.data.text import load_text
from genui.engine.kinds import check_data
from genui.engine.train import language
from genui.engine.train.language import TextTask, load_corpus
from genui.recipes import TextRecipe, find_recipe, override
from genui.runs import control
from genui.runs.layout import RunDir, read_status

WORDS = ("the", "quick", "brown", "fox", "over", "a", "lazy", "dog;", "naïve", "café", "☕", "so")


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is large, and is read, tokenised and kept in small parts."""
    monkeypatch.setattr(text, "MAX_BYTES", 1000)
    monkeypatch.setattr(documents, "BLOCK", 500)
    monkeypatch.setattr(documents, "ROWS", 7)
    monkeypatch.setattr(shards, "GROUP", 700)
    monkeypatch.setattr(shards, "SHARD", 1000)
    monkeypatch.setattr(sources, "REPORT_S", 0)


def write_words(path: Path, count: int = 3000, seed: int = 0) -> str:
    rng = np.random.default_rng(seed)
    ends = rng.choice(np.array([" ", "  ", "\n", "\n\n", "\r\n", "\u3000"]), count)
    content = "".join(
        WORDS[i] + end for i, end in zip(rng.integers(0, 12, count), ends, strict=True)
    )
    path.write_bytes(content.encode())
    return content.replace("\r\n", "\n")


def texts(count: int = 60) -> list[str]:
    rng = np.random.default_rng(1)
    return [f"{i}: " + " ".join(np.array(WORDS)[rng.integers(0, 12, 20)]) for i in range(count)]


def recipe_of(path: Path, **settings: str) -> TextRecipe:
    small = {"data": str(path), "context": "16", "batch": "4", "vocab_size": "300"}
    recipe = override(find_recipe("shakespeare"), small | settings)
    assert isinstance(recipe, TextRecipe)
    return recipe


def both(path: Path, monkeypatch: pytest.MonkeyPatch, **settings: str) -> tuple[Corpus, Corpus]:
    """The corpus in files, and in memory with the same tokenizer."""
    recipe = recipe_of(path, **settings)
    large = load_corpus(recipe, None)
    assert isinstance(large.train, TokenFile)
    with monkeypatch.context() as patch:
        patch.setattr(text, "MAX_BYTES", 1 << 20)
        small = load_corpus(recipe, {"tokenizer": large.tokenizer.to_dict()})
    assert not isinstance(small.train, TokenFile)
    return large, small


@pytest.mark.parametrize("tokenizer", ["chars", "bytes", "bpe"])
def test_a_file_that_is_larger_than_memory_has_the_tokens_it_has_in_memory(
    tmp_path: Path, small_memory: None, monkeypatch: pytest.MonkeyPatch, tokenizer: str
) -> None:
    content = write_words(tmp_path / "words.txt")
    large, small = both(tmp_path / "words.txt", monkeypatch, tokenizer=tokenizer)
    parts = [np.concatenate([each.train[:], each.held[:]]) for each in (large, small)]
    if tokenizer == "bpe":  # in memory each part ends with the end token
        end = large.tokenizer.end
        assert parts[0][-1] == parts[1][-1] == end
        assert large.tokenizer.decode(parts[0].tolist()) == content
        encoded = large.tokenizer.encode(content)
        assert parts[0][:-1].tolist() == encoded
    else:
        assert parts[0].tolist() == parts[1].tolist()
        if tokenizer == "chars":
            assert len(large.train) == len(small.train)
    assert len(large.held) == pytest.approx(0.1 * len(parts[0]), abs=2)
    assert large.tokens_per_character == pytest.approx(small.tokens_per_character, rel=0.05)


def as_folder(path: Path) -> None:
    path.mkdir()
    for i, each in enumerate(texts()):
        (path / f"{i:02}.md").write_text(each)
    (path / "broken.txt").write_bytes(b"\0\0")


def lines() -> bytes:
    rows = [json.dumps({"text": each, "id": i}) for i, each in enumerate(texts())]
    return "\n".join(["", *rows[:30], '{"no": 1}', *rows[30:]]).encode()


def as_jsonl(path: Path) -> None:
    path.write_bytes(lines())


def as_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(lines()))


def as_zstd(path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    with arrow.CompressedOutputStream(str(path), "zstd") as file:
        file.write(lines())


def as_parquet(path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path.mkdir()
    (path / "README.md").write_text("a dataset card")
    table = arrow.table({"id": list(range(61)), "text": [*texts(), None]})
    parquet.write_table(table, path / "part.parquet", row_group_size=20)


def as_dataset_on_disk(path: Path) -> None:
    """As `datasets` saves it: a stream of batches, and two JSON files."""
    arrow = pytest.importorskip("pyarrow")
    (path / "train").mkdir(parents=True)
    (path / "train" / "state.json").write_text('{"_data_files": []}')
    table = arrow.table({"text": [*texts(), ""]})
    for name in ("data-00000-of-00001.arrow", "cache-0123.arrow"):
        with arrow.ipc.new_stream(str(path / "train" / name), table.schema) as writer:
            writer.write_table(table, max_chunksize=10)


def as_archives(path: Path) -> None:
    path.mkdir()
    for shard in range(2):
        with tarfile.open(path / f"{shard}.tar", "w") as archive:
            for i, each in enumerate(texts()[30 * shard : 30 * shard + 30]):
                name, data = (
                    (f"{i}.json", json.dumps({"text": each})) if i % 2 else (f"{i}.txt", each)
                )
                info = tarfile.TarInfo(name)
                info.size = len(data.encode())
                archive.addfile(info, io.BytesIO(data.encode()))
            info = tarfile.TarInfo("0.cls")
            info.size = 1
            archive.addfile(info, io.BytesIO(b"7"))


SOURCES: dict[str, Callable[[Path], None]] = {
    "folder": as_folder,
    "lines.jsonl": as_jsonl,
    "lines.jsonl.gz": as_gzip,
    "lines.jsonl.zst": as_zstd,
    "parquet": as_parquet,
    "saved": as_dataset_on_disk,
    "tars": as_archives,
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("tokenizer", ["bytes", "bpe"])
def test_every_format_gives_the_same_documents_in_memory_and_in_files(
    tmp_path: Path,
    small_memory: None,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    tokenizer: str,
) -> None:
    path = tmp_path / name
    SOURCES[name](path)
    large, small = both(path, monkeypatch, tokenizer=tokenizer)
    for part in ("train", "held"):
        assert getattr(large, part)[:].tolist() == getattr(small, part)[:].tolist()
    ends = large.tokenizer.end if tokenizer == "bpe" else ord("\n")
    train, held = large.train[:].tolist(), large.held[:].tolist()
    separators = 60 if tokenizer == "bpe" else 58
    assert train.count(ends) + held.count(ends) == separators
    every = large.tokenizer.decode(train) + "\n" + large.tokenizer.decode(held)
    assert all(each in every for each in texts())
    assert [note.split(" ")[0] for note in large.notes if "BPE" not in note] == [
        note.split(" ")[0] for note in small.notes
    ]


@pytest.mark.parametrize("name", ["words.txt", *SOURCES])
def test_reading_goes_on_from_any_place(tmp_path: Path, small_memory: None, name: str) -> None:
    path = tmp_path / name
    SOURCES.get(name, write_words)(path)
    check_reading_resumes_anywhere(find_source(path))


class KilledError(Exception):
    pass


def killed_after(reports: int) -> Callable[[str], None]:
    lines: list[str] = []

    def report(line: str) -> None:
        lines.append(line)
        if len(lines) > reports and line.startswith("tokenising"):
            raise KilledError

    return report


@pytest.mark.parametrize("name", ["words.txt", "lines.jsonl.gz", "folder"])
def test_tokenising_goes_on_after_it_was_killed(
    tmp_path: Path, small_memory: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    SOURCES.get(name, write_words)(path)
    recipe = recipe_of(path, tokenizer="bytes")
    whole = load_corpus(recipe, None)
    expected = [whole.train[:].tolist(), whole.held[:].tolist()]
    (folder,) = (path.parent for path in tokens_dir().glob(f"*/*/{MANIFEST}"))
    first = read_manifest(folder)
    assert main(["dataset", "--clear", "all"]) == 0
    kills, shares = 0, [0.0]
    while not (manifest := read_manifest(folder)) or not manifest.done:
        try:
            load_corpus(recipe, None, Preparation(killed_after(12)))
        except KilledError:
            kills += 1
            # What a killed process wrote after its last shard does not count.
            for part in folder.glob("*.bin"):
                with part.open("ab") as file:
                    file.write(b"torn")
            kept = read_manifest(folder)
            shares.append(kept.share if kept else 0.0)
        assert kills < 40
    assert kills
    assert shares == sorted(shares)
    assert manifest == first
    again = load_corpus(recipe, None)
    assert [again.train[:].tolist(), again.held[:].tolist()] == expected
    assert again.fingerprint == whole.fingerprint


def test_a_resumed_run_reads_the_tokens_that_are_there(
    tmp_path: Path, small_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_words(tmp_path / "words.txt")
    recipe = recipe_of(tmp_path / "words.txt", tokenizer="bpe")
    task = TextTask(recipe, torch.device("cpu"))
    loss = task.loss(5).item()
    monkeypatch.setattr(shards, "_tokenise", None)
    monkeypatch.setattr(shards, "train_bpe", None)
    extra = json.loads(json.dumps(task.extra))
    again = TextTask(recipe, torch.device("cpu"), extra)
    again.model.load_state_dict(task.model.state_dict())
    assert again.loss(5).item() == loss
    assert again.data_line == task.data_line


def test_every_window_of_an_epoch_comes_once(tmp_path: Path, small_memory: None) -> None:
    write_words(tmp_path / "words.txt", 600)
    recipe = recipe_of(tmp_path / "words.txt", tokenizer="chars")
    task = TextTask(recipe, torch.device("cpu"))
    model, seen = task.model, []
    task.model = type("Model", (), {"loss": lambda self, x, *_: seen.append(x.numpy())})()  # type: ignore[assignment]
    steps = task.units_per_epoch // task.units_per_step
    for step in range(steps):
        task.loss(step)
    rows = np.concatenate(seen)
    assert len(np.unique(rows, axis=0)) == len(rows) == steps * recipe.batch
    del model


def test_training_of_large_data_says_what_it_does_and_stops_while_it_tokenises(
    tmp_path: Path,
    small_memory: None,
    tiny_run: Callable[..., RunDir],
    monkeypatch: pytest.MonkeyPatch,
    signals: None,
) -> None:
    write_words(tmp_path / "words.txt")
    run = tiny_run(data=str(tmp_path / "words.txt"), tokenizer="bytes", steps="4")
    control.send(run, "pause")
    control.send(run, "resume")
    control.send(run, "stop")
    assert trainer.train(run) == 0
    assert (read_status(run).state, read_status(run).step) == ("stopped", 0)
    doing: list[str] = []
    monkeypatch.setattr(
        control, "is_waiting", lambda run, command: doing.append(read_status(run).doing)
    )
    assert trainer.train(run) == 0, run.console.read_text()
    assert doing
    assert read_status(run).doing == ""
    assert "tokens to train on" in run.console.read_text()


def test_large_data_are_described_and_checked_before_a_run_is_made(
    tmp_path: Path, small_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_words(tmp_path / "words.txt")
    recipe = recipe_of(tmp_path / "words.txt")
    line = check_data(recipe)
    assert "words.txt" in line
    assert "larger than memory" in line
    assert not tokens_dir().exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5))
    with pytest.raises(GenuiError, match="5 B are free"):
        check_data(recipe)
    with pytest.raises(GenuiError, match="5 B are free"):
        load_corpus(recipe, None)


def test_a_full_disk_is_one_line_and_what_was_kept_stays(
    tmp_path: Path, small_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_words(tmp_path / "words.txt")
    recipe = recipe_of(tmp_path / "words.txt", tokenizer="bytes")
    synced: list[int] = []

    def fsync(fd: int) -> None:
        synced.append(fd)
        if len(synced) > 6:
            raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(shards.os, "fsync", fsync)
        with pytest.raises(GenuiError, match="no space left on device") as caught:
            load_corpus(recipe, None)
    assert "\n" not in str(caught.value)
    (folder,) = (path.parent for path in tokens_dir().glob(f"*/*/{MANIFEST}"))
    manifest = read_manifest(folder)
    assert manifest is not None
    assert 0 < manifest.share < 1
    assert len(load_corpus(recipe, None).train)


def damaged() -> Iterator[tuple[str, bytes, str]]:
    yield "late.txt", b"word " * 500 + b"\xff", "not UTF-8 at byte 2500"
    yield "binary.txt", b"a\0b" * 900, "looks binary"
    yield "none.jsonl", b'{"a": 1}\n' * 200, "no document with a text"
    yield "half.jsonl.gz", gzip.compress(os.urandom(4000))[:2000], "is damaged"
    yield "not.jsonl.gz", b"plain text " * 100, "is damaged"
    yield "not.tar", b"plain text " * 1000, "is damaged"
    yield "not.parquet", b"plain text " * 100, "is damaged"
    yield "not.arrow", b"plain text " * 100, "is damaged"


@pytest.mark.parametrize(("name", "content", "fault"), list(damaged()))
def test_a_damaged_source_is_one_line(
    tmp_path: Path, small_memory: None, name: str, content: bytes, fault: str
) -> None:
    if name.endswith((".parquet", ".arrow")):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MisuseError, match=fault) as caught:
        load_corpus(recipe_of(path, tokenizer="bytes"), None)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_table_without_texts_names_its_columns(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"a": [1], "b": ["x"], "c": ["y"]}), tmp_path / "t.parquet")
    with pytest.raises(MisuseError, match=r"no column 'text' .* a int64, b string, c string"):
        load_text("", str(tmp_path / "t.parquet"))


def test_without_pyarrow_its_installation_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "t.arrow").write_bytes(b"x")
    with pytest.raises(MisuseError, match=r"needs pyarrow: .* -m pip install 'pyarrow"):
        load_text("", str(tmp_path / "t.arrow"))


def test_tokens_that_were_cut_short_are_named(tmp_path: Path, small_memory: None) -> None:
    write_words(tmp_path / "words.txt")
    recipe = recipe_of(tmp_path / "words.txt", tokenizer="bytes")
    corpus = load_corpus(recipe, None)
    written = corpus.train[0:200]
    (part,) = (file for file in tokens_dir().glob("*/*/*.bin") if file.stat().st_size)
    os.truncate(part, 100)
    with pytest.raises(GenuiError, match="was cut short"):
        corpus.train[90:110]
    with pytest.raises(GenuiError, match="was cut short"):
        load_corpus(recipe, None)
    manifest = part.parent / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b'"done":true', b'"done":false'))
    with pytest.raises(GenuiError, match="was cut short"):  # and not filled up with zeros
        load_corpus(recipe, None)
    manifest.write_bytes(manifest.read_bytes().replace(b'"dtype":"|u1"', b'"dtype":"nonsense"'))
    again = load_corpus(recipe, None)  # not of genui: made again
    assert (again.train[0:200] == written).all()


def test_fine_tuning_refuses_what_does_not_fit_and_metrics_read_a_sample(
    tmp_path: Path, small_memory: None
) -> None:
    write_words(tmp_path / "words.txt")
    with pytest.raises(MisuseError, match="reads all of it into memory"):
        load_text("", str(tmp_path / "words.txt"))
    sample = load_text("", str(tmp_path / "words.txt"), sample=6400)
    assert sample.is_sample
    assert 3000 < sum(map(len, sample.train + sample.validation)) <= 6400
    assert not set(sample.train) & set(sample.validation)


def test_a_compressed_file_counts_by_what_is_inside(tmp_path: Path, small_memory: None) -> None:
    row = json.dumps({"text": "again and again " * 20}).encode() + b"\n"
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(row * 200))
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"text": ["again and again " * 20] * 200})
    parquet.write_table(table, tmp_path / "x.parquet")
    for name in ("x.jsonl.gz", "x.parquet"):
        source = find_source(tmp_path / name)
        assert source.text_bytes < 10_000  # by its size it would be read into memory
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text, "MAX_BYTES", 10_000)
            assert text.is_large(source), name
            with pytest.raises(MisuseError, match="reads all of it into memory"):
                load_text("", str(tmp_path / name))


def test_a_speed_is_measured_on_a_sample_that_counts_for_all(
    tmp_path: Path, small_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_words(tmp_path / "words.txt", 9000)
    monkeypatch.setattr(language, "MEASURE_SAMPLE", 6400)
    recipe = recipe_of(tmp_path / "words.txt", tokenizer="bytes")
    sample = TextTask(recipe, torch.device("cpu"), preparation=Preparation(is_trial=True))
    assert not tokens_dir().exists()
    whole = TextTask(recipe, torch.device("cpu"))
    assert sample.units_per_epoch == pytest.approx(whole.units_per_epoch, rel=0.1)


def test_the_command_lists_and_removes_tokens(
    tmp_path: Path, small_memory: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dataset"]) == 0
    assert "none is prepared" in capsys.readouterr().err
    write_words(tmp_path / "words.txt")
    load_corpus(recipe_of(tmp_path / "words.txt", tokenizer="chars"), None)
    assert main(["dataset", "--json"]) == 0
    (row,) = msgspec.json.decode(capsys.readouterr().out)
    assert (row["name"], row["path"], row["share"]) == ("words.txt", str(tmp_path / "words.txt"), 1)
    assert main(["dataset"]) == 0
    assert re.search(r"words.txt +\d+,\d+ tokens \(chars\), vocabulary ", capsys.readouterr().out)
    assert main(["dataset", "--clear", "word.txt"]) == 2
    assert "did you mean 'words.txt'" in capsys.readouterr().err
    assert main(["dataset", "--clear", "words.txt"]) == 0
    assert "tokens (chars), vocabulary removed" in capsys.readouterr().out
    assert not list(tokens_dir().glob("*"))


def test_the_tokens_of_several_tokenizers_are_one_row_and_removed_together(
    tmp_path: Path, small_memory: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_words(tmp_path / "words.txt")
    for tokenizer in ("bpe", "bytes"):
        load_corpus(recipe_of(tmp_path / "words.txt", tokenizer=tokenizer), None)
    (row,) = list_tokenised()
    assert re.fullmatch(r"[\d,]+ tokens \(b\w+\), [\d,]+ tokens \(b\w+\), vocabulary", row.content)
    assert row.octets > 2 * 3000
    with locked(row.folder, "words.txt"), pytest.raises(GenuiError, match="is being prepared"):
        remove_prepared(row)
    assert main(["dataset", "--clear", "all"]) == 0
    assert not list(tokens_dir().glob("*"))


def test_what_a_kill_left_before_the_first_tokens_is_listed(
    tmp_path: Path, small_memory: None
) -> None:
    write_words(tmp_path / "words.txt")
    recipe = recipe_of(tmp_path / "words.txt", tokenizer="bytes")
    with pytest.raises(KilledError):
        load_corpus(recipe, None, Preparation(killed_after(0)))
    (row,) = list_tokenised()
    assert (row.name, row.content, row.share) == ("words.txt", "0 tokens (bytes)", 0)


def test_a_changed_file_is_tokenised_anew(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    write_words(path)
    key = find_source(path).key
    assert Source(*find_source(path)).key == key
    os.utime(path, ns=(1, 1))
    assert find_source(path).key != key


def test_each_epoch_reads_the_text_once_in_an_order_that_never_changes() -> None:
    # The order is not written down in a checkpoint: a resumed run must find the same one.
    assert language.windows(3, 4, 1000, 16, 0).tolist() == [707, 371, 387, 691]
    assert language.windows(15, 4, 1000, 16, 0).tolist() == [499, 3, 563, 339]  # of two epochs
    assert language.windows(7, 5, 333, 8, 2, 40).tolist() == [174, 86, 222, 30, 134]
    epoch = [language.windows(step, 61, 1000, 16, 0) for step in (0, 1)]
    for starts in epoch:
        assert len({*(starts // 16)}) == 61 == language.windows_per_epoch(1000, 16)
    assert epoch[0].tolist() != epoch[1].tolist()


def test_a_text_too_short_for_a_context_says_which_part_is(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("a line of text\n" * 80)
    recipe = override(find_recipe("shakespeare"), {"data": str(path), "context": "512"})
    assert isinstance(recipe, TextRecipe)
    with pytest.raises(MisuseError, match=r"short.txt: \d+ held-out tokens .* 514 .* 512 needs"):
        TextTask(recipe, torch.device("cpu"))


def test_a_file_of_tokens_is_closed_with_its_reader(tmp_path: Path) -> None:
    path = tmp_path / "tokens.bin"
    path.write_bytes(bytes(8))

    def is_open() -> bool:
        gc.collect()
        return str(path) in [each.path for each in psutil.Process().open_files()]

    tokens = TokenFile(path, np.dtype("<u2"), 0, 4)
    assert is_open()
    del tokens
    assert not is_open()
    with pytest.raises(GenuiError, match="cut short"):
        TokenFile(path, np.dtype("<u2"), 0, 5)
    assert not is_open()
