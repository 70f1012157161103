"""The playhead, without a worker or a screen."""

import pytest
from msgspec.structs import replace

from genui import protocol
from genui.base.energy import Energy, EnergyPart
from genui.base.errors import MisuseError
from genui.base.schema import settings_of
from genui.protocol import ImageSettings, SetSeed, TextSettings
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.inputs import escape_newlines, unescape_newlines


def image(step: int) -> protocol.ImageFrame:
    return protocol.ImageFrame(
        trace=1, step=step, sigma=1.0, width=1, height=1, x=b"\0\0\0", denoised=b"\0\0\0"
    )


def begun(total: int = 20) -> ShownTrace[protocol.ImageFrame]:
    request = protocol.Start(
        trace=0, model="m", prompt="p", seed=1, settings=ImageSettings(steps=total)
    )
    trace: ShownTrace[protocol.ImageFrame] = ShownTrace(request=request, first=0, total=total)
    trace.seek(1)
    assert trace.next_request() == "start"
    trace.id = 1
    trace.begin(
        protocol.Started(
            trace=1, model="m", family="f", medium="image", prompt="p", total_steps=total
        )
    )
    trace.receive([image(0)], 0.0)
    trace.seek(0)
    return trace


def idle(reason: str, step: int = 0, total: int = 20) -> protocol.Idle:
    return protocol.Idle(trace=1, step=step, steps=1, seconds=0.1, total=total, reason=reason)  # type: ignore[arg-type]


def test_a_trace_says_what_its_own_steps_cost() -> None:
    def took(joules: float) -> Energy:
        part = EnergyPart(device="the processor", method="a", joules=joules, is_estimate=True)
        return Energy((part,))

    trace = begun()
    trace.play()
    assert trace.cost_text("step") == ""
    trace.spend(protocol.Spent(trace=1, steps=4, energy=took(2.0)))
    assert trace.cost_text("step") == "500 mJ/step estimate"
    trace.idle(replace(idle("cancelled", 5), energy=took(3.0)))
    trace.idle(replace(idle("finished", 20), energy=took(9.0)))
    assert trace.cost_text("step") == "12 J estimate"
    assert trace.fork(2, SetSeed(5)).energy == Energy()
    trace.spend(protocol.Spent(trace=1, steps=4, energy=took(2.0)))
    trace.lose()
    assert trace.cost_text("step") == "12 J estimate"


def test_nothing_is_asked_until_something_is_wanted() -> None:
    trace = begun()
    assert trace.next_request() is None
    trace.seek(3)
    assert trace.next_request() == (0, 3)
    assert trace.next_request() is None


def test_the_rest_of_slow_steps_is_foretold_and_not_by_a_pause() -> None:
    trace = begun()
    trace.play()
    assert trace.seconds_left(3.0) == 0.0
    trace.receive([image(1)], 3.0)
    trace.receive([image(2)], 7.0)  # a step in four seconds
    assert trace.seconds_left(7.0) == pytest.approx(18 * 4)
    trace.pause()
    assert trace.seconds_left(7.0) == 0.0
    trace.play()
    trace.receive([image(3)], 60.0)
    trace.receive([image(4)], 60.5)
    assert trace.seconds_left(60.5) == pytest.approx(16 * 0.5)


def test_a_pause_cancels_once_and_play_waits_for_the_idle() -> None:
    trace = begun()
    trace.play()
    assert trace.next_request() == (0, 20)
    trace.receive([image(1), image(2)], 1.0)
    trace.pause()
    assert trace.next_request() == "cancel"
    assert trace.next_request() is None
    trace.play()
    assert trace.next_request() is None
    trace.receive([image(3)], 1.1)
    trace.idle(idle("cancelled", 3))
    assert trace.next_request() == (3, 17)


def test_an_advance_that_has_delivered_everything_is_not_cancelled() -> None:
    trace = begun(2)
    trace.play()
    trace.next_request()
    trace.receive([image(1), image(2)], 1.0)
    trace.pause()
    assert trace.next_request() is None


def test_frames_computed_again_after_a_restart_are_not_kept_twice() -> None:
    trace = begun()
    trace.seek(2)
    trace.next_request()
    trace.receive([image(1), image(2)], 1.0)
    trace.lose()
    trace.seek(4)
    assert trace.next_request() == "start"
    trace.id = 2
    trace.started = True
    trace.receive([image(0)], 2.0)
    assert trace.next_request() == (2, 2)
    trace.receive([image(3), image(4)], 2.1)
    assert [frame.step for frame in trace.frames] == [0, 1, 2, 3, 4]


def test_the_playhead_shows_every_step_of_a_short_trace_and_hurries_in_a_long_one() -> None:
    short, long = begun(20), begun(400)
    for trace in (short, long):
        trace.play()
        trace.receive([image(n) for n in range(1, trace.total + 1)], 1.0)
    ticks = 0
    while short.playing:
        before = short.position
        short.tick(4.0, 10)
        assert short.position - before <= 1
        ticks += 1
    assert ticks == 20
    assert short.position == 20
    for _ in range(400):
        long.tick(4.0, 10)
    assert long.position == 400
    assert not long.playing


def test_playing_from_the_end_begins_again() -> None:
    trace = begun(2)
    trace.receive([image(1), image(2)], 1.0)
    trace.seek(2)
    trace.play()
    assert trace.position == 0
    assert trace.playing


@pytest.mark.parametrize("text", ["", "ROMEO:\n", "a\tb\\n\n", "\\", "\\\\n"])
def test_a_prompt_survives_being_put_on_one_line(text: str) -> None:
    assert "\n" not in escape_newlines(text)
    assert unescape_newlines(escape_newlines(text)) == text


FIELDS = settings_of(TextSettings)


def test_settings_stay_in_their_range() -> None:
    for name in ("temperature", "top_k", "top_p", "tokens"):
        one = FIELDS[name]
        low = high = one.default
        for _ in range(400):
            low, high = one.nudge(low, -1), one.nudge(high, 1)
        assert one.parse(str(low), name) == low
        assert low <= one.default <= high


def test_a_number_may_begin_with_its_point() -> None:
    assert FIELDS["min_p"].parse(" .05 ", "min-p") == 0.05


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("temperature", "hot", "expected a number"),
        ("top_k", "1.5", "expected a whole number"),
        ("top_p", "0", "above 0, up to 1"),
        ("tokens", "0", "1 to 100,000"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_one_line(name: str, text: str, fault: str) -> None:
    with pytest.raises(MisuseError) as raised:
        FIELDS[name].parse(text, name)
    assert fault in str(raised.value)
    assert "`" not in str(raised.value)
