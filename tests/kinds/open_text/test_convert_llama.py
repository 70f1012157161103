"""Models of the Llama family in other programs: folders, GGUF files, and adapters in peft."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from importing import import_when_used
from template_tokens import encode_template
from tiny_llama import write_tiny_llama

from genui.base.errors import GenuiError, MisuseError
from genui.cli.main import main
from genui.engine.load import find_and_load
from genui.engine.train.checkpoint import model_metadata, write_model
from genui.kinds.open_text.gguf import read_gguf
from genui.kinds.open_text.lora import AdaptedModel
from genui.kinds.open_text.recipe import FineTuneRecipe
from genui.kinds.open_text.task import adapt
from genui.kinds.open_text.tokenizer import PretrainedTokenizer, serialise, tokenizer_from_gguf
from genui.recipes import override
from genui.runs.models import find_origin

transformers = import_when_used("transformers")

IDS = torch.arange(3, 40)[None]
TEXT = "What is it?\n  Arr 12 é字 <|im_end|>"


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return write_tiny_llama(tmp_path / "tiny.gguf")


def load(ref: str) -> Any:
    return find_and_load(ref)


def write_adapted(base: Path, target: Path, **settings: str) -> AdaptedModel:
    """A checkpoint of an adapter with random weights."""
    recipe = override(find_origin(str(base)).recipe, {"rank": "4", **settings})
    assert isinstance(recipe, FineTuneRecipe)
    adapted = adapt(load(str(base)).model, recipe)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in adapted.parameters():
            parameter.normal_(std=0.1)
    write_model(target, dict(adapted.state_dict()), model_metadata(recipe, 3, adapted, {}))
    return adapted


@torch.inference_mode()
def logits(model: Any) -> torch.Tensor:
    output = model(IDS)
    return getattr(output, "logits", output)


def test_transformers_loads_the_folder_without_code_and_agrees(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny-hf"
    assert main(["convert", str(base), "--out", str(folder)]) == 0
    generator = load(str(base))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(logits(model), logits(generator.model), atol=1e-5, rtol=0)
    reader = transformers.AutoTokenizer.from_pretrained(folder)
    ids = reader(TEXT).input_ids
    assert ids == encode_template(generator.tokenizer, TEXT)
    assert reader.decode(ids) == TEXT
    chat = [{"role": "user", "content": "hi"}]
    prompt = reader.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert prompt == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert model.generation_config.eos_token_id == sorted(generator.tokenizer.ends, reverse=True)


@pytest.mark.parametrize(("dtype", "distance"), [("fp32", 0.0), ("fp16", 0.05), ("q8_0", 0.5)])
def test_a_gguf_file_reads_back(dtype: str, distance: float, base: Path, tmp_path: Path) -> None:
    file = tmp_path / f"{dtype}.gguf"
    assert main(["convert", str(base), "--dtype", dtype, "--out", str(file)]) == 0
    before, after = load(str(base)), load(str(file))
    difference = (logits(after.model) - logits(before.model)).abs().max()
    assert difference <= distance
    assert (difference > 0) == (dtype != "fp32")
    assert encode_template(after.tokenizer, TEXT) == encode_template(before.tokenizer, TEXT)
    assert after.tokenizer.chat_template == before.tokenizer.chat_template
    assert after.tokenizer.ends == before.tokenizer.ends


def test_a_folder_becomes_a_gguf_file_with_the_same_tokens(base: Path, tmp_path: Path) -> None:
    folder, file, again = tmp_path / "tiny-hf", tmp_path / "back.gguf", tmp_path / "again"
    assert main(["convert", str(base), "--out", str(folder)]) == 0
    assert main(["convert", str(folder), "--dtype", "fp32", "--out", str(file)]) == 0
    assert main(["convert", str(folder), "--out", str(again)]) == 0
    before = load(str(base))
    for target in (folder, file, again):
        after = load(str(target))
        torch.testing.assert_close(logits(after.model), logits(before.model), atol=1e-6, rtol=0)
        for encode in (PretrainedTokenizer.encode, encode_template):
            assert encode(after.tokenizer, TEXT) == encode(before.tokenizer, TEXT)
        assert after.tokenizer.ends == before.tokenizer.ends
        assert after.tokenizer.special == before.tokenizer.special


def test_a_tokenizer_that_puts_nothing_first_is_written_without_a_first_token(
    base: Path, tmp_path: Path
) -> None:
    """Its first token of "a" was named as the one to begin with, and texts were split at each a."""
    folder, again, file = tmp_path / "tiny-hf", tmp_path / "again", tmp_path / "back.gguf"
    assert main(["convert", str(base), "--out", str(folder), "--no-check"]) == 0
    assert main(["convert", str(folder), "--out", str(again), "--no-check"]) == 0
    assert main(["convert", str(folder), "--out", str(file), "--no-check"]) == 0
    reader = transformers.AutoTokenizer.from_pretrained(again)
    assert reader.bos_token is None
    assert reader("what a cat").input_ids == load(str(base)).tokenizer.encode("what a cat")
    assert "tokenizer.ggml.bos_token_id" not in read_gguf(file).metadata


@pytest.mark.parametrize("target", ["tiny-hf", "tiny.gguf"])
def test_what_was_written_is_read_back(
    target: str, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out" / target
    out.parent.mkdir()
    assert main(["convert", str(base), "--out", str(out)]) == 0
    title = "transformers" if target == "tiny-hf" else "genui"
    assert f"read back by {title}" in capsys.readouterr().err
    assert list(out.parent.iterdir()) == [out]


def test_a_sentencepiece_vocabulary_is_joined_by_the_library_and_bounded() -> None:
    words = ["▁the", "▁cat", "he", "th", "▁t", "▁c", "at", "ca", "▁th"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += [*"▁abcdefghijklmnopqrstuvwxyz?", *words]
    common = 3 + 256
    fields: dict[str, object] = {
        "model": "llama",
        "tokens": pieces,
        "scores": [0.0] * common + [-float(n) for n in range(len(pieces) - common)],
        "token_type": [2, 3, 3, *[6] * 256, *[1] * (len(pieces) - common)],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "unknown_token_id": 0,
    }
    tokenizer = tokenizer_from_gguf({f"tokenizer.ggml.{k}": v for k, v in fields.items()})
    theirs = serialise(tokenizer)
    for text in ("the cat", "  thecat é字 the", "what is that?", "x"):
        assert theirs.decode(tokenizer.encode(text)) == text
    assert theirs.encode("the</s>cat").ids[-3:] != tokenizer.encode("the</s>cat")[-3:]
    long = {"tokens": [*pieces[:-1], "a" * 100_000]}
    with pytest.raises(GenuiError, match="more than 128 characters"):
        tokenizer_from_gguf({f"tokenizer.ggml.{k}": v for k, v in (fields | long).items()})


@pytest.mark.parametrize("targets", ["q,v", "q,k,v,o,gate,up,down"])
def test_an_adapter_gives_the_same_bits_in_peft_and_the_same_logits_merged(
    targets: str, base: Path, tmp_path: Path
) -> None:
    peft: Any = pytest.importorskip("peft")
    checkpoint, folder = tmp_path / "mine.safetensors", tmp_path / "mine-peft"
    adapted = write_adapted(base, checkpoint, targets=targets)
    assert main(["convert", str(base), "--out", str(tmp_path / "tiny-hf")]) == 0
    assert main(["convert", str(checkpoint), "--to", "peft", "--out", str(folder)]) == 0
    plain = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "tiny-hf")
    theirs = peft.PeftModel.from_pretrained(plain, str(folder)).eval()
    ours = logits(adapted)
    torch.testing.assert_close(logits(theirs), ours, atol=1e-6, rtol=0)
    assert (ours - logits(adapted.base.network)).abs().max() > 0.1
    for target in ("mine-hf", "mine.gguf"):
        out = tmp_path / target
        words = ["convert", str(checkpoint), "--out", str(out), "--dtype", "fp32"]
        assert main(words) == 0
    rounding = 1e-5 * float(ours.std())
    merged = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "mine-hf")
    torch.testing.assert_close(logits(merged), ours, atol=rounding, rtol=0)
    read_back = load(str(tmp_path / "mine.gguf")).model
    torch.testing.assert_close(logits(read_back), ours, atol=rounding, rtol=0)
    for ref in (checkpoint, folder):  # the adapter itself, and peft's folder as a model
        torch.testing.assert_close(logits(load(str(ref)).model), ours, atol=0, rtol=0)


def test_an_adapter_that_peft_trained_is_a_model(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peft: Any = pytest.importorskip("peft")
    plain, folder = tmp_path / "tiny-hf", tmp_path / "theirs"
    assert main(["convert", str(base), "--out", str(plain)]) == 0
    config = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], use_rslora=True
    )
    model = peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(plain), config)
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
    model.save_pretrained(folder)
    file = folder / "adapter_config.json"
    fields = json.loads(file.read_text())
    file.write_text(json.dumps(fields | {"base_model_name_or_path": "tiny"}))
    assert main(["show", str(folder)]) == 2
    assert "its base model tiny is not here" in capsys.readouterr().err
    assert main(["models", "add", str(base), "--name", "tiny"]) == 0
    assert main(["show", str(folder)]) == 0
    assert "an adapter of tiny" in capsys.readouterr().out
    loaded = load(str(folder)).model
    torch.testing.assert_close(logits(loaded), logits(model), atol=1e-6, rtol=0)
    assert loaded.base.network is load("tiny").model  # one copy in memory
    assert main(["generate", str(folder), "--prompt", "What", "--tokens", "3"]) == 0
    file.write_text(json.dumps(fields | {"base_model_name_or_path": "tiny", "r": 4096}))
    assert main(["generate", str(folder), "--prompt", "What"]) == 1
    assert "its rank should be 4096" in capsys.readouterr().err
    with pytest.raises(MisuseError, match=f"genui convert {folder} --to hf .* train from that"):
        find_origin(str(folder))
    file.write_text(json.dumps(fields | {"use_dora": True}))
    assert main(["generate", str(folder), "--prompt", "What"]) == 2
    error = capsys.readouterr().err
    assert "use_dora: only plain LoRA is computed here" in error


def test_a_folder_is_added_by_its_name_from_beside_it(
    base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(base.parent)
    assert main(["models", "add", base.name, "--name", base.name]) == 0
    monkeypatch.chdir("/")
    assert main(["show", base.name]) == 0
    capsys.readouterr()
    assert main(["models", "add", "nowhere"]) == 2
    assert "nowhere: no such file or folder" in capsys.readouterr().err
