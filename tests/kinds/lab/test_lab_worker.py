"""The Lab over the worker's pipes."""

import io

from genui import protocol
from genui.engine.worker import Worker
from genui.protocol import Failed, Inspect, Inspection, LabSettings, PointsFrame, Start, Started


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
