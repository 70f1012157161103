"""The logit lens, what parts add to a logit, and edits of layers, against hooks on the modules."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from layer_checks import PROMPT, edited_head, frames_of, tokens_before, trace_of
from networks import LAYERED, TRANSFORMER, random_network
from torch import Tensor

from genui.base.errors import MisuseError
from genui.engine.data.tokenizer import CharTokenizer
from genui.engine.device import Machine
from genui.engine.models.language_model import TokenNetwork
from genui.engine.models.recurrent import MinGRU
from genui.engine.models.transformer import Transformer
from genui.engine.sample.lens import attention, read_layers
from genui.engine.sample.text import TextGenerator, TextState
from genui.engine.sample.trace import Trace
from genui.protocol import Ablate, Patch, SetSeed, Steer, WriteText
from genui.protocol.settings import LayerEdit

MACHINE = Machine("cpu", "fp32", 1)
ALPHABET = "\n abcdefghijklmnopqrstuvwxyz"
TOWARDS, AWAY = "the sea", "a stone"
EDITS = (
    Ablate(layer=2, head=1),
    Ablate(layer=1),
    Steer(layer=1, strength=1.5, towards=TOWARDS, away=AWAY),
    Patch(layer=1, position=7, text="another text"),
)
ALL_EDITS = pytest.mark.parametrize("edit", EDITS, ids=lambda edit: type(edit).__name__.lower())


@pytest.fixture(params=LAYERED)
def network(request: pytest.FixtureRequest) -> str:
    return request.param


def new_generator(network: str) -> TextGenerator:
    model = random_network(network, len(ALPHABET))
    return TextGenerator(model, CharTokenizer(ALPHABET), MACHINE, network)


def mixer_of(model: TokenNetwork, layer: int) -> torch.nn.Module:
    part = "attention" if isinstance(model, Transformer) else "recurrence"
    return model.get_submodule(f"blocks.{layer}.{part}.out")


# --- the logit lens -----------------------------------------------------------------------------


@torch.inference_mode()
def test_the_lens_is_the_head_on_the_stream_after_each_layer(text_generator: TextGenerator) -> None:
    trace, model = trace_of(text_generator), text_generator.model
    layers = read_layers(trace, 12)
    frame = frames_of(trace)[11]
    assert (layers.trace, layers.step, layers.token) == (3, 12, frame.text)
    row = torch.tensor([tokens_before(trace, 12)])
    assert isinstance(model, Transformer | MinGRU)
    expected = []
    for stream in model.hidden_states(row):
        logits = model.head(F.rms_norm(stream[0, -1], (32,)))
        expected.append((15 * torch.tanh(logits / 15)).softmax(-1))
    assert len(layers.layers) == len(expected) == 3
    for one, odds in zip(layers.layers, expected, strict=True):
        order = odds.argsort(descending=True).tolist()
        assert [text for text, _ in one.top] == [ALPHABET[at] for at in order[:6]]
        top = [share for _, share in one.top]
        np.testing.assert_allclose(top, odds[order[:6]].numpy(), rtol=1e-3)
        assert one.chosen == pytest.approx(float(odds[frame.token]), rel=1e-3)
        assert one.rank == 1 + order.index(frame.token)
        assert one.entropy == pytest.approx(float(-(odds * odds.log2()).sum()), rel=1e-3)
    likeliest = [int(odds.argmax()) for odds in expected]
    settled = layers.settled
    assert set(likeliest[settled:]) == {likeliest[-1]}
    assert settled == 0 or likeliest[settled - 1] != likeliest[-1]
    last, shown = layers.layers[-1], {c.text: c.model for c in frame.candidates}
    assert last.entropy == pytest.approx(frame.entropy)
    assert all(share == pytest.approx(shown[text]) for text, share in last.top)


@torch.inference_mode()
def test_what_each_part_added_sums_to_the_difference_of_two_logits(
    text_generator: TextGenerator,
) -> None:
    trace, model = trace_of(text_generator), text_generator.model
    assert isinstance(model, Transformer | MinGRU)
    layers = read_layers(trace, 9)
    frame = frames_of(trace)[8]
    inputs: list[Tensor] = []
    hooks = [
        mixer_of(model, layer).register_forward_pre_hook(lambda _, x: inputs.append(x[0][0, -1]))
        for layer in range(2)
    ]
    hidden_states = model.hidden_states(torch.tensor([tokens_before(trace, 9)]))
    for hook in hooks:
        hook.remove()
    last = hidden_states[-1][0, -1]
    assert layers.other == next(c.text for c in frame.candidates if c.token != frame.token)
    head, scale = model.head.weight, (last.square().mean()) ** -0.5
    direction = (head[frame.token] - head[ALPHABET.index(layers.other)]) * scale
    assert layers.difference == pytest.approx(float(last @ direction), abs=1e-4)
    assert layers.rest == pytest.approx(float(hidden_states[0][0, -1] @ direction), abs=1e-4)
    for layer, (heads, fed) in enumerate(zip(layers.heads, layers.feed_forward, strict=True)):
        weight, x = mixer_of(model, layer).get_parameter("weight"), inputs[layer]
        size = 32 // len(heads)
        for at, added in enumerate(heads):
            part = slice(at * size, (at + 1) * size)
            assert added == pytest.approx(float(weight[:, part] @ x[part] @ direction), abs=1e-4)
        both = (hidden_states[layer + 1] - hidden_states[layer])[0, -1]
        assert sum(heads) + fed == pytest.approx(float(both @ direction), abs=1e-4)
    assert layers.mixer == ("attention" if isinstance(model, Transformer) else "recurrence")
    addresses = [part.address for part in layers.contributions()]
    heads = 2 if isinstance(model, Transformer) else 1
    assert addresses == [f"{n}.{x}" for n in (1, 2) for x in (*range(1, heads + 1), "ff")]


@pytest.mark.parametrize("step", [1, 2, 20, 30])
def test_looking_inside_changes_no_bit(network: str, step: int) -> None:
    untouched, looked_at = trace_of(new_generator(network)), trace_of(new_generator(network))
    branch = looked_at.fork(4, 10, SetSeed(7))
    list(branch.advance(10, 5))
    for trace in (looked_at, branch, looked_at):
        assert read_layers(trace, min(step, trace.reached)) == read_layers(
            trace, min(step, trace.reached)
        )
    assert frames_of(looked_at) == frames_of(untouched)
    np.testing.assert_array_equal(looked_at.state(40).logits, untouched.state(40).logits)


def test_a_model_that_shows_no_layers_says_so(text_generator: TextGenerator) -> None:
    class Closed(TokenNetwork):
        def __init__(self, model: TokenNetwork) -> None:
            super().__init__(model.context)
            self.model, self.unlimited = model, model.unlimited
            self.new_state = model.new_state

        def forward(self, token_ids: Tensor, state: object = None) -> Tensor:
            return self.model(token_ids, state)

    assert isinstance(text_generator.model, TokenNetwork)
    closed = TextGenerator(Closed(text_generator.model), text_generator.tokenizer, MACHINE)
    trace = trace_of(closed, 5)
    layers = read_layers(trace, 3)
    assert (layers.fault, layers.layers) == ("This model does not show its layers", ())
    with pytest.raises(MisuseError, match="does not show its layers"):
        trace.fork(1, 2, Ablate(layer=1))
    with pytest.raises(MisuseError, match="step 6: this trace has tokens 1 to 5"):
        read_layers(trace, 6)


# --- edits of layers ----------------------------------------------------------------------------


def mean_stream(model: TokenNetwork, layer: int, text: str) -> Tensor:
    row = torch.tensor([[ALPHABET.index(c) for c in text]])
    return model.hidden_states(row)[layer][0, 1:].mean(0)


@contextmanager
def edited(model: TokenNetwork, edit: LayerEdit, first: int) -> Iterator[None]:
    """Hooks that make the edit for positions from `first` on of one pass over a whole text."""

    def without(_: object, __: object, output: Tensor) -> Tensor:
        return torch.cat((output[:, :first], 0 * output[:, first:]), dim=1)

    def changed(_: object, __: object, output: Tensor | tuple[Tensor, ...]) -> object:
        x = (output[0] if isinstance(output, tuple) else output).clone()
        if isinstance(edit, Steer):
            towards = mean_stream(plain, edit.layer, edit.towards)
            x[:, first:] += edit.strength * (towards - mean_stream(plain, edit.layer, edit.away))
        elif isinstance(edit, Patch):
            row = torch.tensor([[ALPHABET.index(c) for c in edit.text]])
            x[:, edit.position] = plain.hidden_states(row)[edit.layer][0, edit.position]
        return (x, *output[1:]) if isinstance(output, tuple) else x

    network = "transformer" if isinstance(model, Transformer) else "recurrent"
    plain = random_network(network, len(ALPHABET)).eval()
    block = model.get_submodule(f"blocks.{edit.layer - 1}")
    match edit:
        case Ablate(head=None):
            hook = block.get_submodule("feed_forward").register_forward_hook(without)
        case Ablate(head=int(head)):
            size = 16 if isinstance(model, Transformer) else 32
            with edited_head(
                mixer_of(model, edit.layer - 1), slice((head - 1) * size, head * size), first
            ):
                yield
            return
        case _:
            hook = block.register_forward_hook(changed)
    yield
    hook.remove()


@torch.inference_mode()
@ALL_EDITS
def test_an_edit_of_a_layer_holds_from_the_token_before_it_on(
    text_generator: TextGenerator, edit: LayerEdit
) -> None:
    if isinstance(edit, Ablate) and edit.head and not isinstance(text_generator.model, Transformer):
        edit = Ablate(layer=2, head=1)
    trace = trace_of(text_generator)
    before = frames_of(trace)
    branch = trace.fork(4, 8, edit)
    after = frames_of(branch)
    assert [f.token for f in after[:8]] == [f.token for f in before[:8]]
    model = text_generator.model
    assert isinstance(model, TokenNetwork)
    for step in (9, 20):
        token_ids = tokens_before(branch, step)
        first = len(PROMPT) + 8 - 1  # the token that the ninth is predicted from
        with edited(model, edit, first):
            expected = model(torch.tensor([token_ids]))[0, -1]
        np.testing.assert_allclose(branch.state(step - 1).logits, expected, atol=2e-4)
    plain = model(torch.tensor([tokens_before(branch, 9)]))[0, -1].numpy()
    assert np.abs(branch.state(8).logits - plain).max() > 0.01
    assert frames_of(trace) == before


@ALL_EDITS
def test_an_edit_of_a_layer_is_data_and_gives_the_same_bits_again(
    network: str, edit: LayerEdit
) -> None:
    """Alone and among branches; at the end of the prompt, and after the context has moved on."""
    one = new_generator(network)
    trace = trace_of(one, 38)  # from 28 on the context begins later
    for at, step in enumerate((0, 32)):
        if isinstance(edit, Patch):
            edit = Patch(layer=1, position=step + 3, text="another text " * 4)
        branch = trace.fork(10 + at, step, edit)
        list(branch.advance(step, 5))
        again = branch.fork(20 + at, step + 5, WriteText("so"))
        frames = frames_of(branch)
        list(again.advance(0, 60))
        plain = frames_of(trace)
        assert list(branch.advance(step + 1, 9)) == frames[step + 1 : step + 10]
        fresh = frames_of(Trace(new_generator(network), branch.request))
        assert fresh == frames
        assert frames != plain


def test_edits_of_layers_add_up_and_the_lens_shows_them(text_generator: TextGenerator) -> None:
    trace = trace_of(text_generator)
    one = trace.fork(4, 8, Ablate(layer=1))
    both = one.fork(5, 8, Steer(layer=2, strength=3, towards=TOWARDS, away=AWAY))
    alone = trace.fork(6, 8, Steer(layer=2, strength=3, towards=TOWARDS, away=AWAY))
    logits = [branch.state(8).logits for branch in (trace, one, both, alone)]
    for a in range(4):
        for b in range(a):
            assert not np.array_equal(logits[a], logits[b])
    list(both.advance(8, 3))
    list(one.advance(8, 3))
    assert read_layers(one, 9).feed_forward[0] == 0
    assert read_layers(both, 9).feed_forward[0] == 0
    assert read_layers(trace, 9).feed_forward[0] != 0
    assert read_layers(both, 8).feed_forward == read_layers(trace, 8).feed_forward


@pytest.mark.parametrize("network", TRANSFORMER)
def test_the_attention_of_an_edited_text_is_that_of_the_edited_network(
    text_generator: TextGenerator,
) -> None:
    trace = trace_of(text_generator)
    branch = trace.fork(4, 8, Steer(layer=1, strength=5, towards=TOWARDS, away=AWAY))
    list(branch.advance(8, 1))
    plain, steered = (
        np.frombuffer(attention(one, 9).weights, np.float16).reshape(2, 2, 13)
        for one in (trace, branch)
    )
    np.testing.assert_array_equal(plain[0], steered[0])  # the vector is added after this layer
    assert np.abs(plain[1].astype(float) - steered[1]).max() > 0.01


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (Ablate(layer=3), "layer 3: this model has layers 1 to 2"),
        (Ablate(layer=2, head=9), "head 9: layer 2 has heads 1 to"),
        (Patch(layer=1, position=13, text="a"), "position 13: this text has positions 0 to 12"),
        (Patch(layer=1, position=4, text="abc"), "position 4: the other text has positions 0 to 2"),
        (Patch(layer=1, position=0, token_ids=(3, 28)), "token 28: this model reads 0 to 27"),
        (Steer(layer=1, strength=1, towards="ÄÖ", away="a"), "'ÄÖ': this model knows none of"),
    ],
)
def test_an_edit_that_does_not_fit_the_network_is_one_line(
    text_generator: TextGenerator, edit: LayerEdit, line: str
) -> None:
    with pytest.raises(MisuseError, match=line):
        trace_of(text_generator).fork(4, 8, edit)


@pytest.mark.parametrize("network", TRANSFORMER)
def test_a_position_that_is_no_longer_read_cannot_be_patched(text_generator: TextGenerator) -> None:
    trace = trace_of(text_generator, 45)
    with pytest.raises(MisuseError, match="position 7: the model reads this text from position 16"):
        trace.fork(4, 40, Patch(layer=1, position=7, text="another text"))


def test_a_patch_from_the_end_or_by_token_ids_is_that_of_the_text(
    text_generator: TextGenerator,
) -> None:
    trace = trace_of(text_generator)
    token_ids = text_generator.tokenizer.encode("another texts")
    patches = (
        Patch(layer=1, position=12, text="another texts"),
        Patch(layer=1, position=12, text="anoth", token_ids=tuple(token_ids[5:])),
        Patch(layer=1, position=-1, token_ids=tuple(token_ids)),
    )
    assert trace.state(8).token_ids.since(0).size == 13
    states: list[TextState] = [trace.fork(4, 8, patch).state(8) for patch in patches]
    np.testing.assert_array_equal(states[0].logits, states[1].logits)
    np.testing.assert_array_equal(states[0].logits, states[2].logits)
