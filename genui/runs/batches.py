"""The last batches that a script has trained on (`Run.log_batch`), kept for when its loss jumps.

The examples of a step are a text and a sheet of images in the folder `batches` of the run, the
hardest first; the folder has those of the last KEPT steps. If an alert fires they are moved to
`batches-frozen`, where they stay until the next one. Both together have at most 32 MB, and only
their owner may read them.
"""

import math
import shutil
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import starmap
from pathlib import Path
from typing import Any, NamedTuple

from genui.base.files import atomic_write
from genui.runs.layout import RunDir
from genui.runs.media import Image, Text, arrays_of, format_texts, tile
from genui.runs.spikes import SpikeFinder, is_training_loss

KEPT = 8
"""Steps."""

MOST = 256
"""The most examples of a step; of more, those that were logged last."""

LONGEST = 2000
"""Characters of an example, of up to 4 bytes: with MOST of them a step has about 2 MB."""


class Example(NamedTuple):
    """A text or an image, and its loss; NaN if it is not known."""

    content: Any  # str, or uint8 [H, W, 3]
    loss: float


class BatchRing:
    """The batches of a run, which the script adds."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._examples: deque[Example] = deque(maxlen=MOST)  # since the last record
        self._steps: deque[tuple[int, list[Example]]] = deque(maxlen=KEPT)  # not written yet
        self._finders: dict[str, SpikeFinder] = {}
        self._broken: set[str] = set()  # losses that are no number any more

    def add(self, contents: Any, losses: Any = None) -> None:
        """Add examples of the step whose record comes next. Raises ValueError if these are neither
        texts nor images, or `losses` are not as many."""
        contents = [contents] if isinstance(contents, str) else contents
        if isinstance(contents, Sequence) and all(isinstance(one, str) for one in contents):
            found: list[Any] = [one[:LONGEST] for one in contents]
        elif isinstance(contents, list | tuple):
            found = [array for one in contents[:MOST] for array in arrays_of(one)]
        else:
            found = arrays_of(contents)
        numbers = [math.nan] * len(found)
        if losses is not None:
            known = losses.tolist() if hasattr(losses, "tolist") else losses
            numbers = [float(one) for one in known][: len(found)]
        self._examples.extend(starmap(Example, zip(found, numbers, strict=True)))

    def end_step(self, record: Mapping[str, Any]) -> None:
        """The examples so far are of this record; they are frozen if a loss jumps, or is no number
        for the first time. Raises GenuiError if they cannot be written then."""
        step = record["step"]
        if self._examples:
            self._steps.append((step, [*self._examples]))
            self._examples.clear()
        for name, value in record.items():
            if is_training_loss(name):
                finder = self._finders.setdefault(name, SpikeFinder())
                if isinstance(value, str):  # "NaN"
                    is_alert = name not in self._broken
                    self._broken.add(name)
                else:
                    is_alert = finder.add(value) is not None
                if is_alert:
                    self.freeze()
                    return

    def freeze(self) -> None:
        """Keep the batches of the last steps until the next alert. Raises GenuiError."""
        self.write()
        if self._run.batches.is_dir():
            shutil.rmtree(self._run.frozen_batches, ignore_errors=True)
            self._run.batches.rename(self._run.frozen_batches)

    def write(self) -> None:
        """Write the newest steps, and remove older ones. Raises GenuiError."""
        folder = self._run.batches
        if not self._steps:
            return
        folder.mkdir(mode=0o700, exist_ok=True)
        while self._steps:
            step, examples = self._steps.popleft()
            hardest = sorted(examples, key=lambda one: 0.0 if math.isnan(one.loss) else -one.loss)
            for suffix, data in encode(hardest):
                atomic_write(folder / f"step-{step:08d}{suffix}", data, durable=False, mode=0o600)
        for step in batch_steps(folder)[:-KEPT]:
            for path in folder.glob(f"step-{step:08d}.*"):
                path.unlink(missing_ok=True)


def encode(examples: Iterable[Example]) -> Iterable[tuple[str, bytes]]:
    """The files of examples: a suffix and the bytes."""
    texts: dict[str, list[Text]] = {}
    images: list[Image] = []
    for content, loss in examples:
        name = "batch" if math.isnan(loss) else f"batch, loss {loss:.4g}"
        if isinstance(content, str):
            texts.setdefault(name, []).append(Text(content))
        else:
            images.append(Image(content, caption=name))
    if texts:
        yield ".txt", format_texts(texts)
    if images:
        yield ".png", tile(images)


def batch_steps(folder: Path) -> list[int]:
    """The steps whose batches are in a folder, ascending."""
    names = {path.stem.removeprefix("step-") for path in folder.glob("step-*.*")}
    return sorted(int(name) for name in names if name.isdecimal())
