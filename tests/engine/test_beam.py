"""The likeliest filling of a gap, beside greedy choosing and beside all fillings there are."""

import numpy as np
import pytest
import torch
from networks import NETWORKS, random_network

from genui.engine.data import fim
from genui.engine.data.tokenizer import train_bpe
from genui.engine.device import Machine
from genui.engine.sample.text import TextGenerator, beam_search
from genui.engine.sample.trace import Trace
from genui.protocol import FILL, Start, TextFrame, TextSettings

TEXT = "".join(f"def f_{n}(a, b):\n    return a * {n} + b\n\n\n" for n in range(60))
PREFIX, SUFFIX = "def f_7(a, b):\n    return (", ") + b\n"


pytestmark = pytest.mark.parametrize("network", NETWORKS)


def writer(network: str, seed: int) -> TextGenerator:
    tokenizer = train_bpe([TEXT], 280).with_gaps()
    model = random_network(network, tokenizer.size, seed, spread=0.2, context=64)
    with torch.no_grad():
        model.get_parameter("head.weight")[tokenizer.end] *= 3  # ends come often enough
    return TextGenerator(model, tokenizer, Machine("cpu", "fp32", 1))


@torch.inference_mode()
def log_probability(generator: TextGenerator, prompt: list[int], filling: list[int]) -> float:
    """Of a filling and its end, in one reading of the whole."""
    tokenizer = generator.tokenizer
    assert tokenizer.gap is not None
    assert tokenizer.end is not None
    logits = generator.model(torch.tensor([prompt + filling]))[0]
    logits[:, [tokenizer.gap.suffix, tokenizer.gap.middle]] = -1e4
    chances = logits.log_softmax(-1)[len(prompt) - 1 :]
    return float(sum(chances[at, token] for at, token in enumerate([*filling, tokenizer.end])))


@pytest.mark.parametrize("seed", range(5))
def test_as_many_beams_as_tokens_find_the_likeliest_of_all_short_fillings(
    network: str, seed: int
) -> None:
    generator = writer(network, seed)
    tokenizer = generator.tokenizer
    prompt = fim.format_gap(tokenizer, PREFIX, SUFFIX, 40)
    assert tokenizer.end is not None
    words = [t for t in range(tokenizer.size - 2) if t != tokenizer.end]
    every = [[], *([token] for token in words)]
    best = max(every, key=lambda filling: log_probability(generator, prompt, filling))
    assert beam_search(generator, prompt, PREFIX, tokenizer.size, most=2) == best


@pytest.mark.parametrize("seed", range(5))
def test_more_beams_never_find_a_less_likely_filling(network: str, seed: int) -> None:
    generator = writer(network, seed)
    prompt = fim.format_gap(generator.tokenizer, PREFIX, SUFFIX, 40)
    found = [beam_search(generator, prompt, PREFIX, width, most=4) for width in (1, 300)]
    if found[0]:
        one, many = (log_probability(generator, prompt, filling) for filling in found)
        assert many >= one - 1e-4


def test_one_beam_is_what_greedy_choosing_writes(network: str) -> None:
    ended = 0
    for seed in range(8):
        generator = writer(network, seed)
        settings = TextSettings(temperature=0, tokens=16)
        request = Start(
            trace=1, model="m", prompt=PREFIX + FILL + SUFFIX, seed=0, settings=settings
        )
        frames = list(Trace(generator, request).advance(0, 16))
        written = [frame.token for frame in frames if isinstance(frame, TextFrame)]
        if written[-1] == generator.tokenizer.end:
            ended += 1
            prompt = fim.format_gap(generator.tokenizer, PREFIX, SUFFIX, 64 - 16)
            assert beam_search(generator, prompt, PREFIX, 1, 16) == written[:-1]
    assert ended


def test_a_space_before_the_gap_is_written_first(network: str) -> None:
    generator = writer(network, 0)
    tokenizer = generator.tokenizer
    prompt = fim.format_gap(tokenizer, "x =", "\n", 40)
    found = beam_search(generator, prompt, "x = ", 300, most=3)
    assert tokenizer.decode(found).startswith(" ")
    assert np.isfinite(log_probability(generator, prompt, found))
