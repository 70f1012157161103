"""Speech: a diffusion model of spectrograms, and open voices."""

from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from genui.base.late import late_imports
from genui.base.manual import Page
from genui.kinds.image import DENOISED, prints
from genui.kinds.speech.settings import VARIATION, VoiceSettings
from genui.protocol.kinds import PRETRAINED, Kind, Recipes

with late_imports():
    from genui.engine import kinds as engine
    from genui.engine import loaders
    from genui.hub import formats
    from genui.kinds.speech import (
        classifier,
        data,
        keys,
        medium,
        metrics,
        onnx_voice,
        pane,
        piper,
        recipe,
        task,
    )
    from genui.ui import kinds as ui
    from genui.ui.generate import image as canvas
    from genui.ui.widgets import image


def _formats() -> Mapping[str, object]:
    row = formats.ModelFormat(
        title="a voice of piper (.onnx with its .json)",
        recognise=piper.recognise,
        describe=piper.describe,
        suffix=piper.SUFFIX,
        needs=("onnxruntime", "onnx"),
        files=piper.files,
    )
    return {"onnx": row}


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
        ability="speaks",
        folder=Path(__file__).parent,
        limitations="It speaks only the words and the voices that it was trained on. Digits "
        "are joined, not spoken as one number. Phases are estimated from 64 mel bands at "
        "8 kHz, so it sounds like a bad telephone line.",
        recipes=lambda: Recipes(recipe.VoiceRecipe, recipe.VOICE_RECIPES),
        datasets=lambda: data.SPEECH_DATASETS,
        prepares=lambda: engine.Prepares(check=data.check_speech),
        trains=lambda: engine.Trains(
            task=task.VoiceTask, measure=metrics.measure_voice, nearest=metrics.nearest_takes
        ),
        generates=lambda: engine.Generates(load=medium.SPEECH.load),
        makes="a sound",
        shows=lambda: ui.Shows(pane=canvas.CANVAS, view=image.ImageView, exports=pane.SOUNDS),
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
        ability="speaks",
        limitations="Trained by others: its own card states its data. It speaks a sentence at a "
        "time, and reads numbers and names as espeak-ng does.",
        folder=Path(__file__).parent,
        formats=_formats,
        opens={"onnx": lambda: loaders.Loader(onnx_voice.load)},
        catalogue=lambda: piper.CATALOGUE,
        settings=VoiceSettings,
        edits=("seed",),
        variation=VARIATION,
        first_step=1,
        options=("scale",),
        makes="a sound",
        pane="speech",
        title="Speech",
        keys=lambda: keys.KEYS,
        replaces_canvas=True,
        shows=lambda: ui.Shows(pane=pane.SPEECH, view=image.ImageView, exports=pane.SPOKEN),
        files=(".wav", ".png"),
        prints=prints,
    ),
    Kind(
        family="classifier",
        help=_PAGE,
        medium="audio",
        place=70,
        ability="labels sounds",
        folder=Path(__file__).parent,
        limitations="It knows ten digits, or six speakers, from their recordings, and always "
        "answers with one of them, also for a stranger.",
        recipes=lambda: Recipes(recipe.SoundClassifierRecipe, recipe.SOUND_CLASSIFIER_RECIPES),
        prepares=lambda: engine.Prepares(check=data.check_labelled_speech),
        trains=lambda: engine.Trains(
            task=classifier.SoundClassifierTask,
            measure=classifier.measure_sound_classifier,
            classifier=classifier.SoundClassifier.of,
        ),
    ),
)
