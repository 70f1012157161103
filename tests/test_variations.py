"""Variations as edits: nearer does less again, farther more, always from other seeds."""

import pytest

from genui.base.errors import MisuseError
from genui.protocol import (
    AddNoise,
    EditAt,
    ImageSettings,
    SetSeed,
    Settings,
    Start,
    TextSettings,
)
from genui.protocol.edits import DISTANCES, variations


def start(settings: Settings, *edits: EditAt) -> Start:
    return Start(trace=0, model="m", prompt="p", seed=1, settings=settings, edits=edits)


def test_of_an_image_farther_adds_more_noise() -> None:
    request = start(ImageSettings(steps=20))
    levels = []
    for distance in range(len(DISTANCES)):
        (found,) = variations(request, 20, distance, [9])
        seed, noise = found.edits
        assert (found.step, seed) == (20, SetSeed(9))
        assert isinstance(noise, AddNoise)
        levels.append(noise.to)
    assert levels == sorted(levels, reverse=True)
    assert len(set(levels)) == len(levels)
    assert 0 < levels[-1] < levels[0] < 20


def test_noise_that_was_added_back_counts() -> None:
    request = start(ImageSettings(steps=20), EditAt(step=20, edit=AddNoise(to=10)))
    (found,) = variations(request, 22, 0, [9])  # at the place of step 12
    assert isinstance(found.edits[1], AddNoise)
    assert found.edits[1].to == 11


def test_of_a_text_farther_begins_again_earlier() -> None:
    request = start(TextSettings(tokens=100))
    steps = [variations(request, 100, distance, [2])[0].step for distance in range(5)]
    assert steps == sorted(steps, reverse=True)
    assert 0 < steps[-1] < steps[0] < 100


def test_each_seed_gives_one_and_its_whole_request() -> None:
    request = start(ImageSettings(steps=8))
    found = variations(request, 8, 2, [3, 4])
    assert [each.seed for each in found] == [3, 4]
    whole = found[1].start(request)
    assert [at.step for at in whole.edits] == [8, 8]
    assert whole.edits[0].edit == SetSeed(4)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (ImageSettings(), "still pure noise"),
        (TextSettings(), "nothing is written yet"),
    ],
)
def test_with_nothing_to_vary_one_line_says_why(settings: Settings, why: str) -> None:
    with pytest.raises(MisuseError, match=why):
        variations(start(settings), 0, 2, [1])
