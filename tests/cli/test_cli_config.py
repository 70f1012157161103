"""`genui config` and `genui completion`."""

import subprocess
import sys
from pathlib import Path

import pytest

from genui.base.config import config_file, load_config
from genui.base.watermarks import keys_file, read_keys
from genui.cli.completion import SCRIPTS, complete
from genui.cli.main import COMMANDS, main

Capture = pytest.CaptureFixture[str]


def test_config_prints_sets_and_says_where(capsys: Capture) -> None:
    assert main(["config"]) == 0
    assert "# threads = 0\n" in capsys.readouterr().out
    assert main(["config", "set", "threads", "2"]) == 0
    assert load_config().threads == 2
    assert main(["config", "path"]) == 0
    assert capsys.readouterr().out == f"{config_file()}\n"
    assert main(["config"]) == 0
    assert "\nthreads = 2\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["set", "thraeds", "2"], "did you mean 'threads'?"),
        (["set", "theme", "nrod"], "theme nrod: no such theme; did you mean 'nord'?"),
        (["set", "threads", "x"], "threads x: expected a whole number, 0 to 4,096"),
        (["set", "threads"], "expected `config show`, `config path`, `config set NAME VALUE`"),
        (["path", "threads"], "expected `config show`, `config path`, `config set NAME VALUE`"),
        (["key"], "`config key NAME` or `config test-alert`"),
        (["set", "alert_url", "foo"], "give an address that begins with https://"),
        (["set", "certificate", "/nowhere.pem"], "certificate: /nowhere.pem: no such file"),
        (["set", "data", "/nowhere"], "data: /nowhere: no such folder"),
        (["key", "a b"], "key 'a b': name it with letters, digits, - and _"),
    ],
)
def test_misuse_of_config_is_one_line(words: list[str], fault: str, capsys: Capture) -> None:
    assert main(["config", *words]) == 2
    assert fault in capsys.readouterr().err


def test_a_path_is_found_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.sf2").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["config", "set", "soundfont", "mine.sf2"]) == 0
    assert load_config({}).soundfont == str(tmp_path / "mine.sf2")


def test_a_key_of_watermarks_is_made_once_and_never_printed(capsys: Capture) -> None:
    assert main(["config", "key", "mine"]) == 0
    number = read_keys()["mine"]
    said = capsys.readouterr()
    assert str(keys_file()) in said.err
    assert f"{number:x}" not in said.out + said.err
    assert keys_file().stat().st_mode & 0o777 == 0o600, "others cannot read the keys"
    assert main(["config", "key", "mine"]) == 2, "a key is never replaced"
    assert main(["config", "key", "other"]) == 0
    assert read_keys()["mine"] == number != read_keys()["other"]


@pytest.mark.parametrize(
    "text", ["mine = 5", 'mine = "x"', "mine", '"a b" = "0123456789abcdef"', "\xff"]
)
def test_a_damaged_file_of_keys_is_one_line_that_names_it(text: str, capsys: Capture) -> None:
    keys_file().parent.mkdir(parents=True, exist_ok=True)
    keys_file().write_bytes(text.encode("latin-1"))
    assert main(["config", "key", "mine"]) == 2
    assert capsys.readouterr().err.startswith(f"genui: {keys_file()}: ")


@pytest.mark.parametrize(
    ("line", "candidate"),
    [
        ("tra", "train"),
        ("--plugin x.py gen", "generate"),
        ("generate ic", "icons"),
        ("generate icons --samp", "--sampler"),
        ("generate icons --sampler he", "heun"),
        ("train sh", "shakespeare"),
        ("train icons --set wid", "width="),
        ("config set not", "notify"),
        ("config set notify o", "off"),
        ("help ima", "images"),
        ("help gen", "generate"),
        ("probes icons --json fa", "fashion"),
        ("completion f", "fish"),
        ("config set theme gr", "gruvbox"),
        ("train icons --set precision=b", "precision=bf16"),
        ("train --from shakespeare --set wid", "width="),
    ],
)
def test_the_next_word_is_completed(line: str, candidate: str) -> None:
    words = line.split(" ")
    candidates = complete(COMMANDS, words)
    assert candidate in [word for word, _ in candidates]
    assert all(word.startswith(words[-1]) for word, _ in candidates)


@pytest.mark.parametrize("line", ["generate icons --out ", "generate icons --steps 1", "nope x"])
def test_files_and_values_are_left_to_the_shell(line: str) -> None:
    assert complete(COMMANDS, line.split(" ")) == []


def test_only_models_that_generate_are_offered_to_generate_with() -> None:
    offered = {word for word, _ in complete(COMMANDS, ["generate", "icons"])}
    assert {"icons", "icons-128"} <= offered
    assert "icons-labels" not in offered  # a classifier


def test_every_command_and_option_can_be_completed() -> None:
    assert [word for word, _ in complete(COMMANDS, [""])] == list(COMMANDS.summaries())
    for command in COMMANDS.summaries():
        assert "--help" in [word for word, _ in complete(COMMANDS, [command, "-"])]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_each_shell_has_a_script(shell: str, capsys: Capture) -> None:
    assert main(["completion", shell]) == 0
    assert "genui completion words" in capsys.readouterr().out


def test_completing_imports_neither_textual_nor_torch() -> None:
    code = (
        "import sys; from genui.cli.main import main;"
        "main(['completion', 'words', '--', 'generate', 'ic']);"
        "print({'textual', 'torch'} & sys.modules.keys(), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "set()\n"
    assert "icons\timage, diffusion" in done.stdout
