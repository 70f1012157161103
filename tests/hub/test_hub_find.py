"""Models that other programs keep: found by their names, listed, shown, and described once."""

import json
import os
from pathlib import Path

import pytest
from small_gguf import write_gguf

from genui.base.errors import MisuseError
from genui.cli.completion import complete
from genui.cli.main import COMMANDS, main
from genui.hub import formats, memory, pull
from genui.hub.find import find_local, list_local, list_recent
from genui.hub.memory import describe_all
from genui.hub.records import Record, list_records, record_file, write_record
from genui.recipes import find_recipe
from genui.runs.layout import create_run
from genui.runs.models import find_model, group_models, list_models
from genui.ui.settings import model_card, model_row

DIGEST, TEXT = "a" * 64, "b" * 64


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a user without any program's models."""
    home = tmp_path / "user"
    monkeypatch.setenv("HOME", str(home))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OLLAMA_MODELS", "LLAMA_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("genui.hub.find._SYSTEM_OLLAMA", str(tmp_path / "none"))
    monkeypatch.setenv("GENUI_FIND_MODELS", "yes")
    return home


def _snapshot(machine: Path, name: str, commit: str = "c0ffee") -> Path:
    folder = machine / ".cache/huggingface/hub" / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text(commit)
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    return snapshot


def _ollama(machine: Path, *parts: str) -> Path:
    root = machine / ".ollama/models"
    write_gguf(root / f"blobs/sha256-{DIGEST}", licence="")
    (root / f"blobs/sha256-{TEXT}").write_text("\n   Apache License\n  Version 2.0")
    layers = [("model", DIGEST), ("license", TEXT), ("params", "../../secret")]
    manifest = root.joinpath("manifests", *parts)
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(
        json.dumps(
            {
                "layers": [
                    {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{d}"}
                    for kind, d in layers
                ]
            }
        )
    )
    return manifest


def test_nothing_is_found_where_there_is_nothing(machine: Path) -> None:
    assert list_local() == []


def test_the_stores_of_four_programs_are_read(machine: Path) -> None:
    write_gguf(_snapshot(machine, "maker/Tiny-GGUF") / "tiny.gguf")
    several = _snapshot(machine, "maker/Two-GGUF")
    write_gguf(several / "two.Q4_0.gguf")
    write_gguf(several / "two.Q8_0.gguf")
    write_gguf(several / "mmproj-two.gguf")
    folder = _snapshot(machine, "maker/folder")
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    adapter = _snapshot(machine, "maker/adapter")
    (adapter / "adapter_config.json").write_text("{}")
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    (_snapshot(machine, "maker/tokenizer-only") / "tokenizer.json").write_text("{}")
    _ollama(machine, "registry.ollama.ai", "library", "tiny", "135m")
    _ollama(machine, "hf.co", "maker", "Other", "latest")
    write_gguf(machine / ".lmstudio/models/publisher/Model/model.gguf")
    write_gguf(machine / ".cache/llama.cpp/maker_cached.gguf")
    write_gguf(machine / ".cache/llama.cpp/big-00002-of-00002.gguf")
    assert {(model.name, model.program) for model in list_local()} == {
        ("maker/Tiny-GGUF", "Hugging Face"),
        ("maker/Two-GGUF/two.Q4_0.gguf", "Hugging Face"),
        ("maker/Two-GGUF/two.Q8_0.gguf", "Hugging Face"),
        ("maker/folder", "Hugging Face"),
        ("maker/adapter", "Hugging Face"),
        ("hf.co/maker/Other:latest", "Ollama"),  # the first of two names of one blob
        ("publisher/Model", "LM Studio"),
        ("maker_cached.gguf", "llama.cpp"),
    }


def test_other_folders_are_named_by_the_environment(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_gguf(machine / "elsewhere/llama/one.gguf")
    monkeypatch.setenv("LLAMA_CACHE", str(machine / "elsewhere/llama"))
    write_gguf(machine / "studio/models/a/b/two.gguf")
    (machine / ".lmstudio-home-pointer").write_text(f"{machine}/studio\n")
    write_gguf(machine / "downloads/c/d/three.gguf")
    (machine / "studio/settings.json").write_text(
        json.dumps({"downloadsFolder": f"{machine}/downloads"})
    )
    assert {model.name for model in list_local()} == {"one.gguf", "a/b", "c/d"}


@pytest.mark.parametrize("manifest", [b"", b"[]", b"\xff", b'{"layers": 1}', b'{"layers": [{}]}'])
def test_a_damaged_manifest_is_left_out(machine: Path, manifest: bytes) -> None:
    _ollama(machine, "registry.ollama.ai", "library", "tiny", "bad").write_bytes(manifest)
    assert list_local() == []


def test_models_are_found_by_name(machine: Path) -> None:
    write_gguf(_snapshot(machine, "Maker/Tiny-1.5B-GGUF") / "tiny.gguf")
    _ollama(machine, "registry.ollama.ai", "library", "smol", "135m")
    for ref in ("Maker/Tiny-1.5B-GGUF", "maker/tiny-1.5b-gguf", "tiny-1.5b-gguf"):
        model = find_model(ref)
        assert (model.ref, model.source) == ("Maker/Tiny-1.5B-GGUF", "found")
    model = find_model("smol:135m")
    assert model.path.name == f"sha256-{DIGEST}"
    assert model.card["facts"]["licence"] == "Apache-2.0"
    with pytest.raises(MisuseError, match="did you mean 'smol:135m'"):
        find_model("smol:135")


def test_folders_are_read_again_only_when_they_change(machine: Path) -> None:
    cache = machine / ".cache/llama.cpp"
    write_gguf(cache / "one.gguf")
    first = list_recent()
    assert list_recent() is first
    write_gguf(cache / "two.gguf")
    os.utime(cache, ns=(1, 1))
    assert [model.name for model in list_recent()] == ["one.gguf", "two.gguf"]
    # What lies deeper is found by its name at once.
    write_gguf(cache.parent / "lm-studio/models/a/b/three.gguf")
    write_gguf(cache.parent / "lm-studio/models/a/c/four.gguf")
    assert find_local("a/c") is not None


def test_a_short_name_of_two_models_is_refused(machine: Path) -> None:
    for maker in ("one", "two"):
        write_gguf(_snapshot(machine, f"{maker}/Tiny") / "tiny.gguf")
    with pytest.raises(MisuseError, match="is it one/Tiny, two/Tiny"):
        find_local("tiny")
    assert find_local("two/tiny") is not None


def test_the_setting_turns_it_off(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _ollama(machine, "registry.ollama.ai", "library", "smol", "135m")
    monkeypatch.setenv("GENUI_FIND_MODELS", "no")
    assert not [model for model in list_models() if model.source == "found"]
    with pytest.raises(MisuseError):
        find_model("smol:135m")


def test_lists_name_them_and_why_some_cannot_be_used(
    machine: Path, capsys: pytest.CaptureFixture
) -> None:
    write_gguf(_snapshot(machine, "maker/good") / "good.gguf")
    write_gguf(_snapshot(machine, "maker/strange") / "strange.gguf", architecture="rwkv9")
    assert main(["models"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert "mit" in lines["maker/good"]
    assert "cannot be used: its architecture is 'rwkv9'" in lines["maker/strange"]
    assert main(["models", "--json"]) == 0
    listed = {model["ref"]: model for model in json.loads(capsys.readouterr().out)}
    assert listed["maker/good"]["source"] == "found"
    assert listed["maker/good"]["card"]["facts"]["kept by"] == "Hugging Face"
    models = {model.ref: model for model in list_models()}
    assert models["maker/good"].is_usable
    assert not models["maker/strange"].is_usable
    in_pane = group_models(models.values())[models["maker/good"].medium]
    assert [model.ref for model in in_pane][-2:] == ["maker/good", "maker/strange"]
    rows = [model_row("", models[name]) for name in ("maker/good", "maker/strange")]
    assert [row.right for row in rows] == ["512 B", "unusable"]
    card = model_card(models["maker/good"]).plain
    assert "licence mit" in card
    assert "kept by Hugging Face" in card
    assert "open" in card.splitlines()[-1]
    assert "open" not in model_card(models["maker/strange"]).plain.splitlines()[-1]
    words = [word for word, _ in complete(COMMANDS, ["generate", "maker/"])]
    assert words == ["maker/good"]


def test_a_card_is_printed_by_name_and_by_file(
    machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = _snapshot(machine, "maker/Tiny-0.6B") / "tiny.gguf"
    write_gguf(file)
    write_record("tiny-0.6b", Record(path=str(file), licence="mit", source="maker/Tiny-0.6B"))
    for ref in ("tiny-0.6b", str(file)):
        assert main(["show", ref]) == 0
        out = capsys.readouterr().out
        assert "architecture  llama" in out
        assert "512 tokens" in out
        assert str(file) in out
    assert main(["show", "missing.gguf"]) == 2
    assert "no such file" in capsys.readouterr().err
    # A model with a record is listed once, under its record's name.
    assert [model.ref for model in list_models() if model.path == file] == ["tiny-0.6b"]
    # A run that was fine-tuned from it may have its name, or a longer one.
    for name in ("tiny-0.6b", "tiny-0.6b-pirate"):
        create_run(find_recipe("shakespeare"), {}, name)
    assert find_model("tiny-0.6b").path == file


def test_a_header_is_read_once(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tiny.gguf"
    write_gguf(file)
    read: list[Path] = []
    describe = formats.describe

    def count(path: Path) -> formats.OpenModel:
        read.append(path)
        return describe(path)

    monkeypatch.setattr(formats, "describe", count)
    first = describe_all([file])[file]
    memory._load_memory.cache_clear()  # as in another process
    assert describe_all([file])[file] == first
    assert read == [file]
    write_gguf(file, name="Another")
    os.utime(file, ns=(1, 1))
    assert describe_all([file])[file].summary != first.summary
    memory._memory_file().write_bytes(b"damaged")
    memory._load_memory.cache_clear()
    assert describe_all([file])[file].summary != first.summary


def test_a_folder_whose_part_is_replaced_by_an_older_one_has_changed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    os.utime(tmp_path / "a", ns=(5, 5))
    before = formats.state_of(tmp_path)
    os.utime(tmp_path / "a", ns=(3, 3))
    assert formats.state_of(tmp_path) not in (before, 0)


def test_a_defect_in_a_description_leaves_the_list_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> formats.OpenModel:
        raise KeyError("what nobody thought of")

    monkeypatch.setattr(formats, "describe", fail)
    answer = describe_all([tmp_path])[tmp_path]
    assert not answer.format
    assert "KeyError" in answer.summary


def test_files_with_names_that_genui_does_not_write_are_no_records(tmp_path: Path) -> None:
    write_record("good", Record(path=str(tmp_path)))
    good = record_file("good")
    for name in ("a\x1b[2J.json", "a b.json", "-x.json"):
        good.with_name(name).write_bytes(good.read_bytes())
    assert list(list_records()) == ["good"]


def test_an_adapter_that_names_itself_as_its_base_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "loop"
    folder.mkdir()
    write_record("loop", Record(path=str(folder)))
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "base_model_name_or_path": "loop"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    header = b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
    weights = len(header).to_bytes(8, "little") + header + bytes(4)
    (folder / "adapter_model.safetensors").write_bytes(weights)
    with pytest.raises(MisuseError, match="its base model loop is not here"):
        formats.describe(folder)


def test_without_patience_known_files_alone_are_answered(tmp_path: Path) -> None:
    one, two = tmp_path / "one.gguf", tmp_path / "two.gguf"
    write_gguf(one)
    write_gguf(two)
    describe_all([one])
    assert list(describe_all([one, two], patience=-1)) == [one]
    assert list(describe_all([one, two])) == [one, two]


def test_a_record_whose_file_is_gone_says_so(tmp_path: Path) -> None:
    write_record("lost", Record(path=str(tmp_path / "lost.gguf")))
    (model,) = [model for model in list_models() if model.ref == "lost"]
    assert not model.is_usable
    assert "is gone" in model.summary


def test_removing_a_name_removes_only_files_that_genui_keeps(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    own, other = pull.files_dir() / "own" / "own.gguf", tmp_path / "other.gguf"
    for name, file in (("own", own), ("again", own), ("other", other)):
        write_gguf(file)
        write_record(name, Record(path=str(file)))
    assert main(["models", "remove", "other"]) == 0
    assert other.exists()
    assert main(["models", "remove", "again"]) == 0
    assert own.exists()  # another name has it
    assert main(["models", "remove", "own"]) == 0
    assert not own.parent.exists()
    assert "and its file" in capsys.readouterr().err
    assert not list_records()
