"""`genui verify`: what is proved of a file, and what is not."""

import argparse
import mimetypes
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from genui.base.errors import GenuiError
from genui.base.late import late_imports
from genui.base.watermarks import Search, correct, read_keys
from genui.cli import output
from genui.cli.output import ProgressLine
from genui.cli.parser import add_json
from genui.formats import credentials
from genui.formats.codec import SavedFile, codec_of, read
from genui.formats.credentials import Proof
from genui.formats.kinds import saves_of
from genui.formats.recipe import read_bytes
from genui.formats.sample import NoRecipeError
from genui.protocol.kinds import KINDS, list_watermarks

with late_imports():
    from genui.cli import replay
    from genui.runs import models, system

NICE = 10  # after the app, which started it
CONTRADICTED = 1  # the exit code if bytes or recipe are not what the file says, or unreadable


class Finding(Struct, frozen=True):
    """One of the four lines: a word for scripts, and a sentence of what is proved and what not."""

    state: str
    says: str


def configure_verify(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Four lines for each file: whether its bytes are as they were signed, who signed them,\n"
        "whether its recipe generates the same content again, and which watermark of your keys\n"
        "is in it. The exit code is 1 if the bytes were changed, the recipe generates something\n"
        "else, or the file cannot be read.\n\n"
        "examples:\n"
        "  genui verify cats.png\n"
        "  genui verify photo.jpg --model fashion\n"
        "  genui verify downloads/*.png --no-replay --json"
    )
    parser.add_argument("file", metavar="FILE", type=Path, nargs="+", help="files of any origin")
    parser.add_argument("--no-replay", action="store_true", help="generate nothing again")
    parser.add_argument(
        "--model", default="", help="look for a watermark of this model alone, not of all at hand"
    )
    parser.add_argument(
        "--lines", action="store_true", help="print a JSON line for every finding, as the app reads"
    )
    add_json(parser, "one JSON line per file")


def run_verify(args: argparse.Namespace) -> int:
    code, progress = 0, ProgressLine(args.lines)
    if args.model:
        models.find_model(args.model)
    if args.lines:
        system.give_way(NICE)
    for path in args.file:
        findings = {}
        try:
            for what, found in check(path, not args.no_replay, args.model, progress):
                findings[what] = found
                if args.lines:
                    output.print_json({"line": what, "found": found}, indent=False)
        except GenuiError as error:
            output.note(f"genui: {error}")
            code = CONTRADICTED
            continue
        finally:
            progress.clear()
        if args.json:
            output.print_json({"file": str(path), **findings}, indent=False)
        elif not args.lines:
            name = [("file", str(path))] if len(args.file) > 1 else []
            output.print_facts(name + [(what, found.says) for what, found in findings.items()])
        states = {findings["bytes"].state, findings["recipe"].state}
        if states & {"changed", "unreadable"}:
            code = CONTRADICTED
    return code


def check(
    path: Path, replays: bool, model: str, progress: ProgressLine
) -> Iterator[tuple[str, Finding]]:
    """The four findings of a file one by one, each with its name. A watermark of `model` alone is
    looked for, unless it is "".

    Raises GenuiError, which names the file, if it is empty, too large or no regular file.
    """
    data, codec = read_bytes(path), codec_of(path)
    progress.show("looking for a signature")
    bytes_, proof = _check_bytes(data, codec.media_type if codec else "", path.suffix.lower())
    yield "bytes", bytes_
    yield "signer", _describe_signer(proof)
    progress.show("looking for a recipe")
    recipe = _check_recipe(path, proof, replays, progress) if codec else None
    yield "recipe", recipe or Finding("none", _NO_RECIPE)
    progress.show("looking for a watermark")
    yield "watermark", _find_watermark(path, model, progress)


# --- The bytes, and who signed them -------------------------------------------------------------

_UNKNOWN = "nothing shows whether it was changed"


def _check_bytes(data: bytes, media_type: str, suffix: str) -> tuple[Finding, Proof]:
    """Whether the bytes are as they were signed, and all that the signature proves."""
    proof = Proof(state="none")
    if not media_type:
        says = f"no signature is looked for in a {suffix or 'file without a suffix'}: {_UNKNOWN}"
        return Finding("none", says), proof
    try:
        proof = credentials.read_proof(data, media_type)
    except GenuiError as error:
        return Finding("unknown", f"not checked: {error}"), proof
    says = {
        "none": f"no signature is found in the file: {_UNKNOWN}",
        "damaged": f"no signature can be read from the file ({proof.why}): {_UNKNOWN}",
        "changed": f"not as they were signed ({proof.why}): the file was changed or damaged since",
        "partly": f"as they were signed, but for {proof.rest:,} in which a change may go unseen",
        "whole": "unchanged since they were signed, every one; when that was is not proved",
    }
    return Finding(proof.state, says[proof.state]), proof


def _describe_signer(proof: Proof) -> Finding:
    """Who signed. Any certificate makes a valid signature; only a trusted root says a name."""
    if not proof.signer:
        return Finding("unknown", "unknown: no signature holds for these bytes")
    if proof.is_trusted:
        return Finding("trusted", f"{proof.signer}, by a certificate that you trust")
    says = f"{proof.signer}, says a certificate that nobody whom you trust vouches for: "
    return Finding("claimed", f"{says}anybody can make one with any name")


# --- The recipe ---------------------------------------------------------------------------------

_NO_RECIPE = "none in the file: how it was made is not known"


def _check_recipe(path: Path, proof: Proof, replays: bool, progress: ProgressLine) -> Finding:
    """Whether the recipe in a file generates its content."""
    try:
        file = read(path)
    except NoRecipeError:
        return Finding("none", _NO_RECIPE)
    except GenuiError as error:
        return Finding("unreadable", f"not replayed: {error}")
    if proof.recipe_digest not in ("", file.recipe.digest):
        return Finding("changed", "another one than was signed with the file")
    weights = f"{file.recipe.model} (weights {file.recipe.fingerprint or 'not named'})"
    if not replays:
        return Finding("unknown", f"not replayed; it names {weights}")
    try:
        return _replay(file, weights, progress)
    except GenuiError as error:
        return Finding("unknown", f"not replayed: {error}")


def _replay(file: SavedFile, weights: str, progress: ProgressLine) -> Finding:
    """Whether the model of a file generates it again here; one that computes elsewhere is not
    asked. Raises GenuiError if it is missing."""
    kind = models.find_model(file.recipe.model).kind
    if kind is not None and saves_of(kind).record is not None:
        return Finding("unknown", f"not replayed: {weights} computes elsewhere and is not asked")
    comparison, why = replay.repeat(file, line=progress)
    if comparison.identical:
        return Finding("same", f"{weights} generates the same content from it")
    says = f"{weights} generates something else here: {comparison.line}"
    return Finding("unknown", f"{says}; {why}") if why else Finding("changed", says)


# --- The watermark ------------------------------------------------------------------------------


def _find_watermark(path: Path, model: str, progress: ProgressLine) -> Finding:
    """Which watermark of the user's keys is in a file: the likeliest of all."""
    written = {kind.medium for kind in KINDS.values() if path.suffix.lower() in kind.files}
    media = written or {(mimetypes.guess_type(path.name)[0] or "").partition("/")[0]}
    rows = {row.name: row for medium in sorted(media) for row in list_watermarks(medium)}
    try:
        search = Search(path, read_keys(), model, progress.show)
        found = [one for row in rows.values() if search.keys for one in row.find(search)]
    except GenuiError as error:
        return Finding("unknown", f"not looked for: {error}")
    if rows and not search.keys:
        return Finding("unknown", "not looked for: you have no key (genui config key NAME)")
    if not found:
        return Finding("unknown", "none is known for such files")
    best = min(found, key=lambda one: one.p)
    best = replace(best, p=correct(best.p, len(rows)))
    counted = f"p {best.p:.2g} by chance, over {best.places:,} {best.counts}"
    if not best.places:
        return Finding("unknown", "there is too little of it to tell")
    if best.is_found:
        return Finding("found", f"{best.watermark} of your key {best.key}: {counted}")
    says = f"none of your keys ({len(search.keys)} tried, {counted}): it was lost, or never there"
    return Finding("none", says)
