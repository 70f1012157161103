"""What a fault says of the names that it knows, and of what to install."""

import importlib.metadata
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from genui.base.errors import GenuiError, MisuseError, did_you_mean, install

ROOT = Path(__file__).parent.parent

MANY = [f"name-{at:02}" for at in range(40)]


def test_a_near_name_is_proposed() -> None:
    assert did_you_mean("nmae-07", MANY, lists="genui names") == "did you mean 'name-07'?"


def test_a_short_list_is_given_and_of_a_long_one_how_to_list_it() -> None:
    assert did_you_mean("?", ["b", "a"], lists="genui names") == "known: a, b"
    text = did_you_mean("?", MANY, lists="genui names")
    assert text.endswith("name-09 and 30 more: genui names lists them")
    assert did_you_mean("?", MANY).endswith("name-09 and 30 more")
    assert did_you_mean("?", []) == "none is known"


def test_an_optional_part_is_installed_by_the_names_of_its_packages_and_by_this_python() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for extra in extras.keys() - {"dev"}:
        python, *words = shlex.split(install(extra))
        assert python == sys.executable
        assert words[:3] == ["-m", "pip", "install"]
        named = {re.split(r"[>=<\[]", word)[0].replace("_", "-") for word in words[3:]}
        assert named >= {re.split(r"[>=<\[]", each)[0].replace("_", "-") for each in extras[extra]}


def test_a_copy_without_metadata_points_to_its_own_list(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    assert install("hf") == "install what pyproject.toml lists under hf"


def test_no_text_tells_to_install_this_package_by_name_from_an_index() -> None:
    """An index may have somebody else's package of that name."""
    files = [ROOT / "README.md", *(ROOT / "genui").rglob("*.py"), *(ROOT / "genui").rglob("*.md")]
    wrong = re.compile(r"genui\[|pip install ['\"]?genui\b")
    assert [str(file) for file in files if wrong.search(file.read_text())] == []


@pytest.mark.parametrize("kind", [GenuiError, MisuseError])
def test_a_message_is_one_line_that_no_terminal_executes(kind: type[GenuiError]) -> None:
    error = kind("a\x1b]0;title\x07b: \u202ename\r\nis \x9b31mred")
    assert str(error) == "ab: name is red"
    assert str(kind("two  spaces “stay” 漢")) == "two  spaces “stay” 漢"
