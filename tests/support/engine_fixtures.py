"""Fixtures for tests of the engine: tiny models and runs, made by the real code.

What needs torch imports it where it is used, for tests of other rooms do without.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from networks import NETWORKS, random_network

from genui.recipes import find_recipe, override
from genui.runs.layout import RunDir, create_run

if TYPE_CHECKING:
    from genui.engine.sample.diffusion import DiffusionGenerator
    from genui.engine.sample.text import TextGenerator

ALPHABET = "\n abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Compute on one thread: two at once are far slower where the cores are busy."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(autouse=True)
def no_forks_left() -> Iterator[None]:
    yield
    forks = sys.modules.get("forks")
    assert forks is None or not forks.end_left(), "a test has left processes that train"


@pytest.fixture(scope="session", autouse=True)
def fork_server() -> Iterator[None]:
    """Ends the process that trains in forks, if a test has started it."""
    yield
    if "forks" in sys.modules:
        sys.modules["forks"].end()


@pytest.fixture(autouse=True)
def peak_of_one_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has an empty cache folder, where the peak is not kept yet."""
    if "torch" in sys.modules:
        monkeypatch.setattr("genui.engine.device.MEASURE_S", 0.0)


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> str:
    """The family of a network that writes: what is asserted of one holds for all. A file about
    layers has a fixture of this name with those of LAYERED."""
    return request.param


@pytest.fixture
def text_generator(network: str) -> "TextGenerator":
    from genui.engine.data.tokenizer import CharTokenizer
    from genui.engine.device import Machine
    from genui.engine.sample.text import TextGenerator

    model = random_network(network, len(ALPHABET))
    machine = Machine("cpu", "fp32", 1)
    generator = TextGenerator(model, CharTokenizer(ALPHABET), machine, network)
    generator.decode_fast()  # as every generator that the app loads
    return generator


@pytest.fixture
def image_generator() -> "DiffusionGenerator":
    import torch

    from genui.engine.data.captions import Vocabulary
    from genui.engine.device import Machine
    from genui.engine.models.denoisers import EDMDenoiser
    from genui.engine.models.dit import DiT, DiTConfig
    from genui.engine.sample.diffusion import DiffusionGenerator

    torch.manual_seed(0)
    vocabulary = Vocabulary.build(["cat", "dog"])
    config = DiTConfig(vocabulary.size, 6, 16, patch=8, layers=1, width=32, heads=2)
    model = EDMDenoiser(DiT(config), 0.75)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    return DiffusionGenerator(model, vocabulary, Machine("cpu", "fp32", 1))


@pytest.fixture
def signals() -> Iterator[None]:
    """The trainer installs handlers of its own: those before come back."""
    before = [(s, signal.getsignal(s)) for s in (signal.SIGTERM, signal.SIGINT)]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.fixture
def plays(tmp_path: Path) -> Path:
    """A small text of the user's own."""
    path = tmp_path / "plays.txt"
    line = "to be or not to be that is the question\n"
    path.write_text(line * 120)
    return path


@pytest.fixture
def tiny_run(plays: Path) -> Callable[..., RunDir]:
    """Makes a run of a very small network on `plays`."""

    def make(recipe: str = "shakespeare", **settings: str) -> RunDir:
        heads = {"heads": "2"} if recipe == "shakespeare" else {}
        small = {
            "data": str(plays),
            "layers": "1",
            "width": "32",
            "context": "32",
            "batch": "4",
            "steps": "12",
            "eval_every": "6",
            "sample_every": "6",
            "sample_tokens": "8",
            "sample_prompt": "to",
            "checkpoint_every": "4",
            "threads": "1",
        }
        small |= heads | settings
        return create_run(override(find_recipe(recipe), small), small, "tiny")

    return make
