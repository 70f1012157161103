"""Masked-diffusion models of others as folders: exact, and stepped as genui's own."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hf_tokenizers import byte_level_tokenizer
from importing import import_when_used
from safetensors.torch import save_file

from genui.base.errors import MisuseError, UnsupportedError
from genui.engine.load import load_open
from genui.engine.metrics import score
from genui.engine.sample.trace import Trace
from genui.hub.formats import describe, format_of
from genui.kinds.open_text_diffusion.load import FolderGenerator
from genui.kinds.text_diffusion.settings import CanvasFrame, TextDiffusionSettings
from genui.protocol import FILL, Start

transformers = import_when_used("transformers")

V, MASK, WIDTH = 304, 302, 32
SIZES = {
    "vocab_size": V, "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "rope_theta": 10_000.0,
}  # fmt: skip
OLMO = {
    "architectures": ["LLaDAModelLM"], "model_type": "llada", "auto_map": {"AutoModel": "m.py"},
    "d_model": WIDTH, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "mlp_hidden_size": 48,
    "vocab_size": 300, "embedding_size": V, "max_sequence_length": 64, "weight_tying": False,
    "rms_norm_eps": 1e-5, "rope_theta": 10_000.0, "block_type": "llama", "rope": True,
    "layer_norm_type": "rms", "activation_type": "silu", "mask_token_id": MASK,
}  # fmt: skip
IN_LLADA = {
    "self_attn.o_proj": "attn_out", "self_attn.": "", "mlp.gate_proj": "ff_proj",
    "mlp.up_proj": "up_proj", "mlp.down_proj": "ff_out", "post_attention_layernorm": "ff_norm",
    "input_layernorm": "attn_norm", "model.layers": "model.transformer.blocks",
    "model.embed_tokens": "model.transformer.wte", "model.norm": "model.transformer.ln_f",
    "lm_head": "model.transformer.ff_out",
}  # fmt: skip


def reference(name: str) -> Any:
    """A random network of transformers."""
    torch.manual_seed(1)
    of_dream = name == "dream"
    config = (transformers.Qwen2Config if of_dream else transformers.LlamaConfig)(**SIZES)
    config._attn_implementation = "eager"
    made = (transformers.Qwen2ForCausalLM if of_dream else transformers.LlamaForCausalLM)(config)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


def write_folder(path: Path, name: str, **changes: Any) -> Any:
    """Write a folder with the weights of `reference`; returns that."""
    network = reference(name)
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    config: dict[str, Any] = OLMO
    if name == "dream":
        config = SIZES | {
            "architectures": ["DreamModel"],
            "model_type": "Dream",
            "hidden_act": "silu",
        }
        config |= {"mask_token_id": MASK, "auto_map": {"AutoModel": "m.py"}}
    else:
        for theirs, ours in IN_LLADA.items():
            tensors = {name.replace(theirs, ours): tensor for name, tensor in tensors.items()}
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config | changes))
    (path / "tokenizer.json").write_text(byte_level_tokenizer().to_str())
    save_file(tensors, path / "model.safetensors")
    return network


def see_all(network: Any, token_ids: list[int]) -> torch.Tensor:
    """The logits [T, V] of a network of transformers whose positions see each other."""
    T = len(token_ids)
    with torch.no_grad():
        return network(torch.tensor([token_ids]), attention_mask=torch.zeros(1, 1, T, T)).logits[0]


def opened(path: Path) -> FolderGenerator:
    generator = load_open(path, format_of(path))
    assert isinstance(generator, FolderGenerator)
    return generator


@pytest.mark.parametrize("name", ["llada", "dream"])
def test_it_is_exact_without_the_causal_mask(tmp_path: Path, name: str) -> None:
    network = write_folder(tmp_path / name, name)
    model = describe(tmp_path / name)
    assert (model.format, model.medium, model.context) == ("masked-diffusion", "masked-text", 64)
    denoiser: Any = opened(tmp_path / name).model
    text = [5, V, 7, 8, V, V, 9]  # the generator's mask is the id after the vocabulary
    theirs = [MASK if token == V else token for token in text]
    ours = denoiser.denoise(torch.tensor([[3, *text]]), torch.tensor([0]))[0, : len(text)]
    expected = see_all(network, theirs) if name == "llada" else see_all(network, [3, *theirs])[:-1]
    assert (ours[:, MASK] == -torch.inf).all()
    ours[:, MASK] = expected[:, MASK]
    torch.testing.assert_close(ours, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["llada", "dream"])
def test_its_next_token_is_that_of_a_mask_at_the_end(tmp_path: Path, name: str) -> None:
    """With blocks of one token nothing follows."""
    network = write_folder(tmp_path / name, name)
    denoiser: Any = opened(tmp_path / name).model
    ours = denoiser.denoise(torch.tensor([[3, 5, 7]]), torch.tensor([3]))[0, -1]
    expected = see_all(network, [5, 7, MASK] if name == "llada" else [3, 5, 7])[-1]
    ours[MASK] = expected[MASK]
    torch.testing.assert_close(ours, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["llada", "dream"])
def test_it_is_stepped_as_genuis_own(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path / name, name)
    settings = TextDiffusionSettings(steps=4, tokens=8, block=4, gap=6)
    start = Start(trace=0, model="", prompt=f"The {FILL} dog", seed=2, settings=settings)
    generator = opened(tmp_path / name)
    trace = Trace(generator, start)
    assert (trace.started.family, trace.started.medium) == ("pretrained", "masked-text")
    frames = [frame for frame in trace.advance(0, 99) if isinstance(frame, CanvasFrame)]
    assert min(frames[-1].decided) >= 0
    assert frames[-1].page.startswith("The ")
    assert frames[-1].page.endswith(" dog")
    assert list(Trace(opened(tmp_path / name), start).advance(0, 99)) == frames
    assert MASK not in trace.state(len(frames)).tokens


def test_it_is_not_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "llada", "llada")
    generator = opened(tmp_path / "llada")
    monkeypatch.setattr(score, "find_and_load", lambda ref: generator)
    with pytest.raises(MisuseError, match="gives no probability of the next token"):
        score.score_text("llada", "to be", lambda done, of: None)


def test_another_variant_of_llada_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "odd", "llada", layer_norm_type="default")
    with pytest.raises(UnsupportedError, match="layer_norm_type is not rms"):
        describe(tmp_path / "odd")
