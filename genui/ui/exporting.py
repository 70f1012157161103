"""The files a trace can be written to, and writing them. Runs on a thread; no screen here."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from genui.edits import in_force
from genui.errors import GenuiError, MisuseError
from genui.protocol import ImageFrame
from genui.render.sanitise import clean_line
from genui.runs.disk import atomic_write, shown
from genui.saved import Machine, SavedTree, View, encode, result_of, save_tree
from genui.saved.files import Kind
from genui.saved.write import film_steps
from genui.ui import keeping
from genui.ui.compare import Part
from genui.ui.trace import Trace

_SIDE = 256  # pixels that a small picture is enlarged to, about
_MOST_SCALE = 32


@dataclass(frozen=True)
class Format:
    """A kind of file; `words` say what it shows."""

    key: str
    kind: Kind
    words: str

    @property
    def suffix(self) -> str:
        return f".{self.kind}"


PICTURES = (
    Format("png", "png", "the {part} at step {step}"),
    Format("film", "png", "a filmstrip, ten steps from noise to picture"),
    Format("gif", "gif", "every step, moving, 256 colours"),
    Format("apng", "apng", "every step, moving, all colours"),
    Format("cast", "cast", "a recording of the terminal, for asciinema"),
    Format("trace", "trace", "the branches, to open again; no pictures"),
)
TEXTS = (
    Format("txt", "txt", "prompt and text"),
    Format("cast", "cast", "a recording of the terminal, for asciinema"),
    Format("trace", "trace", "the branches, to open again; no text"),
)


def formats(trace: Trace[Any]) -> tuple[Format, ...]:
    """What a trace of its medium can be written as."""
    return TEXTS if trace.first else PICTURES


@dataclass(frozen=True)
class Export:
    """What is written: a trace as it is now, on which machine, and what the app shows of it."""

    trace: Trace[Any]
    tree: SavedTree  # of its branches
    machine: Machine
    step: int
    part: Part = "x"

    def write(self, form: Format, path: Path, overwrite: bool) -> None:
        """Write the whole file or none of it.

        Raises MisuseError for a path that cannot be one, FileExistsError where a file is
        there and is not to be replaced, and GenuiError where the disk refuses.
        """
        check_path(path, form)
        if not overwrite and os.path.lexists(path):
            raise FileExistsError(path)
        try:
            if form.kind == "trace":
                save_tree(keeping.with_result(self.tree, tuple(self.trace.frames)), path)
            else:
                atomic_write(path, self.encoded(form))
        except GenuiError as error:
            cause = error.__context__
            if isinstance(cause, OSError):
                reason = (cause.strerror or str(cause)).lower()
                raise GenuiError(
                    f"cannot write {shown(path)}: {reason}; name a file elsewhere"
                ) from None
            raise

    def encoded(self, form: Format) -> bytes:
        """The file's bytes, with the recipe in its own metadata.

        Raises GenuiError where no step is here to be written.
        """
        trace = self.trace
        sample = keeping.sample_of(trace)
        if not sample.frames:
            raise GenuiError("no step is here yet to write: press space in the pane first")
        view = _view(form, sample.frames[0], self.step, self.part)
        if form.key == "film":
            view = replace(view, steps=film_steps([sample]))
        result = result_of(sample.frames)
        return encode(form.kind, [sample], keeping.recipe_for(trace, self.machine, result, view))


def _view(form: Format, frame: Any, step: int, part: Part) -> View:
    """How the file shows the trace: as the pane does, and large enough to be seen."""
    if not isinstance(frame, ImageFrame):
        return View(kind="text")
    scale = max(1, min(_MOST_SCALE, _SIDE // max(frame.width, frame.height)))
    match form.key:
        case "png":
            return View(kind="frame", steps=(step,), part=part, scale=scale)
        case "film":
            return View(kind="film", part=part, scale=max(1, scale // 4))
        case "cast":
            return View(kind="animation", part=part)
    return View(kind="animation", part=part, scale=scale)


def default_name(trace: Trace[Any], form: Format) -> str:
    """`icons-7.png`: the model's name, the seed and what the file is."""
    model = Path(trace.request.model).name.removesuffix(".safetensors")
    stem = "".join(c if c.isalnum() or c in "._-" else "-" for c in clean_line(model, 40))
    return f"{stem or 'genui'}-{in_force(trace.request)[1]}{form.suffix}"


def check_path(path: Path, form: Format) -> None:
    """Raises MisuseError, one line, where no file of that format can be at the path."""
    if path.suffix.lower() != form.suffix:
        raise MisuseError(f"{shown(path)}: end the name in {form.suffix}, or choose its format")
    if path.is_dir():
        raise MisuseError(f"{shown(path)}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise MisuseError(
            f"{shown(path)}: there is no folder {shown(path.parent)}; make it, or name another"
        )
