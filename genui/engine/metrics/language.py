"""Metrics of text and code models."""

import ast
import builtins
import io
import keyword
import lzma
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from genui.engine.data.text import TextData, load_training_text
from genui.engine.data.tokenizer import strip_last_space
from genui.engine.metrics.copying import copying
from genui.engine.sample.text import TextGenerator
from genui.engine.train.language import encode_documents, held_out_loss
from genui.protocol import FILL, Start, TextSettings
from genui.protocol.kinds import KINDS
from genui.recipes import TextRecipe

# --- Code: syntax, gaps, and compression ------------------------------------------------------

TOKENS = 1000  # per function, at most
LONGEST = 16  # tokens in a gap, at most
FUNCTIONS, GAPS = 200, 400
MARGIN = 120  # characters before and after a masked identifier, at least


def _usual() -> TextSettings:
    settings = KINDS["transformer", "code"].defaults
    assert isinstance(settings, TextSettings)
    return settings


USUAL = _usual()
FREE = msgspec.structs.replace(USUAL, grammar="none", dry=0.0)
"""The usual settings without the grammar and DRY."""


def measure_code(generator: TextGenerator, data: TextData) -> dict[str, str]:
    """The share of functions that parse and of gaps that are restored, and xz's bits per byte."""
    share = sum(map(parses, functions(generator, FUNCTIONS))) / FUNCTIONS
    free = sum(map(parses, functions(generator, FUNCTIONS, FREE))) / FUNCTIONS
    metrics = {
        "functions": f"{share:.0%} of {FUNCTIONS} parse",
        "left to itself": f"without the grammar and DRY {free:.0%} of them",
    }
    if generator.tokenizer.gap is not None:
        masked = masked_identifiers(data.validation, GAPS)
        usual = most_frequent(data.train)
        right = np.mean(restore_names(generator, masked))
        base = np.mean([one.name == usual for one in masked])
        metrics["gaps"] = (
            f"{right:.0%} of {len(masked)} masked identifiers of held-out modules restored "
            f"(greedily; always '{usual}' {base:.0%})"
        )
    train, held = ("".join(part).encode() for part in (data.train, data.validation))
    xz = xz_bits_per_byte(train, held)
    metrics["xz -9e"] = f"{xz:.3f} bits a byte once it has read the training text"
    return metrics


def functions(
    generator: TextGenerator, count: int, settings: TextSettings = USUAL
) -> Iterator[str]:
    """Top-level functions generated with seeds 0, 1, …

    Each goes from "def" to the next line without indentation; if there is none within TOKENS, to
    its last complete line.
    """
    settings = msgspec.structs.replace(settings, tokens=TOKENS)
    for seed in range(count):
        text = generator.write("\n\n\ndef", seed, settings, until="\n\n\n")
        yield _first_function("def" + text)


def _first_function(text: str) -> str:
    lines = text.split("\n")
    body = [lines[0]]
    for line in lines[1:]:
        if line and not line[0].isspace() and not line.startswith(")"):
            break
        body.append(line)
    else:
        body = body[:-1] or body  # the last line may be cut off by the budget
    return "\n".join(body)


def parses(source: str) -> bool:
    """Whether it is valid Python for this interpreter."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings
            ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


@dataclass(frozen=True)
class Masked:
    """An identifier, with the text before and after it in its module."""

    prefix: str
    name: str
    suffix: str


def identifiers(source: str) -> list[tuple[str, int]]:
    """The identifiers of a module and their positions in characters, without keywords, builtins
    and single letters; [] if the module is not valid."""
    starts = np.cumsum([0, *(len(line) for line in source.splitlines(keepends=True))]).tolist()
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return []
    return [
        (token.string, starts[token.start[0] - 1] + token.start[1])
        for token in tokens
        if token.type == tokenize.NAME
        and len(token.string) > 1
        and not keyword.iskeyword(token.string)
        and not hasattr(builtins, token.string)
    ]


def masked_identifiers(modules: Iterable[str], count: int, seed: int = 0) -> list[Masked]:
    """`count` random identifiers of these modules, without replacement."""
    candidates = [
        Masked(module[:at], name, module[at + len(name) :])
        for module in modules
        for name, at in identifiers(module)
        if MARGIN <= at <= len(module) - MARGIN
    ]
    order = np.random.default_rng(seed).permutation(len(candidates))[:count]
    return [candidates[i] for i in order]


def most_frequent(modules: Iterable[str]) -> str:
    """The most frequent identifier: the constant guess with the best accuracy."""
    counts = Counter(name for module in modules for name, _ in identifiers(module))
    return counts.most_common(1)[0][0]


def restore_names(generator: TextGenerator, masked: Iterable[Masked]) -> list[bool]:
    """Whether the likeliest tokens for each gap, up to the end token, are the identifier."""
    settings = TextSettings(temperature=0, tokens=LONGEST)
    right = []
    for one in masked:
        prompt = f"{one.prefix}{FILL}{one.suffix}"
        start = Start(trace=0, model="", prompt=prompt, seed=0, settings=settings)
        state, _ = generator.begin(start)
        middle = ""
        while not generator.finished(state):
            state, frame = generator.step(state)
            middle += frame.text
        restored = strip_last_space(one.prefix) + middle
        right.append(state.ended and restored == one.prefix + one.name)
    return right


def xz_bits_per_byte(train: bytes, held: bytes) -> float:
    """The bits per byte that `xz -9e` needs for `held` after `train`.

    The dictionary is as large as both; -9e alone has 64 MB.
    """
    size = 1 << max(20, (len(train) + len(held)).bit_length())
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": size}]

    def compressed(data: bytes) -> int:
        return len(lzma.compress(data, format=lzma.FORMAT_RAW, filters=chain))

    return 8 * (compressed(train + held) - compressed(train)) / len(held)


# --- Text: held-out loss and copying ----------------------------------------------------------

TEXT_BATCH = 16
SAMPLE = 4 << 20  # bytes of data that do not fit into memory
COPY_SAMPLES = 12  # of 400 tokens each


def measure_text(generator: TextGenerator, recipe: TextRecipe) -> dict[str, str]:
    """The loss on the whole validation split, and the share that is copied."""
    return _measure_text(generator, recipe, load_training_text(recipe, sample=SAMPLE))


def measure_code_model(generator: TextGenerator, recipe: TextRecipe) -> dict[str, str]:
    """`measure_code`, then the metrics of text."""
    data = load_training_text(recipe, sample=SAMPLE)
    return measure_code(generator, data) | _measure_text(generator, recipe, data)


def _measure_text(generator: TextGenerator, recipe: TextRecipe, data: TextData) -> dict[str, str]:
    held = encode_documents(generator.tokenizer, data.validation)
    nats = held_out_loss(generator.model, held, generator.machine, TEXT_BATCH)
    characters = sum(map(len, data.validation))
    bits = nats * len(held) / characters / np.log(2)
    metrics = {}
    if recipe.tokenizer == "chars":
        metrics["validation loss"] = f"{nats:.3f} nats/char"
    part = data.notes[0] if data.is_sample else "whole validation split"
    metrics["held-out text"] = f"{bits:.3f} bits/char, {part}"
    return metrics | measure_copying(generator, recipe, data)


def measure_copying(generator: TextGenerator, recipe: TextRecipe, data: TextData) -> dict[str, str]:
    """How much of the generated text is copied from the training text (`copying`)."""
    settings = TextSettings(tokens=400)
    written = [
        generator.write(recipe.sample_prompt, seed, settings).encode("utf-8", "replace")
        for seed in range(COPY_SAMPLES)
    ]
    train, held = ([d.encode() for d in part] for part in (data.train, data.validation))
    result = copying(written, train, held)
    return {
        "copying": str(result),
        "longest run": (
            f"{result.longest} bytes stand in the training text; of as much held-out text "
            f"{result.longest_real}"
        ),
    }
