"""`genui verify` on files that are made here: how many of its statements are wrong.

    python tests/bench/bench_verify.py [--files 500] [--texts 40] [--json]

The files are small images, animations and sounds of shipped models: signed, unsigned, signed and
touched in one bit outside the manifest, stripped of the manifest, saved again by Pillow (sounds by
Python's wave), and signed by a certificate of another machine. What a file should be told to be is
known from how it was made; whether its recipe gives its content, from a comparison of the content
with that of the file it was made from. With --flips, one bit of each byte of a signed file of each
type is turned, one after the other.
"""

import argparse
import contextlib
import io
import json
import os
import random
import tempfile
import time
import wave
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from harness import Figure, machine, report

from genui.base.errors import GenuiError
from genui.base.watermarks import make_key
from genui.cli.main import main as genui
from genui.formats import credentials, read_manifest
from genui.formats.codec import CODECS, read
from genui.formats.sample import NoRecipeError

MODELS = {".png": "icons", ".gif": "icons", ".wav": "voice"}
STEPS = "4"
Change = Callable[[bytes, str, random.Random], bytes]


def span_of(data: bytes, suffix: str) -> tuple[int, int]:
    """Where the chunk of the manifest begins and ends."""
    if suffix == ".png":
        at = data.index(b"caBX") - 4
        return at, at + 12 + int.from_bytes(data[at : at + 4], "big")
    if suffix == ".wav":
        at = data.index(b"C2PA")
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        return at, at + 8 + size + size % 2
    at = end = data.index(b"!\xff\x0bC2PA_GIF")
    end += 14
    while data[end]:
        end += 1 + data[end]
    return at, end + 1


def touch(data: bytes, suffix: str, rng: random.Random) -> bytes:
    """One bit of a byte outside the manifest is turned."""
    begin, end = span_of(data, suffix)
    at = rng.choice([*range(begin), *range(end, len(data))])
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def strip(data: bytes, suffix: str, rng: random.Random) -> bytes:
    """The manifest is taken out; a WAV names its size."""
    begin, end = span_of(data, suffix)
    left = data[:begin] + data[end:]
    if suffix == ".wav":
        left = left[:4] + (len(left) - 8).to_bytes(4, "little") + left[8:]
    return left


def save_again(data: bytes, suffix: str, rng: random.Random) -> bytes:
    """A program that knows nothing of manifests saves it."""
    from PIL import Image

    out = io.BytesIO()
    if suffix == ".wav":
        with wave.open(io.BytesIO(data)) as sound, wave.open(out, "wb") as again:
            again.setparams(sound.getparams())
            again.writeframes(sound.readframes(sound.getnframes()))
        return out.getvalue()
    with Image.open(io.BytesIO(data)) as image:
        image.save(out, image.format, save_all=suffix == ".gif")
    return out.getvalue()


def keep(data: bytes, suffix: str, rng: random.Random) -> bytes:
    return data


SORTS: Mapping[str, tuple[str, Change, set[str], set[str]]] = {
    "signed": ("own", keep, {"whole"}, {"trusted"}),
    "unsigned": ("", keep, {"none"}, {"unknown"}),
    "touched": ("own", touch, {"changed", "damaged", "none"}, {"unknown"}),
    "stripped": ("own", strip, {"none"}, {"unknown"}),
    "saved again": ("own", save_again, {"none"}, {"unknown"}),
    "another certificate": ("other", keep, {"whole"}, {"claimed"}),
}
"""Who signs, what happens then, and the states of `bytes` and `signer` that are right."""


def make_base(folder: Path, number: int) -> Path:
    """An unsigned file of a shipped model."""
    suffix = list(MODELS)[number % len(MODELS)]
    path = folder / f"base-{number}{suffix}"
    words = ["--seed", str(number), "--steps", STEPS, "--out", str(path)]
    with contextlib.redirect_stderr(io.StringIO()):
        if genui(["generate", MODELS[suffix], *words]):
            raise GenuiError(f"{path} cannot be made")
    return path


def make_file(base: Path, sort: str, homes: Mapping[str, Path], rng: random.Random) -> Path:
    """A file of a sort from a base."""
    signer, change, _, _ = SORTS[sort]
    data = base.read_bytes()
    if signer:
        os.environ["GENUI_HOME"] = str(homes[signer])
        data = credentials.sign(data, CODECS[base.suffix].media_type, read(base).recipe)
    os.environ["GENUI_HOME"] = str(homes["own"])
    path = base.with_name(f"{sort.replace(' ', '-')}-{base.name}")
    path.write_bytes(change(data, base.suffix, rng))
    return path


def recipe_state(path: Path, base: Path) -> str:
    """What is right about the recipe: the base's content is what it generates."""
    try:
        file = read(path)
    except NoRecipeError:
        return "none"
    except GenuiError:
        return "unknown"
    original = read(base)
    if file.recipe != original.recipe:
        return "unknown"
    difference = CODECS[path.suffix].difference
    assert difference is not None
    return "changed" if difference(file.content, original.content, []) else "same"


def verify(paths: list[Path]) -> list[dict]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        genui(["verify", *map(str, paths), "--json"])
    return [json.loads(line) for line in out.getvalue().splitlines()]


def verify_texts(folder: Path, count: int) -> tuple[int, int]:
    """How many statements are wrong on texts of a shipped model, half of them with a watermark, and
    how many watermarks are not found."""
    for key in ("one", "two"):
        make_key(key)
    paths, right = [], []
    for number in range(count):
        path = folder / f"text-{number}.txt"
        key = ("", "one", "", "two")[number % 4]
        mark = ["--watermark", "tournament", "--watermark-key", key] if key else []
        words = ["--seed", str(number), "--tokens", "200", *mark, "--out", str(path)]
        with contextlib.redirect_stderr(io.StringIO()):
            genui(["generate", "shakespeare", *words])
        paths.append(path)
        right.append(key)
    wrong = missed = 0
    for key, said in zip(right, verify(paths), strict=True):
        found = said["watermark"]["state"] == "found"
        missed += bool(key) and not found
        wrong += found and f"key {key}:" not in said["watermark"]["says"]
        wrong += said["recipe"]["state"] != "same"
        wrong += said["bytes"]["state"] != "none"
    return wrong, missed


def flip_all(base: Path, rng: random.Random) -> Counter[str]:
    """What is said of a signed file with one bit turned, for each of its bytes."""
    media_type = CODECS[base.suffix].media_type
    data = credentials.sign(base.read_bytes(), media_type, read(base).recipe)
    settings = dict(credentials.OFFLINE)
    said: Counter[str] = Counter()
    for at in range(len(data)):
        turned = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        said[read_manifest.read(media_type, settings, turned)["state"]] += 1
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=500, metavar="N", help="(500)")
    parser.add_argument("--texts", type=int, default=40, metavar="N", help="(40)")
    parser.add_argument("--flips", action="store_true", help="turn a bit of each byte instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    before, rng = machine(), random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        homes = {who: Path(name, who) for who in ("own", "other")}
        os.environ["GENUI_HOME"] = str(homes["own"])
        if args.flips:
            for number in range(len(MODELS)):
                base = make_base(Path(name), number)
                print(base.suffix, dict(flip_all(base, rng)), flush=True)
            return
        each = {sort: len(range(i, args.files, len(SORTS))) for i, sort in enumerate(SORTS)}
        bases = [make_base(Path(name), number) for number in range(max(each.values()))]
        made = [(sort, base) for sort, count in each.items() for base in bases[:count]]
        paths = [make_file(base, sort, homes, rng) for sort, base in made]
        begun = time.monotonic()
        found = verify(paths)
        seconds = time.monotonic() - begun
        texts, missed = verify_texts(Path(name), args.texts)  # with keys, which images lack
        wrong: Counter[str] = Counter()
        for (sort, base), path, said in zip(made, paths, found, strict=True):
            _, _, of_bytes, of_signer = SORTS[sort]
            right = {"bytes": of_bytes, "signer": of_signer, "recipe": {recipe_state(path, base)}}
            for line, states in right.items():
                if said[line]["state"] not in states:
                    wrong[sort] += 1
                    print(f"wrong: {path.name}: {line}: {said[line]}, not {states}")
    figures = [
        Figure(f"{sort}, {count} files: wrong statements of {3 * count}", wrong[sort], "", limit=0)
        for sort, count in each.items()
    ]
    name = f"texts, {args.texts} files: wrong statements of {3 * args.texts}"
    figures.append(Figure(name, texts, "", limit=0))
    figures.append(Figure(f"watermarks not found of {args.texts // 2}", missed, ""))
    figures.append(Figure("a file", float(np.round(seconds / max(len(paths), 1), 3)), "s"))
    report(before, figures, args.json)


if __name__ == "__main__":
    main()
