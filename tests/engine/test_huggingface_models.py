"""Folders that transformers wrote, with random weights, as models of genui."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

transformers = pytest.importorskip("transformers")
from tokenizers import Tokenizer as HFTokenizer  # noqa: E402
from tokenizers import decoders, models, pre_tokenizers, processors, trainers  # noqa: E402

from genui.engine.load import open_trace  # noqa: E402
from genui.engine.models.huggingface import load_folder, load_tokenizer  # noqa: E402
from genui.protocol import Start, TextSettings  # noqa: E402
from genui.runs.models import find_model  # noqa: E402

TEXT = "The quick brown fox jumps over the lazy dog. 12 zebras, naïve 東京 ☕ <|end|> "


def _byte_level() -> HFTokenizer:
    tokenizer = HFTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|begin|>", "<|end|>"], initial_alphabet=alphabet,
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator([TEXT.replace("<|end|>", "")], trainer)
    single, special = "<|begin|> $A", [("<|begin|>", 0)]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=special)
    return tokenizer


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


@pytest.fixture(scope="module", params=[_llama, _gpt2], ids=["ours", "transformers"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hub") / "tiny"
    torch.manual_seed(0)
    tokenizer = _byte_level()
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
    assert 1 in tokenizer.encode_with_special(TEXT)
    assert (tokenizer.begin, tokenizer.end, tokenizer.ends) == (0, 1, {1})


def test_a_folder_writes_goes_back_and_forks_to_the_same_bits(folder: Path) -> None:
    assert find_model(str(folder)).format == "huggingface"
    settings = TextSettings(tokens=24, temperature=0.8)
    request = Start(trace=1, model=str(folder), prompt="The quick", seed=3, settings=settings)
    trace = open_trace(request)
    frames = list(trace.advance(0, 24))
    again = [*trace.advance(9, 3), *trace.advance(2, 22)]
    assert again == [*frames[9:12], *frames[2:]]
    fresh = open_trace(request)
    assert list(fresh.advance(0, 24)) == frames
    assert fresh.started == trace.started
