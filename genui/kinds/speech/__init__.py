"""Speech: a diffusion model of spectrograms, and open voices."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from genui.base.manual import Page
from genui.kinds.image import DENOISED, prints
from genui.kinds.speech.settings import VARIATION, VoiceSettings
from genui.protocol.kinds import PRETRAINED, Kind, Recipes


def _recipes() -> Recipes:
    from genui.kinds.speech.recipe import VOICE_RECIPES, VoiceRecipe

    return Recipes(VoiceRecipe, VOICE_RECIPES)


def _datasets() -> Mapping[str, object]:
    from genui.kinds.speech.data import SPEECH_DATASETS

    return SPEECH_DATASETS


def _prepares() -> object:
    from genui.engine.kinds import Prepares
    from genui.kinds.speech.data import check_speech

    return Prepares(check=check_speech)


def _trains() -> object:
    from genui.engine.kinds import Trains
    from genui.kinds.speech.metrics import measure_voice, nearest_takes
    from genui.kinds.speech.task import VoiceTask

    return Trains(task=VoiceTask, measure=measure_voice, nearest=nearest_takes)


def _generates() -> object:
    from genui.engine.kinds import Generates
    from genui.kinds.speech.medium import SPEECH

    return Generates(load=SPEECH.load)


def _label_recipes() -> Recipes:
    from genui.kinds.speech.recipe import SOUND_CLASSIFIER_RECIPES, SoundClassifierRecipe

    return Recipes(SoundClassifierRecipe, SOUND_CLASSIFIER_RECIPES)


def _prepares_labels() -> object:
    from genui.engine.kinds import Prepares
    from genui.kinds.speech.data import check_labelled_speech

    return Prepares(check=check_labelled_speech)


def _trains_labels() -> object:
    from genui.engine.kinds import Trains
    from genui.kinds.speech.classifier import (
        SoundClassifier,
        SoundClassifierTask,
        measure_sound_classifier,
    )

    return Trains(
        task=SoundClassifierTask, measure=measure_sound_classifier, classifier=SoundClassifier.of
    )


def _formats() -> Mapping[str, object]:
    from genui.hub.formats import ModelFormat
    from genui.kinds.speech import piper

    row = ModelFormat(
        title="a voice of piper (.onnx with its .json)",
        recognise=piper.recognise,
        describe=piper.describe,
        suffix=piper.SUFFIX,
        needs=("onnxruntime", "onnx"),
        files=piper.files,
    )
    return {"onnx": row}


def _opens() -> object:
    from genui.engine.load import Loader
    from genui.kinds.speech.onnx_voice import load

    return Loader(load)


def _catalogue() -> Sequence[object]:
    from genui.kinds.speech.piper import CATALOGUE

    return CATALOGUE


def _shows() -> object:
    from genui.kinds.speech.pane import SOUNDS
    from genui.ui.generate.image import CANVAS
    from genui.ui.kinds import Shows
    from genui.ui.widgets.image import ImageView

    return Shows(pane=CANVAS, view=ImageView, exports=SOUNDS)


def _keys() -> Sequence[object]:
    from genui.kinds.speech.keys import KEYS

    return KEYS


def _shows_sentences() -> object:
    from genui.kinds.speech.pane import SPEECH, SPOKEN
    from genui.ui.kinds import Shows
    from genui.ui.widgets.image import ImageView

    return Shows(pane=SPEECH, view=ImageView, exports=SPOKEN)


_PAGE = Page(
    "audio",
    "spoken digits, a voice of your own, voices of piper",
    Path(__file__).with_name("help.md"),
)

KINDS = (
    replace(
        DENOISED,
        medium="audio",
        help=_PAGE,
        place=50,
        does="speaks",
        folder=Path(__file__).parent,
        limitations="It speaks only the words and the voices that it was trained on. Digits "
        "are joined, not spoken as one number. Phases are estimated from 64 mel bands at "
        "8 kHz, so it sounds like a bad telephone line.",
        recipes=_recipes,
        datasets=_datasets,
        prepares=_prepares,
        trains=_trains,
        generates=_generates,
        makes="a sound",
        shows=_shows,
        files=(".wav", ".png", ".gif", ".apng", ".cast"),
        examples=(
            "genui generate voice --prompt 'four two seven jackson' --out 427.wav",
            "ssh box genui generate voice --prompt '4 2 7' --out - | aplay     played here",
        ),
    ),
    Kind(
        family=PRETRAINED,
        medium="audio",
        help=_PAGE,
        place=50,
        does="speaks",
        limitations="Others trained it: its own card says on what. It speaks sentences, each "
        "at once, and reads numbers and names as espeak-ng does.",
        folder=Path(__file__).parent,
        formats=_formats,
        opens={"onnx": _opens},
        catalogue=_catalogue,
        settings=VoiceSettings,
        edits=("seed",),
        variation=VARIATION,
        first_step=1,
        options=("scale",),
        makes="a sound",
        pane="speech",
        title="Speech",
        keys=_keys,
        replaces_canvas=True,
        shows=_shows_sentences,
        files=(".wav", ".png"),
        prints=prints,
    ),
    Kind(
        family="classifier",
        help=_PAGE,
        medium="audio",
        place=70,
        does="labels sounds",
        folder=Path(__file__).parent,
        limitations="It knows ten digits, or six speakers, from their recordings, and always "
        "answers with one of them, also for a stranger.",
        recipes=_label_recipes,
        prepares=_prepares_labels,
        trains=_trains_labels,
    ),
)
