"""The logit lens and edits of layers in Llamas, adapters and a real open model."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from layer_checks import PROMPT, edited_head, frames_of, tokens_before, trace_of
from torch import Tensor

from genui.engine.data.tokenizer import CharTokenizer
from genui.engine.device import Machine
from genui.engine.load import open_trace
from genui.engine.sample.lens import read_layers
from genui.engine.sample.text import TextGenerator
from genui.kinds.open_text.llama import Block, Llama, LlamaConfig
from genui.kinds.open_text.lora import AdaptedModel, Base
from genui.protocol import Ablate, Patch, Start, Steer, TextSettings

FILE = os.environ.get("GENUI_SMOLLM2", "")
MACHINE = Machine("cpu", "fp32", 1)
ALPHABET = "\n abcdefghijklmnopqrstuvwxyz"


@torch.inference_mode()
@pytest.mark.parametrize("variant", [{}, {"post_norms": True, "logit_cap": 30.0, "tied": True}])
def test_the_llama_family_shows_its_layers_with_its_own_norms_and_head(
    variant: dict[str, Any],
) -> None:
    config = LlamaConfig(
        vocab_size=28, layers=2, width=32, heads=4, kv_heads=2, head_width=16, feed_forward=48,
        context=64, **variant,
    )  # fmt: skip
    torch.manual_seed(0)
    model = Llama(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    generator = TextGenerator(model, CharTokenizer(ALPHABET), MACHINE, "pretrained")
    trace = trace_of(generator)
    layers, frame = read_layers(trace, 9), frames_of(trace)[8]
    row = torch.tensor([tokens_before(trace, 9)])
    hidden_states = model.hidden_states(row)
    last = hidden_states[-1][0, -1]
    head = model.embedding.weight if config.tied else model.head.weight
    for one, stream in zip(layers.layers, hidden_states, strict=True):
        x = stream[0, -1]
        logits = head @ (x * (x.square().mean() + config.norm_eps) ** -0.5 * model.norm.weight)
        if cap := config.logit_cap:
            logits = cap * torch.tanh(logits / cap)
        assert one.chosen == pytest.approx(float(logits.softmax(-1)[frame.token]), rel=1e-3)
    direction = head[frame.token] - head[ALPHABET.index(layers.other)]
    direction = direction * model.norm.weight * (last.square().mean() + config.norm_eps) ** -0.5
    assert layers.difference == pytest.approx(float(last @ direction), abs=1e-3)
    assert layers.rest == pytest.approx(float(hidden_states[0][0, -1] @ direction), abs=1e-3)
    # Without a head's rows the block adds less by what that head is said to add, if the scale of
    # the norm after it is frozen.
    block = model.blocks[1]
    assert isinstance(block, Block)
    added: list[Tensor] = []
    hook = block.attention.register_forward_hook(lambda _, __, y: added.append(y[0, -1]))
    model.hidden_states(row)
    with edited_head(block.attention.o, slice(16, 32)):
        model.hidden_states(row)
    hook.remove()
    part = added[0] - added[1]
    if config.post_norms:
        scale = (added[0].square().mean() + config.norm_eps) ** -0.5
        part = part * scale * block.attention_post_norm.weight
    assert layers.heads[1][1] == pytest.approx(float(part @ direction), abs=1e-3)
    branch = trace.fork(4, 8, Ablate(layer=2, head=2))
    with edited_head(block.attention.o, slice(16, 32), first=len(PROMPT) + 7):
        expected = model(row)[0, -1]
    np.testing.assert_allclose(branch.state(8).logits, expected, atol=1e-4)


@torch.inference_mode()
def test_adapters_count_with_the_layers_they_adapt() -> None:
    config = LlamaConfig(
        vocab_size=28, layers=2, width=32, heads=4, kv_heads=2, head_width=16, feed_forward=48,
        context=64,
    )  # fmt: skip
    torch.manual_seed(0)
    network = Llama(config)
    blocks = [block for block in network.blocks if isinstance(block, Block)]
    layers = {f"part.{at}": block.attention.o for at, block in enumerate(blocks)}
    model = AdaptedModel(Base(network, layers), 4, 1.0)
    for parameter in (*network.parameters(), *model.parameters()):
        torch.nn.init.normal_(parameter, std=0.3)
    trace = trace_of(TextGenerator(model, CharTokenizer(ALPHABET), MACHINE, "pretrained"), 10)
    seen = read_layers(trace, 9)
    row = torch.tensor([tokens_before(trace, 9)])
    hidden_states = model.hidden_states(row)
    token = frames_of(trace)[8].token
    tokens = torch.tensor([token, ALPHABET.index(seen.other)])
    direction = torch.sub(*model.token_directions(hidden_states[-1][0, -1], tokens)[0])
    assert seen.rest == pytest.approx(float(hidden_states[0][0, -1] @ direction), abs=1e-3)
    for at in range(2):
        both = (hidden_states[at + 1] - hidden_states[at])[0, -1] @ direction
        added = sum(seen.heads[at]) + seen.feed_forward[at]
        assert added == pytest.approx(float(both), abs=1e-3)


@pytest.mark.skipif(not Path(FILE).is_file(), reason="GENUI_SMOLLM2 names no file")
def test_an_open_model_knows_paris_in_its_last_layers_and_rome_when_patched() -> None:
    start = Start(
        trace=1, model=FILE, prompt="The capital of France is", seed=1,
        settings=TextSettings(temperature=0, tokens=4),
    )  # fmt: skip
    trace = open_trace(start)
    assert frames_of(trace)[0].text == " Paris"
    layers = read_layers(trace, 1).layers
    assert len(layers) == 31
    ranks = [one.rank for one in layers[-6:]]
    assert ranks[-1] == 1 < ranks[0]
    assert sorted(ranks[2:], reverse=True) == ranks[2:]
    patched = trace.fork(2, 0, Patch(layer=20, position=3, text="The capital of Italy is"))
    assert frames_of(patched)[0].text == " Rome"
    love, hate = "I love this, it is wonderful", "I hate this, it is terrible"
    steered = patched.fork(3, 2, Steer(layer=15, strength=3, towards=love, away=hate))
    frames = frames_of(steered)
    assert frames_of(open_trace(steered.request)) == frames
