"""GGUF files by llama.cpp, where it and a real file are installed."""

import os
import sys
from pathlib import Path

import pytest
import torch

from genui.base.errors import GenuiError
from genui.engine.load import open_trace
from genui.engine.models.llama_cpp_model import LlamaCppState
from genui.protocol import Start, TextSettings

FILE = os.environ.get("GENUI_SMOLLM2", "")


def test_a_state_goes_back_to_the_ends_of_what_was_read_at_once() -> None:
    state = LlamaCppState()
    for start, tokens in ((0, [5, 6, 7, 8]), (4, [9]), (5, [10])):
        state.starts.append(start)
        state.token_ids += tokens
    assert state.snapshot(5).token_ids == [5, 6, 7, 8, 9]
    assert state.snapshot(5).starts == [0, 4]
    assert state.seek(6) == 6
    assert state.seek(3) == 0  # inside the prompt
    assert state.length == 0


@pytest.mark.skipif(not Path(FILE).is_file(), reason="GENUI_SMOLLM2 names no file")
def test_the_real_model_writes_and_goes_back_to_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("llama_cpp")
    monkeypatch.setenv("GENUI_GGUF", "llama.cpp")
    settings = TextSettings(tokens=24, temperature=0.0)
    request = Start(
        trace=1, model=FILE, prompt="The capital of France is", seed=1, settings=settings
    )
    trace = open_trace(request)
    assert "llama.cpp" in trace.started.precision
    frames = list(trace.advance(0, 24))
    assert frames[0].text == " Paris"
    fork = open_trace(request)  # the other text is in llama.cpp's cache meanwhile
    assert list(fork.advance(0, 10)) == frames[:10]
    assert [*trace.advance(7, 3), *trace.advance(2, 22)] == [*frames[7:10], *frames[2:]]


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    monkeypatch.setenv("GENUI_GGUF", "llama.cpp")
    from genui.engine.device import Machine
    from genui.engine.sample.pretrained import load_gguf_model
    from genui.hub.formats import OpenModel

    model = OpenModel(path=tmp_path / "a.gguf", format="gguf", name="a")
    with pytest.raises(GenuiError, match=r"pip install .*llama-cpp-python"):
        load_gguf_model(model, Machine("cpu", "fp32", torch.get_num_threads()))
