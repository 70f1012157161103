"""Models of the transformers library behind the seam, with random weights."""

from typing import Any

import pytest
import torch

transformers = pytest.importorskip("transformers")

from genui.engine.models.transformers_model import TransformersModel  # noqa: E402

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
