"""The README and the manual say what the code does: their commands, links and names."""

import argparse
import dataclasses
import json
import re
import shlex
import shutil
import string
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from tiny_models import INSTALLED, write_coder, write_models, write_of_kinds

from genui.base import plugins
from genui.base.watermarks import make_key
from genui.cli.main import COMMANDS, main
from genui.engine.train.checkpoint import load_weights, write_tensors
from genui.formats.audio import encode_wav
from genui.protocol import kinds
from genui.protocol.manual import list_pages
from genui.recipes import (
    RECIPES,
    Recipe,
    TransformerRecipe,
    find_recipe,
    override,
    parse_settings,
)
from genui.runs.layout import create_run

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TOPICS = list_pages()
PAGES = [page.path for topic, page in TOPICS.items() if topic != "keys"]  # which is generated
DOCUMENTS = [README, *PAGES]


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


_QUOTED = re.compile(r"\$'((?:\\.|[^'\\])*)'")


class Command(NamedTuple):
    """A call of genui in an example."""

    document: str
    line: str
    words: list[str]  # after `genui`


def examples(document: Path) -> Iterator[Command]:
    """Each call of genui in the shell examples, in order."""
    for block in re.findall(r"```sh\n(.*?)```", document.read_text("utf-8"), re.DOTALL):
        for line in block.splitlines():
            for words in _calls(line):
                yield Command(name_of(document), line, words)


def _calls(line: str) -> Iterator[list[str]]:
    unescaped = _QUOTED.sub(
        lambda quoted: shlex.quote(quoted[1].encode().decode("unicode_escape")), line
    )
    lexer = shlex.shlex(unescaped, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    part: list[str] = []
    for word in [*lexer, ";"]:
        if word and set(word) <= set("();|&<>"):
            if "genui" in part:
                yield part[part.index("genui") + 1 :]
            part = []
        else:
            part.append(word)


EXAMPLES = [command for document in DOCUMENTS for command in examples(document)]


def test_the_examples_are_found() -> None:
    assert {command.words[0] for command in EXAMPLES if command.words} >= {
        *("train", "generate", "show", "replay", "inspect", "watch", "help", "compare", "worth")
    }
    words = next(c.words for c in EXAMPLES if "<FILL>" in c.line)
    assert words == ["generate", "python", "--prompt", "def area(r):\n    return <FILL> * r ** 2"]
    assert list(_calls("RUN=$(genui train icons) && genui show a.png | less  # b")) == [
        ["train", "icons"],
        ["show", "a.png"],
    ]


@pytest.mark.parametrize("command", EXAMPLES, ids=lambda c: f"{c.document}: {c.line[:60]}")
def test_every_example_is_a_call_that_is_understood(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not command.words:
        return  # `genui` alone
    name, *arguments = command.words
    if name == "--plugin":
        # The page shows the file, under its name.
        file, name, *arguments = arguments
        text = (ROOT / command.document).read_text("utf-8")
        module = re.search(rf"```python\n# {re.escape(file)}\n(.*?)```", text, re.DOTALL)
        assert module is not None
        (tmp_path / file).write_text(module[1], "utf-8")
        monkeypatch.setenv(plugins.VARIABLE, "")
        plugins.use_files([str(tmp_path / file)])
    args, unknown = COMMANDS.parser(name).parse_known_args(arguments)
    assert unknown == []
    if name in {"train", "recipes"} and args.recipe:
        override(find_recipe(args.recipe), parse_settings(getattr(args, "set", None) or ()))
    if name == "help" and args.topic not in {None, "TOPIC"}:
        from genui.cli.help import page

        assert page(COMMANDS, args.topic)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_commands_named_in_the_text_exist_with_their_options(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text("utf-8"), flags=re.DOTALL)
    for inline in re.findall(r"`([^`]+)`", text):
        called = re.match(r"(?:.*\| |\w+=\S+ )?(?:~/\.genui/bin/)?genui (.+)", inline, re.DOTALL)
        if called is None:
            continue
        name, *words = called[1].split()
        if name in {"COMMAND", "…"}:
            continue
        assert name in COMMANDS.summaries(), inline
        known = COMMANDS.parser(name)._option_string_actions
        options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert options <= known.keys(), inline
    options = set(re.findall(r"`(--[a-z][a-z-]*)", text))
    known = {o for name in COMMANDS.summaries() for o in _options(COMMANDS.parser(name))}
    assert options - {"--extra-index-url", "--durations"} <= known


def _options(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a command, and of the actions it has."""
    options = {*parser._option_string_actions}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            options |= {o for each in action.choices.values() for o in _options(each)}
    return options


# --- run --------------------------------------------------------------------------------


TINY = {
    "plays": ("shakespeare",),
    "shapes": ("icons", "emoji", "fashion"),
    "coder": ("python",),
    "tunes": ("chorales",),
    "clothes": ("fashion-gan",),
    "talk": ("voice",),
    "film": ("video",),
    "codes": ("autoencoder-128",),
    "pupil": ("fashion-student", "icons-128-student"),
    "anagrams": ("masked-shakespeare",),
}
"""Tiny models, and the names of the shipped ones whose place they take."""

RUN = (
    *("generate", "show", "replay", "compare", "sheet", "average", "models", "recipes", "runs"),
    *("inspect", "export", "traces", "doctor", "help"),
)
"""Commands that need no network, no cluster, no training and no terminal."""

NOT_RUN = {
    "$RUN": "names the run of the line before, which would be trained",
    "-n 60000": "long",
    "-n 6000": "long",
    "427.wav": "three words of sound take long; one is made from a recording",
    "cat.mp4": "needs ffmpeg",
    "| aplay": "needs a loudspeaker",
    "anna": "speaks with a model that would be trained",
    "wandb/": "another tool's run",
    "me@cluster:": "another host",
    "--favourites": "needs favourites, which the app keeps",
    "smollm2": "needs a model of 98 MB",
    "~/models/SmolLM2": "needs a model of 98 MB",
    "generate pirate": "fine-tuned from that model",
    "my-adapter": "an adapter of a model that is not here",
    "models add http": "asks a server",
    "qwen": "a model on a server",
    "answer.txt": "a file of a server's model",
    "chat.txt": "a chat with that model",
    "generate joe": "needs a voice of 63 MB",
    "generate sd ": "needs a model of 4 GB",
    "models add ~/models/": "needs a model of 4 GB",
    "alba": "needs a voice of another site",
    "LLaDA-8B": "needs a model of 16 GB",
    "-128 --": "has no small stand-in",
}
"""A part of an example, to why it is only parsed."""


@pytest.fixture(scope="module")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made, weights = (tmp_path_factory.mktemp(name) for name in ("made", "weights"))
    write_models(made, alphabet="\n" + string.printable[:95])
    write_coder(made)
    write_of_kinds(made)
    for name in ("plays", "shapes", "coder", *INSTALLED):
        for place in TINY[name]:
            shutil.copytree(made / name, weights / place)
    return weights


@pytest.fixture
def at_home(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples take for granted: files, a log, a run with checkpoints."""
    monkeypatch.setattr(kinds, "weights_folders", lambda: [tiny_weights])
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    make_key("mine")
    Image.new("RGB", (32, 32), "red").save("mine.png")
    tone = (8000 * np.sin(np.arange(8000) / 5)).astype(np.int16)
    Path("me.wav").write_bytes(encode_wav(tone, 8000, ""))
    if "tunes" in INSTALLED:
        from music_makers import write_midi

        write_midi(Path("hymn.mid"), tracks=2, names=("soprano", "bass"))
    log = Path("lightning_logs", "version_3", "metrics.csv")
    log.parent.mkdir(parents=True)
    log.write_text("step,val_loss\n10,2.0\n20,1.2\n")
    run = create_run(find_recipe("shakespeare"), {"steps": "40"}, "letters")
    state = json.loads(run.status.read_bytes()) | {"state": "finished", "step": 40, "pid": 1}
    run.status.write_text(json.dumps(state))
    run.metrics.write_text('{"step": 40, "time": 1.7e9, "loss": 1.5, "joules_estimate": 240}\n')
    run.norms.write_text('{"step": 40, "gradients/head": 0.5, "updates/head": 0.01}\n')
    tensors, described = load_weights(tiny_weights / "shakespeare" / "model.safetensors")
    for step in (400, 500, 600, 1200):
        described["step"] = step
        write_tensors(run.checkpoint(step), tensors, {"genui": json.dumps(described)})
    return here


RUNNABLE = {
    name_of(document): [
        command
        for command in examples(document)
        if command.words
        and command.words[0] in RUN
        and not any(part in command.line for part in NOT_RUN)
    ]
    for document in DOCUMENTS
}


@pytest.mark.parametrize("document", [name for name, commands in RUNNABLE.items() if commands])
def test_the_examples_run(document: str, at_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for command in RUNNABLE[document]:
        code = main(command.words)
        said = capfd.readouterr().err
        assert code == 0, f"{command.line}\n{said}"


def test_most_examples_run_and_what_does_not_is_still_there() -> None:
    lines = "\n".join(command.line for command in EXAMPLES)
    assert [part for part in NOT_RUN if part not in lines] == []
    run = {command.words[0] for commands in RUNNABLE.values() for command in commands}
    assert run == {command.words[0] for command in EXAMPLES if command.words} & {*RUN}


# --- links and names ----------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_and_image_is_there(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text("utf-8")):
        assert "://" not in target, "the manual works without a network"
        page = document in PAGES and target.removesuffix(".md") in TOPICS
        assert page or (document.parent / target).is_file(), target


def test_every_path_of_the_code_that_is_named_is_there() -> None:
    for document in DOCUMENTS:
        for path in re.findall(r"(?<![\w./])(?:genui|tests)/[\w/]+(?:\.py)?", document.read_text()):
            if path.endswith("bench_"):  # tests/bench/bench_*.py
                continue
            assert (ROOT / path).exists(), f"{name_of(document)}: {path}"
        for bench in re.findall(r"(?<![/\w])bench_\w+\.py", document.read_text()):
            assert (ROOT / "tests" / "bench" / bench).is_file(), f"{name_of(document)}: {bench}"


def test_the_table_of_families_has_every_shipped_model() -> None:
    shipped = {card.parent.name for card in (ROOT / "genui" / "weights").glob("*/card.json")}
    table = README.read_text("utf-8").partition("## Families and media")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z-]+)`", table))
    assert shipped <= named
    assert named & RECIPES.keys() >= shipped


def test_the_settings_of_recipes_that_are_named_exist() -> None:
    page = (ROOT / "genui" / "help" / "recipes.md").read_text("utf-8")
    shared, _, text = page.partition("## Shared settings")[2].partition("## Text in seconds")
    for part, recipe in ((shared, Recipe), (text, TransformerRecipe)):
        rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", part, re.M)
        named = {name for row in rows for name in re.findall(r"\w+", row)}
        assert len(named) > 5
        assert named <= {field.name for field in dataclasses.fields(recipe)}


def test_the_readme_is_short_and_keeps_its_two_commands() -> None:
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= 220
    assert "python3 -m venv ~/.genui && ~/.genui/bin/pip install . && ~/.genui/bin/genui\n" in text
    assert "pip install -e '.[dev]' && python -m pytest -n auto --dist loadfile\n" in text
