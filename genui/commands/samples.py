"""Running the traces of a command in this process, with what a person sees of it meanwhile."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from genui.commands import output
from genui.commands.progress import Progress
from genui.commands.request import first_edit_fits
from genui.errors import GenuiError
from genui.protocol import Frame, Start, Started, TextFrame
from genui.saved import Sample


@dataclass(frozen=True)
class Generated:
    """A trace to its end: how it began and its frames."""

    start: Start
    started: Started
    frames: list[Frame]

    @property
    def sample(self) -> Sample:
        """As files are written from it."""
        from genui.render.sanitise import clean

        prompt, suffix = clean(self.started.prompt), clean(self.started.suffix)
        return Sample(self.start.seed, prompt, self.frames, suffix)

    @property
    def text(self) -> str:
        """Prompt and what was written, of a text."""
        from genui.saved.write import body

        return body([self.sample])


def generate(start: Start, of: int = 1, live: bool = False, until: int | None = None) -> Generated:
    """One trace, to its end or to step `until`, with progress on stderr; where `live` its text
    goes to stdout instead, token by token.

    Raises MisuseError where an edit is at a step that the trace does not have.
    """
    from genui.engine.generate import stream

    which = f"sample {start.trace + 1}/{of}  " if of > 1 else ""
    messages = _said(start, stream(start))
    progress, started, frames = Progress(), None, []
    try:
        for message in _written(messages) if live else messages:
            if isinstance(message, Started):
                started = message
                first_edit_fits(start, started.total_steps)
            elif isinstance(message, Frame):
                frames.append(message)
                if started is not None and not live:
                    progress.show(f"{which}step {message.step}/{started.total_steps}")
                if message.step == until:
                    break
    finally:
        progress.clear()
    if started is None or not frames:
        raise GenuiError(f"{start.model}: nothing came; `genui doctor` says what is installed")
    return Generated(start, started, frames)


def _said(start: Start, messages: Iterable[Started | Frame]) -> Iterator[Started | Frame]:
    """The trace, with what the model has to say about the prompt as a remark, once."""
    for message in messages:
        if isinstance(message, Started) and message.note and start.trace == 0:
            output.note(message.note)
        yield message


def _written(messages: Iterable[Started | Frame]) -> Iterator[Started | Frame]:
    """The trace, its text on stdout as it comes, between what stands before and after it; the
    last line is ended."""
    from genui.render.sanitise import clean

    last = suffix = ""
    try:
        for message in messages:
            if isinstance(message, Started | TextFrame):
                text = clean(message.prompt if isinstance(message, Started) else message.text)
                last = text or last
                sys.stdout.write(text)
                sys.stdout.flush()
            if isinstance(message, Started):
                suffix = clean(message.suffix)
            yield message
        sys.stdout.write(suffix)
        last = suffix or last
    finally:
        if last and not last.endswith("\n"):
            print(flush=True)
