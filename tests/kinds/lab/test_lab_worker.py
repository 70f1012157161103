"""The Lab over the worker's pipes."""

import io

import pytest

from genui import protocol
from genui.base.errors import MisuseError
from genui.engine.worker import Worker
from genui.kinds.lab.messages import Inspect, Inspection, LabSettings, Plane, PointsFrame
from genui.protocol import Failed, Start, Started
from genui.protocol.edits import variations


def asked(*requests: protocol.Request) -> list[protocol.Reply]:
    """What a worker answers to these, one after the other."""
    sink = io.BytesIO()
    Worker(io.BytesIO(b"".join(map(protocol.encode, requests))), sink).run()
    return list(protocol.replies().feed(sink.getvalue()))


def test_a_training_begins_and_is_looked_at() -> None:
    settings = LabSettings(width=8, batch=16)
    begin = Start(trace=7, model="lab:flow", prompt="spirals", seed=1, settings=settings)
    started, opening, seen = asked(begin, Inspect(trace=7, step=0, noise=0.5, paths=True))
    assert isinstance(started, Started)
    assert (started.family, started.medium, started.total_steps) == ("flow", "points", 2000)
    assert started.fingerprint
    assert isinstance(opening, PointsFrame)
    assert opening.data
    assert isinstance(seen, Inspection)
    assert (seen.trace, seen.step, seen.noise) == (7, 0, 0.5)
    assert seen.levels > 1


def test_a_look_at_another_step_or_no_trace_is_one_line() -> None:
    settings = LabSettings(width=8, batch=16)
    begin = Start(trace=7, model="lab:gan", prompt="spirals", seed=1, settings=settings)
    *_, late, unknown = asked(begin, Inspect(trace=7, step=9), Inspect(trace=8, step=0))
    assert isinstance(late, Failed)
    assert "is at step 0" in late.message
    assert isinstance(unknown, Failed)
    assert "start it again" in unknown.message


def test_messages_of_a_kind_are_read_beside_those_of_the_core() -> None:
    plane = PointsFrame(trace=1, step=2, measures=(), digest=b"d", plane=Plane(samples=b"1234"))
    question = Inspect(trace=1, step=2, noise=0.5)
    replies = [Failed(1, "no"), plane, Failed(2, "no")]
    assert list(protocol.replies().feed(b"".join(map(protocol.encode, replies)))) == replies
    assert list(protocol.requests().feed(protocol.encode(question))) == [question]
    with pytest.raises(protocol.ProtocolError, match="no kind of model with the request"):
        list(protocol.requests().feed(protocol.encode(plane)))


def test_a_training_has_no_variations() -> None:
    begin = Start(trace=1, model="lab:flow", prompt="spirals", seed=1, settings=LabSettings())
    with pytest.raises(MisuseError, match="no variations"):
        variations(begin, 0, 2, [1])
