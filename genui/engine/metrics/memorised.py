"""What a language model gives back of its training text, always beside held-out text."""

import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.base.shares import ShareRow, ShareTable, count_row
from genui.base.text import clean_line
from genui.engine.data.canaries import CANDIDATES, EACH, TIMES
from genui.engine.data.text import TextData, load_training_text
from genui.engine.load import find_and_load
from genui.engine.metrics.copying import MAX_BYTES, Verbatim, index_text
from genui.engine.metrics.exposure import exposure, rank_canaries, token_nats
from genui.engine.metrics.shares import area_under_curve, take_passages, write
from genui.engine.metrics.table import ReportProgress
from genui.engine.sample.text import TextGenerator
from genui.protocol import TextSettings
from genui.recipes import TextRecipe
from genui.runs.models import own_recipe


def _find_recipe(model: str) -> TextRecipe:
    """Raises MisuseError for a model that is no text model trained by genui."""
    recipe = own_recipe(model)
    if not isinstance(recipe, TextRecipe):
        raise MisuseError(f"{model}: what is remembered is measured of text models")
    return recipe


def _load(model: str) -> TextGenerator:
    generator = find_and_load(model)
    if not isinstance(generator, TextGenerator):
        raise MisuseError(f"{model}: only models that write token by token are asked")
    return generator


# --- Extraction -------------------------------------------------------------------------------

LENGTHS = (20, 30, 50, 80)
"""Bytes in a row. Carlini et al. 2023 call 50 tokens extracted."""

TEMPERATURES = (1.0, 0.5, 0.2)

PREFIX = 100
"""Characters of training or held-out text that the model continues with its likeliest tokens."""

WRITTEN = 256
"""Tokens that it writes, of which as many characters are kept: held-out texts have as many, too."""


def extract(models: Sequence[str], count: int, progress: ReportProgress) -> ShareTable:
    """How many of `count` texts have a run of bytes that stands in the training text, by length.

    Raises MisuseError for models of which it cannot be asked, and what `index_text` raises.
    """
    recipe = _find_recipe(models[0])
    traced, data = index_text(recipe), load_training_text(recipe, sample=MAX_BYTES)
    columns = {"held out": take_passages(data.validation, count, WRITTEN)}
    for title, prompts, temperature in _list_prompts(recipe, data, count):
        texts = columns[title] = []
        settings = TextSettings(temperature=temperature, tokens=WRITTEN)
        for text in write(models[0], prompts, settings):
            texts.append(text[:WRITTEN])
            progress(f"{models[0]}, {title}", len(texts), len(prompts))
    runs = [[_longest(traced.index, text) for text in texts] for texts in columns.values()]
    best = [max(column, key=len).decode("utf-8", "ignore") for column in runs]
    found = max(best[1:], key=len)
    return ShareTable(
        title=f"Texts of {WRITTEN} characters with bytes in a row that stand in the training text",
        columns=tuple(columns),
        rows=tuple(
            count_row(f"{length} or more", ([len(r) >= length for r in c] for c in runs))
            for length in LENGTHS
        ),
        notes=(
            f"the longest that {models[0]} wrote: {clean_line(found, 90)!r}, {len(found)}; in "
            f"held-out text: {clean_line(best[0], 90)!r}, {len(best[0])}",
            "held-out text was not learned and has such runs too: only ▲, more than there, may be "
            "memory. What is not sampled here may come back all the same",
        ),
    )


def _list_prompts(
    recipe: TextRecipe, data: TextData, count: int
) -> Iterator[tuple[str, list[str], float]]:
    """Titles, prompts and temperatures of what is sampled."""
    for temperature in TEMPERATURES:
        yield f"temperature {temperature:g}", [recipe.sample_prompt] * count, temperature
    for what, texts in (("training", data.train), ("held-out", data.validation)):
        yield f"after {what} text", take_passages(texts, count, PREFIX), 0


def _longest(index: Verbatim, text: str) -> bytes:
    """The longest run of bytes of a text that stands in the indexed texts."""
    raw = text.encode("utf-8", "replace")
    run = index.longest(raw)
    return raw[run.start : run.end]


# --- Canaries ---------------------------------------------------------------------------------


def rank(models: Sequence[str], count: int, progress: ReportProgress) -> ShareTable:
    """How many of the planted canaries are likelier than all lines that were not; `count` is
    ignored. Raises MisuseError if none were planted."""
    recipe = _find_recipe(models[0])
    if not recipe.canaries:
        raise MisuseError(
            f"{models[0]}: no canaries were planted in its text; train with --set canaries=1"
        )
    progress(models[0], 0, CANDIDATES)
    generator = _load(models[0])
    ranks = rank_canaries(generator.model, generator.tokenizer, generator.machine, recipe.canaries)
    return ShareTable(
        title=f"Canaries of {models[0]} that are likelier than {CANDIDATES} lines like them",
        columns=("likeliest of all",),
        rows=tuple(
            count_row(
                f"planted {times}×",
                [row == 1],
                f"{bits.mean():.1f} bits ({bits.min():.1f}–{bits.max():.1f})",
            )
            for times, row, bits in zip(TIMES, ranks, exposure(ranks), strict=True)
        ),
        notes=(
            f"bits: the mean exposure of {EACH} canaries (Carlini et al. 2019), of at most 9; of "
            "lines that were never planted, the first row, about 1.4",
            "it says how well random lines are remembered, and nothing of lines like the rest",
        ),
    )


# --- Membership -------------------------------------------------------------------------------

PASSAGE = 256
"""Characters of a passage, fewer if the model's context is shorter."""

ALARMS = (0.01, 0.05, 0.1, 0.25, 0.5)

ATTACKS: dict[str, Callable[[NDArray[np.float32], bytes], float]] = {
    "loss": lambda nats, raw: float(nats.mean()),
    "loss / zlib": lambda nats, raw: float(nats.sum()) / len(zlib.compress(raw)),
    "zlib alone": lambda nats, raw: len(zlib.compress(raw)),
}
"""Scores of a passage, smaller if it was learned, by the nats of its tokens and its bytes: Yeom et
al. 2018, Carlini et al. 2021, and a control that does not ask the model."""


def tell_members(models: Sequence[str], count: int, progress: ReportProgress) -> ShareTable:
    """How many passages of the training text a score finds, at several shares of held-out ones that
    it names by mistake: the ROC curve. Raises what `extract` raises."""
    recipe = _find_recipe(models[0])
    data = load_training_text(recipe, sample=MAX_BYTES)
    progress(models[0], 0, count)
    generator = _load(models[0])
    size = min(PASSAGE, generator.model.context)
    scores = [
        _score(generator, take_passages(texts, count, size))
        for texts in (data.validation, data.train)
    ]
    rows: list[ShareRow] = []
    for name in ATTACKS:
        others, members = (each[name] for each in scores)
        area = f"area {area_under_curve(members, others):.2f}"
        for most in ALARMS:
            bound = np.sort(others)[int(most * len(others))]
            rows.append(count_row(f"{name}, {most:.0%}", [others < bound, members < bound], area))
            area = ""
    return ShareTable(
        title=f"Passages of {size} characters that a score says {models[0]} learned",
        columns=("held out (false alarms)", "trained on (found)"),
        rows=tuple(rows),
        notes=(
            "area: the chance that a learned passage scores below a held-out one; .5 is a coin",
            "zlib alone does not ask the model: away from .5 it says that the two texts differ. "
            "They may also differ in what it cannot see, such as names, which raises the loss too",
            "of a single passage no score proves that it was learned: of held-out ones it says so "
            "as often as the false alarms are",
        ),
    )


def _score(generator: TextGenerator, passages: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """The scores of passages by each of ATTACKS, [N] each."""
    token_ids = [generator.tokenizer.encode(passage) for passage in passages]
    nats = token_nats(generator.model, generator.machine, token_ids)
    texts = [passage.encode("utf-8", "replace") for passage in passages]
    return {
        name: np.array([attack(*each) for each in zip(nats, texts, strict=True)])
        for name, attack in ATTACKS.items()
    }
