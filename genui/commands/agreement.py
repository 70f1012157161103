"""How far a file is from the same generation made again."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from genui.commands.samples import Generated
from genui.protocol import TextFrame
from genui.render.numbers import count
from genui.saved import CastFile, Result, SavedFile, SavedTree, encode, result_of
from genui.saved.music import ScoreFile
from genui.saved.sound import SoundFile
from genui.saved.write import body

LOSSY = ("gif", "mp4")  # kinds of files that do not keep every colour as it was


@dataclass(frozen=True)
class Comparison:
    """Whether the two are the same, one line on how they are not, and that as numbers."""

    identical: bool
    line: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """For a script."""
        said = {"difference": self.line} if self.line else {}
        return {"identical": self.identical, **said, **self.numbers}


def compare(file: SavedFile, made: Sequence[Generated]) -> Comparison:
    """The file against the samples made again, written in the same way.

    Pictures are compared pixel for pixel, sounds sample for sample, texts character for
    character, recordings output for output; and all by the digest of every frame, which is what a
    GIF (it keeps 256 colours), an MP4 (it keeps what is seen) and a `.trace` (it keeps no frame)
    have of them.
    """
    result = result_of(*(one.frames for one in made))
    if isinstance(file.content, SavedTree):
        saved, seen = file.content.result or Result(), Comparison(True)
    else:
        saved, seen = file.recipe.result, _seen(file, file.content, made)
    if not seen.identical:
        if file.kind in LOSSY and result == saved:
            kept = f"the {file.kind.upper()}'s colours differ"
            line = f"{seen.line}; every frame agrees by digest, so only {kept}"
            return replace(seen, line=line)
        return seen
    if result == saved:
        how = {"compared": "by digest"} if file.kind in (*LOSSY, "trace") else {}
        return Comparison(True, numbers={**seen.numbers, **how})
    return _by_result(saved, result)


def _seen(
    file: SavedFile,
    content: list[Any] | str | CastFile | SoundFile | ScoreFile,
    made: Sequence[Generated],
) -> Comparison:
    """What the file shows against what it would show if it were written now."""
    samples = [one.sample for one in made]
    if file.kind == "csv":
        from genui.saved import plane

        one, step = made[0], file.recipe.view.steps[-1]
        return _rows(content, plane.rows(one.frames, one.started.prompt, step))
    if isinstance(content, str):
        return _texts(content, body(samples), made)
    if file.kind == "mp4" and not content:  # there is no ffmpeg to look into it
        return Comparison(True)
    again = encode(file.kind, samples, file.recipe)
    if isinstance(content, CastFile):
        from genui.saved.files import cast_in

        return _outputs(content.outputs, cast_in(again, str(file.path))[1].outputs)
    if isinstance(content, SoundFile):
        return _sounds(content, again)
    if isinstance(content, ScoreFile):
        return _scores(content, again)
    if file.kind == "mp4":
        from genui.saved import mp4

        return _pictures(content, mp4.decode(again))
    from genui.render import film

    return _pictures(content, film.read(again).frames)


def _scores(saved: ScoreFile, again: bytes) -> Comparison:
    from genui.saved import music

    at = music.difference(saved, music.decode(again)[0])
    if at is None:
        return Comparison(True)
    return Comparison(False, f"other notes from sixteenth {at + 1} on", {"sixteenth": at + 1})


def _sounds(saved: SoundFile, again: bytes) -> Comparison:
    from genui.saved import sound

    apart = sound.difference(saved, sound.decode(again)[0])
    if apart is None:
        return Comparison(True)
    second, largest = apart
    line = f"differs from second {second:.3f} on, by {largest:,} of 32,768 at most"
    return Comparison(False, line, {"second": second, "largest": largest})


def _pictures(saved: Sequence[Any], again: Sequence[Any]) -> Comparison:
    from genui.render.film import difference

    apart = difference(saved, again)
    if apart is None:
        sizes = [
            f"{len(frames)} of {frames[0].shape[1]}×{frames[0].shape[0]}"
            for frames in (saved, again)
        ]
        return Comparison(False, f"not the same pictures: {sizes[0]}, and again {sizes[1]}")
    share, largest, mean = apart
    if not largest:
        return Comparison(True)
    line = (
        f"{share:.2%} of the pixels differ, by {largest} of 255 at most and {mean:.3g} on average"
    )
    numbers = {"pixels": share, "largest": largest, "mean": mean}
    return Comparison(False, line, numbers)


def _texts(saved: str, again: str, made: Sequence[Generated]) -> Comparison:
    at = _first(saved, again)
    if at is None:
        return Comparison(True)
    numbers: dict[str, Any] = {"character": at + 1}
    where = f"character {count(at + 1)}"
    step = _step_of(at, made[0]) if len(made) == 1 else None
    if step is not None:
        numbers["step"] = step
        where += f" (step {count(step)})"
    line = f"differs from {where} on: {_quoted(saved, at)} in the file, {_quoted(again, at)} again"
    return Comparison(False, line, numbers)


def _step_of(at: int, made: Generated) -> int:
    """The step that wrote a character; 0 for the prompt."""
    end = len(made.sample.prompt)
    if at < end:
        return 0
    frames = [frame for frame in made.frames if isinstance(frame, TextFrame)]
    for frame in frames:
        end += len(frame.text)
        if at < end:
            return frame.step
    return frames[-1].step + 1


def _rows(content: object, again: str) -> Comparison:
    """Rows of a CSV, line for line."""
    at = _first(str(content).split("\n"), again.split("\n"))
    if at is None:
        return Comparison(True)
    return Comparison(False, f"differs from line {at + 1} on", {"line": at + 1})


def _outputs(saved: Sequence[str], again: Sequence[str]) -> Comparison:
    at = _first(saved, again)
    if at is None:
        return Comparison(True)
    line = f"differs from output {at + 1} on (of {len(saved)}, and again {len(again)})"
    return Comparison(False, line, {"output": at + 1})


def _by_result(saved: Result, again: Result) -> Comparison:
    """Where what the file shows says nothing of it: by what the recipe says it came to."""
    for number, (one, other) in enumerate(zip_longest(saved.tokens, again.tokens, fillvalue=()), 1):
        at = _first(one, other)
        if at is not None:
            line = f"other tokens from step {at + 1} on"
            line += f" of sample {number}" if len(again.tokens) > 1 else ""
            return Comparison(False, line, {"step": at + 1})
    if saved.steps != again.steps:
        line = f"ended at step {again.steps}, not {saved.steps}"
    elif saved.digest != again.digest:
        line = "the last step differs (the digests of the frames do)"
    else:
        line = "the last step is the same, but steps before it differ"
    return Comparison(False, line, {"compared": "by digest"})


def _first(one: Sequence[Any], other: Sequence[Any]) -> int | None:
    """The first place where two sequences differ; None where they are the same."""
    if one == other:
        return None
    for at, (mine, its) in enumerate(zip(one, other, strict=False)):
        if mine != its:
            return at
    return min(len(one), len(other))


def _quoted(text: str, at: int) -> str:
    return repr(text[at : at + 12]) if at < len(text) else "the end"
