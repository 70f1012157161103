"""Norms by layer on disk: what is kept, and which layer moved first."""

from pathlib import Path

import numpy as np
import pytest

from genui.logs.native import MetricsTail
from genui.runs import norms
from genui.runs.layout import RunDir
from genui.runs.norms import Movement, Points, append_norms, first_movement, norms_of_kind


def layer(values: np.ndarray, every: int = 2) -> Points:
    steps = every * np.arange(1, len(values) + 1)
    return steps, values, steps.astype(float)


def noisy(seed: int, count: int = 200) -> np.ndarray:
    return np.exp(0.1 * np.random.default_rng(seed).normal(size=count))


def test_of_layers_that_jump_the_first_is_named() -> None:
    calm, early, late, small = (noisy(seed) for seed in range(4))
    early[190:] *= 8
    late[193:] *= 100
    layers = {"calm": layer(calm), "late": layer(late), "early": layer(early)}
    moved = first_movement(layers)
    assert isinstance(moved, Movement)
    assert (moved.layer, moved.step, moved.value) == ("early", 382, early[190])
    assert moved.deviations > 8
    assert moved.text.startswith("moved first: step 382, ")
    assert moved.text.endswith(" robust deviations up")
    small[190:] /= 3
    later = first_movement({**layers, "small": layer(small)}, 395)
    assert later is not None
    assert later.layer == "early"


def test_a_cursor_before_the_jump_sees_none_and_noise_is_none() -> None:
    values = noisy(0)
    values[190:] *= 8
    assert first_movement({"a": layer(values)}, 380) is None
    assert first_movement({"a": layer(values)}, 390) is not None
    assert first_movement({str(seed): layer(noisy(seed)) for seed in range(40)}) is None
    assert first_movement({"a": layer(values[:10])}) is None
    assert first_movement({}) is None


def test_steps_at_which_muon_rests_are_no_movement() -> None:
    values = noisy(0)
    values[1::2] = 0
    series = {"updates/a": layer(values), "weights/a": layer(noisy(1)), "updates/b": layer(values)}
    layers = norms_of_kind(series, "updates")
    assert list(layers) == ["a", "b"]
    assert layers["a"][0].tolist() == list(range(2, 401, 4))
    assert first_movement(layers) is None


def test_records_have_few_digits_and_a_large_file_gets_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDir(tmp_path)
    append_norms(run, 5, {"weights/a": 1 / 3, "gradients/a": 1e-9 / 3})
    tail = MetricsTail(run.norms)
    assert tail.read()
    assert {name: one.values.tolist() for name, one in tail.series.items()} == {
        "weights/a": [0.3333], "gradients/a": [3.333e-10]
    }  # fmt: skip
    monkeypatch.setattr(norms, "LARGEST", run.norms.stat().st_size)
    append_norms(run, 6, {"weights/a": 1.0})
    assert len(run.norms.read_text().splitlines()) == 1
