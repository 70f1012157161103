"""A kind of model can be removed: nothing outside its folder names it, and the rest works."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from fresh_genui import FreshGenui

import genui

PACKAGE = Path(genui.__file__).parent


class Leaf(NamedTuple):
    """A kind that can be removed."""

    folder: str
    needed_by: tuple[str, ...]
    """The kinds that go with it."""
    names: str
    """A regular expression of its identifiers."""
    absent: tuple[str, ...]
    """Words that the shell's lists have with it, and not without it."""


LEAVES = (
    Leaf(
        "text_diffusion",
        ("open_text_diffusion",),
        r"text_diffusion|TextD(iffusion|enoiser)|CanvasFrame|(masked|uniform)-shakespeare|PageLook"
        r"|discrete-diffusion|page-pane",
        ("masked-shakespeare", "--remask", "Erase the word", "diffused-text"),
    ),
    Leaf(
        "open_text_diffusion",
        (),
        r"kinds.open_text_diffusion|LLADA|DreamModel|FolderDenoiser|masked-text",
        ("open-diffused", "masked-diffusion models as Hugging Face folders"),
    ),
    Leaf(
        "music",
        (),
        r"chorale|midi\b|[Mm]usic[A-Z_]|_music\b|\bbach\b|piano_roll|RollView|(en|de)code_score|fluidsynth",
        ("chorales", "--melody", "--gm", "harmonise"),
    ),
    Leaf(
        "servers",
        (),
        r"kinds.servers|Server(Record|State|Generator)|LlamaServer|DIALECTS|add_address|key.env|\bOdds\b",
        ("--key-env", "--again", "ask a model on a server"),
    ),
    Leaf(
        "video",
        (),
        r"kinds.video|Video(Recipe|DiT|Config|Denoiser|Medium|Task)|VIDEO_RECIPES|build_video|\"video\"|"
        r"ClipBatch|(load|check|measure|nearest|track)_clips|draw_poses|MOTIONS|\.denoising\b|mp4|ffmpeg",
        ("icons in motion", "--denoising", ".mp4", "clips of 16 frames"),
    ),
    Leaf(
        "lab",
        (),
        r"\bLab[A-Z]|LAB_|\"lab\"|lab:|PointsFrame|Inspect\b|Inspection|PlaneView|\bthe Lab\b",
        ("a small network on points", "app.lab", "Setting points"),
    ),
    Leaf(
        "open_text",
        ("open_text_diffusion",),
        r"kinds.open_text|FineTune|Llama(Config|Decoder|Block)|Adapt(ed|er)Model|PretrainedTokenizer"
        r"|(read|load|write)_gguf|MODEL_TYPES|tokenizer_from_(gguf|file)",
        ("Name a fruit", "Hugging Face folders, fine-tuning"),
    ),
    Leaf(
        "speech",
        (),
        r"kinds.speech|Voice[A-Z]|VOICE_(RECIPES|CLASS)|SPEECH_|Speech(Medium|Dataset|View)|Sound(Classifier|Net)"
        r"|\bonnx|\bfsdd\b|log_mel|MelDiT|mel_dit|vocode|voice-digits|generate voice|piper|espeak",
        ("voice-digits", "spoken digits", "427.wav", "piper voices", "One sentence forward"),
    ),
    Leaf(
        "latent",
        ("student",),
        r"kinds.latent|[Aa]utoencoder(Recipe|Task|Settings|Generator|Config)|AUTOENCODER_"
        r"|Latent(Recipe|Medium|Task|Examples)|(icons|emoji|autoencoder)-128|JUDGE_RECIPES"
        r"|resvg|begin_linear|hold_out_modifiers|pluralise",
        ("autoencoder-128", "icons-128", "emoji-128", "autoencoders of 128×128 images"),
    ),
    Leaf(
        "open_image",
        (),
        r"kinds.open_image|open_diffusion|PIPELINES|OpenImages|FolderSchedule|AdaptedReader|PipelineParts",
        ("draw with folders of diffusers",),
    ),
    Leaf(
        "gan",
        (),
        r"kinds.gan|[Gg]an(Recipe|Task|Config)|GANConfig|GAN_RECIPES|fashion-gan|icons-gan|emoji-gan"
        r"|Latent(Settings|Generator|Controller)|Walk(Frame|State|Image|View)\b|DirectionBars"
        r"|sefa|walk-pane|SampleSet|\bslerp\b",
        ("fashion-gan", "icons-gan", "--direction", "--truncation", "latent space"),
    ),
    Leaf(
        "student",
        (),
        r"kinds.student|Student(Recipe|Task|Schedule)|STUDENT_RECIPES|fashion-student|TAUGHT_STEPS",
        ("fashion-student", "images in 1 to 8 steps"),
    ),
)
LISTS = (
    "models", "recipes", "generate --help", "models add --help", "replay --help", "--help", "help",
    "help keys",
)  # fmt: skip
"""Commands that say what kinds bring."""

OTHER_FILES = ("engine/data/icons.py",)
"""Files with lists of names of icons, of which some are words of a kind."""


@pytest.fixture(scope="module")
def sources() -> dict[Path, str]:
    """The text of each file that can name a kind."""
    paths = (*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.tcss"))
    return {path.relative_to(PACKAGE): path.read_text("utf-8") for path in paths}


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.folder)
def test_nothing_outside_its_folder_names_a_kind(leaf: Leaf, sources: dict[Path, str]) -> None:
    own = [Path("kinds", name) for name in (leaf.folder, *leaf.needed_by)]
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path, text in sources.items()
        if path.as_posix() not in OTHER_FILES
        if not any(path.is_relative_to(folder) for folder in own)
        for match in re.finditer(leaf.names, text)
    ]
    assert not found, "\n".join(found)


_TRIED = f"""
import asyncio, hashlib
from pathlib import Path
from genui.cli.main import main
from genui.ui.app import GenuiApp

for words in {LISTS}:
    try:
        main(words.split())
    except SystemExit:
        pass

async def open_app():
    app = GenuiApp()
    async with app.run_test(size=(120, 40)) as pilot:
        while not app.home.models:  # they are listed on a thread
            await pilot.pause(0.05)

asyncio.run(open_app())
main("generate icons --seed 3 --steps 2 --out a.png".split())
print("\\f" + hashlib.sha256(Path("a.png").read_bytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def fresh() -> Iterator[FreshGenui]:
    with FreshGenui() as server:
        yield server


def _try(fresh: FreshGenui, root: Path, folder: Path) -> tuple[str, str]:
    """What a process with the genui that lies in `root` lists, and the digest of what it makes."""
    listed, _, made = fresh.run(_TRIED, root, folder).partition("\f")
    return listed, made


@pytest.fixture(scope="module")
def whole(fresh: FreshGenui, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What genui with all its kinds lists and makes."""
    return _try(fresh, PACKAGE.parent, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.folder)
def test_without_a_kind_the_rest_lists_and_generates_as_before(
    leaf: Leaf, fresh: FreshGenui, whole: tuple[str, str], tmp_path: Path
) -> None:
    copy = tmp_path / "without" / "genui"
    # Links, not copies, of what is large; with the compiled files, which stay valid.
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("weights"))
    (copy / "weights").symlink_to(PACKAGE / "weights")
    for name in (leaf.folder, *leaf.needed_by):
        shutil.rmtree(copy / "kinds" / name)
    for kind in (copy / "kinds").iterdir():
        weights = PACKAGE / "kinds" / kind.name / "weights"
        if weights.is_dir():
            (kind / "weights").symlink_to(weights)
    listed, made = whole
    without, again = _try(fresh, copy.parent, tmp_path)
    for word in leaf.absent:
        assert word in listed
        assert word not in without
    assert again == made
