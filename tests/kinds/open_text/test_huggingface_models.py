"""Folders that transformers wrote, with random weights, as models of genui."""

import io
import json
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hf_tokenizers import TEXT, byte_level_tokenizer
from importing import import_when_used

transformers = import_when_used("transformers")
from template_tokens import encode_template  # noqa: E402
from tokenizers import Tokenizer as HFTokenizer  # noqa: E402
from tokenizers import models  # noqa: E402

from genui.base.errors import GenuiError, MisuseError  # noqa: E402
from genui.engine.device import Machine  # noqa: E402
from genui.engine.load import load_open, open_trace  # noqa: E402
from genui.engine.loading import LoadProgress  # noqa: E402
from genui.engine.sample.reader import TextReader  # noqa: E402
from genui.engine.sample.token_list import TokenList  # noqa: E402
from genui.engine.sample.windows import Reading  # noqa: E402
from genui.kinds.open_text import load as pretrained  # noqa: E402
from genui.kinds.open_text.folder_network import load_folder, load_tokenizer  # noqa: E402
from genui.kinds.open_text.tokenizer import open_tokenizer, tokenizer_from_file  # noqa: E402
from genui.protocol import Start, TextSettings  # noqa: E402
from genui.runs.models import find_model, find_origin  # noqa: E402


def _llama(vocab_size: int) -> Any:
    config = transformers.LlamaConfig(
        vocab_size=vocab_size, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, eos_token_id=[1],
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


def _gpt2(vocab_size: int) -> Any:
    config = transformers.GPT2Config(
        vocab_size=vocab_size, n_embd=32, n_layer=2, n_head=2, n_positions=256, eos_token_id=1
    )
    return transformers.GPT2LMHeadModel(config)


def _is_gpt2(folder: Path) -> bool:
    return json.loads((folder / "config.json").read_text())["model_type"] == "gpt2"


def _saved(network: Any, path: Path) -> Path:
    """A folder with the network and a tokenizer, as transformers writes it."""
    network.save_pretrained(path)
    byte_level_tokenizer().save(str(path / "tokenizer.json"))
    return path


SMALL = {"vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2}
RECURRENT = {"conv_kernel": 4, "state_size": 16, "bos_token_id": 0, "eos_token_id": 1}
OTHERS: dict[str, Callable[[], Any]] = {
    "mamba": lambda: transformers.MambaForCausalLM(transformers.MambaConfig(**SMALL)),
    "mamba2": lambda: transformers.Mamba2ForCausalLM(
        transformers.Mamba2Config(**SMALL, **RECURRENT, num_heads=8, head_dim=8, n_groups=1)
    ),
    "bloom": lambda: transformers.BloomForCausalLM(
        transformers.BloomConfig(vocab_size=300, hidden_size=32, n_layer=2, n_head=2)
    ),
    "gpt_oss": lambda: transformers.GptOssForCausalLM(
        transformers.GptOssConfig(
            **SMALL, intermediate_size=32, num_local_experts=4, num_attention_heads=4,
            num_key_value_heads=2, head_dim=8, sliding_window=8, num_experts_per_tok=2,
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
@torch.inference_mode()
def test_an_architecture_without_sdpa_loads_and_reads_token_by_token(
    name: str, tmp_path: Path
) -> None:
    """The attention of transformers was always asked to be that of torch."""
    torch.manual_seed(0)
    theirs = OTHERS[name]().eval()
    for parameter in theirs.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    network, _ = load_folder(_saved(theirs, tmp_path / name))
    token_ids = torch.randint(300, (1, 40), generator=torch.Generator().manual_seed(1))
    expected = theirs(token_ids).logits[0]
    state: Any = network.eval().new_state(1)
    rows = [network.prefill(token_ids[:, :10], state)]
    rows += [network.decode(token_ids[:, at], state) for at in range(10, 40)]
    torch.testing.assert_close(torch.cat(rows), expected[9:], atol=1e-4, rtol=1e-4)


def test_an_architecture_that_keeps_no_cache_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.RwkvConfig(**SMALL, attention_hidden_size=32, context_length=64)
    folder = _saved(transformers.RwkvForCausalLM(config), tmp_path / "rwkv")
    with pytest.raises(MisuseError, match="'rwkv' keeps no cache that genui can go back in"):
        load_folder(folder)


@pytest.fixture(scope="module", params=[_llama, _gpt2], ids=["ours", "transformers"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hub") / "tiny"
    torch.manual_seed(0)
    tokenizer = byte_level_tokenizer()
    request.param(tokenizer.get_vocab_size() + 4).save_pretrained(path)  # rows without a token
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"})
    )
    return path


@torch.inference_mode()
def test_logits_are_those_of_transformers(folder: Path) -> None:
    network, tokenizer = load_folder(folder)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    token_ids = torch.tensor([tokenizer.encode(TEXT)])
    expected = theirs(token_ids).logits
    assert (network.eval()(token_ids) - expected).abs().max() < 1e-4
    assert tokenizer.size == expected.shape[-1]


def test_tokens_are_those_of_transformers_and_special_ones_are_never_typed(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    plain = TEXT.replace("<|end|>", "")
    assert tokenizer.encode(plain) == theirs.encode(plain, add_special_tokens=False)
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    assert 1 not in tokenizer.encode(TEXT)
    assert 1 in encode_template(tokenizer, TEXT)
    assert (tokenizer.begin, tokenizer.end, tokenizer.ends) == (0, 1, {1})


def test_a_folder_writes_goes_back_and_forks_to_the_same_bits(folder: Path) -> None:
    assert find_model(str(folder)).format == "huggingface"
    settings = TextSettings(tokens=24, temperature=0.8)
    request = Start(trace=1, model=str(folder), prompt="The quick", seed=3, settings=settings)
    trace = open_trace(request)
    library = transformers if _is_gpt2(folder) else np
    assert trace.started.precision == f"fp32 by {library.__name__} {library.__version__}"
    frames = list(trace.advance(0, 24))
    again = [*trace.advance(9, 3), *trace.advance(2, 22)]
    assert again == [*frames[9:12], *frames[2:]]
    fresh = open_trace(request)
    assert list(fresh.advance(0, 24)) == frames
    assert fresh.started == trace.started


@pytest.mark.parametrize("folder", [_llama], indirect=True, ids=["ours"])
@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"head_dim": 1 << 36}, "heads of width 68,719,476,736, its weights have others"),
        ({"num_hidden_layers": 1 << 15}, "claims 32768 layers"),
        ({"num_hidden_layers": 1 << 15, "text_config": {}}, "has 32,768 layers"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"vocab_size": "x" * 999}, "expected a whole number"),
    ],
)
def test_a_configuration_that_claims_too_much_is_one_line(
    changes: dict[str, Any], fault: str, folder: Path, tmp_path: Path
) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    fields = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(fields | changes))
    with pytest.raises(GenuiError, match=fault) as error:
        open_trace(Start(trace=1, model=str(tmp_path), prompt="a", seed=1, settings=TextSettings()))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_texts_in_any_order_have_the_bits_that_they_have_alone(folder: Path) -> None:
    network, machine = load_folder(folder)[0].eval(), Machine("cpu", "fp32", 1)
    tokens, reader = [3 + (7 * at) % 90 for at in range(40)], TextReader(network, machine)
    for length in (30, 12, 20, 8, 31, 9, 25):
        reading = Reading(TokenList(tokens[:length]), prompt=6)
        alone = TextReader(network, machine).logits(reading)
        assert (reader.logits(reading) == alone).all()


def test_only_a_model_of_our_own_network_can_be_trained_on(folder: Path) -> None:
    if find_model(str(folder)).trains:
        assert find_origin(str(folder)).is_base
    else:
        assert _is_gpt2(folder)
        with pytest.raises(MisuseError, match="cannot be trained on; start from a model of the Ll"):
            find_origin(str(folder))


def test_a_fault_of_a_file_that_others_wrote_does_not_ask_for_genuis(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(path: Path, dtype: torch.dtype, progress: LoadProgress) -> None:
        raise ValueError("sizes differ")

    monkeypatch.setattr(pretrained, "load_folder", load)
    with pytest.raises(GenuiError, match=r"configuration .*sizes differ.*; fetch or copy it"):
        load_open(folder, "huggingface")


def test_weights_with_a_hole_are_one_line(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    raw = weights.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    last = max((k for k in header if k != "__metadata__"), key=lambda k: header[k]["data_offsets"])
    header[last]["data_offsets"] = [at + 4 for at in header[last]["data_offsets"]]
    changed = json.dumps(header).encode()
    body = changed + raw[8 + length :] + bytes(4)
    weights.write_bytes(len(changed).to_bytes(8, "little") + body)
    with pytest.raises(GenuiError, match=r"is damaged|cannot load") as error:
        open_trace(Start(trace=1, model=str(tmp_path), prompt="a", seed=1, settings=TextSettings()))
    assert "\n" not in str(error.value)


def test_an_architecture_that_the_library_does_not_know_is_one_sentence(tmp_path: Path) -> None:
    folder = _saved(_gpt2(300), tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "gpt77"}))
    with pytest.raises(GenuiError, match=r"cannot load it \(.*does not recognize this arch.*e\)$"):
        load_folder(folder)


def test_the_library_prints_nothing_while_it_loads(tmp_path: Path) -> None:
    """It warns of tokens outside the vocabulary, and of each kernel that is not installed."""
    folder, said = _saved(_gpt2(300), tmp_path / "m"), io.StringIO()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"bos_token_id": 98_765}))
    handler, logger = logging.StreamHandler(said), logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        load_folder(folder)
    finally:
        logger.removeHandler(handler)
    assert not said.getvalue()


# --- Hostile tokenizers -------------------------------------------------------------------------


def _described() -> dict[str, Any]:
    return json.loads(HFTokenizer(models.BPE({c: i for i, c in enumerate("ab")}, [])).to_str())


def test_a_tokenizer_that_cuts_or_pads_reads_the_whole_text() -> None:
    cuts = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    pads = {
        "strategy": {"Fixed": 1 << 20}, "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "a",
    }  # fmt: skip
    text = json.dumps(_described() | {"truncation": cuts, "padding": pads})
    assert tokenizer_from_file(text, "").encode("abab") == [0, 1, 0, 1]


_DOUBLED = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
_ADDED = {
    "id": 1 << 30, "content": "<x>", "single_word": False, "lstrip": False, "rstrip": False,
    "normalized": False, "special": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"normalizer": {"type": "Sequence", "normalizers": [_DOUBLED] * 40}}, "times as long"),
        ({"added_tokens": [_ADDED]}, "names one 1,073,741,824"),
        ({"added_tokens": 3}, "damaged"),
        ({"model": {"type": "BPE", "vocab": {"a": 1 << 21}, "merges": []}}, "ids up to 2,097,152"),
        ({"model": {"type": "WordLevel"}}, "damaged"),
    ],
)
def test_a_hostile_tokenizer_is_one_line(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(GenuiError, match=fault) as error:
        tokenizer_from_file(json.dumps(_described() | changes), "")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("special", [True, False])
def test_an_added_token_that_the_network_has_not_is_text(special: bool) -> None:
    """Many fine-tuned models have added a [PAD] and no row of the embedding for it."""
    added = _ADDED | {"id": 2, "content": "ab", "special": special}
    text = json.dumps(_described() | {"added_tokens": [added]})
    assert tokenizer_from_file(text, "").encode("ab") == ([0, 1] if special else [2])
    tokenizer = tokenizer_from_file(text, "", vocab_size=2)
    assert (tokenizer.size, tokenizer.encode("ab")) == (2, [0, 1])


def test_a_tokenizer_with_more_tokens_than_the_network_is_one_line() -> None:
    with pytest.raises(GenuiError, match="its tokenizer has 2 tokens and its network 1"):
        tokenizer_from_file(json.dumps(_described()), "", vocab_size=1)


def test_a_pattern_that_takes_for_ever_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    split = {"Regex": "(a+)+$"}
    splitter = {"type": "Split", "pattern": split, "behavior": "Isolated", "invert": False}
    tokenizer = tokenizer_from_file(json.dumps(_described() | {"pre_tokenizer": splitter}), "")
    with pytest.raises(GenuiError, match="its tokenizer is damaged"):
        tokenizer.encode("a" * 28 + "b")


def test_tokenizers_opened_by_several_threads_leave_stderr_as_it_was() -> None:
    text = HFTokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")).to_str()
    before = os.fstat(2)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(open_tokenizer, [text] * 4000))
    after = os.fstat(2)
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)


def test_a_tokenizer_that_makes_the_library_panic_is_one_line(capfd: Any) -> None:
    """It printed a backtrace of Rust of 40 lines on stderr."""
    described = json.loads(byte_level_tokenizer().to_str())
    described["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
    with pytest.raises(GenuiError, match="its tokenizer is damaged"):
        tokenizer_from_file(json.dumps(described), "")
    assert capfd.readouterr().err == ""


def test_half_a_character_in_a_text_is_a_question_mark() -> None:
    tokenizer = tokenizer_from_file(byte_level_tokenizer().to_str(), "")
    assert tokenizer.encode("a\ud800b") == tokenizer.encode("a?b")
