import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui import protocol
from genui.protocol import Candidate, ImageFrame, Start, TextFrame, TextSettings

MESSAGES = [
    TextFrame(
        trace=1, step=2, token=3, text="é☕", surprisal=1.5, entropy=2.0,
        candidates=(Candidate(3, "é☕", 0.5, 0.7), Candidate(4, "\n", 0.1, 0.0)),
    ),
    ImageFrame(trace=1, step=0, sigma=40.0, width=2, height=1, x=bytes(6), guess=bytes(range(6))),
]  # fmt: skip


@given(st.integers(1, 40))
def test_messages_survive_any_cutting(size: int) -> None:
    data = b"".join(map(protocol.encode, MESSAGES))
    reader = protocol.replies()
    found = []
    for i in range(0, len(data), size):
        found += reader.feed(data[i : i + size])
    assert found == MESSAGES


@given(st.binary(min_size=1, max_size=200))
def test_noise_is_refused_in_one_line_or_waited_for(data: bytes) -> None:
    reader = protocol.requests()
    with contextlib.suppress(protocol.ProtocolError):
        assert len(list(reader.feed(data))) <= len(data) // 5  # the smallest message is 5 bytes


def test_an_endless_message_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(protocol.ProtocolError, match="over the limit"):
        list(protocol.requests().feed(b"\xff\xff\xff\x7f"))


def test_values_out_of_range_are_refused() -> None:
    wrong = Start(trace=1, model="m", prompt="p", seed=1, settings=TextSettings(temperature=-1))
    with pytest.raises(protocol.ProtocolError, match="not a genui message"):
        list(protocol.requests().feed(protocol.encode(wrong)))
