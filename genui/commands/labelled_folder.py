"""A folder of samples with their labels, written so that it can be gone on with.

Pictures, clips and sounds are files named in `metadata.jsonl`, as Hugging Face's imagefolder has
them ({"file_name": …, "text": …, "seed": …}); texts are lines of `data.jsonl`. A line is written
when its sample is whole: whatever ends the writing leaves what was finished.
"""

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from genui.commands import output
from genui.commands.progress import Progress
from genui.errors import GenuiError, MisuseError
from genui.render.units import duration
from genui.saved.drawn import PLAN, Plan, read_plan

TEXTS = "data.jsonl"


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sample; of a text `text` is what was written after `prompt`, prompt and all."""

    file_name: str = ""
    text: str
    prompt: str = ""
    seed: int = 0


def plan_in(folder: Path) -> Plan | None:
    """The plan that a folder was begun with. Raises MisuseError where it holds other things."""
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise MisuseError(f"--out {folder}: is a file; name a folder")
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GenuiError(f"--out {folder}: cannot be read ({error.strerror})") from None
    if not names:
        return None
    try:
        return read_plan(folder)
    except FileNotFoundError:
        raise MisuseError(
            f"--out {folder}: holds other files ({sorted(names)[0]}); name an empty or a new folder"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise GenuiError(f"{folder / PLAN}: is damaged ({error}); name a new folder") from None


def prepare(folder: Path, plan: Plan, index: str) -> int:
    """Make the folder, drop a line that was torn, and say how many samples are whole."""
    path = folder / index
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PLAN).write_bytes(msgspec.json.format(msgspec.json.encode(plan)) + b"\n")
        whole = path.read_bytes() if path.exists() else b""
        kept = whole[: whole.rfind(b"\n") + 1]
        done = kept.count(b"\n") // plan.batch * plan.batch  # a batch is drawn whole
        kept = b"".join(line + b"\n" for line in kept.split(b"\n")[:done])
        if kept != whole:
            os.truncate(path, len(kept))  # what is kept is never at risk
    except OSError as error:
        raise _full(folder, error, 0) from None
    return done


def write(
    folder: Path, made: Iterable[Sequence[tuple[Line, bytes]]], done: int, count: int, index: str
) -> None:
    """Samples as they come, a line each once its file is whole."""
    progress, began, first = Progress(), time.monotonic(), done
    try:
        with (folder / index).open("ab") as lines:
            for batch in made:
                for line, content in batch:
                    if line.file_name:
                        target = folder / line.file_name
                        target.parent.mkdir(exist_ok=True)
                        target.write_bytes(content)
                lines.write(b"".join(msgspec.json.encode(line) + b"\n" for line, _ in batch))
                lines.flush()
                done += len(batch)
                rate = (done - first) / max(time.monotonic() - began, 1e-6)
                left = duration((count - done) / rate)
                progress.show(f"{done:,}/{count:,} · {rate:.3g} a second · {left} left")
    except OSError as error:
        raise _full(folder, error, done) from None
    except KeyboardInterrupt:
        progress.clear()
        output.note(f"{done:,} of {count:,} are whole in {folder}; the same command goes on")
        raise
    finally:
        progress.clear()


def _full(folder: Path, error: OSError, done: int) -> GenuiError:
    reason = (error.strerror or str(error)).lower()
    whole = f"; {done:,} are whole, and the same command goes on" if done else ""
    return GenuiError(f"cannot write in {folder}: {reason}{whole}")


def difference(before: Plan, now: Plan) -> str:
    """How a folder was begun, where that is otherwise than asked now."""
    names = ("model", "prompt", "seed", "settings", "fingerprint", "batch")
    name = next(name for name in names if getattr(before, name) != getattr(now, name))
    if name == "fingerprint":
        return f"with other weights of {before.model}"
    if name == "settings":
        return "with other settings"
    return f"with {name} {str(getattr(before, name))[:60]}"


def file_name(number: int, suffix: str) -> str:
    """A thousand files a folder."""
    return f"{number // 1000:03d}/{number:06d}{suffix}"
