"""Decoding of Llamas and adapters by NumPy beside the networks themselves."""

from typing import Any

import pytest
import torch
from decoder_checks import check_forks, check_logits, check_rows
from networks import random_network

from genui.engine.models.fast_decoding import build_decoder
from genui.kinds.open_text.llama import Llama, LlamaConfig, Rope
from genui.kinds.open_text.lora import AdaptedModel, Base

VOCABULARY = 28

LLAMAS: dict[str, dict[str, Any]] = {
    "llama": {"rope": Rope(kind="yarn", factor=4.0, original_context=16, attention_factor=1.1)},
    "tied, biases": {
        "tied": True, "qkv_bias": True, "output_bias": True, "feed_forward_bias": True,
    },
    "gemma 2": {
        "window": 8, "windowed": (True, False), "post_norms": True, "attention_cap": 5.0,
        "logit_cap": 9.0, "activation": "gelu", "embedding_scale": 2.0, "attention_scale": 0.3,
    },
    "gemma 3": {
        "window": 8, "windowed": (True, False), "post_norms": True, "qk_norm": True,
        "local_rope": Rope(base=100.0),
    },
}  # fmt: skip


def llama_of(**variant: Any) -> Llama:
    config = LlamaConfig(
        vocab_size=VOCABULARY, layers=2, width=32, heads=4, kv_heads=2, head_width=16,
        feed_forward=48, context=64, **variant,
    )  # fmt: skip
    torch.manual_seed(0)
    network = Llama(config).eval().requires_grad_(False)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network


def adapted_llama() -> AdaptedModel:
    network = llama_of()
    layers: dict[str, Any] = {
        f"part.{number}": layer
        for number, (name, layer) in enumerate(network.named_modules())
        if name.endswith((".q", ".down"))
    }
    model = AdaptedModel(Base(network, layers), 4, 0.5).eval().requires_grad_(False)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


MODELS: dict[str, Any] = {
    "adapters": adapted_llama,
    **{name: lambda variant=variant: llama_of(**variant) for name, variant in LLAMAS.items()},
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]()


def test_logits_are_those_of_the_network(model: Any) -> None:
    check_logits(model, VOCABULARY)


def test_going_back_and_forking_give_the_same_bits(model: Any) -> None:
    check_forks(model, VOCABULARY)


def test_rows_of_any_lengths_have_the_bits_of_one_alone(model: Any) -> None:
    check_rows(model, VOCABULARY)


def test_there_is_no_decoder_for_adapters_of_a_recurrent_network() -> None:
    recurrent = random_network("recurrent", VOCABULARY)
    layer = next(each for each in recurrent.modules() if isinstance(each, torch.nn.Linear))
    assert build_decoder(AdaptedModel(Base(recurrent, {"a": layer}), 4, 0.5)) is None
