"""A GGUF file of a few hundred bytes, written by hand: a header and one tensor."""

import struct
from pathlib import Path


def write_gguf(path: Path, architecture: str = "llama", name: str = "Tiny", licence: str = "mit"):
    """Write a file with a tensor [2, 32] of zeros; it can be described and not generate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = {
        "general.architecture": architecture,
        "general.name": name,
        "general.license": licence,
    }
    body = struct.pack("<4sIQQ", b"GGUF", 3, 1, len(texts) + 1)
    for key, value in texts.items():
        body += _string(key) + struct.pack("<I", 8) + _string(value)
    body += _string(f"{architecture}.context_length") + struct.pack("<II", 4, 512)
    body += _string("token_embd.weight") + struct.pack("<IQQIQ", 2, 32, 2, 0, 0)
    body += bytes(-len(body) % 32) + bytes(2 * 32 * 4)
    path.write_bytes(body)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data
