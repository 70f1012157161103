"""Our Llama-family network against transformers' own classes, with random weights."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from importing import import_when_used
from torch import Tensor

from genui.base.errors import GenuiError
from genui.engine.models import language_model
from genui.kinds.open_text.convert import hugging_face_config, hugging_face_tensors
from genui.kinds.open_text.llama import Llama, config_from_hugging_face, from_hugging_face

transformers = import_when_used("transformers")

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0}

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "llama, tied": ("Llama", {"tie_word_embeddings": True, "rms_norm_eps": 1e-5}),
    "llama 3": ("Llama", {"rope_parameters": LLAMA3, "head_dim": 16}),
    "llama, linear": ("Llama", {"rope_parameters": LINEAR}),
    "llama, yarn": ("Llama", {"rope_parameters": YARN}),
    "llama, biases": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "mistral": ("Mistral", {"sliding_window": 8}),
    "qwen 2": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen 2, windows": (
        "Qwen2",
        {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2},
    ),
    "qwen 3": ("Qwen3", {"head_dim": 16}),
    "gemma": ("Gemma", {"head_dim": 16}),
    "gemma 2": ("Gemma2", {"head_dim": 16, "sliding_window": 8, "query_pre_attn_scalar": 24}),
    "gemma 3": (
        "Gemma3",
        {
            "head_dim": 16,
            "sliding_window": 8,
            "query_pre_attn_scalar": 24,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
            "num_hidden_layers": 6,
        },
    ),
}

LENGTH = 40  # five windows


@pytest.fixture(scope="module", params=VARIANTS)
def pair(request: pytest.FixtureRequest) -> tuple[Any, Llama]:
    """A model of transformers with random weights, and ours with the same."""
    name, changes = VARIANTS[request.param]
    family = "Gemma3Text" if name == "Gemma3" else name
    config = getattr(transformers, f"{family}Config")(**SIZES | changes)
    config._attn_implementation = "eager"  # the others leave out Gemma 2's soft cap
    torch.manual_seed(0)
    theirs = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    for name, parameter in theirs.named_parameters():
        scale = 0.5 if "norm" in name or "bias" in name else parameter.shape[-1] ** -0.5
        torch.nn.init.normal_(parameter, std=scale)
    return theirs, from_hugging_face(config.to_dict(), theirs.state_dict())


def token_ids() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(SIZES["vocab_size"], (2, LENGTH), generator=generator)


@torch.inference_mode()
def test_logits_are_those_of_transformers(pair: tuple[Any, Llama]) -> None:
    theirs, ours = pair
    expected = theirs(token_ids()).logits
    torch.testing.assert_close(ours(token_ids()), expected, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_what_is_converted_gives_transformers_the_same_logits(pair: tuple[Any, Llama]) -> None:
    theirs, ours = pair
    fields = hugging_face_config(ours.config, "fp32")
    config = transformers.AutoConfig.for_model(**fields)
    config._attn_implementation = "eager"
    again = getattr(transformers, fields["architectures"][0])(config).eval()
    tensors = hugging_face_tensors(ours.config, ours.state_dict())
    missing, unexpected = again.load_state_dict(tensors, strict=False)
    assert set(missing) <= {"lm_head.weight"}
    assert not unexpected
    again.tie_weights()
    expected = theirs(token_ids()).logits
    torch.testing.assert_close(again(token_ids()).logits, expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_reading_token_by_token_gives_the_same_logits(pair: tuple[Any, Llama]) -> None:
    _, ours = pair
    whole, state = ours(token_ids()), ours.new_state(2)
    read = [ours.prefill(token_ids()[:, :3], state)]
    read += [ours.decode(token_ids()[:, at], state) for at in range(3, LENGTH)]
    torch.testing.assert_close(torch.stack(read, 1), whole[:, 2:], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_attention_is_that_of_transformers(pair: tuple[Any, Llama]) -> None:
    theirs, ours = pair
    expected = torch.stack(theirs(token_ids(), output_attentions=True).attentions)
    torch.testing.assert_close(
        ours.attention_weights(token_ids(), last=3), expected[..., -3:, :], atol=1e-5, rtol=0
    )


@torch.inference_mode()
def test_going_back_and_forking_give_the_same_bits(
    pair: tuple[Any, Llama], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model, "LEAST", 2)  # the cache grows several times
    _, ours = pair
    state = ours.new_state(2)
    ours.prefill(token_ids()[:, :5], state)
    read = [ours.decode(token_ids()[:, at], state) for at in range(5, LENGTH)]
    fork = state.snapshot(9)
    assert fork.capacity < state.capacity < 2 * LENGTH
    assert state.seek(20) == 20
    for branch, first in ((state, 20), (fork, 9)):
        for at in range(first, first + 10):  # more than a window
            logits = ours.decode(token_ids()[:, at], branch)
            assert torch.equal(logits, read[at - 5])


@pytest.mark.parametrize("pair", ["llama, tied"], indirect=True)
def test_the_loss_in_pieces_is_cross_entropy_and_has_its_gradients(
    pair: tuple[Any, Llama], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ours = pair
    ids, weights = token_ids(), torch.rand(2, LENGTH - 1)
    inputs, targets = ids[:, :-1], ids[:, 1:]
    ours.requires_grad_(True)
    gradients = []
    for piece in (7 * ours.config.vocab_size, 1 << 24):
        monkeypatch.setattr(language_model, "PIECE", piece)
        ours.zero_grad()
        loss = ours.loss(inputs, targets, weights)
        loss.backward()
        grad = ours.embedding.weight.grad
        assert grad is not None
        gradients.append(grad.clone())
    nats = torch.nn.functional.cross_entropy(
        ours(inputs).flatten(0, 1), targets.flatten(), reduction="none"
    )
    expected = (nats * weights.flatten()).sum() / weights.sum()
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"model_type": "mamba"}, "architecture 'mamba'"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"num_hidden_layers": "many"}, "num_hidden_layers"),
        ({"hidden_act": "relu"}, "activation 'relu'"),
        ({"rope_scaling": {"type": "longrope"}}, "rope scaling 'longrope'"),
    ],
)
def test_a_configuration_that_is_not_computed_is_refused(
    changes: dict[str, Any], fault: str
) -> None:
    config = SIZES | {"model_type": "llama", "hidden_act": "silu"}
    config_from_hugging_face(config)
    with pytest.raises(GenuiError, match=fault):
        config_from_hugging_face(config | changes)


@pytest.mark.parametrize(
    ("kind", "activation"), [("llama", "silu"), ("qwen3", "silu"), ("gemma", "gelu")]
)
def test_a_configuration_may_leave_the_usual_activation_out(kind: str, activation: str) -> None:
    assert config_from_hugging_face(SIZES | {"model_type": kind}).activation == activation


BUILT = """
import sys
from genui.kinds.open_text.llama import Llama, LlamaConfig, build_llama
sizes = dict.fromkeys(("vocab_size", "width", "feed_forward", "context"), 32)
config = LlamaConfig(layers=1, heads=2, kv_heads=2, head_width=16, **sizes)
build_llama(config, Llama(config).state_dict())
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""


def test_building_a_network_imports_no_compiler() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUILT], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")  # seconds, which each start would take
