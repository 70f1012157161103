import numpy as np
import pytest
from rich.cells import cell_len
from widget_stage import Stage, lines_of

from genui.protocol import Attention
from genui.ui.widgets.candidates import AttentionList, Heads, levels

TEXTS = ("RO", "MEO", ":", " the", "\n")


def told(layers: int = 2, heads: int = 3, step: int = 3) -> Attention:
    """Head n looks at token n, the next less, the others not at all."""
    weights = np.zeros((layers * heads, len(TEXTS)), np.float16)
    for at in range(layers * heads):
        weights[at, at % len(TEXTS)] = 0.75
        weights[at, (at + 1) % len(TEXTS)] = 0.25
    return Attention(
        trace=1,
        step=step,
        layers=layers,
        heads=heads,
        texts=TEXTS,
        first=0,
        weights=weights.tobytes(),
    )


def test_the_average_comes_first_then_every_head_of_every_layer() -> None:
    heads = Heads(told())
    assert heads.count == 7
    names = [heads.name(at) for at in range(heads.count)]
    assert names[:2] == ["average", "layer 1 of 2, head 1 of 3"]
    assert names[-1] == "layer 2 of 2, head 3 of 3"
    each = np.stack([heads.weights(at) for at in range(1, heads.count)])
    assert heads.weights(0) == pytest.approx(each.mean(axis=0))
    assert heads.weights(2) == [0, 0.75, 0.25, 0, 0]


def test_the_prompt_is_what_was_seen_before_the_tokens_written() -> None:
    assert Heads(told(step=3)).prompt == ("RO", "MEO", ":")
    assert Heads(told(step=1)).prompt == TEXTS
    assert Heads(told(step=99)).prompt == ()


def test_shades_are_against_the_strongest() -> None:
    assert levels([0.4, 0.2, 0.08, 0.03, 0.001]) == [4, 3, 2, 1, 0]
    assert levels([0.0] * 3) == [0, 0, 0]


async def test_the_strongest_are_listed_with_share_and_distance() -> None:
    attention = AttentionList()
    weights = [0.5, 0.05, 0.3, 0.1, 0.05]
    async with Stage(attention).run_test(size=(40, 5)):
        attention.show(TEXTS, weights, 128)
        lines = [line.rstrip() for line in lines_of(attention)]
        assert lines[0] == "token   back   share"
        assert lines[1].startswith("   RO     −5  50.0% ████")
        assert lines[2].startswith("    :     −3  30.0% ███")
        assert lines[3:] == ["the other 3 have 20%", "before the context: the first 128"]
        attention.show(TEXTS[:2], weights[:2])
        assert lines_of(attention)[3].rstrip() == "2 tokens in the context"


async def test_where_there_is_room_the_words_around_are_told() -> None:
    attention = AttentionList()
    async with Stage(attention).run_test(size=(70, 9)):
        attention.show(TEXTS, [0.0, 0.9, 0.1, 0.0, 0.0])
        assert "        ROMEO: t " in lines_of(attention)[1]


@pytest.mark.parametrize("size", [(5, 1), (14, 3), (30, 4), (120, 2)])
async def test_any_room_will_do(size: tuple[int, int]) -> None:
    attention = AttentionList()
    async with Stage(attention).run_test(size=size) as pilot:
        attention.show(TEXTS, [0.2] * 5, 3)
        await pilot.pause()
        assert {cell_len(line) for line in lines_of(attention)} == {size[0]}


async def test_the_empty_state_says_what_to_press() -> None:
    attention = AttentionList()
    async with Stage(attention).run_test(size=(40, 5)):
        attention.show(TEXTS, [0.2] * 5)
        attention.clear("press → for a token")
        assert lines_of(attention)[2].strip() == "press → for a token"
