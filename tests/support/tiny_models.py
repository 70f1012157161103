"""Models with real weights that no training made: small enough to generate in a moment."""

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genui.engine.data.captions import Vocabulary
from genui.engine.data.tokenizer import CharTokenizer, train_bpe
from genui.engine.models.denoisers import EDMDenoiser, build_image_denoiser
from genui.engine.models.dit import Network
from genui.engine.models.transformer import build_transformer
from genui.engine.train.checkpoint import model_metadata, write_tensors
from genui.protocol.kinds import KINDS
from genui.recipes import DiffusionRecipe, Recipe, TransformerRecipe, find_recipe, override
from genui.runs.layout import RunDir, Status, create_run, write_status

ALPHABET = "\n abcdefghijklmnopqrstuvwxyz"
CONTEXT = 32  # tokens


def write_models(weights: Path, seed: int = 0, alphabet: str = ALPHABET) -> None:
    """`plays` and `shapes` in a folder of shipped models; another seed gives other weights."""
    torch.manual_seed(seed)
    small = {"layers": "1", "width": "32", "heads": "2"}
    text = override(find_recipe("shakespeare"), small | {"context": str(CONTEXT)})
    assert isinstance(text, TransformerRecipe)
    tokenizer = CharTokenizer(alphabet)
    writer = build_transformer(text, tokenizer.size)
    _write(weights / "plays", text, _scattered(writer, 0.3), {"tokenizer": tokenizer.to_dict()})

    drawing, drawer, words = _make_drawer()
    _write(weights / "shapes", drawing, _scattered(drawer, 0.1), words)


def write_drawing_run(name: str) -> RunDir:
    """A run in GENUI_HOME that has ended at step 1 and has learnt nothing: it draws noise."""
    recipe, model, words = _make_drawer()
    run = create_run(recipe, {}, name)
    _write_weights(run.checkpoint(1), recipe, model, words)
    write_status(run, Status(state="finished", step=1, steps=1))
    return run


def _make_drawer() -> tuple[DiffusionRecipe, EDMDenoiser[Network], dict]:
    changes = {"layers": "1", "width": "32", "heads": "2"}
    changes |= {"patch": "8", "caption_width": "16", "sample_captions": "cat"}
    recipe = override(find_recipe("icons"), changes)
    assert isinstance(recipe, DiffusionRecipe)
    vocabulary = Vocabulary.build(["cat", "dog"])
    model = build_image_denoiser(recipe, vocabulary.size)
    return recipe, model, {"words": vocabulary.words}


def write_coder(weights: Path) -> None:
    """`coder`, which fills gaps."""
    torch.manual_seed(0)
    small = {"layers": "1", "width": "32", "heads": "2", "context": "64", "vocab_size": "300"}
    recipe = override(find_recipe("python"), small)
    assert isinstance(recipe, TransformerRecipe)
    text = "".join(f"def f_{n}(a, b):\n    return a * {n} + b\n\n\n" for n in range(60))
    tokenizer = train_bpe([text], recipe.vocab_size).with_gaps()
    model = build_transformer(recipe, tokenizer.size)
    _write(weights / "coder", recipe, _scattered(model, 0.3), {"tokenizer": tokenizer.to_dict()})


def write_music(weights: Path) -> None:
    """`tunes`, which writes four-voice music."""
    from genui.kinds.music.network import ChoraleTransformer, chorale_config
    from genui.kinds.music.recipe import MusicRecipe

    torch.manual_seed(0)
    small = {"layers": "1", "width": "32", "heads": "2", "context": "64"}
    recipe = override(find_recipe("chorales"), small)
    assert isinstance(recipe, MusicRecipe)
    model = ChoraleTransformer(chorale_config(recipe))
    _write(weights / "tunes", recipe, _scattered(model, 0.3), {})


def write_gan(weights: Path) -> None:
    """`clothes`, which is walked through."""
    from genui.kinds.gan.network import GAN, gan_config
    from genui.kinds.gan.recipe import GanRecipe

    torch.manual_seed(0)
    recipe = override(find_recipe("fashion-gan"), {"width": "8", "blocks": "1", "latent": "8"})
    assert isinstance(recipe, GanRecipe)
    vocabulary = Vocabulary.build(["boot", "bag"])
    model = GAN(gan_config(recipe, vocabulary.size))
    extra = {"words": vocabulary.words, "captions": ["boot", "bag"]}
    _write(weights / "clothes", recipe, _scattered(model, 0.2), extra)


def write_voice(weights: Path) -> None:
    """`talk`, which speaks."""
    from genui.kinds.speech.network import build_voice_denoiser
    from genui.kinds.speech.recipe import VoiceRecipe

    torch.manual_seed(0)
    changes = {"layers": "1", "width": "32", "heads": "2", "patch": "8", "caption_width": "16"}
    recipe = override(find_recipe("voice"), changes)
    assert isinstance(recipe, VoiceRecipe)
    vocabulary = Vocabulary(("anna", "four", "two"))
    model = build_voice_denoiser(recipe, vocabulary.size)
    extra = {"words": vocabulary.words, "voices": ("anna",)}
    _write(weights / "talk", recipe, _scattered(model, 0.1), extra)


def write_video(weights: Path) -> None:
    """`film`, which draws clips."""
    from genui.kinds.video.network import build_video_denoiser
    from genui.kinds.video.recipe import VideoRecipe

    torch.manual_seed(0)
    changes = {"layers": "2", "width": "32", "heads": "2", "caption_width": "16"}
    recipe = override(find_recipe("video"), changes | {"canvas_batch": "4"})
    assert isinstance(recipe, VideoRecipe)
    vocabulary = Vocabulary.build(["red heart moving up on black"])
    model = build_video_denoiser(recipe, vocabulary.size)
    _write(weights / "film", recipe, _scattered(model, 0.1), {"words": vocabulary.words})


def write_autoencoder(weights: Path) -> None:
    """`codes`, which codes images."""
    from genui.kinds.latent.network import Autoencoder, autoencoder_config
    from genui.kinds.latent.recipe import AutoencoderRecipe

    torch.manual_seed(0)
    changes = {"width": "4", "blocks": "1", "deep_blocks": "1"}
    recipe = override(find_recipe("autoencoder-128"), changes)
    assert isinstance(recipe, AutoencoderRecipe)
    _write(weights / "codes", recipe, Autoencoder(autoencoder_config(recipe)), {})


def write_student(weights: Path) -> None:
    """`pupil`, which draws in few steps what `shapes` draws in more."""
    from genui.kinds.student.network import read_next_level

    torch.manual_seed(0)
    taught, model, words = _make_drawer()
    teacher = model_metadata(taught, 1, model, words)
    read_next_level(model)
    recipe = override(find_recipe("fashion-student"), {"dataset": "icons", "teacher": "shapes"})
    _write(weights / "pupil", recipe, _scattered(model, 0.1), words | {"teacher": teacher})


def write_diffused_text(weights: Path) -> None:
    """`anagrams`, which writes text in any order."""
    from genui.kinds.text_diffusion.network import build_text_denoiser

    torch.manual_seed(0)
    small = {"layers": "1", "width": "32", "heads": "2", "context": "64", "ngram_rows": "256"}
    recipe: Any = override(find_recipe("masked-shakespeare"), small)
    tokenizer = CharTokenizer("\n" + string.printable[:95])
    model = build_text_denoiser(recipe, tokenizer.size)
    extra = {"tokenizer": tokenizer.to_dict()}
    _write(weights / "anagrams", recipe, _scattered(model, 0.3), extra)


OF_KINDS = {
    "tunes": (("transformer", "music"), write_music),
    "clothes": (("gan", "image"), write_gan),
    "talk": (("diffusion", "audio"), write_voice),
    "film": (("diffusion", "video"), write_video),
    "codes": (("autoencoder", "image"), write_autoencoder),
    "pupil": (("student", "image"), write_student),
    "anagrams": (("discrete-diffusion", "text"), write_diffused_text),
}
"""Models of kinds that can be removed, which import what they need when they are written."""

INSTALLED = tuple(name for name, (kind, _) in OF_KINDS.items() if kind in KINDS)


def write_sound_classifier(weights: Path) -> None:
    """`hears`, which labels sounds."""
    from genui.kinds.speech.classifier import SoundNet

    write_classifier(weights / "hears", "voice-digits", lambda width: SoundNet(2, width))


def load_sound_classifier(ref: str) -> object:
    from genui.kinds.speech.classifier import SoundClassifier

    return SoundClassifier.load(ref)


CLASSIFIERS_OF_KINDS = (
    {"hears": (write_sound_classifier, load_sound_classifier)}
    if ("classifier", "audio") in KINDS
    else {}
)
"""Classifiers of kinds that can be removed: what writes one, and what loads its file."""


def write_classifier(folder: Path, recipe: str, network: Callable[[int], nn.Module]) -> None:
    """A classifier of two labels; `network` builds it of a width."""
    asked, model = override(find_recipe(recipe), {"width": "8"}), network(8)
    _write(folder, asked, model, {"labels": ["one", "two"], "dataset": "mine"})


def write_of_kinds(weights: Path) -> None:
    """Those of OF_KINDS whose kind is installed."""
    for name in INSTALLED:
        OF_KINDS[name][1](weights)


def _scattered(model: nn.Module, spread: float) -> nn.Module:
    """Heads start at zero, which would make every token and every image equal."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=spread)
    return model


def _write(folder: Path, recipe: Recipe, model: nn.Module, extra: dict) -> None:
    _write_weights(folder / "model.safetensors", recipe, model, extra)
    (folder / "card.json").write_text(json.dumps({"name": folder.name}))


def _write_weights(path: Path, recipe: Recipe, model: nn.Module, extra: dict) -> None:
    described = model_metadata(recipe, 1, model, extra)
    write_tensors(path, dict(model.state_dict()), {"genui": json.dumps(described)})
