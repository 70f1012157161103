"""What a trace was computed on: other choices round differently, and so give other bits."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from genui import __version__
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import read_regular, show
from genui.base.migrate import upgrade
from genui.formats import score
from genui.protocol import (
    Axis,
    EditAt,
    Frame,
    RgbImage,
    Seed,
    Settings,
    Start,
    Started,
    TextFrame,
)

_Name = Annotated[str, Meta(max_length=200)]


class Machine(Struct, frozen=True, kw_only=True):
    """The device, the precision, the number of threads, the processor and the torch."""

    device: _Name = ""
    precision: _Name = ""
    threads: Annotated[int, Meta(ge=0, le=4096)] = 0
    processor: _Name = ""
    torch: _Name = ""

    def differs(self, now: "Machine") -> list[str]:
        """What is another on the machine `now`, each as `threads 1 then, 2 now`."""
        pairs = ((name, getattr(self, name), getattr(now, name)) for name in self.__struct_fields__)
        return [
            f"{name} {was or 'unknown'} then, {is_} now" for name, was, is_ in pairs if was != is_
        ]


# --- The recipe of a generation: all that makes it again, and what it came to -----------------
# It is JSON in ASCII, sealed by a digest of its own fields, so that a recipe edited by hand is
# told from one that was written. The digest is no signature: it guards against slips.

FORMAT = 1
"""The version of recipes that this code writes, and the newest that it reads."""

MOST_BYTES = 64 * 1024 * 1024  # of a file that carries a recipe
MOST_SIDE = 4096  # pixels of an image that a recipe begins from

T = TypeVar("T", bound=Struct)

_Sha256 = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")]
_Step = Annotated[int, Meta(ge=0)]


class Result(Struct, frozen=True, kw_only=True):
    """What identifies an outcome. Digests are SHA-256 in hexadecimal."""

    steps: _Step = 0  # of the last frame
    digest: _Sha256 = ""  # of the last frames; of text, of all of it
    frames: _Sha256 = ""  # of every frame
    tokens: tuple[tuple[int, ...], ...] = ()  # of text: the tokens written, a row a sample


Shows = Literal["frame", "film", "animation", "clip", "sound", "orchestra", "score", "text", "tree"]
"""What a file shows. "clip" moves through the images of one step, "animation" through the steps;
"orchestra" is a sound by General MIDI's instruments."""
MOVING = ("animation", "clip")


class View(Struct, frozen=True, kw_only=True):
    """Which frames of the trace a file shows, and how."""

    kind: Shows = "frame"
    steps: tuple[_Step, ...] = ()  # those shown; none given: the last of a frame, else all
    part: Literal["x", "denoised", "noise"] = "x"
    scale: Annotated[int, Meta(ge=1, le=32)] = 1  # pixels drawn a pixel


class TraceRecipe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A generation as a file carries it; `to_start` is its request to the worker."""

    format: int = FORMAT
    genui: Annotated[str, Meta(max_length=80)] = __version__
    model: Annotated[str, Meta(max_length=4096)]  # as `find_model` takes it
    fingerprint: Annotated[str, Meta(pattern=r"^([0-9a-f]{16})?$")] = ""  # of its weights
    prompt: str = ""
    seed: Seed = 0
    count: Annotated[int, Meta(ge=1, le=64)] = 1  # samples, from seeds seed, seed + 1, …
    settings: Settings
    edits: Annotated[tuple[EditAt, ...], Meta(max_length=10_000)] = ()
    init: RgbImage | str | None = None  # a text is of voices that are given: `score.Given`
    strength: Annotated[float, Meta(gt=0, le=1)] = 0.6
    forward: bool = False
    grid: Annotated[tuple[Axis, ...], Meta(max_length=2)] = ()
    view: View = View()
    machine: Machine = Machine()
    result: Result = Result()
    digest: _Sha256 = ""  # of all other fields

    def showing(self, view: View) -> "TraceRecipe":
        """The same generation in a file that shows it otherwise."""
        return sealed(replace(self, view=view))


class _Versioned(Struct):
    format: int


def read_bytes(path: Path) -> bytes:
    """The whole of a regular file of 1 to MOST_BYTES bytes. Raises GenuiError naming it."""
    data = read_regular(path, MOST_BYTES, "name a file that genui wrote")
    if not data:
        raise GenuiError(f"{show(path)}: is empty; write it again")
    return data


def recipe_text(comment: str) -> str:
    """The recipe that a file's comment is; "" where it is another text."""
    return comment if comment.startswith("{") and '"format"' in comment else ""


def recipe_of(
    start: Start,
    started: Started,
    machine: Machine,
    result: Result | None = None,
    *,
    view: View | None = None,
    count: int = 1,
) -> TraceRecipe:
    """The sealed recipe of a trace that began as `started`.

    An image that the worker read from a file is in `started`: the recipe keeps the image.
    """
    init = started.init or (start.init if _is_kept(start.init) else None)
    return sealed(
        TraceRecipe(
            model=start.model,
            fingerprint=started.fingerprint,
            prompt=start.prompt,
            seed=start.seed,
            count=count,
            settings=start.settings,
            edits=start.edits,
            init=init,
            strength=start.strength,
            forward=start.forward,
            grid=start.grid,
            view=view or View(),
            machine=machine,
            result=result or Result(),
        )
    )


def _is_kept(init: RgbImage | str | None) -> bool:
    """Whether it says itself what a trace begins from, and is no name of a file."""
    return not isinstance(init, str) or init.startswith(score.GIVEN)


def result_of(*samples: Sequence[Frame]) -> Result:
    """What the frames of one or more samples came to; each has at least one frame.

    A frame is its noisy image, its text or, in the Lab, all that is trained: what else it
    carries is for looking at.
    """
    last, every = hashlib.sha256(), hashlib.sha256()
    tokens = []
    for frames in samples:
        for frame in frames:
            every.update(frame.content)
        written = [frame for frame in frames if isinstance(frame, TextFrame)]
        if written:
            last.update("".join(frame.text for frame in written).encode())
            tokens.append(tuple(frame.token for frame in written))
        elif frames:
            last.update(frames[-1].content)
    return Result(
        steps=max((frames[-1].step for frames in samples if frames), default=0),
        digest=last.hexdigest(),
        frames=every.hexdigest(),
        tokens=tuple(tokens),
    )


def to_start(recipe: TraceRecipe, trace: int = 0) -> Start:
    """The request of the first sample."""
    return Start(
        trace=trace,
        model=recipe.model,
        prompt=recipe.prompt,
        seed=recipe.seed,
        settings=recipe.settings,
        edits=recipe.edits,
        init=recipe.init,
        strength=recipe.strength,
        forward=recipe.forward,
        grid=recipe.grid,
    )


def sealed(recipe: TraceRecipe) -> TraceRecipe:
    """The recipe with the digest of what it says. Raises GenuiError where no file can say it."""
    recipe = as_read(recipe)
    return replace(recipe, digest=digest_of(recipe))


def as_read(struct: T) -> T:
    """The struct as it comes back from a file: a number that is whole is a float where floats go.

    Raises GenuiError where it would be refused there.
    """
    try:
        return msgspec.json.decode(msgspec.json.encode(struct), type=type(struct))
    except (msgspec.ValidationError, UnicodeError) as error:
        reason = str(error).replace("`", "'")
        raise GenuiError(f"this cannot be saved ({reason}); change what it says") from None


def digest_of(struct: Struct) -> str:
    """SHA-256 of a struct's canonical JSON, its own `digest` left empty."""
    canonical = msgspec.json.encode(replace(struct, digest=""), order="deterministic")
    return hashlib.sha256(canonical).hexdigest()


def is_sealed(struct: Struct, fields: dict[str, Any]) -> bool:
    """Whether the digest of a struct that was read from `fields` is that of what it says.

    What an earlier version wrote may have settings that are gone and lack later ones: its digest
    is that of the fields as they stand.
    """
    as_written = msgspec.json.encode(fields | {"digest": ""})
    return fields.get("digest") in (digest_of(struct), hashlib.sha256(as_written).hexdigest())


def to_json(recipe: TraceRecipe) -> str:
    """One line of ASCII: fit for a PNG chunk, a GIF comment and a last line of text."""
    return json.dumps(msgspec.to_builtins(recipe), separators=(",", ":"))


def from_json(text: str | bytes, name: str) -> TraceRecipe:
    """The recipe in `text`. Raises GenuiError, one line that begins with `name`, where it is
    damaged, of a newer format or edited by hand."""
    recipe, fields = decoded(text, TraceRecipe, name)
    if not is_sealed(recipe, fields):
        raise edited_by_hand(name)
    check_images(recipe, name)
    return recipe


def decoded(text: str | bytes, kind: type[T], name: str) -> tuple[T, dict[str, Any]]:
    """JSON as a struct that has a `format`, and all of its fields as they stand there.

    Raises GenuiError where it is neither.
    """
    try:
        version = msgspec.json.decode(text, type=_Versioned).format
        if version > FORMAT:
            raise GenuiError(
                f"{name}: its recipe has format {version} and this genui reads {FORMAT}; "
                "install a newer genui"
            )
        fields = msgspec.json.decode(text)
        return msgspec.convert(upgrade(fields), kind), fields
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        reason = str(error).replace("`", "'").splitlines()[0][:160]
        raise GenuiError(
            f"{name}: its recipe is damaged ({reason}); use the file as it was written"
        ) from None


def edited_by_hand(name: str) -> GenuiError:
    """The one line for a recipe whose digest does not fit it."""
    return GenuiError(
        f"{name}: its recipe was edited by hand (its digest does not fit what it says); "
        "use the file as it was written"
    )


def check_images(recipe: TraceRecipe, name: str) -> None:
    """Raises GenuiError where the image or the voices that a recipe begins from are none."""
    init = recipe.init
    if init is None:
        return
    if isinstance(init, str):
        try:
            score.Given.from_text(init if init.startswith(score.GIVEN) else "")
        except MisuseError as error:
            raise GenuiError(f"{name}: {error}") from None
        return
    sides = range(1, MOST_SIDE + 1)
    fits = init.width in sides and init.height in sides
    if not fits or len(init.rgb) != init.width * init.height * 3:
        raise GenuiError(f"{name}: the image in its recipe is damaged; write the file again")


# --- What a folder of generated samples says of itself: the plan by which they are made again -

PLAN = "genui.json"
METADATA = "metadata.jsonl"
"""A line an image, clip or sound, as in Hugging Face's imagefolder."""


class Plan(Struct, frozen=True, kw_only=True):
    """What makes the samples again: kept in the folder, and compared when more are added."""

    model: str
    fingerprint: str
    prompt: str | None
    seed: int
    settings: Settings
    batch: int


def read_plan(folder: Path) -> Plan:
    """The plan that a folder was begun with. Raises OSError or DecodeError where it has none."""
    return msgspec.json.decode((folder / PLAN).read_bytes(), type=Plan)


def used_critic(folder: Path) -> bool:
    """Whether it was begun by an earlier version that left out what a critic rejected.

    Raises OSError or DecodeError where the folder has no plan.
    """
    settings = msgspec.json.decode((folder / PLAN).read_bytes())["settings"]
    return bool(settings.get("rejection"))
