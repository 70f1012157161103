"""The same two questions answered by models already trained: a classifier, and Bayes' rule."""

from dataclasses import dataclass

import numpy as np

from genui.engine.data.picture_labels import load_labelled
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.load import find_and_load
from genui.engine.probes.bayes import posterior
from genui.engine.probes.judge import load_judge, pictures_of
from genui.engine.probes.twins import Scores, scores
from genui.errors import MisuseError
from genui.runs.catalog import find_model

DRAWS = 16  # noise levels a label that the bound on p(picture | label) is estimated by


@dataclass(frozen=True)
class Answer:
    """How a trained model labels held-out pictures."""

    model: str
    question: str  # "discriminative" or "generative"
    examples: int  # pictures that it was trained on
    tested: int
    scores: Scores


def answer(model: str, dataset: str, tested: int) -> Answer:
    """What a classifier, or a diffusion model by Bayes' rule, says of so many held-out pictures.

    Raises MisuseError for a model of other data or of no labels, and what `find_model` raises.
    """
    info = find_model(model)
    if info.dataset != dataset or info.medium != "image":
        raise MisuseError(
            f"{model}: a model of {info.dataset} ({info.medium}); name one of {dataset} pictures"
        )
    data = load_labelled(dataset)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(data.held_out)[:tested]
    rgb, targets = pictures_of(data, chosen)
    if info.family == "classifier":
        judge = load_judge(model)
        if judge.labels != data.labels:
            raise MisuseError(f"{model}: its labels are not those of {dataset}; train it anew")
        p, question = judge.probabilities(rgb), "discriminative"
    else:
        generator = find_and_load(model)
        if not isinstance(generator, DiffusionGenerator) or data.pictures.scheme != "plain":
            raise MisuseError(
                f"{model}: only a diffusion model whose captions are the labels gives "
                "p(picture | label); fashion is one"
            )
        p, question = posterior(generator, rgb, data.labels, DRAWS), "generative"
    return Answer(model, question, len(data.train), len(chosen), scores(p, targets))
