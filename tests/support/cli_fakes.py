"""An engine without torch and checkpoints without weights."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from genui.engine.loading import LoadProgress
from genui.protocol import Frame, ImageFrame, Start, Started, TextFrame
from genui.recipes import Recipe

SIDE = 8  # pixels of a fake image


def write_checkpoint(path: Path, recipe: Recipe, step: int = 100) -> Path:
    """A whole checkpoint file with a genui header and no tensors."""
    meta = {"format": 1, "recipe": asdict(recipe), "step": step, "parameters": 1_234_567}
    header = json.dumps({"__metadata__": {"genui": json.dumps(meta)}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


class FakeStreams:
    """Stands in for `genui.engine.load.Streams`: streams of four steps, one after another."""

    def __init__(self, streams: Iterable[Iterator[Started | Frame]]) -> None:
        self._streams = streams
        self.progress = 0.0

    def __iter__(self) -> Iterator[Iterator[Started | Frame]]:
        for number, messages in enumerate(self._streams):
            yield self._follow(number, messages)

    def _follow(
        self, number: int, messages: Iterator[Started | Frame]
    ) -> Iterator[Started | Frame]:
        for message in messages:
            self.progress = number + message.step / 4
            yield message


class FakeEngine:
    """Stands in for `genui.engine.load`; `starts` has every trace it was asked for."""

    words = ("Good", " \x1b[31mmorrow", ",", " friend")

    def __init__(self) -> None:
        self.starts: list[Start] = []
        self.note = ""
        self.interrupt_after = len(self.words)
        self.interrupt_from = 0  # the first seed that is interrupted

    def streams(
        self,
        starts: Iterable[Start],
        says: Sequence[str] = (),
        until: int | None = None,
        progress: LoadProgress | None = None,
    ) -> "FakeStreams":
        return FakeStreams(self.stream(start, says) for start in starts)

    def stream(self, start: Start, says: Sequence[str] = ()) -> Iterator[Started | Frame]:
        self.starts.append(start)
        yield Started(
            trace=start.trace,
            model=start.model,
            family="fake",
            medium="text",
            prompt=start.prompt,
            total_steps=4,
            note=self.note,
        )
        make = self._word if start.settings.__struct_config__.tag == "text" else self._image
        for step in range(len(self.words)):
            if step == self.interrupt_after and start.seed >= self.interrupt_from:
                raise KeyboardInterrupt
            yield make(start, step)

    def _word(self, start: Start, step: int) -> TextFrame:
        return TextFrame(
            trace=start.trace,
            step=step + 1,
            token=step,
            text=self.words[step],
            surprisal=1.0,
            entropy=1.0,
            candidates=(),
        )

    def _image(self, start: Start, step: int) -> ImageFrame:
        pixels = bytes([start.seed % 256, step, 0]) * SIDE * SIDE
        return ImageFrame(
            trace=start.trace,
            step=step,
            sigma=1.0,
            width=SIDE,
            height=SIDE,
            x=pixels,
            denoised=pixels,
        )
