"""The files a trace can be written to, and writing them. Runs on a thread; no screen here."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from msgspec.structs import replace

from genui.edits import in_force
from genui.errors import GenuiError, MisuseError
from genui.protocol import ImageFrame, LabSettings, LatentSettings, PointsFrame
from genui.render.sanitise import clean_line
from genui.runs.disk import atomic_write, shown
from genui.saved import Machine, SavedTree, View, encode, result_of, save_tree
from genui.saved.files import Kind
from genui.saved.plane import looked_at
from genui.saved.write import film_steps
from genui.ui import keeping
from genui.ui.compare import Part
from genui.ui.trace import Trace

_SIDE = 256  # pixels that a small picture is enlarged to, about
_MOST_SCALE = 32


Shows = Literal["frame", "film", "animation", "clip", "sound", "orchestra", "score", "text", "tree"]


@dataclass(frozen=True)
class Format:
    """A kind of file: what it shows, in words and as a `View` has it."""

    key: str
    kind: Kind
    words: str
    shows: Shows
    still: bool = False  # of the step shown alone
    shrink: int = 0  # pictures: enlarged, and then so many times smaller; 0: as they are

    @property
    def suffix(self) -> str:
        return f".{self.kind}"

    def view(self, frames: Sequence[Any], step: int, part: Part) -> View:
        """The view of a trace's frames: as the pane has it, and large enough to be seen."""
        first, scale = frames[0], 1
        steps: tuple[int, ...] = ()
        if self.still:
            steps = (looked_at(frames, step) if isinstance(first, PointsFrame) else step,)
        if self.shrink and isinstance(first, ImageFrame):
            large = max(1, min(_MOST_SCALE, _SIDE // max(first.width, first.height)))
            scale = max(1, large // self.shrink)
        if self.shows == "sound":
            part = "x"  # it has none
        return View(kind=self.shows, steps=steps, part=part, scale=scale)


PICTURES = (
    Format("png", "png", "the {part} at step {step}", "frame", still=True, shrink=1),
    Format("film", "png", "a filmstrip, ten steps from noise to picture", "film", shrink=4),
    Format("gif", "gif", "every step, moving, 256 colours", "animation", shrink=1),
    Format("apng", "apng", "every step, moving, all colours", "animation", shrink=1),
    Format("cast", "cast", "a recording of the terminal, for asciinema", "animation"),
    Format("trace", "trace", "the branches, to open again; no pictures", "tree"),
)
CLIPS = (
    Format("gif", "gif", "the clip as it is at step {step}, 256 colours",
        "clip", still=True, shrink=1),
    Format("apng", "apng", "the clip as it is at step {step}, all colours",
        "clip", still=True, shrink=1),
    Format("mp4", "mp4", "the clip as it is at step {step}, for players; needs ffmpeg",
        "clip", still=True, shrink=1),
    Format("png", "png", "all frames of the {part} at step {step}",
        "frame", still=True, shrink=4),
    Format("film", "png", "a filmstrip, ten steps from noise to clip, a row each",
        "film", shrink=8),
    Format("steps", "gif", "every step, moving, all frames side by side",
        "animation", shrink=4),
    Format("cast", "cast", "the clip as a recording of the terminal, for asciinema",
        "clip", still=True),
    Format("trace", "trace", "the branches, to open again; no pictures", "tree"),
)  # fmt: skip
WALKS = (
    Format("png", "png", "the picture at step {step}", "frame", still=True, shrink=1),
    Format("film", "png", "a filmstrip, ten steps of the walk", "film", shrink=4),
    *PICTURES[2:],
)
SOUNDS = (
    Format("wav", "wav", "the sound of the guess at step {step}", "sound", still=True),
    *PICTURES,
)
PLANES = (
    Format("gif", "gif", "the training, moving, 256 colours", "animation"),
    Format("apng", "apng", "the training, moving, all colours", "animation"),
    Format("png", "png", "the plane as it was last looked at, up to step {step}",
        "frame", still=True),
    Format("csv", "csv", "the samples of that step, x,y a line", "frame", still=True),
    Format("trace", "trace", "the branches, to open again; no pictures", "tree"),
)  # fmt: skip
TEXTS = (
    Format("txt", "txt", "prompt and text", "text"),
    Format("cast", "cast", "a recording of the terminal, for asciinema", "text"),
    Format("trace", "trace", "the branches, to open again; no text", "tree"),
)
PIECES = (
    Format("mid", "mid", "a MIDI file, a track a voice", "score"),
    Format("wav", "wav", "the piece played by a small synthesiser", "sound"),
    Format("gm", "wav", "the same with General MIDI instruments; needs fluidsynth", "orchestra"),
    Format("trace", "trace", "the branches, to open again; no notes", "tree"),
)


def formats(trace: Trace[Any]) -> tuple[Format, ...]:
    """What a trace of its medium can be written as."""
    if trace.medium == "music":
        return PIECES
    if trace.first:
        return TEXTS
    if isinstance(trace.request.settings, LabSettings):
        return PLANES
    if isinstance(trace.request.settings, LatentSettings):
        return WALKS
    frame = trace.frames[0] if trace.frames else None
    if isinstance(frame, ImageFrame) and frame.sound:
        return SOUNDS
    return CLIPS if isinstance(frame, ImageFrame) and frame.pictures > 1 else PICTURES


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
        view = form.view(sample.frames, self.step, self.part)
        if view.kind == "film":
            view = replace(view, steps=film_steps([sample]))
        result = result_of(sample.frames)
        return encode(form.kind, [sample], keeping.recipe_for(trace, self.machine, result, view))


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
