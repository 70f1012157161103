"""GGUF files as models: their numbers, tokenizer and generation."""

import gc
import re
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf_files
import numpy as np
import psutil
import pytest
import torch
from gguf_files import HEADS, SPECIAL, WIDTH, write_gguf
from template_tokens import encode_template

from genui.base.errors import GenuiError, MisuseError
from genui.engine import device
from genui.engine.device import for_generation
from genui.engine.load import find_and_load, fingerprint_of, load_open
from genui.engine.loaders import load_tokenizer
from genui.engine.metrics.score import score_text
from genui.engine.replay import prepare
from genui.engine.sample.text import TextGenerator
from genui.engine.sample.trace import Trace
from genui.formats.recipe import Machine, TraceRecipe, to_start
from genui.kinds.open_text import gguf_network as loader
from genui.kinds.open_text.gguf import SERVE, read_gguf
from genui.kinds.open_text.gguf_network import load_gguf
from genui.kinds.open_text.tokenizer import tokenizer_from_gguf
from genui.protocol import SetSeed, Start, TextSettings, WriteText, WriteToken
from genui.runs.models import find_model

gguf = gguf_files.gguf

IM_END = SPECIAL.index("<|im_end|>")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(path)
    return path


@pytest.fixture
def generator(model_file: Path) -> TextGenerator:
    generator = load_open(model_file, "gguf")
    assert isinstance(generator, TextGenerator)
    return generator


def start(prompt: str = "hello the", **settings: Any) -> Start:
    return Start(trace=0, model="", prompt=prompt, seed=3, settings=TextSettings(**settings))


def test_a_text_has_the_score_with_which_it_is_written(
    model_file: Path, generator: TextGenerator
) -> None:
    found = score_text(str(model_file), "hello the", lambda done, of: None)
    state = generator.edit(generator.begin(start("", tokens=1))[0], WriteText("hello the"))
    bits = []
    while not generator.finished(state):
        state, frame = generator.step(state)
        bits.append(frame.surprisal)
    assert len(found.nats) > 1
    assert found.nats / np.log(2) == pytest.approx(bits, abs=0.02)


# --- Numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_quantised_tensors_are_those_of_the_gguf_package(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "quantised.gguf"
    written = write_gguf(path, kind=kind)
    network, _ = load_gguf(path)
    number = gguf.GGMLQuantizationType[kind]
    for ours, name in {"down": "ffn_down", "v": "attn_v"}.items():
        part = "feed_forward" if ours == "down" else "attention"
        expected = gguf.dequantize(gguf.quantize(written[f"blk.1.{name}.weight"], number), number)
        weight = network.get_parameter(f"blocks.1.{part}.{ours}.weight")
        assert np.array_equal(weight.numpy(), expected)


@pytest.mark.parametrize("kind", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"])
def test_k_quants_are_converted_in_pieces(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    number = gguf.GGMLQuantizationType[kind]
    _, size = gguf.GGML_QUANT_SIZES[number]
    data = np.random.default_rng(0).integers(0, 60, (6, 2 * size), dtype=np.uint8)
    whole = loader.dequantise(data, int(number))
    assert whole.shape == (6, 512)
    rows = [loader.dequantise(data[row : row + 1], int(number))[0] for row in range(6)]
    assert np.array_equal(whole, rows, equal_nan=True)


def test_a_type_that_the_gguf_package_does_not_read_is_one_line() -> None:
    number = gguf.GGMLQuantizationType.Q8_K
    _, size = gguf.GGML_QUANT_SIZES[number]
    with pytest.raises(GenuiError, match="of type Q8_K cannot be read"):
        loader.dequantise(np.zeros((1, size), np.uint8), int(number))


HEAD = WIDTH // HEADS
WIDE = {"attention.key_length": HEAD, "attention.value_length": HEAD}
CAPS = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
WINDOW = {"attention.sliding_window": 8}
FAMILIES: dict[str, tuple[dict[str, Any], dict[str, int], dict[str, Any]]] = {
    "llama": ({"rope.dimension_count": HEAD, "rope.freq_base": 500.0}, {}, {}),
    "qwen2": ({}, {"attn_q.bias": WIDTH, "attn_k.bias": WIDTH // 2, "attn_v.bias": WIDTH // 2}, {}),
    "qwen3": (
        WIDE,
        {"attn_q_norm.weight": HEAD, "attn_k_norm.weight": HEAD},
        {"head_dim": HEAD},
    ),
    "gemma2": (
        WIDE | CAPS | WINDOW,
        {"post_attention_norm.weight": WIDTH, "post_ffw_norm.weight": WIDTH},
        {"head_dim": HEAD, "query_pre_attn_scalar": HEAD, "sliding_window": 8},
    ),
    "gemma3": (
        WIDE | WINDOW,
        {
            "post_attention_norm.weight": WIDTH,
            "post_ffw_norm.weight": WIDTH,
            "attn_q_norm.weight": HEAD,
            "attn_k_norm.weight": HEAD,
        },
        {"head_dim": HEAD, "query_pre_attn_scalar": HEAD, "sliding_window": 8},
    ),
}
"""By architecture: fields of the file, the sizes of more vectors in each layer, and what
transformers does not read from the file."""


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_that_transformers_reads_from_the_file(
    tmp_path: Path, family: str
) -> None:
    transformers = pytest.importorskip("transformers")
    fields, vectors, unread = FAMILIES[family]
    rng = np.random.default_rng(2)
    more = {
        f"blk.{layer}.{name}": 1 + rng.standard_normal(size).astype(np.float32) / 4
        for layer in range(gguf_files.LAYERS)
        for name, size in vectors.items()
    }
    path = tmp_path / "model.gguf"
    write_gguf(path, family, fields=fields, tensors=more)
    config = transformers.AutoConfig.from_pretrained(tmp_path, gguf_file=path.name)
    for name, value in unread.items():
        setattr(config, name, value)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path,
        config=config,
        gguf_file=path.name,
        dtype=torch.float32,
        attn_implementation="eager",
    )
    ours, _ = load_gguf(path)
    token_ids = torch.randint(260, (1, 24), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = theirs(token_ids).logits
        torch.testing.assert_close(ours(token_ids), expected, atol=1e-4, rtol=0)


def test_factors_of_the_frequencies_are_applied(tmp_path: Path) -> None:
    factors = np.linspace(1, 8, WIDTH // HEADS // 2, dtype=np.float32)
    write_gguf(tmp_path / "a.gguf", tensors={"rope_freqs.weight": factors})
    write_gguf(tmp_path / "b.gguf")
    scaled, plain = (load_gguf(tmp_path / name)[0] for name in ("a.gguf", "b.gguf"))
    expected = plain.rotary.frequencies / torch.from_numpy(factors)
    torch.testing.assert_close(scaled.rotary.frequencies, expected)


def test_in_bf16_matrices_are_and_logits_stay_near(model_file: Path) -> None:
    exact, _ = load_gguf(model_file)
    network, _ = load_gguf(model_file, torch.bfloat16)
    assert network.blocks[0].attention.q.weight.dtype == torch.bfloat16  # type: ignore[union-attr]
    assert network.norm.weight.dtype == torch.float32
    token_ids = torch.arange(20)[None]
    with torch.inference_mode():
        torch.testing.assert_close(network(token_ids), exact(token_ids), atol=0.2, rtol=0.1)


# --- What cannot be used ----------------------------------------------------------------------

ABSENT = np.empty(0, np.float32)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a tensor is missing": ({"tensors": {"blk.1.ffn_up.weight": ABSENT}}, "no tensor"),
    "no embedding": ({"tensors": {"token_embd.weight": ABSENT}}, "no embedding"),
    "a wrong shape": (
        {"tensors": {"blk.0.ffn_up.weight": np.zeros((8, 32), np.float32)}},
        "should be",
    ),
    "an unknown tensor": (
        {"tensors": {"blk.0.ssm_a.weight": np.zeros(8, np.float32)}},
        "ssm_a",
    ),
    "a billion layers": ({"fields": {"block_count": 1 << 30}}, "layers"),
    "no heads": ({"fields": {"attention.head_count": 0}}, "head_count"),
    "a part of each head": ({"fields": {"rope.dimension_count": 8}}, "part of each head"),
    "unknown rope scaling": ({"fields": {"rope.scaling.type": "longrope"}}, "longrope"),
    "an unknown pre-tokenizer": ({"pre": "alien\x1b"}, "pre-tokenizer"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_this_network_does_not_compute_is_one_line(tmp_path: Path, case: str) -> None:
    changes, fault = WRONG[case]
    path = tmp_path / "wrong.gguf"
    write_gguf(path, **changes)
    with pytest.raises(GenuiError, match=fault) as caught:
        load_open(path, "gguf")
    assert "wrong.gguf: " in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_model_that_does_not_fit_into_memory_is_refused(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    fault = r"parameters take .* are free; .*smaller model"
    with pytest.raises(MisuseError, match=f"{fault}; {re.escape(SERVE)}"):
        load_open(model_file, "gguf")


def test_freed_memory_is_given_back_before_a_model_is_refused(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(device, "return_memory", lambda: setattr(free, "available", 1 << 40))
    load_gguf(model_file)


def test_models_that_no_trace_uses_are_forgotten_before_another_is_refused(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.gguf"
    write_gguf(other)
    first = weakref.ref(generator_of(model_file))
    assert first() is not None  # it is kept

    def memory() -> SimpleNamespace:
        gc.collect()
        return SimpleNamespace(available=1 << 40 if first() is None else 1000)

    monkeypatch.setattr(psutil, "virtual_memory", memory)
    assert generator_of(other).model.dtype == torch.float32


# --- Generation -------------------------------------------------------------------------------


def test_a_file_generates_and_its_trace_goes_back_to_the_same_bits(
    generator: TextGenerator,
) -> None:
    trace = Trace(generator, start(tokens=40, temperature=1.0))
    frames = list(trace.advance(0, 30))
    branch = trace.fork(1, 10, SetSeed(9))
    list(branch.advance(10, 12))
    assert list(trace.advance(4, 20)) == frames[4:24]
    fresh = Trace(generator, start(tokens=40, temperature=1.0))
    assert list(fresh.advance(0, 30)) == frames


def test_a_token_that_ends_a_turn_ends_the_text(generator: TextGenerator) -> None:
    trace = Trace(generator, start(tokens=40))
    list(trace.advance(0, 3))
    branch = trace.fork(1, 3, WriteToken(IM_END))
    (frame,) = branch.advance(3, 10)
    assert frame.text == ""
    assert branch.finished_at(4)
    assert generator.text_of(IM_END) == "<|im_end|>"


def test_special_tokens_are_read_only_in_templates(model_file: Path) -> None:
    tokenizer = loader.load_tokenizer(model_file)
    typed = tokenizer.encode("a<|im_end|>")
    assert IM_END not in typed
    assert tokenizer.decode(typed) == "a<|im_end|>"
    assert encode_template(tokenizer, "a<|im_end|>")[-1] == IM_END
    assert "<|im_start|>" in tokenizer.chat_template
    assert IM_END in tokenizer.ends


def test_the_command_line_finds_a_token_of_a_file(model_file: Path) -> None:
    tokenizer = load_tokenizer(find_model(str(model_file)))
    assert tokenizer.decode([tokenizer.encode("hell")[0]]) == "hell"


def test_sentencepiece_merges_by_score_and_spells_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "pieces.gguf"
    write_gguf(path, tokenizer="llama")
    tokenizer = tokenizer_from_gguf(read_gguf(path).metadata)
    pieces = read_gguf(path).metadata["tokenizer.ggml.tokens"]

    def spelled(text: str) -> list[str]:
        return [pieces[token] for token in tokenizer.encode(text)]

    # "▁h", then "ll" and "ell" by their scores: "he" is no longer there to be merged.
    assert spelled("hello") == ["▁h", "ell", "o"]
    assert spelled("é") == ["▁", "<0xC3>", "<0xA9>"]
    assert spelled("</s>")[-1] != "</s>"
    assert spelled("o[INST]o") == ["▁", "o", "[INST]", "▁", "o"]
    assert tokenizer.decode(tokenizer.encode("o é")) == " o é"
    assert encode_template(tokenizer, "</s>") == [pieces.index("</s>")]
    generator = find_and_load(str(path))
    assert isinstance(generator, TextGenerator)
    state, _ = generator.begin(start("hello"))
    assert state.token_ids[0] == pieces.index("<s>")


def test_a_saved_generation_is_repeated_in_its_precision(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENUI_PRECISION", "bf16")
    made = [generator_of(model_file).model.dtype]
    monkeypatch.delenv("GENUI_PRECISION")
    made.append(generator_of(model_file).model.dtype)
    machine = Machine(device="cpu", precision="bf16", threads=1)
    recipe = TraceRecipe(
        model=str(model_file),
        fingerprint=fingerprint_of(str(model_file)),
        settings=TextSettings(),
        machine=machine,
    )
    assert prepare(recipe, "saved.txt").precision == "bf16"
    made.append(generator_of(model_file, to_start(recipe).precision).model.dtype)
    assert for_generation("bf16 by transformers 5.1").precision == "bf16"
    assert for_generation().precision == "fp32"
    assert made == [torch.bfloat16, torch.float32, torch.bfloat16]


def generator_of(path: Path, precision: str = "") -> Any:
    return find_and_load(str(path), precision=precision)


def test_a_generator_is_freed_at_once(model_file: Path) -> None:
    """The worker never collects cycles: one with a model in it would stay in memory."""
    generator = load_open(model_file, "gguf")
    trace = Trace(generator, start(tokens=5))
    list(trace.advance(0, 5))
    gone = weakref.ref(generator)
    gc.disable()
    del generator, trace
    gc.enable()
    assert gone() is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"architecture": "mamba"}, True),
        ({"fields": {"expert_count": 8}}, True),
        ({"fields": {"rope.scaling.type": "longrope"}}, True),
        ({"pre": "alien"}, True),
        ({"tensors": {"blk.0.ssm_a.weight": np.zeros(8, np.float32)}}, True),
        ({"fields": {"attention.head_count": 0}}, False),
        ({"tensors": {"blk.1.ffn_up.weight": ABSENT}}, False),
    ],
    ids=[
        "architecture",
        "experts",
        "rope",
        "tokenizer",
        "tensor",
        "damaged numbers",
        "damaged tensors",
    ],
)
def test_what_genui_does_not_compute_may_be_served(
    changes: dict[str, Any], expected: bool, tmp_path: Path
) -> None:
    path = tmp_path / "file.gguf"
    write_gguf(path, **changes)
    with pytest.raises(GenuiError) as caught:
        load_open(path, "gguf")
    assert (SERVE in str(caught.value)) == expected
    assert str(caught.value).startswith(f"{path}: ")


def test_models_that_are_not_used_make_room(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a file is refused."""
    other = tmp_path / "other.gguf"
    other.write_bytes(model_file.read_bytes())
    unused = weakref.ref(generator_of(model_file))
    free = psutil.virtual_memory().available

    def memory() -> SimpleNamespace:
        return SimpleNamespace(available=free if unused() is None else 1000)

    monkeypatch.setattr(psutil, "virtual_memory", memory)
    assert isinstance(generator_of(other), TextGenerator)
