import contextlib
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui import protocol
from genui.protocol import Candidate, ImageFrame, Start, TextFrame, TextSettings
from genui.protocol.kinds import find_tagged
from genui.protocol.messages import CoreReply, CoreRequest
from genui.protocol.settings import CoreEdit

MESSAGES = [
    TextFrame(
        trace=1, step=2, token=3, text="é☕", surprisal=1.5, entropy=2.0,
        candidates=(Candidate(3, "é☕", 0.5, 0.7), Candidate(4, "\n", 0.1, 0.0)),
    ),
    ImageFrame(
        trace=1, step=0, sigma=40.0, width=2, height=1, x=bytes(6), denoised=bytes(range(6))
    ),
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


def test_settings_that_no_kind_has_are_refused_in_one_line() -> None:
    start = Start(trace=1, model="m", prompt="p", seed=1, settings=TextSettings())
    body = protocol.encode(start)[4:].replace(b"\xa4text", b"\xa4tixt")
    with pytest.raises(protocol.ProtocolError, match="the settings 'tixt'") as refusal:
        list(protocol.requests().feed(struct.pack("<I", len(body)) + body))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("union", [CoreRequest, CoreReply, CoreEdit])
def test_a_tag_of_the_core_is_used_once(union: object) -> None:
    for one in get_args(union):
        assert find_tagged(one, one.__struct_config__.tag) is one


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b"good text", b"bad \xff\xfe\xfd.."),
        # one more field, which nobody knows, in a map of so many fields
        lambda body: bytes([body[0] + 1]) + b"\xa1z" + b"\x91" * 200_000 + b"\xc0" + body[1:],
        lambda body: bytes([body[0] + 1]) + b"\xa1z" + b"\x81\xa1a" * 200_000 + b"\xc0" + body[1:],
        lambda body: body[:-1],
        lambda body: b"\xc1",
    ],
    ids=["invalid UTF-8", "nested arrays", "nested maps", "cut short", "reserved byte"],
)
def test_a_damaged_message_is_a_protocol_error(change: Callable[[bytes], bytes]) -> None:
    start = Start(trace=1, model="m", prompt="good text", seed=1, settings=TextSettings())
    body = protocol.encode(start)[4:]
    damaged = change(body)
    assert damaged != body
    with pytest.raises(protocol.ProtocolError, match="not a genui message") as refusal:
        list(protocol.requests().feed(struct.pack("<I", len(damaged)) + damaged))
    assert "\n" not in str(refusal.value)


def test_a_built_in_tag_loads_no_plug_in_and_neither_torch_nor_textual(tmp_path: Path) -> None:
    plugin = tmp_path / "loud.py"
    plugin.write_text("print('loaded')\nKINDS = ()\n")
    code = (
        "import sys; from genui import protocol; from genui.protocol.kinds import decode_tagged\n"
        "for tag in 'text', 'image', 'unknown':\n"
        "  try: print(type(decode_tagged(protocol.Settings, {'type': tag})).__name__)\n"
        "  except ValueError as error: print(error)\n"
        "print({'torch', 'textual'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"GENUI_PLUGINS": str(plugin)}, text=True, capture_output=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "TextSettings",
        "ImageSettings",
        "loaded",
        "no kind of model with the settings 'unknown': it is not installed",
        "set()",
    ], done.stderr
