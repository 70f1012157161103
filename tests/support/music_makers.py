"""A very small model of music with weights that no training made, and tunes as MIDI files."""

import io
from collections.abc import Sequence
from pathlib import Path

import mido
import torch

from genui.engine.device import Machine
from genui.kinds.music.network import ChoraleTransformer, chorale_config
from genui.kinds.music.recipe import MusicRecipe
from genui.kinds.music.sample import MusicGenerator
from genui.recipes import find_recipe, override

SMALL = {"width": "32", "heads": "2", "layers": "1", "context": "64"}


def small_recipe(**settings: str) -> MusicRecipe:
    recipe = override(find_recipe("chorales"), SMALL | settings)
    assert isinstance(recipe, MusicRecipe)
    return recipe


def small_model(seed: int = 0) -> ChoraleTransformer:
    torch.manual_seed(seed)
    model = ChoraleTransformer(chorale_config(small_recipe()))
    with torch.no_grad():  # the head starts at zero, which would make every token equal
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def small_generator() -> MusicGenerator:
    return MusicGenerator(small_model(), Machine("cpu", "fp32", 1))


def write_midi(
    path: Path,
    pitches: Sequence[int] = (67, 69, 71, 72),
    *,
    tracks: int = 1,
    metre: tuple[int, int] | None = (4, 4),
    channel: int = 0,
    ticks: int = 480,
    late: int = 0,
    names: Sequence[str] = (),
) -> Path:
    """`tracks` tracks of quarters, each a fifth below the one before it."""
    file = mido.MidiFile(ticks_per_beat=480)
    head = file.add_track("head")
    if metre is not None:
        head.append(mido.MetaMessage("time_signature", numerator=metre[0], denominator=metre[1]))
    for number in range(tracks):
        track = file.add_track(names[number] if names else f"part {number}")
        for pitch in pitches:
            note = max(0, pitch - 7 * number)
            track.append(
                mido.Message("note_on", channel=channel, note=note, velocity=64, time=late)
            )
            track.append(mido.Message("note_off", channel=channel, note=note, time=ticks - late))
    buffer = io.BytesIO()
    file.save(file=buffer)
    path.write_bytes(buffer.getvalue())
    return path
