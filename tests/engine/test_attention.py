import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import TRANSFORMER

from genui.base.errors import MisuseError
from genui.engine.models.transformer import Attention, Block, Transformer, rotary_tables
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.lens import attention
from genui.engine.sample.text import TextGenerator
from genui.engine.sample.trace import Trace
from genui.protocol import ImageSettings, SetSeed, Start, TextSettings


def trace_of(generator: TextGenerator, steps: int, prompt: str = "to be") -> Trace:
    settings = TextSettings(tokens=60)
    start = Start(trace=3, model="m", prompt=prompt, seed=1, settings=settings)
    trace = Trace(generator, start)
    list(trace.advance(0, steps))
    return trace


@torch.inference_mode()
@pytest.mark.parametrize("network", TRANSFORMER)
def test_the_weights_are_what_the_fused_kernel_computes(text_generator: TextGenerator) -> None:
    assert isinstance(text_generator.model, Transformer)
    block = text_generator.model.blocks[0]
    assert isinstance(block, Block)
    layer: Attention = block.attention
    cos, sin = rotary_tables(10, 16)
    x = F.rms_norm(torch.randn(2, 10, 32), (32,))
    weights = layer.weights(x, cos, sin, last=10)
    _, _, values = layer.queries_keys_values(x, cos, sin)
    attended = layer.out((weights @ values).transpose(1, 2).reshape(2, 10, 32))
    torch.testing.assert_close(attended, layer(x, cos, sin), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 10))
    assert float(weights.triu(1).abs().max()) == 0  # never forwards
    torch.testing.assert_close(layer.weights(x, cos, sin, last=3), weights[:, :, 7:])


@torch.inference_mode()
@pytest.mark.parametrize("network", TRANSFORMER)
def test_what_a_layer_attends_to_depends_on_the_layers_before(
    text_generator: TextGenerator,
) -> None:
    model = text_generator.model
    assert isinstance(model, Transformer)
    tokens = torch.arange(12)[None]
    weights = model.attention_weights(tokens)
    assert weights.shape == (2, 1, 2, 1, 12)
    inputs: list[torch.Tensor] = []
    block = model.blocks[1]
    assert isinstance(block, Block)
    hook = block.attention.register_forward_hook(lambda _, given, __: inputs.append(given[0]))
    model(tokens)
    hook.remove()
    expected = block.attention.weights(inputs[0], model.cos[:12], model.sin[:12], last=1)
    torch.testing.assert_close(weights[1], expected)


@pytest.mark.parametrize("network", TRANSFORMER)
@pytest.mark.parametrize(("step", "first", "seen"), [(1, 0, 5), (8, 0, 12), (40, 16, 28)])
def test_a_token_was_chosen_from_what_the_one_before_it_saw(
    text_generator: TextGenerator, step: int, first: int, seen: int
) -> None:
    trace = trace_of(text_generator, 45)
    found = attention(trace, step)
    tokens = text_generator.tokenizer.encode("to be")
    tokens += [frame.token for frame in trace.advance(0, step - 1)]  # type: ignore[union-attr]
    assert (found.trace, found.step, found.layers, found.heads) == (3, step, 2, 2)
    assert (found.first, len(found.texts)) == (first, seen)
    assert first + seen == len(tokens)
    assert "".join(found.texts) == text_generator.tokenizer.decode(tokens[first:])
    weights = np.frombuffer(found.weights, np.float16).reshape(2, 2, seen)
    np.testing.assert_allclose(weights.astype(np.float64).sum(-1), 1, atol=2e-3)
    assert (weights >= 0).all()
    row = torch.tensor([tokens[first:]])
    expected = text_generator.model.attention_weights(row)
    assert expected is not None
    expected = expected[:, 0, :, 0].detach().numpy()
    np.testing.assert_allclose(weights, expected, atol=1e-3)


def test_a_step_not_reached_has_attended_to_nothing(text_generator: TextGenerator) -> None:
    trace = trace_of(text_generator, 5)
    for step in (0, 6, -3):
        with pytest.raises(MisuseError, match=rf"step {step}: this trace has tokens 1 to 5"):
            attention(trace, step)
    with pytest.raises(MisuseError, match="no token yet"):
        attention(trace_of(text_generator, 0), 1)
    fork = trace.fork(4, 3, SetSeed(1))
    assert attention(fork, 3).weights == attention(trace, 3).weights


@pytest.mark.parametrize("network", ["recurrent"])
def test_a_network_without_attention_says_so(text_generator: TextGenerator) -> None:
    found = attention(trace_of(text_generator, 5), 3)
    assert (found.trace, found.step, found.layers, found.weights) == (3, 3, 0, b"")
    assert found.fault == "A recurrent network has no attention: a step sees only its state"


def test_images_have_no_attention_to_show(image_generator: DiffusionGenerator) -> None:
    settings = ImageSettings(steps=3)
    trace = Trace(
        image_generator, Start(trace=1, model="m", prompt="cat", seed=1, settings=settings)
    )
    with pytest.raises(MisuseError, match="that write tokens"):
        attention(trace, 1)
