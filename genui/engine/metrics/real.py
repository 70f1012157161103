"""Real or generated? Detectors of generated text and images, with their false alarms first.

A threshold is set on held-out real examples and tested on others: what is found of generated ones
means nothing without the share of real ones that is accused.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.base.shares import ShareRow, ShareTable, count_row
from genui.engine.data.image_datasets import load_labelled_images
from genui.engine.data.text import load_text
from genui.engine.load import find_and_load
from genui.engine.metrics import table
from genui.engine.metrics.classifiers import pool, render_images
from genui.engine.metrics.shares import area_under_curve, take_passages, vary, write
from genui.engine.metrics.table import ReportProgress, draw_images
from genui.engine.models.language_model import LanguageModel
from genui.engine.models.linear import fit_logistic
from genui.engine.sample.text import TextGenerator
from genui.protocol.kinds import KINDS
from genui.runs.models import find_model, read_header

ALARMS = 0.05  # of the real examples that set the threshold

Scores = NDArray[np.floating]


def detect(models: Sequence[str], count: int, progress: ReportProgress) -> ShareTable:
    """What a detector calls generated of `count` examples of each origin, real ones first.

    Of texts the first model is the judge; of images the judge learns samples of the first. Raises
    MisuseError for models that it cannot judge, and what the loaders of the data raise.
    """
    info = find_model(models[0])
    batches = KINDS[info.family, info.medium].batches
    return (_detect_images if batches else _detect_texts)(models, count, progress)


def find_above(real: Scores, origins: Mapping[str, Scores]) -> Iterator[ShareRow]:
    """The share of each origin above the threshold that ALARMS of the first half of `real` exceed;
    the second half comes first. A remark has the area under the curve of all thresholds: the
    chance that an example scores higher than a real one."""
    half = len(real) // 2
    threshold = np.quantile(real[:half], 1 - ALARMS, method="higher")
    for label, scores in {"real, held out": real[half:], **origins}.items():
        area = area_under_curve(real[half:], scores)
        yield count_row(label, [scores > threshold], f"area {area:.2f}")


def _tell(title: str, rows: Sequence[ShareRow], limits: str) -> ShareTable:
    alarms = f"false alarms: {ALARMS:.0%} of as many other real examples set the threshold"
    return ShareTable(
        title=title,
        columns=("called generated",),
        rows=tuple(rows),
        notes=(f"what is found of real examples are {alarms}. Area 0.50 is a coin", limits),
    )


# --- Texts: Fast-DetectGPT (Bao et al. 2024) ---------------------------------------------------

PASSAGE = 256  # characters of a text, and tokens that a model writes
PROMPT = 64  # characters of held-out text, which a model continues
EDITS = (0.01, 0.05)
"""Shares of a text's characters that others, of real text, replace."""
EDITED = 2
"""Which texts are edited: after the trained ones the first model's second column."""


@torch.inference_mode()
def curvature(model: LanguageModel, token_ids: NDArray[np.int64]) -> float:
    """The conditional probability curvature of a text [T] by a model (Bao et al. 2024, eq. 3, with
    the moments of the model's own distribution in closed form).

    How many standard deviations the text's log-probability is above that of texts whose tokens are
    each drawn from the model: about 0 for the model's own text at temperature 1.
    """
    rows = torch.from_numpy(token_ids)[None].to(model.device)
    log_p = model(rows[:, :-1])[0].float().log_softmax(-1)
    p = log_p.exp()
    mean = (p * log_p).sum(-1)
    variance = (p * log_p.square()).sum(-1) - mean.square()
    chosen = log_p.gather(-1, rows[0, 1:, None])[:, 0]
    return float((chosen - mean).sum() / variance.sum().clamp(min=1e-9).sqrt())


def _detect_texts(models: Sequence[str], count: int, progress: ReportProgress) -> ShareTable:
    judge = find_and_load(models[0])
    own = next((model for model in models if not find_model(model).format), None)
    if own is None or not isinstance(judge, TextGenerator):
        raise MisuseError(
            f"{models[0]}: the judge must be a text model on this machine, and one of the models "
            "genui's own, whose held-out text is compared"
        )
    recipe = read_header(find_model(own).path).recipe
    data = load_text(recipe.dataset, recipe.data)
    real = take_passages(data.validation, 2 * count, PASSAGE)
    texts = {"real, trained on": take_passages(data.train, count, PASSAGE)}
    prompts = [text[:PROMPT] for text in take_passages(data.validation, count, PASSAGE)]
    for model in models:
        for title, settings in vary(model):
            label = f"{model}, {title}"
            progress(label, 0, count)
            passages = write(model, prompts, replace(settings, tokens=PASSAGE))
            texts[label] = [text[:PASSAGE] for text in passages]
    edited = list(texts)[EDITED]
    for share in EDITS:
        texts[f"{edited}, {share:.0%} edited"] = edit_texts(texts[edited], "".join(real), share)

    def score(label: str, passages: list[str]) -> Scores:
        progress(f"{models[0]} reads: {label}", 0, len(passages))
        return np.array([_score(judge, text) for text in passages if len(text) > 1])

    scores = {label: score(label, passages) for label, passages in texts.items()}
    return _tell(
        f"Is it generated? Fast-DetectGPT by {models[0]}, {PASSAGE} characters of {data.name}",
        list(find_above(score("real, held out", real), scores)),
        "real text that the judge has learned is accused far more often, and a few edits hide what "
        "is generated: of a single text this proves nothing",
    )


def edit_texts(texts: Sequence[str], real: str, share: float) -> list[str]:
    """The texts with a share of their characters replaced by others of a real text."""
    rng = np.random.default_rng(0)

    def edit(text: str) -> str:
        others = rng.integers(0, len(real), len(text)).tolist()
        chosen = rng.random(len(text)) < share
        return "".join(np.where(chosen, [real[i] for i in others], list(text)))

    return [edit(text) for text in texts if text]


def _score(judge: TextGenerator, text: str) -> float:
    token_ids = judge.tokenizer.encode_array(text)[: judge.model.context].astype(np.int64)
    return curvature(judge.model, token_ids)


# --- Images: a linear probe of pixels ------------------------------------------------------------


def _detect_images(models: Sequence[str], count: int, progress: ReportProgress) -> ShareTable:
    """A probe learns real training images from as many samples of the first model. Pixels are its
    features: those of a classifier hold what tells classes apart, and little of what tells samples
    from real images."""
    _, dataset = table.check(models)
    data = load_labelled_images(dataset)
    rng = np.random.default_rng(0)
    trained, held = rng.permutation(data.train)[: 2 * count], rng.permutation(data.held_out)
    captions = [data.labels[target] for target in data.targets[trained]]
    real, _ = render_images(data, trained[:count])
    real_held, _ = render_images(data, held[: 2 * count])
    drawn = {
        label: draw_images(model, captions, settings, label, progress)
        for model in models
        for label, settings in ((f"{model}, {title}", each) for title, each in vary(model))
    }
    learned = next(iter(drawn))
    direction = _learn(pool(real), pool(drawn[learned][:count]))
    scores = {label: pool(rgb[count:]) @ direction for label, rgb in drawn.items()}
    return _tell(
        f"Is it generated? A linear probe of pixels that learned {learned}",
        list(find_above(pool(real_held) @ direction, scores)),
        "the probe knows samples of one model with one setting; what it does not find may be plain "
        "to another",
    )


def _learn(real: Scores, generated: Scores) -> Scores:
    """The direction [D] in which generated features [N, D] are farther than real ones."""
    mean, scale = real.mean(0), real.std(0) + 1e-3
    x = (np.concatenate((real, generated)) - mean) / scale
    weights = fit_logistic(x, np.repeat([0, 1], (len(real), len(generated))), 2).weights
    return (weights[:, 1] - weights[:, 0]) / scale
