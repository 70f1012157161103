"""Generation: one generator a family, each a step at a time."""

from collections.abc import Iterator

from genui.protocol import Frame, Start, Started


def stream(request: Start) -> Iterator[Started | Frame]:
    """Generate in this process: what started, then a frame a step.

    Raises MisuseError or GenuiError where the model or the request is at fault.
    """
    from genui.engine.generate.load import find_and_load

    generator = find_and_load(request.model)
    state, started = generator.begin(request)
    yield started
    first = generator.first_frame(state)
    if first is not None:
        yield first
    while not generator.finished(state):
        state, frame = generator.step(state)
        yield frame
