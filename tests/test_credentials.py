"""Files that are signed: content credentials, and the certificate that signs them."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from saved_samples import image_frames, image_recipe

from genui.base import paths
from genui.base.config import save_setting
from genui.base.errors import MisuseError
from genui.cli.main import main
from genui.formats import audio, codec, credentials
from genui.formats import recipe as saved
from genui.formats.codec import Sample
from genui.formats.recipe import ExportView

c2pa = pytest.importorskip("c2pa")

MOST = 6_000  # bytes that a manifest of a small recipe takes; a thumbnail is ten times as large


def encode(suffix: str, sign: bool) -> bytes:
    """A file of four pixels a side, or of a short sound."""
    if suffix == ".wav":
        recipe = image_recipe(ExportView(kind="sound"))
        data = audio.encode_wav(np.arange(99, dtype=np.int16), 8000, saved.to_json(recipe))
        return credentials.sign(data, "audio/wav", recipe) if sign else data
    view = ExportView(kind=codec.CODECS[suffix].shows)
    return codec.encode(suffix, [Sample(7, "A", image_frames())], image_recipe(view), sign=sign)


def read_manifest(data: bytes, suffix: str, roots: str = "") -> dict:
    """What the library reads in a signed file."""
    trust = {"trust": {"trust_anchors": roots}} if roots else {}
    with (
        c2pa.Context.from_dict({**credentials.OFFLINE, **trust}) as context,
        c2pa.Reader(codec.CODECS[suffix].media_type, io.BytesIO(data), context=context) as reader,
    ):
        return json.loads(reader.detailed_json())


@pytest.mark.parametrize("suffix", [".png", ".apng", ".gif", ".wav"])
def test_a_signed_file_is_the_same_to_its_reader_and_holds_its_recipe_signed(
    suffix: str, tmp_path: Path
) -> None:
    plain, signed = (tmp_path / f"{name}{suffix}" for name in ("plain", "signed"))
    plain.write_bytes(encode(suffix, sign=False))
    signed.write_bytes(encode(suffix, sign=True))
    before, after = codec.read(plain), codec.read(signed)
    assert after.recipe == before.recipe
    assert codec.CODECS[suffix].difference(before.content, after.content, []) is None  # type: ignore[misc]
    assert 0 < signed.stat().st_size - plain.stat().st_size < MOST
    found = read_manifest(signed.read_bytes(), suffix)
    assert found["validation_state"] == "Valid"  # by a certificate that nobody trusts
    (manifest,) = found["manifests"].values()
    assert manifest["assertion_store"]["org.genui.recipe"] == json.loads(
        saved.to_json(before.recipe)
    )
    roots = credentials.trusted_roots()
    assert read_manifest(signed.read_bytes(), suffix, roots)["validation_state"] == "Trusted"


def test_the_key_is_made_once_for_its_user_alone_and_is_in_no_file() -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    first, second = (encode(".png", sign=True) for _ in range(2))
    path = paths.config_dir() / "certificate.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    key = load_pem_private_key(credentials.own_certificate().key, None)
    assert isinstance(key, EllipticCurvePrivateKey)
    number = key.private_numbers().private_value
    assert number.to_bytes(32, "big") not in first + second
    assert b"PRIVATE" not in first
    assert str(path).encode() not in first
    assert "PRIVATE" not in credentials.trusted_roots()
    names = [read_manifest(data, ".png")["manifests"].popitem()[1] for data in (first, second)]
    assert names[0]["signature"]["common_name"] == names[1]["signature"]["common_name"]


def test_a_key_that_others_may_read_signs_nothing() -> None:
    encode(".png", sign=True)
    (paths.config_dir() / "certificate.pem").chmod(0o640)
    with pytest.raises(MisuseError, match="others may read its private key; run chmod 600 on it"):
        encode(".png", sign=True)


def own_pem(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    path.chmod(0o600)
    return str(path)


def test_the_certificate_of_the_settings_signs(tmp_path: Path) -> None:
    pem = credentials._make_certificate()
    save_setting("certificate", own_pem(tmp_path / "own.pem", pem))
    signed = encode(".png", sign=True)
    assert not (paths.config_dir() / "certificate.pem").exists()
    assert read_manifest(signed, ".png")["validation_state"] == "Valid"
    trusted = read_manifest(signed, ".png", credentials.trusted_roots())
    assert trusted["validation_state"] == "Trusted"
    save_setting("trusted_roots", own_pem(tmp_path / "other.pem", credentials._make_certificate()))
    doubted = read_manifest(signed, ".png", credentials.trusted_roots())
    assert doubted["validation_state"] == "Valid"


def test_a_certificate_that_cannot_sign_is_one_line(tmp_path: Path) -> None:
    one, other = (credentials._make_certificate() for _ in range(2))
    chain, _, key = one.partition(b"-----BEGIN PRIVATE")
    path = tmp_path / "own.pem"
    save_setting("certificate", str(path))
    for data, fault in (
        (chain + b"-----BEGIN PRIVATE" + other.partition(b"-----BEGIN PRIVATE")[2], "cannot sign"),
        (chain, "has no private key; add it to the certificates"),
        (key, "has no private key"),
        (chain + b"-----BEGIN PRIVATE KEY-----AAA-----END PRIVATE KEY-----", "cannot sign"),
        (b"", "has no private key"),
    ):
        own_pem(path, data)
        with pytest.raises(MisuseError, match=rf"own\.pem: .*{fault}") as told:
            encode(".png", sign=True)
        assert "\n" not in str(told.value)


def test_a_missing_library_is_told_before_anything_is_generated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    target = tmp_path / "x.png"
    assert main(["generate", "icons", "--prompt", "cat", "--out", str(target), "--sign"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("genui: content credentials need c2pa-python: ")
    assert "-m pip install" in err
    assert err.count("\n") == 1
    assert not target.exists()


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["shakespeare", "--out", "x.txt"], "--sign: signs a file that ends in .png .gif"),
        (["icons"], "--sign: signs a file that ends in"),
        (["icons", "-n", "2", "--out", "folder"], "--sign: applies to one sample"),
    ],
)
def test_what_cannot_be_signed_is_a_misuse(
    words: list[str], fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["generate", *words, "--sign"]) == 2
    assert fault in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
