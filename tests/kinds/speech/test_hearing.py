"""Classifiers of sound: what is said and who says it, learnt from takes and asked of sounds."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from shown import PNG, show_step

from genui.base.errors import MisuseError
from genui.engine.device import Machine
from genui.engine.sample.diffusion_state import DiffusionState, Grid, ImageInputs
from genui.engine.train.checkpoint import model_metadata, write_tensors
from genui.formats.audio import encode_wav, to_pcm
from genui.kinds.speech import metrics
from genui.kinds.speech.classifier import SoundClassifier, SoundClassifierTask, SoundNet, vary
from genui.kinds.speech.data import (
    MEL_FRAMES,
    MELS,
    SAMPLE_RATE,
    Speech,
    Take,
    check_labelled_speech,
    load_labelled_speech,
    log_mel,
    pad_take,
    prepare,
)
from genui.kinds.speech.metrics import speech_copied, spoken_captions
from genui.kinds.speech.recipe import SoundClassifierRecipe, VoiceRecipe
from genui.protocol import ImageSettings, Start
from genui.recipes import find_recipe, override

MACHINE = Machine("cpu", "fp32", 1)
PITCHES = {"two": 300, "four": 900, "seven": 2000}


def tone(hertz: float, seconds: float = 0.3) -> np.ndarray:
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.3 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Digits that are tones, by two people."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for word, pitch in PITCHES.items():
        for number, who in enumerate(("anna", "bob")):
            for take in range(2):
                sound = tone(pitch + 60 * number, 0.3 + take / 20)
                path = folder / f"{word}_{who}_{take}.wav"
                path.write_bytes(encode_wav(to_pcm(sound), SAMPLE_RATE, ""))
    return folder


def recipe_of(folder: Path, name: str = "voice-digits") -> SoundClassifierRecipe:
    made = override(find_recipe(name), {"data": str(folder), "batch": "12", "width": "8"})
    assert isinstance(made, SoundClassifierRecipe)
    return made


def test_the_takes_of_a_step_are_shown_with_their_labels(recordings: Path) -> None:
    for example in show_step(SoundClassifierTask(recipe_of(recordings), torch.device("cpu"))):
        label, _, caption = example.text.partition(": ")
        assert caption.split()[0] == label
        assert example.image.startswith(PNG)


def test_recordings_that_are_left_out_are_said(recordings: Path) -> None:
    (recordings / "two_anna_9.wav").write_bytes(b"")
    line = check_labelled_speech(recipe_of(recordings))
    assert line.startswith("mine: 12 takes, 3 labels; 12 of 13 recordings are used; ")
    assert "two_anna_9.wav: is not a WAV file" in line


def test_labels_are_the_word_that_the_recipe_asks_for(recordings: Path) -> None:
    assert load_labelled_speech(recipe_of(recordings)).labels == ("two", "four", "seven")
    assert load_labelled_speech(recipe_of(recordings, "voice-speakers")).labels == ("anna", "bob")


def test_takes_of_one_label_are_refused(recordings: Path) -> None:
    for path in recordings.glob("*_bob_*"):
        path.unlink()
    with pytest.raises(MisuseError, match="every take has the one label 'anna'"):
        load_labelled_speech(recipe_of(recordings, "voice-speakers"))


def test_a_take_without_a_label_is_refused(recordings: Path) -> None:
    (recordings / "good morning.wav").write_bytes(encode_wav(to_pcm(tone(500)), SAMPLE_RATE, ""))
    with pytest.raises(MisuseError, match="“good morning” names no digit"):
        load_labelled_speech(recipe_of(recordings))


def test_it_learns_to_tell_digits_and_a_listener_hears_them(recordings: Path) -> None:
    task = SoundClassifierTask(recipe_of(recordings), torch.device("cpu"))
    optimizer = torch.optim.Adam(task.model.parameters(), 5e-3)
    for step in range(25):
        optimizer.zero_grad()
        task.loss(step).backward()
        optimizer.step()
    assert task.evaluate(task.model, MACHINE, True)["val_accuracy"] == 1
    (sample,) = task.sample(task.model, MACHINE)
    assert sample.content.decode().startswith("two    100% right")
    assert isinstance(task.model, SoundNet)
    listener = SoundClassifier(task.model, ("two", "four", "seven"))
    found = listener.probabilities([tone(300), tone(900), tone(2000)])
    assert found.argmax(1).tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)


def test_silence_is_no_word(recordings: Path) -> None:
    listener = SoundClassifier(SoundNet(2, 8), ("anna", "bob"))
    with pytest.raises(ValueError, match="silence"):
        listener.probabilities([np.zeros(800, np.float32)])


def test_a_listener_is_loaded_from_its_file_and_nothing_else_is(
    recordings: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(recordings)
    task = SoundClassifierTask(recipe, torch.device("cpu"))
    path = tmp_path / "digits.safetensors"
    described = model_metadata(recipe, 1, task.model, task.extra)
    write_tensors(path, dict(task.model.state_dict()), {"genui": json.dumps(described)})
    assert SoundClassifier.load(str(path)).labels == ("two", "four", "seven")


def test_variations_keep_silence_silent_and_the_rest_in_range() -> None:
    mels = np.full((3, 1, MELS, MEL_FRAMES), -1, np.float32)
    mels[:, :, 10:40, 5:30] = 0.9
    found = vary(mels, np.random.default_rng(0))
    assert found.dtype == np.float32
    assert (found[mels == -1] == -1).all()
    assert found.max() <= 1
    assert not np.array_equal(found[0], found[1])


def test_every_digit_is_asked_for_in_every_voice() -> None:
    captions = spoken_captions(["anna", "bob"], 20)
    assert len(set(captions)) == 20
    assert captions[0] == "zero anna"
    assert spoken_captions(["anna"], 12)[10] == "zero anna"


def test_a_copy_is_nearer_to_what_was_trained() -> None:
    takes = tuple(Take("two anna", prepare(tone(200 + 90 * i), SAMPLE_RATE)) for i in range(8))
    speech = Speech(name="x", licence="", takes=takes, train=np.arange(4), held_out=np.arange(4, 8))
    assert speech_copied(speech, speech.mels(np.arange(4))) == 1
    assert speech_copied(speech, speech.mels(np.arange(4, 8))) == 0


def test_the_nearest_takes_of_a_spoken_word_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    takes = tuple(
        Take(samples=rng.normal(0, 0.1, 4000).astype(np.float32), caption=f"{name} jackson")
        for name in ("one", "two", "three")
    )
    speech = Speech(
        name="mine", licence="", takes=takes, train=np.array([0, 1]), held_out=np.array([2])
    )
    monkeypatch.setattr(metrics, "_speech", lambda dataset, data: speech)
    mel = log_mel(np.stack([pad_take(takes[1].samples)]))
    clean = torch.from_numpy(mel.astype(np.float32))[:, None]
    row = ImageInputs("two jackson", 1, ImageSettings(steps=1))
    state = DiffusionState(
        grid=Grid(row),
        rows=(row,),
        token_ids=torch.zeros(1, 1),
        levels=(1.0, 0.0),
        x=clean,
        denoised=clean,
    )
    request = Start(trace=1, model="voice", prompt=row.caption, seed=1, settings=row.settings)
    trace: Any = SimpleNamespace(state=lambda step: state, request=request)
    found = metrics.nearest_takes(VoiceRecipe(name="v", dataset="mine"), trace, 0, 5)
    assert [each.caption for each in found.images] == ["two jackson", "one jackson"]
    assert found.images[0].distance < 0.01 < found.images[1].distance
    near = found.images[0]
    assert len(near.rgb) == near.width * near.height * 3
    assert found.data == "mine, 2 takes"
