"""The same logits through `transformers`' own logits processors."""

import math
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from importing import import_when_used

from genui.engine.sample.logits import distribution
from genui.protocol import TextSettings

transformers = import_when_used("transformers")

SIZE = 40


def by_transformers(logits: np.ndarray, settings: TextSettings, seen: list[int]) -> np.ndarray:
    """Probabilities [V] as `generate` makes them: a processor where its setting is on."""
    chain: list[Any] = [transformers.TemperatureLogitsWarper(float(settings.temperature))]
    if settings.repetition_penalty != 1:
        chain.insert(0, transformers.RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    if settings.top_k:
        chain.append(transformers.TopKLogitsWarper(settings.top_k))
    if settings.top_p < 1:
        chain.append(transformers.TopPLogitsWarper(settings.top_p))
    if settings.min_p > 0:
        chain.append(transformers.MinPLogitsWarper(settings.min_p))
    tokens, scores = torch.tensor([seen]), torch.from_numpy(logits)[None]
    for process in chain:
        scores = process(tokens, scores)
    return scores.softmax(dim=-1)[0].numpy()


# Whole hundredths that are all different, and penalties that no two hundredths are apart by:
# of tied tokens either may be kept.
LOGITS = st.lists(st.integers(-1500, 1500), min_size=SIZE, max_size=SIZE, unique=True)
SETTINGS = st.builds(
    TextSettings,
    repetition_penalty=st.sampled_from([1.0, math.sqrt(2), math.sqrt(3), math.pi]),
    temperature=st.floats(0.2, 8),
    top_k=st.integers(0, SIZE + 5),
    top_p=st.just(1.0) | st.floats(0.01, 0.999),
    min_p=st.just(0.0) | st.floats(0.001, 1),
)
SEEN = st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=60)


@given(hundredths=LOGITS, settings=SETTINGS, seen=SEEN)
def test_the_same_tokens_are_kept_with_the_same_probabilities(
    hundredths: list[int], settings: TextSettings, seen: list[int]
) -> None:
    logits = np.array(hundredths) / 100
    ours = distribution(logits, settings, np.array(seen)).probability
    expected = by_transformers(logits, settings, seen)
    assert (ours > 0).tolist() == (expected > 0).tolist()
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)
