"""Where in the noise schedule a step is, whatever was edited before it."""

import pytest

from genui import protocol
from genui.protocol import AddNoise, Denoise, EditAt, ImageSettings, SetSettings
from genui.protocol.edits import schedule_step
from genui.ui.traces.trees import adds_noise


def start(*edits: tuple[int, protocol.Edit], **more: object) -> protocol.Start:
    return protocol.Start(
        trace=0,
        model="emoji",
        prompt="cat",
        seed=1,
        settings=ImageSettings(steps=20),
        edits=tuple(EditAt(step=step, edit=edit) for step, edit in edits),
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("request_", "step", "expected"),
    [
        (start(), 7, 7),
        (start((20, AddNoise(to=8))), 19, 19),
        (start((20, AddNoise(to=8))), 20, 8),
        (start((20, AddNoise(to=8))), 32, 20),
        (start((12, AddNoise(to=4)), (20, AddNoise(to=0))), 21, 1),
        (start(init="cat.png", strength=0.6), 0, 8),
        (start(init="cat.png", strength=0.01), 0, 19),
        (start(init="cat.png", forward=True), 0, 20),
        (start(init="cat.png", forward=True), 20, 0),
        (start((8, Denoise()), init="cat.png", forward=True), 8, 12),
        (start((8, Denoise()), init="cat.png", forward=True), 16, 20),
        (start((3, SetSettings(ImageSettings(steps=50)))), 4, 4),
    ],
)
def test_the_step_of_a_plain_schedule_with_as_much_noise(
    request_: protocol.Start, step: int, expected: int
) -> None:
    assert schedule_step(request_, step) == expected


def test_a_forward_process_rises_until_it_is_turned_round() -> None:
    request = start((8, Denoise()), init="cat.png", forward=True)
    assert [adds_noise(request, step) for step in (0, 7, 8, 9)] == [True, True, False, False]
    assert not adds_noise(start(), 0)
