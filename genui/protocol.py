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

VERSION = 2
MAX_MESSAGE = 16 * 1024 * 1024
_LENGTH = struct.Struct("<I")

T = TypeVar("T")

Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]

SamplerName = Literal["dpmpp-2m", "heun", "euler", "ddim", "ddpm"]
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


Settings = TextSettings | ImageSettings


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
    # Pictures only. `init` is a picture to begin from, the path of one for the worker to
    # read, or FROM_DATA; `strength` is the share of the steps that it is drowned for, so 1
    # leaves nothing of it.
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


class Warm(Struct, frozen=True, tag="warm"):
    """Load a model before it is asked for."""

    model: str


Request = Hello | Start | Fork | Advance | Cancel | Close | Attend | Warm


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
    total_steps: int
    step: int = 0  # the last step that is given: of a fork the one it forks at
    note: str = ""  # e.g. which words or characters the model does not know
    init: Picture | None = None  # the picture it began from, as the model sees it
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
    """One denoising step. Pictures are height × width × 3 bytes, RGB, row by row.

    A grid is one picture, its cells side by side.
    """

    trace: int
    step: int  # 0 is pure noise (or the drowned picture it begins from)
    sigma: float
    width: int
    height: int
    x: bytes  # the noisy picture, scaled to the spread of a clean one
    guess: bytes  # the model's current guess of the clean picture
    noise: bytes = b""  # the noise it sees: (x - guess) / σ, from -3 to 3


Frame = TextFrame | ImageFrame


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


class Warmed(Struct, frozen=True, tag="warmed"):
    model: str


Reply = Ready | Started | TextFrame | ImageFrame | Attention | Idle | Failed | Warmed

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
