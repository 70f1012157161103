"""The table of what can be trained and can generate. Adding a kind of model adds a row here.

A row names functions, `module:function`, that are imported when they are first needed: a
model that writes imports nothing of those that draw, and this file imports no torch.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from genui.base.errors import MisuseError
from genui.recipes import (
    DiffusionRecipe,
    GanRecipe,
    ImageClassifierRecipe,
    MusicRecipe,
    Recipe,
    RecurrentRecipe,
    SoundClassifierRecipe,
    TextClassifierRecipe,
    TextRecipe,
    TransformerRecipe,
    VideoRecipe,
    VoiceRecipe,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from genui.engine.device import Machine
    from genui.engine.metrics.classifiers import Judge
    from genui.engine.models.language_model import TokenNetwork
    from genui.engine.sample.trace import Generator, Trace
    from genui.engine.train.task import Task
    from genui.protocol import Neighbours
    from genui.runs.models import ModelInfo


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How one kind of model is trained, asked and measured; functions as `module:function`.

    - `task(recipe, device, extra)` is the Task; `extra` is a checkpoint's, so that resuming
      keeps its tokenizer.
    - `generator(recipe, tensors, described, machine, device)` is the Generator of a
      checkpoint's weights; `described` is what the checkpoint says beside them. "" where the
      kind generates nothing.
    - `measure(generator, recipe)` is label to value with its unit, the most telling one first;
      of a kind that generates nothing it is given the ModelInfo instead.
    - `check(recipe)` is one line on the data that the recipe would train on, having read it.
    """

    task: str
    generator: str
    measure: str
    check: str
    honesty: str
    """What a person should know before believing such a model; ends up in its card."""
    honesty_of: Mapping[str, str] = field(default_factory=dict)
    """Data set to what is to be known instead of models of that data."""
    nearest: str = ""
    """`nearest(recipe, trace, step, count)` is what of the training data is most like a step of a
    trace, as Neighbours; "" where a model of the kind is not compared with its data."""
    network: str = ""
    """`network(recipe, vocab_size)` is the TokenNetwork of a kind that `TextTask` trains; "" of
    the others, whose task builds its own."""
    judge: str = ""
    """`judge(ref)` is a classifier as an instrument, `Judge` of `genui.engine.metrics.classifiers`;
    "" of a kind that gives no labels."""


_TEXT = Kind(
    task="genui.engine.train.language:TextTask",
    generator="genui.engine.sample.text:load_text_model",
    measure="genui.engine.metrics.language:measure_text",
    check="genui.engine.data.text:check_text",
    honesty="It has read one small body of text and nothing else: it writes in that manner, "
    "invents words, and knows no facts.",
    nearest="genui.engine.metrics.copying:nearest_text",
)

KINDS: Mapping[type[Recipe], Kind] = types.MappingProxyType(
    {
        TransformerRecipe: replace(
            _TEXT, network="genui.engine.models.transformer:build_transformer"
        ),
        RecurrentRecipe: replace(_TEXT, network="genui.engine.models.recurrent:build_min_gru"),
        DiffusionRecipe: Kind(
            task="genui.engine.train.diffusion:PictureTask",
            generator="genui.engine.sample.diffusion:load_picture_model",
            measure="genui.engine.metrics.images:measure_pictures",
            check="genui.engine.data.images:check_pictures",
            honesty="It has seen one picture a caption: a trained name gives back the trained "
            "picture, the less exactly the more 'error' says. New are the combinations with "
            "colours and, seldom well, names it never saw.",
            honesty_of=types.MappingProxyType(
                {
                    "fashion": "It draws ten kinds of clothing, grey and 28×28, as a shop's "
                    "catalogue shows them; a word that is none of its ten captions means nothing "
                    "to it. Seeds of one caption differ as the pictures do, and 'copying' says how "
                    "far they are new. Guidance above 1 draws what is typical rather than what "
                    "there is."
                }
            ),
            nearest="genui.engine.metrics.copying:nearest_pictures",
        ),
        MusicRecipe: Kind(
            task="genui.engine.train.language:MusicTask",
            generator="genui.engine.sample.music:load_music_model",
            measure="genui.engine.metrics.music:measure_music",
            check="genui.engine.data.chorales:check_music",
            honesty="It has read the notes of Bach's chorales and nothing else: no words, no "
            "fermatas, no sense of a whole piece beyond six bars. It breaks the rules of "
            "part-writing more often than Bach, as the figures say.",
            nearest="genui.engine.metrics.music:nearest_music",
        ),
        GanRecipe: Kind(
            task="genui.engine.train.gan:GanTask",
            generator="genui.engine.sample.latent:load_latent_model",
            measure="genui.engine.metrics.images:measure_gan",
            check="genui.engine.data.images:check_pictures",
            honesty="It never saw a picture, only a discriminator's opinion of its own: what it "
            "draws is new, but what it found hard to draw it leaves out, and 'coverage' and "
            "'recall' say how much that is.",
            nearest="genui.engine.metrics.copying:nearest_pictures",
        ),
        VideoRecipe: Kind(
            task="genui.engine.train.diffusion:VideoTask",
            generator="genui.engine.sample.diffusion:load_video_model",
            measure="genui.engine.metrics.clips:measure_clips",
            check="genui.engine.data.clips:check_clips",
            honesty="It knows 159 icons and 10 motions by name. An icon's shape is remembered: "
            "its caption draws it, and the network is built to move it. New are where it begins, "
            "how large it is and how far it goes, and pairs of icon, motion and colours never "
            "trained together; a word that it never saw is no icon to it. A motion begins at the "
            "same place of its path every time: a bounce on the ground, an orbit at the top.",
            nearest="genui.engine.metrics.copying:nearest_clips",
        ),
        VoiceRecipe: Kind(
            task="genui.engine.train.diffusion:VoiceTask",
            generator="genui.engine.sample.diffusion:load_voice_model",
            measure="genui.engine.metrics.clips:measure_voice",
            check="genui.engine.data.speech:check_speech",
            honesty="It says the words that it was trained on, in the voices that it was trained "
            "on, and no others: digits are joined, not spoken as one. Phases are estimated from "
            "64 mel bands at 8 kHz, so it sounds like a telephone in a pipe.",
            nearest="genui.engine.metrics.copying:nearest_takes",
        ),
        SoundClassifierRecipe: Kind(
            task="genui.engine.train.classifier:SoundClassifierTask",
            generator="",
            measure="genui.engine.metrics.classifiers:measure_listener",
            check="genui.engine.data.speech:check_labelled_speech",
            honesty="It knows ten digits, or six people, from recordings of theirs: whatever it "
            "hears it gives one of them, a stranger too.",
        ),
        ImageClassifierRecipe: Kind(
            task="genui.engine.train.classifier:ImageClassifierTask",
            generator="",
            measure="genui.engine.metrics.classifiers:measure_classifier",
            check="genui.engine.data.image_labels:check_labelled",
            honesty="It knows its own labels and no others: whatever it is shown, it gives one of "
            "them, and how sure it is says nothing of a picture unlike those it was trained on.",
            honesty_of=types.MappingProxyType(
                dict.fromkeys(
                    ("icons", "emoji"),
                    "Its kinds of things are ours: words of the pictures' names tell them, and a "
                    "picture without such a word was left out of training and test alike. A few "
                    "hundred small pictures teach it little: 'held-out accuracy' says how little.",
                )
            ),
            judge="genui.engine.metrics.classifiers:load_judge",
        ),
        TextClassifierRecipe: Kind(
            task="genui.engine.train.classifier:TextClassifierTask",
            generator="",
            measure="genui.engine.metrics.classifiers:measure_text_classifier",
            check="genui.engine.data.text:check_labelled_text",
            honesty="It counts words and letters and knows its own labels only: whatever it "
            "reads, it gives one of them.",
            judge="genui.engine.metrics.classifiers:load_text_judge",
        ),
    }
)


def build_task(recipe: Recipe, device: "torch.device", extra: dict[str, Any] | None) -> "Task":
    """The task of a recipe; `extra` is a checkpoint's."""
    return _function(_kind(recipe).task)(recipe, device, extra)


def build_network(recipe: TextRecipe, vocab_size: int) -> "TokenNetwork":
    """The network that a recipe of text asks for, its weights drawn anew."""
    return _function(_kind(recipe).network)(recipe, vocab_size)


def build_generator(
    recipe: Recipe,
    tensors: "dict[str, Tensor]",
    described: Mapping[str, Any],
    machine: "Machine",
    device: "torch.device",
) -> "Generator":
    """What generates with these weights.

    Raises MisuseError for a kind that generates nothing, and KeyError, TypeError or
    RuntimeError where the weights do not fit the recipe.
    """
    name = _kind(recipe).generator
    if not name:
        raise MisuseError(f"{recipe.name} is a {recipe.family}: it labels, and generates nothing")
    return _function(name)(recipe, tensors, described, machine, device)


def measure(info: "ModelInfo", recipe: Recipe) -> Mapping[str, str]:
    """Label to value with its unit, the most telling one first."""
    from genui.engine.load import find_and_load

    kind = _kind(recipe)
    return _function(kind.measure)(
        find_and_load(str(info.path)) if kind.generator else info, recipe
    )


def nearest(recipe: Recipe, trace: "Trace", step: int, count: int) -> "Neighbours":
    """What of the training data is most like the sample at a step.

    Raises MisuseError for a kind that is not compared, MisuseError or GenuiError where the
    data cannot be read.
    """
    name = _kind(recipe).nearest
    if not name:
        raise MisuseError(f"a {recipe.family} of {recipe.medium} is not compared with its data")
    return _function(name)(recipe, trace, step, count)


def judge_loader(recipe: Recipe) -> "Callable[[str], Judge] | None":
    """What loads a classifier of this kind by its name; None where the kind gives no labels."""
    name = _kind(recipe).judge
    return _function(name) if name else None


def check_data(recipe: Recipe) -> str:
    """One line describing the data a recipe would train on, having read it.

    Raises MisuseError or GenuiError where it cannot be used: better now than in a trainer
    that nobody is watching.
    """
    return _function(_kind(recipe).check)(recipe)


def honesty(recipe: Recipe) -> str:
    """What a person should know before believing a model of this recipe."""
    kind = _kind(recipe)
    return kind.honesty_of.get(recipe.dataset, kind.honesty)


def _kind(recipe: Recipe) -> Kind:
    return KINDS[type(recipe)]


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)
