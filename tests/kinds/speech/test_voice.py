"""Speaking: digits in one voice, out of noise, as an image and as a sound; and learning it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from shares import assert_shares_add_up
from shown import PNG, show_step

from genui.base.errors import MisuseError
from genui.engine.data.captions import Vocabulary
from genui.engine.device import Machine
from genui.engine.kinds import Checkpoint
from genui.engine.models.denoisers import EDMDenoiser
from genui.engine.models.dit import DiTConfig
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.trace import Trace
from genui.engine.train.checkpoint import grow_vocabulary
from genui.formats.audio import decode_wav, encode_wav, to_pcm
from genui.kinds.speech.data import MEL_FRAMES, MELS, SAMPLE_RATE, SAMPLES, log_mel
from genui.kinds.speech.medium import PAUSE, SPEECH, SpeechMedium, find_voices, sound_of
from genui.kinds.speech.network import MelDiT
from genui.kinds.speech.recipe import VoiceRecipe
from genui.kinds.speech.task import VoiceTask
from genui.protocol import (
    AddNoise,
    Axis,
    ImageFrame,
    ImageSettings,
    RgbImage,
    SetPrompt,
    SetSeed,
    Start,
)
from genui.recipes import find_recipe, override

MACHINE = Machine("cpu", "fp32", 1)
WORDS = ("anna", "bob", "four", "seven", "two")
SETTINGS = ImageSettings(steps=3)
TINY = {"layers": "1", "width": "32", "heads": "2", "patch": "8", "caption_width": "16"}


@pytest.fixture
def speaker() -> DiffusionGenerator:
    torch.manual_seed(0)
    vocabulary = Vocabulary(WORDS)
    config = DiTConfig(vocabulary.size, 4, 16, patch=8, layers=1, width=32, heads=2)
    model = EDMDenoiser(MelDiT(config), 0.5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    return DiffusionGenerator(model, vocabulary, MACHINE, SpeechMedium(None, ("anna", "bob")))


@pytest.fixture
def begun(speaker: DiffusionGenerator) -> Callable[..., Trace]:
    def begin(prompt: str = "four anna", **options: object) -> Trace:
        options = {"seed": 3, "settings": SETTINGS} | options
        return Trace(speaker, Start(trace=1, model="m", prompt=prompt, **options))  # type: ignore[arg-type]

    return begin


def frames_of(trace: Trace) -> list[ImageFrame]:
    return [frame for frame in trace.advance(0, 99) if isinstance(frame, ImageFrame)]


def word(seconds: float = 0.4) -> np.ndarray:
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.3 * np.sin(2 * np.pi * 300 * t)).astype(np.float32)


# --- captions -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caption", "parts"),
    [
        ("four jackson", ("four jackson",)),
        ("four two seven jackson", ("four jackson", "two jackson", "seven jackson")),
        ("Jackson: 4, 27", ("four jackson", "two jackson", "seven jackson")),
        ("427", ("four george", "two george", "seven george")),
        ("good morning", ("good morning",)),
        ("", ("",)),
    ],
)
def test_digits_are_spoken_one_by_one_in_the_voice_named(
    caption: str, parts: tuple[str, ...]
) -> None:
    assert SpeechMedium(None, ("george", "jackson")).parts(caption) == parts


def test_too_many_digits_are_refused() -> None:
    with pytest.raises(MisuseError, match="13 digits: at most 12"):
        SpeechMedium().parts("1234567890123")


def test_voices_are_the_words_beside_digits() -> None:
    assert find_voices(["four anna", "two bob", "two anna", "good morning"]) == ("anna", "bob")


def test_a_voice_that_is_not_named_is_told(begun: Callable[..., Trace]) -> None:
    assert "no voice named: anna speaks" in begun("four").started.note
    assert begun("four bob").started.note == begun("4 bob").started.note == ""
    assert "no digit is named, as in: four two seven anna" in begun("bob").started.note
    assert "vocabulary: carl" in begun("four carl bob").started.note


# --- traces -----------------------------------------------------------------------------


def test_a_word_is_an_image_and_a_sound(begun: Callable[..., Trace]) -> None:
    trace = begun()
    opening, *rest = trace.opening, *frames_of(trace)
    assert trace.started.medium == "audio"
    for frame in (opening, *rest):
        assert isinstance(frame, ImageFrame)
        assert (frame.width, frame.height) == (MEL_FRAMES, MELS)
        assert len(frame.x) == len(frame.denoised) == len(frame.noise) == MEL_FRAMES * MELS * 3
        assert frame.rate == SAMPLE_RATE
        assert 0 < len(frame.sound) // 2 <= SAMPLES


def test_words_stand_side_by_side_and_follow_each_other(begun: Callable[..., Trace]) -> None:
    one, three = frames_of(begun())[-1], frames_of(begun("four two seven anna"))[-1]
    assert three.width == 3 * one.width
    assert len(three.sound) > 2 * (2 * PAUSE * SAMPLE_RATE)


def test_the_same_digit_twice_is_said_twice_otherwise(begun: Callable[..., Trace]) -> None:
    frame = frames_of(begun("four four anna"))[-1]
    image = np.frombuffer(frame.x, np.uint8).reshape(MELS, 2, MEL_FRAMES, 3)
    assert not np.array_equal(image[:, 0], image[:, 1])


def test_the_first_of_several_words_is_as_it_is_alone(begun: Callable[..., Trace]) -> None:
    """A part has random numbers of its own, so what is said does not depend on what follows."""
    one = begun("four anna").state(0).x[0]
    torch.testing.assert_close(begun("four two anna").state(0).x[0], one)


def test_a_trace_is_the_same_again_and_after_going_back(begun: Callable[..., Trace]) -> None:
    one, two = begun("four two bob"), begun("four two bob")
    assert frames_of(one) == frames_of(two)
    assert list(one.advance(1, 1)) == list(two.advance(1, 1))


def test_a_fork_with_another_seed_sounds_otherwise(begun: Callable[..., Trace]) -> None:
    trace = begun(settings=ImageSettings(steps=3, sampler="ddpm"))
    before = frames_of(trace)[-1]
    branch = trace.fork(2, 1, SetSeed(9))
    assert list(branch.advance(1, 9))[-1].sound != before.sound  # type: ignore[union-attr]


def test_a_fork_to_more_words_is_refused(begun: Callable[..., Trace]) -> None:
    trace = begun()
    list(trace.advance(0, 1))
    assert trace.fork(2, 1, SetPrompt("seven bob"))
    with pytest.raises(MisuseError, match="drawn in 2 parts and this trace in 1"):
        trace.fork(3, 1, SetPrompt("seven two bob"))


def test_a_grid_of_captions_of_different_lengths_is_one_image(
    begun: Callable[..., Trace],
) -> None:
    axis = Axis(name="caption", values=("four anna", "two seven bob"))
    frame = frames_of(begun(grid=(axis,)))[-1]
    assert (frame.width, frame.height) == (2 * 2 * MEL_FRAMES, MELS)
    image = np.frombuffer(frame.x, np.uint8).reshape(MELS, 4, MEL_FRAMES, 3)
    assert not image[:, 1].any()  # the shorter one is silent there


def test_part_of_a_spectrogram_is_drawn_again(begun: Callable[..., Trace]) -> None:
    trace = begun()
    list(trace.advance(0, 3))
    mask = np.zeros((MELS, MEL_FRAMES), np.uint8)
    mask[:, MEL_FRAMES // 2 :] = 1
    branch = trace.fork(2, 3, AddNoise(to=1, mask=mask.tobytes()))
    list(branch.advance(3, 9))
    before, after = trace.state(3).x, branch.state(branch.reached).x
    torch.testing.assert_close(after[..., : MEL_FRAMES // 2], before[..., : MEL_FRAMES // 2])
    assert not torch.equal(after, before)


# --- beginning from a recording -----------------------------------------------------------


def test_it_begins_from_a_recording_of_any_rate(
    begun: Callable[..., Trace], tmp_path: Path
) -> None:
    t = np.arange(17640) / 44100
    stereo = np.stack((np.sin(2000 * t), np.sin(2000 * t)), axis=1).astype(np.float32)
    path = tmp_path / "mine.wav"
    path.write_bytes(encode_wav(to_pcm(0.3 * stereo), 44100, ""))  # type: ignore[arg-type]
    trace = begun(init=str(path), strength=0.3)
    assert "mine.wav: 44,100 Hz resampled to 8,000" in trace.started.note
    kept = trace.started.init
    assert isinstance(kept, RgbImage)
    assert (kept.width, kept.height) == (MEL_FRAMES, MELS)
    again = begun(init=kept, strength=0.3)  # the recipe needs no file
    torch.testing.assert_close(again.state(0).x, trace.state(0).x)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"not sound", "is not a WAV file"),
        (encode_wav(np.zeros(4000, np.int16), 8000, ""), "is silence"),
        (encode_wav(to_pcm(word()), 8000, "")[:500], "is truncated"),
    ],
)
def test_what_is_no_recording_is_told(
    begun: Callable[..., Trace], tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "mine.wav"
    path.write_bytes(content)
    with pytest.raises(MisuseError, match=f"mine.wav: {told}"):
        begun(init=str(path))


def test_an_image_of_another_size_is_refused(begun: Callable[..., Trace]) -> None:
    with pytest.raises(MisuseError, match="is 32×32: this model speaks 80×64"):
        begun(init=RgbImage(width=32, height=32, rgb=bytes(32 * 32 * 3)))
    with pytest.raises(MisuseError, match="has 3 bytes"):
        begun(init=RgbImage(width=80, height=64, rgb=b"abc"))


# --- the sound ------------------------------------------------------------------------------


def test_silence_around_a_word_is_cut_and_words_are_joined_with_a_pause() -> None:
    whole = np.zeros((2, SAMPLES), np.float32)
    whole[:, 2000:4000] = word(0.25)
    mels = log_mel(whole)
    one, two = (sound_of(mels[:n], [slice(0, n)], 8) for n in (1, 2))
    assert 0.2 < len(one) / SAMPLE_RATE < 0.45
    assert len(two) == pytest.approx(2 * len(one) + PAUSE * SAMPLE_RATE, abs=2)
    assert np.abs(two).max() <= 1


# --- training -------------------------------------------------------------------------------


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    for digit in (2, 4, 7):
        for take in range(2):
            data = encode_wav(to_pcm(word(0.2 + digit / 50)), SAMPLE_RATE, "")
            (folder / f"{digit}_carla_{take}.wav").write_bytes(data)
    return folder


def recipe_of(folder: Path, **settings: str) -> VoiceRecipe:
    made = override(
        find_recipe("voice"), TINY | {"data": str(folder), "batch": "4", "steps": "4"} | settings
    )
    assert isinstance(made, VoiceRecipe)
    return made


def test_it_learns_its_takes(recordings: Path) -> None:
    task = VoiceTask(recipe_of(recordings), torch.device("cpu"))
    assert "6 takes to train on, 0 held out, 4 words" in task.data_line
    optimizer = torch.optim.Adam(task.model.parameters(), 3e-3)
    losses = []
    for step in range(30):
        loss = task.loss(step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert_shares_add_up(task)
    assert float(task.loss(3).detach()) == float(task.loss(3).detach())
    found = task.evaluate(task.model, MACHINE, False)
    assert set(found) == {"seen_loss"}  # so few takes are all trained


def test_the_takes_of_a_step_are_shown_as_spectrograms(recordings: Path) -> None:
    for example in show_step(VoiceTask(recipe_of(recordings), torch.device("cpu"))):
        assert example.text.split()[0] in ("four", "seven", "two")
        assert example.image.startswith(PNG)


def test_its_samples_are_an_image_and_a_sound(recordings: Path) -> None:
    task = VoiceTask(recipe_of(recordings), torch.device("cpu"))
    image, sound = task.sample(task.model, MACHINE)
    assert (image.suffix, sound.suffix) == (".png", ".wav")
    assert decode_wav(sound.content).rate == SAMPLE_RATE


def test_a_new_voice_is_a_new_word_of_a_trained_model(recordings: Path) -> None:
    """As `genui train voice --from voice --data MY_RECORDINGS` does it."""
    old = VoiceTask(recipe_of(recordings), torch.device("cpu"), None)
    extra = {"words": ["four", "jackson", "seven", "two"], "voices": ["jackson"]}
    task = VoiceTask(recipe_of(recordings), torch.device("cpu"), extra)
    assert task.extra["words"] == ["four", "jackson", "seven", "two", "carla"]
    assert task.extra["voices"] == ["carla", "jackson"]
    assert "new words: carla" in task.notes
    tensors = {name: value + 1 for name, value in old.model.state_dict().items()}
    name = "network.caption.embedding.weight"
    task.model.load_state_dict(grow_vocabulary(tensors, task.model))
    rows = task.model.state_dict()[name]
    assert len(rows) == len(tensors[name]) + 1
    torch.testing.assert_close(rows[:-1], tensors[name])


def test_a_checkpoint_speaks_as_the_task_did(recordings: Path) -> None:
    recipe = recipe_of(recordings)
    task = VoiceTask(recipe, torch.device("cpu"))
    tensors = dict(task.model.state_dict())
    generator = SPEECH.load(Checkpoint(recipe, tensors, task.extra), MACHINE)
    request = Start(trace=0, model="m", prompt="4 2", seed=1, settings=SETTINGS)
    state, started = generator.begin(request)
    assert [row.caption for row in state.rows] == ["four carla", "two carla"]
    assert "carla speaks" in started.note


def test_it_begins_from_a_take_that_it_was_trained_on(
    speaker: DiffusionGenerator, recordings: Path
) -> None:
    speaker.medium = SpeechMedium(recipe_of(recordings), ("carla",))
    start = Start(trace=1, model="m", prompt="seven", seed=1, settings=SETTINGS, init="data:")
    assert "the training take “seven carla”" in Trace(speaker, start).started.note
    with pytest.raises(MisuseError, match="no take is of 'dragon'"):
        Trace(speaker, replace(start, prompt="dragon"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"patch": "3"}, "patch=3 does not divide 80"), ({"heads": "5"}, "not a multiple of heads=5")],
)
def test_sizes_that_do_not_fit_are_told(settings: dict[str, str], told: str) -> None:
    with pytest.raises(MisuseError, match=told):
        override(find_recipe("voice"), settings)
