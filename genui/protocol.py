"""The messages between the app and the worker: frozen, typed, versioned.

On the pipe each message is four bytes of little-endian length and that many bytes of
msgpack. Nothing here knows a family: a trace starts, advances by steps, and every step
sends one frame.
"""

import struct
from collections.abc import Iterator
from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

VERSION = 1
MAX_MESSAGE = 16 * 1024 * 1024
_LENGTH = struct.Struct("<I")

T = TypeVar("T")

Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]

SAMPLERS = ("dpmpp-2m", "heun", "euler", "euler-ancestral")


class ProtocolError(Exception):
    """The other side sent something that is not this protocol."""


# --- settings -----------------------------------------------------------------------


class TextSettings(Struct, frozen=True, tag="text", kw_only=True):
    """How a token is chosen. `top_k=0` and `top_p=1` switch those filters off."""

    temperature: Annotated[float, Meta(ge=0, le=10)] = 0.8  # 0 is greedy
    top_k: Annotated[int, Meta(ge=0)] = 0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 0.95
    tokens: Annotated[int, Meta(ge=1, le=100_000)] = 400


class ImageSettings(Struct, frozen=True, tag="image", kw_only=True):
    """How noise becomes a picture."""

    sampler: Literal["dpmpp-2m", "heun", "euler", "euler-ancestral"] = "dpmpp-2m"
    steps: Annotated[int, Meta(ge=1, le=1000)] = 20
    guidance: Annotated[float, Meta(ge=0, le=20)] = 2.0


Settings = TextSettings | ImageSettings


# --- app to worker ------------------------------------------------------------------


class Hello(Struct, frozen=True, tag="hello"):
    """The first message; the worker answers Ready or exits."""

    version: int = VERSION


class Start(Struct, frozen=True, tag="start", kw_only=True):
    """Begin a trace. Answered by Started or Failed."""

    trace: int
    model: str  # a shipped name, a run, run@step, or a path
    prompt: str
    seed: Seed
    settings: Settings


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


class Warm(Struct, frozen=True, tag="warm"):
    """Load a model before it is asked for."""

    model: str


Request = Hello | Start | Advance | Cancel | Close | Warm


# --- worker to app ------------------------------------------------------------------
# Frames come by the hundred a second and are kept: they hold no cycles (gc=False), so that
# the collector need not look through them while a key waits.


class Ready(Struct, frozen=True, tag="ready", kw_only=True):
    version: int
    device: str
    precision: str
    threads: int
    pid: int


class Started(Struct, frozen=True, tag="started", kw_only=True):
    trace: int
    model: str
    family: str
    medium: str
    prompt: str  # as the model saw it
    total_steps: int
    note: str = ""  # e.g. which words or characters the model does not know


class Candidate(Struct, frozen=True, array_like=True, gc=False):
    """One possible next token: its probability as the model has it, and after the settings."""

    token: int
    text: str
    model: float
    sampled: float


class TextFrame(Struct, frozen=True, tag="text_frame", kw_only=True, gc=False):
    """One token written. `candidates` is the distribution it was drawn from."""

    trace: int
    step: int  # 1-based: after this many tokens
    token: int
    text: str
    surprisal: float  # bits, under the model
    entropy: float  # bits, of the model's distribution
    candidates: tuple[Candidate, ...]


class ImageFrame(Struct, frozen=True, tag="image_frame", kw_only=True, gc=False):
    """One denoising step. `x` and `guess` are height × width × 3 bytes, RGB, row by row."""

    trace: int
    step: int  # 0 is pure noise
    sigma: float
    width: int
    height: int
    x: bytes  # the noisy picture
    guess: bytes  # the model's current guess of the clean picture


Frame = TextFrame | ImageFrame


class Idle(Struct, frozen=True, tag="idle", kw_only=True):
    """An Advance ended. `seconds` is compute time for `steps` steps."""

    trace: int
    step: int
    steps: int
    seconds: float
    reason: Literal["done", "finished", "cancelled"]


class Failed(Struct, frozen=True, tag="failed"):
    """One plain line for a person. `trace` is -1 where no trace is concerned."""

    trace: int
    message: str


class Warmed(Struct, frozen=True, tag="warmed"):
    model: str


Reply = Ready | Started | TextFrame | ImageFrame | Idle | Failed | Warmed

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
