"""Generation: one generator a family, each a step at a time."""

from collections.abc import Iterator

from genui.protocol import Frame, Start, Started

ENDLESS = 1 << 62


def stream(request: Start) -> Iterator[Started | Frame]:
    """Generate in this process: what started, then a frame a step.

    Raises MisuseError or GenuiError where the model or the request is at fault.
    """
    from genui.engine.generate.load import open_trace

    trace = open_trace(request)
    yield trace.started
    if trace.opening is not None:
        yield trace.opening
    yield from trace.advance(0, ENDLESS)  # a trace ends by itself
