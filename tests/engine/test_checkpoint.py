import json
from itertools import pairwise
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from genui.base.errors import GenuiError
from genui.engine.load import find_and_load
from genui.engine.train import checkpoint
from genui.engine.train.checkpoint import dequantise, quantise, to_half
from genui.recipes import find_recipe
from genui.runs import layout
from genui.runs.layout import RunDir, choose_states

RECIPE = find_recipe("shakespeare")


def save(run: RunDir, step: int) -> Path:
    model = nn.Linear(3, 2)
    state = {"adamw.0.exp_avg": torch.ones(2, 3)}
    return checkpoint.save(run, step, RECIPE, model, model, state, {"fingerprint": "f"})


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


def test_what_was_saved_comes_back(run: RunDir) -> None:
    save(run, 5)
    averaged, raw, optimizers, described = checkpoint.load_state(run, 5)
    assert averaged.keys() == raw.keys() == {"weight", "bias"}
    assert torch.equal(optimizers["adamw.0.exp_avg"], torch.ones(2, 3))
    assert described["step"] == 5
    assert described["recipe"]["name"] == "shakespeare"


def test_the_newest_whole_checkpoint_is_found(run: RunDir) -> None:
    assert checkpoint.newest_whole(run) is None
    for step in (1, 2, 3):
        save(run, step)
    assert checkpoint.newest_whole(run) == 3
    whole = run.checkpoint(3)
    whole.write_bytes(whole.read_bytes()[:-7])  # killed half-way
    assert checkpoint.newest_whole(run) == 2


def test_old_checkpoints_make_room(run: RunDir) -> None:
    for step in range(1, 13):
        save(run, step)
    states = list(run.checkpoints.glob("*.state.safetensors"))
    assert len(states) == layout.KEEP_STATES
    weights = set(run.checkpoints.glob("*.safetensors")) - set(states)
    assert len(weights) == layout.KEEP_WEIGHTS
    assert checkpoint.newest_whole(run) == 12


def keep_while_training(last: int, every: int, alerts: tuple[int, ...], most: int) -> set[int]:
    """The states that are left after a training that thins them at each checkpoint."""
    kept: set[int] = set()
    for step in range(every, last + 1, every):
        known = [alert for alert in alerts if alert <= step]
        kept = choose_states(sorted({*kept, step}), known, last, most)
    return kept


def test_states_are_thinned_to_an_eighth_of_the_run_and_one_before_each_alert() -> None:
    kept = keep_while_training(10_000, 100, (7_113,), most=99)
    assert {9_900, 10_000, 7_100} <= kept
    places = [0, *sorted(kept)]
    assert max(b - a for a, b in pairwise(places)) <= 10_000 / 8
    assert len(kept) <= 8 + 3
    few = keep_while_training(10_000, 100, (7_113,), most=5)
    assert {9_900, 10_000, 7_100} <= few
    assert len(few) <= 5
    assert keep_while_training(10_000, 100, (7_113,), most=0) == {9_900, 10_000}
    assert choose_states([5], [3], 10, 9) == {5}


def test_a_full_disk_keeps_what_was_there(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    save(run, 1)

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(GenuiError, match="No space left") as caught:
        save(run, 2)
    assert "step-00000002" in str(caught.value)
    assert checkpoint.newest_whole(run) == 1
    assert len(list(run.checkpoints.iterdir())) == 2  # the files of step 1


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\xff" * 8 + b"{}", b"\0" * 64])
def test_a_file_that_is_no_checkpoint_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(GenuiError, match=r"bad\.safetensors") as caught:
        checkpoint.load_weights(path)
    assert "\n" not in str(caught.value)


def test_a_file_has_the_bytes_that_safetensors_writes(tmp_path: Path) -> None:
    types = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
             torch.float16, torch.bfloat16, torch.float32, torch.float64]  # fmt: skip
    tensors = {f"{kind}": torch.arange(6).view(2, 3).to(kind) for kind in types}
    tensors |= {"é": torch.tensor(2.0), "empty": torch.zeros(0, 3), "t": torch.randn(4, 3).T}
    tensors["conv"] = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    metadata = {"genui": json.dumps({"text": 'a "quoted"\nline é'})}
    path = tmp_path / "all.safetensors"
    checkpoint.write_tensors(path, tensors, metadata)
    whole = {name: value.contiguous() for name, value in tensors.items()}
    assert path.read_bytes() == safetensors.torch.save(whole, metadata)


def test_a_foreign_checkpoint_is_told_from_ours(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(GenuiError, match="not a genui checkpoint"):
        checkpoint.load_weights(path)
    newer = {"genui": json.dumps({"format": 99, "recipe": {}})}
    safetensors.torch.save_file({"w": torch.zeros(2)}, path, newer)
    with pytest.raises(GenuiError, match="format 99"):
        checkpoint.load_weights(path)


def test_weights_that_do_not_fit_their_recipe_are_one_line(tmp_path: Path) -> None:
    extra = {"tokenizer": {"kind": "chars", "characters": "abc"}}
    described = checkpoint.model_metadata(RECIPE, 1, nn.Linear(1, 1), extra)
    path = tmp_path / "odd.safetensors"
    checkpoint.write_tensors(path, {"w": torch.zeros(2)}, {"genui": json.dumps(described)})
    with pytest.raises(GenuiError, match="does not fit its own recipe") as caught:
        find_and_load(str(path))
    assert "\n" not in str(caught.value)


def test_eight_bits_are_close_and_a_quarter_of_the_size() -> None:
    torch.manual_seed(0)
    wide = {"matrix": torch.randn(64, 96) * torch.rand(64, 1) * 3, "vector": torch.randn(10)}
    small = quantise(wide)
    again = dequantise(small)
    assert again.keys() == wide.keys()
    for name, value in wide.items():
        assert float((again[name] - value).norm() / value.norm()) < 0.01
    assert sum(v.nbytes for v in small.values()) < sum(v.nbytes for v in wide.values()) / 3.6
    assert quantise(again).keys() == small.keys()


def test_sixteen_bits_are_closer_and_half_the_size() -> None:
    torch.manual_seed(0)
    wide = {"matrix": torch.randn(64, 96), "vector": torch.randn(10)}
    again = dequantise(to_half(wide))
    for name, value in wide.items():
        assert again[name].dtype == torch.float32
        assert float((again[name] - value).norm() / value.norm()) < 5e-4
    assert sum(v.nbytes for v in to_half(wide).values()) == sum(v.nbytes for v in wide.values()) / 2


def test_rows_of_nothing_stay_nothing() -> None:
    again = dequantise(quantise({"zero": torch.zeros(3, 4)}))
    assert torch.equal(again["zero"], torch.zeros(3, 4))
