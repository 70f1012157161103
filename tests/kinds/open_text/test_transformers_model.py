"""Models of the transformers library behind the seam, with random weights."""

from typing import Any

import pytest
import torch
from importing import import_when_used

transformers = import_when_used("transformers")

from genui.engine.data.tokenizer import CharTokenizer  # noqa: E402
from genui.engine.device import Machine  # noqa: E402
from genui.engine.sample.lens import read_layers  # noqa: E402
from genui.engine.sample.text import TextGenerator  # noqa: E402
from genui.engine.sample.trace import Trace  # noqa: E402
from genui.kinds.open_text.transformers_model import TransformersModel  # noqa: E402
from genui.protocol import Ablate, Patch, Start, Steer, TextSettings  # noqa: E402

VOCABULARY, PROMPT, LENGTH = 60, 10, 50


def _sizes(**more: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
    } | more


def _gpt2() -> Any:
    config = transformers.GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=2)
    return transformers.GPT2LMHeadModel(config)


def _gpt_neo() -> Any:
    config = transformers.GPTNeoConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_layers=2, num_heads=2, intermediate_size=64,
        attention_types=[[["global", "local"], 1]], window_size=8, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return transformers.GPTNeoForCausalLM(config)


def _gpt_neox() -> Any:
    return transformers.GPTNeoXForCausalLM(
        transformers.GPTNeoXConfig(**_sizes(num_hidden_layers=2), bos_token_id=0, eos_token_id=1)
    )


def _gemma() -> Any:
    return transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**_sizes(sliding_window=8)))


def _mamba() -> Any:
    config = transformers.MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2)
    return transformers.MambaForCausalLM(config)


@pytest.mark.parametrize("build", [_gpt2, _gemma, _mamba], ids=["cut", "windows", "recurrent"])
@torch.inference_mode()
def test_going_back_and_reading_again_gives_the_same_bits(build: Any) -> None:
    """Whether its cache can be cut, slides, or is a recurrent state."""
    torch.manual_seed(0)
    model = TransformersModel(build()).eval()
    token_ids = torch.randint(VOCABULARY, (1, LENGTH))

    def read(state: Any, start: int) -> torch.Tensor:
        """Logits after the tokens from `start` on, in the same portions at every call."""
        rows = [] if start else [model.prefill(token_ids[:, :PROMPT], state)]
        for at in range(max(start, PROMPT), LENGTH):
            rows.append(model.decode(token_ids[:, at], state))
        return torch.cat(rows)

    state = model.new_state(1)
    once = read(state, 0)
    torch.testing.assert_close(once, model(token_ids)[0, PROMPT - 1 :], atol=1e-5, rtol=0)
    fork = state.snapshot(40)
    assert state.length == LENGTH
    for going_back in (fork, state):
        at = going_back.seek(35)
        assert PROMPT <= at <= 35
        assert torch.equal(read(going_back, at), once[at - PROMPT + 1 :])
    assert state.seek(0) == 0
    assert torch.equal(read(state, 0), once)


def test_attention_is_read_without_changing_how_the_model_runs() -> None:
    model = TransformersModel(_gpt2()).eval()
    token_ids = torch.randint(VOCABULARY, (1, 12))
    before = model(token_ids)
    weights = model.attention_weights(token_ids, last=3)
    assert weights is not None
    assert weights.shape == (2, 1, 2, 3, 12)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 1, 2, 3))
    assert torch.equal(model(token_ids), before)


# --- layers -----------------------------------------------------------------------------------

WITH_LAYERS = pytest.mark.parametrize("build", [_gpt2, _gpt_neo, _gpt_neox])
ALPHABET = "".join(map(chr, range(63, 63 + VOCABULARY)))


def _trace(network: Any, steps: int = 12) -> Trace:
    torch.manual_seed(1)
    for parameter in network.parameters():  # biases too, which begin as zeros
        torch.nn.init.normal_(parameter, std=0.2)
    machine = Machine("cpu", "fp32", 1)
    generator = TextGenerator(TransformersModel(network), CharTokenizer(ALPHABET), machine, "x")
    settings = TextSettings(tokens=20)
    trace = Trace(generator, Start(trace=1, model="m", prompt="to_be", seed=1, settings=settings))
    list(trace.advance(0, steps))
    return trace


def _model(trace: Trace) -> TransformersModel:
    assert isinstance(trace.generator, TextGenerator)
    assert isinstance(trace.generator.model, TransformersModel)
    return trace.generator.model


def _row(trace: Trace, step: int) -> torch.Tensor:
    return torch.tensor([trace.state(step - 1).token_ids.since(0).tolist()])


@WITH_LAYERS
@torch.inference_mode()
def test_layers_are_the_head_on_the_stream_after_each(build: Any) -> None:
    trace = _trace(build())
    model, row = _model(trace), _row(trace, 9)
    output = model.network(input_ids=row, output_hidden_states=True)
    streams = model.hidden_states(row)
    assert len(streams) == len(output.hidden_states) == 3
    for stream, expected in zip(streams[:-1], output.hidden_states, strict=False):
        torch.testing.assert_close(stream, expected)
    torch.testing.assert_close(model.read_out(streams[-1]), output.logits)
    layers = read_layers(trace, 9)
    for one, stream in zip(layers.layers, streams, strict=True):
        odds = model.read_out(stream[0, -1]).softmax(-1)
        assert one.chosen == pytest.approx(float(odds[ALPHABET.index(layers.token)]), rel=1e-3)


@WITH_LAYERS
@torch.inference_mode()
def test_parts_sum_to_what_the_logit_is_over_another_or_the_mean(build: Any) -> None:
    trace = _trace(build())
    model, row = _model(trace), _row(trace, 9)
    parts, outputs = model.layer_parts(), []
    hooks = [
        module.register_forward_hook(lambda _, __, output: outputs.append(output[0, -1]))
        for part in parts
        for module in (part.mixer, part.feed_forward)
    ]
    logits, last = model(row)[0, -1], model.hidden_states(row)[-1][0, -1]
    for hook in hooks:
        hook.remove()
    over = read_layers(trace, 9)
    token = ALPHABET.index(over.token)
    other = torch.tensor([ALPHABET.index(over.other)])
    for layers, less, rows in (
        (over, logits[other], other),
        (read_layers(trace, 9, "mean"), logits.mean(), None),
    ):
        assert layers.difference == pytest.approx(float(logits[token] - less), abs=1e-3)
        towards, away = (
            model.token_directions(last, rows)[0] for rows in (torch.tensor([token]), rows)
        )
        direction = (towards - away)[0]
        for at, (part, heads) in enumerate(zip(parts, layers.heads, strict=True)):
            mixed, fed = outputs[2 * at : 2 * at + 2]
            bias = part.mixer.bias if part.mixer.bias is not None else 0 * mixed
            assert len(heads) == 2
            assert sum(heads) == pytest.approx(float((mixed - bias) @ direction), abs=1e-3)
            assert layers.feed_forward[at] == pytest.approx(float(fed @ direction), abs=1e-3)


@WITH_LAYERS
@torch.inference_mode()
def test_edits_of_layers_hold_and_go_back_to_the_same_bits(build: Any) -> None:
    trace = _trace(build())
    model, row = _model(trace), _row(trace, 6)
    edits = (
        Ablate(layer=2, head=1),
        Ablate(layer=1),
        Steer(layer=1, strength=2.0, towards="abc", away="xyz"),
        Patch(layer=1, position=-1, text="other"),
    )
    branches = [trace.fork(2 + at, 5, edit) for at, edit in enumerate(edits)]
    for branch in branches:
        once = list(branch.advance(5, 10))
        assert (branch.state(5).logits != trace.state(5).logits).any()
        assert list(branch.advance(7, 8)) == once[2:]
    patched = branches[-1].state(5).logits

    def patch(_: Any, __: Any, output: Any) -> Any:
        stream = (output[0] if isinstance(output, tuple) else output).clone()
        stream[:, -1] = other
        return (stream, *output[1:]) if isinstance(output, tuple) else stream

    text = torch.tensor([[ALPHABET.index(character) for character in "other"]])
    other = model.hidden_states(text)[1][0, -1]
    hook = model.layer_parts()[0].block.register_forward_hook(patch)
    expected = model(row)[0, -1]
    hook.remove()
    torch.testing.assert_close(torch.from_numpy(patched), expected, atol=1e-4, rtol=0)


def test_an_architecture_without_a_layout_shows_no_layers() -> None:
    assert read_layers(_trace(_mamba()), 3).fault == "This model does not show its layers"
