"""Text models of genui in transformers: the same tokens and the same logits."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from importing import import_when_used
from networks import random_network, small_recipe

from genui.base.errors import TooLargeError
from genui.cli.main import main
from genui.engine import trainer
from genui.engine.convert import check
from genui.engine.convert import text as convert_text
from genui.engine.convert.text import serialise_tokenizer
from genui.engine.data.tokenizer import (
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    train_bpe,
)
from genui.engine.models import recurrent
from genui.engine.models.language_model import TokenNetwork
from genui.engine.train.checkpoint import model_metadata, write_model
from genui.runs.layout import read_status

transformers = import_when_used("transformers")

TEXT = "ROMEO: to be, or not to be?\n  def f(x):\n\treturn x + 12\n"
TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "chars": lambda: CharTokenizer("".join(sorted(set(TEXT)))),
    "bytes": ByteTokenizer,
    "bpe": lambda: train_bpe([TEXT * 20], 300),
    "gaps": lambda: BPETokenizer(train_bpe([TEXT * 20], 300).to_dict()["tokenizer"], gaps=True),
}


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where transformers keeps code: one folder, since Python knows it from the first import on."""
    return str(tmp_path_factory.mktemp("modules"))


@pytest.fixture(autouse=True)
def no_network(modules: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", modules)


def write(path: Path, family: str, tokenizer: Tokenizer) -> TokenNetwork:
    """A checkpoint of a small random network."""
    network = random_network(family, tokenizer.size).eval()
    extra = {"tokenizer": tokenizer.to_dict(), "licence": "CC0-1.0"}
    described = model_metadata(small_recipe(family), 7, network, extra)
    write_model(path, dict(network.state_dict()), described)
    return network


@pytest.mark.parametrize(
    ("family", "tokens"),
    [("transformer", "chars"), ("ngrams", "gaps"), ("ngrams", "chars"), ("recurrent", "bytes")],
)
def test_transformers_gives_the_same_logits_for_the_same_text(
    family: str, tokens: str, tmp_path: Path
) -> None:
    tokenizer = TOKENIZERS[tokens]()
    network = write(tmp_path / "mine.safetensors", family, tokenizer)
    folder = tmp_path / "mine-hf"
    assert main(["convert", str(tmp_path / "mine.safetensors"), "--out", str(folder)]) == 0
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    reader = transformers.AutoTokenizer.from_pretrained(folder)
    prompt = "to be, or"
    ids = reader(prompt, return_tensors="pt").input_ids
    assert ids[0].tolist() == tokenizer.encode(prompt)
    assert reader.decode(ids[0]) == prompt
    with torch.inference_mode():
        torch.testing.assert_close(model(ids).logits, network(ids), atol=1e-5, rtol=0)
        loss = model(ids, labels=ids).loss
        torch.testing.assert_close(loss, network.loss(ids[:, :-1], ids[:, 1:]))
        written = model.generate(ids, max_new_tokens=40, do_sample=False, pad_token_id=0)
    context = network.context
    for length in range(ids.shape[1], written.shape[1]):  # also where the context is full
        start = max(0, length - context) if family != "recurrent" else 0
        with torch.inference_mode():
            assert network(written[:, start:length])[0, -1].argmax() == written[0, length]
    assert "CC0-1.0" in (folder / "README.md").read_text()


def test_the_card_says_what_the_training_took(tiny_run, signals: None, tmp_path: Path) -> None:
    run, folder = tiny_run(steps="2"), tmp_path / "mine"
    assert trainer.train(run) == 0
    assert main(["convert", run.id, "--out", str(folder)]) == 0
    took = read_status(run).energy.describe()
    assert took
    assert f"Its training took {took}." in (folder / "README.md").read_text()


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_tokenizer_of_the_library_splits_and_joins_as_ours(name: str) -> None:
    from tokenizers import Tokenizer as HFTokenizer

    tokenizer = TOKENIZERS[name]()
    theirs = HFTokenizer.from_str(serialise_tokenizer(tokenizer))
    for text in (TEXT, "  two  spaces ", "def é(x): 字\r\n", "", "\u00a0\u200b?"):
        ids = theirs.encode(text).ids
        assert ids == tokenizer.encode(text)
        assert theirs.decode(ids) == tokenizer.decode(tokenizer.encode(text))


def test_half_precision_is_stored_and_a_folder_is_replaced_only_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = tmp_path / "mine.safetensors", tmp_path / "mine-hf"
    write(file, "transformer", ByteTokenizer())
    words = ["convert", str(file), "--out", str(folder), "--dtype", "bf16"]
    assert main(words) == 0
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    sizes = (folder / "model.safetensors").stat().st_size, file.stat().st_size
    assert sizes[0] < 0.6 * sizes[1]
    assert main(words) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0
    monkeypatch.chdir(folder)
    assert main([*words[:3], ".", "--force"]) == 0
    assert (folder / "model.safetensors").is_file()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_force_replaces_no_folder_with_files_of_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = tmp_path / "mine.safetensors", tmp_path / "mine-hf"
    write(file, "transformer", ByteTokenizer())
    words = ["convert", str(file), "--no-check", "--force", "--out"]
    project = tmp_path / "project"
    project.mkdir()
    (project / "config.json").write_text("{}")  # as a model has one
    assert main([*words, str(project)]) == 2
    assert "holds config.json, which genui convert did not write; " in capsys.readouterr().err
    assert (project / "config.json").read_text() == "{}"
    assert main([*words, str(folder)]) == 0
    (folder / "notes").mkdir()
    (folder / "notes" / "dear.txt").write_text("me")
    assert main([*words, str(folder)]) == 2
    assert "mine-hf: holds notes, which genui convert did not write; " in capsys.readouterr().err
    assert (folder / "notes" / "dear.txt").read_text() == "me"
    (project / ".genui-convert").write_bytes(b"\xff\nconfig.json\n")
    assert main([*words, str(project)]) == 2
    assert "holds .genui-convert, which genui convert did not write" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["icons-labels"], "labels images; such models are not converted"),
        (["shakespeare", "--dtype", "fp4"], "--dtype fp4: "),
        (["shakespere"], "did you mean"),
        (["shakespeare", "--to", "gguf"], "is not written as a GGUF file; it is written as hf"),
    ],
)
def test_what_cannot_be_converted_is_one_line(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", *words, "--out", str(tmp_path / "x")]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("x*"))


def test_a_file_name_of_another_format_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder called sh.gguf was written."""
    out = str(tmp_path / "sh.gguf")
    assert main(["convert", "shakespeare", "--out", out]) == 2
    assert "is not written as a GGUF file; it is written as hf" in capsys.readouterr().err
    assert main(["convert", "shakespeare", "--to", "hf", "--out", out]) == 2
    assert ".gguf is a GGUF file, and this is a Hugging Face folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


OTHER = """
from genui.engine.models.recurrent import MinGRU, MinGRUConfig
{more}

class Other(MinGRU):
    def read_out(self, x):
        return super().read_out(x).flip(-1)


def build(recipe, vocab_size):
    return Other(MinGRUConfig(vocab_size, recipe.layers, recipe.width, recipe.context))
"""


@pytest.mark.parametrize(
    ("name", "more"), [("alone", ""), ("needing", "from genui.base.errors import GenuiError")]
)
def test_another_network_of_the_family_has_its_own_code(
    name: str,
    more: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / f"{name}_gru.py").write_text(OTHER.format(more=more))
    monkeypatch.syspath_prepend(tmp_path)
    other = importlib.import_module(f"{name}_gru")
    file, folder = tmp_path / "mine.safetensors", tmp_path / "mine-hf"
    write(file, "recurrent", ByteTokenizer())
    monkeypatch.setattr(recurrent, "build_min_gru", other.build)
    if more:
        assert main(["convert", str(file), "--out", str(folder)]) == 1
        error = capsys.readouterr().err
        assert "its network Other has no code for other programs: it needs genui.base" in error
        assert error.count("\n") == 1
        assert not folder.exists()
    else:
        assert main(["convert", str(file), "--out", str(folder)]) == 0
        assert "read back by transformers" in capsys.readouterr().err
        assert "flip(-1)" in (folder / f"{name}_gru.py").read_text()


def test_what_does_not_read_back_as_the_model_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = tmp_path / "mine.safetensors", tmp_path / "mine-hf"
    write(file, "transformer", TOKENIZERS["bpe"]())
    words = ["convert", str(file), "--out", str(folder)]
    assert main(words) == 0
    assert "read back by transformers" in capsys.readouterr().err
    weights = (folder / "model.safetensors").read_bytes()

    def write_wrong(file: Path, tensors: dict[str, torch.Tensor], dtype: str) -> None:
        wrong = {name: value.roll(1, -1).contiguous() for name, value in tensors.items()}
        safetensors.torch.save_file(wrong, file, {"format": "pt"})

    monkeypatch.setattr(convert_text, "write_safetensors", write_wrong)
    assert main([*words, "--force"]) == 1
    error = capsys.readouterr().err
    assert f"{folder}: is not the model, and was removed: logits differ by " in error
    assert error.count("\n") == 1
    assert (folder / "model.safetensors").read_bytes() == weights  # of the conversion before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine-hf", "mine.safetensors"]
    monkeypatch.setattr(
        convert_text, "serialise_tokenizer", lambda _: serialise_tokenizer(ByteTokenizer())
    )
    assert main([*words, "--force"]) == 1
    assert "splits 'What is the capital of France?' into other tokens" in capsys.readouterr().err
    assert main([*words, "--force", "--no-check"]) == 0
    assert "; not checked" in capsys.readouterr().err
    assert (folder / "model.safetensors").read_bytes() != weights


def test_a_model_that_is_too_large_to_read_back_is_written_unchecked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(parameters: int, dtype: torch.dtype) -> None:
        raise TooLargeError("its parameters take 99 GB")

    monkeypatch.setattr(check, "check_memory", refuse)
    file, folder = tmp_path / "mine.safetensors", tmp_path / "mine-hf"
    write(file, "transformer", ByteTokenizer())
    assert main(["convert", str(file), "--out", str(folder)]) == 0
    assert "; not checked (its parameters take 99 GB)" in capsys.readouterr().err
    assert (folder / "model.safetensors").is_file()


def test_a_folder_with_code_for_a_library_that_is_missing_is_written_unchecked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    file, folder = tmp_path / "mine.safetensors", tmp_path / "mine-hf"
    write(file, "transformer", ByteTokenizer())
    assert main(["convert", str(file), "--out", str(folder)]) == 0
    assert "; not checked (transformers is not installed)" in capsys.readouterr().err
    assert (folder / "model.safetensors").is_file()
