"""Every kind of model, one row a kind: adding a kind is adding a row here.

A row names classes and functions of other rooms as `module:name`. They are imported by `resolve`
when they are first needed, so that what writes text imports nothing of what draws.
"""

import types
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from genui.base.errors import MisuseError
from genui.base.plugins import resolve as resolve
from genui.protocol.settings import (
    UNGUIDED,
    ImageSettings,
    LabSettings,
    LatentSettings,
    Settings,
    TextSettings,
)


class LabFamily(Struct, frozen=True, kw_only=True):
    """How a kind learns points in the Lab, and what its pane shows of it."""

    title: str
    learner: str
    """The Family, as `module:class`; it is made of a width and the number of classes."""
    surface: str
    """What the height of the surface is."""
    arrows: str = ""
    """What the arrows are; "" where there are none."""
    divergence: str = "Jensen–Shannon"
    """What its distance from the truth is measured by."""
    noisy: bool = False
    """Whether it goes through noise levels."""


class Kind(Struct, frozen=True, kw_only=True):
    """How a kind of model is trained, generated from, measured, shown and written to files.

    "" means that the kind has no such thing. Names are `module:name`.
    """

    does: str
    """In a sentence after the model's name: "writes text"."""

    # --- trained: nothing of this where the Lab trains it ---
    recipe: str = ""
    """The class of its recipes."""
    task: str = ""
    """`task(recipe, device, extra)` is the Task; `extra` is a checkpoint's, so that resuming keeps
    its tokenizer."""
    network: str = ""
    """`network(recipe, vocab_size)` is the TokenNetwork that `TextTask` trains. Other tasks build
    their own."""
    check: str = ""
    """`check(recipe)` is one line on the data that the recipe would train on, having read it."""

    # --- measured ---
    metrics: str = ""
    """`metrics(generator, recipe)` is label to value with its unit, the most telling one first. A
    kind that generates nothing is given the ModelInfo instead of a generator."""
    nearest: str = ""
    """`nearest(recipe, trace, step, count)` is what of the training data is most like a step of a
    trace, as Neighbours."""
    limitations: str = ""
    """What a person should know before believing such a model. It ends up in its card."""
    limitations_of: Mapping[str, str] = {}
    """Data set to what is to be known instead of models of that data."""

    # --- a classifier ---
    judge: str = ""
    """`judge(ref)` is the classifier as a Judge of `genui.engine.metrics.classifiers`."""
    example: str = ""
    """`example(trace, step, recipe, judge)` is what the Judge is given of a step of a trace."""

    # --- generated from: nothing of this where it labels ---
    generator: str = ""
    """`generator(recipe, tensors, described, machine, device)` is the Generator of a checkpoint's
    weights; `described` is what the checkpoint says beside them."""
    settings: type[Settings] | None = None
    default_settings: Settings | None = None
    """What it is asked with, where that is not the default of the settings."""
    for_data: Settings | None = None
    """What it is asked with for samples that stand for its data, where that is not the default of
    the settings."""
    edits: tuple[str, ...] = ()
    """The edits of a trace beside its settings."""
    read_token: str = ""
    """`read_token(text, model, asked)` is the token that an edit spells."""
    options: tuple[str, ...] = ()
    """The options of `genui generate` that the settings do not give."""
    batches: bool = False
    """Whether it draws finished images as one batch."""
    lab: LabFamily | None = None
    """Set where the Lab trains it while it is watched."""
    classifier_medium: str = ""
    """The medium of the classifiers that know what it makes; "" is its own."""

    # --- shown and written ---
    makes: str = ""
    """With its article: "an image"."""
    pane: str = ""
    """The id of the pane that shows its traces."""
    widget: str = ""
    """What that pane has of the medium, a PaneKind."""
    view: str = ""
    """The widget that shows a trace of it beside others."""
    replaces_canvas: bool = False
    """Whether the pane stands in the Canvas's place."""
    exports: str = ""
    """The Formats that the pane writes."""
    syntax: Literal["", "python"] = ""
    """The language whose words the pane colours."""
    files: tuple[str, ...] = ()
    """The suffixes that `--out` writes, the usual one first."""
    streams: bool = False
    """Whether its samples are text, which goes to the terminal while it is written and to a line
    of a folder's index."""
    draw: str = ""
    """`draw(made)` draws samples in the terminal, where they do not stream there."""
    as_json: str = ""
    """`as_json(made, scale)` is a sample for scripts."""

    @property
    def generates(self) -> bool:
        return self.settings is not None

    @property
    def defaults(self) -> Any:
        """The settings that it is asked with unless others are named."""
        if self.default_settings is not None:
            return self.default_settings
        return self.settings() if self.settings is not None else None


# --- What several kinds share -----------------------------------------------------------------

_SAMPLED_TEXT = Kind(
    does="writes text",
    task="genui.engine.train.language:TextTask",
    check="genui.engine.data.text:check_text",
    metrics="genui.engine.metrics.language:measure_text",
    nearest="genui.engine.metrics.copying:nearest_text",
    limitations="It has read one small body of text and nothing else: it writes in that manner, "
    "invents words, and knows no facts.",
    generator="genui.engine.sample.text:load_text_model",
    settings=TextSettings,
    edits=("seed", "token", "text"),
    read_token="genui.cli.request:read_vocabulary_token",
    makes="text",
    pane="text",
    widget="genui.ui.generate.text:TEXT",
    view="genui.ui.widgets.prose:Prose",
    exports="genui.ui.traces.export:TEXTS",
    files=(".txt", ".cast"),
    streams=True,
    as_json="genui.cli.generation:text_as_json",
)
_TRANSFORMER_TEXT = replace(
    _SAMPLED_TEXT,
    recipe="genui.recipes:TransformerRecipe",
    network="genui.engine.models.transformer:build_transformer",
)
_RECURRENT_TEXT = replace(
    _SAMPLED_TEXT,
    recipe="genui.recipes:RecurrentRecipe",
    network="genui.engine.models.recurrent:build_min_gru",
)


def _of_code(text: Kind) -> Kind:
    """The same kind for code. Small models of code repeat themselves and lose their place: the
    temperature is lower, repetition counts against a token, and what cannot be Python is refused.
    """
    return replace(
        text,
        metrics="genui.engine.metrics.language:measure_code_model",
        default_settings=TextSettings(
            temperature=0.5, top_p=0.9, repetition_penalty=1.1, dry=0.8, grammar="python"
        ),
        classifier_medium="text",
        syntax="python",
    )


_DENOISED = Kind(
    does="draws images",
    generator="genui.engine.sample.diffusion:load_diffusion_model",
    settings=ImageSettings,
    for_data=UNGUIDED,
    edits=("seed", "caption", "noise", "denoise"),
    options=("init", "strength", "forward", "mask", "grid", "film", "frames", "scale"),
    makes="an image",
    pane="canvas",
    widget="genui.ui.generate.image:CANVAS",
    view="genui.ui.widgets.image:ImageView",
    replaces_canvas=True,
    exports="genui.ui.traces.export:IMAGES",
    files=(".png", ".gif", ".apng", ".cast"),
    draw="genui.cli.generation:draw_images",
    as_json="genui.cli.generation:image_as_json",
)


def _in_the_lab(family: LabFamily, samples: bool = True) -> Kind:
    return Kind(
        does="learns points in the plane",
        settings=LabSettings,
        lab=family,
        makes="a training in the Lab",
        pane="lab",
        widget="genui.ui.lab:LAB_PANE",
        view="genui.ui.widgets.plane:PlaneView",
        exports="genui.ui.traces.export:PLANES",
        files=(".gif", ".apng", ".png", *([".csv"] if samples else [])),
    )


# --- The table --------------------------------------------------------------------------------

KINDS: Mapping[tuple[str, str], Kind] = types.MappingProxyType(
    {
        ("transformer", "text"): _TRANSFORMER_TEXT,
        ("recurrent", "text"): _RECURRENT_TEXT,
        ("transformer", "code"): _of_code(_TRANSFORMER_TEXT),
        ("recurrent", "code"): _of_code(_RECURRENT_TEXT),
        ("diffusion", "image"): replace(
            _DENOISED,
            recipe="genui.recipes:DiffusionRecipe",
            task="genui.engine.train.diffusion:ImageTask",
            check="genui.engine.data.images:check_images",
            metrics="genui.engine.metrics.images:measure_images",
            nearest="genui.engine.metrics.copying:nearest_images",
            limitations="It has seen one image a caption: a trained name gives back the trained "
            "image, the less exactly the more 'error' says. New are the combinations with "
            "colours and, seldom well, names it never saw.",
            limitations_of=types.MappingProxyType(
                {
                    "fashion": "It draws ten kinds of clothing, grey and 28×28, as a shop's "
                    "catalogue shows them; a word that is none of its ten captions means nothing "
                    "to it. Seeds of one caption differ as the images do, and 'copying' says how "
                    "far they are new. Guidance above 1 draws what is typical rather than what "
                    "there is."
                }
            ),
            batches=True,
        ),
        ("gan", "image"): Kind(
            does="draws images at one stroke",
            recipe="genui.recipes:GanRecipe",
            task="genui.engine.train.gan:GanTask",
            check="genui.engine.data.images:check_images",
            metrics="genui.engine.metrics.images:measure_gan",
            nearest="genui.engine.metrics.copying:nearest_images",
            limitations="It never saw an image, only a discriminator's opinion of its own: what "
            "it draws is new, but what it found hard to draw it leaves out, and 'coverage' and "
            "'recall' say how much that is.",
            generator="genui.engine.sample.latent:load_latent_model",
            settings=LatentSettings,
            for_data=LatentSettings(),
            edits=("seed", "caption"),
            options=("grid", "film", "frames", "scale"),
            batches=True,
            makes="a walk",
            pane="walk",
            widget="genui.ui.generate.latent:WALK",
            view="genui.ui.widgets.image:ImageView",
            replaces_canvas=True,
            exports="genui.ui.traces.export:WALKS",
            files=(".gif", ".apng", ".png", ".cast"),
            draw="genui.cli.generation:draw_images",
            as_json="genui.cli.generation:image_as_json",
        ),
        ("transformer", "music"): replace(
            _SAMPLED_TEXT,
            does="writes four-voice music",
            recipe="genui.recipes:MusicRecipe",
            task="genui.engine.train.language:MusicTask",
            check="genui.engine.data.chorales:check_music",
            metrics="genui.engine.metrics.music:measure_music",
            nearest="genui.engine.metrics.music:nearest_music",
            limitations="It has read the notes of Bach's chorales and nothing else: no words, no "
            "fermatas, no sense of a whole piece beyond six bars. It breaks the rules of "
            "part-writing more often than Bach, as the figures say.",
            generator="genui.engine.sample.music:load_music_model",
            default_settings=TextSettings(tokens=1600),  # 25 bars; most pieces end before
            read_token="genui.cli.request:read_note",
            options=("init", "melody", "voices", "gm"),
            makes="a piece",
            pane="roll",
            widget="genui.ui.generate.roll:ROLL",
            view="genui.ui.widgets.roll:Roll",
            replaces_canvas=True,
            exports="genui.ui.traces.export:PIECES",
            files=(".mid", ".wav"),
            streams=False,
            draw="genui.cli.roll:draw_rolls",
            as_json="genui.cli.generation:score_as_json",
        ),
        ("diffusion", "audio"): replace(
            _DENOISED,
            does="speaks",
            recipe="genui.recipes:VoiceRecipe",
            task="genui.engine.train.diffusion:VoiceTask",
            check="genui.engine.data.speech:check_speech",
            metrics="genui.engine.metrics.clips:measure_voice",
            nearest="genui.engine.metrics.copying:nearest_takes",
            limitations="It says the words that it was trained on, in the voices that it was "
            "trained on, and no others: digits are joined, not spoken as one. Phases are estimated "
            "from 64 mel bands at 8 kHz, so it sounds like a telephone in a pipe.",
            makes="a sound",
            exports="genui.ui.traces.export:SOUNDS",
            files=(".wav", ".png", ".gif", ".apng", ".cast"),
        ),
        ("diffusion", "video"): replace(
            _DENOISED,
            does="draws short clips",
            recipe="genui.recipes:VideoRecipe",
            task="genui.engine.train.diffusion:VideoTask",
            check="genui.engine.data.clips:check_clips",
            metrics="genui.engine.metrics.clips:measure_clips",
            nearest="genui.engine.metrics.copying:nearest_clips",
            limitations="It knows 159 icons and 10 motions by name. An icon's shape is remembered: "
            "its caption draws it, and the network is built to move it. New are where it begins, "
            "how large it is and how far it goes, and pairs of icon, motion and colours never "
            "trained together; a word that it never saw is no icon to it. A motion begins at the "
            "same place of its path every time: a bounce on the ground, an orbit at the top.",
            options=(*_DENOISED.options, "denoising"),
            makes="a clip",
            exports="genui.ui.traces.export:CLIPS",
            files=(".gif", ".apng", ".mp4", ".png", ".cast"),
        ),
        ("classifier", "image"): Kind(
            does="labels images",
            recipe="genui.recipes:ImageClassifierRecipe",
            task="genui.engine.train.classifier:ImageClassifierTask",
            check="genui.engine.data.image_labels:check_labelled_images",
            metrics="genui.engine.metrics.classifiers:measure_classifier",
            limitations="It knows its own labels and no others: whatever it is shown, it gives one "
            "of them, and how sure it is says nothing of an image unlike those it was trained on.",
            limitations_of=types.MappingProxyType(
                dict.fromkeys(
                    ("icons", "emoji"),
                    "Its kinds of things are ours: words of the images' names tell them, and a "
                    "image without such a word was left out of training and test alike. A few "
                    "hundred small images teach it little: 'held-out accuracy' says how little.",
                )
            ),
            judge="genui.engine.metrics.classifiers:ImageJudge.load",
            example="genui.engine.metrics.classifiers:image_example",
        ),
        ("classifier", "text"): Kind(
            does="labels text",
            recipe="genui.recipes:TextClassifierRecipe",
            task="genui.engine.train.classifier:TextClassifierTask",
            check="genui.engine.data.text:check_labelled_text",
            metrics="genui.engine.metrics.classifiers:measure_text_classifier",
            limitations="It counts words and letters and knows its own labels only: whatever it "
            "reads, it gives one of them.",
            judge="genui.engine.metrics.classifiers:TextJudge.load",
            example="genui.engine.metrics.classifiers:text_example",
        ),
        ("classifier", "audio"): Kind(
            does="labels sounds",
            recipe="genui.recipes:SoundClassifierRecipe",
            task="genui.engine.train.classifier:SoundClassifierTask",
            check="genui.engine.data.speech:check_labelled_speech",
            metrics="genui.engine.metrics.classifiers:measure_sound_classifier",
            limitations="It knows ten digits, or six people, from recordings of theirs: whatever "
            "it hears it gives one of them, a stranger too.",
        ),
        ("gan", "points"): _in_the_lab(
            LabFamily(
                title="GAN",
                learner="genui.engine.train.points:Gan",
                surface="the discriminator's score",
                arrows="its gradient",
            )
        ),
        ("diffusion", "points"): _in_the_lab(
            LabFamily(
                title="diffusion",
                learner="genui.engine.train.points:Diffusion",
                surface="density",
                arrows="flow to data",
                noisy=True,
            )
        ),
        ("flow", "points"): _in_the_lab(
            LabFamily(
                title="flow matching",
                learner="genui.engine.train.points:FlowMatching",
                surface="density",
                arrows="flow to data",
                noisy=True,
            )
        ),
        ("autoregressive", "points"): _in_the_lab(
            LabFamily(
                title="autoregressive",
                learner="genui.engine.train.points:Autoregressive",
                surface="p(x) p(y | x)",
            )
        ),
        ("classifier", "points"): _in_the_lab(
            LabFamily(
                title="classifier",
                learner="genui.engine.train.points:Classifier",
                surface="p(class | x, y)",
                divergence="KL from the true p(class | x, y)",
            ),
            samples=False,
        ),
    }
)
"""(family, medium) to the row of the kind. Lists of models have the order of this table."""

MEDIA: tuple[str, ...] = tuple(dict.fromkeys(medium for _, medium in KINDS))
FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(family for family, _ in KINDS))
LAB_FAMILIES: Mapping[str, LabFamily] = types.MappingProxyType(
    {family: kind.lab for (family, _), kind in KINDS.items() if kind.lab is not None}
)


def kind_of(family: str, medium: str, name: str) -> Kind:
    """The row of a model that generates. Raises MisuseError, which begins with its name."""
    kind = KINDS.get((family, medium))
    if kind is None or not kind.generates:
        raise MisuseError(f"{name} {does(family, medium)}; `genui models` lists what generates")
    return kind


def kind_of_trace(medium: str, settings: Settings) -> Kind:
    """The row of what makes a medium from such settings; the first with such settings where the
    medium is not known yet."""
    fitting = {m: kind for (_, m), kind in KINDS.items() if kind.settings is type(settings)}
    return fitting.get(medium) or next(iter(fitting.values()))


def does(family: str, medium: str) -> str:
    """What such a model does, in a sentence after its name."""
    kind = KINDS.get((family, medium))
    if kind is None:
        return "is of a kind that this genui does not know"
    return kind.does if kind.generates else f"{kind.does}, and generates nothing"
