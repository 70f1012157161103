"""What every network of tokens promises to those that write with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
import torch
from networks import LAYERED, RECIPES, random_network, small_recipe

from genui.engine import trainer
from genui.engine.data.tokenizer import CharTokenizer
from genui.engine.device import Machine
from genui.engine.kinds import build_network
from genui.engine.load import stream
from genui.engine.metrics.language import measure_text
from genui.engine.models import recurrent
from genui.engine.models.language_model import ReadingState, TokenNetwork
from genui.engine.sample.lens import attention
from genui.engine.sample.text import TextGenerator
from genui.engine.sample.trace import Trace
from genui.protocol import SetSeed, Start, Started, TextFrame, TextSettings
from genui.runs.layout import RunDir, read_status

VOCABULARY = 28
RECURRENT = pytest.mark.parametrize("network", ["recurrent"])
OWN = pytest.mark.parametrize("network", [*LAYERED, "ngrams"])
"""genui's own networks, which are alike in more than others need be."""


@pytest.fixture(params=RECIPES)
def network(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(network: str) -> TokenNetwork:
    return random_network(network, VOCABULARY).eval()


def row(length: int) -> torch.Tensor:
    return torch.arange(length)[None] % VOCABULARY


def read_on(model: TokenNetwork, state: ReadingState, tokens: torch.Tensor, end: int) -> None:
    """Read from where the state stands: the first five tokens at once, and then one at a time."""
    if state.length == 0:
        model.prefill(tokens[:, :5], state)
    for at in range(state.length, end):
        model.decode(tokens[:, at], state)


@torch.inference_mode()
def test_a_token_never_sees_later_ones(model: TokenNetwork) -> None:
    tokens = row(16)
    changed = tokens.clone()
    changed[0, 10] = 3
    difference = (model(tokens) - model(changed)).abs().amax(dim=-1)[0]
    assert float(difference[:10].max()) == 0
    assert float(difference[10:].min()) > 0


@torch.inference_mode()
def test_read_on_from_a_state_the_answers_are_those_of_the_whole(model: TokenNetwork) -> None:
    tokens = row(20)
    state = model.new_state(1)
    parts = [model.prefill(tokens[:, :5], state)]
    parts += [model.decode(tokens[:, at], state) for at in range(5, 20)]
    assert state.length == 20
    torch.testing.assert_close(torch.cat(parts), model(tokens)[0, 4:], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_going_back_in_a_state_gives_the_same_bits(model: TokenNetwork) -> None:
    tokens = row(30)
    state = model.new_state(1)
    answers = {5: model.prefill(tokens[:, :5], state)}
    for at in range(5, 30):
        answers[at + 1] = model.decode(tokens[:, at], state)
    for to in (29, 12, 20, 5):
        stands = state.seek(to)
        assert stands == state.length <= to, "seek returns the length, and goes no further"
        read_on(model, state, tokens, to)
        assert torch.equal(model.decode(tokens[:, to], state), answers[to + 1])


@torch.inference_mode()
def test_what_is_read_into_a_snapshot_leaves_the_state(model: TokenNetwork) -> None:
    tokens = row(12)
    state = model.new_state(1)
    read_on(model, state, tokens, 8)
    expected = model.decode(tokens[:, 8], state)
    copy = state.snapshot(8)
    read_on(model, copy, tokens, 8)
    for token in (1, 2, 3):
        model.decode(torch.tensor([token]), copy)
    state.seek(8)
    read_on(model, state, tokens, 8)
    assert torch.equal(model.decode(tokens[:, 8], state), expected)
    again = model.new_state(1)
    read_on(model, again, tokens, 8)
    for token in (1, 2, 3):
        model.decode(torch.tensor([token]), again)
    assert torch.equal(model.decode(tokens[:, 9], copy), model.decode(tokens[:, 9], again))


@OWN
@torch.inference_mode()
def test_hidden_states_go_from_the_embedding_to_what_the_head_reads(
    model: TokenNetwork, network: str
) -> None:
    hidden_states = model.hidden_states(row(7))
    assert [tuple(x.shape) for x in hidden_states] == [(1, 7, 32)] * 3  # of two layers
    last = torch.nn.functional.rms_norm(hidden_states[-1], (32,))
    logits = last @ model.get_parameter("head.weight").T
    torch.testing.assert_close(15 * torch.tanh(logits / 15), model(row(7)))
    changed = row(7).clone()
    changed[0, 0] = 9
    other = model.hidden_states(changed)
    first = 4 if network == "ngrams" else 1  # beyond n-grams nothing is mixed in yet
    assert torch.equal(hidden_states[0][:, first:], other[0][:, first:])
    assert not torch.equal(hidden_states[0][:, first - 1], other[0][:, first - 1])
    assert not torch.equal(hidden_states[-1][:, first:], other[-1][:, first:])


@OWN
def test_a_new_model_finds_every_token_equally_likely(network: str) -> None:
    model = build_network(small_recipe(network), VOCABULARY)
    tokens = torch.zeros(1, 8, dtype=torch.long)
    torch.testing.assert_close(model.loss(tokens, tokens), torch.tensor(float(VOCABULARY)).log())


# --- a model that is no network -----------------------------------------------------------------


class LastTokens:
    """How many tokens each row has read, and the last one of them. Going back forgets all."""

    def __init__(self, rows: int) -> None:
        self.length, self.last = 0, torch.zeros(rows, dtype=torch.long)

    def seek(self, length: int) -> int:
        self.length = length if length == self.length else 0
        return self.length

    def snapshot(self, length: int) -> Self:
        copy = type(self)(len(self.last))
        copy.length, copy.last = self.length, self.last
        copy.seek(length)
        return copy

    def select(self, rows: torch.Tensor) -> None:
        self.last = self.last[rows]


class Bigrams:
    """A table of what follows each token: no weights, no layers, nothing of ours."""

    context, unlimited, device = 32, True, torch.device("cpu")

    def __init__(self) -> None:
        self.table = torch.randn(VOCABULARY, VOCABULARY, generator=torch.manual_seed(0))

    def eval(self) -> Self:
        return self

    def new_state(self, rows: int) -> LastTokens:
        return LastTokens(rows)

    def prefill(self, token_ids: torch.Tensor, state: LastTokens) -> torch.Tensor:
        state.length, state.last = state.length + token_ids.shape[1], token_ids[:, -1]
        return self.table[state.last]

    def decode(self, token_ids: torch.Tensor, state: LastTokens) -> torch.Tensor:
        return self.prefill(token_ids[:, None], state)

    def __call__(self, token_ids: torch.Tensor) -> torch.Tensor:
        return self.table[token_ids]

    def loss(
        self, token_ids: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self(token_ids).flatten(0, 1), targets.flatten())

    def hidden_states(self, token_ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return ()

    def attention_weights(self, token_ids: torch.Tensor, last: int = 1) -> None:
        return None


def test_any_model_of_tokens_writes_goes_back_forks_and_is_measured(plays: Path) -> None:
    tokenizer = CharTokenizer("\n abcdefghijklmnopqrstuvwxyz")
    writer = TextGenerator(Bigrams(), tokenizer, Machine("cpu", "fp32", 1), "bigrams")
    settings = TextSettings(tokens=60)
    trace = Trace(writer, Start(trace=1, model="m", prompt="to", seed=1, settings=settings))
    frames = list(trace.advance(0, 60))
    assert trace.started.family == "bigrams"
    assert list(trace.advance(7, 9)) == frames[7:16]
    branch = trace.fork(2, 20, SetSeed(5))
    forked = list(branch.advance(0, 60))
    assert [f.text for f in forked[:20]] == [f.text for f in frames[:20]]  # type: ignore[union-attr]
    assert forked[20:] != frames[20:]
    assert attention(trace, 3).fault
    found = measure_text(writer, small_recipe("transformer", data=plays))
    assert float(found["validation loss"].split()[0]) > 1


# --- only of recurrent networks ----------------------------------------------------------------


@RECURRENT
@torch.inference_mode()
def test_of_a_long_text_few_places_are_kept(model: TokenNetwork) -> None:
    state = model.new_state(1)
    assert isinstance(state, recurrent.RecurrentState)
    model.prefill(row(3), state)
    for at in range(1000):
        model.decode(torch.tensor([at % VOCABULARY]), state)
        assert len(state.stored) <= recurrent.MAX_STORED + 1
    for to in range(3, 1003, 50):
        assert to - state.seek(to) < 2 * 1000 / recurrent.MAX_STORED + 1


@RECURRENT
def test_of_a_prompt_longer_than_the_context_nothing_is_left_out(network: str) -> None:
    tokenizer = CharTokenizer("\n abcdefghijklmnopqrstuvwxyz")
    writer = TextGenerator(random_network(network, 28), tokenizer, Machine("cpu", "fp32", 1))
    settings = TextSettings(tokens=5)
    prompt = "x" + "to be or not to be " * 2  # 39 tokens, and a context of 32
    one, other = (
        writer.begin(Start(trace=1, model="m", prompt=prompt, seed=1, settings=settings))
        for prompt in (prompt, prompt.replace("x", "y"))
    )
    assert one[1].note == ""
    assert not (one[0].logits == other[0].logits).all()


@RECURRENT
@torch.inference_mode()
def test_a_long_prompt_is_read_in_portions(
    model: TokenNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = model.prefill(row(50), model.new_state(1))
    monkeypatch.setattr(recurrent, "PORTION", 8)
    state = model.new_state(1)
    torch.testing.assert_close(model.prefill(row(50), state), whole, atol=1e-4, rtol=1e-4)
    assert state.length == 50


GROWING = {
    "ngrams": "3",
    "ngram_rows": "512",
    "ngram_dropout": "0.2",
    "precision": "bf16",
    "context_start": "8",
    "batch_start": "6",
    "muon_every": "2",
}


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize(
    ("network", "recipe", "settings"),
    [("recurrent", "shakespeare-gru", {}), ("transformer", "shakespeare", GROWING)],
    ids=["recurrent", "ngrams"],
)
def test_a_run_learns_goes_on_and_writes(
    network: str, recipe: str, settings: dict[str, str], tiny_run: Callable[..., RunDir]
) -> None:
    settings = settings | {"learning_rate": "0.01", "checkpoint_every": "10"}
    run = tiny_run(recipe=recipe, steps="30", **settings)
    assert trainer.train(run) == 0, run.console.read_text()
    status = read_status(run)
    assert (status.state, status.step) == ("finished", 30)
    assert status.val is not None
    assert status.val < 2.3  # nats; of 13 characters ln 13 = 2.56 is known to nobody
    whole = run.checkpoint(30).read_bytes()
    for path in (run.checkpoint(30), run.checkpoint_state(30)):
        path.unlink()
    assert trainer.train(run) == 0
    assert "resumed from the checkpoint at step 20" in run.console.read_text()
    assert run.checkpoint(30).read_bytes() == whole
    start = Start(trace=0, model=run.id, prompt="to b", seed=1, settings=TextSettings(tokens=40))
    started, *frames = stream(start)
    assert isinstance(started, Started)
    assert (started.family, started.medium) == (network, "text")
    assert len([frame for frame in frames if isinstance(frame, TextFrame)]) == 40
