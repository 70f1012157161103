"""Folders of Hugging Face language models, read without transformers and without torch."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from genui.base.errors import MisuseError
from genui.cli.main import main
from genui.kinds.open_text import folder as huggingface

CONFIG = {
    "model_type": "gpt2",
    "architectures": ["GPT2LMHeadModel"],
    "n_positions": 128,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tiny"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG))
    (path / "tokenizer.json").write_text("{}")
    (path / "README.md").write_text("---\nlanguage: en\nlicense: mit\n---\n# Tiny\n")
    save_file({"wte": np.zeros((10, 4), np.float16)}, path / "model.safetensors")
    return path


def test_a_folder_is_described_by_its_headers(folder: Path) -> None:
    assert huggingface.recognise(folder)
    model = huggingface.describe(folder)
    assert (model.architecture, model.parameters, model.size) == ("gpt2", 40, 80)
    assert (model.stored, model.context, model.licence, model.chat) == ("fp16", 128, "mit", False)


@pytest.mark.parametrize("method", ["fp8", "awq", "gptq"])
def test_a_quantised_folder_says_what_to_take(method: str, folder: Path) -> None:
    """Only its tensors were refused, when it was used, with the advice to fetch it again."""
    config = CONFIG | {"quantization_config": {"quant_method": method, "bits": 4}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(MisuseError, match=f"is quantised by {method}; take the GGUF or the unq"):
        huggingface.describe(folder)


def test_shards_are_counted_together(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    names = {}
    for part in ("a", "b"):
        save_file({part: np.zeros((3, 2), np.float32)}, folder / f"{part}.safetensors")
        names[part] = f"{part}.safetensors"
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}))
    assert huggingface.describe(folder).parameters == 12
    (folder / "b.safetensors").unlink()
    with pytest.raises(MisuseError, match=r"tiny: b\.safetensors is missing; fetch"):
        huggingface.describe(folder)
    index.write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))
    with pytest.raises(MisuseError, match=r"passwd is missing"):
        huggingface.describe(folder)


def test_an_index_that_names_an_impossible_file_is_one_line(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "x" * 3000}}))
    with pytest.raises(MisuseError, match=r"xxx… is missing; fetch") as error:
        huggingface.describe(folder)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("where", ["file", "configuration", "list"])
def test_a_chat_template_is_found(folder: Path, where: str) -> None:
    template = "{{ messages[0].content }}"
    if where == "file":
        (folder / "chat_template.jinja").write_text(template)
    else:
        named = [{"name": "tool", "template": ""}, {"name": "default", "template": template}]
        value = template if where == "configuration" else named
        (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": value}))
    assert huggingface.read_template(folder) == template
    assert huggingface.describe(folder).chat


def _config(**changes: object) -> Callable[[Path], object]:
    return lambda path: (path / "config.json").write_text(json.dumps(CONFIG | changes))


def _pickled(path: Path) -> None:
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


def _truncated(path: Path) -> None:
    data = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(data[:-5])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (_config(auto_map={"AutoModel": "evil.py"}), "needs code of its own"),
        (_config(architectures=["BertModel"]), "BertModel predicts no next token"),
        (_config(n_layer=1 << 40), r"claims 1099511627776 layers and has 1 tensors"),
        (_config(n_layer="many"), r"claims many layers"),
        (_pickled, "pickles"),
        (_truncated, r"model\.safetensors: it is truncated"),
        (lambda path: (path / "model.safetensors").unlink(), r"has no model\.safetensors"),
        (lambda path: (path / "tokenizer.json").unlink(), r"has no tokenizer\.json"),
    ],
)
def test_what_genui_cannot_use_is_one_line(
    folder: Path, change: Callable[[Path], object], fault: str
) -> None:
    change(folder)
    with pytest.raises(MisuseError, match=fault) as raised:
        huggingface.describe(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "[1]", "{" * 100_000, '{"model_type": 3'])
def test_a_damaged_configuration_is_no_folder_of_ours(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    assert not huggingface.recognise(folder)


@pytest.mark.parametrize("value", [3, True, "GPT2LMHeadModel", {"a": 1}, [], None])
def test_architectures_of_another_type_are_no_fault(folder: Path, value: object) -> None:
    _config(architectures=value)(folder)
    assert huggingface.describe(folder).architecture == "gpt2"


def test_the_licence_is_that_of_the_front_matter(folder: Path) -> None:
    card = '---\r\nlicense: other\r\nlicense_name: "mine" # c\r\n---\r\nlicense: bsd\n'
    (folder / "README.md").write_text(card)
    assert huggingface.describe(folder).licence == "mine"
    (folder / "README.md").write_text("---\nlanguage: en\n---\nlicense: bsd\n")
    assert huggingface.describe(folder).licence == ""


def test_a_single_file_of_stable_diffusion_is_told_how_it_becomes_a_folder(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "add", str(folder / "model.safetensors")]) == 2
    assert "from_single_file(FILE).save_pretrained(FOLDER)" in capsys.readouterr().err
