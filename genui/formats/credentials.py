"""Content credentials: a signed manifest with the recipe inside a file (C2PA 2.2), by c2pa-python.

The key signs here and nowhere else: no recipe, trace, run or log has it.
"""

import datetime
import io
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from genui import __version__
from genui.base import paths
from genui.base.config import load_config
from genui.base.errors import GenuiError, MisuseError, install
from genui.base.files import SMALL, atomic_write, cannot_use, read_regular, writing
from genui.base.text import clean_line
from genui.formats import read_manifest
from genui.formats.read_manifest import ASSERTION
from genui.formats.recipe import TraceRecipe

_TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_NAME_PEM = "name a PEM file"
_DAYS = 3650  # for which a certificate of this machine is valid
_CERTIFICATES = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.S)
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----", re.S)

OFFLINE: Mapping[str, Any] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "core": {"allowed_network_hosts": []},
}
"""The settings of the library by which it asks no address, whatever a file names."""


def sign(data: bytes, media_type: str, recipe: TraceRecipe) -> bytes:
    """The file with a manifest that holds its recipe, signed by `own_certificate`.

    Raises GenuiError if the library is missing or refuses the certificate, else as that.
    """
    import_library()
    import c2pa

    own = own_certificate()
    actions = {"actions": [{"action": "c2pa.created", "digitalSourceType": _TRAINED}]}
    manifest = {
        "claim_generator_info": [{"name": "genui", "version": __version__}],
        "assertions": [
            {"label": "c2pa.actions", "data": actions, "created": True},
            {"label": ASSERTION, "data": msgspec.to_builtins(recipe), "created": True},
        ],
    }
    settings = {**OFFLINE, "builder": {"thumbnail": {"enabled": False}}}
    signed = io.BytesIO()
    try:
        info = c2pa.C2paSignerInfo("es256", own.chain, own.key, None)
        with (
            c2pa.Context.from_dict(settings) as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(json.dumps(manifest), context) as builder,
        ):
            builder.sign(signer, media_type, io.BytesIO(data), signed)
    except c2pa.C2paError as error:
        fault = f"cannot sign ({clean_line(str(error), 100)})"
        raise cannot_use(own.path, fault, "name a certificate and its key of P-256") from None
    return signed.getvalue()


def import_library() -> None:
    """Raises GenuiError, with the command that installs it, if the library is missing."""
    try:
        import c2pa  # noqa: F401
    except ImportError:
        fault = f"content credentials need c2pa-python: {install('credentials')}"
        raise GenuiError(fault) from None


# --- Reading: what they prove --------------------------------------------------------------------

State = Literal["none", "damaged", "changed", "partly", "whole"]
"""Of the bytes of a file: not signed; by a manifest that cannot be read; not as they were signed;
as signed but for some in which a change may go unseen; all as they were signed."""


class Proof(Struct, frozen=True, kw_only=True):
    """What the credentials of a file prove. Its texts are the file's own and not trusted."""

    state: State
    why: str = ""  # the library's words for what is wrong
    rest: int = 0  # bytes in which a change may go unseen
    signer: str = ""  # the name in the certificate
    is_trusted: bool = False  # whether a root of the user vouches for that name
    recipe_digest: str = ""  # of the signed recipe


def read_proof(data: bytes, media_type: str) -> Proof:
    """What a file's credentials prove; it is read in another process, which asks no address.

    Raises GenuiError if the library is missing, else as `trusted_roots`.
    """
    import_library()
    roots = trusted_roots()
    settings = {**OFFLINE, "trust": {"trust_anchors": roots} if roots else {}}
    request = json.dumps({"media_type": media_type, "settings": settings})
    try:
        child = subprocess.run(
            [sys.executable, "-P", read_manifest.__file__],
            input=request.encode() + b"\n" + data,
            capture_output=True,
            timeout=4 * read_manifest.SECONDS,  # of a busy machine
            check=False,
        )
        return msgspec.json.decode(child.stdout, type=Proof)
    except (subprocess.TimeoutExpired, msgspec.DecodeError):
        return Proof(state="damaged", why=f"not within {read_manifest.SECONDS} s")


# --- The certificate ----------------------------------------------------------------------------


class Certificate(NamedTuple):
    """What signs: certificates from its own to the root, and the private key, both PEM."""

    path: Path
    chain: bytes
    key: bytes


def own_certificate() -> Certificate:
    """The certificate of `genui config`, or that of this machine, which is made at first use.

    Raises MisuseError, which names the file, if it cannot be used, or if others may read its key.
    """
    chosen = load_config().certificate
    path = Path(os.path.expanduser(chosen)) if chosen else _local_file()
    if not chosen and not path.exists():
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, _make_certificate(), mode=0o600)
    data = _read_pem(path)
    if path.stat().st_mode & 0o077:
        raise cannot_use(path, "others may read its private key", "run chmod 600 on it")
    key = _KEY.search(data)
    if key is None:
        raise cannot_use(path, "has no private key", "add it to the certificates in the file")
    # The key must not reach what is read as the chain: that is written into the file.
    chain = b"".join(_CERTIFICATES.findall(data))
    return Certificate(path, chain, key[0])


def trusted_roots() -> str:
    """The roots that the user trusts, PEM: those of `genui config`, or the user's own certificate;
    "" without one. Raises MisuseError, which names the file, if it has none."""
    from cryptography.x509 import load_pem_x509_certificates

    config = load_config()
    chosen = config.trusted_roots or config.certificate
    path = Path(os.path.expanduser(chosen)) if chosen else _local_file()
    if not chosen and not path.exists():
        return ""
    roots = b"".join(_CERTIFICATES.findall(_read_pem(path)))
    try:
        load_pem_x509_certificates(roots)
    except ValueError:
        raise cannot_use(path, "has no certificate that can be read", _NAME_PEM) from None
    return roots.decode("ascii")


def _read_pem(path: Path) -> bytes:
    return read_regular(path, SMALL, _NAME_PEM, MisuseError)


def _local_file() -> Path:
    return paths.config_dir() / "certificate.pem"


def _make_certificate() -> bytes:
    """A certificate that vouches for itself (C2PA 2.2, "X.509 Certificates"), and its key: PEM.

    Its name has no user and no host: it is in every file that is signed.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    public, now = key.public_key(), datetime.datetime.now(datetime.UTC)
    parts = {
        NameOID.ORGANIZATION_NAME: "genui",
        NameOID.COMMON_NAME: f"certificate of a machine, {secrets.token_hex(4)}",
    }
    name = x509.Name([x509.NameAttribute(oid, text) for oid, text in parts.items()])
    certificate = (
        x509.CertificateBuilder(name, name, public, x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.KeyUsage(True, *[False] * 8), critical=True)  # it signs, no more
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False)
        .sign(key, SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM) + secret
