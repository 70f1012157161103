"""Whether two commits compute the same: `python tests/net/bits.py COMMIT_A COMMIT_B`.

In a worktree of each commit every shipped model that generates is asked for a few tokens or
steps, with other seeds, samplers and settings and with forks, and every recipe is trained for a
few steps on one thread. What they come to is compared by the SHA-256 of decoded images, sounds,
notes and texts, and of every number of the loss series. Of the files only the content is
compared, not what stands beside it. Exits with 1 where anything differs.

    python tests/net/bits.py 67d9ed5 HEAD
    python tests/net/bits.py 67d9ed5 HEAD --only 'icons|train' --keep

It is run by hand, on one machine (other processors round differently), and takes some minutes.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from net_shell import OLD, ROOT, Done, Warm

SAMPLERS = ("dpmpp-2m", "heun", "euler", "ddim", "ddpm")
WORDS = ("four jackson", "nine theo", "zero lucas", "two george")
"""What is said in the sounds that voices are trained on; that data is no part of the package."""

GAP = "def area(r):\n    return <FILL> * r ** 2"
AREA = "def area(r):\n"
HEART = "red heart on black"
MOVING = "red heart moving up on black"

TEXT = ("--prompt", "ROMEO:", "--tokens", "24")
# The lowest level is given: since 67d9ed5 it follows the number of steps where it is not.
FEW = ("--steps", "5", "--sigma-min", "0.03")
IMAGE = ("--prompt", HEART, *FEW)
DRESS = ("--prompt", "dress", *FEW)
SNEAKER = ("--prompt", "sneaker")
MUSIC = ("--prompt", "G minor, 3/4", "--tokens", "48")

FIXED = "device=cpu precision=fp32 threads=1 eval_batches=1 eval_every=2 sample_every=1000"
SMALL = "layers=1 width=32 heads=2 context=32 batch=4 sample_tokens=8"
TRUNK = "layers=1 width=32 heads=1 batch=4 canvas_batch=4 caption_width=16 sample_captions=cat"
GAME = "width=8 blocks=1 latent=8 caption_width=16 batch=4 penalty_batch=2 sample_captions=cat"


@dataclass(frozen=True)
class Job:
    """A command, and how what it wrote is read."""

    name: str
    argv: tuple[str, ...]
    kind: str  # the suffix of the file it writes; "json" of what it prints; "run" of a training


def generations() -> Iterator[Job]:
    """Every shipped model, and what changes how it generates."""

    def job(name: str, model: str, kind: str, *argv: str, seed: int = 1) -> Job:
        return Job(f"{model} {name}", ("generate", model, "--seed", str(seed), *argv), kind)

    for seed in (1, 2, 3):
        yield job(f"seed {seed}", "shakespeare", "txt", *TEXT, seed=seed)
    for name, settings in (
        ("greedy", "--temperature 0"),
        ("hot", "--temperature 1.3 --top-p 1"),
        ("top-k", "--top-k 5"),
        ("min-p", "--min-p 0.1 --top-p 1"),
        ("penalty", "--repetition-penalty 1.3"),
        ("dry", "--dry 1.5 --dry-length 1"),
        ("three", "-n 3"),
        ("forks", "--fork 8:seed=9 --fork 12:temperature=0.4 --fork 16:token=a"),
        ("insertion", "--fork 8:text=now"),
    ):
        yield job(name, "shakespeare", "txt", *TEXT, *settings.split())
    for seed in (1, 2):
        yield job(f"seed {seed}", "python", "txt", "--prompt", AREA, "--tokens", "24", seed=seed)
    yield job("free", "python", "txt", "--prompt", AREA, "--tokens", "24", "--grammar", "none")
    yield job("held", "python", "txt", "--prompt", AREA, "--tokens", "24", "--grammar", "python")
    yield job("gap", "python", "txt", "--prompt", GAP, "--tokens", "16")

    for seed in (1, 2, 3):
        yield job(f"seed {seed}", "icons", "png", *IMAGE, seed=seed)
    for sampler in SAMPLERS:
        yield job(sampler, "icons", "png", *IMAGE, "--sampler", sampler)
        yield job(sampler, "fashion", "png", *DRESS, "--sampler", sampler)
    for name, settings in (
        ("unguided", "--guidance 1"),
        ("guided", "--guidance 4"),
        ("eta", "--eta 0.7 --s-tmin 0.3"),
        ("levels", "--rho 5"),
        ("three", "-n 3"),
        ("forks", "--fork 2:guidance=5 --fork 3:seed=8"),
        ("noise", "--fork 4:noise=2"),
        ("grid", "--grid seed=1..3 --grid guidance=1,4"),
        ("forward", f"--init {OLD / 'files/heart.png'} --forward"),
        ("begun", f"--init {OLD / 'files/hearts.png'} --strength 0.6"),
        ("masked", f"--fork 5:noise=2 --mask {OLD / 'mask.png'}"),
    ):
        yield job(name, "icons", "png", *IMAGE, *settings.split())
    yield job("caption", "icons", "png", *IMAGE, "--fork", "3:caption=yellow star on blue")
    yield job("steps", "icons", "gif", *IMAGE)
    for seed in (1, 2):
        yield job(f"seed {seed}", "emoji", "png", "--prompt", "octopus", *FEW, seed=seed)
        yield job(f"seed {seed}", "fashion", "png", *DRESS, seed=seed)
    yield job("autoguidance", "fashion", "png", *DRESS, "--autoguidance", "1.5")

    for seed in (1, 2):
        yield job(f"seed {seed}", "fashion-gan", "png", *SNEAKER, seed=seed)
    for name, settings in (
        ("direction", "--direction 2 --steps 5"),
        ("pca", "--direction 1 --basis pca --steps 3 --reach 2"),
        ("to", "--to 9 --steps 4"),
        ("blend", "--blend 3,4 --truncation 0.7"),
    ):
        yield job(name, "fashion-gan", "gif", *SNEAKER, *settings.split())

    for seed in (5, 6):
        yield job(f"seed {seed}", "chorales", "mid", *MUSIC, seed=seed)
    yield job(
        "melody", "chorales", "mid", "--melody", str(OLD / "files/tune.mid"), "--tokens", "40"
    )
    yield job("sound", "chorales", "wav", *MUSIC)
    for seed in (1, 2):
        yield job(f"seed {seed}", "voice", "wav", "--prompt", "four jackson", *FEW, seed=seed)
        yield job(f"seed {seed}", "video", "gif", "--prompt", MOVING, *FEW, seed=seed)
    yield job("words", "voice", "wav", "--prompt", "four two theo", *FEW)
    for family in ("gan", "diffusion", "flow", "autoregressive", "classifier"):
        argv = f"lab two-moons --family {family} --steps 20 --every 10 --width 16 --seed 2 --json"
        yield Job(f"lab {family}", tuple(argv.split()), "json")


def trainings(data: Path) -> Iterator[Job]:
    """Every recipe; those whose data is downloaded have small data of their own."""
    text = f"{SMALL} sample_prompt=to steps=8"
    words = "layers=1 width=32 heads=1 batch=2 caption_width=16 steps=4"
    labels = "width=8 batch=4 steps=4"
    for recipe, folder, settings in (
        ("shakespeare", "plays.txt", text),
        ("shakespeare", "plays.txt", f"{text} dropout=0 ema=0.9 seed=2"),
        ("python", "code", f"{text} vocab_size=280 fim_rate=0.5"),
        ("prose", "plays.txt", f"{text} vocab_size=280"),
        ("chorales", "", "layers=1 width=32 heads=2 context=64 batch=2 sample_tokens=16 steps=4"),
        ("icons", "", f"{TRUNK} steps=4"),
        ("icons", "", f"{TRUNK} steps=4 seed=2 shift=2 zoom=0.1 flip=true"),
        ("emoji", "", f"{TRUNK} steps=3"),
        ("fashion", "sifted", f"{TRUNK.replace('canvas_batch=4', 'canvas_batch=0')} steps=4"),
        ("video", "", f"{TRUNK.replace('layers=1', 'layers=2')} steps=3"),
        ("voice", "words", words),
        ("icons-gan", "", f"{GAME} steps=4"),
        ("emoji-gan", "", f"{GAME} steps=3"),
        ("fashion-gan", "sifted", f"{GAME} steps=4"),
        ("fashion-labels", "sifted", labels),
        ("icons-labels", "", labels),
        ("emoji-labels", "", labels),
        ("voice-digits", "words", labels),
        ("voice-speakers", "words", labels),
        ("speakers", "said.jsonl", "buckets=64 width=8 batch=4 steps=4"),
        ("python-or-prose", "said.jsonl", "buckets=64 width=8 batch=4 steps=4"),
    ):
        argv = ["train", recipe, "--foreground", "--json"]
        argv += ["--data", str(data / folder)] if folder else []
        for pair in f"{settings} {FIXED}".split():
            argv += ["--set", pair]
        shown = [word for word in settings.split() if word.startswith(("seed", "shift", "dropout"))]
        yield Job(" ".join(["train", recipe, *shown]), tuple(argv), "run")


def make_data(folder: Path, warm: Warm) -> None:
    """What both commits train on."""
    for name in ("plays.txt", "said.jsonl"):
        shutil.copy(OLD / name, folder)
    shutil.copytree(OLD / "sifted", folder / "sifted")
    (folder / "code").mkdir()
    for number in range(3):
        (folder / "code" / f"m{number}.py").write_text(
            f"def f(x):\n    return x + {number}\n\n" * 30
        )
    (folder / "words").mkdir()
    rows = []
    for number in range(12):
        caption = WORDS[number % len(WORDS)]
        file = folder / "words" / f"{number}.wav"
        seed = ("--seed", str(number))
        warm(
            "generate", "voice", "--prompt", caption, "--steps", "2", *seed, "--out", str(file)
        ).ok()
        rows.append(json.dumps({"file_name": file.name, "text": caption}))
    (folder / "words" / "metadata.jsonl").write_text("\n".join(rows) + "\n")


def content(job: Job, done: Done, file: Path) -> list[Any]:
    """What the command came to, without names, dates and recipes."""
    if job.kind == "json":
        return [sorted(json.loads(line).items()) for line in done.out.splitlines()]
    if job.kind == "run":
        return losses(Path(done.json["path"]))
    if job.kind == "txt":
        return [file.read_text().rpartition("\ngenui-recipe: ")[0]]
    if job.kind == "wav":
        with wave.open(str(file)) as sound:
            return [sound.getparams()[:3], sound.readframes(sound.getnframes())]
    if job.kind == "mid":
        import mido

        tracks = mido.MidiFile(str(file)).tracks
        return [[str(message) for message in track if message.type != "text"] for track in tracks]
    from PIL import Image, ImageSequence

    with Image.open(file) as image:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
        return [(frame.size, frame.tobytes()) for frame in frames]


def losses(run: Path) -> list[Any]:
    """Every number that does not depend on how quick the machine is."""
    left_out = ("time", "rate", "step_seconds")
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        sorted((name, value) for name, value in record.items() if name not in left_out)
        for record in records
    ]


def digest_of(parts: list[Any]) -> str:
    """SHA-256 of what came out: bytes as they are, everything else as Python writes it."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(repr(part).encode())
    return sha.hexdigest()


def result_of(job: Job, warm: Warm, folder: Path) -> str:
    """A digest, or how the command failed."""
    file = folder / f"{hashlib.sha256(job.name.encode()).hexdigest()[:12]}.{job.kind}"
    argv = job.argv if job.kind in ("json", "run") else (*job.argv, "--out", str(file))
    done = warm(*argv)
    if done.code:
        return f"failed: {(done.err.strip().splitlines() or ['?'])[-1][:100]}"
    parts = content(job, done, file)
    return digest_of(parts) if any(parts) else "failed: nothing came out"


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """A worktree of a commit."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--detach", "--quiet", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def main() -> int:
    """Prints a row a job as it is done, and how many differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("commits", nargs=2, metavar="COMMIT")
    parser.add_argument("--only", default="", metavar="REGEX", help="of the jobs' names")
    parser.add_argument("--keep", action="store_true", help="keep the files, and say where")
    args = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="genui-bits-"))
    started, differing = time.monotonic(), 0
    with (
        checked_out(args.commits[0], place / "a") as one,
        checked_out(args.commits[1], place / "b") as other,
    ):
        warms = []
        for number, root in enumerate((one, other)):
            home = place / f"home{number}"
            home.mkdir()
            warms.append(Warm(home, root))
        (place / "data").mkdir()
        make_data(place / "data", warms[0])
        wanted = re.compile(args.only)
        jobs = [*generations(), *trainings(place / "data")]
        for job in filter(lambda job: wanted.search(job.name), jobs):
            a, b = (result_of(job, warm, warm.home) for warm in warms)
            failed = a.startswith("failed") or b.startswith("failed")
            word = "equal" if a == b and not failed else "FAILED" if failed else "DIFFERS"
            differing += word != "equal"
            shown = a[:12] if word == "equal" else f"{a[:60]} | {b[:60]}"
            print(f"{word:<8} {job.name:<34} {shown}", flush=True)
        for warm in warms:
            warm.close()
    if args.keep:
        print(f"kept in {place}")
    else:
        shutil.rmtree(place)
    print(f"{differing} differ, in {time.monotonic() - started:.0f} s")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
