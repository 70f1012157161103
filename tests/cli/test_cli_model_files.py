"""Files of models that lie about themselves: refused in one line, before memory is taken."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import tiny_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import CLASSIFIERS_OF_KINDS, write_classifier
from torch.utils._python_dispatch import TorchDispatchMode

from genui.base.errors import GenuiError
from genui.cli.main import main
from genui.engine import trainer
from genui.engine.load import check_weights, find_and_load, load
from genui.engine.metrics.classifiers import ImageClassifier, TextClassifier
from genui.engine.models.classifiers import ConvNet, NGramClassifier
from genui.engine.sample.trace import Trace
from genui.engine.train.checkpoint import SCALE, quantise, write_model
from genui.protocol import RgbImage, Start
from genui.protocol.kinds import KINDS
from genui.recipes import find_recipe
from genui.runs import launch
from genui.runs.layout import read_status
from genui.runs.models import find_origin, read_header

PROMPTS = {"plays": "to be", "coder": "def f", "shapes": "cat", "clothes": "boot", "talk": "two"}
BLACK = RgbImage(width=128, height=128, rgb=bytes(3 * 128**2))
ROOM = 1 << 20  # bytes: more than any tensor of these models


class Largest(TorchDispatchMode):
    """The bytes of the largest tensor that was made."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.bytes = max(self.bytes, 0 if made.is_meta else made.nbytes)
        return made


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small model of each kind."""
    folder = tmp_path_factory.mktemp("models")
    tiny_models.write_models(folder)
    tiny_models.write_coder(folder)
    tiny_models.write_of_kinds(folder)
    for write, _ in CLASSIFIERS_OF_KINDS.values():
        write(folder)
    write_classifier(folder / "looks", "icons-labels", lambda width: ConvNet(2, width, True))
    buckets = find_recipe("speakers").buckets  # type: ignore[attr-defined]
    write_classifier(folder / "reads", "speakers", lambda width: NGramClassifier(2, buckets, width))
    return folder


def described_in(path: Path) -> dict[str, Any]:
    """What a model's file says of itself."""
    with safetensors.safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["genui"])


def widened(described: dict[str, Any]) -> dict[str, Any]:
    """A description with a wider network; a student has that of its teacher."""
    described.get("teacher", described)["recipe"]["width"] = 512
    return described


@pytest.mark.parametrize(
    ("name", "loads"),
    [
        ("plays", find_and_load),
        ("shapes", find_and_load),
        *((name, find_and_load) for name in tiny_models.INSTALLED),
        ("looks", ImageClassifier.load),
        *((name, load) for name, (_, load) in CLASSIFIERS_OF_KINDS.items()),
        ("reads", TextClassifier.load),
    ],
)
def test_a_network_larger_than_its_file_is_refused_before_memory_is_taken(
    models: Path, tmp_path: Path, name: str, loads: Callable[[str], Any]
) -> None:
    honest = models / name / "model.safetensors"
    loads(str(honest))
    described = widened(described_in(honest))
    forged = tmp_path / "forged.safetensors"
    write_model(forged, safetensors.torch.load_file(honest), described)
    with Largest() as largest, pytest.raises(GenuiError) as caught:
        loads(str(forged))
    read = max(value.nbytes for value in safetensors.torch.load_file(honest).values())
    assert largest.bytes <= max(ROOM, read)
    assert str(caught.value).startswith(f"{forged}: does not fit its own recipe (")
    assert "should be" in str(caught.value)


OPENED = """
import sys
from pathlib import Path
from genui.engine.load import check_weights
for path in map(Path, sys.argv[1:]):
    check_weights(path, path)
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""


def test_opening_a_model_imports_no_compiler(models: Path) -> None:
    paths = sorted(models.glob("*/model.safetensors"))
    command = [sys.executable, "-c", OPENED, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")  # seconds, which each start would take


@pytest.mark.parametrize(
    "name", ["plays", "shapes", *tiny_models.INSTALLED, *CLASSIFIERS_OF_KINDS, "looks", "reads"]
)
def test_a_training_from_such_a_file_ends_before_its_network_is_built(
    models: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = models / name / "model.safetensors"
    check_weights(honest, honest)
    described = widened(described_in(honest))
    forged = tmp_path / "forged.safetensors"
    write_model(forged, safetensors.torch.load_file(honest), described)
    monkeypatch.setenv("GENUI_HOME", str(tmp_path / "home"))
    run = launch.create(find_origin(str(forged)).recipe, {}, "next", str(forged))
    with Largest() as largest:
        assert trainer.train(run) == 1
    read = max(value.nbytes for value in safetensors.torch.load_file(honest).values())
    assert largest.bytes <= max(ROOM, read)
    fault = read_status(run).error
    assert fault.startswith(f"{forged}: does not fit its own recipe (")
    assert "should be" in fault
    assert "\n" not in fault


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("plays", {"tokenizer": "x"}),
        ("plays", {"tokenizer": True}),
        ("plays", {"tokenizer": {"kind": "chars", "characters": 7}}),
        ("plays", {"recipe": []}),
        ("shapes", {"words": None}),
        ("shapes", {"guide": {"recipe": None}}),
        *([("talk", {"voices": [1]})] if "talk" in tiny_models.INSTALLED else []),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_metadata_of_another_type_is_told_by_every_command(
    models: Path,
    tmp_path: Path,
    name: str,
    changes: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    honest = models / name / "model.safetensors"
    forged = tmp_path / "forged.safetensors"
    write_model(forged, safetensors.torch.load_file(honest), described_in(honest) | changes)
    for command in (
        ["generate", str(forged)],
        ["show", str(forged)],
        ["train", "--from", str(forged)],
    ):
        assert main(command) in (1, 2)
        (said,) = (line for line in capsys.readouterr().err.splitlines() if "genui:" in line)
        assert said.startswith(f"genui: {forged}: its genui metadata is damaged (")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where anything stands in a JSON value, as keys from the outside in."""
    if at:
        yield at
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value[:3])
    for key, one in inner:
        yield from places(one, (*at, key))


def changed(described: dict[str, Any], at: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The description with one place of it replaced; taken out where `value` is `...`."""
    described = json.loads(json.dumps(described))
    inside: Any = described
    for key in at[:-1]:
        inside = inside[key]
    if value is ...:
        del inside[at[-1]]
    else:
        inside[at[-1]] = value
    return described


@settings(max_examples=25)
@pytest.mark.parametrize("name", ["plays", "coder", "shapes", *tiny_models.INSTALLED])
@given(data=st.data())
def test_a_model_file_changed_anywhere_generates_or_is_refused_in_one_line(
    models: Path, tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    honest = models / name / "model.safetensors"
    described = described_in(honest)
    at = data.draw(st.sampled_from(list(places(described))))
    value = data.draw(st.just(...) | json_values)
    forged = tmp_path_factory.getbasetemp() / "mutated.safetensors"
    write_model(forged, safetensors.torch.load_file(honest), changed(described, at, value))
    fault = fault_of(lambda: load(forged))
    if fault is not None:
        assert fault.startswith(f"{forged}: ")
        return
    recipe = read_header(forged).recipe
    start = Start(
        trace=0,
        seed=1,
        model=str(forged),
        prompt=PROMPTS.get(name, ""),
        settings=KINDS[recipe.family, recipe.medium].defaults,
        init=BLACK if name == "codes" else None,  # else it draws all its data
    )
    # What is wrong now may be the request: it fits another model.
    fault_of(lambda: list(Trace(load(forged), start).advance(0, 1)))


def fault_of(work: Callable[[], Any]) -> str | None:
    """What a person is told went wrong, which is one line; None where all went well."""
    try:
        work()
    except GenuiError as error:
        assert "\n" not in str(error)  # noqa: PT017 - it may well go right
        return str(error)
    return None


def test_scales_that_would_make_a_matrix_of_a_row_are_refused(models: Path, tmp_path: Path) -> None:
    honest = models / "plays" / "model.safetensors"
    tensors = quantise(safetensors.torch.load_file(honest))
    name = next(name for name in tensors if name + SCALE in tensors)
    tensors[name + SCALE] = torch.ones(1, 4096, dtype=torch.float16)
    tensors[name] = torch.ones(4096, 1, dtype=torch.int8)
    forged = tmp_path / "forged.safetensors"
    write_model(forged, tensors, described_in(honest))
    with Largest() as largest, pytest.raises(GenuiError) as caught:
        find_and_load(str(forged))
    assert str(caught.value).startswith(f"{forged}: ")
    assert "\n" not in str(caught.value)
    assert largest.bytes <= ROOM
