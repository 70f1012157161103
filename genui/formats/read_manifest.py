"""Reads a manifest, in a process of its own: `python read_manifest.py < request > reply`.

The request is a line of JSON, {"media_type", "settings"}, and then the bytes of the file; the reply
is a `credentials.Proof` as JSON. A file may be hostile: this process has limits of time and memory,
and imports nothing of genui.
"""

import io
import json
import re
import sys
import zlib
from typing import Any

ASSERTION = "org.genui.recipe"
SECONDS = 20  # of computing
MEMORY = 1 << 31  # bytes of address space
LONGEST = 80  # characters of what is shown
_BOUND = {f"assertion.{hash}Hash.match" for hash in ("data", "bmff", "boxes")}
_LATE = "claimSignature.outsideValidity"  # for the certificate


def limit() -> None:
    """Limit the time and the memory of this process."""
    import resource

    for kind, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, MEMORY)):
        resource.setrlimit(kind, (most, most))


def read(media_type: str, settings: dict[str, Any], data: bytes) -> dict[str, Any]:
    """What a file's manifest proves, by the library and by `count_rest`."""
    import c2pa

    file = io.BytesIO(data)
    try:
        with c2pa.Context.from_dict(settings) as context:
            reader = c2pa.Reader.try_create(media_type, file, context=context)
            report = json.loads(reader.detailed_json()) if reader is not None else None
    except c2pa.C2paError as error:
        if str(error).startswith("Remote"):  # at an address, which is not asked
            return {"state": "none"}
        is_broken = "could not be parsed" in str(error)
        why = "it is damaged, or not what its name says" if is_broken else str(error)[:LONGEST]
        return {"state": "damaged", "why": why}
    if report is None:
        return {"state": "none"}
    if report.get("active_manifest") not in report.get("manifests", {}):
        return {"state": "damaged", "why": "its manifest is incomplete"}
    return judge(report, data)


def judge(report: dict[str, Any], data: bytes) -> dict[str, Any]:
    """What a report proves, by its codes (C2PA 2.2, "Validation status codes")."""
    manifest = report["manifests"][report["active_manifest"]]
    results = report["validation_results"]["activeManifest"]
    passed, failed = ({one["code"] for one in results[kind]} for kind in ("success", "failure"))
    doubted = {code for code in failed if code.startswith("signingCredential.") or code == _LATE}
    if wrong := sorted(failed - doubted):
        return {"state": "changed", "why": wrong[0]}
    if not passed & _BOUND or "claimSignature.validated" not in passed:
        return {"state": "damaged", "why": "nothing binds it to these bytes"}
    names = [manifest["signature"].get(key) or "no name" for key in ("common_name", "issuer")]
    names = [name[:LONGEST] for name in names]
    rest = count_rest(data, manifest)
    return {
        "state": "partly" if rest else "whole",
        "rest": rest,
        "signer": f"“{names[0]}” of “{names[1]}”",
        "is_trusted": not doubted,
        "recipe_digest": manifest["assertion_store"].get(ASSERTION, {}).get("digest", ""),
    }


# --- What the library does not look at ----------------------------------------------------------
# The signature covers the claim, the claim the assertions, and one of these every byte of the file
# but a span, which should be the manifest. There the library skips paddings, labels and checksums.

_UUID = re.escape(b"\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71")  # the end of each
_NAME = rb"urn:c2pa:[0-9a-f-]{36}"
_SIGNED = re.compile(rb"\xd2\x84[XY].*\xa1cpadY(?P<size>..)(?P<padding>\x00*)\xf6[XY].*", re.DOTALL)


def count_rest(data: bytes, manifest: dict[str, Any]) -> int:
    """How many bytes the signature leaves out, except for a manifest of the form in which genui
    writes it: among them a change may go unseen."""
    return sum(
        len(chunk)
        for chunk in list_left_out(data, manifest["assertion_store"])
        if not is_as_written(unwrap(chunk))
    )


def list_left_out(data: bytes, assertions: dict[str, Any]) -> list[bytes]:
    """What the hash of a file leaves out: spans, or boxes of an MP4 by their names; the whole file
    if that is not known."""
    try:
        if "c2pa.hash.data" in assertions:
            spans = assertions["c2pa.hash.data"]["exclusions"]
            return [data[span["start"] : span["start"] + span["length"]] for span in spans]
        (boxes,) = (assertions[label] for label in assertions if label.startswith("c2pa.hash.bmff"))
        names = {each["xpath"].split("/")[1].encode() for each in boxes["exclusions"]}
        return [bytes(4) + kind + body for kind, body in list_boxes(data) if kind in names]
    except (ValueError, LookupError, TypeError):
        return [data]


def unwrap(chunk: bytes) -> bytes:
    """The manifest in a chunk of a PNG or a WAV, a box of an MP4 or an extension of a GIF; b"" or
    something else if it is none."""
    if chunk[4:8] == b"caBX":
        whole = zlib.crc32(chunk[4:-4]).to_bytes(4, "big") == chunk[-4:]
        return chunk[8:-4] if whole else b""
    if chunk[:4] == b"C2PA":
        return chunk[8:]
    if chunk[4:8] == b"uuid":
        return chunk[45:] if chunk[24:45] == b"\0\0\0\0manifest" + bytes(9) else b""
    blocks = chunk[14:-1]  # each begins with its size, which is 255 but for the last
    return b"".join(blocks[at + 1 : at + 256] for at in range(0, len(blocks), 256))


def is_as_written(store: bytes) -> bool:
    """Whether a manifest has the form in which genui writes it, where no signature covers it
    (JUMBF, ISO 19566-5; COSE, RFC 9052)."""
    try:
        (outermost,) = list_boxes(store)
        (manifest,) = open_box(outermost, b"c2pa", b"c2pa")
        assertions, claim, signature = open_box(manifest, b"c2ma", _NAME)
        for assertion in open_box(assertions, b"c2as", rb"c2pa\.assertions"):
            open_box(assertion, b"cbor", rb"[\w.-]+")
        ((_, claimed),) = open_box(claim, b"c2cl", rb"c2pa\.claim\.v2")
        ((_, signed),) = open_box(signature, b"c2cs", rb"c2pa\.signature")
    except ValueError:
        return False
    name, parts = re.search(_NAME, manifest[1]), _SIGNED.fullmatch(signed)
    return (
        name is not None
        and parts is not None
        and int.from_bytes(parts["size"], "big") == len(parts["padding"])
        and b"/c2pa/" + name[0] + b"/c2pa.signature" in claimed
    )


Box = tuple[bytes, bytes]
"""Its type and its content."""


def list_boxes(content: bytes) -> list[Box]:
    """The boxes of a content. Raises ValueError if their sizes are not right."""
    found, at = [], 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        if not 8 <= size <= len(content) - at:
            raise ValueError("the size of a box is wrong")
        found.append((content[at + 4 : at + 8], content[at + 8 : at + size]))
        at += size
    return found


def open_box(box: Box, kind: bytes, label: bytes) -> list[Box]:
    """The boxes in a box of this kind and label, an expression. Raises ValueError for another."""
    about, *inside = list_boxes(box[1])
    salt = re.escape(b"\0\0\0\x18c2sh") + b".{16}"
    form = kind + _UUID + rb"(\x03" + label + rb"\x00|\x13" + label + rb"\x00" + salt + rb")"
    if box[0] != b"jumb" or about[0] != b"jumd" or not re.fullmatch(form, about[1], re.DOTALL):
        raise ValueError("a box is of another kind or has another label")
    return inside


def main() -> None:
    limit()
    request = json.loads(sys.stdin.buffer.readline())
    proof = read(request["media_type"], request["settings"], sys.stdin.buffer.read())
    print(json.dumps(proof))


if __name__ == "__main__":
    main()
