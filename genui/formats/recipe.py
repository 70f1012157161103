"""The recipe of a generation, which files carry, and the machine that it was computed on."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from genui import __version__
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import open_regular, read_json, read_regular, show
from genui.base.plugins import UnknownNameError
from genui.formats.kinds import kind_of_init, saves_of
from genui.protocol import Axis, EditAt, Frame, RgbImage, Seed, Settings, Start, Started
from genui.protocol.kinds import decode_tagged

_Name = Annotated[str, Meta(max_length=200)]


class Machine(Struct, frozen=True, kw_only=True):
    """What the bits of a result depend on: other values round differently."""

    device: _Name = ""
    precision: _Name = ""
    threads: Annotated[int, Meta(ge=0, le=4096)] = 0
    processor: _Name = ""
    torch: _Name = ""

    def differs(self, now: "Machine") -> list[str]:
        """The fields that differ on the machine `now`, each as `threads 1 then, 2 now`."""
        pairs = ((name, getattr(self, name), getattr(now, name)) for name in self.__struct_fields__)
        return [
            f"{name} {was or 'unknown'} then, {is_} now" for name, was, is_ in pairs if was != is_
        ]


# --- The recipe: everything that reproduces a generation, and its result ----------------------
# It is JSON in ASCII with a digest of its own fields, which shows whether it was edited by hand.
# The digest is not a signature: it protects against mistakes only.

FORMAT = 1
"""The version of recipes that this code writes, and the newest that it reads."""

MAX_BYTES = 64 * 1024 * 1024  # of a file that carries a recipe
MAX_RECORD = 8 * 1024 * 1024  # bytes of the record of a model's answers
MAX_SIDE = 4096  # pixels of an image that a recipe begins from

T = TypeVar("T", bound=Struct)

_Sha256 = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")]
_Step = Annotated[int, Meta(ge=0)]


class Digests(Struct, frozen=True, kw_only=True):
    """The digests that identify a result: SHA-256 in hexadecimal."""

    steps: _Step = 0  # of the last frame
    digest: _Sha256 = ""  # of the last frames; for text, of the whole text
    frames: _Sha256 = ""  # of every frame
    tokens: tuple[tuple[int, ...], ...] = ()  # for text: the tokens, one row for each sample


Shows = Literal["frame", "film", "animation", "clip", "sound", "orchestra", "score", "text", "tree"]
"""The view in a file. "clip" moves through the images of one step, "animation" through the steps;
"orchestra" is a sound by sampled instruments."""
MOVING = ("animation", "clip")


class ExportView(Struct, frozen=True, kw_only=True):
    """Which frames of the trace a file shows, and how."""

    kind: Shows = "frame"
    steps: tuple[_Step, ...] = ()  # empty: the last for "frame", else all
    part: Literal["x", "denoised", "noise"] = "x"
    scale: Annotated[int, Meta(ge=1, le=32)] = 1  # enlargement


class TraceRecipe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A generation as stored in a file; `to_start` is its request to the worker."""

    format: int = FORMAT
    genui: Annotated[str, Meta(max_length=80)] = __version__
    model: Annotated[str, Meta(max_length=4096)]  # as `find_model` takes it
    kind: Annotated[str, Meta(max_length=80)] = ""  # the name of its kind
    fingerprint: Annotated[str, Meta(pattern=r"^([0-9a-f]{16})?$")] = ""  # of its weights
    prompt: str = ""
    seed: Seed = 0
    count: Annotated[int, Meta(ge=1, le=64)] = 1  # samples, from seeds seed, seed + 1, …
    settings: Settings
    edits: Annotated[tuple[EditAt, ...], Meta(max_length=10_000)] = ()
    init: RgbImage | str | None = None  # a text is of `Kind.init_prefix`
    strength: Annotated[float, Meta(gt=0, le=1)] = 0.6
    forward: bool = False
    grid: Annotated[tuple[Axis, ...], Meta(max_length=2)] = ()
    record: Annotated[bytes, Meta(max_length=MAX_RECORD)] = b""  # `Start.record`
    chat: bool = False
    system: str = ""
    view: ExportView = ExportView()
    machine: Machine = Machine()
    result: Digests = Digests()
    digest: _Sha256 = ""  # of all other fields

    def showing(self, view: ExportView) -> "TraceRecipe":
        """The same generation in a file with another view."""
        return seal(replace(self, view=view))


_SHARED = tuple(one for one in Start.__struct_fields__ if one in TraceRecipe.__struct_fields__)
"""The fields that a recipe has from the request of its generation."""


class _Versioned(Struct):
    format: int


def read_bytes(path: Path) -> bytes:
    """The whole of a regular file of 1 to MAX_BYTES bytes. Raises GenuiError naming it."""
    data = read_regular(path, MAX_BYTES, "name a file that genui wrote")
    if not data:
        raise GenuiError(f"{show(path)}: is empty; write it again")
    return data


def recipe_text(comment: str) -> str:
    """The comment of a file if it is a recipe, else ""."""
    return comment if comment.startswith("{") and '"format"' in comment else ""


def recipe_of(
    start: Start,
    started: Started,
    machine: Machine,
    result: Digests | None = None,
    *,
    view: ExportView | None = None,
    count: int = 1,
    record: bytes = b"",
) -> TraceRecipe:
    """The sealed recipe of a trace that began as `started`.

    If the worker read an image from a file, the recipe has the image from `started`.
    """
    init = started.init or (start.init if _is_kept(start.init) else None)
    shared = {name: getattr(start, name) for name in _SHARED}
    return seal(
        TraceRecipe(
            **shared | {"init": init, "record": record},
            kind=started.kind,
            fingerprint=started.fingerprint,
            count=count,
            view=view or ExportView(),
            machine=replace(machine, precision=started.precision or machine.precision),
            result=result or Digests(),
        )
    )


def _is_kept(init: RgbImage | str | None) -> bool:
    """Whether it holds the start of a trace itself and not the name of a file."""
    return not isinstance(init, str) or kind_of_init(init) is not None


def result_of(*samples: Sequence[Frame]) -> Digests:
    """The result of the frames of one or more samples.

    Only the `content` of a frame counts, such as its noisy image or its text.
    """
    last, every = hashlib.sha256(), hashlib.sha256()
    tokens = []
    for frames in samples:
        for frame in frames:
            every.update(frame.content)
        written = tuple(token for frame in frames for token in frame.token_ids)
        if written:
            last.update("".join(frame.text for frame in frames).encode())
            tokens.append(written)
        elif frames:
            last.update(frames[-1].content)
    return Digests(
        steps=max((frames[-1].step for frames in samples if frames), default=0),
        digest=last.hexdigest(),
        frames=every.hexdigest(),
        tokens=tuple(tokens),
    )


def to_start(recipe: TraceRecipe, trace: int = 0) -> Start:
    """The request of the first sample."""
    shared = {name: getattr(recipe, name) for name in _SHARED}
    return Start(trace=trace, precision=recipe.machine.precision, **shared)


def seal(recipe: TraceRecipe) -> TraceRecipe:
    """The recipe with its digest. Raises GenuiError if it cannot be stored in a file."""
    recipe = round_trip(recipe)
    return replace(recipe, digest=digest_of(msgspec.to_builtins(recipe)))


def round_trip(struct: T) -> T:
    """The struct as it is read back from a file: an integer in a float field becomes a float.

    Raises GenuiError if it would be refused there.
    """
    try:
        return msgspec.json.decode(
            msgspec.json.encode(struct), type=type(struct), dec_hook=decode_tagged
        )
    except (msgspec.ValidationError, UnicodeError) as error:
        reason = str(error).replace("`", "'")
        raise GenuiError(f"this cannot be saved ({reason}); change that value") from None


def digest_of(fields: dict[str, Any]) -> str:
    """SHA-256 of the JSON of fields with an empty `digest`."""
    return hashlib.sha256(msgspec.json.encode(fields | {"digest": ""})).hexdigest()


def is_sealed(fields: dict[str, Any]) -> bool:
    """Whether the digest of a recipe or a trace matches its fields as written."""
    return fields.get("digest") == digest_of(fields)


def to_json(recipe: TraceRecipe) -> str:
    """One line of ASCII, for a PNG chunk, a GIF comment or the last line of a text."""
    return json.dumps(msgspec.to_builtins(recipe), separators=(",", ":"))


def from_json(text: str | bytes, name: str) -> TraceRecipe:
    """The recipe in `text`. Raises GenuiError, one line that begins with `name`, if it is
    damaged, of a newer format or edited by hand."""
    recipe, fields = decode_versioned(text, TraceRecipe, name)
    if not is_sealed(fields):
        raise edited_error(name)
    check_images(recipe, name)
    return recipe


def decode_versioned(text: str | bytes, kind: type[T], name: str) -> tuple[T, dict[str, Any]]:
    """JSON as a struct that has a `format`, and its fields as written.

    Raises GenuiError if it is damaged, of another version, or needs a plug-in.
    """
    fault, remedy = "damaged", "use the file as it was written"
    try:
        version = msgspec.json.decode(text, type=_Versioned).format
        if version > FORMAT:
            raise GenuiError(
                f"{name}: its recipe has format {version} and this genui reads {FORMAT}; "
                "install a newer genui"
            )
        fields = msgspec.json.decode(text)
        if is_sealed(fields):  # then it is whole
            fault, remedy = "of another version or a plug-in", "open it with what wrote it"
        return msgspec.convert(fields, kind, dec_hook=decode_tagged), fields
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        if isinstance(error.__cause__, UnknownNameError):
            raise GenuiError(
                f"{name}: its recipe needs the {error.__cause__.thing}, which is not here; start "
                "genui with the plug-in that adds it: genui --plugin FILE"
            ) from None
        reason = str(error).replace("`", "'").splitlines()[0][:160]
        raise GenuiError(f"{name}: its recipe is {fault} ({reason}); {remedy}") from None


def edited_error(name: str) -> GenuiError:
    """The error for a recipe with a wrong digest."""
    return GenuiError(
        f"{name}: its recipe was edited by hand (its digest does not match its content); "
        "use the file as it was written"
    )


def check_images(recipe: TraceRecipe, name: str) -> None:
    """Raises GenuiError if the start of a recipe is damaged."""
    init = recipe.init
    if init is None:
        return
    if isinstance(init, str):
        kind = kind_of_init(init)
        if kind is None:
            raise GenuiError(f"{name}: what it starts from is of a kind that is not installed")
        try:
            check_init = saves_of(kind).check_init
            assert check_init is not None  # a kind with a prefix has it
            check_init(init)
        except MisuseError as error:
            raise GenuiError(f"{name}: {error}") from None
        return
    sides = range(1, MAX_SIDE + 1)
    fits = init.width in sides and init.height in sides
    if not fits or len(init.rgb) != init.width * init.height * 3:
        raise GenuiError(f"{name}: the image in its recipe is damaged; write the file again")


# --- The plan of a folder of generated samples, which reproduces them ---------------------------

PLAN = "genui.json"
METADATA = "metadata.jsonl"
"""One line for each image, clip or sound, as in an imagefolder of Hugging Face."""
MAX_LINES = 1_000_000  # as many as `genui generate -n` takes
LONGEST_LINE = 16 * 1024 * 1024  # bytes

_PIECE = 1024 * 1024  # bytes read at once
_NEW_FOLDER = "name a new folder"


class Plan(Struct, frozen=True, kw_only=True):
    """Everything that reproduces the samples; it is compared before more are added."""

    model: str
    fingerprint: str
    prompt: str | None
    seed: int
    settings: Settings
    batch: int


def read_plan(folder: Path) -> Plan:
    """The plan of a folder. Raises GenuiError naming its file if it has none or it is damaged."""
    return read_json(folder / PLAN, Plan, _NEW_FOLDER, dec_hook=decode_tagged)


def count_lines(path: Path, batch: int = 1) -> tuple[int, int]:
    """The number of whole lines in the index of a folder, in whole batches, and their bytes.

    It is read in pieces, since a million samples are a large file. Raises GenuiError if it is
    no regular file, or has more than MAX_LINES or a line of more than LONGEST_LINE bytes.
    """
    lines = count = size = begin = read = 0
    with open_regular(path, _not_written(path, "is not a regular file")) as file:
        while piece := file.read(_PIECE):
            for newline in re.finditer(b"\n", piece):
                begin = read + newline.end()
                lines += 1
                if lines % batch == 0:
                    count, size = lines, begin
            read += len(piece)
            if read - begin > LONGEST_LINE or lines > MAX_LINES:
                raise _not_written(path, "is not a list of samples")
    return count, size


def _not_written(path: Path, fault: str) -> GenuiError:
    return GenuiError(f"{show(path)}: {fault}; {_NEW_FOLDER}")
