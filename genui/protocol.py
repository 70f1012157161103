"""The messages between the app and the worker: frozen, typed, versioned.

On the pipe each message is four bytes of little-endian length and that many bytes of
msgpack. Nothing here knows a family: a trace starts, advances by steps, forks by edits,
and every step sends one frame.
"""

import struct
from collections.abc import Iterator
from typing import Annotated, Generic, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

VERSION = 3
MAX_MESSAGE = 16 * 1024 * 1024

EDGE = 1.25
"""The Lab shows the plane from -EDGE to EDGE; data lie within -1 and 1 or close by."""
GRID = 48
"""Cells along each side of what the Lab draws as a surface."""
LAB = "lab:"
"""A model's name that begins so is a family that the Lab trains."""

_LENGTH = struct.Struct("<I")

T = TypeVar("T")

Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]

SamplerName = Literal["dpmpp-2m", "heun", "euler", "ddim", "ddpm"]
BasisName = Literal["sefa", "pca"]
BASES: tuple[BasisName, ...] = get_args(BasisName)
SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)


class ProtocolError(Exception):
    """The other side sent something that is not this protocol."""


# --- settings -----------------------------------------------------------------------


class TextSettings(Struct, frozen=True, tag="text", kw_only=True):
    """How a token is chosen; the filters apply in this order.

    `repetition_penalty=1`, `top_k=0`, `top_p=1` and `min_p=0` switch theirs off.
    """

    repetition_penalty: Annotated[float, Meta(ge=1, le=10)] = 1.0  # Keskar et al. 2019
    temperature: Annotated[float, Meta(ge=0, le=10)] = 0.8  # 0 is greedy
    top_k: Annotated[int, Meta(ge=0)] = 0  # Fan et al. 2018
    top_p: Annotated[float, Meta(gt=0, le=1)] = 0.95  # Holtzman et al. 2020
    min_p: Annotated[float, Meta(ge=0, le=1)] = 0.0  # Nguyen et al. 2024
    tokens: Annotated[int, Meta(ge=1, le=100_000)] = 400


class ImageSettings(Struct, frozen=True, tag="image", kw_only=True):
    """How noise becomes a picture. `eta` is DDIM's share of fresh noise a step; 1 is DDPM."""

    sampler: SamplerName = "dpmpp-2m"
    steps: Annotated[int, Meta(ge=1, le=1000)] = 20
    guidance: Annotated[float, Meta(ge=0, le=20)] = 2.0
    eta: Annotated[float, Meta(ge=0, le=1)] = 0.0


class LatentSettings(Struct, frozen=True, tag="latent", kw_only=True):
    """How a walk through a generator's latent space goes, `steps` moves of one length.

    Along a direction it begins `reach` before the seed's point and ends as far behind it, so
    that the seed itself is in the middle. With `to` it goes from the seed's point to that of
    another seed instead. Lengths are standard deviations of the latents that were trained on.
    """

    steps: Annotated[int, Meta(ge=1, le=1000)] = 40
    direction: Annotated[int, Meta(ge=1, le=64)] = 1  # the strongest is 1
    basis: BasisName = "sefa"  # how directions are found
    reach: Annotated[float, Meta(gt=0, le=20)] = 3.0
    at: Annotated[tuple[float, ...], Meta(max_length=64)] = ()  # moved so far along each direction
    to: Seed | None = None
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0  # of the way to `to` that is gone
    blend: Annotated[tuple[Seed, ...], Meta(max_length=15)] = ()  # seeds mixed in, in equal parts
    truncation: Annotated[float, Meta(ge=0, le=2)] = 1.0  # what latents are multiplied by


class LabSettings(Struct, frozen=True, tag="lab", kw_only=True):
    """How a network of the Lab is trained. Every step can be seen; `every` so many of them
    are looked at on the way, which the divergence is measured at."""

    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 0.004
    width: Annotated[int, Meta(ge=4, le=128)] = 64  # of each hidden layer
    batch: Annotated[int, Meta(ge=8, le=4096)] = 256  # points a step
    steps: Annotated[int, Meta(ge=1, le=50_000)] = 2000
    every: Annotated[int, Meta(ge=1, le=1000)] = 20


Settings = TextSettings | ImageSettings | LatentSettings | LabSettings


# --- edits: what makes a fork ---------------------------------------------------------
# An edit changes the state at one step; the steps after it differ from then on.


class SetSettings(Struct, frozen=True, tag="settings"):
    """Other settings from here. Of pictures, `steps` counts those of the whole trace."""

    settings: Settings


class SetSeed(Struct, frozen=True, tag="seed"):
    """Other random numbers from here."""

    seed: Seed


class SetPrompt(Struct, frozen=True, tag="prompt"):
    """Another caption from here."""

    prompt: str


class WriteText(Struct, frozen=True, tag="write"):
    """The next tokens are those of this text, whatever the model would choose."""

    text: str


class WriteToken(Struct, frozen=True, tag="token"):
    """The next token is this one."""

    token: Annotated[int, Meta(ge=0)]


class AddNoise(Struct, frozen=True, tag="noise", kw_only=True):
    """Noise added back, up to the level that step `to` of the schedule has (0: pure noise).

    With a mask (bytes, one a pixel row by row, 1 where the picture may change) the rest
    is held to the clean picture of this step while the masked part is drawn again.
    """

    to: Annotated[int, Meta(ge=0)]
    mask: bytes = b""


class Denoise(Struct, frozen=True, tag="denoise"):
    """Of a forward process: from here back towards a clean picture."""


Edit = SetSettings | SetSeed | SetPrompt | WriteText | WriteToken | AddNoise | Denoise


class EditAt(Struct, frozen=True, kw_only=True):
    """An edit of the state at `step`: the steps up to and including it stand."""

    step: Annotated[int, Meta(ge=0)]
    edit: Edit


class Axis(Struct, frozen=True, kw_only=True):
    """One side of a grid: a setting (`seed`, `caption`, `guidance`, `eta`, `sampler`) and its
    values, as they are typed."""

    name: Literal["seed", "caption", "guidance", "eta", "sampler"]
    values: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16)]


FROM_DATA = "data:"
"""As `Start.init`: the training picture nearest to the caption."""


FILL = "<FILL>"
"""In the prompt of a model that fills gaps: the gap, which the text written goes into."""


class Picture(Struct, frozen=True, kw_only=True):
    """A picture to begin from: height × width × 3 bytes, RGB, row by row."""

    width: int
    height: int
    rgb: bytes


# --- app to worker ------------------------------------------------------------------


class Hello(Struct, frozen=True, tag="hello"):
    """The first message; the worker answers Ready or exits."""

    version: int = VERSION


class Start(Struct, frozen=True, tag="start", kw_only=True):
    """Begin a trace, with the edits of the branch it is. Answered by Started or Failed.

    What makes a trace again, bit for bit on the same machine: everything here but its number.
    """

    trace: int
    model: str  # a shipped name, a run, run@step, or a path
    prompt: str
    seed: Seed
    settings: Settings
    edits: tuple[EditAt, ...] = ()  # in the order of their steps
    # `init` is what to begin from: a picture, the path of a file for the worker to read,
    # FROM_DATA, or voices that are given (`score.Given`). Pictures only: `strength` is the share
    # of the steps that it is drowned for, so 1 leaves nothing of it.
    init: Picture | str | None = None
    strength: Annotated[float, Meta(gt=0, le=1)] = 0.6
    forward: bool = False  # the forward process: `init` drowns in noise
    grid: Annotated[tuple[Axis, ...], Meta(max_length=2)] = ()  # along x, along y: one batch


class Fork(Struct, frozen=True, tag="fork", kw_only=True):
    """A new trace that shares the steps of `parent` up to `step`, where the edit applies.

    Answered by Started or Failed.
    """

    trace: int
    parent: int
    step: int
    edit: Edit
    then: Edit | None = None  # a second edit at the same step, made after the first


class Advance(Struct, frozen=True, tag="advance", kw_only=True):
    """Take up to `steps` steps from step `start`; a frame each, then Idle."""

    trace: int
    start: int
    steps: int


class Cancel(Struct, frozen=True, tag="cancel"):
    """Stop advancing; takes effect within one step."""

    trace: int


class Close(Struct, frozen=True, tag="close"):
    """Forget the trace."""

    trace: int


class Attend(Struct, frozen=True, tag="attend", kw_only=True):
    """What the token of `step` attended to. Answered by Attention or Failed."""

    trace: int
    step: int


class Nearest(Struct, frozen=True, tag="nearest", kw_only=True):
    """What of the training data is most like `step`. Answered by Neighbours or Failed."""

    trace: int
    step: int
    count: Annotated[int, Meta(ge=1, le=16)] = 6  # of pictures


class Look(Struct, frozen=True, tag="look", kw_only=True):
    """What a network of the Lab makes of the plane after `step` steps, at a noise level (0: none,
    1: all noise) where it has such; with `paths`, how particles get from noise to there.

    Answered by Seen or Failed.
    """

    trace: int
    step: int
    noise: Annotated[float, Meta(ge=0, le=1)] = 0.0
    paths: bool = False


class Label(Struct, frozen=True, tag="label", kw_only=True):
    """What a classifier says of the sample as it stands at `step`. Answered by Labels or Failed."""

    trace: int
    step: int
    model: str  # the classifier


class Warm(Struct, frozen=True, tag="warm"):
    """Load a model before it is asked for."""

    model: str


Request = Hello | Start | Fork | Advance | Cancel | Close | Attend | Nearest | Label | Warm | Look


# --- worker to app ------------------------------------------------------------------
# Frames come by the hundred a second and are kept: they hold no cycles (gc=False), so that
# the collector need not look through them while a key waits.


class Ready(Struct, frozen=True, tag="ready", kw_only=True):
    version: int
    device: str
    precision: str
    threads: int
    pid: int
    torch: str = ""  # its version
    processor: str = ""


class Started(Struct, frozen=True, tag="started", kw_only=True):
    trace: int
    model: str
    family: str
    medium: str
    prompt: str  # as the model saw it
    suffix: str = ""  # of a prompt with a gap (FILL): what stands after the text
    total_steps: int
    step: int = 0  # the last step that is given: of a fork the one it forks at
    note: str = ""  # e.g. which words or characters the model does not know
    init: Picture | str | None = None  # what it began from, as the model sees it
    fingerprint: str = ""  # of the weights


class Candidate(Struct, frozen=True, array_like=True, gc=False):
    """One possible next token.

    Its probability as the model has it and after the settings (0 where a filter dropped it,
    `dropped` naming the filter: "top-k", "top-p" or "min-p"), and its logit before any.
    """

    token: int
    text: str
    model: float
    sampled: float
    logit: float = 0.0
    dropped: str = ""


class TextFrame(Struct, frozen=True, tag="text_frame", kw_only=True, gc=False):
    """One token written. `candidates` is the distribution it was drawn from.

    The choice fell because `u` lies in [`low`, `high`), the chosen token's share of the
    cumulative distribution; a forced token was not drawn.
    """

    trace: int
    step: int  # 1-based: after this many tokens
    token: int
    text: str
    surprisal: float  # bits, under the model
    entropy: float  # bits, of the model's distribution
    candidates: tuple[Candidate, ...]
    sampled_entropy: float = 0.0  # bits, of the distribution after the settings
    u: float = 0.0
    low: float = 0.0
    high: float = 0.0
    forced: bool = False
    kept: int = 0  # tokens of the vocabulary that the filters left


class ImageFrame(Struct, frozen=True, tag="image_frame", kw_only=True, gc=False):
    """One step of what is drawn. Pictures are height × width × 3 bytes, RGB, row by row.

    A grid is one picture, its cells side by side. Of a film each of `x`, `guess` and `noise`
    holds `pictures` of them, one after the other.
    """

    trace: int
    step: int  # 0 is pure noise (or the drowned picture it begins from)
    sigma: float
    width: int
    height: int
    x: bytes  # the noisy picture, scaled to the spread of a clean one
    guess: bytes  # the model's current guess of the clean picture
    noise: bytes = b""  # the noise it sees: (x - guess) / σ, from -3 to 3
    pictures: int = 1
    sound: bytes = b""  # of the guess: int16, one channel, little-endian
    rate: int = 0  # samples of it a second
    score: float | None = None  # what a discriminator says of the guess, as a logit
    along: tuple[float, ...] = ()  # of a latent walk: where it is along each direction


class Plane(Struct, frozen=True, kw_only=True, gc=False):
    """What a network of the Lab makes of the plane, at one step of its training.

    Places are uint16 little-endian, 0 to 65535 for -EDGE to EDGE of each coordinate. A grid is
    GRID × GRID bytes, row by row, its first row at the top.
    """

    samples: bytes = b""  # [N, 2] places
    surface: bytes = b""  # a grid: 0 to 255 for `low` to `high`
    low: float = 0.0
    high: float = 0.0
    chances: bytes = b""  # a grid a class: its probability, 0 to 255 for 0 to 1
    arrows: bytes = b""  # [A, 2, 2] places: from, to


class PointsFrame(Struct, frozen=True, tag="points_frame", kw_only=True, gc=False):
    """One training step in the Lab."""

    trace: int
    step: int  # training steps done
    measures: tuple[tuple[str, float], ...]  # each loss by its name
    digest: bytes  # of all that is trained: two states are the same where this is
    divergence: float | None = None  # bits from the true density, where it was measured
    plane: Plane | None = None  # every so many steps
    data: bytes = b""  # the first frame's: [N, 2] places of the data, and
    classes: bytes = b""  # [N] their classes
    floor: float | None = None  # and the divergence that samples of the truth itself come to


Frame = TextFrame | ImageFrame | PointsFrame


class Idle(Struct, frozen=True, tag="idle", kw_only=True):
    """An Advance ended. `seconds` is compute time for `steps` steps.

    `total` is the step at which the trace ends, as things stand; an edit may have moved it.
    """

    trace: int
    step: int
    steps: int
    seconds: float
    total: int = 0
    reason: Literal["done", "finished", "cancelled"]


class Failed(Struct, frozen=True, tag="failed"):
    """One plain line for a person. `trace` is -1 where no trace is concerned."""

    trace: int
    message: str


class Attention(Struct, frozen=True, tag="attention", kw_only=True):
    """Where one token looked: `weights` is float16 [layers, heads, tokens], rows summing to 1."""

    trace: int
    step: int
    layers: int
    heads: int
    texts: tuple[str, ...]  # the tokens it could see, the last itself
    first: int  # how many tokens of prompt and text come before those
    weights: bytes


class Labels(Struct, frozen=True, tag="labels", kw_only=True):
    """The answer to a Label: labels and their probabilities, the likeliest first.

    Where the classifier can say nothing of such a sample `fault` says why.
    """

    trace: int
    step: int
    model: str
    labels: tuple[tuple[str, float], ...] = ()
    fault: str = ""


class Neighbour(Struct, frozen=True, kw_only=True, gc=False):
    """A training picture: height × width × 3 bytes, RGB, row by row."""

    caption: str
    distance: float  # from the sample, as `Neighbours.measured` says
    width: int
    height: int
    rgb: bytes


class Quote(Struct, frozen=True, kw_only=True, gc=False):
    """The longest run that stands word for word in the training text."""

    text: str
    first: int  # the steps whose tokens it is made of, both included
    last: int
    where: str  # "line 1,204 of 36,000"
    before: str  # what stands around it there
    after: str


class Neighbours(Struct, frozen=True, tag="neighbours", kw_only=True):
    """What a sample is like among the training data: pictures nearest first, or a quote.

    Where the data cannot be had `fault` says why and what to do.
    """

    trace: int
    step: int
    data: str = ""  # what was looked through: "icons, 7,236 pictures"
    measured: str = ""  # how: "root mean square of the colours, 0 to 255"
    pictures: tuple[Neighbour, ...] = ()
    quote: Quote | None = None
    fault: str = ""


class Seen(Struct, frozen=True, tag="seen", kw_only=True, gc=False):
    """The answer to a Look. `paths` is [levels, N, 2] places, from noise to samples."""

    trace: int
    step: int
    noise: float
    plane: Plane
    levels: int = 0
    paths: bytes = b""


class Warmed(Struct, frozen=True, tag="warmed"):
    model: str


Reply = (
    Ready | Started | TextFrame | ImageFrame | PointsFrame | Attention | Neighbours | Labels
    | Seen | Idle | Failed | Warmed
)  # fmt: skip

_encoder = msgspec.msgpack.Encoder()


def encode(message: Request | Reply) -> bytes:
    """The message as it goes on the pipe."""
    body = _encoder.encode(message)
    if len(body) > MAX_MESSAGE:
        raise ProtocolError(f"message of {len(body)} bytes is over the limit of {MAX_MESSAGE}")
    return _LENGTH.pack(len(body)) + body


class Reader(Generic[T]):
    """Cuts a byte stream into messages; `feed` takes whatever arrived."""

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[T]:
        """The messages completed by `data`. Raises ProtocolError on anything else."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_MESSAGE:
                raise ProtocolError(f"message of {length} bytes is over the limit")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            try:
                yield self._decoder.decode(body)
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                raise ProtocolError(f"not a genui message: {error}") from None


def replies() -> "Reader[Reply]":
    """Reads what a worker sends."""
    return Reader(Reply)  # type: ignore[arg-type]


def requests() -> "Reader[Request]":
    """Reads what an app sends."""
    return Reader(Request)  # type: ignore[arg-type]
