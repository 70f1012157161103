"""Files of text, whose last line is the recipe."""

import codecs
from collections.abc import Sequence

from genui.base.errors import GenuiError, MisuseError
from genui.base.numbers import count
from genui.base.text import clean
from genui.formats.recipe import TraceRecipe, to_json
from genui.formats.sample import Difference, NoRecipeError, Sample, first_difference
from genui.protocol import TextFrame

RECIPE_LINE = "genui-recipe: "  # begins the last line of a text


def body(samples: Sequence[Sample]) -> str:
    """The text as written to a file; each under its seed if there are several."""
    texts = [whole_text(sample) for sample in samples]
    if len(texts) == 1:
        return texts[0]
    heads = [f"--- seed {sample.seed}\n" for sample in samples]
    return "\n".join(head + text for head, text in zip(heads, texts, strict=True))


def whole_text(sample: Sample) -> str:
    """The prompt and the text that follows it, as plain text."""
    if sample.frames and (page := sample.frames[-1].page) is not None:
        return clean(page)
    return sample.prompt + "".join(text_of_steps(sample)) + sample.suffix


def text_of_steps(sample: Sample) -> list[str]:
    """The text that each step wrote, as plain text."""
    return [clean(frame.transcript) for frame in sample.frames if isinstance(frame, TextFrame)]


# --- .txt -------------------------------------------------------------------------------------


def encode_text(samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None) -> bytes:
    """The text, and its recipe as the last line."""
    return f"{body(samples)}\n{RECIPE_LINE}{to_json(recipe)}\n".encode()


def decode_text(data: bytes, name: str) -> tuple[str, str]:
    """The text and its recipe. Raises GenuiError if it is not text or has no recipe."""
    return split_recipe(data, f"\n{RECIPE_LINE}", name)


def plain_text(data: bytes, name: str) -> str:
    """The text of a file, without the recipe of one that genui wrote. Raises MisuseError if it is
    not UTF-8."""
    remedy = "convert it first (iconv -t utf-8)"
    text = decode_utf8(data.removeprefix(codecs.BOM_UTF8), name, remedy, MisuseError)
    parts = _split_last_line(text, f"\n{RECIPE_LINE}")
    return text if parts is None else parts[0]


def compare_texts(saved: str, again: str, samples: Sequence[Sample]) -> Difference | None:
    """The first character that differs and, of one sample, the step that wrote it."""
    at = first_difference(saved, again)
    if at is None:
        return None
    numbers = {"character": at + 1}
    where = f"character {count(at + 1)}"
    if len(samples) == 1:
        numbers["step"] = step = _step_of(at, samples[0])
        where += f" (step {count(step)})"
    line = f"differs from {where} on: {_quote(saved, at)} in the file, {_quote(again, at)} again"
    return Difference(line, numbers)


def _step_of(at: int, sample: Sample) -> int:
    """The step that wrote a character; 0 for the prompt."""
    end = len(sample.prompt)
    if at < end:
        return 0
    for frame in sample.frames:
        if frame.page is not None:  # each step may have written it
            return sample.frames[-1].step
        end += len(clean(frame.transcript))
        if at < end:
            return frame.step
    return sample.frames[-1].step + 1


def _quote(text: str, at: int) -> str:
    return repr(text[at : at + 12]) if at < len(text) else "the end"


def split_recipe(data: bytes, mark: str, name: str) -> tuple[str, str]:
    """The lines before the last one, and the recipe in the last, which begins with `mark`.

    Raises GenuiError, which begins with `name`, if it is not text or has no recipe.
    """
    parts = _split_last_line(decode_utf8(data, name), mark)
    if parts is None:
        raise NoRecipeError(name)
    return parts


def _split_last_line(text: str, mark: str) -> tuple[str, str] | None:
    """What is before and after the mark at which the last line begins; None without one."""
    content, separator, rest = text.rpartition(mark)
    return (content, rest) if separator and "\n" not in rest.rstrip("\n") else None


def decode_utf8(
    data: bytes,
    name: str,
    remedy: str = "name a text that genui wrote",
    fault: type[GenuiError] = GenuiError,
) -> str:
    """The text of a file. Raises a `fault`, which begins with `name`, if it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise fault(f"{name}: is not UTF-8 text (byte {error.start}); {remedy}") from None
