"""Metrics of clips and of speech: is what was asked for seen, and heard?"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genui.engine.data.captions import COLOURS
from genui.engine.data.clips import INNER, PADDED, Clips, Scene, load_clips, pixel_shares
from genui.engine.data.images import SIDE, as_pixels
from genui.engine.data.speech import DIGITS, Samples, Speech, load_speech
from genui.engine.metrics.classifiers import SoundClassifier
from genui.engine.metrics.distance import copying_share, nearest
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.media import FINAL_ROUNDS, sound_of, to_clips
from genui.protocol import ImageSettings
from genui.recipes.diffusion import VideoRecipe, VoiceRecipe

# --- Tracking: where a figure is in every frame, what it is, and how it moves -----------------
# Nothing here knows the caption. The figure is what is not the ground; its centre is the mean
# place of that, its size the root of its area, and what it is and how it is turned is the icon
# that, drawn there as large, is nearest pixel for pixel.

ANGLES = 48  # that a figure is compared at, all round
CLEARLY = 1.5  # times nearer than upright, for a figure to count as turned
FAINT = 2e-3  # mean squared differences below this say nothing
SOLID = 0.85  # alpha from which a pixel has the figure's own colour

Floats = NDArray[np.float32]

_NAMES = tuple(COLOURS)
_PALETTE: Floats = np.array(list(COLOURS.values()), np.float32)


class Track(NamedTuple):
    """What was seen of a clip. `first` and `last` name the nearest icon in those frames."""

    x: Floats  # [16], pixels
    y: Floats  # [16]
    size: Floats  # [16], pixels, of the square around the icon that it is nearest to
    turned: Floats  # [16], radians since the first frame, counter-clockwise
    first: str
    last: str
    colour: str
    ground: str


class Tracker:
    """Tracks the figures of one set of clips."""

    def __init__(self, clips: Clips) -> None:
        self._clips = clips
        edge = (PADDED - SIDE) // 2
        alpha = np.pad(clips.alpha, ((0, 0), (edge, edge), (edge, edge)))
        self._sources: Floats = np.divide(alpha, 255, dtype=np.float32)  # [N, 48, 48]
        self._areas = self._sources.sum(axis=(1, 2))  # [N]
        self._middles = _centres(self._sources, self._areas) - PADDED / 2  # [N, 2]

    def track(self, clip: NDArray[np.uint8]) -> Track:
        """Follow the figure of a clip [16, 32, 32, 3]."""
        alpha, colour, ground = matte(clip)
        areas = alpha.sum(axis=(1, 2)) + 1e-6
        centres = _centres(alpha, areas)
        first = self._nearest(alpha[0], areas[0], centres[0])
        turned = self._turned(first, alpha, areas, centres)
        size = INNER * np.sqrt(areas / self._areas[first])
        last = self._nearest(alpha[-1], areas[-1], centres[-1], turned[-1])
        names = self._clips.figures
        return Track(
            *(centres[:, 0], centres[:, 1], size.astype(np.float32), turned),
            *(names[first], names[last], colour, ground),
        )

    def _nearest(self, alpha: Floats, area: float, centre: Floats, angle: float = 0.0) -> int:
        """The number of the icon that is nearest when drawn there, as large and as turned."""
        sources = self._sources
        if angle:
            sources = np.stack([_rotated(source, angle) for source in sources])
        drawn = self._drawn(sources, np.arange(len(sources)), area, centre, angle)
        return int(np.square(drawn - alpha).mean(axis=(1, 2)).argmin())

    def _turned(self, figure: int, alpha: Floats, areas: Floats, centres: Floats) -> Floats:
        """How far the figure is turned in every frame: the angle nearest of `ANGLES`."""
        angles = 2 * math.pi * np.arange(ANGLES) / ANGLES
        sources = np.stack([_rotated(self._sources[figure], angle) for angle in angles])
        number = np.full(ANGLES, figure)
        turns = []
        for frame, area, centre in zip(alpha, areas, centres, strict=True):
            drawn = self._drawn(sources, number, area, centre, angles)
            far = np.square(drawn - frame).mean(axis=(1, 2))
            upright = far[0] < max(FAINT, CLEARLY * far.min())
            turns.append(0.0 if upright else angles[far.argmin()])
        return np.unwrap(np.array(turns)).astype(np.float32)

    def _drawn(
        self,
        sources: Floats,
        numbers: NDArray[np.int64],
        area: float,
        centre: Floats,
        angle: float | NDArray[np.float64],
    ) -> Floats:
        """Each source drawn so that its area and the centre of it are these: [N, 32, 32]."""
        scale = np.sqrt(area / self._areas[numbers])
        x, y = self._middles[numbers].T * scale
        cos, sin = np.cos(angle), np.sin(angle)  # a middle goes round with its icon
        columns = pixel_shares(centre[0] - (cos * x + sin * y), INNER * scale)
        rows = pixel_shares(centre[1] - (cos * y - sin * x), INNER * scale)
        return np.matmul(rows @ sources, columns.swapaxes(-1, -2), dtype=np.float32)


def matte(clip: NDArray[np.uint8]) -> tuple[Floats, str, str]:
    """How much of each pixel is figure [16, 32, 32], 0 to 1, and the names of its colour and of
    the ground's: the nearest of the palette.

    The ground is the median of all pixels: no figure covers half of a frame.
    """
    pixels = clip.astype(np.float32)
    ground = np.median(pixels.reshape(-1, 3), axis=0).astype(np.float32)
    difference = pixels - ground
    far = np.linalg.norm(difference, axis=-1)
    most = far > np.quantile(far, 0.98) * SOLID
    figure = np.zeros(3, np.float32)
    if most.any():
        figure = np.median(difference[most].reshape(-1, 3), axis=0).astype(np.float32)
    contrast = float(figure @ figure)
    if contrast < 1:  # nothing is there
        return np.zeros(far.shape, np.float32), _named(ground), _named(ground)
    alpha = np.clip(difference @ figure / contrast, 0, 1)
    alpha[alpha < 0.1] = 0  # what is left of noise would draw the centre to the middle
    return alpha.astype(np.float32), _named(ground + figure), _named(ground)


def motion_of(track: Track) -> str:
    """The name of the motion that a track is, or "" where it is none of them.

    Sizes and angles are judged first: a figure that grows or turns hardly leaves its place.
    """
    ratio = _mean(track.size[-3:]) / max(_mean(track.size[:3]), 1e-3)
    if abs(track.turned[-1] - track.turned[0]) > math.pi:
        return "turn"
    if ratio > 1.4 or ratio < 1 / 1.4:
        return "grow" if ratio > 1 else "shrink"
    wide, high = np.ptp(track.x), np.ptp(track.y)
    if max(wide, high) < 2.5:
        return "still"
    if min(wide, high) > 6:
        return "orbit" if _winding(track) > 1.5 * math.pi else ""
    along = track.x if wide > high else track.y
    moves = np.diff(along)
    straight = abs(along[-1] - along[0]) > 0.9 * np.ptp(along)
    if min(wide, high) > 3 or max(wide, high) < 5:
        return ""
    if straight:
        positive, negative = ("right", "left") if wide > high else ("down", "up")
        return positive if along[-1] > along[0] else negative
    turns = np.count_nonzero(np.diff(np.sign(moves[np.abs(moves) > 0.15])))
    return "bounce" if high > wide and turns >= 2 else ""


def _winding(track: Track) -> float:
    """How far round the middle of its path the figure goes, in radians."""
    middle_x = (track.x.max() + track.x.min()) / 2
    middle_y = (track.y.max() + track.y.min()) / 2
    angles = np.unwrap(np.arctan2(track.y - middle_y, track.x - middle_x))
    return float(abs(angles[-1] - angles[0]))


def _centres(alpha: Floats, areas: Floats) -> Floats:
    """[N, 2]: the mean x and y of alphas [N, H, W], in pixels from the corner."""
    places = np.arange(alpha.shape[-1], dtype=np.float32) + 0.5
    x = (alpha.sum(axis=1) * places).sum(axis=1) / areas
    y = (alpha.sum(axis=2) * places).sum(axis=1) / areas
    return np.stack((x, y), axis=1).astype(np.float32)


def _rotated(alpha: Floats, angle: float) -> Floats:
    image = Image.fromarray((alpha * 255).astype(np.uint8))
    turned = image.rotate(math.degrees(angle), Image.Resampling.BICUBIC)
    return np.divide(np.asarray(turned), 255, dtype=np.float32)


def _mean(values: Sequence[float] | Floats) -> float:
    return float(np.mean(values))


def _named(colour: Floats) -> str:
    return _NAMES[int(np.linalg.norm(_PALETTE - colour, axis=1).argmin())]


# --- Whether a video model's clips are what their captions say: the icon, its motion, its colours

CLIP_SAMPLES = 200  # of pairs that were trained
HELD_SAMPLES = 100  # of those held out
CLIP_BATCH = 20
CLIP_SETTINGS = ImageSettings(steps=12, guidance=2.0)
COMPARED = 1000  # clips trained on, and as many others, that copying is judged against
COARSE = 4  # pixels along a side that are one where clips are compared


@dataclass(frozen=True)
class TrackedClip:
    """A clip beside what was asked for."""

    scene: Scene
    track: Track

    @property
    def motion(self) -> str:
        """What it does, as far as can be measured."""
        return motion_of(self.track)

    @property
    def moves_right(self) -> bool:
        return self.motion == self.scene.motion

    @property
    def stays_itself(self) -> bool:
        """The nearest icon of the first frame is that of the last."""
        return self.track.first == self.track.last

    @property
    def is_right(self) -> bool:
        """It begins and ends as the icon that was asked for."""
        return self.track.first == self.track.last == self.scene.figure

    @property
    def coloured_right(self) -> bool:
        return (self.track.colour, self.track.ground) == (self.scene.colour, self.scene.ground)


def measure_clips(generator: DiffusionGenerator, recipe: VideoRecipe) -> dict[str, str]:
    """Right motion, same object, right icon and colours; for pairs held out; how much is copied."""
    clips = load_clips()
    rng = np.random.default_rng(0)
    scenes = clips.scenes(CLIP_SAMPLES, rng)
    drawn = draw(generator, scenes)
    trained = look(clips, scenes, drawn)
    unseen = clips.scenes(HELD_SAMPLES, rng, held_out=True)
    held = look(clips, unseen, draw(generator, unseen))
    return {
        "motion right": percent(trained, lambda seen: seen.moves_right),
        "same object": percent(trained, lambda seen: seen.stays_itself),
        "right icon": percent(trained, lambda seen: seen.is_right),
        "colours right": percent(trained, lambda seen: seen.coloured_right),
        "held-out motion": percent(held, lambda seen: seen.moves_right),
        "held-out icon": percent(held, lambda seen: seen.is_right),
        "held-out colours": percent(held, lambda seen: seen.coloured_right),
        "copied": f"{clips_copied(clips, scenes, drawn, recipe.seed):.2f} nearer to trained clips "
        "than to others (0.5: nothing)",
    }


def draw(
    generator: DiffusionGenerator,
    scenes: Sequence[Scene],
    settings: ImageSettings = CLIP_SETTINGS,
    progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.uint8]:
    """A clip of each scene [N, 16, 32, 32, 3], seeds 0, 1, …; `told` hears how many there are."""
    parts = []
    for start in range(0, len(scenes), CLIP_BATCH):
        captions = [scene.caption for scene in scenes[start : start + CLIP_BATCH]]
        seeds = list(range(start, start + len(captions)))
        parts.append(to_clips(generator.denoised(captions, seeds, settings)))
        progress(start + len(captions))
    return np.concatenate(parts)


def look(clips: Clips, scenes: Sequence[Scene], drawn: NDArray[np.uint8]) -> list[TrackedClip]:
    """Each clip tracked, beside its scene."""
    tracker = Tracker(clips)
    return [
        TrackedClip(scene, tracker.track(clip)) for scene, clip in zip(scenes, drawn, strict=True)
    ]


def percent(seen: Sequence[TrackedClip], right: Callable[[TrackedClip], bool]) -> str:
    """The share of clips, as "97 % of 120"."""
    return f"{100 * np.mean([right(one) for one in seen]):.0f}% of {len(seen)}"


def real(clips: Clips, scenes: Sequence[Scene], *seed: int) -> NDArray[np.uint8]:
    """Clips of scenes as those that were trained on: uint8 [N, 16, 32, 32, 3]."""
    return as_pixels(clips.batch(scenes, np.random.default_rng(seed)).clips)


def clips_copied(
    clips: Clips, scenes: Sequence[Scene], drawn: NDArray[np.uint8], seed: int
) -> float:
    """The share of clips nearer to those trained on than to as many of the same kind.

    Both are of the very same scenes, so that only where and how a figure moves can tell.
    """
    times = -(-COMPARED // len(scenes))
    rows = _coarse(drawn)
    trained = np.concatenate([_coarse(real(clips, scenes, seed, n)) for n in range(times)])
    others = np.concatenate([_coarse(real(clips, scenes, seed + 1, n)) for n in range(times)])
    return copying_share(rows, trained, others)


def _coarse(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Clips as rows: each square of pixels by its mean colour."""
    side = clip.shape[2] // COARSE
    squares = clip.reshape(*clip.shape[:2], side, COARSE, side, COARSE, 3).mean(axis=(3, 5))
    return squares.reshape(len(clip), -1).astype(np.float32)


# --- Whether a model says the digits it is asked for, in the voices it is asked for -----------

DIGIT_LISTENER, VOICE_LISTENER = "voice-digits", "voice-speakers"
SPEECH_SAMPLES = 500
SPEECH_SETTINGS = ImageSettings(steps=12, guidance=2.0)
SPEECH_BATCH = 20
COPIES = 120  # samples that are compared with the training takes


@dataclass(frozen=True, eq=False)
class Spoken:
    """What a model said: captions [N], each as sound, and as the spectrograms it drew."""

    captions: list[str]
    sounds: list[Samples]
    mels: NDArray[np.float32]  # [N, MELS, FRAMES]


def measure_voice(generator: DiffusionGenerator, recipe: VoiceRecipe) -> dict[str, str]:
    """What listeners trained on real takes hear in SAMPLES generated words, from their sound."""
    speech = load_speech(recipe.dataset, recipe.data)
    voices = list(dict.fromkeys(take.caption.split()[-1] for take in speech.takes))
    spoken = speak(generator, spoken_captions(voices, SPEECH_SAMPLES))
    digits, speakers = SoundClassifier.load(DIGIT_LISTENER), SoundClassifier.load(VOICE_LISTENER)
    held = [speech.takes[i] for i in speech.held_out]
    real = [take.samples for take in held]
    real_captions = [take.caption for take in held]
    return {
        "digit heard": _heard(digits, spoken.captions, spoken.sounds, 0),
        "voice heard": _heard(speakers, spoken.captions, spoken.sounds, -1),
        "of real takes": (
            f"digit {_heard(digits, real_captions, real, 0)}, "
            f"voice {_heard(speakers, real_captions, real, -1)}"
        ),
        "copied": f"{speech_copied(speech, spoken.mels[:COPIES]):.0%} nearer to a trained take "
        "than to one of as many held out (50 % copies nothing)",
        "steps": f"{SPEECH_SETTINGS.steps}, guidance {SPEECH_SETTINGS.guidance:g}",
    }


def spoken_captions(voices: Sequence[str], count: int) -> list[str]:
    """`count` captions: every digit in every voice in turn."""
    pairs = [f"{digit} {voice}" for voice in voices for digit in DIGITS]
    return [pairs[i % len(pairs)] for i in range(count)]


def speak(
    generator: DiffusionGenerator, captions: list[str], settings: ImageSettings = SPEECH_SETTINGS
) -> Spoken:
    """The words of these captions, seeds 0, 1, …, through the vocoder."""
    parts, sounds = [], []
    for at in range(0, len(captions), SPEECH_BATCH):
        words = captions[at : at + SPEECH_BATCH]
        x = generator.denoised(words, list(range(at, at + len(words))), settings)
        mels = x[:, 0].float().cpu().numpy()
        parts.append(mels)
        sounds += [sound_of(mel[None], [slice(0, 1)], FINAL_ROUNDS) for mel in mels]
    return Spoken(captions, sounds, np.concatenate(parts))


def right(
    classifier: SoundClassifier, captions: Sequence[str], sounds: Sequence[Samples], word: int
) -> int:
    """How many of these sounds the classifier takes for that word of their captions."""
    heard = classifier.probabilities(sounds).argmax(1)
    pairs = zip(heard, captions, strict=True)
    return sum(classifier.labels[label] == caption.split()[word] for label, caption in pairs)


def speech_copied(speech: Speech, mels: NDArray[np.float32], seed: int = 0) -> float:
    """The share of spectrograms whose nearest take, of as many trained as held-out ones, is a
    trained one: half of them where nothing is copied."""
    held = speech.held_out
    train = np.random.default_rng(seed).choice(speech.train, len(held), replace=False)
    rows, *takes = (m.reshape(len(m), -1) for m in (mels, speech.mels(train), speech.mels(held)))
    to_train, to_held = (nearest(rows, each)[0] for each in takes)
    return float((to_train < to_held).mean())


def _heard(
    classifier: SoundClassifier, captions: Sequence[str], sounds: Sequence[Samples], word: int
) -> str:
    count = right(classifier, captions, sounds, word)
    return f"{count / len(captions):.1%} right of {len(captions)}"
