"""`genui verify`: what it says of files that are whole, changed, foreign and hostile."""

import http.server
import io
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from saved_samples import image_recipe

from genui.base import watermarks
from genui.base.config import save_setting
from genui.base.watermarks import Reading, Search, Watermark
from genui.cli import verify
from genui.cli.main import main
from genui.cli.output import ProgressLine
from genui.cli.verify import Finding
from genui.formats import credentials, read_manifest
from genui.formats.codec import CODECS, read
from genui.formats.recipe import TraceRecipe, seal

c2pa = pytest.importorskip("c2pa")

CREATED = {
    "label": "c2pa.actions",
    "data": {
        "actions": [
            {
                "action": "c2pa.created",
                "digitalSourceType": "http://c2pa.org/digitalsourcetype/empty",
            }
        ]
    },
}
IMAGE = ["generate", "shapes", "--prompt", "cat", "--seed", "3", "--steps", "3"]


def find(path: Path, replays: bool = True) -> dict[str, Finding]:
    return dict(verify.check(path, replays, "", ProgressLine()))


def states(path: Path, replays: bool = False) -> dict[str, str]:
    return {name: found.state for name, found in find(path, replays).items()}


@pytest.fixture
def signed(tiny: Path, tmp_path: Path) -> Path:
    path = tmp_path / "signed.png"
    assert main([*IMAGE, "--out", str(path), "--sign"]) == 0
    return path


def test_a_signed_file_is_whole_trusted_and_replays(
    signed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["verify", str(signed)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["bytes", "signer", "recipe", "watermark"]
    assert "unchanged since they were signed" in lines[0]
    assert "of “genui”, by a certificate that you trust" in lines[1]
    assert "shapes (weights " in lines[2]
    assert "generates the same content" in lines[2]


def test_every_kind_of_touch_is_told_apart(
    signed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    data = signed.read_bytes()
    manifest = data.index(b"caBX")
    touched = tmp_path / "touched.png"
    for at, bytes_, signer in (
        (data.index(b"IDAT") + 9, "changed", "unknown"),
        (data.index(b"c2pa.created"), "changed", "unknown"),
        (data.rindex(b"\0" * 99, manifest) + 40, "partly", "trusted"),  # a padding
        (data.index(b"c2pa.assertions\0") + 3, "partly", "trusted"),  # a label
        (manifest + int.from_bytes(data[manifest - 4 : manifest], "big") + 5, "partly", "trusted"),
    ):
        touched.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        found = states(touched)
        assert (found["bytes"], found["signer"]) == (bytes_, signer), at
    capsys.readouterr()
    touched.write_bytes(data[:-20] + b"\1" + data[-19:])
    assert main(["verify", str(touched), "--no-replay"]) == 1
    assert "not as they were signed" in capsys.readouterr().out
    with Image.open(signed) as image:
        image.save(touched)
    assert states(touched) | {"watermark": ""} == {
        "bytes": "none", "signer": "unknown", "recipe": "none", "watermark": ""
    }  # fmt: skip


def test_pixels_that_the_recipe_does_not_generate_are_told(signed: Path) -> None:
    from PIL import Image, PngImagePlugin

    with Image.open(signed) as image:
        text = PngImagePlugin.PngInfo()
        text.add_text("genui", image.info["genui"])
        image.putpixel((3, 3), (1, 2, 3))
        image.save(signed, pnginfo=text)
    assert states(signed, replays=True)["recipe"] == "changed"


def test_a_recipe_that_was_not_signed_with_the_file_is_told(signed: Path) -> None:
    data = signed.read_bytes()
    other = credentials.sign(data, "image/png", _other_recipe(signed))
    signed.write_bytes(other)
    found = find(signed, False)
    assert found["recipe"].says == "another one than was signed with the file"


def _other_recipe(path: Path) -> TraceRecipe:
    return seal(replace(read(path).recipe, seed=99))


def test_a_foreign_certificate_is_only_a_claim_until_its_root_is_trusted(
    signed: Path, tmp_path: Path
) -> None:
    root = tmp_path / "their.pem"
    (credentials._local_file()).rename(root)  # another machine's now
    found = find(signed, False)["signer"]
    assert found.state == "claimed"
    assert "anybody can make one with any name" in found.says
    save_setting("trusted_roots", str(root))
    assert states(signed)["signer"] == "trusted"
    for pem in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        root.write_text(pem)
        says = find(signed, False)["bytes"].says
        assert says == f"not checked: {root}: has no certificate that can be read; name a PEM file"


def test_other_media_are_told_too(tiny: Path, tmp_path: Path) -> None:
    text, gif, photo = (tmp_path / name for name in ("x.txt", "x.gif", "x.jpg"))
    assert (
        main(["generate", "plays", "--prompt", "to be", "--tokens", "9", "--out", str(text)]) == 0
    )
    assert main([*IMAGE, "--out", str(gif), "--sign"]) == 0
    assert states(text, replays=True)["recipe"] == "same"
    assert states(gif, replays=True)["recipe"] == "same"
    assert [states(path)["bytes"] for path in (text, gif)] == ["none", "whole"]
    photo.write_bytes(b"\xff\xd8\xff")
    assert states(photo)["recipe"] == "none"


def test_files_that_cannot_be_read_are_one_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, huge, missing = (tmp_path / name for name in ("empty.png", "huge.png", "missing.png"))
    empty.touch()
    with huge.open("wb") as file:
        file.truncate(65 << 20)
    assert main(["verify", *map(str, (empty, huge, missing, tmp_path)), "--json"]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert [line.partition(": ")[2] for line in err.replace(str(tmp_path), "").splitlines()] == [
        "/empty.png: is empty; write it again",
        "/huge.png: is over 64 MB; name a file that genui wrote",
        "/missing.png: cannot be read (no such file or directory); name a file that genui wrote",
        ": is a folder; name a file that genui wrote",
    ]


def test_each_of_several_files_is_a_line_of_json(
    signed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.png"
    cut.write_bytes(signed.read_bytes()[:-300])
    capsys.readouterr()
    assert main(["verify", str(signed), str(cut), "--json", "--no-replay"]) == 1  # one is damaged
    whole, broken = map(json.loads, capsys.readouterr().out.splitlines())
    assert whole["file"] == str(signed)
    assert whole["signer"]["state"] == "trusted"
    assert broken["bytes"]["state"] == "damaged"
    assert "truncated" in broken["recipe"]["says"]


def test_without_the_library_the_rest_is_told(
    signed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = find(signed)
    assert found["bytes"].says.startswith("not checked: content credentials need c2pa-python")
    assert found["recipe"].state == "same"


def test_a_missing_model_is_named(signed: Path, tiny: Path) -> None:
    (tiny / "shapes" / "model.safetensors").unlink()
    found = find(signed)["recipe"]
    assert found.state == "unknown"
    assert "shapes" in found.says


def test_a_watermark_of_the_users_keys_is_found_by_the_table(
    signed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chances = {"mine": 1e-9}

    rows = [
        Watermark(
            name="rings",
            media=("image",),
            counts="places",
            read=lambda search: [lambda key: (chances["mine"], 188)],
        )
    ]
    monkeypatch.setattr(verify, "list_watermarks", lambda medium: rows if medium == "image" else [])
    assert "you have no key" in find(signed, False)["watermark"].says
    watermarks.make_key("mine")
    found = find(signed, False)["watermark"]
    assert found.says == "rings of your key mine: p 1e-09 by chance, over 188 places"
    chances["mine"] = 0.4
    assert states(signed)["watermark"] == "none"


def test_a_named_model_is_the_only_one_that_is_tried(
    signed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[str] = []

    def read(search: Search) -> list[Reading]:
        tried.append(search.model)
        search.report("looking in shapes")
        return []

    rows = [Watermark(name="rings", media=("image",), counts="places", read=read)]
    monkeypatch.setattr(verify, "list_watermarks", lambda medium: rows if medium == "image" else [])
    watermarks.make_key("mine")
    capsys.readouterr()
    assert main(["verify", str(signed), "--no-replay", "--model", "shapes", "--lines"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["line"] for line in lines if "line" in line] == list(find(signed, False))
    assert {"progress": "looking in shapes"} in lines
    assert tried == ["shapes", ""]
    assert main(["verify", str(signed), "--model", "shape"]) == 2


# --- Other people's files -------------------------------------------------------------------------


class _Listener(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    do_POST = do_GET  # noqa: N815 - of the library

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and the paths that it was asked for."""
    handler = type("Handler", (_Listener,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler.asked
        server.shutdown()


def test_an_address_in_a_file_is_never_asked(signed: Path, listener: tuple[str, list[str]]) -> None:
    address, asked = listener
    own, source = credentials.own_certificate(), io.BytesIO(_plain(signed))
    with (
        c2pa.Signer.from_info(c2pa.C2paSignerInfo("es256", own.chain, own.key, None)) as signer,
        c2pa.Context.from_dict(credentials.OFFLINE) as context,
        c2pa.Builder(json.dumps({"assertions": [CREATED]}), context) as builder,
        signed.open("w+b") as target,
    ):
        builder.set_remote_url(f"{address}/manifest.c2pa")
        builder.set_no_embed()
        builder.sign(signer, "image/png", source, target)
    with signed.open("rb") as file, pytest.raises(c2pa.C2paError):
        c2pa.Reader("image/png", file)
    assert asked == ["/manifest.c2pa"]  # as the library does by itself
    asked.clear()
    assert states(signed)["bytes"] == "none"
    assert not asked


def test_no_revocation_is_asked_for(signed: Path, listener: tuple[str, list[str]]) -> None:
    address, asked = listener
    path = credentials._local_file()
    path.write_bytes(_with_revocation_at(address))
    signed.write_bytes(credentials.sign(_plain(signed), "image/png", _other_recipe(signed)))
    asks = {"verify": {"ocsp_fetch": True}, "trust": {"trust_anchors": credentials.trusted_roots()}}
    read_manifest.read("image/png", asks, signed.read_bytes())
    assert asked  # as the library would
    asked.clear()
    assert states(signed)["signer"] == "trusted"
    assert not asked


def _plain(path: Path) -> bytes:
    """The image without its manifest."""
    data = path.read_bytes()
    at = data.index(b"caBX") - 4
    return data[:at] + data[at + 12 + int.from_bytes(data[at : at + 4], "big") :]


def _with_revocation_at(address: str) -> bytes:
    """A certificate that names an address to ask whether it was revoked, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
    from cryptography.x509.oid import AuthorityInformationAccessOID

    pem = credentials._make_certificate()
    made, key = x509.load_pem_x509_certificate(pem), load_pem_private_key(pem, None)
    assert isinstance(key, EllipticCurvePrivateKey)
    builder = x509.CertificateBuilder(
        made.issuer, made.subject, key.public_key(), made.serial_number,
        made.not_valid_before_utc, made.not_valid_after_utc,
    )  # fmt: skip
    for extension in made.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    place = x509.UniformResourceIdentifier(f"{address}/revoked")
    access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
    builder = builder.add_extension(x509.AuthorityInformationAccess([access]), False)
    return (
        builder.sign(key, SHA256()).public_bytes(Encoding.PEM) * 2
        + pem[pem.index(b"-----BEGIN P") :]
    )


def test_a_reader_that_ends_badly_is_a_damaged_file(
    signed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "reader.py"
    program.write_text("raise MemoryError")
    monkeypatch.setattr(read_manifest, "__file__", str(program))
    assert states(signed)["bytes"] == "damaged"


@given(
    at=st.floats(0, 1, exclude_max=True),
    junk=st.binary(min_size=1, max_size=40),
    replaces=st.booleans(),
)
@pytest.mark.parametrize("suffix", [".png", ".gif", ".wav"])
def test_no_changed_file_is_whole(suffix: str, at: float, junk: bytes, replaces: bool) -> None:
    data = _signed_once(suffix)
    place = int(at * len(data))
    changed = data[:place] + junk + data[place + len(junk) * replaces :]
    found = read_manifest.read(CODECS[suffix].media_type, dict(credentials.OFFLINE), changed)
    assert (found["state"] == "whole") == (changed == data)


def test_of_an_mp4_the_bytes_are_counted_that_the_standard_leaves_out() -> None:
    def box(kind: bytes, body: bytes) -> bytes:
        return (8 + len(body)).to_bytes(4, "big") + kind + body

    first = box(b"ftyp", b"isom\0\0\2\0isommp41")
    plain = first + box(b"moov", box(b"mvhd", bytes(100))) + box(b"mdat", b"clip")
    data = credentials.sign(plain, "video/mp4", image_recipe())
    proof = credentials.read_proof(data, "video/mp4")
    assert (proof.state, proof.rest) == ("partly", len(first))
    padding = data.index(b"\xa1cpadY") + 60
    for at, state in ((len(data) - 1, "changed"), (padding, "partly"), (9, "partly")):
        touched = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        found = credentials.read_proof(touched, "video/mp4")
        assert found.state == state
        assert (found.rest > len(first)) == (at == padding)


def _signed_once(suffix: str, known: dict[str, bytes] = {}) -> bytes:  # noqa: B006 - kept on purpose
    from saved_samples import image_frames

    from genui.formats import audio, codec
    from genui.formats.codec import Sample
    from genui.formats.recipe import ExportView, to_json

    if suffix not in known:
        recipe = image_recipe(ExportView(kind=CODECS[suffix].shows))
        if suffix == ".wav":
            import numpy as np

            plain = audio.encode_wav(np.arange(99, dtype=np.int16), 8000, to_json(recipe))
            known[suffix] = credentials.sign(plain, "audio/wav", recipe)
        else:
            known[suffix] = codec.encode(
                suffix, [Sample(7, "A", image_frames())], recipe, sign=True
            )
    return known[suffix]
