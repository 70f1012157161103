"""The table of kinds of models. To add a kind, add a row.

A row names classes and functions of other rooms as `module:name`. `resolve` imports them when they
are first needed, so generating text imports no code for images.
"""

import types
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from genui.base.errors import MisuseError
from genui.base.plugins import resolve as resolve
from genui.protocol.edits import LAYER_EDITS
from genui.protocol.settings import (
    UNGUIDED,
    ImageSettings,
    LabSettings,
    LatentSettings,
    Settings,
    TextSettings,
    VoiceSettings,
)


class LabFamily(Struct, frozen=True, kw_only=True):
    """How a kind learns points in the Lab, and what its pane shows."""

    title: str
    learner: str
    """The Family, as `module:class`; it takes a width and the number of classes."""
    surface: str
    """The quantity that the surface shows."""
    arrows: str = ""
    """The quantity that the arrows show; "" without arrows."""
    divergence: str = "Jensen–Shannon"
    """The measure of its distance from the true density."""
    noisy: bool = False
    """Whether it has noise levels."""


class Kind(Struct, frozen=True, kw_only=True):
    """How a kind of model is trained, measured, sampled, shown and saved.

    "" means that the kind does not have it. Names are `module:name`.
    """

    does: str
    """The end of a sentence that begins with the model's name: "writes text"."""

    # --- Training; empty for kinds of the Lab ---
    recipe: str = ""
    """The class of its recipes."""
    task: str = ""
    """`task(recipe, device, extra)` returns the Task; `extra` is that of a checkpoint, so that
    resuming keeps its tokenizer."""
    network: str = ""
    """`network(recipe, vocab_size)` returns the TokenNetwork that `TextTask` trains. Other tasks
    build their own."""
    check: str = ""
    """`check(recipe)` reads the training data and returns one line about them."""
    plan: str = ""
    """`plan(recipe)` returns the Plan of a training that takes too long to load to be measured."""

    # --- Metrics ---
    metrics: str = ""
    """`metrics(generator, recipe)` returns a mapping of labels to values with units, the most
    important first. For a classifier the ModelInfo takes the place of the generator."""
    nearest: str = ""
    """`nearest(recipe, trace, step, count)` returns the training data most similar to a step of a
    trace, as Neighbours."""
    limitations: str = ""
    """What its models cannot do; a dataset has its own `limitations`, which its card adds."""

    # --- Classifiers ---
    classifier: str = ""
    """`classifier(ref)` returns a Classifier of `genui.engine.metrics.classifiers`."""
    example: str = ""
    """`example(trace, step, recipe, classifier)` returns its input for a step of a trace."""

    # --- Generation; empty for classifiers ---
    generator: str = ""
    """`generator(recipe, tensors, described, machine, device)` returns the Generator of a
    checkpoint; `described` is the metadata of the checkpoint."""
    settings: type[Settings] | None = None
    default_settings: Settings | None = None
    """Its default settings, if they differ from those of the class."""
    for_data: Settings | None = None
    """The settings for samples that are compared with its data, if they differ."""
    edits: tuple[str, ...] = ()
    """The edits of a trace besides its settings."""
    first_step: int = 0
    """The step of a trace's first frame: 1 if step 0 is the prompt."""
    read_token: str = ""
    """`read_token(text, model, label)` returns the token that the text of an edit names."""
    options: tuple[str, ...] = ()
    """Options of `genui generate` besides those of the settings."""
    takers: str = ""
    """The models that take these options, if no other kind has them; else its medium says it."""
    batches: bool = False
    """Whether it can generate finished images in one batch."""
    lab: LabFamily | None = None
    """Set for a family that the Lab trains."""
    classifier_medium: str = ""
    """The medium of classifiers for its samples; "" is its own medium."""

    # --- Conversion ---
    converts: Mapping[str, str] = {}
    """A name of TARGETS to the function that writes a model so: `convert(model, out, dtype)` with
    its ModelInfo, a new folder or the path of a file, and a dtype of the target. The first one is
    the default."""

    # --- Display and files ---
    makes: str = ""
    """Its sample with an article: "an image"."""
    pane: str = ""
    """The id of the pane that shows its traces."""
    widget: str = ""
    """The PaneKind of that pane."""
    view: str = ""
    """The widget that shows its trace beside others."""
    replaces_canvas: bool = False
    """Whether the pane takes the place of the Canvas."""
    exports: str = ""
    """The Formats that the pane exports."""
    syntax: Literal["", "python"] = ""
    """The language of the syntax highlighting."""
    files: tuple[str, ...] = ()
    """The suffixes that `--out` writes, the default first."""
    streams: bool = False
    """Whether its samples are text, printed while generated and stored in a folder's index."""
    draw: str = ""
    """`draw(made)` draws samples in the terminal, for kinds that do not stream."""
    as_json: str = ""
    """`as_json(made, scale)` returns a sample as JSON data for scripts."""

    @property
    def generates(self) -> bool:
        return self.settings is not None

    @property
    def defaults(self) -> Any:
        """The settings that apply unless others are given."""
        if self.default_settings is not None:
            return self.default_settings
        return self.settings() if self.settings is not None else None


class Target(Struct, frozen=True, kw_only=True):
    """A format of other programs in which `genui convert` writes models."""

    title: str
    """With an article: "a Hugging Face folder"."""
    reader: str
    """The program that reads it."""
    suffix: str = ""
    """Of its file; "" for a folder."""
    dtypes: tuple[str, ...] = ("fp32",)
    """The types of its weights, the default first."""


TARGETS: Mapping[str, Target] = types.MappingProxyType(
    {
        "hf": Target(
            title="a Hugging Face folder",
            reader="transformers",
            dtypes=("fp32", "bf16", "fp16"),
        ),
        "gguf": Target(
            title="a GGUF file",
            reader="llama.cpp",
            suffix=".gguf",
            dtypes=("fp16", "fp32", "q8_0"),
        ),
        "peft": Target(title="a folder of an adapter", reader="peft"),
        "diffusers": Target(
            title="a diffusers folder",
            reader="diffusers",
            dtypes=("fp32", "bf16", "fp16"),
        ),
    }
)
"""Formats that models are converted to."""


# --- What several kinds share -----------------------------------------------------------------

_SAMPLED_TEXT = Kind(
    does="writes text",
    task="genui.engine.train.language:TextTask",
    check="genui.engine.data.text:check_text",
    metrics="genui.engine.metrics.language:measure_text",
    nearest="genui.engine.metrics.copying:nearest_text",
    limitations="It was trained on one small text: it imitates the style, invents words and knows "
    "no facts.",
    generator="genui.engine.sample.text:load_text_model",
    settings=TextSettings,
    edits=("seed", "token", "text", *LAYER_EDITS),
    first_step=1,
    read_token="genui.cli.request:read_vocabulary_token",
    makes="text",
    pane="text",
    widget="genui.ui.generate.text:TEXT",
    view="genui.ui.widgets.prose:Prose",
    exports="genui.ui.traces.export:TEXTS",
    files=(".txt", ".cast"),
    streams=True,
    as_json="genui.cli.generation:text_as_json",
    converts=types.MappingProxyType({"hf": "genui.engine.convert.text:write_text_model"}),
)
_TRANSFORMER_TEXT = replace(
    _SAMPLED_TEXT,
    recipe="genui.recipes:TransformerRecipe",
    network="genui.engine.models.transformer:build_transformer",
)
PRETRAINED = "pretrained"
"""The family of models that others trained, whatever their architecture."""

_RECURRENT_TEXT = replace(
    _SAMPLED_TEXT,
    recipe="genui.recipes:RecurrentRecipe",
    network="genui.engine.models.recurrent:build_min_gru",
)


def _of_code(text: Kind) -> Kind:
    """The same kind for code. Small models of code repeat themselves and lose the context, so by
    default the temperature is lower, repetition is penalized and the grammar is Python."""
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
    # As good as 20 steps for every shipped model: `python -m tests.bench few_steps`.
    default_settings=ImageSettings(steps=12),
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
        (PRETRAINED, "text"): replace(
            _SAMPLED_TEXT,
            recipe="genui.recipes:FineTuneRecipe",
            task="genui.engine.train.finetune:FineTuneTask",
            check="genui.engine.train.finetune:check_rows",
            plan="genui.engine.estimate:plan_fine_tuning",
            metrics="genui.engine.train.finetune:measure_fine_tuned",
            nearest="",
            generator="genui.engine.train.finetune:load_fine_tuned",
            converts=types.MappingProxyType(
                {
                    "hf": "genui.engine.convert.llama:write_llama_folder",
                    "gguf": "genui.engine.convert.llama:write_gguf",
                    "peft": "genui.engine.convert.peft:write_adapter",
                }
            ),
            edits=(*_SAMPLED_TEXT.edits, "say"),
            options=("chat", "system", "say"),
            takers="open models with a chat template",
            limitations="Others trained it: its own card says on what, and what it cannot do.",
        ),
        ("diffusion", "image"): replace(
            _DENOISED,
            recipe="genui.recipes:DiffusionRecipe",
            task="genui.engine.train.diffusion:ImageTask",
            check="genui.engine.data.images:check_images",
            metrics="genui.engine.metrics.images:measure_images",
            nearest="genui.engine.metrics.copying:nearest_images",
            converts=types.MappingProxyType(
                {"diffusers": "genui.engine.convert.image:write_image_model"}
            ),
            limitations="Words that it was not trained on seldom work. 'copying' measures how new "
            "its images are. Guidance above 1 gives more typical images and less variety.",
            batches=True,
        ),
        (PRETRAINED, "image"): replace(
            _DENOISED,
            generator="",
            limitations="Others trained it: its own card says on what, and what it cannot do.",
        ),
        ("gan", "image"): Kind(
            does="draws images in one step",
            recipe="genui.recipes:GanRecipe",
            task="genui.engine.train.gan:GanTask",
            check="genui.engine.data.images:check_images",
            metrics="genui.engine.metrics.images:measure_gan",
            nearest="genui.engine.metrics.copying:nearest_images",
            limitations="It was trained by a discriminator and never on the images themselves, so "
            "its images are new. It leaves out what is hard to draw: 'coverage' and 'recall' "
            "measure how much.",
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
            converts={},
            task="genui.engine.train.language:MusicTask",
            check="genui.engine.data.chorales:check_music",
            metrics="genui.engine.metrics.music:measure_music",
            nearest="genui.engine.metrics.music:nearest_music",
            limitations="It was trained on the notes of Bach's chorales only: no words, no "
            "fermatas, and a context of six bars. It breaks the rules of part-writing more often "
            "than Bach, as the metrics show.",
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
            limitations="It speaks only the words and the voices that it was trained on. Digits "
            "are joined, not spoken as one number. Phases are estimated from 64 mel bands at "
            "8 kHz, so it sounds like a bad telephone line.",
            makes="a sound",
            exports="genui.ui.traces.export:SOUNDS",
            files=(".wav", ".png", ".gif", ".apng", ".cast"),
        ),
        (PRETRAINED, "audio"): Kind(
            does="speaks",
            limitations="Others trained it: its own card says on what. It speaks sentences, each "
            "at once, and reads numbers and names as espeak-ng does.",
            settings=VoiceSettings,
            edits=("seed",),
            first_step=1,
            options=("scale",),
            makes="a sound",
            pane="speech",
            widget="genui.ui.generate.speech:SPEECH",
            view="genui.ui.widgets.image:ImageView",
            replaces_canvas=True,
            exports="genui.ui.traces.export:SPOKEN",
            files=(".wav", ".png"),
            draw="genui.cli.generation:draw_images",
            as_json="genui.cli.generation:image_as_json",
        ),
        ("diffusion", "video"): replace(
            _DENOISED,
            does="draws short clips",
            recipe="genui.recipes:VideoRecipe",
            task="genui.engine.train.diffusion:VideoTask",
            check="genui.engine.data.clips:check_clips",
            metrics="genui.engine.metrics.clips:measure_clips",
            nearest="genui.engine.metrics.copying:nearest_clips",
            limitations="It knows 159 icons and 10 motions by name. The shape of an icon is "
            "memorized: the caption draws it, and the network moves it. New are its size, start "
            "and distance, and combinations of icon, motion and colours that were not trained "
            "together. Words that it was not trained on draw no icon. A motion always begins at "
            "the same point of its path: a bounce on the ground, an orbit at the top.",
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
            limitations="It always answers with one of its own labels. Its confidence means "
            "nothing for an image unlike its training data.",
            classifier="genui.engine.metrics.classifiers:ImageClassifier.load",
            example="genui.engine.metrics.classifiers:image_example",
        ),
        ("classifier", "text"): Kind(
            does="labels text",
            recipe="genui.recipes:TextClassifierRecipe",
            task="genui.engine.train.classifier:TextClassifierTask",
            check="genui.engine.data.text:check_labelled_text",
            metrics="genui.engine.metrics.classifiers:measure_text_classifier",
            limitations="It counts words and letters, and always answers with one of its own "
            "labels.",
            classifier="genui.engine.metrics.classifiers:TextClassifier.load",
            example="genui.engine.metrics.classifiers:text_example",
        ),
        ("classifier", "audio"): Kind(
            does="labels sounds",
            recipe="genui.recipes:SoundClassifierRecipe",
            task="genui.engine.train.classifier:SoundClassifierTask",
            check="genui.engine.data.speech:check_labelled_speech",
            metrics="genui.engine.metrics.classifiers:measure_sound_classifier",
            limitations="It knows ten digits, or six speakers, from their recordings, and always "
            "answers with one of them, also for a stranger.",
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
    """The row with this medium and such settings; the first with such settings if the medium is
    not known yet."""
    kinds = {m: kind for (_, m), kind in KINDS.items() if kind.settings is type(settings)}
    return kinds.get(medium) or next(iter(kinds.values()))


def does(family: str, medium: str) -> str:
    """The end of a sentence that begins with the model's name."""
    kind = KINDS.get((family, medium))
    if kind is None:
        return "is of a kind that this version of genui does not know"
    return kind.does if kind.generates else f"{kind.does} and cannot generate"
